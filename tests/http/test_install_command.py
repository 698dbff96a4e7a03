"""What `larder install` does to a database, does again, undoes and refuses; what no row trigger hears of."""

import re
import subprocess
import threading

import pytest

from support.install import Installed
from support.postgres import program_folder
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, name text, age int);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint, title text);
CREATE TABLE days (day int) PARTITION BY RANGE (day);
CREATE TABLE days_a PARTITION OF days FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS posts FROM posts GROUP BY user_id;
CREATE UNIQUE INDEX totals_key ON totals (user_id);
CREATE VIEW adults AS SELECT id FROM users WHERE age > 17;
CREATE TABLE bystanders (id int);
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN grade AS int CONSTRAINT low CHECK (VALUE > 0);
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, language = english);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT id, title FROM posts WHERE user_id = :user",
    "days": "SELECT day FROM days",
    "totals": "SELECT * FROM totals",
}
NAMES, POSTS, DAYS, TOTALS = "public.users(id,name)", "public.posts(id,title,user_id).user_id=*", "public.days(day)", \
    "public.totals(posts,user_id)"


@pytest.fixture
def database(lazy_postgres, tmp_path):
    made = Installed(lazy_postgres(), f"{tmp_path}/routes", SCHEMA, ROUTES)
    yield made
    made.server.drop_database(made.name)


@pytest.fixture
def role(database):
    """An ordinary role that owns nothing."""
    database.sql("CREATE ROLE other LOGIN", user="postgres")
    yield "other"
    database.sql("DROP OWNED BY other CASCADE", user="postgres")
    database.sql("DROP ROLE other", user="postgres")


def watches(database):
    return [tag for tag, in database.sql("SELECT tag FROM larder.watch ORDER BY 1")]


# Again and away

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


# Rights

def test_missing_rights_are_told_with_what_to_grant(database, role):
    for table in ("users", "posts", "days", "totals"):
        database.sql(f"GRANT SELECT ON {table} TO other")
    status, _, errors = database.run(user=role)
    assert status == 1
    assert f"GRANT CREATE ON DATABASE {database.name} TO other" in errors
    assert "GRANT TRIGGER ON public.users TO other, or run it as the owner larder" in errors
    assert "public.posts" in errors and "public.days_a" in errors and "totals" not in errors
    database.sql(f"GRANT CREATE ON DATABASE {database.name} TO other", user="postgres")
    database.sql("GRANT TRIGGER ON users, posts, days, days_a TO other")
    database.install(user=role)
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]
    status, _, errors = database.run("--remove", user=role, routes=False)
    assert status == 1 and "must be owner" in errors and "nothing was changed" in errors


def test_writes_outlive_the_membership_of_who_installed(database, role):
    database.install()
    database.sql(f"GRANT larder TO {role}", user="postgres")
    database.write(ROUTES | {"ages": "-- @param id\n-- @depends users.id = :id\nSELECT age FROM users WHERE id = :id"})
    database.install(user=role)
    database.sql(f"REVOKE larder FROM {role}", user="postgres")
    assert database.struck("INSERT INTO users VALUES (1)") == ["public.users(age,id).id=1", NAMES]


def test_who_may_not_look_at_what_is_installed_is_told_who_may(database, role):
    database.install()
    status, _, errors = database.run(user=role)
    assert (status, errors.count("\n")) == (1, 1) and errors.startswith("larder install: permission denied for ")
    assert "run it as the owner, or as a superuser" in errors


def test_a_schema_of_somebody_elses_making_is_not_touched(database):
    database.sql("CREATE SCHEMA larder")
    for arguments in ((), ("--remove",)):
        status, _, errors = database.run(*arguments, routes=not arguments)
        assert status == 1 and "not of its making" in errors
    assert database.sql("SELECT count(*) FROM pg_trigger") == [(0,)]


def test_the_daemons_role_gets_what_it_needs_and_keeps_it(database, role):
    database.install("--to", role)
    granted = database.objects()
    assert database.install("--to", role) and database.objects() == granted
    database.sql("UPDATE larder.meta SET version = -1")
    database.install()
    assert database.objects() == granted
    for allowed in ("SELECT tag, xid FROM larder.outbox FOR UPDATE SKIP LOCKED", "DELETE FROM larder.outbox",
                    "INSERT INTO larder.marker DEFAULT VALUES ON CONFLICT DO NOTHING",
                    "SELECT setval('larder.asleep', 2)", "SELECT last_value FROM larder.asleep",
                    "SELECT larder.changed_definitions()", "SELECT * FROM larder.watch"):
        database.sql(allowed, user=role)
    with pytest.raises(Exception, match="permission denied"):
        database.sql("DELETE FROM larder.watch", user=role)


