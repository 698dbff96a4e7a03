"""@kv routes while Redis is away, stopped, full or forbidden: 503 within the bound, and all well afterwards."""

import pytest

from faults import SLACK
from support.waiting import wait_until

ROUTES = {
    "set": "-- @http PUT /v/{key}\n-- @param value text in=query\n-- @kv set key={key} value={value} ttl=1h\n",
    "get": "-- @http GET /v/{key}\n-- @kv get key={key}\n",
    "delete": "-- @http DELETE /v/{key}\n-- @kv delete key={key}\n",
}
PROBE = {"LARDER_REDIS_PROBE": "50ms", "LARDER_REDIS_TIMEOUT": "100ms"}


@pytest.fixture
def served(stack):
    return stack(ROUTES, nginx=False, env=PROBE)


def every(stack, key="k"):
    return [stack.direct(f"/v/{key}?value=x", method="PUT"), stack.direct(f"/v/{key}"),
            stack.direct(f"/v/{key}", method="DELETE")]


def assert_away(stack):
    for _ in range(4):
        for answer in every(stack):
            assert answer.problem(503)["detail"] == "The store of values can't be reached."
            assert answer["Retry-After"] == "1"
            assert answer.seconds < 0.1 + SLACK, answer.seconds


def assert_back(stack):
    wait_until(lambda: [answer.status for answer in every(stack)] == [200, 200, 204], 5, "values kept again")


def test_redis_killed(served):
    assert_back(served)
    served.redis.kill()
    assert_away(served)
    served.redis.start()
    assert_back(served)


def test_redis_stopped(served):
    assert_back(served)
    served.redis.pause()
    try:
        assert_away(served)
    finally:
        served.redis.resume()
    assert_back(served)


def test_redis_full(stack):
    """A value that is not kept is never answered with 200; what is there can be read and deleted."""
    served = stack(ROUTES, nginx=False, env=PROBE)
    assert served.direct("/v/old?value=x", method="PUT").status == 200
    served.redis.client().config_set("maxmemory", "1")
    served.direct("/v/new?value=x", method="PUT").problem(503)
    assert served.direct("/v/new").status == 404
    assert served.direct("/v/old").status == 200
    assert served.direct("/v/old", method="DELETE").status == 204
    served.redis.client().config_set("maxmemory", "0")
    assert_back(served)


def test_a_user_without_the_right_to_read(stack):
    """A refusal is no "not found"."""
    served = stack(ROUTES, nginx=False, env=PROBE | {"LARDER_REDIS": None})
    served.redis.client().acl_setuser("writer", enabled=True, passwords=["+x"], keys=["larder:*"],
                                      commands=["+@all", "-get"])
    served.overrides = PROBE | {"LARDER_REDIS": f"redis://writer:x@127.0.0.1:{served.redis.port}/0"}
    served.restart()
    assert [answer.status for answer in every(served)] == [200, 503, 204]
