"""PostgreSQL behind the routes: prepared statements that mend themselves, nothing written, time limits, the pool."""

import contextlib
from urllib.parse import quote

import pytest

from support.crowd import Background, ask_together, crowd
from support.postgres import PgBouncer
from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

HELD = 41  # the advisory lock on which /hold waits
ROUTES = {
    "all": "-- @http GET /all\nSELECT * FROM shifting ORDER BY id\n",
    "named": "-- @http GET /named/{id}\n-- @result row\nSELECT id, name FROM shifting WHERE id = :id\n",
    "forget": "-- @http GET /forget\n-- @result value\nSELECT forget()\n",
    "write": "-- @http GET /write\n-- @result value\nSELECT telltale_write()\n",
    "loosen": "-- @http GET /loosen\n-- @result json\nSELECT json_build_array("
              "set_config('default_transaction_read_only', 'off', false), set_config('statement_timeout', '0', false))\n",
    "sequence": "-- @http GET /sequence\n-- @result value\nSELECT nextval('telltale_sequence')\n",
    "lock": "-- @http GET /lock\nSELECT id FROM shifting FOR UPDATE\n",
    "sleep": "-- @http GET /sleep\n-- @timeout 200ms\n-- @result value\nSELECT pg_sleep(60)::text\n",
    "nap": "-- @http GET /nap\n-- @param seconds double precision\n-- @result value\nSELECT pg_sleep(:seconds)::text\n",
    "long": "-- @http GET /long\n-- @param seconds double precision\n-- @timeout 20s\n-- @result value\n"
            "SELECT pg_sleep(:seconds)::text\n",
    "hold": f"-- @http GET /hold\n-- @result value\nSELECT pg_advisory_xact_lock_shared({HELD})::text\n",
    "clock": "-- @http GET /clock\n-- @param n int default=0\n-- @result value\n"
             "SELECT clock_timestamp() FROM (VALUES (:n)) AS v\n",
    "kept": "-- @http GET /kept\n-- @cache ttl=60s\nSELECT 1 AS a\n",
    "setting": "-- @http GET /setting/{name}\n-- @result value\nSELECT current_setting(:name)\n",
}
# type: (a value it takes, values only PostgreSQL can refuse)
JUDGED = {
    "inet": ("10.0.0.0/8", ["nonsense", "10.0.0.256"]),
    "interval": ("1 day", ["one day"]),
    "int4range": ("[1,5)", ["[5,1)", "5"]),
    "bit(3)": ("101", ["102"]),
    "mood": ("happy", ["grumpy"]),
    "positive": ("1", ["-1"]),
    "inet[]": ("{10.0.0.1}", ["{10.0.0.1,x}", "{10.0.0.1"]),
    "mood[]": ("{happy,sad}", ["{happy,grumpy}"]),
    "circle": ("<(1,2),3>", ["<(1,2),-3>"]),
}
ROUTES |= {
    f"judged/{number}": f"-- @http GET /judged/{number}\n-- @param plain int default=1\n-- @param value\n"
                        f"-- @result value\nSELECT (:value::{kind})::text FROM (VALUES (:plain)) AS v\n"
    for number, kind in enumerate(JUDGED)
} | {
    "regex": "-- @http GET /regex\n-- @param re text\n-- @result value\nSELECT 'x' ~ :re\n",
    "limit": "-- @http GET /limit\n-- @param limit int\nSELECT 1 AS a LIMIT :limit\n",
}
SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE shifting (id int PRIMARY KEY, name text);
INSERT INTO shifting VALUES (1, 'one'), (2, 'two');
CREATE TABLE telltale_table (id int);
CREATE SEQUENCE telltale_sequence;
CREATE FUNCTION telltale_write() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO telltale_table VALUES (1); RETURN 1; END $$;
CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$;
"""
CHANGES = [
    ("ALTER TABLE shifting ADD COLUMN extra int DEFAULT 7", {"id": 1, "name": "one", "extra": 7}),
    ("ALTER TABLE shifting ALTER COLUMN extra TYPE text USING 'v' || extra", {"id": 1, "name": "one", "extra": "v7"}),
    ("ALTER TABLE shifting DROP COLUMN extra", {"id": 1, "name": "one"}),
    ("ALTER TABLE shifting ALTER COLUMN id TYPE bigint", {"id": 1, "name": "one"}),
    ("DROP TABLE shifting; CREATE TABLE shifting (id int PRIMARY KEY, name text);"
     "INSERT INTO shifting VALUES (1, 'new')", {"id": 1, "name": "new"}),
]


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, redis=False, env={"LARDER_DB_POOL": "4"})


def tells_nothing(answer, stack):
    for secret in ("telltale", "SELECT", "INSERT", "SQLSTATE", stack.postgres.folder, stack.database, "127.0.0.1"):
        assert secret.encode() not in answer.body, answer


def terminate(stack):
    """Ends all of Larder's connections at one stroke; how many there were."""
    return stack.postgres.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                  " WHERE datname = %s AND application_name = 'larder'", (stack.database,))[0][0]


