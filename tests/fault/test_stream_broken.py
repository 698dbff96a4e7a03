"""Downloads that don't go well: the client sees that something is missing, and nothing is left behind."""

import gzip
import os
import signal
import subprocess
import time
import zlib

import pytest

from support.download import Download
from support.gate import NUMBER, Gate
from support.paths import sanitized
from support.postgres import PgBouncer
from support.process import alive, resident
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = "CREATE TABLE words (i int, word text); INSERT INTO words SELECT i, md5(i::text) FROM generate_series(1, 1000) AS i;"


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", *(f"-- {line}" for line in lines), statement, ""])


SERIES = "(SELECT generate_series(1, :most::bigint) AS i) AS s"
ROUTES = {
    "rows": route("/rows", f"SELECT i, md5(i::text) AS word FROM {SERIES}", "@param most", "@stream csv,ndjson,json"),
    "bad": route("/bad", f"SELECT i, 1 / (i - :at::bigint) AS word FROM {SERIES}", "@param most", "@param at", "@stream csv"),
    "gate": route("/gate", "SELECT i, repeat('x', 50) AS word FROM (SELECT generate_series(1, 1000) AS i) AS s\n"
                  f"UNION ALL SELECT 0, 'late' FROM pg_advisory_xact_lock_shared({NUMBER})", "@stream csv"),
    "nothing": route("/nothing", "SELECT 1 AS a FROM pg_sleep(61)", "@stream csv", "@timeout 60s"),
    "halt": route("/halt", "SELECT i, repeat('x', 50) AS word FROM (SELECT generate_series(1, 1000) AS i) AS s\n"
                  "UNION ALL SELECT 0, 'late' FROM pg_sleep(61)", "@stream csv"),
    "wide": route("/wide", "SELECT repeat('x', 100000000) AS word", "@stream csv"),
    "one": route("/one", "SELECT 1 AS a", "@result row"),
}
ENDLESS = "/rows?most=1000000000"
SOON = 5.0  # seconds: what a busy machine may take to end a statement that would go on for a minute


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, redis=False, export=True, env={
        "LARDER_STREAM_STALL": "1s", "LARDER_STREAM_TIMEOUT": "60s", "LARDER_DB_POOL": "2", "LARDER_TIMEOUT": "10s"})


def active(stack):
    """The statements of downloads that still run."""
    return stack.sql("SELECT query FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%' "
                     "AND pid <> pg_backend_pid() AND datname = current_database()")


def streams(stack, name):
    return metrics(stack).sum(f"larder_streams_{name}")


def curl(stack, target, *options):
    return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", *options, stack.url + target],
                          capture_output=True, text=True, timeout=60, check=False)


# The statement fails

def test_a_failure_half_way_breaks_the_connection(served):
    before = streams(served, "broken_total")
    failures = metrics(served).sum("larder_requests_total", route="GET /bad", status="500")
    with Download(served.api.socket, "/bad?most=1000000&at=300000") as download:
        download.finish()
        assert download.broken and not download.whole
        assert download.answer.status == 200 and download.answer.body.count(b"\r\n") > 100_000
    # The connection's end may be seen before what follows it.
    wait_until(lambda: metrics(served).sum("larder_requests_total", route="GET /bad", status="500") == failures + 1)
    wait_until(lambda: "division by zero (SQLSTATE 22012) after 299999 rows" in served.log_text())
    assert streams(served, "broken_total") == before + 1
    assert served.direct("/one").json() == {"a": 1}


@pytest.mark.parametrize("options", [(), ("--http1.0",), ("-H", "Accept-Encoding: gzip")])
def test_curl_sees_through_nginx_that_a_part_is_missing(served, options):
    done = curl(served, "/bad?most=1000000&at=300000", *options)
    status, size = done.stdout.split()
    assert status == "200" and int(size) > 100_000
    if "--http1.0" not in options:
        assert done.returncode == 18, done
    whole = curl(served, "/bad?most=1000&at=1001", *options)
    assert whole.returncode == 0, whole


def test_a_failure_among_the_first_rows_is_a_problem(served):
    served.get("/bad?most=1000000&at=20").problem(500)


def test_a_connection_lost_half_way_breaks_it_too(served):
    with Download(served.api.socket, ENDLESS) as download:
        assert download.read_until(1_000_000)
        served.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%%' "
                   "AND pid <> pg_backend_pid() AND datname = current_database()")
        assert download.finish().broken
    assert served.direct("/rows?most=3").body.count(b"\r\n") == 4


def test_a_connection_lost_while_it_lay_idle_costs_no_download(served):
    assert served.direct("/rows?most=3").status == 200
    served.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder' "
               "AND datname = current_database()")
    assert served.direct("/rows?most=3").body.count(b"\r\n") == 4


