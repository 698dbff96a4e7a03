"""Reads Prometheus text (exposition format 0.0.4) and fails on lines that break it."""

import re

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Metrics:
    """Samples by name and labels; `kinds` and `help` hold what the comment lines declare."""

    def __init__(self, text):
        self.samples = {}
        self.kinds = {}
        self.help = {}
        for line in text.splitlines():
            self.read_line(line)

    def read_line(self, line):
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            {"TYPE": self.kinds, "HELP": self.help}[word][name] = rest
        elif line:
            match = SAMPLE.match(line)
            assert match, f"not a Prometheus sample: {line!r}"
            name, labels, value = match.groups()
            assert LABEL.sub("", labels or "") == "", f"malformed labels: {line!r}"
            key = (name, frozenset(LABEL.findall(labels or "")))
            assert key not in self.samples, f"given twice: {line!r}"
            self.samples[key] = float(value)

    def sum(self, name, **labels):
        """The sum of all samples of that name that carry these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(value for (each, have), value in self.samples.items() if each == name and wanted <= have)

    def labels(self, name):
        return [dict(have) for (each, have) in self.samples if each == name]
