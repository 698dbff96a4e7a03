"""Whoever waits for a job's end and then reads sees what it changed, whichever process of the host he asks."""

import pytest

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, is_hit, keep, outbox_unread, wait_for_body
from support.jobs import ended, post
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE elsewhere (word text NOT NULL);
INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 10) AS n;
INSERT INTO elsewhere VALUES ('old');
CREATE FUNCTION rename(whose int, new text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    UPDATE users SET name = new WHERE id = whose;
    RESET ALL;
    RETURN new;
END $$;
CREATE FUNCTION hidden() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT word FROM elsewhere); END $$;
"""
ROUTES = SENTINEL_ROUTE | {
    "user": "-- @http GET /users/{id}\n-- @result row\n-- @cache ttl=300s\n-- @depends users.id = :id\n"
            "SELECT id, name FROM users WHERE id = :id",
    "hidden": "-- @http GET /hidden\n-- @result row\n-- @cache ttl=300s\n-- @tags hidden\nSELECT hidden() AS word",
    "rename": "-- @http PUT /users/{id}\n-- @result row\n-- @async prefer retries=0\n-- @param name text in=query\n"
              "UPDATE users SET name = :name WHERE id = :id RETURNING id, name",
    "reset": "-- @http PATCH /users/{id}\n-- @result row\n-- @async prefer retries=0\n-- @param name text in=query\n"
             "SELECT rename(:id, :name) AS name",
    "later": "-- @http POST /users/{id}/later\n-- @behind batch=1 every=10ms\n-- @param name text in=query\n"
             "UPDATE users SET name = :name WHERE id = :id",
    "hide": "-- @http PUT /hidden\n-- @result none\n-- @async prefer retries=0\n-- @param word text in=query\n"
            "-- @invalidates hidden\nUPDATE elsewhere SET word = :word",
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    # The guard lasts longer than larderd is held up below: kept answers are believed meanwhile.
    served = shared_stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, queue=True, processes=4,
                          env={"LARDER_GUARD_TTL": "120s"})
    barrier(served)
    return served


def kept_everywhere(stack, target):
    for _ in range(12):
        keep(lambda: stack.direct(target))


def test_a_reader_after_the_wait_sees_what_the_job_changed(shared):
    with outbox_unread(shared):
        for number in range(200):
            kept_everywhere(shared, "/users/1") if number % 20 == 0 else keep(lambda: shared.direct("/users/1"))
            done = post(shared, f"/users/1?name=n{number}", method="PUT", Prefer="respond-async, wait=30")
            assert (done.status, done.json()) == (200, {"id": 1, "name": f"n{number}"})
            for _ in range(3):
                assert shared.direct("/users/1").json() == {"id": 1, "name": f"n{number}"}


def test_what_no_trigger_knows_counts_too(shared):
    with outbox_unread(shared):
        for number in range(20):
            keep(lambda: shared.direct("/hidden"))
            done = post(shared, f"/hidden?word=w{number}", method="PUT", Prefer="respond-async, wait=30")
            assert done.status == 204
            assert shared.direct("/hidden").json() == {"word": f"w{number}"}


@pytest.mark.parametrize("fields", [{}, {"Prefer": "respond-async, wait=30"}], ids=["write", "job"])
def test_a_statement_that_resets_the_settings(shared, fields):
    """Nobody knows then what it struck."""
    with outbox_unread(shared):
        for number in range(5):
            kept_everywhere(shared, "/users/7")
            done = post(shared, f"/users/7?name=n{number}", method="PATCH", **fields)
            assert (done.status, done.json()) == (200, {"name": f"n{number}"})
            for _ in range(12):
                assert shared.direct("/users/7").json() == {"id": 7, "name": f"n{number}"}


def test_who_comes_after_a_reset_leaves_his_tags_where_they_are_taken_at_once(shared):
    """The session is no job's any more, and the next in it has nobody who strikes for him."""
    barrier(shared)
    with outbox_unread(shared):
        for number in range(5):
            post(shared, f"/users/7?name=r{number}", method="PATCH", Prefer="respond-async, wait=30")
            assert post(shared, f"/users/6/later?name=l{number}").status == 202
            wait_until(lambda: shared.sql("SELECT name FROM users WHERE id = 6") == [(f"l{number}",)], 10, "the batch")
            assert shared.sql("SELECT count(*) FROM larder.outbox WHERE tag LIKE '%.id=6' AND lane >= 16") == [(0,)]


def test_others_rows_stay_kept(shared):
    barrier(shared)
    kept_everywhere(shared, "/users/8")
    post(shared, "/users/9?name=x", method="PUT", Prefer="respond-async, wait=30")
    assert is_hit(shared.direct("/users/8"))


def test_what_a_worker_bumped_is_not_bumped_again(shared):
    barrier(shared)
    wait_until(lambda: shared.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0, 10, "nothing waiting")
    before = metrics(shared)
    with outbox_unread(shared):
        for number in range(20):
            post(shared, f"/users/2?name=n{number}", method="PUT", Prefer="respond-async, wait=30")
        wait_until(lambda: shared.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0, 10, "nothing waiting")
    after = metrics(shared)
    def grown(name):
        return after.sum(name) - before.sum(name)
    assert grown("larder_struck_tags_total") >= 20
    assert grown("larder_outbox_left_total") == grown("larder_outbox_rows_total") == 0


def test_what_redis_could_not_be_told_larderd_bumps_later(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, queue=True, redis_proxy=True,
                   env={"LARDER_REDIS_TIMEOUT": "100ms"})
    barrier(served)
    keep(lambda: served.direct("/users/1"))
    served.redis_proxy.stall()
    filed = post(served, "/users/1?name=new", method="PUT", Prefer="respond-async")
    assert ended(served, filed["Location"])["status"] == "done"
    assert served.sql("SELECT count(*) > 0 FROM larder.outbox WHERE lane >= 16") == [(True,)]
    served.redis_proxy.pass_on()
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0, 30, "the outbox' delivery")
    wait_for_body(lambda: served.direct("/users/1"), {"id": 1, "name": "new"})
