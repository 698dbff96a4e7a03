"""The cache in Redis: what is kept, for how long, under which key, in which variants, and what broken entries do."""

import gzip
import re
from urllib.parse import quote

import brotli
import pytest

from support.crowd import ask_together
from support.stack import REDIS_TIER, metrics, queries
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE state (value int);
INSERT INTO state VALUES (1);
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item VALUES (1, 'one');
"""


def route(path, cache, statement, *params, shape="row"):
    lines = [f"-- @http GET {path}", *(f"-- @param {param}" for param in params), f"-- @result {shape}"]
    return "\n".join(lines + ([f"-- @cache {cache}"] if cache else []) + [statement, ""])


SIZED = "SELECT repeat('ab', :n / 2) || repeat('c', :n % 2)"
ROUTES = {
    "page": route("/page", "ttl=60s", "SELECT :limit AS \"limit\", :q AS q, (SELECT value FROM state) AS state",
                  "limit int default=20", "q text default=null"),
    "two": route("/two", "ttl=60s", "SELECT :a AS a, :b AS b", "a text default=null", "b text default=null"),
    "brief": route("/brief", "ttl=2s", "SELECT value FROM state"),
    "item": route("/item/{id}", "ttl=60s negative=30s", "SELECT name FROM item WHERE id = :id"),
    "item-none": route("/unkept/{id}", "ttl=60s", "SELECT name FROM item WHERE id = :id"),
    "sized": route("/sized", "ttl=60s", SIZED, "n int", shape="value"),
    "plain": route("/plain", "ttl=60s compress=off", SIZED, "n int", shape="value"),
    "uncached": route("/uncached", None, "SELECT 1 AS a"),
}


@pytest.fixture(scope="module")
def shared(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env=REDIS_TIER)


@pytest.fixture
def served(shared):
    """The file's stack with an empty Redis and the tables as they were."""
    shared.redis.client().flushall()
    shared.sql("UPDATE state SET value = 1; DELETE FROM item WHERE id > 1")
    return shared


def is_hit(answer):
    return answer["Cache-Status"].startswith("larder; hit;")


def fill(stack, target, **options):
    """Asks, and waits until Redis has the entry: a store is sent, not waited for."""
    before = set(stack.redis.entries())
    answer = stack.get(target, **options)
    assert not is_hit(answer) and "; stored" in answer["Cache-Status"], answer
    wait_until(lambda: set(stack.redis.entries()) - before, what="an entry in Redis")
    return answer


def only_key(stack, database=0):
    (key,) = stack.redis.entries(database)
    return key


def commands(stack, target, **options):
    """What Redis is asked while that request is answered, without the key; the feed looks after its line by itself."""
    client = stack.redis.client()
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    answer = stack.get(target, **options)
    words = [each["command"].decode().split() for each in reversed(client.slowlog_get(100))]
    client.config_set("slowlog-log-slower-than", -1)
    key = only_key(stack)
    return answer, [" ".join(each).replace(key, "KEY") for each in words if each[0] not in ("CONFIG", "SLOWLOG", "PING")]


def bodies_read(asked):
    """Of what Redis was asked for an answer, which is one script, the commands that read entries."""
    assert sum(each.startswith("EVAL") for each in asked) == 1, asked
    return [each for each in asked if each.startswith("HMGET")]


# Hits and misses

def test_a_miss_is_stored_and_then_hit(served):
    before = metrics(served)
    missed = fill(served, "/page")
    assert missed["Cache-Status"] == "larder; fwd=uri-miss; stored" and missed["Age"] is None
    served.sql("UPDATE state SET value = 2")
    hit = served.get("/page")
    left = re.fullmatch(r"larder; hit; ttl=(\d+); detail=redis", hit["Cache-Status"])[1]
    assert int(hit["Age"]) >= 0 and 40 < int(left) <= 60
    assert hit.body == missed.body == b'{"limit":20,"q":null,"state":1}'
    for name in ("ETag", "Cache-Control", "Vary", "Content-Type", "Content-Length"):
        assert hit[name] == missed[name], name
    after = metrics(served)
    for name in ("cache_hits", "cache_misses", "cache_stores", "fills", "queries"):
        assert after.sum(f"larder_{name}_total") == before.sum(f"larder_{name}_total") + 1, name
    for tier in ("database", "redis"):
        labels = {"route": "GET /page", "status": "200", "tier": tier}
        assert after.sum("larder_requests_total", **labels) == before.sum("larder_requests_total", **labels) + 1


