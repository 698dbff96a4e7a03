"""Tables and routes of the tests of which tags a write leaves in the outbox, and these tags."""

import contextlib

from .install import Installed

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE users (id bigint PRIMARY KEY, name text, age int, note text, mood mood);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
                    title text, hidden text);
CREATE TABLE odd (id int PRIMARY KEY, price numeric, body json, place point, score float8, unread json);
CREATE TABLE lines (kind text, n int, label text);
CREATE TABLE parted (id int, day int, what text) PARTITION BY RANGE (day);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE TABLE shards (id int, what text) PARTITION BY RANGE (id);
CREATE TABLE shards_a PARTITION OF shards FOR VALUES FROM (0) TO (10);
CREATE TABLE shards_b PARTITION OF shards FOR VALUES FROM (10) TO (20);
CREATE TABLE cities (name text, people int);
CREATE TABLE capitals (country text) INHERITS (cities);
CREATE TABLE "Odd Table" ("Id" int PRIMARY KEY, "it's" text);
CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int);
CREATE TABLE bystanders (id int);
CREATE TABLE papers (id int, text text, views int);
CREATE TABLE plans (id int, owner int, kind text, mood mood, step int, title text, body text);
CREATE TABLE cards (id int, owner int, title text, body text);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "ages": "SELECT age FROM users",
    "number": "SELECT count(*) FROM posts",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT id, title FROM posts WHERE user_id = :user",
    "odd": "SELECT price, body, place::text, score FROM odd",
    "lines": "-- @param kind\n-- @depends lines.kind = :kind\nSELECT n FROM lines WHERE kind = :kind",
    "parted": "SELECT what FROM parted",
    "shards": "-- @param id\n-- @depends shards.id = :id\nSELECT what FROM shards WHERE id = :id",
    "cities": "SELECT name FROM cities",
    "made": "SELECT b FROM made",
    "papers": "SELECT id, text FROM papers",
    "paper": "-- @param id\n-- @depends papers.id = :id\nSELECT text FROM papers WHERE id = :id",
    "views": "-- @param id\n-- @depends papers.id = :id\nSELECT views FROM papers WHERE id = :id",
    "plans": "-- @param owner\n-- @param kind text default=null\n-- @param mood mood default=null\n"
             "-- @depends plans.owner = :owner and kind = :kind and mood = :mood\n"
             "SELECT step FROM plans WHERE owner = :owner AND kind = :kind AND mood = :mood",
    "cards": "-- @param owner\n-- @depends cards.owner = :owner\n-- @depends cards.id = id for title, body\n"
             "SELECT id, title, body FROM cards WHERE owner = :owner",
    "titles": "-- @depends cards.id = id for title\nSELECT id, title FROM cards LIMIT 100",
    "quoted": "SELECT \"it's\" FROM \"Odd Table\"",
}
AGES, NAMES, NUMBER = "public.users(age)", "public.users(id,name)", "public.posts()"
POSTS, LINES = "public.posts(id,title,user_id)", "public.lines(kind,n)"
ODD, PARTED, CITIES, CAPITALS = "public.odd(body,place,price,score)", "public.parted(what)", "public.cities(name)", \
    "public.capitals(name)"
MADE = "public.made(b)"
PAPERS, VIEWS = "public.papers(id,text)", "public.papers(id,views)"
PLANS, CARDS = "public.plans(kind,mood,owner,step)", "public.cards(id,owner)"
QUOTED = "public.\"Odd Table\"(\"it's\")"


@contextlib.contextmanager
def made(server, folder):
    """The database, installed, and a role `writer`."""
    installed = Installed(server, folder, SCHEMA, ROUTES)
    installed.sql("CREATE ROLE writer LOGIN", user="postgres")
    installed.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO writer")
    installed.install()
    yield installed
    installed.server.drop_database(installed.name)
    installed.server.execute("DROP ROLE writer")


def fill(database):
    """Empty tables but for users 1, 2, 3 and three posts of user 1."""
    database.sql("TRUNCATE users, posts, odd, lines, made, shards, parted, cities, papers, plans, cards, \"Odd Table\"")
    database.sql("INSERT INTO users SELECT i, 'name ' || i, i, 'note', 'sad' FROM generate_series(1, 3) AS i")
    database.sql("INSERT INTO posts SELECT i, 1, 'title ' || i, 'hidden' FROM generate_series(1, 3) AS i")
    return database


def of_user(*ids):
    return sorted(f"{POSTS}.user_id={each}" for each in ids)
