"""Writes through db/write.h without a responder, so that a test can stop after the commit."""

import subprocess

from .paths import program
from .process import spawn
from .stack import clean_environment


class Writer:
    """One process with its pool; `pooling` is session or transaction."""

    program = "tests/support/writer"

    def __init__(self, environment, pooling="session"):
        words = [program(self.program), pooling]
        self.popen = spawn(words, env=clean_environment() | environment, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        self.popen.stdin.write("\t".join(words) + "\n")
        self.popen.stdin.flush()

    def answer(self):
        """What became of it, and its fields."""
        line = self.popen.stdout.readline()
        assert line, f"the writer ended: {self.popen.poll()}"
        outcome, *fields = line.rstrip("\n").split("\t")
        return Answer(outcome, dict(field.split("=", 1) for field in fields))

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.stdin.close()
            status = self.popen.wait(20)
            assert status == 0, f"the writer ended with {status}"
        self.popen.stdout.close()


class Answer:
    def __init__(self, outcome, fields):
        self.outcome = outcome
        self.fields = fields

    def __getattr__(self, name):
        return self.fields[name]

    def list(self, name):
        return [each for each in self.fields[name].split(";") if each]

    def __repr__(self):
        return f"{self.outcome} {self.fields}"
