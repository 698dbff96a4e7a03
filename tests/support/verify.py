"""`larder verify` beside a stack: what it is run on, and what it says."""

import re
import subprocess

from .coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, keep, wait_for_beat
from .paths import program
from .stack import metrics

# The responders': whatever holds up larderd's heartbeat or its word of definitions, what is kept is served through a test.
GUARD = "60s"
AGAIN = "1s"  # verify's own, for which a difference waits for its second look
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE users (id int PRIMARY KEY, name text, mood mood NOT NULL DEFAULT 'good');
"""
ROWS = """
TRUNCATE users;
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) AS i;
"""


def route(path, statement, *lines, cache="ttl=300s negative=300s", result="row"):
    head = [f"-- @http GET {path}", f"-- @result {result}", f"-- @cache {cache}", *(f"-- {line}" for line in lines)]
    return "\n".join([*head, statement, ""])


ROUTES = SENTINEL_ROUTE | {
    "user": route("/users/{id}", "SELECT id, name FROM users WHERE id = :id", "@depends users.id = :id"),
    "users": route("/users", "SELECT name FROM users WHERE (:name::text IS NULL OR name = :name) ORDER BY id",
                   "@param name text default=null", result="rows"),
    "mood": route("/moods/{mood}", "SELECT count(*) FROM users WHERE mood = :mood::mood", "@param mood enum=good,bad",
                  result="value"),
    "echo": route("/a:b/{text}", "SELECT jsonb_build_object('text', :text::text, 'many', :many::int[], 'none', :none::text)",
                  "@param many int[] default={}", "@param none text default=null", result="json"),
    "now": route("/now", "SELECT :now::timestamptz AS now"),
    "then": "-- @http GET /then\nSELECT :now::timestamptz AS now",  # keeps nothing
    "moment": "-- @http GET /moment\n-- @result value\nSELECT :now AS now",  # not kept, so not named
    "chance": route("/chance", "SELECT random() AS chance"),
    "fails": route("/fails/{id}", "SELECT 1 / (id - 5) AS one FROM users WHERE id = :id"),
    "uncached": "-- @http GET /uncached\nSELECT 1 AS one",
}


def started(make, guard=GUARD, **options):
    """A stack whose larderd has struck all that it strikes at its start."""
    stack = make(ROUTES, nginx=False, install=True, larderd=True, env={"LARDER_GUARD_TTL": guard, "LARDER_L1": "0"}, **options)
    wait_for_beat(stack.redis)
    barrier(stack)
    return stack


def emptied(stack):
    """The stack with its rows as they were, where nothing is kept and no change is under way."""
    stack.sql(ROWS)
    barrier(stack)
    client = stack.redis.client()
    if keys := stack.redis.entries():
        client.delete(*keys)
    return stack


def kept(stack, *targets):
    for target in targets:
        keep(lambda: stack.direct(target))


def key_of(stack, name):
    """The one entry of that route: `name` is as the keys have it."""
    found = [key for key in stack.redis.entries() if name in key]
    assert len(found) == 1, found
    return found[0]


def silently(stack, statement):
    """A change that no trigger hears of."""
    stack.postgres.execute(f"SET session_replication_role = replica; {statement}", database=stack.database)


def settings(stack, environment):
    given = stack.environment() | {"LARDER_ROUTES": stack.routes} | environment
    return {name: value for name, value in given.items() if value is not None}


class Verified:
    """One run: its differences by key, and its summary."""

    def __init__(self, done):
        self.status, self.errors, self.text = done.returncode, done.stderr, done.stdout
        lines = [line for line in done.stdout.splitlines() if line.startswith("differs: ")]
        self.differences = {line[len("differs: "):].partition("  age ")[0]: line for line in lines}
        match = re.search(r"^checked (\d+) of (\d+) entries: (\d+) same, (\d+) differing; (\d+) skipped$", done.stdout, re.M)
        numbers = [int(number) for number in match.groups()] if match else [0] * 5
        self.checked, self.entries, self.same, self.differing, self.skipped = numbers

    def reason(self, words):
        """How many were skipped for that reason, and the rest of its line."""
        match = re.search(rf"^ *(\d+) skipped: {words}(.*)$", self.text, re.M)
        return (int(match[1]), match[2]) if match else (0, "")


def counted(stack, what):
    return metrics(stack).sum(f"larder_verify_{what}_total")


def verify(stack, *arguments, **environment):
    done = subprocess.run([program("larder"), "verify", *arguments],
                          env=settings(stack, {"LARDER_GUARD_TTL": AGAIN} | environment),
                          capture_output=True, text=True, check=False, timeout=90)
    return Verified(done)


def assert_all_same(verified, count):
    assert (verified.status, verified.errors, verified.differences) == (0, "", {}), verified.text + verified.errors
    assert (verified.checked, verified.same, verified.differing) == (count, count, 0), verified.text
