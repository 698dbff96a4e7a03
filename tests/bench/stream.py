"""Downloads: their rate beside psql's \\copy and a FastAPI twin, the memory they take, and what they cost the API."""

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from itertools import chain

from support import client
from support import fastcgi as wire
from support.process import Process, forget_most_resident, most_resident
from support.responder import Responder
from support.waiting import wait_until

from .field import BENCH
from .replay import fastcgi, http, percentile, replay
from .report import Spread, Target, show_table
from .site import Site
from .usage import Meter

ROWS, QUICK_ROWS = 10_000_000, 200_000
PEER_ROWS, QUICK_PEER_ROWS = 1_000_000, 50_000
FEW_ROWS = 1_000
ROUNDS, QUICK_ROUNDS = 3, 2
READERS, RATE = 100, 32 * 1024  # bytes a second each
API_ROUNDS, QUICK_API_ROUNDS = 10, 3  # both starts are in three
API_SECONDS, API_RATE = 5, 300
WAYS = {"at its socket": fastcgi, "through nginx": http}
STARTS_EACH = 2  # in one round of so many the start of the downloads is measured too, by one of the ways
FLOORS_EACH = 2  # in one round of so many the floor is
QUIET, TRIES = 0.1, 3  # a slice is taken again while other work takes more of the machine than this
SETTLED_LOOKS = 5  # that find all readers held up, one after the other
POOL = {"LARDER_THREADS": "128", "LARDER_DB_POOL": "120", "LARDER_DB_WAIT": "60s"}
RATE_LEAST, PEER_LEAST, TAIL_MOST = 0.9, 8, 1.2
MEGABYTE = 1 << 20
GROWTH_MOST = 2 * MEGABYTE


@dataclass
class Run:
    """One download: seconds, bytes, and processor seconds of all that took part in it."""
    seconds: float
    size: int
    cost: float


def statement(rows=None):
    """That of the route, with a number or with $1."""
    with open(f"{BENCH}/routes/rows.sql", encoding="utf-8") as route:
        lines = [line for line in route if not line.startswith("--")]
    return re.sub(r"(?<!:):rows\b", str(rows) if rows else "$1::int", " ".join("".join(lines).split()))


def target(rows):
    return f"/bench/rows?rows={rows}"


