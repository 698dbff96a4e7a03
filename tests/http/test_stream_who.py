"""Downloads and who asks: tokens, claims, row level security, limits."""

import pytest

from support import tokens
from support.download import Download
from support.stack import metrics
from support.tokens import bearer
from support.waiting import wait_until

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stream_reader') THEN
        CREATE ROLE stream_reader; CREATE ROLE stream_other; CREATE ROLE stream_foreign;
        GRANT stream_reader, stream_other TO larder;
    END IF;
END $$;
"""
CLAIM = "current_setting('request.jwt.claims', true)::json ->> 'sub'"
SCHEMA = f"""
CREATE TABLE notes (id int PRIMARY KEY, owner text NOT NULL);
INSERT INTO notes SELECT i, CASE WHEN i % 2 = 0 THEN 'ann' ELSE 'bob' END FROM generate_series(1, 1000) AS i;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes FOR SELECT TO stream_reader USING (owner = {CLAIM});
GRANT SELECT ON notes TO stream_reader;
"""


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", *(f"-- {line}" for line in lines), statement, ""])


ROUTES = {
    "notes": route("/notes", "SELECT id, owner FROM notes ORDER BY id", "@auth required rls", "@stream csv,ndjson"),
    "mine": route("/mine", "SELECT :auth.sub::text AS sub", "@auth required", "@stream csv"),
    "maybe": route("/maybe", "SELECT :auth.sub::text AS sub", "@auth optional", "@stream ndjson"),
    "session": route("/session", "SELECT current_user::text AS who, "
                     "nullif(current_setting('request.jwt.claims', true), '') AS claims,"
                     " nullif(current_setting('larder.p1', true), '') AS kept", "@result row"),
    "few": route("/few", "SELECT 1 AS a", "@stream csv", "@limit 2/day by=ip"),
}


@pytest.fixture(scope="module")
def served(shared_stack, lazy_postgres, tmp_path_factory):
    lazy_postgres().execute(ROLES)
    return shared_stack(ROUTES, schema=SCHEMA, export=True, env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key",
                                                                   LARDER_DB_POOL="1"))


def reader(subject, **claims):
    return bearer(subject, role="stream_reader", **claims)


def test_each_gets_the_rows_that_are_his(served):
    for name, first in (("ann", 2), ("bob", 1), ("ann", 2)):
        answer = served.get("/notes", headers=reader(name))
        lines = answer.body.decode().split("\r\n")
        assert lines[1] == f"{first},{name}" and len(lines) == 502
        assert answer["Vary"] == "Accept-Encoding, Authorization, Accept"
    assert served.get("/notes", headers=reader("nobody")).body == b"id,owner\r\n"


def test_claims_are_parameters(served):
    assert served.get("/mine", headers=bearer("it's \"$1\"")).body == b'sub\r\n"it\'s ""$1"""\r\n'
    assert served.get("/maybe").json() == {"sub": None}
    assert served.get("/maybe", headers=bearer("ann")).json() == {"sub": "ann"}


def test_without_a_token_nothing_begins(served):
    before = metrics(served).sum("larder_streams_total")
    served.get("/notes").problem(401)
    served.get("/mine").problem(401)
    assert served.request("/mine", "HEAD").status == 401
    assert metrics(served).sum("larder_streams_total") == before


@pytest.mark.parametrize("role", ["stream_foreign", "none", "nonexistent", "larder", "postgres"])
def test_a_role_the_responder_may_not_take_is_403(served, role):
    served.get("/notes", headers=bearer("ann", role=role)).problem(403)


def test_what_the_role_may_not_read_is_403(served):
    served.get("/notes", headers=bearer("ann", role="stream_other")).problem(403)


def test_nothing_of_it_is_left_in_the_session(served):
    """There is one connection. One download ends, one is refused, one is left by its client."""
    served.get("/notes", headers=reader("ann"))
    served.get("/mine", headers=bearer("ann"))
    served.get("/notes", headers=bearer("ann", role="stream_other")).problem(403)
    with Download(served.api.socket, "/notes", reader("ann")):
        pass
    wait_until(lambda: served.get("/session").json() == {"who": "larder", "claims": None, "kept": None})


def test_downloads_are_counted_as_all_requests_are(served):
    answers = [served.get("/few") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit-Limit"] == "2" and answers[0]["RateLimit-Remaining"] == "1"
