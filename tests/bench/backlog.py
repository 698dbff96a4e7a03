"""The outbox while one transaction stays open for the whole run, as a forgotten session or a long report does.

PostgreSQL can't remove a row that such a transaction might still see, so every row that larderd has taken stays as a
dead one. An hour's worth of them is made in a minute; what then counts is that finding new rows is as quick as before.
"""

import time

from support.waiting import wait_until

from .freshness import FLOOR, QUICK_SECONDS, SECONDS, TAIL_MOST, floor, in_turn, show, warm, way
from .replay import fastcgi
from .report import Target

HOUR, QUICK_HOUR = 1_800_000, 50_000  # rows: 500 writes a second for an hour
BATCH = 5_000  # rows a transaction
ROUNDS = 3
WORSE_MOST = 1.5
BYTES_MOST = 150  # a row
GROW = "INSERT INTO larder.outbox (tag) SELECT 'bench.backlog' || n %% 500 FROM generate_series(1, %s) AS n"


class OpenTransaction:
    """One that has written, and sees the database as it was."""

    def __init__(self, field):
        self.connection = field.postgres.connect("bench")
        self.connection.autocommit = False

    def __enter__(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT txid_current(), count(*) FROM bench.single")
        return self

    def __exit__(self, *_):
        self.connection.rollback()
        self.connection.close()


def outbox(field):
    """(live rows, bytes of the table and its indexes)."""
    return field.postgres.execute("SELECT (SELECT count(*) FROM larder.outbox), "
                                  "pg_total_relation_size('larder.outbox')", database="bench")[0]


def pile_up(field, rows):
    """An hour's rows through the outbox; gives the seconds that larderd took to take them all."""
    begin = time.monotonic()
    connection = field.postgres.connect("bench")  # not `with connection`, which would make one transaction of them all
    with connection.cursor() as cursor:
        for _ in range(0, rows, BATCH):
            cursor.execute(GROW, (BATCH,))
    connection.close()
    wait_until(lambda: outbox(field)[0] == 0, 300, "larderd taking all rows", 0.2)
    return time.monotonic() - begin


def measure(field, site, quick):
    rows, seconds = (QUICK_HOUR, QUICK_SECONDS) if quick else (HOUR, SECONDS)
    print(f"\nA transaction open throughout: {rows:,} rows through the outbox behind it; {ROUNDS} rounds of {seconds} s",
          flush=True)
    socket = way(fastcgi(site))
    field.settle()
    warm(field, site, socket)
    before = in_turn(field, {f"{FLOOR}, before": floor(), "before": socket}, ROUNDS, seconds)
    with OpenTransaction(field):
        took = pile_up(field, rows)
        size = outbox(field)[1]
        warm(field, site, socket)
        after = in_turn(field, {f"{FLOOR}, then": floor(), "behind the open transaction": socket}, ROUNDS, seconds)
    show(before | after)
    print(f"The outbox has {size / 1e6:.1f} MB, {size / rows:.0f} bytes a row; taking the rows went on for {took:.1f} s")
    then = after["behind the open transaction"]
    ratio, tail = then.fresh(50).middle / before["before"].fresh(50).middle, then.fresh(99)
    return [Target("invalidate: commit to fresh behind an hour's open transaction / before, p50", f"≤ {WORSE_MOST}",
                   f"{ratio:.2f}", ratio <= WORSE_MOST),
            Target("invalidate: the same, p99", f"≤ {TAIL_MOST:g} ms", f"{tail.text()} ms", tail.middle <= TAIL_MOST),
            Target("invalidate: the outbox then, bytes a row", f"≤ {BYTES_MOST}", f"{size / rows:.0f}",
                   size <= BYTES_MOST * rows)]
