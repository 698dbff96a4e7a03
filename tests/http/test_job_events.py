"""/jobs/{id} as events: each change is told, and readers who take nothing hold up nobody."""

import json

import pytest

from support.crowd import Background
from support.filed import QUEUE, Events, bring, finish
from support.job_page import ROUTES, SCHEMA, empty, filed, settings, wait_until_waiting
from support.reader import Reader
from support.stack import metrics
from support.waiting import wait_until


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, env=settings(tmp_path_factory.mktemp("key")))


@pytest.fixture(autouse=True)
def emptied(served):
    empty(served)


def test_events_tell_of_each_change_and_end_with_the_job(served):
    identifier = filed(served)
    reader = Events(served, f"/jobs/{identifier}")
    assert reader.status == 200 and reader.headers["Content-Type"] == "text/event-stream"
    assert reader.headers["Cache-Control"] == "no-store"
    kind, tag, data = reader.next()
    assert kind == "queued" and json.loads(data)["id"] == identifier
    assert served.get(f"/jobs/{identifier}")["ETag"] == f'"{tag}"'
    bring(served, identifier, "running", p="0/2")
    assert reader.next()[0] == "running"
    bring(served, identifier, "running", p="1/2")
    assert json.loads(reader.next()[2])["progress"] == {"done": 1, "of": 2}
    finish(served, identifier, '[{"id":1},\n {"id":2}]')
    kind, tag, data = reader.next()
    assert kind == "done" and json.loads(data)["result"] == [{"id": 1}, {"id": 2}]
    assert reader.next() is None
    answer = served.get(f"/jobs/{identifier}", headers={"Accept": "text/event-stream"})
    assert answer.status == 200 and answer.body.startswith(b"event: done\n")
    answer = served.get(f"/jobs/{identifier}", headers={"Accept": "text/event-stream", "Last-Event-ID": tag})
    assert answer.status == 204


def test_a_large_result_comes_whole_as_an_event(served):
    identifier = filed(served)
    reader = Events(served, f"/jobs/{identifier}")
    reader.next()
    finish(served, identifier, json.dumps("x" * 3_000_000))
    assert len(json.loads(reader.next()[2])["result"]) == 3_000_000


def parked_readers(stack, identifier, count, others=0):
    """Readers of events that take next to nothing by themselves, and wait beside so many others."""
    readers = [Reader(stack.nginx.port, f"/jobs/{identifier}", buffer=4096, Accept="text/event-stream")
               for _ in range(count)]
    wait_until_waiting(stack, others + count)
    return readers


@pytest.fixture
def narrow(stack):
    """Two threads; nginx' sockets hold as little as a network with a small window makes them."""
    made = stack({"note": ROUTES["note"].replace("-- @auth optional\n", "").replace(":auth.sub", "''"),
                  "plain": "-- @http GET /plain\nSELECT 1 AS a"},
                 schema=SCHEMA, install=True, env=QUEUE | {"LARDER_THREADS": "2"})
    listen = f"listen 127.0.0.1:{made.nginx.port}"
    made.nginx.rewrite(f"{made.nginx.folder}/site.conf", f"{listen};", f"{listen} sndbuf=32k;")
    made.nginx.stop()
    made.nginx.start()
    return made


def test_readers_who_take_nothing_hold_no_thread(narrow):
    """Many, of several jobs that end together with large results: other routes are answered while all of them hang."""
    identifiers = [filed(narrow, number) for number in range(4)]
    readers = [reader for number, identifier in enumerate(identifiers)
               for reader in parked_readers(narrow, identifier, 10, others=10 * number)]
    broken = metrics(narrow).sum("larder_fcgi_broken_total")
    for identifier in identifiers:
        finish(narrow, identifier, json.dumps("x" * 1_000_000))
    for _ in range(20):
        assert narrow.get("/plain").status == 200
    late = [Reader(narrow.nginx.port, f"/jobs/{identifiers[0]}", buffer=4096, Accept="text/event-stream")
            for _ in range(10)]
    for _ in range(20):
        assert narrow.get("/plain").status == 200
    wait_until_waiting(narrow, 40)
    wait_until(lambda: metrics(narrow).sum("larder_fcgi_broken_total") == broken + 40, 30, "they are broken off")
    wait_until_waiting(narrow, 0)
    for reader in readers + late:
        reader.leave()


def test_a_reader_who_takes_little_at_a_time_gets_all(narrow):
    identifier = filed(narrow)
    [reader] = parked_readers(narrow, identifier, 1)
    finish(narrow, identifier, json.dumps("x" * 1_000_000))
    piece = 4096
    while not reader.seen.endswith(b"\r\n0\r\n\r\n"):
        narrow.get("/plain")
        got = reader.socket.recv(piece)
        assert got, reader.seen[-100:]
        reader.seen += got
    assert reader.seen.count(b"x") >= 1_000_000 and b"event: done" in reader.seen
    wait_until_waiting(narrow, 0)


def test_who_is_being_told_of_the_end_is_when_the_responder_ends_too(narrow):
    identifier = filed(narrow)
    [reader] = parked_readers(narrow, identifier, 1)
    finish(narrow, identifier, json.dumps("x" * 1_000_000))
    reader.read_until(b"event: done")
    ending = Background(narrow.api.stop)
    assert reader.skip_to_end() > 900_000
    assert ending.result() == 0


def test_accept_chooses(served):
    identifier = filed(served)
    assert served.get(f"/jobs/{identifier}", headers={"Accept": "*/*"})["Content-Type"] == "application/json"
    served.get(f"/jobs/{identifier}", headers={"Accept": "text/html"}).problem(406)
    answer = served.request(f"/jobs/{identifier}", method="HEAD", headers={"Accept": "text/event-stream"})
    assert (answer.status, answer["Content-Type"], answer["Content-Length"]) == (200, "text/event-stream", None)


def test_a_queue_that_is_away_is_503_and_those_who_wait_hear_of_the_end_all_the_same(stack):
    away = stack({"note": ROUTES["note"].replace("-- @auth optional\n", "").replace(":auth.sub", "''")},
                 schema=SCHEMA, install=True, redis_proxy=True,
                 env={"LARDER_QUEUE": "redis://127.0.0.1:{stack.redis_proxy.port}/1", "LARDER_REDIS_PROBE": "100ms"})
    identifier = filed(away)
    reader = Events(away, f"/jobs/{identifier}")
    assert reader.next()[0] == "queued"
    away.redis_proxy.cut()
    wait_until(lambda: away.get(f"/jobs/{identifier}").status == 503, 10)
    finish(away, identifier)
    away.redis_proxy.pass_on()
    assert reader.next()[0] == "done"
