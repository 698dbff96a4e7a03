"""The coherence checker is checked itself: hand-made histories with a fault in them, and a site that misses changes."""

import struct
import subprocess
import time

import pytest

from checker import model, schedule
from checker.history import MILLISECOND, RECORD, SECOND, TIERS, Fault, Judge, Read, State, Timeline, unpack
from checker.model import Target
from checker.report import Report
from checker.site import Site, compile_reader
from faults import Server
from support import fastcgi

TARGETS = [Target("/ones/1", "one", 1), Target("/uncached/1", "one", 1, cached=False), Target("/pairs/1", "pair", 1),
           Target("/guests/1", "guest", 1), Target("/teams/1", "team", 1)]
ONE, UNCACHED, PAIR, GUEST, TEAM = range(len(TARGETS))
BASE = 1000 * SECOND


def at(milliseconds):
    return BASE + milliseconds * MILLISECOND


def state(version, when, **options):
    """A state whose COMMIT took a millisecond and ended at `when` ms."""
    return State(version, at(when - 1), at(when), **options)


def read(version, when, target=ONE, high=None, rows=None, status=200, seconds=0.001):
    high = version if high is None else high
    rows = model.expected_rows(TARGETS[target].page, version) if rows is None else rows
    return Read(at(when), at(when) + int(seconds * SECOND), version, high, rows, target, status, TIERS.index("l1"))


def absent(when):
    return read(-1, when, target=GUEST, status=404, rows=-1)


def verdict(states, reads, faults=()):
    """The kinds of complaints about reads of a page with these states."""
    judge = Judge(TARGETS, {TARGETS[reads[0].target].key: Timeline(states)}, faults)
    judge.judge(reads)
    return [each.kind for each in judge.violations]


WRITTEN = [state(1, 0), state(2, 1000), state(3, 2000)]


@pytest.mark.parametrize("reads", [
    [read(1, 500), read(2, 1050), read(3, 2050)],
    [read(1, 1099)],
    [read(1, 900, seconds=5)],
    [read(2, 999.5)],
    [read(2, 1010), read(1, 1060)],
], ids=["fresh", "just-in-bound", "began-before", "during-the-commit", "back-within-bound"])
def test_a_right_history_is_not_complained_of(reads):
    assert verdict(WRITTEN, reads) == []


@pytest.mark.parametrize("reads, kinds", [
    ([read(1, 1101)], ["stale"]),
    ([read(1, 1101), read(1, 1500)], ["stale", "stale"]),
    ([read(1, 2500)], ["stale"]),
    ([read(0, 101)], ["stale"]),
    ([read(1, 500), read(4, 600)], ["phantom"]),
    ([read(2, 900)], ["phantom"]),
], ids=["stale", "stale-twice", "stale-by-two", "stale-from-the-start", "unknown-version", "from-the-future"])
def test_a_wrong_history_is_complained_of(reads, kinds):
    assert verdict(WRITTEN, reads) == kinds


def test_backwards_shows_even_where_no_commit_is_known():
    """The writer lost its connection during the COMMIT; a reader that saw the new version must keep to it."""
    states = [state(1, 0), state(2, 1000, outcome="unknown")]
    assert verdict(states, [read(1, 5000), read(1, 9000)]) == []
    assert verdict(states, [read(2, 1010), read(1, 1100)]) == []
    assert verdict(states, [read(2, 1010), read(1, 1200)]) == ["backwards"]


def test_a_stale_read_after_a_fresh_one_is_backwards_too():
    assert verdict(WRITTEN, [read(2, 1010), read(1, 1200)]) == ["stale", "backwards"]


def test_each_reader_has_an_order_of_its_own():
    judge = Judge(TARGETS, {("one", 1): Timeline([state(1, 0), state(2, 1000, outcome="unknown")])})
    judge.judge([read(2, 1010)])
    judge.judge([read(1, 1300)])
    assert judge.violations == []


def test_what_was_rolled_back_never_shows():
    states = [state(1, 0), state(2, 1000, outcome="aborted"), state(3, 2000)]
    assert verdict(states, [read(1, 1900), read(3, 2050)]) == []
    assert verdict(states, [read(2, 1010)]) == ["phantom"]


@pytest.mark.parametrize("page, version, high, rows", [
    (PAIR, 2, 3, 2), (PAIR, 3, 2, 2), (TEAM, 2, 2, 1), (TEAM, 2, 3, 3), (ONE, 2, 3, 1)])
def test_a_torn_page(page, version, high, rows):
    assert verdict(WRITTEN, [read(version, 1050, target=page, high=high, rows=rows)]) == ["torn"]


def test_without_a_cache_nothing_is_behind():
    assert verdict(WRITTEN, [read(2, 1001, target=UNCACHED)]) == []
    assert verdict(WRITTEN, [read(1, 1001, target=UNCACHED)]) == ["stale"]


def test_rows_that_come_and_go():
    states = [state(1, 1000, absent=True), state(2, 2000), state(3, 3000, absent=True)]
    assert verdict(states, [read(0, 900, target=GUEST), absent(1050), read(2, 2050, target=GUEST), absent(3050)]) == []
    assert verdict(states, [absent(500)]) == ["phantom"]
    assert verdict(states, [absent(2200)]) == ["stale"]
    assert verdict(states, [read(0, 1200, target=GUEST)]) == ["stale"]
    assert verdict(states, [read(2, 3200, target=GUEST)]) == ["stale"]
    assert verdict(states, [read(3, 3050, target=GUEST)]) == ["phantom"]
    assert verdict(WRITTEN, [read(-1, 1050, status=404)]) == ["phantom"]


