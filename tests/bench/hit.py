"""Requests per second of a page that is kept, by where it is kept, and of a 304 for it."""

from . import wrk
from .peer import LANES, Peers
from .report import Spread, Target, show_table
from .site import Site
from .usage import Meter

SECONDS, ROUNDS = 2, 9
QUICK_SECONDS, QUICK_ROUNDS = 1, 2
NOT_MODIFIED_MOST = 1000  # bytes; an answer with a body is larger
KNOWN = ("larder", "larder_redis", "floor_redis")  # asked for a 304 as well
QUIET, TRIES = 0.15, 4  # a slice is taken again while other work takes more of the machine than this

# (what, above, below, the least ratio wanted)
TARGETS = (
    ("hit: memory / libfcgi floor of the same bytes", "larder", "floor_bytes", 0.95),
    ("hit: memory / Fastify", "larder", "fastify", 1.9),
    ("hit: memory / FastAPI", "larder", "fastapi", 3.5),
    ("hit: nginx tier / nginx's own fastcgi_cache", "larder_nginx", "nginx_cache", 0.95),
    ("hit: nginx tier / nginx's Lua and Redis", "larder_nginx", "lua", 2.0),
    ("hit: Redis / hiredis floor", "larder_redis", "floor_redis", 0.9),
    ("hit: Redis / Fastify", "larder_redis", "fastify", 1.3),
    ("hit: Redis / FastAPI", "larder_redis", "fastapi", 2.5),
    ("hit: 304 / 200, from memory", "larder 304", "larder", 1.0),
    ("hit: 304 / 200, from Redis", "larder_redis 304", "larder_redis", 1.0),
)


def turns(peers):
    """What takes turns: (name, lane's name, further headers)."""
    rows = [(name, name, {}) for name in LANES]
    return rows + [(f"{name} 304", name, {"If-None-Match": peers.etags[name]}) for name in KNOWN]


def measure_lane(site, name, headers, seconds):
    return wrk.measure(site.url(LANES[name].target), seconds, {"Host": LANES[name].host} | headers)


def take_slice(site, peers, name, headers, seconds):
    """One slice, taken again when the machine was busy with other work; gives it and whether it was quiet."""
    for _ in range(TRIES):
        meter = Meter(peers.pids(name))
        seen = measure_lane(site, name, headers, seconds)
        used, foreign = meter.stop()
        seen.cost = used / seen.requests * 1e6
        if foreign <= QUIET:
            return seen, True
    return seen, False


def take_turns(site, peers, seconds, rounds):
    """Slices by lane, one of each a round; each round begins with another lane."""
    rows = turns(peers)
    slices = {name: [] for name, _, _ in rows}
    noisy = 0
    for _, lane, headers in rows:
        measure_lane(site, lane, headers, 1)
    for number in range(rounds):
        print(f"Round {number + 1} of {rounds}", flush=True)
        for name, lane, headers in rows[number % len(rows):] + rows[:number % len(rows)]:
            seen, quiet = take_slice(site, peers, lane, headers, seconds)
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
    rows = [("", "requests/s", "memory is × it", "CPU a request, × memory's", "p50 ms", "p99 ms", "errors")]
    for name, row in slices.items():
        rows.append((f"{name}: {LANES[name].description}" if name in LANES else name,
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
    return [target(rates, *row) for row in TARGETS] + [Target("hit: errors of all", "0", str(errors), errors == 0)]
