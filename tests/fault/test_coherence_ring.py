"""The coherence checker's run with the module's triggers: the faults that meet larderd and PostgreSQL, between which changes
travel by the ring."""

import pytest

from checker import run as checker_run
from checker import schedule

FAULTS = ("larderd killed", "Redis stopped", "larderd stopped", "larderd's network stalled", "PostgreSQL killed",
          "PostgreSQL restarted")
READS = 60_000


@pytest.fixture(scope="module")
def run(shared_stack, tmp_path_factory):
    server = shared_stack.postgres(module=True, settings={"synchronous_commit": "on"})
    rows = [row for row in schedule.SCHEDULE if row.name in FAULTS]
    assert len(rows) == len(FAULTS)
    return checker_run.begin(shared_stack, server, tmp_path_factory.mktemp("checker"), rows, READS, module=True)


@pytest.mark.parametrize("kind", ["stale", "backwards", "torn", "phantom"])
def test_no_read_is_wrong(run, kind):
    assert not run.complaints(kind), run.complaints(kind)


def test_the_run_was_large_and_changes_went_by_the_ring(run):
    assert run.judge.reads >= READS, list(run.report.lines())
    assert run.by_ring > 1000
