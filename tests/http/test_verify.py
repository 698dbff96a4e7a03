"""`larder verify`: it finds what is kept and wrong, and nothing that is only on its way to being right."""

import re
import signal
import subprocess
import time
import urllib.parse

import pytest

from support.coherent import barrier, is_hit, keep, wait_for_body
from support.network import free_port
from support.paths import program
from support.process import wait_stopped
from support.stack import metrics
from support.verify import (ROUTES, SCHEMA, assert_all_same, counted, emptied, kept, key_of, settings, silently, started,
                            verify)
from support.waiting import wait_until


@pytest.fixture(scope="module")
def shared(shared_stack):
    return started(shared_stack, schema=SCHEMA)


@pytest.fixture
def served(shared):
    return emptied(shared)


# What is right

def test_right_entries_are_the_same_whatever_their_values(served):
    texts = ["plain", "a,b:c", "-", "~", "3:abc,", "Grüße ✓", "it's \"so\"", "{a}"]
    targets = [f"/a:b/{urllib.parse.quote(text, safe='')}" for text in texts]
    targets += ["/a:b/x?many=1&many=2", "/a:b/x?none=", "/a:b/x?none=n", "/users", "/users?name=", "/users?name=user%203",
                "/users/1", "/users/77", "/moods/good", "/moods/bad"]
    kept(served, *targets)
    assert_all_same(verify(served, "--sample", "all"), len(targets))
    assert_all_same(verify(served), len(targets))


def test_a_change_that_was_heard_of_leaves_nothing_wrong(served):
    kept(served, "/users/1", "/users/2", "/users")
    served.sql("UPDATE users SET name = 'new' WHERE id = 1")
    barrier(served)
    verified = verify(served)
    assert verified.status == 0 and verified.differences == {}
    assert verified.reason("not served any more")[0] == 2
    assert verified.same == 2  # the sentinel of the barrier, and /users/2


def test_compressed_entries_are_compared_too(served):
    served.sql("UPDATE users SET name = repeat('long ', 500) WHERE id = 1")
    barrier(served)
    served.redis.client().delete(*served.redis.entries())
    keep(lambda: served.direct("/users/1", headers={"Accept-Encoding": "gzip"}))
    assert_all_same(verify(served), 1)
    silently(served, "UPDATE users SET name = repeat('lon, ', 500) WHERE id = 1")
    assert verify(served).differing == 1


# What is wrong

