"""Reads of a few kinds with writes among them, as two real systems had them, without the cache and with it."""

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from statistics import fmean

from . import mix_review, mix_social
from .replay import Replay, http, percentile
from .report import Target, show_table
from .site import Site
from .usage import group_seconds

SYSTEMS = (mix_social, mix_review)
REQUESTS, QUICK_REQUESTS = 10_000, 1_500
RATE = 400  # requests a second, of both kinds
WRITE_SHARE = 0.1
CONNECTIONS = 32
PROCESSES = 2
HITS_LEAST, QUERIES_LESS = 0.95, 0.95
IDEAL_LESS = 0.01  # where even an ideal cache can't reach these, this much less than it


@dataclass
class Run:
    answers: list
    queries: float
    cpu: float  # processor seconds of PostgreSQL a second
    kinds: list  # of each request of the schedule

    def of(self, kind):
        """The answers of that kind; of all with None."""
        return [each for each in self.answers if kind in (None, self.kinds[each.request])]

    def hits(self, kind=None):
        return fmean(each.word == "hit" for each in self.of(kind))

    def mean(self, kind=None):
        return fmean(each.waited for each in self.of(kind))

    def tail(self):
        return percentile((each.waited for each in self.answers), 99)


class Writer(threading.Thread):
    """Transactions of plain SQL at fixed times, on one connection."""

    def __init__(self, field, writes):
        super().__init__()
        self.connection = field.postgres.connect("bench", "larder")
        self.connection.autocommit = False
        self.writes = writes
        self.failure = None

    def run(self):
        begin = time.monotonic()
        try:
            with self.connection.cursor() as cursor:
                for due, statements in self.writes:
                    time.sleep(max(0.0, begin + due / 1e6 - time.monotonic()))
                    for statement, values in statements:
                        cursor.execute(statement, values)
                    self.connection.commit()
        except Exception as problem:
            self.failure = problem
        self.connection.close()


class Plan:
    """The same requests for every run: `reads` [(µs, kind, target)], `writes` [(µs, [(statement, values)])], a
    transaction each; and the share of hits that a cache would have which knew exactly which answers each changes."""

    def __init__(self, system, count):
        self.reads, self.writes, self.statements = [], [], 0
        self.hits = []  # of an ideal cache, by read
        kept = set(system.everything())
        share = WRITE_SHARE / (WRITE_SHARE + (1 - WRITE_SHARE) * system.STATEMENTS)  # of writing actions
        while (number := len(self.reads) + self.statements) < count:
            due = int(number / RATE * 1e6)
            if system.random.random() < share:
                statements, changed = system.write()
                self.writes.append((due, statements))
                self.statements += len(statements)
                kept -= set(changed)
            else:
                kind, target = system.read()
                self.reads.append((due, kind, target))
                self.hits.append(target in kept)
                kept.add(target)

    def ideal(self, wanted=None):
        return fmean(hit for hit, (_, kind, _) in zip(self.hits, self.reads, strict=True) if wanted in (None, kind))


def warm(field, site, system):
    """Every address once, as an hour of traffic would have left it."""
    schedule = [(number * 1000, target) for number, target in enumerate(system.everything())]
    answers = Replay(field, http(site), CONNECTIONS, schedule, "warm").answers()
    wrong = [schedule[each.request][1] for each in answers if each.status != 200]
    assert not wrong, f"{len(wrong)} of {len(answers)} answers are not 200: {wrong[0]}"


def take_run(field, name, settings, system, plan):
    with Site(field, name, settings, PROCESSES, coherent=not settings) as site:
        warm(field, site, system)
        database = [field.postgres.process.pid]
        queries, used, begin = site.metrics().sum("larder_queries_total"), group_seconds(database), time.monotonic()
        writer = Writer(field, plan.writes)
        load = Replay(field, http(site), CONNECTIONS, [(due, target) for due, _, target in plan.reads])
        writer.start()
        answers = load.answers()
        writer.join()
        assert not writer.failure, f"a write failed: {writer.failure}"
        took, used = time.monotonic() - begin, group_seconds(database) - used
        queries = site.metrics().sum("larder_queries_total") - queries
    assert all(each.status == 200 for each in answers), Counter(each.status for each in answers)
    return Run(answers, queries, used / took, [kind for _, kind, _ in plan.reads])


def less(before, after):
    return f"−{100 * (1 - after / before):.0f} %"


def percent(share):
    return f"{100 * share:.1f} %"


def show(system, plan, before, after):
    rows = [("", "without the cache", "with it", "", "ideally", f"{system.NAME}'s own figures")]
    for kind, own in system.OWN_TIMES.items():
        what = f" of {kind}" if kind else ""
        quicker = f"÷ {before.mean(kind) / after.mean(kind):.1f}"
        rows.append((f"mean time{what}, ms", f"{before.mean(kind):.2f}", f"{after.mean(kind):.2f}", quicker, "", own))
    rows.append(("p99, ms", f"{before.tail():.2f}", f"{after.tail():.2f}", "", "", ""))
    for kind in (*system.READS, None):
        rows.append((f"hits of {kind}" if kind else "hits", "", percent(after.hits(kind)), "", percent(plan.ideal(kind)),
                     "" if kind else system.OWN_HITS))
    rows += [("queries", f"{before.queries:.0f}", f"{after.queries:.0f}", less(before.queries, after.queries), "",
              system.OWN_QUERIES),
             ("processor of PostgreSQL", f"{100 * before.cpu:.0f} %", f"{100 * after.cpu:.0f} %",
              less(before.cpu, after.cpu), "", system.OWN_CPU)]
    show_table(rows)


def describe(module, plan):
    kinds = Counter(kind for _, kind, _ in plan.reads)
    tables = Counter(re.search(r"\b(?:INTO|UPDATE) (\S+)", statement).group(1)
                     for _, statements in plan.writes for statement, _ in statements)
    print(f"\n{module.NAME}: {len(plan.reads)} reads ({', '.join(f'{each} {n}' for each, n in kinds.most_common())}), "
          f"{plan.statements} writes ({', '.join(f'{each} {n}' for each, n in tables.most_common())}), "
          f"{RATE} a second", flush=True)


def measure_system(field, module, count):
    """Each run draws anew, since the writes of the first have changed what there is."""
    runs = []
    for seed, (name, settings) in enumerate((("off", {"LARDER_CACHE": "off"}), ("on", {})), 1):
        system = module.System(field, seed)
        plan = Plan(system, count)
        runs.append(take_run(field, f"{module.KEY}_{name}", settings, system, plan))
    describe(module, plan)
    before, after = runs
    show(module, plan, before, after)
    fewer = 1 - (after.queries / len(after.answers)) / (before.queries / len(before.answers))
    ideal = plan.ideal()
    return [Target(f"mix: {module.NAME}: {what} (ideally {percent(ideal)})", f"≥ {percent(least)}", percent(reached),
                   reached >= least)
            for what, reached, least in (("hits", after.hits(), min(HITS_LEAST, ideal - IDEAL_LESS)),
                                         ("queries saved", fewer, min(QUERIES_LESS, ideal - IDEAL_LESS)))]


def measure(field, quick):
    count = QUICK_REQUESTS if quick else REQUESTS
    print(f"\nmix: {100 * (1 - WRITE_SHARE):.0f} % reads through nginx, {100 * WRITE_SHARE:.0f} % writes by plain SQL; "
          "every answer asked for once before")
    return [target for module in SYSTEMS for target in measure_system(field, module, count)]
