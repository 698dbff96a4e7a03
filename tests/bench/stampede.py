"""Many requests for what is not kept, or not any more: how many queries, and how long the answers take."""

import random
import time

from . import triggers
from .queries import QueryLog
from .replay import Replay, fastcgi, replay, waits
from .report import Target, show_table
from .site import Site

PROCESSES = 4
SETTINGS = {"LARDER_DB_POOL": "40", "LARDER_THREADS": "64", "LARDER_DB_WAIT": "5s"}
CROWD, COLD_KEYS, QUICK_COLD_KEYS = 1000, 5, 2

# Seconds, with a ttl of 30 s (routes/page.sql). Keys are filled from 0 to 12 s. The load begins before the first
# expires, asks for each key twice at the same moment once a CYCLE, begins its second cycle when the last has expired,
# and ends before the first that was filled anew expires again. So each key is to be queried exactly once under it.
FILL_MOST, LOAD_BEGIN, CYCLE = 12.0, 26.0, 16.0
PAGES, QUICK_PAGES = 10_000, 1_000
CONNECTIONS = 400
TIMES_MOST = 2.0
COLUMNS = ("", "requests", "queries", "most for one key", "query ms", "mean ms", "p50", "p99", "longest")


def pairs(count, cycles, seed=1):
    """A schedule that asks for every key twice at the same moment, once a cycle, each cycle in the same order."""
    keys = list(range(1, count + 1))
    random.Random(seed).shuffle(keys)
    apart = CYCLE * 1e6 / count
    return [(int((cycle * count + place) * apart), f"/pages/{key}")
            for cycle in range(cycles) for place, key in enumerate(keys) for _ in range(2)]


def row(name, answers, counts, query):
    mean, middle, tail, longest = waits(answers)
    return (name, f"{len(answers):,}", f"{counts.total():,}", str(max(counts.values())), f"{query:.0f}", f"{mean:.1f}",
            f"{middle:.1f}", f"{tail:.1f}", f"{longest:.1f}")


def check(answers):
    wrong = [each for each in answers if each.status != 200]
    assert not wrong, f"{len(wrong)} of {len(answers)} answers are not 200: {wrong[0]}"
    return answers


def measure_cold(field, site, log, keys):
    """One key after another that nobody has asked for yet, by everyone at once."""
    rows, worst = [], 0
    for key in range(1, keys + 1):
        log.begin()
        answers = check(replay(field, fastcgi(site), CROWD, [(0, f"/slow/{key}")] * CROWD))
        counts, query = log.summary()
        worst = max(worst, counts.total())
        rows.append(row(f"{CROWD:,} at once for one cold key, {key}", answers, counts, query))
    return rows, [Target(f"stampede: queries for one cold key, {CROWD:,} requests, {PROCESSES} processes", "1",
                         str(worst), worst == 1)]


def fill(field, site, pages):
    """Has every page kept, as good as at once; gives when that began and ended."""
    begin = time.monotonic()
    check(replay(field, fastcgi(site), CONNECTIONS, [(0, f"/pages/{key}") for key in range(1, pages + 1)]))
    return begin, time.monotonic()


def judge(name, answers, counts, query):
    tail = waits(answers)[2]
    return [Target(f"stampede: {name}, most queries for one key", "1", str(max(counts.values())),
                   max(counts.values()) == 1),
            Target(f"stampede: {name}, p99 of the answers / the query's time", f"≤ {TIMES_MOST:g}",
                   f"{tail / query:.2f}", tail <= TIMES_MOST * query)]


def measure_expiry(field, site, log, pages):
    """Under load from before the first key expires until the last has been asked for after that."""
    begin, end = fill(field, site, pages)
    assert end - begin < FILL_MOST, f"the keys were filled over {end - begin:.1f} s: too far apart to expire at once"
    log.begin()
    time.sleep(max(0.0, begin + LOAD_BEGIN - time.monotonic()))
    answers = check(replay(field, fastcgi(site), CONNECTIONS, pairs(pages, 2)))
    counts, query = log.summary()
    name = f"{pages:,} keys expire under load"
    missed = pages - len(counts)
    assert missed == 0, f"{missed} keys were not queried again under the load"
    return [row(name, answers, counts, query)], judge(name, answers, counts, query)


def measure_strike(field, site, log, pages):
    """One UPDATE of all rows under load."""
    fill(field, site, pages)
    load = Replay(field, fastcgi(site), CONNECTIONS, pairs(pages, 1))
    log.begin()
    triggers.superuser(field, "UPDATE bench.pages SET version = version + 1", "bench")
    answers = check(load.answers())
    counts, query = log.summary()
    name = f"{pages:,} keys struck by one write"
    return [row(name, answers, counts, query)], judge(name, answers, counts, query)


def measure(field, quick):
    pages, keys = (QUICK_PAGES, QUICK_COLD_KEYS) if quick else (PAGES, COLD_KEYS)
    print(f"\nstampede: {PROCESSES} responders; queries as PostgreSQL's log counts them, at Larder's socket", flush=True)
    with QueryLog(field, "bench.pages") as log, Site(field, "stampede", SETTINGS, PROCESSES) as site:
        rows, found = measure_cold(field, site, log, keys)
        for part in (measure_expiry, measure_strike):
            more, targets = part(field, site, log, pages)
            rows += more
            found += targets
    show_table([COLUMNS, *rows])
    return found
