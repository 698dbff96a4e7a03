"""The responder as a process: its socket, its signals, its options, and the routes it loads anew."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from support import fastcgi
from support.gate import ROUTE as GATE, Gate, Held
from support.launch import launched, settings, write_route
from support.metrics import Metrics
from support.paths import program
from support.process import Process, alive
from support.waiting import wait_until

ROUTES = {
    "word": "-- @http GET /word\n-- @result row\nSELECT 'old' AS word",
    "nap": "-- @http GET /nap\n-- @result row\nSELECT 'old' AS word FROM pg_sleep(0.01)",
    "gate": GATE,
}
WORD = "-- @http GET /{path}\n-- @result row\nSELECT '{word}' AS word"


@pytest.fixture(scope="module")
def base(shared_stack):
    """The database and Redis that every responder here uses, and one responder with the usual routes."""
    return shared_stack(ROUTES, nginx=False)


@pytest.fixture
def launch(base, tmp_path):
    """launch(routes, processes=1, **environment) gives a healthy responder that ends with the test."""
    with contextlib.ExitStack() as exits:
        yield lambda routes=ROUTES, **options: exits.enter_context(launched(base, tmp_path, routes, **options))


def run_to_end(environment, stdin=subprocess.DEVNULL, command=None):
    """A start that is expected to fail: its exit status and what it said."""
    ended = subprocess.run(command or [program("larder-fcgi")], env=environment, stdin=stdin, timeout=20, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ended.returncode, ended.stdout


@pytest.fixture
def listening(tmp_path):
    """A listening UNIX socket, as a service manager hands it on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/handed.sock")
        listener.listen(16)
        yield listener


# The socket

def test_two_processes_serve_one_socket_and_count_together(base, launch):
    responder = launch(processes=2, LARDER_THREADS="2")  # enough wherever the two requests go
    assert len(responder.running()) == 2
    with Gate(base) as shut, fastcgi.Connection(responder.socket) as one:
        one.start("/gate")
        shut.wait_for(1)
        with fastcgi.Connection(responder.socket) as two:
            two.start("/gate")
            shut.wait_for(2)
            shut.open()
            assert [one.answer().status, two.answer().status] == [200, 200]
    count = Metrics(fastcgi.ask(responder.socket, "/_larder/metrics").text)
    assert count.sum("larder_requests_total", route="GET /gate", status="200", tier="database") == 2
    assert count.sum("larder_db_connections") == 2


def test_one_of_two_processes_ends_and_the_other_serves_on(base, launch):
    responder = launch(processes=2, LARDER_THREADS="4")
    first, second = responder.pids
    with Gate(base) as shut, contextlib.ExitStack() as exits:
        gated = []
        for count in range(1, 5):
            gated.append(exits.enter_context(fastcgi.Connection(responder.socket)))
            gated[-1].start("/gate")
            shut.wait_for(count)
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: "ending when" in responder.log_text(), 5, "the process to take SIGTERM")
        shut.open()
        assert [each.answer().json()["word"] for each in gated] == ["old"] * 4
        wait_until(lambda: not alive(first), 5, "the end of the first process")
    assert alive(second)
    assert [fastcgi.ask(responder.socket, "/word", timeout=5).status for _ in range(20)] == [200] * 20


def test_a_socket_on_descriptor_3_is_taken_from_systemd(base, tmp_path, listening):
    shell = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec " + program("larder-fcgi")
    process = Process("systemd", ["/bin/sh", "-c", shell], f"{tmp_path}/own.log", env=settings(base, tmp_path, ROUTES),
                      stdin=listening)
    try:
        assert fastcgi.ask(f"{tmp_path}/handed.sock", "/word").json() == {"word": "old"}
    finally:
        status = process.stop()
    assert status == 0


def test_listen_variables_of_another_process_are_not_taken(base, tmp_path, listening):
    shell = "exec 3<&0 0</dev/null; LISTEN_PID=1 LISTEN_FDS=1 exec " + program("larder-fcgi")
    status, said = run_to_end(settings(base, tmp_path, ROUTES), listening, ["/bin/sh", "-c", shell])
    assert status == 1 and "file descriptor 0 is not a listening socket" in said


def test_no_socket_is_said_clearly(base, tmp_path):
    status, said = run_to_end(settings(base, tmp_path, ROUTES))
    assert status == 1
    assert said.count("\n") == 1 and "not a listening socket" in said and "spawn-fcgi" in said and "systemd" in said


# What the tests themselves start

def test_a_server_outlives_the_thread_that_started_it(tmp_path):
    """The kernel kills a child that is to die with its parent when the thread that forked it ends."""
    started = []
    starting = threading.Thread(target=lambda: started.append(Process("nap", ["sleep", "60"], f"{tmp_path}/nap.log")))
    starting.start()
    starting.join()
    [process] = started
    assert process.stop() == -signal.SIGTERM


