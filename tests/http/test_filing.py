"""@async: a write is filed as a job and answered 202, when everything it could be refused for has been checked."""

import json
import re
import time

import pytest

from support import tokens
from support.crowd import Background
from support.filed import QUEUE, fields, job_id, post, queue
from support.tokens import bearer
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL);"
ROUTES = {
    "note": "-- @http POST /notes/{id}\n-- @param text text maxlen=20\n-- @param to text default=null\n"
            "-- @async retries=2 timeout=7s\n-- @result none\nINSERT INTO notes VALUES (:id, :text)\n"
            ";SELECT :to::text",
    "touch": "-- @http POST /touch/{id}\n-- @async dedupe=touch-{id}\n-- @timeout 3s\n-- @result none\n"
             "UPDATE notes SET text = text WHERE id = :id",
    "maybe": "-- @http PUT /maybe/{id}\n-- @async prefer\n-- @result none\n"
             "INSERT INTO notes VALUES (:id, 'direct')",
    "direct": "-- @http PUT /direct/{id}\n-- @result none\nINSERT INTO notes VALUES (:id, 'direct')",
    "mine": "-- @http POST /mine/{id}\n-- @auth required\n-- @async dedupe={id}\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :auth.sub)",
    "said": "-- @http POST /said/{id}\n-- @auth optional\n-- @param text text\n-- @async dedupe={id}\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :text)",
    "plain": "-- @http POST /plain\n-- @async\n-- @result none\nDELETE FROM notes WHERE id = -2",
    "seldom": "-- @http POST /seldom\n-- @limit 1/day by=ip\n-- @async\n-- @result none\nDELETE FROM notes WHERE id = -1",
    "large": "-- @http POST /large\n-- @async\n-- @result none\n"
             "INSERT INTO notes SELECT 1, (:body::json)->>'x'",
}


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, install=True,
                        env=QUEUE | tokens.settings(f"{tmp_path_factory.mktemp('key')}/key"))


@pytest.fixture(autouse=True)
def emptied(request):
    if "served" in request.fixturenames:
        queue(request.getfixturevalue("served")).flushdb()


def value(stack, statement):
    return stack.sql(statement)[0][0]


def job(stack, answer):
    return fields(stack, job_id(answer))


def filed(stack):
    return [entry[b"j"].decode() for _, entry in queue(stack).xrange("larder:q:jobs")]


def test_a_write_is_filed_and_not_made(served):
    before = time.time()
    answer = post(served, "/notes/7", {"text": "a \"b\" é"})
    assert answer.body == b'{"status":"processing"}'
    assert answer["Content-Type"] == "application/json"
    assert (answer["Cache-Control"], answer["Retry-After"]) == ("no-store", "1")
    assert answer["Preference-Applied"] is None
    stored = job(served, answer)
    assert before - 1 < int(stored.pop("f")) / 1e6 < time.time() + 1
    assert re.fullmatch("[0-9a-f]{16}", stored.pop("v"))
    assert json.loads(stored.pop("d")) == {"values": {"id": "7", "text": "a \"b\" é", "to": None}}
    assert stored == {"s": "queued", "r": "POST /notes/{id}", "o": "", "a": "0", "w": "2", "x": "7000000", "n": "0",
                      "p": "0/2", "y": "", "c": "0"}
    assert filed(served) == [job_id(answer)]
    assert value(served, "SELECT count(*) FROM notes") == 0


def test_what_is_wrong_is_told_before_anything_is_filed(served):
    errors = post(served, "/notes/x", {"text": "x" * 21}).problem(422)["errors"]
    assert {error["name"] for error in errors} == {"id", "text"}
    served.request("/notes/1", method="POST", body=b"{", headers={"Content-Type": "application/json"}).problem(400)
    post(served, "/mine/1").problem(401)
    post(served, "/notes/1", {"text": "x"}, If_Match='"a"').problem(412)
    assert post(served, "/seldom").status == 202
    post(served, "/seldom").problem(429)
    assert len(filed(served)) == 1


def test_retries_and_timeout_have_the_routes_own(served):
    stored = job(served, post(served, "/touch/1"))
    assert (stored["w"], stored["x"], stored["p"]) == ("5", "3000000", "0/1")


def test_prefer_alone_files_where_the_route_leaves_it_to_the_client(served):
    answer = served.request("/maybe/1", method="PUT")
    assert (answer.status, answer["Preference-Applied"]) == (204, None)
    assert not filed(served)
    answer = served.request("/maybe/2", method="PUT", headers={"Prefer": "wait=1, respond-async"})
    assert filed(served) == [job_id(answer)]
    assert answer["Preference-Applied"] == "respond-async"
    assert value(served, "SELECT array_agg(id) FROM notes") == [1]
    served.sql("DELETE FROM notes")


