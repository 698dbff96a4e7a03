"""@limit: how many requests pass, whose they are, what the answers say, and what a refused one costs."""

import contextlib
import itertools
import math
import subprocess

import pytest

from support.crowd import ask_together
from support.host import Host
from support.paths import program
from support.stack import clean_environment, metrics, queries
from support.waiting import wait_until

SCHEMA = "CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1); "\
         "CREATE TABLE member (team int, name text);"


def route(path, *lines, statement="SELECT 1 AS a", method="GET"):
    return "\n".join([f"-- @http {method} {path}", *(f"-- {line}" for line in lines), "-- @result row", statement, ""])


ROUTES = {
    "ten": route("/ten", "@limit 10/hour by=ip"),
    "refill": route("/refill", "@limit 30/min by=ip burst=3"),
    "two": route("/two", "@limit 20/hour by=ip", "@limit 2/min by=key", "@param key int default=0",
                 statement="SELECT :key AS key"),
    "user": route("/user", "@limit 3/hour by=user"),
    "key": route("/key", "@limit 2/hour by=key", "@param key text default=null", statement="SELECT :key AS key"),
    "number": route("/number/{n}", "@limit 2/hour by=n", "@param n int", statement="SELECT :n AS n"),
    "header": route("/header", "@limit 2/hour by=x_team", "@param x_team text in=header default=none",
                    statement="SELECT :x_team AS team"),
    "kept": route("/kept", "@limit 3/hour by=ip", "@cache ttl=60s", statement="SELECT id FROM item"),
    "shared": route("/shared", "@limit 50/hour by=ip"),
    "page": route("/page", "@limit 5/hour by=ip", "@cache ttl=60s", "@nginx ttl=60s", statement="SELECT id FROM item"),
    "free": route("/free"),
    "add": route("/teams/{team}", "@limit 3/hour by=ip", "@limit 2/hour by=team", "@param team int", method="POST",
                 statement="INSERT INTO member VALUES (:team, :name) RETURNING name"),
    "note": "-- @http PUT /note\n-- @limit 2/hour by=ip\n-- @kv set key=note value=kept\n",
}
addresses = itertools.count(1)


def address():
    """An address that nothing has counted yet."""
    number = next(addresses)
    return f"198.51.{number // 250}.{1 + number % 250}"


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, processes=2, env={"LARDER_THREADS": "4"})


def ask(stack, target, source, **options):
    return stack.direct(target, params={"REMOTE_ADDR": source}, **options)


def ask_times(stack, target, source, times):
    return [ask(stack, target, source).status for _ in range(times)]


# How many

def test_exactly_so_many_pass(served):
    source = address()
    passed = [ask(served, "/ten", source) for _ in range(10)]
    assert [each.status for each in passed] == [200] * 10
    assert [each["RateLimit-Remaining"] for each in passed] == [str(left) for left in range(9, -1, -1)]
    assert all(each["RateLimit-Limit"] == "10" and each["RateLimit-Policy"] == "10;w=3600" for each in passed)
    assert [math.ceil(int(each["RateLimit-Reset"]) / 360) for each in passed] == list(range(1, 11))
    refused = ask(served, "/ten", source)
    problem = refused.problem(429)
    assert problem["title"] == "Too Many Requests" and refused["Retry-After"] in problem["detail"]
    assert 350 <= int(refused["Retry-After"]) <= 360
    assert refused["RateLimit-Remaining"] == "0" and 3500 < int(refused["RateLimit-Reset"]) <= 3600
    assert ask(served, "/ten", address()).status == 200, "another address has a count of its own"


def test_one_comes_back_after_an_interval(served):
    source = address()
    first = [ask(served, "/refill", source) for _ in range(4)]
    assert [each.status for each in first] == [200, 200, 200, 429]
    assert first[0]["RateLimit-Policy"] == "30;w=60;burst=3" and first[0]["RateLimit-Limit"] == "3"
    assert 1 <= int(first[3]["Retry-After"]) <= 2
    wait_until(lambda: ask(served, "/refill", source).status == 200, 10, "the next to pass", every=0.02)
    assert ask(served, "/refill", source).status == 429


