"""A gate that statements wait at, so that a test decides when a request in work goes on."""

import contextlib
import signal

from .waiting import wait_until

NUMBER = 7
ROUTE = f"-- @http GET /gate\n-- @result row\nSELECT 'old' AS word FROM pg_advisory_xact_lock_shared({NUMBER})"


class Held:
    """A transaction that holds what its statement locked until it is opened."""

    def __init__(self, stack, statement, server=None):
        self.connection = (server or stack.postgres).connect(stack.database, "larder")
        self.connection.autocommit = False
        self.connection.cursor().execute(statement)

    def open(self):
        self.connection.rollback()
        self.connection.close()


@contextlib.contextmanager
def learning(stack, responder, table):
    """After SIGHUP every process of the responder waits for PostgreSQL to tell of routes that read the table."""
    before = responder.reloads_told()
    held = Held(stack, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        responder.signal(signal.SIGHUP)
        wait_until(lambda: stack.sql(f"SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted")
                   == [(len(responder.pids),)], 20, "each process waiting for the table")
        yield
        assert responder.reloads_told() == before, "they do not wait any more"
    finally:
        held.open()
    wait_until(lambda: responder.reloads_told() >= before + len(responder.pids), 20, "a log line after SIGHUP")


class Gate:
    """While it is shut, requests for /gate (ROUTE) wait in PostgreSQL. Leaving opens it."""

    def __init__(self, stack):
        self.connection = stack.postgres.connect(stack.database)

    def __enter__(self):
        self.run(f"SELECT pg_advisory_lock({NUMBER})")
        return self

    def __exit__(self, *_):
        self.connection.close()

    def run(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def open(self):
        self.run(f"SELECT pg_advisory_unlock({NUMBER})")

    def waiting(self):
        return self.run("SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                        "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()")

    def wait_for(self, count):
        wait_until(lambda: self.waiting() == count, 30, f"{count} requests at the gate")
