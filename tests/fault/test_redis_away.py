"""Redis killed, stopped, restarted empty, or never there: PostgreSQL answers, nobody waits long, hits return."""

import pytest

from faults import (DOWN, PROBE, ROUTES, SCHEMA, Deaf, Server, ask_item, ask_redis, assert_few_log_lines, assert_item,
                    assert_redis_returns, assert_rides_out, breaker_is_open, fresh_id, grown, hang_up_half, is_hit,
                    keep_item, together)
from support.network import free_port
from support.stack import metrics
from support.waiting import wait_until


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env=PROBE)


@pytest.fixture
def fresh(stack):
    """A stack of one test's own, so that its log is that test's alone."""
    return lambda **options: stack(ROUTES, schema=SCHEMA, nginx=False,
                                   **{**options, "env": {**PROBE, **options.get("env", {})}})


def test_killed_redis_is_ridden_out_and_returns_empty(fresh):
    served = fresh()
    kept = [keep_item(served) for _ in range(3)]
    served.redis.kill()
    assert_rides_out(served, kept=kept)
    served.redis.start()
    assert_redis_returns(served)
    assert ask_redis(served, kept[0])["Cache-Status"] == "larder; fwd=uri-miss; stored"
    assert_few_log_lines(served)
    assert "Redis answers again" in served.log_text()


def test_stopped_redis_is_ridden_out(fresh):
    served = fresh()
    kept = [keep_item(served) for _ in range(3)]
    served.redis.pause()
    try:
        assert_rides_out(served, kept=kept)
    finally:
        served.redis.resume()
    assert_redis_returns(served)
    assert is_hit(ask_redis(served, kept[0]))


def test_a_probe_opens_the_way_again_with_a_single_request(fresh):
    """One request after the probe's time is enough: nothing but requests is needed for the return."""
    served = fresh()
    number = keep_item(served)
    served.redis.pause()
    wait_until(lambda: ask_item(served) and breaker_is_open(served), what="the breaker open")
    served.redis.resume()
    wait_until(lambda: is_hit(ask_item(served, number)), 5, "a hit")
    assert not breaker_is_open(served)
    assert is_hit(ask_redis(served, number))


def test_a_restart_while_nobody_asked_costs_no_request_its_cache(fresh):
    """Every thread's connection lies idle, some with replies to a store unread: the next request reconnects."""
    served = fresh(env={"LARDER_REDIS_TIMEOUT": "5s"})  # none is away when it is asked
    together(lambda _: ask_item(served), range(16))
    served.redis.kill()
    served.redis.start()
    before = metrics(served)  # not before the kill: it may have cut a store off
    for _ in range(16):
        assert ask_item(served)["Cache-Status"] == "larder; fwd=uri-miss; stored"
    assert grown(served, before, "redis_errors_total") == 0


@pytest.mark.parametrize("where", ["redis://127.0.0.1:{port}/0", "unix:/nowhere/redis.sock"])
def test_redis_that_never_started(fresh, where):
    served = fresh(redis=False, env={"LARDER_REDIS": where.format(port=free_port())})
    assert_rides_out(served)


def test_redis_started_after_the_responder(fresh):
    served = fresh()
    served.redis.kill()
    served.restart()
    assert ask_item(served)["Cache-Status"] == DOWN
    served.redis.start()
    assert_redis_returns(served)


def test_a_host_that_answers_no_connection(fresh):
    deaf = Deaf()
    try:
        assert_rides_out(fresh(redis=False, env={"LARDER_REDIS": f"redis://127.0.0.1:{deaf.port}/0"}))
    finally:
        deaf.stop()


def test_half_closed_connections(fresh):
    server = Server(hang_up_half)
    try:
        assert_rides_out(fresh(redis=False, env={"LARDER_REDIS": f"redis://127.0.0.1:{server.port}/0"}))
    finally:
        server.stop()


def test_cut_connections(fresh):
    served = fresh(redis_proxy=True)
    kept = [keep_item(served) for _ in range(3)]
    served.redis_proxy.cut()
    assert_rides_out(served, kept=kept)
    served.redis_proxy.pass_on()
    assert_redis_returns(served)
    assert is_hit(ask_redis(served, kept[0]))


def test_through_nginx_an_answer_looks_as_ever(served):
    """Conditional requests, coded variants and HEAD need no Redis either."""
    number = fresh_id()
    target = f"/pages/{number}"
    headers = {"Accept-Encoding": "gzip"}
    served.redis.kill()
    try:
        answer = served.get(target, headers=headers)
        assert (answer.status, answer["Content-Encoding"], answer["Cache-Status"]) == (200, "gzip", DOWN)
        again = served.get(target, headers={**headers, "If-None-Match": answer["ETag"]})
        assert (again.status, again["ETag"], again.body) == (304, answer["ETag"], b"")
        head = served.request(target, method="HEAD", headers=headers)
        assert (head.status, head["Content-Length"], head["ETag"]) == (200, answer["Content-Length"], answer["ETag"])
        assert_item(served.get(f"/items/{number}"), number)
        served.get("/items/999999").problem(404)
    finally:
        served.redis.start()
    assert_redis_returns(served)
    assert served.get(target, headers=headers)["ETag"] == answer["ETag"]


def test_two_processes_each_have_their_breaker(fresh):
    """The gauge counts processes that leave Redis out."""
    served = fresh(processes=2)
    served.redis.kill()
    wait_until(lambda: together(lambda _: ask_item(served), range(16))
               and metrics(served).sum("larder_redis_breaker_open") == 2, 20, "two open breakers")
    served.redis.start()
    wait_until(lambda: together(lambda _: ask_item(served), range(16))
               and metrics(served).sum("larder_redis_breaker_open") == 0, 20, "no open breaker")
