"""Redis that answers, but not with what was asked for: full, read-only, loading, locked, or talking nonsense."""

import pytest

from faults import (DOWN, PROBE, ROUTES, SCHEMA, Server, ask_item, assert_few_log_lines, assert_redis_returns,
                    assert_rides_out, count, fresh_id, grown, is_hit, keep_item, reply_to_each)
from support.redis_server import Redis
from support.stack import metrics
from support.waiting import wait_until

PASSWORD = "s3cret-w0rd"


@pytest.fixture
def fresh(stack):
    """Of a Redis that answers at once, so that one that is late is a busy machine's."""
    return lambda **options: stack(ROUTES, schema=SCHEMA, nginx=False, **{
        **options, "env": {**PROBE, "LARDER_REDIS_TIMEOUT": "5s", **options.get("env", {})}})


@pytest.fixture
def fake(fresh):
    """A function that serves from a Redis made of one behaviour."""
    servers = []

    def start(behaviour, env=None):
        servers.append(Server(behaviour))
        url = f"redis://127.0.0.1:{servers[-1].port}/0"
        return fresh(redis=False, env={"LARDER_REDIS": url, "LARDER_REDIS_TIMEOUT": "100ms", **(env or {})})

    yield start
    for each in servers:
        each.stop()


# Stores refused: look-ups go on working, so the breaker stays closed.

def test_full_redis_keeps_nothing_and_harms_nothing(fresh):
    served = fresh()
    kept = keep_item(served)
    served.redis.client().config_set("maxmemory", "1")
    before = metrics(served)
    for _ in range(50):
        answer = ask_item(served)
        assert answer["Cache-Status"].startswith("larder; fwd=uri-miss")
        assert is_hit(ask_item(served, kept)), "what is kept is served all the same"
    wait_until(lambda: ask_item(served, kept) and grown(served, before, "redis_store_errors_total") >= 49,
               what="refused stores counted")
    assert count(served, "redis_breaker_open") == 0
    assert grown(served, before, "redis_errors_total") == 0
    assert "OOM" in served.log_text()
    assert_few_log_lines(served)
    served.redis.client().config_set("maxmemory", "0")
    assert_redis_returns(served)


def test_a_refused_store_is_counted_once(fresh):
    """The counter's name says stores; a transaction has several error replies."""
    served = fresh(env={"LARDER_THREADS": "1"})
    served.redis.client().config_set("maxmemory", "1")
    before = metrics(served)
    for _ in range(10):
        ask_item(served)
    served.direct("/items/999999")
    assert grown(served, before, "redis_store_errors_total") == 10


def test_full_redis_that_evicts_goes_on_keeping(fresh):
    served = fresh(redis={"maxmemory": "3mb", "maxmemory-policy": "allkeys-lru"})
    before = metrics(served)

    def fill_on():
        served.direct(f"/pages/{fresh_id()}")
        return served.redis.client().info("stats")["evicted_keys"] > 20

    wait_until(fill_on, 60, "evictions", every=0)
    assert_redis_returns(served)
    assert grown(served, before, "redis_errors_total") == 0
    assert grown(served, before, "redis_store_errors_total") == 0


def test_read_only_replica_serves_hits_and_keeps_nothing(fresh, tmp_path):
    at_once = {"repl-diskless-sync-delay": "0"}
    served = fresh(redis=at_once)
    kept = keep_item(served)
    primary = Redis(f"{tmp_path}/primary", at_once)
    try:
        follow(primary, served.redis)
        primary.client().replicaof("NO", "ONE")
        follow(served.redis, primary)
        wait_until(lambda: is_hit(ask_item(served, kept)), what="a hit from the replica")
        before = metrics(served)
        for _ in range(30):
            number = fresh_id()
            ask_item(served, number)
            assert not is_hit(ask_item(served, number))
            assert is_hit(ask_item(served, kept))
        assert grown(served, before, "redis_store_errors_total") >= 50
        assert grown(served, before, "redis_errors_total") == 0
        assert "READONLY" in served.log_text()
        assert_few_log_lines(served)
        served.redis.client().replicaof("NO", "ONE")
        assert_redis_returns(served)
    finally:
        primary.stop()


def follow(replica, primary):
    replica.client().replicaof("127.0.0.1", str(primary.port))
    wait_until(lambda: replica.client().info("replication").get("master_link_status") == "up", 20, "a replica in step")


# Nothing of use comes back: as good as away.

