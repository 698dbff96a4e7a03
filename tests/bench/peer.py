"""The peers: other ways to serve the page, each one process or a small group behind the same nginx."""

import os
import shutil
from dataclasses import dataclass

from support.process import Process
from support.waiting import wait_until

from .field import BENCH, TARGET, run
from .site import THREADS

PROCESSES = 2


@dataclass(frozen=True)
class Lane:
    """A way to the page: the virtual host of the bench's nginx, and the path there."""
    host: str
    target: str
    description: str


PEERS = ("floor_bytes", "floor_redis", "nginx_cache", "lua", "fastify", "fastapi")
LANES = {
    "larder": Lane("larder", TARGET, "larder-fcgi, from its own memory"),
    "larder_redis": Lane("larder", f"/redis{TARGET}", "larder-fcgi, from Redis (l1=off)"),
    "larder_nginx": Lane("larder", f"/public{TARGET}", "nginx, from what @nginx lets it keep"),
    "floor_bytes": Lane("floor_bytes", TARGET, "libfcgi in C that writes the same bytes"),
    "floor_redis": Lane("floor_redis", TARGET, "libfcgi in C that GETs them with hiredis"),
    "nginx_cache": Lane("nginx_cache", TARGET, "nginx's fastcgi_cache, set by hand, of the same bytes"),
    "lua": Lane("lua", TARGET, "nginx's Lua that GETs them, no responder"),
    "fastify": Lane("fastify", TARGET, f"Fastify, ioredis, pg; {PROCESSES} processes"),
    "fastapi": Lane("fastapi", TARGET, f"FastAPI, redis-py, asyncpg; {PROCESSES} uvicorn workers"),
}


class Peers:
    """Starts every peer beside `site`, checks that each gives what Larder gives, and stops them on leaving."""

    def __init__(self, field, site):
        self.field = field
        self.site = site
        self.processes = {}
        self.environment = field.environment() | {
            "BENCH_REDIS": field.redis.url, "BENCH_STATEMENT": field.statement_file(),
            "BENCH_PROCESSES": str(PROCESSES), "NODE_ENV": "production"}

    def __enter__(self):
        try:
            self.start_floors(self.site.get(TARGET))
            self.start_fastapi()
            self.start_fastify()
            self.etags = {name: self.check(name) for name in LANES}
            self.check_tiers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.stop()

    def start(self, name, command, **options):
        environment = self.environment | options.pop("env", {})
        log = f"{self.site.folder}/{name}.log"
        self.processes[name] = Process(name, command, log, env=environment, **options)

    def pids(self, name):
        """Of everything that serves the page this way; their children belong to it."""
        own = self.site.pids if name.startswith("larder") else []
        if name in self.processes:
            own = [self.processes[name].pid]
        return [self.site.nginx.process.pid, self.field.redis.process.pid, *own]

    def start_floors(self, page):
        """Plain libfcgi keeps a thread for each connection that a worker of nginx keeps: hence the many threads."""
        program = self.field.compile("peers/floor.c", ["fcgi", "hiredis"])
        threads = str(THREADS * (os.cpu_count() or 1))
        content = page["ETag"].encode() + page.body
        path, key = f"{self.site.folder}/page", "page:0:20"
        with open(path, "wb") as output:
            output.write(content)
        self.field.redis.client().set(key, content)
        self.start_floor("floor_bytes", [program, threads, "bytes", path])
        self.start_floor("floor_redis", [program, threads, "redis", "127.0.0.1", str(self.field.redis.port), key])

    def start_floor(self, name, command):
        self.start(name, ["spawn-fcgi", "-s", f"{self.site.sockets}/{name}.sock", "-M", "0666", "-n", "--", *command])

    def start_fastapi(self):
        self.start("fastapi", ["/usr/bin/python3", "-m", "uvicorn", "feeds:app", "--app-dir", f"{BENCH}/peers/fastapi",
                               "--uds", f"{self.site.sockets}/fastapi.sock", "--workers", str(PROCESSES),
                               "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
                               "--timeout-keep-alive", "75"])

    def start_fastify(self):
        folder = f"{self.field.work}/fastify"
        shutil.copytree(f"{BENCH}/peers/fastify", folder, dirs_exist_ok=True)
        print("Installing the Fastify peer with npm", flush=True)
        run(["npm", "ci", "--no-audit", "--no-fund"], f"{self.field.work}/npm.log", cwd=folder)
        self.start("fastify", ["node", "server.js"], cwd=folder,
                   env={"BENCH_SOCKET": f"{self.site.sockets}/fastify.sock"})

    def get(self, name, headers=None):
        return self.site.get(LANES[name].target, LANES[name].host, headers)

    def check(self, name):
        """The way's ETag; fails unless it gives Larder's data, its headers, and 304."""
        wait_until(lambda: self.get(name).status == 200, 30, f"{name} answering, see {self.site.folder}/{name}.log")
        answer, larder = self.get(name), self.get("larder")
        assert answer.json() == larder.json() and len(answer.json()) == 20, f"{name} gives other data: {answer}"
        assert answer["Content-Length"] == str(len(answer.body)), f"{name}: {answer}"
        assert answer["Cache-Control"] and answer["ETag"] and not answer["Content-Encoding"], f"{name}: {answer}"
        known = self.get(name, {"If-None-Match": answer["ETag"]})
        assert known.status == 304 and not known.body and known["ETag"] == answer["ETag"], f"{name}: {known}"
        assert self.get(name, {"If-None-Match": '"another"'}).status == 200, name
        return answer["ETag"]

    def check_tiers(self):
        """Each of Larder's ways is answered where it should be."""
        for name, detail in (("larder", "l1"), ("larder_redis", "redis")):
            told = wait_until(lambda name=name: hit_word(self.get(name)), 10, f"a hit of {name}")
            assert f"detail={detail}" in told, f"{name} is answered elsewhere: {told}"
        before = self.site.metrics().sum("larder_requests_total")
        self.get("larder_nginx")
        seen = self.site.metrics().sum("larder_requests_total") - before
        assert seen <= 1, "nginx keeps nothing of larder_nginx: Larder was asked"


def hit_word(answer):
    """Cache-Status when it says hit."""
    told = answer["Cache-Status"] or ""
    return told if told.startswith("larder; hit") else None
