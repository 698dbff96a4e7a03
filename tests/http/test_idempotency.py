"""Idempotency-Key: a request that comes again is answered as the first time, and done once."""

import json
import threading

import pytest

from support.waiting import wait_until

JSON = {"Content-Type": "application/json"}
SCHEMA = """
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, name text NOT NULL, count int CHECK (count > 0));
CREATE SEQUENCE runs;
"""
INSERT = "INSERT INTO orders (name, count) SELECT :name, coalesce(:count, 1) FROM nextval('runs')"
ROUTES = {
    "list": "-- @http GET /orders\n-- @cache ttl=60s\nSELECT id, name, count FROM orders ORDER BY id\n",
    "post": f"-- @http POST /orders\n-- @result row\n-- @location /orders/{{id}}\n{INSERT} RETURNING id, name\n",
    "other": f"-- @http POST /others\n-- @result row\n{INSERT} RETURNING id, name\n",
    "none": f"-- @http POST /none\n-- @result none\n{INSERT}\n",
    "nobody": "-- @http POST /nobody\n-- @result value\nSELECT nextval('runs')\n",
    "headed": "-- @http POST /headed\n-- @result row\n-- @param tenant text in=header\n"
              "INSERT INTO orders (name) SELECT :tenant FROM nextval('runs') RETURNING id, name\n",
    "patch": "-- @http PATCH /orders/{id}\n-- @result row\n"
             "UPDATE orders SET count = count + 1 WHERE id = :id RETURNING id, count\n",
    "put": "-- @http PUT /orders/{id}\n-- @result row\nUPDATE orders SET name = :name WHERE id = :id RETURNING id, name\n",
    "kept": "-- @http GET /kept/{id}\n-- @result row\n-- @version count\nSELECT id, count FROM orders WHERE id = :id\n",
    "versioned": "-- @http PATCH /kept/{id}\n-- @result row\n-- @version count\n"
                 "UPDATE orders SET count = count + 1 WHERE id = :id AND count = coalesce(:version, count)"
                 " RETURNING id, count\n",
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True)


@pytest.fixture(autouse=True)
def empty(served):
    served.sql("TRUNCATE orders RESTART IDENTITY; ALTER SEQUENCE runs RESTART")


@pytest.fixture
def key(request):
    return request.node.name[:200]


def post(served, key, body, path="/orders", method="POST", headers=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.request(path, method, headers=JSON | {"Idempotency-Key": key} | (headers or {}), body=body)


def runs(served):
    return served.sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs")[0][0]


def told(answer):
    return answer.status, answer["Location"], answer["Content-Type"], answer["Cache-Control"], answer.body


def test_the_same_request_is_answered_again_and_done_once(served, key):
    first = post(served, f'"{key}"', {"name": "a"})
    assert told(first) == (201, "/orders/1", "application/json", "no-store", b'{"id":1,"name":"a"}')
    assert first["Idempotent-Replayed"] is None
    for again in (f'"{key}"', key):
        answer = post(served, again, {"name": "a"})
        assert told(answer) == told(first) and answer["Idempotent-Replayed"] == "true"
    assert runs(served) == 1 and len(served.get("/orders").json()) == 1
    assert post(served, key + "2", {"name": "a"}).json()["id"] == 2, "another key is another request"


def test_answers_without_a_body_and_routes_without_one(served, key):
    for _ in range(3):
        assert post(served, key, {"name": "é\n\"x"}, "/none").status == 204
        assert post(served, key, b"", "/nobody").body == b"2"
    assert runs(served) == 2


@pytest.mark.parametrize("change", [{"body": {"name": "b"}}, {"body": b'{"name": "a"} '}, {"path": "/orders?x=1"},
                                    {"headers": {"Content-Type": "application/vnd.x+json"}}])
def test_another_request_with_the_key_is_422(served, key, change):
    assert post(served, key, {"name": "a"}).status == 201
    answer = post(served, key, **({"body": {"name": "a"}} | change))
    assert "Idempotency-Key" in answer.problem(422)["detail"] and runs(served) == 1


def test_a_header_that_the_route_binds_is_part_of_the_request(served, key):
    first = post(served, key, b"", "/headed", headers={"Tenant": "a", "X-Trace": "1"})
    again = post(served, key, b"", "/headed", headers={"Tenant": "a", "X-Trace": "2"})
    assert first.json()["name"] == "a" and told(first) == told(again) and again["Idempotent-Replayed"] == "true"
    assert post(served, key, b"", "/headed", headers={"Tenant": "b"}).problem(422) and runs(served) == 1


def test_another_version_is_another_request(served, key):
    served.sql("INSERT INTO orders (name, count) VALUES ('a', 1)")
    first = served.request("/kept/1")["ETag"]
    assert post(served, key, b"", "/kept/1", "PATCH", {"If-Match": first}).status == 200
    second = served.request("/kept/1")["ETag"]
    assert post(served, key, b"", "/kept/1", "PATCH", {"If-Match": second}).problem(422)
    assert post(served, key, b"", "/kept/1", "PATCH", {"If-Match": first})["Idempotent-Replayed"] == "true"
    assert served.sql("SELECT count FROM orders") == [(2,)]


def test_each_route_has_keys_of_its_own(served, key):
    assert post(served, key, {"name": "a"}).json()["id"] == 1
    assert post(served, key, {"name": "a"}, "/others").json()["id"] == 2


def test_one_in_work_is_409(served, key):
    answers = []
    holder = served.postgres.connect(served.database, "larder")
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE orders IN EXCLUSIVE MODE")
    thread = threading.Thread(target=lambda: answers.append(post(served, key, {"name": "a"})))
    thread.start()
    wait_until(lambda: served.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"), 10,
               "the first to be held up")
    busy = post(served, key, {"name": "a"})
    assert busy.problem(409) and busy["Retry-After"] == "1"
    holder.rollback()
    holder.close()
    thread.join()
    assert answers[0].status == 201 and post(served, key, {"name": "a"})["Idempotent-Replayed"] == "true"
    assert runs(served) == 1


def test_of_many_at_once_one_is_done(served, key):
    statuses = []

    def one():
        statuses.append(post(served, key, {"name": "a"}).status)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409} and 201 in statuses and runs(served) == 1


