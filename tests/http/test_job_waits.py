"""/jobs/{id}, and the POST that files a job: clients that wait until something has become of it."""

import json

import pytest

from support import fastcgi
from support.crowd import Background
from support.filed import QUEUE, Events, bring, finish, job_id, post, queue
from support.job_page import ROUTES, SCHEMA, ask_made, ask_waiting, empty, filed, settings, wait_until_waiting
from support.stack import metrics
from support.tokens import bearer
from support.waiting import wait_until


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, env=settings(tmp_path_factory.mktemp("key")))


@pytest.fixture(autouse=True)
def emptied(served):
    empty(served)


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
