"""The staleness table, row by row: while something is down reads are behind by the bound at most, and then well again.

The rows of PostgreSQL are in test_staleness_database.py, those of a Redis that forgets in test_staleness_forgotten.py.
"""

import contextlib
import time
from statistics import median

import pytest

from breaking import LARDERD_FAULTS, REDIS_FAULTS, larderd_killed, redis_full, redis_killed, redis_stopped
from faults import SLACK, count, together
from staleness import (BOUND, ENV, GUARD, MOMENT, PATIENT, REDIS_TIMEOUT, Change, ask, assert_healthy, keep_person, person,
                       watched)
from support.coherent import barrier, is_hit, keep, time_left, wait_for_beat
from support.host import Host
from support.proxy import Proxy
from support.stack import queries
from support.waiting import wait_until


@pytest.fixture(scope="module")
def shared(shared_stack):
    return watched(shared_stack, redis_proxy=True)


@pytest.fixture
def served(shared):
    barrier(shared)
    return shared


@pytest.fixture(scope="module")
def patient(shared_stack):
    """A guard time of forty seconds: it hides nothing that was lost."""
    return watched(shared_stack, redis_proxy=True, env=PATIENT)


@pytest.fixture
def fresh(stack):
    return lambda **options: watched(stack, **options)


def outbox(stack):
    return stack.sql("SELECT count(*) FROM larder.outbox")[0][0]


# Nothing is down

def test_nothing_down(served):
    """Both tiers, many changes: moments, not the guard time."""
    ages = []
    for _ in range(40):
        number = keep_person(served)
        ages.append(Change(served, number).assert_shows())
    print(f"\nold answers were read for at most {max(ages) * 1000:.1f} ms")
    assert median(ages) < MOMENT


# Redis or larderd is away

@pytest.mark.parametrize("fault", [*REDIS_FAULTS, *LARDERD_FAULTS])
def test_a_change_shows_within_the_bound(served, fault):
    """Of somebody whom both tiers hold: made just before the fault, so that nobody can have been told, and while it
    is in force. No request waits for Redis longer than its time-out, and afterwards everything is as before."""
    before, within = keep_person(served), keep_person(served)
    for number in (before, within):
        keep(lambda: ask(served, f"/near/{number}"), "l1")
    change = Change(served, before)
    with fault(served):
        change.assert_shows()
        Change(served, within).assert_shows()
        Change(served, within).assert_shows()
    assert_healthy(served)


@pytest.mark.parametrize("fault", [*REDIS_FAULTS, *LARDERD_FAULTS])
def test_a_change_is_told_after_the_fault_however_long_the_guard(patient, fault):
    """Nothing but the change itself can strike the entry."""
    barrier(patient)
    number = keep_person(patient)
    keep(lambda: ask(patient, f"/near/{number}"), "l1")
    with fault(patient):
        change = Change(patient, number)
    change.assert_shows(change.age() + 5, longest=None)
    wait_until(lambda: outbox(patient) == 0, 10, "an empty outbox")


@pytest.mark.parametrize("fault", [redis_killed, redis_stopped])
def test_the_database_is_asked_once_a_guard_time_and_process(served, fault):
    number = person()
    with fault(served):
        wait_until(lambda: ask(served, f"/near/{number}") and count(served, "redis_breaker_open") == 1, 10,
                   "the breaker open")
        ask(served, f"/near/{number}")
        begin, before = time.monotonic(), queries(served)
        answers = [ask(served, f"/near/{number}") for _ in range(200)]
        together(lambda _: ask(served, f"/near/{number}"), range(8))
        seconds = time.monotonic() - begin
        assert queries(served) - before <= 1 + seconds / (GUARD / 2), f"in {seconds:.1f} s"
        assert all(answer.status == 200 for answer in answers)
        wait_until(lambda: ask(served, f"/near/{number}") and queries(served) > before, BOUND, "the next query")
    assert_healthy(served)