def test_processes_and_connections_share_the_count(served):
    source = address()
    answers = ask_together(lambda _: ask(served, "/shared", source), range(120), threads=24)
    assert sorted(each.status for each in answers) == [200] * 50 + [429] * 70
    assert sorted(int(each["RateLimit-Remaining"]) for each in answers if each.status == 200) == list(range(50))


def test_hosts_share_the_count(served, tmp_path):
    source = address()
    with Host(served, tmp_path / "other", pools=("api",)) as other:
        answers = ask_together(lambda host: ask(host, "/ten", source), [served, other] * 15)
    assert sorted(each.status for each in answers) == [200] * 10 + [429] * 20


def test_a_refused_request_charges_no_other_limit(served):
    source = address()
    assert ask_times(served, "/two?key=1", source, 8) == [200] * 2 + [429] * 6
    answer = ask(served, "/two?key=2", source)
    assert answer.status == 200 and answer["RateLimit-Policy"] == "20;w=3600, 2;w=60"
    assert (answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == ("2", "1")
    for key in range(3, 20):
        last = ask(served, f"/two?key={key}", source)
        assert last.status == 200, key
    assert (last["RateLimit-Limit"], last["RateLimit-Remaining"]) == ("20", "0"), "3 + 17 were charged, none of the 6"
    assert ask(served, "/two?key=99", source).status == 429


# Who

def test_who_is_not_signed_in_is_known_by_the_address(served):
    source = address()
    assert ask_times(served, "/user", source, 4) == [200] * 3 + [429]
    assert ask(served, "/user", address()).status == 200


def test_a_parameter_counts_by_its_value(served):
    """From whichever address; a value that is absent is one too, apart from an empty one."""
    for target in ("/key?key=a", "/key?key=b", "/key", "/key?key="):
        assert [ask(served, target, address()).status for _ in range(3)] == [200, 200, 429], target
    assert [ask(served, f"/number/{n}", address()).status for n in ("7", "007", "7", "8")] == [200, 200, 429, 200]
    asked = [ask(served, "/header", address(), headers=headers).status
             for headers in ({"X-Team": "red"}, {"X-Team": "red"}, {"X-Team": "red"}, {"X-Team": "blue"}, {})]
    assert asked == [200, 200, 429, 200, 200]


def test_what_counts(served):
    """HEAD, hits and bad parameters do; OPTIONS and other methods don't."""
    source = address()
    assert ask(served, "/ten", source, method="OPTIONS").status == 204
    assert ask(served, "/ten", source, method="DELETE").status == 405
    assert ask(served, "/ten", source)["RateLimit-Remaining"] == "9"
    assert ask(served, "/ten", source, method="HEAD")["RateLimit-Remaining"] == "8"
    wrong = ask(served, "/two?key=x", source)
    assert wrong.problem(422) and wrong["RateLimit-Remaining"] == "19"
    assert ask(served, "/free", source)["RateLimit-Limit"] is None


def test_hits_and_304_are_counted(served):
    source = address()
    first = ask(served, "/kept", address())
    hit = wait_until(lambda: (answer := ask(served, "/kept", address()))["Cache-Status"].startswith("larder; hit")
                     and answer, what="a hit")
    assert hit["RateLimit-Remaining"] == "2"
    again = ask(served, "/kept", source, headers={"If-None-Match": first["ETag"]})
    assert (again.status, again["RateLimit-Remaining"]) == (304, "2")
    assert ask_times(served, "/kept", source, 3) == [200, 200, 429]


# Writes

def test_a_write_over_the_limit_is_not_run(served):
    """Nor is its body looked at; the connection goes on with the next request."""
    source = address()
    with served.connect() as connection:
        def post(team, body):
            return connection.request(f"/teams/{team}", method="POST", body=body, keep=True,
                                      headers={"Content-Type": "application/json"}, params={"REMOTE_ADDR": source})

        assert [post(1, b'{"name": "%d"}' % number).status for number in range(3)] == [200, 200, 429]
        assert post(2, b"{").status == 400, "counted before its body is read"
        answer = post(3, b"[" * 200_000)
        assert answer.problem(429) and answer["RateLimit-Remaining"] == "0"
        assert connection.request("/free", keep=True).status == 200
    assert served.sql("SELECT name FROM member ORDER BY name") == [("0",), ("1",)]


def test_kept_values_are_limited_too(served):
    source = address()
    assert [ask(served, "/note", source, method="PUT").status for _ in range(3)] == [200, 200, 429]


# What it costs

def test_over_the_limit_costs_no_query_and_no_round_trip(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    source = address()
    assert ask_times(served, "/ten", source, 11) == [200] * 10 + [429]
    before, asked, scripts = metrics(served), queries(served), served.redis.calls("evalsha")
    assert ask_times(served, "/ten", source, 50) == [429] * 50
    after = metrics(served)
    assert queries(served) == asked and served.redis.calls("evalsha") == scripts
    for name, more in (("refused", 50), ("remembered", 50), ("decisions", 0)):
        name = f"larder_limit_{name}_total"
        assert after.sum(name) - before.sum(name) == more, name


def test_a_batch_is_one_round_trip(stack):
    """Requests that wait together are counted together."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    with contextlib.ExitStack() as exits:
        clients = [exits.enter_context(served.connect()) for _ in range(14)]
        for each in clients:
            each.request("/ten", keep=True, params={"REMOTE_ADDR": address()})
        before = served.redis.client().info("stats")
        served.api.pause()
        for each in clients:
            each.start("/ten", keep=True, params={"REMOTE_ADDR": address()})
        served.api.resume()
        assert [each.answer().status for each in clients] == [200] * 14
        after = served.redis.client().info("stats")
    assert after["total_commands_processed"] - before["total_commands_processed"] >= 14
    assert after["total_reads_processed"] - before["total_reads_processed"] <= 7


def test_counts_end_by_themselves_and_lie_apart(stack):
    """In a Redis of their own, each only as long as it says anything."""
    served = stack(ROUTES, schema=SCHEMA, nginx=False,
                   env={"LARDER_LIMIT_REDIS": "redis://127.0.0.1:{stack.redis.port}/3", "LARDER_PREFIX": "mine"})
    assert ask(served, "/ten", address()).status == 200
    (key,) = served.redis.keys(3)
    assert key.startswith("mine:r:") and len(key) == len("mine:r:") + 22
    assert 350_000 < served.redis.client(db=3).pttl(key) <= 360_000
    assert not [each for each in served.redis.keys(0) if ":r:" in each]


def test_a_broken_count_is_none(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    source, client = address(), served.redis.client()
    assert ask(served, "/ten", source).status == 200
    (key,) = [each for each in served.redis.keys() if ":r:" in each]
    for value in ("no number", "nan", "", "9" * 30):
        client.set(key, value)
        answer = ask(served, "/ten", source)
        assert answer.status == (429 if value.startswith("9") else 200), value
    served.restart()
    client.delete(key)
    client.rpush(key, "a list")
    assert ask(served, "/ten", source).status == 200


def test_a_redis_whose_clock_was_ahead_blocks_for_a_burst_at_most(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    source, client = address(), served.redis.client()
    assert ask(served, "/refill", source).status == 200
    (key,) = [each for each in served.redis.keys() if ":r:" in each]
    client.set(key, int(client.time()[0] + 86400) * 1_000_000)
    refused = ask(served, "/refill", source)
    assert refused.problem(429) and 1 <= int(refused["Retry-After"]) <= 2
    wait_until(lambda: ask(served, "/refill", source).status == 200, 20, "the limit itself again")


def test_without_redis_each_process_counts(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False, redis=False, env={"LARDER_LIMIT_AWAY": "closed"})
    source = address()
    answers = ask_together(lambda _: ask(served, "/shared", source), range(90), threads=16)
    assert sorted(each.status for each in answers) == [200] * 50 + [429] * 40
    assert ask_times(served, "/two?key=1", source, 3) == [200, 200, 429]
    assert ask(served, "/two?key=2", source)["RateLimit-Policy"] == "20;w=3600, 2;w=60"


def test_a_reload_forgets_no_count(stack):
    served = stack(ROUTES, schema=SCHEMA, nginx=False)
    source = address()
    assert ask_times(served, "/ten", source, 10) == [200] * 10
    served.write_route("more", route("/more"))
    served.api.reload()
    wait_until(lambda: ask(served, "/more", source).status == 200, what="the new route")
    assert ask(served, "/ten", source).status == 429
    served.write_route("ten", route("/ten", "@limit 11/hour by=ip"))
    served.api.reload()
    wait_until(lambda: ask(served, "/ten", source).status == 200, what="the new limit, which counts anew")


# nginx

@pytest.fixture
def kept(stack):
    """A stack whose nginx keeps /page for its whole ttl."""
    served = stack(ROUTES, schema=SCHEMA, install=True, larderd=True)
    wait_until(lambda: int(ask(served, "/page", address())["X-Accel-Expires"] or 0) > 30, 20, "changes heard of")
    wait_until(lambda: served.get("/page")["Cache-Status"].endswith("nginx; hit"), what="a hit of nginx")
    return served


def test_what_nginx_keeps_says_nothing_of_one_client(kept):
    answer = kept.get("/page")
    assert answer["RateLimit-Limit"] is None and answer["RateLimit-Policy"] is None
    for _ in range(20):
        assert kept.get("/page").status == 200, "what nginx answers is not counted"


def test_larderd_refreshes_nginx_whatever_was_counted(kept):
    for _ in range(6):
        kept.get("/page", headers={"Authorization": "x"})
    assert kept.get("/page", headers={"Authorization": "x"}).status == 429
    kept.sql("UPDATE item SET id = 2")
    wait_until(lambda: kept.get("/page").json() == {"id": 2}, 5, "the change, from nginx")
    wait_until(lambda: metrics(kept).sum("larder_nginx_refreshes_total") >= 1, what="a refresh counted")


# Behind proxies

@pytest.fixture(scope="module")
def proxied(shared_stack):
    return shared_stack(ROUTES, schema=SCHEMA, env={"LARDER_PROXIES": "10.0.0.0/8, 127.0.0.1, unix"})


def forwarded(stack, source, *chain):
    return ask(stack, "/user", source, headers={"X-Forwarded-For": ", ".join(chain)} if chain else {}).status


def test_only_known_proxies_are_believed(proxied):
    """What a client writes into the field himself changes nothing; what a proxy appended does."""
    client, other = address(), address()
    assert [forwarded(proxied, "10.1.1.1", client) for _ in range(4)] == [200] * 3 + [429]
    assert forwarded(proxied, "10.1.1.1", other, client) == 429, "the last entry is the proxy's"
    assert forwarded(proxied, "10.1.1.1", client, "10.2.2.2") == 429, "two proxies"
    assert forwarded(proxied, "unix:", client) == 429 and forwarded(proxied, client) == 429
    assert forwarded(proxied, "10.1.1.1", client, other) == 200
    stranger = address()
    assert [forwarded(proxied, stranger, address()) for _ in range(4)] == [200] * 3 + [429]


def test_without_the_option_nobody_is_believed(served):
    source = address()
    assert [forwarded(served, source, address()) for _ in range(4)] == [200] * 3 + [429]


def test_an_ipv6_client_is_its_64(served):
    assert [forwarded(served, f"2001:db8:1:2::{number}") for number in range(1, 5)] == [200] * 3 + [429]
    assert forwarded(served, "2001:db8:1:3::1") == 200
    assert [forwarded(served, source) for source in ("192.0.2.77", "::ffff:192.0.2.77") * 2] == [200] * 3 + [429]


def test_through_nginx(proxied):
    """nginx says whom it has the connection with, and passes what proxies before it said."""
    def through(*lines):
        return proxied.get("/user", headers=[("X-Forwarded-For", line) for line in lines]).status

    client = address()
    assert [through(client) for _ in range(4)] == [200] * 3 + [429]
    assert through(address(), client) == 429, "the last line is the proxy's"
    assert through(f"{address()}, {client}") == 429
    assert [through() for _ in range(4)] == [200] * 3 + [429], "nginx's own client, 127.0.0.1"


@pytest.mark.parametrize("value", ["10.0.0.0/33", "example.org", "10.0.0.1 10.0.0.2"])
def test_a_bad_list_of_proxies_stops_the_start(value):
    done = subprocess.run([program("larder-fcgi")], env=clean_environment() | {"LARDER_PROXIES": value},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    for part in ("LARDER_PROXIES", f'"{value}"', "addresses, networks as 10.0.0.0/8"):
        assert part in done.stderr, done.stderr
