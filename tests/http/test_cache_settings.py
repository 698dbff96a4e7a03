"""The cache as its settings want it: where Redis is, who may use it, bounds, and life without it."""

import pytest

from support.stack import REDIS_TIER, metrics, queries
from support.waiting import wait_until

PASSWORD = "p@ss/w:rd%"
QUOTED = "p%40ss%2Fw%3Ard%25"
ROUTES = {
    "one": "-- @http GET /one\n-- @result row\n-- @cache ttl=60s\nSELECT 1 AS a\n",
    "sized": "-- @http GET /sized\n-- @param n int\n-- @result value\n-- @cache ttl=60s\nSELECT repeat('x', :n)\n",
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    stack = shared_stack(ROUTES, redis={"requirepass": PASSWORD, "databases": 8}, env=REDIS_TIER | {"LARDER_REDIS": None})
    stack.redis.client().acl_setuser("keeper", enabled=True, passwords=[f"+{PASSWORD}"], keys=["shop:*"],
                                     commands=["+@all"])
    return stack


@pytest.fixture
def served(shared):
    """Restarts the responder with the settings given and an empty Redis."""
    def restart(**settings):
        shared.redis.client().flushall()
        shared.overrides = {name: value and value.replace("PORT", str(shared.redis.port)) for name, value in
                            (REDIS_TIER | {"LARDER_REDIS": f"redis://:{QUOTED}@127.0.0.1:PORT/0"} | settings).items()}
        shared.restart()
        return shared
    return restart


def kept(stack, target="/one"):
    """Is that answer hit once it was asked for?"""
    stack.get(target)
    return wait_until(lambda: stack.get(target)["Cache-Status"].startswith("larder; hit"), 3)


@pytest.mark.parametrize("address, database", [
    (f"redis://:{QUOTED}@127.0.0.1:PORT", 0),
    (f"redis://:{QUOTED}@127.0.0.1:PORT/3", 3),
    (f"redis://default:{QUOTED}@localhost:PORT/0", 0),
])
def test_an_address_with_a_password_and_a_database(served, address, database):
    stack = served(LARDER_REDIS=address)
    assert kept(stack)
    assert {each: len(stack.redis.entries(each)) for each in range(8)} == {each: int(each == database)
                                                                      for each in range(8)}


def test_a_user_who_may_only_use_larders_keys(served):
    stack = served(LARDER_REDIS=f"redis://keeper:{QUOTED}@127.0.0.1:PORT/1", LARDER_PREFIX="shop")
    assert kept(stack)
    (key,) = stack.redis.entries(1)
    assert key.startswith("shop:e:")


@pytest.mark.parametrize("query, database", [("", 0), ("?db=2", 2)])
def test_a_unix_socket(shared_stack, query, database):
    stack = shared_stack(ROUTES, nginx=False, env=REDIS_TIER | {"LARDER_REDIS": "unix:{stack.redis.socket}" + query})
    stack.direct("/one")
    wait_until(lambda: stack.direct("/one")["Cache-Status"].startswith("larder; hit"), 3)
    assert len(stack.redis.entries(database)) == 1


@pytest.mark.parametrize("address", ["redis://:wrong-secret@127.0.0.1:PORT/0", "redis://127.0.0.1:PORT/0",
                                     "redis://keeper:wrong-secret@127.0.0.1:PORT/0",
                                     f"redis://:{QUOTED}@127.0.0.1:PORT/99"])
def test_without_the_right_to_use_redis_the_database_answers(served, address):
    stack = served(LARDER_REDIS=address)
    before = metrics(stack).sum("larder_redis_errors_total")
    for _ in range(3):
        answer = stack.get("/one")
        assert answer.json() == {"a": 1}
        assert answer["Cache-Status"] == "larder; fwd=bypass; detail=redis-down"
    assert metrics(stack).sum("larder_redis_errors_total") > before
    assert "redis" in stack.log_text()
    for secret in ("wrong-secret", PASSWORD, QUOTED):
        assert secret not in stack.log_text()


@pytest.mark.parametrize("prefix", [None, "shop", "a-b.c_1"])
def test_the_prefix_of_all_keys(served, prefix):
    stack = served(LARDER_PREFIX=prefix)
    for number in range(3):
        assert kept(stack, f"/sized?n={number}")
    assert len(stack.redis.entries()) == 3
    assert all(key.startswith(f"{prefix or 'larder'}:e:") for key in stack.redis.entries())


def test_two_installations_share_a_redis_without_sharing_answers(served):
    stack = served(LARDER_PREFIX="first")
    assert kept(stack)
    stack.overrides["LARDER_PREFIX"] = "second"
    stack.restart()
    assert stack.get("/one")["Cache-Status"].startswith("larder; fwd=uri-miss")


@pytest.mark.parametrize("settings", [{"LARDER_REDIS": None}, {"LARDER_REDIS": ""}, {"LARDER_CACHE": "off"}])
def test_without_a_cache_every_answer_comes_from_the_database(served, settings):
    stack = served(**settings)
    before, errors = queries(stack), metrics(stack).sum("larder_redis_errors_total")
    lookups = stack.redis.calls("exists")  # each look-up asks for the heartbeat by it, and nothing else does
    for number in range(3):
        answer = stack.get("/one")
        assert (answer.status, answer.json(), answer["Age"]) == (200, {"a": 1}, None)
        assert answer["Cache-Status"] == "larder; fwd=bypass"
        assert stack.get("/one", headers={"If-None-Match": answer["ETag"]}).status == 304
        assert queries(stack) == before + 2 * number + 2
    assert stack.redis.entries() == [] and stack.redis.calls("exists") == lookups
    assert metrics(stack).sum("larder_redis_errors_total") == errors


def test_an_answer_beyond_the_entry_bound_is_sent_and_not_kept(served):
    stack = served(LARDER_ENTRY_MAX="4KB")
    least, before = len(b'""'), metrics(stack).sum("larder_cache_too_large_total")
    assert kept(stack, f"/sized?n={4096 - least}")
    for _ in range(2):
        answer = stack.get(f"/sized?n={4097 - least}")
        assert len(answer.body) == 4097 and answer["Cache-Status"] == "larder; fwd=uri-miss"
    assert len(stack.redis.entries()) == 1
    assert metrics(stack).sum("larder_cache_too_large_total") == before + 2


def test_answers_are_compressed_from_a_size_on(served):
    stack = served(LARDER_COMPRESS_MIN="100B")
    for size, coding in ((99, None), (100, "gzip")):
        answer = stack.get(f"/sized?n={size - 2}", headers={"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == coding
