"""A change by anyone, straight in PostgreSQL: what it changed is fresh at the next GET, everything else stays kept."""

import statistics
import subprocess

import pytest

from support import fastcgi
from support.coherent import (SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, detail, is_hit, keep, sockets, wait_for_body)
from support.host import Host
from support.paths import program
from support.stack import queries
from support.waiting import wait_until

SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, visits int NOT NULL DEFAULT 0);
CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE, title text);
CREATE TABLE parts (id int NOT NULL, word text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20);
CREATE MATERIALIZED VIEW summary AS SELECT count(*) AS users FROM users;
CREATE VIEW names AS SELECT id, name FROM users;
"""
ROWS = """
TRUNCATE posts, users, parts;
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 40) AS i;
INSERT INTO posts SELECT i, (i + 1) / 2, 'post ' || i FROM generate_series(1, 40) AS i;
INSERT INTO parts VALUES (1, 'low'), (11, 'high');
REFRESH MATERIALIZED VIEW summary;
"""


def route(path, statement, *lines, cache="ttl=300s negative=300s", result="rows"):
    head = [f"-- @http GET {path}", f"-- @result {result}", f"-- @cache {cache}", *(f"-- {line}" for line in lines)]
    return "\n".join([*head, statement, ""])


USER = "SELECT id, name FROM users WHERE id = :id"
ROUTES = SENTINEL_ROUTE | {
    "user": route("/users/{id}", USER, "@depends users.id = :id", result="row"),
    "far": route("/far/{id}", USER, "@depends users.id = :id", result="row",
                 cache="ttl=300s negative=300s l1=off"),
    "wide": route("/wide/{id}", USER, result="row"),
    "names": route("/names", "SELECT name FROM names WHERE id <= 2 ORDER BY id"),
    "count": route("/count", "SELECT count(*) AS users FROM users", result="row"),
    "posts": route("/users/{id}/posts", "SELECT p.id, p.title, u.name, u.id AS writer FROM posts p"
                   " JOIN users u ON u.id = p.author WHERE p.author = :id ORDER BY p.id",
                   "@depends posts.author = :id", "@depends users.id = writer"),
    "parts": route("/parts", "SELECT word FROM parts ORDER BY id"),
    "summary": route("/summary", "SELECT users FROM summary", result="row"),
    "tagged": route("/tagged/{id}", "SELECT :id AS id", "@param id int", "@tags page page:{id}", result="row"),
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, export=True, nginx=False, install=True, larderd=True)


@pytest.fixture
def served(shared):
    """The file's stack with its rows as they were and nothing under way."""
    shared.sql(ROWS)
    barrier(shared)
    return shared


def kept(stack, target, tier=None):
    return keep(lambda: stack.direct(target), tier)


def assert_becomes(stack, target, body, deadline=5.0):
    """In every process of the host."""
    for socket in sockets(stack):
        wait_for_body(lambda: fastcgi.ask(socket, target), body, deadline)


def assert_still_kept(stack, *targets):
    """Everything committed so far has been told, and these are kept all the same."""
    barrier(stack)
    before = queries(stack)
    for target in targets:
        assert is_hit(stack.direct(target)), target
    assert queries(stack) == before


# What changes shows

def test_a_change_shows_within_moments(served):
    """Median and worst of fifty; a bound that only a poll or a ttl would break."""
    seconds = []
    for number in range(50):
        kept(served, "/users/1", "l1")
        served.sql("UPDATE users SET name = %s WHERE id = 1", [f"name {number}"])
        seconds.append(wait_for_body(lambda: served.direct("/users/1"), {"id": 1, "name": f"name {number}"}))
    print(f"\ncommit to fresh answer: median {statistics.median(seconds) * 1000:.1f} ms, worst"
          f" {max(seconds) * 1000:.1f} ms")
    assert statistics.median(seconds) < 0.5, seconds


