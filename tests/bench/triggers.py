"""What the triggers cost a writer: the same writes in databases without any, with PL/pgSQL's and the module's."""

import os
import subprocess
from contextlib import contextmanager
from statistics import median

from .replay import percentile
from .report import Spread, Target, show_table
from .site import install

PLAIN = "plain"  # the database without triggers
EMPTY = "empty"  # the one with triggers that do nothing
WATCHED = "bench"  # … in PL/pgSQL
MODULE = "module"  # … of the module
SINGLE_ROUNDS, QUICK_SINGLE_ROUNDS = 4000, 500
BULK_ROUNDS, QUICK_BULK_ROUNDS = 7, 2
ONE_MORE, BULK_MOST = 100, 1.2

# Of the social pack. Comments are counted by routes, but none shows what they say.
SINGLE = {
    "an UPDATE of what is read": "UPDATE social.feeds SET content = 'Edited ' || $2::text WHERE id = $1::bigint",
    "an UPDATE of what is not": "UPDATE social.comments SET content = 'Edited ' || $2::text WHERE id = $1::bigint",
    "an INSERT":
        "INSERT INTO social.comments (feed_id, user_id, content) VALUES ($1::bigint, 1, 'New ' || $2::text)",
}
BULK = "UPDATE social.feeds SET views = views + 1"
# What any row trigger costs: it is queued, found and called for each row, and has no condition to be read.
EMPTY_TRIGGERS = """
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
SELECT format('CREATE TRIGGER nothing AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW '
              'EXECUTE FUNCTION public.nothing()', oid::regclass)
FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('social'::regnamespace, 'bench'::regnamespace)
"""
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def superuser(field, statement, database="postgres"):
    return field.postgres.execute(statement, database=database)


def copy(field, database, name):
    """Nothing may be connected to the one copied."""
    superuser(field, f"DROP DATABASE IF EXISTS {name}")
    superuser(field, f"CREATE DATABASE {name} TEMPLATE {database} OWNER larder")


def make_plain(field):
    """A copy of the database without triggers."""
    copy(field, WATCHED, PLAIN)
    install(field, field.environment(PLAIN) | {"LARDER_ROUTES": field.routes()}, "--remove")
    left = superuser(field, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal", PLAIN)
    assert left == [(0,)], f"larder install --remove left {left[0][0]} triggers"


def make_empty(field):
    """A copy of the one without triggers, with one at each table that does nothing."""
    copy(field, PLAIN, EMPTY)
    for (statement,) in superuser(field, EMPTY_TRIGGERS, EMPTY):
        superuser(field, statement, EMPTY)


def make_module(field):
    """A copy of it where `larder install` finds the module."""
    copy(field, PLAIN, MODULE)
    field.postgres.create_module(MODULE)


def check_module(field):
    """After `larder install`: is it the module that is about to be measured?"""
    made = superuser(field, "SELECT count(*) FROM pg_trigger WHERE tgfoid = 'larder_ring.strike()'::regprocedure", MODULE)
    assert made[0][0], "larder install made no triggers with the module"


def time_writes(field, rounds, statement, keys):
    """Milliseconds of each round: (without triggers, with those in PL/pgSQL, with the module's)."""
    words = [field.compile("timing/writes.c", ["libpq"]), str(rounds), statement, str(keys), PLAIN, WATCHED, MODULE]
    done = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [tuple(int(word) / 1e6 for word in line.split()) for line in done.stdout.splitlines()]


def vacuum(field, *tables):
    for database in (PLAIN, EMPTY, WATCHED, MODULE):
        superuser(field, f"VACUUM ANALYZE {', '.join(tables)}", database)


def flush(field):
    """To the disk with all that was written before: it would be on its way there beside the commits."""
    superuser(field, "CHECKPOINT")
    os.sync()


@contextmanager
def durable(field):
    """PostgreSQL as it comes: a commit is on the disk before it is acknowledged."""
    try:
        for name in DURABLE:
            superuser(field, f"ALTER SYSTEM SET {name} = on")
        superuser(field, "SELECT pg_reload_conf()")
        flush(field)
        yield
    finally:
        superuser(field, "ALTER SYSTEM RESET ALL")
        superuser(field, "SELECT pg_reload_conf()")


def measure_single(field, rounds, keys):
    rows, targets = [("", "without µs", "triggers", "module", "triggers add", "module adds", "p99 without", "triggers",
                      "module")], []
    for name, statement in SINGLE.items():
        plain, *others = zip(*time_writes(field, rounds, statement, keys), strict=True)
        added = [1000 * median(one - other for one, other in zip(values, plain, strict=True)) for values in others]
        rows.append((name, *(f"{1000 * median(values):.0f}" for values in (plain, *others)),
                     *(f"{each:+.0f}" for each in added),
                     *(f"{1000 * percentile(values, 99):.0f}" for values in (plain, *others))))
        targets += [Target(f"invalidate: {who} {name}", f"≤ {ONE_MORE} µs", f"{each:.0f} µs", each <= ONE_MORE)
                    for who, each in zip(("triggers add to", "the module adds to"), added, strict=True)]
    show_table(rows)
    return targets


def measure_bulk(field, rounds, keys):
    found = []
    for _ in range(rounds):
        found += time_writes(field, 1, BULK, 0)
        vacuum(field, "social.feeds")
    plain, *others = zip(*found, strict=True)
    times = [Spread.of(values).text("{:.0f}") for values in (plain, *others)]
    print(f"One UPDATE of {keys:,} rows: {times[0]} ms without, {times[1]} ms with triggers, {times[2]} ms with the module")
    ratios = {who: Spread.of_ratios(values, plain) for who, values in zip(("triggers", "the module"), others, strict=True)}
    return [Target(f"invalidate: an UPDATE of {keys:,} rows, with {who} / without", f"≤ {BULK_MOST}", ratio.text(),
                   ratio.middle <= BULK_MOST) for who, ratio in ratios.items()]


def measure(field, quick):
    keys = superuser(field, "SELECT count(*) FROM social.feeds", PLAIN)[0][0]
    print("\nTrigger cost: the same writes without triggers, with those in PL/pgSQL and with the module's (larderd at work), in "
          "turn", flush=True)
    found = measure_single(field, QUICK_SINGLE_ROUNDS if quick else SINGLE_ROUNDS, keys)
    vacuum(field, "social.feeds")
    return found + measure_bulk(field, QUICK_BULK_ROUNDS if quick else BULK_ROUNDS, keys)
