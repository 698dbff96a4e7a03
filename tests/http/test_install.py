"""Which tags each kind of write leaves in the outbox once `larder install` has been run."""

import io

import pytest

from support.install import Installed

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE users (id bigint PRIMARY KEY, name text, age int, note text, mood mood);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
                    title text, hidden text);
CREATE TABLE odd (id int PRIMARY KEY, price numeric, body json, place point, score float8, unread json);
CREATE TABLE lines (kind text, n int, label text);
CREATE TABLE parted (id int, day int, what text) PARTITION BY RANGE (day);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE TABLE shards (id int, what text) PARTITION BY RANGE (id);
CREATE TABLE shards_a PARTITION OF shards FOR VALUES FROM (0) TO (10);
CREATE TABLE shards_b PARTITION OF shards FOR VALUES FROM (10) TO (20);
CREATE TABLE cities (name text, people int);
CREATE TABLE capitals (country text) INHERITS (cities);
CREATE TABLE "Odd Table" ("Id" int PRIMARY KEY, "it's" text);
CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int);
CREATE TABLE bystanders (id int);
CREATE TABLE papers (id int, text text, views int);
CREATE TABLE plans (id int, owner int, kind text, mood mood, step int, title text, body text);
CREATE TABLE cards (id int, owner int, title text, body text);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "ages": "SELECT age FROM users",
    "number": "SELECT count(*) FROM posts",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT id, title FROM posts WHERE user_id = :user",
    "odd": "SELECT price, body, place::text, score FROM odd",
    "lines": "-- @param kind\n-- @depends lines.kind = :kind\nSELECT n FROM lines WHERE kind = :kind",
    "parted": "SELECT what FROM parted",
    "shards": "-- @param id\n-- @depends shards.id = :id\nSELECT what FROM shards WHERE id = :id",
    "cities": "SELECT name FROM cities",
    "made": "SELECT b FROM made",
    "papers": "SELECT id, text FROM papers",
    "paper": "-- @param id\n-- @depends papers.id = :id\nSELECT text FROM papers WHERE id = :id",
    "views": "-- @param id\n-- @depends papers.id = :id\nSELECT views FROM papers WHERE id = :id",
    "plans": "-- @param owner\n-- @param kind text default=null\n-- @param mood mood default=null\n"
             "-- @depends plans.owner = :owner and kind = :kind and mood = :mood\n"
             "SELECT step FROM plans WHERE owner = :owner AND kind = :kind AND mood = :mood",
    "cards": "-- @param owner\n-- @depends cards.owner = :owner\n-- @depends cards.id = id for title, body\n"
             "SELECT id, title, body FROM cards WHERE owner = :owner",
    "titles": "-- @depends cards.id = id for title\nSELECT id, title FROM cards LIMIT 100",
    "quoted": "SELECT \"it's\" FROM \"Odd Table\"",
}
AGES, NAMES, NUMBER = "public.users(age)", "public.users(id,name)", "public.posts()"
POSTS, LINES = "public.posts(id,title,user_id)", "public.lines(kind,n)"
ODD, PARTED, CITIES, CAPITALS = "public.odd(body,place,price,score)", "public.parted(what)", "public.cities(name)", \
    "public.capitals(name)"
MADE = "public.made(b)"
PAPERS, VIEWS = "public.papers(id,text)", "public.papers(id,views)"
PLANS, CARDS = "public.plans(kind,mood,owner,step)", "public.cards(id,owner)"
QUOTED = "public.\"Odd Table\"(\"it's\")"


@pytest.fixture(scope="module")
def made(lazy_postgres, work_folder):
    installed = Installed(lazy_postgres(), f"{work_folder}/install-routes", SCHEMA, ROUTES)
    installed.sql("CREATE ROLE writer LOGIN", user="postgres")
    installed.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO writer")
    installed.install()
    yield installed
    installed.server.drop_database(installed.name)
    installed.server.execute("DROP ROLE writer")


@pytest.fixture
def database(made):
    """Empty tables but for users 1, 2, 3 and three posts of user 1."""
    made.sql("TRUNCATE users, posts, odd, lines, made, shards, parted, cities, papers, plans, cards, \"Odd Table\"")
    made.sql("INSERT INTO users SELECT i, 'name ' || i, i, 'note', 'sad' FROM generate_series(1, 3) AS i")
    made.sql("INSERT INTO posts SELECT i, 1, 'title ' || i, 'hidden' FROM generate_series(1, 3) AS i")
    return made


