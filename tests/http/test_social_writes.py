"""The writes of sql/social: what each answers, and that all it changed is fresh in the next answer of any process."""

import pytest

from support.packs import Pack

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
