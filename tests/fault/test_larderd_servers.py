"""larderd while PostgreSQL and Redis are killed, stopped, full, read-only, or replaced by others."""

import time

import pytest

from outbox import (assert_delivers, beats, change, clock, daemons, journalled, rows_left, wait_raised, watch)
from support.redis_server import Redis
from support.waiting import wait_until

QUICK_GUARD = {"LARDER_GUARD_TTL": "1s"}


def told_once(stack, text):
    lines = [line for line in stack.larderd.log_text().splitlines() if "warning" in line and text in line]
    return len(lines) == 1


# PostgreSQL

def test_postgresql_restarted_keeps_the_outbox(stack):
    own = stack.postgres()
    served = daemons(stack, postgres=own)
    watch(served, "*", "a")
    served.larderd.pause()
    change(served, "a")
    own.stop()
    own.start()
    served.larderd.resume()
    wait_raised(served, "a", deadline=20)
    assert clock(served, "*") == 1, "after a clean stop nothing is lost"
    wait_until(lambda: beats(served), what="the heartbeat")
    assert_delivers(served, "b")


def test_postgresql_killed_has_everything_struck(stack):
    """A crash empties the outbox: what was in it can't be known."""
    own = stack.postgres(settings={"synchronous_commit": "on"})
    served = daemons(stack, postgres=own)
    watch(served, "*")
    own.kill()
    wait_until(lambda: told_once(served, "database"), what="the loss told once")
    own.start()
    wait_raised(served, "*", deadline=20)
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.marker")[0][0] == 1, what="the marker set again")
    assert "PostgreSQL answers again" in wait_until(served.larderd.log_text, what="the log")
    assert_delivers(served, "a")


def test_postgresql_stopped_ends_the_heartbeat(stack):
    own = stack.postgres()
    served = daemons(stack, postgres=own, env=QUICK_GUARD)
    own.pause()
    wait_until(lambda: not beats(served), 15, "no heartbeat")
    own.resume()
    wait_until(lambda: beats(served), 20, "the heartbeat")
    assert_delivers(served, "a")


def test_it_ends_in_time_though_postgresql_is_stopped(stack):
    own = stack.postgres()
    served = daemons(stack, postgres=own, env=QUICK_GUARD)
    own.pause()
    wait_until(lambda: not beats(served), 15, "no heartbeat")
    start = time.monotonic()
    assert served.larderd.stop() == 0
    assert time.monotonic() - start < 8
    own.resume()


def test_connections_cut_are_opened_again(stack):
    served = daemons(stack, database_proxy=True, redis_proxy=True)
    for number in range(3):
        served.database_proxy.drop()
        served.redis_proxy.drop()
        assert_delivers(served, f"tag {number}")


# Redis

def test_redis_killed_and_back(stack):
    served = daemons(stack)
    served.redis.kill()
    change(served, "a")
    wait_until(lambda: told_once(served, "redis"), what="the loss told once")
    assert rows_left(served) == 1
    served.redis.start()
    # the journal tells, for larderd may be back before any tag could be given a number
    wait_until(lambda: {"*", "a"} <= journalled(served), 20, "both bumps")
    wait_until(lambda: beats(served), what="the heartbeat")
    ahead = int(served.redis.client().hget("larder:c", "n")) - time.time() * 1000000
    assert ahead > 0, "the clock jumped ahead of all it may have forgotten"
    assert told_once(served, "redis")


def test_redis_emptied_by_hand_is_noticed(stack):
    served = daemons(stack)
    served.redis.client().flushall()
    wait_until(lambda: beats(served), what="the heartbeat")
    assert served.redis.client().hget("larder:c", "r"), "the server is proved anew"
    assert_delivers(served, "a")


def test_redis_stopped_delays_and_loses_nothing(stack):
    served = daemons(stack, env=QUICK_GUARD)
    watch(served, "a")
    served.redis.pause()
    change(served, "a")
    wait_until(lambda: told_once(served, "redis"), what="the loss told once")
    assert rows_left(served) == 1
    served.redis.resume()
    wait_raised(served, "a")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    wait_until(lambda: beats(served), what="the heartbeat")


def test_a_full_redis_takes_bumps(stack):
    served = daemons(stack)
    watch(served, "a")
    client = served.redis.client()
    client.config_set("maxmemory", "1")
    with pytest.raises(Exception, match="OOM|maxmemory"):
        client.set("x", "y")
    client.script_flush()
    change(served, "a")
    wait_raised(served, "a")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    client.delete("larder:beat")
    wait_until(lambda: beats(served), what="the heartbeat")


def test_a_redis_that_became_a_replica_takes_none_until_it_is_primary_again(stack, work_folder):
    served = daemons(stack)
    client = served.redis.client()
    watch(served, "a")
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    change(served, "a")
    wait_until(lambda: told_once(served, "redis"), what="the loss told once")
    assert clock(served, "a") == 1 and rows_left(served) == 1
    client.execute_command("REPLICAOF", "NO", "ONE")
    wait_raised(served, "a")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


@pytest.fixture
def failover(stack, tmp_path):
    """A stack whose Redis has a replica, and a function that makes the replica the primary as a failover does."""
    served = daemons(stack, redis_proxy=True)
    replica = Redis(tmp_path / "replica")
    replica.client().execute_command("REPLICAOF", "127.0.0.1", served.redis.port)

    def in_step():
        return replica.client().info("replication")["master_link_status"] == "up" and clock(served, "*", replica.client())
    watch(served, "*", "early", "late")
    wait_until(in_step, 30, "the replica in step")

    def promote():
        replica.client().execute_command("REPLICAOF", "NO", "ONE")

    def switch():
        served.redis_proxy.target = ("127.0.0.1", replica.port)
        served.redis.kill()
        served.redis_proxy.drop()
    yield served, replica.client(), promote, switch
    replica.stop()


def test_a_failover_that_forgot_a_bump_is_told_it_again(failover):
    served, replica, promote, switch = failover
    change(served, "early")
    wait_raised(served, "early")
    wait_until(lambda: clock(served, "early", replica) > 1, what="the early bump replicated")
    promote()
    change(served, "late")
    lost = wait_raised(served, "late")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    assert clock(served, "late", replica) == 1
    switch()
    wait_until(lambda: clock(served, "late", replica) > lost, 20, "the late bump made again")
    assert clock(served, "*", replica) == 1, "what is known to be lost is made again, not everything struck"
    wait_until(lambda: replica.exists("larder:beat"), what="the heartbeat")
    assert int(replica.hget("larder:c", "n")) >= lost + 4000000, "the clock jumped"


def test_a_failover_after_somebody_else_s_bump_has_everything_struck(failover):
    """What another larderd bumped last is not known here."""
    served, replica, promote, switch = failover
    before = clock(served, "*", replica)
    other = served.start_larderd("larderd2")
    served.larderds[0].pause()
    change(served, "early")
    wait_raised(served, "early")
    served.larderds[0].resume()
    other.stop()
    promote()
    change(served, "late")
    wait_raised(served, "late")
    switch()
    wait_until(lambda: clock(served, "*", replica) > before, 20, "everything struck")
