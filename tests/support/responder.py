"""larder-fcgi as spawn-fcgi starts it: one or more processes on one UNIX socket."""

import os
import re
import signal
import subprocess

from .logged import Logged
from .paths import program
from .postgres import lets_in
from .process import Process, alive, wait_for_handler, wait_stopped
from .waiting import wait_until

# What a responder says for whom PostgreSQL was too slow to tell of the routes, and, of those levels, when it has told.
SAYING = ("info", "debug")
UNTOLD = re.compile("PostgreSQL did not .* in time.*; until it tells the parameters' types")
TOLD = "PostgreSQL has told the types of all routes"


class Responder(Logged):
    """One pool. A process is kept in the foreground; several are forked, as `spawn-fcgi -F` does."""

    def __init__(self, folder, name, environment, processes=1):
        super().__init__(folder, name, environment)
        self.processes = processes
        self.log_begun = 0
        self.pids = []

    @property
    def socket(self):
        return f"{self.folder}/{self.name}.sock"

    def start(self):
        self.log_begun = len(self.log_text()) if os.path.exists(self.log) else 0
        # spawn-fcgi sends the output of forked children to /dev/null: the shell brings it back.
        shell = f"exec {program('larder-fcgi')} >>{self.log} 2>&1"
        command = ["spawn-fcgi", "-s", self.socket, "-M", "0666"]
        if self.processes == 1:
            self.process = Process(self.name, [*command, "-n", "--", "/bin/sh", "-c", shell], self.log,
                                   env=self.environment)
            self.pids = [self.process.pid]
            return
        pid_file = f"{self.folder}/{self.name}.pids"
        command += ["-F", str(self.processes), "-P", pid_file, "--", "/bin/sh", "-c", shell]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL, timeout=20)
        with open(pid_file, encoding="utf-8") as pids:
            self.pids = [int(pid) for pid in pids.read().split()]
        self.process = None

    def wait_told(self):
        """Until PostgreSQL, where it is there, has told every process of its routes. A start gives it a second to let a
        process in, which of a busy machine may not be enough: writes are refused then, and values taken as they are."""
        if self.untold() and lets_in(self.environment):
            wait_until(lambda: not self.untold(), 60, "PostgreSQL telling of the routes")

    def untold(self):
        text = self.log_text()[self.log_begun:]
        return self.environment.get("LARDER_LOG_LEVEL") in SAYING and len(UNTOLD.findall(text)) > text.count(TOLD)

    def running(self):
        return [pid for pid in self.pids if (self.process.running() if self.process else alive(pid))]

    def signal(self, number):
        for pid in self.running():
            os.kill(pid, number)

    def pause(self):
        self.signal(signal.SIGSTOP)
        for pid in self.running():
            wait_stopped(pid)

    def resume(self):
        self.signal(signal.SIGCONT)

    def reload(self):
        """SIGHUP; waits until every process has said in the log that it is done, either way."""
        before = self.reloads_told()
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.reloads_told() >= before + len(self.pids), 20, "a log line after SIGHUP")

    def reloads_told(self):
        return sum("reload" in line for line in self.log_text().splitlines())

    def stop(self, deadline=30.0):
        """SIGTERM; the exit status of a single process, None of several."""
        self.signal(signal.SIGCONT)
        for pid in self.running():
            wait_for_handler(pid)
        self.signal(signal.SIGTERM)
        try:
            wait_until(lambda: not self.running(), deadline, f"{self.name} ending after SIGTERM")
        except AssertionError:
            self.kill()
            raise
        return self.process.wait() if self.process else None

    def kill(self):
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.running(), 10, f"{self.name} gone after SIGKILL")
