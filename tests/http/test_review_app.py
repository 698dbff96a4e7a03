"""The study app as its users see it: what each route answers, compared with plain SQL, and what a write makes fresh."""

import datetime

import pytest

from support.crowd import ask_together
from support.packs import Pack

TODAY, STATS, CONTENT = "/api/review/today/", "/api/analytics/stats/", "/api/content/"
COMPLETE, SUBSCRIPTION = "/api/review/complete/", "/api/subscription/"
SCHEDULE = "SELECT step, due_on, reviews FROM review.review_schedules WHERE content_id = %s"
DUE = ("SELECT s.content_id FROM review.review_schedules AS s WHERE s.user_id = %s AND active "
       "AND due_on <= (now() AT TIME ZONE 'UTC')::date ORDER BY due_on, content_id")
INTERVALS = [1, 3, 7, 14, 30, 60, 120, 180]


@pytest.fixture(scope="module")
def app(shared_stack, lazy_postgres, tmp_path_factory):
    return Pack(shared_stack, lazy_postgres(), tmp_path_factory.mktemp("review"), "review", "--scale", "0.02")


def due(app, user):
    return [content for content, in app.sql(DUE, user)]


def make_due(app, user, step=0):
    """A content of the user's that is due at that step, by any writer."""
    rows = app.sql("UPDATE review.review_schedules SET due_on = current_date - 1, active = true, step = %s WHERE id = "
                   "(SELECT min(id) FROM review.review_schedules WHERE user_id = %s AND due_on > current_date + 1) "
                   "RETURNING content_id", step, user)
    return rows[0][0]


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


@pytest.mark.parametrize("user", [1, 2, 5, 6, 12])
def test_today_is_what_is_due_and_active(app, user):
    answer = app.get(TODAY, user).json()
    assert set(answer) == {"results", "count"}
    assert [each["content_id"] for each in answer["results"]] == due(app, user)[:20]
    assert answer["count"] == len(answer["results"])
    for each in answer["results"]:
        assert set(each) == {"id", "content_id", "title", "content", "category_slug", "due_on", "step", "reviews"}


def test_today_of_a_category(app):
    every = app.get(TODAY, 2).json()["results"]
    for slug in {each["category_slug"] for each in every}:
        one = app.get(f"{TODAY}?category_slug={slug}", 2).json()
        assert one["results"] == [each for each in every if each["category_slug"] == slug]
    assert app.get(f"{TODAY}?category_slug=", 2).json()["results"] == every
    assert app.get(f"{TODAY}?category_slug=none", 2).json() == {"results": [], "count": 0}


@pytest.mark.parametrize("user", [1, 4, 7, 12])
def test_stats_agree_with_the_histories(app, user):
    app.write("PUT", SUBSCRIPTION, user, {"tier": "premium"})
    stats = app.get(STATS, user).json()
    rows = app.sql("SELECT result, count(*)::int FROM review.review_histories WHERE user_id = %s GROUP BY 1", user)
    counts = {"remembered": 0, "partial": 0, "forgot": 0} | dict(rows)
    assert {name: stats[name] for name in counts} == counts
    assert stats["total_reviews"] == sum(counts.values()) == sum(each["reviews"] for each in stats["by_category"])
    assert stats["success_rate"] == pytest.approx(100 * counts["remembered"] / stats["total_reviews"], abs=0.06)
    assert stats["due_today"] == len(due(app, user))
    days = [day for day, in app.sql("SELECT DISTINCT reviewed_on FROM review.review_histories WHERE user_id = %s", user)]
    assert stats["longest_streak_days"] == longest(days)
    assert stats["streak_days"] == streak(days)


def longest(days):
    return max((length for length in run_lengths(sorted(days))), default=0)


def run_lengths(days):
    length = 0
    for before, day in zip([None, *days], days):
        length = length + 1 if before and (day - before).days == 1 else 1
        yield length


def streak(days):
    day = today() if today() in days else today() - datetime.timedelta(days=1)
    length = 0
    while day in days:
        day, length = day - datetime.timedelta(days=1), length + 1
    return length


