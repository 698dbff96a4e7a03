"""Definitions that change while responders run: views and functions that read something else from now on, and tables
that `larder install` watches from now on. Nobody restarts anything, nobody sends SIGHUP."""

import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import clocks
from support.coherent import (SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, is_hit, keep, newest_bump, wait_for_beat,
                              wait_for_body)
from support.gate import Gate
from support.host import Host
from support.postgres import program_folder
from support.proxy import Proxy
from support.waiting import wait_until

GUARD = 2
ENV = {"LARDER_GUARD_TTL": f"{GUARD}s"}
TTL = 300
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE first (id int PRIMARY KEY, word text);
CREATE TABLE second (id int PRIMARY KEY, word text);
INSERT INTO first VALUES (1, 'first');
INSERT INTO second VALUES (1, 'second');
CREATE VIEW said AS SELECT id, word FROM first;
CREATE VIEW above AS SELECT id, word FROM said;
CREATE VIEW spare AS SELECT id, word FROM second;
CREATE FUNCTION spoken(number int) RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC SELECT word FROM first WHERE id = number; END;
CREATE TABLE loose (id int PRIMARY KEY, word text);
INSERT INTO loose VALUES (1, 'old');
CREATE TYPE mood AS ENUM ('first', 'sad');
CREATE TYPE pair AS (first int);
CREATE TABLE people (mood mood, pair pair);
INSERT INTO people VALUES ('first', ROW(1));
"""


def route(path, statement, cache=""):
    return f"-- @http GET {path}\n-- @result row\n-- @cache ttl={TTL}s {cache}\n{statement}\n"


ROUTES = SENTINEL_ROUTE | {
    "said": route("/said", "SELECT word FROM said WHERE id = 1"),
    "above": route("/above", "SELECT word FROM above WHERE id = 1", "l1=off"),
    "spoken": route("/spoken", "SELECT spoken(1) AS word"),
    "mood": route("/mood", "SELECT mood AS word FROM people"),
    "pair": route("/pair", "SELECT pair AS word FROM people"),
    "table": route("/table", "SELECT word FROM first WHERE id = 1"),
    "zone": "-- @http GET /zone\n-- @result row\n-- @nginx ttl=200s\nSELECT word FROM said WHERE id = 1",
    "write": "-- @http POST /write\n-- @result none\nUPDATE sentinel SET number = number + 1",
}
LOOSE = {
    "near": route("/near", "SELECT word FROM loose WHERE id = 1", "stale=60s"),
    "far": route("/far", "SELECT word FROM loose WHERE id = 1", "stale=60s l1=off"),
}


@pytest.fixture
def served(stack):
    started = stack(ROUTES, schema=SCHEMA, nginx=False, install=True, larderd=True, env=ENV)
    wait_for_beat(started.redis)
    barrier(started)
    return started


def kept_for_its_ttl(stack, target):
    """A hit of an answer that is fresh for longer than the guard time: its changes would be heard of."""
    def watched():
        answer = stack.direct(target)
        return is_hit(answer) and seconds_left(answer) > GUARD

    wait_until(watched, 30, f"{target} kept for its ttl")


def seconds_left(answer):
    return int(answer["Cache-Status"].partition("ttl=")[2].partition(";")[0])


@pytest.mark.parametrize("target, statement", [
    ("/said", "CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second"),
    ("/said", "ALTER VIEW said RENAME TO unused; ALTER VIEW spare RENAME TO said"),
    ("/above", "CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second"),
    ("/spoken", "CREATE OR REPLACE FUNCTION public.spoken(number int) RETURNS text LANGUAGE sql STABLE"
                " BEGIN ATOMIC SELECT word FROM second WHERE id = number; END"),
    ("/table", "ALTER TABLE first RENAME TO unused; ALTER TABLE second RENAME TO first"),
])
def test_what_reads_another_table_from_now_on(served, target, statement):
    """Its answer changes by itself, and with every change of that table once `larder install` has run again, as the log says."""
    kept_for_its_ttl(served, target)
    served.sql(statement)
    wait_for_body(lambda: served.direct(target), {"word": "second"}, 20)
    wait_until(lambda: "no triggers for what" in served.log_text(), 20, "a line on the table that has none")
    served.install()
    kept_for_its_ttl(served, target)
    table = "first" if target == "/table" else "second"
    for word in ("third", "fourth"):
        served.sql(f"UPDATE {table} SET word = %s WHERE id = 1", [word])
        wait_for_body(lambda: served.direct(target), {"word": word}, 20)
        kept_for_its_ttl(served, target)


@pytest.mark.parametrize("whose", ["ROLE larder IN DATABASE {}", "DATABASE {}"])
def test_a_search_path_of_new_sessions(served, whose):
    """Sessions that are there keep theirs, so all are opened anew: what is learnt is of the tables that are read."""
    served.sql("CREATE SCHEMA other; CREATE TABLE other.first (id int PRIMARY KEY, word text);"
               "INSERT INTO other.first VALUES (1, 'other')")
    kept_for_its_ttl(served, "/table")
    changed = whose.format(served.database)
    served.postgres.execute(f"ALTER {changed} SET search_path = other, public")
    wait_for_body(lambda: served.direct("/table"), {"word": "other"}, 20)
    served.install()
    kept_for_its_ttl(served, "/table")
    served.sql("UPDATE other.first SET word = 'changed'")
    wait_for_body(lambda: served.direct("/table"), {"word": "changed"}, 20)
    kept_for_its_ttl(served, "/table")
    served.postgres.execute(f"ALTER {changed} RESET search_path")
    wait_for_body(lambda: served.direct("/table"), {"word": "first"}, 20)


def test_a_change_that_is_taken_back_before_anybody_looks(served):
    """All is as it was but for what was answered meanwhile."""
    served.write_route("pick", route("/pick/{n}", "SELECT word FROM first WHERE id = 1 AND :n::int > 0"))
    served.api.reload()
    for n in range(1, 6):
        served.sql("ALTER TABLE first RENAME TO aside; ALTER TABLE second RENAME TO first")
        assert served.direct(f"/pick/{n}").json() == {"word": "second"}
        served.sql("ALTER TABLE first RENAME TO second; ALTER TABLE aside RENAME TO first")
        wait_for_body(lambda: served.direct(f"/pick/{n}"), {"word": "first"}, 20)


def test_what_a_host_has_not_heard_of_yet(served, tmp_path):
    """Redis says that definitions changed before the feed does: what is made in between has the tags of before."""
    proxy = Proxy(("127.0.0.1", served.redis.port))
    with Host(served, tmp_path / "other", redis=proxy.redis) as host:
        kept_for_its_ttl(host, "/above")
        proxy.withhold(b"larder:definitions")
        served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
        wait_until(lambda: proxy.kept_back, 20, "word of the change on its way to the host")
        wait_for_body(lambda: host.direct("/above"), {"word": "second"}, 20)
        answer = keep(lambda: host.direct("/above"))
        assert seconds_left(answer) <= GUARD, answer
        proxy.stop()


def test_a_change_of_definitions_before_the_hosts_own_write(served, tmp_path):
    """Redis tells the host of its own write, and with it of what was struck before, whatever the feed has yet to tell."""
    proxy = Proxy(("127.0.0.1", served.redis.port))
    with Host(served, tmp_path / "other", redis=proxy.redis) as host:
        barrier(served, [host])  # a responder knows no bump to date an answer by until it hears of one
        wait_until(lambda: nginx_seconds(host) > GUARD, 20, "changes heard of")
        proxy.withhold(b"larder:definitions")
        served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
        wait_until(lambda: proxy.kept_back, 20, "word of the change on its way to the host")
        change = newest_bump(served)
        assert host.direct("/write", method="POST").status == 204
        wait_until(lambda: clocks.newest(host.folder) > change, 20, "the host told of its write")
        assert nginx_seconds(host) <= GUARD
        proxy.stop()


def nginx_seconds(host):
    """For how long nginx may keep what is in no other cache."""
    return int(host.direct("/zone")["X-Accel-Expires"] or 0)


def test_a_crash_that_takes_back_what_was_learnt_already(stack):
    """A commit that PostgreSQL need not have written down (synchronous_commit) is seen until then by all."""
    own = stack.postgres(settings={"synchronous_commit": "off", "bgwriter_lru_maxpages": "0"})
    routes = ROUTES | {"other": route("/other", "SELECT word FROM second WHERE id = 1")}  # second has triggers
    served = stack(routes, postgres=own, schema=SCHEMA, nginx=False, install=True, larderd=True, env=ENV)
    kept_for_its_ttl(served, "/said")
    own.execute("CHECKPOINT")
    writer = own.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")[0][0]
    os.kill(writer, signal.SIGSTOP)
    served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
    wait_for_body(lambda: served.direct("/said"), {"word": "second"}, 20)
    kept_for_its_ttl(served, "/said")
    own.crash(writer)()
    for word in ("first", "third", "fourth"):
        wait_until(lambda: served.sql("UPDATE first SET word = %s WHERE id = 1", [word]) or True, 20, "PostgreSQL again")
        wait_for_body(lambda: served.direct("/said"), {"word": word}, 20)
        kept_for_its_ttl(served, "/said")


@pytest.mark.parametrize("target, statement, word", [
    ("/mood", "ALTER TYPE mood RENAME VALUE 'first' TO 'glad'", "glad"),
    ("/pair", "ALTER TYPE pair RENAME ATTRIBUTE first TO lone", {"lone": 1}),
    ("/pair", "ALTER TYPE pair ADD ATTRIBUTE second int", {"first": 1, "second": None}),
])
def test_a_type_that_changed_changes_what_is_answered(served, target, statement, word):
    kept_for_its_ttl(served, target)
    served.sql(statement)
    wait_for_body(lambda: served.direct(target), {"word": word}, 20)


@pytest.mark.parametrize("arguments", [(), ("--single-transaction",)])
def test_a_dump_that_is_restored_over_the_live_database(served, tmp_path, arguments):
    """Its rows are answered, and changes of them are heard of; larderd is not in the restore's way."""
    environment = served.environment() | {"PGUSER": "postgres"}
    subprocess.run([f"{program_folder()}/pg_dump", "-Fc", "-f", f"{tmp_path}/dump"], env=environment, check=True)
    served.sql("UPDATE first SET word = 'later'")
    for target in ("/table", "/said", "/spoken"):
        wait_for_body(lambda: served.direct(target), {"word": "later"}, 20)
        kept_for_its_ttl(served, target)
    restored = subprocess.run([f"{program_folder()}/pg_restore", "--clean", "--if-exists", *arguments, "-d",
                               served.database, f"{tmp_path}/dump"], env=environment, check=False, capture_output=True)
    assert restored.returncode == 0, restored.stderr
    for target in ("/table", "/said", "/spoken"):
        wait_for_body(lambda: served.direct(target), {"word": "first"}, 20)
        kept_for_its_ttl(served, target)
    served.sql("UPDATE first SET word = 'last'")
    for target in ("/table", "/said", "/spoken"):
        wait_for_body(lambda: served.direct(target), {"word": "last"}, 20)