# SIGTERM

def fronts(pid):
    """How many threads of the process wait for connections."""
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as name:
            names.append(name.read().strip())
    return names.count("front")


def test_sigterm_lets_a_request_in_work_end_and_takes_no_new_connection(base, launch):
    responder = launch()
    with Gate(base) as shut, fastcgi.Connection(responder.socket) as connection:
        connection.start("/gate", keep=True)
        shut.wait_for(1)
        responder.signal(signal.SIGTERM)
        wait_until(lambda: fronts(responder.pids[0]) == 0, 5, "the end of those that wait for connections")
        shut.open()
        assert connection.answer().json() == {"word": "old"}
        assert responder.process.wait(5) == 0
    with pytest.raises(ConnectionRefusedError):
        fastcgi.ask(responder.socket, "/word")


def test_sigterm_with_many_idle_kept_connections_ends_promptly(launch):
    responder = launch()
    with contextlib.ExitStack() as exits:
        for _ in range(100):
            connection = exits.enter_context(fastcgi.Connection(responder.socket))
            assert connection.request("/word", keep=True).status == 200
        responder.signal(signal.SIGTERM)
        assert responder.process.wait(10) == 0


def test_sigterm_ends_it_while_requests_keep_coming(launch):
    responder = launch(LARDER_THREADS="2")  # so that some connection always has a request waiting
    answered, over = [0] * 12, threading.Event()

    def ask_on(index):
        with contextlib.suppress(OSError), fastcgi.Connection(responder.socket, timeout=20) as connection:
            while not over.is_set() and answered[index] < 2000:
                assert connection.request("/nap", keep=True).status == 200
                answered[index] += 1

    askers = [threading.Thread(target=ask_on, args=(index,)) for index in range(len(answered))]
    for each in askers:
        each.start()
    try:
        wait_until(lambda: min(answered) > 5, 20, "load on every connection")
        responder.signal(signal.SIGTERM)
        assert responder.process.wait(5) == 0
    finally:
        over.set()
        responder.kill()
        for each in askers:
            each.join()


def test_sigterm_is_heard_while_postgresql_is_asked_about_new_routes(base, launch, tmp_path):
    """Thousands take it half a minute, which no service manager waits for: what is not asked yet is left."""
    base.sql("CREATE TABLE altered (word text)")
    responder = launch()
    held = Held(base, "LOCK TABLE altered IN ACCESS EXCLUSIVE MODE")
    for number in range(20):
        write_route(tmp_path, f"many{number}", f"-- @http GET /many/{number}\n-- @result row\nSELECT word FROM altered")
    responder.signal(signal.SIGHUP)
    wait_until(lambda: base.sql("SELECT count(*) FROM pg_locks WHERE relation = 'altered'::regclass AND NOT granted")
               == [(1,)], 20, "PostgreSQL waiting for the table")
    responder.signal(signal.SIGTERM)
    held.open()
    assert responder.stop() == 0
    assert "given up, for the end: the old routes stay" in responder.log_text()


# SIGHUP

def test_sighup_serves_the_new_routes_and_ends_requests_on_the_old_ones(base, launch, tmp_path):
    responder = launch()
    with Gate(base) as shut, fastcgi.Connection(responder.socket) as connection:
        connection.start("/gate")
        shut.wait_for(1)
        os.unlink(f"{tmp_path}/routes/gate.sql")
        write_route(tmp_path, "word", WORD.format(path="word", word="new"))
        write_route(tmp_path, "more/added", WORD.format(path="added", word="added"))
        responder.reload()
        assert fastcgi.ask(responder.socket, "/word").json() == {"word": "new"}
        assert fastcgi.ask(responder.socket, "/added").json() == {"word": "added"}
        fastcgi.ask(responder.socket, "/gate").problem(404)
        shut.open()
        assert connection.answer().json() == {"word": "old"}
    assert Metrics(fastcgi.ask(responder.socket, "/_larder/metrics").text).sum("larder_reloads_total") == 1


@pytest.mark.parametrize("name, text, expected", [
    ("broken", "-- A summary.\n-- @http GET /broken\n-- @cache ttl=soon\nSELECT 1", "routes/broken.sql:3: "),
    ("refused", "-- @http GET /refused\nSELECT 1,\n       nothing\nFROM pg_class", "routes/refused.sql:3: "),
    ("twice", WORD.format(path="word", word="twice"), "GET /word"),
])
def test_a_faulty_file_keeps_all_the_old_routes(launch, tmp_path, name, text, expected):
    responder = launch()
    write_route(tmp_path, name, text)
    write_route(tmp_path, "word" if name != "twice" else "added", WORD.format(path="word2", word="new"))
    responder.reload()
    wait_until(lambda: "the old routes stay" in responder.log_text(), 5, "the reload's end")
    assert fastcgi.ask(responder.socket, "/word").json() == {"word": "old"}
    fastcgi.ask(responder.socket, "/word2").problem(404)
    assert expected in responder.log_text()
    count = Metrics(fastcgi.ask(responder.socket, "/_larder/metrics").text)
    assert (count.sum("larder_reload_failures_total"), count.sum("larder_reloads_total")) == (1, 0)


