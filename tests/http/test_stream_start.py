"""Many downloads that come at one moment: they begin a few at a time, and none waits for a reader or a statement."""

import contextlib
import os
import time

import pytest

from support.crowd import ask_together
from support.download import Download
from support.gate import NUMBER, Gate
from support.stack import metrics
from support.waiting import wait_until

MANY, ROWS = 40, 20_000
TURN = 0.02  # seconds that a download has at most while others wait to begin


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", *(f"-- {line}" for line in lines), statement, ""])


ROUTES = {
    "rows": route("/rows", "SELECT i, md5(i::text) AS word FROM generate_series(1, :most::int) AS i", "@param most",
                  "@stream csv"),
    "held": route("/held", f"SELECT 'late' AS word FROM pg_advisory_xact_lock_shared({NUMBER})", "@stream csv",
                  "@timeout 60s"),
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, redis=False, nginx=False,
                        env={"LARDER_THREADS": str(2 * MANY), "LARDER_DB_POOL": str(2 * MANY)})


def running(stack):
    return metrics(stack).sum("larder_streams_running")


def test_all_of_many_come_whole(served):
    def ask(_):
        with Download(served.api.socket, f"/rows?most={ROWS}") as download:
            return download.finish()

    for each in ask_together(ask, range(MANY), MANY):
        assert each.whole and each.answer.body.count(b"\r\n") == ROWS + 1


def test_readers_who_take_nothing_hold_up_nobody(served):
    """Whose buffers are full has begun."""
    with contextlib.ExitStack() as exits:
        for _ in range(MANY):
            exits.enter_context(Download(served.api.socket, "/rows?most=1000000000"))
        with Download(served.api.socket, f"/rows?most={ROWS}") as last:
            assert last.finish().whole
        wait_until(lambda: running(served) == MANY, 20, "all that have begun, none of which ends")
    wait_until(lambda: running(served) == 0, 10, "the statements of readers that left to end")


def test_statements_without_a_row_hold_up_nobody(served):
    """Whoever has been at his beginning for too long lets the next one in all the same."""
    with Gate(served) as gate, contextlib.ExitStack() as exits:
        held = [exits.enter_context(Download(served.api.socket, "/held")) for _ in range(MANY)]
        gate.wait_for(MANY)
        with Download(served.api.socket, f"/rows?most={ROWS}") as last:
            assert last.finish().whole
        gate.open()
        assert all(each.finish().whole for each in held)


def test_as_many_begin_at_a_time_as_there_are_processors(served):
    turns = -(-MANY // os.cpu_count())
    for _ in range(2):  # the second time all sessions are there
        with Gate(served) as gate, contextlib.ExitStack() as exits:
            start = time.time()
            held = [exits.enter_context(Download(served.api.socket, "/held")) for _ in range(MANY)]
            gate.wait_for(MANY)
            last = served.sql("SELECT extract(epoch FROM max(query_start))::float8 FROM pg_stat_activity "
                              "WHERE query LIKE 'COPY%' AND datname = current_database()")[0][0]
            gate.open()
            assert all(each.finish().whole for each in held)
    assert last - start >= (turns - 1) * TURN


def test_who_leaves_while_others_begin_leaves_the_line_and_his_place_in_the_pool(served):
    for _ in range(4):
        with Gate(served) as gate, contextlib.ExitStack() as exits:
            for _ in range(MANY):
                exits.enter_context(Download(served.api.socket, "/held"))
            for _ in range(MANY // 2):
                Download(served.api.socket, "/held").leave()
            gate.wait_for(MANY)
            wait_until(lambda: running(served) == MANY, 10, "the threads of those who left")
        wait_until(lambda: running(served) == 0, 10, "the statements of readers that left to end")
