"""Requests sent at times fixed beforehand, with what became of each."""

import subprocess
from dataclasses import dataclass
from statistics import fmean, quantiles


@dataclass
class Answer:
    request: int  # its place in the schedule
    due: int  # microseconds after the start
    waited: float  # milliseconds from then to the answer's end
    status: int
    word: str  # of Cache-Status: hit, fwd=uri-miss ...


class Replay:
    """A run of `schedule`, [(microseconds, target)] in the order of time, over so many connections to `address`."""

    def __init__(self, field, address, connections, schedule, name="schedule"):
        path = f"{field.work}/{name}"
        with open(path, "w", encoding="utf-8") as output:
            output.writelines(f"{due} {target}\n" for due, target in schedule)
        self.output = f"{path}.answers"
        self.errors = f"{path}.log"
        self.count = len(schedule)
        self.longest = schedule[-1][0] / 1e6 + 120
        with open(self.output, "wb") as answers, open(self.errors, "wb") as errors:
            self.process = subprocess.Popen([field.compile("timing/replay.c"), address, str(connections), path],
                                            stdout=answers, stderr=errors)

    def answers(self):
        """Waits for the end and gives every answer."""
        try:
            status = self.process.wait(self.longest)
        finally:
            self.process.kill()
        with open(self.errors, encoding="utf-8", errors="replace") as errors:
            assert status == 0, f"replay: {errors.read()}"
        with open(self.output, encoding="utf-8") as lines:
            rows = [line.split() for line in lines]
        assert len(rows) == self.count, f"{len(rows)} of {self.count} requests were answered"
        return [Answer(int(number), int(due), int(waited) / 1000, int(status), word)
                for number, due, waited, status, word in rows]


def fastcgi(site):
    return f"fastcgi:{site.responder.socket}"


def http(site):
    return f"http:{site.nginx.port}"


def replay(field, address, connections, schedule):
    return Replay(field, address, connections, schedule).answers()


def percentile(values, percent):
    values = list(values)
    return quantiles(values, n=1000, method="inclusive")[percent * 10 - 1] if len(values) > 1 else values[0]


def waits(answers):
    """(mean, median, 99th percentile, greatest) of the waits in milliseconds."""
    values = [each.waited for each in answers]
    return fmean(values), percentile(values, 50), percentile(values, 99), max(values)
