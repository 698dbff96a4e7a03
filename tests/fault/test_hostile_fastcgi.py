"""Bytes that no web server sends, straight to the responder's socket: it neither dies, nor hangs, nor grows."""

import os
import random
import socket
import struct
import threading

import pytest

from faults import PROBE, ROUTES, SANITIZED, SCHEMA, ask_item, assert_item, fresh_id, keep_item, together
from support.fastcgi import (ABORT, BEGIN, END, GET_VALUES, PARAMS, STDIN, STDOUT, Connection, begin, cgi_params, pair,
                             record, stream)
from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

THREADS = 4


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack({**ROUTES, "hold": ROUTES["slow"].replace("/slow/", "/hold/").replace("1s", "60s")},
                        schema=SCHEMA, nginx=False, env={**PROBE, "LARDER_THREADS": str(THREADS)})


@pytest.fixture(autouse=True)
def healthy(served):
    """After every test: the same process, no sanitizer's complaint, every thread free."""
    revive(served.api)
    pid = served.api.pids[0]
    yield
    assert_every_thread_serves(served)
    assert served.api.running() == [pid]
    assert served.api.sanitizer_report() is None


def revive(responder):
    """One test's victim must not be the next one's."""
    if responder.running():
        return
    os.unlink(responder.socket)
    os.rename(responder.log, f"{responder.log}.died")
    responder.start()
    wait_until(lambda: os.path.exists(responder.socket), what="the responder's socket")


def assert_every_thread_serves(served):
    """As many statements as there are threads, all running at the same moment."""
    asking = [threading.Thread(target=ask_quietly, args=(served, f"/hold/{number}"), daemon=True)
              for number in range(THREADS)]
    for each in asking:
        each.start()
    try:
        wait_until(lambda: len(sleeping(served.sql)) == THREADS or not served.api.running(), 25, "every thread at work")
        assert served.api.running(), f"the responder died: {served.log_text()[-300:]}"
    finally:
        served.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%'"
                   " AND datname = current_database() AND pid <> pg_backend_pid()")
        for each in asking:
            each.join(30)
    ask_item(served)


def ask_quietly(served, target):
    try:
        served.direct(target)
    except OSError:
        pass


def throw(served, data, wait=True):
    """Sends the bytes, ends sending, and reads whatever comes until the responder closes."""
    with Connection(served.api.socket, 15) as connection:
        try:
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = b""
            while wait and (piece := connection.socket.recv(1 << 16)):
                answer += piece
            return answer
        except (BrokenPipeError, ConnectionResetError):
            return b""


def whole(target="/items/1", **options):
    pairs = b"".join(pair(name, value) for name, value in cgi_params(target, **options).items())
    return begin() + stream(PARAMS, pairs) + stream(STDIN, b"")


def params(content):
    return begin() + stream(PARAMS, content) + stream(STDIN, b"")