def of_user(*ids):
    return sorted(f"{POSTS}.user_id={each}" for each in ids)


# Rows

def test_rows_that_come_and_go_strike_all_tags_of_the_table(database):
    assert database.struck("INSERT INTO users VALUES (9, 'i')") == [AGES, NAMES]
    assert database.struck("DELETE FROM users WHERE id = 9") == [AGES, NAMES]
    assert database.struck("DELETE FROM users WHERE id = 9") == []


def test_an_update_strikes_what_reads_the_columns_it_changed(database):
    assert database.struck("UPDATE users SET name = 'other' WHERE id = 1") == [NAMES]
    assert database.struck("UPDATE users SET age = 70") == [AGES]
    assert database.struck("UPDATE users SET age = 71, name = 'third'") == [AGES, NAMES]
    assert database.struck("UPDATE users SET note = 'unread'") == []
    assert database.struck("UPDATE users SET mood = 'happy'") == []


def test_an_update_that_changes_nothing_strikes_nothing(database):
    assert database.struck("UPDATE users SET name = name, age = age + 0") == []
    assert database.struck("UPDATE users SET age = NULL WHERE id = 1") == [AGES]
    assert database.struck("UPDATE users SET age = NULL WHERE id = 1") == []
    assert database.struck("UPDATE users SET age = 1 WHERE id = 1") == [AGES]


def test_a_count_depends_on_rows_that_come_and_go_alone(database):
    assert NUMBER in database.struck("INSERT INTO posts VALUES (9, 1, 'new')")
    assert NUMBER not in database.struck("UPDATE posts SET title = 'newer' WHERE id = 9")
    assert NUMBER in database.struck("DELETE FROM posts WHERE id = 9")


def test_what_a_trigger_of_the_table_changes_counts(database):
    database.sql("CREATE FUNCTION older() RETURNS trigger LANGUAGE plpgsql AS "
                 "'BEGIN NEW.age := coalesce(OLD.age, 0) + 1; RETURN NEW; END'")
    database.sql("CREATE TRIGGER older BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION older()")
    changed = "SELECT tag FROM larder.changed_definitions() AS tag WHERE tag <> 'larder:definitions'"
    database.sql(changed)
    try:
        assert sorted(database.sql(changed)) == [(AGES,), (NAMES,)], "struck at each look, until the next install"
        database.install()
        assert database.struck("UPDATE users SET note = 'unread'") == [AGES]
        database.sql(changed)
        assert database.sql(changed) == []
    finally:
        database.sql("DROP FUNCTION older CASCADE")
        database.install()


def test_columns_that_are_generated_count(database):
    assert database.struck("INSERT INTO made VALUES (1)") == [MADE]
    assert database.struck("UPDATE made SET a = 2") == [MADE]
    assert database.struck("UPDATE made SET a = 2") == []
    assert database.struck("UPDATE made SET c = 2") == []


@pytest.mark.parametrize("column, before, same, other", [
    ("price", "1.0", "1.0", "1.00"),
    ("body", "'{\"a\":1}'", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("place", "'(1,2)'", "'(1,2)'", "'(1,3)'"),
    ("score", "0", "0", "'-0'"),
    ("body", "NULL", "NULL", "'null'"),
])
def test_types_whose_equality_hides_a_difference_or_is_none(database, column, before, same, other):
    database.sql(f"INSERT INTO odd (id, {column}) VALUES (1, {before})")
    assert database.struck(f"UPDATE odd SET {column} = {same}, unread = '1'") == []
    assert database.struck(f"UPDATE odd SET {column} = {other}") == [ODD]


def test_quoted_names(database):
    assert database.struck("INSERT INTO \"Odd Table\" VALUES (1, 'a')") == [QUOTED]
    assert database.struck("UPDATE \"Odd Table\" SET \"Id\" = 2") == []
    assert database.struck("UPDATE \"Odd Table\" SET \"it's\" = 'b'") == [QUOTED]


def test_copy_merge_and_on_conflict(database):
    connection = database.connect()
    database.struck()
    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("7\tseven\n8\teight\n"), "users", columns=("id", "name"))
    connection.close()
    assert database.rows() == [AGES, NAMES]
    upsert = "INSERT INTO users (id, name, age) VALUES (1, 'name 1', {}) " \
             "ON CONFLICT (id) DO UPDATE SET age = excluded.age"
    assert database.struck(upsert.format(1)) == []
    assert database.struck(upsert.format(2)) == [AGES]
    assert database.struck("INSERT INTO users (id) VALUES (1) ON CONFLICT DO NOTHING") == []
    merge = "MERGE INTO users AS u USING (VALUES ({})) AS v (id) ON u.id = v.id " \
            "WHEN MATCHED THEN UPDATE SET age = 99 WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)"
    assert database.struck(merge.format(1)) == [AGES]
    assert database.struck(merge.format(77)) == [AGES, NAMES]


