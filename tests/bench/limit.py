"""Counting requests against their limits: what it costs Redis, what it adds to a hit, and what a refusal costs."""

import hashlib
import shlex
import subprocess

from support import fastcgi

from . import wrk
from .report import Spread, Target, show_table
from .site import Site
from .usage import Meter, process_seconds

CALLS, QUICK_CALLS = 200_000, 20_000
ROUNDS, QUICK_ROUNDS = 7, 2
SECONDS, QUICK_SECONDS = 3, 1
CLIENTS, PIPELINE, NAMES = 4, 8, 100_000  # as a few fronts under load send them, for so many addresses
LEAST = 20_000
LIMITED, COUNTED, PLAIN = "/limited/1", "/counted/1", "/plain/1"

# Interval and largest debt in µs: all pass; all but the first of each name are refused.
PASSED, REFUSED = ("1000", "1000000000"), ("1000000000", "1000000000")


def decision_script(site):
    """The text that Larder sends to a Redis that does not know it yet, seen by MONITOR."""
    client = site.field.redis.client()
    client.script_flush()
    with client.monitor() as monitor:
        assert fastcgi.ask(site.responder.socket, COUNTED).status == 200
        while True:
            told = monitor.connection.read_response().decode()
            words = shlex.split(told.partition("] ")[2])
            if words[0] == "EVAL" and ":r:" in words[3]:
                return words[1].encode().decode("unicode_escape")


def redis_time(redis, words, calls):
    """Microseconds of Redis' processor time that one of so many calls takes."""
    before = process_seconds(redis.process.pid)[1]
    done = subprocess.run(["redis-benchmark", "-p", str(redis.port), "-n", str(calls), "-c", str(CLIENTS),
                           "-P", str(PIPELINE), "-r", str(NAMES), "-q", *words],
                          capture_output=True, text=True, check=True, timeout=300)
    assert "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    return (process_seconds(redis.process.pid)[1] - before) / calls * 1e6


def measure_redis(site, calls, rounds):
    """Decisions beside plain GETs of the same names, in turn; of each the processor time of Redis."""
    redis, name = site.field.redis, "bench:r:__rand_int__"
    digest = hashlib.sha1(script := decision_script(site).encode()).hexdigest()
    assert redis.client().script_load(script.decode()) == digest
    lanes = {"passed": ("EVALSHA", digest, "1", name, *PASSED), "GET": ("GET", name),
             "refused": ("EVALSHA", digest, "1", name.replace(":r:", ":full:"), *REFUSED)}
    for words in lanes.values():
        redis_time(redis, words, calls)
    taken = {lane: [] for lane in lanes}
    for _ in range(rounds):
        for lane, words in lanes.items():
            taken[lane].append(redis_time(redis, words, calls))
    rows = [("", "calls a second of one core", "time of a GET ×")]
    for lane, times in taken.items():
        rows.append((lane if lane == "GET" else f"decision, {lane}",
                     Spread.of(1e6 / each for each in times).text("{:,.0f}"),
                     Spread.of_ratios(times, taken["GET"]).text()))
    show_table(rows)
    least = Spread.of(1e6 / each for each in taken["passed"])
    return [Target("limit: decisions a second of one Redis core", f"≥ {LEAST:,}", least.text("{:,.0f}"),
                   least.middle >= LEAST)]


def take_slice(site, target, seconds):
    meter = Meter(site.pids + [site.nginx.process.pid, site.field.redis.process.pid])
    seen = wrk.measure(site.url(target), seconds, {"Host": "larder"})
    seen.cost = meter.stop()[0] / seen.requests * 1e6
    return seen


def refusals(site):
    seen = site.metrics()
    return [seen.sum(f"larder_{name}_total") for name in ("limit_refused", "queries", "limit_decisions")]


def measure_clients(site, seconds, rounds):
    """A kept page as it is, counted, and over its limit, in turn, through nginx."""
    for target in (PLAIN, COUNTED, LIMITED):
        wrk.measure(site.url(target), 1, {"Host": "larder"})
    slices = {target: [] for target in (PLAIN, COUNTED, LIMITED)}
    queried = asked = refused = 0
    for _ in range(rounds):
        for target, row in slices.items():
            before = refusals(site)
            row.append(take_slice(site, target, seconds))
            if target == LIMITED:
                more, queries, decisions = (now - then for now, then in zip(refusals(site), before, strict=True))
                assert more >= row[-1].requests, "a request over the limit was answered"
                refused, queried, asked = refused + more, queried + queries, asked + decisions
    rows = [("", "requests/s", "CPU a request, × uncounted", "p99 ms")]
    for name, target in (("kept page, uncounted", PLAIN), ("counted", COUNTED), ("over the limit", LIMITED)):
        row = slices[target]
        rows.append((name, Spread.of(each.rate for each in row).text("{:,.0f}"),
                     Spread.of_ratios((each.cost for each in row), (each.cost for each in slices[PLAIN])).text(),
                     Spread.of(each.p99 for each in row).text()))
    show_table(rows)
    return [Target(f"limit: queries for {refused:,.0f} requests over the limit", "0", f"{queried:.0f}", queried == 0),
            Target("limit: round trips to Redis for them", "0", f"{asked:.0f}", asked == 0)]


def measure(field, quick):
    calls, rounds, seconds = ((QUICK_CALLS, QUICK_ROUNDS, QUICK_SECONDS) if quick else (CALLS, ROUNDS, SECONDS))
    print(f"\nlimit: {rounds} rounds in turn of {calls:,} calls by {CLIENTS} clients, {PIPELINE} at a time, for "
          f"{NAMES:,} names,\nby the processor time of Redis; then wrk with {wrk.CONNECTIONS} connections for {seconds} s "
          "at each", flush=True)
    with Site(field, "limit") as site:
        found = measure_redis(site, calls, rounds)
        print()
        return found + measure_clients(site, seconds, rounds)
