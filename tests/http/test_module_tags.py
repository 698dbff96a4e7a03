"""The module's triggers strike what those in PL/pgSQL do: the same statements in two databases, which differ in that alone."""

import random

import pytest

from support.install_tags import LINES, PAPERS, PLANS, VIEWS
from support.module_twins import twins


@pytest.fixture(scope="module")
def both(lazy_module_postgres, work_folder):
    with twins(lazy_module_postgres(), f"{work_folder}/twins") as made:
        yield made


@pytest.fixture
def pair(both):
    both.fill()
    return both


UUIDS = "6ecd8c99-4036-403d-bf84-cf8400f67836", "3f333df6-90a4-4fda-8dd3-9485d27cee36"
KIND = "INSERT INTO kinds (id, {}) VALUES (9, {})"
LONG = "x" * 65
SAVED = ["BEGIN", "SAVEPOINT a", "UPDATE users SET age = 50", "UPDATE papers SET text = 'x'", "ROLLBACK TO a"]

CASES = {
    "rows": ["INSERT INTO users VALUES (9, 'i')", "INSERT INTO lines VALUES ('a', 1)", "DELETE FROM users WHERE id = 9"],
    "no row": ["DELETE FROM users WHERE false", "UPDATE users SET name = 'x' WHERE false"],
    "columns read": ["UPDATE users SET name = 'other' WHERE id = 1"],
    "other columns read": ["UPDATE users SET age = 70"],
    "columns not read": [
        "UPDATE users SET note = 'unread', mood = 'happy'", "UPDATE kinds SET unread = 1",
        "UPDATE posts SET hidden = 'unread'"],
    "nothing changed": [
        "UPDATE users SET name = name, age = age", "UPDATE kinds SET price = price, flag = flag, name = name",
        "UPDATE papers SET id = id"],
    "to NULL": ["UPDATE users SET age = NULL"],
    "from NULL": ["UPDATE kinds SET price = 1, name = '', flag = false WHERE id = 2"],
    "copy": ["COPY users (id, name) FROM PROGRAM 'printf \"7\\tseven\\n8\\teight\\n\"'"],
    "truncate": ["TRUNCATE posts"],
    "truncate that cascades": ["TRUNCATE users CASCADE"],
    "truncate of a partition": ["TRUNCATE parted_b, shards_a"],
    "truncate and rows": [
        "BEGIN", "INSERT INTO lines VALUES ('a', 1)", "TRUNCATE lines", "INSERT INTO lines VALUES ('b', 1)", "COMMIT"],
    "cascades": ["DELETE FROM users WHERE id = 1"],
    "cascading update": ["UPDATE users SET id = 10 WHERE id = 1"],
    "no row to cascade to": ["DELETE FROM users WHERE id = 2"],
    "conflict": ["INSERT INTO users (id, age) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET age = excluded.age"],
    "conflict that changes nothing": [
        "INSERT INTO users (id, age) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET age = excluded.age"],
    "conflict passed over": ["INSERT INTO users (id) VALUES (1) ON CONFLICT DO NOTHING"],
    "with": [
        "WITH gone AS (DELETE FROM posts RETURNING user_id) UPDATE users SET age = 0 FROM gone WHERE users.id = gone.user_id"],
    "rolled back": ["BEGIN", "UPDATE users SET age = 5", "INSERT INTO papers VALUES (1, 'a', 1)", "ROLLBACK"],
    "savepoint rolled back": [*SAVED, "COMMIT"],
    "savepoint rolled back, and more": [*SAVED, "UPDATE users SET name = 'x'", "COMMIT"],
    "savepoint rolled back, and again": [*SAVED, "UPDATE users SET age = 51", "COMMIT"],
    "savepoint released": ["BEGIN", "SAVEPOINT a", "UPDATE users SET age = 50", "RELEASE a", "COMMIT"],
    "savepoints within each other": [
        "BEGIN", "SAVEPOINT a", "UPDATE users SET age = 50", "SAVEPOINT b", "INSERT INTO lines VALUES ('b', 1)", "RELEASE b",
        "INSERT INTO lines VALUES ('a', 1)", "ROLLBACK TO a", "INSERT INTO lines VALUES ('c', 1)", "COMMIT"],
    "struck before a savepoint too": [
        "BEGIN", "UPDATE users SET age = 50", "SAVEPOINT a", "UPDATE users SET age = 51", "ROLLBACK TO a", "COMMIT"],
    "exceptions": [
        "DO $$ BEGIN FOR i IN 1 .. 6 LOOP BEGIN INSERT INTO lines VALUES (i::text, i); IF i % 2 = 0 THEN RAISE 'no'; END IF; "
        "EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$"],
    "a loop": ["DO $$ DECLARE r record; BEGIN FOR r IN UPDATE users SET age = age + 1 RETURNING id LOOP END LOOP; END $$"],
    "deferred to the commit": ["BEGIN", "INSERT INTO late VALUES (77)", "COMMIT"],
    "partitions": [
        "INSERT INTO parted VALUES (1, 5, 'a')", "INSERT INTO shards VALUES (1, 'a'), (11, 'b'), (21, 'c')",
        "UPDATE shards SET what = 'x' WHERE id = 21", "DELETE FROM shards_b"],
    "a partition itself": [
        "INSERT INTO shards_c VALUES ('a', 22)", "UPDATE shards_c SET what = 'b'", "UPDATE parted_a SET id = 2"],
    "partitions, not read": ["INSERT INTO parted VALUES (1, 5, 'a')", "UPDATE parted SET id = 2"],
    "columns and partitions that come and go": [
        "BEGIN", "ALTER TABLE lines ADD more int", "INSERT INTO lines (kind, n) VALUES ('a', 1)", "ALTER TABLE lines DROP more",
        "UPDATE lines SET n = 2", "CREATE TABLE shards_d PARTITION OF shards FOR VALUES FROM (30) TO (40)",
        "INSERT INTO shards VALUES (31, 'a')", "DROP TABLE shards_d", "COMMIT", "INSERT INTO lines (kind, n) VALUES ('b', 1)",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'glum'", "INSERT INTO plans VALUES (1, 5, 'a', 'glum', 1)",
        "ALTER TYPE mood RENAME VALUE 'glum' TO 'sad'", "UPDATE plans SET step = 2"],
    "from partition to partition": [
        "INSERT INTO shards VALUES (1, 'a'), (11, 'b')", "UPDATE shards SET id = id + 10",
        "UPDATE shards SET id = id - 20 WHERE id = 21"],
    "from partition to partition, not read": ["INSERT INTO parted VALUES (1, 5, 'a')", "UPDATE parted SET day = 15"],
    "inheritance": [
        "INSERT INTO capitals VALUES ('Bern', 1, 'CH')", "UPDATE cities SET name = 'Berne'",
        "UPDATE capitals SET country = 'ch'"],
    "quoted names": [
        "INSERT INTO \"Odd Table\" VALUES (1, 'a')", "UPDATE \"Odd Table\" SET \"Id\" = 2",
        "UPDATE \"Odd Table\" SET \"it's\" = 'b'"],
    "generated": ["INSERT INTO made VALUES (1)", "UPDATE made SET a = 2", "UPDATE made SET c = 2"],
    "changed by a trigger": ["UPDATE stamped SET what = what WHERE id = 1"],
    "values": [
        "INSERT INTO lines VALUES ('a', 1), ('b', 1), (NULL, 1), ('', 1), ('null', 1), ('*', 1), ('=*', 1), (' is null', 1)"],
    "a value that moves": ["UPDATE posts SET user_id = 3 WHERE id = 1", "UPDATE posts SET user_id = NULL WHERE id = 2"],
    "key and whole": [
        "INSERT INTO papers VALUES (1, 'a'), (2, 'b')", "UPDATE papers SET text = 'c' WHERE id = 1",
        "UPDATE papers SET views = 7 WHERE id = 1", "UPDATE papers SET id = 3 WHERE id = 1", "DELETE FROM papers"],
    "for some columns": ["INSERT INTO cards VALUES (1, 7, 't', 'b')"],
    "for some columns, changed": [
        "INSERT INTO cards VALUES (1, 7, 't', 'b')", "UPDATE cards SET title = 'u'", "UPDATE cards SET body = 'c'",
        "UPDATE cards SET id = 2, title = 'v'", "UPDATE cards SET owner = 8"],
    "three columns": [
        "INSERT INTO plans VALUES (1, 5, 'a', 'sad', 1), (2, NULL, 'a', 'sad', 1), (3, 5, NULL, 'sad', 1), (4, 5, 'a', NULL, 1)",
        "UPDATE plans SET mood = 'happy' WHERE id = 1", "UPDATE plans SET owner = 6, kind = 'b,c' WHERE id = 1",
        "UPDATE plans SET kind = NULL WHERE id = 1", "UPDATE plans SET title = 'unread'", "DELETE FROM plans"],
    "a hundred values": ["INSERT INTO lines SELECT i::text, i FROM generate_series(1, 100) AS i"],
    "a hundred and one values": ["INSERT INTO lines SELECT i::text, i FROM generate_series(1, 101) AS i"],
    "many values": ["INSERT INTO lines SELECT i::text, i FROM generate_series(1, 5000) AS i"],
    "few values of many rows": [
        "INSERT INTO lines SELECT (i % 7)::text, i FROM generate_series(1, 5000) AS i", "UPDATE lines SET n = n + 1"],
    "many values, each a transaction": [
        "DO $$ BEGIN FOR i IN 1 .. 120 LOOP INSERT INTO lines VALUES (i::text); COMMIT; END LOOP; END $$"],
    "control characters": ["INSERT INTO lines VALUES (E'two\\nlines'), (E'\\t'), (E'\\x7f'), (E'\\x01'), ('plain')"],
    "long texts": [
        f"INSERT INTO lines VALUES ('{LONG}'), ('{LONG[1:]}'), ('{LONG * 2000}'), (repeat('ü', 33)), (repeat('ü', 32))"],
    "beyond ascii": ["INSERT INTO lines VALUES ('ümlaut ☃'), ('日本語'), (E'\\u0085\\u009f'), ('ä'), (E'a\\u0308')"],
    "backslashes and quotes": ["INSERT INTO lines VALUES ('it''s \"quoted\"'), (E'back\\\\slash'), ('%s'), (' x ')"],
    "bool": [KIND.format("flag", "false"), "UPDATE kinds SET flag = NOT flag"],
    "uuid": [KIND.format("code", f"'{UUIDS[0].upper()}'"), f"UPDATE kinds SET code = '{UUIDS[1]}'"],
    "enum": [KIND.format("mood", "'sad'"), "UPDATE kinds SET mood = 'happy' WHERE id = 9"],
    "smallint and bigint": [KIND.format("small, big", "-32768, -9223372036854775808"), "UPDATE kinds SET small = 1, big = 0"],
    "varchar": [KIND.format("name", "'a  '"), "UPDATE kinds SET name = 'a ' WHERE id = 9"],
    "inet": [KIND.format("address", "'10.0.0.1'"), "UPDATE kinds SET address = '10.0.0.1/24' WHERE id = 9"],
    "inet as it was": ["UPDATE kinds SET address = address"],
    "char(n)": [KIND.format("fixed", "'a'"), "UPDATE kinds SET fixed = 'b' WHERE id = 9"],
    "char(n) as it was": [KIND.format("fixed", "'a'"), "UPDATE kinds SET fixed = 'a  ' WHERE id = 9"],
    "numeric": ["UPDATE kinds SET price = 1.00 WHERE id = 1"],
    "numeric as it was": ["UPDATE kinds SET price = 1.0 WHERE id = 1"],
    "domain": [KIND.format("label", "'a'"), "UPDATE kinds SET label = 'b' WHERE id = 9"],
    "domain as it was": ["UPDATE kinds SET label = label"],
    "jsonb": [
        "UPDATE kinds SET body = '{\"a\": 1}'", "UPDATE kinds SET body = '{\"a\":   1}'",
        "UPDATE kinds SET body = '{\"a\": 1.0}'"],
    "json, and what has no =": [
        "INSERT INTO odd VALUES (1, 1.0, '{\"a\":1}', '(1,2)', 0)", "UPDATE odd SET body = '{\"a\": 1}'",
        "UPDATE odd SET place = '(1,3)'", "UPDATE odd SET score = '-0'"],
    "json as it was": ["UPDATE odd SET body = body, place = place, score = score, unread = '1'"],
    "times, bytes, arrays, rows": [
        "UPDATE kinds SET seen = now()", "UPDATE kinds SET data = '\\x00'", "UPDATE kinds SET list = '{1,NULL}'",
        "UPDATE kinds SET pair = ROW(1, 'a', 2, 'b', 'sad')::users"],
    "values stored apart": [
        "UPDATE kinds SET body = (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 2000) AS i) WHERE id = 1",
        "UPDATE kinds SET unread = 3", "UPDATE kinds SET body = body"],
    "all settings thrown away": [
        "BEGIN", "UPDATE users SET age = 5", "RESET ALL", "UPDATE users SET name = 'x'", "DISCARD PLANS", "COMMIT"],
    "another search_path": [
        "SET search_path = pg_temp", "UPDATE public.users SET name = 'x'", "INSERT INTO public.lines VALUES ('a', 1)"],
    "settings of values": [
        "SET datestyle = German", "SET bytea_output = escape", "SET extra_float_digits = 0",
        KIND.format("data, seen, flag, big", "'\\x01', now(), true, 5")],
    "a function of the writer's": [
        "SELECT set_config('larder.t', 'x', false)", "SET larder.other = 1", "UPDATE users SET age = 5"],
}