def test_a_cascade_strikes_in_both_tables(database):
    assert database.struck("UPDATE users SET id = 10 WHERE id = 1") == sorted([NAMES, *of_user(1, 10)])
    assert database.struck("DELETE FROM users WHERE id = 10") == sorted([AGES, NAMES, NUMBER, *of_user(10)])
    assert database.struck("DELETE FROM users WHERE id = 2") == sorted([AGES, NAMES])


def test_truncate_strikes_the_bulk_tag_too_and_those_it_cascades_to(database):
    assert database.struck("TRUNCATE posts") == sorted([NUMBER, f"{POSTS}.user_id=*"])
    assert database.struck("TRUNCATE users CASCADE") == sorted([AGES, NAMES, NUMBER, f"{POSTS}.user_id=*"])
    assert database.struck("TRUNCATE bystanders", "INSERT INTO bystanders VALUES (1)") == []


# Narrowed

def test_the_value_of_the_row_is_struck(database):
    assert database.struck("INSERT INTO posts VALUES (9, 2, 'new')") == sorted([NUMBER, *of_user(2)])
    assert database.struck("UPDATE posts SET title = 'newer' WHERE id = 9") == sorted([*of_user(2)])
    assert database.struck("UPDATE posts SET hidden = 'unread'") == []
    assert database.struck("UPDATE posts SET user_id = 3 WHERE id = 9") == sorted([*of_user(2, 3)])
    assert database.struck("UPDATE posts SET user_id = NULL WHERE id = 9") == sorted(
        [*of_user(3), f"{POSTS}.user_id is null"])
    assert database.struck("DELETE FROM posts WHERE id = 9") == sorted([NUMBER, f"{POSTS}.user_id is null"])


@pytest.mark.parametrize("value, tag", [
    ("plain", "kind=plain"), ("it's \"quoted\"", "kind=it's \"quoted\""), ("back\\slash", "kind=back\\slash"),
    ("", "kind="), ("ümlaut ☃", "kind=ümlaut ☃"), ("=*", "kind==*"), ("null", "kind=null"), ("*", "kind=*"),
    ("two\nlines", "#"), ("x" * 256, "#"),
])
def test_values_of_all_kinds(database, value, tag):
    connection = database.connect()
    database.struck()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO lines (kind) VALUES (%s)", (value,))
        cursor.execute("SELECT md5(%s)", (value,))
        digest, = cursor.fetchone()
    connection.close()
    expected = f"{LINES}.kind=#{digest}" if "#" in tag else f"{LINES}.{tag}"
    assert database.rows() == sorted([expected])


def test_many_rows_of_few_values_leave_a_row_each_value(database):
    """And one more: the first row of a transaction is not remembered."""
    many = "INSERT INTO lines SELECT (i % 3)::text, i FROM generate_series(1, 3000) AS i"
    expected = [f"{LINES}.kind={each}" for each in range(3)]
    for statements in ([many], ["UPDATE lines SET n = n + 1"], ["BEGIN", *["UPDATE lines SET n = n + 1"] * 3, "COMMIT"],
                       ["DELETE FROM lines"]):
        left = database.left(*statements)
        assert sorted(set(left)) == expected and len(left) <= 4


