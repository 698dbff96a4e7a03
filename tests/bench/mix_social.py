"""System A, a social feed: what is asked for and written, and the figures it reported."""

import random
from collections import defaultdict

from .zipf import Zipf

KEY, NAME = "social", "A, the social feed"
OWN_TIMES = {"feeds": "800 → 150", "users": "500 → 100", "follows": "600 → 120", "stats": "400 → 200",
             None: ""}
OWN_HITS, OWN_QUERIES, OWN_CPU = "82 %", "−82 %", "65 → 12 %"

USERS, FEEDS, PAGES, PAGE = 2000, 2000, 5, 20
READS = {"feeds": 60, "users": 25, "follows": 10, "stats": 5}
# Of a hundred. Liking and commenting is two statements: the author is told.
WRITES = {"like": 60, "look": 25, "comment": 7, "profile": 5, "feed": 3}

# Who likes a feed already likes it no more: so the count changes each time.
LIKE = """WITH gone AS (DELETE FROM social.likes WHERE feed_id = %(feed)s AND user_id = %(user)s RETURNING 1)
INSERT INTO social.likes (feed_id, user_id) SELECT %(feed)s, %(user)s WHERE NOT EXISTS (SELECT FROM gone)
ON CONFLICT DO NOTHING"""
COMMENT = "INSERT INTO social.comments (feed_id, user_id, content) VALUES (%(feed)s, %(user)s, 'Well done.')"
NOTIFY = """INSERT INTO social.notifications (user_id, actor_id, kind, feed_id)
SELECT user_id, %(user)s, %(kind)s, id FROM social.feeds WHERE id = %(feed)s"""
LOOK = "UPDATE social.notifications SET read_at = now() WHERE user_id = %(user)s AND read_at IS NULL"
PROFILE = "UPDATE social.users SET display_name = %(name)s WHERE id = %(user)s"
FEED = """INSERT INTO social.feeds (user_id, content, id)
VALUES (%(user)s, 'Just started a new page.', %(feed)s)"""


class System:
    """Draws reads and writes. Knows which addresses a write changes, for which it follows the newest feeds."""

    STATEMENTS = 1 + (WRITES["like"] + WRITES["comment"]) / 100  # of an action, on average

    def __init__(self, field, seed):
        self.random = random.Random(seed)
        rows = field.postgres.execute(f"SELECT id, user_id FROM social.feeds ORDER BY created_at DESC, id DESC "
                                      f"LIMIT {FEEDS}", database="bench")
        self.newest = list(rows)
        self.next_feed = field.postgres.execute("SELECT max(id) + 1 FROM social.feeds", database="bench")[0][0]
        self.users = Zipf.shuffled(self.random, range(1, min(USERS, self.next_feed // 10) + 1))
        self.feeds = Zipf.shuffled(self.random, (feed for feed, _ in rows))
        self.pages = Zipf(self.random, range(PAGES))
        self.shown_to = followers(field, len(self.users.keys))
        self.written = 0

    def everything(self):
        return ([page(number) for number in range(PAGES)] + [f"/users/{user}" for user in self.users.keys]
                + [follows(user) for user in self.users.keys] + [stats(feed) for feed in self.feeds.keys])

    def read(self):
        kind = self.random.choices(list(READS), READS.values())[0]
        return kind, {"feeds": lambda: page(self.pages.choose()), "users": lambda: f"/users/{self.users.choose()}",
                      "follows": lambda: follows(self.users.choose()), "stats": lambda: stats(self.feeds.choose())}[kind]()

    def write(self):
        """([(statement, values)], the addresses whose answers they change)."""
        kind = self.random.choices(list(WRITES), WRITES.values())[0]
        self.written += 1
        return getattr(self, kind)(self.users.choose())

    def react(self, user, kind, statement):
        feed = self.feeds.choose()
        values = {"feed": feed, "user": user, "kind": kind}
        return [(statement, values), (NOTIFY, values)], [stats(feed), *self.pages_with(lambda row: row[0] == feed)]

    def like(self, user):
        return self.react(user, "like", LIKE)

    def comment(self, user):
        return self.react(user, "comment", COMMENT)

    def look(self, user):
        """At the notifications, which then are read."""
        return [(LOOK, {"user": user})], []

    def profile(self, user):
        changed = [f"/users/{user}", *(follows(each) for each in self.shown_to[user]),
                   *self.pages_with(lambda row: row[1] == user)]
        return [(PROFILE, {"user": user, "name": f"Renamed {self.written}"})], changed

    def feed(self, user):
        feed = self.next_feed
        self.next_feed += 1
        self.newest.insert(0, (feed, user))
        return [(FEED, {"user": user, "feed": feed})], [f"/users/{user}", *map(page, range(PAGES))]

    def pages_with(self, wanted):
        return [page(number) for number in range(PAGES)
                if any(map(wanted, self.newest[number * PAGE:(number + 1) * PAGE]))]


def followers(field, users):
    """For each user the followers whose list shows them."""
    rows = field.postgres.execute(
        "SELECT follower_id, followee_id FROM (SELECT follower_id, followee_id, row_number() OVER "
        "(PARTITION BY follower_id ORDER BY created_at DESC, followee_id DESC) AS place FROM social.follows "
        f"WHERE follower_id <= {users}) AS lists WHERE place <= 100", database="bench")
    shown = defaultdict(list)
    for follower, followee in rows:
        shown[followee].append(follower)
    return shown


def page(number):
    return f"/feeds?skip={number * PAGE}&limit={PAGE}"


def follows(user):
    return f"/follows?user_id={user}"


def stats(feed):
    return f"/stats?feed_id={feed}"
