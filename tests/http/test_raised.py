"""What a function of the application's own raises for whoever asks: P0001 is 400, PTn is n."""

import json

import pytest

from support.jobs import dead, ended, file_job, post
from support.stack import queries
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE telltale_table (what text);
CREATE FUNCTION telltale_inner(state text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF state = 'plain' THEN
        RAISE EXCEPTION 'The book % is lent: "zurück" on %', 7, state;
    ELSIF state <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'Pay first', DETAIL = 'Three are due',
            HINT = 'See /bills', SCHEMA = 'telltale_schema', TABLE = 'telltale_table';
    END IF;
    RETURN 1;
END $$;
CREATE FUNCTION telltale_outer(state text) RETURNS int LANGUAGE plpgsql AS
    $$ DECLARE n int; BEGIN EXECUTE 'SELECT telltale_inner($1)' INTO n USING state; RETURN n; END $$;
CREATE FUNCTION telltale_long() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '%', E'x' || repeat('ü', 400) || E'\\nsecond line'; END $$;
CREATE FUNCTION telltale_deferred() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM telltale_outer(NEW.what); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON telltale_table DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION telltale_deferred();
"""
ASKS = "SELECT telltale_outer(:state) AS one"
ROUTES = {
    "read": f"-- @http GET /read\n-- @param state\n-- @cache ttl=1h negative=1h error=1h\n-- @nginx ttl=1h\n{ASKS}",
    "row": f"-- @http GET /row/{{state}}\n-- @result row\n-- @cache ttl=1h negative=1h\n{ASKS}",
    "long": "-- @http GET /long\nSELECT telltale_long()",
    "write": f"-- @http POST /write/{{state}}\nINSERT INTO telltale_table VALUES ('');\n{ASKS}",
    "quiet": "-- @http POST /quiet\nINSERT INTO telltale_table VALUES ('')",
    "deferred": "-- @http POST /deferred/{state}\nINSERT INTO telltale_table VALUES (:state)",
    "job": f"-- @http POST /job/{{state}}\n-- @async retries=1\n-- @result row\n{ASKS}",
    "behind": "-- @http POST /behind/{state}\n-- @behind batch=10 every=10ms\n"
              "INSERT INTO telltale_table SELECT '' WHERE telltale_outer(:state) = 1",
    "rows": "-- @http GET /rows\n-- @param state\n-- @stream csv\nSELECT n, telltale_outer(:state) AS one "
            "FROM generate_series(1, 3) AS n",
}
PLAIN = {"status": 400, "title": "Bad Request", "detail": 'The book 7 is lent: "zurück" on plain'}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True)


def expected(status, title):
    return {"status": status, "title": title, "detail": "Pay first", "details": "Three are due", "hint": "See /bills"}


def check(answer, told):
    """The problem, and nothing else of what PostgreSQL says: no context, no SQL, no names."""
    problem = answer.problem(told["status"])
    assert answer["Cache-Control"] == "no-store"
    assert {name: value for name, value in problem.items() if name not in ("type", "instance")} == told
    for secret in ("telltale", "SELECT", "PL/pgSQL", "CONTEXT", "SQLSTATE", "RAISE"):
        assert secret not in answer.text
    return answer


@pytest.mark.parametrize("state, told", [
    ("plain", PLAIN),
    ("P0001", expected(400, "Bad Request")),
    ("PT402", expected(402, "Payment Required")),
    ("PT404", expected(404, "Not Found")),
    ("PT418", expected(418, "Client Error")),
    ("PT429", expected(429, "Too Many Requests")),
    ("PT451", expected(451, "Unavailable For Legal Reasons")),
    ("PT503", expected(503, "Service Unavailable")),
    ("PT599", expected(599, "Server Error")),
])
def test_it_is_told_and_never_kept(served, state, told):
    before = queries(served)
    for target in (f"/read?state={state}", f"/row/{state}"):
        for ask in (served.direct, served.get):
            check(ask(target), told)
    check(post(served, f"/write/{state}"), told)
    check(post(served, f"/deferred/{state}"), told)
    check(served.direct(f"/rows?state={state}"), told)
    assert queries(served) - before >= 5, "each read asked PostgreSQL"
    assert served.sql("SELECT count(*) FROM telltale_table") == [(0,)]


@pytest.mark.parametrize("state", ["PT200", "PT399", "PT600", "PT4XX", "PTABC", "P0002", "P0004", "XX000", "22012"])
def test_any_other_stays_a_500_that_tells_nothing(served, state):
    for answer in (served.direct(f"/read?state={state}"), post(served, f"/write/{state}"),
                   served.direct(f"/rows?state={state}")):
        problem = answer.problem(500)
        assert problem["detail"] == "The route's statement failed." and not {"hint", "details"} & set(problem)
    assert f"Pay first (SQLSTATE {state})" in served.log_text()


def test_what_http_wants_beside_the_status(served):
    assert served.direct("/read?state=PT401")["WWW-Authenticate"] == 'Bearer realm="larder"'
    assert served.direct("/read?state=PT503")["Retry-After"] == "1"
    head = served.direct("/read?state=PT402", method="HEAD")
    assert (head.status, head.body) == (402, b"")


def test_one_that_passed_is_answered(served):
    assert served.direct("/read?state=").json() == [{"one": 1}]


def test_a_message_is_cut_between_characters_and_at_its_first_line(served):
    assert served.direct("/long").problem(400)["detail"] == "x" + "ü" * 255


@pytest.mark.parametrize("state, told, tries", [("plain", PLAIN, 1), ("PT409", expected(409, "Conflict"), 1),
                                                ("PT503", expected(503, "Service Unavailable"), 2)])
def test_a_job_fails_with_it_and_only_500_and_above_is_tried_again(served, state, told, tries):
    path = file_job(served, f"/job/{state}")
    end = ended(served, path)
    assert (end["status"], end["tries"]) == ("failed", tries)
    assert end["problem"] == end["problem"] | told and "telltale" not in json.dumps(end)


def test_a_dead_letter_of_a_batch_has_it(served):
    known = set(dead(served))
    answer = post(served, "/behind/PT402")
    assert answer.status == 202, answer
    letter, = wait_until(lambda: set(dead(served)) - known)
    problem = json.loads(served.queue.client().hget(f"larder:q:j:{letter}", "rb"))
    assert problem == {"type": "about:blank"} | expected(402, "Payment Required")


def test_what_larders_own_functions_would_raise_is_no_word_to_a_client(served):
    """Of the commands around a route's statements: here the record of Idempotency-Keys."""
    served.sql("""ALTER TABLE larder_kept.request ADD COLUMN IF NOT EXISTS raised int DEFAULT telltale_inner('PT402')""")
    try:
        answer = post(served, "/quiet", Idempotency_Key="k")
        assert "Pay first" not in answer.text and answer.status == 500, answer
    finally:
        served.sql("ALTER TABLE larder_kept.request DROP COLUMN IF EXISTS raised")
