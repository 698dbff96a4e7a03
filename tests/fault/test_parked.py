"""Requests that wait in a process for the answer another one makes: what they may get of it, and what it costs."""

import pytest

from faults import count
from staleness import ENV, GUARD, SCHEMA, Change
from support import fastcgi
from support.coherent import SENTINEL_ROUTE, barrier, wait_for_beat
from support.crowd import Background, open_requests
from support.gate import NUMBER, Gate
from support.stack import queries
from support.waiting import wait_until

AT_GATE = ENV | {"LARDER_TIMEOUT": "60s", "LARDER_DB_WAIT": "60s", "LARDER_LEASE": "60s", "LARDER_ENTRY_MAX": "10KB"}
GATED = """-- @http GET /{path}/{{id}}
-- @result row
-- @cache ttl=300s
-- @depends people.id = :id
SELECT p.id, {name} AS name FROM people AS p, pg_advisory_xact_lock_shared({gate}) WHERE p.id = :id"""
ROUTES = SENTINEL_ROUTE | {
    "gated": GATED.format(path="gated", name="p.name", gate=NUMBER),
    "large": GATED.format(path="large", name="repeat(p.name, 5000)", gate=NUMBER),
}


def ask(stack, target):
    return fastcgi.ask(stack.api.socket, target, timeout=90)


@pytest.fixture
def served(stack):
    started = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, env=AT_GATE)
    wait_for_beat(started.redis)
    barrier(started)
    return started


def park(stack, target, visitors):
    """So many requests that come while the first one's query is at the gate."""
    begun = [Background(ask, stack, target) for _ in range(visitors)]
    wait_until(lambda: open_requests(stack) > visitors, 20, "all requests under way")
    return begun


def test_nothing_older_than_the_guard_time_while_nothing_is_heard(served):
    """A query takes long, and begins before a change that nobody can be told of. Who comes later than the guard time
    after the change waits for that query, and gets another answer than it gives."""
    served.redis.kill()
    wait_until(lambda: ask(served, "/sentinel") and count(served, "feed_connected") == 0
               and count(served, "redis_breaker_open") == 1, 20, "Redis given up")
    with Gate(served) as gate:
        first = Background(ask, served, "/gated/3")
        gate.wait_for(1)
        change = Change(served, 3)
        wait_until(lambda: change.age() > GUARD + 0.2, 10, "the guard time's end")
        later = park(served, "/gated/3", 10)
        gate.open()
        assert first.result().json()["name"] == "person 3", "the first one's own query saw the change"
        assert {each.result().json()["name"] for each in later} == {change.name}


def test_an_answer_too_large_to_keep_is_made_once_for_all_who_wait(served):
    before = queries(served)
    with Gate(served) as gate:
        first = Background(ask, served, "/large/5")
        gate.wait_for(1)
        later = park(served, "/large/5", 60)
        gate.open()
        answers = [each.result() for each in (first, *later)]
    assert {answer.json()["name"] for answer in answers} == {"person 5" * 5000}
    assert queries(served) - before <= 5
    assert not [key for key in served.redis.entries() if "large" in key]
