"""What `larder install` does to a database, does again, undoes and refuses."""

import re
import subprocess
import threading

import pytest

from support.install import Installed
from support.install_example import DAYS, NAMES, POSTS, ROUTES, TOTALS, example
from support.waiting import wait_until


@pytest.fixture
def database(lazy_postgres, tmp_path):
    with example(lazy_postgres(), f"{tmp_path}/routes") as made:
        yield made


def watches(database):
    return [tag for tag, in database.sql("SELECT tag FROM larder.watch ORDER BY 1")]


def test_a_second_run_changes_nothing_and_locks_nothing(database):
    assert "schema larder: made" in database.install()
    before, objects = database.triggers(), database.objects()
    reader = database.connect()
    reader.autocommit = False
    reader.cursor().execute("SELECT * FROM users, posts, days")
    reader.cursor().execute("LOCK TABLE users, posts, days IN SHARE ROW EXCLUSIVE MODE")
    status, output, _ = database.run()
    reader.close()
    assert status == 0 and "added" not in output and "removed" not in output and "schema larder: kept" in output
    assert database.rows() == []
    assert database.triggers() == before and database.objects() == objects
    assert database.run("--print")[1] == "-- There is nothing to do.\n"


def test_names_of_more_than_63_bytes_are_the_same_in_a_second_run(database):
    database.sql("CREATE TABLE a_table_of_a_rather_long_name (a_column_of_a_rather_long_name int, another_one int)")
    database.write({"long": "SELECT a_column_of_a_rather_long_name, another_one FROM a_table_of_a_rather_long_name"})
    database.install()
    assert max(len(tag) for tag in watches(database)) > 63
    assert database.run("--print")[1] == "-- There is nothing to do.\n"


def test_a_run_after_the_routes_changed_touches_what_they_changed_alone(database):
    database.install()
    before = database.triggers()
    database.write({"posts": ROUTES["posts"], "days": ROUTES["days"], "totals": ROUTES["totals"],
                    "ages": "SELECT age FROM users"})
    output = database.install()
    assert "public.users:  2 watches (1 added, 1 removed)  4 triggers" not in output  # one trigger a kind of event
    assert "public.users:  2 watches (1 added, 1 removed)" in output
    assert "public.posts:  1 watch (1 kept)" in output
    assert watches(database) == sorted([DAYS, POSTS, TOTALS, "public.users(age)"])
    others = [row for row in before if row[0] != "users"]
    assert [row for row in database.triggers() if row[0] != "users"] == others
    assert database.struck("UPDATE users SET name = 'x'", "INSERT INTO users VALUES (1)") == ["public.users(age)"]


def test_only_what_is_kept_somewhere_is_watched(database):
    database.write({"not": "-- kept: nowhere\nSELECT age FROM users",
                    "nginx": "-- kept: by nginx\n-- @nginx ttl=60s\nSELECT name FROM users"})
    database.install()
    assert watches(database) == ["public.users(name)"]


def test_a_lock_held_is_waited_for_with_an_end_and_named(database):
    database.install()
    database.write(ROUTES | {"ages": "SELECT age FROM users"})
    before = database.triggers()
    with database.connect() as writer:
        writer.autocommit = False
        writer.cursor().execute("SET application_name = app")
        writer.cursor().execute("INSERT INTO users\n  VALUES (7)")
        status, _, errors = database.run()
        assert status == 1 and "public.users: " in errors and "nothing was changed" in errors
        holder = (rf"now process {writer.info.backend_pid} \(app, larder\) since [-0-9]+ [:0-9]+\S+:"
                  r" INSERT INTO users VALUES \(7\);")
        assert re.search(holder, errors) and "--wait" in errors, errors
        writer.rollback()
    assert database.triggers() == before
    database.install()


