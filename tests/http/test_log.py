"""What the responder logs: lines that parse, no secrets, and what tells where a request's time went."""

import contextlib
import json
import re
import subprocess
import time

import pytest

from support import fastcgi
from support.gate import ROUTE as GATE, Gate
from support.launch import launched, write_route
from support.paths import program
from support.waiting import wait_until

ROUTES = {"word": "-- @http GET /word\n-- @result row\nSELECT 'old' AS word", "gate": GATE}
TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) [a-z]+: [^\x00-\x1f\x7f]+")
CAST = "-- @http GET /cast/{name}\n-- @param name text\n-- @result row\nSELECT CAST(:name AS text)::int AS number"
SLOW_LINE = re.compile(r" warning slow: GET (\S+) took (\d+\.\d) ms: status 200$", re.MULTILINE)
FORGED = "/cast/1%1b%5b31mforged%22%5c%0D%0A2026-01-01T00:00:00.000Z%20error%20forged:%20line%0D%0A"


@pytest.fixture(scope="module")
def base(shared_stack):
    """The database and Redis of every responder here."""
    return shared_stack(ROUTES, nginx=False)


@pytest.fixture
def launch(base, tmp_path):
    """launch(routes, **environment) gives a healthy responder that ends with the test."""
    with contextlib.ExitStack() as exits:
        yield lambda routes=ROUTES, **options: exits.enter_context(launched(base, tmp_path, routes, **options))


def lines_of(responder):
    return responder.log_text().splitlines()


def make_it_talk(responder, tmp_path):
    """Requests and a refused reload that all leave something in the log."""
    assert fastcgi.ask(responder.socket, FORGED).status == 422
    assert fastcgi.ask(responder.socket, "/word", method="G\nforged: X").status == 400
    assert fastcgi.ask(responder.socket, "/wo\nforged: rd\x1b[31m").status == 400
    write_route(tmp_path, "a\nforged: \x1b[1m", "SELECT 1")
    responder.reload()
    wait_until(lambda: "the old routes stay" in responder.log_text(), 5, "the reload's end")


def test_text_log_lines_cannot_be_forged(launch, tmp_path):
    responder = launch(ROUTES | {"cast": CAST}, LARDER_LOG_LEVEL="debug", LARDER_TRACE="on", LARDER_SLOW="1ms")
    make_it_talk(responder, tmp_path)
    assert any("GET /cast/{name}" in line and "forged" in line for line in lines_of(responder))
    for line in lines_of(responder):
        assert TEXT_LINE.fullmatch(line), repr(line)


def test_json_log_lines_are_json_each(launch, tmp_path):
    responder = launch(ROUTES | {"cast": CAST}, LARDER_LOG_LEVEL="debug", LARDER_TRACE="on", LARDER_LOG_FORMAT="json",
                       LARDER_SLOW="1ms")
    make_it_talk(responder, tmp_path)
    events = [json.loads(line) for line in lines_of(responder)]
    for event in events:
        assert event.keys() == {"time", "level", "event", "message"}, event
        assert event["level"] in ("error", "warning", "info", "debug")
    assert {"start", "routes", "route", "reload", "query", "steps"} <= {event["event"] for event in events}
    assert any("\n" in event["message"] and "forged" in event["message"] for event in events)


@pytest.mark.parametrize("level, expected", [("error", {"error"}), ("warning", {"error", "warning"}),
                                             ("info", {"error", "warning", "info"}),
                                             ("debug", {"error", "warning", "info", "debug"})])
def test_the_log_level_bounds_what_is_logged(launch, tmp_path, level, expected):
    responder = launch(ROUTES | {"cast": CAST}, LARDER_LOG_LEVEL=level, LARDER_TRACE="on", LARDER_UNKNOWN="1")
    make_it_talk(responder, tmp_path)
    assert {TEXT_LINE.fullmatch(line)[1] for line in lines_of(responder)} == expected


def test_no_secret_is_logged_or_shown_in_the_process_list(base, launch):
    url = f"redis://larder:redishidden@127.0.0.1:{base.redis.port}/0"
    responder = launch({"kept": "-- @http GET /kept\n-- @cache ttl=9s\nSELECT 1 AS one"}, LARDER_REDIS=url,
                       PGPASSWORD="pghidden", LARDER_LOG_LEVEL="debug", LARDER_TRACE="on")
    assert fastcgi.ask(responder.socket, "/kept").status == 200
    assert [line for line in lines_of(responder) if " redis: " in line], "the refused password was not logged"
    with open(f"/proc/{responder.pids[0]}/cmdline", "rb") as arguments:
        said = responder.log_text() + arguments.read().decode()
    assert "hidden" not in said


def test_a_refused_database_password_is_not_logged(base, tmp_path, launch):
    responder = launch(PGPASSWORD="pghidden", PGUSER="nobody_here", LARDER_LOG_LEVEL="debug")
    fastcgi.ask(responder.socket, "/word").problem(503)
    assert "nobody_here" in responder.log_text() and "hidden" not in responder.log_text()