def test_a_new_user_has_statistics_too(app):
    app.sql("INSERT INTO review.users (id, username, display_name) VALUES (9000, 'new.user', 'New')")
    assert app.get(TODAY, 9000).json() == {"results": [], "count": 0}
    stats = app.get(STATS, 9000).json()
    assert (stats["tier"], stats["total_reviews"], stats["success_rate"], stats["by_category"]) == ("free", 0, None, [])
    assert app.get(CONTENT, 9000).json() == {"results": [], "count": 0, "page": 1, "pages": 0}
    app.get(SUBSCRIPTION, 9000).problem(404)


def test_content_pages_join_without_gap_or_overlap(app):
    expected = [id for id, in app.sql("SELECT id FROM review.contents WHERE author_id = 3 ORDER BY id DESC")]
    first = app.get(CONTENT, 3).json()
    pages = [app.get(f"{CONTENT}?page={page}", 3).json() for page in range(1, first["pages"] + 1)]
    assert pages[0] == first
    assert [each["id"] for page in pages for each in page["results"]] == expected
    assert {page["count"] for page in pages} == {len(expected)}


@pytest.mark.parametrize(("result", "step", "then"), [("remembered", 2, 3), ("remembered", 7, 7), ("partial", 3, 3),
                                                      ("forgot", 5, 0)])
def test_a_review_moves_its_schedule_and_is_noted(app, result, step, then):
    app.write("PUT", SUBSCRIPTION, 5, {"tier": "premium"})
    content = make_due(app, 5, step)
    before = app.sql(SCHEDULE, content)[0][2]
    answer = app.write("POST", COMPLETE, 5, {"content_id": content, "result": result, "time_spent_seconds": 12,
                                             "notes": "Came at once."})
    due_on = today() + datetime.timedelta(days=INTERVALS[then])
    assert answer.status == 200, answer
    assert answer.json() == {"content_id": content, "step": then, "due_on": str(due_on), "reviews": before + 1}
    assert app.sql(SCHEDULE, content) == [(then, due_on, before + 1)]
    noted = app.sql("SELECT user_id, result, step, time_spent_seconds, notes FROM review.review_histories "
                    "WHERE content_id = %s ORDER BY id DESC LIMIT 1", content)
    assert noted == [(5, result, step, 12, "Came at once.")]


def test_a_free_tier_bounds_the_interval(app):
    app.write("PUT", SUBSCRIPTION, 6, {"tier": "free"})
    content = make_due(app, 6, 5)
    answer = app.write("POST", COMPLETE, 6, {"content_id": content, "result": "remembered"}).json()
    assert answer["due_on"] == str(today() + datetime.timedelta(days=14))


def test_a_completed_review_is_gone_from_every_page_at_once(app):
    """Of all categories and of its own; the stats count it; in each process; nobody else's answer ends."""
    content = make_due(app, 8)
    slug = app.sql("SELECT category_slug FROM review.contents WHERE id = %s", content)[0][0]
    pages = [TODAY, f"{TODAY}?category_slug={slug}"]
    for page in pages:
        assert content in [each["content_id"] for each in app.everywhere(page, 8)["results"]]
    total = app.everywhere(STATS, 8)["total_reviews"]
    others = [app.kept(target, 10) for target in (TODAY, STATS)]
    assert app.write("POST", COMPLETE, 8, {"content_id": content, "result": "partial"}).status == 200
    for page in pages:
        assert content not in [each["content_id"] for each in app.everywhere(page, 8)["results"]]
    assert app.everywhere(STATS, 8)["total_reviews"] == total + 1
    for target, before in zip((TODAY, STATS), others):
        answer = app.get(target, 10)
        assert "hit" in answer["Cache-Status"], answer
        assert answer.body == before.body


def test_a_review_counts_once_however_often_it_is_sent(app):
    content = make_due(app, 7)
    count = "SELECT count(*)::int FROM review.review_histories WHERE content_id = %s"
    before = app.sql(count, content)[0][0]
    answers = ask_together(lambda result: app.write("POST", COMPLETE, 7, {"content_id": content, "result": result}),
                           ["remembered"] * 8)
    assert sorted(answer.status for answer in answers) == [200] + [404] * 7
    assert app.sql(count, content)[0][0] == before + 1


