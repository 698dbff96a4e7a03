"""The tags of answers narrowed by @depends, as their entries in Redis carry them, and that bodies stay what they are."""

import hashlib
import json
import struct
import uuid

import pytest

from support.waiting import wait_until

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'very happy');
CREATE TABLE users (id bigint PRIMARY KEY, name text, mood mood, key uuid, boss_id int, "Odd name" text,
                    good boolean);
INSERT INTO users SELECT n, 'n' || n, 'very happy', md5(n::text)::uuid, nullif(n % 3, 0), 'line ' || chr(10) || n
FROM generate_series(1, 50) AS n;
UPDATE users SET good = id > 2 WHERE id > 1;
INSERT INTO users VALUES (100, repeat('x', 65)), (101, repeat('x', 64)), (102, 'it''s \\ "quoted" = ü'), (103, ''), (104, NULL);
"""
WHOLE = "public.users(id,name)"


def route(path, statement, *depends, shape="row", params=()):
    lines = [f"@http GET {path}", *(f"@param {each}" for each in params), f"@result {shape}", "@cache ttl=1m negative=1m",
             *(f"@depends {each}" for each in depends)]
    return "".join(f"-- {line}\n" for line in lines) + statement


BY_ID = "SELECT id, name FROM users WHERE id = :id"
FROM_TO = "SELECT id, name FROM users WHERE id BETWEEN :a AND :b ORDER BY id"
BOUNDS = ("a int", "b int")
ROUTES = {
    "plain": route("/plain/{id}", BY_ID),
    "row": route("/row/{id}", BY_ID, "users.id = :id"),
    "value": route("/value/{id}", "SELECT name FROM users WHERE id = :id", "users.id = :id", shape="value"),
    "json": route("/json/{id}", "SELECT to_json(name) FROM users WHERE id = :id", "users.id = :id", shape="json"),
    "rows": route("/rows/{id}", BY_ID, "users.id = :id", shape="rows"),
    "tagged": route("/tagged/{id}", BY_ID, "users.id = :id").replace("-- @cache", "-- @tags user:{id} all\n-- @cache"),
    "twice": route("/twice/{id}", "SELECT id, boss_id FROM users WHERE id = :id OR boss_id = :id ORDER BY id LIMIT 1",
                   "users.id = :id", "users.boss_id = :id"),
    "list": route("/list", FROM_TO, "users.id = id", shape="rows", params=BOUNDS),
    "list-row": route("/list-row", FROM_TO, "users.id = id", params=BOUNDS),
    "list-value": route("/list-value", "SELECT id FROM users WHERE id BETWEEN :a AND :b", "users.id = id", shape="value",
                        params=BOUNDS),
    "boss": route("/boss", "SELECT boss_id FROM users WHERE id BETWEEN :a AND :b", "users.boss_id = boss_id", shape="rows",
                  params=BOUNDS),
    "named": route("/named", "SELECT id, name FROM users WHERE name = :name", "users.name = :name", shape="rows",
                   params=["name text default=null"]),
    "odd": route("/odd/{id}", 'SELECT "Odd name" AS "a \'b" FROM users WHERE id = :id', 'users."Odd name" = "a \'b"'),
    "types": route("/types/{id}", "SELECT mood, key, id > 1 AS more FROM users WHERE id = :id", "users.mood = mood",
                   "users.key = key"),
    "names": route("/names", FROM_TO, "users.name = name", shape="rows", params=BOUNDS),
    "kinds": route("/kinds", "SELECT mood, key, good FROM users WHERE id BETWEEN :a AND :b", "users.mood = mood",
                   "users.key = key", "users.good = good", shape="rows", params=BOUNDS),
    "user": route("/user/{boss}", "SELECT id, name FROM users WHERE boss_id = :boss AND (:mood::mood IS NULL OR mood = :mood)"
                  " AND (:good::bool IS NULL OR good = :good)", "users.boss_id = :boss and mood = :mood and users.good = :good",
                  shape="rows", params=["boss int", "mood mood default=null", "good bool default=null"]),
    "whose": route("/whose", "SELECT id FROM users WHERE :boss::int IS NULL OR boss_id = :boss AND name = :name",
                   "users.boss_id = :boss and name = :name", shape="rows",
                   params=["boss int default=null", "name text default=null"]),
    "pairs": route("/pairs", "SELECT boss_id, mood FROM users WHERE id BETWEEN :a AND :b", "users.boss_id = boss_id and mood = mood",
                   shape="rows", params=BOUNDS),
    "pair": route("/pair/{id}", "SELECT mood, name FROM users WHERE id = :id", "users.id = :id and mood = mood"),
    "mixed": route("/mixed", "SELECT id, mood FROM users WHERE id BETWEEN :a AND :b AND (:m::mood IS NULL OR mood = :m)",
                   "users.id = id and mood = :m", shape="rows", params=[*BOUNDS, "m mood default=null"]),
    "for": route("/for", FROM_TO.replace("id,", "id, mood,"), "users.id = id for name", "users.boss_id = :a", shape="rows",
                 params=BOUNDS),
    "for-alone": route("/for-alone", FROM_TO, "users.id = id for name", shape="rows", params=BOUNDS),
    "both": route("/both", FROM_TO, "users.id = id", "users.id = :a", shape="rows", params=BOUNDS),
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, nginx=False, env={"LARDER_L1": "0"})


@pytest.fixture
def served(shared):
    shared.redis.client().flushall()
    return shared


def tags_of(record):
    """The tags in an entry's metadata: behind nine numbers, three sizes and four texts (ETag, type, cursors)."""
    def text(at):
        size = struct.unpack_from("<Q", record, at)[0]
        return record[at + 8:at + 8 + size].decode(), at + 8 + size
    at = 8 * 12
    for _ in range(4):
        _, at = text(at)
    tags, at = [], at + 8
    while at < len(record):
        tag, at = text(at)
        tags.append(tag)
    return tags