def test_a_reload_after_the_fault_is_mended_serves_the_new_routes(launch, tmp_path):
    responder = launch()
    write_route(tmp_path, "word", "SELECT 1")
    responder.reload()
    write_route(tmp_path, "word", WORD.format(path="word", word="mended"))
    responder.reload()
    wait_until(lambda: fastcgi.ask(responder.socket, "/word").json() == {"word": "mended"}, 5, "the mended route")


def test_many_reloads_under_load_fail_no_request(launch):
    responder = launch()
    answers, over = [], threading.Event()

    def ask_on():
        with fastcgi.Connection(responder.socket) as connection:
            while not over.is_set():
                answers.append(connection.request("/word", keep=True).json()["word"])

    asker = threading.Thread(target=ask_on)
    asker.start()
    try:
        for count in range(1, 21):
            responder.signal(signal.SIGHUP)
            wait_until(lambda seen=count: responder.log_text().count(" reload: ") == seen, 10, f"reload {count}")
    finally:
        over.set()
        asker.join()
    assert answers and set(answers) == {"old"}


# The start

def test_every_bad_option_is_named_with_its_value_and_what_is_allowed(base, tmp_path, listening):
    bad = {"LARDER_THREADS": "none", "LARDER_TIMEOUT": "5", "LARDER_CACHE": "maybe", "LARDER_ENTRY_MAX": "9TB",
           "LARDER_PREFIX": "a b", "LARDER_REDIS": "http://user:hidden@host"}
    status, said = run_to_end(settings(base, tmp_path, ROUTES, **bad), listening)
    assert status == 2
    for name, value in bad.items():
        line = next(line for line in said.splitlines() if f" {name} " in line)
        assert f'"{value}"' in line or (name == "LARDER_REDIS" and "***@host" in line)
        assert "must be" in line
    assert "from 1 to 1024" in said and "a unit" in said and "off or on" in said and "redis://" in said
    assert "hidden" not in said


def test_a_redis_address_that_is_no_address_stops_the_start_without_its_password(base, tmp_path, listening):
    for address in ("redis://user:hidden@host:99999/0", "redis://:hid%zz@host", "redis://:hidden@host/x"):
        status, said = run_to_end(settings(base, tmp_path, ROUTES, LARDER_REDIS=address), listening)
        assert status in (1, 2) and "LARDER_REDIS" in said and "hid" not in said, said


def test_an_unknown_option_is_warned_of(launch):
    log = launch(LARDER_THREAD="4").log_text()
    assert [line for line in log.splitlines() if " warning " in line and "LARDER_THREAD " in line]


def test_broken_routes_stop_the_start_with_every_fault(base, tmp_path, listening):
    routes = {"one": "-- @http GET /one\n-- @chache ttl=1s\nSELECT 1",
              "two": "-- @http GET /two\n-- @timeout never\n-- @result rowz\nSELECT :nobody"}
    status, said = run_to_end(settings(base, tmp_path, routes), listening)
    assert status == 1
    for place in ("one.sql:2: ", "two.sql:2: ", "two.sql:3: ", "two.sql:4: ", "4 faults"):
        assert place in said, said


@pytest.mark.parametrize("folder", ["routes", "routes/missing"])
def test_no_routes_stop_the_start(base, tmp_path, listening, folder):
    environment = settings(base, tmp_path, {}, LARDER_ROUTES=f"{tmp_path}/{folder}")
    status, said = run_to_end(environment, listening)
    assert status == 1 and f"{tmp_path}/{folder}: " in said


@pytest.mark.parametrize("statement, said", [
    ("SELECT nothing", "PostgreSQL: "),
    ("INSERT INTO numbers VALUES (1) RETURNING 1", "INSERT in a GET, which only reads")])
def test_a_statement_that_is_refused_does_not_stop_the_others(launch, statement, said):
    responder = launch({"word": ROUTES["word"], "bad": f"-- @http GET /bad\n{statement}"})
    assert re.search(rf"routes/bad\.sql:2(:1)?: {said}", responder.log_text())
    assert fastcgi.ask(responder.socket, "/word").status == 200
    fastcgi.ask(responder.socket, "/bad").problem(500)
