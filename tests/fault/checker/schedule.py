"""The faults of one run, each with the bound it is allowed and the way it ends."""

import contextlib
import os
import time
from typing import Callable, NamedTuple

from breaking import (killed, larderd_killed, larderd_stopped, redis_full, redis_killed, redis_stopped, shut_down,
                      stalled)
from support.waiting import wait_until

from .history import SECOND, Fault

GUARD = 1.0  # seconds; LARDER_GUARD_TTL of the run
DETECTION = 1.0
GUARDED = int((GUARD + DETECTION) * SECOND)


class Row(NamedTuple):
    """`act(site)` is a context manager: the fault is in force within its block. `hold` seconds it lasts; longer than
    the bound, or the bound would be kept by nothing being known. `bound` in ns, None: no other than while all is well.
    """

    name: str
    act: Callable
    hold: float
    bound: int | None


def second_host_stalled(site):
    return stalled(site.second_network)


def larderd_stalled(site):
    return stalled(site.larderd_network)


@contextlib.contextmanager
def redis_evicting(site):
    """maxmemory is reached and any key may go; while nothing is left to go, writes are refused."""
    client = site.redis.client()
    evicted = client.info("stats")["evicted_keys"]
    client.config_set("maxmemory-policy", "allkeys-random")
    client.config_set("maxmemory", str(client.info("memory")["used_memory"] - 100_000))
    wait_until(lambda: client.info("stats")["evicted_keys"] > evicted + 50, 10, "evictions")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


@contextlib.contextmanager
def keys_lost(site):
    """As eviction does it, one by one, by chance: entries, tags, leases, the clock, the journal."""
    client = site.redis.client()
    for _ in range(500):
        key = client.randomkey()
        if key:
            client.delete(key)
    yield


@contextlib.contextmanager
def redis_emptied(site):
    for _ in range(5):
        site.redis.client().flushall()
        time.sleep(0.1)
    yield


@contextlib.contextmanager
def scripts_flushed(site):
    for _ in range(5):
        site.redis.client().script_flush()
        time.sleep(0.1)
    yield


@contextlib.contextmanager
def tags_deleted(site):
    client = site.redis.client()
    for _ in range(5):
        for key in client.scan_iter("larder:t:*", count=1000):
            client.delete(key)
    yield


@contextlib.contextmanager
def feed_cut(site):
    """Every subscriber is cut off: what is said before it listens again is lost to it."""
    for _ in range(5):
        site.redis.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(0.1)
    yield


@contextlib.contextmanager
def responder_killed(site):
    victim = site.second.pools[1]
    victim.kill()
    os.unlink(victim.socket)
    yield
    victim.start()


def database_killed(site):
    return killed(site.postgres)


def database_restarted(site):
    return shut_down(site.postgres)


LASTING = GUARD + DETECTION + 0.5
SCHEDULE = (
    Row("larderd killed", larderd_killed, LASTING, GUARDED),
    Row("Redis emptied", redis_emptied, 0, None),
    Row("Redis stopped", redis_stopped, LASTING, GUARDED),
    Row("scripts flushed", scripts_flushed, 0, None),
    Row("larderd stopped", larderd_stopped, LASTING, GUARDED),
    Row("a responder killed", responder_killed, 0, None),
    Row("Redis killed", redis_killed, LASTING, GUARDED),
    Row("tags deleted", tags_deleted, 0, None),
    Row("the second host's network stalled", second_host_stalled, LASTING, GUARDED),
    Row("keys lost", keys_lost, 0, None),
    Row("larderd's network stalled", larderd_stalled, LASTING, GUARDED),
    Row("the feed cut", feed_cut, 0, GUARDED),
    Row("Redis full", redis_full, LASTING, GUARDED),
    Row("Redis evicting", redis_evicting, 1, GUARDED),
    Row("PostgreSQL killed", database_killed, 0, GUARDED),
    Row("PostgreSQL restarted", database_restarted, 0, GUARDED),
)


def inject(site, row):
    """One fault from its begin to the system's own recovery; what the judge has to know of it, or None.

    It stays in force for a guard TTL after the recovery: answers kept while changes could not be heard of live on as
    long as that.
    """
    begin = time.monotonic_ns()
    with row.act(site):
        time.sleep(row.hold)
    try:
        site.settled()
    except AssertionError as problem:
        raise AssertionError(f"after {row.name}: {problem}") from problem
    end = time.monotonic_ns()
    if row.bound is None:
        return Fault(row.name, begin, end, 0)
    return Fault(row.name, begin, end + int(GUARD * SECOND), row.bound)
