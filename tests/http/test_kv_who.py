"""@kv routes and who asks: values of a signed-in user, counted requests, pages of other origins."""

import pytest

from support import tokens
from support.stack import pack
from support.tokens import bearer

ROUTES = {
    "set": "-- @http PUT /mine/{key}\n-- @auth required\n-- @param value text in=query\n"
           "-- @kv set key=user:{auth.sub}:{key} value={value} ttl=60s\n",
    "get": "-- @http GET /mine/{key}\n-- @auth required\n-- @kv get key=user:{auth.sub}:{key}\n",
    "delete": "-- @http DELETE /mine/{key}\n-- @auth required\n-- @kv delete key=user:{auth.sub}:{key}\n",
    "maybe": "-- @http GET /maybe\n-- @auth optional\n-- @kv get key=user:{auth.sub}:k\n",
    "editors": "-- @http PUT /editors\n-- @auth required role=editor\n-- @kv set key=e value=e\n",
    "often": "-- @http GET /often\n-- @limit 2/hour by=ip\n-- @kv get key=often\n",
}
PAGE = "https://page.test"


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key"))


@pytest.fixture(scope="module")
def pack_served(shared_stack):
    return shared_stack(f"{pack('kv')}/routes", env={"LARDER_CORS_ORIGINS": PAGE})


def test_a_users_values_are_the_users_own(served):
    assert served.request("/mine/k?value=a", method="PUT", headers=bearer("ann")).status == 200
    assert served.get("/mine/k", headers=bearer("bob")).status == 404
    assert served.request("/mine/k", method="DELETE", headers=bearer("bob")).status == 404
    answer = served.get("/mine/k", headers=bearer("ann"))
    assert (answer.status, answer.json()["value"], answer["Cache-Control"]) == (200, "a", "no-store")


def test_no_name_reaches_into_anothers_values(served):
    """ann's key "x:k" is not the key "k" of a user who is called "ann:x", nor the other way round."""
    served.request("/mine/x%3Ak?value=a", method="PUT", headers=bearer("ann"))
    for name, key in (("ann:x", "k"), ("ann%3Ax", "k"), ("ann", "x%253Ak")):
        assert served.get(f"/mine/{key}", headers=bearer(name)).status == 404
    assert served.get("/mine/x%3Ak", headers=bearer("ann")).json()["value"] == "a"


def test_who_may_not_is_told_nothing_of_what_is_there(served):
    served.request("/mine/there?value=a", method="PUT", headers=bearer("ann"))
    for key in ("there", "nothing"):
        served.get(f"/mine/{key}").problem(401)
        served.request(f"/mine/{key}", method="DELETE").problem(401)
    served.request("/editors", method="PUT", headers=bearer("ann")).problem(403)
    assert served.redis.client().get("larder:v:e") is None
    assert served.request("/editors", method="PUT", headers=bearer("ann", role="editor")).status == 200


def test_a_key_of_a_claim_that_nobody_has_is_403(served):
    for headers in ({}, bearer(None, name="nobody")):
        assert "lacks a claim" in served.get("/maybe", headers=headers).problem(403)["detail"]
    assert served.redis.client().keys("larder:v:user::*") == []


def test_requests_are_counted(served):
    assert [served.get("/often").status for _ in range(3)] == [404, 404, 429]


def test_a_page_of_another_origin(pack_served):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = pack_served.request("/set", method="OPTIONS", headers=asked)
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert "content-type" in answer["Access-Control-Allow-Headers"].lower()
    answer = pack_served.request("/set", method="POST", headers={"Origin": PAGE, "Content-Type": "application/json"},
                                 body=b'{"key":"k","value":"v"}')
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, PAGE)
    for key in ("k", "nothing"):
        answer = pack_served.get(f"/get/{key}", headers={"Origin": PAGE})
        assert answer["Access-Control-Allow-Origin"] == PAGE
        assert "Cache-Status" in answer["Access-Control-Expose-Headers"]
    assert pack_served.get("/get/k", headers={"Origin": "https://other.test"})["Access-Control-Allow-Origin"] is None
