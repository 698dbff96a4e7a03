"""@stream: downloads as CSV, NDJSON and JSON, their heads, their coding and their parameters; who may have them:
test_stream_who.py."""

import csv
import gzip
import io
import json
import re
import subprocess
from urllib.parse import unquote

import pytest

from support.crowd import Background
from support.download import Download
from support.gate import ROUTE as GATE, Gate
from support.postgres import PgBouncer
from support.proxy import Proxy
from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SCHEMA odd; CREATE TYPE odd."Type x" AS ENUM ('one', 'two');
CREATE TABLE people (id int PRIMARY KEY, name text, note text, amount numeric, data json);
INSERT INTO people VALUES
    (1, 'Ann', '', 1.50, '{"a":1}'), (2, 'Bob, jr', NULL, -2, E'{"a":\\n [1,\\r\\n2],\\t"b":"c\\\\n"}'),
    (3, 'Cid "the" kid', E'two\\nlines', NULL, NULL), (4, 'Dörte 你好 🎉', E'a\\r\\nb', 0, '"\\u0001"');
CREATE TABLE formulas (value text, number numeric);
INSERT INTO formulas VALUES ('=1+1', -1.5), ('+49 123', 2), ('-x', NULL), ('@SUM(A1)', 3), (E'\\tx', 4), (E'\\rx', 5),
    ('=a,"b"', 6), ('-12', 7), ('plain', -8e30), (NULL, -0.1), ('', 1);
