"""Jobs from their filing to their end, as their client sees them: larderd makes what the responder filed."""

import json

import pytest

from support import tokens
from support.filed import QUEUE, Events, job_id, post
from support.tokens import bearer
from support.waiting import wait_until

ROLES = "CREATE ROLE note_writer; GRANT note_writer TO larder;"
SCHEMA = """CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL CHECK (text <> 'bad'), who text);
GRANT SELECT, INSERT ON notes TO note_writer;
GRANT USAGE ON SEQUENCE notes_id_seq TO note_writer; ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (true)
    WITH CHECK (who IS NULL OR who = current_setting('request.jwt.claims', true)::json->>'sub');"""
INSERT = "-- @result row\n-- @location /notes/{id}\nINSERT INTO notes (text, who) VALUES (:text, :who) RETURNING id, text, who"
ROUTES = {
    "now": f"-- @http POST /now\n-- @param who text default=null\n{INSERT}",
    "later": f"-- @http POST /later\n-- @param who text default=null\n-- @async retries=0\n{INSERT}",
    "mine": f"-- @http POST /mine\n-- @auth required rls\n-- @param who text default=null\n-- @async retries=0\n{INSERT}",
    "slow": "-- @http POST /slow\n-- @async retries=0\n-- @result none\nSELECT pg_sleep(60)",
    "one": "-- @http GET /notes/{id}\n-- @cache ttl=1h\n-- @result row\nSELECT id, text, who FROM notes WHERE id = :id",
}


@pytest.fixture(scope="module")
def served(shared_stack, lazy_postgres, tmp_path_factory):
    lazy_postgres().execute(ROLES)
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True,
                        env=QUEUE | tokens.settings(f"{tmp_path_factory.mktemp('key')}/key") |
                        {"LARDER_WORKERS": "2", "LARDER_TIMEOUT": "60s"})


def without_id(answer):
    return {name: value for name, value in answer.json().items() if name != "id"}


def test_the_answer_of_a_job_is_the_writes_own(served):
    now = post(served, "/now", {"text": "a \"b\" é"})
    later = post(served, "/later", {"text": "a \"b\" é"}, Prefer="wait=30")
    assert now.status == later.status == 201
    assert without_id(later) == without_id(now) == {"text": "a \"b\" é", "who": None}
    assert later["Location"] == f"/notes/{later.json()['id']}"
    assert later["Content-Type"] == now["Content-Type"]
    assert served.get(later["Location"]).json() == later.json()


def test_so_is_its_problem(served):
    now = post(served, "/now", {"text": "bad"})
    later = post(served, "/later", {"text": "bad"}, Prefer="wait=30")
    told = [answer.problem(422) for answer in (now, later)]
    assert told[0] | {"instance": "/later"} == told[1]


def test_the_page_tells_of_it(served):
    filed = post(served, "/later", {"text": "x"})
    told = served.get(filed["Location"], headers={"Prefer": "wait=30"}).json()
    assert told["status"] == "done" and told["progress"] == {"done": 1, "of": 1} and told["tries"] == 1
    assert told["result"]["text"] == "x" and told["location"] == f"/notes/{told['result']['id']}"
    assert told["filed"] <= told["began"] <= told["ended"]
    reader = Events(served, filed["Location"])
    assert json.loads(reader.next()[2]) == told


def test_a_reader_of_events_sees_it_end(served):
    filed = post(served, "/slow")
    reader = Events(served, filed["Location"])
    wait_until(lambda: served.get(filed["Location"]).json()["status"] == "running", 15)
    assert served.request(filed["Location"], method="DELETE").status == 202
    seen = []
    while event := reader.next():
        seen.append(event[0])
    assert seen[-1] == "cancelled", seen


def test_it_runs_as_whoever_filed_it(served):
    ann = bearer("ann", role="note_writer")
    mine = post(served, "/mine", {"text": "x", "who": "ann"}, Prefer="wait=30", **ann)
    assert (mine.status, mine.json()["who"]) == (201, "ann")
    post(served, "/mine", {"text": "x", "who": "bob"}, Prefer="wait=30", **ann).problem(403)


def test_the_same_key_makes_it_once(served):
    key = {"Idempotency_Key": "once"}
    first = post(served, "/later", {"text": "once"}, Prefer="wait=30", **key)
    again = post(served, "/later", {"text": "once"}, Prefer="wait=30", **key)
    assert first.json() == again.json()
    assert job_id(post(served, "/later", {"text": "once"}, **key))
    assert served.sql("SELECT count(*) FROM notes WHERE text = 'once'") == [(1,)]
