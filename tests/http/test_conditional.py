"""Validators, preconditions, negotiation and the headers of every answer: on a hit, on a miss, and with no cache."""

import gzip
import re

import brotli
import pytest

from support.stack import REDIS_TIER, metrics
from support.waiting import wait_until

BODY = "SELECT repeat('abc', 1000)"
ROUTES = {
    name: f"-- @http GET /{name}\n-- @result value\n{lines}\n" for name, lines in {
        "cached": f"-- @cache ttl=60s\n{BODY}",
        "uncached": BODY,
        "small": "-- @cache ttl=60s\nSELECT 'small'",
        "uncached-small": "SELECT 'small'",
        "public": f"-- @cache ttl=60s\n-- @control public, max-age=3600\n{BODY}",
        "private": f"-- @control private, no-cache\n{BODY}",
        "none": "-- @cache ttl=60s\nSELECT 1 WHERE false",
        "broken": "SELECT 1/0",
        "changing": "SELECT clock_timestamp()",
        "plain": f"-- @cache ttl=60s compress=off\n{BODY}",
        "spoken": "-- @param accept_language text in=header default=en\n-- @control public, max-age=60\n"
                  "-- @cache ttl=60s\nSELECT :accept_language",
        "negative": "-- @cache ttl=60s negative=60s\n-- @param word maxlen=1500\nSELECT 1 WHERE :word::text = ''",
    }.items()
} | {"number": "-- @http GET /number/{n}\n-- @param n int\n-- @result value\n-- @cache ttl=60s\nSELECT :n\n"}
TAG = re.compile(r'"([A-Za-z0-9_-]{22})(|-gz|-br)"')
SUFFIXES = {None: "", "gzip": "-gz", "br": "-br"}
DECODERS = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}
MODES = ["hit", "miss", "uncached"]
UNCACHED = {"cached": "uncached", "small": "uncached-small"}
PAST, FUTURE = "Sun, 06 Nov 1994 08:49:37 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, env=REDIS_TIER)


@pytest.fixture(scope="module")
def tag(served):
    """The opaque part of the tag of the three big bodies."""
    return TAG.fullmatch(served.get("/uncached")["ETag"])[1]


@pytest.fixture(params=MODES)
def ask(request, served):
    """ask(method, headers, path): a request whose answer comes out of that place."""
    def hit(path):
        wait_until(lambda: served.get(path)["Cache-Status"].startswith("larder; hit"))

    def send(method="GET", headers=None, path="cached"):
        path = "/" + (UNCACHED[path] if request.param == "uncached" else path)
        if request.param == "hit":
            hit(path)
        elif request.param == "miss":
            served.redis.client().flushall()
        return served.request(path, method, headers)
    return send


def unlike(answer, *names):
    """The headers without those that may differ from one answer to the next."""
    left_out = {"date", "age", "cache-status", *names}
    return sorted(pair for pair in answer.headers if pair[0].lower() not in left_out)


# If-None-Match

MATCHING = ['"{tag}"', '"{tag}-gz"', '"{tag}-br"', 'W/"{tag}"', 'W/"{tag}-gz"', "*", '"a", "{tag}"', '"a","{tag}","b"',
            '  "a" ,, W/"b" ,"{tag}-br" ,', '"a,b", "{tag}"', '"", "{tag}"']
OTHER = ['"other"', '"{tag}x"', '"{tag}-xx"', '"{tag}-gz-gz"', "{tag}", '"{tag}', '{tag}"', "", ",", '"', 'W/', '"a", "b"',
         '"a "{tag}', "%00", '"*"', "W/*", "\xe9\xff"]
LONG = ", ".join(f'"{number:022d}"' for number in range(300))


@pytest.mark.parametrize("condition", MATCHING + [LONG + ', "{tag}"'])
def test_a_tag_that_matches_is_304(ask, tag, condition):
    answer = ask(headers={"If-None-Match": condition.format(tag=tag)})
    assert (answer.status, answer.body) == (304, b"")
    assert answer["ETag"] == f'"{tag}"'