def test_a_change_by_psql_itself(served):
    kept(served, "/users/1")
    subprocess.run(["psql", "-qc", "UPDATE users SET name = 'psql' WHERE id = 1"], check=True, timeout=20,
                   env=served.environment())
    assert_becomes(served, "/users/1", {"id": 1, "name": "psql"})


@pytest.mark.parametrize("statement, target, body", [
    ("UPDATE users SET name = 'x' WHERE id = 3", "/users/3", {"id": 3, "name": "x"}),
    ("UPDATE users SET name = 'x' WHERE id = 3", "/wide/3", {"id": 3, "name": "x"}),
    ("UPDATE users SET name = 'x' WHERE id = 3", "/far/3", {"id": 3, "name": "x"}),
    ("UPDATE users SET name = 'x' WHERE id = 2", "/names", [{"name": "user 1"}, {"name": "x"}]),
    ("UPDATE names SET name = 'x' WHERE id = 2", "/names", [{"name": "user 1"}, {"name": "x"}]),
    ("UPDATE users SET name = 'x'", "/users/39", {"id": 39, "name": "x"}),
    ("INSERT INTO users VALUES (41, 'x')", "/count", {"users": 41}),
    ("DELETE FROM users WHERE id = 40", "/count", {"users": 39}),
    ("DELETE FROM users WHERE id = 1", "/users/1/posts", []),
    ("TRUNCATE users CASCADE", "/users/1/posts", []),
    ("TRUNCATE users CASCADE", "/count", {"users": 0}),
    ("UPDATE posts SET title = 'x' WHERE id = 2; DELETE FROM posts WHERE id = 1", "/users/1/posts",
     [{"id": 2, "title": "x", "name": "user 1", "writer": 1}]),
    ("UPDATE posts SET author = 1 WHERE id = 40; DELETE FROM posts WHERE id < 3", "/users/1/posts",
     [{"id": 40, "title": "post 40", "name": "user 1", "writer": 1}]),
    ("UPDATE users SET id = 100 WHERE id = 20", "/users/100/posts",
     [{"id": 39, "title": "post 39", "name": "user 20", "writer": 100},
      {"id": 40, "title": "post 40", "name": "user 20", "writer": 100}]),
    ("UPDATE users SET name = 'x' WHERE id = 20; DELETE FROM posts WHERE id = 39", "/users/20/posts",
     [{"id": 40, "title": "post 40", "name": "x", "writer": 20}]),
    ("INSERT INTO parts VALUES (12, 'new')", "/parts", [{"word": "low"}, {"word": "high"}, {"word": "new"}]),
    ("UPDATE parts SET id = 13, word = 'moved' WHERE id = 1", "/parts", [{"word": "high"}, {"word": "moved"}]),
    ("UPDATE parts_high SET word = 'x'", "/parts", [{"word": "low"}, {"word": "x"}]),
    ("TRUNCATE parts_low", "/parts", [{"word": "high"}]),
    ("DELETE FROM users WHERE id = 40; REFRESH MATERIALIZED VIEW summary", "/summary", {"users": 39}),
    ("BEGIN; SAVEPOINT a; UPDATE users SET name = 'x' WHERE id = 3; RELEASE a; COMMIT", "/users/3",
     {"id": 3, "name": "x"}),
    ("INSERT INTO users VALUES (3, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name", "/users/3",
     {"id": 3, "name": "x"}),
])
def test_what_changes_shows(served, statement, target, body):
    assert kept(served, target).json() != body
    served.sql(statement)
    assert_becomes(served, target, body)
    kept(served, target)


def test_rows_that_come_by_copy(served):
    assert kept(served, "/count").json() == {"users": 40}
    assert kept(served, "/users/51").status == 404
    lines = "".join(f"{number}\tcopied\n" for number in range(51, 61))
    subprocess.run(["psql", "-qc", "COPY users (id, name) FROM STDIN"], input=lines, text=True, check=True, timeout=20,
                   env=served.environment())
    assert_becomes(served, "/count", {"users": 50})
    assert_becomes(served, "/users/51", {"id": 51, "name": "copied"})


