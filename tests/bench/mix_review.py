"""System B, a study app: what is asked for and written, and the figures it reported."""

import random

from .zipf import Zipf

KEY, NAME = "review", "B, the study app"
OWN_TIMES = {None: "250 → 50"}
OWN_HITS, OWN_QUERIES, OWN_CPU = "85 %", "−80 %", "70–80 → 20–30 %"

USERS, CONTENTS, PAGES = 1000, 30, 3  # contents of a user, who has all of one
CATEGORIES = ("physics", "languages", "history")  # of the contents in turn, by id
READS = {"today": 45, "content": 35, "stats": 20}
WRITES = {"complete": 80, "edit": 20}

MOVE = "UPDATE bench.schedules SET step = step + 1, due = due + 1 WHERE content_id = %(content)s"
RECORD = """INSERT INTO bench.histories (user_id, content_id, result, reviewed)
VALUES (%(user)s, %(content)s, %(result)s, date '2026-01-06')"""
EDIT = "UPDATE bench.contents SET title = %(title)s WHERE id = %(content)s"


class System:
    """Draws reads and writes, and knows which addresses a write changes."""

    STATEMENTS = 1 + WRITES["complete"] / 100  # of an action, on average

    def __init__(self, field, seed):
        del field
        self.random = random.Random(seed)
        self.users = Zipf.shuffled(self.random, range(1, USERS + 1))
        self.pages = Zipf(self.random, range(1, PAGES + 1))
        self.written = 0

    def everything(self):
        return [address for user in self.users.keys
                for address in (*(today(user, each) for each in (None, *CATEGORIES)), stats(user),
                                *(content(user, number) for number in range(1, PAGES + 1)))]

    def read(self):
        kind = self.random.choices(list(READS), READS.values())[0]
        user = self.users.choose()
        if kind == "today":
            return kind, today(user, self.random.choice((None, None, None, *CATEGORIES)))
        return kind, stats(user) if kind == "stats" else content(user, self.pages.choose())

    def write(self):
        """([(statement, values)], the addresses whose answers they change)."""
        user, place = self.users.choose(), self.random.randrange(CONTENTS)
        number = (user - 1) * CONTENTS + place + 1
        category = CATEGORIES[number % len(CATEGORIES)]
        self.written += 1
        if self.random.choices(list(WRITES), WRITES.values())[0] == "edit":
            page = (CONTENTS - 1 - place) * PAGES // CONTENTS + 1
            return ([(EDIT, {"content": number, "title": f"Card {number}, edition {self.written}"})],
                    [content(user, page), today(user, None), today(user, category)])
        values = {"user": user, "content": number, "result": self.random.randrange(4)}
        return [(MOVE, values), (RECORD, values)], [today(user, None), today(user, category), stats(user)]


def today(user, category):
    return f"/review/today?user={user}" + (f"&category={category}" if category else "")


def stats(user):
    return f"/review/stats?user={user}"


def content(user, page):
    return f"/review/content?user={user}&page={page}"