@pytest.mark.parametrize("condition", OTHER + [LONG])
def test_a_tag_that_does_not_match_is_200(ask, tag, condition):
    answer = ask(headers={"If-None-Match": condition.format(tag=tag)})
    assert answer.status == 200, answer
    assert answer.body == b'"' + b"abc" * 1000 + b'"'


@pytest.mark.parametrize("coding", SUFFIXES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_304_has_the_headers_of_its_200_and_nothing_of_a_body(ask, coding, method):
    headers = {"Accept-Encoding": coding} if coding else {}
    full = ask(headers=headers)
    answer = ask(method, headers | {"If-None-Match": full["ETag"]})
    assert (answer.status, answer.body) == (304, b"")
    assert unlike(answer) == unlike(full, "content-type", "content-length", "content-encoding")
    assert answer["ETag"] and answer["Cache-Control"] and answer["Vary"] and answer["Cache-Status"]
    assert len(answer.lines("Date")) == 1


def test_the_304_names_the_variant_that_its_200_would_have(ask, tag):
    answer = ask(headers={"If-None-Match": f'"{tag}"', "Accept-Encoding": "gzip"})
    assert (answer.status, answer["ETag"]) == (304, f'"{tag}-gz"')


def test_304s_are_counted(served, tag):
    before = metrics(served).sum("larder_not_modified_total")
    served.get("/cached", headers={"If-None-Match": f'"{tag}"'})
    assert metrics(served).sum("larder_not_modified_total") == before + 1


# Other preconditions

@pytest.mark.parametrize("condition, status", [
    ('"{tag}"', 200), ('"{tag}-gz"', 200), ('"a", "{tag}"', 200), ("*", 200),
    ('"other"', 412), ('W/"{tag}"', 412), ('"a", W/"{tag}"', 412), ("{tag}", 412), ('"{tag}', 412)])
def test_if_match(ask, tag, condition, status):
    answer = ask(headers={"If-Match": condition.format(tag=tag)})
    assert answer.status == status, answer
    if status == 412:
        answer.problem(412)


@pytest.mark.parametrize("headers, status", [
    ({"If-Match": '"other"', "If-None-Match": '"{tag}"'}, 412),
    ({"If-Match": '"{tag}"', "If-None-Match": '"{tag}"'}, 304),
    ({"If-Modified-Since": FUTURE}, 200),
    ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-Unmodified-Since": PAST}, 200),
    ({"If-None-Match": '"other"', "If-Modified-Since": FUTURE}, 200),
    ({"If-None-Match": '"{tag}"', "If-Modified-Since": PAST}, 304),
    ({"If-Match": '"{tag}"', "If-Unmodified-Since": PAST}, 200),
    ({"Range": "bytes=0-1"}, 200),
])
def test_conditions_together(ask, tag, headers, status):
    answer = ask(headers={name: value.format(tag=tag) for name, value in headers.items()})
    assert answer.status == status, answer


@pytest.mark.parametrize("path, status", [("/nothing", 404), ("/none", 404), ("/number/x", 422), ("/broken", 500)])
def test_an_error_is_not_made_a_304(served, path, status):
    for condition in ("*", '"other"'):
        served.get(path, headers={"If-None-Match": condition}).problem(status)


# Validators

def test_one_body_has_one_tag_wherever_it_comes_from(ask, tag):
    for coding, suffix in SUFFIXES.items():
        answer = ask(headers={"Accept-Encoding": coding} if coding else {})
        found = TAG.fullmatch(answer["ETag"])
        assert found and found[1] == tag
        assert found[2] == SUFFIXES[answer["Content-Encoding"]] and suffix.startswith(found[2])


def test_different_bodies_have_different_tags(served):
    assert len({served.get(f"/number/{number}")["ETag"] for number in range(20)}) == 20
    assert served.get("/changing")["ETag"] != served.get("/changing")["ETag"]


def test_a_tag_outlives_the_process(served, tag):
    served.restart()
    assert served.get("/cached", headers={"If-None-Match": f'"{tag}"'}).status == 304


# HEAD

@pytest.mark.parametrize("accepted", [None, "gzip", "br", "gzip;q=0.5, br;q=0.4", "identity;q=0, gzip", "*;q=0", "*"])
@pytest.mark.parametrize("path", ["cached", "small"])
def test_head_has_the_headers_of_get_and_no_body(ask, accepted, path):
    headers = {"Accept-Encoding": accepted} if accepted else {}
    get, head = ask("GET", headers, path), ask("HEAD", headers, path)
    assert (head.status, head.body) == (get.status, b"")
    assert unlike(head) == unlike(get)
    assert head["Content-Length"] == str(len(get.body))


# Negotiation

@pytest.mark.parametrize("accepted, coding", [
    (None, None), ("", None), ("identity", None), ("deflate, zstd", None), ("gzip", "gzip"), ("br", "br"),
    ("gzip, deflate, br", "br"), ("br;q=0.5, gzip;q=0.8", "gzip"), ("br;q=0.5, gzip;q=0.5", "br"),
    ("gzip;q=1.000, br;q=0.999", "gzip"), (" gzip ; q=0.2 , br ; Q=0.3 ", "br"), ("GZIP", "gzip"), ("x-gzip", "gzip"),
    ("*", "br"), ("gzip;q=0", None), ("gzip;q=0, *", "br"), ("*;q=0, gzip", "gzip"), ("br;q=0.001", "br"),
    ("gzip;q=0.5, identity", None), ("identity;q=0.5, gzip;q=0.4", None), ("identity;q=0, gzip", "gzip"),
    ("identity;q=0, *", "br"), ("identity;q=0, gzip;q=0.1, br;q=0.2", "br"),
])
def test_the_coding_a_client_likes_best(served, accepted, coding):
    wait_until(lambda: served.get("/cached")["Cache-Status"].startswith("larder; hit"))
    answer = served.get("/cached", headers={} if accepted is None else {"Accept-Encoding": accepted})
    assert (answer.status, answer["Content-Encoding"]) == (200, coding)
    assert DECODERS[coding](answer.body) == b'"' + b"abc" * 1000 + b'"'
    assert answer["Vary"] == "Accept-Encoding" and answer["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("path", ["cached", "small"])
@pytest.mark.parametrize("accepted, coding", [("identity;q=0, gzip", "gzip"), ("identity;q=0, br", "br"),
                                              ("*;q=0, gzip", "gzip"), ("identity;q=0, gzip;q=0, *", "br")])
def test_a_client_that_refuses_identity_gets_what_it_takes(ask, path, accepted, coding):
    answer = ask("GET", {"Accept-Encoding": accepted}, path)
    assert (answer.status, answer["Content-Encoding"]) == (200, coding)
    assert DECODERS[coding](answer.body) == (b'"small"' if path == "small" else b'"' + b"abc" * 1000 + b'"')
    assert TAG.fullmatch(answer["ETag"])[2] == SUFFIXES[coding]


@pytest.mark.parametrize("path", ["cached", "small"])
@pytest.mark.parametrize("accepted", ["*;q=0", "identity;q=0", "identity;q=0, gzip;q=0, br;q=0", "identity;q=0, zstd"])
def test_no_coding_fits(ask, path, accepted):
    ask("GET", {"Accept-Encoding": accepted}, path).problem(406)


@pytest.mark.parametrize("accepted, status", [
    (None, 200), ("*/*", 200), ("application/json", 200), ("Application/JSON;q=0.1", 200), ("application/*", 200),
    ("text/html, */*;q=0.1", 200), ("text/html,application/xhtml+xml,application/json;charset=utf-8", 200),
    ("text/html", 406), ("application/json;q=0", 406), ("application/json;q=0, */*", 406), ("image/*, text/*", 406)])
def test_accept(ask, accepted, status):
    answer = ask(headers={"Accept": accepted} if accepted else {})
    assert answer.status == status, answer
    if status == 406:
        answer.problem(406)


# Other headers

@pytest.mark.parametrize("path, control", [("cached", "no-cache"), ("small", "no-cache"), ("uncached", "no-cache"),
                                           ("public", "public, max-age=3600"), ("private", "private, no-cache")])
def test_cache_control(served, path, control):
    for _ in range(2):
        answer = served.get(f"/{path}")
        assert answer["Cache-Control"] == control
        unchanged = served.get(f"/{path}", headers={"If-None-Match": answer["ETag"]})
        assert (unchanged.status, unchanged["Cache-Control"]) == (304, control)


def test_errors_are_no_store(served):
    for status, target, method, headers in [
            (404, "/nothing", "GET", {}), (404, "/none", "GET", {}), (405, "/public", "DELETE", {}),
            (406, "/public", "GET", {"Accept": "text/html"}), (412, "/public", "GET", {"If-Match": '"x"'}),
            (422, "/number/x", "GET", {}), (414, "/" + "x" * 3000, "GET", {}), (500, "/broken", "GET", {})]:
        answer = served.request(target, method, headers)
        answer.problem(status)
        assert answer["ETag"] is None and answer["Age"] is None


@pytest.mark.parametrize("method, headers", [
    ("GET", {}), ("HEAD", {}), ("GET", {"If-None-Match": "*"}), ("GET", {"Accept-Encoding": "gzip"}),
    ("GET", {"If-Match": '"x"'}), ("GET", {"Accept-Encoding": "*;q=0"}), ("OPTIONS", {}), ("DELETE", {})])
def test_no_header_is_sent_twice(ask, method, headers):
    answer = ask(method, headers)
    names = [name.lower() for name, _ in answer.headers]
    assert sorted(names) == sorted(set(names))
    assert "date" in names


@pytest.mark.parametrize("path", ["cached", "uncached", "small"])
def test_what_may_be_compressed_varies(served, path):
    assert served.get(f"/{path}")["Vary"] == "Accept-Encoding"


def test_age_and_the_time_left_make_the_ttl(served):
    served.redis.client().flushall()
    assert served.get("/cached")["Age"] is None

    def aged():
        answer = served.get("/cached")
        return answer["Age"] and int(answer["Age"]) >= 1 and answer
    answer = wait_until(aged, 5)
    left = int(re.fullmatch(r"larder; hit; ttl=(\d+); detail=redis", answer["Cache-Status"])[1])
    assert left + int(answer["Age"]) in (59, 60)


# What the answer depends on is in Vary, and no answer promises a body it lacks

def test_a_header_that_is_a_parameter_is_in_vary(served):
    answers = [served.request("/spoken", headers={"Accept-Language": word}) for word in ("de", "fr", "de")]
    assert [answer.json() for answer in answers] == ["de", "fr", "de"]
    assert {answer["Vary"] for answer in answers} == {"Accept-Encoding, Accept-Language"}


@pytest.mark.parametrize("times", [1, 2])
def test_without_compression_there_is_no_variant_to_vary_by(served, times):
    for _ in range(times):
        answer = served.request("/plain", headers={"Accept-Encoding": "gzip"})
        assert (answer.status, answer["Vary"], answer["Content-Encoding"]) == (200, None, None)
        assert served.request("/plain", headers={"Accept-Encoding": "gzip, identity;q=0"}).status == 406


@pytest.mark.parametrize("headers", [{"If-None-Match": "*"}, {"If-None-Match": '"x"'}, {"Accept-Encoding": "gzip"},
                                     {"Accept-Encoding": "gzip, identity;q=0"}, {}])
@pytest.mark.parametrize("size", [1, 1400])
def test_a_kept_404_has_its_body(served, headers, size):
    target = f"/negative?word={'w' * size}"
    for _ in range(3):
        answer = served.request(target, headers=headers)
        assert answer.status == 404 and answer.json()["status"] == 404
        assert int(answer["Content-Length"]) == len(answer.body) > 0
