"""The counters: what they count, how they are shown, who may read them, and what a killed process leaves."""

import math
import os
import time

import pytest

from support import fastcgi
from support.client import request
from support.gate import ROUTE as GATE, Gate
from support.metrics import Metrics
from support.stack import REDIS_TIER, metrics
from support.waiting import wait_until

ROUTES = {
    "kept": "-- @http GET /kept/{id}\n-- @param id int\n-- @result row\n-- @cache ttl=60s negative=60s\n"
            "SELECT :id AS id WHERE :id < 100",
    "plain": "-- @http GET /plain\n-- @result row\nSELECT 1 AS one",
    "nap": "-- @http GET /nap\n-- @result row\nSELECT 1 AS one FROM pg_sleep(0.03)",
    "broken": "-- @http GET /broken\n-- @param by int\n-- @result row\nSELECT 1 / :by AS result",
    "gate": GATE,
}
KEPT = "GET /kept/{id}"


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, env=REDIS_TIER)


@pytest.fixture(scope="module")
def pair(shared_stack):
    return shared_stack(ROUTES, processes=2, nginx=False, env={"LARDER_THREADS": "2"})


def grown(before, after):
    """The samples that grew, by name and labels."""
    return {key: value - before.samples.get(key, 0) for key, value in after.samples.items()
            if value != before.samples.get(key, 0)}


def requests_of(before, after):
    """(route, status, tier) and by how much larder_requests_total grew, Larder's own pages left out."""
    counts = {}
    for (name, labels), growth in grown(before, after).items():
        labels = dict(labels)
        if name == "larder_requests_total" and labels["route"] != "/_larder/":
            counts[labels["route"], labels["status"], labels["tier"]] = growth
    return counts


def settled(stack, before, count):
    """The metrics once `count` requests more are counted: an answer may be read before it is."""
    def ready():
        after = metrics(stack)
        return after if sum(requests_of(before, after).values()) >= count else None
    return wait_until(ready, 5, f"{count} requests counted")


# The text

def test_every_sample_is_declared_with_help_and_type(served):
    served.get("/kept/1"), served.get("/plain"), served.get("/nothing")
    count = metrics(served)
    assert len(count.samples) > 40
    for name, labels in count.samples:
        family = name
        if dict(labels).get("le") or name.endswith(("_sum", "_count")):
            family = name.rpartition("_")[0]
        assert count.kinds[family] in ("counter", "gauge", "histogram"), name
        assert count.help[family].endswith("."), name
        assert (count.kinds[family] == "histogram") == (family != name), name
        assert name.endswith("_total") == (count.kinds[family] == "counter"), name
    assert all(value >= 0 and math.isfinite(value) for value in count.samples.values())


def test_each_family_is_declared_once_and_its_samples_stand_together(served):
    served.get("/kept/1"), served.get("/plain")
    answer = served.direct("/_larder/metrics")
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store" and answer.text.endswith("\n")
    declared, family = [], None
    for line in answer.text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            declared.append(family)
        else:
            assert (line.split()[2] if line.startswith("#") else line).startswith(family), line
    assert len(declared) == len(set(declared))


def test_histograms_are_cumulative_and_their_sums_plausible(served):
    before, begin = metrics(served), time.monotonic()
    for _ in range(5):
        assert served.get("/nap").status == 200
    after = settled(served, before, 5)
    elapsed = time.monotonic() - begin
    for name in ("larder_request_seconds", "larder_query_seconds"):
        buckets = sorted((math.inf if each["le"] == "+Inf" else float(each["le"]),
                          after.sum(f"{name}_bucket", **each))
                         for each in after.labels(f"{name}_bucket") if each["route"] == "GET /nap")
        assert len(buckets) > 8 and buckets[-1][0] == math.inf
        counts = [count for _, count in buckets]
        assert counts == sorted(counts)
        assert counts[-1] == after.sum(f"{name}_count", route="GET /nap") == 5
        assert counts[[bound for bound, _ in buckets].index(0.025)] == 0  # each naps for 30 ms
        assert 0.15 <= after.sum(f"{name}_sum", route="GET /nap") <= elapsed
    assert after.sum("larder_query_seconds_sum", route="GET /nap") \
        <= after.sum("larder_request_seconds_sum", route="GET /nap")


# The counts

