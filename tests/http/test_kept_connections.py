"""Kept FastCGI connections with few threads: idle, silent, cut or senseless ones never keep others from an answer."""

import concurrent.futures
import contextlib
import fcntl
import os
import random
import socket
import struct
import termios
import time

import pytest

from support import fastcgi
from support.fastcgi import BEGIN, PARAMS, STDIN, begin, cgi_params, pair, record, stream
from support.gate import ROUTE as GATE, Gate
from support.stack import metrics
from support.threads import hands
from support.waiting import wait_until

ROUTES = {
    "word": "-- @http GET /word\n-- @result row\nSELECT 'old' AS word",
    "big": "-- @http GET /big\n-- @result value\nSELECT repeat('x', 5000000) AS text",
    "gate": GATE,
}
THREADS = 2
QUICK = 5.0  # seconds: what "at once" may take on a busy machine
SILENCE = 10.0  # seconds that silence within a request is forgiven (src/serve/listener.h)


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, nginx_workers=4, env={"LARDER_THREADS": str(THREADS)})


@pytest.fixture(autouse=True)
def lives_on(served):
    """After every test the same process still answers, on a new connection and through nginx."""
    pids = served.api.running()
    yield
    assert served.api.running() == pids
    answered_at_once(served)
    assert served.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' "
                      "AND datname = current_database()")[0][0] == 0


def answered_at_once(served, count=1):
    """`count` requests straight and as many through nginx."""
    for _ in range(count):
        for answer in (served.direct("/word", timeout=QUICK), served.request("/word", timeout=QUICK)):
            assert answer.status == 200 and answer.json() == {"word": "old"}
            assert answer.seconds < QUICK


def kept_connections(served, exits, count):
    """`count` connections that have answered one request each and are idle since."""
    connections = [exits.enter_context(served.connect(timeout=QUICK)) for _ in range(count)]
    for each in connections:
        assert each.request("/word", keep=True).status == 200
    return connections


def sockets_of(served):
    """How many sockets the responder has open."""
    folder = f"/proc/{served.api.pids[0]}/fd"
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{name}"))
    return sum(link.startswith("socket:") for link in links)


def closed_by_responder(connection):
    with contextlib.suppress(ConnectionResetError):
        while connection.socket.recv(1 << 16):
            pass
    return True


def whole_request(target="/word", keep=False, **params):
    """The bytes of a request as nginx sends it."""
    pairs = b"".join(pair(name, value) for name, value in (cgi_params(target) | params).items())
    return begin(keep) + stream(PARAMS, pairs) + stream(STDIN, b"")


# Idle connections

def test_many_clients_through_many_workers_and_few_threads(served):
    def ask(_):
        return [served.request("/word", timeout=20) for _ in range(15)]

    with concurrent.futures.ThreadPoolExecutor(64) as clients:
        answers = [answer for each in clients.map(ask, range(64)) for answer in each]
    assert len(answers) == 960 and {answer.status for answer in answers} == {200}
    # what nginx keeps is idle now, and more than the threads: the fixture and this ask beside it
    assert sockets_of(served) > 3 * THREADS
    answered_at_once(served, 20)


def test_idle_kept_connections_hold_no_thread(served):
    with contextlib.ExitStack() as exits:
        idle = kept_connections(served, exits, 64)
        assert sockets_of(served) > 64
        answered_at_once(served, 20)
        for each in reversed(idle):
            assert each.request("/word", keep=True).json() == {"word": "old"}


def test_connections_that_never_send_anything_hold_no_thread(served):
    with contextlib.ExitStack() as exits:
        for _ in range(64):
            exits.enter_context(served.connect())
        answered_at_once(served, 5)


def test_idle_connections_and_requests_that_wait_leave_the_last_thread_to_others(served):
    with Gate(served) as shut, contextlib.ExitStack() as exits:
        idle = kept_connections(served, exits, 32)
        idle[0].start("/gate", keep=True)
        shut.wait_for(1)
        answered_at_once(served, 5)
        for each in idle[1:]:
            assert each.request("/word", keep=True).status == 200
        shut.open()
        assert idle[0].answer().status == 200


