"""Which route a request means, and what is refused before any query: paths, methods, bytes, sizes."""

import pytest

from support.stack import queries

ROUTES = {
    "literal": "-- @http GET /things/newest\n-- @result row\nSELECT 'literal' AS route",
    "one": "-- @http GET /things/{name}\n-- @param name text\n-- @result row\nSELECT 'one' AS route, :name AS name",
    "deep": "-- @http GET /things/{name}/parts/{part}\n-- @param name text\n-- @param part int\n-- @result row\n"
            "SELECT 'deep' AS route, :name AS name, :part AS part",
    "backtrack": "-- @http GET /a/{x}/c\n-- @param x text\n-- @result row\nSELECT 'backtrack' AS route, :x AS x",
    "ab": "-- @http GET /a/b\n-- @result row\nSELECT 'ab' AS route",
    "post": "-- @http POST /things\n-- @param name text\n-- @result none\nSELECT :name",
    "root": "-- @http GET /\n-- @result row\nSELECT 'root' AS route",
    "query": "-- @http GET /query\n-- @param q text default=null\n-- @param n int default=5\n"
             "-- @param list int[] default=null\n-- @result row\n-- @cache ttl=60s\n"
             "SELECT :q AS q, :n AS n, :list AS list",
    "two": "-- @http GET /two\n-- @param a int min=1\n-- @param b date\n-- @param c text enum=x,y\n"
           "-- @result row\nSELECT :a AS a, :b AS b, :c AS c",
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES)


@pytest.mark.parametrize("target, expected", [
    ("/things/newest", {"route": "literal"}),
    ("/things/newer", {"route": "one", "name": "newer"}),
    ("/things/newest/parts/07", {"route": "deep", "name": "newest", "part": 7}),
    ("/a/b", {"route": "ab"}),
    ("/a/b/c", {"route": "backtrack", "x": "b"}),
    ("/", {"route": "root"}),
    ("/things/a%20b", {"route": "one", "name": "a b"}),
    ("/things/a+b", {"route": "one", "name": "a+b"}),
    ("/things/a%2Fb", {"route": "one", "name": "a/b"}),
    ("/things/%e4%BD%a0", {"route": "one", "name": "你"}),
    ("/things/%6eewest", {"route": "literal"}),
    ("/things/x?name=other", {"route": "one", "name": "x"}),
    ("/query?q=a+b%2B%26&n=3", {"q": "a b+&", "n": 3, "list": None}),
    ("/query", {"q": None, "n": 5, "list": None}),
    ("/query?q=", {"q": "", "n": 5, "list": None}),
    ("/query?list=1&list=02&list=3", {"q": None, "n": 5, "list": [1, 2, 3]}),
    ("/query?list=4", {"q": None, "n": 5, "list": [4]}),
    ("/query?&&n=7&", {"q": None, "n": 7, "list": None}),
    ("/query?n=7&unknown=%20x&_=1", {"q": None, "n": 7, "list": None}),
])
def test_a_target_finds_its_route_and_its_values(served, target, expected):
    answer = served.get(target)
    assert answer.status == 200, answer
    assert answer.json() == expected


@pytest.mark.parametrize("target", ["/nothing", "/things/a/parts", "/things/", "/things//parts/1",
                                    "//", "/THINGS/newest", "/things/newest/", "/_larder/nothing", "/" + "a/" * 40])
def test_no_route_is_404(served, target):
    problem = served.get(target).problem(404)
    assert problem["instance"] == target


def test_another_method_is_405_with_allow(served):
    answer = served.request("/things/newest", "DELETE")
    answer.problem(405)
    assert sorted(answer["Allow"].replace(" ", "").split(",")) == ["GET", "HEAD", "OPTIONS"]
    answer = served.get("/things")
    answer.problem(405)
    assert sorted(answer["Allow"].replace(" ", "").split(",")) == ["OPTIONS", "POST"]


def test_a_method_of_no_route_at_all_is_405_not_404(served):
    served.request("/things/newest", "PROPFIND").problem(405)


def test_options_answers_allow_without_a_body(served):
    answer = served.request("/things/newest", "OPTIONS")
    assert answer.status in (200, 204) and answer.body == b""
    assert sorted(answer["Allow"].replace(" ", "").split(",")) == ["GET", "HEAD", "OPTIONS"]
    served.request("/nothing", "OPTIONS").problem(404)


def test_head_has_the_headers_of_get_and_no_body(served):
    for target in ("/things/newest", "/nothing", "/two"):
        get, head = served.get(target), served.request(target, "HEAD")
        assert head.status == get.status and head.body == b""
        assert head["Content-Length"] == str(len(get.body))
        unlike = {"date", "age", "cache-status"}
        assert [pair for pair in head.headers if pair[0].lower() not in unlike] \
            == [pair for pair in get.headers if pair[0].lower() not in unlike]


@pytest.mark.parametrize("target", ["/things/%", "/things/%4", "/things/%zz", "/query?q=%", "/query?q=%4x",
                                    "/query?%=1", "/things/%ff", "/things/%c0%80", "/things/%ed%a0%80",
                                    "/query?q=%f5%80%80%80", "/query?q=%e4%bd", "/things/a%00b", "/query?q=%00",
                                    b"/things/\xff", b"/query?q=\xc3("])
def test_bytes_that_are_no_text_are_400(served, target):
    """nginx refuses some of them itself."""
    before = queries(served)
    served.direct(target).problem(400)
    assert served.get(target).status == 400
    assert queries(served) == before


def test_raw_utf8_in_the_target_is_read_as_it_stands(served):
    assert served.get("/things/é".encode()).json()["name"] == "é"


def test_text_is_a_value_and_never_sql(served):
    hostile = "x'); DROP TABLE nothing; --\\\" $1 :name"
    quoted = "".join(f"%{byte:02x}" for byte in hostile.encode())
    assert served.get(f"/query?q={quoted}").json()["q"] == hostile


def test_every_parameter_error_is_in_one_answer(served):
    before = queries(served)
    problem = served.get("/two?a=0&b=1999-02-30&c=z").problem(422)
    errors = {each["name"]: each for each in problem["errors"]}
    assert errors.keys() == {"a", "b", "c"}
    assert all(each["in"] == "query" for each in errors.values())
    assert "1" in errors["a"]["detail"] and "x" in errors["c"]["detail"] and "y" in errors["c"]["detail"]
    assert queries(served) == before


def test_missing_parameters_are_each_named(served):
    problem = served.get("/two?a=1").problem(422)
    assert sorted(each["name"] for each in problem["errors"]) == ["b", "c"]


def test_a_scalar_given_twice_is_an_error(served):
    problem = served.get("/query?n=1&n=2").problem(422)
    assert problem["errors"][0]["name"] == "n" and "once" in problem["errors"][0]["detail"]


def test_a_path_parameter_of_the_wrong_type_is_422(served):
    problem = served.get("/things/a/parts/b").problem(422)
    assert [(each["name"], each["in"]) for each in problem["errors"]] == [("part", "path")]


def test_unknown_parameters_never_reach_the_key(served):
    served.get("/query?n=41")
    before = queries(served)
    for target in ("/query?n=41&utm_source=x", "/query?fbclid=1&n=41", "/query?unknown=a&unknown=b&n=41"):
        answer = served.get(target)
        assert answer["Cache-Status"].startswith("larder; hit"), answer
    assert queries(served) == before


def test_the_order_of_parameters_does_not_matter_to_the_key(served):
    served.get("/query?n=42&q=z")
    assert served.get("/query?q=z&n=42")["Cache-Status"].startswith("larder; hit")


class TestLimits:
    """The bounds on what a request may measure; nginx's own lie above them."""

    @pytest.fixture(scope="class")
    def narrow(self, shared_stack):
        return shared_stack(ROUTES, env={"LARDER_PATH_MAX": "200B", "LARDER_QUERY_MAX": "300B",
                                         "LARDER_HEADER_MAX": "1KB", "LARDER_BODY_MAX": "500B"})

    def test_a_path_past_the_bound_is_414(self, narrow):
        assert narrow.get("/things/" + "x" * 190).status == 200
        narrow.get("/things/" + "x" * 200).problem(414)

    def test_a_query_past_the_bound_is_414(self, narrow):
        assert narrow.get("/query?q=" + "x" * 290).status == 200
        narrow.get("/query?q=" + "x" * 300).problem(414)

    def test_headers_past_the_bound_are_431(self, narrow):
        assert narrow.get("/query", headers={"X-Large": "x" * 700}).status == 200
        narrow.get("/query", headers={"X-Large": "x" * 1100}).problem(431)
        narrow.get("/query", headers={f"X-{number}": "x" * 90 for number in range(12)}).problem(431)

    def test_a_body_past_the_bound_is_413(self, narrow):
        narrow.request("/things", "POST", body=b"x" * 501).problem(413)

    def test_a_get_with_a_body_is_answered(self, narrow):
        assert narrow.request("/things/newest", "GET", body=b"x" * 400).status == 200


def test_the_default_limits_hold_behind_nginx(served):
    assert served.get("/query?q=" + "x" * 8000).status == 200
    served.get("/query?q=" + "x" * 8300).problem(414)
    served.get("/things/" + "x" * 2100).problem(414)
    answer = served.request("/things", "POST", body=b"x" * 2_000_000)
    assert answer.status == 413 and answer["Content-Type"] == "application/problem+json", answer


def test_larders_own_paths_are_not_read_as_routes(served):
    assert served.get("/_larder/health").status == 200
    assert served.get("/_larder/metrics").status == 200
    assert served.request("/_larder/metrics", "DELETE").status == 405
