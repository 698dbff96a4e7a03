"""Writes: their answers, their transaction, what is refused and how, and what they leave in place."""

import subprocess

import pytest

from support.paths import program
from support.stack import metrics

SCHEMA = """
CREATE TABLE authors (id serial PRIMARY KEY, name text NOT NULL UNIQUE, age int CHECK (age >= 0));
CREATE TABLE posts (id bigserial PRIMARY KEY, author int NOT NULL REFERENCES authors, title text NOT NULL,
                    slug text, UNIQUE (author, slug));
CREATE TABLE history (author int, what text);
CREATE FUNCTION rename(who int, new text) RETURNS text LANGUAGE sql AS
    $$ UPDATE authors SET name = new WHERE id = who RETURNING name $$;
CREATE FUNCTION refuse(what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE check_violation USING COLUMN = 'what', MESSAGE = 'telltale ' || what; END $$;
CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE internal_error USING MESSAGE = 'telltale message'; END $$;
"""
ROWS = """
TRUNCATE authors, posts, history RESTART IDENTITY;
INSERT INTO authors (name, age) VALUES ('ann', 30), ('bob', 40), ('cid', NULL);
INSERT INTO posts (author, title, slug) VALUES (1, 'first', 'a'), (1, 'second', 'b'), (2, 'third', 'a');
"""


def route(method, path, statement, *lines, query="", result=None):
    """`query`: names with types, taken from the query; a body is another test's."""
    head = [f"-- @http {method} {path}", *(f"-- @param {each} in=query" for each in query.split(",") if each),
            *([f"-- @result {result}"] if result else []), *(f"-- {line}" for line in lines)]
    return "\n".join([*head, statement, ""])


NAME = "name text default=null"
ROUTES = {
    "authors": route("GET", "/authors/{id}", "SELECT id, name FROM authors WHERE id = :id", result="row"),
    "insert": route("POST", "/authors", "INSERT INTO authors (name, age) VALUES (:name, :age) RETURNING id, name",
                    "@location /authors/{id}", query=f"{NAME},age int default=null", result="row"),
    "put": route("PUT", "/authors/{id}", "UPDATE authors SET name = :name WHERE id = :id RETURNING id, name",
                 query="name", result="row"),
    "patch": route("PATCH", "/authors/{id}", "UPDATE authors SET age = :age WHERE id = :id", query="age"),
    "delete": route("DELETE", "/authors/{id}", "DELETE FROM authors WHERE id = :id", result="none"),
    "rows": route("DELETE", "/posts", "DELETE FROM posts WHERE author = :author RETURNING id", query="author"),
    "value": route("POST", "/value", "UPDATE authors SET age = age + 1 WHERE id = :id RETURNING age",
                   query="id", result="value"),
    "json": route("POST", "/json", "UPDATE authors SET age = age + 1 WHERE id = :id RETURNING json_build_array(age)",
                  query="id", result="json"),
    "function": route("POST", "/rename", "SELECT rename(:id, :name) AS name", query="id,name", result="row"),
    "with": route("POST", "/with", "WITH gone AS (DELETE FROM posts WHERE author = :author RETURNING id),\n"
                  "noted AS (INSERT INTO history VALUES (:author, 'cleared'))\n"
                  "SELECT count(*) AS gone FROM gone -- how many", query="author", result="row"),
    "with-insert": route("POST", "/with-insert", "WITH who AS (SELECT id FROM authors WHERE name = :name)\n"
                         "INSERT INTO history SELECT id, 'seen' FROM who RETURNING author", query="name"),
    "several": route("POST", "/several",
                     "UPDATE authors SET name = :name WHERE id = :id;\n"
                     "INSERT INTO history VALUES (:id, 'renamed to ' || :name);\n"
                     "SELECT a.name, count(*) AS notes FROM authors a JOIN history h ON h.author = a.id\n"
                     "WHERE a.id = :id GROUP BY a.name;", query="id,name", result="row"),
    "several-none": route("POST", "/several-none", "INSERT INTO history VALUES (:id, 'one');\n"
                          "INSERT INTO history VALUES (:id, 'two')", query="id"),
    "refused": route("POST", "/refused", "INSERT INTO history VALUES (1, :what); SELECT refuse(:what)", query="what"),
    "late-fault": route("POST", "/late-fault", "INSERT INTO history VALUES (1, 'one'); SELECT fail()"),
    "late-missing": route("POST", "/late-missing", "INSERT INTO history VALUES (:id, 'one');\n"
                          "UPDATE authors SET age = 1 WHERE id = :id RETURNING id", query="id", result="row"),
    "many": route("POST", "/many", "INSERT INTO history SELECT n, 'n' FROM generate_series(1, :n::int) AS n\n"
                  "RETURNING author", query="n", result="row"),
    "located": route("POST", "/located/{word}", "INSERT INTO history VALUES (1, :word)",
                     "@location /things/{word}/x"),
    "located-rows": route("POST", "/located", "INSERT INTO history SELECT n, 'x' FROM generate_series(5, 4 + :n) AS n"
                          " RETURNING author", "@location /things/{author}", "@param n int in=query"),
    "located-none": route("POST", "/located-none", "INSERT INTO history VALUES (7, :what) RETURNING author, what",
                          "@location /things/{author}/{what}", "@result none", query="what"),
    "located-value": route("POST", "/located-value", "INSERT INTO history VALUES (8, 'x') RETURNING author",
                           "@location /things/{author}", "@result value"),
    "posts": route("POST", "/posts", "INSERT INTO posts (author, title, slug) VALUES (:author, :title, :slug)",
                   query="author default=null,title default=null,slug default=null"),
    "unnamed": route("POST", "/unnamed", "INSERT INTO posts (title) VALUES ('t')"),
    "controlled": route("POST", "/controlled", "SELECT 1 AS a", "@control private, max-age=5"),
    "command": route("POST", "/command", "LOCK TABLE history IN SHARE MODE"),
    "slow": route("POST", "/slow", "INSERT INTO history SELECT 9, 'slow' FROM pg_sleep(5)", "@timeout 200ms"),
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, nginx=False)


