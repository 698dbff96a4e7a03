"""Writes with @auth rls: the database's policies say who may change what, and what a refusal may tell."""

import json

import pytest

from support import tokens
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, keep
from support.crowd import ask_together
from support.tokens import bearer

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rls_writer') THEN
        CREATE ROLE rls_writer; CREATE ROLE rls_stranger; GRANT rls_writer TO larder;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rls_lesser') THEN
        CREATE ROLE rls_lesser; GRANT rls_lesser TO larder;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rls_onlooker') THEN
        CREATE ROLE rls_onlooker; GRANT rls_onlooker TO larder;
    END IF;
END $$;
"""
CLAIM = "current_setting('request.jwt.claims', true)::json ->> 'sub'"
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE notes (id int PRIMARY KEY, owner text NOT NULL, word text NOT NULL, version int NOT NULL DEFAULT 1);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes TO rls_writer USING (owner = {CLAIM}) WITH CHECK (owner = {CLAIM});
GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO rls_writer;
"""
ROWS = "TRUNCATE notes; INSERT INTO notes VALUES (1, 'ann', 'a'), (2, 'bob', 'b')"
WHO = "SELECT current_user::text AS who, nullif(current_setting('request.jwt.claims', true), '') AS claims"


def route(method, path, statement, *lines):
    return "\n".join([f"-- @http {method} {path}", *(f"-- {line}" for line in lines), statement, ""])


RLS, ROW, VERSION = "@auth required rls", "@result row", "@version version"
UPDATE = "UPDATE notes SET word = :word, version = version + 1 WHERE id = :id"
HELD = "AND version = coalesce(:version, version) RETURNING id, word, version"
READ = "SELECT id, word, version FROM notes WHERE id = :id"
ROUTES = SENTINEL_ROUTE | {
    "list": route("GET", "/notes", "SELECT id, word FROM notes ORDER BY id", RLS, "@cache ttl=300s"),
    "get": route("GET", "/notes/{id}", READ, RLS, ROW, VERSION),
    "post": route("POST", "/notes", "INSERT INTO notes (id, owner, word) VALUES (:id, :owner, :word) RETURNING id", RLS,
                  ROW, "@location /notes/{id}"),
    "put": route("PUT", "/notes/{id}", f"{UPDATE} {HELD}", RLS, ROW, VERSION),
    "delete": route("DELETE", "/notes/{id}", "DELETE FROM notes WHERE id = :id RETURNING id", RLS, ROW),
    "get_seen": route("GET", "/seen/{id}", READ, RLS, ROW, VERSION),
    "put_seen": route("PUT", "/seen/{id}", f"{UPDATE} {HELD}", "@auth optional", ROW, VERSION),
    "get_edited": route("GET", "/edited/{id}", READ, "@auth required role=editor", ROW, VERSION),
    "put_edited": route("PUT", "/edited/{id}", f"{UPDATE} {HELD}", "@auth optional", ROW, VERSION),
    "who": route("POST", "/who", WHO, RLS, ROW),
    "session": route("GET", "/session", WHO, ROW),
}
STALE = '"AAAAAAAAAAAAAAAAAAAAAA.OTk"'  # a tag of version 99


@pytest.fixture(scope="module")
def shared(shared_stack, lazy_postgres, tmp_path_factory):
    lazy_postgres().execute(ROLES)
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True,
                        env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key", LARDER_DB_POOL="2"))


@pytest.fixture
def served(shared):
    shared.sql(ROWS)
    barrier(shared)
    return shared


def writer(subject, **claims):
    return bearer(subject, role="rls_writer", **claims)


def send(served, method, target, headers, **fields):
    body = json.dumps(fields).encode() if fields else b""
    return served.request(target, method, headers=headers | ({"Content-Type": "application/json"} if fields else {}),
                          body=body)


def words(served):
    return dict(served.sql("SELECT id, word FROM notes"))


def test_the_responders_own_role_is_nobodys(served):
    for headers in (bearer("ann", role="larder"), bearer("ann", role="none")):
        send(served, "POST", "/who", headers).problem(403)
        send(served, "POST", "/notes", headers, id=3, owner="ann", word="new").problem(403)
    assert set(words(served)) == {1, 2}


def test_what_was_answered_to_a_role_is_told_to_no_other(served):
    def post(headers):
        return send(served, "POST", "/notes", headers | {"Idempotency-Key": f"role-{id(served)}"}, id=3, owner="ann",
                    word="new")
    assert post(writer("ann")).status == 201
    again = post(writer("ann", app="another device"))
    assert again.status == 201 and again["Idempotent-Replayed"] == "true"
    for role in ("rls_lesser", "rls_stranger"):
        assert "another request" in post(bearer("ann", role=role)).problem(422)["detail"]
    assert post(writer("bob")).status == 403


