"""Workers of jobs that die, hang, are asked to end, or lose their servers."""

import pytest

from support.jobs import dead, ended, file_job, left, record
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = "CREATE TABLE runs (what text, at timestamptz DEFAULT clock_timestamp());"
PATIENT = {"LARDER_REDIS_TIMEOUT": "5s"}
ROUTES = {
    "quick": "-- @http POST /quick\n-- @param what text\n-- @async retries=0\n-- @result none\n"
             "INSERT INTO runs (what) VALUES (:what)",
    "slow": "-- @http POST /slow\n-- @param what text\n-- @param seconds float8\n-- @async retries=0 timeout=100s\n"
            "-- @result none\nINSERT INTO runs SELECT :what FROM pg_sleep(:seconds)",
}


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=2, nginx=False,
                 env=PATIENT | {"LARDER_WORKERS": "2"})


@pytest.fixture
def alone(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=1, nginx=False, env=PATIENT)


def runs(stack):
    return stack.sql("SELECT what FROM runs ORDER BY at")


def sleeping(stack):
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%' AND state = 'active' "
                     "AND pid <> pg_backend_pid()")[0][0]


def logged(stack, text):
    return any(text in larderd.log_text() for larderd in stack.larderds)


def test_what_was_committed_and_not_told_is_answered_from_its_record(alone):
    """As after a kill between COMMIT and Redis: the job lies there, running, and its record is in PostgreSQL."""
    path = file_job(alone, "/quick", {"what": "once"})
    ended(alone, path)
    before = record(alone, path)
    queue, key = alone.queue.client(), f"larder:q:j:{path[6:]}"
    queue.hdel(key, "e", "rs", "rt", "rl", "rb")
    queue.hset(key, "s", "running")
    queue.xadd("larder:q:jobs", {"j": path[6:]})
    assert ended(alone, path)["status"] == "done"
    assert (record(alone, path)["rs"], record(alone, path)["a"]) == (before["rs"], before["a"])
    assert runs(alone) == [("once",)]


def test_a_killed_workers_job_is_anothers(served):
    path = file_job(served, "/slow", {"what": "slow", "seconds": 1.5})
    wait_until(lambda: sleeping(served), 10, "the statement")
    for larderd in served.larderds:
        larderd.kill()
    served.larderds[1].start()
    assert ended(served, path)["status"] == "done"
    assert runs(served) == [("slow",)] and record(served, path)["a"] == "1"
    assert metrics(served).sum("larder_jobs_claimed_total") == 1


def test_a_living_worker_keeps_a_long_job(served):
    """Longer than a silent worker is waited for."""
    path = file_job(served, "/slow", {"what": "long", "seconds": 7})
    assert ended(served, path)["status"] == "done"
    assert runs(served) == [("long",)] and record(served, path)["a"] == "1"
    assert metrics(served).sum("larder_jobs_claimed_total") == 0


def test_a_worker_that_slept_does_nothing_twice(served):
    """Both larderds are stopped with a job in hand; a third has done it when they wake."""
    path = file_job(served, "/slow", {"what": "slept", "seconds": 1})
    wait_until(lambda: sleeping(served), 10, "the statement")
    for larderd in served.larderds:
        larderd.pause()
    served.start_larderd("third")
    assert ended(served, path, 60)["status"] == "done"
    for larderd in served.larderds:
        larderd.resume()
    assert ended(served, file_job(served, "/quick", {"what": "next"}))["status"] == "done"
    assert sorted(runs(served)) == [("next",), ("slept",)]