@pytest.fixture
def served(shared):
    shared.sql(ROWS)
    return shared


def history(stack):
    return stack.sql("SELECT author, what FROM history ORDER BY 1, 2")


def post(stack, target, method="POST", **options):
    return stack.direct(target, method=method, **options)


# Answers

def test_an_insert_is_201_and_tells_where(served):
    answer = post(served, "/authors?name=d%20d&age=5")
    assert (answer.status, answer.json()) == (201, {"id": 4, "name": "d d"})
    assert answer["Location"] == "/authors/4" and answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json" and answer["ETag"] is None
    assert served.direct(answer["Location"]).json() == answer.json()


def test_an_update_is_200_with_its_row(served):
    answer = post(served, "/authors/2?name=rob", "PUT")
    assert (answer.status, answer.body, answer["Location"]) == (200, b'{"id":2,"name":"rob"}', None)


def test_a_row_that_is_not_there_is_404(served):
    problem = post(served, "/authors/77?name=x", "PUT").problem(404)
    assert problem["instance"] == "/authors/77"


@pytest.mark.parametrize("method, target", [
    ("PATCH", "/authors/1?age=3"), ("DELETE", "/authors/3"), ("DELETE", "/authors/77"), ("POST", "/several-none?id=3"),
    ("POST", "/command")])
def test_without_rows_it_is_204(served, method, target):
    answer = post(served, target, method)
    assert (answer.status, answer.body, answer["Content-Length"]) == (204, b"", None)
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("target, body", [
    ("/value?id=1", b"31"), ("/value?id=3", b"null"), ("/json?id=1", b"[31]"),
    ("/rename?id=1&name=x", b'{"name":"x"}'), ("/rename?id=77&name=x", b'{"name":null}'),
    ("/with?author=1", b'{"gone":2}'), ("/with-insert?name=bob", b'[{"author":2}]'),
    ("/with-insert?name=nobody", b"[]"), ("/several?id=1&name=x", b'{"name":"x","notes":1}')])
def test_rows_are_shaped_as_for_reads(served, target, body):
    answer = post(served, target)
    assert (answer.status, answer.body) == (200, body)


def test_deleted_rows_are_an_array(served):
    assert post(served, "/posts?author=1", "DELETE").json() == [{"id": 1}, {"id": 2}]
    assert post(served, "/posts?author=1", "DELETE").json() == []


