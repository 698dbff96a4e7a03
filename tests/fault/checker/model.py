"""What the checker's pages are made of: tables, routes, and the keys that readers ask for.

Every state of a page has a version of its own, drawn from one sequence, and versions of one page only grow. A page
shows the lowest and the highest version of its rows and how many rows it found: all rows that one transaction changes
carry the same version, so `low` and `high` differ, or `rows` is not what the version says, only when a page is torn.
"""

from typing import NamedTuple

from support import fastcgi

SINGLES, CROWD, PAIRS, TEAMS, GUESTS, AUTHORS, WHOLES = 100, 300, 60, 40, 40, 20, 6
NOTES = 2 * AUTHORS

SCHEMA = f"""
CREATE SEQUENCE versions;
CREATE TABLE ones (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0, unread int NOT NULL DEFAULT 0);
INSERT INTO ones (id) SELECT generate_series(1, {SINGLES + CROWD});
CREATE TABLE lefts (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
CREATE TABLE rights (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO lefts (id) SELECT generate_series(1, {PAIRS});
INSERT INTO rights (id) SELECT id FROM lefts;
CREATE TABLE members (team int, place int, version bigint NOT NULL DEFAULT 0, PRIMARY KEY (team, place));
INSERT INTO members SELECT generate_series(1, {TEAMS}), 1;
CREATE TABLE guests (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO guests SELECT generate_series(1, {GUESTS});
CREATE TABLE authors (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
CREATE TABLE notes (id int PRIMARY KEY, author int NOT NULL, version bigint NOT NULL DEFAULT 0);
INSERT INTO authors SELECT generate_series(1, {AUTHORS});
INSERT INTO notes SELECT id, (id + 1) / 2 FROM generate_series(1, {NOTES}) AS id;
CREATE TABLE wholes (id int NOT NULL, version bigint NOT NULL DEFAULT 0) PARTITION BY LIST (id);
CREATE TABLE wholes_low PARTITION OF wholes FOR VALUES IN (1, 2, 3);
CREATE TABLE wholes_high PARTITION OF wholes DEFAULT;
INSERT INTO wholes SELECT generate_series(1, {WHOLES});
CREATE VIEW shown AS SELECT id, version FROM wholes;
CREATE TABLE sentinel (version int NOT NULL);
INSERT INTO sentinel VALUES (0);
"""

CACHE = "-- @cache ttl=300s negative=300s"
ONE = "SELECT version AS low, version AS high, 1 AS rows FROM ones WHERE id = :id"


def row(path, *lines):
    return "\n".join([f"-- @http GET {path}", "-- @result row", *lines, ""])


ROUTES = {
    "one": row("/ones/{id}", CACHE, "-- @depends ones.id = :id", ONE),
    "far": row("/far/{id}", f"{CACHE} l1=off", "-- @depends ones.id = :id", ONE),
    "uncached": row("/uncached/{id}", ONE),
    "pair": row("/pairs/{id}", CACHE, "-- @depends lefts.id = :id", "-- @depends rights.id = :id",
                "SELECT l.version AS low, r.version AS high, 2 AS rows FROM lefts l JOIN rights r USING (id)"
                " WHERE l.id = :id"),
    "team": row("/teams/{team}", CACHE, "-- @depends members.team = :team",
                "SELECT min(version) AS low, max(version) AS high, count(*) AS rows FROM members WHERE team = :team"),
    "guest": row("/guests/{id}", CACHE, "-- @depends guests.id = :id",
                 "SELECT version AS low, version AS high, 1 AS rows FROM guests WHERE id = :id"),
    "note": row("/notes/{id}", CACHE, "-- @depends notes.id = :id", "-- @depends authors.id = author",
                "SELECT n.version AS low, a.version AS high, 2 AS rows, a.id AS author"
                " FROM notes n JOIN authors a ON a.id = n.author WHERE n.id = :id"),
    "whole": row("/wholes/{id}", CACHE,
                 "SELECT version AS low, version AS high, 1 AS rows FROM shown WHERE id = :id"),
    "sentinel": row("/sentinel", CACHE, "SELECT version FROM sentinel"),
}


class Target(NamedTuple):
    """A page that readers ask for; `page` and `id` name its history, which several routes may show."""

    path: str
    page: str
    id: int
    cached: bool = True

    @property
    def key(self):
        return self.page, self.id


def expected_rows(page, version):
    """How many rows the page has at that version."""
    return {"pair": 2, "note": 2, "team": 1 + version % 3}.get(page, 1)


def weighted():
    """(target, weight): a few keys are hot, so that staleness shows finely; most are cold, so that old entries lie."""
    for number in range(1, SINGLES + CROWD + 1):
        yield Target(f"/ones/{number}", "one", number), 60 if number <= 8 else 1
        yield Target(f"/far/{number}", "one", number), 8 if number <= 8 else 1
        if number % 20 == 1:
            yield Target(f"/uncached/{number}", "one", number, cached=False), 2
    for route, page, count, weight in (("pairs", "pair", PAIRS, 7), ("teams", "team", TEAMS, 7),
                                       ("guests", "guest", GUESTS, 5), ("notes", "note", NOTES, 7),
                                       ("wholes", "whole", WHOLES, 30)):
        for number in range(1, count + 1):
            yield Target(f"/{route}/{number}", page, number), weight


def targets():
    """Every target as often as it weighs, as the readers' file has them."""
    return [target for target, weight in weighted() for _ in range(weight)]


def encode(each):
    """One request as the reader sends it, its length before it."""
    pairs = b"".join(fastcgi.pair(name, value) for name, value in fastcgi.cgi_params(each.path).items())
    request = fastcgi.begin(keep=True) + fastcgi.stream(fastcgi.PARAMS, pairs) + fastcgi.stream(fastcgi.STDIN, b"")
    return len(request).to_bytes(4, "little") + request