def test_empty_null_and_the_word_null_are_three_values(database):
    expected = sorted([f"{LINES}.kind is null", f"{LINES}.kind=", f"{LINES}.kind=null"])
    every = "INSERT INTO lines VALUES (''), (NULL), ('null'), (NULL), ('')"
    assert database.struck(every) == expected
    for first in ("''", "NULL", "'null'"):
        assert database.struck("BEGIN", f"INSERT INTO lines VALUES ({first})", every, "COMMIT") == expected


def test_past_a_hundred_values_the_bulk_tag_is_struck(database):
    assert len(database.left("INSERT INTO lines SELECT i::text, i FROM generate_series(1, 100) AS i")) == 100
    past = database.struck("INSERT INTO lines SELECT i::text, i FROM generate_series(1, 102) AS i")
    assert f"{LINES}.kind=*" in past and len(past) == 101
    many = "INSERT INTO lines SELECT i::text, i FROM generate_series(1, 5000) AS i"
    assert len(database.left(many)) <= 102
    assert database.left("BEGIN", many, many, "UPDATE lines SET kind = 'c' WHERE n = 7", "COMMIT").count(
        f"{LINES}.kind=*") <= 2
    assert {f"{LINES}.kind=*", f"{LINES}.kind=a"} <= set(database.struck(
        "BEGIN", "INSERT INTO lines SELECT 'a', i FROM generate_series(1, 10) AS i", many,
        "INSERT INTO lines VALUES ('b', 1)", "COMMIT"))


def papers(*ids, of=PAPERS):
    return [f"{of}.id={each}" for each in ids]


def test_what_is_read_whole_and_by_key_is_struck_by_one_trigger(database):
    """Each trigger costs a writer more than its tag."""
    events = database.sql("SELECT split_part(tgname, '_', 2) FROM pg_trigger WHERE tgrelid = 'papers'::regclass ORDER BY 1")
    assert [event for event, in events] == ["delete", "insert", "truncate", "update", "update"]
    assert database.left("INSERT INTO papers VALUES (1, 'a'), (2, 'b')") == sorted(
        [PAPERS] * 2 + papers(1, 2) + papers(1, 2, of=VIEWS))
    assert database.left("UPDATE papers SET text = 'c' WHERE id = 1") == sorted([PAPERS, *papers(1)])
    assert database.left("UPDATE papers SET text = text, views = 7 WHERE id = 1") == papers(1, of=VIEWS)
    assert database.left("UPDATE papers SET text = text, views = views") == []
    assert database.left("UPDATE papers SET id = 3 WHERE id = 1") == sorted(
        [PAPERS, *papers(1, 3), *papers(1, 3, of=VIEWS)])
    assert database.left("DELETE FROM papers WHERE id = 3") == sorted([PAPERS, *papers(3), *papers(3, of=VIEWS)])


# By several columns

def plans(*rows):
    """The tags of rows (owner, kind, mood) and of what any parameter that is NULL leaves of them."""
    return sorted({f"{PLANS}.{by}={','.join(str(each) for each in row[:count])}"
                   for row in rows for count, by in enumerate(("owner", "owner,kind", "owner,kind,mood"), 1)})


def test_values_are_struck_together_and_by_those_before(database):
    assert database.struck("INSERT INTO plans VALUES (1, 5, 'a', 'sad', 1)") == plans((5, "a", "sad"))
    assert database.struck("UPDATE plans SET step = 2") == plans((5, "a", "sad"))
    assert database.struck("UPDATE plans SET title = 'unread', kind = kind") == []
    assert database.struck("UPDATE plans SET mood = 'happy'") == plans((5, "a", "sad"), (5, "a", "happy"))
    assert database.struck("UPDATE plans SET owner = 6, kind = 'b'") == plans((5, "a", "happy"), (6, "b", "happy"))
    assert database.struck("UPDATE plans SET kind = NULL") == plans((6, "b", "happy"), (6, "null", "happy"))
    assert database.struck("UPDATE plans SET kind = 'null'") == plans((6, "null", "happy"))
    assert database.struck("UPDATE plans SET owner = NULL") == sorted(
        set(plans((6, "null", "happy"), ("null", "null", "happy"))) - {f"{PLANS}.owner=null"} | {f"{PLANS}.owner is null"})
    assert database.struck("DELETE FROM plans") == sorted(
        set(plans(("null", "null", "happy"))) - {f"{PLANS}.owner=null"} | {f"{PLANS}.owner is null"})


