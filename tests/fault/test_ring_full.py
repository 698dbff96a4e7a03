"""The ring is bounded: what it does not hold goes into the outbox, and what is lost strikes everything. And without it."""

import contextlib

import pytest

from outbox import beats, clock, rows_left, told
from ring import (SMALL, assert_delivers, by_ring, change, everything_struck, ringed, session, settled, tag, wait_raised,
                  watch_rows)
from support.stack import metrics
from support.waiting import wait_until

EACH = 90  # rows of a transaction: values beyond a hundred would be struck as all


@pytest.fixture
def small(stack):
    """Half of the ring holds some 250 tags."""
    return ringed(stack, postgres=stack.postgres(module=True, settings=SMALL))


def chunks(count):
    return [range(1 + EACH * number, 1 + EACH * (number + 1)) for number in range(count)]


def test_what_a_long_absence_of_redis_leaves_comes_by_the_outbox(small):
    numbers = [number for chunk in chunks(20) for number in chunk]
    watch_rows(small, *numbers)
    small.redis.pause()
    told(small, "warning redis")
    for chunk in chunks(20):
        change(small, *chunk)
    assert rows_left(small) > 0, "the ring held it all"
    small.redis.resume()
    wait_raised(small, *numbers, deadline=30)
    assert not everything_struck(small)
    wait_until(lambda: rows_left(small) == 0, what="an empty outbox")
    wait_until(lambda: beats(small), 20, "the heartbeat")
    before = by_ring(small)
    assert_delivers(small, 1)
    wait_until(lambda: by_ring(small) == before + 1, what="a change by the ring, which has room again")


def test_more_than_fits_has_everything_struck(small):
    """Those who began while there was room."""
    watch_rows(small, 1)
    small.larderd.pause()
    with contextlib.ExitStack() as sessions:
        cursors = [sessions.enter_context(session(small)) for _ in range(10)]
        for cursor, chunk in zip(cursors, chunks(10)):
            cursor.execute("BEGIN; UPDATE things SET n = n + 1 WHERE id = ANY (%s)", (list(chunk),))
        for cursor in cursors:
            cursor.execute("COMMIT")
    assert rows_left(small) == 0
    small.larderd.resume()
    wait_until(lambda: everything_struck(small), 20, "everything struck")
    settled(small)
    before = clock(small, "*")
    assert_delivers(small, 1)
    assert clock(small, "*") == before


def test_a_large_ring_is_emptied_in_several_batches(stack):
    """Though Redis and larderd go away while it has much in hand."""
    served = ringed(stack)
    numbers = range(1, 2001)
    watch_rows(served, *numbers)
    served.larderd.pause()
    with session(served) as cursor:
        for _ in range(8):
            for first in range(0, len(numbers), EACH):
                cursor.execute("UPDATE things SET n = n + 1 WHERE id = ANY (%s)", (list(numbers[first:first + EACH]),))
    assert rows_left(served) == 0
    served.redis.pause()
    served.larderd.resume()
    told(served, "warning redis")
    served.redis.resume()
    wait_raised(served, *numbers, deadline=30)
    wait_until(lambda: beats(served), 20, "the heartbeat")
    assert not everything_struck(served)


# Without it

def test_the_module_dropped_and_made_again(stack):
    served = ringed(stack)
    watch_rows(served, 1, 2)
    served.postgres.execute("DROP FUNCTION larder_ring.strike(), larder_ring.ready(), larder_ring.take(int),"
                            " larder_ring.asleep(bool) CASCADE; DROP SCHEMA larder_ring", database=served.database)
    first = clock(served, tag(1))
    served.sql("INSERT INTO larder.outbox (tag) VALUES (%s)", (tag(1),))
    wait_raised(served, 1, above=first)
    wait_until(lambda: beats(served), 20, "the heartbeat")
    served.install()
    before = by_ring(served)
    assert_delivers(served, 2)
    assert by_ring(served) == before
    served.postgres.create_module(served.database)
    served.install()
    settled(served)
    assert_delivers(served, 2)
    wait_until(lambda: by_ring(served) > before, what="a change by the ring")
    assert "warning database" not in served.larderd.log_text()


def test_a_schema_of_its_name_is_not_the_module(stack):
    """Whoever may make schemas can't have larderd call what he put there."""
    served = ringed(stack)
    served.postgres.execute("DROP FUNCTION larder_ring.strike(), larder_ring.ready(), larder_ring.take(int),"
                            " larder_ring.asleep(bool) CASCADE", database=served.database)
    served.postgres.execute(
        "CREATE TABLE called (who text); GRANT ALL ON called TO PUBLIC;"
        "CREATE FUNCTION larder_ring.take(most int, OUT tags text, OUT taken int, OUT more bool, OUT coming bool, OUT held bool,"
        " OUT lost bool, OUT asleep bool) LANGUAGE plpgsql AS 'BEGIN INSERT INTO called VALUES (current_user); END'",
        database=served.database)
    served.install()
    polls = metrics(served).sum("larder_outbox_polls_total")
    assert_delivers(served, 1)
    wait_until(lambda: metrics(served).sum("larder_outbox_polls_total") > polls + 5, what="polls")
    assert served.sql("SELECT count(*) FROM called") == [(0,)]
    wait_until(lambda: beats(served), 20, "the heartbeat")
