"""The time Larder adds to the bare query when nothing is cached."""

import subprocess
from statistics import median, quantiles

from support import fastcgi

from .field import PAGE_VALUES, TARGET
from .report import Target, show_table
from .site import Site

ROUNDS, QUICK_ROUNDS = 5000, 500
HTTP_REQUEST = f"GET {TARGET} HTTP/1.1\r\nHost: larder\r\n\r\n"
WAYS = ("bare libpq", "Larder's socket", "through nginx", "Larder's socket, no query")


def fastcgi_request(target):
    """A whole request on a kept connection, as nginx sends it."""
    pairs = b"".join(fastcgi.pair(*each) for each in fastcgi.cgi_params(target).items())
    return fastcgi.begin(keep=True) + fastcgi.stream(fastcgi.PARAMS, pairs) + fastcgi.stream(fastcgi.STDIN, b"")


def ways(site):
    requests = {"page": fastcgi_request(TARGET), "http": HTTP_REQUEST.encode(),
                "health": fastcgi_request("/_larder/health")}
    for name, request in requests.items():
        with open(f"{site.folder}/{name}", "wb") as output:
            output.write(request)
    return [f"fastcgi:{site.responder.socket}:{site.folder}/page", f"http:{site.nginx.port}:{site.folder}/http",
            f"fastcgi:{site.responder.socket}:{site.folder}/health"]


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
    with Site(field, "miss", {"LARDER_CACHE": "off"}) as site:
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
