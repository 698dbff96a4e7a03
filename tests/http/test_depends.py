"""What a route reads: `larder routes --depends`, and what `larder check` notes and refuses."""

import os
import re
import subprocess

import pytest

from support.paths import program
from support.stack import clean_environment

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE users (id bigint PRIMARY KEY, name text, email text COLLATE anycase, born date, mood mood, boss_id bigint);
CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint, title text, body text, ref uuid, short varchar(20));
CREATE SCHEMA other;
CREATE TABLE other.posts (id int, note text);
CREATE TABLE "Odd Table" ("Id" int, "select" text);

CREATE VIEW post_titles AS SELECT id, user_id, title FROM posts;
CREATE VIEW titled_users AS SELECT u.name, t.title FROM users AS u JOIN post_titles AS t ON t.user_id = u.id;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS posts, max(title) AS last FROM posts GROUP BY user_id;

CREATE TABLE events (id int, day date, what text) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);

CREATE TABLE cities (name text, people int);
CREATE TABLE capitals (people int, country text, name text);
ALTER TABLE capitals INHERIT cities;
CREATE TABLE crowned (king text) INHERITS (capitals);

CREATE FUNCTION open_sql(who bigint) RETURNS text LANGUAGE sql STABLE RETURN (SELECT name FROM users WHERE id = who);
CREATE FUNCTION open_block(who bigint) RETURNS bigint LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT count(*) FROM posts WHERE user_id = who AND open_sql(who) IS NOT NULL; END;
CREATE FUNCTION closed_sql(who bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM users WHERE id = who';
CREATE FUNCTION closed_block(who bigint) RETURNS text LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN (SELECT name FROM users WHERE id = who); END';
CREATE FUNCTION pure_block(who bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN who + 1; END';
CREATE FUNCTION step(state bigint, who bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN state; END';
CREATE AGGREGATE total(bigint) (SFUNC = step, STYPE = bigint, INITCOND = '0');
CREATE OPERATOR |%| (FUNCTION = closed_sql, RIGHTARG = bigint);
CREATE VIEW hiding AS SELECT id, closed_block(id) AS name FROM posts;

CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int, what text) SERVER elsewhere;
CREATE FOREIGN TABLE far_events PARTITION OF events DEFAULT SERVER elsewhere;
CREATE SEQUENCE numbers;

CREATE TABLE secrets (id int, owner text, what text);
CREATE TABLE members (name text, role text);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (owner IN (SELECT name FROM members WHERE role = 'reader'));
"""

OWN_PLANS = 6  # of a route: its own statement's, and those that set how long its locks are waited for


@pytest.fixture(scope="module")
def database(lazy_postgres):
    """libpq's variables for a database with every kind of thing a statement can read."""
    server = lazy_postgres()
    name = server.create_database()
    server.execute("ALTER ROLE larder SUPERUSER")
    server.execute(SCHEMA, database=name, user="larder")
    server.execute("ALTER ROLE larder NOSUPERUSER")
    yield server.environment | {"PGDATABASE": name}
    server.drop_database(name)


@pytest.fixture
def ask(tmp_path, database):
    return Asking(f"{tmp_path}/routes", database)


class Asking:
    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment
        os.makedirs(folder)

    def larder(self, command, *arguments, **environment):
        ended = subprocess.run([program("larder"), command, *arguments, self.folder], check=False, capture_output=True,
                               text=True, timeout=20, env=clean_environment() | self.environment | environment)
        assert ended.stderr == ""
        return ended.returncode, ended.stdout.splitlines()

    def route(self, statement, *annotations, path="/x", cache="@cache ttl=1m"):
        """Makes the folder hold this one route; the statement stands on the line after the annotations."""
        lines = [f"@http GET {path}", cache, *annotations]
        names = dict.fromkeys(re.findall(r"(?<!:):([a-z]+)", statement))
        lines += [f"@param {name}" for name in names if name not in ("now", "today") and f"@param {name} " not in
                  " ".join(lines) and f"{{{name}}}" not in path]
        with open(f"{self.folder}/x.sql", "w", encoding="utf-8") as route:
            route.write("".join(f"-- {line}\n" for line in lines) + statement)
        return self

    def reads(self):
        """{table: (kind, how it is narrowed, columns)}"""
        status, lines = self.larder("routes", "--depends")
        assert status == 0, self.larder("check")
        rows = [re.split(r"  +", line) for line in lines]
        assert rows[0] == ["METHOD", "PATH", "TABLE", "KIND", "NARROWED", "COLUMNS"]
        return {row[2]: tuple(row[3:]) for row in rows[1:]}

    def columns(self):
        return {table: cells[2] for table, cells in self.reads().items()}

    def notes(self, unwatched=False):
        """The notes of `larder check`, which must find no fault; by default without those that ask to install."""
        status, lines = self.larder("check")
        assert status == 0, lines
        notes = [line.split(": note: ")[1] for line in lines if ": note: " in line]
        return [note for note in notes if unwatched or "larder install" not in note]

    def fault(self):
        status, lines = self.larder("check")
        assert status == 1 and len(lines) == 2, lines
        return lines[0].removeprefix(f"{self.folder}/")


# Tables and columns

READS = {
    "columns": ("SELECT title FROM posts", {"public.posts": "title"}),
    "where": ("SELECT title FROM posts WHERE user_id = :u", {"public.posts": "title, user_id"}),
    "order": ("SELECT title FROM posts ORDER BY id", {"public.posts": "id, title"}),
    "join": ("SELECT p.title, u.name FROM posts AS p JOIN users AS u ON u.id = p.user_id",
             {"public.posts": "title, user_id", "public.users": "id, name"}),
    "join-using": ("SELECT p.title, n.note FROM posts AS p JOIN other.posts AS n USING (id)",
                   {"public.posts": "id, title", "other.posts": "id, note"}),
    "same-table-twice": ("SELECT a.title, b.body FROM posts AS a CROSS JOIN posts AS b", {"public.posts": "body, title"}),
    "star": ("SELECT * FROM other.posts", {"other.posts": "id, note"}),
    "whole-row": ("SELECT row_to_json(p) AS j FROM other.posts AS p", {"other.posts": "id, note"}),
    "whole-row-of-a-join": ("SELECT row_to_json(j) AS j FROM (other.posts AS p CROSS JOIN cities AS c) AS j",
                            {"other.posts": "id, note", "public.capitals": "name, people", "public.cities": "name, people",
                             "public.crowned": "name, people"}),
    "whole-row-of-a-subselect": ("SELECT row_to_json(p) AS j FROM (SELECT id FROM other.posts) AS p", {"other.posts": "id"}),
    "system-column": ("SELECT xmin::text AS x FROM other.posts", {"other.posts": "id, note"}),
    "count": ("SELECT count(*) FROM posts", {"public.posts": "(number of rows)"}),
    "exists": ("SELECT EXISTS (SELECT FROM posts) AS any", {"public.posts": "(number of rows)"}),
    "group-by-key": ("SELECT p.id, p.title, count(*) FROM posts AS p JOIN users AS u ON u.boss_id = p.user_id GROUP BY p.id",
                     {"public.posts": "id, title, user_id", "public.users": "boss_id"}),
    "window": ("SELECT id, rank() OVER (PARTITION BY user_id ORDER BY title) AS r FROM posts",
               {"public.posts": "id, title, user_id"}),
    "lateral": ("SELECT u.id, p.title FROM users AS u CROSS JOIN LATERAL"
                " (SELECT title FROM posts WHERE user_id = u.id LIMIT :n) AS p",
                {"public.users": "id", "public.posts": "title, user_id"}),
    "cte": ("WITH mine AS (SELECT id FROM users WHERE name = :name), more AS MATERIALIZED (SELECT * FROM mine)"
            " SELECT p.title FROM posts AS p JOIN more ON more.id = p.user_id",
            {"public.users": "id, name", "public.posts": "title, user_id"}),
    "recursive": ("WITH RECURSIVE up AS (SELECT id, boss_id FROM users WHERE id = :id UNION"
                  " SELECT u.id, u.boss_id FROM users AS u JOIN up ON up.boss_id = u.id) SELECT id FROM up",
                  {"public.users": "boss_id, id"}),
    "union": ("SELECT title FROM posts UNION SELECT name FROM users EXCEPT SELECT note FROM other.posts",
              {"public.posts": "title", "public.users": "name", "other.posts": "note"}),
    "subselects": ("SELECT (SELECT max(title) FROM posts) AS t WHERE EXISTS (SELECT FROM users WHERE id IN"
                   " (SELECT id FROM other.posts))",
                   {"public.posts": "title", "public.users": "id", "other.posts": "id"}),
    "values": ("VALUES (1), (2)", {"-": "-"}),
    "table": ("TABLE other.posts", {"other.posts": "id, note"}),
    "odd-names": ('SELECT "Id", "select" FROM "Odd Table" -- the end', {'public."Odd Table"': '"Id", "select"'}),
    "two-columns-of-one-name": ("SELECT count(*) FROM (SELECT a.id, b.id FROM posts AS a, users AS b) AS x",
                                {"public.posts": "id", "public.users": "id"}),
    "no-view-could-have-this-column": ("SELECT ROW(id, title) AS r FROM posts", {"public.posts": "id, title"}),
    "parameters-of-all-kinds": ("SELECT id FROM posts WHERE ref = :ref AND short = :short AND id = ANY (:ids)"
                                " AND title = (:titles::text[])[2] LIMIT :limit OFFSET :skip",
                                {"public.posts": "id, ref, short, title"}),
    "view": ("SELECT title FROM post_titles", {"public.posts": "id, title, user_id"}),
    "view-of-views": ("SELECT name FROM titled_users", {"public.posts": "id, title, user_id", "public.users": "id, name"}),
    "partition": ("SELECT what FROM events_old", {"public.events_old": "what"}),
    "children": ("SELECT people FROM cities", {f"public.{each}": "people" for each in ("cities", "capitals", "crowned")}),
    "only": ("SELECT people FROM ONLY cities", {"public.cities": "people"}),
    "only-and-all": ("SELECT c.people FROM ONLY cities AS c WHERE c.name IN (SELECT name FROM cities)",
                     {f"public.{each}": "name, people" for each in ("cities", "capitals", "crowned")}),
    "child-too": ("SELECT c.people, k.king FROM capitals AS c, ONLY crowned AS k",
                  {"public.capitals": "people", "public.crowned": "king, people"}),
    "sql-function": ("SELECT open_sql(:id) AS name", {"public.users": "id, name"}),
    "sql-functions-in-each-other": ("SELECT open_block(:id) AS n", {"public.posts": "user_id", "public.users": "id, name"}),
    "row-security": ("SELECT what FROM secrets", {"public.secrets": "owner, what", "public.members": "name, role"}),
}


@pytest.mark.parametrize("name", READS)
def test_tables_and_columns(ask, name):
    statement, expected = READS[name]
    ask.route(statement)
    assert ask.columns() == expected
    assert ask.notes() == []


def test_kinds(ask):
    ask.route("SELECT t.last, e.what, p.note FROM totals AS t, events AS e, other.posts AS p")
    assert ask.reads() == {
        "other.posts": ("table", "-", "note"), "public.events": ("partitioned", "-", "what"),
        "public.far_events": ("foreign", "-", "what"), "public.totals": ("materialized", "-", "last")}


def test_nothing_is_left_in_the_database(ask, lazy_postgres):
    ask.route("SELECT title FROM post_titles").reads()
    assert lazy_postgres().execute("SELECT count(*) FROM pg_class WHERE relname = 'larder_route'",
                                   database=ask.environment["PGDATABASE"]) == [(0,)]


def planned(ask, server, count):
    """How often PostgreSQL makes a plan while it is asked about so many routes."""
    name = ask.environment["PGDATABASE"]
    for number in range(count):
        with open(f"{ask.folder}/r{number}.sql", "w", encoding="utf-8") as route:
            route.write(f"-- @http GET /r{number}\n-- @cache ttl=1m\n"
                        "SELECT t.title, u.name FROM post_titles AS t JOIN users AS u ON u.id = t.user_id")
    server.execute(f'ALTER DATABASE "{name}" SET log_planner_stats = on')
    before = os.path.getsize(server.log)
    ask.larder("routes", "--depends")
    server.execute(f'ALTER DATABASE "{name}" RESET log_planner_stats')
    with open(server.log, encoding="utf-8") as log:
        log.seek(before)
        return log.read().count("PLANNER STATISTICS")


def test_what_is_asked_of_each_route_is_planned_once(ask, lazy_postgres):
    """Planning would take most of the time of a thousand routes."""
    server = lazy_postgres()
    first = planned(ask, server, 10)
    assert (planned(ask, server, 30) - first) / 20 <= OWN_PLANS


def test_offline_and_other_methods_have_no_dependencies(ask):
    ask.route("SELECT title FROM posts")
    status, lines = ask.larder("routes", "--depends", "--offline")
    assert status == 0 and re.split(r"  +", lines[1]) == ["GET", "/x", "?", "-", "-", "-"]


# Hazards

HAZARDS = {
    "now": ("SELECT now() AS t", ["now() ", ":now"]),
    "now-in-a-view-s-condition": ("SELECT id FROM posts WHERE clock_timestamp() > '2024-01-01'", ["clock_timestamp() ", ":now"]),
    "current-date": ("SELECT id FROM users WHERE born = CURRENT_DATE", ["CURRENT_TIMESTAMP ", ":today"]),
    "age": ("SELECT age(born) AS a FROM users", ["age() ", ":now"]),
    "today": ("SELECT 'today'::date AS d", ["'today' ", "when the statement is prepared", "current_date"]),
    "typed": ("SELECT timestamp with time zone 'Now' AS d", ["'Now' ", "when the statement is prepared"]),
    "cast": ("SELECT CAST('tomorrow 12:00' AS timestamp) AS d", ["'tomorrow 12:00' ", "when the statement is prepared"]),
    "compared": ("SELECT 'today' AS x, id FROM users WHERE name = 'it''s now' AND born = 'yesterday'",
                 ["'yesterday' ", "when the statement is prepared"]),
    "today-beside-a-parameter": ("SELECT id FROM users WHERE id = :id AND born > :day AND born < 'today'",
                                 ["'today' ", "when the statement is prepared"]),
    "today-of-a-text": ("SELECT 'today'::text::date AS d", ["'today' ", ":today"]),
    "snapshot": ("SELECT pg_current_snapshot()::text AS s", ["pg_current_snapshot() ", "another answer each time"]),
    "old-snapshot": ("SELECT txid_current_snapshot()::text AS s", ["txid_current_snapshot() ", "another answer"]),
    "server-s-start": ("SELECT pg_postmaster_start_time() AS t", ["pg_postmaster_start_time() ", "not heard of"]),
    "settings-load": ("SELECT pg_conf_load_time() AS t", ["pg_conf_load_time() ", "not heard of"]),
    "random": ("SELECT random() AS r", ["random() ", "another answer each time"]),
    "uuid": ("SELECT gen_random_uuid() AS r", ["gen_random_uuid() "]),
    "sample": ("SELECT id FROM posts TABLESAMPLE SYSTEM (10)", ["TABLESAMPLE "]),
    "setting": ("SELECT current_setting('TimeZone') AS z", ["current_setting() ", "session"]),
    "foreign": ("SELECT what FROM far", ["public.far ", "foreign table"]),
    "foreign-partition": ("SELECT what FROM events", ["public.far_events ", "foreign table"]),
    "catalogue": ("SELECT relname FROM pg_class", ["pg_catalog.pg_class ", "no triggers"]),
    "catalogue-view": ("SELECT table_name::text AS n FROM information_schema.tables", ["information_schema.tables "]),
    "sequence": ("SELECT last_value FROM numbers", ["public.numbers ", "no triggers"]),
    "size": ("SELECT pg_table_size('posts') AS s", ["pg_table_size() ", "no triggers"]),
    "closed-sql": ("SELECT closed_sql(:id) AS n", ["public.closed_sql() ", "add @depends or @tags"]),
    "closed-plpgsql": ("SELECT closed_block(:id) AS n", ["public.closed_block() ", "add @depends or @tags"]),
    "closed-in-a-view": ("SELECT name FROM hiding", ["public.closed_block() ", "add @depends or @tags"]),
    "closed-aggregate": ("SELECT total(id) AS n FROM posts", ["public.step() ", "add @depends or @tags"]),
    "closed-operator": ("SELECT |%| :id::bigint AS n", ["public.closed_sql() ", "add @depends or @tags"]),
    "query-to-xml": ("SELECT query_to_xml('SELECT 1', true, true, '')::text AS x", ["query_to_xml() ", "@depends"]),
}


@pytest.mark.parametrize("name", HAZARDS)
def test_what_is_beyond_the_tables_is_noted(ask, name):
    statement, words = HAZARDS[name]
    ask.route(statement)
    notes = ask.notes()
    assert len(notes) == 1, notes
    assert notes[0].startswith(words[0]) and all(word in notes[0] for word in words)
    ask.route(statement, cache="@timeout 2s")
    assert ask.notes(unwatched=True) == [], "an answer that is not kept can't be out of date"


@pytest.mark.parametrize("statement", [
    "SELECT 'today' AS t, 'now'::text AS n, ARRAY['now'] AS a FROM users WHERE name = 'today' AND born > '2024-01-01'",
    "SELECT id FROM users WHERE name = 'now' AND $$ 'today'::date $$ = 'yesterday' /* 'today'::date */",
    "SELECT :now AS t", "SELECT id FROM users WHERE born = :today", "SELECT pure_block(:id) AS n",
    "SELECT to_char(born, 'YYYY') || lower(name) || current_user AS t FROM users"])
def test_what_is_no_hazard(ask, statement):
    assert ask.route(statement).notes() == []


def test_tags_answer_for_functions(ask):
    assert ask.route("SELECT closed_sql(:id) AS n", "@tags users").notes() == []
    assert len(ask.route("SELECT closed_sql(:id) AS n, now() AS t", "@tags users").notes()) == 1


def test_a_note_has_the_statement_s_place(ask):
    _, lines = ask.route("SELECT random() AS r", "@tags a").larder("check")
    assert lines[0].startswith(f"{ask.folder}/x.sql:4: note: random() ")


def test_a_role_that_may_not_make_views_is_told_so(ask, lazy_postgres):
    server, name = lazy_postgres(), ask.environment["PGDATABASE"]
    server.execute("CREATE ROLE outsider LOGIN")
    server.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    try:
        ask.route("SELECT title FROM posts")
        status, lines = ask.larder("check", PGUSER="outsider")
        assert status == 0 and "permission denied to create temporary tables" in lines[0]
        assert "not known what the route reads" in lines[0] and "@tags" in lines[0]
        assert ask.larder("routes", "--depends", PGUSER="outsider")[1][1].split() == ["GET", "/x", "?", "-", "-", "-"]
    finally:
        server.execute(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
        server.execute("DROP ROLE outsider")


# @depends

def test_narrowing_by_a_parameter_and_by_the_result(ask):
    ask.route("SELECT p.id, p.title, p.user_id AS author, u.name FROM posts AS p JOIN users AS u ON u.id = p.user_id"
              " WHERE p.user_id = :user", "@param user int", "@depends posts.user_id = :user", "@depends users.id = author")
    assert ask.reads() == {"public.posts": ("table", "user_id = :user", "id, title, user_id"),
                           "public.users": ("table", "id = author", "id, name")}


def test_several_narrowings_of_one_table(ask):
    ask.route("SELECT name FROM users WHERE id = :id OR boss_id = :id OR id = :other",
              "@depends users.id = :id", "@depends users.id = :other", "@depends public.users.boss_id = :id")
    _, lines = ask.larder("routes", "--depends")
    assert [re.split(r"  +", line)[4] for line in lines[1:]] == ["boss_id = :id", "id = :id, id = :other"]


def narrowings(ask):
    """(how it is narrowed, columns) of each line, which are of one table."""
    status, lines = ask.larder("routes", "--depends")
    assert status == 0, ask.larder("check")
    return [tuple(re.split(r"  +", line)[4:]) for line in lines[1:]]


BY_USER = "SELECT id, title, body FROM posts WHERE user_id = :user"


def test_a_line_for_some_columns_leaves_the_rest_to_the_others(ask):
    ask.route(BY_USER, "@param user int", "@depends posts.user_id = :user", "@depends posts.id = id FOR title, posts.body")
    assert narrowings(ask) == [("id = id", "body, title (updates alone)"), ("user_id = :user", "id, user_id")]
    ask.route(BY_USER, "@param user int", "@depends posts.user_id = :user", "@depends posts.id = id for title",
              '@depends posts.id = id for "body", title')
    assert narrowings(ask) == [("id = id", "body, title (updates alone)"), ("user_id = :user", "id, user_id"),
                               ("id = id", "title (updates alone)")]


def test_a_line_for_some_columns_alone_leaves_the_rest_to_the_table(ask):
    ask.route(BY_USER, "@param user int", "@depends posts.id = id for title")
    assert narrowings(ask) == [("-", "body, id, user_id"), ("id = id", "title (updates alone)")]
    ask.route("SELECT title, :v::bigint AS v FROM posts", "@param v bigint", "@depends posts.id = v for title")
    assert narrowings(ask) == [("-", "id"), ("id = v", "title (updates alone)")]


def test_several_columns_narrow_together(ask):
    ask.route("SELECT body FROM posts WHERE user_id = :user AND (:t::text IS NULL OR title = :t)", "@param user int",
              "@param t text default=null", "@depends posts.user_id = :user and title = :t")
    assert narrowings(ask) == [("user_id = :user and title = :t", "body, title, user_id")]
    ask.route("SELECT body, id FROM posts WHERE user_id = :user", "@param user int",
              "@depends posts.user_id = :user AND posts.id = id for body", "@depends posts.user_id = :user")
    assert narrowings(ask) == [("user_id = :user and id = id", "body (updates alone)"), ("user_id = :user", "id, user_id")]


def test_the_narrowing_column_counts_as_read(ask):
    ask.route("SELECT u.name, :id::bigint AS id FROM users AS u", "@depends users.id = :id")
    assert ask.columns() == {"public.users": "id, name"}


def test_children_are_narrowed_with_their_parent(ask):
    ask.route("SELECT people FROM cities WHERE name = :name", "@depends cities.name = :name")
    assert {cells[1] for cells in ask.reads().values()} == {"name = :name"} and len(ask.reads()) == 3


def test_a_table_that_a_function_hides(ask, lazy_postgres):
    ask.route("SELECT closed_sql(:id) AS name", "@depends users.id = :id")
    assert ask.reads() == {"public.users": ("table", "id = :id", "born, boss_id, email, id, mood, name")}
    assert ask.notes() == []
    ask.route("SELECT closed_sql(:id) AS name", "@depends user.id = :id")
    assert 'there is no table "user"' in ask.fault()
    lazy_postgres().execute("CREATE SCHEMA IF NOT EXISTS shut; REVOKE ALL ON SCHEMA shut FROM PUBLIC",
                            database=ask.environment["PGDATABASE"])
    ask.route("SELECT closed_sql(:id) AS name", "@depends shut.away.id = :id")
    assert "permission denied for schema shut" in ask.fault()


@pytest.mark.parametrize("statement, depends", [
    ("SELECT id FROM posts WHERE ref = :v", "posts.ref = :v"),
    ("SELECT id FROM posts WHERE short = :v", "posts.short = :v"),
    ("SELECT id FROM posts WHERE title = :v", 'posts."title" = :v'),
    ("SELECT id FROM users WHERE mood = :v", "public.users.mood = :v"),
    ('SELECT "Id" AS "A b" FROM "Odd Table" WHERE "Id" = :v', '"Odd Table"."Id" = "A b"'),
    ("SELECT id FROM POSTS WHERE ID = :v", "Posts.ID = Id"),
])
def test_types_and_names_to_narrow_by(ask, statement, depends):
    ask.route(statement, f"@depends {depends}")
    assert next(iter(ask.reads().values()))[1] == depends.split(".")[-1]


FAULTS = {
    "not-read": ("SELECT title FROM posts WHERE id = :v", "users.id = :v", ['"users"', "reads public.posts"]),
    "view": ("SELECT title FROM post_titles WHERE id = :v", "post_titles.id = :v", ['"post_titles"', "reads public.posts"]),
    "nothing-read": ("SELECT :v::int AS v", "users.id = :v", ["reads none"]),
    "ambiguous": ("SELECT a.title FROM posts AS a JOIN other.posts AS b USING (id) WHERE id = :v", "posts.id = :v",
                  ["several", "other.posts, public.posts"]),
    "no-column": ("SELECT title FROM posts WHERE id = :v", "posts.idd = :v", ['no column "idd"', "body, id, ref, short"]),
    "type": ("SELECT name FROM users WHERE born = :v", "users.born = :v", ["users.born is of type date", "bigint", "uuid"]),
    "collation": ("SELECT name FROM users WHERE email = :v", "users.email = :v", ["users.email", "collation"]),
    "parameter-s-type": ("SELECT title FROM posts WHERE id::text = :v", "posts.id = :v", ["posts.id is bigint", ":v"]),
    "result-s-type": ("SELECT id::text AS id FROM posts WHERE id = :v", "posts.id = id", ["posts.id is bigint", "of id"]),
    "no-result": ("SELECT title FROM posts WHERE id = :v", "posts.id = id", ['no column "id"', "it has title"]),
    "twice": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v and posts.ID = :v", ['"id" stands twice', "two lines"]),
    "no-second-column": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v and idd = :v", ['no column "idd"', "body, id"]),
    "second-type": ("SELECT ref, title FROM posts WHERE id = :v", "posts.id = :v and ref = title", ["posts.ref is uuid"]),
    "no-for-column": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v for titel", ['no column "titel"', "it has body"]),
    "for-what-is-not-read": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v for title, body",
                             ["does not read posts.body", "it reads id, title"]),
    "for-twice": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v for title, Title", ['"title" stands twice behind']),
    "for-what-narrows": ("SELECT title FROM posts WHERE id = :v", "posts.id = :v for title, id",
                         ['"id" can\'t stand behind "for"', "moves the row"]),
    "parameter-not-used": ("SELECT title FROM posts", "posts.id = :v", ["does not use :v"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_depends_that_does_not_fit_is_a_fault(ask, name):
    statement, depends, words = FAULTS[name]
    fault = ask.route(statement, f"@depends {depends}", path="/x/{v}").fault()
    assert fault.startswith("x.sql:3: @depends: ") and all(word in fault for word in words), fault


# What larder install did

def test_check_asks_to_install_what_has_no_triggers(ask, lazy_postgres):
    server, name = lazy_postgres(), ask.environment["PGDATABASE"]
    ask.route("SELECT p.title, u.name, u.id FROM posts AS p JOIN users AS u ON u.id = p.user_id WHERE p.user_id = :v",
              "@depends posts.user_id = :v")
    notes = ask.notes(unwatched=True)
    assert len(notes) == 1 and notes[0].startswith("public.posts, public.users: ") and "larder install" in notes[0]
    server.execute("""
        CREATE SCHEMA larder AUTHORIZATION larder;
        CREATE TABLE larder.watch (tag text);
        ALTER TABLE larder.watch OWNER TO larder;
        INSERT INTO larder.watch VALUES ('public.posts(title,user_id).user_id=*'), ('public.users(id)')
        """, database=name)
    try:
        notes = ask.notes(unwatched=True)
        assert len(notes) == 1 and notes[0].startswith("public.users: ") and "larder install" in notes[0]
        server.execute("UPDATE larder.watch SET tag = 'public.users(id,name)' WHERE tag ~ 'users'", database=name)
        assert ask.notes(unwatched=True) == []
        server.execute("UPDATE larder.watch SET tag = 'public.posts(title,user_id)' WHERE tag ~ 'posts'", database=name)
        assert [note.split(": ")[0] for note in ask.notes(unwatched=True)] == ["public.posts"]
    finally:
        server.execute("DROP SCHEMA larder CASCADE", database=name)
