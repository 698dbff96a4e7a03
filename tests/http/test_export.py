"""Downloads end to end: from the pool of their own, through nginx, to clients that read slowly, leave, or are many."""

import contextlib
import os
import select
import subprocess

import pytest

from support import client, tokens
from support.paths import sanitized
from support.process import forget_most_resident, most_resident
from support.reader import Reader
from support.stack import metrics, queries
from support.waiting import wait_until

ROWS = """
-- @http GET /deep/{count}/rows
-- @param count int min=1
-- @stream csv filename=rows.csv
SELECT n AS id, 'Row number ' || n AS name FROM (SELECT generate_series(1, :count) AS n) AS numbers
"""
BREAKS = """
-- @http GET /breaks
-- @param at int
-- @stream csv
SELECT n AS id, 1 / (:at - n) AS inverse FROM (SELECT generate_series(1, 1000000) AS n) AS numbers
"""
SLEEPS = """
-- @http GET /sleeps
-- @stream csv
SELECT pg_sleep(300)::text AS slept
"""
LIMITED = """
-- @http GET /limited
-- @limit 2/h by=ip
-- @stream csv
SELECT 1 AS one
"""
SECRET = """
-- @http GET /secret
-- @auth required
-- @stream csv,json
SELECT :auth.sub AS who
"""
PLAIN = """
-- @http GET /plain/{id}
SELECT :id::int AS id
"""
ROUTES = {"rows": ROWS, "breaks": BREAKS, "sleeps": SLEEPS, "limited": LIMITED, "secret": SECRET, "plain": PLAIN}
MANY = "/deep/100000000/rows"
SLOW = 100


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    """Two workers of nginx; room for more downloads than there are slow ones, and time to open their connections."""
    room = {"LARDER_DB_POOL": str(SLOW + 5), "LARDER_THREADS": str(SLOW + 10), "LARDER_DB_WAIT": "60s"}
    environment = tokens.settings(f"{tmp_path_factory.mktemp('export')}/key") | room
    return shared_stack(ROUTES, export=True, nginx_workers=2, env=environment)


def pools(stack):
    return dict(zip(("api", "export"), stack.pools))


def active(stack, mark="Row number", event=None):
    """How many queries of this text PostgreSQL has at work, or waiting for their reader."""
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND "
                     "pid <> pg_backend_pid() AND query LIKE %s AND (%s IS NULL OR wait_event = %s)",
                     (f"%{mark}%", event, event))[0][0]


def held(stack):
    return active(stack, event="ClientWrite")


def curl(stack, target, *words):
    return subprocess.run(["curl", "-sS", *words, f"{stack.url}{target}"], capture_output=True, check=False, timeout=120)


@pytest.fixture
def no_downloads(served):
    """None of another test's is left."""
    wait_until(lambda: active(served) == 0, 20, "the end of other tests' downloads")


def test_a_download_comes_whole_through_nginx(served):
    answer = served.get("/deep/3/rows")
    assert answer.body == b"id,name\r\n1,Row number 1\r\n2,Row number 2\r\n3,Row number 3\r\n"
    assert answer["Content-Disposition"] == "attachment; filename=rows.csv"
    assert answer["Content-Type"].split(";")[0] == "text/csv"
    assert "X-Accel-Redirect" not in dict(answer.headers)


def test_a_head_has_the_same_fields(served):
    """And those of the pool of downloads alone: each once."""
    head, whole = served.get("/deep/3/rows", method="HEAD"), served.get("/deep/3/rows")
    dull = ("Date", "Transfer-Encoding", "Connection")
    assert [each for each in head.headers if each[0] not in dull] == [each for each in whole.headers if each[0] not in dull]
    assert (head.status, head.body) == (200, b"")
    assert len({name for name, _ in whole.headers}) == len(whole.headers)


def test_it_is_sent_by_the_pool_of_downloads_alone(served):
    """While that is stopped the API goes on, and sends what it is asked for past nginx itself."""
    pools(served)["export"].pause()
    try:
        with pytest.raises(TimeoutError):
            client.request(served.nginx.port, "/deep/3/rows", timeout=0.5)
        assert served.get("/plain/1").status == 200
        assert served.direct("/deep/3/rows").status == 200
    finally:
        pools(served)["export"].resume()
    assert served.get("/deep/3/rows").status == 200


def test_a_download_is_one_request(served):
    """Led on, it is neither counted nor limited twice."""
    assert [served.get("/limited").status for _ in range(3)] == [200, 200, 429]
    told = metrics(served)
    assert [told.sum("larder_requests_total", route="GET /limited", status=status) for status in ("200", "429")] == [2, 1]
    assert told.sum("larder_requests_total", route="GET /limited") == 3


def test_who_may_not_read_it_is_told_so(served):
    answer = served.get("/secret")
    answer.problem(401)
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert served.get("/secret", headers=tokens.bearer(7)).body == b"who\r\n7\r\n"
    assert served.get("/secret", headers=tokens.bearer(8) | {"Accept": "application/json"}).json() == [{"who": "8"}]


def test_faults_are_answered_as_elsewhere(served):
    served.get("/deep/x/rows").problem(422)
    served.get("/deep/0/rows").problem(422)
    served.get("/deep/3/rows", headers={"Accept": "application/pdf"}).problem(406)
    assert "GET" in served.get("/deep/3/rows", method="POST")["Allow"]


def test_a_failure_before_the_first_byte_is_a_problem(served):
    served.get("/breaks?at=1").problem(500)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("at", [20_000, 900_000])
