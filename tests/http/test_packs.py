"""The route packs sql/social and sql/catalog at their default size: plans, answers and HTTP contract.

A plan is right when no large table is read from end to end and the pages it touches stay within a bound that has
nothing to do with how large the tables are. Answers are compared with plain SQL that shares nothing with the routes.
"""

import csv
import datetime
import io
import itertools
import json
import re

import pytest
import requests

from support import plans
from support.plans import explain_prepared, explain_with_literals, fetch, number, plan_nodes

UNKNOWN = 999_999_999_999


@pytest.fixture(scope="session")
def large_tables(pack_database):
    return plans.large_tables(pack_database, "social", "catalog")


@pytest.fixture(scope="session")
def busiest(pack_database):
    """The ids whose answers cost the most: the heads of the skewed distributions."""

    def most(table, column):
        return number(
            pack_database, f"SELECT {column} FROM {table} GROUP BY {column} ORDER BY count(*) DESC, {column} LIMIT 1"
        )

    return {
        "liked feed": most("social.likes", "feed_id"),
        "followed user": most("social.follows", "followee_id"),
        "following user": most("social.follows", "follower_id"),
        "maintainer": most("catalog.items", "maintainer_id"),
        "nginx": number(pack_database, "SELECT id FROM catalog.items WHERE name = 'nginx'"),
    }


def test_packs_are_loaded_at_their_default_size(large_tables):
    assert large_tables["social.users"] == 10_000
    assert large_tables["social.feeds"] == 100_000
    assert large_tables["social.likes"] == pytest.approx(1_000_000, rel=0.1)
    assert large_tables["social.comments"] == pytest.approx(300_000, rel=0.15)
    assert large_tables["social.follows"] == pytest.approx(200_000, rel=0.1)
    assert large_tables["catalog.items"] > 20_000
    assert large_tables["catalog.dependencies"] > 100_000


# Route, its values (a word in angle brackets names one of `busiest`), and the 8 kB pages it may touch.
PLANS = [
    ("social/routes/feeds.sql", {"limit": 20, "skip": 0}, 500),
    ("social/routes/feeds.sql", {"limit": 100, "skip": 0}, 2000),
    ("social/routes/feeds.sql", {"limit": 20, "skip": 10_000}, 700),
    ("social/routes/feeds-newest.sql", {"limit": 20}, 500),
    ("social/routes/feeds-newest.sql", {"limit": 100}, 2000),
    ("social/routes/feed.sql", {"id": "<liked feed>"}, 150),
    ("social/routes/feed.sql", {"id": 5000}, 50),
    ("social/routes/user.sql", {"id": "<followed user>"}, 100),
    ("social/routes/user.sql", {"id": 5000}, 100),
    ("social/routes/follows.sql", {"user_id": "<following user>", "limit": 100, "skip": 0}, 500),
    ("social/routes/follows.sql", {"user_id": 5000, "limit": 100, "skip": 0}, 500),
    ("social/routes/stats.sql", {"feed_id": "<liked feed>"}, 100),
    ("social/routes/stats.sql", {"feed_id": 5000}, 50),
    ("catalog/routes/item.sql", {"id": "<nginx>"}, 100),
    ("catalog/routes/items.sql", {"q": None, "section": None, "limit": 20, "skip": 0}, 200),
    ("catalog/routes/items.sql", {"q": None, "section": "games", "limit": 20, "skip": 0}, 200),
    ("catalog/routes/items.sql", {"q": "nginx", "section": None, "limit": 20, "skip": 0}, 300),
    ("catalog/routes/items.sql", {"q": "library", "section": None, "limit": 20, "skip": 0}, 300),
    ("catalog/routes/items.sql", {"q": "strategy", "section": "games", "limit": 20, "skip": 0}, 300),
    ("catalog/routes/maintainer.sql", {"id": "<maintainer>", "limit": 20, "skip": 0}, 150),
    ("catalog/routes/static-data.sql", {}, 1000),
    ("catalog/routes/private-data.sql", {"limit": 50}, 1000),
]


