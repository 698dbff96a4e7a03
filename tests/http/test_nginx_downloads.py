"""nginx/ as shipped: the way of a download to the pool that sends it, and of its rows to the client.

Both pools are responders of the test's own here, so that these tests need no program of ours.
"""

import os
import socket
import struct
import subprocess
import threading

import pytest

from support import client
from support.mirror import STDOUT, Mirror, Site
from support.reader import Reader
from support.waiting import wait_until

HEAD = b"Content-Type: text/csv\r\n\r\n"
LEAD_ON = b"Status: 200 OK\r\nX-Accel-Redirect: @larder_export\r\nX-Accel-Expires: 0\r\nContent-Length: 0\r\n\r\n"
PIECE = b"x" * 65535


class Leader(Mirror):
    """The pool of the API: it leads on what begins with /rows."""

    def answer(self, params, body):
        return LEAD_ON if params["REQUEST_URI"].startswith("/rows") else super().answer(params, body)


class Sender(Mirror):
    """The pool of downloads, in which a script of the test sends each answer by `put`."""

    def __init__(self, path):
        super().__init__(path)
        self.script = None
        self.here = threading.local()

    def serve_one(self, connection, stream):
        self.here.connection = connection
        return super().serve_one(connection, stream)

    def put(self, piece):
        self.here.connection.sendall(struct.pack("!BBHHBB", 1, STDOUT, 1, len(piece), 0, 0) + piece)

    def cut(self):
        self.here.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionError("as a failure half-way does")

    def client_left(self):
        """Waits until nginx closes the connection."""
        self.here.connection.settimeout(20)
        return self.here.connection.recv(1) == b""

    def answer(self, params, body):
        return self.script(self) if self.script else super().answer(params, body)


@pytest.fixture(scope="module")
def site(folder_of_nginx):
    leader = Leader(str(folder_of_nginx / "api.sock"))
    site = Site(folder_of_nginx)
    site.start()
    yield site
    site.process.stop()
    leader.close()


@pytest.fixture
def sender(folder_of_nginx, site):
    sender = Sender(str(folder_of_nginx / "export.sock"))
    yield sender
    sender.close()
    sender.drop()
    os.unlink(folder_of_nginx / "export.sock")


