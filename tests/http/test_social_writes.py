"""The writes of sql/social: what each answers, and that all it changed is fresh in the next answer of any process."""

import json
import select

import pytest

from support import tokens
from support.jobs import dead, ended, file_job, post
from support.packs import Pack
from support.waiting import wait_until

PAGES = ["/feeds", "/feeds?limit=5", "/feeds?skip=3&limit=20"]


@pytest.fixture(scope="module")
def social(shared_stack, lazy_postgres, tmp_path_factory):
    return Pack(shared_stack, lazy_postgres(), tmp_path_factory.mktemp("social"), "social", "--scale", "0.01")


def test_a_feed_is_on_every_page_and_in_its_authors_profile(social):
    before = {page: social.everywhere(page) for page in PAGES}
    count = social.everywhere("/users/7")["feed_count"]
    made = social.write("POST", "/feeds", 7, {"content": "A day at the harbour.", "image": "/images/posts/h.webp"})
    assert made.status == 201, made
    feed = made.json()
    assert (feed["user_id"], feed["content"], feed["image"]) == (7, "A day at the harbour.", "/images/posts/h.webp")
    assert made["Location"] == f"/feeds/{feed['id']}"
    assert made["Cache-Control"] == "no-store"
    ids = {page: [each["id"] for each in social.everywhere(page)] for page in PAGES}
    assert ids["/feeds"] == [feed["id"]] + [each["id"] for each in before["/feeds"]][:-1]
    assert ids["/feeds?limit=5"][0] == feed["id"]
    assert ids["/feeds?skip=3&limit=20"] == ids["/feeds"][3:] + [each["id"] for each in before[PAGES[2]]][-4:-1]
    assert social.everywhere("/users/7")["feed_count"] == count + 1
    assert social.everywhere(made["Location"])["content"] == "A day at the harbour."


def test_what_a_feed_did_not_change_stays_kept(social):
    kept = ["/users/8", "/follows?user_id=8", "/stats?feed_id=3"]
    for target in kept:
        social.kept(target)
    assert social.write("POST", "/feeds", 7, {"content": "Another."}).status == 201
    for target in kept:
        assert "hit" in social.get(target)["Cache-Status"], target


@pytest.mark.parametrize(("fields", "status", "wrong"), [
    ({}, 422, ["content"]), ({"content": 7}, 422, ["content"]), ({"content": "x" * 2001}, 422, ["content"]),
    ({"content": "x", "user_id": 1}, 422, ["user_id"])])
def test_bad_feeds_are_named(social, fields, status, wrong):
    problem = social.write("POST", "/feeds", 7, fields).problem(status)
    assert [error["name"] for error in problem["errors"]] == wrong


def test_a_feed_of_nothing_and_one_of_nobody(social):
    empty = social.write("POST", "/feeds", 7, {"content": ""}).problem(422)
    assert "feeds_content_check" not in str(empty)
    social.write("POST", "/feeds", 999_999, {"content": "Am I anybody?"}).problem(409)
    social.write("POST", "/feeds", "someone", {"content": "Am I anybody?"}).problem(401)


def test_a_profile_shows_in_follow_lists_and_pages_at_once(social):
    follower = social.sql("SELECT min(follower_id) FROM social.follows WHERE followee_id = 3")[0][0]
    social.write("POST", "/feeds", 3, {"content": "Mine."})
    targets = [f"/follows?user_id={follower}&limit=500", "/feeds", "/users/3"]
    for target in targets:
        assert "Another Name" not in str(social.everywhere(target))
    answer = social.write("PUT", "/users/3", 3, {"display_name": "Another Name", "bio": "Just moved."})
    assert answer.status == 200, answer
    assert (answer.json()["display_name"], answer.json()["bio"]) == ("Another Name", "Just moved.")
    assert answer.json()["profile_image"] is None, "what a PUT does not give is gone"
    for target in targets:
        assert "Another Name" in str(social.everywhere(target))


def test_only_the_user_themself(social):
    before = social.sql("SELECT * FROM social.users WHERE id = 5")
    social.write("PUT", "/users/5", 6, {"display_name": "Not me"}).problem(404)
    social.write("PUT", "/users/5", 6, {"display_name": "Not me"}, If_Match=social.get("/users/5")["ETag"]).problem(404)
    social.write("PUT", "/users/5", None, {"display_name": "Nobody"}).problem(401)
    assert social.sql("SELECT * FROM social.users WHERE id = 5") == before


def test_a_profile_that_changed_meanwhile_is_not_overwritten(social):
    """The entity tag of a profile holds for its owner's changes however many follow meanwhile."""
    read = social.get("/users/9")
    social.sql("INSERT INTO social.follows (follower_id, followee_id) SELECT id, 9 FROM social.users WHERE id > 90 "
               "AND id <> 9 ON CONFLICT DO NOTHING")
    assert social.write("PUT", "/users/9", 9, {"display_name": "First"}, If_Match=read["ETag"]).status == 200
    late = social.write("PUT", "/users/9", 9, {"display_name": "Second"}, If_Match=read["ETag"])
    late.problem(412)
    assert late["ETag"] == social.get("/users/9")["ETag"]
    assert social.get("/users/9").json()["display_name"] == "First"