WRITE = "INSERT INTO posts VALUES (1, 7, 'new'); UPDATE posts SET title = 'newer' WHERE id = 1; DELETE FROM posts"


def test_where_functions_are_not_everybodys(database, role):
    database.sql("ALTER DEFAULT PRIVILEGES FOR ROLE larder REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", user="postgres")
    database.install()
    database.sql(f"GRANT ALL ON posts TO {role}")
    assert "public.posts(id,title,user_id).user_id=7" in database.struck(WRITE, user=role)


def test_functions_that_were_taken_from_everybody(database, role):
    database.install("--to", role)
    database.sql(f"GRANT ALL ON posts TO {role}")
    before = database.objects()
    database.sql("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA larder FROM PUBLIC")
    with pytest.raises(Exception, match="permission denied for function value_"):
        database.sql(WRITE, user=role)
    assert "GRANT EXECUTE" in database.run("--print")[1]
    database.install()
    assert "public.posts(id,title,user_id).user_id=7" in database.struck(WRITE, user=role)
    assert database.run("--print")[1] == "-- There is nothing to do.\n"
    assert [thing[:2] for thing in database.objects()] == [thing[:2] for thing in before]


def test_a_schema_that_the_owner_may_not_use_any_more(database):
    """The event trigger runs with the owner's rights in everybody's DDL, and so does larderd's look."""
    database.sql("CREATE SCHEMA closed; CREATE TABLE closed.parents (id int); CREATE TABLE closed.middle () INHERITS (closed.parents);"
                 "CREATE TABLE closed.children () INHERITS (closed.middle)")
    database.write({"parents": "SELECT id FROM closed.parents"})
    database.install("--to", "larder")
    database.install(user="postgres")
    database.sql("ALTER SCHEMA closed OWNER TO postgres", user="postgres")
    database.sql("ALTER TABLE bystanders ADD more int", user="postgres")
    database.sql("REFRESH MATERIALIZED VIEW totals")
    database.sql("SELECT larder.changed_definitions()")


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


# What no row trigger hears of

LEARN = "larder:definitions"


def changed(database):
    """The tags by larderd's looking. That routes are to be learnt anew goes with each change of a definition."""
    tags = sorted(tag for tag, in database.sql("SELECT larder.changed_definitions()"))
    return [tag for tag in tags if tag != LEARN]


TYPES = [(statements, ["*"]) for statements in (
    ["ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'"],
    ["ALTER TYPE mood ADD VALUE 'calm'"],
    ["ALTER TYPE pair RENAME ATTRIBUTE a TO x"],
    ["ALTER TYPE pair ADD ATTRIBUTE c int"],
    ["ALTER TYPE pair RENAME TO couple"],
    ["ALTER DOMAIN grade ADD CHECK (VALUE < 10)"],
    ["ALTER DOMAIN grade DROP CONSTRAINT low"],
    ["CREATE CAST (pair AS text) WITH INOUT"],
    ["CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)"],
    ["CREATE COLLATION plain FROM \"C\""],
    ["ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR asciiword WITH english_stem"],
    ["ALTER TEXT SEARCH DICTIONARY stems (stopwords = german)"],
)]


@pytest.fixture
def settled(database):
    """Installed by the tables' owner, who may make no event trigger."""
    database.install()
    assert changed(database) == []
    return database