def ask(stack, target):
    """The answer and the tags of its entry, without `*`."""
    redis = stack.redis.client()
    answer = stack.direct(target)
    keys = wait_until(lambda: list(redis.scan_iter("larder:e:*")), what="an entry in Redis")
    (key,) = keys
    tags = tags_of(redis.hget(key, "m"))
    redis.flushall()
    assert tags.pop(0) == "*"
    return answer, tags


def narrowed(*values, column="id", columns="id,name", equal="="):
    return [f"public.users({columns}).{column}{equal}{value}" for value in values]


def test_without_narrowing_it_is_the_table(served):
    answer, tags = ask(served, "/plain/7")
    assert json.loads(answer.body) == {"id": 7, "name": "n7"} and tags == [WHOLE]


@pytest.mark.parametrize("shape, body", [
    ("row", {"id": 7, "name": "n7"}), ("value", "n7"), ("json", "n7"), ("rows", [{"id": 7, "name": "n7"}])])
def test_a_parameter_narrows_every_shape(served, shape, body):
    answer, tags = ask(served, f"/{shape}/7")
    assert answer.status == 200 and json.loads(answer.body) == body
    assert tags == narrowed("*", 7)


@pytest.mark.parametrize("shape", ["row", "value", "json", "rows"])
def test_an_answer_without_a_row_has_its_parameter_s_tag(served, shape):
    answer, tags = ask(served, f"/{shape}/999")
    assert (answer.status, answer.body) == (200, b"[]") if shape == "rows" else answer.status == 404
    assert tags == narrowed("*", 999)


@pytest.mark.parametrize("shape", ["value", "json"])
def test_null_is_a_value_and_no_missing_row(served, shape):
    answer, tags = ask(served, f"/{shape}/104")
    assert (answer.status, answer.body) == (200, b"null") and tags == narrowed("*", 104)


def test_several_rows_for_one_are_an_error_still(served):
    assert served.direct("/list-row?a=1&b=2").status == 500


