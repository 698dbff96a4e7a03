"""@limit while Redis is killed, stopped, full or read-only: each process counts by itself, and nobody waits long."""

import itertools
from statistics import median

import pytest

from faults import PROBE, SCHEMA, SLACK, least_wait, together
from support.stack import metrics
from support.waiting import wait_until

ROUTES = {
    "item": "-- @http GET /items/{id}\n-- @limit 20/hour by=ip\n-- @result row\n-- @cache ttl=300s\n"
            "SELECT id, name FROM items WHERE id = :id",
    "few": "-- @http GET /few\n-- @limit 3/hour by=ip\n-- @result row\nSELECT 1 AS a",
}
TIMEOUT = 0.1
THERE = {"LARDER_REDIS_TIMEOUT": "5s"}  # where Redis has to count: a busy machine may hold it up
numbers = itertools.count(1)


def address():
    return f"203.0.113.{next(numbers)}"


def ask(stack, target, source):
    return stack.direct(target, params={"REMOTE_ADDR": source})


@pytest.fixture
def served(stack):
    return lambda **options: stack(ROUTES, schema=SCHEMA, nginx=False,
                                   **{**options, "env": {**PROBE, **options.get("env", {})}})


def take_away(stack, how):
    {"killed": stack.redis.kill, "stopped": stack.redis.pause}[how]()


def bring_back(stack, how):
    {"killed": stack.redis.start, "stopped": stack.redis.resume}[how]()


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_open_counts_in_the_process(served, how):
    stack = served()
    source, known = address(), address()
    assert [ask(stack, "/few", known).status for _ in range(2)] == [200, 200]
    take_away(stack, how)
    try:
        answers = [ask(stack, "/items/1", source) for _ in range(21)]
        assert [each.status for each in answers] == [200] * 20 + [429]
        assert [each["RateLimit-Remaining"] for each in answers[:20]] == [str(left) for left in range(19, -1, -1)]
        assert all(each.seconds < TIMEOUT + SLACK for each in answers)
        assert median(each.seconds for each in answers) < TIMEOUT * 0.9, "the breakers spare the others"
        assert [ask(stack, "/few", known).status for _ in range(2)] == [200, 429], "what Redis had counted is known"
        statuses = together(lambda _: ask(stack, "/few", "203.0.113.250").status, range(12))
        assert sorted(statuses) == [200] * 3 + [429] * 9
        assert metrics(stack).sum("larder_limit_away_total") >= 20
    finally:
        bring_back(stack, how)
    assert_counted_again(stack)
    told = [line for line in stack.log_text().splitlines() if " limits: " in line]
    assert 2 <= len(told) <= 8 and "Redis answers again" in told[-1], told


def test_limit_and_look_up_share_one_bound(served):
    """Two time-outs would be 1.2 s."""
    stack = served(env={"LARDER_REDIS_TIMEOUT": "600ms"})
    assert ask(stack, "/items/1", address()).status == 200
    stack.redis.pause()
    try:
        answers = [ask(stack, "/items/1", address()) for _ in range(10)]
        assert {each.status for each in answers} == {200}
        assert least_wait(answers, 0.5) < 1.1, answers
    finally:
        stack.redis.resume()


def assert_counted_again(stack):
    """By Redis, without anybody's help."""
    def decided():
        before = metrics(stack).sum("larder_limit_decisions_total")
        assert ask(stack, "/items/1", address()).status == 200
        return metrics(stack).sum("larder_limit_decisions_total") > before

    wait_until(decided, 10, "a decision by Redis", every=0.05)


def test_closed_refuses_what_it_cannot_count(served):
    stack = served(env={"LARDER_LIMIT_AWAY": "closed", **THERE})
    source = address()
    assert ask(stack, "/few", source).status == 200
    stack.redis.kill()
    refused = [ask(stack, "/few", source) for _ in range(3)]
    assert [each.status for each in refused] == [503, 503, 429], "over the limit stays over the limit"
    assert refused[0].problem(503) and refused[0]["Retry-After"] == "1"
    assert ask(stack, "/items/1", address()).problem(503)
    stack.redis.start()
    wait_until(lambda: ask(stack, "/items/1", address()).status == 200, 10, "counting again")


def test_only_the_counting_redis_is_away(served):
    """The cache goes on as if nothing were."""
    stack = served(env={"LARDER_LIMIT_REDIS": "redis://127.0.0.1:1/0"})
    source = address()
    answers = [ask(stack, "/items/2", source) for _ in range(21)]
    assert [each.status for each in answers] == [200] * 20 + [429]
    wait_until(lambda: ask(stack, "/items/2", address())["Cache-Status"].startswith("larder; hit"), what="a hit")


def test_only_the_cache_is_away(served):
    stack = served(redis_proxy=True, env={"LARDER_LIMIT_REDIS": "redis://127.0.0.1:{stack.redis.port}/1", **THERE})
    stack.redis_proxy.cut()
    source = address()
    assert [ask(stack, "/items/3", source).status for _ in range(21)] == [200] * 20 + [429]
    assert metrics(stack).sum("larder_limit_away_total") == 0


@pytest.mark.parametrize("setting", [("maxmemory", "1"), ("min-replicas-to-write", "1")])
def test_a_redis_that_takes_no_writes_is_as_good_as_away(served, setting):
    stack = served()
    stack.redis.client().config_set(*setting)
    assert [ask(stack, "/few", address()).status for _ in range(3)] == [200] * 3
    source = address()
    assert [ask(stack, "/few", source).status for _ in range(4)] == [200] * 3 + [429]
    stack.redis.client().config_set(setting[0], "0")
    assert_counted_again(stack)
