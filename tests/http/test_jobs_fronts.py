"""Jobs are filed by the fronts, a whole batch in one round trip: no slow statement, and no slow body, stands before them."""

import json
import select

import pytest

from support import fastcgi
from support.crowd import Background
from support.gate import ROUTE as GATE, Gate
from support.jobs import file_job, post
from support.threads import processor_seconds
from support.waiting import wait_until

ROUTES = {
    "job": "-- @http POST /later\n-- @param text text\n-- @result none\n-- @async\nSELECT :text::text\n",
    "gate": GATE,
}


@pytest.fixture
def served(stack):
    """One hand alone."""
    return stack(ROUTES, queue=True, install=True, nginx=False, env={"LARDER_THREADS": "1"})


def test_a_job_does_not_wait_for_a_slow_statement(served):
    with Gate(served) as shut:
        slow = Background(served.direct, "/gate")
        shut.wait_for(1)
        for number in range(20):
            file_job(served, "/later", {"text": f"number {number}"})
        assert not slow.done()
    assert slow.result().status == 200


def test_a_body_that_comes_slowly_holds_up_no_front(served):
    """Half a body on more connections than there are fronts; then the rest of them."""
    body = json.dumps({"text": "x" * 1000}).encode()
    connections = [fastcgi.Connection(served.api.socket) for _ in range(8)]
    pairs = b"".join(fastcgi.pair(*each) for each in fastcgi.cgi_params("/later", "POST", {
        "Content-Type": "application/json"}, body).items())
    for each in connections:
        each.send(fastcgi.begin() + fastcgi.stream(fastcgi.PARAMS, pairs) + fastcgi.record(fastcgi.STDIN, body[:500]))
    assert served.direct("/_larder/health", timeout=5).status == 200
    assert served.direct("/nowhere", timeout=5).status == 404
    for each in connections:
        each.send(fastcgi.stream(fastcgi.STDIN, body[500:]))
    for each in connections:
        assert each.answer().status == 202
        each.close()


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b'{"text":7}', 422), (b"{}", 422), (b"", 422),
                                              (b'{"text":"a","more":1}', 422)])
def test_a_bad_body_is_told_so_and_not_filed(served, body, status):
    served.direct("/later", method="POST", body=body, headers={"Content-Type": "application/json"}).problem(status)
    assert served.queue.client().xlen("larder:q:jobs") == 0


def test_a_silent_queue_is_waited_for_asleep(stack):
    """A front stays awake for Redis, but no longer than one on this host takes."""
    served = stack(ROUTES, queue=True, install=True, nginx=False, env={"LARDER_REDIS_TIMEOUT": "1s"})
    file_job(served, "/later", {"text": "first"})
    served.queue.pause()
    before = processor_seconds(served.api)
    assert post(served, "/later", {"text": "unheard"}).status == 503
    assert processor_seconds(served.api) - before < 0.3
    served.queue.resume()


class Bell:
    """Jobs that are filed, and the rings for them."""

    def __init__(self, served):
        self.line = served.queue.client().pubsub(ignore_subscribe_messages=True)
        self.line.subscribe("larder:q:bell")
        self.path = served.api.socket

    def file(self):
        with fastcgi.Connection(self.path) as connection:
            connection.start("/later", "POST", {"Content-Type": "application/json"}, b'{"text":"x"}')
            assert connection.answer().status == 202

    def heard(self):
        wait_until(lambda: self.line.get_message(timeout=0.1), 20, "a ring", every=0)


def test_a_front_rings_before_it_waits_for_a_statement(served):
    """One that comes in the quiet before the ring, and that the front makes itself since the last ones were short."""
    bell = Bell(served)
    for _ in range(10):
        for _ in range(3):
            assert served.direct("/gate").status == 200
        with Gate(served) as shut, fastcgi.Connection(served.api.socket) as reader:
            bell.file()
            reader.start("/gate")
            bell.heard()
            assert not select.select([reader.socket], [], [], 0)[0], "rung when it was over"
            shut.open()
            assert reader.answer().status == 200


def test_a_front_rings_before_it_waits_for_the_rest_of_a_request(served):
    bell = Bell(served)
    for _ in range(10):
        with fastcgi.Connection(served.api.socket) as slow:
            bell.file()
            slow.send(fastcgi.begin())
            bell.heard()
            slow.send(fastcgi.stream(fastcgi.PARAMS, b"".join(
                fastcgi.pair(*each) for each in fastcgi.cgi_params("/nowhere").items())) + fastcgi.stream(fastcgi.STDIN, b""))
            assert slow.answer().status == 404, "rung when it was given up"