def test_prefer_is_passed_over_where_the_route_is_not_async(served):
    answer = served.request("/direct/1", method="PUT", headers={"Prefer": "respond-async"})
    assert (answer.status, answer["Preference-Applied"]) == (204, None)
    assert not filed(served)
    served.sql("DELETE FROM notes")


def test_calls_alike_are_one_job_while_it_waits_or_runs(served):
    first = job_id(post(served, "/touch/1"))
    assert job_id(post(served, "/touch/1")) == first
    assert job_id(post(served, "/touch/2")) != first
    queue(served).hset(f"larder:q:j:{first}", "s", "running")
    assert job_id(post(served, "/touch/1")) == first
    assert len(filed(served)) == 2
    queue(served).hset(f"larder:q:j:{first}", "s", "done")
    later = job_id(post(served, "/touch/1"))
    assert later != first and filed(served)[-1] == later
    assert job_id(post(served, "/touch/1")) == later


def test_a_jobs_dedupe_key_names_it(served):
    """So whoever ends the job can let the next one in."""
    answer = post(served, "/touch/1")
    key = job(served, answer)["y"]
    assert re.fullmatch("larder:q:d:[A-Za-z0-9_-]{22}", key)
    assert queue(served).get(key).decode() == job_id(answer)


def test_nobody_gets_anothers_job_by_a_call_alike(served):
    ann = post(served, "/mine/1", **bearer("ann"))
    bob = post(served, "/mine/1", **bearer("bob"))
    assert job_id(ann) != job_id(bob)
    assert job(served, ann)["o"] != job(served, bob)["o"] != ""
    assert "ann" not in job(served, ann)["o"]


def test_callers_who_are_not_signed_in_share_only_what_is_the_same(served):
    """Nobody is told what became of a stranger's call, and nobody's values are dropped for it."""
    first = job_id(post(served, "/said/1", {"text": "a"}))
    other = job_id(post(served, "/said/1", {"text": "b"}))
    assert first != other
    assert job_id(post(served, "/said/1", {"text": "a"})) == first
    assert job_id(post(served, "/said/1", {"text": "b"})) == other
    ann = job_id(post(served, "/said/1", {"text": "a"}, **bearer("ann")))
    assert ann not in (first, other)
    assert job_id(post(served, "/said/1", {"text": "b"}, **bearer("ann"))) == ann  # her own: the text decides
    assert filed(served) == [first, other, ann]


def test_an_idempotency_key_files_once(served):
    key = {"Idempotency_Key": "k1"}
    first = post(served, "/notes/1", {"text": "a"}, **key)
    assert first["Idempotent-Replayed"] is None
    again = post(served, "/notes/1", {"text": "a"}, **key)
    assert job_id(again) == job_id(first) and again["Idempotent-Replayed"] == "true"
    queue(served).hset(f"larder:q:j:{job_id(first)}", "s", "done")
    assert job_id(post(served, "/notes/1", {"text": "a"}, **key)) == job_id(first)
    post(served, "/notes/1", {"text": "b"}, **key).problem(422)
    assert filed(served) == [job_id(first)]


def test_an_idempotency_key_holds_as_long_as_an_answers(served):
    post(served, "/notes/1", {"text": "a"}, Idempotency_Key="k2")
    key, = queue(served).keys("larder:q:d:*")
    assert 86_000_000 < queue(served).pttl(key) <= 86_400_000


def test_a_document_is_as_large_as_a_body_may_be(served):
    body = {"x": "y" * 1_000_000}
    answer = post(served, "/large", body)
    assert json.loads(json.loads(job(served, answer)["d"])["values"]["body"]) == body
    assert post(served, "/large", {"x": "y" * 1_048_576}).status == 413
    assert len(filed(served)) == 1


@pytest.mark.parametrize("target", ["/touch/1", "/plain"])
def test_a_full_queue_says_so_and_has_nothing_of_the_job(served, target):
    """With something to be looked up, and without."""
    redis = queue(served)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    try:
        answer = post(served, target)
    finally:
        redis.config_set("maxmemory", 0)
    assert "no room" in answer.problem(503)["detail"]
    assert answer["Retry-After"] == "5"
    assert redis.keys() == []
    assert post(served, target).status == 202