@pytest.fixture
def unwatched(served):
    """With routes of a table that has no triggers."""
    for name, text in LOOSE.items():
        served.write_route(name, text)
    served.api.reload()
    return served


@pytest.mark.parametrize("target", ["/near", "/far"])
def test_an_old_answer_of_an_unwatched_table_ends_with_the_guard_time(unwatched, target):
    """stale= is for answers of which it would be known that they are wrong."""
    keep(lambda: unwatched.direct(target))
    unwatched.sql("UPDATE loose SET word = 'new'")
    committed = time.monotonic()
    wait_until(lambda: time.monotonic() - committed > GUARD + 0.2, 20, "the guard time's end")
    assert unwatched.direct(target).json() == {"word": "new"}


@pytest.mark.parametrize("target", ["/near", "/far"])
def test_install_makes_routes_watched_while_they_are_served(unwatched, target):
    keep(lambda: unwatched.direct(target))
    assert seconds_left(keep(lambda: unwatched.direct(target))) <= GUARD
    unwatched.install()
    kept_for_its_ttl(unwatched, target)
    unwatched.sql("UPDATE loose SET word = 'heard of'")
    wait_for_body(lambda: unwatched.direct(target), {"word": "heard of"}, 20)
    assert sum("reload" in line for line in unwatched.log_text().splitlines()) == 1