@pytest.mark.parametrize("how", [explain_with_literals, explain_prepared])
@pytest.mark.parametrize(("route", "values", "most_pages"), PLANS)
def test_plan_reads_no_large_table_whole(pack_database, large_tables, busiest, route, values, most_pages, how):
    named = {name: busiest[value.strip("<>")] if str(value)[:1] == "<" else value for name, value in values.items()}
    plans.check_plan(how(pack_database, route, named), large_tables, most_pages)


def test_feed_page_counts_only_its_own_rows(pack_database):
    plan = explain_with_literals(pack_database, "social/routes/feeds.sql", {"limit": 20, "skip": 0})
    counted = [node for node in plan_nodes(plan) if node.get("Relation Name") in ("likes", "comments")]
    assert {node["Relation Name"] for node in counted} == {"likes", "comments"}
    assert all(node["Node Type"] == "Index Only Scan" and node["Actual Loops"] == 20 for node in counted)


def test_every_route_file_has_its_plan_tested():
    assert {route for route, _, _ in PLANS} == {*plans.reads("social"), *plans.reads("catalog")}


DOWNLOADS = {"catalog/routes/export.sql": {}, "catalog/routes/export-items.sql": {"section": None}}


def test_every_download_has_its_rows_tested():
    assert set(DOWNLOADS) == {*plans.downloads("social"), *plans.downloads("catalog")}


def test_the_export_is_made_row_by_row(pack_database):
    """Nothing but a few rows is gathered before the first is sent."""
    plan = fetch(pack_database, "EXPLAIN (FORMAT JSON) " + plans.with_literals("catalog/routes/export.sql", {}))[0][0][0]["Plan"]
    assert plan["Startup Cost"] < plan["Total Cost"] / 1000, plan
    assert plan["Node Type"] == "Incremental Sort", plan


def download(url, path, **headers):
    """(status, headers, lines), not held as a whole."""
    with requests.get(url + path, headers={"Accept-Encoding": "identity", **headers}, timeout=120, stream=True) as response:
        return response.status_code, response.headers, sum(piece.count(b"\n") for piece in response.iter_content(1 << 20))


def test_the_export_has_over_a_million_rows(packs_url, pack_database):
    status, headers, lines = download(packs_url, "/export/csv")
    rows = number(pack_database, f"SELECT count(*) FROM ({plans.statement('catalog/routes/export.sql')}) AS rows")
    assert (status, lines) == (200, rows + 1) and rows >= 1_000_000
    assert headers["Content-Type"].split(";")[0] == "text/csv"
    assert headers["Content-Disposition"] == "attachment; filename=export.csv"


def test_the_export_follows_needs_of_needs(packs_url, pack_database):
    """Of one item, by SQL that shares nothing with the route: the newest versions of what it depends on."""
    expected = fetch(pack_database, """
        SELECT DISTINCT d.target, e.target
        FROM catalog.items i
        JOIN catalog.versions v ON v.item_id = i.id
        JOIN catalog.dependencies d ON d.version_id = v.id
        JOIN catalog.items t ON t.name = d.target
        JOIN catalog.versions w ON w.item_id = t.id
        JOIN catalog.dependencies e ON e.version_id = w.id
        WHERE i.name = '0ad' AND d.kind LIKE '%Depends' AND e.kind LIKE '%Depends' AND w.age_rank = 1""")
    with requests.get(f"{packs_url}/export/csv", stream=True, timeout=60) as response:
        lines = (line.decode() for line in response.iter_lines())
        rows = itertools.takewhile(lambda row: row["item"] == "0ad", csv.DictReader(lines))
        found = {(row["via"], row["target"]) for row in rows if row["step"] == "2"}
    assert found == set(expected) and found


@pytest.mark.parametrize(("accept", "read"), [
    ("text/csv", lambda text: list(csv.DictReader(io.StringIO(text, newline="")))),
    ("application/x-ndjson", lambda text: [json.loads(line) for line in text.splitlines()]),
    ("application/json", json.loads)])