def test_requests_beyond_the_threads_wait_and_are_answered(served):
    with Gate(served) as shut, contextlib.ExitStack() as exits:
        connections = kept_connections(served, exits, 8)
        for each in connections:
            each.start("/gate", keep=True)
        shut.wait_for(THREADS)
        shut.open()
        assert [each.answer().status for each in connections] == [200] * 8


def test_one_connection_serves_many_requests_and_large_answers(served):
    with served.connect() as connection:
        for _ in range(5):
            assert len(connection.request("/big", keep=True).body) == 5000002
            assert connection.request("/nothing", keep=True).status == 404
            assert connection.request("/word", "POST", body=b"x" * 100000, keep=True).status == 405
            assert connection.request("/word", keep=True).json() == {"word": "old"}
        assert connection.request("/word", keep=False).status == 200
        assert closed_by_responder(connection)


def test_a_responder_stopped_while_an_answer_waits_for_room_goes_on_with_it(served):
    """By SIGSTOP, as frozen containers are."""
    def unread():
        return struct.unpack("i", fcntl.ioctl(connection.socket, termios.FIONREAD, b"\0" * 4))[0]

    def full():
        before = unread()
        return before > 100000 and hands(served.api)[0] and unread() == before

    with served.connect() as connection:
        connection.start("/big", keep=True)
        wait_until(full, 20, "an answer without room")
        served.api.pause()
        served.api.resume()
        assert len(connection.answer().body) == 5000002
        assert connection.request("/word", keep=True).json() == {"word": "old"}


def test_closed_idle_connections_are_let_go(served):
    with contextlib.ExitStack() as exits:
        before = sockets_of(served)
        kept_connections(served, exits, 64)
        assert sockets_of(served) >= before + 60
    wait_until(lambda: sockets_of(served) <= before + 2, 5, "the closed connections' descriptors free")


# Silent, cut and senseless connections

HALVES = {
    "half a header": begin()[:4],
    "half a BEGIN record": begin()[:12],
    "BEGIN alone": begin(),
    "half of the parameters": whole_request()[:200],
    "parameters without their end": begin() + record(PARAMS, pair("REQUEST_METHOD", "GET")),
}


def broken(served):
    return metrics(served).sum("larder_fcgi_broken_total")


def test_one_silent_request_leaves_the_other_threads_to_others(served):
    before = broken(served)
    with served.connect() as silent:
        silent.send(begin()[:12])
        answered_at_once(served, 10)
    wait_until(lambda: broken(served) == before + 1, what="its end counted")


def test_silent_requests_on_every_thread_give_way_after_the_silence(served):
    """And what waited for them meanwhile is answered; they are closed and counted."""
    before = broken(served)
    with contextlib.ExitStack() as exits:
        silent = [exits.enter_context(served.connect(timeout=SILENCE + QUICK)) for _ in range(THREADS)]
        start = time.monotonic()
        for each in silent:
            each.send(begin()[:12])
        assert served.direct("/word", timeout=SILENCE + QUICK).status == 200
        assert all(closed_by_responder(each) for each in silent)
        assert time.monotonic() - start < SILENCE + QUICK
    wait_until(lambda: broken(served) == before + THREADS, what="both counted")  # they are closed first


@pytest.mark.parametrize("what", HALVES)
def test_a_peer_that_goes_in_mid_request_is_let_go(served, what):
    before = sockets_of(served)
    for _ in range(4 * THREADS):
        with served.connect() as connection:
            connection.send(HALVES[what])
    answered_at_once(served)
    wait_until(lambda: sockets_of(served) <= before + 2, 5, "the cut connections' descriptors free")