def test_one_trigger_strikes_all_of_a_line(database):
    events = database.sql("SELECT split_part(tgname, '_', 2) FROM pg_trigger WHERE tgrelid = 'plans'::regclass ORDER BY 1")
    assert [event for event, in events] == ["delete", "insert", "truncate", "update"]


def test_rows_that_differ_in_one_value_alone_are_struck_each(database):
    """In one transaction, where what it has struck before is remembered."""
    rows = [(1, "a", "sad"), (1, "a", "happy"), (1, "b", "sad"), (2, "a", "sad"), (1, "a,b", "sad"), (1, "", "sad")]
    values = ", ".join(f"(0, {owner}, '{kind}', '{mood}')" for owner, kind, mood in rows * 2)
    assert database.struck(f"INSERT INTO plans (id, owner, kind, mood) VALUES {values}") == plans(*rows)
    assert database.struck("BEGIN", "UPDATE plans SET step = 3 WHERE kind = 'a' AND mood = 'sad'", "UPDATE plans SET step = 4",
                           "COMMIT") == plans(*rows)


def test_a_column_that_narrows_and_was_renamed_fails_nobodys_write(database):
    """Its values are struck as before."""
    database.sql("INSERT INTO papers VALUES (1, 'a', 0); ALTER TABLE papers RENAME id TO number")
    try:
        for statement, ids in (("INSERT INTO papers VALUES (2, 'b', 0)", {2}),
                               ("UPDATE papers SET text = 'c' WHERE number = 1", {1}),
                               ("UPDATE papers SET number = 3 WHERE number = 1", {1, 3}), ("DELETE FROM papers", {2, 3})):
            assert set(papers(*ids)) <= set(database.struck(statement)), statement
    finally:
        database.sql("ALTER TABLE papers RENAME number TO id")
    assert database.struck("INSERT INTO papers VALUES (1, 'a', 0)") == sorted(
        [PAPERS, f"{PAPERS}.id=1", f"{VIEWS}.id=1"])


def test_past_a_hundred_combinations_the_bulk_tags_are_struck(database):
    many = "INSERT INTO plans (id, owner, kind, mood) SELECT i, 1, i::text, 'sad' FROM generate_series(1, 150) AS i"
    assert {f"{PLANS}.{by}=*" for by in ("owner", "owner,kind", "owner,kind,mood")} <= set(database.struck(many))


# For some columns

IDS, BOTH, TITLE = "public.cards(id)", "public.cards(for body,title)", "public.cards(for title)"


def test_what_a_line_is_for_is_struck_by_it_alone(database):
    """By the value, and by the whole of what it is for, where there are too many of these."""
    def changed(tag, *ids):
        return [tag, *(f"{tag}.id={each}" for each in ids)]

    assert database.struck("INSERT INTO cards VALUES (1, 7, 't', 'b')") == sorted([IDS, f"{CARDS}.owner=7"])
    assert database.struck("UPDATE cards SET title = 'u'") == sorted(changed(BOTH, 1) + changed(TITLE, 1))
    assert database.struck("UPDATE cards SET body = 'c'") == changed(BOTH, 1)
    assert database.struck("UPDATE cards SET body = body, title = title") == []
    assert database.struck("UPDATE cards SET owner = 8") == sorted([f"{CARDS}.owner=7", f"{CARDS}.owner=8"])
    assert database.struck("UPDATE cards SET id = 2, title = 'v'") == sorted(
        [IDS, f"{CARDS}.owner=8", *changed(BOTH, 1, 2), *changed(TITLE, 1, 2)])
    assert database.struck("DELETE FROM cards") == sorted([IDS, f"{CARDS}.owner=8"])


