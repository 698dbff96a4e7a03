"""What the triggers cost a writer: the same writes in two databases, with and without them, in turn."""

import re
import subprocess
from contextlib import contextmanager, nullcontext
from statistics import median

from support.postgres import program_folder

from .replay import percentile
from .report import Spread, Target, show_table
from .site import install
from .usage import group_seconds

PLAIN = "plain"  # the database without triggers
SINGLE_ROUNDS, QUICK_SINGLE_ROUNDS = 4000, 500
BULK_ROUNDS, QUICK_BULK_ROUNDS = 7, 2
WRITERS, THREADS = 64, 2
SLICE_SECONDS, SLICE_ROUNDS = 5, 5
QUICK_SLICE_SECONDS, QUICK_SLICE_ROUNDS = 3, 2
ONE_MORE, BULK_MOST, RATE_LEAST = 100, 1.2, 0.85

# Of the social pack. Comments are counted by routes, but none shows what they say.
SINGLE = {
    "an UPDATE of what is read": "UPDATE social.feeds SET content = 'Edited ' || $2::text WHERE id = $1::bigint",
    "an UPDATE of what is not": "UPDATE social.comments SET content = 'Edited ' || $2::text WHERE id = $1::bigint",
    "an INSERT":
        "INSERT INTO social.comments (feed_id, user_id, content) VALUES ($1::bigint, 1, 'New ' || $2::text)",
}
BULK = "UPDATE social.feeds SET views = views + 1"
# Each changes its row: a text that is there already would strike nothing.
CROWD = {
    "of what a route reads whole": "SET content = 'Edited ' || :text",
    "of what a route reads by key": "SET views = views + 1",
}
CROWD_SCRIPT = ("\\set id random(1, {keys})\n\\set text random(1, 1000000000)\n"
                "UPDATE social.feeds {change} WHERE id = :id;\n")
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


def time_writes(field, rounds, statement, keys):
    """Milliseconds of each round: (without triggers, with them)."""
    words = [field.compile("timing/writes.c", ["libpq"]), str(rounds), statement, str(keys), PLAIN, "bench"]
    done = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [tuple(int(word) / 1e6 for word in line.split()) for line in done.stdout.splitlines()]


def vacuum(field):
    for database in (PLAIN, "bench"):
        superuser(field, "VACUUM ANALYZE social.feeds", database)


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


def servers(field, site):
    return [field.postgres.process.pid, field.redis.process.pid, site.daemon.process.pid]


def crowd(field, script, database, seconds, roots):
    """Of many writers, each on rows of its own mostly: commits a second, and what one costs `roots` in µs of CPU."""
    words = [f"{program_folder()}/pgbench", "-n", "-M", "prepared", "-c", str(WRITERS), "-j", str(THREADS),
             "-T", str(seconds), "-f", script, database]
    before = group_seconds(roots)
    done = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=True,
                          timeout=seconds + 60)
    used = group_seconds(roots) - before
    commits = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
    return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1)), 1e6 * used / commits


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
        vacuum(field)
    plain, watched = zip(*pairs, strict=True)
    ratio = Spread.of_ratios(watched, plain)
    print(f"One UPDATE of {keys:,} rows: {Spread.of(plain).text('{:.0f}')} ms without, "
          f"{Spread.of(watched).text('{:.0f}')} ms with")
    return [Target(f"invalidate: an UPDATE of {keys:,} rows, with triggers / without", f"≤ {BULK_MOST}", ratio.text(),
                   ratio.middle <= BULK_MOST)]


def crowds(field, site, change, seconds, rounds, keys):
    """(commits a second, CPU of a commit) of each slice, by database."""
    script = f"{field.work}/crowd.sql"
    with open(script, "w", encoding="utf-8") as output:
        output.write(CROWD_SCRIPT.format(keys=keys, change=change))
    found = {PLAIN: [], "bench": []}
    for number in range(rounds):
        for database in list(found)[::1 if number % 2 == 0 else -1]:
            found[database].append(crowd(field, script, database, seconds, servers(field, site)))
        vacuum(field)
    return found


def measure_crowd(field, site, seconds, rounds, keys):
    rows = [(f"{WRITERS} writers, commits a second", "without", "with", "with / without", "CPU µs a commit without",
             "with")]
    targets = []
    for name, change in CROWD.items():
        for disk in (True, False):
            with durable(field) if disk else nullcontext():
                found = crowds(field, site, change, seconds, rounds, keys)
            (plain, plain_cost), (watched, watched_cost) = (zip(*found[each], strict=True) for each in (PLAIN, "bench"))
            ratio = Spread.of_ratios(watched, plain)
            rows.append((name + ("" if disk else ", no disk waited for"),
                         *(Spread.of(values).text("{:.0f}") for values in (plain, watched)), ratio.text(),
                         *(Spread.of(values).text("{:.0f}") for values in (plain_cost, watched_cost))))
            if disk:
                targets.append(Target(f"invalidate: {WRITERS} writers {name}, with triggers / without",
                                      f"≥ {RATE_LEAST}", ratio.text(), ratio.middle >= RATE_LEAST))
    show_table(rows)
    return targets


def measure(field, site, quick):
    keys = superuser(field, "SELECT count(*) FROM social.feeds", PLAIN)[0][0]
    print("\nTrigger cost: the same writes with triggers (larderd at work) and without, in turn", flush=True)
    found = measure_single(field, QUICK_SINGLE_ROUNDS if quick else SINGLE_ROUNDS, keys)
    vacuum(field)
    found += measure_bulk(field, QUICK_BULK_ROUNDS if quick else BULK_ROUNDS, keys)
    return found + measure_crowd(field, site, *((QUICK_SLICE_SECONDS, QUICK_SLICE_ROUNDS) if quick
                                                else (SLICE_SECONDS, SLICE_ROUNDS)), keys)