def test_many_clients_share_one_entry(served):
    fill(served, "/page")
    before = queries(served)
    answers = ask_together(served.get, ["/page"] * 40)
    assert all(is_hit(answer) for answer in answers) and len({answer.body for answer in answers}) == 1
    assert queries(served) == before


def test_past_its_ttl_an_entry_is_made_anew(served):
    fill(served, "/brief")
    served.sql("UPDATE state SET value = 2")
    assert 0 < served.redis.client().pttl(only_key(served)) <= 2000
    wait_until(lambda: served.get("/brief").json() == {"value": 2}, 4)


def test_the_ttl_counts_even_where_redis_keeps_the_entry_longer(served):
    """Nobody asks meanwhile: a reader shortly before the end may bring about a fill ahead of it."""
    fill(served, "/brief")
    served.sql("UPDATE state SET value = 2")
    client, key = served.redis.client(), only_key(served)
    client.set("as-long", "", px=client.pttl(key) + 1)
    assert client.persist(key)
    wait_until(lambda: not client.exists("as-long"), 4)
    answer = served.get("/brief")
    assert answer["Cache-Status"].startswith("larder; fwd=stale") and answer.json() == {"value": 2}


def test_redis_forgets_an_entry_by_itself(served):
    fill(served, "/page")
    assert 50_000 < served.redis.client().pttl(only_key(served)) <= 60_000


def test_nothing_there_is_kept_under_negative(served):
    first = fill(served, "/item/2")
    served.sql("INSERT INTO item VALUES (2, 'two')")
    before = queries(served)
    again = served.get("/item/2")
    assert is_hit(again) and again.status == first.status == 404
    assert again["Content-Type"] == "application/problem+json" and again.json() == first.json()
    assert served.request("/item/2", "HEAD")["Content-Length"] == str(len(again.body))
    assert queries(served) == before
    assert 0 < served.redis.client().pttl(only_key(served)) <= 30_000


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
@pytest.mark.parametrize("condition", ["*", '"other"'])
def test_conditions_do_not_change_a_kept_404(served, header, condition):
    first = fill(served, "/item/2")
    answer = served.get("/item/2", headers={header: condition})
    assert is_hit(answer) and (answer.status, answer.body) == (404, first.body)


def test_nothing_there_is_not_kept_without_negative(served):
    served.get("/unkept/2").problem(404)
    served.sql("INSERT INTO item VALUES (2, 'two')")
    assert served.get("/unkept/2").json() == {"name": "two"}


def test_a_route_without_cache_asks_redis_nothing(served):
    before = queries(served)
    fill(served, "/page")
    answer, asked = commands(served, "/uncached")
    assert answer["Cache-Status"] == "larder; fwd=bypass" and answer["ETag"] and asked == []
    served.get("/uncached")
    assert queries(served) == before + 3


def test_errors_are_not_kept(served):
    served.get("/sized?n=2000000000").problem(500)
    served.get("/sized?n=x").problem(422)
    assert served.redis.entries() == []


# Keys

@pytest.mark.parametrize("one, other", [
    ("/two", "/two?a="),
    ("/two?a=", "/two?b="),
    ("/two?a=", "/two?a=~"),
    ("/two?a=-", "/two?a=null"),
    ("/two", "/two?a=-"),
    ("/two?a=x,1:y", "/two?a=x&b=y"),
    ("/two?a=1:x,&b=", "/two?a=&b=1:x,"),
    ("/two?a=A", "/two?a=a"),
    ("/two?a=x", "/two?a=x%20"),
])
def test_different_values_have_different_entries(served, one, other):
    first, second = (fill(served, quote(target, safe="/?=&%")) for target in (one, other))
    assert first.body != second.body
    assert [served.get(quote(target, safe="/?=&%")).body for target in (one, other)] == [first.body, second.body]