def test_jobs_wait_for_postgresql_and_lose_no_tries(alone):
    server = alone.postgres
    server.execute("CHECKPOINT")  # it does not wait for the disk, and is to be killed
    paths = [file_job(alone, "/slow", {"what": "waits", "seconds": 0.5}) for _ in range(3)]
    wait_until(lambda: sleeping(alone), 10, "the statement")
    server.kill()
    try:
        wait_until(lambda: logged(alone, "PostgreSQL: jobs wait"), 20, "a line of log")
        paths.append(file_job(alone, "/slow", {"what": "waits", "seconds": 0}))
    finally:
        server.start()
    assert [ended(alone, path, 60)["status"] for path in paths] == ["done"] * 4
    assert {record(alone, path)["a"] for path in paths} == {"1"} and len(runs(alone)) == 4
    assert logged(alone, "PostgreSQL: jobs are done again")


def test_jobs_go_on_when_redis_is_back(alone):
    paths = [file_job(alone, "/slow", {"what": "waits", "seconds": 1}) for _ in range(2)]
    wait_until(lambda: sleeping(alone), 10, "the statement")
    alone.queue.restart()
    assert [ended(alone, path, 60)["status"] for path in paths] == ["done"] * 2
    assert len(runs(alone)) == 2


def test_sigterm_lets_a_job_end(alone):
    path = file_job(alone, "/slow", {"what": "ends", "seconds": 2})
    wait_until(lambda: sleeping(alone), 10, "the statement")
    assert alone.larderds[0].stop(20) == 0
    assert record(alone, path)["s"] == "done" and runs(alone) == [("ends",)]


def test_sigterm_leaves_what_takes_longer(alone):
    path = file_job(alone, "/slow", {"what": "long", "seconds": 60})
    wait_until(lambda: sleeping(alone), 10, "the statement")
    assert alone.larderds[0].stop(20) == 0
    assert not sleeping(alone), "nothing is left running"
    job = record(alone, path)
    assert (job["s"], job["a"]) == ("queued", "0") and left(alone) == 1 and not dead(alone)
    alone.larderds[0].start()
    wait_until(lambda: sleeping(alone), 10, "the statement again")
    alone.direct(path, method="DELETE")
    assert ended(alone, path)["status"] == "cancelled"


def test_jobs_that_were_left_have_no_worker_named(alone):
    ended(alone, file_job(alone, "/quick", {"what": "x"}))
    alone.larderds[0].stop()
    assert alone.queue.client().xinfo_consumers("larder:q:jobs", "larder") == []


def test_without_install_jobs_wait(stack):
    served = stack(ROUTES, schema=SCHEMA, queue=True, larderd=1, nginx=False, env=PATIENT)
    queue, name = served.queue.client(), "B" * 22
    queue.hset(f"larder:q:j:{name}", mapping={"s": "queued", "r": "POST /quick", "v": "", "o": "", "a": 0, "w": 0,
                                              "d": '{"values":{"what":"x"}}', "x": 5000000, "f": 1, "p": "0/1"})
    queue.xadd("larder:q:jobs", {"j": name})
    wait_until(lambda: logged(served, 'run "larder install"'), 20, "a line of log")
    assert runs(served) == [] and not dead(served)
    served.install()
    wait_until(lambda: runs(served) == [("x",)], 30, "the job")


@pytest.mark.parametrize("settings, text", [
    ({"appendonly": "no"}, "appendonly is not yes"),
    ({"appendfsync": "everysec"}, "appendfsync is not always"),
    ({"maxmemory-policy": "allkeys-lru"}, "maxmemory-policy is not noeviction"),
])
def test_a_redis_that_may_lose_jobs_is_said_aloud(stack, settings, text):
    served = stack(ROUTES, schema=SCHEMA, queue=settings, install=True, larderd=1, nginx=False, env=PATIENT)
    wait_until(lambda: logged(served, f"warning queue: LARDER_QUEUE: {text}"), 20, "a warning")


def test_a_redis_that_loses_none_is_not_complained_of(stack):
    served = stack(ROUTES, schema=SCHEMA, queue={"appendfsync": "always"}, install=True, larderd=1, nginx=False, env=PATIENT)
    ended(served, file_job(served, "/quick", {"what": "x"}))
    assert served.larderds[0].stop() == 0
    assert not logged(served, "warning queue")