def test_what_is_read_whole_is_struck_as_long_as_any_key_is(database):
    change = "UPDATE papers SET text = text || 'x' WHERE id = 1"
    database.sql("INSERT INTO papers SELECT i, 'a', 0 FROM generate_series(1, 500) AS i")
    expected = sorted([PAPERS, *papers(1)])
    assert database.struck("BEGIN", change, change, "COMMIT") == expected
    assert database.struck("BEGIN", "SAVEPOINT a", change, "ROLLBACK TO a", "COMMIT") == []
    assert database.struck("BEGIN", "SAVEPOINT a", change, change, "ROLLBACK TO a", change, "COMMIT") == expected
    assert database.struck("BEGIN", change, "SAVEPOINT a", "UPDATE papers SET text = text || 'x' WHERE id = 2",
                           "ROLLBACK TO a", "COMMIT") == expected
    assert database.struck("BEGIN", change, "RESET ALL", change, "COMMIT") == expected
    bulk = "UPDATE papers SET text = text || 'x'"
    assert database.struck("BEGIN", "SAVEPOINT a", bulk, "ROLLBACK TO a", change, "COMMIT") == expected
    left = database.left("BEGIN", bulk, bulk, change, "COMMIT")
    assert {PAPERS, *papers("*")} <= set(left)
    assert left.count(PAPERS) <= 102


def test_what_a_statement_strikes_by_one_trigger_is_one_row(database):
    database.struck("INSERT INTO plans (id, owner, kind, mood) VALUES (1, 2, 'a', 'sad')")
    rows = database.sql("SELECT tag FROM larder.outbox", user="postgres")
    assert [sorted(row.split("\n")) for row, in rows] == [plans((2, "a", "sad"))]


# Transactions

def test_a_transaction_strikes_each_tag_once(database):
    assert database.left("BEGIN", *["UPDATE users SET age = age + 1"] * 3, "COMMIT") == [AGES]
    assert database.left(*["UPDATE users SET age = age + 1"] * 3) == [AGES] * 3
    assert database.left("INSERT INTO users SELECT i, 'n' FROM generate_series(100, 5000) AS i") == [AGES, NAMES]


def test_a_rolled_back_transaction_strikes_nothing(database):
    assert database.left("BEGIN", "UPDATE users SET age = 5", "UPDATE posts SET title = 'x'", "ROLLBACK") == []


def test_a_savepoint_rolled_back_is_forgotten_and_a_released_one_counts(database):
    change, narrowed = "UPDATE users SET age = age + 1", "UPDATE posts SET title = title || 'x'"
    assert database.left("BEGIN", "SAVEPOINT a", change, narrowed, "ROLLBACK TO a", "COMMIT") == []
    assert database.struck("BEGIN", "SAVEPOINT a", change, narrowed, "ROLLBACK TO a", change, narrowed,
                           "COMMIT") == sorted([AGES, *of_user(1)])
    assert database.left("BEGIN", "SAVEPOINT a", change, "RELEASE a", change, "COMMIT") == [AGES]
    assert database.left("BEGIN", change, "SAVEPOINT a", change, "ROLLBACK TO a", change, "COMMIT") == [AGES]
    assert database.left("BEGIN", "SAVEPOINT a", "SAVEPOINT b", change, "RELEASE b", "ROLLBACK TO a", change,
                         "COMMIT") == [AGES]
    bulk = "INSERT INTO lines SELECT i::text, i FROM generate_series(1, 500) AS i"
    assert database.left("BEGIN", "SAVEPOINT a", bulk, "ROLLBACK TO a", "INSERT INTO lines VALUES ('7')", "COMMIT") == [
        f"{LINES}.kind=7"]


def test_an_exception_caught_in_a_block_is_a_savepoint(database):
    block = "DO $$ BEGIN BEGIN UPDATE users SET age = age + 1; {} END; {} END $$"
    caught = "RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL;"
    assert database.left(block.format(caught, "")) == []
    assert database.left(block.format(caught, "UPDATE users SET age = age + 1;")) == [AGES]
    assert database.left(block.format("", "UPDATE users SET age = age + 1;")) == [AGES]


def test_functions_with_settings_of_their_own(database):
    database.sql("CREATE FUNCTION grow() RETURNS void LANGUAGE sql SET work_mem = '1MB' SET application_name = 'x' "
                 "AS 'UPDATE users SET age = age + 1'")
    try:
        assert database.struck("SELECT grow()") == [AGES]
        assert database.struck("BEGIN", "SELECT grow()", "UPDATE users SET age = age + 1", "COMMIT") == [AGES]
        assert database.struck("BEGIN", "SAVEPOINT a", "SELECT grow()", "ROLLBACK TO a", "SELECT grow()",
                               "COMMIT") == [AGES]
    finally:
        database.sql("DROP FUNCTION grow")