def test_a_server_that_restarts_half_way(stack):
    server = stack.postgres()
    made = stack(ROUTES, postgres=server, schema=SCHEMA, redis=False, nginx=False)
    with Download(made.api.socket, ENDLESS) as download:
        assert download.read_until(1_000_000)
        server.kill()
        assert download.finish().broken
    made.direct("/rows?most=3").problem(503)
    server.start()
    wait_until(lambda: made.direct("/rows?most=3").status == 200, 20)


# The client leaves

def test_the_statement_ends_when_the_client_leaves_among_rows(served):
    before = streams(served, "left_total")
    with Download(served.api.socket, ENDLESS) as download:
        assert download.read_until(1_000_000) and active(served)
    wait_until(lambda: not active(served), SOON, "the statement's end")
    wait_until(lambda: streams(served, "left_total") == before + 1 and streams(served, "running") == 0)


@pytest.mark.parametrize("target", ["/nothing", "/halt"])
def test_the_statement_ends_when_the_client_leaves_and_no_row_comes(served, target):
    with Download(served.api.socket, target):
        wait_until(lambda: active(served), what="the statement")
    wait_until(lambda: not active(served), SOON, "the statement's end")
    wait_until(lambda: streams(served, "running") == 0)


@pytest.mark.parametrize("target", ["/nothing", "/halt", ENDLESS])
def test_it_ends_when_the_client_of_nginx_leaves(served, target):
    with subprocess.Popen(["curl", "-s", "-o", "/dev/null", served.url + target]) as client:
        wait_until(lambda: active(served), what="the statement")
        client.kill()
    wait_until(lambda: not active(served), SOON, "the statement's end")


def test_the_connection_is_used_again_afterwards(served):
    assert served.direct("/one").status == 200
    before = metrics(served).sum("larder_db_connects_total")
    for _ in range(3):
        with Download(served.api.socket, "/nothing"):
            wait_until(lambda: active(served), what="the statement")
        wait_until(lambda: not active(served) and streams(served, "running") == 0)
    assert metrics(served).sum("larder_db_connects_total") <= before + 1


def test_a_cancelling_that_comes_late_strikes_no_other_statement(stack):
    """The statement ends by itself while the request to cancel it is on its way."""
    made = stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, database_proxy=True, env={"LARDER_DB_POOL": "1"})
    for late in (False, True):
        assert made.direct("/one").status == 200
        before, left = metrics(made).sum("larder_db_connects_total"), streams(made, "left_total")
        with Gate(made) as gate:
            with Download(made.api.socket, "/gate") as download:
                assert download.read_until(40_000)
                gate.wait_for(1)
                if late:
                    made.database_proxy.hold_new()
            wait_until(lambda: streams(made, "left_total") == left + 1)
            gate.open()
            wait_until(lambda: streams(made, "running") == 0, 5)
        made.database_proxy.release()
        wait_until(lambda: made.direct("/one").status == 200)
        assert metrics(made).sum("larder_db_connects_total") == before + late


def test_a_server_that_says_nothing_holds_nobody_when_the_client_leaves(stack):
    server = stack.postgres()
    made = stack(ROUTES, postgres=server, schema=SCHEMA, redis=False, nginx=False)
    with Download(made.api.socket, ENDLESS) as download:
        assert download.read_until(1_000_000)
        server.pause()
        try:
            download.leave()
            wait_until(lambda: streams(made, "running") == 0, 5, "the download's end")
        finally:
            server.resume()
    wait_until(lambda: made.direct("/one").status == 200, 20)


def test_the_statement_ends_behind_pgbouncer_too(stack, lazy_postgres, work_folder):
    name = lazy_postgres().create_database()
    bouncer = PgBouncer(work_folder, lazy_postgres(), name, pool=2)
    made = stack(ROUTES, schema=SCHEMA, database=name, redis=False, nginx=False,
                 env=bouncer.environment | {"LARDER_DB_POOLING": "transaction"})
    try:
        for target in ("/nothing", "/halt", ENDLESS) * 2:
            with Download(made.api.socket, target):
                wait_until(lambda: active(made), what="the statement")
            wait_until(lambda: not active(made), SOON, "the statement's end")
        wait_until(lambda: streams(made, "running") == 0)
        assert made.direct("/rows?most=2").body.count(b"\r\n") == 3
    finally:
        made.stop(quietly=True)
        bouncer.stop()


# The reader is slow

def test_a_reader_who_takes_nothing_is_not_waited_for_for_ever(served):
    before = streams(served, "left_total")
    with Download(served.api.socket, ENDLESS) as download:
        wait_until(lambda: streams(served, "left_total") == before + 1, 10, "its end")
        assert download.finish().broken
    wait_until(lambda: not active(served), SOON, "the statement's end")


def test_a_slow_reader_gets_all_of_it(served):
    """He takes a piece of what the sockets hold, several times slower than the limit of silence for all of it."""
    expected = served.direct("/rows?most=200000").body
    with Download(served.api.socket, "/rows?most=200000") as download:
        begin = time.monotonic()
        while time.monotonic() - begin < 3 and download.read_until(len(download.output) + 100_000):
            time.sleep(0.2)
        assert download.finish().whole
        assert download.answer.body == expected


