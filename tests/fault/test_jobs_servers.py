"""Jobs while what stands behind them fails at a chosen moment: done once, told truly, never lost in silence."""

import threading

import pytest

from support.gate import Held
from support.jobs import dead, ended, file_job, left, look, post, record
from support.poster import Poster
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE done (number int NOT NULL, durable text NOT NULL DEFAULT current_setting('synchronous_commit'));
CREATE TABLE gate (part int PRIMARY KEY, jobs int NOT NULL DEFAULT 0);
INSERT INTO gate SELECT part FROM generate_series(1, 20) AS part;
"""
ROUTES = {
    "count": "-- @http POST /count\n-- @param number int\n-- @result row\n-- @async retries=0 timeout=30s\n"
             "INSERT INTO done (number) VALUES (:number) RETURNING number, txid_current() AS made_by\n",
    # Whoever locks the gate's row holds the job within its transaction.
    "gated": "-- @http POST /gated\n-- @param number int\n-- @result row\n-- @async retries=0 timeout=300s\n"
             "INSERT INTO done (number) VALUES (:number);\n"
             "UPDATE gate SET jobs = jobs + 1 WHERE part = 1 RETURNING part\n",
    "brief": "-- @http POST /brief\n-- @param number int\n-- @result row\n-- @async retries=0 timeout=3s\n"
             "INSERT INTO done (number) VALUES (:number);\n"
             "UPDATE gate SET jobs = jobs + 1 WHERE part = 1 RETURNING part\n",
    # Pairs in either order: together in one transaction each, they run into each other.
    "crossed": "-- @http POST /crossed\n-- @param number int\n-- @result none\n-- @async retries=10 timeout=30s\n"
               "UPDATE gate SET jobs = jobs + 1 WHERE part = 1 + (:number * 7) % 20;\n"
               "UPDATE gate SET jobs = jobs + 1 WHERE part = 1 + (:number * 13 + 5) % 20;\n"
               "INSERT INTO done (number) VALUES (:number)\n",
}


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)


def numbers(served):
    return [number for number, in served.sql("SELECT number FROM done ORDER BY number")]


class Gate(Held):
    """Holds the gated jobs within their transactions."""

    def __init__(self, served, server=None):
        super().__init__(served, "SELECT FROM gate WHERE part = 1 FOR UPDATE", server)
        self.served = served

    def reached(self):
        """Waits until a job has come to it."""
        wait_until(lambda: self.served.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), 20, "a job at the gate")


def test_a_job_committed_and_not_told_is_not_made_again(stack):
    """The worker dies after COMMIT, before Redis has heard of it."""
    served = stack(ROUTES, schema=SCHEMA, queue=True, queue_proxy=True, install=True, larderd=True, nginx=False)
    gate = Gate(served)
    job = file_job(served, "/gated", {"number": 1})
    gate.reached()
    served.queue_proxy.stall()
    gate.open()
    wait_until(lambda: numbers(served) == [1], 20, "the commit")
    served.larderd.kill()
    served.queue_proxy.pass_on()
    served.larderd.start()
    told = ended(served, job, deadline=90)
    assert (told["status"], told["result"]) == ("done", {"part": 1})
    assert numbers(served) == [1] and served.sql("SELECT jobs FROM gate WHERE part = 1") == [(1,)]


def test_a_worker_killed_within_a_job_leaves_it_to_another(stack):
    served = stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)
    gate = Gate(served)
    job = file_job(served, "/gated", {"number": 1})
    gate.reached()
    assert look(served, job)["status"] == "running"
    served.start_larderd("larderd2")
    served.larderd.kill()
    gate.open()
    assert ended(served, job, deadline=90)["status"] == "done"
    assert numbers(served) == [1] and served.sql("SELECT jobs FROM gate WHERE part = 1") == [(1,)]


def test_a_worker_that_stands_still_within_a_job_holds_it_up_for_a_while_only(stack):
    """As one whose host was cut off: its transaction stays open in PostgreSQL, with the job's lock and the rows'. To wait
    for that lock in vain is no try of the job, which has but one."""
    served = stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)
    gate = Gate(served)
    job = file_job(served, "/brief", {"number": 1})
    gate.reached()
    served.larderd.pause()
    gate.open()
    served.start_larderd("larderd2")
    assert ended(served, job, deadline=60)["status"] == "done"
    served.larderd.resume()
    ended(served, file_job(served, "/gated", {"number": 2}))
    assert numbers(served) == [1, 2] and served.sql("SELECT jobs FROM gate WHERE part = 1") == [(2,)]
    assert look(served, job)["status"] == "done" and not dead(served)


def test_a_long_job_of_a_living_worker_is_not_made_by_another_too(stack):
    """Another's look for what the dead have left must not take it, however long it runs."""
    served = stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=2, nginx=False)
    gate = Gate(served)
    job = file_job(served, "/gated", {"number": 1})
    gate.reached()
    [(holder,)] = served.sql("SELECT pid FROM pg_locks WHERE NOT granted")
    for number in range(2, 400):
        ended(served, file_job(served, "/count", {"number": number}))
    waiting = served.sql("SELECT pid FROM pg_locks WHERE NOT granted")
    gate.open()
    assert waiting == [(holder,)]
    assert ended(served, job)["status"] == "done"
    assert numbers(served) == list(range(1, 400))