def test_tags_of_the_file_come_along(served):
    assert ask(served, "/tagged/7")[1] == [*narrowed("*"), "user:7", "all", *narrowed(7)]


def test_several_columns_of_one_table(served):
    _, tags = ask(served, "/twice/2")
    assert sorted(tags) == sorted(narrowed("*", 2, columns="boss_id,id") +
                                  narrowed("*", 2, column="boss_id", columns="boss_id,id"))


def test_the_result_s_values_narrow(served):
    answer, tags = ask(served, "/list?a=5&b=7")
    assert [each["id"] for each in json.loads(answer.body)] == [5, 6, 7]
    assert sorted(tags) == sorted(narrowed("*", 5, 6, 7))
    for target in ("/list-row?a=5&b=5", "/list-value?a=5&b=5"):
        assert [tag.split(".")[-1] for tag in ask(served, target)[1]] == ["id=*", "id=5"]


def test_equal_values_give_one_tag_and_null_one_of_its_own(served):
    _, tags = ask(served, "/boss?a=1&b=12")
    start = "public.users(boss_id,id).boss_id"
    assert sorted(tags) == [f"{start} is null", f"{start}=*", f"{start}=1", f"{start}=2"]


def test_texts_of_many_rows_are_written_as_one_s_are(served):
    _, tags = ask(served, "/names?a=100&b=104")
    long = "#" + hashlib.md5(b"x" * 65).hexdigest()
    assert sorted(tags) == sorted([*narrowed("*", long, "x" * 64, 'it\'s \\ "quoted" = ü', "", column="name"),
                                   *narrowed(" is null", column="name", equal="")])


def test_values_of_many_rows_are_of_all_types(served):
    _, tags = ask(served, "/kinds?a=1&b=3")
    of = {"mood": ["*", "very happy"], "good": ["*", "false", "true"],
          "key": ["*", *(str(uuid.UUID(hashlib.md5(each).hexdigest())) for each in (b"1", b"2", b"3"))]}
    wanted = [f"public.users(good,id,key,mood).{column}={value}" for column, values in of.items() for value in values]
    assert sorted(tags) == sorted([*wanted, "public.users(good,id,key,mood).good is null"])


def test_too_many_values_are_the_whole_table(served):
    """128 tags in all; others than the values' are `*`, the bulk tag, the URI's and NULL's."""
    served.sql("INSERT INTO users SELECT n, 'n' FROM generate_series(1001, 1125) AS n ON CONFLICT DO NOTHING")
    assert len(ask(served, "/list?a=1001&b=1124")[1]) == 125
    answer, tags = ask(served, "/list?a=1001&b=1125")
    assert len(json.loads(answer.body)) == 125 and tags == [*narrowed("*"), WHOLE]


# Several columns

def together(*values, columns="boss_id,good,id,mood,name", by="boss_id,mood,good"):
    return [f"public.users({columns}).{by}={value}" for value in values]


def test_values_narrow_together_up_to_the_first_that_is_missing(served):
    bulk = [*together("*", by="boss_id"), *together("*", by="boss_id,mood"), *together("*")]
    for query, tag in (("mood=very%20happy&good=false", together("2,very happy,false")),
                       ("mood=sad", together("2,sad", by="boss_id,mood")), ("good=true", together("2", by="boss_id")),
                       ("", together("2", by="boss_id"))):
        assert ask(served, f"/user/2?{query}")[1] == [*bulk, *tag]


def test_where_the_first_is_missing_the_whole_table_counts(served):
    columns = "boss_id,id,name"
    bulk = [*together("*", columns=columns, by="boss_id"), *together("*", columns=columns, by="boss_id,name")]
    long = "#" + hashlib.md5(b"x" * 65).hexdigest()
    for query, tag in (("boss=1&name=a%2Cb", together("1,a,b", columns=columns, by="boss_id,name")),
                       ("boss=1&name=" + "x" * 65, together(f"1,{long}", columns=columns, by="boss_id,name")),
                       ("name=n", [f"public.users({columns})"]), ("", [f"public.users({columns})"])):
        assert ask(served, f"/whose?{query}")[1] == [*bulk, *tag]