@pytest.mark.parametrize("statement", ["SELECT id FROM loose WHERE id = 1", "SELECT 'nothing' AS word"])
def test_an_install_for_other_routes_ends_what_it_no_longer_watches(unwatched, statement):
    """It comes before the reload, or is for another responder's routes: changes are not heard of any more."""
    unwatched.install()
    for target in ("/near", "/far"):
        kept_for_its_ttl(unwatched, target)
    for name in LOOSE:
        unwatched.write_route(name, route(f"/{name}", statement))
    unwatched.install()
    for word in ("first", "second"):
        unwatched.sql("UPDATE loose SET word = %s", [word])
        for target in ("/near", "/far"):
            wait_for_body(lambda: unwatched.direct(target), {"word": word}, 20)


def test_a_route_that_postgresql_complains_of_from_now_on(served):
    """Its statement still gives an answer, but what it reads can't be told any more."""
    served.write_route("owned", "-- @depends first.id = :id\n" + route("/owned/{id}", "SELECT word FROM said WHERE id = :id"))
    served.install()
    served.api.reload()
    kept_for_its_ttl(served, "/owned/1")
    served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
    wait_until(lambda: 'does not read the table "first"' in served.log_text(), 20, "PostgreSQL's complaint")
    for word in ("second", "third", "fourth"):
        served.sql("UPDATE second SET word = %s WHERE id = 1", [word])
        wait_for_body(lambda: served.direct("/owned/1"), {"word": word}, 20)
        keep(lambda: served.direct("/owned/1"))


