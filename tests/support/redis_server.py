"""A private Redis server."""

import os

import redis

from .network import free_port
from .process import Process
from .waiting import wait_until


class Redis:
    """On a loopback port and on a UNIX socket; keeps nothing on disk unless told. `options` are redis.conf's."""

    def __init__(self, folder, options=None):
        self.folder = str(folder)
        self.port = free_port()
        self.options = options or {}
        self.process = None
        os.makedirs(self.folder)
        self.start()

    @property
    def socket(self):
        return f"{self.folder}/redis.sock"

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self):
        return f"{self.folder}/redis.log"

    def start(self):
        options = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "unixsocketperm": "777",
                   "save": "", "appendonly": "no", "dir": self.folder, **self.options}
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
        self.process = Process("redis", command, self.log)
        wait_until(self.answers, 20, "Redis answering")

    def answers(self):
        assert self.process.running(), f"Redis ended, see {self.log}"
        try:
            return self.client().ping()
        except redis.ConnectionError:
            return False

    def client(self, **options):
        """A redis-py client that gives bytes; the password is the server's own unless told otherwise."""
        settings = {"password": self.options.get("requirepass"), **options}
        return redis.Redis(host="127.0.0.1", port=self.port, **settings)

    def keys(self, database=0):
        """Every key there is, sorted. For tests, whose servers are small."""
        return sorted(key.decode() for key in self.client(db=database).keys("*"))

    def entries(self, database=0):
        """The keys of the answers kept; beside them Redis holds the clock, the journal and the tags."""
        return [key for key in self.keys(database) if ":e:" in key]

    def calls(self, command):
        """How often that command was run since the start, by the server's own count."""
        return self.client().info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def kill(self):
        self.process.kill()

    def restart(self):
        """kill -9, and up again with what its file has."""
        self.kill()
        self.start()

    def stop(self):
        if self.process:
            self.process.stop()
