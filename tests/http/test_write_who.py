"""Writes by somebody: claims as values, row level security, what a write makes anew for its writer; and nginx's pages."""

import pytest

from support import tokens
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, is_hit, keep, outbox_unread
from support.tokens import bearer
from support.waiting import wait_until

SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE notes (id serial PRIMARY KEY, owner int NOT NULL, text text NOT NULL);
INSERT INTO notes (owner, text) VALUES (7, 'seven'), (8, 'eight');
CREATE TABLE guarded (id int PRIMARY KEY, owner text NOT NULL, text text);
INSERT INTO guarded VALUES (1, '7', 'of seven'), (2, '8', 'of eight');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (owner = current_setting('request.jwt.claims', true)::json->>'sub');
GRANT SELECT, UPDATE, INSERT ON guarded TO PUBLIC;
CREATE TABLE pages (id int PRIMARY KEY, text text);
INSERT INTO pages VALUES (1, 'old');
"""
ROUTES = SENTINEL_ROUTE | {
    "mine": "-- @http GET /mine\n-- @auth required\n-- @cache ttl=300s\n-- @depends notes.owner = :auth.sub\n"
            "SELECT id, text FROM notes WHERE owner = :auth.sub::int ORDER BY id",
    "add": "-- @http POST /mine\n-- @auth required\n-- @param text text in=query\n-- @result row\n"
           "-- @location /mine/{id}\n-- @refreshes GET /mine\n"
           "INSERT INTO notes (owner, text) VALUES (:auth.sub::int, :text) RETURNING id, text",
    "guarded": "-- @http PUT /guarded/{id}\n-- @auth required rls\n-- @param text text in=query\n-- @result row\n"
               "UPDATE guarded SET text = :text WHERE id = :id RETURNING id, text",
    "forge": "-- @http POST /guarded/{id}\n-- @auth required rls\n"
             "INSERT INTO guarded VALUES (:id, 'somebody else', 'x')",
    "page": "-- @http GET /pages/{id}\n-- @result row\n-- @cache ttl=10m\n-- @nginx ttl=5m\n-- @depends pages.id = :id\n"
            "SELECT text FROM pages WHERE id = :id",
    "turn": "-- @http PUT /pages/{id}\n-- @param text text in=query\nUPDATE pages SET text = :text WHERE id = :id",
}


@pytest.fixture(scope="module")
def served(shared_stack, lazy_postgres, tmp_path_factory):
    lazy_postgres().execute("DROP ROLE IF EXISTS write_reader; CREATE ROLE write_reader; GRANT write_reader TO larder")
    stack = shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True,
                         env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key"))
    barrier(stack)
    return stack


def mine(stack, user):
    return stack.direct("/mine", headers=bearer(user))


def test_a_write_needs_its_token_before_anything_runs(served):
    answer = served.direct("/mine?text=x", method="POST")
    answer.problem(401)
    assert answer["WWW-Authenticate"] and served.sql("SELECT count(*) FROM notes WHERE text = 'x'") == [(0,)]


def test_a_write_is_fresh_and_made_anew_for_its_writer_alone(served):
    for number in range(10):
        keep(lambda: mine(served, 7))
        others = keep(lambda: mine(served, 8)).json()
        with outbox_unread(served):
            answer = served.direct(f"/mine?text=n{number}", method="POST", headers=bearer(7))
            assert answer.status == 201 and answer["Location"] == f"/mine/{answer.json()['id']}"
            read = mine(served, 7)
            assert read.json()[-1] == answer.json() and is_hit(read)
            other = mine(served, 8)
            assert other.json() == others and is_hit(other), "the other's answer stays as it is"


def test_row_level_security_decides_what_is_written(served):
    own = served.direct("/guarded/1?text=mine", method="PUT", headers=bearer(7, role="write_reader"))
    assert own.json() == {"id": 1, "text": "mine"}
    served.direct("/guarded/2?text=mine", method="PUT", headers=bearer(7, role="write_reader")).problem(404)
    answer = served.direct("/guarded/3", method="POST", headers=bearer(7, role="write_reader"))
    answer.problem(403)
    assert "policy" not in answer.text and "guarded\"" not in answer.text.replace("/guarded", "")
    assert served.sql("SELECT count(*) FROM guarded WHERE id = 3") == [(0,)]


def test_nginx_has_its_page_anew_in_moments(served):
    def page():
        return served.get("/pages/1")

    wait_until(lambda: "nginx; hit" in (page()["Cache-Status"] or ""), 20, "a page that nginx keeps")
    for number in range(5):
        assert served.request(f"/pages/1?text=t{number}", "PUT").status == 204
        assert served.direct("/pages/1").json() == {"text": f"t{number}"}
        wait_until(lambda: page().json() == {"text": f"t{number}"}, 2, "the page anew in nginx", every=0.005)
        wait_until(lambda: "nginx; hit" in (page()["Cache-Status"] or ""), 5, "kept by nginx", every=0.01)