def test_somebodys_locks_are_not_broken_by_learning(served):
    """Who holds one table of a route and wants the other must not be a deadlock's victim, because definitions changed
    and the responder asks about the route: it lets go of what it has and asks again."""
    served.postgres.execute(f"ALTER DATABASE {served.database} SET deadlock_timeout = '1h'")
    served.write_route("both", route("/both", "SELECT a.word FROM second AS a JOIN loose AS b USING (id)"))
    served.api.reload()
    holder = served.postgres.connect(served.database, "postgres")
    holder.autocommit = False
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '1s'; LOCK TABLE loose IN ACCESS EXCLUSIVE MODE")
        served.sql("CREATE OR REPLACE VIEW said AS SELECT id, word FROM second")
        wait_until(lambda: served.sql("SELECT count(*) FROM pg_locks WHERE relation = 'loose'::regclass"
                                      " AND NOT granted") == [(1,)], 20, "the responder waiting for the table")
        cursor.execute("LOCK TABLE second IN ACCESS EXCLUSIVE MODE")
        cursor.execute("UPDATE second SET word = 'later'")
        holder.commit()
    wait_for_body(lambda: served.direct("/both"), {"word": "later"}, 20)


def test_a_lock_that_a_reload_meets_is_waited_for(served):
    """Longer than learning waits at once, for each route: the view of what it reads is made again as well."""
    waits = ("SELECT waitstart FROM pg_locks WHERE relation = 'pg_rewrite'::regclass AND NOT granted"
             " AND waitstart IS NOT NULL")
    seen, told = set(), served.api.reloads_told()

    def waited_again():
        seen.update(served.sql(waits))
        return len(seen) > len(ROUTES) + 1

    holder = served.postgres.connect(served.database, "postgres")
    holder.autocommit = False
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute("LOCK TABLE pg_rewrite IN SHARE MODE")
        served.write_route("new", route("/new", "SELECT word FROM second WHERE id = 1"))
        served.api.signal(signal.SIGHUP)
        wait_until(waited_again, 20, "the responder waiting again")
        assert served.api.reloads_told() == told, "it went on without knowing what its routes read"
    wait_until(lambda: served.direct("/new").status == 200, 20, "the new route")