@pytest.mark.parametrize(("target", "headers", "looks"), [
    ("/plain", {}, False), ("/plain", {"Idempotency_Key": "a"}, True), ("/touch/1", {}, True)])
def test_a_job_needs_a_script_only_where_something_is_looked_up(served, target, headers, looks):
    def scripts():
        told = queue(served).info("commandstats")
        return sum(told.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

    before = scripts()
    answer = post(served, target, **headers)
    assert filed(served) == [job_id(answer)]
    assert (scripts() > before) == looks


def test_a_connection_that_breaks_before_its_answer_leaves_one_job(stack):
    """Redis has the job and its word is lost: the responder asks anew, and is told of the same job."""
    served = stack({"plain": ROUTES["plain"]}, schema=SCHEMA, queue=True, queue_proxy=True, install=True, nginx=False,
                   env={"LARDER_REDIS_TIMEOUT": "10s"})
    jobs = served.queue.client()
    assert served.direct("/plain", method="POST").status == 202
    served.queue_proxy.delay(5)
    answer = Background(served.direct, "/plain", method="POST")
    wait_until(lambda: jobs.xlen("larder:q:jobs") == 2, 10, "the job")
    served.queue_proxy.pass_on()
    served.queue_proxy.drop()
    told = answer.result()
    assert told.status == 202
    (_, _), (_, last) = jobs.xrange("larder:q:jobs")
    assert told["Location"] == f"/jobs/{last[b'j'].decode()}"
    assert jobs.xlen("larder:q:jobs") == 2


def test_without_a_queue_async_routes_are_503_and_the_preference_is_passed_over(stack):
    bare = stack({name: ROUTES[name] for name in ("touch", "maybe")}, schema=SCHEMA)
    assert "@async, but LARDER_QUEUE is empty" in bare.log_text()
    assert "no queue" in post(bare, "/touch/1").problem(503)["detail"]
    answer = bare.request("/maybe/1", method="PUT", headers={"Prefer": "respond-async"})
    assert (answer.status, answer["Preference-Applied"]) == (204, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_responses_database_is_refused_as_the_queues(stack, host):
    with pytest.raises(RuntimeError, match="LARDER_QUEUE is the database of LARDER_REDIS"):
        stack(ROUTES, schema=SCHEMA, env={"LARDER_QUEUE": f"redis://{host}:" + "{stack.redis.port}/0"})


def test_what_is_wrong_with_the_queues_address_is_told_of_it(stack):
    with pytest.raises(RuntimeError, match='LARDER_QUEUE: database "x" is not a number'):
        stack(ROUTES, schema=SCHEMA, env={"LARDER_QUEUE": "redis://127.0.0.1:1/x"})


def test_a_queue_that_is_stopped_costs_no_more_than_redis_may(stack):
    """100 ms for the first three, then nothing: the breaker is open."""
    # a probe's time that two requests are not apart on a machine however busy: else each of them would ask
    away = stack({"touch": ROUTES["touch"]}, schema=SCHEMA, install=True, redis={"databases": 2},
                 env=QUEUE | {"LARDER_REDIS": None, "LARDER_REDIS_TIMEOUT": "100ms", "LARDER_REDIS_PROBE": "1s"})
    # of a busy machine Redis may need longer than that; after an answer of its the breaker has counted none that failed
    wait_until(lambda: post(away, "/touch/1").status == 202, 20, "a Redis that answers in time")
    away.redis.process.pause()
    try:
        answers = [post(away, "/touch/1") for _ in range(3)]
        # one that comes a probe's time later asks again
        answers.append(wait_until(lambda: "can't be reached" in (answer := post(away, "/touch/1")).text and answer, 10))
    finally:
        away.redis.process.resume()
    for answer in answers:
        answer.problem(503)
        assert answer["Retry-After"] == "1" and answer.seconds < 5
    assert "made, or not" in answers[0].json()["detail"]
    wait_until(lambda: post(away, "/touch/1").status == 202, 20)


def test_without_the_record_no_job_is_filed_until_it_is_there(stack):
    """An installation that can't tell a job's second delivery from its first takes none."""
    bare = stack({name: ROUTES[name] for name in ("touch", "maybe")}, schema=SCHEMA, env=QUEUE)
    assert "no record of jobs" in post(bare, "/touch/1").problem(501)["detail"]
    assert bare.request("/maybe/1", method="PUT", headers={"Prefer": "respond-async"}).status == 204
    assert queue(bare).keys() == []
    bare.install()
    wait_until(lambda: post(bare, "/touch/1").status == 202, 10)
