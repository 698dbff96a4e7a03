"""python3 -m bench.main WORK PART... [--quick]: runs the parts in turn and ends with every target.

A target that is not met does not fail the run; a set-up that does not work does.
"""

import signal
import sys

from . import hit, invalidate, jobs, limit, machine, memory, miss, mix, stampede, stream, wire, write
from .field import BENCH, Field
from .report import show_targets

PARTS = {"hit": hit, "miss": miss, "wire": wire, "memory": memory, "invalidate": invalidate, "stampede": stampede,
         "limit": limit, "jobs": jobs, "mix": mix, "write": write, "stream": stream}
QUICK_SCALE = 0.1


def main(work, *words):
    quick = "--quick" in words
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine.describe(f"{BENCH}/peers/fastify/package-lock.json")
    targets = []
    with Field(work, QUICK_SCALE if quick else 1, module="invalidate" in words) as field:
        for name, part in PARTS.items():
            if name in words:
                targets += part.measure(field, quick)
    show_targets(targets)
    if quick:
        print("\nA quick run: too short and too small for a judgement.")


if __name__ == "__main__":
    main(*sys.argv[1:])
