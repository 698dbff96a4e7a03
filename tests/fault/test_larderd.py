"""larderd with PostgreSQL and Redis in good health: what it delivers, and how it starts."""

import fcntl
import os
import socket
import time
from signal import SIGHUP

import pytest

from outbox import told, ROUTES, SCHEMA, assert_delivers, beats, change, clock, daemons, rows_left, wait_raised, watch
from support.waiting import wait_until

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
    assert fields[0] == b"t" and sorted(fields[1].split(b"\n")) == [b"a", b"b"]


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
