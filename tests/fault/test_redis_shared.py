"""A Redis that others use too: Larder in several databases of one server, and an administrator who closes and swaps."""

from faults import ROUTES as FAULT_ROUTES, SCHEMA as FAULT_SCHEMA
from support import fastcgi
from support.coherent import barrier, keep, time_left, wait_for_beat, wait_for_body, SENTINEL_ROUTE, SENTINEL_SCHEMA
from support.host import Host
from support.stack import metrics
from support.waiting import wait_until

ROUTES = SENTINEL_ROUTE | {"item": FAULT_ROUTES["item"]}
SCHEMA = SENTINEL_SCHEMA + FAULT_SCHEMA
GUARD = {"LARDER_GUARD_TTL": "2s"}


def start(stack, database, **options):
    place = {"LARDER_REDIS": f"redis://127.0.0.1:{{stack.redis.port}}/{database}"}
    return stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=1,
                 **options | {"env": GUARD | place | options.get("env", {})})


def name(stack, text=None):
    if text:
        stack.sql("UPDATE items SET name = %s WHERE id = 1", [text])
    return {"id": 1, "name": text or "item 1"}


def ask(stack):
    return stack.direct("/items/1")


def keep_long(stack):
    """Until the answer is kept for its whole ttl, not for LARDER_GUARD_TTL as all are at first."""
    wait_until(lambda: time_left(ask(stack)) > 100, 20, "an answer kept for long")


def test_two_databases_of_one_server_do_not_hear_each_other(stack):
    """With one prefix; the channels of a server are not apart by database."""
    served = start(stack, 1)
    other = start(stack, 2, redis=False, env={"LARDER_REDIS": served.environment()["LARDER_REDIS"][:-1] + "2"})
    for each in (other, served):
        barrier(each)
        keep_long(each)
        keep(lambda: ask(each), "l1")
    before = metrics(served)
    wait_until(lambda: metrics(other).sum("larder_heartbeats_total") >= 4, 20, "the other's heartbeats")
    assert metrics(served).sum("larder_feed_gaps_total") == before.sum("larder_feed_gaps_total") == 0
    served.larderd.kill()
    wait_for_body(lambda: ask(served), name(served, "told by nobody"), 20)


def test_a_server_that_closes_idle_connections_was_not_lost(stack):
    """Redis' "timeout"; larderd asks it every three seconds here."""
    served = start(stack, 0, redis={"timeout": "1"}, env={"LARDER_GUARD_TTL": "24s"})
    barrier(served)
    beats = metrics(served).sum("larder_heartbeats_total")
    wait_until(lambda: metrics(served).sum("larder_heartbeats_total") >= beats + 3, 30, "heartbeats")
    wait_for_body(lambda: ask(served), name(served, "told"))
    assert metrics(served).sum("larder_redis_errors_total") == 0
    assert "connection was lost" not in served.larderd.log_text()


def test_a_database_that_is_swapped_away_and_back(stack, tmp_path):
    """What it holds is older than what larderd told it, on the same server; a host that comes later knows nothing."""
    served = start(stack, 0, env={"LARDER_L1": "0"})
    keep_long(served)
    client = served.redis.client()
    client.swapdb(0, 1)
    wait_for_beat(served.redis)
    changed = name(served, "other")
    barrier(served)
    client.swapdb(0, 1)
    with Host(served, f"{tmp_path}/host", pools=("api",)) as later:
        wait_for_body(lambda: fastcgi.ask(later.api.socket, "/items/1"), changed, 20)


def test_a_server_without_a_command_is_told_of_once(stack):
    """rename-command; the tries go on."""
    served = start(stack, 0, redis={"rename-command": ["PUBLISH", ""]})
    wait_until(lambda: served.redis.calls("info") >= 10, 60, "further tries")
    lines = [line for line in served.larderd.log_text().splitlines() if " redis: " in line]
    assert len(lines) == 2 and "a Redis server new to Larder" in lines[0], lines
    assert lines[1].endswith("Redis: ERR unknown command PUBLISH in a script")
    assert ask(served).status == 200