def test_a_failure_on_the_way_is_an_incomplete_transfer(served, at, coding):
    done = curl(served, f"/breaks?at={at}", "-H", f"Accept-Encoding: {coding}")
    assert done.returncode == 18, (done.returncode, done.stderr, done.stdout[-100:])
    assert done.stdout, "nothing was sent before the failure"
    assert served.get("/deep/3/rows").status == 200


def test_a_responder_that_dies_is_an_incomplete_transfer(served, no_downloads):
    with Reader(served.nginx.port, MANY) as reader:
        reader.read_until(b"Row number 9\r\n")
        pool = pools(served)["export"]
        pool.kill()
        try:
            with pytest.raises((AssertionError, ConnectionResetError), match="the connection ended|reset"):
                reader.skip_to_end()
        finally:
            os.unlink(pool.socket)
            pool.start()
    wait_until(lambda: served.get("/deep/3/rows").status == 200, 20, "the pool started anew")


def test_a_reader_that_leaves_ends_the_query(served, no_downloads):
    with Reader(served.nginx.port, MANY) as reader:
        reader.read_until(b"Row number 9\r\n")
        wait_until(lambda: held(served) == 1, 20, "a query that waits for its reader")
    wait_until(lambda: active(served) == 0, 3, "the end of the query")


def test_one_that_leaves_before_the_first_row_too(served):
    with Reader(served.nginx.port, "/sleeps"):
        wait_until(lambda: active(served, "pg_sleep(300)") == 1, 20, "the query")
    wait_until(lambda: active(served, "pg_sleep(300)") == 0, 3, "the end of the query")


def test_a_slow_reader_gets_everything(served, no_downloads):
    """However long it pauses: the query waits meanwhile, and nothing is gathered."""
    rows = 2_000_000
    with Reader(served.nginx.port, f"/deep/{rows}/rows", buffer=1 << 16) as reader:
        reader.read_until(b"Row number 1\r\n")
        wait_until(lambda: held(served) == 1, 20, "the query to wait for its reader")
        reader.skip_to_end()
    assert f"{rows},Row number {rows}\r\n".encode() in reader.seen


@pytest.mark.skipif(sanitized(), reason="a sanitizer keeps freed memory")
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_memory_is_the_same_for_few_rows_and_for_many(served, no_downloads, coding):
    pid = pools(served)["export"].pids[0]

    def most(rows):
        """What was resident at most during a download, after others that made all that stays."""
        def download(count):
            done = curl(served, f"/deep/{count}/rows", "-o", "/dev/null", "-H", f"Accept-Encoding: {coding}")
            assert done.returncode == 0, done.stderr

        for _ in range(4):
            download(1000)
        forget_most_resident(pid)
        download(rows)
        return most_resident(pid)

    assert most(3_000_000) - most(1000) <= 2 << 20


def test_a_hundred_slow_downloads_and_the_api(served, no_downloads):
    """They are all on their way, hold their connections, and no request to the API waits for one."""
    with contextlib.ExitStack() as readers:
        slow = [readers.enter_context(Reader(served.nginx.port, MANY, buffer=1 << 16)) for _ in range(SLOW)]
        for each in slow:
            each.read_until(b"Row number 9\r\n")
        wait_until(lambda: held(served) == SLOW, 60, "all of them held up by their readers")
        before = queries(served), metrics(served).sum("larder_db_wait_timeouts_total")
        assert {served.get(f"/plain/{number}").status for number in range(200)} == {200}
        assert (queries(served) - before[0], metrics(served).sum("larder_db_wait_timeouts_total")) == (200, before[1])
        assert active(served) == SLOW, "none of them has ended"
    wait_until(lambda: active(served) == 0, 20, "the end of all queries")


def test_one_too_many_is_refused_at_once(stack, tmp_path):
    """Two connections and three threads: the third download waits for a connection, the fourth for nobody."""
    few = stack({"rows": ROWS, "plain": PLAIN}, export=True,
                env={"LARDER_DB_POOL": "2", "LARDER_THREADS": "3", "LARDER_DB_WAIT": "60s"})
    with contextlib.ExitStack() as readers:
        def start(target):
            return readers.enter_context(Reader(few.nginx.port, target, buffer=1 << 16))

        slow = [start(MANY) for _ in range(2)]
        for each in slow:
            each.read_until(b"Row number 9\r\n")
        # One of two more has the last thread, and waits; the other is refused.
        last = [start("/deep/3/rows") for _ in range(2)]
        ready, _, _ = select.select([each.socket for each in last], [], [], 20)
        waiting, refused = sorted(last, key=lambda each: each.socket in ready)
        status, fields, body = refused.whole()
        assert (status, fields["content-type"]) == (503, "application/problem+json"), body
        assert int(fields["retry-after"]) > 0 and fields["cache-control"] == "no-store"
        assert few.get("/plain/1").status == 200
        slow[0].leave()
        status, _, body = waiting.whole()
        assert (status, body.splitlines()[-1]) == (200, b"3,Row number 3")


def test_a_new_download_needs_nothing_of_nginx(stack, tmp_path):
    fresh = stack({"plain": PLAIN}, export=True)
    fresh.get("/deep/3/rows").problem(404)
    fresh.write_route("rows", ROWS)
    for pool in fresh.pools:
        pool.reload()
    assert fresh.get("/deep/3/rows").status == 200
    pools(fresh)["export"].stop()
    assert fresh.get("/deep/3/rows").status == 502, "another pool than that of downloads answered"
    assert fresh.get("/plain/1").status == 200
