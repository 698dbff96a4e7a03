"""Limits and cross-origin requests where it matters who is signed in."""

import itertools

import pytest

from support import tokens
from support.stack import queries
from support.tokens import bearer

ROUTES = {
    "mine": "-- @http GET /mine\n-- @auth optional\n-- @limit 3/hour by=user\n-- @result row\n"
            "SELECT :auth.sub::text AS sub",
    "both": "-- @http GET /both\n-- @auth required\n-- @limit 3/hour by=user\n-- @limit 4/hour by=ip\n-- @result row\n"
            "SELECT :auth.sub::text AS sub",
}
APP = "https://app.example"
addresses = itertools.count(1)


def address():
    return f"203.0.113.{next(addresses)}"


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key", LARDER_CORS_ORIGINS=APP))


def ask(stack, target, source, headers=None):
    return stack.direct(target, params={"REMOTE_ADDR": source}, headers=headers or {})


def test_a_user_has_one_count_wherever_he_is(served):
    """With whichever token; and users behind one address have their own."""
    asked = [ask(served, "/mine", address(), bearer("anna", jti=str(number))).status for number in range(4)]
    assert asked == [200] * 3 + [429]
    shared = address()
    for user in ("berta", "carla"):
        assert [ask(served, "/mine", shared, bearer(user)).status for _ in range(4)] == [200] * 3 + [429], user
    assert ask(served, "/mine", shared).status == 200, "nobody in particular is counted by the address"


def test_a_user_named_like_an_address_is_not_it(served):
    source = address()
    assert [ask(served, "/mine", source).status for _ in range(4)] == [200] * 3 + [429]
    assert ask(served, "/mine", source, bearer(source)).status == 200


def test_a_user_over_the_limit_is_nobody_elses_trouble(served):
    source = address()
    assert [ask(served, "/both", source, bearer("dora")).status for _ in range(5)] == [200] * 3 + [429] * 2
    assert [ask(served, "/both", source, bearer("erna")).status for _ in range(2)] == [200, 429], "one was left"


def test_who_may_not_ask_is_not_counted(served):
    source = address()
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        for _ in range(6):
            answer = ask(served, "/both", source, headers)
            assert answer.problem(401) and answer["RateLimit-Limit"] is None
    assert ask(served, "/both", source, bearer("frida")).status == 200


def test_over_the_limit_costs_a_user_no_query(served):
    source = address()
    assert [ask(served, "/mine", source, bearer("gerda")).status for _ in range(4)] == [200] * 3 + [429]
    before = queries(served)
    assert {ask(served, "/mine", address(), bearer("gerda")).status for _ in range(10)} == {429}
    assert queries(served) == before


def test_a_preflight_needs_no_token_and_a_401_may_be_read(served):
    asked = served.request("/both", "OPTIONS", headers={
        "Origin": APP, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"})
    assert asked.status == 204 and "Authorization" in asked["Access-Control-Allow-Headers"]
    refused = served.get("/both", headers={"Origin": APP})
    assert refused.problem(401) and refused["Access-Control-Allow-Origin"] == APP
    assert "WWW-Authenticate" in refused["Access-Control-Expose-Headers"]
    answer = served.get("/both", headers={"Origin": APP} | bearer("hilda"))
    assert answer["Access-Control-Allow-Origin"] == APP
    assert {word.strip() for word in answer["Vary"].split(",")} == {"Accept-Encoding", "Authorization", "Origin"}
