"""Rows that larderd's polls don't look at, and what a long transaction leaves behind."""

import pytest

from outbox import CHANGE, told, assert_delivers, beats, change, clock, daemons, rows_left, wait_raised, watch
from support.stack import metrics
from support.waiting import wait_until

SWEPT = 60  # The sweep comes round in pieces that each have a pause of fifty times what they took.


def test_a_row_below_all_that_polls_look_at_is_found(stack):
    """Of a transaction that by all they know was over long ago."""
    served = daemons(stack)
    assert_delivers(served, "a")
    watch(served, "lost")
    served.sql("INSERT INTO larder.outbox (tag, xid) VALUES ('lost', '3')")
    wait_raised(served, "lost", deadline=SWEPT)
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


# Who takes this tag's row waits until the test lets the lock go.
SLOW = """
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN OLD; END';
CREATE TRIGGER hold BEFORE DELETE ON larder.outbox FOR EACH ROW WHEN (OLD.tag = 'slow') EXECUTE FUNCTION public.hold();
"""


def taking(stack):
    """(session, begin) of whoever waits for the lock, or None."""
    rows = stack.sql("SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'advisory' "
                     "AND datname = current_database()")
    return rows[0] if rows else None


@pytest.mark.parametrize("pooling", ["session", "transaction"])
def test_changes_do_not_wait_for_a_long_piece_of_the_sweep(stack, pooling):
    """As one is behind an old transaction, where a piece may be a million dead rows of one bulk write."""
    served = daemons(stack, schema=SLOW, env={"LARDER_DB_POOLING": pooling})
    assert_delivers(served, "known")
    watch(served, "a", "b", "slow")
    with served.postgres.connect(served.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7)")
        served.sql("INSERT INTO larder.outbox (tag, xid) VALUES ('slow', '3')")
        piece = wait_until(lambda: taking(served), SWEPT, "the sweep held up")
        change(served, "a")
        wait_raised(served, "a")
        change(served, "b")
        wait_raised(served, "b")
        assert taking(served) == piece, "the changes were bumped after the piece"
        assert clock(served, "slow") == 1
        cursor.execute("SELECT pg_advisory_unlock(7)")
    wait_raised(served, "slow", deadline=SWEPT)
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


@pytest.mark.parametrize("pooling", ["session", "transaction"])
def test_a_piece_of_the_sweep_that_takes_too_long_holds_up_neither_other_pieces_nor_the_heartbeat(stack, pooling):
    # A look comes within two seconds of the last, and half the guard time leaves a busy machine as much again; when
    # each piece could take five seconds, looks came later than that.
    served = daemons(stack, schema=SLOW, env={"LARDER_DB_POOLING": pooling, "LARDER_GUARD_TTL": "9s"})
    assert_delivers(served, "known")
    watch(served, "slow", "after")
    wait_until(lambda: beats(served), what="the heartbeat")
    with served.postgres.connect(served.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7)")
        served.sql("INSERT INTO larder.outbox (tag, xid) VALUES ('slow', '3'), ('after', '5')")
        wait_until(lambda: clock(served, "after") != 1, SWEPT, "the row behind the slow one")
        assert clock(served, "slow") == 1
        cursor.execute("SELECT pg_advisory_unlock(7)")
    wait_raised(served, "slow", deadline=SWEPT)
    log = told(served, "the outbox is swept again")
    assert "no heartbeat" not in log and log.count(" sweep: ") == 2, log


# A long transaction

def entries_read(stack):
    return stack.sql("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_lane_xid'")[0][0]


@pytest.mark.parametrize("writing", [False, True])
def test_dead_rows_behind_a_long_transaction_are_not_read_at_every_poll(stack, writing):
    served = daemons(stack)
    long = served.postgres.connect(served.database, "larder")
    dead = 30000
    with long.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM larder.outbox")
        if writing:
            cursor.execute("SELECT pg_current_xact_id()")
        served.sql(f"INSERT INTO larder.outbox (tag) SELECT 'a' FROM generate_series(1, {dead})")
        wait_until(lambda: rows_left(served) == 0, 30, "an empty outbox")
        watch(served, "b")
        before, start = entries_read(served), metrics(served).sum("larder_outbox_polls_total")
        with served.postgres.connect(served.database, "larder").cursor() as writer:
            def polls_after_a_change():
                writer.execute(CHANGE, (["b"],))
                return metrics(served).sum("larder_outbox_polls_total") - start
            wait_until(lambda: polls_after_a_change() >= 100, 30, "a hundred polls", every=0.005)
        wait_until(lambda: rows_left(served) == 0, 30, "an empty outbox")
        polls = metrics(served).sum("larder_outbox_polls_total") - start
        wait_until(lambda: entries_read(served) > before, 15, "the statistics")
        read = entries_read(served) - before
        assert read < dead * polls / 5, f"{polls} polls read {read} entries of the index"
    long.close()
