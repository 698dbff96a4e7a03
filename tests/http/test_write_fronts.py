"""Which thread makes a write: one that is short and by itself needs no hand, and none holds up what others ask for."""

import signal

import pytest

from support.crowd import Background
from support.fastcgi import PARAMS, STDIN, begin, cgi_params, pair, record, stream
from support.gate import ROUTE as GATE, NUMBER, Gate
from support.threads import hands
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (id bigserial PRIMARY KEY, word text NOT NULL)"
ROUTES = {
    "gate": GATE,
    "kept": "-- @http GET /kept\n-- @result row\n-- @cache ttl=60s\nSELECT 'kept' AS word",
    "note": "-- @http POST /notes\n-- @param word in=body\n-- @result row\n"
            "INSERT INTO notes (word) VALUES (:word) RETURNING word",
    "shut": "-- @http POST /shut\n-- @param word in=body\n-- @result row\n"
            f"SELECT :word::text AS word FROM pg_advisory_xact_lock_shared({NUMBER})",
}
THREADS = 2
PRIMED = 5  # writes after which a route is known to be short
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(shared_stack):
    # Without larderd what is kept is believed for the guard time.
    return shared_stack(ROUTES, schema=SCHEMA, env={"LARDER_THREADS": str(THREADS), "LARDER_GUARD_TTL": "10m"})


def post(served, target, **options):
    return served.direct(target, method="POST", headers=JSON, body=b'{"word": "new"}', **options)


def hit(answer):
    return answer.status == 200 and answer["Cache-Status"].startswith("larder; hit")


def keep(served):
    served.get("/kept")
    wait_until(lambda: hit(served.get("/kept")))


def prime(served):
    """The gated write was short, as far as anybody can know; on a busy machine it may yet have been too long."""
    for _ in range(PRIMED):
        assert post(served, "/shut").status == 200


def made_without_hand(served):
    asleep, before = hands(served.api)
    assert post(served, "/notes").json() == {"word": "new"}
    return asleep and hands(served.api) == (True, before)


def test_a_short_write_by_itself_needs_no_hand(served):
    wait_until(lambda: made_without_hand(served), what="a write that no hand made")


def test_a_write_is_a_hand_s_while_another_request_is_under_way(served):
    wait_until(lambda: made_without_hand(served), what="a write that no hand made")
    with Gate(served) as shut:
        slow = Background(served.direct, "/gate")
        shut.wait_for(1)
    assert slow.result().status == 200
    with Gate(served) as shut:
        slow = Background(served.direct, "/gate")  # by a hand: the last one took its time
        shut.wait_for(1)
        assert not any(made_without_hand(served) for _ in range(PRIMED))
    assert slow.result().status == 200


def test_writes_that_were_short_take_one_front_at_most(served):
    keep(served)
    prime(served)
    with Gate(served) as shut:
        slow = []
        for number in range(THREADS):
            slow.append(Background(post, served, "/shut"))
            shut.wait_for(number + 1)
            for _ in range(5):
                assert hit(served.get("/kept", timeout=8))
    assert [each.result().json() for each in slow] == [{"word": "new"}] * THREADS


def test_a_body_that_ends_as_a_request_does_but_goes_on_is_a_hand_s(served):
    """Or it and a silent request would hold the two fronts that there are at least."""
    keep(served)
    wait_until(lambda: made_without_hand(served), what="a write that no hand made")
    params = cgi_params("/notes", "POST", JSON, body=bytes(100))
    with served.connect() as part, served.connect() as silent:
        part.send(begin() + stream(PARAMS, b"".join(pair(*each) for each in params.items()))
                  + record(STDIN, bytes(100))[:8] + record(STDIN))
        silent.send(begin()[:12])
        for _ in range(5):
            assert hit(served.get("/kept", timeout=5))


def test_sigterm_waits_for_a_write_that_a_front_makes(stack):
    own = stack(ROUTES, schema=SCHEMA, nginx=False)
    prime(own)
    with Gate(own) as shut:
        slow = Background(post, own, "/shut")
        shut.wait_for(1)
        own.api.signal(signal.SIGTERM)
        wait_until(lambda: "ending when" in own.api.log_text(), 5, "the process to take SIGTERM")
        shut.open()
        assert slow.result().json() == {"word": "new"}
    wait_until(lambda: not own.api.running(), 10, "the end of the process")