def test_a_fault_widens_the_bound_while_it_is_in_force():
    fault = Fault("larderd away", at(1010), at(1500), 2 * SECOND)
    assert verdict([state(1, 0), state(2, 1000)], [read(1, 1900)], [fault]) == []
    assert verdict([state(1, 0), state(2, 1000)], [read(1, 3001)], [fault]) == ["stale"]
    assert verdict([state(1, 0), state(2, 1600)], [read(1, 1900)], [fault]) == ["stale"]
    assert verdict([state(1, 0), state(2, 500)], [read(1, 900)], [fault]) == ["stale"]


def test_a_busy_machine_widens_the_bound_by_how_late_it_was():
    judge = Judge(TARGETS, {("one", 1): Timeline(WRITTEN)}, busy=[(at(1010), at(1060))])
    judge.judge([read(1, 1249), read(2, 2099)])
    assert judge.violations == []
    judge.judge([read(1, 1251), read(2, 2101)])
    assert [each.kind for each in judge.violations] == ["stale", "stale"]


def test_errors_are_no_reads():
    judge = Judge(TARGETS, {("one", 1): Timeline(WRITTEN)})
    judge.judge([read(-1, 2500, status=503), read(-1, 2500, status=0)])
    assert (judge.reads, judge.violations) == (0, [])


def test_the_report_tells_how_far_behind_reads_were():
    judge = Judge(TARGETS, {("one", 1): Timeline(WRITTEN)})
    reads = [read(1, 1007), read(1, 1003), read(2, 2001)]
    judge.judge(reads)
    assert Report(judge, [reads], BASE, BASE + SECOND).ages() == [0, 7, 1]


# The reader program, against an answer that is known

HEAD = b"Status: 200 OK\r\nContent-Type: application/json\r\nCache-Status: larder; hit; ttl=9; detail=%s\r\n\r\n"
BODY = b'{"low":12345678901,"high":-5,"rows":3}'


def records_of(folder, answer):
    """What the reader records of a responder that gives `answer`; a piece of it at a time."""
    def behave(connection):
        while connection.recv(1 << 16):
            for start in range(0, len(answer), 7):
                connection.sendall(answer[start:start + 7])

    server = Server(behave, str(folder / "responder.sock"))
    (folder / "targets").write_bytes(model.encode(TARGETS[0]) * 2)
    places = [str(folder / name) for name in ("responder.sock", "targets", "log")]
    command = [compile_reader(folder), *places, "1", "1000", "1"]
    try:
        subprocess.run(command, check=True, timeout=30)
    finally:
        server.stop()
    return unpack((folder / "log").read_bytes())


def answered(content):
    return fastcgi.stream(fastcgi.STDOUT, content) + fastcgi.record(fastcgi.END, struct.pack("!IB3x", 0, 0))


@pytest.mark.parametrize("detail, tier", [(b"l1", "l1"), (b"redis", "redis"), (b"database-down", "other")])
def test_the_reader_records_what_it_is_shown(tmp_path, detail, tier):
    begin = time.monotonic_ns()
    reads = records_of(tmp_path, answered(HEAD % detail + BODY))
    assert len(reads) > 100
    assert {each.target for each in reads} == {0, 1}
    for each in reads:
        assert begin < each.start < each.end < time.monotonic_ns()
        assert (each.low, each.high, each.rows, each.status) == (12345678901, -5, 3, 200)
        assert TIERS[each.tier] == tier
    assert all(first.end <= second.start for first, second in zip(reads, reads[1:]))


def test_the_reader_tells_errors_and_cut_answers(tmp_path):
    refused = answered(b"Status: 503 Service Unavailable\r\n\r\n{}")
    assert {(each.status, each.low) for each in records_of(tmp_path, refused)} == {(503, -1)}


def test_a_log_cut_short_keeps_its_whole_records():
    each = read(1, 0)
    assert unpack(RECORD.pack(*each) * 2 + b"rest") == [each, each]


# A site that really misses changes

def test_missed_changes_are_found(stack, tmp_path):
    """Triggers that are switched off behind Larder's back: the very fault that the checker is there for."""
    site_stack = stack(model.ROUTES, schema=model.SCHEMA, nginx=False, export=True,
                       env={"LARDER_GUARD_TTL": f"{schedule.GUARD:g}s"})
    with Site(site_stack, tmp_path) as site, site.traffic(60, read_pace_us=3000):
        for table in ("lefts", "ones"):  # one at a time: both locks at once could meet a writer's
            site_stack.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        site.wait_for_reads(site.recorded() + 6000, 50)
    judge = Judge(model.targets(), site.timelines(), normal=500 * MILLISECOND, busy=site.busy())
    for each in site.reads():
        judge.judge(each)
    kinds = {(each.kind, each.text.split("/")[1]) for each in judge.violations}
    assert {("stale", "ones"), ("stale", "far"), ("backwards", "ones")} <= kinds, kinds
    assert not {"teams", "guests", "notes", "wholes"} & {page for _, page in kinds}, judge.violations[:10]
