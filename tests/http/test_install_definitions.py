"""What no row trigger hears of: definitions that changed, dumps that are restored, triggers that were switched off."""

import subprocess

import pytest

from support.install import Installed
from support.install_example import DAYS, NAMES, POSTS, ROUTES, SCHEMA, TOTALS, example, ordinary_role
from support.waiting import wait_until

LEARN = "larder:definitions"


@pytest.fixture
def database(lazy_postgres, tmp_path):
    with example(lazy_postgres(), f"{tmp_path}/routes") as made:
        yield made


@pytest.fixture
def role(database):
    with ordinary_role(database) as name:
        yield name


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


@pytest.mark.parametrize("installer", ["larder", "postgres"])
def test_a_dump_that_is_restored_is_watched_as_before(database, installer):
    database.sql("ALTER TABLE users DROP age CASCADE; ALTER TABLE users ADD size int;"
                 "CREATE TABLE guests (note text) INHERITS (users)")
    database.install("--to", "larder", user=installer)
    changed(database)
    database.dump_and_restore()
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
    database.dump_and_restore("--no-privileges")
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
