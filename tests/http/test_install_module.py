"""What `larder install` does where the database has Larder's module for PostgreSQL."""

import os
import shutil
import subprocess

import pytest

from support.install import Installed
from support.install_example import DAYS, NAMES, POSTS, ROUTES, SCHEMA, ordinary_role
from support.install_module import WithModule, functions

BY_MODULE, IN_PLPGSQL = "row triggers: by the module\n", "row triggers: in PL/pgSQL"


@pytest.fixture
def server(lazy_module_postgres):
    return lazy_module_postgres()


@pytest.fixture
def database(server, tmp_path):
    made = WithModule(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    yield made
    server.drop_database(made.name)


@pytest.fixture
def plain(server, tmp_path):
    """Without the module, on a server that has it loaded."""
    made = Installed(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    yield made
    server.drop_database(made.name)


def row_triggers(database):
    """Their functions' schemas, by table."""
    return database.sql("SELECT t.tgrelid::regclass::text, p.pronamespace::regnamespace::text FROM pg_trigger AS t"
                        " JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE t.tgname LIKE 'larder%' AND t.tgtype & 1 = 1"
                        " AND t.tgparentid = 0 ORDER BY 1, 2")


ONE_EACH = [("days", "larder_ring"), ("posts", "larder_ring"), ("users", "larder_ring")]


def changed(database):
    tags = {tag for tag, in database.sql("SELECT larder.changed_definitions()")}
    return sorted(tags - {"larder:definitions"})


def test_each_table_has_one_row_trigger(database):
    assert BY_MODULE in database.install()
    assert row_triggers(database) == ONE_EACH
    assert database.sql("SELECT count(*) FROM pg_proc WHERE proname LIKE 'value\\_%'") == [(0,)]
    (definition,), = database.sql("SELECT pg_get_triggerdef(oid) FROM pg_trigger"
                                  " WHERE tgrelid = 'posts'::regclass AND tgtype & 1 = 1")
    assert ("AFTER INSERT OR DELETE OR UPDATE OF id, title, user_id ON public.posts FOR EACH ROW"
            " EXECUTE FUNCTION larder_ring.strike('{rows,\"public.posts(id,title,user_id).user_id\","
            "3,\"id\",\"title\",\"user_id\",1,\"user_id\"}')") in definition


def test_a_second_run_changes_nothing_and_locks_nothing(database):
    database.install("--to", "larder")
    before = database.triggers()
    with database.connect() as writer:
        writer.autocommit = False
        writer.cursor().execute("LOCK TABLE users, posts, days IN SHARE ROW EXCLUSIVE MODE")
        output = database.install("--to", "larder")
        writer.rollback()
    assert BY_MODULE in output and "added" not in output and "removed" not in output
    assert database.triggers() == before
    assert database.run("--print")[1] == "-- There is nothing to do.\n"


def test_a_run_after_the_routes_changed_makes_the_tables_trigger_anew(database):
    database.install()
    before = database.triggers()
    database.write(ROUTES | {"ages": "SELECT age FROM users"})
    output = database.install()
    assert "public.users:  2 watches (1 kept, 1 added)  3 triggers (2 added, 1 removed)" not in output
    assert "public.users:  2 watches (1 kept, 1 added)" in output
    assert [each for each in database.triggers() if each[0] != "users"] == [each for each in before if each[0] != "users"]
    assert database.struck("UPDATE users SET age = 1", "INSERT INTO users VALUES (1)") == ["public.users(age)", NAMES]


@pytest.mark.parametrize("replica", [(), ("--replica",)], ids=["", "replica"])
def test_to_and_fro(database, plain, replica):
    """What is watched stays; nothing of the other way is left."""
    plain.install(*replica)
    assert IN_PLPGSQL + ", as --no-module has it\n" in database.install("--no-module", *replica)
    in_plpgsql = database.objects()
    assert in_plpgsql == plain.objects()
    assert BY_MODULE in database.install(*replica)
    by_module, watches = database.objects(), database.sql("SELECT * FROM larder.watch ORDER BY tag")
    assert row_triggers(database) == ONE_EACH
    for _ in range(2):
        status, output, errors = database.run("--no-module", *replica)
        assert status == 0 and "watch (1 kept)" in output, errors
        assert database.objects() == in_plpgsql
        assert database.run("--no-module", "--print", *replica)[1] == "-- There is nothing to do.\n"
        status, output, errors = database.run(*replica)
        assert status == 0 and "watch (1 kept)" in output, errors
        assert database.objects() == by_module
    assert database.sql("SELECT * FROM larder.watch ORDER BY tag") == watches


def test_check_says_which_way_they_are_made(database, plain):
    assert "row triggers" not in database.check(), "there are none"
    database.install()
    assert BY_MODULE in database.check()
    database.install("--no-module")
    assert IN_PLPGSQL + ", though the database has the module" in database.check()
    plain.install()
    assert "row triggers" not in plain.check() and "without fault" in plain.check()


def test_it_goes_over_in_one_transaction(database):
    """Where one table can't be had the others stay as they were."""
    database.install("--no-module")
    before = database.triggers()
    with database.connect() as writer:
        writer.autocommit = False
        writer.cursor().execute("INSERT INTO users VALUES (7)")
        status, _, errors = database.run()
        assert status == 1 and "public.users: " in errors and "nothing was changed" in errors
        writer.rollback()
    assert database.triggers() == before


def test_a_change_on_its_way_is_delivered_whatever_way_the_triggers_go(database):
    database.install()
    database.ring()
    database.sql("INSERT INTO users VALUES (1)")
    database.run("--no-module")
    assert database.ring() == [NAMES]
    database.sql("INSERT INTO users VALUES (2)")
    database.run()
    assert NAMES in database.rows()


def test_remove_leaves_the_module(database):
    before = database.objects()
    for user in ("larder", "postgres"):
        database.install("--replica", user=user)
        status, output, _ = database.run("--remove", user=user, routes=False)
        assert status == 0 and "schema larder: removed" in output and "row triggers" not in output
        assert database.objects() == before
        assert functions(database) == ["asleep", "ready", "strike", "take"]


@pytest.mark.parametrize("user", ["larder", "postgres"])
def test_what_is_printed_does_what_the_run_does(database, user):
    def psql(text):
        subprocess.run(["psql", "-qXv", "ON_ERROR_STOP=1"], input=text, env=database.environment(user), check=True,
                       capture_output=True, text=True, timeout=60)

    psql(database.run("--print", "--replica", user=user)[1])
    by_psql = database.objects()
    assert row_triggers(database) == ONE_EACH
    assert database.run("--print", "--replica", user=user)[1] == "-- There is nothing to do.\n"
    psql(database.run("--print", "--replica", "--no-module", user=user)[1])
    assert ("users", "larder_ring") not in row_triggers(database)
    psql(database.run("--print", "--remove", user=user, routes=False)[1])
    assert row_triggers(database) == []
    database.install("--replica", user=user)
    assert database.objects() == by_psql


def test_replicated_changes_fire_nothing_unless_asked_for(database):
    replicated = ("SET session_replication_role = replica", "INSERT INTO users VALUES (1)", "INSERT INTO days_a VALUES (1)")
    database.install()
    assert database.struck(*replicated, user="postgres") == []
    database.install("--replica")
    database.sql("TRUNCATE users")
    assert database.struck(*replicated, "UPDATE users SET name = 'x'", user="postgres") == [DAYS, NAMES]
    changed(database)
    database.sql("ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE users ENABLE TRIGGER USER")
    assert changed(database) == [NAMES]
    database.install("--replica")
    assert changed(database) == []


# Where it can't be used

def test_without_the_module(plain):
    assert IN_PLPGSQL + "; the database has not the module (CREATE EXTENSION larder)\n" in plain.install()


def test_a_module_that_is_not_loaded(lazy_postgres, tmp_path):
    database = WithModule(lazy_postgres(), f"{tmp_path}/routes", SCHEMA, ROUTES)
    output = database.install()
    assert IN_PLPGSQL + "; the module is not loaded: add larder to shared_preload_libraries" in output
    assert ("users", "larder_ring") not in row_triggers(database)
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


def test_a_module_beside_transactions_that_may_be_prepared(stack, tmp_path):
    server = stack.postgres(module=True, settings={"max_prepared_transactions": "5"})
    database = WithModule(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    assert IN_PLPGSQL + "; the module does nothing where transactions may be prepared: set max_prepared_transactions to 0" in \
        database.install()
    assert ("users", "larder_ring") not in row_triggers(database)


def test_triggers_made_before_transactions_could_be_prepared_write_to_the_outbox(stack, tmp_path):
    server = stack.postgres(module=True)
    database = WithModule(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    database.install()
    server.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    server.stop()
    server.start()
    assert database.left("BEGIN", "INSERT INTO users VALUES (1)", "PREPARE TRANSACTION 'a'") == []
    database.sql("COMMIT PREPARED 'a'")
    assert database.sql("SELECT tag FROM larder.outbox", user="postgres") == [(NAMES,)]
    database.install()
    assert ("users", "larder_ring") not in row_triggers(database)


def test_a_module_that_cant_be_loaded(lazy_postgres, tmp_path):
    """Its file went with the package. Until then nobody could write."""
    server = lazy_postgres()
    database = WithModule(server, f"{tmp_path}/routes", SCHEMA, ROUTES)
    database.install()
    copy = f"{server.folder}/gone.so"
    shutil.copy(f"{server.module}.so", copy)
    for name in ("strike", "ready"):
        returns = {"strike": "trigger", "ready": "boolean"}[name]
        database.sql(f"CREATE OR REPLACE FUNCTION larder_ring.{name}() RETURNS {returns} LANGUAGE c AS '{copy}', 'larder_{name}'",
                     user="postgres")
    os.remove(copy)
    assert f"{IN_PLPGSQL}; the module can't be loaded: could not access file \"{copy}\"" in database.install()
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


def test_the_right_to_use_it_is_asked_for(plain, server):
    """The extension of another's making, in a database of another's."""
    server.create_module(plain.name, owner="postgres")
    server.execute(f"ALTER DATABASE {plain.name} OWNER TO postgres; GRANT CREATE ON DATABASE {plain.name} TO larder")
    output = plain.install()
    assert IN_PLPGSQL in output and "watch (1 added)" in output
    grant = "GRANT USAGE ON SCHEMA larder_ring TO larder; GRANT EXECUTE ON FUNCTION larder_ring.strike TO larder"
    assert f"; larder may not call the module: {grant}\n" in output
    plain.sql(grant, user="postgres")
    assert BY_MODULE in plain.install()
    assert row_triggers(plain) == ONE_EACH


def test_the_right_of_larderds_role_is_asked_for(database):
    with ordinary_role(database) as role:
        database.sql("REVOKE EXECUTE ON FUNCTION larder_ring.take FROM PUBLIC", user="postgres")
        grant = f"GRANT USAGE ON SCHEMA larder_ring TO {role}; GRANT EXECUTE ON FUNCTION larder_ring.take TO {role}"
        assert f"{IN_PLPGSQL}; {role} may not call the module: {grant}\n" in database.install("--to", role)
        database.sql(grant, user="postgres")
        assert BY_MODULE in database.install()


def test_the_databases_owner_needs_no_right_of_anybody(plain, server):
    """As after a dump was restored: the extension is the superuser's then."""
    server.create_module(plain.name, owner="postgres")
    assert BY_MODULE in plain.install()


FOREIGN = """
CREATE SCHEMA larder_ring;
GRANT ALL ON SCHEMA larder_ring TO PUBLIC;
CREATE TABLE larder_ring.caught (who name);
CREATE FUNCTION larder_ring.strike() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO larder_ring.caught VALUES (current_user); RETURN NULL; END $$;
CREATE FUNCTION larder_ring.ready() RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO larder_ring.caught VALUES (current_user); RETURN true; END $$;
CREATE FUNCTION larder_ring.take(most integer, OUT tags text, OUT taken integer, OUT more boolean, OUT held boolean, OUT lost boolean)
LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO larder_ring.caught VALUES (current_user); END $$;
CREATE FUNCTION larder_ring.asleep(asleep boolean) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO larder_ring.caught VALUES (current_user); END $$;
"""


@pytest.mark.parametrize("installer", ["larder", "postgres"])
def test_functions_of_these_names_by_somebody_else_are_not_called(plain, installer):
    """They would run with the rights of whoever installs, writes or delivers."""
    with ordinary_role(plain) as role:
        plain.sql(f"GRANT CREATE ON DATABASE {plain.name} TO {role}", user="postgres")
        plain.sql(FOREIGN, user=role)
        output = plain.install(user=installer)
        assert f"{IN_PLPGSQL}; the functions in the schema larder_ring are not those of the module" in output
        assert plain.struck("INSERT INTO users VALUES (1)") == [NAMES]
        # A trigger of theirs, named as ours, is left alone, and is none of ours.
        plain.sql("CREATE TRIGGER larder_theirs AFTER INSERT ON bystanders FOR EACH ROW EXECUTE FUNCTION larder_ring.strike()",
                  user="postgres")
        assert plain.run("--print", user=installer)[1] == "-- There is nothing to do.\n"
        assert plain.sql("SELECT count(*) FROM larder.triggers() AS t WHERE t.name = 'larder_theirs'", user="postgres") == [(0,)]
        assert plain.run("--remove", user=installer, routes=False)[0] == 0
        assert plain.sql("SELECT count(*) FROM pg_trigger WHERE tgname = 'larder_theirs'") == [(1,)]
        assert plain.sql("SELECT * FROM larder_ring.caught", user="postgres") == []


# What becomes of the triggers

@pytest.mark.parametrize("statement", [
    "DROP SCHEMA larder_ring CASCADE",
    "DROP FUNCTION larder_ring.strike CASCADE",
    "DROP TRIGGER {name} ON users; DROP TRIGGER {other} ON posts",
    "CREATE OR REPLACE FUNCTION larder_ring.strike() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
], ids=["schema", "function", "triggers", "replaced"])
def test_a_module_that_is_gone_is_heard_of(database, statement):
    """Until the next install what reads the tables is struck at each look."""
    database.install()
    changed(database)
    named = dict(database.sql("SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
                              " WHERE tgname LIKE 'larder%' AND tgtype & 1 = 1"))
    database.sql(statement.format(name=named["users"], other=named["posts"]), user="postgres")
    assert {NAMES, POSTS} <= set(changed(database)) and {NAMES, POSTS} <= set(changed(database))
    assert {"public.posts", "public.users"} <= {name for name, in database.sql("SELECT larder.unheard()")}
    for table, name in named.items():
        database.sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    database.install()
    assert changed(database) == []
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


@pytest.mark.parametrize("statements, write, tag", [
    ("ALTER TABLE users ADD nick text; ALTER TABLE users RENAME name TO old; ALTER TABLE users RENAME nick TO name",
     "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE users DROP name CASCADE; ALTER TABLE users ADD name text", "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE users RENAME TO away; ALTER TABLE twins RENAME TO users; ALTER TABLE away RENAME TO twins",
     "UPDATE users SET name = 'new'", NAMES),
    ("ALTER TABLE days_a DISABLE TRIGGER USER", "UPDATE days SET day = 2", DAYS),
    ("ALTER TABLE users DISABLE TRIGGER USER", "UPDATE users SET name = 'new'", NAMES),
    ("CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.age; RETURN NEW; END';"
     "CREATE TRIGGER other BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION other()", "UPDATE users SET age = 7", NAMES),
], ids=["column", "dropped", "table", "partition", "disabled", "rewritten"])
def test_triggers_that_are_not_what_they_were_are_made_anew_by_the_next_install(database, statements, write, tag):
    database.sql("CREATE TABLE twins (id bigint PRIMARY KEY, name text, age int); INSERT INTO twins VALUES (1, 'x');"
                 "INSERT INTO users VALUES (1, 'x'); INSERT INTO days VALUES (1)")
    database.write(ROUTES | {"twins": "SELECT id, name FROM twins"})
    database.install()
    changed(database)
    database.sql(statements)
    assert tag in changed(database) and tag in changed(database)
    assert BY_MODULE in database.install()
    assert changed(database) == []
    assert database.struck(write) == [tag]
    triggers = database.triggers()
    database.install()
    assert database.triggers() == triggers


def test_partitions_and_children(database):
    database.sql("CREATE TABLE guests (note text) INHERITS (users);"
                 "CREATE TABLE days_c (note text, day int); ALTER TABLE days_c DROP note")
    database.install()
    changed(database)
    database.sql("ALTER TABLE days ATTACH PARTITION days_c FOR VALUES FROM (20) TO (30);"
                 "CREATE TABLE days_b PARTITION OF days FOR VALUES FROM (10) TO (20)")
    assert changed(database) == [DAYS] and changed(database) == []
    for statement, tags in (("INSERT INTO days VALUES (15)", [DAYS]), ("UPDATE days SET day = 25", [DAYS]),
                            ("DELETE FROM days_c", [DAYS]), ("INSERT INTO guests VALUES (1, 'x')", ["public.guests(id,name)"]),
                            ("UPDATE users SET name = 'y'", ["public.guests(id,name)"]), ("UPDATE guests SET note = 'y'", [])):
        assert database.struck(statement) == tags, statement
    database.sql("CREATE TABLE others () INHERITS (users)")
    assert changed(database) == [NAMES] and changed(database) == [NAMES]
    database.install()
    assert changed(database) == []
    assert database.struck("INSERT INTO others VALUES (1, 'x')") == ["public.others(id,name)"]


def test_who_drops_the_schema_larder_has_triggers_that_strike_nothing(database):
    before = database.objects()
    database.install()
    made = database.objects()
    database.sql("DROP SCHEMA larder CASCADE")
    database.sql("BEGIN; SELECT set_config('larder.struck', '0', true); INSERT INTO users VALUES (1); COMMIT")
    assert database.run("--remove", routes=False)[0] == 0
    assert database.objects() == before
    database.install()
    database.sql("DROP SCHEMA larder CASCADE")
    database.install()
    assert database.objects() == made


def test_an_older_schema_is_made_anew(database):
    database.install()
    objects = database.objects()
    database.sql("UPDATE larder.meta SET version = -1; DROP FUNCTION larder.triggers CASCADE")
    assert "made anew" in database.install()
    assert database.objects() == objects


@pytest.mark.parametrize("installer", ["larder", "postgres"])
def test_a_dump_that_is_restored_is_watched_as_before(database, installer):
    def triggers():
        return [each for each in database.objects() if each[0] in "te"]

    database.install("--to", "larder", user=installer)
    before = triggers()
    database.dump_and_restore()
    assert triggers() == before and row_triggers(database) == ONE_EACH
    assert {NAMES, POSTS, DAYS} <= set(changed(database)) and changed(database) == []
    assert database.struck("INSERT INTO posts VALUES (1, 1, 'x')") == [POSTS.replace("*", "1")]
    database.install(user=installer)
    assert database.run("--print", user=installer)[1] == "-- There is nothing to do.\n"
    assert triggers() == before


def test_a_dump_without_privileges_is_watched_after_the_next_install(database):
    database.install()
    database.dump_and_restore("--no-privileges")
    database.install()
    assert changed(database) == []
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]


# Who writes

def test_writers_need_no_rights(database):
    with ordinary_role(database) as role:
        database.install()
        database.sql(f"GRANT ALL ON users, posts TO {role}")
        changes = "INSERT INTO users VALUES (1, 'x')", "INSERT INTO posts VALUES (1, 7)", "TRUNCATE users"
        assert database.struck(*changes, user=role) == [POSTS.replace("*", "7"), NAMES]
        # In the outbox too, where the ring is not to have it.
        assert database.struck("SET larder.struck = '0'", "UPDATE posts SET title = 'x'", user=role) == [POSTS.replace("*", "7")]
        for forbidden in ("SELECT larder_ring.take(1)", "SELECT larder_ring.asleep(true)", "SELECT larder.put('x')",
                          "CREATE TEMP TABLE mine (id int); "
                          "CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW"
                          " EXECUTE FUNCTION larder_ring.strike('{rows,*,0,0}')"):
            with pytest.raises(Exception, match="permission denied|right to delete"):
                database.sql(forbidden, user=role)
