"""larderd processes beside a stack."""

from signal import SIGTERM

from .paths import program
from .process import Process, wait_for_handler
from .responder import SANITIZER_MARKS


class Larderd:
    """One daemon with a log of its own."""

    def __init__(self, folder, name, environment):
        self.folder = str(folder)
        self.name = name
        self.environment = environment
        self.process = None

    @property
    def log(self):
        return f"{self.folder}/{self.name}.log"

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

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

    def sanitizer_report(self):
        text = self.log_text()
        places = [text.find(mark) for mark in SANITIZER_MARKS if mark in text]
        return text[min(places):] if places else None
