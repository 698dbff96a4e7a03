"""larderd processes beside a stack."""

from signal import SIGTERM

from .logged import Logged
from .paths import program
from .process import Process, wait_for_handler


class Larderd(Logged):
    """One daemon."""

    def start(self, environment=None):
        self.environment = environment or self.environment
        self.process = Process(self.name, [program("larderd")], self.log, env=self.environment)

    def running(self):
        return self.process is not None and self.process.running()

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def kill(self):
        self.process.kill()

    def stop(self, deadline=10.0):
        """SIGTERM; the exit status."""
        self.process.resume()
        wait_for_handler(self.process.pid)
        self.process.signal(SIGTERM)
        return self.process.wait(deadline)