def test_items_come_in_the_format_asked_for(packs_url, pack_database, accept, read):
    response = get(packs_url, "/export/items?section=httpd", Accept=accept)
    assert response.headers["Content-Type"].split(";")[0] == accept
    rows = read(response.text)
    expected = fetch(pack_database, "SELECT name FROM catalog.items WHERE section = 'httpd' ORDER BY name")
    assert [row["name"] for row in rows] == [name for name, in expected] and rows
    assert {row["section"] for row in rows} == {"httpd"}


def get(url, path, **headers):
    return requests.get(url + path, headers={"Accept-Encoding": "identity", **headers}, timeout=30)


def body(url, path):
    response = get(url, path)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].split(";")[0] == "application/json"
    return response.json()


def check_problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    assert response.json()["status"] == status
    return response.json()


CONTRACTS = [
    ("/feeds/1", "no-cache"),
    ("/feeds", "no-cache"),
    ("/feeds?skip=40&limit=5", "no-cache"),
    ("/feeds/newest?limit=5", "no-cache"),
    ("/users/1", "no-cache"),
    ("/follows?user_id=1", "no-cache"),
    ("/stats?feed_id=1", "no-cache"),
    ("/items", "no-cache"),
    ("/items?q=nginx", "no-cache"),
    ("/items/1", "no-cache"),
    ("/maintainers/1", "no-cache"),
    ("/static-data", "public, max-age=3600"),
    ("/private-data", "private, no-cache"),
]


@pytest.mark.parametrize(("path", "cache_control"), CONTRACTS)
def test_answer_is_validated_by_its_etag(packs_url, path, cache_control):
    first = get(packs_url, path)
    assert first.status_code == 200, first.text
    assert re.fullmatch(r'"[A-Za-z0-9_-]{22}(\.[A-Za-z0-9_-]+)?"', first.headers["ETag"])
    assert first.headers["Cache-Control"] == cache_control
    assert "accept-encoding" in first.headers["Vary"].lower()

    again = get(packs_url, path, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == cache_control
    assert get(packs_url, path, **{"If-None-Match": '"another"'}).content == first.content


@pytest.mark.parametrize(("path", "cache_control"), CONTRACTS)
def test_compressed_answer_says_the_same(packs_url, path, cache_control):
    plain = get(packs_url, path)
    zipped = get(packs_url, path, **{"Accept-Encoding": "gzip"})
    assert zipped.content == plain.content
    assert zipped.headers["Cache-Control"] == cache_control
    if len(plain.content) > 2000:
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert zipped.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [f"/users/{UNKNOWN}", f"/stats?feed_id={UNKNOWN}", f"/items/{UNKNOWN}", f"/maintainers/{UNKNOWN}"],
)
def test_unknown_id_is_not_found(packs_url, path):
    check_problem(get(packs_url, path), 404)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/feeds?limit=0", {"limit"}),
        ("/feeds?limit=101", {"limit"}),
        ("/feeds?limit=many", {"limit"}),
        ("/feeds?skip=-1&limit=1000", {"skip", "limit"}),
        ("/feeds?skip=10001", {"skip"}),
        ("/users/me", {"id"}),
        ("/users/0", {"id"}),
        ("/follows", {"user_id"}),
        ("/follows?user_id=1&limit=501", {"limit"}),
        ("/stats", {"feed_id"}),
        ("/stats?feed_id=1.5", {"feed_id"}),
        ("/items?limit=101", {"limit"}),
        ("/items?q=" + "x" * 201, {"q"}),
        ("/items/nginx", {"id"}),
        ("/maintainers/1?limit=0", {"limit"}),
        ("/private-data?limit=501", {"limit"}),
    ],
)
def test_bad_values_are_named(packs_url, path, wrong):
    problem = check_problem(get(packs_url, path), 422)
    assert {error["name"] for error in problem["errors"]} == wrong


