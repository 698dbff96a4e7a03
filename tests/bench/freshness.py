"""From the commit of a write to the first answer that shows it, and what the machine itself takes in the same rounds."""

import subprocess
from dataclasses import dataclass

from .replay import fastcgi, http, percentile
from .report import Spread, Target, show_table
from .triggers import MODULE, WATCHED

RATE, WRITERS, KEYS = 500, 8, 16  # writes a second, by so many connections, each with rows of its own
EACH = 5  # one of so many is watched: asking again and again is work that must not hold the others up
ROUNDS, SECONDS = 5, 4
QUICK_ROUNDS, QUICK_SECONDS = 2, 1
MEDIAN_MOST, TAIL_MOST = 2.0, 5.0  # milliseconds
NARROW, PUBLIC = "/versions/", "/public/versions/"
PUBLIC_FIRST = 5001  # rows of its own: what nginx keeps is refreshed at every write, whoever is being measured
STATEMENT = "UPDATE bench.{table} SET version = $2 WHERE id = $1"
LOOK = "SELECT id, version FROM bench.{table} WHERE id BETWEEN $1 AND $2"
FLOOR, SOCKET, NGINX = "floor: a bare loop that polls", "asked at Larder's socket", "asked through nginx"
WITH_MODULE = f"{SOCKET}, the module's triggers"
WARM_SECONDS, WARM_TRIES = 1, 10
WARM_SAME = 1.1  # two medians that differ by no more


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

    def write(self, percent):
        return percentile((each.write for each in self.changes), percent)

    def fresh(self, percent):
        return percentile((each.fresh for each in self.changes), percent)

    @property
    def longest(self):
        return max(each.fresh for each in self.changes)

    @property
    def kept(self):
        return 100 * sum(each.kept for each in self.changes) / len(self.changes)

    @property
    def asked(self):
        return sum(each.asked for each in self.changes) / len(self.changes)

    def row(self, name):
        return (name, f"{self.rate:.0f}", f"{self.kept:.0f} %", f"{self.write(50):.2f}", f"{self.write(99):.2f}",
                f"{self.fresh(50):.2f}", f"{self.fresh(99):.2f}", f"{self.longest:.2f}", f"{self.asked:.1f}")


class Rounds:
    """The same way measured several times, in turn with others: of each figure the median over the rounds."""

    def __init__(self, rounds):
        self.rounds = rounds

    def write(self, percent):
        return Spread.of(changes.write(percent) for changes in self.rounds)

    def fresh(self, percent):
        return Spread.of(changes.fresh(percent) for changes in self.rounds)

    def middle(self, name):
        return Spread.of(getattr(changes, name) for changes in self.rounds).middle

    def row(self, name):
        return (name, f"{self.middle('rate'):.0f}", f"{self.middle('kept'):.0f} %", f"{self.write(50).middle:.2f}",
                self.write(99).text(), self.fresh(50).text(), self.fresh(99).text(),
                f"{max(changes.longest for changes in self.rounds):.2f}", f"{self.middle('asked'):.1f}")


COLUMNS = ("", "writes/s", "kept before", "write p50 ms", "write p99", "fresh p50 ms", "fresh p99", "longest",
           "requests each")


def change(field, address, path, table, seconds, *, rate=RATE, each=EACH, writers=WRITERS, first=1, keys=KEYS,
           database=WATCHED):
    """Runs timing/fresh.c on rows of bench.`table` from `first` on."""
    program = field.compile("timing/fresh.c", ["libpq"])
    words = [program, address, path, STATEMENT.format(table=table), *map(str, (seconds, rate, each, writers, first, keys))]
    run = subprocess.run(words, env=field.environment(database), capture_output=True, text=True, check=False,
                         timeout=seconds + 120)
    assert run.returncode == 0, run.stderr
    *rows, (writes,) = [line.split() for line in run.stdout.splitlines()]
    return Changes([Change(int(write) / 1e6, int(fresh) / 1e6, int(asked), kept == "1")
                    for write, fresh, asked, kept in rows], int(writes) / seconds)


def way(address, path=NARROW, first=1, database=WATCHED):
    return {"address": address, "path": path, "first": first, "database": database}


def floor():
    """What asks PostgreSQL alone, as often as larderd does under load."""
    return way("postgres", LOOK.format(table="versions"))


def warm(field, site, *ways):
    """Until a way is no quicker when it is measured again, and Larder opens no further connections for it."""
    for each in ways:
        before = None
        for _ in range(WARM_TRIES):
            found = change(field, table="versions", seconds=WARM_SECONDS, **each).fresh(50), sessions(site)
            if before and before[1] == found[1] and max(before[0], found[0]) <= WARM_SAME * min(before[0], found[0]):
                break
            before = found
        else:
            print(f"{each['path']} at {each['address']} does not settle: {WARM_TRIES} times {WARM_SECONDS} s differed")


def sessions(site):
    return site.metrics().sum("larder_db_connections")


def in_turn(field, ways, rounds, seconds):
    """{name: Rounds} of {name: way}; every round begins with another way."""
    found = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways)
        for name in order[number % len(order):] + order[:number % len(order)]:
            found[name].append(change(field, table="versions", seconds=seconds, **ways[name]))
    return {name: Rounds(each) for name, each in found.items()}


def show(found):
    show_table([COLUMNS] + [each.row(name) for name, each in found.items()])


def measure(field, site, other, quick):
    """`other` has the database with the module."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    ways = {FLOOR: floor(), SOCKET: way(fastcgi(site)), NGINX: way(http(site)),
            "kept by nginx as well": way(http(site), PUBLIC, PUBLIC_FIRST),
            WITH_MODULE: way(fastcgi(other), database=MODULE)}
    print(f"\nCommit to fresh answer: {RATE} writes a second over {WRITERS} connections, one of {EACH} watched; one "
          f"larderd, {site.processes} responders; {rounds} rounds of {seconds} s in turn, their median (and the least "
          "and greatest)", flush=True)
    field.settle()
    warm(field, site, *list(ways.values())[1:-1])
    warm(field, other, ways[WITH_MODULE])
    found = in_turn(field, ways, rounds, seconds)
    show(found)
    return [target for name in (SOCKET, NGINX, WITH_MODULE) for target in targets(name, found[name])]


def targets(name, rounds):
    return [Target(f"invalidate: commit to fresh, {name}, {word}", f"≤ {most:g} ms",
                   f"{rounds.fresh(percent).text()} ms", rounds.fresh(percent).middle <= most)
            for word, percent, most in (("p50", 50, MEDIAN_MOST), ("p99", 99, TAIL_MOST))]
