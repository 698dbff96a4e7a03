"""What the tests of the staleness table share: a stack whose changes are watched, faults, and the watch itself."""

import itertools
import time

from faults import SANITIZED, SLACK, is_hit
from support import fastcgi
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, keep
from support.waiting import wait_until

GUARD = 1.0
DETECTION = 1.0
BOUND = GUARD + DETECTION + (2.0 if SANITIZED else 0.0)
REDIS_TIMEOUT = 0.1
MOMENT = GUARD / 2  # more than a change takes where nothing is amiss, but for a machine that stands still meanwhile
ENV = {"LARDER_GUARD_TTL": "1s", "LARDER_REDIS_PROBE": "100ms", "LARDER_REDIS_TIMEOUT": "100ms",
       "LARDER_DB_WAIT": "400ms", "LARDER_TIMEOUT": "2s", "LARDER_LEASE": "500ms"}
# For tests that nothing is lost: the guard would hide it.
PATIENT = ENV | {"LARDER_GUARD_TTL": "40s"}

PEOPLE = 20000
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO people SELECT i, 'person ' || i FROM generate_series(1, {PEOPLE}) AS i;
"""
PERSON = "-- @depends people.id = :id\nSELECT id, name FROM people WHERE id = :id"
ROUTES = SENTINEL_ROUTE | {
    "near": f"-- @http GET /near/{{id}}\n-- @result row\n-- @cache ttl=300s\n{PERSON}",
    "far": f"-- @http GET /far/{{id}}\n-- @result row\n-- @cache ttl=300s l1=off\n{PERSON}",
    "last": f"-- @http GET /last/{{id}}\n-- @result row\n-- @cache ttl=300s error=60s\n{PERSON}",
    "brief": f"-- @http GET /brief/{{id}}\n-- @result row\n-- @cache ttl=1s error=3s\n{PERSON}",
    "worn": f"-- @http GET /worn/{{id}}\n-- @result row\n-- @cache ttl=4s error=4s l1=off\n{PERSON}",
}
unused = itertools.count(1)
names = itertools.count(1)


def watched(stack, **options):
    """A started stack of these tables and routes; `options` are Stack's, on top of the usual ones."""
    usual = {"schema": SCHEMA, "nginx": False, "install": True, "larderd": True, "env": ENV}
    return stack(ROUTES, **(usual | options))


def ask(stack, target):
    return fastcgi.ask(stack.api.socket, target, timeout=30)


def person():
    return next(unused)


def keep_person(stack, *paths):
    """Somebody whom each of these routes keeps from now on; the number."""
    number = person()
    for path in paths or ("near", "far"):
        keep(lambda: ask(stack, f"/{path}/{number}"))
    return number


class Change:
    """A committed change of one person: the new name, and when its commit was certain."""

    def __init__(self, stack, number):
        self.stack, self.number = stack, number
        self.name = f"name {next(names)}"
        stack.sql("UPDATE people SET name = %s WHERE id = %s", [self.name, number])
        self.committed = time.monotonic()

    def age(self):
        return time.monotonic() - self.committed

    def shown_by(self, path, longest=REDIS_TIMEOUT + SLACK):
        """Does that route show it? Nothing else than the old name and the new may ever come, and in time."""
        answer = ask(self.stack, f"/{path}/{self.number}")
        assert answer.status == 200, answer
        assert answer.json()["id"] == self.number, answer
        assert longest is None or answer.seconds < longest, answer
        return answer.json()["name"] == self.name

    def assert_shows(self, bound=BOUND, paths=("near", "far"), longest=REDIS_TIMEOUT + SLACK):
        """Asks on and on: no read that begins later than `bound` seconds after the commit shows the old name; how
        long the old one was read, in seconds."""
        worst, fresh = 0.0, 0
        while fresh < 40:
            begun = self.age()
            if all([self.shown_by(path, longest) for path in paths]):
                fresh += 1
                continue
            assert begun <= bound, f"{begun:.2f} s after the commit the old name was read; {bound} s are allowed"
            worst, fresh = begun, 0
        return worst


def assert_healthy(stack, hosts=()):
    """By itself, and without a restart of anything: a change is told everywhere within moments, and answers are kept
    for longer than the guard time would allow."""
    barrier(stack, hosts)
    number = wait_until(lambda: keep_person(stack), 20, "answers kept again")
    change = Change(stack, number)
    change.assert_shows(longest=None)
    wait_until(lambda: told_at_once(stack, number), 20, "changes told at once")
    wait_until(lambda: kept_long(stack, number), 30, "an answer kept past the guard time")


def told_at_once(stack, number):
    keep(lambda: ask(stack, f"/near/{number}"), "l1")
    return Change(stack, number).assert_shows(longest=None) < GUARD / 2


def kept_long(stack, number):
    """A hit whose Age is more than the guard time: the heartbeat is believed."""
    answer = ask(stack, f"/near/{number}")
    return is_hit(answer) and int(answer["Age"] or 0) > GUARD