"""


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", *(f"-- {line}" for line in lines), statement, ""])


ROUTES = {
    "people": route("/people", "SELECT * FROM people ORDER BY id", "@stream csv,ndjson,json filename=people.csv"),
    "plain": route("/plain", "SELECT id, name FROM people ORDER BY id", "@stream csv"),
    "marked": route("/marked", "SELECT id FROM people ORDER BY id", "@stream csv mark=on compress=off"),
    "guarded": route("/guarded", "SELECT value, number FROM formulas", "@stream csv guard=on"),
    "bare": route("/bare", "SELECT value, number FROM formulas", "@stream csv"),
    "lines": route("/lines", "SELECT id, data FROM people ORDER BY id", "@stream ndjson"),
    "empty": route("/empty", "SELECT id, name FROM people WHERE false", "@stream csv,ndjson,json"),
    "named": route("/named/{name}", "SELECT :name AS name", "@param name text",
                   "@stream csv filename='of {name}.csv'", "@control private, max-age=60"),
    "long-name": route("/long-name", "SELECT 1 AS a", "@param name text", "@stream csv filename={name}.csv"),
    "unnamed": route("/unnamed", "SELECT :a, :b::int, upper(:a), :a AS \"A \"\"b\"\"\" -- a comment", "@param a text default=x",
                     "@param b default=1", "@stream csv,ndjson"),
    "bare-name": route("/bare-name/{name}", "SELECT 1 AS a", "@param name text", "@stream csv,ndjson filename={name}"),
    "values": route(
        "/values", "SELECT :n + 1 AS n, :t::text AS t, :t::text IS NULL AS missing, :d::date AS d, :mood::mood AS mood,\n"
        "    :p::positive AS p, :ids::int[] AS ids, :odd::odd.\"Type x\" AS odd, $$:n$$ AS quoted -- :n\n",
        "@param n bigint", "@param t default=null", "@param d default=null", "@param mood default=happy",
        "@param p default=1", "@param ids default=null", "@param odd default=null", "@stream ndjson"),
    "limited": route("/limited", "SELECT i FROM generate_series(1, :most::int) AS i ORDER BY i LIMIT :limit OFFSET 1",
                     "@param most", "@param limit int", "@stream csv"),
    "odd": route("/odd", "SELECT '\\.'::text AS a UNION ALL SELECT '' UNION ALL SELECT NULL UNION ALL SELECT 'NULL'",
                 "@stream csv"),
    "twice": route("/twice", "SELECT 1 AS a, 2 AS a", "@stream csv"),
    "many": route("/many", "SELECT i, md5(i::text) AS word FROM generate_series(1, 100000) AS i", "@stream csv,json"),
    "wide": route("/wide", "SELECT repeat('x', :size) AS word, 1 AS n", "@param size int", "@stream csv,ndjson"),
    "bad": route("/bad", "SELECT 1 / (i - 1) AS a FROM generate_series(1, 3) AS i", "@stream csv"),
    "writes": route("/writes", "SELECT nextval('counted')", "@stream csv"),
    "slow": route("/slow", "SELECT 1 AS a FROM pg_sleep(60)", "@stream csv", "@timeout 200ms"),
    "public": route("/public", "SELECT random() AS a", "@stream csv", "@control public, max-age=3600"),
    "timed": route("/timed", "SELECT 1 AS a, current_setting('statement_timeout') AS most", "@stream ndjson"),
}
SEQUENCE = "CREATE SEQUENCE counted;"


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA + SEQUENCE, redis=False, export=True, env={"LARDER_STREAM_TIMEOUT": "2h"})


def rows(answer):
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8"), newline="")))


# The formats

def test_csv_is_as_rfc_4180_has_it(served):
    answer = served.get("/people")
    assert answer.status == 200
    assert answer.body.decode() == (
        'id,name,note,amount,data\r\n'
        '1,Ann,"",1.50,"{""a"":1}"\r\n'
        '2,"Bob, jr",,-2,"{""a"":\n [1,\r\n2],\t""b"":""c\\n""}"\r\n'
        '3,"Cid ""the"" kid","two\nlines",,\r\n'
        '4,Dörte 你好 🎉,"a\r\nb",0,"""\\u0001"""\r\n')
    assert answer["Content-Type"] == "text/csv; charset=utf-8; header=present"


def test_ndjson_is_one_object_a_line(served):
    answer = served.get("/people", headers={"Accept": "application/x-ndjson"})
    assert answer["Content-Type"] == "application/x-ndjson"
    lines = answer.text.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [
        {"id": 1, "name": "Ann", "note": "", "amount": 1.5, "data": {"a": 1}},
        {"id": 2, "name": "Bob, jr", "note": None, "amount": -2, "data": {"a": [1, 2], "b": "c\n"}},
        {"id": 3, "name": 'Cid "the" kid', "note": "two\nlines", "amount": None, "data": None},
        {"id": 4, "name": "Dörte 你好 🎉", "note": "a\r\nb", "amount": 0, "data": "\x01"}]
    assert '"amount":1.50,' in lines[0], "digits stay as they are"


def test_json_is_one_array(served):
    answer = served.get("/people", headers={"Accept": "application/json"})
    assert answer["Content-Type"] == "application/json"
    assert [each["id"] for each in answer.json()] == [1, 2, 3, 4]
    assert answer.json()[1]["data"] == {"a": [1, 2], "b": "c\n"}


@pytest.mark.parametrize("accept, body", [("text/csv", b"id,name\r\n"), ("application/x-ndjson", b""),
                                          ("application/json", b"[]\n")])
def test_no_rows_at_all(served, accept, body):
    answer = served.get("/empty", headers={"Accept": accept})
    assert (answer.status, answer.body) == (200, body)


def test_what_copy_might_take_for_something_else(served):
    assert rows(served.get("/odd")) == [["a"], ["\\."], [""], [], ["NULL"]]


def test_columns_of_one_name_are_fine_in_csv(served):
    assert served.get("/twice").body == b"a,a\r\n1,2\r\n"


def test_columns_are_called_as_postgresql_calls_them(served):
    """Of a value that stands alone it is the same as of any parameter, not of what Larder puts there."""
    assert rows(served.get("/unnamed")) == [["?column?", "int4", "upper", 'A "b"'], ["x", "1", "X", "x"]]
    assert served.get("/unnamed", headers={"Accept": "application/x-ndjson"}).json() == {
        "?column?": "x", "int4": 1, "upper": "X", 'A "b"': "x"}


def test_a_mark_for_spreadsheets(served):
    assert served.get("/marked").body == b"\xef\xbb\xbfid\r\n1\r\n2\r\n3\r\n4\r\n"
    assert not served.get("/plain").body.startswith(b"\xef\xbb\xbf")


def test_no_value_is_a_formula_where_the_route_guards(served):
    guarded, bare = rows(served.get("/guarded")), rows(served.get("/bare"))
    assert [row[0] for row in guarded[1:]] == ["'=1+1", "'+49 123", "'-x", "'@SUM(A1)", "'\tx", "'\rx", "'=a,\"b\"",
                                               "-12", "plain", "", ""]
    assert [row[1] for row in guarded] == [row[1] for row in bare], "numbers are none"
    assert [row[0] for row in bare[1:4]] == ["=1+1", "+49 123", "-x"]


@pytest.mark.parametrize("size", [0, 1, 8000, 65500, 65536, 200_000, 3_000_000])
@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_rows_of_any_size(served, size, accept):
    answer = served.direct(f"/wide?size={size}", headers={"Accept": accept})
    word = b"x" * size
    assert answer.body == (b"word,n\r\n" + (word or b'""') + b",1\r\n" if accept == "text/csv"
                           else b'{"word":"' + word + b'","n":1}\n')


def test_many_rows_are_all_there(served):
    answer = served.get("/many", headers={"Accept": "text/csv"})
    assert len(rows(answer)) == 100_001 and rows(answer)[-1][0] == "100000"
    assert len(served.get("/many", headers={"Accept": "application/json"}).json()) == 100_000


# Who takes what

@pytest.mark.parametrize("accept, kind", [
    ("*/*", "text/csv"), ("application/*", "application/x-ndjson"), ("text/html, */*;q=0.1", "text/csv"),
    ("application/json, text/csv;q=0.9", "application/json"), ("text/csv;q=0, */*", "application/x-ndjson"), (None, "text/csv")])
def test_accept_chooses(served, accept, kind):
    answer = served.get("/people", headers={"Accept": accept} if accept else {})
    assert answer["Content-Type"].startswith(kind)
    assert answer["Vary"] == "Accept-Encoding, Accept"


def test_a_format_that_is_not_offered_is_406(served):
    assert "text/csv, application/x-ndjson, application/json" in \
        served.get("/people", headers={"Accept": "text/html"}).problem(406)["detail"]
    served.get("/plain", headers={"Accept": "application/json"}).problem(406)
    assert served.get("/plain")["Vary"] == "Accept-Encoding"


def test_gzip_where_it_is_accepted(served):
    plain = served.get("/many", headers={"Accept": "text/csv"})
    coded = served.get("/many", headers={"Accept": "text/csv", "Accept-Encoding": "gzip"})
    assert plain["Content-Encoding"] is None and coded["Content-Encoding"] == "gzip"
    assert gzip.decompress(coded.body) == plain.body and len(coded.body) < len(plain.body)
    assert gzip.decompress(served.get("/empty", headers={"Accept-Encoding": "gzip, br"}).body) == b"id,name\r\n"


def test_no_coding_where_the_route_has_none(served):
    answer = served.get("/marked", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] is None and answer["Vary"] is None
    served.get("/marked", headers={"Accept-Encoding": "gzip, identity;q=0"}).problem(406)


# The head

def test_the_head_of_a_download(served):
    answer = served.get("/people")
    assert answer["Content-Disposition"] == "attachment; filename=people.csv"
    assert answer["Cache-Control"] == "no-store"
    assert answer["ETag"] is None and answer["Content-Length"] is None
    assert served.get("/plain")["Content-Disposition"] is None


@pytest.mark.parametrize("accept, name", [("application/x-ndjson", "people.ndjson"), ("application/json", "people.json")])
def test_the_name_ends_as_the_format_does(served, accept, name):
    assert served.get("/people", headers={"Accept": accept})["Content-Disposition"] == f"attachment; filename={name}"


@pytest.mark.parametrize("value, expected", [
    ("x", 'filename="of x.csv"'), ("a%2F..%2Fb", 'filename="of a_.._b.csv"'), ("%22%0D%0AX:%20y", 'filename="of ___X_ y.csv"'),
    ("%C3%A4%E4%BD%A0", "filename=\"of __.csv\"; filename*=UTF-8''of%20%C3%A4%E4%BD%A0.csv")])
def test_a_name_with_a_parameter_in_it(served, value, expected):
    answer = served.direct(f"/named/{value}")
    assert answer["Content-Disposition"] == f"attachment; {expected}"
    assert answer["Cache-Control"] == "private, max-age=60"


def test_no_value_chooses_the_kind_of_file(served):
    assert served.get("/bare-name/x.bat")["Content-Disposition"] == "attachment; filename=x.bat.csv"
    answer = served.get("/bare-name/x.bat", headers={"Accept": "application/x-ndjson"})
    assert answer["Content-Disposition"] == "attachment; filename=x.bat.ndjson"


@pytest.mark.parametrize("value", ["x" * 6000, "ä" * 3900], ids=["ASCII", "UTF-8"])
def test_a_name_has_no_more_than_a_file_s_may_have(served, value):
    """A longer one would make a head that nginx takes for a failure of the pool."""
    sent = subprocess.run(["curl", "-sS", "-D", "-", f"{served.url}/long-name?name={value}"], capture_output=True, text=True,
                          check=True, timeout=30).stdout
    assert sent.startswith("HTTP/1.1 200 "), sent[:300]
    name = re.search(r"filename\*?=(?:UTF-8''|)([^\n;\"]+)\n", sent)[1]
    assert unquote(name) == value[:251 // len(value[0].encode())] + ".csv"


def test_head_asks_nothing(served):
    before = metrics(served).sum("larder_queries_total")
    answer = served.request("/people", "HEAD", headers={"Accept-Encoding": "gzip"})
    get = served.get("/people", headers={"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body) == (200, b"")
    for name in ("Content-Type", "Content-Disposition", "Cache-Control", "Vary", "Content-Encoding"):
        assert answer[name] == get[name], name
    assert metrics(served).sum("larder_queries_total") == before + 1
    assert served.request("/limited?most=x&limit=1", "HEAD").status == 422


def test_nginx_keeps_no_download_whatever_it_says_to_browsers(shared_stack):
    """A stack with a zone: without X-Accel-Expires nginx would go by Cache-Control."""
    stack = shared_stack({"public": ROUTES["public"]}, export=True, env={"LARDER_CORS_ORIGINS": "*", "LARDER_PROFILE": "on"})
    answers = [stack.get("/public") for _ in range(3)]
    assert {answer["Cache-Control"] for answer in answers} == {"public, max-age=3600"}
    assert len({answer.body for answer in answers}) == 3
    assert stack.get("/public", headers={"Origin": "https://a.example"})["Access-Control-Allow-Origin"] == "*"
    assert "bind;dur=" in stack.get("/public?profile=1")["Server-Timing"]


def test_without_postgresql_a_download_is_503_until_it_is_there(stack):
    server = stack.postgres()
    made = stack({"plain": route("/plain", "SELECT 1 AS a", "@stream csv")}, postgres=server, redis=False, nginx=False)
    server.stop()
    made.restart()
    answer = made.direct("/plain")
    answer.problem(503)
    assert answer["Retry-After"]
    server.start()
    wait_until(lambda: made.direct("/plain").body == b"a\r\n1\r\n", 20)


def test_a_statement_that_postgresql_refuses_is_500_and_no_other_route_suffers(stack):
    made = stack({"plain": ROUTES["plain"], "bad": route("/bad", "SELECT nothing", "@stream csv")}, schema=SCHEMA,
                 redis=False, nginx=False)
    wait_until(lambda: made.direct("/bad").status == 500)
    assert made.direct("/plain").status == 200


def test_a_condition_nobody_can_judge(served):
    served.get("/plain", headers={"If-Match": '"x"'}).problem(412)
    assert served.get("/plain", headers={"If-None-Match": '"x"'}).status == 200
    assert served.get("/plain", headers={"If-Match": "*"}).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path, accept", [("/plain", "*/*"), ("/empty", "text/csv"), ("/empty", "application/json"),
                                          ("/many", "application/json"), ("/many", "text/csv")])
def test_who_wants_nothing_where_there_is_anything(served, method, path, accept):
    """RFC 9110, 13.1.2. The 304 tells caches what the 200 does, and no more."""
    whole = served.request(path, method, {"Accept": accept})
    answer = served.request(path, method, {"Accept": accept, "If-None-Match": " * "})
    assert (whole.status, answer.status, answer.body) == (200, 304, b"")
    for name in ("Cache-Control", "Vary", "Cache-Status"):
        assert answer[name] == whole[name]
    assert answer["Content-Type"] is answer["Content-Disposition"] is answer["Content-Encoding"] is None


@pytest.mark.parametrize("path, status", [("/bad", 500), ("/writes", 500), ("/wide?size=x", 422)])
def test_what_fails_is_not_held_by_anybody(served, path, status):
    served.get(path, headers={"If-None-Match": "*"}).problem(status)


# Parameters

def test_values_are_bound_as_they_are(served):
    text = "%27%3B%20DROP%20TABLE%20people%3B--%20%5C%22%24%24%7B%7D%0A%C3%A4"
    line = served.get(f"/values?n=41&t={text}&d=2024-02-29&mood=sad&p=7&ids=1&ids=2&odd=two").json()
    assert line == {"n": 42, "t": "'; DROP TABLE people;-- \\\"$${}\nä", "missing": False, "d": "2024-02-29",
                    "mood": "sad", "p": 7, "ids": [1, 2], "odd": "two", "quoted": ":n"}


def test_null_is_not_an_empty_text(served):
    assert (line := served.get("/values?n=0").json())["missing"] and line["t"] is None and line["ids"] is None
    line = served.get("/values?n=0&t=").json()
    assert line["t"] == "" and not line["missing"]


def test_no_value_is_left_for_the_next(served):
    for n in range(20):
        word = f"&t=w{n}" if n % 3 else ""
        assert served.get(f"/values?n={n}{word}").json()["t"] == (f"w{n}" if word else None)


def test_a_bound_limit(served):
    assert served.get("/limited?most=10&limit=3").body == b"i\r\n2\r\n3\r\n4\r\n"


@pytest.mark.parametrize("query, name", [("n=x", "n"), ("n=1&d=2024-02-30", "d"), ("", "n")])
def test_a_value_that_is_none_is_422(served, query, name):
    assert [each["name"] for each in served.get(f"/values?{query}").problem(422)["errors"]] == [name]


@pytest.mark.parametrize("query", ["n=1&mood=angry", "n=1&p=0", "n=1&odd=three", "n=9223372036854775807"])
def test_a_value_that_postgresql_refuses_is_422(served, query):
    assert served.get(f"/values?{query}").problem(422)["errors"]


# Failures before the first byte

def test_a_statement_that_fails_at_once_is_a_problem(served):
    served.get("/bad").problem(500)
    served.get("/writes").problem(500)
    assert served.sql("SELECT is_called FROM counted") == [(False,)]
    assert served.get("/plain").status == 200


def test_no_row_within_the_time_is_504_and_the_statement_ends(served):
    answer = served.get("/slow")
    answer.problem(504)
    assert 0.2 <= answer.seconds < 5
    wait_until(lambda: not sleeping(served.sql), 5, "the statement's end")


def test_the_server_bounds_the_whole(served):
    assert served.get("/timed").json()["most"] == "2h"


def test_they_are_counted(served):
    before = metrics(served)
    answer = served.get("/people")
    after = metrics(served)
    for name, more in (("larder_streams_total", 1), ("larder_stream_rows_total", 4),
                       ("larder_stream_bytes_total", len(answer.body)), ("larder_queries_total", 1)):
        assert after.sum(name) == before.sum(name) + more, name
    assert after.sum("larder_streams_running") == 0


# Others between

def test_behind_pgbouncer(shared_stack, lazy_postgres, work_folder):
    name = lazy_postgres().create_database()
    bouncer = PgBouncer(work_folder, lazy_postgres(), name, pool=2)
    settings = bouncer.environment | {"LARDER_DB_POOLING": "transaction", "LARDER_DB_POOL": "8"}
    stack = shared_stack(ROUTES, schema=SCHEMA + SEQUENCE, database=name, redis=False, export=True, env=settings)
    try:
        for n in range(10):
            assert len(rows(stack.get("/people"))) == 5
            assert stack.get(f"/values?n={n}&t=a{n}").json()["t"] == f"a{n}"
            assert stack.get(f"/values?n={n}").json()["t"] is None
            stack.get("/bad").problem(500)
        stack.get("/slow").problem(504)
        wait_until(lambda: not sleeping(stack.sql), 5, "the statement's end")
    finally:
        stack.stop(quietly=True)
        bouncer.stop()


def test_a_header_that_comes_alone_is_not_sent_before_the_first_row(stack, lazy_postgres):
    """PostgreSQL gathers 8 kB, but what stands between may cut that anywhere."""
    between = Proxy(("127.0.0.1", lazy_postgres().port))
    between.part(b"d\0\0\0\x06a\n", 0.5)
    try:
        cut = stack({"bad": ROUTES["bad"]}, schema=SCHEMA, redis=False, nginx=False,
                    env={"PGHOST": "127.0.0.1", "PGPORT": str(between.port)})
        cut.direct("/bad").problem(500)
        assert between.delayed
    finally:
        between.stop()


def test_a_download_says_that_it_is_not_cached(served):
    for method in ("GET", "HEAD"):
        assert served.get("/people", method=method)["Cache-Status"] == "larder; fwd=bypass"


def test_who_leaves_while_he_waits_for_a_connection_frees_his_thread(stack):
    started = stack(ROUTES | {"gate": GATE}, schema=SCHEMA + SEQUENCE, redis=False, nginx=False,
                    env={"LARDER_DB_POOL": "1", "LARDER_DB_WAIT": "60s", "LARDER_TIMEOUT": "60s"})

    def running():
        return metrics(started).sum("larder_streams_running")

    with Gate(started) as gate:
        holder = Background(started.direct, "/gate", timeout=60)
        gate.wait_for(1)
        with Download(started.api.socket, "/people"):
            wait_until(lambda: running() == 1, 10, "the download waiting")
        wait_until(lambda: running() == 0, 10, "its thread free")
        assert gate.waiting() == 1
        gate.open()
        assert holder.result().status == 200
