"""The queue's bell: larderd hears at once of what was filed, and what nobody rings for is made too."""

import pytest

from support.jobs import ended, file_job, post
from support.poster import Poster
from support.waiting import wait_until

SCHEMA = "CREATE TABLE notes (text text NOT NULL);"
ROUTES = {
    "note": "-- @http POST /notes\n-- @param text text\n-- @async\n-- @result none\nINSERT INTO notes VALUES (:text)",
    "soon": "-- @http POST /soon\n-- @param text text\n-- @behind batch=100 every=20ms\n-- @result none\nINSERT INTO notes VALUES (:text)",
}
ROUTES["number"] = ROUTES["note"].replace("/notes", "/numbers").replace("text text", "number int").replace(":text", ":number")
CHANNEL = "larder:q:bell"


@pytest.fixture
def served(stack):
    return stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=1, nginx=False)


def listeners(stack):
    return dict(stack.queue.client().pubsub_numsub(CHANNEL))[CHANNEL.encode()]


def heard(stack):
    wait_until(lambda: listeners(stack) == 1, 20, "larderd listening")


@pytest.mark.parametrize("headers, said", [({}, b""), ({"Prefer": "wait=1"}, b"now")])
def test_the_bell_is_rung_for_a_job(served, headers, said):
    with served.queue.client().pubsub(ignore_subscribe_messages=True) as bell:
        bell.subscribe(CHANNEL)
        wait_until(lambda: listeners(served) == 2, 20, "two listeners")
        assert post(served, "/notes", {"text": "x"}, **headers).status in (200, 202, 204)
        told = wait_until(lambda: bell.get_message(timeout=0.1), 20, "a ring", every=0)
    assert told["data"] == said


def test_a_line_that_is_lost_is_listened_to_anew(served):
    heard(served)
    queue = served.queue.client()
    queue.client_kill_filter(_type="pubsub")
    assert ended(served, file_job(served, "/notes", {"text": "unheard"}))["status"] == "done"
    heard(served)
    assert ended(served, file_job(served, "/notes", {"text": "heard"}))["status"] == "done"


def test_jobs_are_made_where_the_bell_may_not_be_heard(served):
    """Redis' rules for its users allow some channels alone."""
    served.larderd.stop()
    served.queue.client().execute_command("ACL", "SETUSER", "default", "resetchannels", "&larder:q:news")
    served.larderd.start()
    for number in range(3):
        assert ended(served, file_job(served, "/notes", {"text": str(number)}))["status"] == "done"
    assert listeners(served) == 0
    assert "new jobs are found at the next look" in served.larderd.log_text()


def test_what_redis_says_of_a_ring_does_not_hide_that_it_was_restarted(served):
    """A ring's answer lies there unread; the write that comes next must not be sent to a server that is gone."""
    for number in range(8):
        file_job(served, "/notes", {"text": str(number)})
    served.queue.restart()
    for number in range(8):
        answer = post(served, "/soon", {"text": str(number)})
        assert answer.status == 202, answer


def test_a_queue_whose_host_is_not_found_is_told_of_once(served):
    """By who looks it up; those who wait for that say nothing."""
    daemon = served.start_larderd("lost", {"LARDER_QUEUE": "redis://queue.invalid:6380/0"})
    wait_until(lambda: "looking up" in daemon.log_text(), 60, "the resolver's word")
    served.larderd.stop()  # some hundred looks of the other one's bell later
    told = [line for line in daemon.log_text().splitlines() if " jobs: " in line or " queue: " in line]
    assert len(told) == 1 and 'LARDER_QUEUE: jobs wait: Redis: looking up "queue.invalid"' in told[0], told


def test_the_bell_is_rung_where_fronts_have_no_rest(served):
    """They ring when it is quiet; where it never is, all the same."""
    with served.queue.client().pubsub() as bell:
        bell.subscribe(CHANNEL)
        wait_until(lambda: listeners(served) == 2, 20, "two listeners")
        with Poster(served.api.socket, "/numbers", 3000, connections=16) as poster:
            poster.filed()
        told = list(iter(lambda: bell.get_message(timeout=0.5), None))
    assert len([each for each in told if each["type"] == "message"]) > 30