@pytest.mark.parametrize("target", ["/word", "/big", "/nothing"])
def test_a_peer_that_goes_without_its_answer_is_let_go(served, target):
    before = sockets_of(served)
    for keep in (True, False) * THREADS:
        with served.connect() as connection:
            connection.send(whole_request(target, keep))
        with served.connect() as connection:
            connection.send(whole_request(target, keep))
            connection.socket.recv(10)
    answered_at_once(served)
    wait_until(lambda: sockets_of(served) <= before + 2, 5, "the cut connections' descriptors free")


def test_a_peer_that_goes_while_the_database_works_is_let_go(served):
    before = metrics(served).sum("larder_requests_total", route="GET /gate")
    with Gate(served) as shut:
        for count in range(1, THREADS + 1):
            with served.connect() as connection:
                connection.send(whole_request("/gate", keep=True))
                shut.wait_for(count)
        shut.open()
        wait_until(lambda: metrics(served).sum("larder_requests_total", route="GET /gate") == before + THREADS, 5,
                   "both requests at their end")


def params_of(content):
    return begin() + record(PARAMS, content) + record(PARAMS) + record(STDIN)


SENSELESS = {
    "HTTP": b"GET /word HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(4096),
    "all ones": b"\xff" * 4096,
    "another version": record(BEGIN, struct.pack("!HB5x", 1, 0), version=2),
    "another role": begin(role=2) + stream(PARAMS, b""),
    "a BEGIN record of the wrong size": record(BEGIN, b"\0\1"),
    "the application's record": record(7, b"x"),
    "an unknown record": record(99, b"x" * 100),
    "an unknown management record": record(99, b"x" * 100, identifier=0),
    "parameters before BEGIN": record(PARAMS, pair("A", "B")),
    "BEGIN twice": begin() + begin(),
    "another request's BEGIN within": begin(identifier=1) + begin(identifier=2),
    "a name longer than its record": params_of(b"\x7f\x01abc"),
    "a value that is 2 GB": params_of(struct.pack("!BI", 1, 0xffffffff) + b"Ax"),
    "lengths whose sum overflows": params_of(struct.pack("!II", 0xffffffff, 0xffffffff) + b"A" * 64),
    "half a length": params_of(b"\x80\0"),
    "empty names": params_of(b"\0\0" * 1000),
    "a name without a value": params_of(pair("REQUEST_METHOD", "")),
    "NUL in names": params_of(pair("REQUEST\0METHOD", "G\0ET") + pair("=", "=") + pair("A=B", "C")),
    "no parameters": params_of(b""),
    "an aborted request": begin(keep=True) + record(2),
    "20,000 parameters": begin() + stream(PARAMS, pair("HTTP_X", "y") * 20000) + record(STDIN),
}


def say(served, data, timeout=QUICK):
    """Sends the bytes, ends the sending side, and reads what comes until the responder closes, too."""
    with served.connect(timeout=timeout) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
        closed_by_responder(connection)


@pytest.mark.parametrize("what", SENSELESS)
def test_senseless_bytes_close_the_connection_and_nothing_else(served, what):
    for _ in range(2 * THREADS):
        say(served, SENSELESS[what])
    answered_at_once(served)


def test_random_changes_of_a_request_close_the_connection_and_nothing_else(served):
    chance = random.Random(1)
    request = whole_request(keep=True)
    for _ in range(300):
        changed = bytearray(request)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(min(64, len(changed)) if chance.random() < 0.5 else len(changed))] = \
                chance.randrange(256)
        say(served, bytes(changed[:chance.randint(1, len(changed))]) if chance.random() < 0.3 else bytes(changed))
    answered_at_once(served)


def test_what_is_malformed_is_counted(served):
    before = metrics(served)
    for what in ("HTTP", "a BEGIN record of the wrong size", "half a length"):
        say(served, SENSELESS[what])
    for what in ("half a BEGIN record", "half of the parameters"):
        say(served, HALVES[what])
    wait_until(lambda: metrics(served).sum("larder_fcgi_broken_total")
               == before.sum("larder_fcgi_broken_total") + 5, 5, "five broken connections counted")