def test_without_a_heartbeat_nothing_older_than_the_guard_time_is_served(served):
    """Seen by Age, and by the queries that renew it, in both tiers."""
    number = keep_person(served)
    with larderd_killed(served):
        wait_for_beat(served.redis, there=False)
        wait_until(lambda: not is_hit(ask(served, f"/near/{number}")), BOUND, "the old entry refused")
        begin, before = time.monotonic(), queries(served)
        while time.monotonic() - begin < 4 * GUARD:
            for path in ("near", "far"):
                answer = ask(served, f"/{path}/{number}")
                assert answer.status == 200
                assert int(answer["Age"] or 0) <= GUARD, answer
        assert 2 * 3 <= queries(served) - before <= 2 * (4 + 2)
    assert_healthy(served)


def test_a_heartbeat_is_not_younger_for_being_read_late(fresh):
    """A process that stood still reads larderd's last ones, of before the change that nobody tells it of."""
    guard = 2
    served = fresh(env=ENV | {"LARDER_GUARD_TTL": f"{guard}s"})
    number = keep_person(served, "near")
    target = f"/near/{number}"
    wait_until(lambda: time_left(keep(lambda: ask(served, target), "l1")) > guard, 20, "an answer kept for its ttl")
    kept, heard, told = time.monotonic(), count(served, "feed_messages_total"), served.redis.calls("publish")
    served.api.pause()
    wait_until(lambda: served.redis.calls("publish") >= told + 2, 20, "heartbeats that nobody reads")
    with larderd_killed(served):
        wait_for_beat(served.redis, there=False)
        change = Change(served, number)
        wait_until(lambda: min(change.age(), time.monotonic() - kept) > guard, 20, "the guard time's end")
        served.api.resume()
        wait_until(lambda: count(served, "feed_messages_total") >= heard + 2, 20, "the heartbeats read")
        assert change.shown_by("near", longest=None)


def test_commits_wait_for_nobody(served):
    """With Redis stopped and larderd dead a write costs what it always costs, and its change stays in the outbox."""
    number = person()
    with larderd_killed(served), redis_stopped(served):
        seconds = []
        for _ in range(50):
            begin = time.monotonic()
            seconds.append(Change(served, number).committed - begin)
        assert median(seconds) < REDIS_TIMEOUT
        assert outbox(served) >= 50
    assert_healthy(served)
    wait_until(lambda: outbox(served) == 0, 20, "an empty outbox")


def test_a_full_redis_is_told_of_changes_when_it_has_room_again(fresh):
    """maxmemory that is reached by foreign data; reads and writes of ours go on meanwhile."""
    served = fresh(redis={"maxmemory": "20mb", "maxmemory-policy": "noeviction"})
    number = keep_person(served)
    client = served.redis.client()
    for block in range(100):
        try:
            client.set(f"foreign {block}", b"x" * 1_000_000)
        except Exception as problem:
            assert "OOM" in str(problem)
            break
    Change(served, number).assert_shows()
    client.delete(*client.keys("foreign*"))
    assert_healthy(served)


def test_faults_in_a_row(served):
    """Before the one is healed the next begins."""
    for first, second in ((redis_stopped, larderd_killed), (larderd_killed, redis_killed),
                          (redis_full, larderd_killed)):
        number = keep_person(served)
        with first(served):
            Change(served, number).assert_shows()
            with second(served):
                Change(served, number).assert_shows()
        Change(served, number).assert_shows(longest=None)
    assert_healthy(served)


# Several daemons, several hosts

def test_one_of_two_daemons_may_die(served):
    """The other goes on: nothing is behind at all."""
    second = served.start_larderd("larderd2")
    try:
        with larderd_killed(served):
            barrier(served)
            behind = [Change(served, keep_person(served)).assert_shows(longest=None) for _ in range(20)]
        behind += [Change(served, keep_person(served)).assert_shows(longest=None) for _ in range(5)]
        # Without the other each would be behind by the guard time; one alone may be, where the machine itself stalls.
        assert median(behind) < GUARD / 10
    finally:
        second.stop()
    assert_healthy(served)