def backends(stack, condition="true"):
    """The pids of Larder's connections to the stack's database."""
    rows = stack.sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                     f" AND pid <> pg_backend_pid() AND application_name = 'larder' AND {condition}")
    return [pid for (pid,) in rows]


def test_no_setting_outlives_the_statement_that_made_it(served):
    for _ in range(2):
        assert {answer.status for answer in ask_together(served.direct, ["/loosen"] * 8)} == {200}
        assert {answer.status for answer in ask_together(served.direct, ["/write"] * 8)} == {500}
        assert served.direct("/sleep").status == 504
    assert served.sql("SELECT count(*) FROM telltale_table") == [(0,)]
    wait_until(lambda: not backends(served, "state = 'active'"), 5, "the server to have ended the statement")


# Prepared statements

def test_statements_are_prepared_anew_after_schema_changes(served):
    for change, first in CHANGES:
        ask_together(served.direct, ["/all", "/named/1"] * 8)  # every connection has them prepared
        served.sql(change)
        answers = ask_together(served.direct, ["/all", "/named/1"] * 8)
        assert {answer.status for answer in answers} == {200}, change
        assert all(answer.json()[0] == first for answer in answers[::2]), change
        assert all(answer.json() == {"id": 1, "name": first["name"]} for answer in answers[1::2]), change


def test_statements_are_prepared_anew_when_the_session_lost_them(served):
    assert served.get("/all").status == 200
    for _ in range(3):
        assert served.get("/forget").json() == 1
        answers = ask_together(served.direct, ["/all", "/named/1", "/clock"] * 4)
        assert {answer.status for answer in answers} == {200}


def test_no_client_sees_that_idle_connections_were_terminated(served):
    def all_connected():
        """Those who ask late find a connection that is free again, and need no fourth."""
        ask_together(served.direct, ["/nap?seconds=0.02"] * 8)
        return len(backends(served)) == 4

    for _ in range(5):
        wait_until(all_connected, what="a connection for each of four")
        assert terminate(served) == 4
        assert {answer.status for answer in ask_together(served.direct, ["/all"] * 8)} == {200}


def test_no_client_sees_that_busy_connections_were_terminated(served):
    for _ in range(5):
        with crowd(lambda: served.direct("/nap?seconds=0.01"), 4) as answers:
            wait_until(lambda: len(answers) > 8)
            assert terminate(served)
            seen = len(answers)
            wait_until(lambda: len(answers) > seen + 8)
        assert {answer.status for answer in answers} == {200}


def test_types_are_learned_anew_at_a_reload(shared_stack):
    stack = shared_stack({"one": "-- @http GET /one/{id}\n-- @result row\nSELECT id FROM growing WHERE id = :id\n"},
                         schema="CREATE TABLE growing (id int); INSERT INTO growing VALUES (1)", redis=False)
    stack.get("/one/3000000000").problem(422)
    stack.sql("ALTER TABLE growing ALTER COLUMN id TYPE bigint; INSERT INTO growing VALUES (3000000000)")
    stack.api.reload()
    wait_until(lambda: stack.get("/one/3000000000").status == 200)
    assert stack.get("/one/3000000000").json() == {"id": 3000000000}


# A GET never writes

