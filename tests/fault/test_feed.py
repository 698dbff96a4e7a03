"""The feed of changes: what a responder does when messages are missing or the line is lost, and how it comes back."""

import os
import time

import pytest

from faults import ROUTES, SCHEMA, SLACK, ask_item, count, fresh_id, grown
from support import clocks
from support.redis_server import Redis
from support.stack import metrics
from support.waiting import wait_until

# As Larder's own script: the number before, the new one, the tags.
BUMP = """
local before = redis.call('HGET', KEYS[1], 'b') or '0'
local time = redis.call('TIME')
local number = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('HGET', KEYS[1], 'n') or 0)) + 1
number = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'n', number, 'b', number)
redis.call('PUBLISH', KEYS[2], before .. '\\n' .. number .. '\\n' .. table.concat(ARGV, '\\n'))
return number
"""
SILENT_AT_MOST = 1.0

begun = {}  # stack: what its log had told of the feed before the test


@pytest.fixture
def fresh(stack):
    return lambda **options: stack(ROUTES, **{"schema": SCHEMA, "nginx": False, **options,
                                              "env": {"LARDER_REDIS_TIMEOUT": "100ms", **options.get("env", {})}})


@pytest.fixture
def connected(fresh):
    """Hears of changes. Till then the log may tell of a Redis that a busy machine held up."""
    def start(**options):
        started = fresh(**options)
        wait_connected(started)
        wait_until(lambda: len(feed_lines(started)) % 2 == 0, what="the end of what was lost told as well")
        begun[started] = len(feed_lines(started))
        return started
    return start


@pytest.fixture
def served(connected):
    return connected()


def bump(stack, *tags):
    return int(stack.redis.client().eval(BUMP, 2, "larder:c", "larder:f", *(tags or ("*",))))


def publish(stack, message):
    """A message of another's making; it must reach somebody."""
    assert stack.redis.client().publish("larder:f", message) >= 1


def wait_connected(stack, processes=1):
    wait_until(lambda: count(stack, "feed_connected") == processes, what="the feed connected")


def wait_grown(stack, before, name, by=1):
    wait_until(lambda: grown(stack, before, name) >= by, what=f"{name} grown by {by}")
    assert grown(stack, before, name) == by


def assert_hears(stack):
    """A bump by hand is heard, in order, and nothing more happens."""
    wait_connected(stack)
    before = metrics(stack)
    number = bump(stack, "public.items(id,name)", "*")
    wait_until(lambda: clocks.newest(stack.run) == number, what="the bump in the host's clocks")
    assert grown(stack, before, "feed_messages_total") == 1
    assert grown(stack, before, "feed_gaps_total") == 0
    assert grown(stack, before, "l1_clears_total") == 0


def feed_lines(stack):
    return [line for line in stack.log_text().splitlines() if "changes are" in line][begun.get(stack, 0):]


def assert_told_once(stack):
    lost, again = feed_lines(stack)
    assert "changes are not heard of: " in lost
    assert "changes are heard of again" in again


def assert_noticed(stack, before, seconds=SILENT_AT_MOST):
    start = time.monotonic()
    wait_until(lambda: count(stack, "feed_connected") == 0, what="the lost line noticed")
    assert time.monotonic() - start < seconds + SLACK
    assert grown(stack, before, "feed_gaps_total") == 0
    assert grown(stack, before, "l1_clears_total") == 0, "what is there serves for the guard time"


def test_bumps_in_order_are_heard(served):
    for _ in range(3):
        assert_hears(served)
    assert not feed_lines(served)


def l1_hit(stack, number):
    """Asks for the item; whether the process's own memory had it."""
    before = metrics(stack)
    ask_item(stack, number)
    return grown(stack, before, "l1_hits_total") == 1


def kept_in_memory(stack):
    number = fresh_id()
    wait_until(lambda: l1_hit(stack, number), what="an answer kept in memory")
    return number


def test_a_bump_strikes_what_memory_holds(served):
    number = kept_in_memory(served)
    assert l1_hit(served, number)
    clock = bump(served, "of.nobody()")
    wait_until(lambda: clocks.newest(served.run) == clock, what="the bump in the host's clocks")
    assert l1_hit(served, number)
    clock = bump(served, "*")
    wait_until(lambda: clocks.newest(served.run) == clock, what="the bump in the host's clocks")
    assert not l1_hit(served, number)


def test_a_gap_empties_the_memory(served):
    number = kept_in_memory(served)
    before = metrics(served)
    publish(served, "anything")
    wait_grown(served, before, "l1_clears_total")
    assert not l1_hit(served, number)


def test_every_process_listens(fresh):
    served = fresh(processes=2)
    wait_connected(served, 2)
    before = metrics(served)
    bump(served)
    wait_grown(served, before, "feed_messages_total", 2)


def test_a_process_that_ends_listens_no_more(served):
    before = metrics(served)
    start = time.monotonic()
    served.restart()
    assert time.monotonic() - start < 5
    wait_connected(served)
    assert served.redis.client().pubsub_numsub("larder:f") == [(b"larder:f", 1)]
    assert grown(served, before, "feed_gaps_total") == 0


@pytest.mark.parametrize("message", ["1\n9007199254740991\npublic.items(id,name)", "9007199254740990", "anything",
                                     "1\n2", ""])
def test_a_message_that_shows_a_gap(served, message):
    """Also what can't be read, and what Redis can have said only after it lost its memory."""
    assert_hears(served)
    before = metrics(served)
    publish(served, message)
    wait_grown(served, before, "feed_gaps_total")
    wait_grown(served, before, "l1_clears_total")
    wait_connected(served)
    assert not feed_lines(served)
    if "9007199254740991" not in message:
        assert_hears(served)