def test_a_daemon_stopped_with_changes_in_its_hands(served):
    """It has taken rows that the other can't take, and the other's heartbeat must not vouch for them."""
    network = Proxy(("127.0.0.1", served.redis.port))
    number = keep_person(served)
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    try:
        with larderd_killed(served):
            second = served.start_larderd("larderd3", {"LARDER_REDIS": network.redis})
            change = wait_until(lambda: taken(served, network, number), 30, "rows taken")
            second.pause()
        change.assert_shows(change.age() + BOUND)
        network.pass_on()
        second.resume()
        change.assert_shows(0)
        second.stop()
    finally:
        network.stop()
    assert_healthy(served)


def taken(stack, network, number):
    """A change that the daemon behind the network has in hand; not one for which it had no Redis any more."""
    network.pass_on()
    barrier(stack)
    network.stall()
    change = Change(stack, number)
    with contextlib.suppress(AssertionError):
        return wait_until(lambda: locked(stack), 0.5, "rows taken") and change
    return None


def locked(stack):
    """Is the outbox's row held by somebody?"""
    return stack.sql("SELECT count(*) FROM larder.outbox")[0][0] > \
        len(stack.sql("SELECT 1 FROM larder.outbox FOR UPDATE SKIP LOCKED"))


@pytest.mark.parametrize("behave", ["stall", "cut"])
def test_one_host_of_two_loses_redis(served, tmp_path, behave):
    """It is behind by the guard time at most, the other not at all."""
    network = Proxy(("127.0.0.1", served.redis.port))
    try:
        with Host(served, f"{tmp_path}/second", network.redis) as second:
            number = keep_person(served)
            keep(lambda: ask(second, f"/near/{number}"), "l1")
            getattr(network, behave)()
            behind = [Change(served, number).assert_shows() for _ in range(3)]
            assert median(behind) < MOMENT
            other = Change(served, number)
            other.stack = second
            other.assert_shows()
            network.pass_on()
            assert_healthy(served, [second])
    finally:
        network.stop()


# A great many changes

def test_a_million_changes_in_the_outbox(fresh):
    """One that stands behind them all shows within the bound all the same; they are worked off, and reads go on."""
    served = fresh()
    number = keep_person(served)
    with larderd_killed(served):
        wait_for_beat(served.redis, there=False)
        served.sql("INSERT INTO larder.outbox (tag) SELECT 'public.people(id,name).id=' || i"
                   " FROM generate_series(1000000, 2000000) AS i")
        change = Change(served, number)
        change.assert_shows()
        keep_person(served)
    for _ in range(10):
        Change(served, number).assert_shows(longest=REDIS_TIMEOUT + 2 * SLACK)
    wait_until(lambda: outbox(served) == 0, 120, "an empty outbox", every=0.2)
    assert_healthy(served)


def test_a_transaction_left_open(fresh):
    """Dead rows pile up behind it; changes go on showing at once."""
    served = fresh()
    idle = served.postgres.connect(served.database)
    idle.autocommit = False
    try:
        with idle.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        number = keep_person(served)
        for _ in range(300):
            Change(served, number)
        behind = []
        for _ in range(20):
            keep(lambda: ask(served, f"/near/{number}"), "l1")
            behind.append(Change(served, number).assert_shows())
        assert median(behind) < GUARD / 10
    finally:
        idle.close()
    assert_healthy(served)


def test_a_transaction_that_commits_late(served):
    """Its rows are older than what larderd has worked off since; they are seen when they are committed."""
    for _ in range(3):
        number, other = keep_person(served), keep_person(served)
        slow = served.postgres.connect(served.database, "larder")
        slow.autocommit = False
        try:
            with slow.cursor() as cursor:
                cursor.execute("UPDATE people SET name = 'late' WHERE id = %s", [number])
            for _ in range(5):
                Change(served, other).assert_shows()
            assert ask(served, f"/near/{number}").json()["name"] != "late"
            keep(lambda: ask(served, f"/near/{number}"), "l1")
            slow.commit()
            wait_until(lambda: ask(served, f"/near/{number}").json()["name"] == "late", BOUND, "the late change")
        finally:
            slow.close()
