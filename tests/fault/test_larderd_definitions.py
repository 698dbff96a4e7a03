"""larderd looks at definitions that change: what is struck, and what waits for a look and what does not."""

import pytest

from outbox import (SLEEPY, told, wait_asleep, ROUTES, SCHEMA, assert_delivers, beats, change, clock, daemons, wait_raised,
                    watch)
from support.gate import NUMBER, Gate
from support.waiting import wait_until

# A look at definitions that lasts until the table is not locked any more.
HELD = """
CREATE TABLE public.held (tag text);
INSERT INTO public.held VALUES ('public.view()');
CREATE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE sql AS 'SELECT tag FROM public.held';
"""


def looking(stack):
    """(session, begin) of the look at definitions that is held up, or None."""
    rows = stack.sql("SELECT pid, query_start FROM pg_stat_activity WHERE query LIKE '%changed_definitions%' "
                     "AND wait_event_type = 'Lock' AND datname = current_database()")
    return rows[0] if rows else None


@pytest.mark.parametrize("pooling", ["session", "transaction"])
def test_changes_do_not_wait_for_a_look_at_definitions(stack, pooling):
    served = daemons(stack, schema=HELD, env={"LARDER_DB_POOLING": pooling})
    watch(served, "a", "b", "public.view()")
    with served.postgres.connect(served.database) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE public.held")
        look = wait_until(lambda: looking(served), what="a look at definitions that is held up")
        change(served, "a")
        wait_raised(served, "a")
        change(served, "b")
        wait_raised(served, "b")
        assert looking(served) == look, "the changes were bumped after the look at definitions"
        before = clock(served, "public.view()")
        cursor.execute("ROLLBACK")
    wait_raised(served, "public.view()", above=before)


def test_a_look_at_definitions_that_is_cut_off_is_made_again(stack):
    served = daemons(stack, schema=HELD)
    watch(served, "public.view()")
    with served.postgres.connect(served.database) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE public.held")
        session, _ = wait_until(lambda: looking(served), what="a look at definitions that is held up")
        cursor.execute("SELECT pg_terminate_backend(%s)", (session,))
        wait_until(lambda: (looking(served) or (session,))[0] != session, what="another session that looks")
        before = clock(served, "public.view()")
        cursor.execute("ROLLBACK")
    wait_raised(served, "public.view()", above=before)
    assert_delivers(served, "a")


def test_no_heartbeat_while_definitions_can_not_be_looked_at(stack):
    """What is held up may be the look that would strike a view's answers: nobody may vouch for them meanwhile."""
    served = daemons(stack, schema=HELD, env={"LARDER_GUARD_TTL": "1s"})
    with served.postgres.connect(served.database) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE public.held")
        wait_until(lambda: looking(served), what="a look at definitions that is held up")
        told(served, "definitions could not be looked at")
        wait_until(lambda: not beats(served), what="no heartbeat")
        assert_delivers(served, "a")
        cursor.execute("ROLLBACK")
    wait_until(lambda: beats(served), what="the heartbeat")


def test_the_heartbeat_follows_the_look_that_it_waits_for(stack):
    """At the start, when larderd sleeps already: not the next poll, a minute later."""
    served = stack(ROUTES, nginx=False, schema=SCHEMA + f"""
        CREATE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE sql AS
            'SELECT NULL::text FROM pg_advisory_xact_lock_shared({NUMBER}) OFFSET 1';
        """)
    with Gate(served) as gate:
        served.start_larderd(environment=SLEEPY)
        gate.wait_for(1)
        wait_asleep(served)
        assert not beats(served)
        gate.open()
        wait_until(lambda: beats(served), 20, "the heartbeat")


def test_no_heartbeat_of_a_role_that_may_not_look_at_definitions(stack):
    served = daemons(stack, schema="""
        CREATE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE sql AS $$ SELECT '' WHERE false $$;
        """, env={"LARDER_GUARD_TTL": "1s"})
    served.sql("CREATE OR REPLACE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE plpgsql AS "
               "$$ BEGIN RAISE insufficient_privilege; END $$")
    told(served, "definitions could not be looked at")
    wait_until(lambda: not beats(served), what="no heartbeat")
    served.sql("CREATE OR REPLACE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE sql AS "
               "$$ SELECT '' WHERE false $$")
    wait_until(lambda: beats(served), what="the heartbeat")
