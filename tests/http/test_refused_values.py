"""What PostgreSQL refuses is told of the fields that it is about, and of no others."""

import json
import random
import string

import pytest

SCHEMA = """
CREATE TABLE thing (id serial PRIMARY KEY, span int4range, price numeric(5,2), code varchar(3), nick text, day date);
CREATE UNIQUE INDEX thing_nick ON thing (lower(nick));
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE counted (id positive, note text);
CREATE TABLE parent (id int PRIMARY KEY, mail text UNIQUE);
CREATE TABLE child (number int PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE same (id int PRIMARY KEY REFERENCES parent);
CREATE TABLE node (id int PRIMARY KEY, above int REFERENCES node);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1);
INSERT INTO same VALUES (2);
INSERT INTO node VALUES (1, NULL), (2, 1);
CREATE TABLE low (a int);
CREATE VIEW shown AS SELECT a FROM low WHERE a < 10 WITH CHECK OPTION;
CREATE FUNCTION adopt(child int, parent int) RETURNS int LANGUAGE sql
    AS 'UPDATE child SET parent = $2 WHERE number = $1 RETURNING number';
"""
ROUTES = {
    "thing": "-- @http POST /thing\n-- @result row\n-- @param span default=null\n-- @param price default=null\n"
             "-- @param code default=null\n-- @param nick default=null\n-- @param day default=null\n"
             "INSERT INTO thing (span, price, code, nick, day) VALUES (:span, :price, :code, :nick, :day) RETURNING id",
    "counted": "-- @http POST /counted\n-- @result row\n-- @param id\n-- @param note default=null\n"
               "INSERT INTO counted VALUES (:id, :note) RETURNING id",
    "rename": "-- @http PUT /parent/{id}\n-- @result row\n-- @param new int\n"
              "UPDATE parent SET id = :new WHERE id = :id RETURNING id",
    "parent": "-- @http POST /parent\n-- @result row\n-- @param mail text\n"
              "INSERT INTO parent VALUES (9, :mail) RETURNING id",
    "child": "-- @http PUT /child/{number}\n-- @result row\n-- @param parent int\n"
             "UPDATE child SET parent = :parent WHERE number = :number RETURNING number",
    "adopt": "-- @http POST /adopt\n-- @result row\n-- @param number int\n-- @param parent int\n"
             "SELECT adopt(:number, :parent) AS number",
    "same": "-- @http PUT /same/{id}\n-- @result row\n-- @param new int\n"
            "UPDATE same SET id = :new WHERE id = :id RETURNING id",
    "node": "-- @http PUT /node/{id}\n-- @result row\n-- @param new int default=null\n-- @param above int default=null\n"
            "UPDATE node SET id = coalesce(:new, id), above = coalesce(:above, above) WHERE id = :id RETURNING id",
    "shown": "-- @http POST /shown\n-- @result row\n-- @param a int\nINSERT INTO shown VALUES (:a) RETURNING a",
    "any": "-- @http POST /any\n-- @result row\nSELECT :body::jsonb AS it",
}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, nginx=False, redis=False)


def send(served, path, body, method="POST"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.direct(path, method=method, headers={"Content-Type": "application/json"}, body=body)


def blamed(answer):
    return [each["name"] for each in answer.json().get("errors", [])]


@pytest.mark.parametrize("body", [{"price": 1000}, {"code": "long"}, {"price": 1000, "nick": "Ann"},
                                  {"code": "long", "price": 1}, {"span": "5"}])
def test_the_refused_field_alone_is_named(served, body):
    answer = send(served, "/thing", body)
    assert answer.status == 422
    assert blamed(answer) == [next(iter(body))], answer.text


def test_a_unique_index_on_an_expression_names_its_column(served):
    assert send(served, "/thing", {"nick": "Bob"}).status == 200
    answer = send(served, "/thing", {"nick": "bob"})
    assert (answer.status, blamed(answer)) == (409, ["nick"])


def test_a_domains_check_names_the_field(served):
    answer = send(served, "/counted", {"id": -1, "note": "less than none"})
    assert (answer.status, blamed(answer)) == (422, ["id"])


@pytest.mark.parametrize("path, body", [("/parent/1", {"new": 7}), ("/parent/2", {"new": 8}), ("/node/1", {"new": 7})])
def test_a_row_that_is_referred_to_is_still_in_use(served, path, body):
    """Of a foreign key PostgreSQL has one SQLSTATE for both ways; /parent/2's has one name at both ends."""
    answer = send(served, path, body, "PUT")
    assert (answer.status, answer.json()["detail"]) == (409, "What is to be changed is still in use.")
    assert blamed(answer) == [], "columns of what refers to it are none of the request's"


@pytest.mark.parametrize("path, method, body, field", [
    ("/child/1", "PUT", {"parent": 77}, "parent"), ("/adopt", "POST", {"number": 1, "parent": 77}, "parent"),
    ("/same/2", "PUT", {"new": 77}, "id"), ("/node/2", "PUT", {"above": 77}, "above")])
def test_a_row_that_refers_to_nothing_names_the_field(served, path, method, body, field):
    answer = send(served, path, body, method)
    assert (answer.status, answer.json()["detail"]) == (409, "The change names something that does not exist.")
    assert blamed(answer) == [field]


def test_a_text_too_long_for_an_index_is_the_clients_matter(served):
    dice = random.Random(1)
    answer = send(served, "/parent", {"mail": "".join(dice.choice(string.ascii_letters) for _ in range(9000))})
    assert (answer.status, blamed(answer)) == (422, ["mail"])
    assert answer.json()["detail"] == "A value is larger than the database can store."


def test_a_views_check_option_is_a_violation(served):
    answer = send(served, "/shown", {"a": 100})
    assert (answer.status, blamed(answer)) == (422, [])
    assert answer.json()["detail"] == "The view that is written to takes only rows that it shows itself."


@pytest.mark.parametrize("number", [b"1e131000", b"1e-5000", b"-12.5E+1000", b"1" * 1001, b"0." + b"3" * 1001,
                                    b"1e99999999999999999999"], ids=lambda number: number[:12])
def test_a_number_in_json_has_1000_digits_at_most(served, number):
    """jsonb writes each with all its zeros: a short body would make an answer of many megabytes."""
    answer = send(served, "/any", b'{"numbers": [' + number + b"]}")
    assert answer.status == 400, (answer.status, len(answer.body))
    assert "a number may have 1000 digits, its exponent counted in" in answer.text


@pytest.mark.parametrize("number, same", [(b"1e300", "1" + "0" * 300), (b"-2.5e-3", "-0.0025"), (b"9" * 1000, "9" * 1000),
                                          (b"0e0", "0")], ids=lambda number: number[:12])
def test_numbers_below_that_are_taken(served, number, same):
    assert send(served, "/any", number).text == '{"it":%s}' % same
