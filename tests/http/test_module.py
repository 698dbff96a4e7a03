"""The module for PostgreSQL: that it loads, what it says of itself, and who may call what."""

import subprocess

import psycopg2
import pytest

from support.paths import module

FUNCTIONS = "ready", "take", "asleep", "strike"


def ready(server, database, user="larder"):
    return server.execute("SELECT larder_ring.ready()", database=database, user=user)[0][0]


@pytest.fixture(scope="module")
def server(lazy_module_postgres):
    return lazy_module_postgres()


@pytest.fixture(scope="module")
def database(server):
    name = server.create_database()
    server.create_module(name)
    yield name
    server.drop_database(name)


def test_it_is_ready_where_the_server_has_loaded_it(server, database):
    assert ready(server, database) is True


def test_it_is_not_where_a_session_loads_it(lazy_postgres):
    server = lazy_postgres()
    name = server.create_database()
    server.create_module(name)
    assert ready(server, name) is False
    server.drop_database(name)


def test_it_is_not_where_transactions_may_be_prepared(stack):
    server = stack.postgres(module=True, settings={"max_prepared_transactions": "4"})
    server.create_module("postgres")
    assert ready(server, "postgres") is False


def test_its_settings_are_bounded_and_for_the_start(server):
    rows = server.execute("SELECT name, boot_val, unit, min_val, context FROM pg_settings WHERE name LIKE 'larder.%' ORDER BY name")
    assert rows == [("larder.ring_databases", "4", None, "1", "postmaster"),
                    ("larder.ring_size", "1024", "kB", "16", "postmaster")]


@pytest.mark.parametrize("call", ["take(1)", "asleep(true)"])
def test_what_changed_is_for_whoever_has_the_outbox(server, database, call):
    server.execute("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="larder.outbox"):
        server.execute(f"SELECT larder_ring.{call}", database=database, user="nobody")
    assert ready(server, database, "nobody") is True


def test_triggers_with_it_are_for_whoever_made_it(server, database):
    server.execute("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN; CREATE SCHEMA nobody AUTHORIZATION nobody",
                   database=database)
    trigger = "CREATE TABLE {0} (id int); CREATE TRIGGER t AFTER INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION larder_ring.strike()"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="strike"):
        server.execute(trigger.format("nobody.things"), database=database, user="nobody")
    server.execute("CREATE SCHEMA own; " + trigger.format("own.things"), database=database, user="larder")


def test_the_databases_owner_may_make_them_whoever_made_the_extension(server):
    """A superuser has, where a dump was restored. And whatever rights the maker's functions have by default."""
    if server.version < 14:
        pytest.skip("PostgreSQL has pg_database_owner from 14 on")
    name = server.create_database()
    server.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", database=name)
    server.create_module(name, owner="postgres")
    assert ready(server, name) is True
    server.execute("CREATE TABLE things (id int);"
                   "CREATE TRIGGER t AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION larder_ring.strike()",
                   database=name, user="larder")
    rights = server.execute("SELECT bool_and(has_function_privilege('public', p.oid, 'EXECUTE') = (proname <> 'strike'))"
                            " FROM pg_proc AS p WHERE pronamespace = 'larder_ring'::regnamespace", database=name)
    assert rights == [(True,)]
    server.drop_database(name)


def test_it_shows_the_server_no_names_but_those_it_looks_up():
    """The server loads all libraries into one space of names."""
    lines = subprocess.run(["nm", "-D", "--defined-only", module()], check=True, capture_output=True, text=True).stdout.splitlines()
    names = {line.split()[-1] for line in lines}
    assert names == {"Pg_magic_func", "_PG_init"} | {f"{kind}larder_{each}" for kind in ("", "pg_finfo_") for each in FUNCTIONS}


def test_it_has_no_sanitizer_though_the_programs_may():
    with open(module(), "rb") as library:
        code = library.read()
    assert code and b"__asan_" not in code and b"__ubsan_" not in code
