"""The tables and routes of the tests of what `larder install` does to a database, and a role that owns nothing."""

import contextlib

from .install import Installed

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, name text, age int);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint, title text);
CREATE TABLE days (day int) PARTITION BY RANGE (day);
CREATE TABLE days_a PARTITION OF days FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS posts FROM posts GROUP BY user_id;
CREATE UNIQUE INDEX totals_key ON totals (user_id);
CREATE VIEW adults AS SELECT id FROM users WHERE age > 17;
CREATE TABLE bystanders (id int);
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN grade AS int CONSTRAINT low CHECK (VALUE > 0);
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, language = english);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT id, title FROM posts WHERE user_id = :user",
    "days": "SELECT day FROM days",
    "totals": "SELECT * FROM totals",
}
NAMES, POSTS, DAYS, TOTALS = "public.users(id,name)", "public.posts(id,title,user_id).user_id=*", "public.days(day)", \
    "public.totals(posts,user_id)"


@contextlib.contextmanager
def example(server, folder):
    made = Installed(server, folder, SCHEMA, ROUTES)
    yield made
    made.server.drop_database(made.name)


@contextlib.contextmanager
def ordinary_role(database):
    """An ordinary role that owns nothing."""
    database.sql("CREATE ROLE other LOGIN", user="postgres")
    yield "other"
    database.sql("DROP OWNED BY other CASCADE", user="postgres")
    database.sql("DROP ROLE other", user="postgres")
