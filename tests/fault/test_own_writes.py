"""Nobody on a host reads what is older than an answered write, whatever happens to Redis' word on it."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, is_hit
from support.stack import metrics
from support.waiting import wait_until

ROWS = 4
WRITERS = 2 * ROWS  # two of them to a row
WRITES = 40  # of each
SCHEMA = ("CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL);"
          f"INSERT INTO counts SELECT n, 0 FROM generate_series(1, {ROWS}) AS n;" + SENTINEL_SCHEMA)
READ = "-- @depends counts.id = :id\nSELECT n FROM counts WHERE id = :id"
ROUTES = SENTINEL_ROUTE | {
    "one": "-- @http GET /one/{id}\n-- @result row\n-- @cache ttl=300s stale=60s\n" + READ,
    "far": "-- @http GET /far/{id}\n-- @result row\n-- @cache ttl=300s l1=off\n" + READ,
    "add": "-- @http POST /one/{id}\n-- @result row\nUPDATE counts SET n = n + 1 WHERE id = :id RETURNING n",
    "through": "-- @http PUT /one/{id}\n-- @result row\n-- @refreshes GET /one/{id}\n"
               "UPDATE counts SET n = n + 1 WHERE id = :id RETURNING n",
}
BUMP = b":f\r\n"


@pytest.fixture
def served(stack):
    stacked = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, processes=3, redis_proxy=True,
                    env={"LARDER_GUARD_TTL": "60s", "LARDER_REDIS_PROBE": "20ms", "LARDER_REDIS_TIMEOUT": "100ms"})
    barrier(stacked)
    return stacked


def disturb(stack, ended):
    """Redis forgets its scripts, is slow, loses its connections, and hears of bumps late or not at all."""
    faults = itertools.cycle([
        lambda: stack.redis.client().script_flush(),
        lambda: stack.redis_proxy.delay(0.02),
        lambda: stack.redis_proxy.keep_back(BUMP),
        lambda: stack.redis_proxy.drop(),
        lambda: stack.redis_proxy.keep_back(BUMP, 0.01),
        lambda: stack.redis_proxy.pass_on(),
        lambda: stack.redis_proxy.pass_on(),
    ])
    while not ended.wait(0.05):
        next(faults)()
    stack.redis_proxy.pass_on()


class Reads:
    """What was read, of which some must be hits: else nothing is tried here."""

    def __init__(self):
        self.old, self.hits = [], 0

    def read(self, stack, page, least):
        answer = stack.direct(page, timeout=20)
        self.hits += is_hit(answer)
        if answer.json()["n"] < least:
            self.old.append(f"{page}: {answer.json()} after an answer of {least}: {answer['Cache-Status']}")


def write_and_read(stack, number, reads):
    row = number % ROWS + 1
    method = "PUT" if number % 5 == 4 else "POST"
    for _ in range(WRITES):
        answer = stack.direct(f"/one/{row}", method=method, timeout=20)
        assert answer.status == 200, answer
        for page in (f"/one/{row}", f"/far/{row}", f"/one/{row}"):
            reads.read(stack, page, answer.json()["n"])


def test_no_read_is_older_than_an_answered_write(served):
    reads, ended = Reads(), threading.Event()
    disturber = threading.Thread(target=disturb, args=(served, ended))
    disturber.start()
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda number: write_and_read(served, number, reads), range(WRITERS)))
    finally:
        ended.set()
        disturber.join()
    assert not reads.old, "\n".join(reads.old[:10])
    assert reads.hits


def test_an_early_refresh_by_a_clock_that_is_ahead_is_struck_without_redis(stack):
    """As after Redis began anew: its clock was set ahead of the host's, and nothing but a refresh has heard of that."""
    routes = {"slow": "-- @http GET /one/{id}\n-- @result row\n-- @cache ttl=8s\n"
                      "-- @depends counts.id = :id\nSELECT n, pg_sleep(1)::text FROM counts WHERE id = :id",
              "add": ROUTES["add"]}
    served = stack(routes, schema=SCHEMA, nginx=False, install=True, env={"LARDER_GUARD_TTL": "60s"})
    wait_until(lambda: is_hit(served.direct("/one/1")), 20, "a page kept")
    client, hour = served.redis.client(), 3600 * 1000000
    client.hincrby("larder:c", "n", hour)
    before = metrics(served).sum("larder_cache_stores_total")

    def refreshed():
        return served.direct("/one/1") and metrics(served).sum("larder_cache_stores_total") > before

    wait_until(refreshed, 60, "an early refresh", every=0)
    served.redis.kill()
    assert served.direct("/one/1", method="POST").json() == {"n": 1}
    assert served.direct("/one/1").json()["n"] == 1
