"""Workers of jobs that die, hang, are asked to end, or lose their servers."""

import pytest

from support.jobs import dead, ended, file_job, left, record
from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = "CREATE TABLE runs (what text, at timestamptz DEFAULT clock_timestamp());"
ROUTES = {
    "quick": "-- @http POST /quick\n-- @param what text\n-- @async retries=0\n-- @result none\n"
             "INSERT INTO runs (what) VALUES (:what)",
    "slow": "-- @http POST /slow\n-- @param what text\n-- @param seconds float8\n-- @async retries=0 timeout=100s\n"
            "-- @result none\nINSERT INTO runs SELECT :what FROM pg_sleep(:seconds)",
    "stumble": "-- @http POST /stumble\n-- @async retries=20\n-- @result none\n"
               "SELECT 1 / (CASE WHEN pg_sleep(0.06) IS NULL THEN 1 ELSE 0 END)",
}


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=2, nginx=False,
                 env={"LARDER_WORKERS": "2"})


@pytest.fixture
def alone(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=1, nginx=False)


def runs(stack):
    return stack.sql("SELECT what FROM runs ORDER BY at")


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
    wait_until(lambda: sleeping(served.sql), 10, "the statement")
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
    wait_until(lambda: sleeping(served.sql), 10, "the statement")
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
    wait_until(lambda: sleeping(alone.sql), 10, "the statement")
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
    wait_until(lambda: sleeping(alone.sql), 10, "the statement")
    alone.queue.restart()
    assert [ended(alone, path, 60)["status"] for path in paths] == ["done"] * 2
    assert len(runs(alone)) == 2


def test_sigterm_lets_a_job_end(alone):
    path = file_job(alone, "/slow", {"what": "ends", "seconds": 2})
    wait_until(lambda: sleeping(alone.sql), 10, "the statement")
    assert alone.larderds[0].stop(20) == 0
    assert record(alone, path)["s"] == "done" and runs(alone) == [("ends",)]


def test_sigterm_leaves_what_takes_longer(alone):
    path = file_job(alone, "/slow", {"what": "long", "seconds": 60})
    wait_until(lambda: sleeping(alone.sql), 10, "the statement")
    assert alone.larderds[0].stop(20) == 0
    wait_until(lambda: not sleeping(alone.sql), 5, "nothing left running")
    job = record(alone, path)
    assert (job["s"], job["a"]) == ("queued", "0") and left(alone) == 1 and not dead(alone)
    alone.larderds[0].start()
    wait_until(lambda: sleeping(alone.sql), 10, "the statement again")
    alone.direct(path, method="DELETE")
    assert ended(alone, path)["status"] == "cancelled"


def test_jobs_that_were_left_have_no_worker_named(alone):
    ended(alone, file_job(alone, "/quick", {"what": "x"}))
    alone.larderds[0].stop()
    assert alone.queue.client().xinfo_consumers("larder:q:jobs", "larder") == []


def test_without_install_jobs_wait(stack):
    served = stack(ROUTES, schema=SCHEMA, queue=True, larderd=1, nginx=False)
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
    served = stack(ROUTES, schema=SCHEMA, queue=settings, install=True, larderd=1, nginx=False)
    wait_until(lambda: logged(served, f"warning queue: LARDER_QUEUE: {text}"), 20, "a warning")


def test_a_redis_that_loses_none_is_not_complained_of(stack):
    served = stack(ROUTES, schema=SCHEMA, queue={"appendfsync": "always"}, install=True, larderd=1, nginx=False)
    ended(served, file_job(served, "/quick", {"what": "x"}))
    assert served.larderds[0].stop() == 0
    assert not logged(served, "warning queue")


def given_to(stack, worker, count):
    """Fills the queue with jobs and gives so many to a worker that is none of larderd's; the places it got."""
    queue = stack.queue.client()
    stack.larderds[0].stop()
    paths = [file_job(stack, "/quick", {"what": str(number)}) for number in range(count)]
    taken = queue.xreadgroup("larder", worker, {"larder:q:jobs": ">"}, count=count)
    places = [place for place, _ in taken[0][1]]
    assert len(places) == count
    return paths, places


def test_what_the_living_have_in_hand_hides_nothing_of_the_dead(alone):
    """Redis looks at a few places a call, the oldest first."""
    queue = alone.queue.client()
    ended(alone, file_job(alone, "/quick", {"what": "first"}))
    _, living = given_to(alone, "living", 60)
    [lost], _ = given_to(alone, "dead", 1)
    alone.larderds[0].start()

    def over():
        queue.xclaim("larder:q:jobs", "larder", "living", 0, living, justid=True)
        return record(alone, lost)["s"] == "done"

    wait_until(over, 20, "the dead worker's job", every=0.2)
    assert len(runs(alone)) == 2


def test_a_job_that_was_made_is_not_called_cancelled(alone):
    """Cancelled between COMMIT and what Redis is told, whereupon the worker dies."""
    path = file_job(alone, "/quick", {"what": "once"})
    ended(alone, path)
    queue, key = alone.queue.client(), f"larder:q:j:{path[6:]}"
    queue.hdel(key, "e", "rs", "rt", "rl", "rb")
    queue.hset(key, mapping={"s": "running", "c": "1"})
    queue.xadd("larder:q:jobs", {"j": path[6:]})
    assert ended(alone, path)["status"] == "done"
    path = file_job(alone, "/slow", {"what": "never", "seconds": 6})
    wait_until(lambda: sleeping(alone.sql), 10, "the statement")
    alone.larderds[0].kill()
    assert alone.direct(path, method="DELETE").status == 202
    alone.larderds[0].start()
    assert ended(alone, path)["status"] == "cancelled"
    assert runs(alone) == [("once",)]


def test_a_job_that_is_to_be_cancelled_waits_for_no_other_try(alone):
    """Cancelled while a try runs that fails, and whose next would be minutes away."""
    ended(alone, file_job(alone, "/quick", {"what": "first"}))
    alone.larderds[0].pause()
    path = file_job(alone, "/stumble")
    queue = alone.queue.client()
    queue.hset(f"larder:q:j:{path[6:]}", "a", "12")
    with queue.pubsub() as news:
        news.subscribe("larder:q:news")
        alone.larderds[0].resume()
        wait_until(lambda: (news.get_message(timeout=0.1) or {}).get("data") == f"{path[6:]} running".encode(), 20,
                   "the job's beginning", every=0)
        assert alone.direct(path, method="DELETE").status in (200, 202)
    assert ended(alone, path, 10)["status"] == "cancelled"
    wait_until(lambda: left(alone) == 0, 10, "an empty queue")


def test_dead_letters_are_forgotten_one_by_one(alone):
    alone.larderds[0].stop()
    queue, young = alone.queue.client(), "Y" * 22
    queue.xadd("larder:q:dead", {"j": "O" * 22}, id="1000-0")
    queue.xadd("larder:q:dead", {"j": young})
    alone.larderds[0].start()
    wait_until(lambda: dead(alone) == [young], 10, "the old one's end")


def test_the_responses_database_behind_another_name_is_told_of(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=1, nginx=False,
                   env={"LARDER_QUEUE": "unix:{stack.folder}/redis/redis.sock"})
    wait_until(lambda: logged(served, "it is the database of LARDER_REDIS"), 20, "a line of log")


def test_another_database_of_the_same_server_is_apart(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=1, nginx=False,
                   env={"LARDER_QUEUE": "redis://127.0.0.1:{stack.redis.port}/1"})
    wait_until(lambda: logged(served, "appendonly is not yes"), 20, "a line of log")
    assert not logged(served, "it is the database of LARDER_REDIS")
