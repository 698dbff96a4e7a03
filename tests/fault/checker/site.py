"""Two hosts over one PostgreSQL and one Redis, with writers, readers and the recovery that each fault ends with."""

import contextlib
import os
import subprocess
import sys
import time

import psycopg2

from support import fastcgi
from support.coherent import keep
from support.host import Host
from support.larderd import Larderd
from support.process import Process
from support.proxy import Proxy
from support.waiting import wait_until

from . import history, model

HERE = os.path.dirname(os.path.abspath(__file__))
WRITERS, READERS_EACH = 3, 2
PROMPT = 0.1  # seconds


def compile_reader(folder):
    program = f"{folder}/reader"
    command = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program,
               f"{HERE}/reader.c"]
    subprocess.run(command, check=True, timeout=60)
    return program


class Site:
    """`stack` is the first host (pools api and export: two processes). Entering starts the second, with a LARDER_RUN
    of its own, and larderd: each of these reaches Redis through a proxy. `traffic()` runs writers and readers."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = str(folder)
        self.redis, self.postgres = stack.redis, stack.postgres
        self.second_network, self.larderd_network = (Proxy(("127.0.0.1", stack.redis.port)) for _ in range(2))
        self.second = Host(stack, f"{self.folder}/second", self.second_network.redis)
        daemon_environment = stack.environment() | {"LARDER_REDIS": self.larderd_network.redis}
        self.larderd = Larderd(self.folder, "larderd", daemon_environment)
        self.sentinels = 0
        self.begin = self.end = 0

    def __enter__(self):
        self.stack.install()
        self.larderd.start()
        self.second.start()
        self.settled()
        return self

    def __exit__(self, *_):
        self.second.stop()
        self.larderd.stop()
        self.second_network.stop()
        self.larderd_network.stop()

    @property
    def pools(self):
        return [*self.stack.pools, *self.second.pools]

    # Traffic

    @contextlib.contextmanager
    def traffic(self, seconds, read_pace_us=1100, write_pace_ms=25):
        """Writers and readers run within the block, `seconds` at most."""
        os.makedirs(f"{self.folder}/logs")
        with open(f"{self.folder}/targets", "wb") as file:
            file.writelines(model.encode(each) for each in model.targets())
        self.begin = time.monotonic_ns()
        processes = [self.writer(number, write_pace_ms, seconds) for number in range(WRITERS)]
        processes.append(self.python("pulse", f"{self.folder}/logs/pulse", str(seconds)))
        reader = compile_reader(self.folder)
        for pool in self.pools * READERS_EACH:
            processes.append(self.reader(reader, pool, len(processes), read_pace_us, seconds))
        try:
            yield
        finally:
            statuses = [each.stop() for each in processes]
            self.end = time.monotonic_ns()
        assert not any(statuses), f"a writer or reader failed: {statuses}, see {self.folder}/errors"

    def writer(self, number, pace, seconds):
        server = self.postgres
        dsn = f"host={server.folder} port={server.port} dbname={self.stack.database} user=larder"
        return self.python("writer", dsn, f"{self.folder}/logs/writer-{number}", str(number), str(pace), str(seconds))

    def python(self, program, *arguments):
        return Process(program, [sys.executable, f"{HERE}/{program}.py", *arguments], f"{self.folder}/errors")

    def reader(self, program, pool, number, pace, seconds):
        command = [program, pool.socket, f"{self.folder}/targets", f"{self.folder}/logs/reader-{number}", str(number),
                   str(pace), str(seconds)]
        return Process("reader", command, f"{self.folder}/errors")

    def recorded(self):
        """So many reads until now."""
        return sum(os.path.getsize(path) for path in self.logs("reader")) // history.RECORD.size

    def wait_for_reads(self, count, deadline):
        wait_until(lambda: self.recorded() >= count, deadline, f"{count} reads", every=0.2)

    # What was recorded

    def logs(self, kind):
        folder = f"{self.folder}/logs"
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))
                if name.startswith(f"{kind}-")]

    def timelines(self):
        states = {}
        for path in self.logs("writer"):
            with open(path, encoding="ascii") as log:
                for line in log:
                    page, number, version, before, after, outcome, absent = line.split()
                    states.setdefault((page, int(number)), []).append(
                        history.State(int(version), int(before), int(after), outcome, absent == "1"))
        return {key: history.Timeline(each) for key, each in states.items()}

    def reads(self):
        """The reads of each reader."""
        for path in self.logs("reader"):
            with open(path, "rb") as log:
                yield history.unpack(log.read())

    def busy(self):
        """When the machine itself was late: (begin, end)."""
        with open(f"{self.folder}/logs/pulse", encoding="ascii") as log:
            return [tuple(int(word) for word in line.split()) for line in log]

    # Health

    def settled(self, deadline=20):
        """Waits until a change is told to every process at once: the whole chain works again."""
        wait_until(self.tells_at_once, deadline, "a change told at once")

    def tells_at_once(self):
        """Changes what every process keeps; does it show everywhere within the bound of good times?"""
        for pool in self.pools:
            keep(lambda: fastcgi.ask(pool.socket, "/sentinel", timeout=10))
        self.sentinels += 1
        self.write_sentinel()
        end = time.monotonic() + PROMPT
        for pool in self.pools:
            answer = fastcgi.ask(pool.socket, "/sentinel", timeout=10)
            while answer.json()["version"] != self.sentinels:
                if time.monotonic() > end:
                    return False
                answer = fastcgi.ask(pool.socket, "/sentinel", timeout=10)
        return True

    def write_sentinel(self):
        try:
            self.stack.sql("UPDATE sentinel SET version = %s", [self.sentinels])
        except psycopg2.Error as problem:
            raise AssertionError(str(problem)) from problem