def test_what_of_others_the_role_may_not_see_is_left_out(database):
    database.install()
    database.write(ROUTES | {"ages": "SELECT age FROM users"})
    with database.connect("postgres") as writer:
        writer.autocommit = False
        writer.cursor().execute("INSERT INTO users VALUES (7)")
        status, _, errors = database.run()
        assert status == 1 and re.search(rf"now process {writer.info.backend_pid} \([^)]*postgres\);", errors), errors


def test_who_reads_is_named_where_readers_are_in_the_way_alone(database):
    """A trigger is created beside readers, and dropped without them."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"
    with database.connect() as reader, database.connect() as other:
        reader.autocommit = False
        reader.cursor().execute("SELECT FROM users FOR UPDATE")
        locking = threading.Thread(target=lambda: other.cursor().execute("BEGIN; LOCK TABLE users IN EXCLUSIVE MODE; ROLLBACK"))
        locking.start()
        try:
            wait_until(lambda: database.sql(waiting) == [(1,)], 20, "the other waiting")
            _, _, errors = database.run()
        finally:
            reader.rollback()
            locking.join()
        assert f"now process {other.info.backend_pid} (larder)" in errors
        reader.cursor().execute("SELECT FROM users")
        database.install()
        database.write(ROUTES | {"ages": "SELECT age FROM users"})
        assert f"now process {reader.info.backend_pid} (larder)" in database.run()[2]


def test_a_table_that_is_used_for_long_is_waited_for_on_demand(database):
    """Longer than the three seconds, after which it is begun anew."""
    database.install()
    database.write(ROUTES | {"ages": "SELECT age FROM users"})
    outcome, pids = [], set()
    installing = threading.Thread(target=lambda: outcome.append(database.run("--wait", "1m")))

    def begun_anew():
        pids.update(database.sql("SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass", user="postgres"))
        return len(pids) > 1

    writer = database.connect("postgres")
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO users VALUES (7)")
        installing.start()
        try:
            wait_until(begun_anew, 20, "a second try")
        finally:
            writer.close()
            installing.join()
    assert outcome[0][0] == 0, outcome
    assert "public.users(age)" in watches(database)


def test_it_makes_nobody_the_victim_of_a_deadlock(database):
    """Who has written to one table, and then wants to write to another that install has locked, goes on; so does it."""
    database.install()
    database.write(ROUTES | {"ages": "SELECT age FROM users", "numbers": "SELECT id FROM posts"})
    database.sql("ALTER ROLE larder SET deadlock_timeout = '1h'", user="postgres")
    outcome = []
    installing = threading.Thread(target=lambda: outcome.append(database.run()))
    writer = database.connect("postgres")
    writer.autocommit = False
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"
    with writer.cursor() as cursor:
        cursor.execute("SET LOCAL deadlock_timeout = '1s'; INSERT INTO users VALUES (7)")
        installing.start()
        try:
            wait_until(lambda: database.sql(waiting, user="postgres") == [(1,)], 20, "install waiting for the table")
            cursor.execute("INSERT INTO posts VALUES (7)")
            writer.commit()
        finally:
            writer.close()
            installing.join()
            database.sql("ALTER ROLE larder RESET deadlock_timeout", user="postgres")
    assert outcome[0][0] == 0, outcome
    assert {"public.users(age)", "public.posts(id)"} <= set(watches(database))


def test_a_table_that_is_in_use_is_waited_for_while_another_is_held(database):
    """For longer than ordinary transactions last: on tables of which each is always in use by some, it would never end."""
    database.install()
    database.write(ROUTES | {"ages": "SELECT age FROM users", "numbers": "SELECT id FROM posts"})
    outcome = []
    installing = threading.Thread(target=lambda: outcome.append(database.run()))
    waiting = ("SELECT count(*) FROM pg_locks AS w JOIN pg_locks AS h USING (pid) WHERE NOT w.granted AND h.granted"
               " AND w.relation = 'users'::regclass AND clock_timestamp() - w.waitstart > '400 ms'"
               " AND h.relation = 'posts'::regclass AND h.mode IN ('ShareRowExclusiveLock', 'AccessExclusiveLock')")
    writer = database.connect("postgres")
    writer.autocommit = False
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO users VALUES (7)")
        installing.start()
        try:
            wait_until(lambda: database.sql(waiting, user="postgres") == [(1,)], 20, "install waiting for the table")
        finally:
            writer.close()
            installing.join()
    assert outcome[0][0] == 0, outcome


def test_the_victim_of_a_deadlock_is_made_again(database):
    """Whoever has one of the schema's tables in use, as larderd does, and then wants a table that is watched."""
    database.install()
    # It looks for a deadlock once, before its patience ends; the other one never does.
    database.sql("ALTER ROLE larder SET deadlock_timeout = '100ms'", user="postgres")
    connection = database.connect("postgres")
    connection.autocommit = False
    cursor = connection.cursor()
    try:
        cursor.execute("SET LOCAL deadlock_timeout = '1h'")
        cursor.execute("LOCK TABLE larder.marker IN ACCESS SHARE MODE")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'larder.marker'::regclass"
        outcome = []
        remover = threading.Thread(target=lambda: outcome.append(database.run("--remove", routes=False)))
        remover.start()
        wait_until(lambda: database.sql(waiting, user="postgres") == [(1,)], 20, "the removal's wait")
        cursor.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        connection.rollback()
        remover.join()
        assert outcome[0][0] == 0, outcome
    finally:
        connection.close()
        database.sql("ALTER ROLE larder RESET deadlock_timeout", user="postgres")
    assert not database.objects()


