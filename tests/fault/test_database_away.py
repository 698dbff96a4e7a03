"""PostgreSQL killed, stopped, full, unreachable or late: kept answers go out, others are 503 or 504 within bounds."""

import contextlib
import threading
import time
from statistics import median

import pytest

from faults import (ITEMS, PROBE, ROUTES, SCHEMA, SLACK, Deaf, ask_item, assert_item, count, fresh_id, grown, is_hit,
                    keep_item, together)
from support.network import free_port
from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

WAIT = 0.4
TIMEOUT = 1.0  # of the route /slow
GRACE = 0.5
LONGEST = TIMEOUT + GRACE + WAIT + SLACK
ENV = {**PROBE, "LARDER_DB_WAIT": "400ms", "LARDER_TIMEOUT": "1s", "LARDER_REDIS_TIMEOUT": "5s"}


@pytest.fixture(scope="module")
def served(shared_stack):
    """One stack with a PostgreSQL of its own; each test gives it back in health."""
    stack = shared_stack(ROUTES, postgres=shared_stack.postgres(), schema=SCHEMA, env=ENV)
    stack.postgres.execute("CHECKPOINT")  # or the first kill takes the tables with it: commits are not synchronous
    return stack


@pytest.fixture(scope="module")
def distant(shared_stack):
    """PostgreSQL behind a proxy."""
    return shared_stack(ROUTES, schema=SCHEMA, env=ENV, database_proxy=True, nginx=False)


@contextlib.contextmanager
def stopped(postgres):
    postgres.pause()
    try:
        yield
    finally:
        postgres.resume()


@contextlib.contextmanager
def killed(postgres):
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


def assert_refused(stack, answer, statuses=(503,), longest=WAIT + SLACK):
    assert answer.status in statuses, answer
    problem = answer.problem(answer.status)
    if answer.status == 503:
        assert int(answer["Retry-After"]) >= 1
    assert answer.seconds < longest, answer
    told = answer.text + str(answer.headers)
    for secret in ("SELECT", "items WHERE", "pg_sleep", "127.0.0.1", stack.postgres.folder, str(stack.postgres.port),
                   "SQLSTATE", "FATAL", "connection to server", "could not connect", "larder\"", stack.database):
        assert secret not in told, told
    return problem


