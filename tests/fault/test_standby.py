"""A hot standby of PostgreSQL where the primary was: what it says is kept for a moment only, and it takes no writes."""

import time

import pytest

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, time_left, wait_for_beat
from support.jobs import dead, ended, file_job, left, post
from support.proxy import Proxy
from support.waiting import wait_until

GUARD = 2
LATE = 5
ENVIRONMENT = {"LARDER_GUARD_TTL": f"{GUARD}s"}
ROUTES = SENTINEL_ROUTE | {
    "page": "-- @http GET /page\n-- @result row\n-- @cache ttl=300s\n-- @nginx ttl=200s\nSELECT number FROM sentinel",
    "zone": "-- @http GET /zone\n-- @result row\n-- @nginx ttl=200s\nSELECT number FROM sentinel",
    "live": "-- @http GET /live\n-- @result row\nSELECT pg_is_in_recovery() AS recovering",
    "path": "-- @http GET /path\n-- @result row\nSELECT pg_catalog.current_setting('search_path') AS path",
    "write": "-- @http POST /write\n-- @result row\nUPDATE sentinel SET number = number + 1 RETURNING number",
    "job": "-- @http POST /job\n-- @result row\n-- @async retries=0 timeout=30s\n"
           "UPDATE sentinel SET number = number + 1 RETURNING number",
    "later": "-- @http POST /later\n-- @result none\n-- @behind batch=10 every=30ms\n"
             "UPDATE sentinel SET number = number + 100",
}


@pytest.fixture
def primary(stack):
    return stack.postgres()


@pytest.fixture
def database(stack, primary):
    """With the schema, and the triggers of all routes."""
    return stack(ROUTES, postgres=primary, schema=SENTINEL_SCHEMA, nginx=False, install=True, queue=True).database


def places(*servers):
    """Each by the host's number, as PGHOST takes several."""
    return {"PGHOST": ",".join(["127.0.0.1"] * len(servers)), "PGPORT": ",".join(str(each.port) for each in servers)}


@pytest.fixture
def serve(stack, primary, database):
    return lambda *servers, **more: stack(ROUTES, postgres=primary, database=database, nginx=False,
                                          env=ENVIRONMENT | places(*servers), **more)


def change(primary, database):
    return primary.execute("UPDATE sentinel SET number = number + 1 RETURNING number", database=database)[0][0]


def lasting(served, target="/sentinel"):
    """Is it kept for longer than the guard?"""
    return time_left(served.direct(target)) > 250


def test_what_a_standby_says_is_kept_for_the_guard_ttl(stack, primary, serve):
    """Though changes are heard of, and what the routes read is known: it may replay a change after its strike."""
    standby = stack.standby(primary, late=LATE)
    way = Proxy(("127.0.0.1", primary.port))
    served = serve(way, standby)
    served.start_larderd(environment=places(primary))
    try:
        wait_until(lambda: lasting(served) and lasting(served, "/page"), 20, "lasting hits")
        way.stop()  # refused: libpq asks the next host
        wait_until(lambda: served.direct("/live").status == 200, 20, "an answer of the standby")
        number = served.sql("UPDATE sentinel SET number = number + 1 RETURNING number")[0][0]
        begin = time.monotonic()
        wait_until(lambda: not lasting(served), 5, "the strike")
        while time.monotonic() - begin < LATE + GUARD:
            for target in ("/sentinel", "/page"):
                assert time_left(served.direct(target)) <= GUARD
            for target in ("/page", "/zone"):
                zone = served.direct(target, params={"LARDER_NGINX": "keep"})["X-Accel-Expires"]
                assert int(zone or 0) <= GUARD, target
        wait_for_beat(served.redis)
        wait_until(lambda: served.direct("/sentinel").json()["number"] == number, GUARD + 3, "the change")
        assert served.direct("/live").json()["recovering"]
    finally:
        way.stop()


def test_settings_that_a_standby_replays_late(stack, primary, database, serve):
    """Sessions are opened anew when it has them, not when a change of definitions is heard of."""
    standby = stack.standby(primary, late=LATE)
    served = serve(standby)
    served.start_larderd(environment=places(primary))
    wait_until(lambda: served.direct("/path").status == 200, 20, "an answer of the standby")
    wait_for_beat(served.redis)
    primary.execute(f"ALTER DATABASE {database} SET search_path = public, pg_catalog")
    wait_until(lambda: served.direct("/path").json()["path"] == "public, pg_catalog", LATE + 10, "sessions opened anew")


def test_after_a_moment_without_the_primary_it_is_asked_again(stack, primary, database, serve):
    """Whatever of the standby's answers is kept, a change shows within the guard TTL and its lag; then as ever."""
    standby = stack.standby(primary, late=LATE)
    served = serve(primary, standby)
    served.start_larderd(environment=places(primary))
    wait_until(lambda: lasting(served), 20, "a lasting hit")
    primary.stop()
    wait_until(lambda: served.direct("/live").status == 200 and served.direct("/live").json()["recovering"], 20,
               "an answer of the standby")
    refused = served.direct("/write", method="POST")
    assert refused.problem(503) and refused["Retry-After"], refused
    primary.start()
    begin = time.monotonic()
    wait_until(lambda: served.direct("/live").json()["recovering"] is False, 20, "an answer of the primary", every=0.05)
    assert time.monotonic() - begin < 5
    assert served.direct("/write", method="POST").status == 200
    wait_until(lambda: lasting(served), 40, "a lasting hit again")
    number = change(primary, database)
    begin = time.monotonic()
    wait_until(lambda: served.direct("/sentinel").json()["number"] == number, 20, "the change", every=0.01)
    assert time.monotonic() - begin < GUARD


def test_a_write_finds_the_primary_by_itself(stack, primary, serve):
    """The session at hand is the standby's; the next one is opened where writes are taken."""
    standby = stack.standby(primary)
    served = serve(primary, standby)
    primary.stop()
    wait_until(lambda: served.direct("/live").status == 200, 20, "an answer of the standby")
    primary.start()
    wait_until(lambda: served.direct("/write", method="POST").status == 200, 5, "a write")


def test_a_standby_takes_no_writes_until_it_is_promoted(stack, primary, database, serve):
    standby = stack.standby(primary)
    served = serve(standby, queue=True)
    daemon = served.start_larderd()
    assert served.direct("/sentinel").json() == {"number": 0}
    for headers in ({}, {"Idempotency-Key": '"one"'}):
        for _ in range(3):
            answer = served.direct("/write", method="POST", headers=headers)
            assert answer.problem(503)["detail"] == "The database takes no changes now." and answer["Retry-After"]
    job = file_job(served, "/job")
    assert post(served, "/later").status == 202
    wait_until(lambda: "PostgreSQL is a standby" in daemon.log_text(), 20, "larderd's word on it")
    assert left(served) and not dead(served), "the job is not given up"
    standby.promote()
    assert ended(served, job)["status"] == "done"
    wait_until(lambda: standby.execute("SELECT number FROM sentinel", database=database) == [(101,)], 30,
               "the queued write")
    assert served.direct("/write", method="POST").json() == {"number": 102}
    wait_until(lambda: lasting(served), 40, "a lasting hit")