class Looking:
    """A run between its first look, of which it waits until it is over, and its second, which comes no sooner than it is
    asked to end."""

    def __init__(self, stack):
        self.stack = stack
        before = self.connections()
        self.process = subprocess.Popen([program("larder"), "verify"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=settings(stack, {"LARDER_GUARD_TTL": "5s", "PGAPPNAME": "looking"}))
        over = [("SELECT pg_catalog.pg_advisory_unlock_all()", "idle")]
        wait_until(lambda: self.connections() > before and self.last_queries() == over, 20, "the first look")
        self.process.send_signal(signal.SIGSTOP)
        wait_stopped(self.process.pid)

    def connections(self):
        return metrics(self.stack).sum("larder_db_connections")

    def last_queries(self):
        return self.stack.sql("SELECT query, state FROM pg_stat_activity WHERE application_name = 'looking'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self):
        """Exit status and output."""
        self.process.send_signal(signal.SIGCONT)
        text, errors = self.process.communicate(timeout=60)
        assert not errors
        return self.process.returncode, text


@pytest.mark.parametrize("statement, target, before, after", [
    ("UPDATE users SET name = 'new' WHERE id = 1", "/users/1", "200", "200"),
    ("DELETE FROM users WHERE id = 1", "/users/1", "200", "404"),
    ("INSERT INTO users VALUES (30, 'new')", "/users/30", "404", "200"),
    ("UPDATE users SET mood = 'bad' WHERE id = 1", "/moods/bad", "200", "200"),
    ("UPDATE users SET name = NULL WHERE id = 4", "/users?name=user%204", "200", "200"),
])
def test_an_entry_that_is_out_of_date_is_found(served, statement, target, before, after):
    kept(served, "/users/2", target)
    wrong = [key for key in served.redis.entries() if ":GET /users/{id}:1:2," not in key]
    assert len(wrong) == 1
    counts = {name: counted(served, name) for name in ("checked", "differing")}
    silently(served, statement)
    assert is_hit(served.direct(target))
    verified = verify(served, "--sample", "all")
    assert verified.status == 1
    assert list(verified.differences) == wrong
    assert (verified.checked, verified.same, verified.differing) == (2, 1, 1)
    line = verified.differences[wrong[0]]
    tags = r'"[\w-]{22}"  tags "\*" "public\.users\('
    tag = served.direct(target)["ETag"] if before == "200" else '"'
    assert re.search(rf"  age \d+\.\ds  kept {before} {re.escape(tag)}.*  now {after} {tags}", line), line
    assert [counted(served, name) - count for name, count in counts.items()] == [2, 1]


def test_an_answer_under_another_ones_key_is_found(served):
    kept(served, "/users/1", "/users/2", "/users/3")
    first, second = (key_of(served, f"GET /users/{{id}}:1:{number},") for number in (1, 2))
    client = served.redis.client()
    client.hset(first, mapping=client.hgetall(second) | {b"k": client.hget(first, "k")})
    assert served.direct("/users/1").json() == {"id": 2, "name": "user 2"}
    verified = verify(served)
    assert (verified.status, list(verified.differences)) == (1, [first])
    assert "ETag" not in verified.differences[first]


def test_a_body_that_is_not_its_tags_is_found(served):
    kept(served, "/users/1", "/users/2")
    key = key_of(served, "GET /users/{id}:1:1,")
    client = served.redis.client()
    tag = served.direct("/users/1")["ETag"]
    client.hset(key, "s", client.hget(key, "s").replace(b"user", b"abcd"))
    verified = verify(served)
    assert (verified.status, list(verified.differences)) == (1, [key])
    assert f"  ETag {tag}" in verified.differences[key]


def test_a_change_taken_back_is_no_difference(served):
    """Between the two looks; the entry is right again, and nobody was told."""
    kept(served, "/users/1")
    silently(served, "UPDATE users SET name = 'new' WHERE id = 1")
    with Looking(served) as looking:
        silently(served, "UPDATE users SET name = 'user 1' WHERE id = 1")
        status, text = looking.end()
    assert (status, "1 same, 0 differing" in text) == (0, True), text


def test_an_entry_that_is_struck_between_the_looks_is_no_difference(served):
    kept(served, "/users/1", "/users/2")
    silently(served, "UPDATE users SET name = 'new'")
    with Looking(served) as looking:
        served.sql("UPDATE users SET name = 'newer' WHERE id = 1")
        wait_for_body(lambda: served.direct("/users/1"), {"id": 1, "name": "newer"})
        status, text = looking.end()
    assert status == 1
    assert "GET /users/{id}:1:2," in text and "GET /users/{id}:1:1," not in text


# What is passed over

def test_what_can_not_be_compared_is_counted_by_reason(served):
    long_text = "x" * 300
    kept(served, "/users/1", f"/a:b/{long_text}", "/chance")
    served.direct("/now")
    served.direct("/uncached")
    client = served.redis.client()
    client.hset("larder:e:0123456789abcdef:GET /gone:", "k", "x")
    client.set("larder:e:nonsense", "x")
    verified = verify(served)
    assert (verified.status, verified.checked, verified.same) == (0, 1, 1), verified.text
    assert verified.entries == 6
    assert verified.reason("the key is a digest")[0] == 1
    assert verified.reason("of no route here")[0] == 2
    assert verified.reason("the route asks for the time") == (1, ": GET /now")
    number, rest = verified.reason("the statement's answer varies")
    assert number == 1 and rest.endswith(": GET /chance")
    assert verified.skipped == 5


def test_a_statement_that_fails_is_told_and_the_rest_is_compared(served):
    kept(served, "/fails/1", "/users/1")
    silently(served, "UPDATE users SET id = id + 100; UPDATE users SET id = 5 WHERE id = 105")
    client = served.redis.client()
    key = key_of(served, "GET /fails/{id}:1:1,")
    client.rename(key, key.replace("1:1,", "1:5,"))
    verified = verify(served)
    assert "GET /fails/{id}: PostgreSQL: " in verified.errors and "division by zero" in verified.errors
    assert verified.reason("the statement failed")[0] == 1
    assert verified.differing == 1


def test_a_changed_route_has_new_keys(served):
    kept(served, "/users/1")
    text = ROUTES["user"]
    try:
        served.write_route("user", text + "-- another version\n")
        verified = verify(served)
    finally:
        served.write_route("user", text)
    assert (verified.status, verified.checked) == (0, 0)
    assert verified.reason("of no route here")[0] == 1


def test_a_sample(served):
    kept(served, *(f"/users/{number}" for number in range(1, 31)))
    verified = verify(served, "--sample", "7")
    assert (verified.checked, verified.entries, verified.same) == (7, 30, 7)
    silently(served, "UPDATE users SET name = 'new'")
    found = set()
    for _ in range(4):
        found |= verify(served, "--sample", "7", LARDER_GUARD_TTL="100ms").differences.keys()
    assert len(found) > 7


def test_the_rate_is_bounded(served):
    kept(served, *(f"/users/{number}" for number in range(1, 21)))
    begin = time.monotonic()
    verified = verify(served, "--rate", "20")
    assert time.monotonic() - begin >= 0.9
    assert verified.same == 20


# What is in the way

@pytest.mark.parametrize("environment, complaint", [
    ({"LARDER_REDIS": None}, "LARDER_REDIS is not set"),
    ({"LARDER_REDIS": f"redis://127.0.0.1:{free_port()}/0"}, "Redis"),
    ({"PGPORT": str(free_port())}, "PostgreSQL: "),
    ({"LARDER_ROUTES": "/nowhere"}, "\n/nowhere: can't be read: No such file or directory\nlarder verify: the routes in /nowhere were not loaded"),
    ({"LARDER_ETAG_KEY_FILE": "/nowhere/key"}, "LARDER_ETAG_KEY_FILE: /nowhere/key"),
])
def test_what_is_in_the_way_is_said(served, environment, complaint):
    verified = verify(served, **environment)
    assert verified.status == 1
    assert complaint in "\n" + verified.errors
    assert not verified.differences


def test_another_etag_key_is_told_from_other_answers(served, tmp_path):
    kept(served, "/users/1", "/users/2")
    (tmp_path / "key").write_text("another")
    verified = verify(served, LARDER_ETAG_KEY_FILE=str(tmp_path / "key"))
    assert (verified.status, verified.differing) == (1, 2)
    assert "2 hold the right body under another ETag: is LARDER_ETAG_KEY_FILE" in verified.text


@pytest.mark.parametrize("arguments, complaint", [
    (["--sample", "0"], '--sample: "0" is not allowed; allowed: a whole number from 1 to 1000000, or all'),
    (["--sample", "some"], '--sample: "some" is not allowed'),
    (["--sample"], '--sample: "" is not allowed'),
    (["--rate", "-1"], '--rate: "-1" is not allowed; allowed: a whole number from 1 to 100000'),
    (["--every", "30"], '--every: "30" is not allowed; allowed: a duration above 0, as 30s or 5m'),
    (["--every", "0"], '--every: "0" is not allowed'),
    (["all"], '"all" is not allowed; allowed: [--sample N|all] [--rate N] [--every DURATION]'),
])
def test_a_wrong_call(served, arguments, complaint):
    verified = verify(served, *arguments)
    assert (verified.status, verified.text) == (2, "")
    assert complaint in verified.errors
