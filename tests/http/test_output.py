"""Where the programs print: an output that takes nothing, and one that is not there at all."""

import contextlib
import fcntl
import os
import pty
import shutil
import socket
import struct
import subprocess
import termios

import pytest

from support import fastcgi
from support.launch import settings
from support.paths import TOP, program
from support.process import Process
from support.waiting import wait_until

ROUTES = {"one": "-- @http GET /one\n-- @result row\nSELECT 1 AS one"}
PRINTING = [["larder", "--version"], ["larder", "--help"], ["larder", "routes", "--help"], ["larder", "config"],
            ["larder", "config", "--sample"], ["larder", "check", "--offline"], ["larder", "routes", "--offline"],
            ["larder", "stats"], ["larder", "stats", "--json"], ["larder-fcgi", "--version"], ["larder-fcgi", "--help"],
            ["larderd", "--version"], ["larderd", "--help"]]


@pytest.fixture(scope="module")
def base(shared_stack):
    return shared_stack(ROUTES, nginx=False)


def run(base, command, redirection):
    name, *arguments = command
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirection}', program(name), *arguments], text=True, timeout=20,
                          env=base.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_takes_nothing_is_a_failure(base, command, redirection):
    ended = run(base, command, redirection)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"{command[0]}: the output could not be written")


@pytest.mark.parametrize("redirection, reason", [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_the_reason_is_told(base, redirection, reason):
    ended = run(base, ["larder", "--version"], redirection)
    assert ended.stderr == f"larder: the output could not be written: {reason}\n"


def test_a_fault_keeps_its_status(base):
    ended = run(base, ["larder", "check", "--ofline"], ">/dev/full")
    assert ended.returncode == 2 and "--ofline" in ended.stderr


@pytest.fixture
def lasting(base, tmp_path):
    """lasting(name, shell): that program, started by this shell command with its name as $0, until the test's end."""
    with contextlib.ExitStack() as exits:
        def start(name, shell):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"{tmp_path}/own.sock")
                listener.listen(16)
                process = Process(name, ["sh", "-c", shell, program(name)], f"{tmp_path}/own.log",
                                  env=settings(base, tmp_path, ROUTES), stdin=listener)
            exits.callback(process.kill)
            wait_until(lambda: sum("socket:" in link for link in links(process.pid).values()) >= 2, 20,
                       "a connection besides standard input")
            return process
        yield start


@pytest.mark.parametrize("name", ["larder-fcgi", "larderd"])
def test_without_standard_error_no_log_line_goes_elsewhere(lasting, name):
    """What is opened next would have that number: the counters, or the connection to PostgreSQL."""
    process = lasting(name, 'exec "$0" >&- 2>&-')
    assert {links(process.pid)[number] for number in (1, 2)} == {"/"}


@pytest.mark.parametrize("name", ["larder-fcgi", "larderd"])
def test_files_that_may_not_grow_end_no_program(lasting, tmp_path, name):
    """A log file at its limit, and no room for the counters (LimitFSIZE): errors, as a full disk's are."""
    process = lasting(name, 'ulimit -f 0; exec "$0"')
    assert os.path.getsize(f"{tmp_path}/own.log") == os.path.getsize(f"{tmp_path}/counters-1") == 0
    if name == "larder-fcgi":
        wait_until(lambda: fastcgi.ask(f"{tmp_path}/own.sock", "/one", timeout=5).status == 200, 20, "an answer")
    assert process.running()


def links(pid):
    """What each descriptor of the process is, by its number."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
    return found


# A terminal

WIDE = "-- @http GET /wide\n-- @param first int\n-- @param second_of_them int\n-- @param third int\nSELECT :first, :second_of_them, :third"


def shown(columns, command, environment):
    """What a terminal of so many columns is given."""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while part := os.read(own, 65536):
                text += part
        os.close(own)
        assert process.wait(20) == 0
    return text.decode().replace("\r\n", "\n").splitlines()


def test_the_table_of_routes_is_as_wide_as_the_terminal(base, tmp_path):
    (tmp_path / "wide.sql").write_text(WIDE)
    command = [program("larder"), "routes", "--offline", str(tmp_path)]
    piped = subprocess.run(command, env=base.environment(), capture_output=True, text=True, timeout=20, check=True).stdout
    whole = "GET     /wide  first integer, second_of_them integer, third integer  -     -      no-cache"
    assert piped.splitlines()[1] == whole
    assert shown(200, command, base.environment()) == piped.splitlines()
    assert shown(78, command, base.environment())[1:] == [
        "GET     /wide  first integer, second_of_them integer,    -     -      no-cache",
        "               third integer"]
    assert shown(62, command, base.environment())[1:] == [
        "GET     /wide  first integer,            -     -      no-cache",
        "               second_of_them integer,",
        "               third integer"]


def test_the_routes_of_all_packs_fit_on_eighty_columns(base, tmp_path):
    for pack in ("social", "catalog", "review", "kv"):
        shutil.copytree(f"{TOP}/sql/{pack}/routes", tmp_path / pack)
    command = [program("larder"), "routes", "--offline", str(tmp_path)]
    lines = shown(80, command, base.environment())
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    words = subprocess.run(command, env=base.environment(), capture_output=True, text=True, timeout=20, check=True).stdout
    assert sorted(" ".join(lines).split()) == sorted(words.split()), "nothing is lost"
