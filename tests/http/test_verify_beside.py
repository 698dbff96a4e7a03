"""`larder verify --every` beside production: it goes on through all that changes and is away, and gives no false alarm."""

import signal
import subprocess
import threading

import pytest

from support.coherent import is_hit, wait_for_body
from support.paths import program
from support.verify import AGAIN, ROUTES, ROWS, SCHEMA, counted, emptied, kept, settings, silently, started
from support.waiting import wait_until


class Beside:
    """`larder verify --every`, until it is asked to end."""

    def __init__(self, stack, *arguments, guard=AGAIN):
        self.process = subprocess.Popen([program("larder"), "verify", "--every", "100ms", *arguments],
                                        env=settings(stack, {"LARDER_GUARD_TTL": guard}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        text, errors = self.process.communicate(timeout=30)
        return self.process.returncode, text, errors


@pytest.fixture(scope="module")
def shared(shared_stack):
    return started(shared_stack, schema=SCHEMA)


@pytest.fixture
def served(shared):
    return emptied(shared)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_again_and_again_until_a_signal(served, number):
    kept(served, "/users/1", "/users/2")
    before = counted(served, "checked")
    with Beside(served) as beside:
        wait_until(lambda: counted(served, "checked") >= before + 6, 20, "three passes")
        status, text, errors = beside.end(number)
    assert (status, errors) == (0, "")
    assert text.count("checked 2 of 2 entries: 2 same, 0 differing; 0 skipped") >= 3


def test_a_difference_is_found_while_it_runs(served):
    kept(served, "/users/1", "/users/2")
    differing = counted(served, "differing")
    with Beside(served) as beside:
        silently(served, "UPDATE users SET name = 'new' WHERE id = 1")
        wait_until(lambda: counted(served, "differing") > differing, 30, "the difference counted")
        status, text, _ = beside.end()
    assert status == 1
    assert "differs: larder:e:" in text


def test_new_routes_are_taken_up_while_it_runs(served):
    kept(served, "/users/1")
    text = ROUTES["user"]
    try:
        before = counted(served, "checked")
        with Beside(served) as beside:
            wait_until(lambda: counted(served, "checked") > before, 20, "a pass")
            served.write_route("user", text + "-- another version\n")
            served.api.signal(signal.SIGHUP)
            served.redis.client().delete(*served.redis.entries())
            before = counted(served, "checked")
            wait_until(lambda: is_hit(served.direct("/users/1")) and counted(served, "checked") > before, 20,
                       "the new version checked")
            assert beside.end()[0] == 0
    finally:
        served.write_route("user", text)
        served.api.signal(signal.SIGHUP)


def test_other_settings_of_new_sessions_while_it_runs(stack):
    """It asks by sessions that have them, as the responders do: names without a schema mean other tables by then."""
    served = started(stack, guard="2s", schema=SCHEMA + ROWS + "CREATE SCHEMA other; CREATE TABLE other.users (LIKE users);"
                     "INSERT INTO other.users VALUES (1, 'other', 'good')")
    kept(served, "/users/1")

    def go_on(least):
        before = counted(served, "checked")
        wait_until(lambda: is_hit(served.direct("/users/1")) and counted(served, "checked") >= before + least, 30,
                   f"{least} entries checked")

    with Beside(served) as beside:
        go_on(2)
        served.postgres.execute(f"ALTER DATABASE {served.database} SET search_path = other, public")
        wait_for_body(lambda: served.direct("/users/1"), {"id": 1, "name": "other"}, 20)
        served.install()  # or its answers are kept for the guard time alone
        kept(served, "/users/1")
        go_on(6)
        before = counted(served, "differing")
        go_on(6)
        assert counted(served, "differing") == before, beside.end()


def test_a_writer_causes_no_false_alarm(stack):
    """Rows change all the time, as do answers; at every moment some changes are on their way."""
    served = started(stack, guard="2s", schema=SCHEMA + ROWS)
    stopped = threading.Event()
    problems = []

    def until_stopped(work):
        try:
            number = 0
            while not stopped.is_set():
                number += 1
                work(number)
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    connection = served.postgres.connect(served.database, "larder")
    cursor = connection.cursor()

    def write(number):
        cursor.execute("UPDATE users SET name = %s WHERE id = %s", [f"name {number}", number % 200 + 1])

    def read(number):
        assert served.direct(f"/users/{number * 7 % 200 + 1}").status == 200
        if number % 7 == 0:
            assert served.direct("/users").status == 200

    served.sql("INSERT INTO users SELECT i, 'user ' || i FROM generate_series(21, 200) AS i")
    threads = [threading.Thread(target=until_stopped, args=[work]) for work in (write, read, read)]
    before = counted(served, "checked")
    with Beside(served, "--sample", "all", "--rate", "2000", guard="2s") as beside:
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: counted(served, "checked") >= before + 500, 240, "500 entries compared")
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        status, text, errors = beside.end()
    connection.close()
    assert not problems
    assert (status, errors) == (0, ""), text[-3000:]
    assert "differs: " not in text


def test_what_is_away_for_a_while_ends_nothing(stack):
    """A Redis of its own, for it is killed."""
    served = started(stack, schema=SCHEMA + ROWS)
    kept(served, "/users/1")
    with Beside(served) as beside:
        wait_until(lambda: counted(served, "checked") > 0, 20, "a pass")
        served.redis.kill()
        served.redis.start()
        before = counted(served, "checked")
        wait_until(lambda: served.direct("/users/1").status == 200 and counted(served, "checked") > before, 30,
                   "the next pass with an entry")
        status, _, errors = beside.end()
    assert status == 0
    assert "Redis" in errors or not errors
