"""LARDER_RUN without room, and what the host's processes share in it cut short: told of in the log, never a mere end."""

import contextlib
import os
import signal
import subprocess

import pytest

from faults import ROUTES, SCHEMA, SLACK, ask_item, keep_item
from support.coherent import time_left
from support.paths import program
from support.stack import metrics
from support.waiting import wait_until

KEPT_BY_NGINX = "-- @http GET /kept/{id}\n-- @nginx ttl=60s\n-- @control public, no-cache\n-- @result row\n-- @cache ttl=300s\n" \
                "SELECT id, name FROM items WHERE id = :id"
# Where nginx' answers are noted nowhere it has the ttl alone.
BRIEF = KEPT_BY_NGINX.replace("/kept/", "/brief/").replace("@nginx ttl=60s", "@nginx ttl=3s")
GUARD = 5  # seconds: the default of LARDER_GUARD_TTL
PAGES = 300  # each is noted in a place of its own of what is shared

# The room: which of counters, clocks and notes of what nginx keeps fit in; their files have 6.5, 2.6 and 17 MB.
FILES = {"counters": "counters-1", "clocks": "clocks-1", "nginx": "urls-3"}
ROOMS = {"4k": [], "3m": ["clocks"], "7m": ["counters"], "12m": ["counters", "clocks"],
         "32m": ["counters", "clocks", "nginx"]}


@pytest.fixture
def small_disk(tmp_path):
    """Makes folders on file systems of their own, of a size."""
    made = []

    def make(size):
        folder = tmp_path / size
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting is forbidden here")
        made.append(folder)
        return folder
    yield make
    for folder in made:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Takes all the room that is left."""
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass
    assert os.statvfs(folder).f_bavail == 0


def started(stack, folder):
    return stack(ROUTES | {"kept": KEPT_BY_NGINX, "brief": BRIEF}, schema=SCHEMA, install=True, larderd=True, processes=2,
                 env={"LARDER_RUN": str(folder), "LARDER_REDIS_TIMEOUT": "100ms"})


def larder_stats(served):
    return subprocess.run([program("larder"), "stats"], env=served.environment(), capture_output=True, text=True,
                          timeout=20, check=False)


def use_all(served, noted=True):
    """Whatever writes to the shared memory: routes, tags, notes of what nginx keeps; by responders and larderd."""
    keep_item(served)
    # Before changes are heard of nginx keeps everything for the guard time only.
    wait_until(lambda: time_left(served.direct("/brief/5")) > GUARD, 20, "an answer kept past the guard time")
    assert served.get("/brief/5").status == 200
    for number in range(1, PAGES):
        ask_item(served, number)
        assert served.get(f"/kept/{number}").status == 200
    served.sql("UPDATE items SET name = name || ' new' WHERE id < 1000")
    wait_until(lambda: served.direct("/items/5").json()["name"] == "item 5 new", 10 + SLACK, "the change")
    page = "/kept/5" if noted else "/brief/5"
    wait_until(lambda: served.get(page).json()["name"] == "item 5 new", 10 + SLACK, "the change at nginx")
    assert metrics(served).sum("larder_requests_total") >= 1


def assert_told(log, folder, name, fits):
    """A line that names the file's folder and what is missing, of each that has no room."""
    told = [line for line in log.splitlines() if f" warning {name}: {folder}" in line]
    assert bool(told) != fits, log
    assert all("No space left on device" in line for line in told), told


@pytest.mark.parametrize("size, fitting", ROOMS.items(), ids=ROOMS)
def test_a_full_run_folder_is_told_of_and_everything_goes_on(stack, small_disk, size, fitting):
    folder = small_disk(size)
    served = started(stack, folder)
    fill(folder)
    use_all(served, "nginx" in fitting)
    for name, file in FILES.items():
        fits = name in fitting
        whole = os.path.exists(folder / file) and os.path.getsize(folder / file) > 0
        assert whole == fits, file
        assert_told(served.api.log_text(), folder, name, fits)
        assert_told(served.larderd.log_text(), folder, name, fits)
    done = larder_stats(served)
    assert (done.returncode == 0) == ("counters" in fitting), done.stderr
    assert "counters" in fitting or "no process could make" in done.stderr, done.stderr
    assert len(served.api.running()) == 2 and served.larderd.running()


def test_processes_that_come_to_a_full_disk_share_what_is_there(stack, small_disk):
    folder = small_disk("32m")
    served = started(stack, folder)
    fill(folder)
    served.restart()
    assert served.larderd.stop() == 0
    served.larderd.start()
    use_all(served)
    assert "No space left" not in served.api.log_text() + served.larderd.log_text()
    assert larder_stats(served).returncode == 0


# Somebody cuts a file short that running processes have mapped

@pytest.mark.parametrize("file", FILES.values())
def test_a_shared_file_that_is_cut_short_is_named_in_the_log(stack, tmp_path, file):
    """Nothing can keep them from ending then: the kernel sends SIGBUS to whoever touches what is gone."""
    served = started(stack, tmp_path)
    use_all(served)
    os.truncate(tmp_path / file, 0)

    def told():
        with contextlib.suppress(OSError):
            served.get("/kept/1")
            served.direct("/items/1")  # by either name: one process may go on serving
            served.sql("UPDATE items SET name = name || ' newer' WHERE id < 1000")
        return [line for line in (served.api.log_text() + served.larderd.log_text()).splitlines()
                if " error shared-memory: " in line]
    lines = wait_until(told, 20, "a line of log")
    assert all(f"{tmp_path}/{file} was cut short" in line and "LARDER_RUN" in line for line in lines), lines
    if served.larderd.running():
        served.larderd.stop()
    served.api.stop()
    served.larderd.start()
    served.restart()
    assert ask_item(served, 2000)
    assert larder_stats(served).returncode == 0


def test_a_sigbus_that_somebody_sends_ends_them_as_ever(stack, tmp_path):
    served = started(stack, tmp_path)
    for pid in served.api.running():
        os.kill(pid, signal.SIGBUS)
    wait_until(lambda: not served.api.running(), 20, "the end of the responders")
    assert " error shared-memory: " not in served.api.log_text()
    served.api.stop()
    served.restart()
    assert ask_item(served, 1)
