"""Queries as PostgreSQL's own log has them: which were run, with which key, and for how long."""

import os
import re
from collections import Counter
from statistics import median

PATTERN = r"duration: ([\d.]+) ms  execute [^:\n]+: (?:(?!duration: ).)*?{mark}(?:(?!duration: ).)*?DETAIL:  parameters: \$1 = '(\d+)'"


class QueryLog:
    """Every statement of the database is logged while this is open; `mark` is a pattern in those that count.

    Holds for connections opened meanwhile.
    """

    def __init__(self, field, mark):
        self.field = field
        self.pattern = re.compile(PATTERN.format(mark=mark), re.DOTALL)
        self.offset = 0

    def __enter__(self):
        self.field.postgres.execute("ALTER DATABASE bench SET log_min_duration_statement = 0")
        return self

    def __exit__(self, *_):
        self.field.postgres.execute("ALTER DATABASE bench RESET log_min_duration_statement")

    def begin(self):
        """Forgets what was logged so far."""
        self.offset = os.path.getsize(self.field.postgres.log)

    def found(self):
        """[(key, milliseconds)] since begin()."""
        with open(self.field.postgres.log, encoding="utf-8", errors="replace") as log:
            log.seek(self.offset)
            return [(int(key), float(time)) for time, key in self.pattern.findall(log.read())]

    def summary(self):
        """(how often each key was asked for, the median of the times)."""
        rows = self.found()
        assert rows, "the log of PostgreSQL shows no query"
        return Counter(key for key, _ in rows), median(time for _, time in rows)
