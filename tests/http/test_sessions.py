"""What a request leaves in its session of the database (settings, locks, temporary tables, LISTEN) is gone before the
session serves another."""

import itertools

import pytest

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, keep, time_left, wait_for_beat
from support.waiting import wait_until

SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE noted (word text);
CREATE TABLE marked (word text);
CREATE TABLE drawn (id serial PRIMARY KEY, word text CHECK (word <> 'bad'));
"""
LEAVE = """
CREATE FUNCTION public.leave(word text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.who', word, false), pg_advisory_lock(7);
    SET DateStyle = 'German';
    LISTEN gossip;
    EXECUTE 'CREATE TEMP TABLE IF NOT EXISTS heap AS SELECT 1 AS n';
    EXECUTE 'DECLARE seen CURSOR WITH HOLD FOR SELECT 1';
    RETURN word;
END $$;
CREATE FUNCTION public.become() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    RETURN set_config('role', 'sessions_guest', false);
END $$;
CREATE FUNCTION public.leave_word() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.who', NEW.word, false); RETURN NEW;
END $$;
CREATE TRIGGER leave BEFORE INSERT ON marked FOR EACH ROW EXECUTE FUNCTION public.leave_word();
CREATE FUNCTION public.hold() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(8); RETURN 8; END $$;
CREATE FUNCTION public.hold_and_fail() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_lock(9); RAISE internal_error; END $$;
"""


def route(method, path, statement, *lines):
    return "\n".join([f"-- @http {method} {path}", *(f"-- {line}" for line in lines), statement, ""])


CLEAN = {"who": None, "role": "larder", "style": "ISO, MDY", "locks": 0, "heard": 0, "heaps": 0, "cursors": 0,
         "timeout": "10s"}
SEEN = route(
    "GET", "/seen", "SELECT nullif(current_setting('app.who', true), '') AS who, current_user AS role,"
    " current_setting('DateStyle') AS style,"
    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,"
    " (SELECT count(*) FROM pg_listening_channels()) AS heard, (SELECT count(*) FROM pg_class"
    " WHERE relname = 'heap' AND relnamespace = pg_my_temp_schema()) AS heaps,"
    " (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,"
    " current_setting('statement_timeout') AS timeout", "@result row")
RESETS = route("GET", "/resets", "SELECT coalesce(sum(generic_plans + custom_plans), 0) FROM pg_prepared_statements"
               " WHERE statement = 'DISCARD TEMP'", "@result value")
PLAIN = {
    "seen": SEEN, "resets": RESETS,
    "note": route("POST", "/note", "INSERT INTO noted VALUES ('plain')"),
    "mark": route("POST", "/mark", "INSERT INTO marked VALUES ('trigger')"),
}
DRAWING = {
    "draw": route("POST", "/draw/{word}", "INSERT INTO drawn (word) VALUES (:word)", "@param word text"),
    "last": route("GET", "/last", "SELECT lastval() AS number", "@result row"),
}
WATCHING = {
    "noted": route("GET", "/noted/{word}", "SELECT word FROM noted WHERE word = :word", "@param word text",
                   "@cache ttl=60s", "@depends noted.word = :word"),
    "marked": route("GET", "/marked", "SELECT word FROM marked", "@cache ttl=60s"),
}
LEAVING = {
    "set": route("POST", "/set", "SELECT set_config('app.who', 'ann', false)"),
    "function": route("POST", "/function", "SELECT public.leave('ann')"),
    "do": route("POST", "/do", "DO $$ BEGIN SET app.who = 'ann'; END $$"),
    "role": route("POST", "/role", "SELECT become()"),
    "temp": route("POST", "/temp", "SELECT 1 AS n INTO TEMP heap"),
    "own": route("POST", "/own", "SELECT 1 AS n INTO pg_temp.heap"),
    "lock": route("POST", "/lock", "SELECT pg_advisory_lock(1)"),
    "fail": route("POST", "/fail", "SELECT hold_and_fail()"),
    "listen": route("POST", "/listen", "LISTEN gossip"),
    "again": route("POST", "/again", "INSERT INTO noted SELECT leave('ann') RETURNING word"),
    "hold": route("GET", "/hold", "SELECT hold()"),
    "try": route("GET", "/try", "SELECT pg_try_advisory_lock_shared(2)"),
    "hold-fail": route("GET", "/hold-fail", "SELECT hold_and_fail()"),
    "down": route("GET", "/down", "SELECT hold() AS n", "@stream csv"),
}
# Each by itself is enough: an object of the session's own schema hides the table of its name from all that come after.
PLAIN_KEEP = "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE sql AS $$ SELECT 'x'::text $$;"
HIDDEN = {
    "view": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
            " CREATE OR REPLACE TEMP VIEW heap AS SELECT 1 AS n; RETURN 'x'; END $$",
    "schema": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
              " CREATE TABLE pg_temp.heap AS SELECT 1 AS n; RETURN 'x'; END $$",
    "into": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE sql AS"
            " $$ SELECT 1 AS n INTO pg_temp.heap; SELECT 'x'::text $$",
    "path": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE plpgsql SET search_path = pg_temp, public AS $$ BEGIN"
            " CREATE TABLE heap (n int); RETURN 'x'; END $$",
    "path-into": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE sql SET search_path = pg_temp, public AS"
                 " $$ SELECT 1 AS n INTO heap; SELECT 'x'::text $$",
    "cursor": "CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE sql AS"
              " $$ DECLARE seen CURSOR WITH HOLD FOR SELECT 1; SELECT 'x'::text $$",
    "rule": "CREATE RULE keep AS ON INSERT TO marked WHERE set_config('app.who', 'ann', false) = '' DO INSTEAD NOTHING;"
            " CREATE OR REPLACE FUNCTION keep() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO marked VALUES ('rule'); RETURN 'x'; END $$",
    "language": "CREATE LANGUAGE another HANDLER plpgsql_call_handler; CREATE OR REPLACE FUNCTION keep() RETURNS text"
                " LANGUAGE another AS $$ BEGIN RETURN 'x'; END $$",
}
ENV = {"LARDER_DB_POOL": "1"}
words = itertools.count(1)
REQUESTS = [("POST", path, 200) for path in ("/set", "/function", "/role", "/lock", "/again")]
REQUESTS += [("POST", path, 204) for path in ("/do", "/temp", "/own", "/listen", "/mark")]
REQUESTS += [("POST", "/fail", 500), ("GET", "/hold", 200), ("GET", "/try", 200), ("GET", "/hold-fail", 500),
             ("GET", "/down", 200)]


@pytest.fixture(scope="module", params=["session", "transaction"])
def served(shared_stack, lazy_postgres, request):
    lazy_postgres().execute("DROP ROLE IF EXISTS sessions_guest; CREATE ROLE sessions_guest;"
                            " GRANT sessions_guest TO larder", user="postgres")
    return shared_stack(PLAIN | LEAVING, schema=SCHEMA + LEAVE, redis=False, nginx=False,
                        env=ENV | {"LARDER_DB_POOLING": request.param})


def seen(stack):
    answer = stack.direct("/seen")
    assert answer.status == 200, answer
    return answer.json()


def resets(stack, path):
    """How often the session is cleaned up behind a write."""
    before = int(stack.direct("/resets").body)
    assert stack.direct(path, method="POST").status < 300
    return int(stack.direct("/resets").body) - before


def knows_definitions(stack):
    """An answer that is made meanwhile is kept for as long as its route says; else LARDER_GUARD_TTL bounds that."""
    target = f"/noted/{next(words)}"
    return time_left(keep(lambda: stack.direct(target))) > 30


@pytest.mark.parametrize("method, path, status", REQUESTS)
def test_nothing_stays(served, method, path, status):
    answer = served.direct(path, method=method)
    assert answer.status == status, answer
    assert seen(served) == CLEAN


def test_a_key_that_makes_a_write_once(shared_stack):
    """Its answer is recorded in a round trip of its own."""
    stack = shared_stack(PLAIN | LEAVING, schema=SCHEMA + LEAVE, redis=False, nginx=False, install=True, env=ENV)
    for _ in range(2):
        answer = stack.direct("/again", method="POST", headers={"Idempotency-Key": "k"})
        assert answer.status == 200, answer
        assert seen(stack) == CLEAN
    assert stack.sql("SELECT count(*) FROM noted") == [(1,)]


def test_what_leaves_nothing_costs_nothing(stack):
    """Until a function comes that may leave something, as is heard; from then on nothing stays of it either."""
    started = stack(PLAIN | WATCHING | SENTINEL_ROUTE, schema=SCHEMA, nginx=False, install=True, larderd=True, env=ENV)
    wait_for_beat(started.redis)
    barrier(started)

    wait_until(lambda: resets(started, "/note") == 0, 20, "definitions known")
    assert resets(started, "/note") == resets(started, "/mark") == 0
    started.sql(LEAVE)
    wait_until(lambda: resets(started, "/mark") > 0, 20, "the function to be heard of")
    assert resets(started, "/note") == 1, "there is no telling which statement sets it off"
    assert seen(started) == CLEAN


def test_a_number_from_a_sequence_is_not_for_who_comes_next(stack):
    """Neither of a write that was made nor of one that failed, though both leave nothing else."""
    started = stack(PLAIN | WATCHING | SENTINEL_ROUTE | DRAWING, schema=SCHEMA, nginx=False, install=True, larderd=True,
                    env=ENV)
    wait_for_beat(started.redis)
    barrier(started)
    wait_until(lambda: resets(started, "/draw/good") == 0, 20, "definitions known")
    before = started.direct("/resets").body
    for path, status in (("/draw/good", 204), ("/draw/bad", 422)):
        assert started.direct(path, method="POST").status == status
        assert started.direct("/resets").body == before, "nothing else is taken out"
        assert started.direct("/last").status == 500, "lastval() is not yet defined in this session"


def test_what_hides_in_a_definition(stack):
    """Whatever way a definition leaves something by, it is known for one that does."""
    started = stack(PLAIN | SENTINEL_ROUTE | WATCHING | {"keep": route("POST", "/keep", "SELECT keep()")},
                    schema=SCHEMA + PLAIN_KEEP, nginx=False, install=True, larderd=True, env=ENV)
    wait_for_beat(started.redis)
    barrier(started)
    for name, definition in HIDDEN.items():
        wait_until(lambda: resets(started, "/note") == 0, 20, f"definitions known, before {name}")
        started.postgres.execute(definition, database=started.database, user="postgres")
        wait_until(lambda: resets(started, "/note") == 1, 20, f"the {name} to be heard of")
        wait_until(lambda: knows_definitions(started), 20, f"definitions known, with {name}")
        assert started.direct("/keep", method="POST").status == 200, name
        assert seen(started) == CLEAN, name
        started.postgres.execute(PLAIN_KEEP + " DROP RULE IF EXISTS keep ON marked; DROP LANGUAGE IF EXISTS another",
                                 database=started.database, user="postgres")
