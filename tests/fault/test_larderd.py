"""larderd with PostgreSQL and Redis in good health: what it delivers, when it sleeps, and what kills it."""

import fcntl
import os
import re
import socket
import time
from signal import SIGHUP

import pytest

from outbox import (CHANGE, ROUTES, SCHEMA, asleep, assert_delivers, beats, change, clock, daemons, rows_left,
                    wait_raised, watch)
from support.gate import NUMBER, Gate
from support.stack import metrics
from support.waiting import wait_until

# Without notifications it would take a minute: so long are the polls of a sleeper with these.
SLEEPY = {"LARDER_POLL": "60s", "LARDER_GUARD_TTL": "600s"}


def told(stack, text):
    """The log, once the text is in it."""
    return wait_until(lambda: (log := stack.larderd.log_text()) and text in log and log, 20, f"'{text}' in the log")


def wait_asleep(stack):
    """The flag is set, and nobody who may have seen it otherwise runs any more."""
    wait_until(lambda: asleep(stack), what="larderd asleep")
    before = None

    def quiet():
        nonlocal before
        last, before = before, metrics(stack).sum("larder_outbox_polls_total")
        return before == last
    wait_until(quiet, what="no more polls", every=0.2)


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


# Delivery

def test_a_change_raises_its_tag_and_leaves_the_outbox(stack):
    served = daemons(stack)
    watch(served, "public.a(id)", "public.b(id)")
    change(served, "public.a(id)")
    first = wait_raised(served, "public.a(id)")
    assert clock(served, "public.b(id)") == 1
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    change(served, "public.a(id)", "public.b(id)")
    assert wait_raised(served, "public.a(id)", above=first) == clock(served, "public.b(id)")


def test_the_number_is_of_redis_time_and_lasts_a_day(stack):
    served = daemons(stack)
    watch(served, "a")
    change(served, "a")
    number = wait_raised(served, "a")
    seconds, microseconds = served.redis.client().time()
    assert 0 < number <= (seconds + 60) * 1000000 + microseconds
    assert 86000000 < served.redis.client().pttl("larder:t:a") <= 86400000


def test_a_tag_nobody_kept_gets_no_number(stack):
    served = daemons(stack)
    watch(served, "kept")
    change(served, "unknown", "kept")
    wait_raised(served, "kept")
    assert not served.redis.client().exists("larder:t:unknown")


def test_a_rolled_back_change_is_none(stack):
    served = daemons(stack)
    watch(served, "undone", "done")
    with served.postgres.connect(served.database, "larder") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO larder.outbox (tag) VALUES ('undone'); ROLLBACK")
    change(served, "done")
    wait_raised(served, "done")
    assert clock(served, "undone") == 1


def test_the_feed_is_a_chain(stack):
    served = daemons(stack)
    listener = served.redis.client().pubsub()
    listener.subscribe("larder:f")
    for number in range(5):
        change(served, f"tag {number}", "every")
    bumps, beat, end = [], None, time.monotonic() + 15
    while time.monotonic() < end and not (beat and b"tag 4" in b"".join(b"".join(bump) for bump in bumps)):
        message = listener.get_message(ignore_subscribe_messages=True, timeout=1)
        if message and b"\n" in message["data"]:
            bumps.append(message["data"].split(b"\n"))
            beat = None  # of the bumps before
        elif message and bumps:
            beat = message["data"]
    assert beat == bumps[-1][1], "a heartbeat tells the number of the last bump"
    for before, after in zip(bumps, bumps[1:]):
        assert after[0] == before[1] and int(after[1]) > int(before[1])
    assert {tag for bump in bumps for tag in bump[2:]} == {b"every", *(b"tag %d" % number for number in range(5))}


def test_the_journal_names_each_bump(stack):
    served = daemons(stack)
    watch(served, "a")
    change(served, "a", "b")
    number = wait_raised(served, "a")
    script = "return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])"
    [[name, fields]] = served.redis.client().eval(script, 1, "larder:j", number)
    assert name == b"%d-0" % number
    assert sorted(fields[1::2]) == [b"a", b"b"] and set(fields[0::2]) == {b"t"}