def test_remove_leaves_nothing(database):
    before = database.objects()
    for user in ("larder", "postgres"):
        database.install("--replica", user=user)
        status, output, _ = database.run("--remove", user=user, routes=False)
        assert status == 0 and "schema larder: removed" in output
        assert database.objects() == before
        assert database.sql("SELECT to_regnamespace('larder'), to_regnamespace('larder_kept')") == [(None, None)]
    assert database.run("--remove", routes=False)[:2] == (0, "schema larder: there was none\n")


def psql(database, text, user="larder"):
    ended = subprocess.run(["psql", "-qXv", "ON_ERROR_STOP=1"], input=text, env=database.environment(user), check=False,
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("user", ["larder", "postgres"])
def test_what_is_printed_does_what_the_run_does(database, user):
    printed = database.run("--print", "--replica", user=user)[1]
    assert database.sql("SELECT to_regnamespace('larder')") == [(None,)]
    psql(database, printed, user)
    by_psql, listed = database.objects(), watches(database)
    psql(database, database.run("--print", "--remove", user=user, routes=False)[1], user)
    assert database.sql("SELECT to_regnamespace('larder')") == [(None,)]
    database.install("--replica", user=user)
    assert database.objects() == by_psql and watches(database) == listed


def test_an_older_schema_is_made_anew(database):
    database.install()
    objects = database.objects()
    database.sql("UPDATE larder.meta SET version = -1")
    database.sql("DROP TABLE larder.known CASCADE; DROP FUNCTION larder.fresh CASCADE")
    database.sql("ALTER TABLE larder.outbox DROP lane")
    database.sql("INSERT INTO larder.marker DEFAULT VALUES")
    assert "made anew" in database.install()
    assert database.objects() == objects
    assert database.sql("SELECT count(*) FROM larder.marker") == [(0,)]
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


def test_a_newer_schema_is_left_alone(database):
    database.install()
    database.sql("UPDATE larder.meta SET version = 99")
    status, _, errors = database.run()
    assert status == 1 and "newer Larder" in errors and "99" in errors


def test_two_at_once(database):
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(database.run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _, _ in ends] == [0] * 4, ends
    assert sorted("made" in output for _, output, _ in ends) == [False] * 3 + [True]
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


def test_what_others_put_into_the_schema_is_never_dropped(database):
    database.install()
    database.sql("CREATE TABLE larder.precious (id int)")
    database.sql("CREATE FUNCTION larder.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    database.sql("CREATE TYPE larder.feeling AS ENUM ('good')")
    for version in ("1", "-1"):
        database.sql(f"UPDATE larder.meta SET version = {version}")
        status, _, errors = database.run("--remove", routes=False)
        assert status == 1, errors
        assert "precious" in errors and "theirs" in errors and "feeling" in errors
    assert database.run()[0] == 1, "an upgrade drops the schema too"
    database.sql("SELECT * FROM larder.precious")
    database.sql("DROP TABLE larder.precious; DROP FUNCTION larder.theirs; DROP TYPE larder.feeling")
    assert database.run("--remove", routes=False)[0] == 0


def test_what_others_put_into_the_schema_stays_at_work(database):
    database.install()
    database.sql("CREATE FUNCTION larder.value_added_tax() RETURNS trigger LANGUAGE plpgsql AS "
                 "'BEGIN NEW.age := NEW.age + 19; RETURN NEW; END'")
    database.sql("CREATE TRIGGER tax BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION larder.value_added_tax()")
    database.write(ROUTES | {"ages": "SELECT age FROM users"})
    database.install()
    assert database.sql("INSERT INTO users VALUES (1, 'a', 100) RETURNING age") == [(119,)]
    database.sql("DROP TRIGGER tax ON users")
    assert database.sql("SELECT larder.unheard()", user="postgres") == [], "it was none of Larder's"
    database.sql("DROP FUNCTION larder.value_added_tax")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "WIN1252"])
