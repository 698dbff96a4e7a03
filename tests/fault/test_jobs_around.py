"""What stands around the jobs' statements fails: what is recorded of jobs can't be asked, or not be told."""

import pytest

from support.jobs import ended, file_job, left, record
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (id int PRIMARY KEY);"
ROUTES = {
    "note": "-- @http POST /notes/{id}\n-- @async retries=0\n-- @result none\nINSERT INTO notes (id) VALUES (:id)",
    "count": "-- @http POST /count/{id}\n-- @behind batch=10 every=20ms\n-- @result none\nINSERT INTO notes (id) VALUES (:id)",
    "read": "-- @http GET /notes\n-- @result rows\nSELECT id FROM notes ORDER BY id",
}
DAMAGED = "BEGIN RAISE EXCEPTION 'index is damaged' USING ERRCODE = 'XX002'; END"


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)


def notes(served):
    return [row[0] for row in served.sql("SELECT id FROM notes ORDER BY id")]


def damage(served, name, body):
    """Replaces the body of larder's function; what puts it back."""
    (whole,) = served.sql(f"SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = '{name}' "
                          "AND pronamespace = 'larder'::regnamespace")[0]
    head = whole[:whole.index("AS $function$")]
    served.sql(head + f"AS $function$ {body} $function$")
    return lambda: served.sql(whole)


def test_a_failure_before_a_jobs_statement_is_not_the_jobs(served):
    mend = damage(served, "jobs_begin", DAMAGED)
    paths = [file_job(served, f"/notes/{n}") for n in range(20)]
    wait_until(lambda: served.queue.client().zcard("larder:q:later") == 20, 20, "all jobs given back")
    log = served.larderd.log_text()
    assert served.larderd.running() and "failed for good" not in log
    assert log.count("index is damaged") == 1, log
    assert notes(served) == []
    mend()
    assert {ended(served, path, 30)["status"] for path in paths} == {"done"}
    assert {record(served, path)["a"] for path in paths} == {"1"}  # one try
    assert notes(served) == list(range(20))
    assert served.larderd.running() and left(served) == 0


def test_a_job_whose_record_is_locked_loses_no_try(served):
    """As where the role of larderd has a lock_timeout: 55P03, before anything was tried."""
    mend = damage(served, "jobs_begin", "BEGIN RAISE EXCEPTION 'lock timeout' USING ERRCODE = '55P03'; END")
    path = file_job(served, "/notes/1")
    wait_until(lambda: "jobs wait" in served.larderd.log_text(), 20, "a line of log")
    mend()
    assert ended(served, path, 30)["status"] == "done"
    assert "failed for good" not in served.larderd.log_text()


@pytest.mark.parametrize("microseconds", [100 * 86400 * 10**6, 2**63 - 1])
def test_jobs_filed_with_a_time_that_postgresql_can_not_have_are_done(served, microseconds):
    """As by a Larder that had no bound for it; several in one transaction sum up."""
    served.larderd.pause()
    paths = [file_job(served, f"/notes/{number}") for number in range(3)]
    for path in paths:
        served.queue.client().hset(f"larder:q:j:{path[6:]}", "x", microseconds)
    served.larderd.resume()
    assert {ended(served, path)["status"] for path in paths} == {"done"}
    assert notes(served) == [0, 1, 2]


def test_a_write_that_lies_with_the_dead_is_buried_once(served):
    """It failed, and then what tells how far its stream is made fails too."""
    mend = damage(served, "behind_done", "BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END")
    served.sql("INSERT INTO notes VALUES (1)")
    assert served.direct("/count/1", method="POST").status == 202
    dead = lambda: served.queue.client().xlen("larder:q:dead")
    wait_until(lambda: served.larderd.log_text().count("PostgreSQL: no") + dead() > 1, 20, "a try after the burial")
    assert dead() == 1
    mend()
    assert served.direct("/count/2", method="POST").status == 202
    wait_until(lambda: notes(served) == [1, 2], 30, "the next write")
    assert dead() == 1