def test_a_database_that_comes_back_finds_the_jobs_waiting(stack):
    """Not the job's fault: no try is spent, even where there is but one."""
    server = stack.postgres(settings={"synchronous_commit": "on"})
    served = stack(ROUTES, schema=SCHEMA, postgres=server, queue=True, install=True, larderd=True, nginx=False)
    ended(served, file_job(served, "/count", {"number": 1}))
    server.kill()
    jobs = [file_job(served, "/count", {"number": number}) for number in range(2, 12)]
    wait_until(lambda: "PostgreSQL" in served.larderd.log_text() or "connection" in served.larderd.log_text(), 20,
               "larderd to notice")
    server.start()
    assert [ended(served, job, deadline=60)["status"] for job in jobs] == ["done"] * 10
    assert numbers(served) == list(range(1, 12)) and not dead(served)


def test_a_connection_lost_between_a_commit_and_its_answer(stack):
    """The worker can't know whether it committed; the record in the database does."""
    served = stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False, database_proxy=True)
    ended(served, file_job(served, "/count", {"number": 1}))
    served.database_proxy.delay(0.6)
    job = file_job(served, "/count", {"number": 2})
    wait_until(lambda: numbers(served) == [1, 2], 20, "the commit")
    served.database_proxy.drop()
    served.database_proxy.pass_on()
    told = ended(served, job, deadline=60)
    assert (told["status"], told["result"]["number"]) == ("done", 2)
    assert numbers(served) == [1, 2]


def test_a_job_that_is_told_done_outlives_a_crash_of_the_database(served):
    """Also where others' commits need not: there the server's own setting is off."""
    assert served.sql("SHOW synchronous_commit") == [("off",)], "or this test shows nothing"
    ended(served, file_job(served, "/count", {"number": 1}))
    [(durable,)] = served.sql("SELECT durable FROM done")
    assert durable != "off"


def test_without_the_queue_nothing_is_promised(served):
    ended(served, file_job(served, "/count", {"number": 1}))
    served.queue.kill()
    for number in range(2, 12):
        answer = post(served, "/count", {"number": number})
        answer.problem(503)
        assert int(answer["Retry-After"]) > 0 and answer.seconds < 4
    served.queue.start()
    job = wait_until(lambda: answered(post(served, "/count", {"number": 99})), 20, "a job filed")
    assert ended(served, job)["status"] == "done"
    wait_until(lambda: left(served) == 0, 20, "an empty queue")
    assert numbers(served)[0] == 1 and numbers(served)[-1] == 99


