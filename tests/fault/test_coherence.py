"""The coherence checker's run: writers and readers over two hosts while everything that can fail fails in turn.

One run, recorded whole; each property of the history is a test of its own.
"""

import time

import pytest

from checker import model, schedule
from checker.history import MILLISECOND, SECOND, Judge
from checker.report import Report
from checker.site import Site
from faults import SANITIZED

ENV = {"LARDER_GUARD_TTL": f"{schedule.GUARD:g}s", "LARDER_LEASE": "500ms", "LARDER_REDIS_PROBE": "100ms",
       "LARDER_REDIS_TIMEOUT": "100ms"}
# What is lost shows for seconds; a change that is told shows within milliseconds, and with so many processes on a busy
# machine within a fraction of a second. What it really was is printed.
NORMAL = (1500 if SANITIZED else 500) * MILLISECOND
READS = 40_000 if SANITIZED else 200_000
CALM = 0.5  # seconds between two faults; the run begins with ten times that
LONGEST = 300


def conduct(site):
    """Calm, then each fault with its recovery; the faults as the judge must know them."""
    faults = []
    with site.traffic(LONGEST):
        time.sleep(CALM * 10)
        for row in schedule.SCHEDULE:
            faults.append(schedule.inject(site, row))
            time.sleep(CALM + max(0, faults[-1].end - time.monotonic_ns()) / SECOND)
        site.wait_for_reads(READS, LONGEST / 2)
    with open(f"{site.folder}/faults", "w", encoding="ascii") as log:
        log.writelines(f"{each}\n" for each in faults)
    return faults


class Run:
    def __init__(self, site, faults):
        self.judge = Judge(model.targets(), site.timelines(), faults, NORMAL, site.busy())
        reads = list(site.reads())
        for each in reads:
            self.judge.judge(each)
        self.report = Report(self.judge, reads, site.begin, site.end)

    def complaints(self, kind):
        found = [each.text for each in self.judge.violations if each.kind == kind]
        return "\n".join([f"{len(found)} of {self.judge.reads} reads are {kind}:", *found[:12]]) if found else ""


@pytest.fixture(scope="module")
def run(shared_stack, tmp_path_factory):
    # A commit that was acknowledged must outlive the database's own death, or nothing could be judged.
    postgres = shared_stack.postgres(settings={"synchronous_commit": "on"})
    stack = shared_stack(model.ROUTES, postgres=postgres, schema=model.SCHEMA, env=ENV, nginx=False, export=True)
    with Site(stack, tmp_path_factory.mktemp("checker")) as site:
        result = Run(site, conduct(site))
    print("\n" + "\n".join(result.report.lines()))
    return result


def test_no_read_is_older_than_its_bound(run):
    assert not run.complaints("stale"), run.complaints("stale")


def test_no_reader_sees_a_version_go_backwards(run):
    assert not run.complaints("backwards"), run.complaints("backwards")


def test_no_page_is_torn(run):
    assert not run.complaints("torn"), run.complaints("torn")


def test_nothing_is_shown_that_was_not_committed(run):
    assert not run.complaints("phantom"), run.complaints("phantom")


def test_the_run_was_large_and_served_from_every_tier(run):
    """Or nothing above would mean anything."""
    assert run.judge.reads >= READS, list(run.report.lines())
    assert run.report.hit_share > 0.5, list(run.report.lines())
    for tier in ("l1", "redis", "fill"):
        assert run.report.tiers[tier] > run.judge.reads / 500, list(run.report.lines())


def test_every_fault_was_read_through(run):
    """While a fault lasts reads go on; only without PostgreSQL may most of them fail."""
    for fault in run.judge.faults:
        seconds = (fault.end - fault.begin) / SECOND
        if "PostgreSQL" not in fault.name:
            assert len(run.report.during(fault)) > seconds * 100, run.report.line(fault)
