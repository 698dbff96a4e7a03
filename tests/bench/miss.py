"""The time Larder adds to the bare query when nothing is cached."""

import subprocess
from statistics import median, quantiles

from .field import PAGE_VALUES, TARGET
from .report import Target, show_table
from .site import Site

ROUNDS, QUICK_ROUNDS = 5000, 500
WAYS = ("bare libpq", "Larder's socket", "through nginx", "Larder's socket, no query")


def ways(site):
    socket = f"fastcgi:{site.responder.socket}"
    return [f"{socket} {TARGET}", f"http:{site.nginx.port} {TARGET}", f"{socket} /_larder/health"]


def time_rounds(field, site, rounds):
    """Microseconds: one list for each of WAYS, one value a round."""
    program = field.compile("timing/added.c", ["libpq"])
    values = ",".join(str(value) for value in PAGE_VALUES.values())
    command = [program, str(rounds), field.statement_file(), values, *ways(site)]
    result = subprocess.run(command, env=field.environment(), capture_output=True, text=True, check=False, timeout=600)
    if result.returncode:
        raise SystemExit(f"bench: {result.stderr}")
    lines = [[int(word) / 1000 for word in line.split()] for line in result.stdout.splitlines()]
    assert len(lines) == rounds, f"{len(lines)} of {rounds} rounds"
    return list(zip(*lines, strict=True))


def measure(field, quick):
    rounds = QUICK_ROUNDS if quick else ROUNDS
    print(f"\nmiss: LARDER_CACHE=off, one request at a time, {rounds} rounds in turn; microseconds")
    with Site(field, "miss", {"LARDER_CACHE": "off"}, coherent=False) as site:
        columns = time_rounds(field, site, rounds)
        queries = site.metrics().sum("larder_queries_total")
    assert queries >= 2 * rounds, f"only {queries} queries ran: the cache was not off"
    bare = columns[0]
    rows = [("", "p25", "median", "p75", "added at the median", "median of the differences")]
    for name, column in zip(WAYS, columns, strict=True):
        low, middle, high = quantiles(column, n=4)
        differences = [one - other for one, other in zip(column, bare, strict=True)]
        rows.append((name, f"{low:.1f}", f"{middle:.1f}", f"{high:.1f}", f"{middle - median(bare):+.1f}",
                     f"{median(differences):+.1f}"))
    show_table(rows)
    added = median(columns[1]) - median(bare)
    return [Target("miss: what Larder adds to the query", "≤ 100 µs", f"{added:.1f} µs", added <= 100)]
