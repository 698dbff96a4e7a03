"""The threads that take requests: hits never wait behind slow statements, and requests that come together share."""

import pytest

from support.crowd import Background, ask_together
from support.gate import ROUTE as GATE, Gate
from support.stack import metrics
from support.threads import hands
from support.waiting import wait_until

ROUTES = {
    "gate": GATE,
    "kept": "-- @http GET /kept/{n}\n-- @param n int\n-- @result row\n-- @cache ttl=60s negative=60s\n"
            "SELECT :n::int AS n, repeat('x', CASE WHEN :n::int = 9 THEN 400000 ELSE 10 END) AS filling"
            " WHERE :n::int >= 0",
    "word": "-- @http GET /word\n-- @result row\nSELECT 'new' AS word",
    "missing": "-- @http GET /missing\n-- @param n int\n-- @result value\nSELECT :n",
}
THREADS = 2


@pytest.fixture(scope="module")
def served(shared_stack):
    # Without larderd what is kept is believed for the guard time.
    return shared_stack(ROUTES, env={"LARDER_THREADS": str(THREADS), "LARDER_GUARD_TTL": "10m"})


def hit(answer):
    return answer.status == 200 and answer["Cache-Status"].startswith("larder; hit")


def test_hits_are_answered_while_every_hand_waits_for_the_database(served):
    for number in range(3):
        served.get(f"/kept/{number}")
        wait_until(lambda: hit(served.get(f"/kept/{number}")))  # pylint: disable=cell-var-from-loop
    with Gate(served) as shut:
        slow = [Background(served.direct, "/gate") for _ in range(THREADS + 2)]
        shut.wait_for(THREADS)
        for _ in range(20):
            assert all(hit(served.get(f"/kept/{number}", timeout=8)) for number in range(3))
        assert served.get("/missing", timeout=8).status == 422
        assert not any(each.done() for each in slow)
    assert {each.result().status for each in slow} == {200}


def test_a_short_query_for_a_lone_request_needs_no_hand(served):
    def asked_without():
        asleep, before = hands(served.api)
        assert served.direct("/word").json() == {"word": "new"}
        return asleep and hands(served.api) == (True, before)

    wait_until(asked_without, what="a query that no hand made")


def test_a_query_that_was_short_takes_one_front_at_most(served):
    served.get("/kept/1")
    wait_until(lambda: hit(served.get("/kept/1")))
    for _ in range(5):
        assert served.direct("/gate").status == 200  # short, as far as anybody can know
    with Gate(served) as shut:
        slow = []
        for number in range(THREADS):
            slow.append(Background(served.direct, "/gate"))
            shut.wait_for(number + 1)
            for _ in range(5):
                assert hit(served.get("/kept/1", timeout=8))
    assert {each.result().status for each in slow} == {200}


def test_each_of_many_requests_at_once_gets_its_own_answer(served):
    """Hits, misses, conditional ones, large ones, refused ones: whatever shares a round trip keeps apart."""
    targets = [f"/kept/{number % 10}" for number in range(400)] + ["/kept/-1", "/missing", "/nowhere"] * 20
    answers = ask_together(served.direct, targets, 24)
    for target, answer in zip(targets, answers):
        if target.startswith("/kept/") and target != "/kept/-1":
            number = int(target.rsplit("/", 1)[1])
            assert answer.status == 200 and answer.json()["n"] == number
            assert len(answer.json()["filling"]) == (400000 if number == 9 else 10)
        else:
            assert answer.status == {"/kept/-1": 404, "/missing": 422, "/nowhere": 404}[target]


def test_a_large_hit_is_counted_as_one(served):
    served.get("/kept/9")
    wait_until(lambda: hit(served.get("/kept/9")))
    before = metrics(served).sum("larder_cache_hits_total")
    assert hit(served.get("/kept/9"))
    assert metrics(served).sum("larder_cache_hits_total") == before + 1
