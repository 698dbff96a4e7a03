"""Many requests for one answer that is not there, old or about to be: one query, and nobody waits without end."""

import itertools
import os
import re
import signal
import threading
import time

import pytest

from support import fastcgi
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, detail, is_hit, keep, wait_heard
from support.crowd import Background, ask_together, taken_requests
from support.gate import NUMBER, Gate
from support.stack import metrics, queries
from support.waiting import wait_until

LEASE = 1.0
SLACK = 5.0  # what a busy machine may add; less than a statement's time, LARDER_TIMEOUT, which ends any wait at the gate
PATIENT_LEASE = 20
ENV = {"LARDER_LEASE": "1s", "LARDER_THREADS": "16"}
AT_GATE = f"SELECT :id AS id, (SELECT word FROM words) AS word FROM pg_advisory_xact_lock_shared({NUMBER})"
SCHEMA = f"{SENTINEL_SCHEMA} CREATE TABLE words (word text); INSERT INTO words VALUES ('old');"


def route(path, cache, statement, *lines):
    return "\n".join([f"-- @http GET {path}", "-- @result row", "-- @param id int", f"-- @cache {cache}",
                      *(f"-- {line}" for line in lines), statement, ""])


ROUTES = SENTINEL_ROUTE | {
    "cold": route("/cold/{id}", "ttl=300s", AT_GATE),
    "far": route("/far/{id}", "ttl=300s l1=off", AT_GATE),
    "stale": route("/stale/{id}", "ttl=1s stale=300s", AT_GATE),
    "aged": route("/aged/{id}", "ttl=1s", AT_GATE),
    "brief": route("/brief/{id}", "ttl=1s stale=1s", AT_GATE),
    "soon": route("/soon/{id}", "ttl=6s", AT_GATE),
    "broken": route("/broken/{id}", "ttl=300s", f"SELECT 1 / :id AS one FROM pg_advisory_xact_lock_shared({NUMBER})"),
}
unused = itertools.count(1)


@pytest.fixture(scope="module")
def shared(shared_stack):
    """Four processes on one socket, a lease that nobody's crowd outlasts, however slow the machine, and a guard time
    that no answer does at the gate: where larderd is held up as well, it would be asked for anew."""
    return shared_stack(ROUTES, schema=SCHEMA, processes=4, nginx=False, install=True, larderd=True,
                        env={**ENV, "LARDER_LEASE": f"{PATIENT_LEASE}s", "LARDER_TIMEOUT": "30s", "LARDER_GUARD_TTL": "60s"})


@pytest.fixture
def served(shared):
    """Nothing is being told that could strike what a test fills."""
    barrier(shared)
    return shared


@pytest.fixture(scope="module")
def pair(shared_stack):
    """Two processes, each with a socket of its own."""
    return shared_stack(ROUTES, schema=SCHEMA, export=True, nginx=False, install=True, larderd=True, env=ENV)


def ask(socket, target):
    return fastcgi.ask(socket, target, timeout=60)


class Visitors:
    """So many requests at once; `answers()` waits for all of them."""

    def __init__(self, sockets, targets):
        self.begun = [Background(ask, socket, target) for socket, target in zip(itertools.cycle(sockets), targets)]

    def answers(self):
        answers = [each.result(60) for each in self.begun]
        for answer in answers:
            assert answer.status == 200, answer
        return answers

    def done(self):
        return sum(each.done() for each in self.begun)


# One query

@pytest.mark.parametrize("path", ["/cold", "/far"])
def test_a_cold_key_is_queried_once(served, path):
    """Two hundred requests over four processes while the query is under way."""
    number = next(unused)
    before, collapsed = queries(served), metrics(served).sum("larder_collapsed_total")
    with Gate(served) as gate:
        visitors = Visitors([served.api.socket], [f"{path}/{number}"] * 200)
        gate.wait_for(1)
        wait_until(lambda: taken_requests(served) >= 200, 20, "all requests under way")
        assert gate.waiting() == 1
    answers = visitors.answers()
    assert all(answer.json() == {"id": number, "word": "old"} for answer in answers)
    assert queries(served) - before == 1
    assert sum("; stored" in answer["Cache-Status"] and "collapsed" not in answer["Cache-Status"]
               for answer in answers) == 1
    assert metrics(served).sum("larder_collapsed_total") > collapsed


def test_who_waited_for_anothers_fill_is_told_so(pair):
    """Of one process: to the others it is a hit."""
    number = next(unused)
    before = metrics(pair).sum("larder_l1_misses_total")
    with Gate(pair) as gate:
        visitors = Visitors([pair.api.socket], [f"/cold/{number}"] * 20)
        wait_until(lambda: metrics(pair).sum("larder_l1_misses_total") - before >= 20, 20, "all requests under way")
        gate.wait_for(1)
    assert any("; collapsed" in answer["Cache-Status"] for answer in visitors.answers())


