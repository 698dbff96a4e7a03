"""The module goes while larderd is away, or larderd may not use it any more."""

import subprocess

import pytest

from outbox import beats
from ring import assert_delivers, change, ringed
from support.coherent import keep
from support.paths import program
from support.waiting import wait_until


def install(stack, *words):
    subprocess.run([program("larder"), "install", *words], env=stack.environment(), check=True, capture_output=True)


def drop(stack):
    """With the triggers, where there are any."""
    stack.postgres.execute("DROP SCHEMA larder_ring CASCADE", database=stack.database)


def go_back(stack):
    """As larder-module(7) has it."""
    install(stack, "--no-module")
    drop(stack)


def tear_out(stack):
    drop(stack)
    install(stack)


@pytest.mark.parametrize("leave", [go_back, tear_out])
def test_what_its_ring_held_is_struck_all_the_same(stack, leave):
    served = ringed(stack)
    before = keep(lambda: served.direct("/things/1"), deadline=20).json()["n"]
    served.larderd.kill()
    change(served, 1)
    leave(served)
    served.start_larderd("larderd2")
    wait_until(lambda: beats(served), 20, "a heartbeat")
    wait_until(lambda: served.direct("/things/1").json() == {"n": before + 1}, 5, "the change seen")


def test_who_may_not_take_says_so_once(stack):
    """And promises nothing until he may."""
    served = ringed(stack, env={"LARDER_GUARD_TTL": "1s"})
    served.postgres.execute("ALTER FUNCTION larder_ring.take OWNER TO postgres;"
                            "REVOKE EXECUTE ON FUNCTION larder_ring.take FROM PUBLIC", database=served.database)
    wait_until(lambda: not beats(served), 20, "no heartbeat any more")
    complaints = [line for line in served.larderd.log_text().splitlines() if " database: " in line]
    assert len(complaints) == 1 and "permission denied for function take" in complaints[0]
    served.postgres.execute("GRANT EXECUTE ON FUNCTION larder_ring.take TO larder", database=served.database)
    wait_until(lambda: beats(served), 20, "a heartbeat")
    assert_delivers(served, 1)
