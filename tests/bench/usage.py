"""Processor time from /proc: what a group of processes used, and what the rest of the machine did meanwhile."""

import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    """(parent, processor seconds) of a process and of its children that have ended; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICK


def group_seconds(roots):
    """Processor seconds of these processes and of all below them so far."""
    table = {int(name): seen for name in os.listdir("/proc") if name.isdigit() and (seen := process_seconds(name))}
    group, grown = set(roots) & table.keys(), True
    while grown:
        more = {pid for pid, (parent, _) in table.items() if parent in group} - group
        group, grown = group | more, bool(more)
    return sum(table[pid][1] for pid in group)


def busy_seconds():
    """Processor seconds that the whole machine has been busy; what its host took away counts."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _wait, interrupts, soft, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + interrupts + soft + steal) / TICK


def ended_children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """Around a slice: what `roots` and the load generator used, and the share of the machine that others took."""

    def __init__(self, roots):
        self.roots = roots
        self.start = self.read()

    def read(self):
        return time.monotonic(), busy_seconds(), group_seconds(self.roots), ended_children_seconds()

    def stop(self):
        """(processor seconds of the group, share of all processors that neither it nor the load took)."""
        elapsed, busy, group, load = (now - then for now, then in zip(self.read(), self.start, strict=True))
        return group, max(0.0, busy - group - load) / (elapsed * (os.cpu_count() or 1))
