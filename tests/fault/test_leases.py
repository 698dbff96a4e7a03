"""What is in Redis under Larder's names though nobody means it: leases of look-ups that were given up, tags that are no
numbers, a journal of great records. None of it costs more than a miss."""

import pytest

from breaking import network_paused, redis_stopped
from faults import SLACK, count, grown
from staleness import PATIENT, ROUTES, SCHEMA, Change, ask, keep_person, person
from support.coherent import barrier, detail, is_hit, keep, wait_for_beat
from support.crowd import Background
from support.gate import NUMBER, Gate
from support.stack import metrics
from support.waiting import wait_until

# A lease longer than any test waits, so that one left behind is noticed.
ENV = PATIENT | {"LARDER_LEASE": "60s", "LARDER_TIMEOUT": "60s"}
GATED = {"gated": ROUTES["far"].replace("/far/", "/gated/").replace(
    "FROM people", f"FROM people, pg_advisory_xact_lock_shared({NUMBER})")}
RECORDS, TAGS = 1000, 500


@pytest.fixture(scope="module")
def shared(shared_stack):
    started = shared_stack(ROUTES | GATED, schema=SCHEMA, nginx=False, install=True, larderd=True, redis_proxy=True,
                           env=ENV)
    wait_for_beat(started.redis)
    return started


@pytest.fixture
def served(shared):
    barrier(shared)
    return shared


@pytest.mark.parametrize("fault", [redis_stopped, network_paused])
def test_a_lookup_that_was_given_up_leaves_no_lease(served, fault):
    """Redis takes the lease when the one who asked for it has long gone; the next ones do not wait for its end."""
    numbers = [person() for _ in range(3)]
    with fault(served):
        for number in numbers:
            assert detail(ask(served, f"/far/{number}")) == "redis-down"
    wait_until(lambda: ask(served, f"/far/{person()}") and count(served, "redis_breaker_open") == 0, 10,
               "Redis spoken to again")
    for number in numbers:
        assert ask(served, f"/far/{number}").seconds < 2 + SLACK
        keep(lambda: ask(served, f"/far/{number}"))


def test_a_lookup_that_redis_comes_to_late_gets_no_lease(served):
    """It lies in the network until its lease has been ended by another connection."""
    client, number = served.redis.client(), person()
    client.config_set("slowlog-max-len", 1000)
    served.redis_proxy.hold()
    try:
        assert detail(ask(served, f"/far/{number}")) == "redis-down"
        wait_until(lambda: detail(ask(served, f"/far/{person()}")) != "redis-down", 10, "Redis spoken to again")
        assert client.keys("larder:l:*:*.*"), "the lease is barred"
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
    finally:
        served.redis_proxy.release()
    wait_until(lambda: any(b"far" in entry["command"] for entry in client.slowlog_get(1000)), 10, "the late look-up")
    client.config_set("slowlog-log-slower-than", 10000)
    assert ask(served, f"/far/{number}").seconds < 2 + SLACK
    keep(lambda: ask(served, f"/far/{number}"))


def wait_for_store(client):
    """The answer may be here before Redis has come to the store that was sent ahead of it."""
    wait_until(lambda: any(entry["command"].startswith(b"EVAL ") for entry in client.slowlog_get(1000)), 10,
               "the store's script")


def processor_seconds(client):
    """Of the thread that runs all scripts: what it waits for a processor is none of it."""
    used = client.info("cpu")
    return used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"]


def test_an_answer_is_kept_cheaply_however_great_the_journals_records_are(served):
    """Half a million tags were struck while its query was under way. Redis does nothing else meanwhile, so the script
    that looks for the answer's own among them gives up early."""
    client = served.redis.client()
    client.config_set("slowlog-max-len", 1000)
    client.config_set("slowlog-log-slower-than", 0)
    seconds = []
    for _ in range(3):
        number = person()
        with Gate(served) as gate:
            answer = Background(ask, served, f"/gated/{number}")
            gate.wait_for(1)
            add_records(client)
            client.slowlog_reset()
            before = processor_seconds(client)
            gate.open()
            assert answer.result().json()["id"] == number
        wait_for_store(client)
        seconds.append(processor_seconds(client) - before)
        client.delete("larder:j")
    client.config_set("slowlog-log-slower-than", 10000)
    assert min(seconds) < 0.05, seconds


# As bumps of many tags would; the tags are of nobody. KEYS: clock, journal. ARGV: records, tags of each.
ADD_RECORDS = """
local number = tonumber(redis.call('HGET', KEYS[1], 'n'))
for record = 1, ARGV[1] do
  local fields = {}
  number = number + 1
  for tag = 1, ARGV[2] do
    fields[#fields + 1] = string.format('public.people(id,name).id=%.0f.%d', number, tag)
  end
  redis.call('XADD', KEYS[2], string.format('%.0f-0', number), 't', table.concat(fields, '\\n'))
end
redis.call('HSET', KEYS[1], 'n', string.format('%.0f', number))
"""
PART = 20


def add_records(client):
    """In parts, so that nobody waits long for Redis."""
    for _ in range(RECORDS // PART):
        client.eval(ADD_RECORDS, 2, "larder:c", "larder:j", PART, TAGS)


@pytest.fixture(scope="module")
def unhurried(shared_stack):
    """With time for a Redis that is well: its errors are counted."""
    started = shared_stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True,
                           env=ENV | {"LARDER_REDIS_TIMEOUT": "5s"})
    wait_for_beat(started.redis)
    return started


@pytest.mark.parametrize("value", ["garbage", "", "nan", "inf", "1e300", "9" * 20])
def test_a_tag_that_is_no_number_costs_its_entries_alone(unhurried, value):
    """They are misses once, then kept again; nobody else's are, no error is counted, and changes are told as ever."""
    served = unhurried
    barrier(served)
    number, other = keep_person(served, "far"), keep_person(served, "far")
    before = metrics(served)
    served.redis.client().set(f"larder:t:public.people(id,name).id={number}", value)
    assert not is_hit(ask(served, f"/far/{number}"))
    assert is_hit(ask(served, f"/far/{other}"))
    Change(served, number).assert_shows(5, longest=None)
    keep(lambda: ask(served, f"/far/{number}"))
    assert is_hit(ask(served, f"/far/{other}"))
    assert grown(served, before, "redis_errors_total") == 0
    Change(served, number).assert_shows(5, longest=None)
