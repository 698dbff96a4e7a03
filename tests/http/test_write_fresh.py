"""A writer reads its own writes: whichever process of the host answers the next GET, it is fresh; other hosts follow."""

import concurrent.futures
import itertools
import statistics
import time

import pytest

from support import clocks, fastcgi
from support.coherent import (SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, detail, is_hit, keep, newest_bump, outbox_unread,
                              wait_for_body, wait_heard)
from support.gate import learning
from support.host import Host
from support.stack import metrics, queries
from support.waiting import wait_until

SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE parts (id serial PRIMARY KEY, author int REFERENCES users DEFERRABLE INITIALLY DEFERRED, word text);
CREATE TABLE elsewhere (id int PRIMARY KEY, word text);
INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 40) AS n;
INSERT INTO parts (author, word) SELECT n, 'word' FROM generate_series(1, 40) AS n;
INSERT INTO elsewhere VALUES (1, 'old'), (2, 'old');
CREATE FUNCTION hidden(which int) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN (SELECT word FROM elsewhere WHERE id = which); END $$;
"""
CACHED = "-- @cache ttl=300s\n"
ROUTES = SENTINEL_ROUTE | {
    "user": "-- @http GET /users/{id}\n-- @result row\n" + CACHED + "-- @depends users.id = :id\n"
            "SELECT id, name FROM users WHERE id = :id",
    "far": "-- @http GET /far/{id}\n-- @result row\n-- @cache ttl=300s l1=off\n-- @depends users.id = :id\n"
           "SELECT id, name FROM users WHERE id = :id",
    "parts": "-- @http GET /users/{id}/parts\n" + CACHED + "-- @depends parts.author = :id\n"
             "SELECT word FROM parts WHERE author = :id ORDER BY id",
    "all": "-- @http GET /users\n-- @result row\n" + CACHED + "SELECT count(*) AS users FROM users",
    "hidden": "-- @http GET /hidden/{which}\n-- @result row\n" + CACHED + "-- @tags hidden hidden:{which}\n"
              "-- @param which int\nSELECT hidden(:which) AS word",
    "hide": "-- @http PUT /words/{which}\n-- @param word text in=query\n-- @invalidates hidden:{which}\n"
            "UPDATE elsewhere SET word = :word WHERE id = :which",
    "hide-all": "-- @http PUT /words\n-- @param word text in=query\n-- @invalidates hidden\n"
                "UPDATE elsewhere SET word = :word",
    "rename": "-- @http PUT /users/{id}\n-- @result row\n-- @param name text in=query\n"
              "UPDATE users SET name = :name WHERE id = :id RETURNING id, name",
    "through": "-- @http PATCH /users/{id}\n-- @param name text in=query\n-- @refreshes GET /users/{id}\n"
               "-- @refreshes GET /users/{next}\n-- @result row\n"
               "UPDATE users SET name = :name WHERE id = :id RETURNING id, id + 1 AS next",
    "slow": "-- @http GET /slow/{id}\n-- @result row\n" + CACHED +
            "SELECT name FROM users, pg_sleep(8) WHERE id = :id",
    "hasty": "-- @http PATCH /slow/{id}\n-- @param name text in=query\n-- @timeout 1s\n-- @refreshes GET /slow/{id}\n"
             "UPDATE users SET name = :name WHERE id = :id",
    "several": "-- @http POST /users/{id}/parts\n-- @param word text in=query\n"
               "UPDATE users SET name = :word WHERE id = :id;\n"
               "INSERT INTO parts (author, word) VALUES (:id, :word)",
    "loose": "-- @http GET /loose/{id}\n-- @result row\n" + CACHED +
             "SELECT word FROM larder_loose WHERE id = :id",
    "loosen": "-- @http PUT /loose/{number}\n-- @param word text in=query\n-- @param number int\n"
              "UPDATE larder_loose SET word = :word WHERE id = :number",
}
names = itertools.count(1)


@pytest.fixture(scope="module")
def shared(shared_stack):
    served = shared_stack(ROUTES, schema=SCHEMA + "CREATE TABLE larder_loose (id int PRIMARY KEY, word text);"
                          "INSERT INTO larder_loose VALUES (1, 'old'), (2, 'old')",
                          nginx=False, install=True, larderd=True, processes=4)
    barrier(served)
    return served


@pytest.fixture
def served(shared):
    return shared


def put(stack, target, method="PUT"):
    answer = stack.direct(target, method=method)
    assert answer.status in (200, 204), answer
    return answer


def get(stack, target):
    return stack.direct(target)


def kept_everywhere(stack, target, times=12):
    """A hit from memory so often that more than one process has it."""
    for _ in range(times):
        keep(lambda: get(stack, target))


# On the same host: at once

def test_the_next_read_is_fresh_in_every_process(served):
    kept_everywhere(served, "/users/1")
    for number in range(200):
        put(served, f"/users/1?name=n{number}")
        for _ in range(3):
            assert get(served, "/users/1").json() == {"id": 1, "name": f"n{number}"}


def test_many_writers_and_readers_at_once(served):
    def pairs(user):
        for number in range(100):
            put(served, f"/users/{user}?name=n{number}")
            body = get(served, f"/users/{user}").json()
            assert body == {"id": user, "name": f"n{number}"}, body
            assert get(served, f"/far/{user}").json() == body

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(pairs, range(2, 6)))


def test_every_statement_of_the_transaction_counts(served):
    for number in range(20):
        keep(lambda: get(served, "/users/7"))
        keep(lambda: get(served, "/users/7/parts"))
        put(served, f"/users/7/parts?word=w{number}", "POST")
        assert get(served, "/users/7").json()["name"] == f"w{number}"
        assert get(served, "/users/7/parts").json()[-1] == {"word": f"w{number}"}


def test_others_rows_stay_kept(served):
    keep(lambda: get(served, "/users/8"))
    put(served, "/users/9?name=x")
    before = queries(served)
    assert is_hit(get(served, "/users/8"))
    assert queries(served) == before


def test_many_tags_struck_make_no_page_of_redis_a_query(served):
    """Of many that were struck since a page was made some share its tags' places in the host's memory."""
    keep(lambda: get(served, "/far/13"))
    put(served, "/users/14?name=x")
    wait_heard(served)
    clocks.fill(served.run, newest_bump(served))
    clocks.arrive(served.run, time.monotonic() + 5)
    before = queries(served)
    answer = get(served, "/far/13")
    assert is_hit(answer), answer
    assert detail(answer) == "redis" and queries(served) == before


def write_often(served, user, patience):
    """Until nothing waits to be struck."""
    for number in range(20):
        put(served, f"/users/{user}?name=n{number}")
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0, patience, "nothing waiting")


def test_what_the_responder_bumped_is_not_bumped_again(served):
    barrier(served)
    before = metrics(served)
    with outbox_unread(served):
        write_often(served, 10, 10)
    barrier(served)
    after = metrics(served)
    assert after.sum("larder_bumped_tags_total") - before.sum("larder_bumped_tags_total") < 5, "those of the barrier"
    assert after.sum("larder_struck_tags_total") - before.sum("larder_struck_tags_total") >= 20
    assert after.sum("larder_strikes_left_total") == before.sum("larder_strikes_left_total")


def test_nor_while_postgresql_is_asked_about_routes(served):
    """The main thread may wait for PostgreSQL for seconds; larderd takes what has been left for half a second."""
    barrier(served)
    before = metrics(served)
    with learning(served, served.api, "elsewhere"):
        write_often(served, 12, 20)
    barrier(served)
    after = metrics(served)
    assert after.sum("larder_bumped_tags_total") - before.sum("larder_bumped_tags_total") < 5, "those of the barrier"


# On another host: by the feed

def test_another_host_is_fresh_within_moments(served, tmp_path):
    seconds = []
    with Host(served, f"{tmp_path}/second", pools=("api",)) as second:
        for number in range(30):
            keep(lambda: second.direct("/users/11"), "l1")
            put(served, f"/users/11?name=h{number}")
            seconds.append(wait_for_body(lambda: second.direct("/users/11"), {"id": 11, "name": f"h{number}"}))
    print(f"\nwrite to fresh on another host: median {statistics.median(seconds) * 1000:.2f} ms, worst"
          f" {max(seconds) * 1000:.2f} ms")
    assert statistics.median(seconds) < 0.5, "without the feed it were the guard time"


# @invalidates

def test_invalidates_strikes_tags_of_the_routes_own(served):
    for which in (1, 2):
        kept_everywhere(served, f"/hidden/{which}")
    put(served, "/words/1?word=new")
    for _ in range(8):
        assert get(served, "/hidden/1").json() == {"word": "new"}
    assert is_hit(get(served, "/hidden/2"))
    put(served, "/words?word=all")
    for which in (1, 2):
        assert get(served, f"/hidden/{which}").json() == {"word": "all"}


# @refreshes

def test_refreshes_makes_the_read_a_hit_right_after(served):
    """larderd, not told of a bump in half a second, would make it again: it is kept from that, and nothing else is to."""
    with outbox_unread(served):
        for _ in range(30):
            name = f"t{next(names)}"
            put(served, f"/users/21?name={name}", "PATCH")
            before = queries(served)
            answers = [get(served, "/users/21") for _ in range(4)]
            assert all(answer.json() == {"id": 21, "name": name} for answer in answers), answers
            answers.append(get(served, "/users/22"))
            assert all(map(is_hit, answers)), answers
            assert queries(served) == before


def test_a_refresh_of_a_route_that_is_not_there_harms_nothing(served):
    served.sql("INSERT INTO users VALUES (41, 'last') ON CONFLICT DO NOTHING")
    before = metrics(served).sum("larder_write_through_total")
    assert put(served, "/users/41?name=end", "PATCH").json() == {"id": 41, "next": 42}
    assert get(served, "/users/41").json()["name"] == "end"
    wait_until(lambda: metrics(served).sum("larder_write_through_total") > before, 5, "the write-through")


def test_a_slow_refresh_takes_no_more_than_the_writes_own_time(served):
    begin = time.monotonic()
    put(served, "/slow/43?name=hasty", "PATCH")
    assert time.monotonic() - begin < 5


# Without triggers the URI itself is struck

def test_the_uri_written_to_is_fresh_without_triggers(shared_stack):
    """Nothing is installed: a write through Larder shows at its own URI at once all the same."""
    served = shared_stack({name: ROUTES[name] for name in ("loose", "loosen")},
                          schema="CREATE TABLE larder_loose (id int PRIMARY KEY, word text);"
                          "INSERT INTO larder_loose VALUES (1, 'old'), (2, 'old')", nginx=False, processes=2,
                          env={"LARDER_GUARD_TTL": "60s"})
    for number in range(10):
        for each in (1, 2):
            keep(lambda: get(served, f"/loose/{each}"))
        put(served, f"/loose/1?word=w{number}")
        for _ in range(4):
            assert get(served, "/loose/1").json() == {"word": f"w{number}"}
        assert is_hit(get(served, "/loose/2"))


# Redis away

def test_a_write_is_fresh_on_its_host_while_redis_is_away(shared_stack):
    served = shared_stack(ROUTES, schema=SCHEMA + "CREATE TABLE larder_loose (id int PRIMARY KEY, word text);",
                          nginx=False, install=True, larderd=True, processes=2, redis_proxy=True,
                          env={"LARDER_REDIS_TIMEOUT": "100ms"})
    barrier(served)
    kept_everywhere(served, "/users/1")
    served.redis_proxy.stall()
    for number in range(5):
        put(served, f"/users/1?name=away{number}")
        for _ in range(4):
            assert get(served, "/users/1").json() == {"id": 1, "name": f"away{number}"}
    wait_until(lambda: metrics(served).sum("larder_strikes_left_total") >= 5, what="all counted, behind their answers")
    served.redis_proxy.pass_on()
    for _ in range(40):
        assert get(served, "/users/1").json() == {"id": 1, "name": "away4"}
    wait_until(lambda: detail(get(served, "/users/1")) == "l1", 20, "kept again")
    assert get(served, "/users/1").json() == {"id": 1, "name": "away4"}


def test_a_redis_that_forgot_its_clock_strikes_what_was_kept_before(stack):
    """Emptied, or a replica in its place: its numbers are below those of before. The feed, which could tell of it, is
    not there."""
    routes = {name: ROUTES[name] for name in ("user", "rename")}
    served = stack(routes, schema=SCHEMA, nginx=False, install=True, redis={"rename-command": ["SUBSCRIBE", ""]},
                   env={"LARDER_GUARD_TTL": "10m"})
    redis, struck = served.redis.client(), "larder_struck_tags_total"
    assert served.direct("/users/2").status == 200
    redis.hincrby("larder:c", "n", 60 * 1000000)
    wait_until(lambda: detail(served.direct("/users/1")) == "l1", 20, "an answer in memory")
    redis.flushall()
    before = metrics(served).sum(struck)
    assert served.direct("/users/1?name=other", method="PUT").status == 200
    wait_until(lambda: metrics(served).sum(struck) > before, 20, "Redis being told")
    assert served.direct("/users/1").json()["name"] == "other"
