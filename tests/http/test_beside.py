"""What Larder does beside a user's own statements is no reason for these to fail."""

import contextlib

import pytest

from support.waiting import wait_until

SCHEMA = """
CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE words (id int PRIMARY KEY, word text);
CREATE TABLE labels (label text, a int, b int, c int, d int);
INSERT INTO counts SELECT n, 0 FROM generate_series(1, 9) AS n;
INSERT INTO words SELECT n, 'old' FROM generate_series(1, 9) AS n;
"""
ROUTES = {
    "one": "-- @http GET /one/{id}\n-- @result row\n-- @cache ttl=300s\n-- @depends counts.id = :id\n"
           "SELECT n FROM counts WHERE id = :id",
    "words": "-- @http GET /words\n-- @cache ttl=300s\nSELECT id, word FROM words",
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
