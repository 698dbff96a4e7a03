"""A server that goes while a write is under way: either nothing happened and it is tried again, or nobody can know, and
that is said."""

import functools
import time

import pytest

from support.postgres import PgBouncer
from support.sleeping import sleeping
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = "CREATE TABLE a (n int);"
QUICK = ["sql=INSERT INTO a VALUES (1)"]
SLOW = [*QUICK, "sql=SELECT pg_sleep(30)"]  # until the server goes


@pytest.fixture
def server(stack):
    made = stack.postgres()
    made.execute("CREATE DATABASE lost OWNER larder")
    made.execute(SCHEMA, database="lost", user="larder")
    made.execute("CHECKPOINT")  # the server does not wait for the disk, and is to be killed
    return made


def running(server):
    return sleeping(functools.partial(server.execute, database="lost"))


def rows(server):
    return server.execute("SELECT count(*) FROM a", database="lost")[0][0]


def writer(server, pooling="session", **environment):
    return Writer(server.environment | {"PGDATABASE": "lost"} | environment, pooling)


def wait_written(write):
    def written():
        answer = write(*QUICK)
        assert answer.outcome == "written", answer
        return True
    wait_until(written, 20, "a write")


@pytest.mark.parametrize("pooling", ["session", "transaction"])
def test_a_server_killed_during_the_write(server, pooling):
    with writer(server, pooling) as write:
        write.send(*SLOW)
        wait_until(lambda: running(server), what="the statement")
        server.kill()
        answer = write.answer()
        assert answer.outcome == "failed" and answer.kind in ("unknown", "away")
        server.start()
        assert rows(server) == 0, "it was killed before the COMMIT"
        wait_written(write)
        assert rows(server) == 1


def test_a_server_that_shuts_down_says_that_nothing_was_done(server):
    with writer(server) as write:
        write.send(*SLOW)
        wait_until(lambda: running(server), what="the statement")
        server.stop()
        assert write.answer().kind == "away"
        server.start()
        assert rows(server) == 0


def test_a_server_that_is_not_there(server):
    server.stop()
    with writer(server) as write:
        begin = time.monotonic()
        assert write(*QUICK).kind == "away"
        assert time.monotonic() - begin < 10
    server.start()


def test_a_server_that_stops_answering(server):
    with writer(server) as write:
        write("sql=SELECT 1")
        server.pause()
        begin = time.monotonic()
        assert write(*QUICK, "timeout=700").kind == "unknown"
        assert time.monotonic() - begin < 10
        server.resume()
        # It commits what it was sent: that is why nobody could know.
        wait_until(lambda: rows(server) == 1, what="the commit")


def test_a_crash_of_another_session_is_not_known(server):
    """Every session is cut without a word on what became of its transaction."""
    with writer(server) as write:
        write.send(*SLOW)
        pid = wait_until(lambda: running(server), what="the statement")[0]
        server.execute("SELECT 1")
        victim = server.connect("postgres")
        with victim.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            other = cursor.fetchone()[0]
        assert other != pid
        wait_crash = server.crash(other)
        answer = write.answer()
        assert answer.outcome == "failed" and answer.kind in ("unknown", "away")
        wait_crash()


# Behind PgBouncer

@pytest.fixture
def bouncer(server, work_folder):
    made = PgBouncer(work_folder, server, "lost", pool=1)
    yield made
    made.stop()


def test_what_pgbouncer_says_of_a_server_it_lost_is_not_known(server, bouncer):
    with writer(server, "transaction", **bouncer.environment) as write:
        write.send(*SLOW)
        pid = wait_until(lambda: running(server), what="the statement")[0]
        wait_crash = server.crash(pid)
        answer = write.answer()
        assert (answer.outcome, answer.kind) == ("failed", "unknown"), answer
        wait_crash()
        wait_written(write)
        assert rows(server) == 1
