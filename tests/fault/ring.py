"""What the tests of the module's ring share: a stack whose triggers are the module's, and ways to see what the ring took."""

import contextlib

from outbox import beats, clock, rows_left, watch
from support.coherent import keep, wait_for_body
from support.stack import metrics
from support.waiting import wait_until

ROWS = 2000
SCHEMA = ("CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);"
          f"INSERT INTO things SELECT generate_series(1, {ROWS});")
ROUTES = {
    "thing": "-- @http GET /things/{id}\n-- @result row\n-- @cache ttl=300s\n-- @depends things.id = :id\n"
             "SELECT n FROM things WHERE id = :id",
    "add": "-- @http POST /things/{id}\n-- @result row\nUPDATE things SET n = n + 1 WHERE id = :id RETURNING n",
}
# Without notifications it would take a minute: so long are the polls of a sleeper with these.
SLEEPY = {"LARDER_POLL": "60s", "LARDER_GUARD_TTL": "600s"}
SMALL = {"larder.ring_size": "'16kB'"}  # of which half lets no more transactions in
IN_HAND = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ 'larder_(take|ring_[0-9])'"


def ringed(stack, count=1, **options):
    """A started stack with the module's triggers, and larderds that have struck everything once and beat."""
    served = stack(ROUTES, schema=SCHEMA, module=True, install=True, nginx=False, larderd=count,
                   env={"LARDER_REDIS_TIMEOUT": "100ms"} | options.pop("env", {}), **options)
    assert served.sql("SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger WHERE tgrelid = 'things'::regclass AND tgtype & 1 = 1"
                      ) == [("larder_ring.strike",)]
    settled(served)
    return served


def settled(stack):
    """Until what was struck as a whole is, and changes travel by the ring again."""
    wait_until(lambda: beats(stack), 20, "a heartbeat")
    before = by_ring(stack)
    change(stack, ROWS)
    wait_until(lambda: by_ring(stack) > before, 20, "a change by the ring")
    wait_until(lambda: rows_left(stack) == 0, 20, "an empty outbox")


@contextlib.contextmanager
def session(stack):
    """A cursor of a session that stays, which is quicker than served.sql; each statement is a transaction."""
    connection = stack.postgres.connect(stack.database, "larder")
    try:
        yield connection.cursor()
    finally:
        connection.close()


def tag(number):
    return f"public.things(id,n).id={number}"


def tags(numbers):
    return [tag(number) for number in numbers]


def change(stack, *numbers):
    """A transaction that changes these rows."""
    stack.sql("UPDATE things SET n = n + 1 WHERE id = ANY (%s)", (list(numbers),))


def by_ring(stack):
    """So many tags larderd had of the ring."""
    return metrics(stack).sum("larder_ring_tags_total")


def raised(stack, numbers, above=1):
    return all(int(each or 0) > above for each in stack.redis.client().mget([f"larder:t:{each}" for each in tags(numbers)]))


def wait_raised(stack, *numbers, above=1, deadline=15):
    wait_until(lambda: raised(stack, numbers, above), deadline, f"the tags of {numbers[:5]} raised")


def watch_rows(stack, *numbers):
    """Gives their tags a number, and that of everything, as a store does; only such tags are raised by a bump."""
    watch(stack, "*", *tags(numbers))


def everything_struck(stack, above=1):
    return clock(stack, "*") > above


def assert_delivers(stack, number, way="/things/{}"):
    """An answer that is kept shows a change at once."""
    target = way.format(number)
    before = keep(lambda: stack.direct(target), deadline=20).json()["n"]
    change(stack, number)
    wait_for_body(lambda: stack.direct(target), {"n": before + 1}, 5)