def curl(site, *words):
    return subprocess.run(["curl", "-sS", "-o", "-", *words, f"http://127.0.0.1:{site.port}/rows"],
                          capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_download_is_led_on_as_it_was_asked_for(site, sender, method):
    answer = site.get("/rows/a%2Fb?x=%31", method=method, headers={
        "Accept": "text/csv", "Accept-Encoding": "gzip;q=0.5", "Authorization": "Bearer x", "X-Larder-Refresh": "secret"})
    seen = sender.seen[-1]
    assert answer.status == 200
    assert (seen["REQUEST_METHOD"], seen["REQUEST_URI"]) == (method, "/rows/a%2Fb?x=%31")
    assert (seen["HTTP_ACCEPT"], seen["HTTP_ACCEPT_ENCODING"]) == ("text/csv", "gzip;q=0.5")
    assert (seen["HTTP_AUTHORIZATION"], seen["REMOTE_ADDR"]) == ("Bearer x", "127.0.0.1")
    assert not seen.get("HTTP_X_LARDER_REFRESH")
    assert "LARDER_EXPORT" not in seen, "it would be led on again"
    assert "LARDER_NGINX" not in seen, "nginx keeps no download"


def test_everything_else_stays_with_the_api(site, sender):
    assert site.seen("/export/csv")["LARDER_EXPORT"] == "@larder_export"
    assert site.seen("/@larder_export")["REQUEST_URI"] == "/@larder_export"
    assert sender.requests == 0


def test_the_answer_is_that_of_the_other_pool_alone(site, sender):
    sender.answers = {}
    sender.script = lambda _: b"Status: 206\r\n" + HEAD.replace(b"\r\n\r\n", b"\r\nContent-Disposition: attachment\r\n\r\n") + b"a"
    answer = site.get("/rows", headers={"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body, answer["Content-Encoding"]) == (206, b"a", None)
    assert answer["Content-Disposition"] == "attachment"
    assert answer["X-Accel-Redirect"] is None and answer["Content-Length"] is None


def test_no_download_is_kept(site, sender):
    sender.script = lambda _: b"Cache-Control: public, max-age=60\r\n" + HEAD + b"a\r\n"
    for _ in range(3):
        assert site.get("/rows").body == b"a\r\n"
    assert sender.requests == 3


def test_each_row_reaches_the_client_at_once(site, sender):
    """The second row is sent when the client has the first."""
    got = threading.Event()

    def rows(sender):
        sender.put(HEAD)
        sender.put(b"first\r\n")
        assert got.wait(20), "the first row did not reach the client"
        return b"second\r\n"

    sender.script = rows
    reader = Reader(site.port, "/rows")
    reader.read_until(b"first\r\n")
    got.set()
    reader.read_until(b"second\r\n")
    reader.read_until(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("pieces", [0, 1, 40], ids=["before a row", "in the first piece", "far on"])
def test_what_breaks_off_is_incomplete_for_the_client(site, sender, pieces):
    def rows(sender):
        sender.put(HEAD)
        for _ in range(pieces):
            sender.put(PIECE)
        sender.cut()

    sender.script = rows
    done = curl(site)
    assert done.returncode == 18, done.stderr
    assert len(done.stdout) <= pieces * len(PIECE)


def test_a_whole_one_is_complete(site, sender):
    def rows(sender):
        sender.put(HEAD)
        for _ in range(40):
            sender.put(PIECE)
        return b"end"

    sender.script = rows
    done = curl(site)
    assert (done.returncode, len(done.stdout)) == (0, 40 * len(PIECE) + 3)


@pytest.mark.parametrize("begun", [False, True], ids=["before the first row", "while rows come"])
def test_a_client_that_leaves_is_told_of(site, sender, begun):
    left, asked = threading.Event(), threading.Event()

    def rows(sender):
        if begun:
            sender.put(HEAD)
            sender.put(b"first\r\n")
        asked.set()
        if sender.client_left():
            left.set()
        raise ConnectionError("nobody to answer")

    sender.script = rows
    reader = Reader(site.port, "/rows")
    assert asked.wait(20)
    if begun:
        reader.read_until(b"first")
    assert not left.is_set()
    reader.leave()
    assert left.wait(20), "nginx kept the connection of a client that left"


def test_a_slow_reader_slows_the_sender(site, sender, folder_of_nginx):
    """What is on its way is held by buffers of a bounded size, and none of it on disk."""
    total, sent = 2000, []

    def rows(sender):
        sender.put(HEAD)
        for _ in range(total):
            sender.put(PIECE)
            sent.append(1)
        return b"end"

    sender.script = rows
    reader = Reader(site.port, "/rows")
    reader.read_until(b"xxxx")
    seen = wait_until(lambda: len(sent) > 0 and standing(sent), 30, "the sender to be held up")
    assert seen < total, "nginx took everything for a client that reads nothing"
    assert not list((folder_of_nginx / "fastcgi").iterdir()), "nginx spooled it to disk"
    reader.skip_to_end()
    assert len(sent) == total


def standing(sent, last=[0, 0]):
    """How many were sent, once that has not changed for fifty looks."""
    last[1] = last[1] + 1 if len(sent) == last[0] else 0
    last[0] = len(sent)
    return len(sent) if last[1] >= 50 else None


def test_the_pool_of_downloads_is_down(site):
    answer = site.get("/rows")
    assert (answer.status, answer["Content-Type"]) == (502, "application/problem+json")
    assert answer["Retry-After"] and answer["Cache-Control"] == "no-store"
    assert site.get("/feeds").status == 200


def test_an_error_of_the_other_pool_passes_untouched(site, sender):
    sender.script = lambda _: (b"Status: 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
                               b'Retry-After: 5\r\n\r\n{"mine":true}')
    answer = client.request(site.port, "/rows")
    assert (answer.status, answer["Retry-After"], answer.json()) == (503, "5", {"mine": True})