def test_many_cold_keys_are_each_queried_once(served):
    numbers = [next(unused) for _ in range(20)]
    before = queries(served)
    targets = [f"/cold/{number}" for number in numbers] * 10
    with Gate(served) as gate:
        visitors = Visitors([served.api.socket], targets)
        wait_until(lambda: gate.waiting() >= 4, 10, "queries under way")
    for target, answer in zip(targets, visitors.answers()):
        assert answer.json()["id"] == int(target.rpartition("/")[2])
    assert queries(served) - before == 20


def test_a_struck_key_is_queried_once_and_nobody_gets_the_old_answer(served):
    """Unlike one that is only old: what was struck is known to be wrong."""
    number = next(unused)
    served.sql("UPDATE words SET word = 'old'")
    wait_until(lambda: ask(served.api.socket, f"/cold/{number}").json()["word"] == "old", 5, "the old word")
    keep(lambda: ask(served.api.socket, f"/cold/{number}"), "l1")
    with Gate(served) as gate:
        before = queries(served)
        served.sql("UPDATE words SET word = 'new'")
        first = Background(lambda: wait_until(
            lambda: ask(served.api.socket, f"/cold/{number}").json()["word"] == "new", 30, "the new word"))
        gate.wait_for(1)
        wait_heard(served)
        visitors = Visitors([served.api.socket], [f"/cold/{number}"] * 100)
    assert {answer.json()["word"] for answer in visitors.answers()} == {"new"}
    first.result()
    assert queries(served) - before == 1


def test_a_failed_query_holds_nobody(served):
    """Its error goes to those who waited in the process, or they ask themselves; the lease is gone at once."""
    answers = ask_together(lambda target: ask(served.api.socket, target), ["/broken/0"] * 40, 40)
    assert {answer.status for answer in answers} == {500}
    assert max(answer.seconds for answer in answers) < PATIENT_LEASE / 2


# Nobody waits without end

def test_a_holder_killed_holds_nobody_longer_than_the_lease(pair):
    number = next(unused)
    victim, survivor = pair.pools
    with Gate(pair) as gate:
        lost = Background(ask, victim.socket, f"/cold/{number}")
        gate.wait_for(1)
        waiting = Background(ask, survivor.socket, f"/cold/{number}")
        victim.kill()
        gate.open()
        answer = waiting.result()
        assert answer.json()["id"] == number
        assert answer.seconds < LEASE + SLACK
    with pytest.raises(OSError):
        lost.result()
    os.unlink(victim.socket)
    victim.start()
    keep(lambda: ask(survivor.socket, f"/cold/{number}"))
    wait_until(lambda: is_hit(ask(victim.socket, f"/cold/{number}")), 10, "a hit in the new process")


def test_a_holder_stopped_holds_nobody_longer_than_the_lease(pair, tmp_path):
    """It wakes later with an answer that is old by then, and must not put it over the new one."""
    number = next(unused)
    holder, other = pair.pools
    pair.sql("UPDATE words SET word = 'old'")
    with Gate(pair) as gate:
        late = Background(ask, holder.socket, f"/far/{number}")
        gate.wait_for(1)
        holder.pause()
        try:
            gate.open()
            wait_until(lambda: gate.waiting() == 0, 5, "the holder's query done")
            answer = ask(other.socket, f"/far/{number}")
            assert answer.json() == {"id": number, "word": "old"}
            assert answer.seconds < LEASE + SLACK
            pair.sql("UPDATE words SET word = 'new'")
            wait_until(lambda: ask(other.socket, f"/far/{number}").json()["word"] == "new", 5, "the new word")
        finally:
            holder.resume()
    assert late.result().json()["word"] == "old", "the holder's own client asked before the change"
    for socket in (holder.socket, other.socket) * 10:
        assert ask(socket, f"/far/{number}").json()["word"] == "new"


def test_waiters_are_bounded_while_the_holder_lives(pair):
    """The query takes longer than the lease: those of the other process ask the database themselves."""
    number = next(unused)
    holder, other = pair.pools
    with Gate(pair) as gate:
        leased = time.monotonic()
        first = Background(ask, holder.socket, f"/cold/{number}")
        gate.wait_for(1)
        begin = time.monotonic()
        second = Background(ask, other.socket, f"/cold/{number}")
        gate.wait_for(2)
        assert time.monotonic() - leased >= LEASE and time.monotonic() - begin < LEASE + SLACK
    assert first.result().json() == second.result().json()


def test_a_waiter_whose_client_left_harms_nobody(served):
    number = next(unused)
    with Gate(served) as gate:
        visitors = Visitors([served.api.socket], [f"/cold/{number}"] * 5)
        gate.wait_for(1)
        for _ in range(20):
            with served.connect() as connection:
                connection.start(f"/cold/{number}")
    for answer in visitors.answers():
        assert answer.json()["id"] == number
    assert ask(served.api.socket, f"/cold/{number}").json()["id"] == number


