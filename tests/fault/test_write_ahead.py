"""A write is answered before Redis has bumped its tags: what the host's processes believe until then."""

import itertools
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from faults import PROBE, breaker_is_open
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, detail, is_hit, keep
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = ("CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);"
          "INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 40) AS n;" + SENTINEL_SCHEMA)
READ = "-- @depends users.id = :id\nSELECT id, name FROM users WHERE id = :id"
ROUTES = SENTINEL_ROUTE | {
    "user": "-- @http GET /users/{id}\n-- @result row\n-- @cache ttl=300s\n" + READ,
    "far": "-- @http GET /far/{id}\n-- @result row\n-- @cache ttl=300s l1=off\n" + READ,
    "rename": "-- @http PUT /users/{id}\n-- @param name text in=query\nUPDATE users SET name = :name WHERE id = :id",
    "long": "-- @http POST /users/{id}\n-- @param name text in=query\n-- @result row\n"
            "UPDATE users SET name = :name WHERE id = :id RETURNING id, repeat(name, 100000) AS text",
    "through": "-- @http PATCH /users/{id}\n-- @param name text in=query\n-- @refreshes GET /users/{id}\n"
               "UPDATE users SET name = :name WHERE id = :id",
}
FEED = b":f\r\n"  # the end of the feed's name: a bump says it, a look-up does not
PAGES = ("/users/{}", "/far/{}")
PROCESSES = 3
ids = itertools.count(1)


@pytest.fixture
def served(stack):
    """Redis may take its time: a bump that is held up is late, not lost."""
    stacked = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, processes=PROCESSES,
                    redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "8s", "LARDER_GUARD_TTL": "60s"})
    barrier(stacked)
    return stacked


def kept(stack, user):
    """Hits so often that each process has the page in its memory, of those that may."""
    for page in PAGES:
        for _ in range(4 * PROCESSES):
            keep(lambda: stack.direct(page.format(user)))


def rename(stack, user, name, method="PUT"):
    answer = stack.direct(f"/users/{user}?name={name}", method=method, timeout=20)
    assert answer.status == 204, answer


def assert_fresh_everywhere(stack, user, name):
    for page in PAGES:
        for _ in range(4 * PROCESSES):
            answer = stack.direct(page.format(user), timeout=20)
            assert answer.json() == {"id": user, "name": name}, answer


def grown(stack, before, name):
    return metrics(stack).sum(name) - before.sum(name)


def test_nobody_believes_what_redis_has_not_bumped_yet(served):
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    served.redis_proxy.keep_back(FEED)
    rename(served, user, "new")
    assert grown(served, before, "larder_struck_tags_total") == 0, "answered ahead of Redis"
    wait_until(lambda: served.redis_proxy.kept_back > 0, what="Redis told")
    assert_fresh_everywhere(served, user, "new")
    assert detail(served.direct(f"/far/{user}")) == "struck"
    served.redis_proxy.pass_on()
    wait_until(lambda: grown(served, before, "larder_struck_tags_total") > 0, 20, "the bump's number")
    assert grown(served, before, "larder_strikes_left_total") == 0
    kept(served, user)
    assert_fresh_everywhere(served, user, "new")


def test_a_look_up_of_before_the_bump_is_not_believed_after_it(served):
    """Redis called it fresh, and says so when the strike is not awaited any more."""
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    served.redis_proxy.keep_back(FEED, 2.0)
    rename(served, user, "new")
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(served.direct, f"/far/{user}", timeout=20)
        wait_until(lambda: served.redis_proxy.delayed > 0, 10, "Redis' word on the page")
        served.redis_proxy.pass_on()
        wait_until(lambda: grown(served, before, "larder_struck_tags_total") > 0, 20, "the bump's number")
        assert answers.result().json() == {"id": user, "name": "new"}


def test_others_pages_are_believed_meanwhile(served):
    user, other = next(ids), next(ids)
    kept(served, user)
    kept(served, other)
    served.redis_proxy.keep_back(FEED)
    rename(served, user, "new")
    for page in PAGES:
        assert is_hit(served.direct(page.format(other)))
    served.redis_proxy.pass_on()