# Of these nothing is struck, by neither.
SILENT = {"no row", "columns not read", "nothing changed", "conflict that changes nothing", "conflict passed over", "rolled back",
          "savepoint rolled back", "inet as it was", "numeric as it was", "domain as it was", "json as it was"}


@pytest.mark.parametrize("name", CASES)
def test_the_same_tags(pair, name):
    statements = CASES[name]
    struck = pair.struck(*statements, user="postgres" if statements[0].startswith("COPY") else "larder")
    for ended, module, plain in struck:
        assert module == plain, ended
    assert (name in SILENT) == (not any(plain for _, _, plain in struck))


def test_merge(pair):
    if pair.module.server.version < 15:
        pytest.skip("PostgreSQL has it from 15 on")
    merge = ("MERGE INTO users AS u USING (VALUES (1), (77)) AS v (id) ON u.id = v.id WHEN MATCHED THEN UPDATE SET age = {} "
             "WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)")
    for ended, module, plain in pair.struck(merge.format(99), merge.format(99), merge.format(98), merge.format("u.age - 1")):
        assert module == plain and plain, ended


def random_transactions(source, count):
    """Of statements that change little, so that what is struck before, and given back, matters."""
    value = lambda: source.choice(["NULL", "'a'", "'b'", "'c,d'"])  # noqa: E731
    number = lambda: source.choice(["NULL", "1", "2", "3"])  # noqa: E731
    statements = [
        lambda: f"INSERT INTO plans VALUES ({number()}, {number()}, {value()}, 'sad', {number()})",
        lambda: f"UPDATE plans SET kind = {value()} WHERE id = {number()}",
        lambda: f"UPDATE plans SET owner = {number()}, step = {number()} WHERE id = {number()}",
        lambda: f"UPDATE plans SET title = {value()}, step = step",
        lambda: f"DELETE FROM plans WHERE id = {number()} AND step = {number()}",
        lambda: f"INSERT INTO cards VALUES ({number()}, {number()}, {value()}, {value()})",
        lambda: f"UPDATE cards SET title = {value()} WHERE id = {number()}",
        lambda: f"UPDATE cards SET id = {number()}, body = {value()} WHERE owner = {number()}",
        lambda: f"UPDATE cards SET owner = {number()} WHERE id = {number()}",
        lambda: f"INSERT INTO papers VALUES ({number()}, {value()}, {number()})",
        lambda: f"UPDATE papers SET text = {value()}, views = {number()} WHERE id = {number()}",
        lambda: f"UPDATE papers SET id = {number()} WHERE views = {number()}",
        lambda: f"INSERT INTO shards VALUES ({source.randrange(30)}, {value()})",
        lambda: f"UPDATE shards SET id = {source.randrange(30)} WHERE id < {source.randrange(30)}",
        lambda: f"INSERT INTO kinds (id, flag, name) VALUES ({source.randrange(9)}, true, {value()}) "
                f"ON CONFLICT (id) DO UPDATE SET flag = NOT kinds.flag, name = {value()}",
    ]
    for _ in range(count):
        yield "BEGIN"
        depth = 0
        for _ in range(source.randrange(1, 8)):
            yield source.choice(statements)()
            turn = source.randrange(6)
            if turn == 0:
                depth += 1
                yield f"SAVEPOINT s{depth}"
            elif turn < 3 and depth:
                yield f"{source.choice(['ROLLBACK TO', 'RELEASE'])} s{depth}"
                depth -= 1
        yield source.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])


