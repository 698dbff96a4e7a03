"""An HTTP answer as bytes came in: header lines keep their order and their repetitions."""

import json


class Answer:
    def __init__(self, status, headers, body, seconds=0.0):
        self.status = status
        self.headers = headers
        self.body = body
        self.seconds = seconds

    def lines(self, name):
        """Every value of that header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name):
        """The header's one value, or None; two lines of it fail the test."""
        values = self.lines(name)
        assert len(values) <= 1, f"{name} sent {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def problem(self, status):
        """The problem document of an error answer, with everything that every error must keep checked."""
        assert self.status == status, self
        assert self["Content-Type"] == "application/problem+json", self
        assert self["Cache-Control"] == "no-store", self
        problem = self.json()
        assert problem["status"] == status, problem
        assert {"type", "title", "detail", "instance"} <= problem.keys(), problem
        return problem

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:600]!r}>"


def parse_header_lines(block):
    """Header lines of `block` (bytes without the status line) as pairs."""
    pairs = []
    for line in block.split(b"\r\n"):
        if line:
            name, _, value = line.decode("latin-1").partition(":")
            pairs.append((name.strip(), value.strip()))
    return pairs