def test_feeds_are_the_newest_with_their_counts(packs_url, pack_database):
    feeds = body(packs_url, "/feeds")
    newest = fetch(pack_database, "SELECT id FROM social.feeds ORDER BY created_at DESC, id DESC LIMIT 20")
    assert [feed["id"] for feed in feeds] == [id for (id,) in newest]
    for feed in feeds:
        likes = number(pack_database, "SELECT count(*) FROM social.likes WHERE feed_id = %s", feed["id"])
        comments = number(pack_database, "SELECT count(*) FROM social.comments WHERE feed_id = %s", feed["id"])
        assert (feed["like_count"], feed["comment_count"]) == (likes, comments)
    assert sum(feed["like_count"] for feed in feeds) > 0


def test_feeds_carry_their_authors(packs_url, pack_database):
    columns = ("content", "image", "created_at", "user_id", "username", "display_name", "profile_image")
    for feed in body(packs_url, "/feeds?limit=3"):
        assert set(feed) == {"id", *columns, "like_count", "comment_count"}
        feed["created_at"] = datetime.datetime.fromisoformat(feed["created_at"])
        [expected] = fetch(
            pack_database,
            "SELECT content, image, f.created_at, user_id, username, display_name, profile_image"
            " FROM social.feeds AS f JOIN social.users AS u ON u.id = user_id WHERE f.id = %s",
            (feed["id"],),
        )
        assert tuple(feed[column] for column in columns) == expected


def test_feed_pages_join_without_gap_or_overlap(packs_url):
    whole = body(packs_url, "/feeds?limit=60")
    pages = [body(packs_url, f"/feeds?limit=20&skip={skip}") for skip in (0, 20, 40)]
    assert list(itertools.chain(*pages)) == whole
    assert len(body(packs_url, "/feeds?limit=100&skip=10000")) == 100


def test_profiles_agree_with_the_tables(packs_url, pack_database, busiest):
    for user in (1, 2, 777, 10_000, busiest["followed user"], busiest["following user"]):
        profile = body(packs_url, f"/users/{user}")
        names = {"id", "username", "display_name", "profile_image", "bio", "created_at", "version"}
        counts = {
            "feed_count": "SELECT count(*) FROM social.feeds WHERE user_id = %s",
            "follower_count": "SELECT count(*) FROM social.follows WHERE followee_id = %s",
            "following_count": "SELECT count(*) FROM social.follows WHERE follower_id = %s",
        }
        assert set(profile) == names | set(counts)
        assert profile["id"] == user
        assert {name: profile[name] for name in counts} == {
            name: number(pack_database, sql, user) for name, sql in counts.items()
        }


def test_follows_are_the_latest_first(packs_url, pack_database, busiest):
    for user in (1, 777, busiest["following user"]):
        follows = body(packs_url, f"/follows?user_id={user}&limit=500")
        expected = fetch(pack_database, "SELECT followee_id FROM social.follows WHERE follower_id = %s", (user,))
        assert len(follows) == min(len(expected), 500)
        assert {follow["id"] for follow in follows} <= {id for (id,) in expected}
        moments = [follow["followed_at"] for follow in follows]
        assert moments == sorted(moments, reverse=True)
        assert all(
            set(follow) == {"id", "username", "display_name", "profile_image", "followed_at"} for follow in follows
        )
    assert body(packs_url, f"/follows?user_id={UNKNOWN}") == []


def test_stats_agree_with_the_tables(packs_url, pack_database, busiest):
    for feed in (1, 2, 50_000, 100_000, busiest["liked feed"]):
        assert body(packs_url, f"/stats?feed_id={feed}") == {
            "feed_id": feed,
            "likes": number(pack_database, "SELECT count(*) FROM social.likes WHERE feed_id = %s", feed),
            "comments": number(pack_database, "SELECT count(*) FROM social.comments WHERE feed_id = %s", feed),
            "views": number(pack_database, "SELECT f.views + coalesce(sum(v.views), 0) FROM social.feeds AS f"
                            " LEFT JOIN social.views AS v ON v.feed_id = f.id WHERE f.id = %s GROUP BY f.id", feed),
        }


