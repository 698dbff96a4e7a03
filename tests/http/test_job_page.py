"""/jobs/{id}: what has become of a job, for whoever filed it; cancelling it."""

import subprocess
import time

import pytest

from support import tokens
from support.filed import QUEUE, bring, fields, finish, post, queue
from support.job_page import PAGE, ROUTES, SCHEMA, ask_waiting, empty, filed, settings
from support.paths import program
from support.tokens import bearer


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, env=settings(tmp_path_factory.mktemp("key")))


@pytest.fixture(autouse=True)
def emptied(served):
    empty(served)


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
