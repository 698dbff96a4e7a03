"""The module's ring with everything in good health: what travels through it, and what wakes larderd."""

import re
import threading
import time

import pytest

from outbox import assert_delivers as assert_outbox_delivers
from outbox import asleep, clock, wait_asleep
from ring import (SLEEPY, ROUTES, SCHEMA, assert_delivers, by_ring, everything_struck, ringed, session, tag,
                  wait_raised, watch_rows)
from support.crowd import Background
from support.postgres import PgBouncer
from support.stack import metrics
from support.waiting import wait_until


def test_a_change_travels_by_the_ring_alone(stack):
    served = ringed(stack)
    before, rows = by_ring(served), metrics(served).sum("larder_outbox_rows_total")
    for number in range(1, 6):
        assert_delivers(served, number)
    wait_until(lambda: by_ring(served) == before + 5, what="all five counted")
    assert metrics(served).sum("larder_outbox_rows_total") == rows


def test_what_is_rolled_back_strikes_nothing(stack):
    served = ringed(stack)
    watch_rows(served, 1, 2, 3, 4)
    with session(served) as cursor:
        cursor.execute("BEGIN; UPDATE things SET n = 1 WHERE id = 1; ROLLBACK")
        cursor.execute("BEGIN; UPDATE things SET n = 1 WHERE id = 2; SAVEPOINT a; UPDATE things SET n = 1 WHERE id = 3;"
                       "ROLLBACK TO a; UPDATE things SET n = 1 WHERE id = 4; RELEASE a; COMMIT")
    wait_raised(served, 2, 4)
    assert clock(served, tag(1)) == clock(served, tag(3)) == 1
    assert not everything_struck(served)


def test_a_responder_s_own_writes_go_as_before(stack):
    """It strikes what it finds in the outbox, before its answer is followed by anybody's."""
    served = ringed(stack)
    before = by_ring(served)
    for number in range(1, 4):
        served.direct(f"/things/{number}", method="POST")
        assert served.direct(f"/things/{number}").json() == {"n": 1}
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.outbox") == [(0,)], what="the rows taken away by the responder")
    assert by_ring(served) == before
    assert metrics(served).sum("larder_outbox_left_total") == 0


def test_behind_a_pooler_of_transactions(stack, work_folder, lazy_module_postgres):
    server = lazy_module_postgres()
    name = server.create_database()
    bouncer = PgBouncer(work_folder, server, name, pool=4)
    try:
        served = ringed(stack, database=name, postgres=server,
                        env=bouncer.environment | {"LARDER_DB_POOLING": "transaction"})
        for number in range(1, 6):
            assert_delivers(served, number)
    finally:
        bouncer.stop()
        server.drop_database(name)


# Sleep

def test_the_ring_s_writer_wakes_the_sleeper(stack):
    served = ringed(stack, env=SLEEPY)
    watch_rows(served, 1)
    times = []
    for _ in range(5):
        wait_asleep(served)
        before = clock(served, tag(1))
        client = served.redis.client()
        client.ping()
        with session(served) as cursor:
            cursor.execute("BEGIN; UPDATE things SET n = n + 1 WHERE id = 1")
            start = time.monotonic()
            cursor.execute("COMMIT")
            wait_until(lambda: clock(served, tag(1), client) > before, what="the tag raised", every=0.0005)
            times.append(time.monotonic() - start)
    print("from the commit to the bump:", [f"{seconds * 1000:.1f} ms" for seconds in times])
    assert min(times) < 1, "the polls of this sleeper are a minute apart"


def test_under_load_the_ring_s_writers_do_not_notify(stack):
    served = ringed(stack, env=SLEEPY)
    wait_asleep(served)
    listener = served.postgres.connect(served.database, "larder")
    listener.cursor().execute("LISTEN larder")

    def told():
        listener.poll()
        count = len(listener.notifies)
        listener.notifies.clear()
        return count

    with session(served) as cursor:
        def quiet():
            for _ in range(20):
                cursor.execute("UPDATE things SET n = n + 1 WHERE id = 1")
            cursor.execute("SELECT last_value FROM larder.asleep")
            return cursor.fetchone() == (1,) and told() == 0
        cursor.execute("UPDATE things SET n = n + 1 WHERE id = 1")
        wait_until(lambda: told() > 0, what="a notification to the sleeper")
        wait_until(quiet, what="no more notifications", every=0)
    listener.close()
    wait_asleep(served)