def test_a_slow_request_is_logged_and_a_quick_one_is_not(base, launch):
    responder = launch(LARDER_SLOW="400ms")
    with Gate(base) as shut, fastcgi.Connection(responder.socket) as connection:
        connection.start("/gate")
        shut.wait_for(1)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 0.42, what="more than LARDER_SLOW")
        fastcgi.ask(responder.socket, "/word")
        shut.open()
        connection.answer()
    slow = wait_until(lambda: SLOW_LINE.findall(responder.log_text()), 5, "a slow request's line")
    assert [float(took) >= 420 for path, took in slow if path == "/gate"] == [True]
    assert all(float(took) >= 400 for _, took in slow), "what is slow on this machine is told, nothing else"


# Who forgot larder install

def test_tables_without_triggers_are_named_until_larder_install_was_run(launch, base, tmp_path):
    base.sql("CREATE TABLE forgotten (id int); CREATE TABLE left_out (id int); CREATE TABLE plain (id int);" +
             "".join(f"CREATE TABLE one_of_{number} (id int);" for number in range(9)))
    route = "-- @http GET /{0}\n-- @cache ttl=300s\nSELECT id FROM {0}"
    responder = launch({name: route.format(name) for name in ("forgotten", "left_out")} |
                       {"plain": "-- @http GET /plain\nSELECT id FROM plain",
                        "again": route.format("forgotten").replace("/forgotten", "/again")})
    told = re.compile(r" warning routes: no triggers for what (.*): answers are kept for LARDER_GUARD_TTL alone; run \"larder install\"$",
                      re.MULTILINE)
    (said,) = told.findall(responder.log_text())
    count, names = said.split(" read of ")
    assert count == "3 routes" and sorted(names.split(", ")) == ["public.forgotten", "public.left_out"]
    install(base, tmp_path)
    responder.reload()
    before = told.findall(responder.log_text())  # it may have been asking while the triggers came
    responder.reload()
    assert told.findall(responder.log_text()) == before
    write_route(tmp_path, "many", "-- @http GET /many\n-- @cache ttl=300s\nSELECT * FROM " +
                " CROSS JOIN ".join(f"(SELECT id AS id{number} FROM one_of_{number}) AS a{number}" for number in range(9)))
    responder.reload()
    *same, many = told.findall(responder.log_text())
    assert same == before
    assert many.startswith("1 route reads of public.one_of_") and many.count("one_of") == 8 and many.endswith(", …")


def test_nothing_is_said_of_triggers_without_redis(launch, base):
    base.sql("CREATE TABLE unkept (id int)")
    responder = launch({"unkept": "-- @http GET /unkept\n-- @cache ttl=300s\nSELECT id FROM unkept"}, LARDER_REDIS="")
    assert "no triggers" not in responder.log_text()


def install(base, folder):
    done = subprocess.run([program("larder"), "install", f"{folder}/routes"], env=base.environment(), capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0, done.stderr


# What happened in a request

STEPS = ["receive", "match", "pool", "authenticate", "limit", "bind", "limit-param", "admit", "key", "memory", "lookup", "body",
         "kv", "file", "write", "stream", "query", "compress", "store", "share", "suit", "precondition", "respond", "after"]
TIMING = re.compile(r"[a-z-]+;dur=\d+\.\d{3}(, [a-z-]+;dur=\d+\.\d{3})*")


def test_trace_names_the_steps_of_every_request(launch):
    responder = launch(LARDER_TRACE="on", LARDER_LOG_LEVEL="debug")
    fastcgi.ask(responder.socket, "/word")
    fastcgi.ask(responder.socket, "/nothing")
    found, missing = [line for line in lines_of(responder) if " steps: GET " in line and "_larder" not in line]
    names = re.findall(r"([a-z-]+);dur=", found)
    assert names == STEPS
    assert " GET /word 200 " in found
    assert re.findall(r"([a-z-]+);dur=", missing) == ["receive", "match", "admit", "respond", "after"]


def test_profile_is_answered_with_the_steps_times(launch):
    responder = launch(LARDER_PROFILE="on")
    with fastcgi.Connection(responder.socket) as connection:
        for _ in range(200):
            timing = connection.request("/word?profile=1", keep=True)["Server-Timing"]
            assert TIMING.fullmatch(timing), timing
    assert re.findall(r"([a-z-]+);", timing) == STEPS[:STEPS.index("respond")]
    assert fastcgi.ask(responder.socket, "/word")["Server-Timing"] is None
    assert fastcgi.ask(responder.socket, "/word?profile=0")["Server-Timing"] is None


def test_profile_is_off_unless_switched_on(base):
    assert base.direct("/word?profile=1")["Server-Timing"] is None
