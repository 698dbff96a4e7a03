"""The staleness table's rows of PostgreSQL: away, restarted, crashed; alone and together with Redis."""

import time

import pytest

from breaking import DATABASE_FAULTS, killed, larderd_killed, larderd_stopped, redis_killed, shut_down
from faults import SLACK, is_hit
from staleness import BOUND, ENV, GUARD, PATIENT, Change, ask, assert_healthy, keep_person, person, watched
from support.coherent import barrier, detail, keep
from support.waiting import wait_until

# What a request may take that waits for a connection, and for a server that does not even refuse.
LONGEST = 0.4 + 2.0 + 0.5 + SLACK
DURABLE = {"synchronous_commit": "on"}


@pytest.fixture(scope="module")
def shared(shared_stack):
    return watched(shared_stack, postgres=shared_stack.postgres(settings=DURABLE))


@pytest.fixture
def served(shared):
    barrier(shared)
    return shared


def assert_unavailable(answer):
    answer.problem(503)
    assert int(answer["Retry-After"]) >= 1, answer
    assert answer.seconds < LONGEST, answer


@pytest.mark.parametrize("away", DATABASE_FAULTS)
def test_the_last_good_answer_where_the_route_allows_it(served, away):
    """Marked in Cache-Status; other routes are 503 with Retry-After once they may not use what they have."""
    number = keep_person(served, "last", "near")
    with away(served.postgres):
        answer = wait_until(lambda: (found := ask(served, f"/last/{number}")) and detail(found) == "database-down"
                            and found, BOUND + 2 * LONGEST, "an answer marked")
        assert answer.status == 200 and answer.json() == {"id": number, "name": f"person {number}"}
        assert answer["Cache-Status"].startswith("larder; hit; ttl="), answer
        wait_until(lambda: ask(served, f"/near/{number}").status == 503, BOUND + LONGEST, "a refusal")
        for _ in range(5):
            assert_unavailable(ask(served, f"/near/{number}"))
            answer = ask(served, f"/last/{number}")
            assert answer.status == 200 and detail(answer) == "database-down" and answer.seconds < LONGEST, answer
        assert_unavailable(ask(served, f"/last/{person()}"))
    assert_healthy(served)
    Change(served, number).assert_shows(paths=("last", "near"))


def test_the_last_good_answer_only_for_its_time(stack):
    """ttl=1s error=3s: three seconds from its fill, or from its ttl where nothing but age speaks against it. Redis has
    it: with both away there is none, so it gets the time that a busy machine may take."""
    served = watched(stack, postgres=stack.postgres(settings=DURABLE), env=ENV | {"LARDER_REDIS_TIMEOUT": "5s"})
    barrier(served)
    begin = time.monotonic()
    number = keep_person(served, "brief")
    kept = time.monotonic()
    with killed(served.postgres):
        wait_until(lambda: detail(ask(served, f"/brief/{number}")) == "database-down", 3, "an answer marked")
        wait_until(lambda: ask(served, f"/brief/{number}").status == 503, 6, "a refusal")
        refused = time.monotonic()
        assert refused - begin >= 3 and refused - kept < 4 + SLACK
        assert_unavailable(ask(served, f"/brief/{number}"))
    assert_healthy(served)


def test_the_last_good_answers_time_begins_at_its_end_unless_it_was_struck(stack):
    """ttl=4s error=4s: eight seconds for the answer that only expired, four for the one that a change struck. With a
    guard time of two minutes nothing else speaks against either."""
    served = watched(stack, postgres=stack.postgres(settings=DURABLE), database_proxy=True, env=PATIENT)
    expired, struck = (keep_person(served, "worn") for _ in range(2))
    kept = time.monotonic()
    Change(served, struck)
    barrier(served)
    served.database_proxy.cut()
    assert last_good(served, f"/worn/{struck}") < kept + 4 + SLACK
    wait_until(lambda: time.monotonic() > kept + 6, 10, "more than the answer's ttl")
    answer = ask(served, f"/worn/{expired}")
    assert answer.status == 200 and detail(answer) == "database-down", answer
    assert last_good(served, f"/worn/{expired}") < kept + 8 + SLACK
    served.database_proxy.pass_on()
    wait_until(lambda: ask(served, f"/worn/{struck}").status == 200, 20, "PostgreSQL back")


