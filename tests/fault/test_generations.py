"""What a route reads is learnt anew now and then, also while it is asked: no answer outlives the guard time with the
tags of a statement other than its own."""

import pytest

from staleness import ENV, GUARD, SCHEMA, Change
from support import fastcgi
from support.coherent import SENTINEL_ROUTE, barrier, keep, time_left, wait_for_beat
from support.crowd import Background
from support.gate import NUMBER, Gate
from support.waiting import wait_until

UNDER_WAY, LATER = 7, (21, 22)
TOLD, ANEW = "PostgreSQL has told the types", "definitions changed"
# Statements wait at the gate while a test goes on; two connections, so that each is known to be in use.
AT_GATE = ENV | {"LARDER_TIMEOUT": "60s", "LARDER_DB_WAIT": "60s", "LARDER_DB_POOL": "2"}
LABEL = """CREATE OR REPLACE FUNCTION public.label(number int) RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC SELECT {} FROM people AS p WHERE p.id = number; END;"""
TABLES = f"""{SCHEMA}
CREATE TABLE barred (id int);
ALTER TABLE people ADD COLUMN nick text;
{LABEL.format("p.name")}
"""


def route(path, name):
    return (f"-- @http GET /{path}/{{id}}\n-- @result row\n-- @cache ttl=300s l1=off\n-- @depends people.id = :id\n"
            f"SELECT p.id, {name} AS name FROM people AS p, pg_advisory_xact_lock_shared({NUMBER}) WHERE p.id = :id")


ROUTES = SENTINEL_ROUTE | {
    # Before the others in order of path: PostgreSQL is asked about it first.
    "a-barred": "-- @http GET /a\n-- @result row\n-- @cache ttl=300s\nSELECT count(*) AS rows FROM barred",
    "named": route("named", "p.name"),
    "labelled": route("labelled", "label(p.id)"),
}


def ask(stack, target):
    return fastcgi.ask(stack.api.socket, target, timeout=60)


def wait_for_line(stack, text, before=0):
    """One line more of that text in the responder's log."""
    wait_until(lambda: stack.log_text().count(text) > before, 30, f"“{text}” in the log")


def wait_until_believed(stack):
    """What was learnt counts as of the last change of definitions: what is made now is kept past the guard time."""
    wait_until(lambda: time_left(ask(stack, "/sentinel")) > GUARD, 30, "an answer kept past the guard time")


def keep_later(stack, path):
    """Both connections are used at once."""
    with Gate(stack) as gate:
        both = [Background(ask, stack, f"/{path}/{number}") for number in LATER]
        gate.wait_for(2)
        gate.open()
        assert [each.result().status for each in both] == [200, 200]
    for number in LATER:
        keep(lambda: ask(stack, f"/{path}/{number}"))


@pytest.fixture
def served(stack):
    started = stack(ROUTES, schema=TABLES, nginx=False, install=True, larderd=True, database_proxy=True, env=AT_GATE)
    wait_for_beat(started.redis)
    barrier(started)
    return started


@pytest.fixture
def told_meanwhile(served):
    """A responder that began without PostgreSQL, and was told the types while a query made without them was under
    way: somebody's lock on another route's table holds up the telling."""
    bar = served.postgres.connect(served.database)
    bar.autocommit = False
    bar.cursor().execute("LOCK TABLE barred IN ACCESS EXCLUSIVE MODE")
    served.database_proxy.cut()
    served.restart()
    with Gate(served) as gate:
        served.database_proxy.pass_on()
        under_way = Background(ask, served, f"/named/{UNDER_WAY}")
        gate.wait_for(1)
        assert TOLD not in served.log_text()
        bar.close()
        wait_for_line(served, TOLD)
        wait_for_beat(served.redis)
        wait_until_believed(served)
        gate.open()
        assert under_way.result().json() == {"id": UNDER_WAY, "name": f"person {UNDER_WAY}"}
    return served


def test_an_answer_made_while_the_types_were_told(told_meanwhile):
    """It was made without its own tags, whatever is known by now: it goes within the guard time."""
    Change(told_meanwhile, UNDER_WAY).assert_shows(paths=("named",), longest=None)


def test_a_connection_in_use_while_the_types_were_told(told_meanwhile):
    """What was prepared on it before is not run for what is known now."""
    keep_later(told_meanwhile, "named")
    for number in LATER:
        Change(told_meanwhile, number).assert_shows(paths=("named",), longest=None)


def test_a_function_that_reads_more_while_a_query_of_it_is_under_way(served):
    """Neither the answer of that query nor the next one of its connection has the tags of before for long."""
    keep(lambda: ask(served, f"/labelled/{LATER[0]}"))
    wait_until_believed(served)
    before = served.log_text().count(ANEW)
    with Gate(served) as gate:
        under_way = Background(ask, served, f"/labelled/{UNDER_WAY}")
        gate.wait_for(1)
        served.sql(LABEL.format("coalesce(p.nick, p.name)"))
        wait_for_line(served, ANEW, before)
        gate.open()
        assert under_way.result().status == 200
    served.install()
    wait_until_believed(served)
    keep_later(served, "labelled")
    for number in (UNDER_WAY, *LATER):
        served.sql("UPDATE people SET nick = 'nick' WHERE id = %s", [number])
        wait_until(lambda: ask(served, f"/labelled/{number}").json()["name"] == "nick", 10, "the new column's change")
