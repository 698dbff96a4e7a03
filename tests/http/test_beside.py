"""What Larder does beside a user's own statements is no reason for these to fail."""

import contextlib
import subprocess
import threading

import pytest

from support.paths import program
from support.postgres import program_folder
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE words (id int PRIMARY KEY, word text);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE SCHEMA gone;
CREATE TABLE gone.away (id int PRIMARY KEY, mood mood);
CREATE MATERIALIZED VIEW totals AS SELECT id, n FROM counts;
CREATE UNIQUE INDEX totals_key ON totals (id);
CREATE TABLE labels (label text, a int, b int, c int, d int);
INSERT INTO counts SELECT n, 0 FROM generate_series(1, 9) AS n;
INSERT INTO words SELECT n, 'old' FROM generate_series(1, 9) AS n;
"""
ROUTES = {
    "one": "-- @http GET /one/{id}\n-- @result row\n-- @cache ttl=300s\n-- @depends counts.id = :id\n"
           "SELECT n FROM counts WHERE id = :id",
    "words": "-- @http GET /words\n-- @cache ttl=300s\nSELECT id, word FROM words",
    "both": "-- @http GET /both\n-- @cache ttl=300s\nSELECT c.n, w.word FROM counts AS c JOIN words AS w USING (id)",
    "totals": "-- @http GET /totals\n-- @cache ttl=300s\nSELECT id, n FROM totals",
    "away": "-- @http GET /away\n-- @cache ttl=300s\nSELECT id, mood FROM gone.away",
    "add": "-- @http POST /one/{id}\n-- @result row\nUPDATE counts SET n = n + 1 WHERE id = :id RETURNING n",
    # More tags than the transaction's setting holds.
    "many": "-- @http POST /many/{id}\n-- @result none\n"
            "INSERT INTO labels (label) SELECT repeat('x', 60) || n FROM generate_series(1, 99) AS n;\n"
            "UPDATE counts SET n = n + 1 WHERE id = :id",
} | {
    f"label_{column}": f"-- @http GET /{column}/{{label}}\n-- @cache ttl=300s\n-- @depends labels.label = :label\n"
                       f"SELECT {column} FROM labels WHERE label = :label" for column in "abcd"
}


@contextlib.contextmanager
def serializable(stack):
    connection = stack.postgres.connect(stack.database, "postgres")
    connection.autocommit = False
    connection.set_session(isolation_level="SERIALIZABLE")
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor
        connection.commit()


def told(stack):
    """The responder has taken back its rows of the outbox. Asked as nobody whose reads count."""
    return stack.postgres.execute("SELECT count(*) FROM larder.outbox WHERE lane >= 16", database=stack.database) == [(0,)]


@pytest.mark.parametrize("route", ["add", "many"])
def test_a_serializable_transaction_beside_a_responders_strikes(stack, route):
    """Taking rows out of the outbox reads what everybody's triggers write to: that must not count as a conflict."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True)
    served.postgres.execute(f"ALTER ROLE larder IN DATABASE {served.database}"
                            " SET default_transaction_isolation = 'serializable'")
    served.api.stop()
    served.api.start()
    wait_until(served.healthy, 20, "the responder")
    path = {"add": "/one/1", "many": "/many/1"}[route]
    wait_until(lambda: served.direct(path, method="POST").status < 300, 20, "a write")
    wait_until(lambda: told(served), 20, "its strikes told")
    with serializable(served) as own:
        own.execute("SELECT n FROM counts WHERE id = 1")
        assert served.direct(path, method="POST").status < 300
        wait_until(lambda: told(served), 20, "its strikes told")
        own.execute("UPDATE words SET word = 'new' WHERE id = 1")


# What a migration or somebody's maintenance may say; what is at work beside it reads and writes one table at a time.
STATEMENTS = [
    "BEGIN; TRUNCATE words; TRUNCATE counts; INSERT INTO counts SELECT n, 0 FROM generate_series(1, 9) AS n; COMMIT",
    "BEGIN; LOCK TABLE counts IN ACCESS EXCLUSIVE MODE; LOCK TABLE words IN ACCESS EXCLUSIVE MODE; COMMIT",
    "BEGIN; ALTER TABLE words ADD more int; ALTER TABLE counts ADD more int; COMMIT",
    "BEGIN; ALTER TABLE counts DROP more; ALTER TABLE words DROP more; COMMIT",
    "CREATE INDEX CONCURRENTLY words_word ON words (word)",
    "REINDEX TABLE CONCURRENTLY words",
    "DROP INDEX CONCURRENTLY words_word",
    "VACUUM FULL counts",
    "VACUUM FULL larder.outbox",
    "CLUSTER words USING words_pkey",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY totals",
    "REFRESH MATERIALIZED VIEW totals",
    "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'better'",
    "VACUUM FULL pg_class",
    "VACUUM FULL pg_rewrite",
    "DROP TABLE gone.away",
    "CREATE TABLE gone.away (id int PRIMARY KEY, mood mood)",
    "DROP SCHEMA gone CASCADE",
    "CREATE SCHEMA gone; CREATE TABLE gone.away (id int PRIMARY KEY, mood mood)",
]


class Busy:
    """Readers and writers of a stack, until it is left; what went wrong with any of them."""

    def __init__(self, stack):
        self.stack, self.wrong, self.done = stack, [], 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(each,)) for each in (
            lambda: self.ask("/one/1"), lambda: self.ask("/words"), lambda: self.ask("/one/2", method="POST"),
            lambda: stack.sql("UPDATE words SET word = 'other'"))]

    def ask(self, target, **options):
        answer = self.stack.direct(target, **options)
        if answer.status not in (200, 404):
            self.wrong.append(f"{target}: {answer}")

    def work(self, step):
        while not self.ended.is_set():
            try:
                step()
                self.done += 1
            except Exception as problem:  # pylint: disable=broad-exception-caught
                self.wrong.append(repr(problem))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def dump(stack):
    command = [f"{program_folder()}/pg_dump", "-h", stack.postgres.folder, "-p", str(stack.postgres.port), "-U", "postgres",
               stack.database]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("user", ["larder", "postgres"])
def test_maintenance_and_migrations_beside_a_busy_stack(stack, user):
    """None waits for long, and none fails, nor does anybody who is at work meanwhile. A superuser's install has an event
    trigger, which runs in each of them."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, processes=2,
                   env={"LARDER_GUARD_TTL": "2s"})
    done = subprocess.run([program("larder"), "install"], env=served.environment() | {"PGUSER": user}, check=False,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    connection = served.postgres.connect(served.database, "postgres")
    with contextlib.closing(connection), connection.cursor() as cursor, Busy(served) as busy:
        cursor.execute("SET statement_timeout = '20s'")
        for statement in STATEMENTS * 2:
            before = busy.done
            for part in statement.split("; "):
                cursor.execute(part)
            wait_until(lambda: busy.done > before + 8, 20, f"work going on behind {statement}")
        done = dump(served)
        assert done.returncode == 0, done.stderr
    assert not busy.wrong, busy.wrong[:5]