def answered(answer):
    return answer["Location"] if answer.status == 202 else None


def test_a_job_filed_outlives_the_queues_server(served):
    served.larderd.stop()
    jobs = [file_job(served, "/count", {"number": number}) for number in range(1, 21)]
    served.queue.restart()
    served.larderd.start()
    assert [ended(served, job)["status"] for job in jobs] == ["done"] * 20
    assert numbers(served) == list(range(1, 21))


def test_what_is_told_of_jobs_without_a_key_is_true(served):
    """The queue's server dies as they are filed: one that is told of is made once, another once or not at all."""
    told, stop = {}, threading.Event()

    def client(first):
        for number in range(first, first + 100000):
            if stop.is_set():
                return
            told[number] = post(served, "/count", {"number": number})

    threads = [threading.Thread(target=client, args=(place * 100000,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        before = sum(answer.status == 202 for answer in list(told.values()))
        wait_until(lambda enough=before + 50: sum(each.status == 202 for each in list(told.values())) > enough, 30,
                   "jobs filed")
        served.queue.kill()
        served.queue.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    wait_until(lambda: left(served) == 0, 60, "the last job")
    made = numbers(served)
    assert len(made) == len(set(made)), "a job that was made twice"
    assert {number for number, answer in told.items() if answer.status == 202} <= set(made)
    assert {answer.status for answer in told.values()} <= {202, 503}
    promised_not = {number for number, answer in told.items() if answer.status == 503 and "reached" in
                    answer.problem(503)["detail"]}
    assert not promised_not & set(made)


def test_a_queue_that_was_emptied_works_again(served):
    """FLUSHALL takes the consumer group too."""
    ended(served, file_job(served, "/count", {"number": 1}))
    served.queue.client().flushall()
    assert ended(served, file_job(served, "/count", {"number": 2}))["status"] == "done"


def test_jobs_that_lock_each_other_out_are_all_done(stack):
    count = 500
    server = stack.postgres(settings={"deadlock_timeout": "20ms"})
    served = stack(ROUTES, schema=SCHEMA, postgres=server, queue=True, install=True, larderd=2, nginx=False)
    with Poster(served.api.socket, "/crossed", count, connections=8) as poster:
        poster.filed()
    wait_until(lambda: left(served) == 0, 60, "the last job")
    assert not dead(served)
    assert numbers(served) == list(range(1, count + 1))
    assert served.sql("SELECT sum(jobs) FROM gate") == [(2 * count,)]


def test_an_idempotency_key_files_once_though_the_job_is_over(served):
    """A client that has lost the answer asks again, and may come after the job's end."""
    first = file_job(served, "/count", {"number": 1}, Idempotency_Key="once")
    ended(served, first)
    again = post(served, "/count", {"number": 1}, Idempotency_Key="once")
    assert (again.status, again["Location"]) == (202, first)
    assert numbers(served) == [1]


def test_a_responder_killed_as_it_files(stack):
    """The client has no answer and asks again with its key: one job."""
    served = stack(ROUTES, schema=SCHEMA, queue=True, queue_proxy=True, install=True, larderd=True, nginx=False)
    ended(served, file_job(served, "/count", {"number": 1}))
    served.larderd.stop()
    served.queue_proxy.delay(0.05)
    with Poster(served.api.socket, "/count", 200, first=2, connections=8) as poster:
        for waiting in (20, 60, 100):
            wait_until(lambda: left(served) >= waiting, 20, f"{waiting} jobs")
            served.api.kill()
            served.api.start()
        filed = poster.filed()
    served.queue_proxy.pass_on()
    assert any(tries > 1 for tries, _ in filed.values())
    served.larderd.start()
    wait_until(lambda: left(served) == 0, 60, "the last job")
    assert numbers(served) == list(range(1, 202))
    assert {record(served, path)["s"] for _, path in filed.values()} == {"done"}