def start_slow(stack, how_many):
    """Requests whose statements are running in PostgreSQL; a function that waits for their answers."""
    answers = []

    def ask(number):
        answers.append(stack.direct(f"/slow/{number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(how_many)]
    for each in threads:
        each.start()
    wait_until(lambda: running(stack) == how_many, 10, "statements in flight", every=0.005)

    def finish():
        for each in threads:
            each.join(30)
        assert len(answers) == how_many, "a request got no answer"
        return answers
    return finish


def running(stack):
    return len(sleeping(stack.sql))


def ask_patiently(stack):
    """An item. A busy machine may take longer to open connections than anybody waits for one; who is refused at once
    has met a fault."""
    number = fresh_id()
    for _ in range(10):
        answer = stack.direct(f"/items/{number}")
        if answer.status != 503 or answer.seconds < WAIT:
            break
    return assert_item(answer, number)


def assert_works(stack):
    """At once and for every thread: nothing of the fault is left."""
    for answer in together(lambda _: ask_patiently(stack), range(16)):
        assert answer.seconds < SLACK
    number = keep_item(stack)
    assert is_hit(ask_item(stack, number))


def test_killed_database(served):
    kept = [keep_item(served) for _ in range(3)]
    with killed(served.postgres):
        for _ in range(5):
            assert_refused(served, served.direct(f"/items/{fresh_id()}"), longest=SLACK)
        for answer in together(lambda _: served.direct(f"/items/{fresh_id()}"), range(16)):
            assert_refused(served, answer)
        for number in kept:
            assert is_hit(ask_item(served, number))
        assert_refused(served, served.get("/plain/1"))
        assert_item(served.get(f"/items/{kept[0]}"), kept[0])
        served.direct("/nothing").problem(404)
        served.direct("/items/x").problem(422)
    assert_works(served)


def test_the_first_request_after_a_restart_is_served(served):
    """Every pooled connection is dead and nobody has asked in between."""
    together(lambda _: ask_item(served), range(16))
    with killed(served.postgres):
        pass
    before = metrics(served)
    for _ in range(12):
        ask_item(served)
    assert grown(served, before, "query_errors_total") == 0


def test_killed_with_statements_in_flight(served):
    finish = start_slow(served, 4)
    with killed(served.postgres):
        for answer in finish():
            assert_refused(served, answer, (503, 504), LONGEST)
    assert_works(served)


def test_a_backend_terminated_in_flight_costs_one_more_try(served):
    """A read may run twice: the client sees nothing of it."""
    answers = []
    asking = threading.Thread(target=lambda: answers.append(served.direct("/slow/7?seconds=0.4")))
    asking.start()
    wait_until(lambda: running(served) == 1, what="a statement in flight", every=0.005)
    terminate(served)
    asking.join(10)
    assert answers and answers[0].status == 200 and answers[0].json()["id"] == 7, answers


def terminate(stack):
    stack.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                           " AND query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()", [stack.database])


def test_the_second_try_is_within_the_same_time_limit(served):
    """@timeout holds for the whole request."""
    answers = []
    asking = threading.Thread(target=lambda: answers.append(served.direct("/slow/7?seconds=30")))
    start = time.monotonic()
    asking.start()
    wait_until(lambda: running(served) == 1 and time.monotonic() - start > 0.8, what="0.8 of 1 s gone", every=0.005)
    cut = time.monotonic()
    terminate(served)
    asking.join(10)
    assert time.monotonic() - cut < TIMEOUT, "it had a time of its own"
    assert answers, "no answer"
    assert_refused(served, answers[0], (503, 504), LONGEST)


def test_stopped_with_statements_in_flight(served):
    kept = [keep_item(served) for _ in range(3)]
    finish = start_slow(served, 4)
    with stopped(served.postgres):
        hits = [ask_item(served, number) for number in kept]
        for answer in finish():
            assert_refused(served, answer, (503, 504), LONGEST)
        assert all(is_hit(answer) for answer in hits)
        assert median(answer.seconds for answer in hits) < TIMEOUT, "they waited for statements"
        for answer in together(lambda _: served.direct(f"/items/{fresh_id()}"), range(8)):
            assert_refused(served, answer, (503, 504), LONGEST)
        for number in kept:
            assert is_hit(ask_item(served, number))
        assert_refused(served, served.get("/plain/1"), (503, 504), LONGEST)
    assert_works(served)
    wait_until(lambda: running(served) == 0, what="nothing left running on the server")


def test_a_statement_past_its_time_is_cancelled_on_the_server(served):
    answer = served.direct("/slow/1")
    assert_refused(served, answer, (504,), TIMEOUT + SLACK)
    assert answer.seconds >= TIMEOUT
    wait_until(lambda: running(served) == 0, what="the statement's end")
    assert_works(served)


def test_no_connection_left_on_the_server(served):
    """Others hold every connection the server allows."""
    kept = keep_item(served)
    served.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'larder'")
    limit = served.postgres.execute("SELECT setting::int - current_setting('superuser_reserved_connections')::int"
                                    " FROM pg_settings WHERE name = 'max_connections'")[0][0]
    others = [served.postgres.connect("postgres", "larder") for _ in range(limit)]
    try:
        for answer in together(lambda _: served.direct(f"/items/{fresh_id()}"), range(8)):
            assert_refused(served, answer)
        assert is_hit(ask_item(served, kept))
    finally:
        for each in others:
            each.close()
    wait_until(lambda: served.direct(f"/items/{fresh_id()}").status == 200, what="an answer")
    assert_works(served)


def test_more_requests_than_connections_wait_and_are_refused_in_time(served):
    """Eight threads on a pool that others keep busy: 503 after LARDER_DB_WAIT, and the counter grows."""
    served.overrides["LARDER_DB_POOL"] = "2"
    served.restart()
    try:
        before = metrics(served)
        finish = start_slow(served, 2)
        for answer in together(lambda _: served.direct(f"/items/{fresh_id()}"), range(4)):
            assert_refused(served, answer, longest=TIMEOUT + SLACK)
            assert answer.seconds >= WAIT
        assert grown(served, before, "db_wait_timeouts_total") == 4
        finish()
        assert count(served, "db_busy") == 0 and count(served, "db_waiting") == 0
        assert_works(served)
    finally:
        del served.overrides["LARDER_DB_POOL"]
        served.restart()


def test_both_away(served):
    kept = keep_item(served)
    served.redis.kill()
    try:
        with killed(served.postgres):
            for number in (kept, fresh_id(), fresh_id()):
                assert_refused(served, served.direct(f"/items/{number}"), longest=SLACK)
            for answer in together(lambda _: served.get(f"/items/{fresh_id()}"), range(16)):
                assert_refused(served, answer)
            assert served.direct("/_larder/health").status == 200
    finally:
        served.redis.start()
    assert_works(served)


@pytest.fixture
def hasty(served):
    """Redis may take as long as it usually may."""
    served.overrides["LARDER_REDIS_TIMEOUT"] = "100ms"
    served.restart()
    yield served
    served.overrides["LARDER_REDIS_TIMEOUT"] = ENV["LARDER_REDIS_TIMEOUT"]
    served.restart()


def test_both_stopped(hasty):
    served, kept = hasty, keep_item(hasty)
    served.redis.pause()
    try:
        with stopped(served.postgres):
            for number in (kept, fresh_id()):
                assert_refused(served, served.direct(f"/items/{number}"), (503, 504), LONGEST + 0.1)
    finally:
        served.redis.resume()
    assert_works(served)


def test_the_log_names_the_fault_once_a_request_at_most(served):
    with killed(served.postgres):
        before = served.log_text().count("\n")
        for _ in range(10):
            served.direct(f"/items/{fresh_id()}")
        told = served.log_text().splitlines()[before:]
    # A busy machine may hold up Redis, or a whole request, meanwhile.
    told = [line for line in told if not any(each in line for each in (" redis: ", " feed: ", " slow: "))]
    assert 1 <= len(told) <= 10, told
    assert all(" query: " in line or " database: " in line for line in told), told
    assert_works(served)


# The network between

def test_a_stalled_network(distant):
    kept = keep_item(distant)
    distant.database_proxy.stall()
    try:
        for answer in together(lambda _: distant.direct(f"/items/{fresh_id()}"), range(6)):
            assert_refused(distant, answer, (503, 504), LONGEST)
        for answer in together(lambda _: distant.direct(f"/items/{fresh_id()}"), range(6)):
            assert_refused(distant, answer, (503, 504), LONGEST)
        assert is_hit(ask_item(distant, kept))
    finally:
        distant.database_proxy.pass_on()
    wait_until(lambda: distant.direct(f"/items/{fresh_id()}").status == 200, what="an answer")
    assert_works(distant)


def test_a_network_that_stalls_in_mid_statement(distant):
    together(lambda _: ask_item(distant), range(4))
    finish = start_slow(distant, 4)
    distant.database_proxy.stall()
    try:
        for answer in finish():
            assert_refused(distant, answer, (503, 504), LONGEST)
    finally:
        distant.database_proxy.pass_on()
    wait_until(lambda: running(distant) == 0, what="the statements cancelled on the server")
    assert_works(distant)


def test_connections_cut_in_mid_statement(distant):
    finish = start_slow(distant, 4)
    distant.database_proxy.cut()
    try:
        for answer in finish():
            assert_refused(distant, answer, (503, 504), LONGEST)
        assert_refused(distant, distant.direct(f"/items/{fresh_id()}"))
    finally:
        distant.database_proxy.pass_on()
    assert_works(distant)


def test_nonsense_instead_of_a_database(distant):
    kept = keep_item(distant)
    distant.database_proxy.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    try:
        distant.database_proxy.drop()
        for _ in range(4):
            assert_refused(distant, distant.direct(f"/items/{fresh_id()}"), (503, 504), LONGEST)
        assert is_hit(ask_item(distant, kept))
    finally:
        distant.database_proxy.pass_on()
        distant.database_proxy.drop()
    wait_until(lambda: distant.direct(f"/items/{fresh_id()}").status == 200, what="an answer")
    assert_works(distant)


def test_a_slow_network_is_only_slow(distant):
    distant.database_proxy.delay(0.1)
    try:
        for answer in together(lambda _: ask_item(distant), range(4)):
            assert answer.seconds < 1 + SLACK
    finally:
        distant.database_proxy.pass_on()
    assert_works(distant)


# Away at the start

def test_started_without_a_database(served):
    """Kept answers go out, the rest is 503, and the types are learned by itself later."""
    kept = keep_item(served)
    served.direct("/items/x").problem(422)
    with killed(served.postgres):
        served.restart()
        assert is_hit(ask_item(served, kept))
        assert_refused(served, served.direct(f"/items/{fresh_id()}"))
        assert_refused(served, served.direct("/plain/1"))
        served.direct("/plain/x").problem(422)
    assert_works(served)
    wait_until(lambda: refused_unasked(served, "/items/x"), what="the type of an undeclared parameter learned")
    assert refused_unasked(served, "/items/99999999999999999999")
    assert_item(served.get(f"/items/{ITEMS}"), ITEMS)


def refused_unasked(stack, target):
    """Is the value refused without a query, and told by its name?"""
    before = metrics(stack)
    problem = stack.direct(target).problem(422)
    return grown(stack, before, "queries_total") == 0 and problem["errors"][0]["name"] == "id"


def test_a_start_without_a_database_can_be_ended(served):
    """SIGTERM while PostgreSQL's host is deaf: the main thread must not be caught in connecting."""
    with stopped(served.postgres):
        served.restart()
        start = time.monotonic()
        assert served.api.stop(10) == 0
        assert time.monotonic() - start < 8
        served.api.start()
        wait_until(served.healthy, 20, "larder-fcgi answering")
    assert_works(served)


@pytest.mark.parametrize("deaf", [True, False])
def test_a_host_without_a_database(stack, deaf):
    host = Deaf() if deaf else None
    port = host.port if host else free_port()
    try:
        served = stack(ROUTES, nginx=False, env={**ENV, "PGHOST": "127.0.0.1", "PGPORT": str(port)})
        for answer in together(lambda _: served.direct(f"/items/{fresh_id()}"), range(8)):
            assert_refused(served, answer, (503,), WAIT + SLACK if deaf else SLACK)
        line = next(line for line in served.log_text().splitlines() if " query: " in line)
        assert ("in time" if deaf else "refused") in line, "the log names the reason"
    finally:
        if host:
            host.stop()