def test_a_lock_keeps_no_other_route_from_being_asked_about(served):
    """A table may be locked for long, by VACUUM FULL or a migration; writes are 503 while nothing is known of them."""
    holder = served.postgres.connect(served.database, "postgres")
    holder.autocommit = False
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute("LOCK TABLE loose IN ACCESS EXCLUSIVE MODE")
        for number in range(20):
            served.write_route(f"a{number}", route(f"/a{number}", "SELECT word FROM loose WHERE id = 1"))
        served.write_route("z", "-- @http POST /z\n-- @result none\nUPDATE sentinel SET number = number + 1")
        served.api.signal(signal.SIGHUP)
        wait_until(lambda: served.direct("/z", method="POST").status == 204, 20, "the write")


@contextlib.contextmanager
def learning_held_up(served, routes):
    """The responder reloads while a table of so many routes is locked. Yields a function that tells how many times
    PostgreSQL was asked to lock it since the last call."""
    waits = "SELECT waitstart FROM pg_locks WHERE relation = 'loose'::regclass AND NOT granted AND waitstart IS NOT NULL"
    seen = set()

    def asked():
        before = len(seen)
        seen.update(served.sql(waits))
        return len(seen) - before

    for number in range(routes):
        served.write_route(f"a{number}", route(f"/a{number}", "SELECT word FROM loose WHERE id = 1"))
    holder = served.postgres.connect(served.database, "postgres")
    holder.autocommit = False
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute("LOCK TABLE loose IN ACCESS EXCLUSIVE MODE")
        served.api.signal(signal.SIGHUP)
        wait_until(asked, 20, "the responder waiting for the table", every=0.01)
        yield asked


def counted_until(condition, asked, what):
    """How often PostgreSQL was asked to lock the table until the condition."""
    count = 0

    def over():
        nonlocal count
        count += asked()
        return condition()

    wait_until(over, 30, what, every=0.01)
    return count


SOON = 10  # of the 25 times, and more, in which a locked table is asked for


def test_a_responder_that_waits_for_a_lock_ends_all_the_same(served):
    with learning_held_up(served, 1) as asked:
        served.api.signal(signal.SIGTERM)
        assert counted_until(lambda: not served.api.running(), asked, "the end") < SOON


def test_routes_are_loaded_anew_while_a_lock_of_the_old_ones_is_waited_for(served):
    """Which is asked for again and again, until it is had."""
    with learning_held_up(served, 1) as asked:
        wait_until(lambda: "loaded anew" in served.api.log_text(), 30, "the reload")
        wait_until(asked, 20, "the responder asking again", every=0.01)
        served.write_route("broken", "-- @http")
        served.api.signal(signal.SIGHUP)
        assert counted_until(lambda: "old routes stay" in served.api.log_text(), asked, "the next reload") < SOON


def test_a_table_that_is_locked_is_no_long_wait_for_each_route(served):
    """Five seconds for all of them, and a glance for each behind that."""
    with learning_held_up(served, 150):
        begun = time.monotonic()
        wait_until(lambda: "loaded anew" in served.api.log_text(), 60, "the reload")
        assert time.monotonic() - begun < 5 + 150 * 0.1