@pytest.mark.parametrize("seed", range(3))
def test_the_same_tags_of_any_transactions(pair, seed):
    statements = list(random_transactions(random.Random(seed), 60))
    struck = pair.struck(*statements)
    assert sum(bool(plain) for _, _, plain in struck) > 30
    for number, (_, module, plain) in enumerate(struck):
        assert module == plain, f"transaction {number} of {statements}"


# Where they differ, and how

def texts(tag, *values):
    return {f"{tag}={each}" for each in values}


def all_by(tag):
    return {f"{PLANS}.{by}=*" for by in tag}


def test_watches_are_counted_each_by_itself(pair):
    """In PL/pgSQL those that are narrowed by fewer columns become bulk tags with those by more."""
    (_, module, plain), = pair.struck("INSERT INTO plans (id, owner, kind) SELECT i, 1, i FROM generate_series(1, 150) AS i")
    assert plain - module == {f"{PLANS}.owner=*"}
    assert not module - plain
    assert {f"{PLANS}.owner=1", *all_by(["owner,kind", "owner,kind,mood"])} <= module


def test_values_that_come_and_that_change_are_counted_together(pair):
    """In PL/pgSQL each event has its hundred."""
    pair.struck("INSERT INTO papers SELECT i, 'a', 0 FROM generate_series(101, 160) AS i")
    (_, module, plain), = pair.struck("BEGIN", "INSERT INTO papers SELECT i, 'a', 0 FROM generate_series(1, 60) AS i",
                                      "UPDATE papers SET text = 'b' WHERE id > 100", "COMMIT")
    assert module - plain == {f"{PAPERS}.id=*"}
    assert plain - module == texts(f"{PAPERS}.id", *range(141, 161))


