"""larderd is killed, and several share the work: nothing is lost, and nobody promises what another has in hand."""

import re

from outbox import CHANGE, told, assert_delivers, beats, change, clock, daemons, rows_left, wait_raised, watch
from support.waiting import wait_until

# Killed

def test_killed_before_the_bump_it_loses_nothing(stack):
    # It gives the row back when its patience with Redis ends: that is long enough for a busy machine to see it first.
    served = daemons(stack, redis_proxy=True, env={"LARDER_REDIS_TIMEOUT": "10s"})
    watch(served, "a")
    served.redis_proxy.stall()
    change(served, "a")
    in_hand = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%larder_take%'"
    wait_until(lambda: served.sql(in_hand)[0][0], what="the row in larderd's hands", every=0.005)
    served.larderd.kill()
    assert clock(served, "a") == 1
    served.redis_proxy.pass_on()
    served.start_larderd("larderd2")
    wait_raised(served, "a")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


def test_killed_between_the_bump_and_the_commit_it_bumps_again(stack):
    served = daemons(stack, redis_proxy=True)
    watch(served, "a")
    served.redis_proxy.delay(30)  # longer than larderd is patient: it commits nothing, however late it is killed
    change(served, "a")
    wait_raised(served, "a")
    served.larderd.kill()
    first = clock(served, "a")
    assert rows_left(served) == 1
    served.redis_proxy.pass_on()
    served.start_larderd("larderd2")
    wait_raised(served, "a", above=first)
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


def test_killed_again_and_again_it_loses_nothing(stack):
    served = daemons(stack)
    tags = [f"tag {number}" for number in range(400)]
    watch(served, *tags)
    for round_number in range(8):
        change(served, *tags[round_number * 50:round_number * 50 + 50])
        served.larderds[-1].kill()
        served.start_larderd(f"again{round_number}")
    client = served.redis.client()
    wait_until(lambda: all(int(each) > 1 for each in client.mget([f"larder:t:{tag}" for tag in tags])), 20, "all tags")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


def test_the_heartbeat_ends_with_larderd(stack):
    served = daemons(stack, env={"LARDER_GUARD_TTL": "1s"})
    served.larderd.kill()
    wait_until(lambda: not beats(served), 5, "no heartbeat")


# Together

def test_two_share_a_load(stack):
    served = daemons(stack, count=2)
    tags = [f"tag {number}" for number in range(10000)]
    watch(served, *tags)
    connections = [served.postgres.connect(served.database, "larder") for _ in range(4)]
    for number in range(0, len(tags), 100):
        with connections[number // 100 % 4].cursor() as cursor:
            cursor.execute(CHANGE, (tags[number:number + 100],))
    wait_until(lambda: rows_left(served) == 0, 30, "an empty outbox")
    client = served.redis.client()
    assert all(int(each) > 1 for each in client.mget([f"larder:t:{tag}" for tag in tags]))
    assert all(daemon.running() for daemon in served.larderds)
    for connection in connections:
        connection.close()


def test_what_a_stopped_peer_holds_comes_free(stack):
    """The stopped one has the row locked; the other does not promise anything until it got it."""
    served = daemons(stack, redis_proxy=True, env={"LARDER_GUARD_TTL": "1s", "LARDER_REDIS_TIMEOUT": "10s"})
    watch(served, "a")
    served.redis_proxy.keep_back(b"larder:t:a")
    change(served, "a")
    in_hand = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%larder_take%'"
    wait_until(lambda: served.sql(in_hand)[0][0], what="the row in larderd's hands", every=0.005)
    served.larderd.pause()
    first = clock(served, "a")
    served.start_larderd("larderd2", {"LARDER_REDIS": served.redis.url})
    wait_until(lambda: rows_left(served) == 0, 20, "the row taken by the peer")
    assert clock(served, "a") > first
    wait_until(lambda: beats(served), what="the heartbeat")
    served.redis_proxy.pass_on()
    served.larderd.resume()
    assert_delivers(served, "b")


def test_polls_look_again_for_what_a_peer_has_in_hand(stack):
    """Its rows stay in the outbox when it gives them back; their numbers are below the position by then."""
    served = daemons(stack)
    served.postgres.execute(f'ALTER DATABASE "{served.database}" SET log_statement = \'all\'')
    served.larderd.kill()
    watch(served, "held", "passed")
    change(served, "held")
    connection = served.postgres.connect(served.database, "larder")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT xid::text FROM larder.outbox FOR UPDATE")
        number = cursor.fetchone()[0]
        served.start_larderd("larderd2")
        change(served, "passed")
        wait_raised(served, "passed")
        asked = re.compile(rf"larder_take\('{{(\d+,)*{number}(,\d+)*}}'")
        wait_until(lambda: asked.search(logged(served)), what="a poll that asks for the row")
        assert clock(served, "held") == 1
        cursor.execute("ROLLBACK")
    connection.close()
    wait_raised(served, "held")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")


def logged(stack):
    with open(stack.postgres.log, encoding="utf-8", errors="replace") as log:
        return log.read()


def test_no_heartbeat_while_changes_wait(stack):
    served = daemons(stack, env={"LARDER_GUARD_TTL": "1s"})
    connection = served.postgres.connect(served.database, "larder")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE larder.outbox IN ACCESS SHARE MODE")
        served.larderd.pause()
        change(served, "held")
        cursor.execute("SELECT tag FROM larder.outbox FOR UPDATE")
        served.larderd.resume()
        told(served, "no heartbeat")
        wait_until(lambda: not beats(served), what="no heartbeat")
        cursor.execute("COMMIT")
    wait_until(lambda: beats(served), what="the heartbeat")
    connection.close()
