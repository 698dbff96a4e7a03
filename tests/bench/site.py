"""Larder behind nginx, as one part of the bench needs it, with room for the peers beside it."""

import itertools
import os

from support import client, fastcgi
from support.metrics import Metrics
from support.coherent import keep, time_left, wait_for_beat
from support.larderd import Larderd
from support.network import free_port
from support.nginx import Nginx
from support.paths import program
from support.responder import Responder
from support.waiting import wait_until

from .field import BENCH, run

MODULES = "/usr/lib/nginx/modules"
THREADS = 32
SECRET = "between-larderd-and-nginx"
GUARD_SECONDS = 5
KNOWN = 20  # answers one after the other, so that each process has given some


def install(field, environment, *options):
    """`larder install`: the outbox and the triggers of what the routes read."""
    run([program("larder"), "install", *options], f"{field.work}/install.log", env=environment)


class BenchNginx(Nginx):
    """The shipped snippets under the bench's own main file, which serves the peers as well."""

    def __init__(self, folder, sockets, redis_port, **options):
        self.redis_port = redis_port
        self.slow_port = free_port()
        super().__init__(folder, sockets, **options)

    def configure(self):
        super().configure()
        words = {"MODULES": MODULES, "FOLDER": self.folder, "SOCKETS": self.sockets, "PORT": str(self.port),
                 "SLOW_PORT": str(self.slow_port), "REDIS_PORT": str(self.redis_port), "PEERS": f"{BENCH}/peers",
                 "USER": "user root;" if os.geteuid() == 0 else ""}
        with open(f"{BENCH}/peers/nginx.conf", encoding="utf-8") as template:
            text = template.read()
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as main:
            main.write(text)


class Site:
    """nginx and larder-fcgi over the field's servers, or over another `database` of its PostgreSQL and another `redis`;
    `settings` are LARDER_* on top of the defaults.

    `coherent`: changes are watched, by triggers and by one larderd. Without that nothing is kept longer than the guard
    time.
    """

    def __init__(self, field, name, settings=None, processes=1, coherent=True, database="bench", redis=None):
        self.field = field
        self.database = database
        self.redis = redis or field.redis
        self.folder = f"{field.work}/{name}"
        self.sockets = f"{self.folder}/run"
        self.settings = settings or {}
        self.processes = processes
        self.coherent = coherent
        self.responder = self.daemon = self.nginx = None
        self.port = free_port()
        self.unused = itertools.count(1)  # pages of the feeds
        self.secret_file = f"{self.folder}/nginx-secret.conf"
        os.makedirs(self.sockets)
        with open(self.secret_file, "w", encoding="utf-8") as secret:
            secret.write(f"{SECRET} yes;\n")

    def __enter__(self):
        try:
            self.redis.client().flushall()
            if self.coherent:
                install(self.field, self.environment())
            self.responder = Responder(self.sockets, "api", self.environment(), self.processes)
            self.responder.start()
            wait_until(self.healthy, 30, f"larder-fcgi answering, see {self.responder.log}")
            if self.coherent:
                self.daemon = Larderd(self.sockets, "larderd", self.environment())
                self.daemon.start()
                wait_for_beat(self.redis)
                wait_until(self.knows_definitions, 30, "answers kept for longer than the guard time")
            self.nginx = BenchNginx(f"{self.folder}/nginx", self.sockets, self.redis.port, port=self.port,
                                    secret_file=self.secret_file)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.nginx:
            self.nginx.stop()
        if self.daemon:
            self.daemon.stop()
        if self.responder and self.responder.pids:
            self.responder.stop()

    def environment(self):
        return self.field.environment(self.database) | {
            "LARDER_ROUTES": self.field.routes(), "LARDER_RUN": self.sockets, "LARDER_THREADS": str(THREADS),
            "LARDER_REDIS": self.redis.url, "LARDER_NGINX": f"http://127.0.0.1:{self.port}",
            "LARDER_NGINX_SECRET_FILE": self.secret_file, "LARDER_LOG_LEVEL": "warning"} | self.settings

    @property
    def pids(self):
        """Of Larder's own processes."""
        return self.responder.pids + ([self.daemon.process.pid] if self.daemon else [])

    def knows_definitions(self):
        """Of each process: what it keeps before larderd has looked at the definitions, it keeps for the guard time."""
        targets = [f"/feeds?skip={next(self.unused)}&limit=1" for _ in range(KNOWN)]
        return all(time_left(keep(lambda: fastcgi.ask(self.responder.socket, target))) > GUARD_SECONDS
                   for target in targets)

    def healthy(self):
        assert self.responder.running(), f"larder-fcgi ended: {self.responder.log_text()[-2000:]}"
        return fastcgi.ask(self.responder.socket, "/_larder/health", timeout=10).status == 200

    def get(self, target, peer="larder", headers=None):
        return client.request(self.nginx.port, target, headers={"Host": peer} | (headers or {}))

    def url(self, target):
        return f"http://127.0.0.1:{self.nginx.port}{target}"

    def metrics(self):
        return Metrics(fastcgi.ask(self.responder.socket, "/_larder/metrics").text)