def test_what_failed_is_not_kept(served, key):
    assert post(served, key, {"name": "a", "count": 0}).problem(422)
    assert post(served, key, {"name": 1}).problem(422)
    assert post(served, key, {"name": "a", "count": 2}).status == 201
    assert post(served, key, {"name": "a", "count": 0}).problem(422)["detail"].startswith("This Idempotency-Key")


def test_a_row_that_is_not_there_is_not_kept(served, key):
    assert post(served, key, b"", "/orders/1", "PATCH").problem(404)
    served.sql("INSERT INTO orders (name, count) VALUES ('a', 1)")
    assert post(served, key, b"", "/orders/1", "PATCH").json() == {"id": 1, "count": 2}


def test_a_patch_has_it_and_a_put_needs_none(served, key):
    served.sql("INSERT INTO orders (name, count) VALUES ('a', 1)")
    for _ in range(2):
        assert post(served, key, b"", "/orders/1", "PATCH").json() == {"id": 1, "count": 2}
    for name in ("b", "c"):
        answer = post(served, key, {"name": name}, "/orders/1", "PUT")
        assert answer.json()["name"] == name and answer["Idempotent-Replayed"] is None


def test_a_version_that_has_passed(served, key):
    served.sql("INSERT INTO orders (name, count) VALUES ('a', 1)")
    tag = served.get("/kept/1")["ETag"]
    for _ in range(2):
        assert post(served, key, b"", "/kept/1", "PATCH", {"If-Match": tag}).json() == {"id": 1, "count": 2}
    answer = post(served, key + "2", b"", "/kept/1", "PATCH", {"If-Match": tag})
    assert answer.problem(412) and answer["ETag"] == served.get("/kept/1")["ETag"]
    new = answer["ETag"]
    assert post(served, key + "2", b"", "/kept/1", "PATCH", {"If-Match": new}).json() == {"id": 1, "count": 3}


@pytest.mark.parametrize("bad", ["", '""', "a b", '"a', "a,b", "k" * 256, '"' + "k" * 256 + '"', "é"])
def test_a_malformed_key_is_400(served, bad):
    assert "Idempotency-Key" in post(served, bad, {"name": "a"}).problem(400)["detail"] and runs(served) == 0


def test_the_answer_is_that_of_the_first_though_the_row_is_gone(served, key):
    first = post(served, key, {"name": "a"})
    served.sql("DELETE FROM orders")
    assert told(post(served, key, {"name": "a"})) == told(first)


def test_a_database_without_the_table_says_so(stack):
    bare = stack({"post": ROUTES["post"]}, schema=SCHEMA)
    assert "Idempotency-Key" in post(bare, "k", {"name": "a"}).problem(501)["detail"]
    assert bare.sql("SELECT count(*) FROM orders") == [(0,)]
    assert bare.request("/orders", "POST", headers=JSON, body=b'{"name": "a"}').status == 201