class Downloads:
    """The pool of downloads beside a site, and the twin; both behind its nginx."""

    def __init__(self, field, site):
        self.field, self.site = field, site
        self.pool = Responder(site.sockets, "export", site.environment() | POOL, 1)
        self.twin = None
        self.readers = []  # the process of the slow ones

    def __enter__(self):
        self.pool.start()
        try:
            wait_until(lambda: wire.ask(self.pool.socket, "/_larder/health", timeout=10).status == 200, 30,
                       f"the pool of downloads, see {self.pool.log}")
            self.start_twin()
            self.check()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.twin:
            self.twin.stop()
        self.pool.stop()

    def start_twin(self):
        path = f"{self.field.work}/rows-statement.sql"
        with open(path, "w", encoding="utf-8") as output:
            output.write(statement())
        command = ["/usr/bin/python3", "-m", "uvicorn", "rows:app", "--app-dir", f"{BENCH}/peers/fastapi", "--uds",
                   f"{self.site.sockets}/fastapi.sock", "--loop", "uvloop", "--http", "httptools", "--no-access-log",
                   "--log-level", "warning"]
        self.twin = Process("fastapi", command, f"{self.site.folder}/fastapi.log",
                            env=self.field.environment() | {"BENCH_ROWS_STATEMENT": path})
        wait_until(lambda: self.site.get("/rows?rows=1", "fastapi").status == 200, 30, "the FastAPI twin")

    def check(self):
        """All ways give the same rows, and nginx asks the pool of downloads for them."""
        expected = subprocess.run(self.psql(FEW_ROWS), env=self.field.environment(), capture_output=True, check=True).stdout
        for name, answer in {"Larder": self.site.get(target(FEW_ROWS)),
                             "FastAPI": self.site.get(f"/rows?rows={FEW_ROWS}", "fastapi"),
                             "FastAPI, gathered": self.site.get(f"/gathered?rows={FEW_ROWS}", "fastapi")}.items():
            assert answer.status == 200 and answer["Content-Type"].startswith("text/csv"), (name, answer)
            assert answer.body.replace(b"\r\n", b"\n") == expected, f"{name} gives other rows than psql"
        self.pool.pause()
        try:
            assert self.site.get("/_larder/health").status == 200
            with contextlib.suppress(TimeoutError):
                client.request(self.site.nginx.port, target(1), headers={"Host": "larder"}, timeout=1)
                raise AssertionError("another pool than that of downloads answered")
        finally:
            self.pool.resume()

    # The ways

    @staticmethod
    def psql(rows):
        return ["psql", "-X", "-q", "-c", f"\\copy ({statement(rows)}) to stdout csv header"]

    def run(self, command, roots=()):
        meter = Meter([self.field.postgres.process.pid, *roots])
        before, start = children_seconds(), time.monotonic()
        done = subprocess.run(command, env=self.field.environment(), stdout=subprocess.PIPE, check=False, timeout=900)
        seconds = time.monotonic() - start
        assert done.returncode == 0, f"{' '.join(command)} failed with status {done.returncode}"
        return seconds, done.stdout, meter.stop()[0] + children_seconds() - before

    def by_psql(self, rows):
        seconds, _, cost = self.run(["sh", "-c", 'exec "$@" >/dev/null', "sh", *self.psql(rows)])
        return Run(seconds, 0, cost)

    def by_socket(self, rows):
        program = self.field.compile("timing/drain.c")
        seconds, said, cost = self.run([program, f"fastcgi:{self.pool.socket}", target(rows)], self.pool.pids)
        return Run(seconds, int(said.split()[2]), cost)

    def by_curl(self, path, host, roots):
        seconds, said, cost = self.run(["curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download}", "-H",
                                        f"Host: {host}", self.site.url(path)], [self.site.nginx.process.pid, *roots])
        return Run(seconds, int(said), cost)

    def by_nginx(self, rows):
        return self.by_curl(target(rows), "larder", [*self.site.pids, *self.pool.pids])

    def by_twin(self, rows):
        return self.by_curl(f"/rows?rows={rows}", "fastapi", [self.twin.pid])

    def by_tuned_twin(self, rows):
        return self.by_curl(f"/gathered?rows={rows}", "fastapi", [self.twin.pid])


def children_seconds():
    used = os.times()
    return used.children_user + used.children_system


def in_turn(ways, rows, rounds):
    """{name: runs}; every round begins with another way."""
    found = {name: [] for name in ways}
    for turn in range(rounds):
        order = list(ways.items())
        for name, way in order[turn % len(order):] + order[:turn % len(order)]:
            found[name].append(way(rows))
    return found


def show(found, rows, base):
    times = {name: [run.seconds for run in runs] for name, runs in found.items()}
    costs = {name: [run.cost for run in runs] for name, runs in found.items()}
    show_table([("", "rows/s", "MB/s", f"rate / {base}", f"CPU / {base}")] + [
        (name, Spread.of(rows / run.seconds for run in runs).text("{:,.0f}"),
         Spread.of(run.size / run.seconds / 1e6 for run in runs).text("{:.0f}") if runs[0].size else "",
         Spread.of_ratios(times[base], times[name]).text(), Spread.of_ratios(costs[name], costs[base]).text())
        for name, runs in found.items()])
    return {name: Spread.of_ratios(times[base], times[name]) for name in found}