@pytest.mark.parametrize("path", ["users", "far"])
def test_a_row_that_was_not_there_comes_and_goes(served, path):
    """Kept as missing, then as there, then as missing: told each time, well within the guard time."""
    for number in range(90, 100):
        target = f"/{path}/{number}"
        assert kept(served, target).status == 404
        served.sql("INSERT INTO users VALUES (%s, 'late')", [number])
        wait_until(lambda: served.direct(target).status == 200, 2.5, "the row there", every=0.001)
        assert kept(served, target).json() == {"id": number, "name": "late"}
        served.sql("DELETE FROM users WHERE id = %s", [number])
        wait_until(lambda: served.direct(target).status == 404, 2.5, "the row gone", every=0.001)


def test_tags_change_with_the_answer(served):
    """The ETag a client has is good until the change, then no more."""
    old = kept(served, "/users/5", "l1")
    asked = {"If-None-Match": old["ETag"]}
    assert served.direct("/users/5", headers=asked).status == 304
    served.sql("UPDATE users SET name = 'other' WHERE id = 5")
    wait_until(lambda: served.direct("/users/5", headers=asked).status == 200, 5, "a new answer")
    new = kept(served, "/users/5", "l1")
    assert new["ETag"] != old["ETag"]
    assert served.direct("/users/5", headers={"If-None-Match": new["ETag"]}).status == 304
    assert served.direct("/users/5", method="HEAD")["ETag"] == new["ETag"]


# What does not change stays

def test_an_unread_column_strikes_nothing(served):
    targets = ["/users/1", "/wide/1", "/names", "/count", "/users/1/posts"]
    for target in targets:
        kept(served, target)
    served.sql("UPDATE users SET visits = visits + 1")
    assert_still_kept(served, *targets)


def test_an_update_that_changes_nothing_strikes_nothing(served):
    kept(served, "/users/1")
    served.sql("UPDATE users SET name = name, id = id")
    assert_still_kept(served, "/users/1")


def test_only_the_changed_users_entry_is_struck(served):
    for number in range(1, 11):
        kept(served, f"/users/{number}")
        kept(served, f"/users/{number}/posts")
    served.sql("UPDATE users SET name = 'x' WHERE id = 4")
    assert_becomes(served, "/users/4", {"id": 4, "name": "x"})
    others = [f"/users/{number}" for number in range(1, 11) if number != 4]
    assert_still_kept(served, *others, *(f"{each}/posts" for each in others))
    assert served.direct("/users/4/posts").json()[0]["name"] == "x"


def test_counts_are_struck_by_rows_that_come_and_go_only(served):
    kept(served, "/count")
    served.sql("UPDATE users SET name = 'x'")
    assert_still_kept(served, "/count")


@pytest.mark.parametrize("statement", [
    "BEGIN; UPDATE users SET name = 'never'; DELETE FROM posts; ROLLBACK",
    "BEGIN; SAVEPOINT a; UPDATE users SET name = 'never'; ROLLBACK TO a; COMMIT",
    "DO $$ BEGIN UPDATE users SET name = 'never'; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    "BEGIN; TRUNCATE users CASCADE; ROLLBACK",
])
def test_what_is_rolled_back_strikes_nothing(served, statement):
    targets = ["/users/1", "/wide/1", "/names", "/count", "/users/1/posts"]
    for target in targets:
        kept(served, target)
    served.sql(statement)
    assert_still_kept(served, *targets)


# Tags of a route's own

def purge(stack, *tags):
    subprocess.run([program("larder"), "purge", *tags], env=stack.environment(), check=True, timeout=20)


def test_purge_strikes_what_carries_the_tag(served):
    for number in (1, 2):
        kept(served, f"/tagged/{number}")
    purge(served, "page:1")
    wait_until(lambda: not is_hit(served.direct("/tagged/1")), 5, "the entry struck", every=0.001)
    assert_still_kept(served, "/tagged/2")
    kept(served, "/tagged/1")
    purge(served, "page")
    for number in (1, 2):
        wait_until(lambda: not is_hit(served.direct(f"/tagged/{number}")), 5, "the entry struck", every=0.001)


