"""Routes with @nginx, through Larder and nginx: what is kept, for how long, and what is not."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from support.stack import metrics, queries
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL);
INSERT INTO notes SELECT n, repeat('note ' || n || ' ', 400) FROM generate_series(1, 50) AS n;
"""
NOTE = """-- A note.
-- @http GET {path}/{{id}}
-- @param id int
-- @result row
{lines}SELECT id, text FROM notes WHERE id = :id
"""


def route(path, lines):
    return NOTE.format(path=path, lines="".join(f"-- {line}\n" for line in lines))


ROUTES = {
    "kept": route("/kept", ["@cache ttl=5m", "@nginx ttl=60s", "@control public, max-age=7"]),
    "default": route("/default", ["@cache ttl=5m", "@nginx ttl=60s"]),
    "bare": route("/bare", ["@nginx ttl=60s"]),
    "brief": route("/brief", ["@cache ttl=2s", "@nginx ttl=60s"]),
    "second": route("/second", ["@cache ttl=5m", "@nginx ttl=1s"]),
    "stale": route("/stale", ["@cache ttl=5m", "@nginx ttl=1s", "@control public, max-age=1, stale-while-revalidate=60"]),
    "passed": route("/passed", ["@cache ttl=5m", "@control public, max-age=3600"]),
    "slow": "-- @http GET /slow\n-- @cache ttl=5m\n-- @nginx ttl=60s\nSELECT pg_sleep(0.3)::text AS slept",
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, nginx_workers=2, env={"LARDER_PROFILE": "on", "LARDER_GUARD_TTL": "10m"})


numbers = iter(range(1, 50))


@pytest.fixture
def id():
    return next(numbers)


def kept(answer):
    return "nginx; hit" in (answer["Cache-Status"] or "")


def expires(served, target, **options):
    """X-Accel-Expires, which only nginx sees."""
    return served.direct(target, **options)["X-Accel-Expires"]


# What the responder says

def test_the_routes_time_is_sent_before_cache_control(served, id):
    answer = served.direct(f"/kept/{id}")
    names = [name for name, _ in answer.headers]
    assert answer["X-Accel-Expires"] == "60"
    assert names.index("X-Accel-Expires") < names.index("Cache-Control")


def test_stale_while_revalidate_is_sent_before_it(served, id):
    names = [name for name, _ in served.direct(f"/stale/{id}").headers]
    assert names.index("X-Accel-Expires") > names.index("Cache-Control")


def test_no_longer_than_the_answer_is_fresh(served, id):
    assert int(expires(served, f"/brief/{id}")) <= 2


def test_a_route_that_is_not_kept_in_redis_may_be_kept_by_nginx(served, id):
    assert expires(served, f"/bare/{id}") == "60"


@pytest.mark.parametrize("target, options", [
    ("/passed/1", {}), ("/kept/0", {}), ("/kept/x", {}), ("/none", {}), ("/kept/1", {"method": "HEAD"}),
    ("/kept/1", {"method": "OPTIONS"}), ("/kept/1?profile=1", {}), ("/kept/1?" + "x" * 1024, {})])
def test_nothing_else_may_be_kept(served, target, options):
    answer = served.direct(target, **options)
    assert answer["X-Accel-Expires"] in (None, "0"), answer
    for _ in range(2):
        assert not kept(served.request(target, **options))


# What nginx makes of it

@pytest.mark.parametrize("path, control", [
    ("kept", "public, max-age=7"), ("default", "no-cache"), ("bare", "no-cache")])
def test_nginx_answers_for_larder(served, id, path, control):
    def asked():
        return metrics(served).sum("larder_requests_total", route=f"GET /{path}/{{id}}")

    target, before = f"/{path}/{id}", asked()
    first = served.get(target)
    wait_until(lambda: asked() == before + 1, what="the first request counted, which it may be after its answer")
    second = served.get(target)
    assert asked() == before + 1
    assert kept(second) and second.body == first.body
    for answer in (first, second):
        assert answer["Cache-Control"] == control
        assert answer["X-Accel-Expires"] is None
        assert answer["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("sent, coding", [
    ("br, gzip", "br"), ("gzip, deflate", "gzip"), ("identity", None), (None, None)])
def test_each_coding_has_its_entry(served, sent, coding):
    target = "/kept/50"
    headers = {"Accept-Encoding": sent} if sent else {}
    served.get(target, headers=headers)
    answer = served.get(target, headers=headers)
    assert kept(answer)
    assert answer["Content-Encoding"] == coding
    suffix = {"br": '-br"', "gzip": '-gz"', None: '"'}[coding]
    assert answer["ETag"].endswith(suffix) and (coding or "-" not in answer["ETag"][-4:])
    again = served.get(target, headers=headers | {"If-None-Match": answer["ETag"]})
    assert (again.status, again["ETag"]) == (304, answer["ETag"]) and kept(again)