ODD = {
    "nothing": b"",
    "a byte": b"\1",
    "zeros": b"\0" * 4096,
    "ones": b"\xff" * 4096,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "version 0": record(BEGIN, struct.pack("!HB5x", 1, 0), version=0),
    "version 255": record(BEGIN, struct.pack("!HB5x", 1, 0), version=255),
    "no begin": stream(PARAMS, pair("A", "b")) + stream(STDIN, b""),
    "begin only": begin(),
    "begin twice": begin() + whole(),
    "begin of no size": record(BEGIN, b""),
    "begin too short": record(BEGIN, b"\0\1"),
    "begin too long": record(BEGIN, b"\0\1" + b"\0" * 600) + whole(),
    "unknown role": begin(role=77) + stream(PARAMS, pair("A", "b")) + stream(STDIN, b""),
    "role 0": begin(role=0) + stream(PARAMS, b"") + stream(STDIN, b""),
    "authorizer": begin(role=2) + stream(PARAMS, pair("REQUEST_METHOD", "GET")) + stream(STDIN, b""),
    "filter": begin(role=3) + stream(PARAMS, pair("REQUEST_METHOD", "GET")) + stream(STDIN, b""),
    "unknown type": record(200, b"x" * 100) + whole(),
    "type 0": record(0, b"x") + whole(),
    "end from the client": begin() + record(END, b"\0" * 8) + whole(),
    "abort": begin() + record(ABORT, b"") + whole(),
    "abort first": record(ABORT, b"") + whole(),
    "abort in the midst": begin() + record(PARAMS, pair("A", "b")) + record(ABORT, b""),
    "other identifier": begin(identifier=1) + stream(PARAMS, pair("A", "b"), 2) + stream(STDIN, b"", 2),
    "identifier 0": begin(identifier=0) + stream(PARAMS, pair("A", "b"), 0) + stream(STDIN, b"", 0),
    "no params": begin() + stream(PARAMS, b"") + stream(STDIN, b""),
    "params cut": begin() + record(PARAMS, b"\5\5abc", length=200),
    "params ended early": params(b"\5\5abc"),
    "a length alone": params(b"\5"),
    "half a long length": params(b"\x80\0"),
    "stdin cut": begin() + stream(PARAMS, pair("REQUEST_METHOD", "GET")) + record(STDIN, b"x", length=9),
    "empty pair": params(b"\0\0" * 3000),
    "name of no size": params(pair("", "value")),
    "zero in a name": params(pair(b"A\0B", b"c\0d")),
    "equals in a name": params(pair("A=B=", "=c")),
    "bytes beyond ascii": params(pair(bytes(range(256)), bytes(range(256)))),
    "padding": b"".join(record(PARAMS, b"\1\1ab", padding=255) for _ in range(5)),
    "params in single bytes": begin() + b"".join(record(PARAMS, bytes([byte])) for byte in pair("A" * 20, "b" * 20)) +
                              record(PARAMS, b"") + stream(STDIN, b""),
    "many begins": begin() * 500,
    "many ends of params": begin() + record(PARAMS, b"") * 500 + record(STDIN, b"") * 500,
    "management": record(GET_VALUES, pair("FCGI_MAX_CONNS", "") + pair("FCGI_MPXS_CONNS", ""), 0),
    "management nonsense": record(GET_VALUES, b"\x90" * 100, 0) + record(99, b"x", 0),
    "management huge": record(GET_VALUES, b"".join(pair(f"N{i}", "") for i in range(9000)), 0) + whole(),
}

# Lengths of a name and of a value that nobody could keep: their sum passes 2 or 4 GB. Not here are sums of just
# 2 GB less 2 or 1: for those libfcgi 2.4.2 itself ends the process, see src/serve/job.h.
PROMISES = [(0x7fffffff, 0x7fffffff), (0x7fffffff, 0), (0x7ffffffd, 0), (0, 0x7fffffff), (1 << 30, 1),
            (0x7fffffff, 3), (1 << 24, 1 << 24)]


@pytest.mark.parametrize("name", ODD)
def test_odd_records(served, name):
    throw(served, ODD[name])


@pytest.mark.parametrize("name_length, value_length", PROMISES)
def test_lengths_that_nobody_could_keep(served, name_length, value_length):
    lengths = struct.pack("!II", name_length | 0x80000000, value_length | 0x80000000)
    throw(served, params(lengths + b"X" * 60_000))
    throw(served, params(lengths))


def test_odd_requests(served):
    """Well-formed FastCGI, but parameters no web server makes: an answer each, never a 2xx."""
    usual = cgi_params("/items/1")
    for change in ({"REQUEST_METHOD": None}, {"REQUEST_METHOD": ""}, {"REQUEST_METHOD": "G T"},
                   {"REQUEST_METHOD": "G" * 9000}, {"REQUEST_URI": None}, {"REQUEST_URI": ""}, {"REQUEST_URI": "*"},
                   {"REQUEST_URI": "items"}, {"REQUEST_URI": "/" * 70000}, {"REQUEST_URI": "/items/1\r\nX: y"},
                   {"REQUEST_URI": "/items/%"}, {"REQUEST_URI": "/items/%00"}, {"CONTENT_LENGTH": "-1"},
                   {"CONTENT_LENGTH": "99999999999999999999"}, {"CONTENT_LENGTH": "1x"}):
        changed = {name: value for name, value in (usual | change).items() if value is not None}
        with Connection(served.api.socket) as connection:
            pairs = b"".join(pair(name, value) for name, value in changed.items())
            connection.send(begin() + stream(PARAMS, pairs) + stream(STDIN, b""))
            answer = connection.answer()
        assert 400 <= answer.status < 500, (change, answer)
        assert not answer.lines("X")


def test_the_same_parameter_many_times(served):
    pairs = b"".join(pair(name, value) for name, value in cgi_params("/items/1").items())
    for extra in (pair("REQUEST_URI", "/items/2") * 100, pair("HTTP_X", "y") * 5000, pair("REQUEST_METHOD", "PUT") * 9):
        with Connection(served.api.socket) as connection:
            connection.send(begin() + stream(PARAMS, pairs + extra) + stream(STDIN, b""))
            assert connection.answer().status in (200, 400, 405, 431)