def test_a_session_with_other_strings_is_refused_and_the_reason_told(stack, lazy_postgres):
    served = stack({"named": "-- @http GET /named\n-- @result value\nSELECT 'a\\' AS name\n"}, nginx=False, redis=False)
    assert served.direct("/named").json() == "a\\"
    name = served.database
    lazy_postgres().execute(f'ALTER DATABASE "{name}" SET standard_conforming_strings = off')
    served.restart(told=False)
    assert served.direct("/named").status == 503
    assert 'standard_conforming_strings is off for the role "larder" or its database' in served.log_text()
    lazy_postgres().execute(f'ALTER DATABASE "{name}" SET standard_conforming_strings = on')
    wait_until(lambda: served.direct("/named").status == 200, 10, "sessions with the strings of the standard")


@pytest.mark.parametrize("path", ["/write", "/sequence", "/lock"])
def test_a_get_that_writes_is_500_and_writes_nothing(served, path):
    answer = served.get(path)
    answer.problem(500)
    tells_nothing(answer, served)
    assert served.sql("SELECT count(*) FROM telltale_table") == [(0,)]
    assert served.sql("SELECT is_called FROM telltale_sequence") == [(False,)]
    assert served.get("/all").status == 200


# Time

def test_a_statement_past_its_timeout_is_cancelled_on_the_server(served):
    before = metrics(served).sum("larder_query_timeouts_total")
    answers = ask_together(served.get, ["/sleep"] * 4)
    for answer in answers:
        answer.problem(504)
        tells_nothing(answer, served)
        assert answer.seconds < 3
    wait_until(lambda: not sleeping(served.sql), 3, "no statement left on the server")
    assert metrics(served).sum("larder_query_timeouts_total") == before + 4
    assert {answer.status for answer in ask_together(served.get, ["/all"] * 8)} == {200}


def test_a_timeout_does_not_pass_on_to_the_next_statement(served):
    ask_together(served.direct, ["/sleep"] * 4)
    assert {answer.status for answer in ask_together(served.direct, ["/nap?seconds=0.4"] * 4)} == {200}


def test_a_route_without_a_timeout_has_the_default_one(shared_stack):
    stack = shared_stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, env={"LARDER_TIMEOUT": "150ms"})
    stack.direct("/nap?seconds=60").problem(504)
    assert stack.direct("/long?seconds=0.3").status == 200


# The pool

@contextlib.contextmanager
def held(stack):
    """The pool's one connection is busy with /hold until the block ends."""
    holder = stack.postgres.connect(stack.database, "larder")
    holder.cursor().execute(f"SELECT pg_advisory_lock({HELD})")
    request = Background(stack.direct, "/hold")
    try:
        wait_until(lambda: backends(stack, "wait_event = 'advisory'"))
        yield
    finally:
        holder.close()
        assert request.result().status == 200


def waiting(stack, count):
    wait_until(lambda: metrics(stack).sum("larder_db_waiting") == count, what=f"{count} requests waiting")


@pytest.fixture(scope="module")
def narrow(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env={"LARDER_DB_POOL": "1", "LARDER_THREADS": "12"})


def restarted(stack, **settings):
    stack.overrides |= {"LARDER_DB_WAIT": "20s", "LARDER_DB_QUEUE": "1000"} | settings
    stack.restart()
    return stack


def test_waiting_requests_are_served_in_order(narrow):
    stack = restarted(narrow)
    with held(stack):
        requests = []
        for number in range(6):
            requests.append(Background(stack.direct, f"/clock?n={number}"))
            waiting(stack, number + 1)
        assert metrics(stack).sum("larder_db_connections") == 1
    answers = [request.result() for request in requests]
    assert {answer.status for answer in answers} == {200}
    times = [answer.json() for answer in answers]
    assert times == sorted(times)
    assert metrics(stack).sum("larder_db_waiting") == 0


def test_past_the_wait_it_is_503(narrow):
    stack = restarted(narrow, LARDER_DB_WAIT="150ms")
    wait_until(lambda: stack.get("/all").status == 200, 20, "a session, which may take longer to open than the wait")
    before = metrics(stack).sum("larder_db_wait_timeouts_total")
    with held(stack):
        answer = stack.get("/all")
        answer.problem(503)
        assert int(answer["Retry-After"]) > 0
        assert 0.1 < answer.seconds < 2
        tells_nothing(answer, stack)
    assert metrics(stack).sum("larder_db_wait_timeouts_total") == before + 1
    assert stack.get("/all").status == 200


