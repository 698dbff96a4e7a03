"""Queued jobs, run by larderd: what becomes of them, and what their owner is told."""

import json
import time
from datetime import datetime
from signal import SIGHUP

import pytest

from support import tokens
from support.gate import Held
from support.jobs import dead, ended, file_job, left, look, record
from support.sleeping import sleeping
from support.stack import metrics
from support.tokens import bearer
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL CHECK (text <> 'bad'));
CREATE TABLE runs (what text, at timestamptz DEFAULT clock_timestamp());
CREATE SEQUENCE tries;
"""
ROUTES = {
    "notes": "-- @http GET /notes\n-- @cache ttl=300s\nSELECT id, text FROM notes ORDER BY id",
    "note": "-- @http POST /notes/{id}\n-- @param text text\n-- @async retries=0\n-- @result row\n"
            "-- @location /notes/{id}\n-- @invalidates further {id}\n"
            "INSERT INTO notes VALUES (:id, :text) RETURNING id, text",
    "two": "-- @http POST /two/{id}\n-- @async retries=0\n-- @result none\n"
           "INSERT INTO notes VALUES (:id, 'first');\nINSERT INTO runs (what) VALUES ('two')",
    "gone": "-- @http PUT /gone/{id}\n-- @async retries=3\n-- @result row\n"
            "UPDATE notes SET text = 'x' WHERE id = :id RETURNING id",
    "flaky": "-- @http POST /flaky\n-- @param well int\n-- @async retries=5\n-- @result row\n"
             "SELECT 1 / (nextval('tries') >= :well)::int AS fine",
    "never": "-- @http POST /never\n-- @async retries=1\n-- @result none\n"
             "INSERT INTO runs SELECT (1 / (random() < 0)::int)::text",
    "sleep": "-- @http POST /sleep\n-- @param seconds float8\n-- @async retries=0 timeout=60s\n-- @result none\n"
             "INSERT INTO runs SELECT 'slept' FROM pg_sleep(:seconds)",
    "short": "-- @http POST /short\n-- @async retries=0 timeout=200ms\n-- @result none\nSELECT pg_sleep(30)",
    "mine": "-- @http POST /mine\n-- @auth required\n-- @async\n-- @result row\n"
            "INSERT INTO runs (what) VALUES (:auth.sub) RETURNING what",
}

SLACK = 5.0  # what a busy machine may add to a second; the statement takes fifty


@pytest.fixture
def served(stack, tmp_path):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=1, nginx=False,
                 env=tokens.settings(f"{tmp_path}/key"))


def settle(stack):
    wait_until(lambda: left(stack) == 0, 30, "an empty queue")


def test_a_job_is_done_and_its_answer_kept(served):
    path = file_job(served, "/notes/7", {"text": "a \"é\""})
    ended(served, path)
    job = record(served, path)
    assert (job["s"], job["rs"], job["rt"], job["rl"]) == ("done", "201", "application/json", "/notes/7")
    assert json.loads(job["rb"]) == {"id": 7, "text": "a \"é\""}
    assert (job["a"], job["p"], job["n"]) == ("1", "1/1", "0")
    assert int(job["f"]) <= int(job["b"]) <= int(job["e"])
    assert served.sql("SELECT id, text FROM notes") == [(7, "a \"é\"")]
    assert left(served) == 0 and 0 < served.queue.client().ttl(f"larder:q:j:{path[6:]}") <= 3600
    assert served.sql("SELECT count(*) FROM larder_kept.job") == [(1,)]


def test_statements_of_a_job_are_one_transaction(served):
    served.sql("INSERT INTO notes VALUES (3, 'there')")
    assert ended(served, file_job(served, "/two/1"))["status"] == "done"
    assert record(served, file_job(served, "/two/2"))["p"].endswith("/2")
    assert ended(served, file_job(served, "/two/3"))["status"] == "failed"
    settle(served)
    assert served.sql("SELECT count(*) FROM runs") == [(2,)]


def test_what_a_job_changes_is_fresh_for_all(served):
    assert served.direct("/notes").json() == []
    wait_until(lambda: served.direct("/notes")["Cache-Status"].startswith("larder; hit"), 10, "a hit")
    ended(served, file_job(served, "/notes/1", {"text": "new"}))
    wait_until(lambda: served.direct("/notes").json() == [{"id": 1, "text": "new"}], 5, "the new page")


def test_a_constraint_is_the_clients_fault_and_not_tried_again(served):
    path = file_job(served, "/notes/1", {"text": "bad"})
    assert ended(served, path)["status"] == "failed"
    job = record(served, path)
    assert (job["rs"], job["rt"], job["a"]) == ("422", "application/problem+json", "1")
    assert json.loads(job["rb"])["errors"][0]["name"] == "text"
    assert dead(served) == [path[6:]]
    assert served.sql("SELECT count(*) FROM larder_kept.job") == [(0,)], "nothing was done"


def test_no_row_is_404_and_nothing_kept(served):
    path = put(served, "/gone/5")
    ended(served, path)
    assert (record(served, path)["rs"], record(served, path)["a"]) == ("404", "1")


def put(stack, target):
    answer = stack.direct(target, method="PUT")
    assert answer.status == 202, answer
    return answer["Location"]


def test_a_failure_that_may_pass_is_tried_again(served):
    path = file_job(served, "/flaky", {"well": 3})
    assert ended(served, path)["status"] == "done"
    job = record(served, path)
    assert job["a"] == "3" and json.loads(job["rb"]) == {"fine": 1}
    assert metrics(served).sum("larder_jobs_tried_again_total") == 2


def test_a_job_that_never_succeeds_becomes_a_dead_letter(served):
    path = file_job(served, "/never")
    assert ended(served, path)["status"] == "failed"
    assert (record(served, path)["rs"], record(served, path)["a"]) == ("500", "2")
    assert dead(served) == [path[6:]]
    assert served.queue.client().ttl(f"larder:q:j:{path[6:]}") > 13 * 86400


def test_a_poisoned_job_fails_alone(served):
    """A hundred jobs that lie there when larderd starts, so that they are of one take."""
    served.larderds[0].stop()
    paths = [file_job(served, f"/notes/{number}", {"text": "bad" if number == 50 else "good"})
             for number in range(100)]
    served.larderds[0].start()
    settle(served)
    assert served.sql("SELECT count(*), count(*) FILTER (WHERE id = 50) FROM notes") == [(99, 0)]
    states = [record(served, path)["s"] for path in paths]
    assert states[50] == "failed" and set(states[:50] + states[51:]) == {"done"}
    assert {record(served, path)["a"] for path in paths} == {"1"}


def test_jobs_that_lie_there_at_the_start_are_not_put_back(served):
    """Workers take nothing before larderd knows its routes; what is put back is filed anew, a second later."""
    served.larderds[0].stop()
    path = file_job(served, "/notes/1", {"text": "early"})
    filed = served.queue.client().xinfo_stream("larder:q:jobs")["last-generated-id"]
    held = Held(served, "LOCK TABLE notes")
    served.larderds[0].start()
    wait_until(lambda: served.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0], 10, "larderd at its routes")
    held.open()
    assert ended(served, path)["status"] == "done"
    assert served.queue.client().xinfo_stream("larder:q:jobs")["last-generated-id"] == filed


def test_a_job_has_its_time(served):
    path = file_job(served, "/short")
    assert ended(served, path)["status"] == "failed"
    assert record(served, path)["rs"] == "504"


def test_a_running_job_is_cancelled_within_a_second(served):
    path = file_job(served, "/sleep", {"seconds": 50})
    wait_until(lambda: record(served, path)["s"] == "running", 10, "a running job")
    wait_until(lambda: sleeping(served.sql), 10, "the statement")
    served.direct(path, method="DELETE")
    wait_until(lambda: not sleeping(served.sql), 1 + SLACK, "an end of the statement", every=0.05)
    assert ended(served, path)["status"] == "cancelled"
    settle(served)
    assert served.sql("SELECT count(*) FROM runs") == [(0,)]


def test_a_job_runs_as_whoever_filed_it(served):
    path = file_job(served, "/mine", **bearer(sub="ann"))
    told = ended(served, path, **bearer(sub="ann"))
    assert told["status"] == "done" and served.sql("SELECT what FROM runs") == [("ann",)]


def test_a_job_whose_route_is_gone_says_so(served):
    served.larderds[0].stop()
    path = file_job(served, "/notes/1", {"text": "x"})
    served.queue.client().hset(f"larder:q:j:{path[6:]}", "r", "POST /was/{id}")
    served.larderds[0].start()
    assert ended(served, path)["status"] == "failed"
    assert "no route POST /was/{id}" in json.loads(record(served, path)["rb"])["detail"]


def test_the_page_says_to_look_again_when_the_job_is_tried_again(served):
    path = file_job(served, "/flaky", {"well": 9})
    wait_until(lambda: int(record(served, path)["a"]) >= 3 and record(served, path)["n"] != "0", 60, "a pause of seconds")
    before, answer, after = time.time(), served.direct(path), time.time()
    due = datetime.fromisoformat(answer.json()["next"]).timestamp()
    assert due - after <= int(answer["Retry-After"]) <= due - before + 2


LATER = "-- @http POST /later\n-- @async\n-- @result row\nSELECT :well::int AS fine"


@pytest.mark.parametrize("before, why", [
    (None, "no route POST /later"), (LATER.replace("\nSELECT", "\n-- @param more int\nSELECT :more,"), "the route needs more")])
def test_a_job_waits_for_routes_that_larderd_has_yet_to_load(served, before, why):
    """Of a responder that loaded them before."""
    served.larderds[0].stop()
    path = file_job(served, "/flaky", {"well": 0})
    served.queue.client().hset(f"larder:q:j:{path[6:]}", "r", "POST /later")
    if before:
        served.write_route("later", before)
    served.larderds[0].start()
    wait_until(lambda: record(served, path)["n"] != "0", 20, "a try that does not fit the routes")
    assert look(served, path)["status"] == "queued" and dead(served) == []
    assert why in record(served, path)["rw"]
    served.write_route("later", LATER)
    served.larderds[0].process.signal(SIGHUP)
    assert ended(served, path)["result"] == {"fine": 0}


def test_a_reload_makes_jobs_by_the_new_route(served):
    other = ROUTES | {"two": "-- @http POST /two/{id}\n-- @async retries=0\n-- @result none\n"
                             "INSERT INTO notes VALUES (:id, 'other')"}
    served.write_routes(other)
    served.larderds[0].process.signal(SIGHUP)
    def other_way():
        ended(served, file_job(served, f"/two/{served.sql('SELECT count(*) FROM notes')[0][0] + 1}"))
        return served.sql("SELECT count(*) FROM notes WHERE text = 'other'")[0][0]
    wait_until(other_way, 20, "a job of the new route")


def test_counts(served):
    ended(served, file_job(served, "/notes/1", {"text": "x"}))
    ended(served, file_job(served, "/notes/2", {"text": "bad"}))
    counted = metrics(served)
    assert (counted.sum("larder_jobs_done_total"), counted.sum("larder_jobs_failed_total")) == (1, 1)
    wait_until(lambda: metrics(served).sum("larder_jobs_dead") == 1, 5, "the gauge")
