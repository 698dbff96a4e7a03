"""A responder process killed, stopped, without disk or without descriptors: the others serve, it recovers."""

import os
import resource
import signal
import subprocess
import threading
import time

import pytest

from faults import PROBE, ROUTES, SCHEMA, ask_item, assert_item, fresh_id, keep_item, together
from support.client import IncompleteAnswer
from support.fastcgi import ask
from support.process import process_state
from support.stack import metrics
from support.waiting import wait_until


@pytest.fixture
def fresh(stack):
    return lambda **options: stack(ROUTES, schema=SCHEMA, **{"nginx": False, **options,
                                                             "env": {**PROBE, **options.get("env", {})}})


class Load:
    """Clients that ask nginx for items one after another until told to stop; every answer is remembered."""

    def __init__(self, stack, clients=4, target=None):
        self.stack, self.target = stack, target
        self.statuses = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for each in self.threads:
            each.join(60)

    def run(self):
        while not self.over.is_set() and len(self.statuses) < 100_000:
            self.statuses.append(self.one())

    def one(self):
        number = fresh_id() % 20000 + 1
        try:
            answer = self.stack.get(self.target or f"/items/{number}", timeout=20)
        except (OSError, IncompleteAnswer):
            return 0
        if answer.status == 200 and not self.target:
            assert_item(answer, number)
        return answer.status

    def wait_for_more(self, how_many, only=None):
        """Waits for so many further answers; with `only`, for so many of that status in a row."""
        start = len(self.statuses)
        wait_until(lambda: len(self.statuses) >= start + how_many and
                   (only is None or set(self.statuses[-how_many:]) == {only}), 30, "more answers")


def test_one_of_two_processes_killed_under_load(fresh):
    served = fresh(processes=2, nginx=True, nginx_workers=2)
    victim, survivor = served.api.pids
    with Load(served) as load:
        load.wait_for_more(200, only=200)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in served.api.running(), what="the process gone")
        load.wait_for_more(500, only=200)
    errors = [status for status in load.statuses if status != 200]
    assert len(errors) <= 16, f"more errors than requests in work at the kill: {errors}"
    assert set(errors) <= {502}
    assert served.api.running() == [survivor]


def test_a_request_at_the_moment_of_a_kill_finds_another_process(fresh):
    """A process that is just dying must not be the only one woken for a new connection: nobody else would come."""
    for _ in range(2):
        served = fresh(processes=6, redis=False)
        wait_until(lambda: served.log_text().count(" start: ") == 6, 20, "six processes")
        for pid in served.api.pids[:5]:
            os.kill(pid, signal.SIGKILL)
            assert ask(served.api.socket, "/_larder/health", timeout=5).status == 200


def test_the_counters_outlive_a_killed_process(fresh):
    """They are the host's: the survivor shows what both have counted, and goes on."""
    served = fresh(processes=2)
    together(lambda _: ask_item(served), range(32))
    before = metrics(served).sum("larder_requests_total", route="GET /items/{id}")
    assert before == 32
    os.kill(served.api.pids[0], signal.SIGKILL)
    wait_until(lambda: len(served.api.running()) == 1, what="the process gone")
    ask_item(served)
    assert metrics(served).sum("larder_requests_total", route="GET /items/{id}") == before + 1


def test_one_of_two_processes_stopped(fresh):
    """It accepts nothing, so every new connection finds the other."""
    served = fresh(processes=2)
    frozen = served.api.pids[0]
    os.kill(frozen, signal.SIGSTOP)
    wait_until(lambda: process_state(frozen) == "T", what="the process stopped")
    try:
        for answer in together(lambda _: ask_item(served), range(40)):
            assert answer.seconds < 5
        for _ in range(40):
            ask_item(served)
    finally:
        os.kill(frozen, signal.SIGCONT)
    for _ in range(40):
        ask_item(served)


def test_kept_connections_to_a_killed_process_are_replaced(fresh):
    """nginx holds idle connections to it: a request that gets one of them is tried on another."""
    served = fresh(processes=2, nginx=True)
    together(lambda _: served.get(f"/items/{fresh_id()}"), range(32))
    os.kill(served.api.pids[0], signal.SIGKILL)
    wait_until(lambda: len(served.api.running()) == 1, what="the process gone")
    for _ in range(40):
        assert served.get(f"/items/{fresh_id()}").status == 200


def test_all_processes_killed_and_started_again(fresh):
    """nginx tells so in problem+json, and needs no restart itself."""
    served = fresh(nginx=True)
    served.api.kill()
    for _ in range(3):
        answer = served.get("/items/1")
        assert (answer.status, answer["Content-Type"]) == (502, "application/problem+json"), answer
        assert (answer["Cache-Control"], answer.json()["status"]) == ("no-store", 502)
        assert int(answer["Retry-After"]) >= 1
    os.unlink(served.api.socket)
    served.api.start()
    wait_until(lambda: served.get("/items/1").status == 200, what="an answer")


