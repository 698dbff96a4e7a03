"""A like: what its client waits for when it is made later, and when the answer waits for the transaction."""

import itertools
import os
import re
import subprocess
import time
from dataclasses import dataclass
from statistics import median

from support.jobs import left
from support.larderd import Larderd
from support.process import Process
from support.stack import pack
from support.waiting import wait_until

from .replay import fastcgi, http, percentile
from .report import Spread, Target, show_table
from .site import THREADS
from .triggers import durable

# When the queue's Redis has what it said yes to on its disk. A Redis that is killed loses nothing either way; a machine
# that loses its power loses a second of the second.
DISK = {"always": "on the disk at once", "everysec": "on the disk within a second"}
SOCKET, NGINX = "at Larder's socket", "through nginx"
PLACES = (SOCKET, NGINX)
CASES = tuple(itertools.product(DISK, PLACES))
LATER, NOW, FLOOR = "the job", "the transaction", "the floor"
WAYS = (LATER, NOW, FLOOR)
FLOOR_TARGET = "/bench/like"
BLOCKS, ROUNDS, QUICK_BLOCKS, QUICK_ROUNDS = 5, 200, 1, 60
CROWDS, CROWD_LIKES, QUICK_CROWDS, QUICK_CROWD_LIKES = 5, 4000, 1, 1000
CLIENTS = 32
WAIT = 120
TARGET = "jobs: a like's answer / the transaction's, p50"
MOST = 0.25
NEW_LEAST = 0.9  # of the likes; the pack's own data has some of them already


def route(path, later):
    """The social pack's like, by anybody whom the body names; as a job, or made before the answer."""
    with open(f"{pack('social')}/routes/like.sql", encoding="utf-8") as file:
        text = re.sub(r"^-- @(auth|limit) .*\n", "", file.read(), flags=re.MULTILINE)
    text = text.replace(":auth.sub", ":liker").replace("/feeds/{id}/like", path)
    assert path in text and ":liker" in text and "\n-- @async" in text, "the pack's like.sql is not as it was"
    return text if later else re.sub(r"^-- @async.*\n", "", text, flags=re.MULTILINE)


def routes():
    return {"like": route("/bench/like", True), "like_now": route("/bench/like-now", False)}


class Floor:
    """libfcgi and hiredis alone: the request's body into a stream beside the jobs', with one XADD of a job's fields.

    A thread has a connection for as long as it is kept: nginx' are, while others come straight to the socket.
    """

    def __init__(self, field, site, store):
        threads = THREADS * (os.cpu_count() or 1) + 2 * CLIENTS
        command = [field.compile("peers/floor.c", ["fcgi", "hiredis"]), str(threads), "file", "127.0.0.1",
                   str(store.queue.port), "floor:jobs"]
        self.socket = f"{site.sockets}/floor_jobs.sock"
        self.process = Process("floor_jobs", ["spawn-fcgi", "-s", self.socket, "-M", "0666", "-n", "--", *command],
                               f"{site.folder}/floor_jobs.log")
        wait_until(lambda: os.path.exists(self.socket), 30, "the floor")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()


@dataclass
class Crowd:
    """What came of likes that many clients gave at once."""
    waits: list  # ms
    rate: float  # answers a second
    waiting: int  # jobs in the queue when the last was answered
    made: float  # likes made a second, from the first one's sending to the last one's making


class Likes:
    """Ways to give likes, none of which has been given before: who likes a feed again writes nothing."""

    def __init__(self, field, site, store, least):
        self.field, self.store = field, store
        self.sizes = self.execute("SELECT (SELECT count(*) FROM social.feeds), (SELECT count(*) FROM social.users)")[0]
        self.next = 0
        self.addresses = {SOCKET: (fastcgi(site), f"fastcgi:{least.socket}"),
                          NGINX: (http(site), f"{http(site)}:floor_jobs")}

    def execute(self, statement):
        return self.field.postgres.execute(statement, database="bench")

    def ways(self, place):
        """{way: (address, target)}"""
        own, other = self.addresses[place]
        return {LATER: (own, "/bench/like"), NOW: (own, "/bench/like-now"), FLOOR: (other, FLOOR_TARGET)}

    def draw(self, count):
        """The first of so many likes."""
        self.next += count
        return self.next - count

    def count(self):
        return self.execute("SELECT count(*) FROM social.likes")[0][0]

    def run(self, program, *words):
        done = subprocess.run([self.field.compile(program), *(str(word) for word in words)], capture_output=True,
                              text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]

    def settled(self):
        wait_until(lambda: left(self.store) == 0, WAIT, "all likes made", every=0.01)

    def turns(self, place, rounds):
        """Of each way the milliseconds of all rounds, each like from rest."""
        ways = [" ".join(way) for way in self.ways(place).values()]
        before = self.count()
        rows = self.run("timing/turns.c", rounds, *self.sizes, self.draw(len(ways) * rounds), *ways)
        self.settled()
        self.check(self.count() - before, 2 * rounds)
        return dict(zip(WAYS, ([time / 1e6 for time in row] for row in zip(*rows, strict=True)), strict=True))

    def crowd(self, place, way, count):
        address, target = self.ways(place)[way]
        before, begin = self.count(), time.monotonic()
        rows = self.run("timing/crowd.c", address, target, CLIENTS, count, *self.sizes, self.draw(count))
        waiting, end = left(self.store), time.monotonic()
        self.settled()
        lasted = rows[-1][0] / 1e9
        made = count / (lasted + time.monotonic() - end)
        assert end - begin < WAIT
        if way != FLOOR:
            self.check(self.count() - before, count)
        return Crowd([wait / 1e6 for _, wait in rows], count / lasted, waiting, made)

    @staticmethod
    def check(made, count):
        assert made >= NEW_LEAST * count, f"of {count} likes {made} were new"