def first(stack, path):
    """The answer that fills an entry, once Redis has it: it is sent there, not waited for."""
    count = len(stack.redis.entries())
    answer = stack.get(path)
    wait_until(lambda: len(stack.redis.entries()) == count + 1, what=f"the entry of {path}")
    return answer


def test_requests_add_up_exactly_by_route_status_and_tier(served):
    before = metrics(served)
    tag = first(served, "/kept/10")["ETag"]
    for _ in range(3):
        assert served.get("/kept/10").status == 200
    assert served.get("/kept/10", headers={"If-None-Match": tag}).status == 304
    assert served.request("/kept/10", "HEAD").status == 200
    assert first(served, "/kept/200").status == 404
    assert served.get("/kept/200").status == 404
    assert served.get("/kept/x").status == 422
    assert served.request("/kept/10", "DELETE").status == 405
    plain = served.get("/plain")
    assert served.get("/plain", headers={"If-None-Match": plain["ETag"]}).status == 304
    assert served.get("/plain", headers={"If-Match": '"other"'}).status == 412
    assert served.get("/broken?by=0").status in (422, 500)
    for _ in range(2):
        assert served.get("/nothing").status == 404
    after = settled(served, before, 16)
    counted = requests_of(before, after)
    broken = next(key for key in counted if key[0] == "GET /broken")
    assert counted == {
        (KEPT, "200", "database"): 1, (KEPT, "200", "redis"): 4, (KEPT, "304", "redis"): 1,
        (KEPT, "404", "database"): 1, (KEPT, "404", "redis"): 1, (KEPT, "422", "none"): 1,
        ("GET /plain", "200", "database"): 1, ("GET /plain", "304", "database"): 1,
        ("GET /plain", "412", "database"): 1, broken: 1, ("none", "405", "none"): 1, ("none", "404", "none"): 2}
    plain_counters = {name: growth for (name, labels), growth in grown(before, after).items() if not labels}
    expected = {"larder_cache_hits_total": 6, "larder_cache_misses_total": 2, "larder_cache_stores_total": 2,
                "larder_not_modified_total": 2, "larder_fills_total": 5, "larder_queries_total": 6,
                "larder_query_errors_total": 1}
    assert {name: plain_counters.get(name) for name in expected} == expected
    for name in ("larder_request_seconds_count", "larder_query_seconds_count"):
        assert after.sum(name, route="GET /plain") - before.sum(name, route="GET /plain") == 3


def test_larders_own_pages_are_counted_apart(served):
    before = metrics(served)
    for _ in range(3):
        served.direct("/_larder/health")
    after = metrics(served)
    assert after.sum("larder_requests_total", route="/_larder/") \
        - before.sum("larder_requests_total", route="/_larder/") == 4
    assert requests_of(before, after) == {}


def test_gauges_show_work_and_return_to_nothing(served):
    with Gate(served) as shut:
        waiting = [served.connect() for _ in range(3)]
        for each in waiting:
            each.start("/gate")
        shut.wait_for(3)
        assert metrics(served).sum("larder_db_busy") == 3
        assert metrics(served).sum("larder_db_connections") >= 3
    for each in waiting:
        assert each.answer().status == 200
        each.close()
    after = metrics(served)
    assert (after.sum("larder_db_busy"), after.sum("larder_db_waiting")) == (0, 0)
    sessions = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'larder' "
                "AND pid <> pg_backend_pid()")
    # A session ends a moment after its connection was closed.
    wait_until(lambda: metrics(served).sum("larder_db_connections") == served.sql(sessions)[0][0], what="as many sessions")


def test_fastcgi_connections_are_counted(served):
    before = metrics(served)
    with served.connect() as connection:
        for _ in range(5):
            connection.request("/plain", keep=True)
    after = metrics(served)
    assert grown(before, after)[("larder_fcgi_connections_total", frozenset())] == 2  # this one, and the last reader's


# Shared by processes

def test_two_processes_count_in_one_place(pair):
    before = metrics(pair)
    for _ in range(40):
        assert pair.direct("/plain").status == 200
    assert requests_of(before, metrics(pair)) == {("GET /plain", "200", "database"): 40}
    assert len({str(requests_of(before, metrics(pair))) for _ in range(10)}) == 1


