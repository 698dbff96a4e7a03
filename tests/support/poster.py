"""Many jobs filed by clients that try again until they are told 202."""

import subprocess

from .paths import program
from .process import spawn


class Poster:
    """Posts the numbers from `first` on to `target` of a responder's socket, in the background."""

    def __init__(self, socket, target, count, first=1, connections=16, seconds=90):
        self.count = count
        words = [program("tests/support/poster"), socket, target, first, count, connections, seconds]
        self.popen = spawn([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def filed(self):
        """Waits for the end; of each number how often it was tried, and where its job is: {number: (tries, path)}."""
        output, errors = self.popen.communicate()
        assert self.popen.returncode == 0, errors
        lines = [line.split() for line in output.splitlines()]
        assert len(lines) == self.count
        return {int(number): (int(tries), path) for number, tries, path in lines}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.communicate()
