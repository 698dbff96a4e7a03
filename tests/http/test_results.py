"""Bodies: the five shapes of @result, every type without loss, statements of every form, results of any size."""

import concurrent.futures
import gzip
import json

import pytest

from support.paths import sanitized
from support.process import resident
from support.waiting import wait_until

# name: (SQL expression, the JSON text it must become, byte for byte)
VALUES = {
    "null": ("NULL::int", "null"),
    "bigint": ("9223372036854775807", "9223372036854775807"),
    "bigint-beyond-double": ("9007199254740993::bigint", "9007199254740993"),
    "bigint-least": ("'-9223372036854775808'::bigint", "-9223372036854775808"),
    "numeric": ("'12345678901234567890.12345678901234567890'::numeric", "12345678901234567890.12345678901234567890"),
    "numeric-scale": ("1.50::numeric(10,2)", "1.50"),
    "numeric-nan": ("'NaN'::numeric", '"NaN"'),
    "double": ("0.1::float8 + 0.2::float8", "0.30000000000000004"),
    "infinity": ("'-Infinity'::float8", '"-Infinity"'),
    "boolean": ("true", "true"),
    "timestamptz": ("'2024-02-29 12:30:00.25+05:30'::timestamptz", '"2024-02-29T07:00:00.25+00:00"'),
    "timestamp": ("'2024-02-29 12:30:00'::timestamp", '"2024-02-29T12:30:00"'),
    "date": ("'2024-02-29'::date", '"2024-02-29"'),
    "array": ("ARRAY[[1,NULL],[3,4]]", "[[1,null],[3,4]]"),
    "array-empty": ("'{}'::int[]", "[]"),
    "array-text": ("ARRAY['a,b','NULL','','\"']", '["a,b","NULL","","\\""]'),
    "array-bigint": ("ARRAY[9007199254740993, -1]", "[9007199254740993,-1]"),
    "jsonb": ("'{\"b\":[1,{\"c\":null}],\"a\":1.10}'::jsonb", '{"a": 1.10, "b": [1, {"c": null}]}'),
    "json": ("'{\"z\" : 1,\"z\":2}'::json", '{"z" : 1,"z":2}'),
    "bytea": ("'\\x00ff7f'::bytea", '"\\\\x00ff7f"'),
    "uuid": ("'6F1C1F5E-9A0B-4C3D-8E2F-0123456789AB'::uuid", '"6f1c1f5e-9a0b-4c3d-8e2f-0123456789ab"'),
    "text-empty": ("''::text", '""'),
    "text-quotes": ("E'\"\\\\/\\b\\f\\n\\r\\t\\x01'", '"\\"\\\\/\\b\\f\\n\\r\\t\\u0001"'),
    "text-unicode": ("'äöü 你好 🎉'::text", '"äöü 你好 🎉"'),
    "text-letters": ("'x' -- a comment\n", '"x"'),
    "enum": ("'happy'::mood", '"happy"'),
    "composite": ("ROW(1, 'x')::pair", '{"a":1,"b":"x"}'),
    "inet": ("'10.0.0.1/8'::inet", '"10.0.0.1/8"'),
    "range": ("int4range(1,5)", '"[1,5)"'),
}
# Every one of them gives a row with a = 1 and a row with a = 2.
STATEMENTS = {
    "plain": "SELECT a FROM pairs ORDER BY a",
    "semicolon": "SELECT a FROM pairs ORDER BY a;",
    "semicolon-and-comment": "SELECT a FROM pairs ORDER BY a; -- the end",
    "line-comment-last": "SELECT a FROM pairs ORDER BY a -- the end",
    "block-comment": "/* one /* two */ :three */ SELECT a FROM pairs ORDER BY a /* the end */",
    "with": "WITH two AS (SELECT a FROM pairs) SELECT * FROM two ORDER BY a",
    "values": "VALUES (1), (2)",
    "union": "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a",
    "limited": "SELECT a FROM pairs ORDER BY a LIMIT 2 OFFSET 0",
    "cast": "SELECT a::int FROM pairs WHERE ':x' <> $$:y$$ ORDER BY a",
    "table": "TABLE pairs",
}
MILLION = 1_000_000
SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE pairs (a int);
INSERT INTO pairs VALUES (1), (2);
CREATE TABLE twins (id int, name text);
INSERT INTO twins VALUES (3, 'x'), (1, 'y'), (1, 'y'), (2, NULL);
CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE internal_error USING MESSAGE = 'telltale message', HINT = 'telltale hint', DETAIL = 'telltale detail'; END $$;
"""


def shaped(shape, path, statement):
    return f"-- @http GET {path}\n-- @result {shape}\n{statement}\n"


ROUTES = {
    f"value/{name}": shaped("value", f"/value/{name}", f"SELECT {expression}")
    for name, (expression, _) in VALUES.items()
} | {
    f"statement/{name}": shaped("rows", f"/statement/{name}", text) for name, text in STATEMENTS.items()
} | {
    f"count/{shape}": f"-- @http GET /count/{shape}\n-- @param n int\n-- @result {shape}\n"
                      f"SELECT {column} FROM generate_series(1, :n) AS g\n"
    for shape, column in {"rows": "g AS a", "row": "g AS a", "value": "g", "json": "json_build_object('a', g)",
                          "none": "g"}.items()
} | {
    "all": shaped("row", "/all", "SELECT " + ",\n".join(
        f"({expression}) AS \"{name}\"" for name, (expression, _) in VALUES.items())),
    "null/json": shaped("json", "/null/json", "SELECT NULL::json"),
    "text/json": shaped("json", "/text/json", "SELECT '[1, {\"a\" :2}]'::text"),
    "default": "-- @http GET /default\nSELECT id, name FROM twins ORDER BY id DESC\n",
    "names": shaped("row", "/names", 'SELECT 1 AS "a b", 2 AS "Ü", 3 AS "q""q", 4 AS larder_value, 5 AS "select"'),
    "own-name": shaped("row", "/own-name", "SELECT 1 AS larder_row"),
    "own-names": shaped("rows", "/own-names", "SELECT 1 AS larder_row"),
    "raise": shaped("rows", "/raise", "SELECT fail() AS telltale_column FROM pairs"),
    "raise/none": shaped("none", "/raise/none", "SELECT fail()"),
    "zero": shaped("rows", "/zero", "SELECT 1 / (a - a) AS telltale_column FROM pairs"),
    "million": f"-- @http GET /million\n-- @param n int default={MILLION}\n-- @timeout 30s\n"
               "SELECT g AS id FROM generate_series(1, :n) AS g\n",
    "wide": shaped("value", "/wide", "SELECT repeat('0123456789abcdef', 640 * 1024)"),
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, redis=False, env={"LARDER_SLOW": "0s"})


@pytest.mark.parametrize("name", VALUES)
def test_a_value_becomes_that_json(served, name):
    answer = served.get(f"/value/{name}")
    assert answer.status == 200, answer
    assert answer["Content-Type"] == "application/json"
    assert answer.body == VALUES[name][1].encode()


def test_a_row_holds_every_type_without_loss(served):
    members = ",".join(f'"{name}":{text}' for name, (_, text) in VALUES.items())
    assert served.get("/all").body == ("{" + members + "}").encode()


@pytest.mark.parametrize("form", STATEMENTS)
def test_a_statement_of_any_form_is_served(served, form):
    answer = served.get(f"/statement/{form}")
    assert answer.status == 200, answer
    assert [list(row.values()) for row in answer.json()] == [[1], [2]]


@pytest.mark.parametrize("shape, count, status, expected", [
    ("rows", 0, 200, []),
    ("rows", 1, 200, [{"a": 1}]),
    ("rows", 3, 200, [{"a": 1}, {"a": 2}, {"a": 3}]),
    ("row", 1, 200, {"a": 1}),
    ("value", 1, 200, 1),
    ("json", 1, 200, {"a": 1}),
])
def test_a_shape(served, shape, count, status, expected):
    answer = served.get(f"/count/{shape}?n={count}")
    assert (answer.status, answer.json()) == (status, expected)
    assert answer["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("shape", ["row", "value", "json"])
def test_no_row_is_404(served, shape):
    served.get(f"/count/{shape}?n=0").problem(404)


@pytest.mark.parametrize("shape", ["row", "value", "json"])
def test_two_rows_where_one_is_promised_are_500_without_sql(served, shape):
    answer = served.get(f"/count/{shape}?n=2")
    answer.problem(500)
    assert b"generate_series" not in answer.body and b"SELECT" not in answer.body
    assert f"GET /count/{shape}" in served.log_text()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_none_is_204_without_a_body(served, count):
    answer = served.get(f"/count/none?n={count}")
    assert (answer.status, answer.body) == (204, b"")
    assert answer["Content-Type"] is None and answer["Content-Length"] is None


def test_none_runs_its_statement_all_the_same(served):
    served.get("/raise/none").problem(500)


def test_null_and_text_in_the_json_shape(served):
    assert served.get("/null/json").body == b"null"
    assert served.get("/text/json").body == b'[1, {"a" :2}]'


def test_rows_is_the_default_and_keeps_order_and_duplicates(served):
    assert served.get("/default").json() == [{"id": 3, "name": "x"}, {"id": 2, "name": None},
                                             {"id": 1, "name": "y"}, {"id": 1, "name": "y"}]


def test_columns_of_any_name(served):
    assert served.get("/names").json() == {"a b": 1, "Ü": 2, 'q"q': 3, "larder_value": 4, "select": 5}


def test_a_column_may_have_a_name_that_larder_uses_itself(served):
    assert served.get("/own-name").json() == {"larder_row": 1}
    assert served.get("/own-names").json() == [{"larder_row": 1}]


@pytest.mark.parametrize("path", ["/raise", "/zero"])
def test_a_failing_statement_is_500_and_tells_nothing(served, path):
    answer = served.get(path)
    answer.problem(500)
    for secret in (b"telltale", b"pairs", b"SELECT", b"SQLSTATE", served.postgres.folder.encode()):
        assert secret not in answer.body


def test_the_log_says_why_a_statement_failed(served):
    served.get("/raise")
    assert "GET /raise: telltale message" in served.log_text()


class TestLarge:
    """Answers beyond every buffer on their way."""

    expected = b", ".join(b'{"id":%d}' % number for number in range(1, MILLION + 1))

    def test_a_million_rows_come_whole(self, served):
        answer = served.get("/million")
        assert answer.status == 200, answer
        assert answer["Content-Length"] == str(len(answer.body))
        assert answer.body.replace(b", ", b",") == b"[" + self.expected.replace(b", ", b",") + b"]"

    def test_a_million_rows_compressed(self, served):
        answer = served.get("/million", headers={"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == "gzip"
        assert answer["Content-Length"] == str(len(answer.body))
        rows = json.loads(gzip.decompress(answer.body))
        assert len(rows) == MILLION and rows[-1] == {"id": MILLION}

    def test_one_value_of_ten_megabytes(self, served):
        assert served.get("/wide").body == b'"' + b"0123456789abcdef" * 640 * 1024 + b'"'

    def test_head_of_a_million_rows_has_the_length_alone(self, served):
        answer = served.request("/million", "HEAD")
        assert answer.body == b"" and int(answer["Content-Length"]) > 10 * MILLION

    @pytest.mark.skipif(sanitized(), reason="a sanitizer keeps freed memory")
    def test_the_responders_memory_comes_back(self, served):
        served.restart()
        pid = served.api.pids[0]
        served.direct("/million?n=1")
        before = resident(pid)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            sizes = list(pool.map(lambda _: len(served.direct("/million").body), range(3)))
        assert min(sizes) > 10 * MILLION

        def small_again():
            size = resident(pid)
            assert size < before + 16e6, f"{before / 1e6:.0f} MB before, {size / 1e6:.0f} MB after"
            return True
        wait_until(small_again, 5)