def test_killed_while_storing_leaves_whole_entries(fresh):
    """Whatever the moment of the kill, what Redis holds is an answer or nothing."""
    served = fresh(nginx=True)
    for _ in range(5):
        with Load(served, target="/pages/77") as load:
            load.wait_for_more(20, only=200)
            served.redis.client().flushall()
            served.api.kill()
        os.unlink(served.api.socket)
        served.api.start()
        wait_until(served.healthy, 20, "larder-fcgi answering")
        answer = served.direct("/pages/77")
        assert answer.status == 200 and [row["id"] for row in answer.json()] == list(range(77, 177))
    for key in served.redis.entries():
        assert served.redis.client().pttl(key) > 0, "an entry that never ends"


# Disk

@pytest.fixture
def full_folder(tmp_path):
    """A folder on a file system with no room left; or one that takes no files at all, where mounting is forbidden."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k,mode=0777", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    if not mounted:
        yield "/proc/self/fdinfo"
        return
    try:
        yield str(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_room_for_the_counters(fresh, full_folder):
    served = fresh(env={"LARDER_RUN": full_folder})
    assert "warning counters" in served.log_text() and "LARDER_RUN" in served.log_text()
    keep_item(served)
    assert metrics(served).sum("larder_cache_stores_total") >= 1


@pytest.mark.parametrize("folder", ["/nowhere/larder", "/dev/null", "/proc/self"])
def test_a_run_folder_that_takes_no_files(fresh, folder):
    served = fresh(env={"LARDER_RUN": folder})
    assert "warning counters" in served.log_text()
    keep_item(served)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 64, b"\xff" * (1 << 22)],
                         ids=["empty", "short", "zeros", "ones"])
def test_a_counter_file_of_another_making(fresh, content):
    """An older version's, or damaged: the first process begins it anew."""
    served = fresh()
    served.api.stop()
    with open(f"{served.run}/counters-1", "wb") as file:
        file.write(content)
    os.unlink(served.api.socket)
    served.api.start()
    wait_until(served.healthy, 20, "larder-fcgi answering")
    ask_item(served)
    now = metrics(served)
    assert now.sum("larder_requests_total", route="GET /items/{id}") == 1
    assert now.sum("larder_queries_total") == 1


# Descriptors

def limit_descriptors(stack, count):
    pid = stack.api.pids[0]
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, most))


def test_more_connections_than_descriptors(fresh):
    """Two hundred at once with 64 descriptors: all are served in turn, for each ends its connection."""
    served = fresh()
    limit_descriptors(served, 64)
    answers = together(lambda number: ask(served.api.socket, f"/items/{number + 1}", timeout=60), range(200))
    for number, answer in enumerate(answers):
        assert_item(answer, number + 1)
    assert served.api.running()


def test_idle_connections_that_hold_every_descriptor(fresh):
    """While they last nothing new is taken; no processor time is burned; once they go everything works."""
    served = fresh()
    limit_descriptors(served, 64)
    idle = [served.connect() for _ in range(200)]
    try:
        wait_until(lambda: len(os.listdir(f"/proc/{served.api.pids[0]}/fd")) >= 64, what="no descriptor left")
        start, used = time.monotonic(), processor_seconds(served.api.pids[0])
        wait_until(lambda: time.monotonic() - start > 1, what="a second of being full")
        assert processor_seconds(served.api.pids[0]) - used < 0.5, "spinning on a connection it can't take"
        assert served.api.running()
    finally:
        for each in idle:
            each.close()
    wait_until(lambda: served.direct("/items/1").status == 200, what="an answer")
    keep_item(served)
    for answer in together(lambda _: ask_item(served), range(16)):
        assert answer.seconds < 5


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(stack):
    return {int(each) for each in os.listdir(f"/proc/{stack.api.pids[0]}/fd")}


def accepted(stack):
    """How many connections of clients the responders have."""
    with open("/proc/net/unix", encoding="ascii") as sockets:
        fields = [line.split() for line in sockets]
    return sum(each[-1] == stack.api.socket and each[5] == "03" for each in fields)


def test_its_own_connections_give_way_to_clients(fresh):
    """Redis and PostgreSQL have every descriptor: those nobody uses are closed for a client's sake."""
    served = fresh()
    together(lambda number: ask(served.api.socket, f"/items/{number + 1}"), range(64))
    wait_until(lambda: accepted(served) == 0, what="all clients gone")
    used = descriptors(served)
    limit_descriptors(served, max(used) + 1)
    idle = [served.connect() for _ in range(max(used) + 1 - len(used))]
    wait_until(lambda: accepted(served) == len(idle), what="every place below the bound taken")
    for number in range(3):
        assert ask(served.api.socket, f"/items/{number + 100}", timeout=20).status in (200, 503)
    for each in idle:
        each.close()
    limit_descriptors(served, 1024)
    keep_item(served)


def test_no_descriptor_for_redis_or_postgresql(fresh):
    """Connections from the web server took them all: errors are answers, and pass."""
    served = fresh(env={"LARDER_DB_WAIT": "300ms"})
    limit_descriptors(served, len(os.listdir(f"/proc/{served.api.pids[0]}/fd")) + 4)
    answers = together(lambda number: ask(served.api.socket, f"/items/{number + 1}", timeout=60), range(64))
    assert {answer.status for answer in answers} <= {200, 503}
    limit_descriptors(served, 1024)
    wait_until(lambda: served.direct("/items/1").status == 200, what="an answer")
    keep_item(served)