def test_settings_thrown_away_cost_a_second_row_never_the_only_one(database):
    change = "UPDATE users SET age = age + 1"
    assert database.struck("BEGIN", change, "RESET ALL", change, "COMMIT") == [AGES]
    assert database.struck("BEGIN", "SAVEPOINT a", change, "RESET ALL", "ROLLBACK TO a", change, "COMMIT") == [AGES]


def test_an_update_within_an_update(database):
    database.sql("CREATE FUNCTION inner_update(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
                 "BEGIN UPDATE users SET name = name || 'x' WHERE id = 3; UPDATE users SET age = age + 1 WHERE id = 3; "
                 "RAISE 'no'; EXCEPTION WHEN raise_exception THEN RETURN n + 1; END; END $$")
    try:
        assert database.left("UPDATE users SET age = inner_update(age) WHERE id = 1") == [AGES]
    finally:
        database.sql("DROP FUNCTION inner_update")


def test_rows_changed_by_a_cursor_and_by_a_statement_with_several(database):
    assert database.struck("WITH gone AS (DELETE FROM posts RETURNING user_id) "
                           "UPDATE users SET age = 0 FROM gone WHERE users.id = gone.user_id") == sorted(
        [AGES, NUMBER, *of_user(1)])
    assert database.struck("DO $$ DECLARE r record; BEGIN "
                           "FOR r IN UPDATE users SET age = age + 1 RETURNING id LOOP END LOOP; END $$") == [AGES]


# Partitions and inheritance

def test_partitions_directly_and_through_the_parent(database):
    assert database.struck("INSERT INTO parted VALUES (1, 5, 'a')") == [PARTED]
    assert database.struck("UPDATE parted SET what = 'b'") == [PARTED]
    assert database.struck("UPDATE parted_a SET what = 'c'") == [PARTED]
    assert database.struck("UPDATE parted_a SET id = 2") == []
    assert database.struck("INSERT INTO parted_b VALUES (1, 15, 'a')") == [PARTED]
    assert PARTED in database.struck("UPDATE parted SET day = 16 WHERE day = 5")
    assert database.struck("TRUNCATE parted_b") == [PARTED]
    assert database.struck("TRUNCATE parted") == [PARTED]


def test_a_partition_attached_later(database):
    database.sql("CREATE TABLE parted_c (note text, what text, day int, id int)")
    database.sql("ALTER TABLE parted_c DROP COLUMN note")
    try:
        assert database.struck("INSERT INTO parted_c VALUES ('a', 25, 1)") == []
        database.sql("ALTER TABLE parted ATTACH PARTITION parted_c FOR VALUES FROM (20) TO (30)")
        assert database.struck("UPDATE parted_c SET id = 2") == []
        assert database.struck("UPDATE parted_c SET what = 'b'") == [PARTED]
        assert database.struck("INSERT INTO parted VALUES (1, 26, 'a')") == [PARTED]
    finally:
        database.sql("DROP TABLE parted_c")


def test_children_by_inheritance_have_triggers_of_their_own(database):
    assert database.struck("INSERT INTO capitals VALUES ('Bern', 1, 'CH')") == [CAPITALS]
    assert database.struck("UPDATE cities SET name = 'Berne'") == [CAPITALS]
    assert database.struck("UPDATE capitals SET country = 'ch'") == []
    assert database.struck("INSERT INTO cities VALUES ('Thun')") == [CITIES]


# Who writes, and how

def test_writers_need_no_rights_on_larder(database):
    assert database.struck("UPDATE users SET age = 8", "INSERT INTO lines VALUES ('a')", user="writer") == sorted(
        [AGES, f"{LINES}.kind=a"])
    for forbidden in ("SELECT * FROM larder.outbox", "INSERT INTO larder.outbox (tag) VALUES ('x')",
                      "SELECT * FROM larder.changed_definitions()", "DELETE FROM larder.watch",
                      "SELECT nextval('larder.asleep')"):
        with pytest.raises(Exception, match="permission denied"):
            database.sql(forbidden, user="writer")
    assert database.sql("SELECT count(*) > 5 FROM larder.watch", user="writer") == [(True,)]