def test_a_megabyte_of_parameters(served):
    with Connection(served.api.socket) as connection:
        assert connection.request("/items/1", params={"HTTP_X_LONG": "x" * 1_000_000}).status == 431
    with Connection(served.api.socket) as connection:
        many = {f"HTTP_X_{number}": "y" * 20 for number in range(30000)}
        assert connection.request("/items/1", params=many).status == 431


def test_a_flood_of_body(served):
    """A body nobody asked for, without an announced length: the connection is given up, memory is not."""
    with Connection(served.api.socket, 15) as connection:
        pairs = b"".join(pair(name, value) for name, value in cgi_params("/items/1").items())
        connection.send(begin(keep=True) + stream(PARAMS, pairs))
        block = record(STDIN, b"x" * 65535)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(4000):
                connection.send(block)


def test_a_body_that_goes_on_is_not_the_next_request(served):
    """What is left of a body is dropped; the next request on the connection is its own."""
    with Connection(served.api.socket) as connection:
        for number in (fresh_id(), fresh_id(), fresh_id()):
            body = whole("/items/77777") + b"x" * 100_000
            assert_item(connection.request(f"/items/{number}", body=body, keep=True), number)


def test_requests_in_a_row_without_waiting(served):
    """An identifier that is still in use, which FastCGI forbids (section 3.3): libfcgi may lose the later requests, but
    the first is answered and every answer is whole and to one of them."""
    with Connection(served.api.socket, 2) as connection:
        numbers = [fresh_id() for _ in range(3)]
        for number in numbers:
            connection.start(f"/items/{number}", keep=True)
        assert_item(connection.answer(), numbers[0])
        try:
            for _ in numbers[1:]:
                answer = connection.answer()
                assert_item(answer, answer.json()["id"])
                assert answer.json()["id"] in numbers[1:]
        except (ConnectionResetError, TimeoutError):
            pass


def test_two_requests_woven_into_one_connection(served):
    """Multiplexing is not offered: the first is answered, the second refused or dropped."""
    one, two = (b"".join(pair(name, value) for name, value in cgi_params(f"/items/{number}").items())
                for number in (1, 2))
    records = split(throw(served, begin(identifier=1) + record(PARAMS, one[:20], 1) + begin(identifier=2) +
                          record(PARAMS, two, 2) + record(PARAMS, one[20:], 1) + record(PARAMS, b"", 2) +
                          record(PARAMS, b"", 1) + record(STDIN, b"", 2) + record(STDIN, b"", 1)))
    output = b"".join(content for kind, identifier, content in records if (kind, identifier) == (STDOUT, 1))
    assert output.endswith(b'{"id":1,"name":"item 1"}')
    assert not any((kind, identifier) == (STDOUT, 2) for kind, identifier, _ in records)
    refusal = next(content for kind, identifier, content in records if (kind, identifier) == (END, 2))
    assert refusal[4] == 1, "FCGI_CANT_MPX_CONN"


def split(data):
    """The records in what the responder sent: kind, identifier, content."""
    records = []
    while data:
        _, kind, identifier, length, padding, _ = struct.unpack("!BBHHBB", data[:8])
        records.append((kind, identifier, data[8:8 + length]))
        data = data[8 + length + padding:]
    return records


def test_management_is_answered(served):
    """FCGI_GET_VALUES has an answer (specification 4.1), and the connection is still good for a request."""
    with Connection(served.api.socket, 15) as connection:
        connection.send(record(GET_VALUES, pair("FCGI_MPXS_CONNS", ""), 0) + whole())
        kind, content = connection.read_record()
        assert (kind, content) == (10, pair("FCGI_MPXS_CONNS", "0"))
        assert_item(connection.answer(), 1)


@pytest.mark.parametrize("seed", range(6))
def test_random_records(served, seed):
    chance = random.Random(seed)
    for _ in range(60):
        data = b"".join(random_record(chance) for _ in range(chance.randrange(1, 12)))
        throw(served, data if chance.random() < 0.7 else begin() + data, wait=chance.random() < 0.5)


