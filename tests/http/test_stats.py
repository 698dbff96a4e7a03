"""How each route was asked, how it went and how long it took: /_larder/stats and `larder stats`."""

import json
import os
import subprocess

import pytest

from support.fastcgi import ask
from support.jobs import ended, file_job
from support.paths import program
from support.stack import metrics
from support.waiting import wait_until

ROUTES = {
    "good": "-- @http GET /good/{id}\n-- @param id int\n-- @result row\nSELECT :id AS id WHERE :id < 100",
    "nap": "-- @http GET /nap\n-- @result row\n-- @cache ttl=60s\nSELECT 1 AS one FROM pg_sleep(0.03)",
    "broken": "-- @http GET /broken\n-- @result row\nSELECT 1 / (random() * 0)::int AS result",
    "note": "-- @http POST /notes/{id}\n-- @async retries=0\n-- @result none\n"
            "INSERT INTO notes SELECT 100 / :id::int FROM pg_sleep(0.03)",
    "count": "-- @http POST /count/{id}\n-- @behind batch=10 every=20ms\n-- @result none\nINSERT INTO notes VALUES (:id)",
    "unasked": "-- @http GET /unasked\n-- @result row\nSELECT 1 AS one",
}


SCHEMA = "CREATE TABLE notes (id int CHECK (id > 0));"


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, processes=2)


@pytest.fixture
def working(stack):
    return stack(ROUTES, schema=SCHEMA, processes=2, queue=True, install=True, larderd=True)


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
        assert ask(socket, "/broken").status == 500
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
    assert_asked(told["GET /broken"], 0, 0, 2)
    assert (told["GET /broken"]["failed"], told["GET /broken"]["failure_rate"]) == (2, 1.0)
    assert "jobs" not in told["GET /broken"]
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


def test_they_outlive_a_kill(served):
    ask_all(served)
    before = stats(served)
    served.api.kill()
    served.restart()
    after = stats(served)
    for route in ("GET /good/{id}", "GET /broken", "GET /nap"):
        assert after[route] == before[route]
    assert after["GET /broken"]["failed"] == 2
    assert ask(served.api.socket, "/broken").status == 500
    wait_until(lambda: stats(served)["GET /broken"]["failed"] == 3, what="the next one counted")


def queue_all(stack):
    """Three jobs that are done, one that fails for good, one that is cancelled; two writes behind and one that can't be made."""
    paths = [file_job(stack, f"/notes/{number}") for number in (1, 2, 5, 0)]
    assert [ended(stack, path)["status"] for path in paths] == ["done", "done", "done", "failed"]
    stack.larderd.pause()
    cancelled = file_job(stack, "/notes/3")
    assert stack.direct(cancelled, method="DELETE").status < 300
    stack.larderd.resume()
    for number in (1, -1, 2):
        assert stack.direct(f"/count/{number}", method="POST").status == 202
    wait_until(lambda: (metrics(stack).sum("larder_behind_made_total"),
                        metrics(stack).sum("larder_behind_dead_total")) == (2, 1), 30, "the writes behind")
    assert ended(stack, cancelled)["status"] == "cancelled"


def test_what_became_of_queued_writes_is_told_by_route(working):
    queue_all(working)
    told = stats(working)
    jobs, behind = told["POST /notes/{id}"]["jobs"], told["POST /count/{id}"]["jobs"]
    assert (jobs["done"], jobs["failed"], jobs["tried_again"]) == (3, 1, 0)
    assert (jobs["success_rate"], jobs["failure_rate"]) == (0.75, 0.25)
    assert jobs["seconds"]["count"] == 4 and 0.03 <= jobs["seconds"]["max"] < 30
    assert 0 < jobs["seconds"]["p50"] <= jobs["seconds"]["p99"] <= jobs["seconds"]["max"]
    assert (behind["done"], behind["failed"], behind["seconds"]["count"]) == (2, 1, 3)
    assert behind["failure_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert told["POST /notes/{id}"]["good"] == 5  # filing them went well
    numbers = metrics(working)
    assert numbers.sum("larder_route_jobs_total", route="POST /notes/{id}", end="failed") == 1
    assert numbers.sum("larder_job_seconds_count", route="POST /notes/{id}") == 4
    lines = larder_stats(working).stdout.splitlines()
    head, *rows = lines[lines.index("") + 1:]
    assert head.split() == ["QUEUED", "WRITES", "ENDED", "DONE", "FAILED", "AGAIN", "CANCELLED", "P50", "P99"]
    note = next(row for row in rows if row.startswith("POST /notes/{id} ")).split()
    assert note[2:6] == ["4", "75.00%", "25.00%", "0"]
    assert len(rows) == 2 and len({len(line) for line in (head, *rows)}) == 1


def test_what_became_of_queued_writes_outlives_the_daemon(working):
    path = file_job(working, "/notes/1")
    assert ended(working, path)["status"] == "done"
    before = stats(working)["POST /notes/{id}"]["jobs"]
    working.larderd.kill()
    working.start_larderd("larderd2")
    path = file_job(working, "/notes/0")
    assert ended(working, path)["status"] == "failed"
    after = stats(working)["POST /notes/{id}"]["jobs"]
    assert (before["done"], before["failed"], after["done"], after["failed"]) == (1, 0, 1, 1)


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
    broken = next(line for line in lines if line.startswith("GET /broken "))
    assert broken.split()[2:6] == ["2", "0.00%", "100.00%", "0.00%"]
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
    assert done.stderr == f"larder stats: {tmp_path}/counters-1: No such file or directory; responders count there, where LARDER_RUN is theirs\n"
    (tmp_path / "counters-1").touch()
    assert f"no process could make {tmp_path}/counters-1" in larder_stats(served, LARDER_RUN=str(tmp_path)).stderr
    for content in (b"x" * 100, bytes(os.path.getsize(f"{served.run}/counters-1"))):
        (tmp_path / "counters-1").write_bytes(content)
        done = larder_stats(served, LARDER_RUN=str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "larder stats: the counters belong to processes of another version of Larder\n"


@pytest.mark.parametrize("method, status", [("POST", 405), ("HEAD", 200), ("OPTIONS", 204)])
def test_the_page_is_only_read(served, method, status):
    assert served.request("/_larder/stats", method).status == status


def test_routes_without_a_row_of_their_own_are_told_of(stack):
    routes = {f"r{number:04}": f"-- @http GET /r{number}\n-- @kv get key=k{number}\n" for number in range(2050)}
    served = stack(routes, nginx=False)
    assert "4 routes are counted together" in served.log_text(), "Larder itself has two rows"
