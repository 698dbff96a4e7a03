"""Writes that can't be made: the database away, busy, read-only, or of two minds; the routes not known to it."""

import pytest

from support.sleeping import sleeping
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE counted (id int PRIMARY KEY, amount int NOT NULL);
INSERT INTO counted VALUES (1, 0), (2, 0);
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('tries'); RAISE EXCEPTION 'telltale' USING ERRCODE = '40001'; END $$;
CREATE FUNCTION standby() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'telltale' USING ERRCODE = '25006'; END $$;
CREATE FUNCTION ends() RETURNS bool LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('tries'); RETURN pg_terminate_backend(pg_backend_pid()); END $$;
"""
ROUTES = {
    "add": "-- @http POST /add/{id}\n-- @result row\n"
           "UPDATE counted SET amount = amount + 1 WHERE id = :id RETURNING amount",
    "refused": "-- @http POST /refused\nSELECT refuse() AS a",
    "standby": "-- @http POST /standby\nSELECT standby() AS a",
    "ends": "-- @http POST /ends\nSELECT ends() AS a",
    "slow": "-- @http POST /slow\nSELECT pg_sleep(1.5)::text AS a",
    "read": "-- @http GET /add/{id}\n-- @result row\nSELECT amount FROM counted WHERE id = :id",
}


def post(stack, target, **options):
    return stack.direct(target, method="POST", **options)


def amount(stack):
    return stack.sql("SELECT amount FROM counted WHERE id = 1")[0][0]


def test_a_conflict_that_stays_is_503_after_bounded_tries(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    answer = post(served, "/refused")
    assert "busy with other changes" in answer.problem(503)["detail"] and answer["Retry-After"] == "1"
    assert 2 <= served.sql("SELECT last_value FROM tries")[0][0] <= 10
    assert "telltale" not in answer.text


def test_a_database_that_comes_back_is_written_to(stack):
    postgres = stack.postgres()
    served = stack(ROUTES, postgres, schema=SCHEMA, nginx=False)
    assert post(served, "/add/1").json() == {"amount": 1}
    postgres.stop()
    answer = post(served, "/add/1")
    assert answer.problem(503)["detail"] == "The database can't be reached." and answer["Retry-After"]
    postgres.start()
    wait_until(lambda: post(served, "/add/1").status == 200, 20, "a write again")
    assert amount(served) == 2


def test_a_start_without_the_database(stack):
    """Which rows answer is not known yet: 503 until PostgreSQL has told."""
    postgres = stack.postgres()
    served = stack(ROUTES, postgres, schema=SCHEMA, nginx=False)
    postgres.stop()
    served.restart()
    answer = post(served, "/add/1")
    assert answer.problem(503) and answer["Retry-After"]
    postgres.start()
    wait_until(lambda: post(served, "/add/1").status == 200, 20, "a write")
    assert amount(served) == 1


def test_a_database_that_takes_no_changes_is_503(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    answer = post(served, "/standby")
    assert answer.problem(503)["detail"] == "The database takes no changes now." and answer["Retry-After"]


def test_a_server_that_ends_before_it_commits_is_asked_once_more(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    answer = post(served, "/ends")
    assert answer.problem(503)["detail"] == "The database can't be reached." and answer["Retry-After"]
    assert served.sql("SELECT last_value FROM tries")[0][0] == 2
    assert post(served, "/add/1").json() == {"amount": 1}


def test_of_a_commit_that_was_lost_nobody_is_told_to_try_again(stack):
    """Everything is sent, the COMMIT too, when the connection goes: it may have been made, or not."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False, database_proxy=True)
    assert post(served, "/add/1").status == 200
    before = metrics(served)
    connection = served.connect()
    begun = connection.start("/slow", method="POST")
    wait_until(lambda: sleeping(served.sql), 10, "the write")
    served.database_proxy.cut()
    answer = connection.answer(begun)
    assert "may have been made, or not" in answer.problem(503)["detail"] and answer["Retry-After"] is None
    after = metrics(served)
    assert after.sum("larder_write_unknown_total") - before.sum("larder_write_unknown_total") == 1


def test_a_route_that_the_database_does_not_take_is_500_and_no_other(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    served.write_route("broken", "-- @http POST /broken\nINSERT INTO nowhere VALUES (1)")
    served.restart()
    wait_until(lambda: post(served, "/broken").status == 500, 20, "the route known to be refused")
    problem = post(served, "/broken").problem(500)
    assert "nowhere" not in str(problem) and 'relation "nowhere" does not exist' in served.log_text()
    assert post(served, "/add/1").status == 200


@pytest.mark.parametrize("pooling", ["session", "transaction"])
def test_the_queue_for_connections_bounds_writes_too(stack, pooling):
    served = stack(ROUTES, schema=SCHEMA, nginx=False,
                   env={"LARDER_DB_POOL": "1", "LARDER_DB_WAIT": "200ms", "LARDER_DB_POOLING": pooling})
    wait_until(lambda: post(served, "/add/1").status == 200, 10, "the connection, which may take longer to be let in")
    slow = served.connect()
    slow.start("/slow", method="POST")
    wait_until(lambda: metrics(served).sum("larder_db_busy") == 1, 10, "the slow write at work")
    answer = post(served, "/add/1")
    assert answer.problem(503)["detail"] == "The server is busy." and answer["Retry-After"]
    slow.close()
    assert amount(served) == 1