def random_record(chance):
    content = chance.randbytes(chance.choice([0, 1, 2, 8, 64, 3000, 65535]))
    if chance.random() < 0.5:
        content = content.hex().encode()[:65535]
    length = None if chance.random() < 0.8 else chance.randrange(65536)
    return record(chance.choice([*range(12), chance.randrange(256)]), content, chance.choice([0, 1, 1, 1, 2, 65535]),
                  chance.choice([1, 1, 1, 1, chance.randrange(256)]), chance.choice([0, 0, 7, 255]), length)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_requests(served, seed):
    """A good request with some bytes changed, doubled or lost: most get far into the parser."""
    chance = random.Random(100 + seed)
    for _ in range(100):
        data = bytearray(whole(f"/items/{fresh_id()}?q=%20", headers={"Accept-Encoding": "gzip"}))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            chance.choice([lambda: data.__setitem__(at, chance.randrange(256)), lambda: data.pop(at),
                           lambda: data.insert(at, chance.randrange(256))])()
        throw(served, bytes(data), wait=False)


def test_half_a_record_then_silence(served):
    """As many silent peers as threads: each gives way in the end, and all threads serve again."""
    silent = [served.connect() for _ in range(THREADS)]
    try:
        for number, each in enumerate(silent):
            good = whole()
            each.send(good[:len(good) * (number + 1) // (len(silent) + 1)])
        wait_until(lambda: served.direct("/_larder/health", timeout=40).status == 200, 45, "an answer despite them")
        assert_every_thread_serves(served)
    finally:
        for each in silent:
            each.close()


def test_connections_that_never_speak(served):
    """An open connection without a byte holds no thread."""
    idle = [served.connect() for _ in range(300)]
    try:
        for answer in together(lambda _: ask_item(served), range(16)):
            assert answer.seconds < 5
    finally:
        for each in idle:
            each.close()


def test_kept_connections_in_number(served):
    """Far more kept connections than threads, each used several times."""
    kept = [served.connect() for _ in range(100)]
    try:
        for _ in range(3):
            for each in kept:
                number = fresh_id() % 1000 + 1
                assert_item(each.request(f"/items/{number}", keep=True), number)
    finally:
        for each in kept:
            each.close()


def test_clients_that_leave_before_the_answer(served):
    """Asked and gone, with the answer large enough not to fit a socket's buffer."""
    for _ in range(300):
        with Connection(served.api.socket) as connection:
            connection.start(f"/pages/{fresh_id() % 1000}")


def test_a_client_that_reads_nothing(served):
    """The answers to pipelined requests pile up until the writer gives up: no thread is lost for good."""
    deaf = [served.connect() for _ in range(THREADS)]
    try:
        for each in deaf:
            each.socket.setblocking(False)
            try:
                for _ in range(2000):
                    each.socket.send(whole("/pages/1").replace(begin(), begin(keep=True)))
            except (BlockingIOError, BrokenPipeError):
                pass
        assert_every_thread_serves(served)
    finally:
        for each in deaf:
            each.close()


def test_memory_does_not_grow(served):
    """After a first round, the same abuse again and again takes no more."""
    def round_of_abuse():
        for name in ODD:
            throw(served, ODD[name], wait=False)
        for _ in range(100):
            served.connect().close()
        for _ in range(5):
            throw(served, params(pair("HTTP_X", "x" * 500_000)))
        assert_every_thread_serves(served)

    for _ in range(2):
        round_of_abuse()
    before = resident(served)
    for _ in range(5):
        round_of_abuse()
    assert resident(served) < before + (300_000 if SANITIZED else 4_000), "kilobytes"


def resident(served):
    with open(f"/proc/{served.api.pids[0]}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def test_descriptors_do_not_leak(served):
    def descriptors():
        return len(os.listdir(f"/proc/{served.api.pids[0]}/fd"))

    keep_item(served)
    assert_every_thread_serves(served)
    before = descriptors()
    for name in ODD:
        throw(served, ODD[name], wait=False)
    wait_until(lambda: descriptors() <= before + 1, 25, "the abandoned connections closed")
    assert metrics(served).sum("larder_fcgi_connections_total") > 0


def test_a_body_that_nobody_wants_and_that_trickles_in_holds_up_no_front(served):
    pairs = b"".join(pair(name, value) for name, value in
                     (cgi_params("/items/1", "POST") | {"CONTENT_LENGTH": "100000"}).items())
    connections = [Connection(served.api.socket, 15) for _ in range(6)]
    ended = threading.Event()

    def trickle(connection):
        try:
            connection.send(begin(keep=True) + stream(PARAMS, pairs) + record(STDIN, b"x"))
            while not ended.wait(0.02):
                connection.send(record(STDIN, b"x"))
        except OSError:
            pass

    threads = [threading.Thread(target=trickle, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert served.direct("/items/1", timeout=8).status == 200
        assert connections[0].answer().status == 405
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
