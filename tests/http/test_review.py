"""The route pack sql/review at its default size: its made-up histories, and the plans of its routes."""

import datetime
import subprocess

import pytest

from support import plans
from support.plans import explain_prepared, explain_with_literals, fetch, number
from support.stack import clean_environment, pack

TODAY = "2026-03-01"


@pytest.fixture(scope="module")
def database(lazy_postgres):
    """A connection to a database with the pack as it was on TODAY."""
    server = lazy_postgres()
    name = server.create_database()
    load(server, name, "--today", TODAY)
    connection = server.connect(name, "larder")
    connection.autocommit = False
    yield connection
    connection.close()
    server.drop_database(name)


def load(server, database, *options):
    environment = clean_environment() | server.environment | {"PGDATABASE": database}
    done = subprocess.run([f"{pack('review')}/load", *options], env=environment, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def busiest(database):
    return number(database, "SELECT user_id FROM review.review_histories GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")


USER = "auth.sub"
PLANS = [
    ("review/routes/today.sql", {USER: "<busiest>", "today": TODAY, "category_slug": None}, 1000),
    ("review/routes/today.sql", {USER: "<busiest>", "today": TODAY, "category_slug": "spanish"}, 1000),
    ("review/routes/stats.sql", {USER: "<busiest>", "today": TODAY}, 3000),
    ("review/routes/contents.sql", {USER: "<busiest>", "page": 1}, 300),
    ("review/routes/contents.sql", {USER: "<busiest>", "page": 3}, 300),
    ("review/routes/content.sql", {"id": 40_000, USER: 7}, 20),
    ("review/routes/subscription.sql", {USER: 7}, 10),
    ("review/routes/categories.sql", {}, 10),
]


@pytest.mark.parametrize("how", [explain_with_literals, explain_prepared])
@pytest.mark.parametrize(("route", "values", "most_pages"), PLANS)
def test_plan_reads_no_large_table_whole(database, busiest, route, values, most_pages, how):
    large = plans.large_tables(database, "review")
    assert len(large) == 3
    named = {name: busiest if value == "<busiest>" else value for name, value in values.items()}
    plans.check_plan(how(database, route, named), large, most_pages)


def test_every_read_has_its_plan_tested():
    assert {route for route, _, _ in PLANS} == set(plans.reads("review"))


def test_its_default_size(database):
    rows = plans.large_tables(database, "review")
    assert number(database, "SELECT count(*) FROM review.users") == 2000
    assert rows["review.contents"] == rows["review.review_schedules"] == pytest.approx(73_000, rel=0.05)
    assert rows["review.review_histories"] == pytest.approx(420_000, rel=0.1)


def test_the_same_day_makes_the_same_rows(database, lazy_postgres):
    server = lazy_postgres()
    names = [server.create_database(), server.create_database()]
    for name in names:
        load(server, name, "--scale", "0.01", "--today", TODAY)
    sums = [server.execute("SELECT md5(string_agg(h::text, ',' ORDER BY id)) FROM review.review_histories AS h",
                           database=name) for name in names]
    assert sums[0] == sums[1]
    assert "already holds rows" in refused(server, names[0])
    for name in names:
        server.drop_database(name)


def refused(server, database):
    environment = clean_environment() | server.environment | {"PGDATABASE": database}
    done = subprocess.run([f"{pack('review')}/load"], env=environment, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize("option", [["--scale", "big"], ["--today", "tomorrow"], ["--today", "2026-02-30"],
                                    ["--nonsense"]])
def test_a_bad_option_is_named(option):
    done = subprocess.run([f"{pack('review')}/load", *option], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert option[-1] in done.stderr


def test_histories_are_as_the_app_would_have_made_them(database):
    """Each review was due and moved its schedule as its result says; the last one left it where it stands."""
    wrong = fetch(database, """
        WITH turns AS (
            SELECT h.user_id, h.content_id, h.result, h.step, h.reviewed_on, t.max_interval_days,
                   lag(reviewed_on) OVER turns AS before, lead(h.step) OVER turns AS next_step,
                   CASE h.result WHEN 'remembered' THEN least(h.step + 1, 7) WHEN 'partial' THEN h.step ELSE 0 END
                       AS step_after
            FROM review.review_histories AS h JOIN review.subscriptions AS t USING (user_id)
            WINDOW turns AS (PARTITION BY content_id ORDER BY reviewed_on, h.id)
        )
        SELECT count(*) FILTER (WHERE t.before + least(review.interval_days(t.step), t.max_interval_days)
                                      > t.reviewed_on),
               count(*) FILTER (WHERE t.next_step IS NULL AND (s.step <> t.step_after OR s.due_on <> t.reviewed_on
                                + least(review.interval_days(s.step), t.max_interval_days))),
               count(*) FILTER (WHERE t.next_step <> t.step_after),
               count(*) FILTER (WHERE t.reviewed_on >= %s)
        FROM turns AS t JOIN review.review_schedules AS s USING (user_id, content_id)""", (TODAY,))
    assert wrong == [(0, 0, 0, 0)]


def test_histories_are_lifelike(database):
    shares = dict(fetch(database, "SELECT result, count(*)::float / sum(count(*)) OVER () FROM review.review_histories "
                                  "GROUP BY 1"))
    assert 0.7 < shares["remembered"] < 0.9
    assert 0.02 < shares["forgot"] < shares["partial"]
    due = [count for count, in fetch(
        database, "SELECT count(s.id) FROM review.users AS u LEFT JOIN review.review_schedules AS s "
                  "ON s.user_id = u.id AND active AND due_on <= %s GROUP BY u.id", (TODAY,))]
    assert 3 <= sorted(due)[len(due) // 2] <= 15
    studied = number(database, "SELECT count(DISTINCT user_id) FROM review.review_histories WHERE reviewed_on = %s",
                     datetime.date.fromisoformat(TODAY) - datetime.timedelta(days=1))
    assert 600 < studied < 1800
