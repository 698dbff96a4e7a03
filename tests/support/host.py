"""A second host beside a stack: responders with a LARDER_RUN of their own over the stack's database and Redis."""

import os

from . import fastcgi
from .responder import Responder
from .waiting import wait_until


class Host:
    """`pools` responders of one process each. `redis` is the URL they reach Redis at; the stack's own by default."""

    def __init__(self, stack, folder, redis=None, pools=("api", "export"), **environment):
        self.folder = str(folder)
        settings = stack.environment() | {"LARDER_RUN": self.folder} | environment
        if redis:
            settings["LARDER_REDIS"] = redis
        self.pools = [Responder(self.folder, name, settings) for name in pools]
        os.makedirs(self.folder)

    @property
    def api(self):
        return self.pools[0]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for each in self.pools:
            each.start()
        for each in self.pools:
            wait_until(lambda: fastcgi.ask(each.socket, "/_larder/health", timeout=5).status == 200, 20, "health")
            each.wait_told()

    def stop(self):
        for each in self.pools:
            if each.running():
                each.stop()

    def direct(self, target, **options):
        return fastcgi.ask(self.api.socket, target, **options)
