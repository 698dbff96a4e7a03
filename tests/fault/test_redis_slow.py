"""Redis that answers late, by drops, or not at all: no request waits for it longer than LARDER_REDIS_TIMEOUT."""

import pytest

from faults import (DOWN, PROBE, ROUTES, SCHEMA, SLACK, Server, ask_item, assert_redis_returns, assert_rides_out,
                    fresh_id, is_hit, keep_item, reply_to_each, together)


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
    assert is_hit(ask_item(served, kept[0]))


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
    served = fresh(redis_proxy=True)
    number = keep_item(served)
    served.redis_proxy.delay(0.03)
    for _ in range(10):
        assert is_hit(ask_item(served, number))


@pytest.mark.parametrize("timeout", ["20ms", "100ms", "700ms"])
def test_the_bound_follows_the_option(fresh, timeout):
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": timeout})
    keep_item(served)
    served.redis_proxy.stall()
    seconds = float(timeout.removesuffix("ms")) / 1000
    try:
        answer = ask_item(served)
        assert answer["Cache-Status"] == DOWN
        assert seconds <= answer.seconds < seconds + SLACK
    finally:
        served.redis_proxy.pass_on()


def test_one_request_waits_for_one_time_out_only(fresh):
    """A conditional request looks twice, for the metadata and for the body: the bound is for both together."""
    served = fresh(redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "600ms"})
    number = keep_item(served)
    served.redis_proxy.delay(0.5)
    answer = served.direct(f"/items/{number}", headers={"If-None-Match": '"another"'})
    assert answer.status == 200 and answer.json()["id"] == number
    assert answer.seconds < 0.6 + SLACK, answer


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
