"""`larder purge`: what it strikes while responders run, what it says, and what it refuses."""

import re
import subprocess

import pytest

from support import fastcgi
from support.coherent import is_hit, keep, sockets, wait_for_body
from support.network import free_port
from support.paths import program
from support.redis_server import Redis

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL);
CREATE TABLE unread (id int PRIMARY KEY);
CREATE SCHEMA apart; CREATE TABLE apart.coins (id int PRIMARY KEY);
CREATE TABLE parts (id int NOT NULL, word text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
"""
ROWS = """
INSERT INTO users VALUES (1, ''), (2, '');
INSERT INTO notes VALUES (1, ''), (2, '');
INSERT INTO parts VALUES (1, '');
"""
WRITE = "UPDATE users SET name = '{0}'; UPDATE notes SET text = '{0}'; UPDATE parts SET word = '{0}'"


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", "-- @result row", "-- @cache ttl=300s", *(f"-- {line}" for line in lines),
                      statement, ""])


ROUTES = {
    "user": route("/users/{id}", "SELECT name AS word FROM users WHERE id = :id", "@depends users.id = :id"),
    "users": route("/users", "SELECT string_agg(name, ' ' ORDER BY id) AS word FROM users"),
    "note": route("/notes/{id}", "SELECT text AS word FROM notes WHERE id = :id", "@tags notes note:{id}"),
    "coins": route("/coins", "SELECT count(*) AS coins FROM apart.coins"),
    "parts": route("/parts", "SELECT string_agg(word, ' ' ORDER BY id) AS word FROM parts"),
}
TARGETS = ("/users/1", "/users/2", "/users", "/notes/1", "/notes/2", "/parts")


@pytest.fixture(scope="module")
def shared(shared_stack):
    """Nothing tells of changes here but purges: what is kept stays until then."""
    return shared_stack(ROUTES, schema=SCHEMA + ROWS, export=True, nginx=False, env={"LARDER_GUARD_TTL": "10m"})


@pytest.fixture
def served(shared):
    """Every target is kept, by every process in its own memory, with a body that is out of date.

    The words are others for each test, so that what is kept is known to be of this one.
    """
    shared.test_number = getattr(shared, "test_number", 0) + 1
    shared.sql(WRITE.format(word(shared, "old")))
    struck(shared, "--all")
    for socket in sockets(shared):
        for target in TARGETS:
            wait_for_body(lambda: fastcgi.ask(socket, target), body(shared, target, "old"))
            keep(lambda: fastcgi.ask(socket, target), "l1")
    shared.sql(WRITE.format(word(shared, "new")))
    return shared


def word(stack, age):
    return f"{age}-{stack.test_number}"


def body(stack, target, age):
    return {"word": f"{word(stack, age)} {word(stack, age)}" if target == "/users" else word(stack, age)}


def purge(stack, *arguments, **environment):
    settings = {name: value for name, value in (stack.environment() | environment).items() if value is not None}
    return subprocess.run([program("larder"), "purge", *arguments], env=settings, capture_output=True, text=True,
                          check=False, timeout=30)


def struck(stack, *arguments):
    """The line it printed."""
    done = purge(stack, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.count("\n") == 1
    return done.stdout


def assert_struck(stack, *targets):
    """These, and no other target, in every process."""
    for socket in sockets(stack):
        for target in targets:
            wait_for_body(lambda: fastcgi.ask(socket, target), body(stack, target, "new"))
        for target in set(TARGETS) - set(targets):
            answer = fastcgi.ask(socket, target)
            assert is_hit(answer) and answer.json() == body(stack, target, "old"), target


@pytest.mark.parametrize("arguments, targets", [
    (["note:1"], ["/notes/1"]),
    (["notes"], ["/notes/1", "/notes/2"]),
    (["note:1", "public.users(id,name).id=2"], ["/notes/1", "/users/2"]),
    (["public.users(id,name).id=*"], ["/users/1", "/users/2"]),
    (["public.users(id,name)"], ["/users"]),
    (["no such tag", "--", "--all"], []),
    (["--all"], TARGETS),
    (["*"], TARGETS),
    (["--table", "public.users"], ["/users/1", "/users/2", "/users"]),
    (["--table", "users", "note:2"], ["/users/1", "/users/2", "/users", "/notes/2"]),
    (["--table", "notes", "--table", "parts"], ["/notes/1", "/notes/2", "/parts"]),
    (["--table", "parts_low"], ["/parts"]),
])
def test_what_is_struck_and_what_is_not(served, arguments, targets):
    struck(served, *arguments)
    assert_struck(served, *targets)


def test_one_line_tells_the_tags_and_the_clock(served):
    line = struck(served, "note:1", "note:2", "note:1")
    clock = served.redis.client().hget("larder:c", "b").decode()
    assert line == f'struck 2 tags at clock {clock}: "note:1", "note:2"\n'
    assert served.redis.client().get("larder:t:note:1").decode() == clock
    assert re.fullmatch(r'struck everything \(the tag "\*"\) at clock \d+\n', struck(served, "--all"))
    assert re.fullmatch(r'struck 1 tag at clock \d+: "note:1"\n', struck(served, "note:1"))


def test_a_table_that_only_the_triggers_know(served):
    """Of a route that is gone again, or of another folder of routes."""
    served.sql("CREATE SCHEMA larder; CREATE TABLE larder.watch (schema text, \"table\" text, columns text[],"
               " narrow text, tag text); INSERT INTO larder.watch VALUES ('public', 'unread', '{id}', NULL, 'notes'),"
               " ('public', 'other', '{id}', NULL, 'public.other(id)')")
    try:
        assert '"notes"' in struck(served, "--table", "unread")
        assert_struck(served, "/notes/1", "/notes/2")
    finally:
        served.sql("DROP SCHEMA larder CASCADE")


@pytest.mark.parametrize("arguments, complaint", [
    ([], "nothing is named"),
    ([""], "a tag is empty"),
    (["good", "bad\ntag"], "a tag has a control character"),
    (["x" * 1025], "has 1025 bytes"),
    (["--tabel", "users"], '"--tabel" is not allowed; allowed: [--all] [--table TABLE]... [TAG]...'),
    (["--table"], "--table needs a table's name"),
    (["--table", ""], "--table needs a table's name"),
])
def test_a_wrong_call_strikes_nothing(served, arguments, complaint):
    done = purge(served, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert_struck(served)


@pytest.mark.parametrize("arguments, environment, complaint", [
    (["note:1"], {"LARDER_REDIS": None}, "LARDER_REDIS is not set"),
    (["note:1"], {"LARDER_REDIS": "redis://:secret@127.0.0.1:1/0"}, "Redis at 127.0.0.1:1: Connection refused"),
    (["note:1"], {"LARDER_REDIS": "unix:/nowhere/redis.sock"}, "Redis at /nowhere/redis.sock: No such file or directory"),
    (["--table", "no.such"], {}, 'PostgreSQL has no table "no.such"'),
    (["--table", "such"], {}, 'PostgreSQL has no table "such"\n'),
    (["--table", "coins"], {}, 'PostgreSQL has no table "coins" in its search_path; the routes read apart.coins'),
    (["--table", "a.b.c.d"], {}, "PostgreSQL: "),
    (["note:1", "--table", "unread"], {}, '"unread"'),
    (["--table", "users"], {"PGPORT": str(free_port())}, "PostgreSQL: "),
])
def test_what_can_not_be_done_is_said(served, arguments, environment, complaint):
    done = purge(served, *arguments, **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr and done.stderr.count("\n") == 1
    assert_struck(served)


def test_a_replica_refuses(served, tmp_path):
    replica = Redis(tmp_path / "replica", {"replicaof": f"127.0.0.1 {served.redis.port}"})
    try:
        done = purge(served, "note:1", LARDER_REDIS=replica.url)
        assert done.returncode == 1 and "Redis: " in done.stderr
    finally:
        replica.stop()