def test_more_tags_than_one_script_takes(stack):
    served = daemons(stack)
    tags = [f"public.items(id).id={number}" for number in range(3000)]
    watch(served, *tags)
    served.sql("INSERT INTO larder.outbox (tag) SELECT unnest(%s::text[])", (tags,))
    wait_until(lambda: all(clock(served, tag) > 1 for tag in (tags[0], tags[1499], tags[-1])), what="raised tags")
    client = served.redis.client()
    wait_until(lambda: all(int(each) > 1 for each in client.mget([f"larder:t:{tag}" for tag in tags])), what="all")


def test_tags_that_nobody_kept_cost_redis_no_command_each(stack):
    served = daemons(stack)
    watch(served, "kept")
    before = {command: served.redis.calls(command) for command in ("get", "set")}
    with served.postgres.connect(served.database, "larder") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO larder.outbox (tag) SELECT 'unknown ' || n FROM generate_series(1, 3000) AS n")
    change(served, "kept")
    wait_raised(served, "kept")
    wait_until(lambda: rows_left(served) == 0, what="an empty outbox")
    for command, calls in before.items():  # looks of this test, and heartbeats, are some
        assert served.redis.calls(command) - calls < 1000, f"one {command} for each tag"


def test_scripts_forgotten_by_redis_are_sent_again(stack):
    served = daemons(stack)
    for number in range(3):
        served.redis.client().script_flush()
        assert_delivers(served, f"tag {number}")
    assert "warning redis" not in served.larderd.log_text()


def test_a_million_rows_drain(stack):
    served = daemons(stack)
    tags = [f"tag {number}" for number in range(1000)]
    watch(served, *tags)
    served.sql("INSERT INTO larder.outbox (tag) SELECT 'tag ' || i % 1000 FROM generate_series(1, 1000000) AS i")
    wait_until(lambda: rows_left(served) == 0, 120, "an empty outbox", every=0.5)
    assert all(clock(served, tag) > 1 for tag in tags)
    wait_until(lambda: beats(served), what="the heartbeat")


def test_definitions_that_changed_are_struck(stack):
    served = daemons(stack, schema="""
        CREATE TABLE public.altered (tag text);
        CREATE FUNCTION larder.changed_definitions() RETURNS TABLE (tag text) LANGUAGE sql AS
            'DELETE FROM public.altered RETURNING tag';
        """)
    watch(served, "public.view()", "other")
    served.sql("INSERT INTO public.altered VALUES ('public.view()')")
    wait_raised(served, "public.view()")
    assert clock(served, "other") == 1
    wait_until(lambda: served.sql("SELECT count(*) FROM public.altered")[0][0] == 0, what="the transaction committed")


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


# At the start

