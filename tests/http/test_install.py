"""Which tags each kind of write leaves in the outbox once `larder install` has been run."""

import io

import pytest

from support.install import Installed
from support.install_tags import (AGES, CAPITALS, CITIES, LINES, MADE, NAMES, NUMBER, ODD, PARTED, POSTS, QUOTED, ROUTES,
                                  SCHEMA, fill, made, of_user)


@pytest.fixture(scope="module")
def installed(lazy_postgres, work_folder):
    with made(lazy_postgres(), f"{work_folder}/install-routes") as database:
        yield database


@pytest.fixture
def database(installed):
    return fill(installed)


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