def test_beside_a_busy_ring_the_outbox_is_looked_at_too(stack):
    """Not by each poll: some ask the ring alone."""
    served = ringed(stack)
    served.postgres.execute(f'ALTER DATABASE "{served.database}" SET log_statement = \'all\'')
    served.larderd.kill()
    served.start_larderd("larderd2")
    ended = threading.Event()

    def write():
        with session(served) as cursor:
            while not ended.is_set():
                cursor.execute("UPDATE things SET n = n + 1 WHERE id = 1")

    def polls(name):
        with open(served.postgres.log, encoding="utf-8", errors="replace") as log:
            return len(re.findall(rf"EXECUTE {name}", log.read()))

    writers = [Background(write) for _ in range(2)]
    try:
        wait_until(lambda: polls(r"larder_ring_\d") > 20, what="polls of the ring alone")
        for number in range(5):
            assert_outbox_delivers(served, f"by the outbox {number}")
    finally:
        ended.set()
        for writer in writers:
            writer.result()


def test_sigterm_leaves_the_ring_s_writers_notifying(stack):
    served = ringed(stack, count=2)
    served.sql("SELECT setval('larder.asleep', 1); SELECT larder_ring.asleep(false)")
    assert served.larderds[0].stop() == 0
    assert served.sql("SELECT asleep FROM larder_ring.take(0)") == [(True,)]
    assert_delivers(served, 1)


@pytest.fixture
def held(stack):
    """A stack of which one session's COMMIT waits for a standby that does not come, before it is seen by others. Others
    don't wait."""
    own = stack.postgres(module=True, settings={"synchronous_standby_names": "'nobody'"})
    served = ringed(stack, postgres=own, env=SLEEPY)
    connection = own.connect(served.database, "larder")
    connection.cursor().execute("SET synchronous_commit = on")
    yield served, connection
    connection.close()


def stop_awake(served):
    """Stops larderd while it asks nobody to notify."""
    with session(served) as cursor:
        def stopped():
            for _ in range(20):
                cursor.execute("UPDATE things SET n = n + 1 WHERE id = 2")
            served.larderd.pause()
            cursor.execute("SELECT last_value FROM larder.asleep")
            if cursor.fetchone() == (1,):
                return True
            served.larderd.resume()
            return False
        wait_until(stopped, 30, "larderd stopped while awake", every=0)


def test_a_writer_that_saw_it_awake_is_not_missed(held):
    """It will not notify, and comes after larderd lay down. No poll of a sleeper comes for a minute."""
    served, connection = held
    watch_rows(served, 1)
    pid = connection.info.backend_pid
    stop_awake(served)
    commit = Background(connection.cursor().execute, "UPDATE things SET n = 1 WHERE id = 1")
    waits = f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}"
    wait_until(lambda: served.sql(waits) == [("SyncRep",)], what="the COMMIT waiting")
    served.larderd.resume()
    wait_until(lambda: asleep(served), 30, "larderd lying down anew")
    for _ in range(3):
        polls = metrics(served).sum("larder_outbox_polls_total")
        wait_until(lambda: metrics(served).sum("larder_outbox_polls_total") > polls, 5, "a drowsy poll")
    assert clock(served, tag(1)) == 1
    served.postgres.execute("SELECT pg_cancel_backend(%s)", (pid,))
    commit.result()
    wait_raised(served, 1, deadline=5)


# Several databases of one server

def test_each_database_has_a_ring_of_its_own(stack):
    first, second = ringed(stack), ringed(stack)
    before = by_ring(first)
    assert_delivers(second, 1)
    assert by_ring(first) == before
    assert_delivers(first, 1)


def test_databases_without_a_ring_use_the_outbox(stack):
    own = stack.postgres(module=True, settings={"larder.ring_databases": "1"})
    first = ringed(stack, postgres=own)
    second = stack(ROUTES, schema=SCHEMA, postgres=own, module=True, install=True, larderd=True, nginx=False)
    for number in range(1, 4):
        assert_delivers(second, number)
    assert by_ring(second) == 0 and metrics(second).sum("larder_outbox_rows_total") > 0
    before = by_ring(first)
    assert_delivers(first, 1)
    wait_until(lambda: by_ring(first) == before + 1, what="it counted")