@pytest.mark.parametrize("length", [0, 2])
def test_past_the_queue_it_is_503_at_once(narrow, length):
    stack = restarted(narrow, LARDER_DB_QUEUE=str(length))
    with held(stack):
        requests = [Background(stack.direct, f"/clock?n={number}") for number in range(length)]
        waiting(stack, length)
        answer = stack.get("/all")
        answer.problem(503)
        assert answer["Retry-After"] and answer.seconds < 2
        assert not any(request.done() for request in requests)
    assert {request.result().status for request in requests} <= {200}


def test_what_needs_no_query_is_served_while_the_pool_is_busy(narrow):
    stack = restarted(narrow)
    wait_until(lambda: "hit" in stack.get("/kept")["Cache-Status"])
    with held(stack):
        assert stack.get("/kept").json() == [{"a": 1}]
        stack.get("/nothing").problem(404)
        stack.get("/named/x").problem(422)


# PgBouncer

@pytest.fixture(scope="module")
def bounced(shared_stack, lazy_postgres, work_folder):
    name = lazy_postgres().create_database()
    bouncer = PgBouncer(work_folder, lazy_postgres(), name, pool=2)
    settings = bouncer.environment | {"LARDER_DB_POOLING": "transaction", "LARDER_DB_POOL": "8"}
    stack = shared_stack(ROUTES, schema=SCHEMA, database=name, redis=False, env=settings)
    stack.bouncer = bouncer
    yield stack
    bouncer.stop()


def test_many_requests_share_two_server_connections(bounced):
    answers = ask_together(bounced.direct, ["/all", "/named/2", "/clock?n=1", "/limit?limit=1"] * 50)
    assert {answer.status for answer in answers} == {200}
    assert answers[1].json() == {"id": 2, "name": "two"}
    assert len({answer.body for answer in answers[::4]}) == 1
    assert len(backends(bounced)) <= 2


def test_a_failing_statement_harms_no_other_behind_pgbouncer(bounced):
    expected = {"/write": 500, "/all": 200, "/judged/0?value=x": 422, "/named/1": 200, "/sleep": 504, "/clock": 200}
    targets = list(expected) * 4
    answers = ask_together(bounced.direct, targets)
    assert [answer.status for answer in answers] == [expected[target] for target in targets]
    assert bounced.sql("SELECT count(*) FROM telltale_table") == [(0,)]
    wait_until(lambda: not sleeping(bounced.sql), 3, "no statement left on the server")


def test_schema_changes_and_lost_connections_behind_pgbouncer(bounced):
    for change, first in CHANGES:
        ask_together(bounced.direct, ["/all"] * 8)
        bounced.sql(change)
        assert all(answer.json()[0] == first for answer in ask_together(bounced.direct, ["/all"] * 8)), change


def test_no_setting_is_left_in_a_shared_connection(bounced):
    ask_together(bounced.direct, ["/all", "/sleep", "/long?seconds=0"] * 4)
    connection = bounced.postgres.connect(bounced.database, "larder", host="127.0.0.1", port=bounced.bouncer.port)
    with connection.cursor() as cursor:
        for name, value in (("default_transaction_read_only", "off"), ("statement_timeout", "0")):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (value,)
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)
    connection.close()


# Values

@pytest.mark.parametrize("number, kind", enumerate(JUDGED))
def test_values_that_postgresql_alone_can_judge_are_422(served, number, kind):
    good, refused = JUDGED[kind]
    assert served.get(f"/judged/{number}?value={quote(good)}").json() == good
    for value in refused:
        answer = served.get(f"/judged/{number}?value={quote(value)}")
        assert [(each["name"], each["in"]) for each in answer.problem(422)["errors"]] == [("value", "query")]
        tells_nothing(answer, served)


@pytest.mark.parametrize("target, name", [("/regex?re=(", "re"), ("/limit?limit=-1", "limit")])
def test_values_that_a_statement_cannot_use_are_422(served, target, name):
    assert [each["name"] for each in served.get(target).problem(422)["errors"]] == [name]
