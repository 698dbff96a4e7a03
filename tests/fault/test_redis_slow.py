"""Redis that answers late, by drops, or not at all: no request waits for it longer than LARDER_REDIS_TIMEOUT."""

import time
from statistics import median

import pytest

from faults import (DOWN, PROBE, ROUTES, SCHEMA, SLACK, Server, ask_item, ask_redis, assert_item,
                    assert_redis_returns, assert_rides_out, fresh_id, is_hit, keep_item, least_wait, reply_to_each, together)

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA


@pytest.fixture
def fresh(stack):
    return lambda **options: stack(ROUTES, schema=SCHEMA, nginx=False,
                                   **{**options, "env": {**PROBE, **options.get("env", {})}})


def test_late_answers_are_not_awaited(fresh):
    served = fresh(redis_proxy=True)
    kept = [keep_item(served) for _ in range(3)]
    served.redis_proxy.delay(0.3)
    assert_rides_out(served, kept=kept)
    served.redis_proxy.pass_on()
    assert_redis_returns(served)
    assert is_hit(ask_redis(served, kept[0]))


def test_a_late_answer_is_never_taken_for_the_next_one(fresh):
    """What comes after the time-out belongs to a request that is over."""
    served = fresh(redis_proxy=True, env={"LARDER_THREADS": "1", "LARDER_REDIS_PROBE": "10ms"})
    kept = [keep_item(served) for _ in range(10)]
    served.redis_proxy.delay(0.12)
    for number in kept * 2:
        ask_item(served, number)
    served.redis_proxy.delay(0.05)
    for number in kept * 2:
        ask_item(served, number)


def test_answers_within_the_time_out_are_used(fresh):
    """Late ones too, where the option lets them."""
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "10s"})
    number = keep_item(served)
    served.redis_proxy.delay(0.2)
    for _ in range(3):
        assert is_hit(ask_item(served, number))


@pytest.mark.parametrize("timeout", ["20ms", "100ms", "700ms"])
def test_the_bound_follows_the_option(fresh, timeout):
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": timeout})
    keep_item(served)
    served.redis_proxy.stall()
    seconds = float(timeout.removesuffix("ms")) / 1000
    try:
        answers = [ask_item(served) for _ in range(3)]
        assert all(answer["Cache-Status"] == DOWN for answer in answers)
        assert answers[0].seconds >= seconds and least_wait(answers, seconds) < seconds + 0.35
    finally:
        served.redis_proxy.pass_on()


def test_one_request_waits_for_one_time_out_only(fresh):
    """A conditional request looks twice, for the metadata and for the body: the bound is for both together."""
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "600ms"})
    numbers = [keep_item(served) for _ in range(3)]
    served.redis_proxy.delay(0.5)
    answers = [assert_item(served.direct(f"/items/{number}", headers={"If-None-Match": '"another"'}), number)
               for number in numbers]
    assert least_wait(answers, 0.5) < 0.95, answers


TWICE = SENTINEL_ROUTE | {
    "r": "-- @http GET /r\n-- @limit 100000/s by=ip\n-- @cache ttl=60s\nSELECT 1 AS a",
    "w": "-- @http POST /w\n-- @result row\n-- @limit 1000/s by=ip\n-- @refreshes GET /sentinel\n"
         "UPDATE sentinel SET number = number + 1 RETURNING number"}


@pytest.fixture
def twice(stack):
    """Routes whose requests ask Redis more than once."""
    return stack(TWICE, schema=SENTINEL_SCHEMA, install=True, redis_proxy=True, nginx=False,
                 env=PROBE | {"LARDER_REDIS_TIMEOUT": "600ms"})


def test_a_limit_and_a_strike_share_one_time_out(twice):
    assert [twice.direct("/w", method="POST").status for _ in range(3)] == [200] * 3
    twice.redis_proxy.stall()
    answers = [twice.direct("/w", method="POST") for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    assert least_wait(answers, 0.5) < 1.1, answers


def test_who_comes_while_others_wait_waits_no_longer(twice):
    """The time-out counts from the arrival, not from when somebody has time for it."""
    assert [twice.direct("/r").status for _ in range(3)] == [200] * 3
    twice.redis_proxy.stall()
    answers = together(lambda number: (time.sleep(0.02 * number), twice.direct("/r"))[1], range(40))
    assert {each.status for each in answers} == {200}
    assert median(each.seconds for each in answers) < 1.1, sorted(each.seconds for each in answers)


def test_a_store_that_nobody_reads_is_bounded(fresh):
    """A large body fills the socket's buffer when the server reads nothing."""
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "100ms"})
    keep_item(served)
    served.redis_proxy.stall()
    try:
        for answer in together(lambda _: served.direct(f"/pages/{fresh_id()}"), range(16)):
            assert answer.status == 200 and len(answer.json()) == 100
            assert answer.seconds < 0.1 + SLACK, answer
    finally:
        served.redis_proxy.pass_on()


def test_a_stalled_network(fresh):
    """Open connections and new ones alike."""
    served = fresh(redis_proxy=True)
    kept = [keep_item(served) for _ in range(3)]
    served.redis_proxy.stall()
    try:
        assert_rides_out(served, kept=kept)
    finally:
        served.redis_proxy.pass_on()
    assert_redis_returns(served)


@pytest.mark.parametrize("reply", [b"*3\r\n$900\r\n" + b"x" * 900, b"+" + b"O" * 900, b"*1000\r\n" + b"$-1\r\n" * 200])
def test_an_answer_by_drops(fresh, reply):
    """A byte every 20 ms never runs into the time-out of a single read."""
    server = Server(reply_to_each(reply, every=0.02))
    try:
        assert_rides_out(fresh(redis=False, env={"LARDER_REDIS": f"redis://127.0.0.1:{server.port}/0"}))
    finally:
        server.stop()


def test_a_greeting_by_drops(fresh):
    """AUTH and SELECT are within the bound, not before it."""
    server = Server(reply_to_each(b"+OK, and much more to say about it\r\n", every=0.02))
    try:
        assert_rides_out(fresh(redis=False, env={"LARDER_REDIS": f"redis://u:p@127.0.0.1:{server.port}/5"}))
    finally:
        server.stop()


def test_silence_to_the_greeting(fresh):
    server = Server(reply_to_each(b""))
    try:
        assert_rides_out(fresh(redis=False, env={"LARDER_REDIS": f"redis://u:p@127.0.0.1:{server.port}/5"}))
    finally:
        server.stop()
