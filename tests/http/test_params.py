"""Parameters: what each type and each constraint lets through, and one canonical text for equal values."""

import json
from urllib.parse import quote

import pytest

from support.stack import queries

TYPES = {
    "smallint": (["-32768", "32767"], ["32768", "1.0", "", "x", "1e3", "0x10"]),
    "int": (["0", "-2147483648", "2147483647", "+5"], ["2147483648", " ", "1 2", "one", "١"]),
    "bigint": (["9223372036854775807", "-9223372036854775808"], ["9223372036854775808", "1.5", "NaN"]),
    "numeric": (["1.50", "-0.000000000000000000001", "12345678901234567890.5"], ["1,5", "abc", "--1", "."]),
    "double precision": (["1.5", "-2e300"], ["1e999", "x", ""]),
    "boolean": (["true", "false"], ["maybe", "2", ""]),
    "uuid": (["6f1c1f5e-9a0b-4c3d-8e2f-0123456789ab"], ["6f1c1f5e", "6f1c1f5e-9a0b-4c3d-8e2f-0123456789ag", ""]),
    "date": (["2024-02-29", "1999-12-31"], ["2023-02-29", "2024-13-01", "yesterday ago", ""]),
    "timestamp": (["2024-02-29T12:30:00", "2024-02-29 12:30:00.25"], ["2024-02-29T25:00:00", "x"]),
    "timestamptz": (["2024-02-29T12:30:00Z", "2024-02-29T12:30:00+05:30"], ["2024-02-30T00:00:00Z", "soon"]),
    "jsonb": (['{"a": [1, null]}', "[]", "7"], ["{", "{'a':1}", ""]),
    "text": (["", "Ünïcödé", "a\nb"], []),
}


def route_name(kind):
    return kind.replace(" ", "-")