def rested(pair):
    """The metrics while no request is in work: what the pools opened before a restart is gone."""
    def ready():
        after = metrics(pair)
        gauges = [after.sum(f"larder_db_{name}") for name in ("busy", "waiting", "connections")]
        assert gauges == [0, 0, 0]
        return after
    return wait_until(ready, 5, "both processes at rest")


def test_counters_survive_a_kill_and_gauges_do_not(pair):
    assert pair.direct("/plain").status == 200
    with Gate(pair) as shut:
        waiting = [pair.connect() for _ in range(2)]
        for each in waiting:
            each.start("/gate")
        shut.wait_for(2)
        before = metrics(pair)
        assert before.sum("larder_db_busy") == 2
        pair.api.kill()
        for each in waiting:
            each.close()
    os.unlink(pair.api.socket)
    pair.api.start()
    wait_until(pair.healthy, 20, "the new processes")
    after = rested(pair)
    for name in ("larder_fills_total", "larder_queries_total", "larder_db_connects_total"):
        assert after.sum(name) >= before.sum(name) > 0
    assert after.sum("larder_requests_total", route="GET /plain") \
        == before.sum("larder_requests_total", route="GET /plain") > 0


def test_counters_survive_an_orderly_restart(pair):
    assert pair.direct("/plain").status == 200
    before = metrics(pair)
    pair.restart()
    after = rested(pair)
    assert after.sum("larder_requests_total", route="GET /plain") \
        == before.sum("larder_requests_total", route="GET /plain") > 0


def test_a_run_folder_that_cannot_be_written_is_warned_of_and_counters_are_private(stack):
    served = stack(ROUTES, nginx=False, env={"LARDER_RUN": "{stack.folder}/routes/plain.sql"})
    warnings = [line for line in served.log_text().splitlines() if " warning " in line]
    assert len(warnings) == 2 and "counters: " in warnings[0] and "clocks: " in warnings[1]
    assert all("LARDER_RUN" in line and f"{served.folder}/routes/plain.sql" in line for line in warnings)
    served.direct("/plain")
    assert metrics(served).sum("larder_requests_total", route="GET /plain") == 1
    served.restart()
    assert metrics(served).sum("larder_requests_total", route="GET /plain") == 0


# Who may read

@pytest.mark.parametrize("target", ["/_larder/metrics", "/_larder/health", "/_larder/", "/_larder/x",
                                    "/_larder%2Fmetrics", "/%5flarder/metrics", "/x/../_larder/metrics",
                                    "/./_larder/metrics"])
def test_nginx_closes_larders_own_pages_to_others(served, target):
    answer = from_address(served, "127.0.0.2", target)
    assert answer.status == 403, answer
    assert answer["Content-Type"] == "application/problem+json" and answer["Cache-Control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == answer.status and {"type", "title", "detail"} <= problem.keys()


def test_nginx_lets_this_host_read_larders_own_pages(served):
    assert Metrics(from_address(served, "127.0.0.1", "/_larder/metrics").text).samples
    health = from_address(served, "127.0.0.1", "/_larder/health")
    assert (health.status, health.json(), health["Content-Type"]) == (200, {"status": "up"}, "application/json")
    assert health["Cache-Control"] == "no-store"
    assert from_address(served, "127.0.0.2", "/plain").status == 200


def from_address(stack, source, target):
    """A request through nginx whose client has that address."""
    return request(stack.nginx.port, target, source=source)


@pytest.mark.parametrize("target", ["/_larder/metrics", "/_larder/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_larders_own_pages_are_only_read(served, target, method):
    answer = served.request(target, method, body=b"x")
    answer.problem(405)
    assert {"GET", "HEAD"} <= set(answer["Allow"].replace(" ", "").split(","))


def test_head_of_metrics_has_no_body(served):
    answer = served.request("/_larder/metrics", "HEAD")
    assert (answer.status, answer.body) == (200, b"") and int(answer["Content-Length"]) > 1000


def test_counters_survive_the_kill_of_a_process_that_reads_with_another(pair):
    """The one that is left goes on counting in the same place."""
    before = metrics(pair)
    os.kill(pair.api.pids[0], 9)
    wait_until(lambda: len(pair.api.running()) == 1, 5, "one process less")
    for _ in range(10):
        assert fastcgi.ask(pair.api.socket, "/plain", timeout=5).status == 200
    assert requests_of(before, metrics(pair)) == {("GET /plain", "200", "database"): 10}