# Old answers

def test_an_old_answer_goes_out_while_one_query_renews_it(served):
    number = next(unused)
    keep(lambda: ask(served.api.socket, f"/stale/{number}"))
    with Gate(served) as gate:
        wait_until(lambda: detail(ask(served.api.socket, f"/stale/{number}")) == "stale", 5, "the answer old")
        gate.wait_for(1)
        before = queries(served)
        answers = ask_together(lambda target: ask(served.api.socket, target), [f"/stale/{number}"] * 100, 20)
        for answer in answers:
            assert answer.status == 200 and answer.seconds < PATIENT_LEASE / 2, answer
            assert re.fullmatch(r"larder; hit; ttl=(0|-\d+); detail=stale", answer["Cache-Status"]), answer
        assert gate.waiting() == 1, "one query renews it"
        assert queries(served) == before
    wait_until(lambda: detail(ask(served.api.socket, f"/stale/{number}")) in ("l1", "redis"), 5, "a renewed answer")


def wait_unasked(seconds):
    """Whoever asks shortly before an answer's end may have it made anew ahead of it; so nobody does."""
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin > seconds, seconds + 10, "the answer's age")


def test_past_the_stale_window_nothing_old_goes_out(served):
    """ttl=1s stale=1s: whatever is older than two seconds is made anew before it is sent."""
    number = next(unused)
    assert "; stored" in ask(served.api.socket, f"/brief/{number}")["Cache-Status"]
    wait_unasked(2.1)
    answer = ask(served.api.socket, f"/brief/{number}")
    assert answer["Cache-Status"].startswith("larder; fwd="), answer


def test_a_change_strikes_an_old_answer_too(served):
    """stale= is for age: what was struck is not shown."""
    number = next(unused)
    served.sql("UPDATE words SET word = 'first'")
    wait_until(lambda: ask(served.api.socket, f"/stale/{number}").json()["word"] == "first", 5, "the first word")
    keep(lambda: ask(served.api.socket, f"/stale/{number}"))
    served.sql("UPDATE words SET word = 'second'")
    wait_until(lambda: ask(served.api.socket, f"/stale/{number}").json()["word"] == "second", 5, "the second word")
    wait_heard(served)
    for _ in range(20):
        assert ask(served.api.socket, f"/stale/{number}").json()["word"] == "second"


def test_an_aged_answer_without_a_stale_window_is_made_anew(served):
    number = next(unused)
    assert "; stored" in ask(served.api.socket, f"/aged/{number}")["Cache-Status"]
    wait_unasked(1.1)
    answer = ask(served.api.socket, f"/aged/{number}")
    assert answer["Cache-Status"].startswith("larder; fwd="), answer


def test_a_popular_answer_is_renewed_before_it_ends(served):
    """XFetch: costly and asked for often, so the chance is near certain. Nobody ever waits for it."""
    number = next(unused)
    with Gate(served) as gate:
        first = Background(ask, served.api.socket, f"/soon/{number}")
        gate.wait_for(1)
        wait_unasked(1)
    assert "; stored" in first.result()["Cache-Status"]
    with Gate(served) as gate:
        while gate.waiting() == 0:
            assert is_hit(ask(served.api.socket, f"/soon/{number}")), "it ended without being renewed"
        before = queries(served)
        assert all(is_hit(ask(served.api.socket, f"/soon/{number}")) for _ in range(8)), "somebody waited"
        assert gate.waiting() == 1 and queries(served) == before, "one query renews it"


def test_processes_die_under_a_stampede(shared_stack):
    """kill -9 again and again while the keys are cold: every request that reaches a living process is answered."""
    served = shared_stack(ROUTES, schema=SCHEMA, export=True, nginx=False, install=True, larderd=True, env=ENV)
    victim, survivor = served.pools
    over = threading.Event()

    def kill_again():
        while not over.is_set():
            wait_until(lambda: victim.running() and os.path.exists(victim.socket), 10, "a victim")
            over.wait(0.15)
            victim.signal(signal.SIGKILL)
            wait_until(lambda: not victim.running(), 10, "its end")
            os.unlink(victim.socket)
            victim.start()

    def visit_victim(number):
        try:
            ask(victim.socket, f"/cold/{number}")
        except OSError:
            pass

    killer = threading.Thread(target=kill_again)
    killer.start()
    try:
        for number in (next(unused) for _ in range(60)):
            lost = Background(visit_victim, number)
            answer = ask(survivor.socket, f"/cold/{number}")
            assert answer.json()["id"] == number and answer.seconds < LEASE + SLACK, answer
            lost.result()
    finally:
        over.set()
        killer.join()