def test_heartbeats_in_order_are_no_gap(served):
    number = bump(served)
    wait_until(lambda: clocks.newest(served.run) == number, what="the bump heard")
    before = metrics(served)
    for _ in range(3):
        publish(served, str(number))
    wait_grown(served, before, "feed_messages_total", 3)
    assert grown(served, before, "feed_gaps_total") == 0


def test_a_server_that_forgets_everything_is_a_gap_once(served):
    assert_hears(served)
    before = metrics(served)
    served.redis.client().flushall()
    bump(served)
    wait_grown(served, before, "feed_gaps_total")
    assert_hears(served)


def test_a_killed_connection(served):
    before = metrics(served)
    served.redis.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_grown(served, before, "l1_clears_total")
    assert_hears(served)
    assert_told_once(served)


def test_bumps_while_the_line_is_lost_are_no_gap_afterwards(connected):
    served = connected(redis_proxy=True)
    before = metrics(served)
    served.redis_proxy.cut()
    assert_noticed(served, before)
    for _ in range(3):
        bump(served)
    served.redis_proxy.pass_on()
    wait_grown(served, before, "l1_clears_total")
    assert_hears(served)
    assert grown(served, before, "feed_gaps_total") == 0
    assert_told_once(served)


def test_what_was_missed_while_the_line_was_lost_is_struck(fresh):
    """Though the host knows the last bump, as of a write of its own. What nginx keeps has no other way to be told."""
    served = fresh(redis_proxy=True)
    assert_hears(served)
    before = metrics(served)
    served.redis_proxy.cut()
    assert_noticed(served, before)
    bump(served, "of.another(host)")
    own = bump(served, "of.this(host)")
    clocks.tell(served.run, own)
    served.redis_proxy.pass_on()
    wait_connected(served)
    assert clocks.of_all(served.run) == own


def test_what_was_missed_while_no_responder_ran_is_struck(fresh):
    """Though the host knows the last bump, as of its larderd."""
    served = fresh()
    assert_hears(served)
    served.api.stop()
    bump(served, "of.another(host)")
    own = bump(served, "of.this(host)")
    clocks.tell(served.run, own)
    served.api.start()
    wait_until(lambda: clocks.of_all(served.run) == own, what="what nginx keeps struck")


def test_redis_restarted(served):
    before = metrics(served)
    served.redis.kill()
    assert_noticed(served, before)
    ask_item(served)
    served.redis.start()
    wait_grown(served, before, "l1_clears_total")
    assert_hears(served)
    assert_told_once(served)


@pytest.mark.parametrize("stop", ["stall", "pause"])
def test_a_silent_line(connected, stop):
    """Nobody closes it: only that no answer comes tells."""
    served = connected(redis_proxy=True)
    before = metrics(served)
    hold, go_on = {"stall": (served.redis_proxy.stall, served.redis_proxy.pass_on),
                   "pause": (served.redis.pause, served.redis.resume)}[stop]
    hold()
    try:
        assert_noticed(served, before)
    finally:
        go_on()
    wait_grown(served, before, "l1_clears_total")
    assert_hears(served)
    assert_told_once(served)


def test_a_quiet_line_is_not_a_lost_one(served):
    """Nothing is said for longer than a lost line takes to be noticed; PINGs are answered all the while."""
    before, pings = metrics(served), served.redis.calls("ping")
    wait_until(lambda: served.redis.calls("ping") >= pings + 4, what="four PINGs")
    assert grown(served, before, "l1_clears_total") == 0
    assert not feed_lines(served)


def test_redis_that_comes_after_the_responder(fresh, tmp_path):
    redis = Redis(tmp_path / "redis")
    redis.kill()
    served = fresh(redis=False, env={"LARDER_REDIS": redis.url})
    served.redis = redis
    wait_until(lambda: feed_lines(served), what="a word that changes are not heard of")
    assert count(served, "feed_connected") == 0
    redis.start()
    assert_hears(served)
    assert_told_once(served)


def test_a_replica_is_not_listened_to(served, fresh):
    """Its clock may lag behind what its followers were told."""
    replica = fresh(redis={"replicaof": f"127.0.0.1 {served.redis.port}"})
    wait_until(lambda: any("READONLY" in line for line in feed_lines(replica)), what="the replica refused")
    assert count(replica, "feed_connected") == 0


def test_the_end_is_not_held_up(fresh):
    served = fresh(redis_proxy=True)
    wait_connected(served)
    served.redis_proxy.stall()
    try:
        start = time.monotonic()
        assert served.api.stop() == 0
        assert time.monotonic() - start < 1 + SLACK
    finally:
        served.redis_proxy.pass_on()


def test_without_memory_it_is_heard_all_the_same(fresh):
    served = fresh(env={"LARDER_L1": "0B"})
    assert_hears(served)
    before = metrics(served)
    publish(served, "anything")
    wait_grown(served, before, "feed_gaps_total")
    assert grown(served, before, "l1_clears_total") == 0


def test_without_redis_there_is_none(fresh):
    served = fresh(redis=False)
    ask_item(served)
    assert count(served, "feed_connected") == 0
    assert not feed_lines(served)


def test_clocks_of_another_format_are_replaced(fresh):
    served = fresh()
    wait_connected(served)
    assert_hears(served)
    served.api.stop()
    path = clocks.path_of(served.run)
    size = os.path.getsize(path)
    os.truncate(path, 100)
    served.redis.pause()  # nothing is heard of until what the file was replaced by has been looked at
    served.restart()
    assert os.path.getsize(path) == size
    assert clocks.newest(served.run) == 0
    served.redis.resume()
    assert_hears(served)
