"""Redis that comes back with less than it had, or with what it had before: the staleness table's row of a failover."""

import os
import shutil
import time

import pytest

from staleness import BOUND, ENV, PATIENT, Change, ask, assert_healthy, keep_person, person, watched
from support.coherent import barrier, keep
from support.redis_server import Redis
from support.waiting import wait_until

SAVED = {"dbfilename": "dump.rdb", "repl-diskless-sync-delay": "0"}


@pytest.fixture
def fresh(stack):
    return lambda **options: watched(stack, **options)


def entry_clock(redis):
    return int(redis.client().hget("larder:c", "n") or 0)


def restart_from(redis, snapshot):
    """As after a crash with a dump of before; `snapshot` None: with nothing at all."""
    redis.kill()
    if snapshot:
        shutil.copy(snapshot, f"{redis.folder}/dump.rdb")
    redis.start()


def snapshot_of(redis):
    redis.client().save()
    return shutil.copy(f"{redis.folder}/dump.rdb", f"{redis.folder}/before.rdb")


@pytest.mark.parametrize("env", [ENV, PATIENT], ids=["guard-1s", "guard-40s"])
def test_a_redis_that_comes_back_as_it_was_before(fresh, env):
    """Entries and tags of before the change, together: each looks fresh to the other."""
    served = fresh(env=env, redis=SAVED)
    number = keep_person(served)
    before = snapshot_of(served.redis)
    change = Change(served, number)
    change.assert_shows()
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    restart_from(served.redis, before)
    change.assert_shows(change.age() + (BOUND if env is ENV else 10), longest=None)
    barrier(served)
    if env is ENV:
        assert_healthy(served)


@pytest.fixture
def ahead(fresh):
    """A Redis whose clock was set back by an hour: the numbers drawn are ahead of it, and go on from there."""
    served = fresh(redis=SAVED)
    number = keep_person(served)
    before = snapshot_of(served.redis)
    hour = entry_clock(served.redis) + 3_600_000_000
    served.redis.client().hset("larder:c", "n", hour)
    Change(served, number).assert_shows()
    assert entry_clock(served.redis) > hour
    return served, before


FORGETTING = [lambda served, _: served.redis.client().flushall(),
              lambda served, before: restart_from(served.redis, before),
              lambda served, _: restart_from(served.redis, None)]


@pytest.mark.parametrize("heard", [False, True], ids=["nothing-heard", "bumps-heard"])
@pytest.mark.parametrize("forget", FORGETTING, ids=["emptied", "older-dump", "started-empty"])
def test_numbers_that_begin_lower_again(ahead, forget, heard):
    """Emptied, started anew with an older dump or with nothing: what memory holds has higher clocks than the bumps
    that come now, and is struck all the same. `heard`: whether the responder had heard of bumps since it began."""
    served, before = ahead
    if not heard:
        served.restart()
    number = keep_person(served)
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    if heard:
        barrier(served)
    forget(served, before)
    for _ in range(3):
        Change(served, number).assert_shows(longest=None)
    assert_healthy(served)


def test_a_clock_that_is_lost_again_and_again(fresh):
    """The numbers drawn go on from what the journal and the tags say: with a guard time of two minutes every change
    shows all the same, in both tiers."""
    served = fresh(env=PATIENT)
    barrier(served)
    number = keep_person(served)
    for _ in range(12):
        for path in ("near", "far"):
            keep(lambda: ask(served, f"/{path}/{number}"))
        served.redis.client().delete("larder:c")
        ask(served, f"/far/{person()}")
        Change(served, number).assert_shows(5, longest=None)


@pytest.fixture
def replicated(fresh, tmp_path):
    """A stack behind a proxy, and a replica in step with its Redis."""
    served = fresh(redis=SAVED, redis_proxy=True)
    replica = Redis(f"{tmp_path}/replica", SAVED)
    follow(replica, served.redis)
    yield served, replica
    replica.stop()


def follow(replica, primary):
    replica.client().replicaof("127.0.0.1", str(primary.port))
    wait_until(lambda: replica.client().info("replication").get("master_link_status") == "up", 20, "a replica in step")


def fail_over(served, replica):
    """The address is the new primary's from now on; connections to the old one end."""
    replica.client().replicaof("NO", "ONE")
    served.redis_proxy.target = ("127.0.0.1", replica.port)
    served.redis_proxy.drop()


def in_step(served, replica):
    offsets = [each.client().info("replication")["master_repl_offset"] for each in (served.redis, replica)]
    return offsets[1] >= offsets[0] - 200


def test_a_failover_to_a_replica_in_step(replicated):
    served, replica = replicated
    number = keep_person(served)
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    wait_until(lambda: in_step(served, replica), 10, "the replica in step")
    fail_over(served, replica)
    Change(served, number).assert_shows(longest=None)
    assert_healthy(served)
    assert replica.calls("evalsha") > 0, "the replica is in use"


def test_a_failover_to_a_replica_that_missed_the_last_changes(replicated):
    """It parted from the primary before them: its entries and its tags are both of before."""
    served, replica = replicated
    numbers = [keep_person(served) for _ in range(5)]
    wait_until(lambda: in_step(served, replica), 10, "the replica in step")
    replica.client().replicaof("NO", "ONE")
    changes = [Change(served, number) for number in numbers]
    for change in changes:
        change.assert_shows()
    fail_over(served, replica)
    failed_over = time.monotonic()
    for change in changes:
        change.assert_shows(failed_over - change.committed + BOUND, longest=None)
    assert_healthy(served)


def test_a_failover_while_changes_go_on(replicated):
    """Five there and back; the one that was left is made the other's replica, as an orchestrator would."""
    served, other = replicated
    current = served.redis
    for _ in range(5):
        number = keep_person(served)
        fail_over(served, other)
        change = Change(served, number)
        change.assert_shows(longest=None)
        current, other = other, current
        follow(other, current)
        Change(served, number).assert_shows(longest=None)
    assert_healthy(served)


def test_the_old_primary_is_still_there(replicated, tmp_path):
    """Told to follow, it refuses writes (READONLY): whoever is still connected to it must let go of it."""
    served, replica = replicated
    number = keep_person(served)
    replica.client().replicaof("NO", "ONE")
    served.redis_proxy.target = ("127.0.0.1", replica.port)
    follow(served.redis, replica)
    Change(served, number).assert_shows(longest=None)
    Change(served, number).assert_shows(longest=None)
    assert os.path.exists(served.redis.log)
