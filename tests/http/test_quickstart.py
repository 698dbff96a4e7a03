"""packaging/quickstart from the outside: what it prints works, and nothing outlives it."""

import base64
import hmac
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from support import readme
from support.process import alive
from support.quickstart import SERVICES, TREE, Quickstart
from support.waiting import wait_until


@pytest.fixture(scope="module")
def quickstart():
    folder = Path(tempfile.mkdtemp(prefix="larder-quickstart-"))
    folder.chmod(0o755)
    yield Quickstart(folder / "state")
    Quickstart(folder / "state")("--stop")
    shutil.rmtree(folder)


@pytest.fixture
def running(quickstart):
    """The output of a start, whether or not it is up already."""
    return quickstart.start()


def everyone(pids):
    return [pid for each in pids.values() for pid in each]


def ended(pids):
    return not any(alive(pid) for pid in everyone(pids))


def test_the_curl_lines_it_prints_work(running):
    lines = re.findall(r"^  (curl .*)$", running, re.MULTILINE)
    answers = [ask(line) for line in lines]
    statuses = [answer.split()[1] for answer in answers]
    assert statuses == ["200", "304", "200", "201", "200", "202", "200", "200"], (lines, answers)
    assert "\nETag: " in answers[0]


def ask(line):
    return subprocess.run(["bash", "-c", line.replace("curl", "curl -s", 1)], capture_output=True, text=True).stdout


def test_the_change_it_prints_shows_in_the_next_answer(running, quickstart):
    """And what was kept before it, with the psql that --env points at it."""
    line = re.findall(r"^  (curl .*/users/1')$", running, re.MULTILINE)[0]
    change = re.search(r"^  (psql .*)$", running, re.MULTILINE)[1]
    wait_until(lambda: "; hit;" in ask(line), 10, "a hit")
    assert "Just changed." not in ask(line)
    changed = subprocess.run(["bash", "-c", f"{quickstart('--env').stdout}\n{change}"], capture_output=True, text=True)
    assert changed.stdout.strip() == "UPDATE 1", changed
    wait_until(lambda: "Just changed." in ask(line), 5, "the change")


READMES = [TREE / "README.md", *sorted(TREE.glob("sql/*/README.md"))]


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(TREE)))
def test_every_curl_line_of_a_readme_answers_as_it_says(running, quickstart, tmp_path, path):
    commands = readme.lines(path.read_text().replace("http://127.0.0.1:8080", quickstart.url))
    readme.run(commands, tmp_path / "shell", TREE, quickstart.environment, prelude=quickstart("--env").stdout)
    asked = [line for line in commands if line.asks]
    assert asked
    for line in asked:
        assert line.told, f"{path.name} does not say what {line} answers"
        line.check()


def test_a_token_is_signed_with_the_secret_and_good_for_a_day(running, quickstart):
    head, claims, signature = quickstart("--token", "7").stdout.strip().split(".")
    secret = (quickstart.folder / "token-secret").read_bytes()
    signed = hmac.new(secret, f"{head}.{claims}".encode(), "sha256").digest()
    assert base64.urlsafe_b64decode(signature + "==") == signed
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert claims["sub"] == "7"
    assert claims["exp"] - claims["iat"] == 86400
    assert abs(claims["iat"] - time.time()) < 60


def test_the_urls_it_prints_answer(running, quickstart):
    assert quickstart.url in running
    metrics = re.search(r"http\S+/_larder/metrics", running).group()
    assert b"larder_requests_total" in subprocess.run(["curl", "-sf", metrics], capture_output=True).stdout


def test_the_page_it_prints_works(running, quickstart):
    page = re.search(r"http\S+/kv/", running).group()
    assert b"<h1>Key and value</h1>" in subprocess.run(["curl", "-sf", page], capture_output=True).stdout
    script = f"curl -sf --json '{{\"key\":\"k\",\"value\":\"v\"}}' {page}../set; curl -sf {page}../get/k"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout
    assert told == '{"key":"k","value":"v","ttl":60}{"key":"k","value":"v","source":"cache"}'


def test_status_shows_every_service(running, quickstart):
    shown = quickstart("--status")
    assert shown.returncode == 0
    assert all(alive(pid) for pid in everyone(quickstart.pids()))
    assert len(quickstart.pids()["api"]) == 2