def last_good(stack, target):
    """Asks until it is refused; when the last answer was asked for."""
    last, deadline = 0.0, time.monotonic() + 20
    while time.monotonic() < deadline:
        begun = time.monotonic()
        if ask(stack, target).status == 503:
            return last
        last = begun
    raise AssertionError(f"{target} is never refused")


def test_the_last_good_answer_is_never_one_that_is_known_to_be_wrong_for_long(served):
    """A change was committed and told before PostgreSQL went: what it struck is the last good answer of nobody else
    than of error= routes, and even there the new one counts as soon as somebody has asked for it."""
    number = keep_person(served, "last")
    change = Change(served, number)
    change.assert_shows(paths=("last",))
    with killed(served.postgres):
        for _ in range(20):
            assert change.shown_by("last", longest=LONGEST)
    assert_healthy(served)


@pytest.mark.parametrize("away", DATABASE_FAULTS)
def test_changes_show_after_a_restart(served, away):
    number = keep_person(served)
    with away(served.postgres):
        pass
    for _ in range(3):
        change = wait_until(lambda: change_or_none(served, number), 20, "PostgreSQL taking a change")
        change.assert_shows(longest=None)
    assert_healthy(served)


def change_or_none(stack, number):
    try:
        return Change(stack, number)
    except Exception:
        return None


@pytest.mark.parametrize("away", [killed, shut_down])
@pytest.mark.parametrize("larderd_away", [larderd_killed, larderd_stopped])
def test_a_change_that_nobody_was_told_of_when_postgresql_ended(stack, away, larderd_away):
    """A crash empties the outbox: then everything is struck. A shutdown keeps it. With a guard time of forty seconds
    nothing else could."""
    served = watched(stack, postgres=stack.postgres(settings=DURABLE), env=PATIENT)
    number = keep_person(served)
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    with larderd_away(served):
        change = Change(served, number)
        with away(served.postgres):
            pass
        assert not change.shown_by("far", longest=None), "the entry was not kept: nothing is shown by this"
    change.assert_shows(change.age() + 5, longest=None)
    barrier(served)


def test_both_away(served):
    """What memory holds serves within its bound; then 503, and never again an old answer."""
    number = keep_person(served)
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    Change(served, number).assert_shows()
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    with redis_killed(served), killed(served.postgres):
        wait_until(lambda: ask(served, f"/near/{number}").status == 503, BOUND + LONGEST, "a refusal")
        for _ in range(5):
            assert_unavailable(ask(served, f"/near/{number}"))
            assert_unavailable(ask(served, f"/far/{person()}"))
    assert_healthy(served)


def test_memory_serves_while_both_are_away(stack):
    """With more guard time to see it in."""
    served = watched(stack, postgres=stack.postgres(settings=DURABLE),
                     env=ENV | {"LARDER_GUARD_TTL": "4s"})
    number = person()
    ask(served, f"/near/{number}")
    keep(lambda: ask(served, f"/near/{number}"), "l1")
    served.redis.kill()
    served.postgres.kill()
    for _ in range(20):
        answer = ask(served, f"/near/{number}")
        assert answer.status == 200 and answer.json()["id"] == number and detail(answer) == "l1", answer
    wait_until(lambda: ask(served, f"/near/{number}").status == 503, 8 + LONGEST, "a refusal")
    assert_unavailable(ask(served, f"/near/{number}"))
    served.redis.start()
    served.postgres.start()
    wait_until(lambda: is_hit(ask(served, f"/near/{number}")), 20, "hits again")
    barrier(served)


def test_postgresql_away_from_larderd_alone(stack):
    """larderd's connections are cut again and again; changes show within the bound, and at once when it is over."""
    served = watched(stack)
    begin = time.monotonic()
    while time.monotonic() - begin < 2 * GUARD:
        number = keep_person(served)
        served.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                                " AND application_name = 'larderd'", [served.database])
        Change(served, number).assert_shows(longest=None)
    assert_healthy(served)