def test_a_role_that_may_not_look_at_settings_of_roles(served):
    """Some hosts keep these from everybody: what the routes read is learnt all the same."""
    served.postgres.execute("REVOKE SELECT ON pg_catalog.pg_db_role_setting FROM PUBLIC", database=served.database)
    served.api.stop()
    served.api.start()
    wait_until(lambda: served.direct("/write", method="POST").status == 204, 20, "the write")


def test_an_owner_that_may_not_look_at_settings_of_roles(served):
    """The same, of larderd's look, which is made with the rights of the schema's owner: all else is heard of still."""
    def told():
        return served.larderd.log_text().count("are not heard of")

    keep(lambda: served.direct("/said"))
    served.postgres.execute("REVOKE SELECT ON pg_catalog.pg_db_role_setting FROM PUBLIC", database=served.database)
    wait_until(told, 20, "the warning")
    served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
    wait_for_body(lambda: served.direct("/said"), {"word": "second"}, 20)
    kept_for_its_ttl(served, "/table")
    assert told() == 1
    served.postgres.execute("GRANT SELECT ON pg_catalog.pg_db_role_setting TO PUBLIC", database=served.database)
    wait_until(lambda: "are heard of" in served.larderd.log_text(), 20, "that they are heard of")
    assert "could not be looked at" not in served.larderd.log_text()


def stopped_in_a_view(served):
    """Stops the responder while the view of what a route reads is made; false where that was over before."""
    waits = "SELECT count(*) FROM pg_locks WHERE relation = 'pg_rewrite'::regclass AND NOT granted"
    holder = served.postgres.connect(served.database, "postgres")
    holder.autocommit = False
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute("LOCK TABLE pg_rewrite IN SHARE MODE")
        served.api.signal(signal.SIGHUP)
        wait_until(lambda: served.sql(waits) == [(1,)], 20, "the responder in the midst of a route", every=0.001)
        served.api.pause()
    wait_until(lambda: served.sql(waits) == [(0,)], 20, "the view made, or given up")
    if served.sql("SELECT count(*) FROM pg_locks WHERE relation = 'sentinel'::regclass AND mode = 'AccessShareLock'"
                  " AND pid <> pg_backend_pid()") == [(1,)]:
        return True
    served.api.resume()
    return False


def test_a_responder_that_stops_while_it_learns_keeps_no_table(served):
    """PostgreSQL ends its transaction, which has the tables of the route it asked about."""
    for name in ROUTES:
        if name != "sentinel":
            os.remove(f"{served.routes}/{name}.sql")
    wait_until(lambda: stopped_in_a_view(served), 60, "a responder that stopped with a table in use")
    try:
        served.sql("SET lock_timeout = '15s'; ALTER TABLE sentinel ADD more int")
    finally:
        served.api.resume()
    wait_until(lambda: served.direct("/sentinel").status == 200, 20, "the responder going on")


def test_what_began_before_a_reload_knows_what_was_known_then(served):
    """Its routes are the old ones, of which nobody asks again what they read."""
    served.write_route("slow", "-- @http POST /slow\n-- @result none\n-- @refreshes GET /said\n"
                       "SELECT pg_advisory_xact_lock_shared(7)")
    served.api.reload()
    with Gate(served) as gate, ThreadPoolExecutor() as pool:
        written = pool.submit(served.direct, "/slow", method="POST")
        gate.wait_for(1)
        served.api.reload()
        kept_for_its_ttl(served, "/said")
        served.sql("CREATE OR REPLACE VIEW public.said AS SELECT id, word FROM second")
        wait_for_body(lambda: served.direct("/said"), {"word": "second"}, 20)
        kept_for_its_ttl(served, "/table")
        gate.open()
        assert written.result(20).status == 204
    assert seconds_left(keep(lambda: served.direct("/said"))) <= GUARD