def test_a_second_start_changes_nothing(running, quickstart):
    before = quickstart.pids()
    again = quickstart()
    assert again.returncode == 0
    assert "running already" in again.stdout
    assert quickstart.url in again.stdout
    assert quickstart.pids() == before


def test_env_points_every_client_at_it(running, quickstart):
    asked = quickstart.shell(
        'curl -sf -o /dev/null "$LARDER_URL/feeds"; redis-cli -u "$LARDER_REDIS" ping 2>/dev/null; '
        'psql -XAtc "SELECT current_user, current_database(), count(*) > 0 FROM social.users"; command -v larder')
    assert asked.stdout.splitlines() == ["PONG", "larder|larder|t", str(quickstart.folder / "build/larder")], asked


def test_jobs_have_a_redis_of_their_own_that_keeps_them(running, quickstart):
    told = quickstart.shell('for name in appendonly appendfsync maxmemory-policy; do '
                            'redis-cli -u "$LARDER_QUEUE" config get $name 2>/dev/null | tail -n 1; done; '
                            'test "${LARDER_QUEUE%/*}" != "${LARDER_REDIS%/*}" && echo apart')
    assert told.stdout.split() == ["yes", "always", "noeviction", "apart"]


def test_answers_are_kept_in_its_redis(running, quickstart):
    script = 'curl -sf -o /dev/null "$LARDER_URL/feeds?limit=7"; redis-cli -u "$LARDER_REDIS" --scan 2>/dev/null'
    assert "larder:" in quickstart.shell(script).stdout


def test_the_responders_role_may_what_the_routes_need_and_no_more(running, quickstart):
    def refused(statement):
        return "permission denied" in quickstart.shell(f'psql -XAtc "{statement}"').stderr

    assert refused("DELETE FROM social.feeds")
    assert refused("INSERT INTO social.likes (feed_id, user_id, created_at) VALUES (1, 1, now())")
    assert refused("UPDATE social.users SET username = 'another'")
    assert refused("UPDATE review.contents SET author_id = 1")
    assert refused("DELETE FROM review.review_histories")
    assert refused("CREATE TABLE social.mine ()")
    assert refused("CREATE TABLE public.mine ()")
    assert quickstart.shell("psql -XAtc 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'").stdout == "f\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="anyone but root starts everything as himself")
def test_root_starts_no_service_as_root(running, quickstart):
    users = {pid: Path(f"/proc/{pid}").stat().st_uid for pid in everyone(quickstart.pids())}
    assert 0 not in users.values(), users


def test_secrets_are_for_their_owner_alone(running, quickstart):
    for name in ("environment", "redis/redis.conf", "queue/redis.conf", "nginx/secret.conf", "token-secret"):
        assert stat.S_IMODE((quickstart.folder / name).stat().st_mode) == 0o600


def test_the_password_of_redis_is_no_argument_of_a_program(tmp_path):
    """Whoever is on the machine can read the arguments of every process."""
    told = tmp_path / "told"
    (tmp_path / "redis-cli").write_text(f'#!/bin/sh\necho "$@" >{told}\necho "auth $REDISCLI_AUTH" >>{told}\necho PONG\n')
    (tmp_path / "redis-cli").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}",
                                "LARDER_REDIS": "redis://default:sesame@127.0.0.1:6399/0"}
    subprocess.run(["bash", "-euc", 'source "$0"; redis_answers 6399 sesame', TREE / "packaging/lib/stack.sh"],
                   env=environment, check=True, timeout=30)
    arguments, password = told.read_text().splitlines()
    assert "6399" in arguments and "sesame" not in arguments and password == "auth sesame"


def test_a_route_of_ones_own_is_served_as_the_welcome_says_and_outlives_a_new_start(running, quickstart):
    own = quickstart.folder / "routes" / "own.sql"
    own.write_text("-- The time zone.\n-- @http GET /zone\n-- @result value\nSELECT current_setting('TimeZone') AS zone\n")
    check, install, reload = re.search(r"^  (larder check)\n  (.* larder install .*)\n  (kill -HUP .*)$", running,
                                       re.MULTILINE).groups()
    try:
        told = quickstart.shell(f"{check}; {install}; {reload}")
        assert told.returncode == 0 and "LARDER_JWT_ALG" not in told.stdout, told
        wait_until(lambda: b"zone" not in zone(quickstart) and b'"' in zone(quickstart), 20, "the route")
        assert quickstart("--stop").returncode == 0
        quickstart.start()
        assert own.exists() and b'"' in zone(quickstart)
    finally:
        own.unlink(missing_ok=True)


