"""Jobs that fail by no fault of their own, that take long, or that give more than is kept."""

import json

import pytest

from support.filed import Events
from support.gate import Held
from support.jobs import dead, ended, file_job, look, post, record
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE runs (what text);
CREATE TABLE gate (part int PRIMARY KEY, jobs int NOT NULL DEFAULT 0);
INSERT INTO gate VALUES (1);
CREATE SEQUENCE tries;
CREATE FUNCTION troubled(state text, well int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') < well THEN
        RAISE EXCEPTION 'made up' USING ERRCODE = state;
    END IF;
    RETURN true;
END $$;
"""
ROUTES = {
    "troubled": "-- @http POST /troubled/{state}\n-- @param well int\n-- @async retries=0\n-- @result row\n"
                "SELECT troubled(:state, :well) AS fine",
    "run": "-- @http POST /run\n-- @async retries=0\n-- @result none\nINSERT INTO runs VALUES ('run')",
    # Whoever locks the gate holds it within its second statement.
    "steps": "-- @http POST /steps/{what}\n-- @async retries=0 timeout=60s\n-- @result none\n"
             "INSERT INTO runs VALUES (:what);\nUPDATE gate SET jobs = jobs + 1;\n"
             "INSERT INTO runs SELECT (1 / (:what <> 'bad')::int)::text",
    "large": "-- @http POST /large/{size}\n-- @param size int\n-- @async retries=0\n-- @result row\n"
             "INSERT INTO runs VALUES ('large') RETURNING repeat('x', :size) AS text",
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True,
                        env={"LARDER_WORKERS": "1", "LARDER_JOB_RESULT_MAX": "1KB"})


# The server's trouble

@pytest.mark.parametrize("state", ["53100", "53200", "53300", "57P01", "57P02", "57P03", "58030"])
def test_the_servers_trouble_is_no_try_of_a_job(served, state):
    served.sql("ALTER SEQUENCE tries RESTART")
    path = file_job(served, f"/troubled/{state}", {"well": 4})
    assert ended(served, path)["status"] == "done"
    assert look(served, path)["tries"] == 1 and dead(served) == []
    assert served.sql("SELECT last_value FROM tries")[0][0] >= 4


@pytest.mark.parametrize("state", ["53400", "P0001", "57014"])
def test_what_is_its_own_fault_is(served, state):
    path = file_job(served, f"/troubled/{state}", {"well": 1000000})
    assert ended(served, path)["status"] == "failed"
    assert dead(served).pop() == path[6:]
    served.queue.client().delete("larder:q:dead")


def test_what_is_in_trouble_stands_in_no_others_way(served):
    path = file_job(served, "/troubled/53200", {"well": 1000000})
    for _ in range(20):
        assert ended(served, file_job(served, "/run"), 10)["status"] == "done"
    told = wait_until(lambda: (told := look(served, path))["status"] == "queued" and told, 10)
    assert told["tries"] == 0 and told["next"]
    served.direct(path, method="DELETE")
    assert ended(served, path)["status"] == "cancelled"


def test_a_database_without_room_for_one_more_connection(served):
    """The real trouble: 53300."""
    limit = f"ALTER DATABASE {served.database} CONNECTION LIMIT"
    served.postgres.execute(f"{limit} 0")
    try:
        served.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                                (served.database,))
        path = file_job(served, "/run")
        wait_until(lambda: "too many connections for database" in served.larderd.log_text(), 20, "a line of log")
    finally:
        served.postgres.execute(f"{limit} -1")
    told = ended(served, path)
    assert (told["status"], told["tries"]) == ("done", 1)


# How far a job is

def test_a_job_tells_how_many_of_its_statements_are_made(served):
    gate = Held(served, "SELECT FROM gate FOR UPDATE")
    path = file_job(served, "/steps/good")
    reader = Events(served, path)
    wait_until(lambda: look(served, path)["progress"] == {"done": 1, "of": 3}, 10, "the first statement")
    assert served.sql("SELECT count(*) FROM runs WHERE what = 'good'") == [(0,)], "nothing is committed yet"

    def told_of():
        """Of changes that follow each other soon the reader is told of the last alone."""
        while event := reader.next():
            yield json.loads(event[2])["progress"]["done"]

    assert 1 in told_of()
    gate.open()
    assert ended(served, path)["progress"] == {"done": 3, "of": 3}
    assert list(told_of())[-1] == 3


def test_of_one_that_failed_nothing_is_made(served):
    gate = Held(served, "SELECT FROM gate FOR UPDATE")
    path = file_job(served, "/steps/bad")
    wait_until(lambda: look(served, path)["progress"] == {"done": 1, "of": 3}, 10, "the first statement")
    gate.open()
    told = ended(served, path)
    assert (told["status"], told["progress"]) == ("failed", {"done": 0, "of": 3})
    served.queue.client().delete("larder:q:dead")


# Results that are too large

def test_a_result_too_large_to_keep_is_told_of(served):
    before = served.sql("SELECT count(*) FROM runs WHERE what = 'large'")[0][0]
    path = file_job(served, "/large/2000")
    told = ended(served, path)
    assert (told["status"], told["result"], told["problem"]["status"]) == ("done", None, 413)
    assert "LARDER_JOB_RESULT_MAX" in told["problem"]["detail"] and "1024" in told["problem"]["detail"]
    assert served.sql("SELECT count(*) FROM runs WHERE what = 'large'") == [(before + 1,)]
    assert len(record(served, path)["rb"]) < 1024
    assert served.sql("SELECT max(length(record)) FROM larder_kept.job")[0][0] < 1100
    small = ended(served, file_job(served, "/large/900"))
    assert small["result"] == {"text": "x" * 900} and "problem" not in small


def test_who_waits_for_such_a_result_gets_the_jobs_page_to_look_at(served):
    answer = post(served, "/large/2000", Prefer="wait=30")
    assert answer.status == 202
    assert look(served, answer["Location"])["problem"]["status"] == 413


# Cancelling

def test_one_that_was_to_be_cancelled_when_its_worker_died_is_not_made(served):
    queue = served.queue.client()
    before = metrics(served).sum("larder_jobs_cancelled_total")
    served.larderd.stop()
    path = file_job(served, "/steps/dead")
    queue.xreadgroup("larder", "dead", {"larder:q:jobs": ">"}, count=1)
    queue.hset(f"larder:q:j:{path[6:]}", mapping={"s": "running", "c": "1"})
    served.larderd.start()
    assert ended(served, path)["status"] == "cancelled"
    assert served.sql("SELECT count(*) FROM runs WHERE what = 'dead'") == [(0,)]
    assert metrics(served).sum("larder_jobs_cancelled_total") == before + 1
