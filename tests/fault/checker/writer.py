"""One writer process of the checker: transactions of every kind through psycopg2, each recorded with its moment.

usage: writer.py DSN LOG SEED PACE_MS SECONDS

A line of LOG: page id version before after outcome absent. A transaction that changes several pages writes several.
Each page of more than one row is locked by number while it is changed, and the version is drawn under the locks: so
the order of versions is the order of commits.
"""

import io
import os
import random
import signal
import sys
import time

import psycopg2

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]

from checker import model  # noqa: E402

LOCKS = {"one": 1, "pair": 2, "team": 3, "guest": 4, "author": 5, "whole": 6}


class Writer:
    def __init__(self, dsn, log, seed):
        self.dsn = dsn
        self.log = log
        self.chance = random.Random(seed)
        self.connection = None
        self.cursor = None
        self.absent = False
        self.version = 0

    # Statements

    def run(self, statement, *parameters):
        self.cursor.execute(statement, parameters)
        return self.cursor

    def value(self, statement, *parameters):
        return self.run(statement, *parameters).fetchone()[0]

    def connect(self):
        if self.connection is None or self.connection.closed:
            self.connection = psycopg2.connect(self.dsn)
            self.connection.autocommit = True
            self.cursor = self.connection.cursor()

    def pause(self):
        """Now and then, so that others see the moment between two statements."""
        if self.chance.random() < 0.3:
            time.sleep(self.chance.random() * 0.004)

    # Recording

    def record(self, pages, before, after, outcome):
        for page, number in pages:
            self.log.write(f"{page} {number} {self.version} {before} {after} {outcome} {int(self.absent)}\n")

    def transaction(self, locks, pages, change, roll_back=False):
        """Runs `change()` under the locks and commits; `pages()` names what was changed."""
        self.absent = False
        self.run("BEGIN")
        kinds, numbers = zip(*sorted((LOCKS[kind], number) for kind, number in locks))
        self.run("SELECT pg_advisory_xact_lock(kind, number) FROM unnest(%s, %s) AS l (kind, number)", list(kinds),
                 list(numbers))
        self.version = self.value("SELECT nextval('versions')")
        change()
        pages = pages()
        if roll_back:
            self.record(pages, 0, 0, "aborted")
            self.run("ROLLBACK")
            return
        self.commit(pages, "COMMIT")

    def commit(self, pages, statement, *parameters):
        before = time.monotonic_ns()
        try:
            done = self.run(statement, *parameters).rowcount
        except psycopg2.Error:
            self.record(pages, before, 0, "unknown")
            raise
        self.record(pages, before, time.monotonic_ns(), "committed" if done else "aborted")

    # The kinds of transactions

    def single(self):
        """One row, one statement, no BEGIN; a few keys take most of it."""
        number = self.chance.randint(1, 8) if self.chance.random() < 0.5 else self.chance.randint(1, model.SINGLES)
        self.absent = False
        self.version = self.value("SELECT nextval('versions')")
        self.commit([("one", number)], "UPDATE ones SET version = %s WHERE id = %s AND version < %s", self.version,
                    number, self.version)

    def unread(self):
        self.run("UPDATE ones SET unread = unread + 1 WHERE id = %s", self.chance.randint(1, model.SINGLES))

    def pair(self, roll_back=False):
        number = self.chance.randint(1, model.PAIRS)

        def change():
            self.run("UPDATE lefts SET version = %s WHERE id = %s", self.version, number)
            self.pause()
            self.run("UPDATE rights SET version = %s WHERE id = %s", self.version, number)
            self.pause()

        self.transaction([("pair", number)], lambda: [("pair", number)], change, roll_back)

    def rolled_back(self):
        self.pair(roll_back=True)

    def savepoint(self):
        """What is undone to a savepoint never shows; what surrounds it does."""
        number = self.chance.randint(1, model.PAIRS)

        def change():
            self.run("UPDATE lefts SET version = %s WHERE id = %s", self.version, number)
            self.run("SAVEPOINT here")
            self.run("UPDATE lefts SET version = -5 WHERE id = %s", number)
            self.run("UPDATE rights SET version = -5 WHERE id = %s", number)
            self.run("ROLLBACK TO here")
            self.run("SAVEPOINT there")
            self.run("UPDATE rights SET version = %s WHERE id = %s", self.version, number)
            self.run("RELEASE there")

        self.transaction([("pair", number)], lambda: [("pair", number)], change)

    def many(self):
        """Rows of three tables in one transaction."""
        first = model.SINGLES + 1
        ones = self.chance.sample(range(first, first + model.CROWD), 5)
        pairs = self.chance.sample(range(1, model.PAIRS + 1), 2)
        locks = [("one", each) for each in ones] + [("pair", each) for each in pairs]

        def change():
            for each in ones:
                self.run("UPDATE ones SET version = %s WHERE id = %s", self.version, each)
            self.pause()
            for table in ("lefts", "rights"):
                self.run(f"UPDATE {table} SET version = %s WHERE id = ANY (%s)", self.version, pairs)

        self.transaction(locks, lambda: locks, change)

    def bulk(self):
        """More values than triggers tell one by one."""
        numbers = range(model.SINGLES + 1, model.SINGLES + model.CROWD + 1)
        locks = [("one", each) for each in numbers]

        def change():
            self.run("UPDATE ones SET version = %s WHERE id > %s", self.version, model.SINGLES)

        self.transaction(locks, lambda: locks, change)

    def team(self):
        """Members come by INSERT or by COPY, and go."""
        number = self.chance.randint(1, model.TEAMS)

        def change():
            self.run("DELETE FROM members WHERE team = %s AND place > 1", number)
            self.pause()
            self.run("UPDATE members SET version = %s WHERE team = %s", self.version, number)
            places = range(2, model.expected_rows("team", self.version) + 1)
            lines = "".join(f"{number}\t{place}\t{self.version}\n" for place in places)
            if self.chance.random() < 0.5:
                self.cursor.copy_expert("COPY members FROM STDIN", io.StringIO(lines))
            else:
                for place in places:
                    self.run("INSERT INTO members VALUES (%s, %s, %s)", number, place, self.version)

        self.transaction([("team", number)], lambda: [("team", number)], change)

    def guest(self):
        """A row that comes and goes."""
        number = self.chance.randint(1, model.GUESTS)

        def change():
            self.absent = self.run("DELETE FROM guests WHERE id = %s", number).rowcount == 1
            if not self.absent:
                self.run("INSERT INTO guests VALUES (%s, %s)", number, self.version)

        self.transaction([("guest", number)], lambda: [("guest", number)], change)

    def author(self):
        """A note moves to another author: all notes of both carry the new version, and so do the authors."""
        old, new = self.chance.sample(range(1, model.AUTHORS + 1), 2)
        changed = []

        def change():
            self.run("UPDATE notes SET author = %s WHERE id = (SELECT min(id) FROM notes WHERE author = %s)", new, old)
            self.run("UPDATE authors SET version = %s WHERE id IN (%s, %s)", self.version, old, new)
            self.pause()
            rows = self.run("UPDATE notes SET version = %s WHERE author IN (%s, %s) RETURNING id", self.version, old,
                            new).fetchall()
            changed.extend(("note", number) for (number,) in rows)

        self.transaction([("author", old), ("author", new)], lambda: changed, change)

    def whole(self):
        number = self.chance.randint(1, model.WHOLES)

        def change():
            self.run("UPDATE wholes SET version = %s WHERE id = %s", self.version, number)

        self.transaction([("whole", number)], lambda: [("whole", number)], change)

    def emptied(self):
        """TRUNCATE, and everything comes again within the same transaction."""
        pages = [("whole", number) for number in range(1, model.WHOLES + 1)]

        def change():
            self.run("TRUNCATE wholes")
            self.run("INSERT INTO wholes SELECT generate_series(1, %s), %s", model.WHOLES, self.version)

        self.transaction(pages, lambda: pages, change)

    KINDS = ((single, 40), (unread, 10), (pair, 10), (rolled_back, 4), (savepoint, 6), (many, 6), (bulk, 0.5),
             (team, 8), (guest, 8), (author, 6), (whole, 1), (emptied, 0.2))

    def step(self):
        """One transaction. A lost connection or a cancelled one is what the checker's faults do: then anew."""
        kinds, weights = zip(*self.KINDS)
        try:
            self.connect()
            self.chance.choices(kinds, weights)[0](self)
        except psycopg2.Error as problem:
            if problem.pgcode and not isinstance(problem, psycopg2.OperationalError):
                raise
            if self.connection:
                self.connection.close()
            time.sleep(0.02)


def main(dsn, path, seed, pace, seconds):
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    last = time.monotonic() + float(seconds)
    with open(path, "w", encoding="ascii") as log:
        writer = Writer(dsn, log, int(seed))
        while not over and time.monotonic() < last:
            begun = time.monotonic()
            writer.step()
            rest = begun + float(pace) / 1000 - time.monotonic()
            if rest > 0:
                time.sleep(rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