# Tiers

def test_memory_answers_next_and_redis_where_it_may_not(served):
    assert detail(kept(served, "/users/7", "l1")) == "l1"
    for _ in range(30):
        assert detail(served.direct("/far/7")) in ("redis", "fill")
    assert detail(kept(served, "/far/7")) == "redis"


def test_another_host_hears_of_the_change_too(served, tmp_path):
    with Host(served, f"{tmp_path}/second") as second:
        for number in range(20):
            for host in (served, second):
                keep(lambda: host.direct("/users/9"), "l1")
            served.sql("UPDATE users SET name = %s WHERE id = 9", [f"seen {number}"])
            for socket in sockets(served, [second]):
                wait_for_body(lambda: fastcgi.ask(socket, "/users/9"), {"id": 9, "name": f"seen {number}"})


# Whatever is lost in Redis costs a miss at worst

def flush_all(client):
    client.flushall()


def flush_scripts(client):
    client.script_flush()


def lose_tags(client):
    for key in client.keys("larder:t:*"):
        client.delete(key)


def lose_clock(client):
    client.delete("larder:c")


def lose_journal(client):
    client.delete("larder:j")


def lose_leases(client):
    for key in client.keys("larder:l:*"):
        client.delete(key)


@pytest.mark.parametrize("lose", [flush_all, flush_scripts, lose_tags, lose_clock, lose_journal, lose_leases])
@pytest.mark.parametrize("target", ["/users/{}", "/far/{}"])
def test_what_redis_loses_is_a_miss_at_worst(served, lose, target):
    asked = [target.format(number) for number in range(1, 6)]
    for each in asked:
        kept(served, each)
    lose(served.redis.client())
    for number, each in enumerate(asked, 1):
        assert served.direct(each).json() == {"id": number, "name": f"user {number}"}
    lose(served.redis.client())
    served.sql("UPDATE users SET name = 'after' WHERE id <= 3")
    for number in (1, 2, 3):
        assert_becomes(served, target.format(number), {"id": number, "name": "after"})
    for each in asked:
        kept(served, each)
    served.sql("UPDATE users SET name = 'again' WHERE id <= 3")
    for number in (1, 2, 3):
        assert_becomes(served, target.format(number), {"id": number, "name": "again"})


def test_lost_tags_are_counted_as_newer(served):
    """Redis' own entry is not believed once its tag is gone; and the miss makes it whole again."""
    kept(served, "/far/1")
    lose_tags(served.redis.client())
    assert not is_hit(served.direct("/far/1"))
    assert is_hit(kept(served, "/far/1"))


# Without triggers

def test_a_table_without_triggers_is_kept_for_the_guard_time_only(stack):
    """And `larder install` mends it while everything runs."""
    served = stack(ROUTES, schema=SCHEMA + ROWS, nginx=False, install=True, larderd=True,
                   env={"LARDER_GUARD_TTL": "1s"})
    served.sql("CREATE TABLE loose (id int PRIMARY KEY, word text); INSERT INTO loose VALUES (1, 'old')")
    served.write_route("loose", route("/loose", "SELECT word FROM loose WHERE id = 1", result="row"))
    served.api.reload()
    kept(served, "/loose")
    served.sql("UPDATE loose SET word = 'new'")
    wait_for_body(lambda: served.direct("/loose"), {"word": "new"}, 2.5)
    subprocess.run([program("larder"), "install"], env=served.environment(), check=True, timeout=30)

    def heard_of():
        kept(served, "/loose")
        served.sql("UPDATE loose SET word = word || '+'")
        return wait_for_body(lambda: served.direct("/loose"), served_word(served), 5) < 0.3

    wait_until(heard_of, 20, "changes heard of at once")


def served_word(stack):
    return {"word": stack.sql("SELECT word FROM loose")[0][0]}
