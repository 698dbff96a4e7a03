"""Bodies of writes: how fields become values, and what is told of every body that can't be taken."""

import json
import socket
import time

import pytest

from support import client
from support.fastcgi import PARAMS, STDIN, begin, cgi_params, pair, record, stream
from support.stack import metrics
from support.waiting import wait_until

TYPES = ("smallint", "int", "bigint", "numeric", "real", "double precision", "boolean", "text", "uuid", "date",
         "timestamp", "timestamptz", "json", "jsonb")
DEEP = 64


def name_of(kind):
    return kind.replace(" ", "_")


def echo(method, path, select, *lines):
    return "\n".join([f"-- @http {method} {path}", "-- @result row", *(f"-- {line}" for line in lines), select, ""])


ROUTES = {
    "types": echo("POST", "/types", "SELECT " + ", ".join(f":{name_of(kind)}::{kind} AS {name_of(kind)}"
                                                        for kind in TYPES),
                  *(f"@param {name_of(kind)} {kind} default=null" for kind in TYPES)),
    "learned": echo("POST", "/learned", "INSERT INTO thing (id, name, tags, extra, mood, since) "
                    "VALUES (:id, :name, :tags, :extra, :mood, :since) RETURNING *"),
    "bounds": echo("PUT", "/bounds/{id}", "SELECT :id::int AS id, :name AS name, :count AS count, :lang AS lang, "
                   ":wide AS wide", "@param name text maxlen=5", "@param count int min=1 max=9 default=3",
                   "@param lang text in=header", "@param wide boolean in=query"),
    "blank": echo("POST", "/blank", "SELECT :count::int AS count, :day::date AS day, :kind AS kind, :name AS name, "
                  ":must::int AS must", "@param count int default=3", "@param day date default=null",
                  "@param kind text enum=a,b default=a", "@param name text default=x", "@param must int"),
    "array": echo("POST", "/array", "SELECT :ids AS ids, :names AS names", "@param ids int[]",
                  "@param names text[] default=null"),
    "foreign": echo("POST", "/foreign", "INSERT INTO foreign_arrays VALUES (:moods, :hosts, :few, :vector, :best) RETURNING *"),
    "asked": echo("GET", "/asked", "SELECT :moods::mood[] AS moods", "@param moods"),
    "body": echo("POST", "/body", "SELECT :body::jsonb AS body"),
    "body_json": "-- @http PATCH /body\n-- @result json\nSELECT :body::json\n",
    "both": echo("POST", "/both", "SELECT :body::jsonb AS body, :name::text AS name"),
    "delete": echo("DELETE", "/delete", "SELECT :why AS why", "@param why text in=body"),
    "plain": "-- @http POST /plain\n-- @result row\nSELECT 1 AS one\n",
    "get": "-- @http GET /plain\n-- @result row\nSELECT 1 AS one\n",
}
SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE thing (id int, name text, tags text[], extra jsonb, mood mood, since date);
CREATE DOMAIN few AS int CHECK (VALUE < 10);
CREATE DOMAIN good AS mood[];
CREATE DOMAIN best AS good CHECK (VALUE[1] = 'happy');
CREATE TABLE foreign_arrays (moods mood[], hosts inet[], few few[], vector int2vector, best best);
"""
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA)


def send(served, path, body, method="POST", headers=JSON):
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    return served.request(path, method, headers=headers, body=body)


def faults(answer):
    return {(each["in"], each["name"]): each["detail"] for each in answer.problem(422)["errors"]}


@pytest.mark.parametrize("kind, value, expected", [
    ("smallint", "-7", "-7"), ("int", "0", "0"), ("bigint", "9007199254740993", "9007199254740993"),
    ("numeric", "12345678901234567890.50", "12345678901234567890.50"), ("numeric", "1e3", "1000"),
    ("real", "1.5", "1.5"), ("double precision", "-2e300", "-2e+300"), ("boolean", "false", "false"),
    ("text", r'"\u00e9\"\\\n\ud83d\ude00"', '"é\\"\\\\\\n😀"'), ("text", '""', '""'), ("text", '"null"', '"null"'),
    ("uuid", '"6F1C1F5E-9A0B-4C3D-8E2F-0123456789AB"', '"6f1c1f5e-9a0b-4c3d-8e2f-0123456789ab"'),
    ("date", '"2024-02-29"', '"2024-02-29"'), ("timestamp", '"2024-02-29T12:30:00"', '"2024-02-29T12:30:00"'),
    ("json", '{"a" : [1.50, null]}', '{"a" : [1.50, null]}'), ("jsonb", '"a text"', '"a text"'),
    ("jsonb", "[1, {}]", "[1, {}]"), ("jsonb", "false", "false"),
    *((kind, "null", "null") for kind in TYPES),
])
def test_a_field_has_the_value_that_stands_in_the_body(served, kind, value, expected):
    answer = send(served, "/types", '{"%s": %s}' % (name_of(kind), value))
    assert answer.status == 200, answer
    assert f'"{name_of(kind)}":{expected}' in answer.body.decode(), answer.body


@pytest.mark.parametrize("kind, value, what", [
    ("int", '"5"', "a string"), ("int", "true", "true or false"), ("int", "[1]", "an array"), ("int", "{}", "an object"),
    ("int", "1.5", "whole number"), ("smallint", "32768", "32767"), ("bigint", "9223372036854775808", "9223372036854775807"),
    ("numeric", '"1"', "a string"), ("double precision", "1e999", "number"), ("boolean", '"true"', "a string"),
    ("boolean", "1", "a number"), ("text", "5", "a number"), ("text", '["a"]', "an array"), ("uuid", '"x"', '"x"'),
    ("date", "20240229", "a number"), ("date", '"2023-02-29"', "2023-02-29"), ("timestamptz", '"soon"', "soon"),
])
def test_a_value_of_another_type_is_a_fault_of_its_field(served, kind, value, what):
    found = faults(send(served, "/types", '{"%s": %s}' % (name_of(kind), value)))
    assert list(found) == [("body", name_of(kind))] and what in found["body", name_of(kind)]


def test_types_are_learnt_from_postgresql(served):
    answer = send(served, "/learned", {"id": 7, "name": "x", "tags": ["a,b", None, "NULL", ""],
                                       "extra": {"deep": [1, {"er": True}]}, "mood": "sad", "since": "2024-01-31"})
    assert answer.json() == {"id": 7, "name": "x", "tags": ["a,b", None, "NULL", ""],
                             "extra": {"deep": [1, {"er": True}]}, "mood": "sad", "since": "2024-01-31"}
    assert send(served, "/learned", "{}").json() == dict.fromkeys(answer.json())
    assert ("body", "id") in faults(send(served, "/learned", {"id": "7"}))


def test_a_value_that_postgresql_alone_can_judge_is_422(served):
    answer = send(served, "/learned", {"id": 7, "mood": "grim"})
    assert "grim" not in answer.problem(422)["detail"] and ("body", "mood") in faults(answer)


def test_arrays(served):
    assert send(served, "/array", {"ids": [3, 1, None]}).json() == {"ids": [3, 1, None], "names": None}
    assert send(served, "/array", {"ids": [], "names": ["{1}", "a\"b\\"]}).json() \
        == {"ids": [], "names": ["{1}", "a\"b\\"]}
    assert "array" in faults(send(served, "/array", {"ids": 1}))["body", "ids"]
    assert "whole number" in faults(send(served, "/array", {"ids": [1, "2"]}))["body", "ids"]
    assert faults(send(served, "/array", {"ids": None}))["body", "ids"] == "must not be null"


def test_arrays_of_types_that_larder_does_not_know(served):
    """PostgreSQL tells that they are arrays, or domains over such; what is in them it judges itself. int2vector only looks
    like one."""
    whole = {"moods": ["sad", None, "happy"], "hosts": ["10.0.0.1", "::1"], "few": [1, 9], "vector": "1 2", "best": ["happy"]}
    assert send(served, "/foreign", whole).json() == whole | {"vector": [1, 2]}
    assert send(served, "/foreign", {"moods": []}).json()["moods"] == []
    assert list(faults(send(served, "/foreign", {"moods": ["angry"]}))) == [("body", "moods")]
    assert faults(send(served, "/foreign", {"moods": "sad"}))["body", "moods"] == "must be an array, not a string"
    assert send(served, "/foreign", "moods=sad&moods=happy&hosts={::1}", headers=FORM).json() \
        == {"moods": ["sad", "happy"], "hosts": ["::1"], "few": None, "vector": None, "best": None}
    assert served.request("/asked?moods=happy&moods=sad").json() == {"moods": ["happy", "sad"]}


def test_every_fault_of_path_query_header_and_body_stands_in_one_answer(served):
    answer = send(served, "/bounds/x?wide=7", {"name": "too long", "count": 0, "nmae": 1}, "PUT")
    assert set(faults(answer)) == {("path", "id"), ("query", "wide"), ("header", "lang"), ("body", "name"),
                                   ("body", "count"), ("body", "nmae")}
    assert "name, count" in faults(answer)["body", "nmae"]


def test_defaults_and_what_is_required(served):
    headers = JSON | {"Lang": "en"}
    answer = send(served, "/bounds/1?wide=true", {"name": "n"}, "PUT", headers)
    assert answer.json() == {"id": 1, "name": "n", "count": 3, "lang": "en", "wide": True}
    assert send(served, "/bounds/1?wide=true", {"name": "n", "count": None}, "PUT", headers).json()["count"] is None
    assert faults(send(served, "/bounds/1?wide=true", "{}", "PUT", headers)) == {("body", "name"): "is required"}
    assert faults(send(served, "/bounds/1?wide=true", "", "PUT", headers)) == {("body", "name"): "is required"}
    assert faults(send(served, "/bounds/1?wide=true", {"name": None}, "PUT", headers)) \
        == {("body", "name"): "must not be null"}


def test_unknown_fields_are_named_up_to_eight_of_them(served):
    found = faults(send(served, "/array", {"ids": [1]} | {f"x{n}" * 100: n for n in range(20)}))
    assert len(found) == 8 and all("ids, names" in detail and len(name) <= 65 for (_, name), detail in found.items())


def test_the_whole_body(served):
    for text in ('{"b": 1, "a": [2]}', "[1, 2]", '"text"', "7.50", "null", " true "):
        assert send(served, "/body", text).json()["body"] == json.loads(text)
    assert send(served, "/body", '{"b": 1.50 , "a":2}', "PATCH").body == b'{"b": 1.50 , "a":2}'
    assert faults(send(served, "/body", "")) == {("body", "body"): "is required"}
    assert send(served, "/both", {"name": "n", "other": 1}).json() == {"body": {"name": "n", "other": 1}, "name": "n"}
    assert "object" in faults(send(served, "/both", "[1]"))["body", "body"]


def test_fields_need_an_object(served):
    for text in ("[]", "1", "null", '"ids"'):
        assert "ids, names" in faults(send(served, "/array", text))["body", "body"]


def test_a_form_says_its_values_as_a_query_does(served):
    assert send(served, "/array", "ids=1&ids=02&names=a+b%26", headers=FORM).json() \
        == {"ids": [1, 2], "names": ["a b&"]}
    assert send(served, "/types", "int=5&boolean=on&jsonb=%7B%7D&text=", headers=FORM).json().items() \
        >= {"int": 5, "boolean": True, "jsonb": {}, "text": ""}.items()
    found = faults(send(served, "/types", "int=x&text=a&text=b&other=1", headers=FORM))
    assert set(found) == {("body", "int"), ("body", "text"), ("body", "other")}
    for text in ("int=%zz", "int=%ff", "text=a%00b", "&".join(f"a{n}=" for n in range(300))):
        assert "form" in send(served, "/types", text, headers=FORM).problem(400)["detail"]


def test_a_delete_may_have_fields_too(served):
    assert send(served, "/delete", {"why": "old"}, "DELETE").json() == {"why": "old"}


def test_a_body_that_no_route_asked_for_is_passed_over(served):
    for text, kind in (("{", "application/json"), ("x" * 100000, "text/plain")):
        assert send(served, "/plain", text, headers={"Content-Type": kind}).json() == {"one": 1}
        assert send(served, "/plain", text, "GET", headers={"Content-Type": kind}).json() == {"one": 1}


@pytest.mark.parametrize("text, why", [
    ('{"int": 1', "',' or '}' was expected at byte 10"), ('{"int"', "':' was expected"), ('{"int": tr', "JSON value"),
    ('{"int": 1} x', "ends before the text does at byte 12"), ("{'int': 1}", "double quotes"), ("int=1", "JSON value"),
    ('{"int": 1, "text": "a", "int": 2}', "the object has already at byte 25"),
    ('{"int": 1, "\\u0069nt": 2}', "the object has already"), ('{"json": {"a": [{"b": 1, "b": 2}]}}', "already at byte 26"),
    ('{"text": "a\\u0000b"}', "\\u0000 is not allowed"), (b'{"text": "a\0b"}', "control character"),
    ('{"text": "\\ud800"}', "surrogate"), ('{"text": "\\udc00\\ud800"}', "surrogate"), ('{"\\udfff": 1}', "surrogate"),
    (b'{"text": "\xed\xa0\x80"}', "not UTF-8"), (b'{"text": "\xff"}', "not UTF-8"), (b"\xef\xbb\xbf{}", "JSON value"),
    (b'\xff\xfe{\0}\0', "JSON value"), ('{"json": ' + "[" * 1000 + "]" * 1000 + "}", "deeper than 64 levels"),
    ('{"a":' * 1000 + "1" + "}" * 1000, "deeper than 64 levels"), ("[" * 300000, "deeper than 64 levels"),
    ('{"int": 01}', "at byte 10"), ('{"int": NaN}', "JSON value"), ('{"int": 1,}', "double quotes"),
])
def test_what_is_no_json_is_400_and_says_where(served, text, why):
    detail = send(served, "/types", text).problem(400)["detail"]
    assert detail.startswith("The body can't be read as JSON: ") and why in detail


def test_as_deep_as_allowed(served):
    text = '{"json": ' + "[" * (DEEP - 1) + "]" * (DEEP - 1) + "}"
    assert send(served, "/types", text).status == 200
    assert send(served, "/types", text.replace("[", "[[", 1).replace("]", "]]", 1)).status == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "json", "",
                                  "application/json; charset=latin1", "*/*", "application/", "text/json+json"])
def test_another_content_type_is_415_and_names_those_it_may_be(served, kind):
    answer = send(served, "/array", {"ids": [1]}, headers={"Content-Type": kind} if kind else {})
    assert "application/json" in answer.problem(415)["detail"]
    assert answer["Accept-Post"] == "application/json, application/x-www-form-urlencoded"


def test_the_whole_body_is_json_alone(served):
    assert send(served, "/body", "a=1", headers=FORM)["Accept-Post"] == "application/json"
    answer = send(served, "/body", "a=1", "PATCH", headers=FORM)
    assert answer.status == 415 and answer["Accept-Patch"] == "application/json" and not answer["Accept-Post"]
    assert send(served, "/delete", "x", "DELETE", headers={"Content-Type": "text/plain"})["Accept"]


@pytest.mark.parametrize("kind", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"',
                                  "application/merge-patch+json", "application/vnd.api+json; v=1"])
def test_content_types_of_json(served, kind):
    assert send(served, "/array", {"ids": [1]}, headers={"Content-Type": kind}).status == 200


def test_a_coded_body_is_415(served):
    answer = send(served, "/array", {"ids": [1]}, headers=JSON | {"Content-Encoding": "gzip"})
    assert answer.status == 415 and answer["Accept-Encoding"] == "identity"
    assert send(served, "/array", {"ids": [1]}, headers=JSON | {"Content-Encoding": "identity"}).status == 200


def test_a_large_body(served):
    text = "é" * 400000
    assert send(served, "/types", '{"text": "%s"}' % text).json()["text"] == text
    many = {"ids": list(range(100000))}
    assert send(served, "/array", many).json()["ids"] == many["ids"]
    names = {f"k{n}": n for n in range(60000)}
    assert send(served, "/body", names).json()["body"] == names


def test_ten_megabytes_are_413(served):
    body = b'{"text": "' + b"x" * 10_000_000 + b'"}'
    answer = served.request("/types", "POST", headers=JSON, body=body)
    assert (answer.status, answer["Content-Type"]) == (413, "application/problem+json")
    answer = served.direct("/types", method="POST", headers=JSON | {"Content-Length": str(len(body))}, body=body)
    assert "larger" in answer.problem(413)["detail"]
    answer = served.direct("/types", method="POST", headers=JSON | {"Content-Length": ""}, body=body)
    assert "larger" in answer.problem(413)["detail"]
    assert send(served, "/types", {"int": 1}).status == 200


def chunked(text, size=7):
    pieces = [text[at:at + size] for at in range(0, len(text), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_chunked_body_without_a_length(served):
    text = json.dumps({"ids": list(range(50))}).encode()
    head = b"Content-Type: application/json\r\nTransfer-Encoding: chunked"
    assert raw_post(served, "/array", head, chunked(text)).json()["ids"] == list(range(50))


def raw_post(served, target, head, body, waits=None):
    """Header lines and body as given; `waits` is what the server says before the body is sent."""
    with socket.create_connection(("127.0.0.1", served.nginx.port), 30) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: larder.test\r\nConnection: close\r\n%s\r\n\r\n"
                           % (target.encode(), head))
        if waits:
            assert connection.recv(4096).startswith(waits)
        connection.sendall(body)
        return client.read_answer(connection, "POST", time.monotonic())


def test_expect_100_continue(served):
    text = json.dumps({"ids": [1]}).encode()
    head = b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d" % len(text)
    assert raw_post(served, "/array", head, text, waits=b"HTTP/1.1 100 ").json()["ids"] == [1]


def test_a_length_that_is_not_the_body_s(served):
    text = b'{"ids": [1]}'
    for length in (len(text) - 1, len(text) + 1, 1, 500000):
        answer = served.direct("/array", method="POST", headers=JSON | {"Content-Length": str(length)}, body=text)
        assert "Content-Length" in answer.problem(400)["detail"]
    assert served.direct("/array", method="POST", headers=JSON | {"Content-Length": ""}, body=text).json()["ids"] == [1]
    assert served.direct("/array", method="POST", headers=JSON | {"Content-Length": "1x"}, body=text).problem(400)


def test_a_body_that_breaks_off_leaves_the_responder_as_it_was(served):
    broken = metrics(served).sum("larder_fcgi_broken_total")
    params = cgi_params("/array", "POST", JSON | {"Content-Length": "1000"})
    pairs = b"".join(pair(name, value) for name, value in params.items())
    for _ in range(5):
        with served.connect() as connection:
            connection.send(begin() + stream(PARAMS, pairs) + record(STDIN, b'{"ids": ['))
    wait_until(lambda: metrics(served).sum("larder_fcgi_broken_total") == broken + 5, 10, "the metrics tell of them")
    assert send(served, "/array", {"ids": [1]}).status == 200


def test_a_field_of_a_form_left_empty_is_none_where_no_text_may_be(served):
    blank = send(served, "/blank", "count=&day=&kind=&name=&must=1", headers=FORM).json()
    assert blank == {"count": 3, "day": None, "kind": "a", "name": "", "must": 1}
    assert list(faults(send(served, "/blank", "must=", headers=FORM))) == [("body", "must")], "it is required"
    assert list(faults(send(served, "/blank", "must=1&count=&count=", headers=FORM))) == [("body", "count")]
    assert list(faults(send(served, "/blank", {"must": 1, "kind": "", "day": ""}))) == [("body", "day"), ("body", "kind")]