def measure_turns(likes, blocks, rounds):
    """Each from rest."""
    found = {case: {way: [] for way in WAYS} for case in CASES}
    for number in range(blocks + 1):
        for when, place in CASES[::1 if number % 2 else -1]:
            likes.store.sync(when)
            for way, times in likes.turns(place, rounds if number else rounds // 4).items():
                found[when, place][way] += times if number else []
    rows, targets = [("the job", "its answer, p50 ms", "p99 ms", "the transaction's, p50 ms", "p99 ms",
                      "of the medians", "the floor's, p50 ms", "p99 ms", "of the medians")], []
    for (when, place), times in found.items():
        middle = {way: median(times[way]) for way in WAYS}
        later, now, floor = ([f"{middle[way]:.2f}", f"{percentile(times[way], 99):.2f}"] for way in WAYS)
        ratio = middle[LATER] / middle[NOW]
        rows.append((f"{DISK[when]}, {place}", *later, *now, f"{ratio:.2f}", *floor,
                     f"{middle[FLOOR] / middle[NOW]:.2f}"))
        targets.append(Target(f"{TARGET}, from rest, {rows[-1][0]}", f"≤ {MOST}", f"{ratio:.2f}", ratio <= MOST))
    print(f"\nA like, {blocks * rounds:,} rounds in turn, each from rest; commits are on the disk. The floor is "
          "libfcgi and hiredis in C:\nit puts the same body in a stream with one XADD, and answers as many bytes")
    show_table(rows)
    return targets


def crowd_row(name, seen):
    """One case: of the ways' runs the medians over the rounds."""
    row = [name]
    for way in WAYS:
        row += [f"{median(percentile(each.waits, part) for each in seen[way]):.1f}" for part in (50, 99)]
        row += [f"{median(each.rate for each in seen[way]):,.0f}"]
    later = seen[LATER]
    return row + [f"{median(each.waiting for each in later):,.0f}", f"{median(each.made for each in later):,.0f}"]


def measure_crowds(likes, rounds, count):
    """Many at once."""
    found = {case: {way: [] for way in WAYS} for case in CASES}
    for number in range(rounds + 1):
        for when, place in CASES[::1 if number % 2 else -1]:
            likes.store.sync(when)
            for way in WAYS[number % len(WAYS):] + WAYS[:number % len(WAYS)]:
                seen = likes.crowd(place, way, count if number else count // 4)
                found[when, place][way] += [seen] if number else []
    rows, targets = [("the job", *(f"{way} {what}" for way in ("answer", "transaction", "floor")
                                   for what in ("p50 ms", "p99", "/s")), "jobs left", "made a second")], []
    for (when, place), seen in found.items():
        name = f"{DISK[when]}, {place}"
        rows.append(crowd_row(name, seen))
        ratio = Spread.of_ratios(*([median(each.waits) for each in seen[way]] for way in (LATER, NOW)))
        targets.append(Target(f"{TARGET}, {CLIENTS} at once, {name}", f"≤ {MOST}", ratio.text(), ratio.middle <= MOST))
    print(f"\n{count:,} likes of {CLIENTS} clients at once, each its next as soon as its last is answered, "
          f"{rounds} rounds in turn;\ncommits are on the disk. larderd makes the jobs meanwhile, on the same "
          "processors, and goes on with those left at the end")
    show_table(rows)
    return targets


def measure(field, site, store, least, quick):
    likes = Likes(field, site, store, least)
    worker = Larderd(site.sockets, "liker", site.environment() | {"LARDER_WORKERS": "4"})
    worker.start()
    try:
        with durable(field):
            field.settle()
            found = measure_turns(likes, *((QUICK_BLOCKS, QUICK_ROUNDS) if quick else (BLOCKS, ROUNDS)))
            return found + measure_crowds(likes, *((QUICK_CROWDS, QUICK_CROWD_LIKES) if quick else
                                                   (CROWDS, CROWD_LIKES)))
    finally:
        worker.stop()