@pytest.mark.parametrize("targets", [
    ["/page?limit=7", "/page?limit=07", "/page?limit=%2B7", "/page?limit=7&q2=x", "/page?x=1&limit=7"],
    ["/page", "/page?limit=20", "/page?"],
    ["/page?q=a%20b", "/page?q=a+b", "/page?q=%61+b"],
    ["/item/1", "/item/01", "/item/1?limit=3", "/item/%31"],
])
def test_spellings_of_one_request_share_an_entry(served, targets):
    first = fill(served, targets[0])
    for target in targets[1:]:
        answer = served.get(target)
        assert is_hit(answer) and answer.body == first.body, target
    assert len(served.redis.entries()) == 1


def test_long_keys_are_hashed(served):
    texts = ["x" * 500, "x" * 499 + "y", "x" * 501]
    for text in texts:
        fill(served, f"/page?q={text}")
    assert all(len(key) <= 200 for key in served.redis.entries())
    for text in texts:
        answer = served.get(f"/page?q={text}")
        assert is_hit(answer) and answer.json()["q"] == text


def test_a_changed_route_file_uses_new_keys(served):
    old = ROUTES["page"]
    new = old.replace("SELECT value", "SELECT value + 10")
    assert fill(served, "/page").json()["state"] == 1
    for text, state in ((new, 11), ("-- A comment alone.\n" + old, 1)):
        served.write_route("page", text)
        served.api.reload()
        assert fill(served, "/page").json()["state"] == state
    for text, state in ((new, 11), (old, 1)):
        served.write_route("page", text)
        served.api.reload()
        answer = served.get("/page")
        assert is_hit(answer) and answer.json()["state"] == state


# Variants

CODINGS = {"gzip": ("g", "-gz", gzip.decompress), "br": ("b", "-br", brotli.decompress),
           "identity": ("i", "", bytes)}


def decoded(answer):
    return CODINGS[answer["Content-Encoding"] or "identity"][2](answer.body)


def fields(stack):
    return {name.decode() for name in stack.redis.client().hkeys(only_key(stack))}


def test_variants_are_made_once_and_each_client_gets_its_own(served):
    made = fill(served, "/sized?n=5000")
    assert fields(served) == {"k", "m", "i", "g", "b"}
    stores = served.redis.calls("hset")
    for _ in range(2):
        for coding, (field, suffix, _) in CODINGS.items():
            answer = served.get("/sized?n=5000", headers={"Accept-Encoding": coding})
            assert is_hit(answer) and answer["Vary"] == "Accept-Encoding"
            assert answer["Content-Encoding"] == (None if coding == "identity" else coding)
            assert answer["Content-Length"] == str(len(answer.body))
            assert answer["ETag"] == made["ETag"][:-1] + suffix + '"'
            assert decoded(answer) == made.body
            assert answer.body == served.redis.client().hget(only_key(served), field)
    assert served.redis.calls("hset") == stores


@pytest.mark.parametrize("coding", CODINGS)
def test_the_client_that_fills_gets_its_variant_too(served, coding):
    answer = fill(served, "/sized?n=5000", headers={"Accept-Encoding": coding})
    assert answer["Content-Encoding"] == (None if coding == "identity" else coding)
    assert CODINGS[coding][2](answer.body) == b'"' + b"ab" * 2500 + b'"'
    assert fields(served) == {"k", "m", "i", "g", "b"}


@pytest.mark.parametrize("target, compressed", [
    ("/sized?n=998", True), ("/sized?n=997", False), ("/plain?n=5000", False)])
def test_what_is_compressed(served, target, compressed):
    fill(served, target)
    assert fields(served) == ({"k", "m", "i", "g", "b"} if compressed else {"k", "m", "s"})
    answer = served.get(target, headers={"Accept-Encoding": "gzip, br"})
    assert is_hit(answer) and answer["Content-Encoding"] == ("br" if compressed else None)
    assert answer["Vary"] == (None if target.startswith("/plain") else "Accept-Encoding")


