"""One run over a site, recorded whole, and what its history is judged to be."""

import time

from faults import SANITIZED
from support.stack import metrics

from . import model, schedule
from .history import MILLISECOND, SECOND, Judge
from .report import Report
from .site import Site

ENV = {"LARDER_GUARD_TTL": f"{schedule.GUARD:g}s", "LARDER_LEASE": "500ms", "LARDER_REDIS_PROBE": "100ms",
       "LARDER_REDIS_TIMEOUT": "100ms"}
# What is lost shows for seconds; a change that is told shows within milliseconds, and with so many processes on a busy
# machine within a fraction of a second. What it really was is printed.
NORMAL = (1500 if SANITIZED else 500) * MILLISECOND
CALM = 0.5  # seconds between two faults; the run begins with ten times that
LONGEST = 300


def conduct(site, rows, reads):
    """Calm, then each fault with its recovery, until there are so many reads; the faults as the judge must know them."""
    faults = []
    with site.traffic(LONGEST):
        time.sleep(CALM * 10)
        for row in rows:
            faults.append(schedule.inject(site, row))
            time.sleep(CALM + max(0, faults[-1].end - time.monotonic_ns()) / SECOND)
        site.wait_for_reads(reads, LONGEST / 2)
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


def begin(stack, server, folder, rows, reads, **options):
    """The run's judged history. `server`: of the run's own, on which an acknowledged commit outlives its death."""
    made = stack(model.ROUTES, postgres=server, schema=model.SCHEMA, env=ENV, nginx=False, export=True, **options)
    with Site(made, folder) as site:
        result = Run(site, conduct(site, rows, reads))
        result.by_ring = metrics(made).sum("larder_ring_tags_total")
    print("\n" + "\n".join(result.report.lines()))
    return result
