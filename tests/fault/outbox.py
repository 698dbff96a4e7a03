"""What the tests of larderd share: the outbox as `larder install` makes it, and how to see what was bumped."""

import contextlib

import redis

from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE SCHEMA larder;
CREATE UNLOGGED TABLE larder.outbox (tag text NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
                                     lane smallint NOT NULL DEFAULT (pg_backend_pid() & 15));
CREATE INDEX outbox_lane_xid ON larder.outbox (lane, xid);
CREATE UNLOGGED TABLE larder.marker (one boolean PRIMARY KEY DEFAULT true CHECK (one));
CREATE SEQUENCE larder.asleep MINVALUE 1 MAXVALUE 2;
"""
ROUTES = {"plain": "-- @http GET /plain\nSELECT 1 AS one"}
DELIVERED = "changes are delivered"
# Without notifications it would take a minute: so long are the polls of a sleeper with these.
SLEEPY = {"LARDER_POLL": "60s", "LARDER_GUARD_TTL": "600s"}


def daemons(stack, count=1, **options):
    """A started stack with the outbox and larderds that have struck everything once and beat."""
    served = stack(ROUTES, schema=SCHEMA + options.pop("schema", ""), nginx=False, larderd=count,
                   env={"LARDER_REDIS_TIMEOUT": "100ms"} | options.pop("env", {}), **options)
    wait_until(lambda: beats(served), 20, "a heartbeat")
    return served


def beats(stack):
    return stack.redis.client().exists("larder:beat") == 1


def clock(stack, tag, client=None):
    """The tag's number in Redis; 0 when it has none."""
    return int((client or stack.redis.client()).get(f"larder:t:{tag}") or 0)


def journalled(stack):
    """The tags that the journal of bumps names."""
    with contextlib.suppress(redis.RedisError):
        return {tag for _, fields in stack.redis.client().xrange("larder:j") for value in fields.values()
                for tag in value.decode().split("\n")}
    return set()


def watch(stack, *tags):
    """Gives the tags a number, as a store does; only such tags are raised by a bump."""
    stack.redis.client().mset({f"larder:t:{tag}": 1 for tag in tags})


# As the trigger: the tag, and a notification when larderd sleeps.
CHANGE = """
INSERT INTO larder.outbox (tag) SELECT unnest(%s::text[]);
SELECT pg_notify('larder', '') FROM larder.asleep WHERE last_value = 2;
"""


def change(stack, *tags):
    """A transaction that changed what has these tags."""
    stack.sql(CHANGE, (list(tags),))


def rows_left(stack):
    return stack.sql("SELECT count(*) FROM larder.outbox")[0][0]


def asleep(stack):
    return stack.sql("SELECT last_value FROM larder.asleep")[0][0] == 2


def wait_raised(stack, tag, above=1, deadline=15.0):
    wait_until(lambda: clock(stack, tag) > above, deadline, f"{tag} raised above {above}")
    return clock(stack, tag)


def assert_delivers(stack, tag):
    """A change made now arrives."""
    watch(stack, tag)
    change(stack, tag)
    wait_raised(stack, tag)
    wait_until(lambda: rows_left(stack) == 0, what="an empty outbox")


def told(stack, text):
    """The log, once the text is in it."""
    return wait_until(lambda: (log := stack.larderd.log_text()) and text in log and log, 20, f"'{text}' in the log")


def wait_asleep(stack):
    """The flag is set, and nobody who may have seen it otherwise runs any more."""
    wait_until(lambda: asleep(stack), what="larderd asleep")
    before = None

    def quiet():
        nonlocal before
        last, before = before, metrics(stack).sum("larder_outbox_polls_total")
        return before == last
    wait_until(quiet, what="no more polls", every=0.2)