@pytest.mark.parametrize("target, status, place", [
    ("/located/a%20%2F%C3%BC~", 201, "/things/a%20%2F%C3%BC~/x"), ("/located?n=2", 201, "/things/5"),
    ("/located?n=0", 200, None), ("/located-none?what=a.b", 201, "/things/7/a.b"),
    ("/located-none?what=...", 201, "/things/7/..."),
    ("/located-value", 201, "/things/8")])
def test_location_names_parameters_and_columns_of_the_first_row(served, target, status, place):
    answer = post(served, target)
    assert (answer.status, answer["Location"]) == (status, place)
    assert answer["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("what", [".", "..", "%2e%2E"])
def test_no_location_leads_elsewhere(served, what):
    answer = post(served, f"/located-none?what={what}")
    assert (answer.status, answer["Location"]) == (204, None)


def test_the_routes_own_cache_control_is_sent(served):
    assert post(served, "/controlled")["Cache-Control"] == "private, max-age=5"


def test_other_methods_are_listed(served):
    assert post(served, "/authors/1", "OPTIONS")["Allow"] == "OPTIONS, GET, HEAD, PUT, PATCH, DELETE"
    answer = served.direct("/authors")
    answer.problem(405)
    assert answer["Allow"] == "OPTIONS, POST"
    post(served, "/authors", "HEAD")
    assert post(served, "/authors", "HEAD").status == 405


# One transaction

def test_all_statements_or_none(served):
    post(served, "/several?id=1&name=x")
    assert history(served) == [(1, "renamed to x")]
    problem = post(served, "/several?id=2&name=x").problem(409)
    assert "telltale" not in str(problem)
    assert history(served) == [(1, "renamed to x")]
    post(served, "/late-fault").problem(500)
    assert history(served) == [(1, "renamed to x")]


def test_a_missing_row_undoes_what_came_before_it(served):
    assert post(served, "/late-missing?id=1").json() == {"id": 1}
    post(served, "/late-missing?id=77").problem(404)
    assert history(served) == [(1, "one")]


def test_more_rows_than_one_undo_the_write(served):
    assert post(served, "/many?n=1").json() == {"author": 1}
    post(served, "/many?n=2").problem(500)
    assert history(served) == [(1, "n")]


def test_a_write_whose_time_is_over_is_504_and_undone(served):
    post(served, "/slow").problem(504)
    assert history(served) == []


# Refusals

@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_condition_without_a_version_is_412_and_nothing_is_done(served, header):
    answer = post(served, "/authors/1?name=x", "PUT", headers={header: '"abc"'})
    assert "versions" in answer.problem(412)["detail"]
    assert served.sql("SELECT name FROM authors WHERE id = 1") == [("ann",)]


def test_what_a_failed_function_says_stays_here(served):
    answer = post(served, "/late-fault")
    assert "telltale" not in answer.text and "SELECT" not in answer.text
    assert "telltale message" in served.log_text()


def test_a_value_that_does_not_fit_is_422_before_anything_runs(served):
    problem = post(served, "/authors/x?name=y", "PUT").problem(422)
    assert [(each["name"], each["in"]) for each in problem["errors"]] == [("id", "path")]


@pytest.mark.parametrize("method, target, status, named, words", [
    ("POST", "/authors?name=ann", 409, [("name", "query")], "this value is taken already"),
    ("POST", "/authors", 422, [("name", "query")], "must have a value"),
    ("POST", "/authors?name=x&age=-1", 422, [("age", "query")], "has a value that is not allowed"),
    ("POST", "/posts?author=77&title=t", 409, [("author", "query")], "names something that does not exist"),
    ("POST", "/posts?author=1&title=t&slug=a", 409, [("author", "query"), ("slug", "query")],
     "these values together are taken already"),
    ("PUT", "/authors/1?name=bob", 409, [("name", "query")], "this value is taken already"),
    ("DELETE", "/authors/1", 409, [], "still in use"),
    ("POST", "/rename?id=1&name=bob", 409, [("name", "query")], "this value is taken already"),
    ("POST", "/unnamed", 422, [("author", None)], "must have a value"),
])
def test_a_constraint_names_the_fields(served, method, target, status, named, words):
    answer = post(served, target, method)
    problem = answer.problem(status)
    assert [(each["name"], each.get("in")) for each in problem.get("errors", [])] == named
    assert words in problem["detail"] or all(each["detail"] == words for each in problem["errors"])
    for secret in ("key", "constraint", "violates", "relation", "authors_", "posts_", "INSERT"):
        assert secret not in answer.text, answer.text


def test_a_function_refuses_as_a_constraint_does_and_its_words_stay_here(served):
    answer = post(served, "/refused?what=x")
    assert answer.problem(422)["errors"] == [{"name": "what", "in": "query", "detail": "has a value that is not allowed"}]
    assert "telltale" not in answer.text and history(served) == []


# What is counted

def test_writes_are_counted(served):
    before = metrics(served)
    post(served, "/several-none?id=1")
    post(served, "/late-fault")
    after = metrics(served)

    def grown(name, **labels):
        return after.sum(name, **labels) - before.sum(name, **labels)

    assert (grown("larder_writes_total"), grown("larder_write_errors_total")) == (1, 1)
    assert grown("larder_requests_total", route="POST /several-none", status="204", tier="database") == 1
    assert grown("larder_query_seconds_count") == 2 and grown("larder_queries_total") == 0


# larder check

CHECKED = {
    "unknown-column": (route("POST", "/a", "SELECT 1;\nINSERT INTO history VALUES (1, nothing)"),
                       ':3:32: PostgreSQL: column "nothing" does not exist'),
    "first-of-two": (route("POST", "/a", "UPDATE history SET nothing = 1;\nSELECT 1"), ":2:20: PostgreSQL: column"),
    "no-rows": (route("POST", "/a", "INSERT INTO history VALUES (1, 'x')", result="row"),
                "@result row, but the last statement gives no rows: add RETURNING"),
    "made-before": (route("POST", "/a", "CREATE TEMP TABLE made (a int);\nINSERT INTO made VALUES (1)"),
                    "so what one makes the next can't use"),
    "no-place": (route("POST", "/a", "INSERT INTO history VALUES (1, 'x') RETURNING author",
                       "@location /things/{id}"),
                 ":2:23: @location: {id} is no parameter and no column of what the last statement gives"),
    "refreshes-place": (route("POST", "/a", "SELECT 1 AS a", "@refreshes GET /kept/{b}"),
                        "@refreshes: {b} is no parameter"),
    "refreshes-nothing": (route("POST", "/a", "SELECT 1 AS id", "@refreshes GET /a/b"),
                          ":2: @refreshes GET /a/b: there is no such route"),
    "refreshes-not-kept": (route("POST", "/a", "SELECT 1 AS id", "@refreshes GET /authors/{id}"),
                           "it has no @cache"),
    "refreshes-needy": (route("POST", "/a", "SELECT 1 AS id", "@refreshes GET /needy"), "must be given"),
    "twins": (route("POST", "/a", "INSERT INTO history VALUES (1, 'x') RETURNING author, what AS author"),
              'columns 1 and 2 are both called "author"'),
    "two-columns": (route("POST", "/a", "SELECT 1, 2", result="value"), "needs a statement with one column"),
    "commit": (route("POST", "/a", "SELECT 1; COMMIT"), "are one transaction already"),
}


@pytest.mark.parametrize("case", CHECKED)
def test_check_tells_what_is_wrong_with_a_write(served, tmp_path, case):
    text, wanted = CHECKED[case]
    (tmp_path / "a.sql").write_text(text)
    (tmp_path / "authors.sql").write_text(ROUTES["authors"])
    (tmp_path / "kept.sql").write_text(route("GET", "/kept/{id}", "SELECT :id::int AS a", "@cache ttl=1m"))
    (tmp_path / "needy.sql").write_text(route("GET", "/needy", "SELECT :id::int AS a", "@cache ttl=1m", query="id"))
    done = subprocess.run([program("larder"), "check"], env=served.environment() | {"LARDER_ROUTES": str(tmp_path)},
                          capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and wanted in done.stdout, done.stdout + done.stderr
    assert "1 fault" in done.stdout


def test_check_takes_every_route_here(served):
    done = subprocess.run([program("larder"), "check"], env=served.environment(), capture_output=True, text=True,
                          check=False, timeout=30)
    assert done.returncode == 0 and "not served" not in done.stdout, done.stdout + done.stderr
