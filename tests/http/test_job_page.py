"""/jobs/{id}: what has become of a job, for whoever filed it; waiting for it; cancelling it."""

import json
import subprocess
import time

import pytest

from support import fastcgi, tokens
from support.crowd import Background
from support.filed import QUEUE, Events, bring, fields, finish, job_id, post, queue
from support.paths import program
from support.reader import Reader
from support.stack import metrics
from support.tokens import bearer
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (id int, text text);"
PAGE = "https://page.test"
ROUTES = {
    "note": "-- @http POST /notes/{id}\n-- @auth optional\n-- @async dedupe={id}\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :auth.sub)",
    "text": "-- @http PUT /notes/{id}\n-- @param text text\n-- @async\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :text)",
    "two": "-- @http GET /{a}/{b}\nSELECT :a::text AS a, :b::text AS b",
}


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, env=QUEUE | tokens.settings(f"{tmp_path_factory.mktemp('key')}/key") |
                        {"LARDER_CORS_ORIGINS": PAGE, "LARDER_JOB_WAITS": "3"})


@pytest.fixture(autouse=True)
def emptied(served):
    """Whoever waited in the test before is answered first, and then counted no more."""
    wait_until_waiting(served, 0)
    queue(served).flushdb()


def filed(stack, number=1, **headers):
    return job_id(post(stack, f"/notes/{number}", **headers))


def waiting(stack):
    return metrics(stack).sum("larder_job_waits")


def wait_until_waiting(stack, count):
    wait_until(lambda: waiting(stack) == count, 20, f"{count} that wait for a job")


def ask_waiting(stack, identifier, wait=30, others=0, **headers):
    """A long-poll that waits, beside so many others."""
    asking = Background(stack.get, f"/jobs/{identifier}", headers={"Prefer": f"wait={wait}"} | headers)
    wait_until_waiting(stack, others + 1)
    return asking


def test_a_job_that_waits(served):
    identifier = filed(served)
    answer = served.get(f"/jobs/{identifier}")
    told = answer.json()
    assert answer.status == 200 and answer["Content-Type"] == "application/json"
    assert time.strptime(told.pop("filed"), "%Y-%m-%dT%H:%M:%S.%fZ")
    assert told == {"id": identifier, "status": "queued", "progress": {"done": 0, "of": 1}, "began": None,
                    "ended": None, "tries": 0}
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["Vary"] == "Authorization, Origin, Accept"
    assert answer["Retry-After"] == "1"


def test_a_job_on_its_way_and_at_its_end(served):
    identifier = filed(served)
    bring(served, identifier, "running", b="1795000000123456", a="2", p="1/3")
    told = served.get(f"/jobs/{identifier}").json()
    assert (told["status"], told["progress"], told["tries"]) == ("running", {"done": 1, "of": 3}, 2)
    assert told["began"] == "2026-11-18T11:06:40.123456Z"
    bring(served, identifier, "queued", n="1795000001000000")
    assert served.get(f"/jobs/{identifier}").json()["next"] == "2026-11-18T11:06:41.000000Z"
    finish(served, identifier, '[{"id":1},\n {"id":2}]', rl="/notes/1")
    answer = served.get(f"/jobs/{identifier}")
    told = answer.json()
    assert (told["status"], told["result"], told["location"]) == ("done", [{"id": 1}, {"id": 2}], "/notes/1")
    assert told["ended"] and "problem" not in told and answer["Retry-After"] is None


def test_results_without_a_body_and_problems(served):
    identifier = filed(served)
    finish(served, identifier, "", rs="204", rt="")
    assert served.get(f"/jobs/{identifier}").json()["result"] is None
    bring(served, identifier, "failed", rs="409", rt="application/problem+json", rb='{"status":409}')
    answer = served.get(f"/jobs/{identifier}")
    told = answer.json()
    assert answer.status == 200
    assert (told["status"], told["problem"]) == ("failed", {"status": 409}) and "result" not in told
    bring(served, identifier, "done", rt="text/plain", rb='a "text"')
    assert served.get(f"/jobs/{identifier}").json()["result"] == 'a "text"'