def test_an_unknown_redis_and_an_unmarked_database_have_everything_struck(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    watch(served, "*")
    served.start_larderd()
    first = wait_raised(served, "*")
    wait_until(lambda: served.sql("SELECT count(*) FROM larder.marker")[0][0] == 1, what="the marker")
    served.larderd.stop()
    again = clock(served, "*")
    assert again >= first
    other = served.start_larderd("larderd2")
    change(served, "x")
    wait_until(lambda: rows_left(served) == 0, what="the second larderd at work")
    assert clock(served, "*") == again, "the same Redis and a marked database: nothing is struck"
    other.stop()


def test_what_waits_is_delivered_at_the_start(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    watch(served, "early")
    served.sql("INSERT INTO larder.outbox (tag) VALUES ('early')")
    served.start_larderd()
    wait_raised(served, "early")


def test_without_the_schema_it_says_what_to_run_and_does_not_beat(stack):
    served = stack(ROUTES, nginx=False)
    served.start_larderd()
    told(served, "larder install")
    assert not beats(served)
    served.sql(SCHEMA)
    wait_until(lambda: beats(served), what="a heartbeat")
    assert served.larderd.log_text().count("larder install") == 1
    assert_delivers(served, "a")


def test_without_redis_in_its_settings_it_does_not_start(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    daemon = served.start_larderd(environment={"LARDER_REDIS": ""})
    assert daemon.process.wait() == 2
    assert "LARDER_REDIS is not set" in daemon.log_text()
    served.larderds.clear()


def test_systemd_is_told(stack, tmp_path):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        daemon = served.start_larderd(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
        heard = set()
        while not {"READY=1", "WATCHDOG=1", "STATUS=changes are delivered"} <= heard:
            heard.add(listener.recv(4096).decode())
        assert daemon.stop() == 0
        while "STOPPING=1" not in heard:
            heard.add(listener.recv(4096).decode())


# Sleep

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


def test_sighup_is_harmless(stack):
    served = daemons(stack)
    served.larderd.process.signal(SIGHUP)
    assert_delivers(served, "a")
    assert served.larderd.running()


@pytest.mark.parametrize("name", ["clocks-1", "urls-3"])
def test_a_run_folder_of_another_making_keeps_nobody_from_hearing_of_changes(stack, tmp_path, name):
    """Only what nginx keeps is not refreshed then; a file of another user is told of in the same way."""
    os.mkfifo(f"{tmp_path}/{name}")
    served = daemons(stack)
    assert served.larderd.stop() == 0
    with open(f"{tmp_path}/secret", "w", encoding="ascii") as secret:
        secret.write("0123456789abcdef yes;\n")
    daemon = served.start_larderd("other", {"LARDER_RUN": str(tmp_path), "LARDER_NGINX": "http://127.0.0.1:1",
                                            "LARDER_NGINX_SECRET_FILE": f"{tmp_path}/secret"})
    assert_delivers(served, "a")
    assert f"{name} must be a regular file of this user or root: what nginx keeps is not refreshed" in daemon.log_text()
    assert daemon.stop() == 0


def test_sighup_while_it_starts_is_harmless(stack, tmp_path):
    """It would die of the signal, after which no service manager starts it again."""
    served = daemons(stack)
    assert served.larderd.stop() == 0
    with open(f"{tmp_path}/counters-1", "wb") as counters:
        fcntl.flock(counters, fcntl.LOCK_EX)
        daemon = served.start_larderd("early", {"LARDER_RUN": str(tmp_path)})
        wait_until(lambda: waits_for_lock(daemon.process.pid), 20, "larderd waiting for the counters")
        daemon.process.signal(SIGHUP)
    assert_delivers(served, "a")
    assert daemon.stop() == 0


def waits_for_lock(pid):
    with open("/proc/locks", encoding="ascii") as locks:
        return any(line.split()[1] == "->" and str(pid) in line.split() for line in locks)


# Killed

def test_killed_before_the_bump_it_loses_nothing(stack):
    served = daemons(stack, redis_proxy=True)
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


# What polls don't look at

def test_a_row_below_all_that_polls_look_at_is_found(stack):
    """Of a transaction that by all they know was over long ago."""
    served = daemons(stack)
    assert_delivers(served, "a")
    watch(served, "lost")
    served.sql("INSERT INTO larder.outbox (tag, xid) VALUES ('lost', '3')")
    wait_raised(served, "lost")
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
        piece = wait_until(lambda: taking(served), what="the sweep held up")
        change(served, "a")
        wait_raised(served, "a")
        change(served, "b")
        wait_raised(served, "b")
        assert taking(served) == piece, "the changes were bumped after the piece"
        assert clock(served, "slow") == 1
        cursor.execute("SELECT pg_advisory_unlock(7)")
    wait_raised(served, "slow")
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
        wait_until(lambda: clock(served, "after") != 1, 60, "the row behind the slow one")
        assert clock(served, "slow") == 1
        cursor.execute("SELECT pg_advisory_unlock(7)")
    # The sweep comes round, in pieces that each have a pause of fifty times what they took.
    wait_raised(served, "slow", deadline=60)
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
