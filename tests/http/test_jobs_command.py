"""larder jobs: the operator's look at what waits, and dead letters tried again or dropped."""

import json
import subprocess

import pytest

from support.jobs import dead, ended, file_job, left, record
from support.paths import program
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL);"
ROUTES = {"note": "-- @http POST /notes/{id}\n-- @async retries=0\n-- @result none\nINSERT INTO notes VALUES (:id, 'x')",
          "share": "-- @http POST /shares/{of}\n-- @async retries=5\n-- @result row\nSELECT 100 / (:of::int - 1) AS share",
          "none": "-- @http POST /none/{id}\n-- @async retries=0\n-- @result row\nSELECT id FROM notes WHERE id = :id"}
GONE = "A" * 22


@pytest.fixture
def served(stack):
    made = stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=1, nginx=False, env={"LARDER_JOB_TTL": "2h"})
    made.sql("INSERT INTO notes VALUES (1, 'there'), (2, 'there')")
    return made


def run(stack, *arguments, **environment):
    done = subprocess.run([program("larder"), "jobs", *arguments], env=stack.environment() | environment, check=False,
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def fail(stack, number):
    path = file_job(stack, f"/notes/{number}")
    assert ended(stack, path)["status"] == "failed"
    return path[6:]


def test_dead_letters_are_listed_and_shown(served):
    ids = [fail(served, 1), fail(served, 2)]
    status, output, _ = run(served, "list")
    assert status == 0
    head, *rows = output.splitlines()
    assert head.split()[:3] == ["ID", "STATE", "TRIES"]
    assert [row.split()[:4] for row in rows] == [[each, "failed", "1", "409"] for each in ids]
    assert all(row.endswith("POST /notes/{id}") for row in rows)
    listed = json.loads(run(served, "list", "dead", "--json")[1])
    assert [(each["id"], each["status"], each["tries"]) for each in listed] == [(each, 409, 1) for each in ids]
    assert json.loads(run(served, "list", "waiting", "--json")[1]) == []
    shown = json.loads(run(served, "show", ids[0], "--json")[1])
    assert json.loads(shown["document"]) == {"values": {"id": "1"}}
    assert json.loads(shown["answer"])["status"] == 409
    assert "document  {\"values\":{\"id\":\"1\"}}" in run(served, "show", ids[0])[1]


def test_a_dead_letter_is_tried_again(served):
    job, other = fail(served, 1), fail(served, 2)
    served.sql("DELETE FROM notes")
    assert run(served, "retry", job)[0] == 0
    assert ended(served, f"/jobs/{job}")["status"] == "done"
    assert served.sql("SELECT id FROM notes") == [(1,)] and dead(served) == [other]
    assert run(served, "retry", "--dead")[:2] == (0, f"{other} will be tried again\n")
    assert ended(served, f"/jobs/{other}")["status"] == "done"
    assert dead(served) == [] and run(served, "list")[1] == "no jobs\n"
    status, _, errors = run(served, "retry", job)
    assert status == 1 and f"{job} is done: only failed jobs are tried again" in errors


def test_why_a_job_failed_is_told_to_the_operator_alone(served):
    job = fail(served, 1)
    why = 'duplicate key value violates unique constraint "notes_pkey" (SQLSTATE 23505)'
    assert json.loads(run(served, "show", job, "--json")[1])["failure"] == why
    assert f"failure   {why}\n" in run(served, "show", job)[1]
    assert "notes_pkey" not in served.direct(f"/jobs/{job}").body.decode()
    served.sql("DELETE FROM notes")
    assert run(served, "retry", job)[0] == 0
    assert ended(served, f"/jobs/{job}")["status"] == "done"
    assert json.loads(run(served, "show", job, "--json")[1])["failure"] == ""
    path = file_job(served, "/none/7")
    assert ended(served, path)["status"] == "failed"
    assert "failure" not in run(served, "show", path[6:])[1], "its answer says all there is"


def test_a_job_that_waits_for_its_next_try_tells_why(served):
    path = file_job(served, "/shares/1")
    wait_until(lambda: record(served, path).get("rw"), 20, "the first failure")
    assert "failure   division by zero (SQLSTATE 22012)\n" in run(served, "show", path[6:])[1]
    assert "division" not in served.direct(path).body.decode()


def test_jobs_are_dropped(served):
    job = fail(served, 1)
    assert run(served, "drop", job)[0] == 0
    assert dead(served) == [] and record(served, f"/jobs/{job}") == {}
    served.larderds[0].stop()
    waiting = file_job(served, "/notes/9")
    assert run(served, "list", "waiting")[1].splitlines()[1].split()[:2] == [waiting[6:], "queued"]
    assert run(served, "drop", waiting[6:])[0] == 0
    served.larderds[0].start()
    wait_until(lambda: left(served) == 0, 20, "an empty queue")
    assert record(served, waiting)["s"] == "cancelled"
    assert 3600 < served.queue.client().ttl(f"larder:q:j:{waiting[6:]}") <= 7200
    assert served.sql("SELECT count(*) FROM notes WHERE id = 9") == [(0,)]


@pytest.mark.parametrize("arguments, text", [
    ([], 'a command is missing; allowed: list'), (["look"], '"look" is not allowed'),
    (["list", "lost"], '"lost" is not allowed'), (["retry"], "a job's id is missing"), (["show"], "one job's id is missing"),
    (["retry", "--json", GONE], '"--json" is not allowed'), (["drop", "--dead", GONE], '"--dead" is not allowed'),
    (["show", "17"], '"17" is no job\'s id, which has 22 letters'),
])
def test_a_wrong_call(served, arguments, text):
    status, _, errors = run(served, *arguments)
    assert status == 2 and text in errors, errors


def test_what_is_not_there(served):
    assert run(served, "show", GONE) == (1, "", f"larder jobs: there is no job {GONE}\n")
    assert run(served, "drop", GONE) == (1, "", f"larder jobs: there is no job {GONE}\n")
    assert "LARDER_QUEUE is not set" in run(served, "list", LARDER_QUEUE="")[2]
    served.queue.stop()
    status, _, errors = run(served, "list")
    assert status == 1 and "LARDER_QUEUE" in errors
