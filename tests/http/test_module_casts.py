"""The module's triggers beside casts that users wrote, and in savepoints that were taken back."""

import pytest

from support.install import Installed

TRIGGER = "CREATE TRIGGER own AFTER INSERT ON {} FOR EACH ROW EXECUTE FUNCTION larder_ring.strike('{{{}}}');"
MOODS = """
CREATE TYPE mood AS ENUM ('sad', 'odd');
CREATE FUNCTION mood_text({}) RETURNS text LANGUAGE {};
CREATE CAST (mood AS text) WITH FUNCTION mood_text({});
CREATE TABLE moods (mood mood, other int);"""
ONE = "rows,one,0,1,mood"
TWO = "rows,two,0,2,mood,other"


@pytest.fixture
def database(lazy_module_postgres, tmp_path):
    server = lazy_module_postgres()
    made = Installed(server, tmp_path / "routes", "CREATE TABLE things (id int)", {"things": "SELECT id FROM things"})
    server.create_module(made.name)
    made.install()
    taken(made)
    yield made
    server.drop_database(made.name)


def taken(database):
    (tags,), = database.sql("SELECT tags FROM larder_ring.take(1000000)", user="postgres")
    return sorted(tags.split("\n")) if tags else []


def test_a_cast_that_makes_null_of_a_value(database):
    database.sql(MOODS.format("mood", "sql AS $$ SELECT CASE $1 WHEN 'sad' THEN 's' END $$", "mood")
                 + TRIGGER.format("moods", f"{ONE},{TWO}"))
    database.sql("INSERT INTO moods VALUES ('sad', 1)")
    assert taken(database) == ["one=s", "two=s,1"]
    database.sql("INSERT INTO moods VALUES ('odd', NULL)")
    assert taken(database) == ["one is null", "two=null,null"]


def test_a_cast_for_any_type(database):
    database.sql(MOODS.format("m anyenum", "plpgsql AS $$ BEGIN RETURN upper(textin(enum_out(m))); END $$", "anyenum")
                 + TRIGGER.format("moods", ONE))
    database.sql("INSERT INTO moods VALUES ('sad')")
    assert taken(database) == ["one=SAD"]


def test_a_cast_that_writes_in_a_savepoint_and_takes_it_back(database):
    """Of a responder's transaction, whose tags go into the outbox as they are struck."""
    database.sql(MOODS.format("mood", "plpgsql AS $$ BEGIN BEGIN INSERT INTO written VALUES (1); RAISE 'no'; "
                                      "EXCEPTION WHEN raise_exception THEN NULL; END; RETURN 'x'; END $$", "mood")
                 + "CREATE TABLE written (id int);" + TRIGGER.format("written", "rows,written,0,0")
                 + TRIGGER.format("moods", f"rows,first,0,0,{ONE}"))
    database.sql("BEGIN; SET LOCAL larder.struck = '0'; INSERT INTO moods VALUES ('sad'); COMMIT")
    assert sorted(database.rows()) == ["first", "one=x"]


def test_what_savepoints_took_back_needs_no_memory(database):
    if database.server.version < 14:
        pytest.skip("PostgreSQL shows what it uses from 14 on")
    database.sql("CREATE TABLE taken_back (id int);" + TRIGGER.format("taken_back", f"rows,{'t' * 1000},0,0"))
    database.sql("""DO $$ BEGIN
        FOR i IN 1 .. 5000 LOOP
            BEGIN INSERT INTO taken_back VALUES (i); RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL; END;
        END LOOP;
        ASSERT (SELECT total_bytes < 100000 FROM pg_backend_memory_contexts WHERE name = 'larder');
    END $$""", user="postgres")
    assert taken(database) == []
