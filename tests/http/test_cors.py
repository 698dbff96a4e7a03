"""Pages of other origins: who may read answers and errors, preflights, and what caches may make of it."""

import socket
import subprocess

import pytest

from support.paths import program
from support.stack import clean_environment
from support.waiting import wait_until

SCHEMA = "CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1);"


def route(path, *lines, statement="SELECT id FROM item", method="GET"):
    return "\n".join([f"-- @http {method} {path}", *(f"-- {line}" for line in lines), "-- @result row", statement, ""])


ROUTES = {
    "item": route("/item", "@cache ttl=60s"),
    "missing": route("/missing", "@cache ttl=60s negative=60s", statement="SELECT 1 AS a WHERE false"),
    "number": route("/number/{n}", "@param n int", statement="SELECT :n AS n"),
    "limited": route("/limited", "@limit 1/hour by=n", "@param n text default=x", statement="SELECT :n AS n"),
    "change": route("/item", method="PUT", statement="UPDATE item SET id = 1 RETURNING id"),
    "remove": route("/item", method="DELETE", statement="DELETE FROM item RETURNING id"),
    "page": route("/page", "@cache ttl=60s", "@nginx ttl=60s", "@control public, max-age=5"),
}
APP, LOCAL, OTHER = "https://app.example", "http://localhost:3000", "https://other.example"
PREFLIGHT = {"Origin": APP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}


@pytest.fixture(scope="module")
def listed(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env={
        "LARDER_CORS_ORIGINS": f"{APP}, {LOCAL}", "LARDER_CORS_CREDENTIALS": "on", "LARDER_CORS_MAX_AGE": "1h",
        "LARDER_CORS_METHODS": "GET, PUT", "LARDER_CORS_HEADERS": "If-Match, Content-Type",
        "LARDER_CORS_EXPOSE": "ETag"})


@pytest.fixture(scope="module")
def anybody(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env={"LARDER_CORS_ORIGINS": "*"})


@pytest.fixture(scope="module")
def off(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA)


def allowed(answer):
    return (answer["Access-Control-Allow-Origin"], answer["Access-Control-Allow-Credentials"],
            answer["Access-Control-Expose-Headers"])


def varies(answer):
    return [word.strip() for word in (answer["Vary"] or "").split(",")]


NOTHING = (None, None, None)


@pytest.mark.parametrize("origin, expected", [
    (APP, (APP, "true", "ETag")), (LOCAL, (LOCAL, "true", "ETag")), (OTHER, NOTHING), ("null", NOTHING),
    ("http://app.example", NOTHING), (APP + ".evil.example", NOTHING), (APP + "/", NOTHING), (None, NOTHING)])
@pytest.mark.parametrize("target, status", [("/item", 200), ("/missing", 404), ("/nowhere", 404), ("/number/x", 422),
                                            ("/item?a=%zz", 400)])
def test_a_list_of_origins(listed, target, status, origin, expected):
    """Answers and errors alike; each says that it differs, whoever asked."""
    answer = listed.get(target, headers={"Origin": origin} if origin else {})
    assert (answer.status, allowed(answer)) == (status, expected)
    assert "Origin" in varies(answer), answer


@pytest.mark.parametrize("target, status", [("/item", 200), ("/missing", 404), ("/nowhere", 404), ("/number/x", 422)])
@pytest.mark.parametrize("origin", [APP, "null", None])
def test_any_origin(anybody, target, status, origin):
    answer = anybody.get(target, headers={"Origin": origin} if origin else {})
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (status, "*")
    assert answer["Access-Control-Allow-Credentials"] is None
    assert {"ETag", "Retry-After", "RateLimit-Remaining", "Cache-Status", "Location"} <= {
        word.strip() for word in answer["Access-Control-Expose-Headers"].split(",")}
    assert "Origin" not in varies(answer)


@pytest.mark.parametrize("target", ["/item", "/missing", "/nowhere"])
def test_switched_off_nothing_is_said(off, target):
    answer = off.get(target, headers={"Origin": APP})
    assert allowed(answer) == NOTHING and "Origin" not in varies(answer)
    asked = off.request("/item", "OPTIONS", headers=PREFLIGHT)
    assert asked.status == 204 and not [name for name, _ in asked.headers if name.startswith("Access-Control")]


def test_a_kept_answer_is_one_entry_for_all_origins(listed):
    first = listed.get("/item")
    hit = wait_until(lambda: (answer := listed.get("/item", headers={"Origin": APP}))["Cache-Status"]
                     .startswith("larder; hit") and answer, what="a hit")
    assert allowed(hit) == (APP, "true", "ETag") and hit["ETag"] == first["ETag"]
    for origin, expected in ((APP, (APP, "true", "ETag")), (OTHER, NOTHING)):
        again = listed.get("/item", headers={"Origin": origin, "If-None-Match": first["ETag"]})
        assert (again.status, allowed(again)) == (304, expected)
        assert varies(again) == varies(first) == ["Accept-Encoding", "Origin"]


