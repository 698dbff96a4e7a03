"""Queued writes (@behind) while all that they need is killed or away: each is made once, in its order, and none is lost."""

import random
import threading
import time

import pytest

from support.chaos import Chaos
from support.client import IncompleteAnswer
from support.gate import Held
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE made (client int NOT NULL, number int NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE tally (client int PRIMARY KEY, writes int NOT NULL);
INSERT INTO tally SELECT client, 0 FROM generate_series(0, 63) AS client;
"""
# Two statements: a write that is half made shows as well.
ROUTES = {"made": "-- @http POST /made/{client}/{number}\n-- @param client int\n-- @param number int\n-- @result none\n"
                  "-- @behind batch=200 every=30ms bound=2000\n"
                  "INSERT INTO made (client, number) VALUES (:client, :number);\n"
                  "UPDATE tally SET writes = writes + 1 WHERE client = :client\n"}
CLIENTS, WRITES, SECONDS = 8, 600, 120


class Clients(threading.Thread):
    """One client: writes its numbers in order, each again until it is accepted, with a key of its own."""

    def __init__(self, stack, client, go_on):
        super().__init__(daemon=True)
        self.stack, self.client, self.go_on = stack, client, go_on
        self.accepted = 0

    def run(self):
        while self.accepted < WRITES and self.go_on.is_set():
            if self.write(self.accepted):
                self.accepted += 1
            else:
                time.sleep(0.01)

    def write(self, number):
        try:
            key = f'"{self.client}-{number}"'
            answer = self.stack.direct(f"/made/{self.client}/{number}", method="POST", timeout=10,
                                       headers={"Idempotency-Key": key})
        except (OSError, IncompleteAnswer):
            return False
        assert answer.status in (202, 429, 503), answer
        return answer.status == 202


def waiting(stack):
    client = stack.queue.client()
    return sum(client.xlen(key) for key in client.keys("larder:q:b:*"))


def count(stack):
    return stack.sql("SELECT count(*) FROM made")[0][0]


def post(stack, client, number):
    return stack.direct(f"/made/{client}/{number}", method="POST")


def chaos(stack, server, dice):
    blows = Chaos(stack, server, dice)
    blows.add(10, 0.02, 0.97, blows.kill_larderd)
    blows.add(1, 0.1, 0.2, blows.restart_queue)
    blows.add(1, 0.6, 0.7, blows.restart_queue)
    blows.add(1, 0.3, 0.5, blows.restart_postgres)
    blows.add(1, 0.05, 0.9, blows.kill_responders)
    return blows


def test_every_write_is_made_once_and_in_order_whoever_is_killed(stack):
    server = stack.postgres(settings={"synchronous_commit": "on"})
    served = stack(ROUTES, schema=SCHEMA, postgres=server, queue=True, install=True, larderd=2, nginx=False)
    seed = random.randrange(1 << 32)
    print(f"dice: {seed}")
    go_on = threading.Event()
    go_on.set()
    clients = [Clients(served, number, go_on) for number in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        chaos(served, server, random.Random(seed)).run(
            lambda share: sum(each.accepted for each in clients) >= share * CLIENTS * WRITES, SECONDS)
        wait_until(lambda: not any(each.is_alive() for each in clients), SECONDS, "all accepted")
    finally:
        go_on.clear()
    assert [each.accepted for each in clients] == [WRITES] * CLIENTS
    wait_until(lambda: waiting(served) == 0, SECONDS, "the last batch")
    assert served.sql("SELECT client, number FROM made GROUP BY 1, 2 HAVING count(*) > 1 LIMIT 5") == []
    assert served.sql("SELECT count(*), min(number), max(number) FROM made") == [(CLIENTS * WRITES, 0, WRITES - 1)]
    assert served.sql("SELECT DISTINCT writes FROM tally WHERE client < %s", (CLIENTS,)) == [(WRITES,)]
    late = served.sql("SELECT client, number FROM (SELECT client, number, lag(number) OVER (PARTITION BY client ORDER BY "
                      "place) AS before FROM made) AS m WHERE number <> coalesce(before, -1) + 1 LIMIT 5")
    assert late == [], "in the order in which they were accepted"
    assert served.queue.client().xlen("larder:q:dead") == 0


def test_while_postgresql_is_away_writes_wait_up_to_the_bound(stack):
    server = stack.postgres(settings={"synchronous_commit": "on"})
    served = stack({"made": ROUTES["made"].replace("bound=2000", "bound=300")}, schema=SCHEMA, postgres=server,
                   queue=True, install=True, larderd=True, nginx=False)
    server.kill()
    answers = [post(served, 0, number) for number in range(310)]
    assert [answer.status for answer in answers] == [202] * 300 + [429] * 10
    assert answers[-1]["Retry-After"] == "1"
    wait_until(lambda: "queued writes wait" in served.larderd.log_text(), 20, "a line of log")
    wait_until(lambda: metrics(served).sum("larder_behind_waiting") == 300)
    server.start()
    wait_until(lambda: waiting(served) == 0, 30, "the batches")
    assert served.sql("SELECT array_agg(number ORDER BY place) FROM made") == [(list(range(300)),)]
    wait_until(lambda: post(served, 0, 300).status == 202, 10, "room again")
    wait_until(lambda: count(served) == 301)


def test_while_the_queue_is_away_nobody_is_told_that_it_will_be_made(stack):
    served = stack(ROUTES, schema=SCHEMA, queue=True, queue_proxy=True, install=True, larderd=True, nginx=False,
                   env={"LARDER_REDIS_TIMEOUT": "100ms"})
    wait_until(lambda: post(served, 1, 0).status == 202)
    wait_until(lambda: waiting(served) == 0)
    before = count(served)
    served.queue_proxy.stall()
    for number in range(5):
        answer = post(served, 2, number)
        answer.problem(503)
        assert answer["Retry-After"] == "1"
        assert answer.seconds < 5, "LARDER_REDIS_TIMEOUT, and the breaker"
    assert count(served) == before
    served.queue_proxy.pass_on()
    wait_until(lambda: post(served, 3, 0).status == 202, 10, "the queue being used again")
    wait_until(lambda: served.sql("SELECT client, number FROM made WHERE client = 3") == [(3, 0)])


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)


def test_what_was_made_and_not_removed_is_not_made_again(served):
    """As after a kill between the commit and the removal."""
    assert post(served, 0, 0).status == 202
    wait_until(lambda: count(served) == 1 and waiting(served) == 0)
    client = served.queue.client()
    [stream] = client.keys("larder:q:b:*")
    [(last,)] = served.sql("SELECT last FROM larder_kept.behind")
    document = b'{"values":{"client":"0","number":"0"}}'
    client.delete(stream)
    client.xadd(stream, {"r": "POST /made/{client}/{number}", "d": document, "o": ""}, id=last)
    wait_until(lambda: client.xlen(stream) == 0)
    assert count(served) == 1


def test_a_queue_that_forgot_everything_begins_anew(served):
    """Even with a clock that is behind: its numbers are not those of the queue before."""
    assert post(served, 0, 0).status == 202
    wait_until(lambda: count(served) == 1 and waiting(served) == 0)
    served.sql("UPDATE larder_kept.behind SET last = '99999999999999-0'")
    served.queue.client().flushall()
    assert post(served, 0, 1).status == 202
    wait_until(lambda: count(served) == 2)


def test_without_an_install_no_write_is_queued(stack):
    served = stack(ROUTES, schema=SCHEMA, queue=True, larderd=True, nginx=False)
    post(served, 0, 0).problem(501)
    assert waiting(served) == 0
    served.install()
    wait_until(lambda: post(served, 0, 1).status == 202, 20, "the responder seeing it")
    wait_until(lambda: count(served) == 1, 20)


def test_what_is_queued_waits_for_an_install(served):
    served.larderd.pause()
    assert post(served, 0, 0).status == 202
    served.sql("DROP SCHEMA larder CASCADE")
    served.larderd.resume()
    wait_until(lambda: "queued writes wait" in served.larderd.log_text(), 20, "a line of log")
    assert count(served) == 0 and waiting(served) == 1
    served.install()
    wait_until(lambda: count(served) == 1, 20)


def test_what_does_not_fit_the_route_any_more_is_given_up(served):
    """A route whose parameters changed, and larderd loads it anew."""
    served.larderd.stop()
    assert post(served, 0, 0).status == 202
    served.write_route("made", ROUTES["made"].replace("VALUES (:client, :number)", "VALUES (:client, :more)")
                       .replace("@param number int", "@param more int"))
    served.larderd.start()
    client = served.queue.client()
    wait_until(lambda: client.xlen("larder:q:dead") == 1 and waiting(served) == 0)
    [(_, letter)] = client.xrange("larder:q:dead")
    assert b"the route needs more now" in client.hget(b"larder:q:j:" + letter[b"j"], "rb")
    assert count(served) == 0


def test_larderd_takes_new_routes_at_sighup(served):
    served.write_route("new", "-- @http POST /new/{number}\n-- @param number int\n-- @behind batch=5 every=10ms\n"
                       "INSERT INTO made (client, number) VALUES (-1, :number)")
    served.api.reload()
    assert served.direct("/new/5", method="POST").status == 202
    wait_until(lambda: waiting(served) == 1)
    served.larderd.process.signal(1)
    wait_until(lambda: served.sql("SELECT number FROM made WHERE client = -1") == [(5,)])


def batch_waits(served):
    return served.sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype <> 'advisory'")[0][0] > 0


def batch_held(served):
    """Holds a batch that is at its second statement."""
    return Held(served, "LOCK TABLE tally")


def in_order(served):
    return [number for number, in served.sql("SELECT number FROM made WHERE client = 0 ORDER BY place")]


def test_routes_that_come_while_a_batch_waits_keep_the_order(served):
    """The new routes' makers find the old one's batch at work, and what it made."""
    lock = batch_held(served)
    for number in range(40):
        assert post(served, 0, number).status == 202
        if number % 10 == 0:
            wait_until(lambda: batch_waits(served), 10, "a batch that waits")
            loaded = served.larderd.log_text().count("loaded from")
            served.write_route("made", ROUTES["made"] + f"-- {number}\n")
            served.larderd.process.signal(1)
            wait_until(lambda before=loaded: served.larderd.log_text().count("loaded from") > before, 20, "the routes")
    lock.open()
    wait_until(lambda: count(served) >= 40 and waiting(served) == 0, 30, "the last write")
    assert in_order(served) == list(range(40))


def test_larderd_ends_while_a_batch_waits(served):
    """In bounded time and well; the next one makes what waited."""
    lock = batch_held(served)
    for number in range(10):
        assert post(served, 0, number).status == 202
    wait_until(lambda: batch_waits(served), 10, "a batch that waits")
    assert served.larderd.stop(20) == 0
    served.larderd.start()
    lock.open()
    wait_until(lambda: count(served) >= 10 and waiting(served) == 0, 60, "the last write")
    assert in_order(served) == list(range(10))