def test_what_has_come_is_sent_before_the_rest_is_there(served):
    with Gate(served) as gate, Download(served.api.socket, "/gate") as download:
        assert download.read_until(40_000), "the rows before the gate"
        gate.wait_for(1)
        gate.open()
        assert download.finish().whole
        assert download.answer.body.endswith(b"\r\n0,late\r\n") and download.answer.body.count(b"\r\n") == 1002


def test_what_has_come_can_be_read_in_gzip_too(served):
    with Gate(served) as gate, Download(served.api.socket, "/gate", {"Accept-Encoding": "gzip"}) as download:
        def read():
            return zlib.decompressobj(31).decompress(download.answer.body)
        while download.step() and (b"\r\n\r\n" not in download.output or len(read()) < 40_000):
            pass
        assert read().startswith(b"i,word\r\n1,xxx") and not download.whole
        gate.wait_for(1)
        gate.open()
        assert gzip.decompress(download.finish().answer.body).endswith(b"0,late\r\n")


# The time is over

def test_the_time_for_the_whole(stack):
    made = stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, env={"LARDER_STREAM_TIMEOUT": "1s"})
    for target in (ENDLESS, "/halt"):
        with Download(made.api.socket, target) as download:
            assert download.finish().broken
            assert download.answer.status == 200
        wait_until(lambda: not active(made), SOON)
    assert streams(made, "broken_total") == 2


def test_a_process_told_to_end_lets_downloads_end_within_bounds(stack):
    made = stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, env={"LARDER_STREAM_DRAIN": "2s"})
    with Gate(made) as gate, Download(made.api.socket, "/gate") as good, Download(made.api.socket, ENDLESS) as endless, \
            Download(made.api.socket, "/halt") as halted:
        gate.wait_for(1)
        assert good.read_until(40_000) and endless.read_until(1_000_000) and halted.read_until(40_000)
        process = made.api.pids[0]
        os.kill(process, signal.SIGTERM)
        gate.open()
        assert good.finish().whole and good.answer.body.endswith(b"0,late\r\n")
        assert endless.finish().broken and halted.finish().broken
        wait_until(lambda: not alive(process), 5, "the process's end")
    wait_until(lambda: not active(made), SOON)


# What it takes

@pytest.mark.skipif(sanitized(), reason="a sanitizer keeps freed memory")
def test_ten_rows_take_the_memory_of_a_million(served):
    process = served.api.pids[0]
    for accept in ("text/csv", "application/x-ndjson", "application/json"):
        served.direct("/rows?most=1000", headers={"Accept": accept})
    before, most = resident(process), 0
    for accept in ("text/csv", "application/x-ndjson"):
        with Download(served.api.socket, "/rows?most=1000000", {"Accept": accept}) as download:
            while download.step():
                download.output.clear()
                most = max(most, resident(process))
            assert download.whole
    assert most - before <= 2 * 1024 * 1024


@pytest.mark.skipif(sanitized(), reason="a sanitizer keeps freed memory")
def test_a_row_of_a_hundred_megabytes(served):
    """It comes, and nothing of its memory is kept."""
    served.direct("/rows?most=1000")
    before = resident(served.api.pids[0])
    with Download(served.api.socket, "/wide", timeout=60) as download:
        assert download.finish().whole
        assert len(download.answer.body) == 100_000_000 + len("word\r\n\r\n")
    wait_until(lambda: resident(served.api.pids[0]) - before < 8 * 1024 * 1024, 5, "the memory's return")


def test_the_connection_of_the_web_server_is_kept(served):
    with Download(served.api.socket, "/rows?most=100000", keep=True) as download:
        assert download.finish().whole
        answer = download.connection.request("/one", keep=True)
        assert answer.json() == {"a": 1}
        assert download.connection.request("/rows?most=2", keep=True).body.count(b"\r\n") == 3


def test_no_free_connection_is_503(stack):
    made = stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, env={"LARDER_DB_POOL": "1", "LARDER_DB_WAIT": "100ms"})
    with Download(made.api.socket, ENDLESS) as download:
        assert download.read_until(1_000_000)
        answer = made.direct("/rows?most=1")
        answer.problem(503)
        assert answer["Retry-After"] == "1"
    wait_until(lambda: made.direct("/rows?most=1").status == 200)


def test_one_thread_serves_one_download_after_the_other(stack):
    """The first as soon as the process answers at all, the next as soon as the client has the one before."""
    for _ in range(3):
        made = stack(ROUTES, schema=SCHEMA, redis=False, nginx=False, env={"LARDER_THREADS": "1"})
        with made.connect() as connection:
            assert {connection.request("/rows?most=1", keep=True).status for _ in range(300)} == {200}
        made.stop()
