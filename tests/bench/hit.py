"""Requests per second of a page that Redis holds, and of a 304 for it."""

from . import wrk
from .field import TARGET
from .peer import DESCRIPTIONS, NAMES, Peers
from .report import Spread, Target, show_table
from .site import Site
from .usage import Meter

SECONDS, ROUNDS = 2, 9
QUICK_SECONDS, QUICK_ROUNDS = 1, 2
NOT_MODIFIED_MOST = 1000  # bytes; an answer with a body is larger
QUIET, TRIES = 0.15, 4  # a slice is taken again while other work takes more of the machine than this


def lanes(peers):
    """What takes turns: (name, host, further headers)."""
    rows = [(name, name, {}) for name in ("larder", *NAMES)]
    return rows + [(f"{name} 304", name, {"If-None-Match": peers.etags[name]}) for name in ("larder", "floor_redis")]


def take_slice(site, roots, host, headers, seconds):
    """One slice, taken again when the machine was busy with other work; gives it and whether it was quiet."""
    for _ in range(TRIES):
        meter = Meter(roots)
        seen = wrk.measure(site.url(TARGET), seconds, {"Host": host} | headers)
        used, foreign = meter.stop()
        seen.cost = used / seen.requests * 1e6
        if foreign <= QUIET:
            return seen, True
    return seen, False


def take_turns(site, peers, seconds, rounds):
    """Slices by lane, one of each a round; each round begins with another lane."""
    rows = lanes(peers)
    slices = {name: [] for name, _, _ in rows}
    noisy = 0
    for _, host, headers in rows:
        wrk.measure(site.url(TARGET), 1, {"Host": host} | headers)
    for number in range(rounds):
        print(f"Round {number + 1} of {rounds}", flush=True)
        for name, host, headers in rows[number % len(rows):] + rows[:number % len(rows)]:
            seen, quiet = take_slice(site, peers.pids(host), host, headers, seconds)
            slices[name].append(seen)
            noisy += not quiet
    if noisy:
        print(f"{noisy} of {rounds * len(rows)} slices were disturbed by other work on this machine.")
    for name in slices:
        if name.endswith(" 304"):
            assert all(each.bytes_each < NOT_MODIFIED_MOST for each in slices[name]), f"{name} answers were not all 304"
    return slices


def show(slices):
    rates = {name: [each.rate for each in row] for name, row in slices.items()}
    rows = [("", "requests/s", "Larder is × it", "CPU a request, × Larder's", "p50 ms", "p99 ms", "errors")]
    for name, row in slices.items():
        rows.append((f"{name}: {DESCRIPTIONS[name]}" if name in DESCRIPTIONS else name,
                     Spread.of(rates[name]).text("{:.0f}"),
                     Spread.of_ratios(rates["larder"], rates[name]).text(),
                     Spread.of_ratios((each.cost for each in row), (each.cost for each in slices["larder"])).text(),
                     Spread.of(each.p50 for each in row).text(), Spread.of(each.p99 for each in row).text(),
                     str(sum(each.errors for each in row))))
    print()
    show_table(rows)
    return rates


def target(rates, name, above, below, least):
    ratio = Spread.of_ratios(rates[above], rates[below])
    return Target(name, f"≥ {least}", ratio.text(), ratio.middle >= least)


def measure(field, quick):
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    print(f"\nhit: wrk with {wrk.CONNECTIONS} connections for {seconds} s at each, {rounds} rounds in turn, "
          "uncompressed; medians (least–most);\nCPU is that of the peer, nginx and Redis together")
    with Site(field, "hit") as site, Peers(field, site) as peers:
        slices = take_turns(site, peers, seconds, rounds)
    rates = show(slices)
    errors = sum(each.errors for row in slices.values() for each in row)
    return [target(rates, "hit: Larder / hiredis floor", "larder", "floor_redis", 0.9),
            target(rates, "hit: Larder / Fastify", "larder", "fastify", 1.3),
            target(rates, "hit: Larder / FastAPI", "larder", "fastapi", 2.5),
            target(rates, "hit: Larder's 304 / its 200", "larder 304", "larder", 1.0),
            Target("hit: errors of all", "0", str(errors), errors == 0)]
