"""What the module makes of what it did not write: arguments of its trigger, and functions of another version."""

import psycopg2
import pytest

from support.install import Installed
from support.install_module import WithModule

NAMES = ["NULL", "", " x ", "a,b", "{c}", 'd"e', "f\\g", "h\ni", "'j'", "ü"]


@pytest.fixture
def database(lazy_module_postgres, tmp_path):
    server = lazy_module_postgres()
    made = WithModule(server, tmp_path / "routes", "CREATE TABLE things (id int)", {"things": "SELECT id FROM things"})
    made.install()
    made.ring()
    yield made
    server.drop_database(made.name)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def test_columns_of_any_name(database, tmp_path):
    """Narrowed by one, changed in another, each in turn; beside what the triggers in PL/pgSQL make of it."""
    names = [quoted(name) for name in NAMES if name]
    columns = ", ".join(f"{name} text" for name in names)
    plain = Installed(database.server, tmp_path / "plain", "SELECT 1", {})
    made = []
    for each in (database, plain):
        each.sql(f"CREATE TABLE odd ({columns})")
        each.sql(f"INSERT INTO odd VALUES ({', '.join(['%s'] * len(names))})", ["x"] * len(names))
        each.write({f"odd{number}": f"-- @param value\nSELECT {name} AS a, {other} AS b FROM odd WHERE {name} = :value"
                    for number, (name, other) in enumerate(zip(names, names[1:] + names[:1]))})
        assert "odd" in each.install()
        assert each.run("--print")[1] == "-- There is nothing to do.\n"
        made.append([each.struck(f"UPDATE odd SET {name} = 'y'") for name in names])
    assert made[0] == made[1] and all(made[0])
    plain.server.drop_database(plain.name)


@pytest.mark.parametrize("argument, error", [
    ("", 'trigger "own" has 0 arguments where one is to stand'),
    ("'{}', '{}'", 'trigger "own" has 2 arguments where one is to stand'),
    ("'rows'", 'malformed array literal: "rows"'),
    ("'{{rows,x},{0,0}}'", 'the argument of trigger "own" is no list of words'),
    ("'{rows,NULL,0,0}'", 'the argument of trigger "own" is no list of words'),
    ("'{row,x,0,0}'", 'trigger "own" has "row" where "rows" or "updates" is to stand'),
    ("'{rows}'", 'the argument of trigger "own" ends too early'),
    ("'{rows,x}'", 'the argument of trigger "own" ends too early'),
    ("'{rows,x,1}'", 'the argument of trigger "own" counts 1 columns where 0 follow'),
    ("'{rows,x,-1,0}'", 'the argument of trigger "own" counts -1 columns where 1 follow'),
    ("'{rows,x,one,0}'", 'invalid input syntax for type integer: "one"'),
    ("'{rows,x,0,0,rows}'", 'the argument of trigger "own" ends too early'),
])
def test_an_argument_that_is_none(database, argument, error):
    database.sql("CREATE TABLE others (id int);"
                 f"CREATE TRIGGER own AFTER INSERT ON others FOR EACH ROW EXECUTE FUNCTION larder_ring.strike({argument})")
    with pytest.raises(psycopg2.Error) as raised:
        database.sql("INSERT INTO others VALUES (1)")
    assert str(raised.value).startswith(error)
    assert database.sql("SELECT count(*) FROM others") == [(0,)]


def test_no_watch_strikes_nothing(database):
    database.sql("CREATE TABLE others (id int);"
                 "CREATE TRIGGER own AFTER INSERT ON others FOR EACH ROW EXECUTE FUNCTION larder_ring.strike('{}')")
    assert database.struck("INSERT INTO others VALUES (1)") == []


def test_more_words_than_a_trigger_may_have_arguments(database):
    words = ",".join(f"rows,tag{number},1,id,0" for number in range(10000))
    database.sql("CREATE TABLE others (id int);"
                 f"CREATE TRIGGER own AFTER INSERT ON others FOR EACH ROW EXECUTE FUNCTION larder_ring.strike('{{{words}}}')")
    assert len(database.struck("INSERT INTO others VALUES (1)")) == 10000


def test_functions_of_another_version_take_nothing(database):
    """PostgreSQL has loaded a newer library than the extension was made with."""
    database.sql("CREATE FUNCTION take(most int, OUT tags text[], OUT more bool, OUT coming bool, OUT held bool, OUT lost bool,"
                 f" OUT asleep bool) LANGUAGE c AS '{database.server.module}', 'larder_take'", user="postgres")
    database.sql("INSERT INTO things VALUES (1)")
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="not as this version of the module has it"):
        database.sql("SELECT * FROM public.take(1)", user="postgres")
    assert database.ring() == ["public.things(id)"]