def test_a_process_killed_before_redis_was_told(served):
    """Its answer is out: the host's other processes know that a bump is on its way, until larderd sees to it."""
    user = next(ids)
    kept(served, user)
    served.redis_proxy.keep_back(FEED)
    rename(served, user, "new")
    served.api.signal(signal.SIGKILL)
    wait_until(lambda: not served.api.running(), 20, "the end of all processes")
    served.restart()
    assert_fresh_everywhere(served, user, "new")
    served.redis_proxy.pass_on()
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.outbox") == [(0,)], 20, "larderd's bump")
    assert_fresh_everywhere(served, user, "new")


def test_the_end_of_the_processes_waits_for_redis_word(served):
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    served.redis_proxy.keep_back(FEED)
    rename(served, user, "new")
    served.api.signal(signal.SIGTERM)
    served.redis_proxy.pass_on()
    wait_until(lambda: not served.api.running(), 20, "the end of all processes")
    served.restart()
    assert grown(served, before, "larder_struck_tags_total") > 0
    assert grown(served, before, "larder_strikes_left_total") == 0
    assert_fresh_everywhere(served, user, "new")


def test_a_redis_that_was_told_and_never_answers(served):
    """The number is the host's own then, as if Redis had been away."""
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    served.redis_proxy.keep_back(FEED)
    rename(served, user, "new")
    served.redis_proxy.drop()
    wait_until(lambda: grown(served, before, "larder_strikes_left_total") > 0, 20, "a strike of the host's own")
    assert_fresh_everywhere(served, user, "new")
    served.redis_proxy.pass_on()


def test_a_redis_that_does_not_know_the_script(served):
    user = next(ids)
    for name in ("first", "second"):
        kept(served, user)
        before = metrics(served)
        served.redis.client().script_flush()
        rename(served, user, name)
        assert_fresh_everywhere(served, user, name)
        wait_until(lambda: grown(served, before, "larder_struck_tags_total") > 0, 20, "the bump's number")
        assert grown(served, before, "larder_strikes_left_total") == 0


def test_what_is_refreshed_waits_for_redis(served):
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    rename(served, user, "new", "PATCH")
    assert grown(served, before, "larder_struck_tags_total") > 0
    assert_fresh_everywhere(served, user, "new")


def test_writes_alone_bring_back_a_redis_that_forgot_the_script(stack):
    """The write that tries it again is told that the script is not known, and tells it: nobody else is there to."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, env=PROBE)
    user = next(ids)

    def written():
        rename(served, user, f"name{next(ids)}")
        return True

    served.redis.kill()
    wait_until(lambda: written() and breaker_is_open(served), what="the breaker open")
    served.redis.start()
    wait_until(lambda: written() and not breaker_is_open(served), 10, "the breaker closed")
    before = metrics(served)
    written()
    wait_until(lambda: grown(served, before, "larder_struck_tags_total") > 0, 10, "the bump's number")
    assert grown(served, before, "larder_strikes_left_total") == 0


def test_the_answer_does_not_wait_until_redis_can_be_told(stack):
    """Its connection is gone, and the new one is not ready: in a database other than 0 Redis is asked for that first."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, redis_proxy=True, env={
        "LARDER_REDIS_TIMEOUT": "8s", "LARDER_REDIS": "redis://127.0.0.1:{stack.redis_proxy.port}/1"})
    user = next(ids)
    rename(served, user, "old")
    wait_until(lambda: metrics(served).sum("larder_struck_tags_total") > 0, 10, "the first bump")
    before = metrics(served)
    served.redis_proxy.keep_back(b"SELECT")
    served.redis_proxy.drop()
    rename(served, user, "new")
    assert grown(served, before, "larder_strikes_left_total") == 0
    assert grown(served, before, "larder_struck_tags_total") == 0
    served.redis_proxy.pass_on()
    wait_until(lambda: grown(served, before, "larder_struck_tags_total") > 0, 20, "the bump's number")
    assert grown(served, before, "larder_strikes_left_total") == 0
    assert_fresh_everywhere(served, user, "new")


def test_a_long_answer_waits_for_redis(served):
    """Its reader may take longer over it than others await the strike."""
    user = next(ids)
    kept(served, user)
    before = metrics(served)
    served.redis_proxy.keep_back(FEED)
    answer = served.direct(f"/users/{user}?name=new", method="POST", timeout=20)
    assert answer.status == 200 and len(answer.body) > 64 * 1024
    assert grown(served, before, "larder_strikes_left_total") == 1, "its time was over, and Redis had not answered"
    assert_fresh_everywhere(served, user, "new")