def test_bytes_that_have_no_text_in_utf_8_keep_nobody_from_reading_tags(lazy_postgres, tmp_path, encoding):
    database = Installed(lazy_postgres(), f"{tmp_path}/routes", "CREATE TABLE names (id int, name text)", {
        "name": "-- @param name\n-- @depends names.name = :name\nSELECT id FROM names WHERE name = :name"}, encoding)
    database.install()
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET client_encoding = 'UTF8'")
        cursor.execute("INSERT INTO names VALUES (1, convert_from('\\x4181'::bytea, getdatabaseencoding()))")
        cursor.execute("INSERT INTO names VALUES (1, 'A')")
    with database.connect("postgres") as connection, connection.cursor() as cursor:
        cursor.execute("SET client_encoding = 'UTF8'")
        cursor.execute("SELECT tag FROM larder.outbox ORDER BY 1")
        assert cursor.fetchall() == [("public.names(id,name).name=#81fa485321c65177744aa7ef81fbe5e4",),
                                     ("public.names(id,name).name=A",)]
    database.server.drop_database(database.name)


def test_routes_at_fault_change_nothing(database):
    database.install()
    before = database.triggers()
    database.write(ROUTES | {"broken": "SELECT nothing FROM nowhere"})
    status, _, errors = database.run()
    assert status == 1 and "1 fault" in errors and database.triggers() == before


@pytest.mark.parametrize("arguments, said", [(("--frobnicate",), '"--frobnicate" is not allowed'),
                                             (("a", "b"), '"b" is not allowed'), (("--to",), "--to needs a role"),
                                             (("--wait",), "--wait needs a duration above 0, as 30s or 5m"),
                                             (("--wait", "5"), "--wait needs a duration above 0, as 30s or 5m")])
def test_a_wrong_call(database, arguments, said):
    status, _, errors = database.run(*arguments, routes=False)
    assert status == 2 and f"{said}; allowed: [--print]" in errors


def test_a_watched_column_is_altered_or_dropped_between_remove_and_install(database):
    database.install()
    for change in ("ALTER TABLE posts ALTER title TYPE varchar(9)", "ALTER TABLE posts DROP title"):
        with pytest.raises(Exception, match="trigger larder_update_[0-9a-f]+ on table posts depends on column"):
            database.sql(change)
    assert database.run("--remove", routes=False)[0] == 0
    database.sql("ALTER TABLE posts ALTER title TYPE varchar(9)")
    database.install()
    assert database.struck("INSERT INTO posts VALUES (1, 1, 'x')") == ["public.posts(id,title,user_id).user_id=1"]
