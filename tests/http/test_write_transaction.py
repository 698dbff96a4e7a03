"""A write's transaction, as db/write.h has it: whole or not at all, as whom, and how long."""

import threading

import pytest

from support.sleeping import sleeping
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, name text UNIQUE, amount int NOT NULL CHECK (amount >= 0));
INSERT INTO account SELECT n, 'name ' || n, 10 FROM generate_series(1, 9) AS n;
"""


@pytest.fixture(params=["session", "transaction"])
def pooling(request):
    return request.param


class Ground:
    """A database of the test's own, and writers on it."""

    def __init__(self, server):
        self.server = server
        self.name = server.create_database()
        self.sql(SCHEMA)

    def sql(self, statement, parameters=None, user="larder"):
        return self.server.execute(statement, parameters, database=self.name, user=user)

    @property
    def environment(self):
        return self.server.environment | {"PGDATABASE": self.name}

    def writer(self, pooling):
        return Writer(self.environment, pooling)

    def amounts(self, *names):
        return [self.sql("SELECT amount FROM account WHERE id = %s", (name,))[0][0] for name in names]


@pytest.fixture
def ground(lazy_postgres):
    return Ground(lazy_postgres())


ADD = "sql=UPDATE account SET amount = amount + $2::int WHERE id = $1::int RETURNING amount"


def add(account, amount):
    return [ADD, f"value={account}", f"value={amount}"]


def test_the_last_statement_answers(ground, pooling):
    with ground.writer(pooling) as write:
        answer = write(*add(1, -3), *add(2, 3))
        assert (answer.outcome, answer.result) == ("written", "13")
    assert ground.amounts(1, 2) == [7, 13]


def test_prepared_once_and_run_often(ground, pooling):
    with ground.writer(pooling) as write:
        assert [write(*add(1, 1)).result for _ in range(3)] == ["11", "12", "13"]


def test_nothing_stays_of_a_write_whose_last_statement_fails(ground, pooling):
    with ground.writer(pooling) as write:
        answer = write(*add(1, 5), *add(2, -50))
        assert (answer.outcome, answer.kind, answer.statement) == ("failed", "value", "1")
        assert ground.amounts(1, 2) == [10, 10]
        assert write(*add(2, -5)).result == "5", "the connection is good for more"


def test_a_statement_may_use_what_the_one_before_made(ground, pooling):
    with ground.writer(pooling) as write:
        for _ in range(2):
            answer = write("sql=CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT 7 AS n",
                           "sql=SELECT n FROM kept")
            assert answer.outcome == "written" and answer.result == "7"


def test_a_changed_table_is_prepared_anew(ground, pooling):
    with ground.writer(pooling) as write:
        row = "sql=UPDATE account SET amount = 1 WHERE id = 1 RETURNING *"
        assert write(row).outcome == "written"
        ground.sql("ALTER TABLE account ADD more int")
        assert write(row).outcome == "written"


def test_a_deferred_constraint_fails_the_write(ground, pooling):
    ground.sql("CREATE TABLE part (of int REFERENCES account DEFERRABLE INITIALLY DEFERRED)")
    with ground.writer(pooling) as write:
        answer = write("sql=INSERT INTO part VALUES (77)")
        assert (answer.kind, answer.sqlstate) == ("constraint", "23503")
        assert write("sql=INSERT INTO part VALUES (77)",
                     "sql=INSERT INTO account VALUES (77, 'late', 1)").outcome == "written"


def test_a_statement_that_ends_the_transaction_is_told(ground, pooling):
    with ground.writer(pooling) as write:
        answer = write(*add(1, 1), "sql=ROLLBACK", *add(2, 1))
        assert (answer.outcome, answer.kind) == ("failed", "statement")
        assert write(*add(3, 1)).result == "11"


# As whom

def test_role_and_claims_hold_for_the_transaction_alone(ground, pooling):
    seen = "sql=SELECT concat(current_user, ' ', current_setting('request.jwt.claims', true))"
    ground.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest; GRANT writer_guest TO larder",
               user="postgres")
    with ground.writer(pooling) as write:
        assert write(seen, "role=writer_guest", 'claims={"sub":"7"}').result == 'writer_guest {"sub":"7"}'
        assert write(seen).result.strip() == "larder"


@pytest.mark.parametrize("role", ["nobody_there", "postgres", "x'; DROP TABLE account; --"])
def test_a_role_that_may_not_be_taken(ground, pooling, role):
    with ground.writer(pooling) as write:
        answer = write(*add(1, 1), f"role={role}")
        assert (answer.outcome, answer.kind) == ("failed", "forbidden")
    assert ground.amounts(1) == [10]


# How long

def test_all_statements_share_the_time(ground, pooling):
    pause = "sql=SELECT pg_sleep(0.4)"
    with ground.writer(pooling) as write:
        answer = write(pause, pause, pause, pause, *add(1, 1), "timeout=700")
        assert (answer.outcome, answer.kind) == ("failed", "timeout")
        assert ground.amounts(1) == [10]
        assert write(pause, *add(1, 1)).result == "11", "a limit holds for its write alone"


def test_a_lock_held_by_another(ground, pooling):
    holder = ground.server.connect(ground.name)
    with ground.writer(pooling) as write, holder.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE account SET amount = 99 WHERE id = 1")
        answer = write(*add(1, 1), "timeout=300")
        assert (answer.outcome, answer.kind) == ("failed", "timeout")
        cursor.execute("ROLLBACK")
        assert write(*add(1, 1)).result == "11"
    holder.close()


# When the server goes

def test_an_idle_connection_that_was_closed_is_replaced(ground, pooling):
    with ground.writer(pooling) as write:
        assert write(*add(1, 1)).outcome == "written"
        ground.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
                   "AND pid <> pg_backend_pid()", user="postgres")
        assert write(*add(1, 1)).result == "12"


def test_a_session_ended_within_a_statement_is_run_again(ground, pooling):
    ground.sql("CREATE TABLE tries (n int)")
    with ground.writer(pooling) as write:
        write.send("sql=INSERT INTO tries VALUES (1)", "sql=SELECT pg_sleep(1.5)", *add(1, 1))
        victim, = wait_until(lambda: sleeping(ground.sql), what="the statement")
        ground.sql("SELECT pg_terminate_backend(%s)", [victim], user="postgres")
        assert write.answer().result == "11"
    assert ground.amounts(1) == [11] and ground.sql("SELECT count(*) FROM tries") == [(1,)]
