"""larderd, started as systemd would start it: in the foreground, its log on standard error."""

import subprocess

from .paths import program
from .process import Process
from .waiting import wait_until


class Larderd:
    """One daemon. `environment` as for a responder; `name` tells several of one host apart."""

    def __init__(self, folder, environment, name="larderd"):
        self.folder = str(folder)
        self.environment = environment
        self.name = name
        self.process = None

    @property
    def log(self):
        return f"{self.folder}/{self.name}.log"

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def start(self):
        self.process = Process(self.name, [program("larderd")], self.log, env=self.environment)

    def running(self):
        return bool(self.process and self.process.running())

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def kill(self):
        if self.process:
            self.process.kill()

    def stop(self):
        """SIGTERM; the exit status."""
        return self.process.stop() if self.process else None


def beating(redis, prefix="larder"):
    """Does some larderd say in Redis that it lives?"""
    return bool(redis.client().exists(f"{prefix}:beat"))


def wait_for_beat(redis, there=True, deadline=20):
    wait_until(lambda: beating(redis) == there, deadline, "larderd's heartbeat" if there else "the heartbeat's end")


def install(environment, *words):
    """`larder install`; fails with what it says when it fails."""
    done = subprocess.run([program("larder"), "install", *words], env=environment, check=False, timeout=60,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


