"""What the triggers cost a writer: the same writes in databases with them, without, and with some that do nothing."""

import subprocess
from contextlib import contextmanager
from statistics import median

from .replay import percentile
from .report import Spread, Target, show_table
from .site import install

PLAIN = "plain"  # the database without triggers
EMPTY = "empty"  # the one with triggers that do nothing
WATCHED = "bench"
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


def make_plain(field):
    """A copy of the database without triggers. Nothing may be connected to the original."""
    superuser(field, f"DROP DATABASE IF EXISTS {PLAIN}")
    superuser(field, f"CREATE DATABASE {PLAIN} TEMPLATE bench OWNER larder")
    install(field, field.environment() | {"LARDER_ROUTES": field.routes(), "PGDATABASE": PLAIN}, "--remove")
    left = superuser(field, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal", PLAIN)
    assert left == [(0,)], f"larder install --remove left {left[0][0]} triggers"


def make_empty(field):
    """A copy of the one without triggers, with one at each table that does nothing. Nothing may be connected to that."""
    superuser(field, f"DROP DATABASE IF EXISTS {EMPTY}")
    superuser(field, f"CREATE DATABASE {EMPTY} TEMPLATE {PLAIN} OWNER larder")
    for (statement,) in superuser(field, EMPTY_TRIGGERS, EMPTY):
        superuser(field, statement, EMPTY)


def time_writes(field, rounds, statement, keys):
    """Milliseconds of each round: (without triggers, with them)."""
    words = [field.compile("timing/writes.c", ["libpq"]), str(rounds), statement, str(keys), PLAIN, WATCHED]
    done = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [tuple(int(word) / 1e6 for word in line.split()) for line in done.stdout.splitlines()]


def vacuum(field, *tables):
    for database in (PLAIN, EMPTY, WATCHED):
        superuser(field, f"VACUUM ANALYZE {', '.join(tables)}", database)


@contextmanager
def durable(field):
    """PostgreSQL as it comes: a commit is on the disk before it is acknowledged."""
    try:
        for name in DURABLE:
            superuser(field, f"ALTER SYSTEM SET {name} = on")
        superuser(field, "SELECT pg_reload_conf()")
        yield
    finally:
        superuser(field, "ALTER SYSTEM RESET ALL")
        superuser(field, "SELECT pg_reload_conf()")


def measure_single(field, rounds, keys):
    rows, targets = [("", "without µs", "with µs", "added µs", "p99 without", "p99 with")], []
    for name, statement in SINGLE.items():
        plain, watched = zip(*time_writes(field, rounds, statement, keys), strict=True)
        added = 1000 * median(one - other for one, other in zip(watched, plain, strict=True))
        rows.append((name, *(f"{1000 * value:.0f}" for value in (median(plain), median(watched))), f"{added:+.0f}",
                     *(f"{1000 * percentile(values, 99):.0f}" for values in (plain, watched))))
        targets.append(Target(f"invalidate: triggers add to {name}", f"≤ {ONE_MORE} µs", f"{added:.0f} µs",
                              added <= ONE_MORE))
    show_table(rows)
    return targets


def measure_bulk(field, rounds, keys):
    pairs = []
    for _ in range(rounds):
        pairs += time_writes(field, 1, BULK, 0)
        vacuum(field, "social.feeds")
    plain, watched = zip(*pairs, strict=True)
    ratio = Spread.of_ratios(watched, plain)
    print(f"One UPDATE of {keys:,} rows: {Spread.of(plain).text('{:.0f}')} ms without, "
          f"{Spread.of(watched).text('{:.0f}')} ms with")
    return [Target(f"invalidate: an UPDATE of {keys:,} rows, with triggers / without", f"≤ {BULK_MOST}", ratio.text(),
                   ratio.middle <= BULK_MOST)]


def measure(field, quick):
    keys = superuser(field, "SELECT count(*) FROM social.feeds", PLAIN)[0][0]
    print("\nTrigger cost: the same writes with triggers (larderd at work) and without, in turn", flush=True)
    found = measure_single(field, QUICK_SINGLE_ROUNDS if quick else SINGLE_ROUNDS, keys)
    vacuum(field, "social.feeds")
    return found + measure_bulk(field, QUICK_BULK_ROUNDS if quick else BULK_ROUNDS, keys)