def test_item_holds_its_versions_and_dependencies(packs_url, pack_database, busiest):
    several = number(pack_database, "SELECT min(item_id) FROM catalog.versions WHERE age_rank = 2")
    for id in (1, several, busiest["nginx"]):
        item = body(packs_url, f"/items/{id}")
        versions = fetch(
            pack_database,
            "SELECT version, (SELECT count(*) FROM catalog.dependencies WHERE version_id = v.id)"
            " FROM catalog.versions AS v WHERE item_id = %s ORDER BY age_rank",
            (id,),
        )
        answered = [
            (version["version"], sum(len(place["any_of"]) for place in version["dependencies"]))
            for version in item["versions"]
        ]
        assert answered == versions


def test_item_links_to_what_it_needs(packs_url, pack_database, busiest):
    item = body(packs_url, f"/items/{busiest['nginx']}")
    assert (item["name"], item["section"]) == ("nginx", "httpd")
    assert "@" in item["maintainer"]["email"]
    needs = [
        choice
        for place in item["versions"][0]["dependencies"]
        for choice in place["any_of"]
        if place["kind"] == "Depends"
    ]
    [libc] = [choice for choice in needs if choice["name"] == "libc6"]
    assert libc["relation"] == ">="
    assert body(packs_url, f"/items/{libc['item_id']}")["name"] == "libc6"


def test_items_are_found_by_word_and_section(packs_url, pack_database):
    found = body(packs_url, "/items?q=nginx&section=httpd&limit=100")
    assert "nginx" in [item["name"] for item in found]
    assert {item["section"] for item in found} == {"httpd"}
    assert all("nginx" in (item["name"] + item["summary"]).lower() for item in found)

    names = [item["name"] for item in body(packs_url, "/items?section=games&limit=10&skip=5")]
    expected = fetch(
        pack_database, "SELECT name FROM catalog.items WHERE section = 'games' ORDER BY name LIMIT 10 OFFSET 5"
    )
    assert names == [name for (name,) in expected]


@pytest.mark.parametrize("query", ["", "?q=", "?q=&section="])
def test_items_without_a_search_are_all_items(packs_url, pack_database, query):
    expected = fetch(pack_database, "SELECT name FROM catalog.items ORDER BY name LIMIT 20")
    assert [item["name"] for item in body(packs_url, "/items" + query)] == [name for (name,) in expected]


@pytest.mark.parametrize("q", ["the", "%27%3B--", "%28%26%7C%21", "xyzzyplugh", "%22"])
def test_a_search_that_finds_nothing_is_an_empty_list(packs_url, q):
    assert body(packs_url, f"/items?q={q}") == []


def test_maintainer_pages_through_their_items(packs_url, pack_database, busiest):
    id = busiest["maintainer"]
    maintainer = body(packs_url, f"/maintainers/{id}?limit=30&skip=15")
    expected = fetch(pack_database, "SELECT name FROM catalog.items WHERE maintainer_id = %s ORDER BY name", (id,))
    assert set(maintainer) == {"id", "name", "email", "item_count", "items"}
    assert maintainer["item_count"] == len(expected)
    assert [item["name"] for item in maintainer["items"]] == [name for (name,) in expected[15:45]]
    assert body(packs_url, f"/maintainers/{id}?skip=10000")["items"] == []


def test_static_data_counts_every_item(packs_url, pack_database):
    sections = body(packs_url, "/static-data")
    assert {section["name"]: section["item_count"] for section in sections} == dict(
        fetch(pack_database, "SELECT section, count(*) FROM catalog.items GROUP BY section")
    )


def test_private_data_ranks_maintainers(packs_url, pack_database):
    ranked = body(packs_url, "/private-data?limit=10")
    expected = fetch(
        pack_database,
        "SELECT m.id, m.name, m.email, count(*) FROM catalog.items JOIN catalog.maintainers AS m"
        " ON m.id = maintainer_id GROUP BY m.id ORDER BY count(*) DESC, m.id LIMIT 10",
    )
    assert [tuple(row[name] for name in ("id", "name", "email", "item_count")) for row in ranked] == expected