def test_a_hit_reads_one_body_and_a_304_none(served):
    fill(served, "/sized?n=5000")
    answer, asked = commands(served, "/sized?n=5000", headers={"Accept-Encoding": "gzip"})
    assert is_hit(answer) and bodies_read(asked) == ["HMGET KEY k m g s"]
    unchanged, asked = commands(served, "/sized?n=5000", headers={"If-None-Match": answer["ETag"]})
    assert unchanged.status == 304 and bodies_read(asked) == ["HMGET KEY k m"]


# Broken entries: never a wrong answer, never a 500, and mended by the next fill

def on_meta(change):
    return lambda client, key: client.hset(key, "m", change(client.hget(key, "m")))


def replaced(*command):
    def change(client, key):
        client.delete(key)
        client.execute_command(command[0], key, *command[1:])
    return change


DAMAGES = {
    "meta-garbage": on_meta(lambda meta: b"\xff" * len(meta)),
    "meta-empty": on_meta(lambda meta: b""),
    "meta-zero": on_meta(lambda meta: bytes(len(meta))),
    "meta-longer": on_meta(lambda meta: meta + b"x"),
    "meta-of-another-format": on_meta(lambda meta: b"\x7f" + meta[1:]),
    "meta-missing": lambda client, key: client.hdel(key, "m"),
    "body-missing": lambda client, key: client.hdel(key, "i", "g", "b"),
    "body-empty": lambda client, key: client.hset(key, mapping={"i": b"", "g": b"", "b": b""}),
    "body-shorter": lambda client, key: client.hset(key, mapping={
        field: client.hget(key, field)[:-1] for field in "igb"}),
    "body-longer": lambda client, key: client.hset(key, mapping={
        field: client.hget(key, field) + b"x" for field in "igb"}),
    "an-empty-hash": replaced("HSET", "other", "x"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_broken_entry_is_a_miss(served, damage, coding):
    made = fill(served, "/sized?n=5000")
    DAMAGES[damage](served.redis.client(), only_key(served))

    def ask():
        answer = served.get("/sized?n=5000", headers={"Accept-Encoding": coding})
        assert (answer.status, decoded(answer)) == (200, made.body)
        return answer
    assert not is_hit(ask())
    wait_until(lambda: is_hit(ask()), 5, "the entry mended")


@pytest.mark.parametrize("kind", [("SET", "x"), ("RPUSH", "m", "i")])
def test_a_key_of_another_type_is_a_miss_and_no_outage(stack, kind):
    own = stack(ROUTES, schema=SCHEMA, env=REDIS_TIER)
    made = fill(own, "/sized?n=5000")
    replaced(*kind)(own.redis.client(), only_key(own))

    def is_mended():
        answer = own.get("/sized?n=5000")
        assert (answer.status, answer.body) == (200, made.body)
        return is_hit(answer)
    wait_until(is_mended, 2)
    assert metrics(own).sum("larder_redis_breaker_opened_total") == 0


def test_no_part_of_the_metadata_is_taken_for_all_of_it(served):
    made = fill(served, "/sized?n=500")
    client, key = served.redis.client(), only_key(served)
    whole = client.hgetall(key)
    for size in range(len(whole[b"m"])):
        client.hset(key, "m", whole[b"m"][:size])
        answer = served.direct("/sized?n=500")
        assert (answer.status, answer.body, is_hit(answer)) == (200, made.body, False), size
        wait_until(lambda: len(client.hget(key, "m") or b"") == len(whole[b"m"]), what="the entry kept anew")


def test_a_conditional_request_on_an_entry_without_a_body(served):
    made = fill(served, "/sized?n=5000")
    served.redis.client().hdel(only_key(served), "i", "g", "b")
    assert served.get("/sized?n=5000", headers={"If-None-Match": '"other"'}).body == made.body