def test_the_result_s_values_narrow_together(served):
    pairs = {"columns": "boss_id,id,mood", "by": "boss_id,mood"}
    _, tags = ask(served, "/pairs?a=1&b=5")
    assert sorted(tags) == sorted(together("*", "1,very happy", "2,very happy", "null,very happy", **pairs))
    assert ask(served, "/pairs?a=9&b=8")[1] == [*together("*", **pairs), "public.users(boss_id,id,mood)"]
    pair = {"columns": "id,mood,name", "by": "id,mood"}
    assert ask(served, "/pair/7")[1] == together("*", "7,very happy", **pair)
    assert ask(served, "/pair/999")[1] == [*together("*", **pair), "public.users(id,mood,name)"]


def test_a_parameter_narrows_together_with_the_result(served):
    bulk = [*together("*", columns="id,mood", by="id"), *together("*", columns="id,mood", by="id,mood")]
    assert sorted(ask(served, "/mixed?a=3&b=4&m=very%20happy")[1]) == sorted(
        [*bulk, *together("3,very happy", "4,very happy", columns="id,mood", by="id,mood")])
    assert sorted(ask(served, "/mixed?a=3&b=4")[1]) == sorted([*bulk, *together("3", "4", columns="id,mood", by="id")])
    assert ask(served, "/mixed?a=3&b=4&m=sad")[1] == [*bulk, "public.users(id,mood)"]


# For some columns

def test_a_line_for_some_columns_is_a_tag_of_its_own(served):
    _, tags = ask(served, "/for?a=1&b=2")
    start = "public.users(boss_id,id,mood)"
    assert sorted(tags) == sorted([f"{start}.boss_id=*", f"{start}.boss_id=1", *narrowed("*", 1, 2, columns="for name")])
    assert ask(served, "/for?a=9&b=8")[1][-1] == "public.users(for name)"
    _, tags = ask(served, "/for-alone?a=1&b=2")
    assert sorted(tags) == sorted(["public.users(id)", *narrowed("*", 1, 2, columns="for name")])


def test_no_value_to_narrow_by_is_the_whole_table(served):
    for target in ("/list?a=8&b=7", "/list-row?a=8&b=7"):
        assert ask(served, target)[1] == [*narrowed("*"), WHOLE], "a row that comes must be heard of"
    assert ask(served, "/list-value?a=8&b=7")[1] == ["public.users(id).id=*", "public.users(id)"]
    assert ask(served, "/named")[1] == [*narrowed("*", column="name"), WHOLE], "the parameter is NULL"


def test_parameter_and_result_together(served):
    assert sorted(ask(served, "/both?a=3&b=4")[1]) == sorted(narrowed("*", 3, 3, 4))


@pytest.mark.parametrize("name, value", [
    ("n7", "n7"), ("x" * 64, "x" * 64), ("x" * 65, None), ("it%27s%20%5C%20%22quoted%22%20%3D%20%C3%BC", "it's \\ \"quoted\" = ü")])
def test_long_values_are_hashed_and_others_stand_as_they_are(served, name, value):
    expected = value or "#" + served.sql("SELECT md5(repeat('x', 65))")[0][0]
    assert ask(served, f"/named?name={name}")[1] == narrowed("*", expected, column="name")


def test_control_characters_and_odd_names(served):
    _, tags = ask(served, "/odd/7")
    digest = served.sql("SELECT md5('line ' || chr(10) || 7)")[0][0]
    start = 'public.users("Odd name",id)."Odd name"='
    assert tags == [f"{start}*", f"{start}#{digest}"]


def test_enums_and_uuids(served):
    _, tags = ask(served, "/types/7")
    start = "public.users(id,key,mood)."
    key = served.sql("SELECT md5('7')::uuid::text")[0][0]
    assert sorted(tags) == sorted([f"{start}key=*", f"{start}mood=*", f"{start}key={key}", f"{start}mood=very happy"])