def test_a_policy_says_who_may_write_what(served):
    keep(lambda: served.get("/notes", headers=writer("ann")))
    created = send(served, "POST", "/notes", writer("ann"), id=3, owner="ann", word="new")
    assert created.status == 201 and created["Location"] == "/notes/3"
    assert [row["id"] for row in served.get("/notes", headers=writer("ann")).json()] == [1, 3]
    assert [row["id"] for row in served.get("/notes", headers=writer("bob")).json()] == [2]
    refused = send(served, "POST", "/notes", writer("ann"), id=4, owner="bob", word="forged")
    assert "notes" not in refused.problem(403)["detail"]
    send(served, "PUT", "/notes/2", writer("ann"), word="stolen").problem(404)
    send(served, "DELETE", "/notes/2", writer("ann")).problem(404)
    assert words(served) == {1: "a", 2: "b", 3: "new"}
    assert send(served, "PUT", "/notes/2", writer("bob"), word="mine").status == 200
    assert send(served, "DELETE", "/notes/2", writer("bob")).status in (200, 204)


@pytest.mark.parametrize("role", ["rls_stranger", "nonexistent", "none", "postgres"])
def test_a_role_that_may_not_be_taken_writes_nothing(served, role):
    before = words(served)
    assert send(served, "PUT", "/notes/1", bearer("ann", role=role), word="x").problem(403)
    assert send(served, "POST", "/who", bearer("ann", role=role)).problem(403)
    assert words(served) == before


def test_nobody_signed_in_is_401_before_the_body_is_looked_at(served):
    answer = served.request("/notes", "POST", headers={"Content-Type": "text/nonsense"}, body=b"{")
    assert answer.problem(401) and answer["WWW-Authenticate"] == 'Bearer realm="larder"'
    send(served, "PUT", "/notes/1", {"Authorization": "Bearer x", "If-Match": "*"}, word="x").problem(401)


def test_a_write_runs_as_the_role_and_leaves_the_session_its_own(served):
    own = served.get("/session").json()
    assert own["claims"] is None and own["who"] == "larder"
    for _ in range(3):
        answer = send(served, "POST", "/who", writer("ann")).json()
        assert answer["who"] == "rls_writer" and json.loads(answer["claims"])["sub"] == "ann"
        send(served, "POST", "/notes", writer("ann"), id=4, owner="bob", word="forged")
        assert all(each.json() == own for each in ask_together(served.direct, ["/session"] * 4))


def test_a_version_that_has_passed_tells_its_successor_to_who_may_see_it(served):
    tag = served.get("/notes/1", headers=writer("ann"))["ETag"]
    answer = send(served, "PUT", "/notes/1", writer("ann") | {"If-Match": STALE}, word="x")
    assert answer.problem(412) and answer["ETag"] == tag
    assert send(served, "PUT", "/notes/1", writer("ann") | {"If-Match": tag}, word="x").status == 200


@pytest.mark.parametrize("path, headers, status", [
    ("/notes", writer("bob"), 404), ("/seen", writer("bob"), 404), ("/seen", {}, 412), ("/seen", bearer("ann"), 412),
    ("/edited", writer("ann"), 412), ("/edited", {}, 412)])
def test_a_version_is_told_to_nobody_who_may_not_read_it(served, path, headers, status):
    """The read at the same path asks for a role, or its policy hides the row."""
    answer = send(served, "PUT", f"{path}/1", headers | {"If-Match": STALE}, word="x")
    assert answer.problem(status) and answer["ETag"] is None
    assert words(served)[1] == "a"


def test_who_may_read_is_told(served):
    for path, headers in (("/seen", writer("ann")), ("/edited", bearer("zoe", role="editor"))):
        answer = send(served, "PUT", f"{path}/1", headers | {"If-Match": STALE}, word="x")
        assert answer.problem(412) and answer["ETag"] == served.get(f"{path}/1", headers=headers)["ETag"]


def test_a_kept_answer_is_that_of_the_role_it_was_made_for(served):
    """Who has lost a role is not shown again what was seen with it."""
    key = {"Idempotency-Key": "a-key-of-one-role"}
    first = send(served, "POST", "/who", writer("ann") | key)
    assert first.json()["who"] == "rls_writer"
    assert send(served, "POST", "/who", writer("ann", iat=1) | key).body == first.body, "with a later token"
    send(served, "POST", "/who", bearer("ann", role="rls_onlooker") | key).problem(422)
    assert send(served, "POST", "/who", bearer("bob", role="rls_onlooker") | key).json()["who"] == "rls_onlooker"
