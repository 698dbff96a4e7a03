"""What the fault tests share: routes, the answers that are right, and what every answer under a fault must keep."""

import itertools
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from support.stack import REDIS_TIER, metrics
from support.waiting import wait_until

ITEMS = 20000
SCHEMA = f"""
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, {ITEMS}) AS i;
"""
ROUTES = {
    "item": "-- @http GET /items/{id}\n-- @result row\n-- @cache ttl=300s\nSELECT id, name FROM items WHERE id = :id",
    "page": "-- @http GET /pages/{first}\n-- @cache ttl=300s\n"
            "SELECT id, name FROM items WHERE id >= :first AND id < :first + 100 ORDER BY id",
    "plain": "-- @http GET /plain/{id}\n-- @param id int\n-- @result row\nSELECT id, name FROM items WHERE id = :id",
    "slow": "-- @http GET /slow/{id}\n-- @param id int\n-- @param seconds float8 default=30\n-- @result row\n"
            "-- @timeout 1s\nSELECT :id AS id, pg_sleep(:seconds)::text AS slept",
}
DOWN = "larder; fwd=bypass; detail=redis-down"
HIT = "larder; hit"

SANITIZED = "ASAN_OPTIONS" in os.environ
# A request that needs no Redis takes milliseconds; this much more is what a busy machine, or a sanitizer, may add to any
# one. It tells waits that are bounded from those that are not; where two bounds are to be told apart, least_wait does.
SLACK = 2.0

unused = itertools.count(1)


def fresh_id():
    """The number of an item that no test has asked for yet."""
    return next(unused)


def assert_item(answer, number):
    assert answer.status == 200, answer
    assert answer.json() == {"id": number, "name": f"item {number}"}, answer
    return answer


def ask_item(stack, number=None):
    """The item, straight from the responder; the answer must be right, whatever is broken."""
    number = number or fresh_id()
    return assert_item(stack.direct(f"/items/{number}"), number)


def keep_item(stack):
    """An item that Redis keeps from now on; its number."""
    number = fresh_id()
    wait_until(lambda: is_hit(ask_item(stack, number)), what="an item kept in Redis")
    return number


def ask_redis(stack, number):
    """The item as Redis has it, once that has answered in time: it is there, but a busy machine may hold it up."""
    return wait_until(lambda: (answer := ask_item(stack, number))["Cache-Status"] != DOWN and answer,
                      what="a Redis that answers in time")


def is_hit(answer):
    return answer["Cache-Status"].startswith(HIT)


def count(stack, name):
    return metrics(stack).sum(f"larder_{name}")


def grown(stack, before, name):
    return count(stack, name) - before.sum(f"larder_{name}")


def together(function, arguments):
    """Calls the function once for each argument, all at the same time."""
    arguments = list(arguments)
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(function, arguments))


def least_wait(answers, least):
    """Seconds that the quickest took of those that took so long at least: a busy machine holds up some, hardly all."""
    return min(answer.seconds for answer in answers if answer.seconds >= least)


def breaker_is_open(stack):
    return count(stack, "redis_breaker_open") == 1


def assert_first_requests_bounded(stack, timeout, kept=()):
    """The requests that meet the fault first: right, from PostgreSQL, and none much later than the time-out."""
    for number in [*kept, *(fresh_id() for _ in range(8))]:
        answer = ask_item(stack, number)
        assert answer["Cache-Status"] == DOWN
        assert answer.seconds < timeout + SLACK, answer
    for answer in together(lambda _: ask_item(stack), range(8)):
        assert answer.seconds < timeout + SLACK, answer


def assert_later_requests_free(stack, timeout):
    """Once the breaker is open only its probes pay, and only they are counted as errors."""
    wait_until(lambda: ask_item(stack) and breaker_is_open(stack), what="the breaker open")
    before, start = metrics(stack), time.monotonic()
    answers = [ask_item(stack) for _ in range(100)]
    probes = grown(stack, before, "redis_errors_total")
    assert all(answer["Cache-Status"] == DOWN for answer in answers)
    assert probes <= 1 + (time.monotonic() - start) / PROBE_SECONDS, "an open breaker let more than its probes through"
    assert grown(stack, before, "redis_skipped_total") >= 100 - probes
    assert grown(stack, before, "queries_total") == 100
    if timeout > 0.05:
        assert median(answer.seconds for answer in answers) < timeout * 0.9
    assert breaker_is_open(stack)


def assert_few_log_lines(stack, secrets=()):
    """A fault is told, but not once for each request; and never with a secret."""
    text = stack.log_text()
    told = [line for line in text.splitlines() if "redis" in line.lower()]
    assert 1 <= len(told) <= 14, told
    for secret in secrets:
        assert secret not in text


def assert_redis_returns(stack):
    """Hits again and the gauge at 0, without anybody's help."""
    keep_item(stack)
    wait_until(lambda: count(stack, "redis_breaker_open") == 0, what="the breaker closed")
    number = keep_item(stack)

    def hits_everywhere():
        before = metrics(stack)
        answers = together(lambda _: ask_item(stack, number), range(8))
        return all(map(is_hit, answers)) and grown(stack, before, "redis_skipped_total") == 0

    wait_until(hits_everywhere, what="hits everywhere, and nobody who leaves Redis out")


PROBE_SECONDS = 0.25
PROBE = REDIS_TIER | {"LARDER_REDIS_PROBE": "250ms", "LARDER_REDIS_TIMEOUT": "100ms"}


def assert_rides_out(stack, timeout=0.1, kept=(), secrets=()):
    assert_first_requests_bounded(stack, timeout, kept)
    assert_later_requests_free(stack, timeout)
    assert_few_log_lines(stack, secrets)


class Deaf:
    """A port whose host answers no new connection at all: its queue is full and nobody accepts."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = [self.filler() for _ in range(4)]
        wait_until(self.silent, what="a full queue")

    def filler(self):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", self.port))
        return connection

    def silent(self):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            try:
                probe.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return True
            return False

    def stop(self):
        for each in [*self.fillers, self.listener]:
            each.close()


class Server:
    """A server that treats each connection as `behaviour(connection)` does, in a thread of its own.

    It listens on a loopback port, or on a UNIX socket at `path`.
    """

    def __init__(self, behaviour, path=None):
        self.behaviour = behaviour
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen(128)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.port = self.listener.getsockname()[1]
        self.connections = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.behaviour(connection)
        except OSError:
            pass

    def stop(self):
        for each in [self.listener, *self.connections]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()


def reply_to_each(reply, every=0.0):
    """A behaviour: `reply` to whatever comes, in one piece or a byte `every` so many seconds."""
    def behave(connection):
        while connection.recv(1 << 16):
            pieces = [reply[at:at + 1] for at in range(len(reply))] if every else [reply]
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(every)
    return behave


def hang_up_half(connection):
    """A behaviour: closes its own direction at once and reads on."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass
