"""@kv routes: values that Redis alone has, under their names, for their time."""

import math
import re
import threading
import time

import pytest

from support.host import Host
from support.stack import metrics, queries
from support.waiting import wait_until

ROUTES = {
    "set": "-- @http POST /set\n-- @param key text in=query\n-- @param value text in=query\n"
           "-- @kv set key={key} value={value} ttl=60s\n",
    "fields": "-- @http PUT /fields\n-- @kv set key={key} value={value}\n",
    "document": "-- @http PUT /documents/{name}\n-- @param value json\n-- @kv set key=doc:{name} value={value}\n",
    "get": "-- @http GET /get/{key}\n-- @kv get key={key}\n",
    "delete": "-- @http DELETE /get/{key}\n-- @kv delete key={key}\n",
    "brief": "-- @http PUT /brief/{key}\n-- @kv set key={key} value=brief ttl=300ms\n",
    "stays": "-- @http PUT /stays/{key}\n-- @param value text in=query maxlen=10\n-- @kv set key={key} value=<{value}>\n",
    "pair": "-- @http PUT /pairs/{a}/{b}\n-- @kv set key=pair:{a}:{b} value={a}+{b}\n",
    "get_pair": "-- @http GET /pairs/{a}/{b}\n-- @kv get key=pair:{a}:{b}\n",
    "number": "-- @http GET /number\n-- @param n int min=1\n-- @kv get key=n:{n}\n",
    "maybe": "-- @http GET /maybe\n-- @param n int default=null\n-- @kv get key=n:{n}\n",
}
NOT_FOUND = {"error": "Key not found"}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, env={"LARDER_ENTRY_MAX": "4KB"}, redis={"databases": 2})


def put(stack, key, value, ask=None):
    answer = (ask or stack.request)(f"/set?key={key}&value={value}", method="POST")
    assert answer.status == 200, answer
    return answer


def left(answer):
    """The seconds left that a hit tells."""
    return int(re.fullmatch(r"larder; hit; ttl=(\d+); detail=redis", answer["Cache-Status"])[1])


def test_a_value_is_set_and_got(served):
    answer = put(served, "greeting", "hello")
    assert answer.body == b'{"key":"greeting","value":"hello","ttl":60}'
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    answer = served.get("/get/greeting")
    assert answer.body == b'{"key":"greeting","value":"hello","source":"cache"}'
    assert answer["Cache-Control"] == "no-store"
    assert 50 <= left(answer) <= 60
    assert answer["ETag"] is None


def test_it_is_a_plain_value_in_redis_with_its_time(served):
    put(served, "plain", "text")
    redis = served.redis.client()
    assert redis.get("larder:v:plain") == b"text"
    assert 50_000 < redis.pttl("larder:v:plain") <= 60_000


def test_the_time_left_is_told(served):
    """In seconds, rounded up: when they are over the value is gone."""
    put(served, "waning", "x")
    redis = served.redis.client()
    redis.pexpire("larder:v:waning", 41_500)
    before = redis.pttl("larder:v:waning")
    told = left(served.get("/get/waning"))
    assert math.ceil(redis.pttl("larder:v:waning") / 1000) <= told <= math.ceil(before / 1000)


def test_a_value_ends_with_its_time(served):
    begin = time.monotonic()
    assert served.request("/brief/b", method="PUT").json() == {"key": "b", "value": "brief", "ttl": 1}
    gone = wait_until(lambda: (answer := served.get("/get/b")).status == 404 and answer, 5)
    assert gone.json() == NOT_FOUND
    assert time.monotonic() - begin >= 0.3


def test_a_value_without_a_ttl_stays(served):
    answer = served.request("/stays/s?value=kept", method="PUT")
    assert answer.json() == {"key": "s", "value": "<kept>"}
    assert served.redis.client().pttl("larder:v:s") == -1
    assert served.get("/get/s")["Cache-Status"] == "larder; hit; detail=redis"


def test_a_key_that_is_not_there_is_404(served):
    answer = served.get("/get/nothing")
    assert answer.status == 404
    assert answer.json() == NOT_FOUND
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"


def test_a_new_value_replaces_the_old_and_its_time(served):
    served.request("/stays/r?value=old", method="PUT")
    put(served, "r", "new")
    assert served.get("/get/r").json()["value"] == "new"
    assert served.redis.client().pttl("larder:v:r") > 0