@pytest.mark.parametrize("statements, tags", [
    (["ALTER TABLE users ADD born date"], [NAMES]),
    (["DROP VIEW adults", "ALTER TABLE users ALTER age TYPE bigint"], ["*", NAMES]),
    (["ALTER TABLE users RENAME age TO years"], [NAMES]),
    (["ALTER TABLE users RENAME TO people"], [NAMES]),
    (["ALTER TABLE posts ENABLE ROW LEVEL SECURITY"], [POSTS]),
    (["CREATE TABLE days_b PARTITION OF days FOR VALUES FROM (10) TO (20)"], [DAYS]),
    (["ALTER TABLE days DETACH PARTITION days_a"], [DAYS]),
    (["DROP TABLE days_a"], [DAYS]),
    (["TRUNCATE days_a"], []),  # its trigger told
    (["ALTER TABLE posts ENABLE ROW LEVEL SECURITY", "ALTER TABLE posts DISABLE ROW LEVEL SECURITY"], [POSTS]),
    (["ALTER TABLE users RENAME TO people", "ALTER TABLE people RENAME TO users"], [NAMES]),
    (["TRUNCATE days_a", "SELECT larder.changed_definitions()", "ALTER TABLE days_a ENABLE ROW LEVEL SECURITY",
      "ALTER TABLE days_a DISABLE ROW LEVEL SECURITY"], [DAYS]),
    (["CREATE TABLE days_b PARTITION OF days FOR VALUES FROM (10) TO (20)", "SELECT larder.changed_definitions()",
      "TRUNCATE days_b"], [DAYS]),
    (["DROP TABLE posts CASCADE"], ["*", POSTS, TOTALS]),
    (["REFRESH MATERIALIZED VIEW totals"], [TOTALS]),
    (["CREATE OR REPLACE VIEW adults AS SELECT id FROM users WHERE age > 20"], ["*"]),
    (["CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'"], ["*"]),
    *TYPES,
    (["CREATE TABLE new (id int)", "ALTER TABLE new ADD x int", "ALTER TABLE bystanders ADD x int",
      "DROP TABLE bystanders"], []),
    (["CREATE TEMP TABLE users (id int)", "CREATE TEMP VIEW v AS SELECT 1 AS one",
      "ALTER TABLE pg_temp.users ADD x int"], []),
    (["VACUUM ANALYZE users", "ANALYZE", "INSERT INTO users VALUES (1)", "COMMENT ON TABLE users IS 'x'"], []),
    (["BEGIN", "ALTER TABLE users ADD born date", "ROLLBACK"], []),
])
def test_definitions_that_changed_are_heard_of_by_looking(settled, statements, tags):
    connection = settled.connect()
    for statement in statements:
        connection.cursor().execute(statement)
    settled.sql("TRUNCATE larder.outbox", user="postgres")
    assert changed(settled) == tags
    assert settled.rows() == [], "larderd strikes them itself"
    assert changed(settled) == []
    connection.close()


def test_a_concurrent_refresh_is_heard_of_by_looking(settled):
    settled.sql("INSERT INTO posts VALUES (1, 1, 'a')")
    settled.sql("REFRESH MATERIALIZED VIEW CONCURRENTLY totals")
    wait_until(lambda: changed(settled) == [TOTALS], 30, "the refresh")
    assert changed(settled) == []


def test_triggers_switched_off_are_as_many_changes_as_there_are_looks(settled):
    settled.sql("ALTER TABLE users DISABLE TRIGGER USER")
    assert changed(settled) == [NAMES] and changed(settled) == [NAMES]
    settled.sql("ALTER TABLE users ENABLE TRIGGER USER")
    assert changed(settled) == [NAMES] and changed(settled) == []


@pytest.mark.parametrize("statements, write, tag", [
    ("ALTER TABLE users ADD nick text; ALTER TABLE users RENAME name TO old; ALTER TABLE users RENAME nick TO name",
     "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE users DROP name CASCADE; ALTER TABLE users ADD name text", "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE users RENAME TO away; ALTER TABLE twins RENAME TO users; ALTER TABLE away RENAME TO twins",
     "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE days_a DISABLE TRIGGER USER", "UPDATE days SET day = 2", DAYS),
    ("ALTER TABLE days_a DISABLE TRIGGER USER", "TRUNCATE days_a", DAYS),
    ("ALTER TABLE users DISABLE TRIGGER USER", "UPDATE users SET name = 'new'", NAMES),
], ids=["column", "dropped", "table", "partition", "partition truncated", "disabled"])
def test_triggers_that_are_not_what_they_were_are_made_anew_by_the_next_install(settled, statements, write, tag):
    """Until then what reads the table is struck at each look, for the triggers may not hear of a change."""
    settled.sql("CREATE TABLE twins (id bigint PRIMARY KEY, name text); INSERT INTO twins VALUES (1, 'x');"
                "INSERT INTO users VALUES (1, 'x'); INSERT INTO days VALUES (1)")
    settled.write(ROUTES | {"twins": "SELECT id, name FROM twins"})
    settled.install()
    changed(settled)
    settled.sql(statements)
    assert tag in changed(settled) and tag in changed(settled)
    settled.install()
    assert changed(settled) == []
    assert settled.struck(write) == [tag]
    triggers = settled.triggers()
    settled.install()
    assert settled.triggers() == triggers


