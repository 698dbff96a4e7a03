"""larderds that share a ring, are killed or stand still; PostgreSQL that ends: nothing is lost, or everything is struck."""

import pytest

from outbox import beats, clock, rows_left
from ring import (IN_HAND, assert_delivers, change, everything_struck, ringed, session, settled, tag, wait_raised,
                  watch_rows)
from support.crowd import ask_together
from support.waiting import wait_until


def wait_in_hand(stack):
    wait_until(lambda: stack.sql(IN_HAND)[0][0], what="the tag in larderd's hands", every=0.005)


# larderd

def test_killed_before_the_bump_it_loses_nothing(stack):
    served = ringed(stack, redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "10s"})
    watch_rows(served, 1)
    served.redis_proxy.stall()
    change(served, 1)
    wait_in_hand(served)
    served.larderd.kill()
    assert clock(served, tag(1)) == 1
    served.redis_proxy.pass_on()
    served.start_larderd("larderd2")
    wait_raised(served, 1)
    assert not everything_struck(served)


def test_killed_between_the_bump_and_the_commit_it_bumps_again(stack):
    served = ringed(stack, redis_proxy=True)
    watch_rows(served, 1)
    served.redis_proxy.delay(30)  # longer than larderd is patient: it commits nothing, however late it is killed
    change(served, 1)
    wait_raised(served, 1)
    served.larderd.kill()
    first = clock(served, tag(1))
    served.redis_proxy.pass_on()
    served.start_larderd("larderd2")
    wait_raised(served, 1, above=first)


def test_killed_again_and_again_it_loses_nothing(stack):
    served = ringed(stack)
    numbers = range(1, 401)
    watch_rows(served, *numbers)
    for round_number in range(8):
        change(served, *numbers[round_number * 50:round_number * 50 + 50])
        served.larderds[-1].kill()
        served.start_larderd(f"again{round_number}")
    wait_raised(served, *numbers, deadline=20)
    assert not everything_struck(served)


def test_what_a_stopped_peer_holds_comes_free(stack):
    """The other one promises nothing until it got it."""
    served = ringed(stack, redis_proxy=True, env={"LARDER_GUARD_TTL": "1s", "LARDER_REDIS_TIMEOUT": "10s"})
    watch_rows(served, 1)
    served.redis_proxy.keep_back(f"larder:t:{tag(1)}".encode())
    change(served, 1)
    wait_in_hand(served)
    served.larderd.pause()
    first = clock(served, tag(1))
    served.start_larderd("larderd2", {"LARDER_REDIS": served.redis.url})
    wait_until(lambda: not beats(served), 10, "no heartbeat")
    assert clock(served, tag(1)) == first
    wait_raised(served, 1, above=first)
    wait_until(lambda: beats(served), what="the heartbeat")
    served.redis_proxy.pass_on()
    served.larderd.resume()
    assert_delivers(served, 2)
    assert not everything_struck(served)


@pytest.mark.parametrize("count", [2, 3])
def test_several_share_a_load(stack, count):
    served = ringed(stack, count=count)
    numbers = range(1, 2001)
    watch_rows(served, *numbers)
    ask_together(lambda first: change(served, *numbers[first:first + 20]), range(0, len(numbers), 20), threads=4)
    wait_raised(served, *numbers, deadline=30)
    assert all(daemon.running() for daemon in served.larderds)
    assert rows_left(served) == 0
    assert not everything_struck(served)
    assert_delivers(served, 1)


# PostgreSQL

@pytest.fixture
def own(stack):
    """A server of the test's own; what was acknowledged outlives its end."""
    server = stack.postgres(module=True, settings={"synchronous_commit": "on"})
    served = ringed(stack, postgres=server)
    watch_rows(served, 1)
    return served, server


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_postgresql_restarted_has_everything_struck(own, end):
    """Memory is lost with a clean stop too."""
    served, server = own
    served.larderd.pause()
    change(served, 1)
    getattr(server, end)()
    server.start()
    served.larderd.resume()
    wait_until(lambda: everything_struck(served), 20, "everything struck")
    settled(served)
    assert_delivers(served, 1)


def test_a_writer_killed_has_everything_struck(own):
    """PostgreSQL ends all sessions then and begins anew, with its memory emptied."""
    served, server = own
    served.larderd.pause()
    change(served, 1)
    with session(served) as cursor:
        cursor.execute("BEGIN; UPDATE things SET n = n + 1 WHERE id = 2; SELECT pg_backend_pid()")
        recovered = server.crash(cursor.fetchone()[0])
        recovered()
    served.larderd.resume()
    wait_until(lambda: everything_struck(served), 20, "everything struck")
    settled(served)
    assert_delivers(served, 1)


def test_a_standby_promoted_begins_a_ring(stack):
    primary = stack.postgres(module=True)
    served = ringed(stack, postgres=primary, database_proxy=True)
    standby = stack.standby(primary)
    watch_rows(served, 1)
    served.larderd.pause()
    change(served, 1)
    wait_until(lambda: standby.execute("SELECT n FROM things WHERE id = 1", database=served.database) == [(1,)], 20,
               "the standby in step")
    primary.kill()
    standby.promote()
    served.postgres = standby
    served.database_proxy.target = ("127.0.0.1", standby.port)
    served.database_proxy.drop()
    served.larderd.resume()
    wait_until(lambda: everything_struck(served), 30, "everything struck")
    settled(served)
    assert_delivers(served, 1)
