"""A user of Redis that may do no more than the manual page says: all features work, and nothing more is asked for."""

import glob
import json
import re
import subprocess
import urllib.parse

import pytest

from support.coherent import barrier, is_hit, keep, wait_for_body, SENTINEL_ROUTE, SENTINEL_SCHEMA
from support.jobs import ended, file_job
from support.paths import TOP, program
from support.stack import QUEUE, metrics
from support.waiting import wait_until

PASSWORD = "p@ss:w/rd?#%[&]=+ü"

SCHEMA = SENTINEL_SCHEMA + """
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL CHECK (text <> 'bad'));
CREATE TABLE looks (page text);
INSERT INTO notes VALUES (1, 'one'), (2, 'two');
"""
ROUTES = SENTINEL_ROUTE | {
    "note": "-- @http GET /notes/{id}\n-- @result row\n-- @cache ttl=300s stale=60s error=60s\n-- @depends notes.id = :id\n"
            "-- @tags note:{id}\nSELECT id, text FROM notes WHERE id = :id",
    "open": "-- @http GET /open\n-- @cache ttl=300s\n-- @nginx ttl=60s\n-- @control public\nSELECT text FROM notes",
    "write": "-- @http PUT /notes/{id}\n-- @param text text\n-- @invalidates further:{id}\n-- @refreshes GET /notes/{id}\n"
             "-- @result row\nUPDATE notes SET text = :text WHERE id = :id RETURNING id, text",
    "later": "-- @http POST /later/{id}\n-- @param text text\n-- @async retries=1 dedupe=later-{id}\n-- @result row\n"
             "UPDATE notes SET text = :text WHERE id = :id RETURNING id, text",
    "look": "-- @http POST /looks/{page}\n-- @behind batch=10 every=20ms\nINSERT INTO looks VALUES (:page)",
    "limited": "-- @http GET /limited\n-- @limit 3/h by=ip\n-- @result value\nSELECT 1",
    "set": "-- @http PUT /v/{key}\n-- @param value text in=query\n-- @kv set key={key} value={value} ttl=1h\n",
    "get": "-- @http GET /v/{key}\n-- @kv get key={key}\n",
    "delete": "-- @http DELETE /v/{key}\n-- @kv delete key={key}\n",
}


def manual():
    with open(f"{TOP}/packaging/man/larder-options.tail", encoding="utf-8") as page:
        return page.read().replace("\\\n", "").replace("\\-", "-")


def documented():
    """The words of the user's line in the manual page, with the password that the tests have."""
    line, = (line for line in manual().splitlines() if line.startswith("user larder "))
    return [f">{PASSWORD}" if word == ">PASSWORD" else word for word in line.split()[1:]]


def documented_for_queue():
    return re.findall(r"(\+config\|get)", manual())[:1]


def user(rights, **options):
    """A stack's options: one server for all that Larder keeps in Redis, as that user."""
    place = f"redis://larder:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{{stack.redis.port}}"
    return {"redis": QUEUE | {"user": rights}, **options,
            "env": {"LARDER_REDIS": place, "LARDER_QUEUE": f"{place}/1", "LARDER_REDIS_PROBE": "50ms",
                    **options.get("env", {})}}


def larder(stack, *arguments):
    done = subprocess.run([program("larder"), *arguments], env=stack.environment(), capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def put(stack, target, fields, **headers):
    return stack.direct(target, method="PUT", body=json.dumps(fields).encode(),
                        headers={"Content-Type": "application/json"} | headers)


def reading(stack, tier=None):
    keep(lambda: stack.direct("/notes/1"), tier)
    assert stack.direct("/open").status == 200
    assert stack.direct("/notes/3").status == 404


def page(stack):
    """What nginx keeps, and larderd refreshes."""
    assert stack.get("/open").status == 200
    stack.sql("UPDATE notes SET text = 'paged' WHERE id = 2")
    wait_until(lambda: "paged" in stack.get("/open").text, 20, "the new page")


def writing(stack):
    assert put(stack, "/notes/1", {"text": "put"}).status == 200
    assert stack.direct("/notes/1").json()["text"] == "put"
    stack.sql("UPDATE notes SET text = 'told' WHERE id = 1")
    wait_for_body(lambda: stack.direct("/notes/1"), {"id": 1, "text": "told"})
    barrier(stack)


def queueing(stack):
    path = file_job(stack, "/later/1", {"text": "job"}, Idempotency_Key="\"k\"")
    assert file_job(stack, "/later/1", {"text": "job"}, Idempotency_Key="\"k\"") == path
    assert ended(stack, path)["status"] == "done"
    answer = stack.direct("/later/2", method="POST", body=b'{"text": "waited"}',
                          headers={"Content-Type": "application/json", "Prefer": "wait=20"})
    assert answer.status == 200, answer
    events = stack.get(path, headers={"Accept": "text/event-stream"})
    assert events.body.startswith(b"event: done\n")
    assert stack.direct(path, method="DELETE").status == 409
    failed = file_job(stack, "/later/2", {"text": "bad"})
    assert ended(stack, failed, 60)["status"] == "failed"
    assert failed.removeprefix("/jobs/") in larder(stack, "jobs", "list", "dead")
    larder(stack, "jobs", "show", failed.removeprefix("/jobs/"))
    larder(stack, "jobs", "retry", "--dead")
    assert ended(stack, failed, 60)["status"] == "failed"
    larder(stack, "jobs", "drop", "--dead")
    for number in range(30):
        assert stack.direct(f"/looks/{number}", method="POST").status == 202
    wait_until(lambda: stack.sql("SELECT count(*) FROM looks") == [(30,)], 30, "the writes of a batch")


def counting(stack):
    assert [stack.direct("/limited").status for _ in range(4)] == [200, 200, 200, 429]
    values = [stack.direct("/v/k?value=x", method="PUT"), stack.direct("/v/k"), stack.direct("/v/k", method="DELETE")]
    assert [answer.status for answer in values] == [200, 200, 204]


def managing(stack):
    keep(lambda: stack.direct("/notes/1"))
    larder(stack, "purge", "--all")
    wait_until(lambda: not is_hit(stack.direct("/notes/1")), 20, "a page purged")
    keep(lambda: stack.direct("/notes/1"))
    larder(stack, "purge", "note:1")
    wait_until(lambda: not is_hit(stack.direct("/notes/1")), 20, "a page purged")
    keep(lambda: stack.direct("/notes/1"))
    assert "0 differ" in larder(stack, "verify", "--sample", "all")


@pytest.mark.parametrize("memory", ["8MB", "0"])
def test_the_documented_user_is_enough_for_everything(stack, memory):
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=1,
                   **user(documented() + documented_for_queue(), env={"LARDER_L1": memory}))
    for part in (reading, page, writing, queueing, counting, managing):
        part(served)
    assert served.redis.client().acl_log() == []
    assert metrics(served).sum("larder_redis_errors_total") == 0
    assert_secret(served)