@pytest.mark.parametrize("sent", ["gzip;q=0", "br;q=0.1, gzip;q=0.9", "identity;q=0", "*"])
def test_unusual_codings_are_weighed_by_larder(served, id, sent):
    target = f"/kept/{id}"
    for coding in ("identity", "gzip", "br, gzip"):
        served.get(target, headers={"Accept-Encoding": coding})
    through = served.get(target, headers={"Accept-Encoding": sent})
    assert not kept(through)
    assert through["Content-Encoding"] == served.direct(target, headers={"Accept-Encoding": sent})["Content-Encoding"]


def test_head_before_get(served, id):
    target = f"/kept/{id}"
    assert served.request(target, "HEAD").body == b""
    first = served.get(target)
    assert len(first.body) == int(first["Content-Length"]) > 0
    assert served.get(target).body == first.body
    assert served.request(target, "HEAD")["Content-Length"] == first["Content-Length"]


def test_a_conditional_request_begins_an_entry(served, id):
    target = f"/default/{id}"
    tag = served.direct(target)["ETag"]
    for answer in (served.get(target, headers={"If-None-Match": tag}), served.get(target, headers={"If-None-Match": tag})):
        assert (answer.status, answer["ETag"]) == (304, tag)
    assert kept(answer)
    assert served.get(target).status == 200


def test_a_route_that_is_not_kept_has_its_304_from_larder(served, id):
    target = f"/passed/{id}"
    tag = served.get(target)["ETag"]
    before = metrics(served).sum("larder_not_modified_total")
    assert served.get(target, headers={"If-None-Match": tag}).status == 304
    assert metrics(served).sum("larder_not_modified_total") == before + 1
    assert served.get(target, headers={"If-None-Match": '"other"'}).status == 200


def test_if_match_is_larders(served, id):
    target = f"/kept/{id}"
    tag = served.get(target)["ETag"]
    assert served.get(target, headers={"If-Match": tag}).status == 200
    served.get(target, headers={"If-Match": '"other"'}).problem(412)


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer x"}, {"Cookie": "a=b"}])
def test_who_says_who_he_is_gets_larders_answer(served, id, headers):
    target = f"/kept/{id}"
    served.get(target)
    for _ in range(2):
        assert not kept(served.get(target, headers=headers))


def test_the_order_of_the_query_makes_entries_of_nginx_not_of_larder(served, id):
    served.get(f"/kept/{id}?a=1&b=2")
    before = queries(served)
    assert not kept(served.get(f"/kept/{id}?b=2&a=1"))
    assert kept(served.get(f"/kept/{id}?b=2&a=1"))
    assert queries(served) == before


def test_errors_are_not_kept(served):
    for _ in range(2):
        answer = served.get("/kept/0")
        answer.problem(404)
        assert not kept(answer)
        assert not kept(served.get("/kept/x"))


def test_it_ends_with_the_ttl(served, id):
    """The first to ask after it has no old answer: not even where nobody asked meanwhile."""
    target = f"/second/{id}"
    wait_until(lambda: kept(served.get(target)), what="nginx' own answer")
    answer = wait_until(lambda: not kept(answer := served.get(target)) and answer)
    assert answer["Cache-Status"].startswith("larder; hit")


def test_stale_while_revalidate_in_the_background(served, id):
    target = f"/stale/{id}"
    served.get(target)
    wait_until(lambda: served.get(target)["Cache-Status"].endswith("detail=stale"))
    wait_until(lambda: served.get(target)["Cache-Status"].endswith("nginx; hit"))


def test_fifty_misses_at_once_are_one_query(served):
    before = queries(served)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: served.get("/slow"), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert queries(served) == before + 1
    assert kept(served.get("/slow"))


def test_forged_refreshes_do_nothing(served, id):
    target = f"/kept/{id}"
    served.get(target)
    for secret in ("", "yes", "refresh", served.nginx_secret[:-1]):
        assert kept(served.get(target, headers={"X-Larder-Refresh": secret}))


def test_a_refresh_replaces_what_nginx_has(served, id):
    target = f"/bare/{id}"
    served.get(target)
    served.sql("UPDATE notes SET text = 'new' WHERE id = %s", [id])
    assert kept(served.get(target)) and served.get(target).json()["text"] != "new"
    assert not kept(served.get(target, headers={"X-Larder-Refresh": served.nginx_secret}))
    answer = served.get(target)
    assert kept(answer) and answer.json()["text"] == "new"


def test_a_refresh_of_what_is_gone_takes_it_away(served, id):
    target = f"/bare/{id}"
    served.get(target)
    served.sql("DELETE FROM notes WHERE id = %s", [id])
    assert kept(served.get(target))
    served.get(target, headers={"X-Larder-Refresh": served.nginx_secret}).problem(404)
    served.get(target).problem(404)


def test_responders_that_are_down_leave_the_old_answers(stack):
    stack = stack(ROUTES, schema=SCHEMA)
    body = stack.get("/second/1").body
    stack.api.kill()
    stale = wait_until(lambda: (answer := stack.get("/second/1"))["Cache-Status"].endswith("detail=stale") and answer)
    assert (stale.status, stale.body) == (200, body)
    assert stack.get("/second/2").status == 502