ROUTES = {
    f"types/{route_name(kind)}": f"-- @http GET /types/{route_name(kind)}\n-- @param value {kind}\n-- @result row\n"
                                 f"-- @cache ttl=60s\nSELECT pg_typeof(:value)::text AS type, :value AS value\n"
    for kind in TYPES
} | {
    f"constraint/{name}": f"-- @http GET /constraint/{name}\n-- @param value {constraint}\n-- @result row\n"
                          f"SELECT :value AS value\n"
    for name, constraint in {
        "range": "int min=1 max=100", "dates": "date min=2020-01-01 max=2020-12-31", "maxlen": "text maxlen=3",
        "enum": "text enum=red,green", "numbers": "int enum=1,2", "pattern": "text pattern=[a-z]+[0-9]",
        "default": "int default=20 min=1", "optional": "int default=null", "required": "int",
        "fraction": "numeric min=0.5 max=1.5", "header": "text in=header default=none",
    }.items()
} | {
    "learned": "-- @http GET /learned/{id}\n-- @param since\n-- @result row\n"
               "SELECT name FROM thing WHERE id = :id AND created >= :since::date\n",
    "mood": "-- @http GET /mood\n-- @param mood\n-- @result row\nSELECT :mood::mood AS mood\n",
    "arrays": "-- @http GET /arrays\n-- @param ids bigint[]\n-- @param names text[] default=null\n-- @result row\n"
              "-- @cache ttl=60s\nSELECT :ids AS ids, :names AS names\n",
    "clock": "-- @http GET /clock\n-- @result row\nSELECT :today::date AS today, :now::timestamptz AS now\n",
}
SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE thing (id int PRIMARY KEY, name text, created date);
INSERT INTO thing VALUES (1, 'one', '2024-01-01');
"""


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA)


GOOD = [(kind, value) for kind, (good, _) in TYPES.items() for value in good]
BAD = [(kind, value) for kind, (_, bad) in TYPES.items() for value in bad]


@pytest.mark.parametrize("kind, value", GOOD)
def test_a_value_of_the_type_reaches_postgresql_as_that_type(served, kind, value):
    answer = served.get(f"/types/{route_name(kind)}?value={quote(value)}")
    assert answer.status == 200, answer
    cast = served.sql(f"SELECT pg_typeof(v)::text, to_json(v)::text FROM (SELECT %s::{kind} AS v) AS s", (value,))[0]
    expected_type, expected = cast
    assert answer.json()["type"] == expected_type
    assert json.loads(answer.body, parse_float=str, parse_int=str)["value"] \
        == json.loads(expected, parse_float=str, parse_int=str)


@pytest.mark.parametrize("kind, value", BAD)
def test_a_value_of_another_type_is_422_without_a_query(served, kind, value):
    before = queries(served)
    problem = served.get(f"/types/{route_name(kind)}?value={quote(value)}").problem(422)
    assert [(each["name"], each["in"]) for each in problem["errors"]] == [("value", "query")]
    assert queries(served) == before


@pytest.mark.parametrize("name, good, bad, told", [
    ("range", ["1", "100", "050"], ["0", "101", "-1"], ["1", "100"]),
    ("dates", ["2020-01-01", "2020-12-31"], ["2019-12-31", "2021-01-01"], ["2020"]),
    ("maxlen", ["", "abc", "äöü"], ["abcd", "äöüß"], ["3"]),
    ("enum", ["red", "green"], ["blue", "Red", ""], ["red", "green"]),
    ("numbers", ["1", "02"], ["3"], ["1", "2"]),
    ("pattern", ["a1", "abc9"], ["1a", "a1 ", "xa1x", "A1", "", "a1\n"], ["[a-z]+[0-9]"]),
    ("fraction", ["0.5", "1.50", "1"], ["0.49999999999999999999", "1.5000000000000000001"], ["0.5"]),
])
def test_a_constraint_names_what_is_allowed(served, name, good, bad, told):
    for value in good:
        assert served.get(f"/constraint/{name}?value={quote(value)}").status == 200, value
    for value in bad:
        (error,) = served.get(f"/constraint/{name}?value={quote(value)}").problem(422)["errors"]
        assert error["name"] == "value", error
        assert any(word in error["detail"] for word in told), error


def test_a_default_takes_the_place_of_an_absent_value(served):
    assert served.get("/constraint/default").json() == {"value": 20}
    assert served.get("/constraint/default?value=3").json() == {"value": 3}
    served.get("/constraint/default?value=").problem(422)


def test_default_null_makes_it_optional(served):
    assert served.get("/constraint/optional").json() == {"value": None}


def test_without_a_default_it_is_required(served):
    (error,) = served.get("/constraint/required").problem(422)["errors"]
    assert error["name"] == "value" and "required" in error["detail"]


def test_a_header_parameter(served):
    assert served.get("/constraint/header").json() == {"value": "none"}
    assert served.get("/constraint/header", headers={"value": "given"}).json() == {"value": "given"}


def test_types_are_learned_from_postgresql(served):
    assert served.get("/learned/1?since=2023-01-01").json() == {"name": "one"}
    problem = served.get("/learned/x?since=2023-02-30").problem(422)
    assert sorted((each["name"], each["in"]) for each in problem["errors"]) == [("id", "path"), ("since", "query")]


def test_a_value_that_only_postgresql_can_judge_is_422_too(served):
    assert served.get("/mood?mood=happy").json() == {"mood": "happy"}
    answer = served.get("/mood?mood=grumpy")
    answer.problem(422)
    assert b"SELECT" not in answer.body


def test_arrays_by_repetition_and_as_a_literal(served):
    assert served.get("/arrays?ids=1&ids=9223372036854775807").body == b'{"ids":[1,9223372036854775807],"names":null}'
    assert served.get("/arrays?ids=" + quote("{3,4}")).json()["ids"] == [3, 4]
    names = served.get("/arrays?ids=1&names=" + quote('a"b,{}\\') + "&names=NULL&names=").json()["names"]
    assert names == ['a"b,{}\\', "NULL", ""]
    served.get("/arrays?ids=1&ids=x").problem(422)


def test_the_requests_clock(served):
    now, today = served.sql("SELECT now(), now()::date")[0]
    answer = served.get("/clock").json()
    assert answer["today"] >= today.isoformat()
    assert answer["now"] >= now.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize("kind, spellings", [
    ("int", ["7", "07", "%2B7"]), ("bigint", ["-0", "0", "00"]), ("boolean", ["true", "TRUE", "t", "1", "on"]),
    ("uuid", ["6f1c1f5e-9a0b-4c3d-8e2f-0123456789ab", "6F1C1F5E-9A0B-4C3D-8E2F-0123456789AB"]),
    ("date", ["2024-02-09"]),
])
def test_spellings_of_one_value_share_an_entry(served, kind, spellings):
    first = served.get(f"/types/{kind}?value={spellings[0]}")
    assert first.status == 200, first
    for each in spellings[1:]:
        answer = served.get(f"/types/{kind}?value={each}")
        assert answer["Cache-Status"].startswith("larder; hit"), (each, answer)
        assert answer.body == first.body