def test_the_first_value_is_remembered(pair):
    """In PL/pgSQL a hundred values of which the first comes again count as one more."""
    values = ", ".join(f"('{i}')" for i in [*range(100), 0])
    (_, module, plain), = pair.struck(f"INSERT INTO lines VALUES {values}")
    assert plain - module == texts(f"{LINES}.kind", "*")
    assert module == texts(f"{LINES}.kind", *range(100))


def test_values_are_counted_that_a_savepoint_took_back(pair):
    many = "INSERT INTO lines SELECT i::text, i FROM generate_series(1, 500) AS i"
    (_, module, plain), = pair.struck("BEGIN", "SAVEPOINT a", many, "ROLLBACK TO a", "INSERT INTO lines VALUES ('x')", "COMMIT")
    assert (module, plain) == (texts(f"{LINES}.kind", "*"), texts(f"{LINES}.kind", "x"))


def test_each_partition_has_a_hundred_values(pair):
    """In PL/pgSQL the table has them."""
    for each in (pair.module, pair.plain):
        each.sql("ALTER TABLE shards_a RENAME TO shards_small;"
                 "CREATE TABLE shards_big PARTITION OF shards FOR VALUES FROM (100) TO (200);"
                 "CREATE TABLE shards_more PARTITION OF shards FOR VALUES FROM (200) TO (300)")
    try:
        (_, module, plain), = pair.struck("INSERT INTO shards SELECT i, 'a' FROM generate_series(120, 260) AS i")
        tag = "public.shards(id,what).id"
        assert plain == texts(tag, *range(120, 220), "*")
        assert module == texts(tag, *range(120, 261))
    finally:
        for each in (pair.module, pair.plain):
            each.sql("DROP TABLE shards_big, shards_more; ALTER TABLE shards_small RENAME TO shards_a")