def test_a_writer_cant_lend_the_triggers_functions_of_his_own(database):
    database.sql("CREATE SCHEMA lure AUTHORIZATION writer", user="postgres")
    try:
        database.sql("""
            SET search_path = lure, public;
            CREATE FUNCTION lured(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'lured'; END $$;
            CREATE FUNCTION lured(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'lured'; END $$;
            CREATE FUNCTION lured(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'lured'; END $$;
            CREATE OPERATOR lure.= (FUNCTION = lured, LEFTARG = text, RIGHTARG = text);
            CREATE OPERATOR lure.> (FUNCTION = lured, LEFTARG = int, RIGHTARG = int);
            CREATE FUNCTION lure.md5(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'lured'; END $$;
            CREATE FUNCTION lure.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE 'lured'; END $$;
            CREATE DOMAIN lure.text AS pg_catalog.text CHECK (VALUE = 'x');
            """, user="writer")
        assert database.struck("SET search_path = lure, pg_catalog", "INSERT INTO public.lines VALUES ('a', 1)",
                               "UPDATE public.lines SET n = 2", "TRUNCATE public.lines", user="writer") == sorted(
            [f"{LINES}.kind=*", f"{LINES}.kind=a"])
    finally:
        database.sql("DROP SCHEMA lure CASCADE", user="postgres")


def test_a_notification_is_sent_while_larderd_sleeps(database):
    listener = database.connect()
    listener.cursor().execute("LISTEN larder")
    database.struck("UPDATE users SET age = 21", "INSERT INTO lines VALUES ('b')")
    listener.poll()
    assert listener.notifies == []
    database.sql("SELECT setval('larder.asleep', 2)")
    for change in ("UPDATE users SET age = 22", "INSERT INTO lines VALUES ('c')"):
        database.sql(change)
        listener.cursor().execute("SELECT 1")
        listener.poll()
        assert [each.channel for each in listener.notifies] == ["larder"]
        listener.notifies.clear()
    database.sql("SELECT setval('larder.asleep', 1)")
    listener.close()


def test_prepared_transactions(stack):
    """They may be prepared though larderd sleeps, and strike at their commit."""
    server = stack.postgres(settings={"max_prepared_transactions": "5"})
    made = Installed(server, f"{server.folder}/routes", SCHEMA, ROUTES)
    made.install()
    made.sql("INSERT INTO users VALUES (1)")
    made.sql("SELECT setval('larder.asleep', 2)")
    assert made.left("BEGIN", "UPDATE users SET age = 3", "PREPARE TRANSACTION 'a'") == []
    made.sql("COMMIT PREPARED 'a'")
    assert made.rows() == [AGES]


def test_replicated_changes_fire_nothing_unless_asked_for(database):
    replica = "SET session_replication_role = replica"
    changes = ("UPDATE users SET age = age + 1", "UPDATE parted_a SET what = what || 'x'", "TRUNCATE lines",
               "INSERT INTO lines VALUES ('a')")
    database.sql("INSERT INTO parted VALUES (1, 5, 'a')")
    assert database.struck(replica, *changes, user="postgres") == []
    output = database.install("--replica")
    assert "removed" in output and "added" in output
    everything = sorted([AGES, PARTED, f"{LINES}.kind=*", f"{LINES}.kind=a"])
    assert database.struck(replica, *changes, user="postgres") == everything
    assert database.struck(*changes) == everything
    database.install()
    assert database.struck(replica, *changes, user="postgres") == []


def test_narrowed_partitions(database):
    """Values struck in one transaction, in whichever partition their rows are."""
    tag = "public.shards(id,what).id"
    assert database.struck("INSERT INTO shards VALUES (1, 'a'), (2, 'b'), (11, 'c'), (1, 'd')") == [
        f"{tag}=1", f"{tag}=11", f"{tag}=2"]
    assert database.struck("UPDATE shards SET id = 12 WHERE id = 2") == [f"{tag}=12", f"{tag}=2"]
    assert database.struck("UPDATE shards_b SET what = 'x' WHERE id = 11") == [f"{tag}=11"]
    assert database.struck("DELETE FROM shards") == [f"{tag}=1", f"{tag}=11", f"{tag}=12"]
    assert database.struck("TRUNCATE shards_b") == [f"{tag}=*"]
