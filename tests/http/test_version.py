"""@version: what a read showed is what a write is held to, so that of two writers at once one is told."""

import json
import subprocess
import threading

import pytest

from support.paths import program

JSON = {"Content-Type": "application/json"}
SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL, version int NOT NULL DEFAULT 1,
                    changed timestamptz NOT NULL DEFAULT clock_timestamp(), word text NOT NULL DEFAULT 'a-gz');
CREATE TABLE history (note int, what text);
"""
ROWS = "TRUNCATE notes, history; INSERT INTO notes (id, text) SELECT n, 'first' FROM generate_series(1, 9) AS n;"


def read(path, column, *lines):
    return "\n".join([f"-- @http GET {path}/{{id}}", "-- @result row", f"-- @version {column}", *lines,
                      f"SELECT id, text, {column} FROM notes WHERE id = :id", ""])


def write(method, path, column, change, *lines, result="row", returning="RETURNING id, text, version", before=""):
    return "\n".join([f"-- @http {method} {path}/{{id}}", f"-- @result {result}", *lines,
                      f"{before}UPDATE notes SET text = :text, {change} WHERE id = :id"
                      f" AND {column} = coalesce(:version, {column}) {returning}", ""])


NEXT = "version = version + 1"
ROUTES = {
    "get": read("/notes", "version", "-- @cache ttl=60s"),
    "put": write("PUT", "/notes", "version", NEXT, "-- @version version required"),
    "patch": write("PATCH", "/notes", "version", NEXT, "-- @version version"),
    "delete": "-- @http DELETE /notes/{id}\n-- @result none\n-- @version version\n"
              "DELETE FROM notes WHERE id = :id AND version = coalesce(:version, version) RETURNING 1\n",
    "time": read("/times", "changed"),
    "put_time": write("PUT", "/times", "changed", "changed = clock_timestamp()", "-- @version changed"),
    "word": read("/words", "word", "-- @cache ttl=60s"),
    "put_word": write("PUT", "/words", "word", "word = word || '-br'", "-- @version word", result="none"),
    "row": read("/rows", "xmin::text::bigint AS row_version").replace("@version xmin::text::bigint AS ", "@version "),
    "put_row": write("PUT", "/rows", "xmin::text::bigint", NEXT, "-- @version row_version", result="rows"),
    "several": write("POST", "/notes", "version", NEXT, "-- @version version",
                     before="INSERT INTO history VALUES (:id, :text);\n"),
    "own": read("/own", "version"),
    "put_own": write("PUT", "/own", "text = 'mine' AND version", NEXT, "-- @version version").replace(
        "coalesce(:version, text = 'mine' AND version)", "coalesce(:version, version)"),
    "unread": write("PUT", "/unread", "version", NEXT, "-- @version version"),
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True)


@pytest.fixture(autouse=True)
def rows(served):
    served.sql(ROWS)


def put(served, path, text, tag=None, method="PUT", headers=None):
    headers = JSON | ({"If-Match": tag} if tag else {}) | (headers or {})
    return served.request(path, method, headers=headers, body=json.dumps({"text": text}).encode())


def text_of(served, note=1):
    return served.sql("SELECT text FROM notes WHERE id = %s", (note,))[0][0]


@pytest.mark.parametrize("path", ["/notes/1", "/times/1", "/words/1", "/rows/1"])
def test_a_read_s_etag_serves_as_if_match_once(served, path):
    tag = served.get(path)["ETag"]
    assert put(served, path, "second", tag).status in (200, 204)
    answer = put(served, path, "third", tag)
    assert answer.problem(412) and text_of(served) == "second"
    assert answer["ETag"] == served.get(path)["ETag"] != tag
    assert put(served, path, "fourth", answer["ETag"]).status in (200, 204) and text_of(served) == "fourth"


@pytest.mark.parametrize("coding", ["gzip", "br"])
@pytest.mark.parametrize("path", ["/notes/2", "/words/2"])
def test_the_etag_of_every_coding_serves(served, path, coding):
    served.sql("UPDATE notes SET text = repeat('x', 5000) WHERE id = 2")
    answer = served.request(path, headers={"Accept-Encoding": coding})
    assert answer["Content-Encoding"] == coding and answer["ETag"].endswith({"gzip": '-gz"', "br": '-br"'}[coding])
    both = answer["ETag"] + ", " + served.get(path)["ETag"]
    assert put(served, path, "y", both).status in (200, 204)
    assert put(served, path, "y", both).status == 412


def test_the_etag_still_serves_a_reader(served):
    for note in range(2):
        answer = served.get("/notes/3")
        assert served.request("/notes/3", headers={"If-None-Match": answer["ETag"]}).status == 304
        assert served.request("/notes/3", headers={"If-Match": answer["ETag"]}).status == 200
        assert served.request("/notes/3", "HEAD")["ETag"] == answer["ETag"]


def test_required_means_428_without_if_match(served):
    assert "If-Match" in put(served, "/notes/1", "x").problem(428)["detail"] and text_of(served) == "first"
    assert put(served, "/notes/1", "x", "*").status == 200
    assert put(served, "/notes/1", "y", method="PATCH").status == 200 and text_of(served) == "y"


def test_a_row_that_is_not_there_is_404(served):
    tag = served.get("/notes/1")["ETag"]
    assert put(served, "/notes/77", "x", tag).problem(404)
    assert put(served, "/notes/77", "x", "*").problem(404)
    assert put(served, "/notes/77", "x", method="PATCH").problem(404)
    assert put(served, "/words/77", "x", served.get("/words/1")["ETag"]).problem(404)


@pytest.mark.parametrize("tag", ['"abc"', '"abcdefghijklmnopqrstuv"', '"abcdefghijklmnopqrstuv."',
                                 '"abcdefghijklmnopqrstuv.!!"', '"abcdefghijklmnopqrstuv.eHh4"', "", "abc", '"',
                                 '"abcdefghijklmnopqrstuv.' + "A" * 64 + '"', '"abcdefghijklmnopqrstuv.' + "Q" * 9000 + '"'])
def test_a_tag_that_no_row_has_is_412(served, tag):
    answer = served.request("/notes/1", "PUT", headers=JSON | {"If-Match": tag}, body=b'{"text": "x"}')
    assert answer.problem(412) and text_of(served) == "first"
    assert answer["ETag"] == served.get("/notes/1")["ETag"]


def test_weak_and_several(served):
    tag = served.get("/notes/1")["ETag"]
    assert put(served, "/notes/1", "x", "W/" + tag).status == 412
    other = '"abcdefghijklmnopqrstuv.OTk"'
    assert "one version" in put(served, "/notes/1", "x", f"{tag}, {other}").problem(400)["detail"]
    assert put(served, "/notes/1", "x", f'"else", {tag}, W/{other}').status == 200


def test_if_none_match_is_refused(served):
    assert "If-Match" in put(served, "/notes/1", "x", "*", headers={"If-None-Match": "*"}).problem(412)["detail"]


def test_a_delete_is_held_to_it(served):
    old = served.get("/notes/4")["ETag"]
    assert put(served, "/notes/4", "x", old).status == 200
    assert served.request("/notes/4", "DELETE", headers={"If-Match": old}).problem(412)
    new = served.get("/notes/4")["ETag"]
    assert served.request("/notes/4", "DELETE", headers={"If-Match": new}).status == 204
    assert served.request("/notes/4", "DELETE", headers={"If-Match": new}).status == 404


def test_statements_before_it_are_undone(served):
    old = served.get("/notes/5")["ETag"]
    assert put(served, "/notes/5", "x", old, "POST").status == 200
    assert put(served, "/notes/5", "y", old, "POST").problem(412)
    assert served.sql("SELECT what FROM history WHERE note = 5") == [("x",)]


def test_a_row_that_is_missing_for_another_reason_is_404(served):
    tag = served.get("/own/6")["ETag"]
    assert put(served, "/own/6", "x", tag).problem(404)
    served.sql("UPDATE notes SET text = 'mine' WHERE id = 6")
    assert put(served, "/own/6", "x", tag).status == 200
    served.sql("UPDATE notes SET text = 'mine' WHERE id = 6")
    assert put(served, "/own/6", "x", tag).problem(412)


def test_without_a_read_at_the_path_there_is_no_etag_to_tell(served):
    answer = put(served, "/unread/1", "x", '"abcdefghijklmnopqrstuv.OTk"')
    assert answer.problem(412) and answer["ETag"] is None


def test_the_body_s_faults_are_told_before_the_version_s(served):
    answer = served.request("/notes/1", "PUT", headers=JSON | {"If-Match": '"x"'}, body=b'{"text": 1}')
    assert answer.problem(422)


def test_of_eight_writers_at_once_one_wins_always(served):
    for turn in range(50):
        page = served.get("/notes/9")
        tag, statuses = page["ETag"], [None] * 8

        def one(writer):
            statuses[writer] = put(served, "/notes/9", f"{turn} {writer}", tag).status

        threads = [threading.Thread(target=one, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] + [412] * 7, (turn, statuses, page)
        assert text_of(served, 9) == f"{turn} {statuses.index(200)}"
    assert served.sql("SELECT version FROM notes WHERE id = 9") == [(51,)]


@pytest.mark.parametrize("text, told", [
    ("-- @http PUT /a/{id}\n-- @version version\nUPDATE notes SET text = :text WHERE id = :id\n",
     "AND version = coalesce(:version, version)"),
    ("-- @http GET /a/{id}\n-- @version version\nSELECT * FROM notes WHERE id = :id\n", "@result row"),
    ("-- @http GET /a/{id}\n-- @version version\n-- @result row\nSELECT id FROM notes WHERE id = :id\n", "no column"),
    ("-- @http PUT /a/{id}\n-- @version version\nUPDATE notes SET text = 'x' WHERE id = :id AND version = :version\n",
     "RETURNING"),
    ("-- @http PUT /a/{id}\n-- @version version\nINSERT INTO history VALUES (1, 'x');\n"
     "UPDATE notes SET text = 'x' WHERE id = :id AND version = :version RETURNING id\n", "undoes all"),
    ("-- @http PUT /a/{id}\n-- @version version\n-- @result none\nWITH told AS (INSERT INTO history VALUES (1, 'x'))\n"
     "UPDATE notes SET text = 'x' WHERE id = :id AND version = :version RETURNING id\n", "undoes all"),
    ("-- @http PUT /a/{id}\n-- @version version\n-- @result row\n"
     "UPDATE notes SET text = 'x' WHERE id = :id AND version = :version; SELECT 1\n", "last statement"),
])
def test_check_tells_what_is_missing(served, tmp_path, text, told):
    (tmp_path / "route.sql").write_text(text)
    environment = served.environment() | {"LARDER_ROUTES": str(tmp_path)}
    done = subprocess.run([program("larder"), "check", str(tmp_path)], env=environment, capture_output=True, text=True,
                          check=False)
    assert done.returncode != 0 and told in done.stdout + done.stderr, done