def test_a_column_that_narrows_and_was_renamed(pair):
    """In PL/pgSQL its values are struck as before, by the module all of them."""
    for each in (pair.module, pair.plain):
        each.sql("ALTER TABLE papers RENAME id TO number")
    try:
        (_, module, plain), = pair.struck("INSERT INTO papers VALUES (2, 'b', 0)")
        assert plain - module == texts(f"{PAPERS}.id", 2) | texts(f"{VIEWS}.id", 2)
        assert module - plain == texts(f"{PAPERS}.id", "*") | texts(f"{VIEWS}.id", "*")
    finally:
        for each in (pair.module, pair.plain):
            each.sql("ALTER TABLE papers RENAME number TO id")


# Besides

def test_they_leave_it_in_the_ring_and_truncate_in_the_outbox(pair):
    pair.module.struck()
    changes = "UPDATE users SET age = 5", "INSERT INTO lines VALUES ('a')", "TRUNCATE odd"
    for statement in changes:
        pair.module.sql(statement)
    assert pair.module.sql("SELECT tag FROM larder.outbox", user="postgres") == [("public.odd(body,place,price,score)",)]
    assert pair.module.ring() == [f"{LINES}.kind=a", "public.users(age)"]


def test_of_a_responders_transaction_all_goes_through_the_outbox_and_its_note(pair):
    notes = []
    pair.struck()
    for each in (pair.module, pair.plain):
        with each.connect() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN; SELECT set_config('larder.struck', '0', true); INSERT INTO papers VALUES (1, 'a', 1);"
                           "UPDATE papers SET views = 2; SELECT current_setting('larder.struck')")
            notes.append(set(cursor.fetchone()[0].split("\n")[1:]))
            cursor.execute("COMMIT")
        if each is pair.module:
            assert each.ring() == []
    assert notes[0] == notes[1] == {PAPERS, f"{PAPERS}.id=1", f"{VIEWS}.id=1"}