@pytest.mark.parametrize("reply", [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-BUSY Redis is busy running a script.\r\n",
    b"-ERR max number of clients reached\r\n",
], ids=["loading", "masterdown", "noauth", "busy", "clients"])
def test_errors_that_mean_away(fake, reply):
    assert_rides_out(fake(reply_to_each(reply)))


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\0\0\0\0\0\0\0\0\r\n",
    b"\xff\xfe\xfd" * 100,
    b"*-7\r\n",
    b"*99999999999999999999\r\n",
    b"*3\r\n$-5\r\n",
    b"*3\r\n$999999999999\r\nabc\r\n",
    b"*2147483647\r\n",
    b"*1\r\n" * 2000,
], ids=["http", "zeros", "bytes", "negative", "overflow", "negative-bulk", "huge-bulk", "huge-array", "nested"])
def test_nonsense_that_is_no_reply(fake, reply):
    assert_rides_out(fake(reply_to_each(reply)))


@pytest.mark.parametrize("reply", [
    b"+OK\r\n",
    b":12\r\n",
    b"$-1\r\n",
    b"$5\r\nhello\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*1\r\n$3\r\nabc\r\n",
    b"*3\r\n:1\r\n:2\r\n:3\r\n",
    b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    b"*3\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n",
    b"*3\r\n$9\r\nno record\r\n$4\r\nbody\r\n$4\r\nbody\r\n",
    b"*3\r\n*1\r\n$1\r\na\r\n*0\r\n-ERR inside\r\n",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    b"+OK\r\n+OK\r\n+OK\r\n",
], ids=["status", "number", "nil", "text", "nil-array", "empty", "short", "numbers", "nils", "empties", "record",
        "mixed", "wrongtype", "too-many"])
def test_replies_of_the_wrong_shape_are_never_believed(fake, reply):
    """Well-formed, but not an entry: the answer is PostgreSQL's, each time."""
    served = fake(reply_to_each(reply))
    before = metrics(served)
    number = fresh_id()
    for _ in range(20):
        answer = ask_item(served, number)
        assert not is_hit(answer), answer
    assert grown(served, before, "queries_total") == 20


@pytest.mark.parametrize("field, value", [("m", b""), ("m", b"\0" * 200), ("m", b"x"), ("s", b"short"), ("s", None)])
def test_a_damaged_entry_is_a_miss_and_mended(fresh, field, value):
    served = fresh(env={"LARDER_THREADS": "1"})
    number = keep_item(served)
    client = served.redis.client()
    key, = client.keys("larder:e:*")
    if value is None:
        client.hdel(key, field)
    else:
        client.hset(key, field, value)
    assert not is_hit(ask_item(served, number))
    assert is_hit(ask_item(served, number))


def test_a_key_of_another_kind_is_a_miss(fresh):
    """HMGET on a string: an error reply, which must not keep Larder from the whole of Redis."""
    served = fresh(env={"LARDER_THREADS": "1"})
    number = keep_item(served)
    client = served.redis.client()
    key, = client.keys("larder:e:*")
    client.set(key, "text")
    other = fresh_id()
    for _ in range(20):
        ask_item(served, number)
    ask_item(served, other)
    assert is_hit(ask_item(served, other)), "one bad key took the cache away from all others"
    assert count(served, "redis_breaker_open") == 0


# Passwords and databases

def test_right_password_and_database(fresh):
    served = fresh(redis={"requirepass": PASSWORD},
                   env={"LARDER_REDIS": f"redis://:{PASSWORD}@127.0.0.1:{{stack.redis.port}}/3"})
    keep_item(served)
    assert served.redis.entries(3) and not served.redis.entries(0)
    assert PASSWORD not in served.log_text()


@pytest.mark.parametrize("user", ["", "default", "nobody"])
def test_wrong_password(fresh, user):
    wrong = "wr0ng-secret"
    served = fresh(redis={"requirepass": PASSWORD},
                   env={"LARDER_REDIS": f"redis://{user}:{wrong}@127.0.0.1:{{stack.redis.port}}/0"})
    assert_rides_out(served, secrets=[wrong, PASSWORD])
    if user != "nobody":
        served.redis.client().config_set("requirepass", wrong)
        assert_redis_returns_by_itself(served)


def assert_redis_returns_by_itself(served):
    number = fresh_id()
    wait_until(lambda: is_hit(ask_item(served, number)), what="a hit once the password is right")


def test_password_that_is_missing(fresh):
    served = fresh(redis={"requirepass": PASSWORD})
    assert_rides_out(served, secrets=[PASSWORD])


def test_database_that_is_not_there(fresh):
    served = fresh(env={"LARDER_REDIS": "redis://127.0.0.1:{stack.redis.port}/99"})
    assert_rides_out(served)


def test_password_changed_while_running(fresh):
    served = fresh()
    number = keep_item(served)
    served.redis.client().config_set("requirepass", PASSWORD)
    admin = served.redis.client(password=PASSWORD)
    admin.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: ask_item(served)["Cache-Status"] == DOWN, what="the refusal noticed")
    assert_rides_out(served, secrets=[PASSWORD])
    admin.config_set("requirepass", "")
    wait_until(lambda: is_hit(ask_item(served, number)), what="a hit again")
