"""A whole Larder on loopback: database, Redis, responders and nginx, made for one test or one file of tests."""

import os
import secrets
import shutil
import subprocess
import sys

from . import client, fastcgi
from .larderd import Larderd
from .metrics import Metrics
from .network import free_port
from .nginx import Nginx
from .paths import TOP, program
from .proxy import Proxy
from .redis_server import Redis
from .responder import Responder
from .waiting import wait_until

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                  "LSAN_OPTIONS", "LARDER_TEST_RUN")


def clean_environment():
    """Nothing of the caller's PG* or LARDER_* settings may reach a program under test."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}


# For tests of the tier in Redis alone: no answer from memory, and none bounded by the guard, which would need larderd.
REDIS_TIER = {"LARDER_L1": "0", "LARDER_GUARD_TTL": "10m"}

# Of the Redis that holds jobs: with "everysec" it may say yes before it has written, while the disk is slow.
QUEUE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class Stack:
    """Starts on entering, stops everything on leaving.

    routes: {file name: text}, or a folder to copy. schema: SQL run in a fresh database as the role `larder`;
    `database` names an existing one instead. env: LARDER_* (and PG*) on top of the usual ones, to which `usual` adds;
    None removes one.
    redis: True, False, or a dict of redis.conf's options. queue: the same for the Redis of the jobs, a server of its
    own that forgets nothing. redis_proxy, queue_proxy, database_proxy: put a Proxy between, found as attributes of
    these names. export: starts that pool as well; without it the api pool sends downloads too. install: runs `larder
    install` on the routes first. larderd: True or how many; `self.larderd` is the first, `self.larderds` are all.
    module: the database has the functions of the module for PostgreSQL, which `postgres` has to have loaded.
    """

    def __init__(self, folder, postgres, routes, *, schema="", database=None, env=None, processes=1, nginx=True,
                 nginx_workers=1, redis=True, redis_proxy=False, queue=False, queue_proxy=False, database_proxy=False,
                 export=False, ready=True, install=False, larderd=False, module=False, usual=None):
        self.folder = str(folder)
        self.run = f"{self.folder}/run"
        self.postgres = postgres
        self.routes = f"{self.folder}/routes"
        self.schema, self.database, self.own_database = schema, database, database is None
        self.usual, self.overrides = usual or {}, env or {}
        self.processes, self.export, self.ready = processes, export, ready
        self.want = {"nginx": nginx, "redis": redis, "redis_proxy": redis_proxy, "database_proxy": database_proxy,
                     "queue": queue, "queue_proxy": queue_proxy}
        self.nginx_workers, self.nginx_port = nginx_workers, free_port()
        self.nginx_secret = secrets.token_hex(16)
        self.redis = self.redis_proxy = self.queue = self.queue_proxy = self.database_proxy = None
        self.nginx = self.api = None
        self.want |= {"install": install, "larderds": int(larderd), "module": module}
        self.pools, self.larderds = [], []
        os.makedirs(self.folder)
        os.makedirs(self.run)
        self.write_routes(routes)
        with open(self.nginx_secret_file, "w", encoding="utf-8") as secret:
            secret.write(f"{self.nginx_secret} yes;\n")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.show_logs()
            self.stop(quietly=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop(quietly=kind is not None)

    # Starting and stopping

    def start(self):
        self.start_database()
        self.start_redis()
        self.start_queue()
        if self.want["install"]:
            self.install()
        for number in range(self.want["larderds"]):
            self.start_larderd(f"larderd{number + 1}")
        self.pools = [Responder(self.run, name, self.environment(), self.processes)
                      for name in (["api", "export"] if self.export else ["api"])]
        self.api = self.pools[0]
        for pool in self.pools:
            pool.start()
        if not self.export:
            os.symlink("api.sock", f"{self.run}/export.sock")
        if self.want["nginx"]:
            self.nginx = Nginx(f"{self.folder}/nginx", self.run, self.nginx_workers, port=self.nginx_port,
                               secret_file=self.nginx_secret_file)
        if self.ready:
            self.wait_ready()

    def start_database(self):
        if self.own_database:
            self.database = self.postgres.create_database()
        if self.want["module"]:
            self.postgres.create_module(self.database)
        if self.schema:
            self.sql(self.schema)
        if self.want["database_proxy"]:
            self.database_proxy = Proxy(("127.0.0.1", self.postgres.port))

    def start_redis(self):
        wanted = self.want["redis"]
        if wanted:
            self.redis = Redis(f"{self.folder}/redis", wanted if isinstance(wanted, dict) else None)
        if self.want["redis_proxy"]:
            self.redis_proxy = Proxy(("127.0.0.1", self.redis.port))

    def start_queue(self):
        wanted = self.want["queue"]
        if wanted:
            self.queue = Redis(f"{self.folder}/queue", QUEUE | (wanted if isinstance(wanted, dict) else {}))
        if self.want["queue_proxy"]:
            self.queue_proxy = Proxy(("127.0.0.1", self.queue.port))

    def install(self):
        """`larder install`: the outbox, and the triggers of what the routes read."""
        done = subprocess.run([program("larder"), "install"], env=self.environment(), capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def start_larderd(self, name="larderd1", environment=None):
        """One larderd more; it ends with the stack."""
        daemon = Larderd(self.run, name, self.environment() | (environment or {}))
        daemon.start()
        self.larderds.append(daemon)
        return daemon

    @property
    def larderd(self):
        return self.larderds[0]

    def environment(self):
        """What larder-fcgi, larderd and larder are started with."""
        settings = clean_environment() | self.postgres.environment
        settings |= {"PGDATABASE": self.database, "LARDER_ROUTES": self.routes, "LARDER_RUN": self.run,
                     "LARDER_THREADS": "8", "LARDER_LOG_LEVEL": "info"} | self.usual
        if self.database_proxy:
            settings |= {"PGHOST": "127.0.0.1", "PGPORT": str(self.database_proxy.port)}
        if self.want["nginx"]:
            settings |= {"LARDER_NGINX": f"http://127.0.0.1:{self.nginx_port}",
                         "LARDER_NGINX_SECRET_FILE": self.nginx_secret_file}
        if self.redis:
            port = self.redis_proxy.port if self.redis_proxy else self.redis.port
            settings["LARDER_REDIS"] = f"redis://127.0.0.1:{port}/0"
        if self.queue:
            port = self.queue_proxy.port if self.queue_proxy else self.queue.port
            settings["LARDER_QUEUE"] = f"redis://127.0.0.1:{port}/0"
        overrides = {name: value.format(stack=self) if value else value for name, value in self.overrides.items()}
        return {name: value for name, value in (settings | overrides).items() if value is not None}

    @property
    def nginx_secret_file(self):
        return f"{self.folder}/nginx-secret.conf"

    def wait_ready(self, told=True):
        wait_until(self.healthy, 60, "larder-fcgi answering")
        for pool in self.pools if told else []:
            pool.wait_told()

    def healthy(self):
        if not self.api.running():
            raise RuntimeError(f"larder-fcgi ended: {self.log_text()[-1500:]}")
        return fastcgi.ask(self.api.socket, "/_larder/health", timeout=10).status == 200

    def restart(self, told=True):
        """Stops and starts the responders, with the same database and Redis. Unless `told`, PostgreSQL lets nobody in whom
        it could tell of the routes."""
        for pool in self.pools:
            pool.stop()
            if os.path.exists(pool.socket):
                os.unlink(pool.socket)
            pool.environment = self.environment()
            pool.start()
        self.wait_ready(told)

    def stop(self, quietly=False):
        """Stops everything, whatever fails on the way; a sanitizer's complaint or a bad exit status is a failure."""
        complaints = [complaint for each in self.larderds + self.pools if (complaint := self.stop_pool(each))]
        for each in (self.nginx, self.redis_proxy, self.queue_proxy, self.database_proxy, self.redis, self.queue):
            if each:
                each.stop()
        if self.own_database and self.database and self.postgres.process.running():
            self.postgres.drop_database(self.database)
        if complaints and not quietly:
            raise AssertionError("\n".join(complaints))

    @staticmethod
    def stop_pool(pool):
        was_running = bool(pool.running())
        try:
            status = pool.stop()
        except AssertionError as problem:
            return str(problem)
        if report := pool.sanitizer_report():
            return report
        return f"{pool.name} ended with status {status}" if was_running and status else None

    def show_logs(self):
        daemons = [f"run/{daemon.name}.log" for daemon in self.larderds]
        for place in (*daemons, "run/api.log", "run/export.log", "nginx/error.log", "nginx/nginx.log",
                      "redis/redis.log", "queue/redis.log"):
            path = f"{self.folder}/{place}"
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as log:
                    sys.stderr.write(f"--- {path}\n{log.read()[-6000:]}\n")

    # Routes

    def write_routes(self, routes):
        if isinstance(routes, str):
            shutil.copytree(routes, self.routes, dirs_exist_ok=True)
            return
        os.makedirs(self.routes, exist_ok=True)
        for name, text in routes.items():
            self.write_route(name, text)

    def write_route(self, name, text):
        path = f"{self.routes}/{name}" if name.endswith(".sql") else f"{self.routes}/{name}.sql"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as route:
            route.write(text)

    # Asking

    def request(self, target, method="GET", headers=None, body=b"", timeout=30.0):
        """Through nginx."""
        return client.request(self.nginx.port, target, method, headers, body, timeout)

    get = request

    def direct(self, target, **options):
        """Straight to the socket of the api pool."""
        return fastcgi.ask(self.api.socket, target, **options)

    def connect(self, timeout=30.0):
        return fastcgi.Connection(self.api.socket, timeout)

    def sql(self, statement, parameters=None):
        return self.postgres.execute(statement, parameters, self.database, "larder")

    def log_text(self):
        return self.api.log_text()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.nginx.port}"


def metrics(stack):
    answer = stack.direct("/_larder/metrics")
    assert answer.status == 200, answer
    return Metrics(answer.text)


def queries(stack):
    """How many queries Larder has sent to PostgreSQL since it started."""
    return metrics(stack).sum("larder_queries_total")


def pack(name):
    """The folder of a route pack."""
    return f"{TOP}/sql/{name}"