def measure_rate(downloads, quick):
    rows, rounds = (QUICK_ROWS, QUICK_ROUNDS) if quick else (ROWS, ROUNDS)
    ways = {"psql \\copy": downloads.by_psql, "Larder's socket": downloads.by_socket, "through nginx": downloads.by_nginx}
    print(f"\n{rows:,} rows as CSV, thrown away as they come; {rounds} rounds in turn")
    ratios = show(in_turn(ways, rows, rounds), rows, "psql \\copy")
    return [Target(f"stream: rate / psql \\copy's, {name}", f"≥ {RATE_LEAST}", ratios[name].text(),
                   ratios[name].middle >= RATE_LEAST) for name in ("Larder's socket", "through nginx")]


def measure_twin(downloads, quick):
    rows, rounds = (QUICK_PEER_ROWS, QUICK_ROUNDS) if quick else (PEER_ROWS, ROUNDS)
    print(f"\n{rows:,} rows as CSV, both through nginx; {rounds} rounds in turn")
    ways = {"FastAPI": downloads.by_twin, "FastAPI, gathered": downloads.by_tuned_twin, "Larder": downloads.by_nginx}
    ratios = show(in_turn(ways, rows, rounds), rows, "FastAPI")
    return [Target("stream: rate / a FastAPI StreamingResponse's", f"≥ {PEER_LEAST}", ratios["Larder"].text(),
                   ratios["Larder"].middle >= PEER_LEAST)]


# Memory

def measure_memory(downloads, quick):
    pid = downloads.pool.pids[0]
    most = []
    for rows in (FEW_ROWS, QUICK_ROWS if quick else ROWS):
        for _ in range(3):
            downloads.by_nginx(FEW_ROWS)
        forget_most_resident(pid)
        downloads.by_nginx(rows)
        most.append((rows, most_resident(pid)))
    print()
    show_table([("a download of", "most resident, MB")] + [(f"{rows:,} rows", f"{size / MEGABYTE:.1f}") for rows, size in most])
    growth = most[1][1] - most[0][1]
    return [Target(f"stream: memory from {most[0][0]:,} to {most[1][0]:,} rows", f"≤ {GROWTH_MOST / MEGABYTE:g} MB",
                   f"{growth / MEGABYTE:.1f} MB", growth <= GROWTH_MOST)]


# The API beside slow downloads

class SlowReaders:
    """READERS slow readers of `what` at `address` while this is open, each at its own pace once `settle` has returned."""

    def __init__(self, downloads, address, what):
        self.downloads, self.address, self.what = downloads, address, what
        self.process = None
        self.looks = 0

    @classmethod
    def of_downloads(cls, downloads):
        """Through nginx, by the listener that bounds what the kernel takes for each: rows are asked for as they are read."""
        return cls(downloads, f"http:{downloads.site.nginx.slow_port}", target(ROWS))

    @classmethod
    def of_rows(cls, downloads):
        """The floor: straight from PostgreSQL's sockets."""
        return cls(downloads, "libpq", f"COPY ({statement(ROWS)}) TO STDOUT CSV HEADER")

    def __enter__(self):
        field = self.downloads.field
        command = [field.compile("timing/sip.c", ["libpq"]), self.address, self.what, str(READERS), str(RATE)]
        self.process = subprocess.Popen(command, env=field.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.downloads.readers = [self.process.pid]
        return self

    def settle(self):
        """Until all buffers on the way are full: what is asked for from now on is what is read."""
        wait_until(self.settled, 60, f"{READERS} downloads held up by their readers", 0.1)

    def settled(self):
        assert self.process.poll() is None, "the slow readers ended"
        self.looks = self.looks + 1 if held(self.downloads.field) == READERS else 0
        return self.looks == SETTLED_LOOKS

    def __exit__(self, kind, *_):
        self.downloads.readers = []
        if kind:
            self.process.kill()
        said, _ = self.process.communicate(timeout=60)
        assert kind or (self.process.returncode == 0 and int(said) > 0), "a slow download ended"
        wait_until(lambda: downloading(self.downloads.field) == 0, 30, "the queries of readers that left to end", 0.1)


def count_queries(field, more=""):
    return field.postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%turn * 100000%' AND "
                                  f"pid <> pg_backend_pid() AND state = 'active' {more}", database="bench")[0][0]