def test_a_refused_request_may_be_read(listed):
    """429 and its fields: a page must be able to wait."""
    headers = {"Origin": APP}
    answers = [listed.get("/limited", headers=headers) for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    assert allowed(answers[1]) == (APP, "true", "ETag")


# Preflights

def test_a_preflight_is_answered(listed):
    answer = listed.request("/item", "OPTIONS", headers=PREFLIGHT)
    assert (answer.status, answer.body) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == APP and answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Access-Control-Allow-Methods"] == "GET, PUT", "of GET, HEAD, PUT and DELETE those of the option"
    assert answer["Access-Control-Allow-Headers"] == "If-Match, Content-Type"
    assert answer["Access-Control-Max-Age"] == "3600"
    assert answer["Allow"] == "OPTIONS, GET, HEAD, PUT, DELETE" and varies(answer) == ["Origin"]


def test_a_preflight_of_a_path_with_one_method(listed):
    answer = listed.request("/number/1", "OPTIONS", headers=PREFLIGHT)
    assert answer["Access-Control-Allow-Methods"] == "GET"


@pytest.mark.parametrize("headers", [PREFLIGHT | {"Origin": OTHER}, {"Origin": OTHER}, {}])
def test_others_get_the_plain_answer(listed, headers):
    answer = listed.request("/item", "OPTIONS", headers=headers)
    assert answer.status == 204 and answer["Allow"] and varies(answer) == ["Origin"]
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_a_preflight_of_no_path(listed):
    assert listed.request("/nowhere", "OPTIONS", headers=PREFLIGHT).problem(404)


def test_a_preflight_for_any_origin(anybody):
    answer = anybody.request("/item", "OPTIONS", headers=PREFLIGHT)
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD, PUT, DELETE"
    assert "Authorization" in answer["Access-Control-Allow-Headers"] and answer["Access-Control-Max-Age"] == "600"


def test_larders_own_pages_are_for_no_page(anybody):
    answer = anybody.get("/_larder/health", headers={"Origin": APP})
    assert answer.status == 200 and allowed(answer) == NOTHING


# nginx

def test_nginx_keeps_none_for_an_origin(stack):
    """It goes around what nginx keeps, and leaves there nothing of its own."""
    served = stack({"page": ROUTES["page"]}, schema=SCHEMA, install=True, larderd=True,
                   env={"LARDER_CORS_ORIGINS": APP})
    for _ in range(3):
        assert served.get("/page", headers={"Origin": APP})["Access-Control-Allow-Origin"] == APP
    kept = wait_until(lambda: (answer := served.get("/page"))["Cache-Status"].endswith("nginx; hit") and answer,
                      what="a hit of nginx")
    assert allowed(kept) == NOTHING and "Origin" in varies(kept)
    for origin, expected in ((APP, APP), (OTHER, None)):
        answer = served.get("/page", headers={"Origin": origin})
        assert answer["Access-Control-Allow-Origin"] == expected and "nginx" not in answer["Cache-Status"]


def test_a_site_of_another_make_is_given_none_to_keep(listed, anybody):
    """One whose zone meets requests with an Origin."""
    params = {"LARDER_NGINX": "keep"}
    seconds = {(stack, origin): stack.direct("/page", headers=headers, params=params)["X-Accel-Expires"]
               for stack in (listed, anybody) for origin, headers in ((APP, {"Origin": APP}), (None, {}))}
    assert seconds[listed, APP] == "0" and seconds[listed, None] != "0"
    assert seconds[anybody, APP] != "0" and seconds[anybody, None] != "0"


# The options

@pytest.mark.parametrize("settings, expected", [
    ({"LARDER_CORS_ORIGINS": "app.example"}, ["LARDER_CORS_ORIGINS", '"app.example"', "https://host"]),
    ({"LARDER_CORS_ORIGINS": "https://app.example/"}, ["LARDER_CORS_ORIGINS"]),
    ({"LARDER_CORS_ORIGINS": "https://App.example"}, ["LARDER_CORS_ORIGINS", "small letters"]),
    ({"LARDER_CORS_ORIGINS": "https://app.example:443"}, ["LARDER_CORS_ORIGINS"]),
    ({"LARDER_CORS_ORIGINS": "*, https://app.example"}, ["LARDER_CORS_ORIGINS"]),
    ({"LARDER_CORS_ORIGINS": "null"}, ["LARDER_CORS_ORIGINS"]),
    ({"LARDER_CORS_METHODS": "GET POST"}, ["LARDER_CORS_METHODS", "parted by commas"]),
    ({"LARDER_CORS_HEADERS": "X: y"}, ["LARDER_CORS_HEADERS"]),
    ({"LARDER_CORS_MAX_AGE": "600"}, ["LARDER_CORS_MAX_AGE", "unit"]),
    ({"LARDER_CORS_ORIGINS": "*", "LARDER_CORS_CREDENTIALS": "on"}, ["LARDER_CORS_CREDENTIALS", "LARDER_CORS_ORIGINS"]),
    ({"LARDER_CORS_ORIGINS": APP, "LARDER_CORS_CREDENTIALS": "on", "LARDER_CORS_HEADERS": "*"},
     ["LARDER_CORS_CREDENTIALS", "LARDER_CORS_HEADERS"]),
])
def test_a_bad_option_stops_the_start(tmp_path, settings, expected):
    environment = clean_environment() | {"LARDER_ROUTES": str(tmp_path), "LARDER_RUN": str(tmp_path)}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/api.sock")
        listening.listen()
        done = subprocess.run([program("larder-fcgi")], env=environment | settings, stdin=listening,
                              capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    for part in expected:
        assert part in done.stderr, done.stderr