def test_a_faulty_route_of_ones_own_is_named_by_the_start_that_fails(running, quickstart):
    own = quickstart.folder / "routes" / "own.sql"
    assert quickstart("--stop").returncode == 0
    own.write_text("-- @http GET /zone\nSELECT missing\n")
    try:
        failed = quickstart("--detach")
    finally:
        own.unlink()
    assert failed.returncode != 0 and "own.sql:2:" in failed.stderr, failed


def zone(quickstart):
    return subprocess.run(["curl", "-s", f"{quickstart.url}/zone"], capture_output=True).stdout


def test_the_checkout_stays_as_it_was(running, quickstart):
    """What is built is built in the state folder; an edit of a route shows after SIGHUP all the same."""
    assert (quickstart.folder / "build/configure").exists()
    assert {path.name for path in (quickstart.folder / "routes").iterdir()} == {"social", "catalog", "review", "kv"}


def test_stop_leaves_no_process_and_a_new_start_loads_nothing_again(running, quickstart):
    pids = quickstart.pids()
    assert quickstart("--stop").returncode == 0
    assert ended(pids)
    shown = quickstart("--status")
    assert shown.returncode == 1
    assert shown.stdout.count("down") == len(SERVICES)
    assert quickstart("--env").returncode == 1
    assert "Nothing is running" in quickstart("--stop").stdout
    assert quickstart.start().count("is loaded already") == 3


def run_in_foreground(quickstart):
    quickstart("--stop")
    output = quickstart.folder.parent / "foreground.log"
    with open(output, "wb") as log:
        # who runs the tests in the background ignores SIGINT, and would have it ignored here
        process = subprocess.Popen(quickstart.command(), env=quickstart.environment, stdout=log, stderr=log,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))

    def ready():
        assert process.poll() is None, output.read_text()
        return "Ctrl-C stops everything." in output.read_text()

    wait_until(ready, 240, "quickstart in the foreground")
    return process, output


def test_ctrl_c_stops_everything(quickstart):
    process, _ = run_in_foreground(quickstart)
    pids = quickstart.pids()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert ended(pids)


def test_stop_ends_one_in_the_foreground_as_well(quickstart):
    process, output = run_in_foreground(quickstart)
    assert quickstart("--stop").returncode == 0
    assert process.wait(60) == 0, output.read_text()


def test_a_service_that_dies_is_named_and_the_others_end(quickstart):
    process, output = run_in_foreground(quickstart)
    pids = quickstart.pids()
    os.kill(pids["redis"][0], signal.SIGKILL)
    assert process.wait(60) == 1
    assert "Ended by itself: redis." in output.read_text()
    assert ended(pids)


def test_a_start_that_fails_shows_the_log_and_leaves_nothing(quickstart):
    quickstart("--stop")
    failed = quickstart("--detach", LARDER_THREADS="many")
    assert failed.returncode != 0
    assert "install.log" in failed.stderr
    assert "LARDER_THREADS" in failed.stderr
    assert quickstart("--status").stdout.count("down") == len(SERVICES)


@pytest.fixture
def small_disk():
    folder = tempfile.mkdtemp(prefix="larder-quickstart-")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        os.rmdir(folder)
        pytest.skip("mounting is forbidden here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    os.rmdir(folder)


def test_a_full_disk_is_named(small_disk):
    """Where nothing can be written the log of what failed is empty too."""
    failed = Quickstart(small_disk)("--detach")
    assert failed.returncode != 0
    assert f"The disk of {small_disk} is full: 0 MB are left." in failed.stderr
    assert "LARDER_STATE" in failed.stderr


def test_a_taken_port_is_named(quickstart):
    quickstart("--stop")
    with socket.create_server(("127.0.0.1", int(quickstart.environment["LARDER_PORT"]))):
        refused = quickstart("--detach")
    assert refused.returncode == 1
    assert quickstart.environment["LARDER_PORT"] in refused.stderr
    assert "LARDER_PORT" in refused.stderr


def test_a_stale_pid_file_harms_nobody(quickstart):
    """Our own pid with the start time of another process: neither up nor ours to stop."""
    quickstart("--stop")
    (quickstart.folder / "pids/redis").write_text(f"{os.getpid()} 1\n")
    assert "redis       down" in quickstart("--status").stdout
    assert quickstart("--stop").returncode == 0
    assert not (quickstart.folder / "pids/redis").exists()
