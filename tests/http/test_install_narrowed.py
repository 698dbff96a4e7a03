"""Which narrowed tags, of some values of columns alone, a write leaves in the outbox."""

import pytest

from support.install_tags import CARDS, LINES, NUMBER, PAPERS, PLANS, POSTS, VIEWS, fill, made, of_user


@pytest.fixture(scope="module")
def installed(lazy_postgres, work_folder):
    with made(lazy_postgres(), f"{work_folder}/narrowed-routes") as database:
        yield database


@pytest.fixture
def database(installed):
    return fill(installed)


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


def test_narrowed_partitions(database):
    """Values struck in one transaction, in whichever partition their rows are."""
    tag = "public.shards(id,what).id"
    assert database.struck("INSERT INTO shards VALUES (1, 'a'), (2, 'b'), (11, 'c'), (1, 'd')") == [
        f"{tag}=1", f"{tag}=11", f"{tag}=2"]
    assert database.struck("UPDATE shards SET id = 12 WHERE id = 2") == [f"{tag}=12", f"{tag}=2"]
    assert database.struck("UPDATE shards_b SET what = 'x' WHERE id = 11") == [f"{tag}=11"]
    assert database.struck("DELETE FROM shards") == [f"{tag}=1", f"{tag}=11", f"{tag}=12"]
    assert database.struck("TRUNCATE shards_b") == [f"{tag}=*"]
