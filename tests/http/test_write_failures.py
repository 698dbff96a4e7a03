"""What a write that PostgreSQL refuses says of itself, and what is tried again."""

import threading

import pytest

from support.sleeping import sleeping
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, nick text, age int CHECK (age > 0), name text NOT NULL);
CREATE UNIQUE INDEX users_nick ON users (nick, age);
CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users, day date,
                    EXCLUDE USING btree (day WITH =));
INSERT INTO users VALUES (1, 'a@x', 'a', 5, 'a'), (2, 'b@x', 'b', 6, 'b');
CREATE TABLE account (id int PRIMARY KEY, amount int);
INSERT INTO account VALUES (1, 0), (2, 0);
"""


@pytest.fixture(params=["session", "transaction"])
def pooling(request):
    return request.param


@pytest.fixture
def ground(lazy_postgres):
    server = lazy_postgres()
    name = server.create_database()
    server.execute(SCHEMA, database=name, user="larder")
    yield lambda statement, parameters=None: server.execute(statement, parameters, name, "larder")
    server.drop_database(name)


@pytest.fixture
def write(ground, lazy_postgres, pooling):
    name, = ground("SELECT current_database()")[0]
    with Writer(lazy_postgres().environment | {"PGDATABASE": name}, pooling) as writer:
        yield writer


# Constraints

@pytest.mark.parametrize("statement, state, constraint, columns", [
    ("INSERT INTO users VALUES (3, 'a@x', 'c', 1, 'c')", "23505", "users_email_key", ["email"]),
    ("INSERT INTO users VALUES (1, 'c@x', 'c', 1, 'c')", "23505", "users_pkey", ["id"]),
    ("INSERT INTO users VALUES (3, 'c@x', 'a', 5, 'c')", "23505", "users_nick", ["nick", "age"]),
    ("INSERT INTO users VALUES (3, 'c@x', 'c', 0, 'c')", "23514", "users_age_check", ["age"]),
    ("INSERT INTO posts VALUES (1, 77)", "23503", "posts_author_fkey", ["author"]),
    ("INSERT INTO posts VALUES (1, 1, '2024-01-01'), (2, 1, '2024-01-01')", "23P01", "posts_day_excl", ["day"]),
])
def test_a_violation_names_constraint_and_columns(write, statement, state, constraint, columns):
    for _ in range(2):
        answer = write(f"sql={statement}")
        assert (answer.sqlstate, answer.constraint, answer.list("columns")) == (state, constraint, columns)


def test_a_missing_value_names_the_column(write):
    answer = write("sql=INSERT INTO users VALUES (3, 'c@x', 'c', 1, NULL)")
    assert (answer.sqlstate, answer.table, answer.column) == ("23502", "users", "name")


# Others in the way

def deadlock(ground, write, opponent):
    """A transaction that meets the writer's in the wrong order; it is the writer's that PostgreSQL ends."""
    opponent.execute("BEGIN; SET LOCAL deadlock_timeout = '60s'; UPDATE account SET amount = amount + 10 WHERE id = 2")
    write.send("sql=UPDATE account SET amount = amount + 1 WHERE id = 1", "sql=SELECT pg_sleep(0.3)",
               "sql=UPDATE account SET amount = amount + 1 WHERE id = 2")
    wait_until(lambda: sleeping(ground), what="the writer's first update")
    opponent.execute("UPDATE account SET amount = amount + 10 WHERE id = 1; COMMIT")


def test_a_deadlock_is_tried_again(ground, write, lazy_postgres):
    name, = ground("SELECT current_database()")[0]
    connection = lazy_postgres().connect(name)
    with connection.cursor() as opponent:
        deadlock(ground, write, opponent)
    connection.close()
    assert write.answer().outcome == "written"
    assert ground("SELECT amount FROM account ORDER BY id") == [(11,), (11,)]


RAISE = "sql=DO $$ BEGIN PERFORM nextval('tries'); RAISE serialization_failure; END $$"


def test_serialisation_failures_end_some_time(ground, write):
    ground("CREATE SEQUENCE tries")
    answer = write(RAISE)
    assert (answer.outcome, answer.kind, answer.sqlstate) == ("failed", "retry", "40001")
    assert ground("SELECT last_value FROM tries") == [(5,)]


def test_tries_end_with_the_time(ground, write):
    ground("CREATE SEQUENCE tries")
    answer = write("sql=SELECT pg_sleep(0.2)", RAISE, "timeout=500")
    assert answer.outcome == "failed"
    assert ground("SELECT last_value FROM tries")[0][0] < 5


def test_increments_of_serialisable_writers_all_count(ground, lazy_postgres, pooling):
    name, = ground("SELECT current_database()")[0]
    ground(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    done = []

    def work():
        with Writer(lazy_postgres().environment | {"PGDATABASE": name}, pooling) as writer:
            for _ in range(10):
                answer = writer("sql=SELECT sum(amount) FROM account",
                                "sql=UPDATE account SET amount = amount + 1 WHERE id = 1")
                done.append(answer.outcome if answer.outcome == "written" else answer.kind)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(done) <= {"written", "retry"}
    assert ground("SELECT amount FROM account WHERE id = 1") == [(done.count("written"),)]
    assert done.count("written") > 20