def test_triggers_for_replicated_changes_stay_so(database):
    """ENABLE TRIGGER, as pg_restore --disable-triggers has it, makes them fire for local changes alone."""
    database.install("--replica")
    database.sql("INSERT INTO users VALUES (1, 'x')")
    changed(database)
    database.sql("ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE users ENABLE TRIGGER USER")
    assert changed(database) == [NAMES] and changed(database) == [NAMES]
    database.install("--replica")
    assert changed(database) == []
    replicated = ("SET session_replication_role = replica", "UPDATE users SET name = 'new'")
    assert database.struck(*replicated, user="postgres") == [NAMES]


def test_a_partition_that_is_being_detached_is_heard_of_while_old_readers_hold_it_up(settled):
    settled.sql("INSERT INTO days VALUES (1)")
    connection = settled.connect()
    connection.autocommit = False
    connection.cursor().execute("SELECT * FROM days")
    statement = "ALTER TABLE days DETACH PARTITION days_a CONCURRENTLY"
    with subprocess.Popen(["psql", "-qc", statement], env=settled.environment()) as detaching:
        wait_until(lambda: settled.sql("SELECT * FROM days") == [], 30, "days without the partition")
        assert detaching.poll() is None
        assert changed(settled) == [DAYS] and changed(settled) == []
        connection.close()
        assert detaching.wait(30) == 0
    assert changed(settled) == [DAYS]


def test_settings_count_of_roles_that_can_open_a_session_here(settled):
    """And SET ROLE, by which statements run as others (rls), brings no settings."""
    role, server, name = f"apart_{settled.name}", settled.server, settled.name
    server.execute(f"CREATE ROLE {role} NOLOGIN")
    try:
        changed(settled)
        server.execute(f"ALTER ROLE {role} SET search_path = other")
        server.execute(f"ALTER ROLE {role} IN DATABASE {name} SET search_path = other")
        server.execute("ALTER ROLE larder IN DATABASE postgres SET application_name = 'x'")
        assert changed(settled) == []
        server.execute(f"ALTER ROLE {role} LOGIN")
        assert changed(settled) == ["*"] and changed(settled) == []
        server.execute(f"ALTER ROLE {role} SET search_path = another")
        assert changed(settled) == ["*"]
        server.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        changed(settled)
        server.execute(f"ALTER ROLE {role} SET search_path = other")
        assert changed(settled) == []
        server.execute(f"ALTER DATABASE {name} SET search_path = another, public")
        assert changed(settled) == ["*"]
    finally:
        server.execute("ALTER ROLE larder IN DATABASE postgres RESET ALL")
        server.execute(f"ALTER ROLE {role} IN DATABASE {name} RESET ALL")
        server.execute(f"DROP ROLE {role}")


def test_a_copy_of_the_database_put_in_its_place_is_heard_of(settled):
    """It is as the original was when it was copied, whatever became of that since."""
    name = settled.name
    settled.server.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name} OWNER larder")
    settled.sql("INSERT INTO users VALUES (1, 'x')")
    changed(settled)
    settled.server.drop_database(name)
    settled.server.execute(f"ALTER DATABASE {name}_copy RENAME TO {name}")
    assert changed(settled) == ["*"] and changed(settled) == []