def test_delete(served):
    put(served, "d", "x")
    answer = served.request("/get/d", method="DELETE")
    assert (answer.status, answer.body) == (204, b"")
    assert served.get("/get/d").status == 404
    again = served.request("/get/d", method="DELETE")
    assert (again.status, again.json()) == (404, NOT_FOUND)


def test_head_is_get_without_the_body(served):
    put(served, "h", "x")
    got, head = served.get("/get/h"), served.request("/get/h", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head["Content-Length"] == str(len(got.body))
    assert served.request("/get/nothing", method="HEAD").status == 404


def test_options_and_other_methods(served):
    assert served.request("/get/x", method="OPTIONS")["Allow"] == "OPTIONS, GET, HEAD, DELETE"
    assert served.request("/get/x", method="PUT").problem(405)
    assert served.get("/set").problem(405)


def test_any_text_is_a_value(served):
    for text, sent in (("", ""), ("grüß\t\"\\ 👋", "gr%C3%BC%C3%9F%09%22%5C%20%F0%9F%91%8B"), ("{}[]", "%7B%7D%5B%5D")):
        put(served, "any", sent)
        assert served.get("/get/any").json()["value"] == text


@pytest.mark.parametrize("key, name", [("a%3Ab", "a%3Ab"), ("a%2Fb", "a%2Fb"), ("100%25", "100%25"), ("%7Bkey%7D", "%7Bkey%7D"),
                                       ("gr%C3%BC%C3%9F", "grüß"), ("a%20b", "a%20b")])
def test_any_text_is_a_key(served, key, name):
    put(served, key, "there")
    assert served.get(f"/get/{key}").json()["value"] == "there"
    assert served.redis.client().get(f"larder:v:{name}") == b"there"


def test_no_two_pairs_of_values_make_one_key(served):
    """a:b and c are not a and b:c, and a value can't leave its part of the key."""
    pairs = [("a%3Ab", "c"), ("a", "b%3Ac"), ("a%253Ab", "c"), ("pair%3Aa", "b")]
    for a, b in pairs:
        assert served.get(f"/pairs/{a}/{b}").status == 404
        served.request(f"/pairs/{a}/{b}", method="PUT")
    assert len(served.redis.client().keys("larder:v:pair:*")) == len(pairs)
    assert served.get("/get/pair%3Aa%3Ab").status == 404


def test_the_answer_names_the_key_as_it_was_written(served):
    served.request("/pairs/x%3Ay/z", method="PUT")
    assert served.get("/pairs/x%3Ay/z").json() == {"key": "pair:x:y:z", "value": "x:y+z", "source": "cache"}


def test_parameters_are_checked(served):
    problem = served.request("/set", method="POST").problem(422)
    assert [(each["name"], each["in"], each["detail"]) for each in problem["errors"]] == [
        ("key", "query", "is required"), ("value", "query", "is required")]
    assert served.request("/stays/s?value=elevenchars", method="PUT").problem(422)["errors"][0]["name"] == "value"
    assert served.get("/number?n=0").problem(422)["errors"][0]["name"] == "n"


def test_a_place_needs_a_value(served):
    problem = served.get("/maybe").problem(422)
    assert problem["errors"] == [{"name": "n", "in": "query", "detail": "is required"}]


def test_a_parameter_is_canonical_in_the_key(served):
    served.redis.client().set("larder:v:n:7", "seven")
    assert served.get("/number?n=007").json() == {"key": "n:7", "value": "seven", "source": "cache"}


JSON = {"Content-Type": "application/json"}


def test_fields_of_the_body(served):
    answer = served.request("/fields", method="PUT", headers=JSON, body='{"value":"a \\u00fc \\n","key":"f/1"}'.encode())
    assert answer.json() == {"key": "f/1", "value": "a ü \n"}
    assert served.get("/get/f%2F1").json()["value"] == "a ü \n"
    answer = served.request("/fields", method="PUT", headers={"Content-Type": "application/x-www-form-urlencoded"},
                            body=b"key=form&value=a+b%3D")
    assert answer.json() == {"key": "form", "value": "a b="}


@pytest.mark.parametrize("body, faults", [
    ('{}', {"key": "is required", "value": "is required"}),
    ('', {"key": "is required", "value": "is required"}),
    ('{"key":"a","value":null}', {"value": "must not be null"}),
    ('{"key":1,"value":"x"}', {"key": 'must be a text in UTF-8, not "1" (a number)'}),
    ('{"key":"","value":"x"}', {"key": "must not be empty"}),
])
def test_faults_of_fields(served, body, faults):
    problem = served.request("/fields", method="PUT", headers=JSON, body=body.encode()).problem(422)
    assert {each["name"]: each["detail"] for each in problem["errors"]} == faults
    assert {each["in"] for each in problem["errors"]} == {"body"}


def test_a_json_field_is_kept_as_its_text(served):
    served.request("/documents/d", method="PUT", headers=JSON, body=b'{"value":{"a":[1,2.50]}}')
    assert served.redis.client().get("larder:v:doc:d") == b'{"a":[1,2.50]}'


def test_bounds_of_key_and_value(served):
    put(served, "k" * 512, "x")
    problem = served.request(f"/set?key={'k' * 513}&value=x", method="POST").problem(422)
    assert problem["errors"] == [
        {"name": "key", "in": "query", "detail": "makes a key of 513 bytes; at most 512 are allowed"}]
    assert served.request("/set?key=&value=x", method="POST").problem(422)["errors"][0]["detail"] == "must not be empty"
    put(served, "large", "x" * 4096)
    assert len(served.get("/get/large").json()["value"]) == 4096
    problem = served.request(f"/set?key=large&value={'x' * 4097}", method="POST").problem(422)
    assert problem["errors"][0]["detail"] == "makes a value of 4097 bytes; at most 4096 are kept"


def test_another_programs_key_is_no_value(served):
    redis = served.redis.client()
    redis.rpush("larder:v:list", "a")
    assert served.get("/get/list").json() == NOT_FOUND
    redis.set("larder:v:bytes", b"\xff\x00\xfe")
    assert served.get("/get/bytes").json()["value"] == "\N{REPLACEMENT CHARACTER}\0\N{REPLACEMENT CHARACTER}"
    put(served, "list", "mine-now")
    assert served.get("/get/list").json()["value"] == "mine-now"


def test_a_change_on_a_condition_is_refused(served):
    put(served, "c", "x")
    for headers in ({"If-Match": '"x"'}, {"If-None-Match": "*"}):
        assert served.request("/set?key=c&value=y", method="POST", headers=headers).problem(412)
        assert served.request("/get/c", method="DELETE", headers=headers).problem(412)
    assert served.get("/get/c", headers={"If-None-Match": '"x"'}).json()["value"] == "x"


def test_a_client_that_takes_no_json(served):
    served.get("/get/x", headers={"Accept": "text/html"}).problem(406)


def test_it_asks_postgresql_nothing_and_counts_by_itself(served):
    before, asked = metrics(served), queries(served)
    put(served, "counted", "x")
    for key in ("counted", "counted", "nothing"):
        served.get(f"/get/{key}")
    served.request("/get/counted", method="DELETE")
    after = metrics(served)
    names = ("kv_sets", "kv_hits", "kv_misses", "kv_deletes", "cache_hits", "cache_misses")
    assert [after.sum(f"larder_{name}_total") - before.sum(f"larder_{name}_total") for name in names] == [1, 2, 1, 1, 0, 0]
    assert queries(served) == asked


def test_every_process_and_host_has_the_same_values(served, tmp_path):
    with Host(served, tmp_path / "host", pools=("api",)) as other:
        put(served, "shared", "one")
        assert other.direct("/get/shared").json()["value"] == "one"
        put(served, "shared", "two", ask=other.direct)
        assert served.get("/get/shared").json()["value"] == "two"


def test_many_at_once_each_get_their_own(served):
    wrong = []

    def work(number):
        for turn in range(20):
            put(served, f"many{number}", f"{number}-{turn}")
            got = served.get(f"/get/many{number}").json()
            if got != {"key": f"many{number}", "value": f"{number}-{turn}", "source": "cache"}:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_the_prefix_and_database_are_those_of_the_options(stack):
    served = stack(ROUTES, nginx=False, redis={"databases": 3}, env={
        "LARDER_PREFIX": "shop", "LARDER_REDIS": "redis://127.0.0.1:{stack.redis.port}/2", "LARDER_CACHE": "off"})
    put(served, "p", "x", ask=served.direct)
    assert served.redis.client(db=2).get("shop:v:p") == b"x"


def test_without_redis_there_is_nowhere_to_keep_a_value(stack):
    served = stack(ROUTES, nginx=False, redis=False)
    assert "no Redis" in served.direct("/get/x").problem(503)["detail"]
