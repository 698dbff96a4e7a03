"""Idempotency-Key while what stands behind the answer fails: the request is done once, whoever dies and whenever."""

import json
import threading

import pytest

from support.waiting import wait_until

SCHEMA = "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, name text NOT NULL);"
ROUTES = {
    "post": "-- @http POST /orders\n-- @result row\n-- @location /orders/{id}\n"
            "INSERT INTO orders (name) VALUES (:name) RETURNING id, name\n",
    "list": "-- @http GET /orders\n-- @cache ttl=60s\nSELECT id, name FROM orders ORDER BY id\n",
}


@pytest.fixture(params=["session", "transaction"])
def served(request, stack):
    return stack(ROUTES, schema=SCHEMA, install=True, larderd=True, database_proxy=True,
                 env={"LARDER_DB_POOLING": request.param, "LARDER_TIMEOUT": "30s"})


def post(served, key, name):
    return served.request("/orders", "POST", headers={"Content-Type": "application/json", "Idempotency-Key": key},
                          body=json.dumps({"name": name}).encode())


def in_background(served, key, name):
    answers = []

    def run():
        try:
            answers.append(post(served, key, name))
        except OSError as problem:
            answers.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


def rows(served):
    return served.sql("SELECT id, name FROM orders ORDER BY id")


def sent_again(served):
    """The same request once more, until somebody answers it."""
    return wait_until(lambda: [each for each in [post(served, "k", "a")] if each.status == 201], 20, "an answer")[0]


def test_a_responder_killed_between_commit_and_answer(served):
    assert post(served, "warm", "warm").status == 201
    served.database_proxy.delay(0.6)
    thread, answers = in_background(served, "k", "a")
    wait_until(lambda: len(rows(served)) == 2, 20, "the commit")
    served.api.kill()
    thread.join()
    assert answers[0].status == 502
    served.database_proxy.pass_on()
    served.api.start()
    again = sent_again(served)
    assert (again.json(), again["Location"]) == ({"id": 2, "name": "a"}, "/orders/2")
    assert again["Idempotent-Replayed"] == "true" and rows(served) == [(1, "warm"), (2, "a")]
    wait_until(lambda: len(served.get("/orders").json()) == 2, 10, "the page to show what larderd struck")


def test_a_responder_killed_within_the_transaction(served):
    assert post(served, "warm", "warm").status == 201
    holder = served.postgres.connect(served.database, "larder")
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE orders IN EXCLUSIVE MODE")
    thread, answers = in_background(served, "k", "a")
    wait_until(lambda: served.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"), 20,
               "the write to be held up")
    served.api.kill()
    thread.join()
    assert answers[0].status == 502
    holder.rollback()
    holder.close()
    served.api.start()
    again = sent_again(served)
    assert again.json()["name"] == "a" and [name for _, name in rows(served)] == ["warm", "a"]


def test_a_connection_lost_while_it_commits(served):
    """The answer of the first may say that nobody knows; the second knows."""
    assert post(served, "warm", "warm").status == 201
    served.database_proxy.delay(0.6)
    thread, answers = in_background(served, "k", "a")
    wait_until(lambda: len(rows(served)) == 2, 20, "the commit")
    served.database_proxy.cut()
    thread.join()
    assert answers[0].status in (201, 503)
    served.database_proxy.pass_on()
    again = sent_again(served)
    assert again.json() == {"id": 2, "name": "a"} and len(rows(served)) == 2