def restored(database, *arguments):
    """What a dump of the database, taken with these arguments, makes of an empty one in its place."""
    folder = program_folder()
    dump = subprocess.run([f"{folder}/pg_dump", *arguments], env=database.environment("postgres"), check=True,
                          capture_output=True, timeout=60).stdout
    database.server.drop_database(database.name)
    database.server.execute(f"CREATE DATABASE {database.name} OWNER larder")
    database.server.execute(f"ALTER DATABASE {database.name} SET search_path = public")
    subprocess.run([f"{folder}/psql", "-qX", "-v", "ON_ERROR_STOP=1"], env=database.environment("postgres"), input=dump,
                   check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("installer", ["larder", "postgres"])
def test_a_dump_that_is_restored_is_watched_as_before(database, installer):
    database.sql("ALTER TABLE users DROP age CASCADE; ALTER TABLE users ADD size int;"
                 "CREATE TABLE guests (note text) INHERITS (users)")
    database.install("--to", "larder", user=installer)
    changed(database)
    restored(database)
    tags = changed(database)
    assert "*" in tags and {NAMES, POSTS, DAYS, TOTALS} <= set(tags)
    assert changed(database) == []
    for statement, tag in (("INSERT INTO users VALUES (1, 'x')", NAMES), ("TRUNCATE days_a", DAYS),
                           ("INSERT INTO guests VALUES (1, 'x')", "public.guests(id,name)"),
                           ("INSERT INTO posts VALUES (1, 1, 'x')", POSTS.replace("*", "1"))):
        assert database.struck(statement) == [tag]
    database.install(user=installer)
    assert changed(database) == []


def test_a_dump_restored_without_privileges_gets_them_from_the_next_install(database, role):
    database.install("--to", role)
    privileges = [(kind, name, text) for kind, name, text in database.objects() if kind in "pc"]
    restored(database, "--no-privileges")
    assert [each for each in database.objects() if each[0] in "pc"] != privileges
    database.install()
    database.install("--to", role)
    assert [each for each in database.objects() if each[0] in "pc"] == privileges


def test_a_daemons_role_that_was_made_anew_gets_what_it_needs(database, role):
    database.install("--to", role)
    privileges = database.objects()
    for statement in (f"DROP OWNED BY {role}", f"DROP ROLE {role}", f"CREATE ROLE {role}"):
        database.sql(statement, user="postgres")
    assert database.objects() != privileges
    database.install("--to", role)
    assert database.objects() == privileges


def test_a_child_that_came_after_the_install_is_unheard_until_the_next(settled):
    settled.sql("CREATE TABLE guests () INHERITS (users)")
    assert changed(settled) == [NAMES] and changed(settled) == [NAMES]
    settled.install()
    assert changed(settled) == []
    assert settled.struck("INSERT INTO guests VALUES (1)") == ["public.guests(id,name)"]


def test_a_transaction_prepared_before_a_crash_may_still_commit(stack, tmp_path):
    server = stack.postgres(settings={"max_prepared_transactions": "5"})
    made = Installed(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    made.install()
    made.sql("INSERT INTO larder.marker DEFAULT VALUES")
    connection = made.connect()
    for statement in ("BEGIN", "INSERT INTO users VALUES (1)", "PREPARE TRANSACTION 'a'"):
        connection.cursor().execute(statement)
    connection.close()
    server.kill()
    server.start()
    assert made.sql("SELECT count(*) FROM larder.marker") == [(0,)] and made.rows() == []
    made.sql("INSERT INTO larder.marker DEFAULT VALUES")
    assert "*" in changed(made) and changed(made) == ["*"]
    made.sql("COMMIT PREPARED 'a'")
    assert changed(made) == ["*"] and changed(made) == []


@pytest.fixture
def superuser(database):
    database.install(user="postgres")
    return database


@pytest.mark.parametrize("statements, tags", [
    (["REFRESH MATERIALIZED VIEW totals"], [TOTALS]),
    (["REFRESH MATERIALIZED VIEW CONCURRENTLY totals"], [TOTALS]),
    (["ALTER TABLE users ADD born date"], [NAMES]),
    (["DROP TABLE posts CASCADE"], ["*", POSTS, TOTALS]),
    (["CREATE OR REPLACE VIEW adults AS SELECT id FROM users WHERE age > 20"], ["*"]),
    *TYPES,
    (["BEGIN", "ALTER TABLE users ADD born date", "ROLLBACK"], []),
    (["CREATE TABLE new (id int)", "ALTER TABLE new ADD x int", "ALTER TABLE bystanders ADD x int",
      "DROP TABLE bystanders"], []),
    (["CREATE TEMP TABLE users (id int)", "CREATE TEMP VIEW v AS SELECT 1 AS one", "DROP TABLE pg_temp.users"], []),
])
def test_with_a_superuser_ddl_strikes_in_its_own_transaction(superuser, statements, tags):
    struck = superuser.struck(*statements)
    assert [tag for tag in struck if tag != LEARN] == tags
    assert (LEARN in struck) == bool(tags) or "CONCURRENTLY" in statements[0]


def test_with_a_superuser_ddl_that_takes_back_what_nobody_has_looked_at_strikes_too(superuser):
    superuser.sql("ALTER TABLE posts ENABLE ROW LEVEL SECURITY")
    assert superuser.struck("ALTER TABLE posts DISABLE ROW LEVEL SECURITY") == sorted([LEARN, POSTS])


def test_ddl_of_ordinary_roles_needs_no_rights_on_larder(superuser, role):
    superuser.sql("GRANT CREATE ON SCHEMA public TO other", user="postgres")
    assert superuser.struck("CREATE VIEW mine AS SELECT 1 AS one", user=role) == ["*", LEARN]