def assert_secret(stack):
    """Nobody is shown the password, as it is or as the URL has it."""
    told = [stack.log_text(), stack.larderd.log_text(), larder(stack, "config")]
    for pid in [*stack.api.pids, stack.larderd.process.pid]:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as words:
            told.append(words.read())
    assert not [text for text in told for secret in (PASSWORD, urllib.parse.quote(PASSWORD, safe="")) if secret in text]


def test_every_command_of_the_sources_is_documented_and_no_other():
    texts = []
    for path in sorted(glob.glob(f"{TOP}/src/*/*.c")):
        with open(path, encoding="utf-8") as source:
            texts.append(source.read())
    text = "\n".join(texts)
    scripts = set(re.findall(r"redis\.p?call\('([A-Z]+)'", text))
    plain = set(re.findall(r'"([A-Z]+)"', text))
    may = {word[1:].upper() for word in documented() if word.startswith("+")}
    assert scripts <= may
    assert may <= scripts | plain


def test_a_password_over_a_socket(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, **user(documented(), env={
        "LARDER_REDIS": f"unix://larder:{urllib.parse.quote(PASSWORD, safe='')}@{{stack.redis.socket}}?db=2",
        "LARDER_QUEUE": None}))
    keep(lambda: served.direct("/notes/1"))
    assert served.redis.entries(2)


def told(stack, words):
    return [line for line in (stack.log_text() + stack.larderd.log_text()).splitlines() if words in line]


def test_a_right_that_is_missing_is_named(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=1, nginx=False,
                   **user(documented() + documented_for_queue(), env={"LARDER_L1": "0", "LARDER_REDIS_TIMEOUT": "5s"}))
    client = served.redis.client()
    reading(served, "redis")

    def without(command, ask, words):
        client.execute_command("ACL", "SETUSER", "larder", f"-{command}")
        wait_until(lambda: ask() and told(served, words), 20, f"{command} named")
        client.execute_command("ACL", "SETUSER", "larder", f"+{command}")
        wait_until(lambda: is_hit(served.direct("/notes/1")), 20, "a hit again")

    def read():
        assert served.direct("/notes/1").status == 200
        return True

    def write():
        assert put(served, "/notes/1", {"text": "put"}).status == 200
        return True

    without("publish", write, "NOPERM the user may not run PUBLISH in a script")
    without("mget", read, "NOPERM the user may not run MGET in a script")
    without("hmget", read, "Redis: HMGET: ")
    without("pexpire", write, "an entry was not kept: NOPERM the user may not run PEXPIRE in a script")
    without("evalsha", read, "'evalsha'")
    client.execute_command("ACL", "SETUSER", "larder", "resetkeys", "~larder:e:*", "~larder:c")
    wait_until(lambda: read() and told(served, "NOPERM"), 20, "the key named")


def test_a_right_that_is_missing_does_not_flood_the_log(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=1, nginx=False,
                   **user(documented() + documented_for_queue()))
    client = served.redis.client()
    reading(served)
    client.execute_command("ACL", "SETUSER", "larder", "-hincrby")
    served.direct("/later/1", method="POST", body=b'{"text": "x"}', headers={"Content-Type": "application/json"})
    wait_until(lambda: sum(entry["count"] for entry in client.acl_log()) >= 10, 60, "many tries")
    assert len(told(served, "jobs wait: Redis: NOPERM the user may not run HINCRBY in a script")) == 1
    assert not told(served, "jobs are done again")
    client.execute_command("ACL", "SETUSER", "larder", "+hincrby")
    wait_until(lambda: told(served, "jobs are done again"), 30, "the end told")
