"""Writes through Larder: what they cost beside the bare transaction, and whether the next read is fresh."""

import os
import shutil
import subprocess
from contextlib import nullcontext
from statistics import median

from support import fastcgi as wire
from support.responder import Responder
from support.waiting import wait_until

from . import likes
from .replay import fastcgi, http, percentile
from .report import Target, show_table
from .site import Site
from .triggers import PLAIN, durable, make_plain

PROCESSES = 4
ROUNDS, QUICK_ROUNDS = 2000, 300
PAIRS, QUICK_PAIRS = 100000, 2000
HOST_PAIRS, QUICK_HOST_PAIRS = 20000, 1000
WRITERS, KEYS = 4, 200
RATIO_MOST = 1.3
TARGET = "/bench/like-now"
WAYS = ("libpq: BEGIN, like, count, COMMIT, no triggers", "libpq: the same with the triggers", "libpq: that in one pipeline",
        "POST at Larder's socket", "POST through nginx")
BARE, SOCKET = 0, 3


def run(field, program, *words):
    done = subprocess.run([field.compile(f"timing/{program}.c", ["libpq"]), *map(str, words)], env=field.environment(),
                          capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


def routes(field):
    """The bench's, and the social pack's like, which is made before it is answered."""
    folder = f"{field.work}/write-routes"
    shutil.copytree(field.routes(), folder)
    with open(f"{folder}/like.sql", "w", encoding="utf-8") as output:
        output.write(likes.route(TARGET, False))
    return folder


def statements():
    """Those of the like, as libpq has parameters."""
    text = "".join(line for line in likes.route(TARGET, False).splitlines(True) if not line.startswith("--"))
    return text.replace(":id", "$1::bigint").replace(":liker", "$2").split(";\n")


def posts(field, site, rounds, drawn):
    """Of each way the microseconds of all rounds."""
    sizes = field.postgres.execute("SELECT (SELECT count(*) FROM social.feeds), (SELECT count(*) FROM social.users)",
                                   database="bench")[0]
    rows = run(field, "posts", rounds, *statements(), *sizes, drawn, PLAIN, TARGET, fastcgi(site), http(site))
    return [[value / 1000 for value in way] for way in zip(*rows, strict=True)]


def measure_cost(field, site, quick):
    rounds = QUICK_ROUNDS if quick else ROUNDS
    found = []
    for disk in (True, False):
        with durable(field) if disk else nullcontext():
            ways = posts(field, site, rounds, 0 if disk else rounds * len(WAYS))
        bare = median(ways[BARE])
        print(f"\nA like, {'on the disk' if disk else 'no disk waited for'}; {rounds} rounds in turn, each from rest")
        show_table([("", "p50 µs", "p99 µs", "/ bare")] + [
            (name, f"{median(way):.0f}", f"{percentile(way, 99):.0f}", f"{median(way) / bare:.2f}")
            for name, way in zip(WAYS, ways, strict=True)])
        ratio = median(ways[SOCKET]) / bare
        if disk:
            found.append(Target("write: a POST / the bare transaction, p50", f"≤ {RATIO_MOST}", f"{ratio:.2f}",
                                ratio <= RATIO_MOST))
    return found


def measure_pairs(field, site, quick):
    pairs = QUICK_PAIRS if quick else PAIRS
    rows = run(field, "pairs", pairs, WRITERS, KEYS, "/versions/", fastcgi(site))
    done, older, hits = (sum(column) for column in zip(*rows, strict=True))
    print(f"\n{done:,} times a PUT and then the GET of the same page, by {WRITERS} writers over {PROCESSES} processes: "
          f"{older} old answers; {100 * hits / done:.0f} % were kept once read")
    return [Target(f"write: old answers in {done:,} write-then-read pairs", "0", str(older), older == 0)]


def measure_other_host(field, site, quick):
    """The same with a responder that shares PostgreSQL and Redis with the writer's, but no memory."""
    folder = f"{field.work}/write-other"
    os.makedirs(folder)
    other = Responder(folder, "api", site.environment() | {"LARDER_RUN": folder}, 1)
    other.start()
    try:
        wait_until(lambda: wire.ask(other.socket, "/_larder/health", timeout=10).status == 200, 30, "the other host")
        rows = run(field, "pairs", QUICK_HOST_PAIRS if quick else HOST_PAIRS, WRITERS, KEYS, "/versions/",
                   fastcgi(site), f"fastcgi:{other.socket}")
    finally:
        other.stop()
    late = [nanoseconds / 1e6 for row in rows[WRITERS:] for nanoseconds in row]
    print(f"\nOn another host, {len(late):,} pairs, from the writer's answer to the first fresh one there: "
          f"p50 {percentile(late, 50):.2f} ms, p99 {percentile(late, 99):.2f} ms, at most {max(late):.2f} ms")
    return [Target("write: fresh on another host, p99", "≤ 5 ms", f"{percentile(late, 99):.2f} ms",
                   percentile(late, 99) <= 5)]


def measure(field, quick):
    print(f"\nwrite: {PROCESSES} processes of one responder and one larderd")
    make_plain(field)
    with Site(field, "write", {"LARDER_ROUTES": routes(field)}, processes=PROCESSES) as site:
        found = measure_cost(field, site, quick)
        found += measure_pairs(field, site, quick)
        return found + measure_other_host(field, site, quick)