def downloading(field):
    return count_queries(field)


def held(field):
    return count_queries(field, "AND wait_event = 'ClientWrite'")


def schedule(count):
    """Half of the requests are hits of one page, half of them ask the database for a row."""
    apart = 1e6 / API_RATE
    return [(int(place * apart), f"/bench/row/{1 + place % 10000}" if place % 2 else "/feeds?skip=0&limit=20")
            for place in range(count)]


def waits(downloads, address):
    """Milliseconds of each request of one slice, taken again while other work had the machine."""
    site = downloads.site
    for _ in range(TRIES):
        meter = Meter([site.field.postgres.process.pid, site.field.redis.process.pid, site.nginx.process.pid,
                       *site.pids, *downloads.pool.pids, *downloads.readers])
        answers = replay(site.field, address(site), 32, schedule(API_SECONDS * API_RATE))
        if meter.stop()[1] <= QUIET:
            break
    wrong = [each for each in answers if each.status != 200]
    assert not wrong, f"{len(wrong)} answers are not 200: {wrong[0]}"
    return [each.waited for each in answers]


KINDS = {"alone": "alone", "beside": f"beside {READERS} slow downloads", "floor": f"beside {READERS} bare COPYs (the floor)",
         "starting": "while the downloads all start at once"}


def measure_beside(readers, order, slices):
    """Adds to the slices of each way, once the readers have settled."""
    readers.settle()
    for way, address in order:
        slices[way].append(waits(readers.downloads, address))


def api_rounds(downloads, rounds):
    """{kind: {way: the waits of each slice}}; both ways are measured beside the same downloads."""
    found = {kind: {way: [] for way in WAYS} for kind in KINDS}
    for address in WAYS.values():
        waits(downloads, address)
    for number in range(rounds):
        order = list(WAYS.items())[::-1 if number % 2 else 1]
        for way, address in order:
            found["alone"][way].append(waits(downloads, address))
        with SlowReaders.of_downloads(downloads) as readers:
            if number % STARTS_EACH == 0:
                way, address = order[number // STARTS_EACH % len(order)]
                found["starting"][way].append(waits(downloads, address))
            measure_beside(readers, order, found["beside"])
        if number % FLOORS_EACH == 0:
            with SlowReaders.of_rows(downloads) as readers:
                measure_beside(readers, order, found["floor"])
    return found


def api_row(words, slices):
    """A percentile of all requests of all slices, and the spread of the slices' own."""
    return (words, *(text for percent in (50, 99) for text in (
        f"{percentile(chain.from_iterable(slices), percent):.2f}",
        Spread.of(percentile(waited, percent) for waited in slices).text())))


def measure_api(downloads, quick):
    rounds = QUICK_API_ROUNDS if quick else API_ROUNDS
    print(f"\nThe API at {API_RATE} requests a second, half hits and half queries; {rounds} rounds in turn of "
          f"{API_SECONDS} s without and {API_SECONDS} s beside\n{READERS} downloads of {RATE // 1024} KB/s each", flush=True)
    targets = []
    found = api_rounds(downloads, rounds)
    for way in WAYS:
        show_table([(way, "p50 ms", "of slices", "p99 ms", "of slices")] + [
            api_row(words, found[kind][way]) for kind, words in KINDS.items()])
        alone, beside, floor = (percentile(chain.from_iterable(found[kind][way]), 99) for kind in ("alone", "beside", "floor"))
        targets.append(Target(f"stream: p99 of the API {way} beside {READERS} downloads / alone", f"≤ {TAIL_MOST}",
                              f"{beside / alone:.2f} (floor {floor / alone:.2f})", beside / alone <= TAIL_MOST))
    return targets


def measure(field, quick):
    print("\nstream: downloads by a pool of their own")
    with Site(field, "stream") as site, Downloads(field, site) as downloads:
        found = measure_rate(downloads, quick)
        found += measure_twin(downloads, quick)
        found += measure_memory(downloads, quick)
        return found + measure_api(downloads, quick)
