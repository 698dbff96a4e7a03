"""When larderd sleeps, and what wakes it."""

import time

from outbox import CHANGE, SLEEPY, wait_asleep, asleep, assert_delivers, clock, daemons, rows_left, wait_raised, watch
from support.stack import metrics
from support.waiting import wait_until


def wait_up(stack):
    """Changes of "b" come until larderd itself has cleared the flag."""
    connection = stack.postgres.connect(stack.database, "larder")

    def flag_cleared():
        for _ in range(20):
            cursor.execute(CHANGE, (["b"],))
        cursor.execute("SELECT last_value FROM larder.asleep")
        return cursor.fetchone()[0] == 1
    with connection.cursor() as cursor:
        wait_until(flag_cleared, what="the flag cleared", every=0)
    connection.close()


def test_a_notification_wakes_the_sleeper(stack):
    served = daemons(stack, env=SLEEPY)
    watch(served, "a")
    times = []
    for _ in range(5):
        wait_asleep(served)
        before = clock(served, "a")
        connection = served.postgres.connect(served.database, "larder")
        client = served.redis.client()
        client.ping()
        with connection.cursor() as cursor:
            cursor.execute("BEGIN; " + CHANGE, (["a"],))
            start = time.monotonic()
            cursor.execute("COMMIT")
        wait_until(lambda: clock(served, "a", client) > before, what="the tag raised", every=0.0005)
        times.append(time.monotonic() - start)
        connection.close()
    print("from the commit to the bump:", [f"{seconds * 1000:.1f} ms" for seconds in times])
    assert min(times) < 1, "the polls of this sleeper are a minute apart"
    assert metrics(served).sum("larder_outbox_wakes_total") >= 5


def test_a_writer_that_saw_it_awake_is_not_missed(stack):
    """It will not notify, commits after larderd lay down, and no poll comes for a minute."""
    served = daemons(stack, env=SLEEPY)
    watch(served, "a")
    connection = served.postgres.connect(served.database, "larder")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO larder.outbox (tag) VALUES ('a')")
        wait_up(served)  # the writer, who looks at the flag after his INSERT, may see it cleared from now on
        wait_until(lambda: asleep(served), what="larderd lying down anew")
        for _ in range(3):
            polls = metrics(served).sum("larder_outbox_polls_total")
            wait_until(lambda: metrics(served).sum("larder_outbox_polls_total") > polls, 5, "a drowsy poll")
        assert clock(served, "a") == 1
        cursor.execute("COMMIT")
    wait_raised(served, "a", deadline=5)
    connection.close()


def test_under_load_writers_are_told_not_to_notify(stack):
    served = daemons(stack, env=SLEEPY)
    wait_asleep(served)
    wait_up(served)
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    wait_asleep(served)


def test_a_sleeper_whose_busy_peer_was_killed_lies_down_anew(stack):
    served = daemons(stack)
    wait_until(lambda: asleep(served), what="larderd asleep")
    served.sql("SELECT setval('larder.asleep', 1)")
    wait_until(lambda: asleep(served), 5, "the flag set again")


def test_sigterm_leaves_writers_notifying(stack):
    served = daemons(stack, count=2)
    served.sql("SELECT setval('larder.asleep', 1)")
    assert served.larderds[0].stop() == 0
    assert asleep(served)
    assert_delivers(served, "a")
