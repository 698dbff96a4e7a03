"""The coherence checker's run: writers and readers over two hosts while everything that can fail fails in turn.

One run, recorded whole; each property of the history is a test of its own.
"""

import pytest

from checker import run as checker_run
from checker import schedule
from checker.history import SECOND
from faults import SANITIZED

READS = 40_000 if SANITIZED else 200_000


@pytest.fixture(scope="module")
def run(shared_stack, tmp_path_factory):
    server = shared_stack.postgres(settings={"synchronous_commit": "on"})
    return checker_run.begin(shared_stack, server, tmp_path_factory.mktemp("checker"), schedule.SCHEDULE, READS)


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