OTHER_TYPES = {
    "inet": "'10.0.0.1'", "char(6)": "'a'", "numeric": "1.50", "short": "'x  '", "timestamptz": "'2020-01-01 00:00:00+02'",
    "\"char\"": "'x'", "name": "'n'", "bytea": "'\\x0001'", "int[]": "'{1,NULL}'",
    "jsonb": "'{\"b\": 1, \"a\": 2}'", "users": "'(1,a,2,b,sad)'",
    "xid8": "'7'", "money": "'1.50'", "bit(3)": "'101'", "interval": "'1 day'",
    "macaddr": "'08:00:2b:01:02:03'", "tsvector": "'a b'",
    "int4range": "'[1,5)'", "float8": "'-0'", "text": "repeat('y', 65)", "mood[]": "'{sad}'", "date": "'2020-01-01'",
}


@pytest.mark.parametrize("type_name", OTHER_TYPES)
def test_the_text_of_a_value_is_that_of_the_cast(pair, type_name):
    """Of whatever type: routes are narrowed by fewer."""
    value = OTHER_TYPES[type_name]
    pair.module.sql(f"CREATE TABLE other (v {type_name}); CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW "
                    "EXECUTE FUNCTION larder_ring.strike('{rows,x,0,1,v}')")
    try:
        tags = pair.module.struck(f"INSERT INTO other VALUES ({value})")
        (text, digest), = pair.module.sql("SELECT v::text, md5(v::text) FROM other")
        assert tags == [f"x={text if len(text) < 65 else '#' + digest}"]
    finally:
        pair.module.sql("DROP TABLE other")
