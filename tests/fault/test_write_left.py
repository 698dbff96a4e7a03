"""What a responder wrote and did not strike: it died, it never learnt its tags, Redis or larderd was away."""

import time

import pytest

from outbox import beats, clock, rows_left, wait_raised, watch
from support.gate import Held
from support.stack import metrics
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = "CREATE TABLE a (id int, n int); CREATE TABLE b (id int, n int); CREATE TABLE slow (n int);"
ROUTES = {name: f"-- @http GET /{name}\n-- @cache ttl=300s\nSELECT n FROM {name}" for name in ("a", "b")}
ROUTES["change"] = "-- @http PUT /change\n-- @param tag text in=query\n-- @invalidates further {tag}\nUPDATE a SET n = n + 1"
A, B = "public.a(n)", "public.b(n)"


@pytest.fixture(params=["session", "transaction"])
def site(request, stack):
    return Site(stack(ROUTES, schema=SCHEMA, install=True, nginx=False, larderd=1,
                      env={"LARDER_DB_POOLING": request.param, "LARDER_REDIS_TIMEOUT": "100ms"}), request.param)


class Site:
    def __init__(self, stack, pooling):
        self.stack = stack
        self.pooling = pooling
        wait_until(lambda: beats(stack), 20, "a heartbeat")
        watch(stack, A, B)

    def writer(self):
        environment = self.stack.postgres.environment | {"PGDATABASE": self.stack.database}
        return Writer(environment, self.pooling)

    def left(self):
        return metrics(self.stack).sum("larder_outbox_left_total")

    def settle(self):
        wait_until(lambda: rows_left(self.stack) == 0, 15, "an empty outbox")


def into(table, *more):
    return [f"sql=INSERT INTO {table} VALUES (1, 1)", *more]


def test_a_responder_killed_between_commit_and_bump(site):
    with site.writer() as write:
        assert write(*into("a")).list("tags") == [A]
        write.kill()
    begin = time.monotonic()
    wait_raised(site.stack, A)
    assert time.monotonic() - begin < 10
    site.settle()
    assert clock(site.stack, B) == 1


def test_a_responder_killed_within_the_transaction(site):
    with site.writer() as write:
        gate = Held(site.stack, "LOCK TABLE slow IN ACCESS EXCLUSIVE MODE")
        write.send(*into("a", "sql=INSERT INTO slow VALUES (1)"))
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'slow'::regclass AND NOT granted"
        wait_until(lambda: site.stack.sql(waiting) == [(1,)], what="the write")
        write.kill()
        gate.open()
    # The COMMIT was on its way: PostgreSQL commits, and nobody is left to strike the tag.
    wait_until(lambda: site.stack.sql("SELECT count(*) FROM a") == [(1,)], what="the commit")
    wait_raised(site.stack, A)


def test_what_was_struck_is_not_struck_again(site):
    with site.writer() as write:
        site.stack.larderd.pause()  # it would take what has been left for half a second
        answer = write(*into("a"))
        write(f"struck={answer.transaction}")
        site.stack.larderd.resume()
        assert write(*into("b")).list("tags") == [B]
        wait_raised(site.stack, B)
        assert clock(site.stack, A) == 1
        site.settle()


def test_many_at_once_are_all_struck(site):
    with site.writer() as write:
        before = site.left()
        for number in range(300):
            answer = write(*into("ab"[number % 2]))
            if number % 3:
                write(f"struck={answer.transaction}")
    wait_raised(site.stack, A)
    wait_raised(site.stack, B)
    site.settle()
    assert 100 <= site.left() - before < 250


def test_redis_away_at_the_write(site):
    site.stack.redis.pause()
    with site.writer() as write:
        assert write(*into("a")).outcome == "written"
    site.stack.redis.resume()
    wait_raised(site.stack, A, deadline=20)
    site.settle()


