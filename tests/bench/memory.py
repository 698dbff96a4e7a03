"""Resident memory of one responder over a long run of mixed requests."""

import signal
from collections import Counter

from support.waiting import wait_until

from . import wrk
from .field import TARGET
from .report import Target, show_table
from .site import THREADS, Site

CHUNK, CHUNKS = 100_000, 10
QUICK_CHUNK = 5_000
LONGEST = 1800  # seconds
RESIDENT_MOST = 30 * 1024  # KB
GROWTH_MOST = 1.05


def resident(pid):
    """KB: resident set, and the same with shared pages counted in part."""
    def field(name, source):
        with open(f"/proc/{pid}/{source}", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

    return field("VmRSS", "status"), field("Pss", "smaps_rollup")


def answered(metrics):
    """Answers so far, by status and tier."""
    counts = Counter()
    for labels in metrics.labels("larder_requests_total"):
        counts[labels["status"], labels["tier"]] = int(
            metrics.sum("larder_requests_total", status=labels["status"], tier=labels["tier"]))
    return counts


def total(site):
    return sum(answered(site.metrics()).values())


def sample_on_the_way(site, chunk):
    """[(requests so far, RSS, PSS)], the first before any load."""
    pid = site.responder.process.pid
    samples = [(0, *resident(pid))]
    load = wrk.mix(site.url("/"), site.get(TARGET)["ETag"], LONGEST, f"{site.folder}/wrk.log")
    try:
        for goal in range(chunk, CHUNKS * chunk + 1, chunk):
            wait_until(lambda goal=goal: not load.running() or total(site) >= goal, LONGEST, f"{goal} requests", 0.1)
            assert load.running(), f"wrk ended early, see {site.folder}/wrk.log"
            samples.append((goal, *resident(pid)))
            print(f"  after {goal:>9,} requests: {samples[-1][1] / 1024:5.1f} MB resident", flush=True)
    finally:
        load.stop(signal.SIGINT)
    return samples


def show_mix(counts):
    share = {key: 100 * count / sum(counts.values()) for key, count in sorted(counts.items()) if count}
    print("Of 100 requests: " + ", ".join(f"{part:.1f} × {status}" + (f" from {tier}" if tier != "none" else "")
                                          for (status, tier), part in share.items()))


def measure(field, quick):
    chunk = QUICK_CHUNK if quick else CHUNK
    print(f"\nmemory: {THREADS} threads, {CHUNKS} × {chunk:,} mixed requests")
    with Site(field, "memory") as site:
        samples = sample_on_the_way(site, chunk)
        counts = answered(site.metrics())
    show_mix(counts)
    first, last = samples[1], samples[-1]
    start = samples[0][1]
    show_table([("requests", "RSS MB", "PSS MB", "× at the start", f"× after {first[0]:,}")]
               + [(f"{count:,}", f"{rss / 1024:.1f}", f"{pss / 1024:.1f}", f"{rss / start:.2f}",
                   f"{rss / first[1]:.3f}") for count, rss, pss in samples])
    growth = last[1] / first[1]
    return [Target(f"memory: resident after {first[0]:,} requests", "≤ 30 MB", f"{first[1] / 1024:.1f} MB",
                   first[1] <= RESIDENT_MOST),
            Target(f"memory: after {last[0]:,} / after {first[0]:,}", f"≤ {GROWTH_MOST}", f"{growth:.3f}",
                   growth <= GROWTH_MOST)]
