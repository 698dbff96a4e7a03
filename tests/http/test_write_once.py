"""A write that is to be done once: its answer is kept in the write's own transaction."""

import threading

import pytest

from support.install import Installed
from support.sleeping import sleeping
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY, name text UNIQUE); CREATE SEQUENCE runs;"
ROUTES = {"names": "SELECT id, name FROM users"}
TAG = "public.users(id,name)"
ADD = "sql=INSERT INTO users (name) SELECT $1::text FROM nextval('runs') RETURNING name"


@pytest.fixture(params=["session", "transaction"])
def pooling(request):
    return request.param


@pytest.fixture
def database(lazy_postgres, tmp_path):
    made = Installed(lazy_postgres(), tmp_path / "routes", SCHEMA, ROUTES)
    made.install("--to", "larder")
    yield made
    made.server.drop_database(made.name)


def writer(database, pooling):
    return Writer(database.environment(), pooling)


def runs(database):
    return database.sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs")[0][0]


def test_the_second_time_gives_the_first_answer(database, pooling):
    with writer(database, pooling) as write:
        first = write(ADD, "value=a", "once=k")
        assert (first.outcome, first.result, first.list("tags")) == ("written", "a", [TAG])
        for _ in range(2):
            again = write(ADD, "value=a", "once=k")
            assert (again.outcome, again.record, again.tags) == ("before", "answer a", "")
    assert runs(database) == 1
    with writer(database, pooling) as other:
        assert other(ADD, "value=a", "once=k").outcome == "before", "whoever asks"


def test_another_body_is_told(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD, "value=a", "once=k", "body=a").outcome == "written"
        other = write(ADD, "value=b", "once=k", "body=b")
        assert (other.outcome, other.result, other.record) == ("other", "", "")
        assert write(ADD, "value=b", "once=l", "body=b").outcome == "written", "another key is another request"
    assert runs(database) == 2


def test_a_failed_write_is_not_kept(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD, "value=a", "sql=SELECT 1/0", "once=k").outcome == "failed"
        assert write(ADD, "value=a", "once=k").outcome == "written"
    assert database.sql("SELECT name FROM users") == [("a",)]


def test_a_write_whose_answer_can_not_be_kept_is_none(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD, "value=unfit", "once=k").outcome == "failed"
        assert database.sql("SELECT count(*) FROM users") == [(0,)]
        assert write(ADD, "value=fit", "once=k").outcome == "written"


def test_the_same_request_in_work(database, pooling):
    with writer(database, pooling) as first, writer(database, pooling) as second:
        first.send("sql=SELECT pg_sleep(1)", ADD, "value=a", "once=k")
        wait_until(lambda: sleeping(database.sql), what="the first one's statement")
        assert second(ADD, "value=a", "once=k").outcome == "busy"
        assert second(ADD, "value=b", "once=l").outcome == "written"
        assert first.answer().outcome == "written"
        assert second(ADD, "value=a", "once=k").record == "answer a"


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_of_many_at_once_one_is_run(database, pooling, isolation):
    database.sql(f"ALTER DATABASE {database.name} SET default_transaction_isolation = '{isolation}'")
    outcomes = []

    def work():
        with writer(database, pooling) as write:
            for number in range(20):
                answer = None
                # A client repeats what is in work, or was in others' way.
                while not answer or answer.outcome == "busy" or answer.fields.get("kind") == "retry":
                    answer = write(ADD, f"value=n{number}", f"once=k{number}")
                outcomes.append((number, answer.outcome))
                assert answer.outcome != "before" or answer.record == f"answer n{number}"

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80 and {outcome for _, outcome in outcomes} == {"written", "before"}
    assert sorted(number for number, outcome in outcomes if outcome == "written") == list(range(20))
    assert database.sql("SELECT count(*) FROM users") == [(20,)]


def test_a_writer_killed_at_any_time_did_it_once(database, pooling):
    for number in range(12):
        with writer(database, pooling) as write:
            write.send("sql=SELECT pg_sleep(0.02)", ADD, f"value=n{number}", f"once=k{number}")
            threading.Event().wait(number * 0.004)
            write.kill()
        with writer(database, pooling) as write:
            wait_until(lambda: write(ADD, f"value=n{number}", f"once=k{number}").outcome in ("written", "before"),
                       what="an outcome")
    assert database.sql("SELECT count(*) FROM users") == [(12,)]


def test_as_another_role_that_may_not_see_what_is_kept(database, pooling):
    database.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest; GRANT writer_guest TO larder; "
                 "GRANT ALL ON users, runs TO writer_guest", user="postgres")
    try:
        with writer(database, pooling) as write:
            assert write(ADD, "value=a", "once=k", "role=writer_guest").outcome == "written"
            assert write(ADD, "value=a", "once=k", "role=writer_guest").outcome == "before"
            with pytest.raises(Exception, match="permission denied"):
                database.sql("SET ROLE writer_guest; SELECT * FROM larder_kept.request")
    finally:
        database.sql("DROP OWNED BY writer_guest; DROP ROLE writer_guest", user="postgres")


# The schema

def test_what_is_kept_outlives_an_upgrade(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD, "value=a", "once=k").outcome == "written"
        database.sql("UPDATE larder.meta SET version = -1")
        assert "made anew" in database.install()
        assert write(ADD, "value=a", "once=k").record == "answer a"


def test_remove_takes_it_away(database):
    assert database.run("--remove", routes=False)[0] == 0
    assert database.sql("SELECT to_regnamespace('larder_kept')") == [(None,)]


def test_without_it_nothing_is_written(database, pooling):
    assert database.run("--remove", routes=False)[0] == 0
    with writer(database, pooling) as write:
        assert write(ADD, "value=a", "once=k").kind == "uninstalled"
        assert database.sql("SELECT count(*) FROM users") == [(0,)]
        assert write(ADD, "value=a").outcome == "written"


def test_a_schema_of_another_role_is_not_used(database):
    assert database.run("--remove", routes=False)[0] == 0
    database.sql("CREATE SCHEMA larder_kept", user="postgres")
    status, _, errors = database.run()
    assert status == 1 and "larder_kept belongs to another role" in errors
    assert database.sql("SELECT to_regnamespace('larder')") == [(None,)]
    database.sql("DROP SCHEMA larder_kept", user="postgres")
    database.install()


def test_a_superuser_does_not_take_a_schema_that_another_role_made(database):
    """Its owner's trigger would run with the superuser's rights."""
    assert database.run("--remove", routes=False)[0] == 0
    database.sql("GRANT CREATE ON DATABASE " + database.name + " TO larder", user="postgres")
    database.sql("CREATE SCHEMA larder_kept CREATE TABLE request (key bytea, body bytea, answer bytea, made timestamptz)")
    status, _, errors = database.run(user="postgres")
    assert status == 1 and "larder_kept belongs to another role" in errors
    database.sql("DROP SCHEMA larder_kept CASCADE")
    database.install(user="postgres")