def test_redis_away_at_a_write_that_invalidates_more(site):
    watch(site.stack, "late")
    site.stack.redis.pause()

    def change(tag):
        assert site.stack.direct(f"/change?tag={tag}", method="PUT").status == 204

    def given_up():
        change("early")
        return metrics(site.stack).sum("larder_redis_breaker_open") == 1

    wait_until(given_up, 15, "a responder that asks Redis no more")
    change("late")
    site.stack.redis.resume()
    wait_raised(site.stack, "late", deadline=20)
    site.settle()


def test_what_a_write_invalidates_is_struck_once(site):
    watch(site.stack, "further")
    assert site.stack.direct("/change?tag=x", method="PUT").status == 204
    raised = wait_raised(site.stack, "further")
    site.settle()
    with site.writer() as write:
        write(*into("b"))
    wait_raised(site.stack, B)
    assert clock(site.stack, "further") == raised


def test_larderd_away_at_the_write(site):
    assert site.stack.larderd.stop() == 0
    with site.writer() as write:
        write(*into("a"))
    assert clock(site.stack, A) == 1
    site.stack.larderd.start()
    wait_raised(site.stack, A)
    site.settle()


def test_a_transaction_that_stays_open_holds_nothing_up(site):
    holder = site.stack.postgres.connect(site.stack.database, "larder")
    with holder.cursor() as cursor, site.writer() as write:
        cursor.execute("BEGIN; INSERT INTO slow VALUES (1)")
        raised = 1
        for _ in range(3):
            write(*into("a"))
            raised = wait_raised(site.stack, A, above=raised)
        site.settle()
    holder.close()


def test_a_write_that_outlasts_the_look_is_struck(site):
    with site.writer() as write:
        assert write(*into("a", "sql=SELECT pg_sleep(1.6)")).list("tags") == [A]
    wait_raised(site.stack, A)
    site.settle()


def test_without_heartbeat_while_what_is_left_can_not_be_taken(site):
    """The lock keeps larderd from the outbox alone; a heartbeat would promise that all is struck."""
    holder = site.stack.postgres.connect(site.stack.database, "larder")
    with holder.cursor() as cursor, site.writer() as write:
        write(*into("a"))
        cursor.execute("BEGIN; SELECT * FROM larder.outbox WHERE lane >= 16 FOR UPDATE")
        assert cursor.rowcount == 1
        wait_until(lambda: not beats(site.stack), 20, "the heartbeat's end")
        assert clock(site.stack, A) == 1
        cursor.execute("ROLLBACK")
    holder.close()
    wait_raised(site.stack, A)
    wait_until(lambda: beats(site.stack), 20, "a heartbeat")


# Kept answers

def test_answers_are_forgotten_when_their_time_is_over(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, nginx=False, larderd=1, env={"LARDER_IDEMPOTENCY_TTL": "3s"})
    kept = "SELECT count(*) FROM larder_kept.request"
    served.sql("INSERT INTO larder_kept.request SELECT int4send(n), '', '', now() - interval '1 hour' "
               "FROM generate_series(1, 12000) AS n")
    served.sql("INSERT INTO larder_kept.request VALUES ('late', '', '', now() + interval '1 hour')")
    wait_until(lambda: served.sql(kept) == [(1,)], 20, "the old ones gone")
    served.sql("UPDATE larder_kept.request SET made = now()")
    wait_until(lambda: served.sql(kept) == [(0,)], 20, "the last one gone")


def test_records_of_jobs_are_forgotten_when_their_time_is_over(stack):
    served = stack(ROUTES, schema=SCHEMA, install=True, nginx=False, larderd=1,
                   env={"LARDER_JOB_TTL": "1s", "LARDER_DEAD_TTL": "2s"})
    kept = "SELECT count(*) FROM larder_kept.job"
    served.sql("INSERT INTO larder_kept.job SELECT int4send(n), '', now() - interval '1 hour' "
               "FROM generate_series(1, 12000) AS n")
    served.sql("INSERT INTO larder_kept.job VALUES ('late', '', now() + interval '1 hour')")
    wait_until(lambda: served.sql(kept) == [(1,)], 20, "the old ones gone")