def unliked(social):
    """The latest feed of another that user 7 has not liked yet, and its author."""
    return social.sql("SELECT id, user_id FROM social.feeds AS f WHERE user_id <> 7 AND NOT EXISTS (SELECT "
                      "FROM social.likes AS l WHERE l.feed_id = f.id AND l.user_id = 7) ORDER BY id DESC LIMIT 1")[0]


def likes(social, feed):
    return social.sql("SELECT count(*) FROM social.likes WHERE feed_id = %s AND user_id = 7", feed)[0][0]


def notifications(social, feed):
    return social.sql("SELECT user_id, actor_id, kind FROM social.notifications WHERE feed_id = %s AND actor_id = 7", feed)


class Sender:
    """A program outside that sends notifications on."""

    def __init__(self, social):
        self.connection = social.stack.postgres.connect(social.database, "larder")
        self.connection.cursor().execute("LISTEN social_notifications")

    def heard(self):
        select.select([self.connection], [], [], 0)
        self.connection.poll()
        return [json.loads(each.payload) for each in self.connection.notifies]


def test_a_like_is_answered_and_then_made(social):
    feed, author = unliked(social)
    target, sender = f"/stats?feed_id={feed}", Sender(social)
    before = social.kept(target).json()["likes"]
    job = file_job(social.stack, f"/feeds/{feed}/like", **tokens.bearer(7))
    told = ended(social.stack, job, **tokens.bearer(7))
    assert (told["status"], told["result"]) == ("done", {"feed_id": feed, "likes": before + 1})
    assert likes(social, feed) == 1
    wait_until(lambda: social.everywhere(target)["likes"] == before + 1, 5, "the count")
    assert notifications(social, feed) == [(author, 7, "like")]
    [heard] = wait_until(sender.heard, 10, "the NOTIFY")
    assert (heard["user_id"], heard["actor_id"], heard["kind"], heard["feed_id"]) == (author, 7, "like", feed)


def test_liking_again_tells_nobody(social):
    feed, _ = unliked(social)
    sender = Sender(social)
    jobs = [file_job(social.stack, f"/feeds/{feed}/like", **tokens.bearer(7)) for _ in range(5)]
    tolds = [ended(social.stack, job, **tokens.bearer(7)) for job in jobs]
    assert [told["status"] for told in tolds] == ["done"] * 5
    assert len({told["result"]["likes"] for told in tolds}) == 1
    assert likes(social, feed) == 1 and len(notifications(social, feed)) == 1
    # Another's, so that whatever the first made has been heard before it.
    other, _ = unliked(social)
    ended(social.stack, file_job(social.stack, f"/feeds/{other}/like", **tokens.bearer(7)), **tokens.bearer(7))
    wait_until(lambda: any(each["feed_id"] == other for each in sender.heard()), 10, "the other's NOTIFY")
    assert [each["feed_id"] for each in sender.heard()] == [feed, other]


def test_nobody_is_told_of_his_own_like(social):
    made = social.write("POST", "/feeds", 7, {"content": "I like it myself."}).json()["id"]
    job = file_job(social.stack, f"/feeds/{made}/like", **tokens.bearer(7))
    assert ended(social.stack, job, **tokens.bearer(7))["result"] == {"feed_id": made, "likes": 1}
    assert likes(social, made) == 1 and notifications(social, made) == []


def test_a_like_of_nothing_fails_as_a_job(social):
    told = ended(social.stack, file_job(social.stack, "/feeds/999999999/like", **tokens.bearer(7)), **tokens.bearer(7))
    assert (told["status"], told["problem"]["status"], told["tries"]) == ("failed", 404, 1)


def test_a_like_that_can_not_be_is_refused_at_once(social):
    post(social.stack, "/feeds/1/like").problem(401)
    post(social.stack, "/feeds/none/like", **tokens.bearer(7)).problem(422)
    post(social.stack, "/feeds/0/like", **tokens.bearer(7)).problem(422)


def view(social, feed):
    answer = social.stack.direct(f"/feeds/{feed}/view", method="POST")
    assert (answer.status, answer.json()) == (202, {"status": "accepted"}), answer


def test_looks_are_answered_and_then_counted(social):
    before = social.everywhere("/stats?feed_id=11")["views"]
    social.kept("/stats?feed_id=12")
    for _ in range(30):
        view(social, 11)
    wait_until(lambda: social.everywhere("/stats?feed_id=11")["views"] == before + 30, 20, "all looks being counted")
    assert "hit" in social.get("/stats?feed_id=12")["Cache-Status"], "no other feed's answer is struck"
    assert sum(views for (views,) in social.sql("SELECT views FROM social.views WHERE feed_id = 11")) == 30


def test_a_look_at_nothing_is_no_dead_letter(social):
    before = dead(social.stack)
    view(social, 999_999_999)
    view(social, 13)
    wait_until(lambda: social.sql("SELECT views FROM social.views WHERE feed_id = 13") == [(1,)], 10, "the look counted")
    assert dead(social.stack) == before
    social.stack.direct("/feeds/none/view", method="POST").problem(422)
