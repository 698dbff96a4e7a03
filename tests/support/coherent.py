"""What tests of a coherent stack share: how an answer came about, and waiting for changes to arrive."""

import contextlib
import itertools
import time

from . import clocks, fastcgi
from .waiting import wait_until

SENTINEL_SCHEMA = "CREATE TABLE sentinel (number int NOT NULL); INSERT INTO sentinel VALUES (0);"
SENTINEL_ROUTE = {
    "sentinel": "-- @http GET /sentinel\n-- @result row\n-- @cache ttl=300s\nSELECT number FROM sentinel"}
numbers = itertools.count(1)


def is_hit(answer):
    return answer["Cache-Status"].startswith("larder; hit;")


def detail(answer):
    """The word after detail= in Cache-Status: l1, redis, stale, database-down …; "fill" for an answer just made."""
    status = answer["Cache-Status"]
    if "detail=" in status:
        return status.partition("detail=")[2].partition(";")[0]
    return "fill" if "fwd=" in status else None


def time_left(answer):
    """For how many seconds what is kept is fresh; 0: the answer is not from what is kept."""
    return int(answer["Cache-Status"].partition("ttl=")[2].partition(";")[0] or 0) if is_hit(answer) else 0


def sockets(stack, hosts=()):
    """Each pool's socket, of the stack and of further hosts."""
    return [pool.socket for each in (stack, *hosts) for pool in each.pools]


def barrier(stack, hosts=(), deadline=20):
    """Waits until everything committed before has been told to every process: a change made now, to what all of them
    keep, shows everywhere, and larderd has nothing left to tell."""
    number = next(numbers)
    places = sockets(stack, hosts)
    for socket in places:
        keep(lambda: fastcgi.ask(socket, "/sentinel"), deadline=deadline)
    stack.sql("UPDATE sentinel SET number = %s", [number])
    wait_until(lambda: stack.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0, deadline, "an empty outbox")
    for socket in places:
        wait_until(lambda: fastcgi.ask(socket, "/sentinel").json()["number"] == number, deadline,
                   f"the latest change at {socket}")


def newest_bump(stack):
    return int(stack.redis.client().hget("larder:c", "b"))


def wait_heard(stack):
    """Until every process has been told of all that was struck before: one that asked Redis, having nothing in memory,
    may know of it sooner than the others, whose memory still answers."""
    bump = newest_bump(stack)
    wait_until(lambda: clocks.heard(stack.run) >= bump, 20, "the latest bump heard of")


@contextlib.contextmanager
def outbox_unread(stack):
    """larderd can't take anything out of the outbox, however long others take for what they strike themselves: it looks
    at the marker beside it."""
    connection = stack.postgres.connect(stack.database, "larder")
    connection.autocommit = False
    connection.cursor().execute("LOCK TABLE larder.marker IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def keep(ask, tier=None, deadline=10):
    """Asks until the answer is a hit (of that tier, l1 or redis); that answer."""
    def kept():
        answer = ask()
        assert answer.status in (200, 404), answer
        return answer if is_hit(answer) and (tier is None or detail(answer) == tier) else None

    return wait_until(kept, deadline, f"a hit of {tier or 'any tier'}", every=0.01)


def wait_for_body(ask, body, deadline=5.0):
    """Asks until the answer's JSON is `body`; seconds it took."""
    begin = time.monotonic()
    wait_until(lambda: ask().json() == body, deadline, f"an answer of {body}", every=0.001)
    return time.monotonic() - begin


def wait_for_beat(redis, there=True, deadline=20):
    """larderd's heartbeat in Redis, or its end."""
    wait_until(lambda: bool(redis.client().exists("larder:beat")) == there, deadline,
               "a heartbeat" if there else "the heartbeat's end")
