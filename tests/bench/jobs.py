"""Jobs: what filing costs beside a page from Redis, how fast they are made, and what a client no longer waits for."""

import shutil
from contextlib import nullcontext

from support.jobs import left
from support.larderd import Larderd
from support.poster import Poster
from support.redis_server import Redis
from support.stack import QUEUE
from support.waiting import wait_until

from . import likes, wrk
from .likes import DISK
from .report import Spread, Target, show_table
from .site import Site
from .triggers import durable
from .usage import Meter

PAGE = "/redis/feeds?skip=0&limit=20"
ROUTES = {"job": "-- @http POST /bench/jobs\n-- @param number int\n-- @result none\n-- @async\n"
                 "INSERT INTO bench.jobs (number) VALUES (:number)\n"}
BODY = '{"number":1}'
SECONDS, ROUNDS, QUICK_SECONDS, QUICK_ROUNDS = 2, 7, 1, 2
JOBS, QUICK_JOBS = 60000, 3000
WAIT = 120
FILING_LEAST, JOBS_LEAST = 0.8, 5000


class Queue:
    """A Redis for jobs."""

    def __init__(self, field):
        self.queue = Redis(f"{field.work}/queue", QUEUE | {"appendfsync": "always"})

    def sync(self, when):
        self.queue.client().config_set("appendfsync", when)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.queue.stop()


def routes(field):
    folder = f"{field.work}/job-routes"
    shutil.copytree(field.routes(), folder)
    for name, text in (ROUTES | likes.routes()).items():
        with open(f"{folder}/{name}.sql", "w", encoding="utf-8") as output:
            output.write(text)
    return folder


# Filing

def take_slice(site, store, least, lane, seconds):
    host, target, body, _ = lane
    meter = Meter(site.pids + [process.pid for process in (site.nginx.process, least.process, site.field.redis.process,
                                                           store.queue.process)])
    seen = wrk.measure(site.url(target), seconds, {"Host": host}, body)
    seen.cost = meter.stop()[0] / seen.requests * 1e6
    assert seen.errors == 0, f"{seen.errors} requests to {target} failed"
    return seen


def rates(row, other):
    return Spread.of_ratios((each.rate for each in row), (each.rate for each in other))


def lanes_of():
    """Host, target, body, and when Redis syncs."""
    lanes = {"a page from Redis": ("larder", PAGE, None, "always")}
    for when, name in DISK.items():
        lanes[f"a job filed, {name}"] = ("larder", "/bench/jobs", BODY, when)
        lanes[f"the floor, {name}"] = ("floor_jobs", likes.FLOOR_TARGET, BODY, when)
    return lanes


def measure_filing(site, store, least, seconds, rounds):
    lanes = lanes_of()
    slices = {name: [] for name in lanes}
    for number in range(rounds + 1):
        for name, lane in list(lanes.items())[::1 if number % 2 == 0 else -1]:
            store.sync(lane[-1])
            seen = take_slice(site, store, least, lane, seconds if number else 1)
            slices[name] += [seen] if number else []
            store.queue.client().flushall()
    store.sync("always")
    page = slices["a page from Redis"]
    rows = [("", "requests/s", "of the page's", "CPU a request, × the page's", "p50 ms", "p99 ms")]
    for name, row in slices.items():
        rows.append((name, Spread.of(each.rate for each in row).text("{:,.0f}"), rates(row, page).text(),
                     Spread.of_ratios((each.cost for each in row), (each.cost for each in page)).text(),
                     Spread.of(each.p50 for each in row).text(), Spread.of(each.p99 for each in row).text()))
    print(f"\nwrk with {wrk.CONNECTIONS} connections through nginx, {rounds} rounds in turn; nobody makes the jobs "
          "meanwhile.\nThe floor is libfcgi and hiredis in C: one XADD a request, nothing looked up, nothing checked")
    show_table(rows)
    found = []
    for name in DISK.values():
        filed, floor = slices[f"a job filed, {name}"], slices[f"the floor, {name}"]
        ratio = rates(filed, page)
        print(f"  filed / the floor, by rate, {name}: {rates(filed, floor).text()}")
        found.append(Target(f"jobs: filed / pages from Redis, by rate, {name}", f"≥ {FILING_LEAST}", ratio.text(),
                            ratio.middle >= FILING_LEAST))
    return found


# Making

def times_of(store, paths):
    """Of every job when it was begun and ended, in µs."""
    queue = store.queue.client().pipeline(transaction=False)
    for path in paths:
        queue.hmget(f"larder:q:j:{path.removeprefix('/jobs/')}", "s", "b", "e")
    found = queue.execute()
    assert {state for state, _, _ in found} == {b"done"}, "not every job was done"
    return [int(begun) for _, begun, _ in found], [int(end) for _, _, end in found]


def make(field, site, store, count):
    """Of one larderd that finds all of them filed: jobs a second, and what one costs everybody in µs of CPU."""
    with Poster(site.responder.socket, "/bench/jobs", count, connections=32, seconds=WAIT) as poster:
        filed = poster.filed()
    worker = Larderd(site.sockets, "worker", site.environment() | {"LARDER_WORKERS": "4"})
    worker.start()
    meter = Meter([worker.process.pid, store.queue.process.pid, field.postgres.process.pid])
    try:
        wait_until(lambda: left(store) == 0, WAIT, "all jobs done", every=0.1)
        cost = meter.stop()[0] / count * 1e6
    finally:
        worker.stop()
    begun, over = times_of(store, [path for _, path in filed.values()])
    store.queue.client().flushall()
    return count / (max(over) - min(begun)) * 1e6, cost


def measure_making(field, site, store, count):
    rows, found = [("", "jobs a second", "CPU µs a job, of larderd, Redis and PostgreSQL")], []
    for disk in (True, False):
        field.postgres.execute("TRUNCATE bench.jobs", database="bench")
        with durable(field) if disk else nullcontext():
            rate, cost = make(field, site, store, count)
        made = field.postgres.execute("SELECT count(*) FROM bench.jobs", database="bench")
        assert made == [(count,)], f"{made[0][0]} of {count} jobs were made"
        rows.append(("commits on the disk" if disk else "no disk waited for", f"{rate:,.0f}", f"{cost:.0f}"))
        if disk:
            found.append(Target("jobs: simple ones made a second by one larderd", f"≥ {JOBS_LEAST:,}", f"{rate:,.0f}",
                                rate >= JOBS_LEAST))
    print(f"\n{count:,} jobs of one INSERT, made by one larderd of 4 workers that finds them filed")
    show_table(rows)
    return found


def measure(field, quick):
    seconds, rounds, jobs = ((QUICK_SECONDS, QUICK_ROUNDS, QUICK_JOBS) if quick else (SECONDS, ROUNDS, JOBS))
    print("\njobs: one responder, a Redis for the jobs, and larderd", flush=True)
    with Queue(field) as store:
        settings = {"LARDER_ROUTES": routes(field), "LARDER_QUEUE": store.queue.url, "LARDER_WORKERS": "0"}
        with Site(field, "jobs", settings) as site, likes.Floor(field, site, store) as least:
            found = measure_filing(site, store, least, seconds, rounds)
            found += measure_making(field, site, store, jobs)
            return found + likes.measure(field, site, store, least, quick)
