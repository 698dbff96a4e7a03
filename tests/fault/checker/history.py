"""Histories: what was committed when, what was read when, and the judgement over both.

All times are CLOCK_MONOTONIC in nanoseconds, of one machine. Pure: no server, no clock.
"""

import bisect
import collections
import itertools
import struct
from typing import NamedTuple

from .model import expected_rows

RECORD = struct.Struct("<QQqqqHHB3x")  # struct read of reader.c
TIERS = ("none", "l1", "redis", "fill", "bypass", "other")
HIT_TIERS = ("l1", "redis", "other")
NEVER = 1 << 63
MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
BUSY_FACTOR = 3


class State(NamedTuple):
    """What one transaction made of a page: `before` and `after` enclose its COMMIT."""

    version: int
    before: int
    after: int
    outcome: str = "committed"  # or "aborted", or "unknown": the connection ended during COMMIT
    absent: bool = False  # the page's row is gone


class Read(NamedTuple):
    start: int
    end: int
    low: int
    high: int
    rows: int
    target: int
    status: int
    tier: int

    @property
    def hit(self):
        return TIERS[self.tier] in HIT_TIERS


class Fault(NamedTuple):
    """From `begin` until `end` reads may be `bound` behind."""

    name: str
    begin: int
    end: int
    bound: int


class Violation(NamedTuple):
    kind: str
    text: str


class Timeline:
    """The states of one page in their order."""

    def __init__(self, states):
        self.aborted = {each.version for each in states if each.outcome == "aborted"}
        self.states = sorted([State(0, 0, 0), *(each for each in states if each.outcome != "aborted")])
        self.versions = [each.version for each in self.states]
        self.absences = [index for index, each in enumerate(self.states) if each.absent]
        # replaced[i]: the earliest moment at which the writer of any later state knew it to be committed
        ends = [each.after if each.outcome == "committed" else NEVER for each in self.states[1:]] + [NEVER]
        self.replaced = list(itertools.accumulate(reversed(ends), min))[::-1]

    def find(self, version):
        """The state's place, or None."""
        index = bisect.bisect_left(self.versions, version)
        return index if index < len(self.versions) and self.versions[index] == version else None

    def find_absence(self, end):
        """The latest state without a row whose COMMIT had begun by then: the kindest reading of a 404."""
        begun = [index for index in self.absences if self.states[index].before <= end]
        return begun[-1] if begun else None


class Judge:
    """Judges reads against timelines. `normal` is the bound while nothing is wrong; `busy` are the times (begin, end)
    at which the machine took so long for what takes it no time: a change passes several processes, each may wait as
    long."""

    def __init__(self, targets, timelines, faults=(), normal=100 * MILLISECOND, busy=()):
        self.targets = targets
        self.timelines = collections.defaultdict(lambda: Timeline([]), timelines)
        self.faults = list(faults)
        self.busy = [Fault("a busy machine", *each, normal + BUSY_FACTOR * (each[1] - each[0])) for each in busy]
        self.normal = normal
        self.violations = []
        self.ages = {}  # the largest age read of (key, state), for those that were read after their end
        self.reads = 0

    def bound(self, since, until):
        """The widest bound that was in force at some moment of that time."""
        return max([self.normal, *(each.bound for each in self.faults + self.busy
                                   if each.begin <= until and since <= each.end)])

    def healthy(self, since, until):
        """Was no fault in force?"""
        return not any(each.bound and each.begin <= until and since <= each.end for each in self.faults)

    def complain(self, kind, read, text):
        target = self.targets[read.target]
        self.violations.append(Violation(kind, f"{kind}: {target.path} at {read.start / SECOND:.3f} s"
                                               f" ({TIERS[read.tier]}): {text}"))

    def judge(self, reads):
        """All reads of one reader, in their order."""
        seen = {}
        for read in reads:
            if read.status in (200, 404):
                self.judge_one(read, seen)

    def judge_one(self, read, seen):
        target = self.targets[read.target]
        timeline = self.timelines[target.key]
        self.reads += 1
        if self.is_torn(read, target):
            return
        index = timeline.find_absence(read.end) if read.status == 404 else timeline.find(read.low)
        if index is None or (read.status == 200 and timeline.states[index].absent):
            aborted = "rolled back" if read.low in timeline.aborted else "never committed"
            self.complain("phantom", read, f"version {read.low} (status {read.status}) was {aborted}")
            return
        if timeline.states[index].before > read.end:
            self.complain("phantom", read, f"version {read.low} shown before its COMMIT was sent")
        self.judge_age(read, target, timeline, index)
        # one reader may ask several routes for one page; each is a cache entry, and a reader sees all of them
        self.judge_order(read, target, index, seen.setdefault(target.key, []))

    def is_torn(self, read, target):
        if read.status == 404:
            return False
        if read.low == read.high and read.rows == expected_rows(target.page, read.low):
            return False
        self.complain("torn", read, f"versions {read.low} and {read.high}, {read.rows} rows")
        return True

    def judge_age(self, read, target, timeline, index):
        replaced = timeline.replaced[index]
        age = read.start - replaced
        if age <= 0:
            return
        if not target.cached:
            self.complain("stale", read, f"not cached, and {age / MILLISECOND:.1f} ms behind")
            return
        state = (target.key, index)
        self.ages[state] = max(self.ages.get(state, 0), age)
        if age > self.normal and age > (allowed := self.bound(replaced, read.start)):
            self.complain("stale", read, f"version {timeline.states[index].version} is {age / MILLISECOND:.1f} ms"
                                         f" behind, {allowed / MILLISECOND:.0f} ms are allowed")

    def judge_order(self, read, target, index, seen):
        """`seen`: (state, when this reader first had it), growing in both."""
        if not seen or index > seen[-1][0]:
            seen.append((index, read.end))
            return
        place = bisect.bisect_right(seen, (index, NEVER))
        if place == len(seen):
            return
        known = seen[place][1]
        age = read.start - known
        if age > self.normal and age > self.bound(known, read.start):
            self.complain("backwards", read, f"version {read.low} is {age / MILLISECOND:.1f} ms behind"
                                             " what the same reader had seen")


def unpack(data):
    """The reads of one reader's log; a record cut short by a kill is left out."""
    whole = len(data) - len(data) % RECORD.size
    return [Read._make(each) for each in RECORD.iter_unpack(data[:whole])]
