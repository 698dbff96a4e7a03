"""How each route was asked, how it went and how long it took: /_larder/stats and `larder stats`."""

import json
import os
import subprocess

import pytest

from support.fastcgi import ask
from support.paths import program
from support.stack import metrics
from support.waiting import wait_until

ROUTES = {
    "good": "-- @http GET /good/{id}\n-- @param id int\n-- @result row\nSELECT :id AS id WHERE :id < 100",
    "nap": "-- @http GET /nap\n-- @result row\n-- @cache ttl=60s\nSELECT 1 AS one FROM pg_sleep(0.03)",
    "broken": "-- @http GET /broken\n-- @result row\nSELECT 1 / (random() * 0)::int AS result",
    "unasked": "-- @http GET /unasked\n-- @result row\nSELECT 1 AS one",
}


@pytest.fixture
def served(stack):
    return stack(ROUTES, processes=2)


def stats(stack):
    answer = stack.get("/_larder/stats")
    assert (answer.status, answer["Content-Type"], answer["Cache-Control"]) == (200, "application/json", "no-store")
    return {each["route"]: each for each in answer.json()["routes"]}


def larder_stats(stack, *arguments, **environment):
    return subprocess.run([program("larder"), "stats", *arguments], env=stack.environment() | environment,
                          capture_output=True, text=True, check=False, timeout=30)


def requests(stack):
    return metrics(stack).sum("larder_requests_total") - metrics(stack).sum("larder_requests_total", route="/_larder/")


def ask_all(stack):
    """12 times 200, 4 times 404 and 2 times 422 of one route, 2 faults, and /nap, once from the database."""
    before = requests(stack)
    socket = stack.api.socket
    for _ in range(12):
        assert ask(socket, "/good/1").status == 200
    for _ in range(4):
        assert ask(socket, "/good/100").status == 404
    for _ in range(2):
        assert ask(socket, "/good/x").status == 422
        assert ask(socket, "/broken").status in (422, 500)
        assert ask(socket, "/nap").status == 200
    wait_until(lambda: requests(stack) == before + 22, what="all requests counted")


def assert_asked(route, good, refused, failed):
    asked = good + refused + failed
    assert [route[name] for name in ("requests", "good", "refused", "failed")] == [asked, good, refused, failed]
    assert route["success_rate"] == pytest.approx(good / asked, abs=1e-6)
    assert route["failure_rate"] == pytest.approx(failed / asked, abs=1e-6)
    assert sum(route["tiers"].values()) == route["seconds"]["count"] == asked


def test_counts_rates_and_quantiles(served):
    ask_all(served)
    told = stats(served)
    assert_asked(told["GET /good/{id}"], 12, 6, 0)
    assert_asked(told["GET /nap"], 2, 0, 0)
    assert told["GET /broken"]["requests"] == 2 and told["GET /broken"]["good"] == 0
    assert "GET /unasked" not in told
    nap = told["GET /nap"]
    assert nap["tiers"]["database"] == 1 and nap["query_seconds"]["count"] == 1
    assert 0.03 <= nap["query_seconds"]["p50"] <= nap["query_seconds"]["max"]
    seconds = told["GET /good/{id}"]["seconds"]
    assert 0 < seconds["p50"] <= seconds["p90"] <= seconds["p95"] <= seconds["p99"] <= seconds["max"]
    assert list(told)[0] == "GET /good/{id}"  # the most asked first


def test_they_outlive_the_processes(served):
    ask_all(served)
    before = stats(served)
    since = served.get("/_larder/stats").json()["since"]
    served.restart()
    after = stats(served)
    assert after["GET /good/{id}"] == before["GET /good/{id}"]
    assert served.get("/_larder/stats").json()["since"] == since
    ask_all(served)
    assert stats(served)["GET /good/{id}"]["requests"] == 2 * before["GET /good/{id}"]["requests"]


def test_the_command_tells_the_same(served):
    ask_all(served)
    done = larder_stats(served, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = {each["route"]: each for each in json.loads(done.stdout)["routes"]}
    assert told["GET /good/{id}"] == stats(served)["GET /good/{id}"]
    table = larder_stats(served)
    assert (table.returncode, table.stderr) == (0, "")
    lines = table.stdout.splitlines()
    assert lines[0].startswith("Counted on this host since ")
    assert lines[1].split()[:5] == ["ROUTE", "REQUESTS", "GOOD", "FAILED", "CACHED"]
    good = next(line for line in lines if line.startswith("GET /good/{id} "))
    assert good.split()[2:6] == ["18", "66.67%", "0.00%", "0.00%"]
    assert len({len(line) for line in lines[1:]}) == 1  # columns


def test_the_command_needs_no_running_responder(served):
    ask_all(served)
    served.api.stop()
    told = {each["route"] for each in json.loads(larder_stats(served, "--json").stdout)["routes"]}
    assert "GET /good/{id}" in told


@pytest.mark.parametrize("arguments, status, said", [
    (["--yaml"], 2, 'larder stats: "--yaml" is not allowed; allowed: --json\n'),
    (["--json", "x"], 2, 'larder stats: "x" is not allowed; allowed: --json\n'),
])
def test_other_arguments_are_refused(served, arguments, status, said):
    done = larder_stats(served, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_counters_that_are_not_there_or_not_whole(served, tmp_path):
    done = larder_stats(served, LARDER_RUN=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"larder stats: {tmp_path}/counters-1: No such file or directory\n"
    for content in (b"", b"x" * 100, bytes(os.path.getsize(f"{served.folder}/run/counters-1"))):
        (tmp_path / "counters-1").write_bytes(content)
        done = larder_stats(served, LARDER_RUN=str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "larder stats: the counters belong to processes of another version of Larder\n"


@pytest.mark.parametrize("method, status", [("POST", 405), ("HEAD", 200), ("OPTIONS", 204)])
def test_the_page_is_only_read(served, method, status):
    assert served.request("/_larder/stats", method).status == status
