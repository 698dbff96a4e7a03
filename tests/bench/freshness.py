"""From the commit of a write to the first answer that shows it."""

import subprocess
from dataclasses import dataclass

from .replay import fastcgi, http, percentile
from .report import Target, show_table

RATE, WRITERS, KEYS = 500, 8, 16  # writes a second, by so many connections, each with rows of its own
EACH = 5  # one of so many is watched: asking again and again is work that must not hold the others up
SECONDS, QUICK_SECONDS = 10, 2
MEDIAN_MOST, TAIL_MOST = 2.0, 5.0  # milliseconds
NARROW = "/versions/"
STATEMENT = "UPDATE bench.{table} SET version = $2 WHERE id = $1"


@dataclass
class Change:
    write: float  # milliseconds until PostgreSQL acknowledged the commit
    fresh: float  # milliseconds from then to the end of the first answer that shows it
    asked: int
    kept: bool  # the answer was in the cache when it was changed


class Changes:
    """What a run of writes found, and how many a second there were."""

    def __init__(self, changes, rate):
        self.changes = changes
        self.rate = rate

    def fresh(self, percent):
        return percentile((each.fresh for each in self.changes), percent)

    def row(self, name):
        kept = 100 * sum(each.kept for each in self.changes) / len(self.changes)
        return (name, f"{self.rate:.0f}", f"{kept:.0f} %", f"{percentile((c.write for c in self.changes), 50):.2f}",
                f"{self.fresh(50):.2f}", f"{self.fresh(99):.2f}", f"{max(c.fresh for c in self.changes):.2f}",
                f"{sum(each.asked for each in self.changes) / len(self.changes):.1f}")


COLUMNS = ("", "writes/s", "kept before", "write p50 ms", "fresh p50 ms", "p99 ms", "longest", "requests each")


def change(field, address, path, table, seconds, *, rate=RATE, each=EACH, writers=WRITERS, first=1, keys=KEYS):
    """Runs timing/fresh.c on rows of bench.`table` from `first` on."""
    program = field.compile("timing/fresh.c", ["libpq"])
    words = [program, address, path, STATEMENT.format(table=table), *map(str, (seconds, rate, each, writers, first, keys))]
    run = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=False,
                         timeout=seconds + 120)
    assert run.returncode == 0, run.stderr
    *rows, (writes,) = [line.split() for line in run.stdout.splitlines()]
    return Changes([Change(int(write) / 1e6, int(fresh) / 1e6, int(asked), kept == "1")
                    for write, fresh, asked, kept in rows], int(writes) / seconds)


def measure(field, site, quick):
    seconds = QUICK_SECONDS if quick else SECONDS
    print(f"\nCommit to fresh answer: {RATE} writes a second over {WRITERS} connections for {seconds} s, one of {EACH} "
          f"watched; one larderd, {site.processes} responders")
    ways = (("asked at Larder's socket", fastcgi(site), NARROW), ("asked through nginx", http(site), NARROW),
            ("kept by nginx as well", http(site), "/public/versions/"))
    found = {name: change(field, address, path, "versions", seconds) for name, address, path in ways}
    show_table([COLUMNS] + [changes.row(name) for name, changes in found.items()])
    return [target for name, address, path in ways if path == NARROW for target in targets(name, found[name])]


def targets(name, changes):
    return [Target(f"invalidate: commit to fresh, {name}, {word}", f"≤ {most:g} ms", f"{changes.fresh(percent):.2f} ms",
                   changes.fresh(percent) <= most)
            for word, percent, most in (("p50", 50, MEDIAN_MOST), ("p99", 99, TAIL_MOST))]