def test_the_tag_changes_with_the_job_and_304_costs_no_body(served):
    identifier = filed(served)
    first = served.get(f"/jobs/{identifier}")
    again = served.get(f"/jobs/{identifier}", headers={"If-None-Match": first["ETag"]})
    assert (again.status, again.body) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary"):
        assert again[name] == first[name]
    bring(served, identifier, "running")
    answer = served.get(f"/jobs/{identifier}", headers={"If-None-Match": first["ETag"]})
    assert answer.status == 200 and answer["ETag"] != first["ETag"]
    served.get(f"/jobs/{identifier}", headers={"If-Match": first["ETag"]}).problem(412)


def test_head_has_the_headers_of_get(served):
    identifier = filed(served)
    got, head = served.get(f"/jobs/{identifier}"), served.request(f"/jobs/{identifier}", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("ETag", "Cache-Control", "Vary", "Content-Type", "Content-Length"):
        assert head[name] == got[name]


def test_what_is_no_job_is_404(served):
    for name in ("0123456789012345678901", "x", "x" * 23, "*", "a%20b"):
        assert "no such job" in served.get(f"/jobs/{name}").problem(404)["detail"]
        served.request(f"/jobs/{name}", method="DELETE").problem(404)


def test_only_get_head_and_delete(served):
    identifier = filed(served)
    for method in ("POST", "PUT", "PATCH"):
        answer = served.request(f"/jobs/{identifier}", method=method)
        answer.problem(405)
        assert answer["Allow"] == "OPTIONS, GET, HEAD, DELETE"
    answer = served.request(f"/jobs/{identifier}", method="OPTIONS")
    assert (answer.status, answer["Allow"]) == (204, "OPTIONS, GET, HEAD, DELETE")


def test_other_paths_below_jobs_are_the_routes_own(served):
    assert served.get("/jobs").status == 404
    assert served.get("/jobs/a/b").status == 404
    assert served.get("/other/b").json() == [{"a": "other", "b": "b"}]


def test_only_whoever_filed_it_sees_it(served):
    anns = filed(served, 1, **bearer("ann"))
    assert served.get(f"/jobs/{anns}", headers=bearer("ann")).status == 200
    assert served.get(f"/jobs/{anns}", headers=bearer("ann", exp=tokens.later(60))).status == 200
    for headers in ({}, bearer("bob"), bearer("ann", iss="another")):
        served.get(f"/jobs/{anns}", headers=headers).problem(404)
        served.request(f"/jobs/{anns}", method="DELETE", headers=headers).problem(404)
        served.get(f"/jobs/{anns}", headers=headers | {"Prefer": "wait=30"}).problem(404)
        served.get(f"/jobs/{anns}", headers=headers | {"Accept": "text/event-stream"}).problem(404)
    assert fields(served, anns)["s"] == "queued"


def test_a_job_that_nobody_signed_in_for_is_whose_id_it_is(served):
    nobodys = filed(served, 1)
    for headers in ({}, bearer("bob")):
        assert served.get(f"/jobs/{nobodys}", headers=headers).status == 200


def test_a_token_that_does_not_count_is_401_and_one_that_expired_since_can_be_another(served):
    anns = filed(served, 1, **bearer("ann"))
    served.get(f"/jobs/{anns}", headers=bearer("ann", exp=tokens.later(-3600))).problem(401)
    assert served.get(f"/jobs/{anns}", headers=bearer("ann", exp=tokens.later(7200))).status == 200


def test_pages_of_other_origins(served):
    identifier = filed(served)
    answer = served.request(f"/jobs/{identifier}", method="OPTIONS", headers={
        "Origin": PAGE, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "prefer"})
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD, DELETE"
    assert "Prefer" in answer["Access-Control-Allow-Headers"]
    answer = served.get(f"/jobs/{identifier}", headers={"Origin": PAGE})
    assert answer["Access-Control-Allow-Origin"] == PAGE
    exposed = answer["Access-Control-Expose-Headers"].replace(" ", "").split(",")
    assert {"Location", "Retry-After", "Preference-Applied"} <= set(exposed)
    assert post(served, "/notes/9", Origin=PAGE)["Access-Control-Allow-Origin"] == PAGE


# Waiting


def test_a_client_waits_until_the_job_has_ended(served):
    identifier = filed(served)
    asking = ask_waiting(served, identifier)
    bring(served, identifier, "running")
    finish(served, identifier)
    answer = asking.result()
    assert answer.json()["result"] == {"made": 1} and answer["Preference-Applied"] == "wait=30"
    assert answer.seconds < 20
    assert served.get(f"/jobs/{identifier}", headers={"Prefer": "wait=30"}).seconds < 20
    wait_until_waiting(served, 0)


def test_nobody_waits_longer_than_nginx_does(served):
    """A proxy gives an answer a minute, that of a POST which waits for its job too."""
    made, identifier = ask_made(served, Prefer="respond-async, wait=3600")
    asking = ask_waiting(served, identifier, wait=3600, others=1)
    finish(served, identifier)
    assert asking.result()["Preference-Applied"] == made.result()["Preference-Applied"] == "wait=50"


def test_it_waits_no_longer_than_it_says(served):
    identifier = filed(served)
    answer = served.get(f"/jobs/{identifier}", headers={"Prefer": "wait=1"})
    assert answer.json()["status"] == "queued" and 0.9 < answer.seconds < 20
    answer = served.get(f"/jobs/{identifier}", headers={"Prefer": "wait=1", "If-None-Match": answer["ETag"]})
    assert answer.status == 304 and answer.seconds > 0.9


def test_with_a_tag_it_waits_for_any_change(served):
    identifier = filed(served)
    tag = served.get(f"/jobs/{identifier}")["ETag"]
    asking = ask_waiting(served, identifier, **{"If-None-Match": tag})
    bring(served, identifier, "running")
    assert asking.result().json()["status"] == "running"
    answer = served.get(f"/jobs/{identifier}", headers={"Prefer": "wait=30", "If-None-Match": tag})
    assert answer.json()["status"] == "running" and answer.seconds < 20


def ask_made(stack, target="/notes/1", **headers):
    """A POST that waits for its own job: the request, and the job's id."""
    asking = Background(post, stack, target, **{"Prefer": "respond-async, wait=30"} | headers)
    wait_until_waiting(stack, 1)
    (_, entry), = queue(stack).xrange("larder:q:jobs")
    return asking, entry[b"j"].decode()


def test_a_post_that_is_ready_to_wait_gets_the_writes_own_answer(served):
    asking, identifier = ask_made(served)
    finish(served, identifier, '{"id":1}', rs="201", rl="/notes/1")
    answer = asking.result()
    assert (answer.status, answer["Location"], answer.body) == (201, "/notes/1", b'{"id":1}')
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    assert answer["Preference-Applied"] == "wait=30" and answer["Retry-After"] is None


def test_such_a_post_gets_the_problem_of_a_job_that_failed(served):
    asking, identifier = ask_made(served)
    problem = {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "d", "instance": "/notes/1"}
    bring(served, identifier, "failed", rs="409", rt="application/problem+json", rb=json.dumps(problem))
    assert asking.result().problem(409) == problem


def test_such_a_post_is_202_when_its_time_is_over_or_nobody_else_may_wait(served):
    answer = post(served, "/notes/1", Prefer="wait=1")
    assert job_id(answer) and answer["Preference-Applied"] is None and answer.seconds > 0.9
    answer = post(served, "/notes/2", Prefer="respond-async, wait=1")
    assert job_id(answer) and answer["Preference-Applied"] == "respond-async"
    assert answer.lines("Location") == [answer["Location"]]
    askings = [ask_waiting(served, job_id(answer), others=others) for others in range(3)]
    assert job_id(post(served, "/notes/3", Prefer="wait=30"))
    served.request(answer["Location"], method="DELETE")
    assert all(asking.result().status == 200 for asking in askings)


def test_such_a_write_may_have_a_body_that_a_hand_reads(served):
    text = "x" * 100_000
    asking = Background(post, served, "/notes/1", {"text": text}, method="PUT", Prefer="wait=30")
    wait_until_waiting(served, 1)
    (_, entry), = queue(served).xrange("larder:q:jobs")
    finish(served, entry[b"j"].decode())
    assert asking.result().json() == {"made": 1}


def test_such_a_post_with_a_key_that_was_used(served):
    key = {"Idempotency-Key": "k"}
    asking, identifier = ask_made(served, **key)
    finish(served, identifier)
    assert asking.result()["Idempotent-Replayed"] is None
    answer = post(served, "/notes/1", Prefer="wait=30", **key)
    assert (answer.status, answer.json(), answer["Idempotent-Replayed"]) == (200, {"made": 1}, "true")


def test_more_clients_than_may_wait_are_answered_at_once(served):
    identifier = filed(served)
    askings = [ask_waiting(served, identifier, others=others) for others in range(3)]
    answer = served.get(f"/jobs/{identifier}", headers={"Prefer": "wait=30"})
    assert answer.json()["status"] == "queued" and answer.seconds < 20
    answer = served.get(f"/jobs/{identifier}", headers={"Accept": "text/event-stream"})
    answer.problem(503)
    assert answer["Retry-After"] == "5"
    finish(served, identifier)
    assert [asking.result().json()["status"] for asking in askings] == ["done"] * 3
    wait_until_waiting(served, 0)


def test_one_user_does_not_take_all_places(served):
    """Of three, who has two gets no third one, in whatever way he would wait; another user does."""
    identifier = filed(served)
    ann = bearer("ann")
    for _ in range(2):  # and what he had he has given back
        askings = [ask_waiting(served, identifier, others=others, **ann) for others in range(2)]
        answer = served.get(f"/jobs/{identifier}", headers=ann | {"Prefer": "wait=30"})
        assert answer.json()["status"] == "queued" and answer.seconds < 20
        answer = served.get(f"/jobs/{identifier}", headers=ann | {"Accept": "text/event-stream"})
        answer.problem(503)
        assert answer["Retry-After"] == "5"
        assert job_id(post(served, "/notes/2", Prefer="wait=30", **ann))
        askings.append(ask_waiting(served, identifier, others=2, **bearer("bob")))
        finish(served, identifier)
        assert [asking.result().json()["status"] for asking in askings] == ["done"] * 3
        wait_until_waiting(served, 0)
        bring(served, identifier, "queued")


def test_a_client_that_leaves_frees_his_place(served):
    identifier = filed(served)
    readers = [Events(served, f"/jobs/{identifier}") for _ in range(3)]
    wait_until_waiting(served, 3)
    for reader in readers:
        reader.close()
    wait_until_waiting(served, 0)
    ask_waiting(served, identifier)
    finish(served, identifier)


def test_no_news_is_lost_between_look_and_parking(served):
    """Jobs that end at any moment around the request, whose end is told once."""
    for number in range(60):
        identifier = filed(served, number)
        asking = Background(served.get, f"/jobs/{identifier}", headers={"Prefer": "wait=20"})
        finish(served, identifier)
        answer = asking.result()
        assert answer.json()["status"] == "done" and answer.seconds < 15


def test_those_who_wait_are_answered_when_the_responder_ends(stack):
    ending = stack({"note": ROUTES["note"].replace("-- @auth optional\n", "").replace(":auth.sub", "''")},
                   schema=SCHEMA, install=True, env=QUEUE)
    identifier = filed(ending)
    asking = ask_waiting(ending, identifier)
    reader = Events(ending, f"/jobs/{identifier}")
    assert reader.next()[0] == "queued"
    wait_until_waiting(ending, 2)
    assert ending.api.stop() == 0
    assert asking.result().json()["status"] == "queued"
    assert reader.next() is None


def test_a_thousand_who_wait_hold_no_thread(stack):
    """They are answered when the job ends; meanwhile others are served as ever."""
    many = stack({"note": ROUTES["note"].replace("-- @auth optional\n", "").replace(":auth.sub", "''")},
                 schema=SCHEMA, install=True, nginx=False,
                 env=QUEUE | {"LARDER_THREADS": "2"})
    identifiers = [job_id(many.direct(f"/notes/{number}", method="POST")) for number in range(20)]
    connections = []
    for number in range(1000):
        connection = fastcgi.Connection(many.api.socket)
        connection.start(f"/jobs/{identifiers[number % 20]}", headers={"Prefer": "wait=60"})
        connections.append(connection)
    wait_until_waiting(many, 1000)
    assert many.direct(f"/jobs/{identifiers[0]}", headers={"Prefer": "wait=60"}).json()["status"] == "queued"
    for identifier in identifiers:
        finish(many, identifier)
    assert all(connection.answer().json()["status"] == "done" for connection in connections)
    wait_until_waiting(many, 0)
    for connection in connections:
        connection.close()


def test_it_goes_on_waiting_over_a_reload(served):
    identifier = filed(served)
    asking = ask_waiting(served, identifier)
    served.api.reload()
    finish(served, identifier)
    assert asking.result().json()["status"] == "done"


# Events


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


# Cancelling


def test_a_job_that_waits_is_cancelled_at_once(served):
    identifier = filed(served, 5)
    queue(served).zadd("larder:q:later", {identifier: 1})
    asking = ask_waiting(served, identifier)
    answer = served.request(f"/jobs/{identifier}", method="DELETE")
    assert answer.status == 200 and answer.json()["status"] == "cancelled" and answer.json()["ended"]
    assert asking.result().json()["status"] == "cancelled"
    assert 3_500_000 < queue(served).pttl(f"larder:q:j:{identifier}") <= 3_600_000
    assert queue(served).zcard("larder:q:later") == 0
    assert filed(served, 5) != identifier


def test_a_job_that_runs_is_told_to_end(served):
    identifier = filed(served)
    bring(served, identifier, "running")
    answer = served.request(f"/jobs/{identifier}", method="DELETE")
    assert answer.status == 202
    assert answer.json()["status"] == "running" and answer.json()["cancelling"] is True
    assert fields(served, identifier)["c"] == "1"


def test_a_job_that_has_ended_is_not_cancelled(served):
    identifier = filed(served)
    finish(served, identifier)
    assert "done" in served.request(f"/jobs/{identifier}", method="DELETE").problem(409)["detail"]
    assert fields(served, identifier)["s"] == "done"
    served.request(f"/jobs/{identifier}", method="DELETE", headers={"If-Match": "*"}).problem(412)


def test_a_full_queue_can_be_cancelled_from(served):
    identifier = filed(served)
    redis = queue(served)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    try:
        answer = served.request(f"/jobs/{identifier}", method="DELETE")
    finally:
        redis.config_set("maxmemory", 0)
    assert answer.json()["status"] == "cancelled"


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


def test_a_post_that_waits_gets_its_answer_though_the_queue_could_not_be_asked_when_it_came(stack):
    """The news came all the same, and nothing more is told of the job."""
    away = stack({"note": ROUTES["note"].replace("-- @auth optional\n", "").replace(":auth.sub", "''")},
                 schema=SCHEMA, install=True, env=QUEUE | {"LARDER_REDIS_PROBE": "100ms"})
    asking, identifier = ask_made(away)
    refused = metrics(away).sum("larder_queue_errors_total")
    queue(away).execute_command("ACL", "SETUSER", "default", "-evalsha")
    finish(away, identifier)
    wait_until(lambda: metrics(away).sum("larder_queue_errors_total") > refused, 10, "a look that was refused")
    queue(away).execute_command("ACL", "SETUSER", "default", "+evalsha")
    answer = asking.result()
    assert (answer.status, answer.json()) == (200, {"made": 1}) and answer.seconds < 20


def test_a_route_below_jobs_is_a_fault_beside_async(stack, tmp_path):
    (tmp_path / "note.sql").write_text(ROUTES["note"])
    (tmp_path / "own.sql").write_text("-- @http GET /jobs/{id}/more\nSELECT :id AS id")
    checked = subprocess.run([program("larder"), "check", str(tmp_path)], capture_output=True, text=True, check=False,
                             env={"PATH": "/usr/bin:/bin"})
    assert checked.returncode == 1 and "own.sql:1: GET /jobs/{id}/more lies below /jobs/" in checked.stdout
    with pytest.raises(RuntimeError, match="GET /jobs/{id} lies below /jobs/"):
        stack(ROUTES | {"own": "-- @http GET /jobs/{id}\nSELECT :id AS id"}, schema=SCHEMA, env=QUEUE)


def test_without_async_routes_a_route_may_have_the_path(stack):
    own = stack({"own": "-- @http GET /jobs/{id}\nSELECT :id::text AS id"}, env=QUEUE)
    assert own.get("/jobs/0123456789012345678901").json() == [{"id": "0123456789012345678901"}]
