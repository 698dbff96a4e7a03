"""Jobs: what filing costs beside a page from Redis, how fast they are made, and what a client no longer waits for."""

import itertools
import re
import shutil
import subprocess
from contextlib import nullcontext
from statistics import median

from support.jobs import left
from support.larderd import Larderd
from support.poster import Poster
from support.redis_server import Redis
from support.stack import QUEUE, pack
from support.waiting import wait_until

from . import wrk
from .replay import fastcgi, http, percentile
from .report import Spread, Target, show_table
from .site import Site
from .triggers import durable
from .usage import Meter

PAGE = "/redis/feeds?skip=0&limit=20"
ROUTES = {"job": "-- @http POST /bench/jobs\n-- @param number int\n-- @result none\n-- @async\n"
                 "INSERT INTO bench.jobs (number) VALUES (:number)\n"}
SECONDS, ROUNDS, QUICK_SECONDS, QUICK_ROUNDS = 2, 7, 1, 2
JOBS, QUICK_JOBS = 60000, 3000
LIKES, QUICK_LIKES = 1000, 200
WAIT = 120
FILING_LEAST, JOBS_LEAST, LIKE_MOST = 0.8, 5000, 0.25


# When the queue's Redis has what it said yes to on its disk. A Redis that is killed loses nothing either way; a machine
# that loses its power loses a second of the second.
DISK = {"always": "on the disk at once", "everysec": "on the disk within a second"}


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


def like(path, later):
    """The social pack's like, by anybody whom the body names; as a job, or made before the answer."""
    with open(f"{pack('social')}/routes/like.sql", encoding="utf-8") as route:
        text = re.sub(r"^-- @(auth|limit) .*\n", "", route.read(), flags=re.MULTILINE)
    text = text.replace(":auth.sub", ":liker").replace("/feeds/{id}/like", path)
    assert path in text and ":liker" in text and "\n-- @async" in text, "the pack's like.sql is not as it was"
    return text if later else re.sub(r"^-- @async.*\n", "", text, flags=re.MULTILINE)


def routes(field):
    folder = f"{field.work}/job-routes"
    shutil.copytree(field.routes(), folder)
    likes = {"like": like("/bench/like", True), "like_now": like("/bench/like-now", False)}
    for name, text in (ROUTES | likes).items():
        with open(f"{folder}/{name}.sql", "w", encoding="utf-8") as output:
            output.write(text)
    return folder


# Filing

def take_slice(site, store, target, seconds, body=None):
    meter = Meter(site.pids + [site.nginx.process.pid, site.field.redis.process.pid, store.queue.process.pid])
    seen = wrk.measure(site.url(target), seconds, {"Host": "larder"}, body)
    seen.cost = meter.stop()[0] / seen.requests * 1e6
    assert seen.errors == 0, f"{seen.errors} requests to {target} failed"
    return seen


def measure_filing(site, store, seconds, rounds):
    lanes = {"a page from Redis": (PAGE, None, "always")} | {
        f"a job filed, {name}": ("/bench/jobs", '{"number":1}', when) for when, name in DISK.items()}
    slices = {name: [] for name in lanes}
    for number in range(rounds + 1):
        for name, (target, body, when) in list(lanes.items())[::1 if number % 2 == 0 else -1]:
            store.sync(when)
            seen = take_slice(site, store, target, seconds if number else 1, body)
            slices[name] += [seen] if number else []
            store.queue.client().flushall()
    store.sync("always")
    page = slices["a page from Redis"]
    rows = [("", "requests/s", "CPU a request, × the page's", "p50 ms", "p99 ms")]
    for name, row in slices.items():
        rows.append((name, Spread.of(each.rate for each in row).text("{:,.0f}"),
                     Spread.of_ratios((each.cost for each in row), (each.cost for each in page)).text(),
                     Spread.of(each.p50 for each in row).text(), Spread.of(each.p99 for each in row).text()))
    print(f"\nwrk with {wrk.CONNECTIONS} connections through nginx, {rounds} rounds in turn; nobody makes the jobs "
          "meanwhile")
    show_table(rows)
    found = []
    for name in DISK.values():
        ratio = Spread.of_ratios((each.rate for each in slices[f"a job filed, {name}"]), (each.rate for each in page))
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


# Likes

def turns(field, address, rounds):
    """Of each way the milliseconds of all rounds."""
    sizes = field.postgres.execute("SELECT (SELECT count(*) FROM social.feeds), (SELECT count(*) FROM social.users)",
                                   database="bench")[0]
    words = [field.compile("timing/turns.c"), rounds, *sizes, address, "/bench/like", "/bench/like-now"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [tuple(int(word) / 1e6 for word in line.split()) for line in done.stdout.splitlines()]
    return list(zip(*rows, strict=True))


def measure_likes(field, site, store, rounds):
    places = {"asked at Larder's socket": fastcgi(site), "through nginx": http(site)}
    worker = Larderd(site.sockets, "liker", site.environment() | {"LARDER_WORKERS": "4"})
    worker.start()
    rows, found = [("the job", "its answer, p50 ms", "p99 ms", "the transaction's, p50 ms", "p99 ms", "of the medians")], []
    try:
        with durable(field):
            for when, place in itertools.product(DISK, places):
                store.sync(when)
                later, at_once = turns(field, places[place], rounds)
                ratio = median(later) / median(at_once)
                rows.append((f"{DISK[when]}, {place}", *(f"{value:.2f}" for way in (later, at_once)
                                                         for value in (median(way), percentile(way, 99))),
                             f"{ratio:.2f}"))
                found.append(Target(f"jobs: a like's answer / the transaction's, p50, {rows[-1][0]}",
                                    f"≤ {LIKE_MOST}", f"{ratio:.2f}", ratio <= LIKE_MOST))
            wait_until(lambda: left(store) == 0, WAIT, "all likes made")
    finally:
        worker.stop()
    print(f"\nA like, {rounds:,} rounds in turn, each from rest; commits are on the disk")
    show_table(rows)
    return found


def measure(field, quick):
    seconds, rounds, jobs, likes = ((QUICK_SECONDS, QUICK_ROUNDS, QUICK_JOBS, QUICK_LIKES) if quick else
                                    (SECONDS, ROUNDS, JOBS, LIKES))
    print("\njobs: one responder, a Redis for the jobs, and larderd", flush=True)
    with Queue(field) as store:
        settings = {"LARDER_ROUTES": routes(field), "LARDER_QUEUE": store.queue.url, "LARDER_WORKERS": "0"}
        with Site(field, "jobs", settings) as site:
            found = measure_filing(site, store, seconds, rounds)
            found += measure_making(field, site, store, jobs)
            return found + measure_likes(field, site, store, likes)
