"""What larder_ring.take() gives to whom, and what becomes of it: sessions of the test are the larderds."""

import contextlib
import re

import pytest

from outbox import beats, clock, told, wait_raised, watch
from ring import ROUTES, SCHEMA, ringed, session, tag, watch_rows
from support.waiting import wait_until

TAKE = "SELECT taken, more, coming, held, lost, asleep FROM larder_ring.take(%s)"


@pytest.fixture
def served(stack):
    """Without any larderd, and with a ring that was told of as lost."""
    made = stack(ROUTES, schema=SCHEMA, module=True, install=True, nginx=False, redis=False)
    with session(made) as cursor:
        assert take(cursor) == (0, {"lost", "asleep"})
    return made


def take(cursor, most=1000):
    """How many tags, and what is true of the ring."""
    cursor.execute(TAKE, (most,))
    taken, *state = cursor.fetchone()
    return (taken, {name for name, each in zip(("more", "coming", "held", "lost", "asleep"), state) if each})


def strike(stack, *numbers):
    stack.sql("UPDATE things SET n = n + 1 WHERE id = ANY (%s)", (list(numbers),))


@pytest.fixture
def two(served):
    with session(served) as first, session(served) as second:
        first.execute("SELECT larder_ring.asleep(false)")
        yield served, first, second


def test_what_is_committed_is_done_and_the_rest_comes_again(two):
    served, first, _ = two
    strike(served, 1, 2, 3)
    for end, left in (("ROLLBACK", 3), ("COMMIT", 0)):
        first.execute("BEGIN")
        assert take(first) == (3, set())
        first.execute(end)
        first.execute("BEGIN")
        assert take(first) == (left, set())
        first.execute("ROLLBACK")


def test_two_have_different_tags_and_know_of_each_other(two):
    served, first, second = two
    strike(served, 1, 2, 3)
    first.execute("BEGIN")
    assert take(first, 2) == (2, {"more"})
    second.execute("BEGIN")
    assert take(second) == (1, {"held"})
    first.execute("ROLLBACK")
    assert take(second) == (2, set()), "what was given back"
    second.execute("COMMIT")
    assert take(first) == (0, set())


def test_a_session_that_ends_gives_back_what_it_had(two):
    served, first, second = two
    strike(served, 1)
    first.execute("BEGIN")
    assert take(first) == (1, set())
    first.connection.close()
    wait_until(lambda: take(second) == (1, set()), what="the tag")


def test_what_was_too_much_comes_in_smaller_parts(two):
    """Whoever could not deliver so many in time asks for fewer."""
    served, first, _ = two
    strike(served, *range(1, 51))
    first.execute("BEGIN")
    assert take(first) == (50, set())
    first.execute("ROLLBACK")
    for number in range(5):
        first.execute("BEGIN")
        assert take(first, 10) == (10, {"more"} if number < 4 else set())
        first.execute("COMMIT")
    assert take(first) == (0, set())


@contextlib.contextmanager
def eight_claims(stack):
    """A tag each, in the hands of eight sessions."""
    with contextlib.ExitStack() as sessions:
        cursors = [sessions.enter_context(session(stack)) for _ in range(8)]
        for cursor in cursors:
            strike(stack, 1)
            cursor.execute("BEGIN")
            assert take(cursor)[0] == 1
        yield cursors


def test_more_than_eight_wait_for_a_claim(two):
    served, first, second = two
    with eight_claims(served) as cursors:
        strike(served, 1)
        assert take(first) == (0, {"more", "held"})
        cursors[3].execute("COMMIT")
        assert take(first) == (1, {"held"})
    wait_until(lambda: take(second) == (0, set()), what="all given back and taken")


def test_a_ring_that_gives_nothing_holds_up_the_heartbeat_alone(stack):
    """Not the outbox, nor how far polls have read it."""
    served = ringed(stack, env={"LARDER_GUARD_TTL": "1s"})
    served.postgres.execute(f'ALTER DATABASE "{served.database}" SET log_statement = \'all\'')
    assert served.larderd.stop() == 0
    watch_rows(served, 1, 2)
    watch(served, "by the outbox")
    with eight_claims(served):
        strike(served, 2)
        served.start_larderd("larderd2")
        served.larderds.reverse()
        number = served.sql("INSERT INTO larder.outbox (tag) VALUES ('by the outbox') RETURNING xid::text::bigint")[0][0]
        wait_raised(served, "by the outbox")
        wait_until(lambda: position(served) > number, what="polls that begin behind its number")
        told(served, "no heartbeat")
        wait_until(lambda: not beats(served), what="the end of the heartbeat before")
        assert clock(served, tag(1)) == clock(served, tag(2)) == 1
    wait_raised(served, tag(1))
    wait_raised(served, tag(2))
    wait_until(lambda: beats(served), 20, "the heartbeat")


def position(stack):
    with open(stack.postgres.log, encoding="utf-8", errors="replace") as log:
        return int(re.findall(r"EXECUTE larder_take_\d+\('{[0-9,]*}'::pg_catalog.xid8\[\], '(\d+)'", log.read())[-1])
