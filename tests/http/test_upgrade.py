"""A database in which an older Larder has installed: its schema's version 7, whose triggers left a row for each tag."""

import subprocess

import pytest

from support.coherent import is_hit, keep, time_left, wait_for_beat, wait_for_body
from support.paths import program
from support.waiting import wait_until

GUARD = 5
SCHEMA = "CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counts SELECT n, 0 FROM generate_series(1, 9) AS n;"
ROUTES = {
    "all": "-- @http GET /all\n-- @result row\n-- @cache ttl=300s\nSELECT sum(n) AS n FROM counts",
    "add": "-- @http POST /all\n-- @result row\nUPDATE counts SET n = n + 1 WHERE id = 1 RETURNING n",
}
# What its install made, as far as programs of today meet it: no function that looks at definitions.
OLD = """
CREATE SCHEMA larder;
CREATE TABLE larder.meta (version integer NOT NULL, daemon name);
INSERT INTO larder.meta VALUES (7);
CREATE TABLE larder.watch (schema text NOT NULL, "table" text NOT NULL, columns text[] NOT NULL, narrow text, tag text PRIMARY KEY);
INSERT INTO larder.watch VALUES ('public', 'counts', '{n}', NULL, 'public.counts(n)');
CREATE UNLOGGED TABLE larder.outbox (
    tag  text     NOT NULL,
    xid  xid8     NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    lane smallint NOT NULL DEFAULT ((pg_catalog.pg_backend_pid() & 15) +
        CASE WHEN pg_catalog.current_setting('larder.struck', true) <> '' THEN 16 ELSE 0 END));
CREATE INDEX outbox_lane_xid ON larder.outbox (lane, xid);
CREATE UNLOGGED TABLE larder.marker (
    one  boolean     PRIMARY KEY DEFAULT true CHECK (one),
    made timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
CREATE SEQUENCE larder.asleep MINVALUE 1 MAXVALUE 2;
CREATE FUNCTION larder.note(noted text, tags text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_catalog.set_config('larder.struck', CASE WHEN noted = '0' THEN pg_catalog.pg_current_xact_id()::text ELSE noted END
        || E'\\n' || tags, true) $$;
CREATE FUNCTION larder.bumped(numbers xid8[]) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM larder.outbox WHERE lane >= 16 AND xid = ANY (numbers) $$;
CREATE FUNCTION larder.strike() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    noted text := pg_catalog.current_setting('larder.struck', true);
BEGIN
    INSERT INTO larder.outbox (tag) SELECT pg_catalog.unnest(TG_ARGV);
    IF noted <> '' THEN
        noted := larder.note(noted, pg_catalog.array_to_string(TG_ARGV, E'\\n'));
    ELSIF pg_catalog.pg_sequence_last_value('larder.asleep') = 2 THEN
        PERFORM pg_catalog.pg_notify('larder', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER larder_update_0123456789ab AFTER UPDATE ON counts FOR EACH STATEMENT
    EXECUTE FUNCTION larder.strike('public.counts(n)');
GRANT USAGE ON SCHEMA larder TO PUBLIC;
"""


@pytest.fixture
def served(stack):
    """Programs of today over the schema of then."""
    made = stack(ROUTES, schema=SCHEMA + OLD, nginx=False, larderd=True, env={"LARDER_GUARD_TTL": f"{GUARD}s"})
    wait_for_beat(made.redis)
    return made


def kept(stack):
    wait_until(lambda: time_left(stack.direct("/all")) > GUARD, 20, "an answer kept beyond the guard time")


def shows(stack, number):
    wait_for_body(lambda: stack.direct("/all"), {"n": number}, 20)


def test_the_older_schema_does_until_the_next_install(served):
    for number in (10, 20):
        kept(served)
        served.sql("UPDATE counts SET n = %s WHERE id = 1", [number])
        shows(served, number)
    kept(served)
    assert served.direct("/all", method="POST").json() == {"n": 21}
    assert served.direct("/all").json() == {"n": 21}


def test_what_waits_in_the_older_outbox_is_not_lost(served):
    """Its rows go with the schema, and the missing marker makes up for them."""
    kept(served)
    served.larderd.stop()
    served.sql("UPDATE counts SET n = 10 WHERE id = 1")
    assert is_hit(served.direct("/all")) and served.direct("/all").json() == {"n": 0}, "nobody has told it"
    served.install()
    assert served.sql("SELECT version > 7 FROM larder.meta") == [(True,)]
    served.sql("UPDATE counts SET n = 20 WHERE id = 2")
    served.larderd.start()
    shows(served, 30)
    keep(lambda: served.direct("/all"))
    served.sql("UPDATE counts SET n = 30 WHERE id = 1")
    shows(served, 50)


def test_nothing_is_left_of_an_older_schema(served):
    served.larderd.stop()
    done = subprocess.run([program("larder"), "install", "--remove"], env=served.environment(), capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert served.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'larder%'") == []
    assert served.sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