def test_a_review_that_is_sent_again_is_answered_as_before(app):
    content = make_due(app, 9)
    answers = [app.write("POST", COMPLETE, 9, {"content_id": content, "result": "partial"}, Idempotency_Key='"click"')
               for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert app.sql("SELECT count(*)::int FROM review.review_histories WHERE content_id = %s AND reviewed_on = %s",
                   content, today()) == [(1,)]


@pytest.mark.parametrize(("fields", "wrong"), [
    ({}, {"content_id", "result"}),
    ({"content_id": 0, "result": "well"}, {"content_id", "result"}),
    ({"content_id": "1", "result": "forgot", "time_spent_seconds": -1}, {"content_id", "time_spent_seconds"}),
    ({"content_id": 1, "result": "forgot", "notes": "x" * 1001}, {"notes"})])
def test_bad_fields_are_named(app, fields, wrong):
    problem = app.write("POST", COMPLETE, 1, fields).problem(422)
    assert {error["name"] for error in problem["errors"]} == wrong


def test_a_content_is_made_found_and_changed(app):
    app.kept(CONTENT, 11)
    fields = {"title": "The Krebs cycle at last", "content": "Citrate first.", "category_slug": "chemistry"}
    made = app.write("POST", CONTENT, 11, fields)
    assert made.status == 201, made
    place = made["Location"]
    assert made.json().items() >= fields.items()
    assert made.json()["due_on"] == str(today() + datetime.timedelta(days=1))
    assert app.everywhere(CONTENT, 11)["results"][0]["id"] == made.json()["id"]
    read = app.get(place, 11)
    assert read.json().items() >= fields.items()
    changed = app.write("PUT", place, 11, fields | {"content": "Then isocitrate."}, If_Match=read["ETag"])
    assert changed.status == 200, changed
    assert app.everywhere(place, 11)["content"] == "Then isocitrate."
    assert app.everywhere(CONTENT, 11)["results"][0]["content"] == "Then isocitrate."
    late = app.write("PUT", place, 11, fields | {"content": "Too late."}, If_Match=read["ETag"])
    assert late.problem(412) and late["ETag"] == app.get(place, 11)["ETag"]
    app.write("PUT", place, 12, fields).problem(404)
    app.write("PUT", place, 12, fields, If_Match=app.get(place, 11)["ETag"]).problem(404)
    app.get(place, 12).problem(404)


def test_what_a_constraint_refuses_is_named(app):
    fields = {"title": "Twice", "content": "Once.", "category_slug": "law"}
    assert app.write("POST", CONTENT, 12, fields).status == 201
    twice = app.write("POST", CONTENT, 12, fields).problem(409)
    assert "title" in [error["name"] for error in twice["errors"]]
    nowhere = app.write("POST", CONTENT, 12, fields | {"title": "Nowhere", "category_slug": "nowhere"}).problem(409)
    assert [error["name"] for error in nowhere["errors"]] == ["category_slug"]
    assert b"contents_" not in app.write("POST", CONTENT, 12, fields).body


def test_another_tier_shows_everywhere_at_once(app):
    app.write("PUT", SUBSCRIPTION, 13, {"tier": "free"})
    assert app.everywhere(STATS, 13)["tier"] == "free"
    app.kept(TODAY, 13)
    app.kept(CONTENT, 13)
    answer = app.write("PUT", SUBSCRIPTION, 13, {"tier": "basic"}).json()
    assert (answer["daily_reviews"], answer["max_interval_days"], answer["history_days"]) == (50, 60, 180)
    assert app.everywhere(STATS, 13)["tier"] == "basic"
    assert app.everywhere(SUBSCRIPTION, 13)["tier"] == "basic"
    for target in (TODAY, CONTENT):
        assert "hit" not in app.get(target, 13)["Cache-Status"] or "collapsed" in app.get(target, 13)["Cache-Status"]


def test_the_daily_bound_is_the_tiers(app):
    app.sql("UPDATE review.review_schedules SET due_on = current_date - 3, active = true WHERE user_id = 15")
    number = app.sql("SELECT count(*)::int FROM review.review_schedules WHERE user_id = 15")[0][0]
    assert number > 20
    app.write("PUT", SUBSCRIPTION, 15, {"tier": "free"})
    assert app.everywhere(TODAY, 15)["count"] == 20
    app.write("PUT", SUBSCRIPTION, 15, {"tier": "premium"})
    assert app.everywhere(TODAY, 15)["count"] == number
