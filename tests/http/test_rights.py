"""Rights on what a route reads through: an answer kept for a role is asked anew when rights that it took change."""

import pytest

from support import tokens
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, keep, time_left
from support.tokens import bearer
from support.waiting import wait_until

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rights_reader') THEN
        CREATE ROLE rights_reader; CREATE ROLE rights_owner;
        GRANT rights_reader, rights_owner TO larder;
    END IF;
END $$;
"""
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL); INSERT INTO words VALUES (1, 'w');
GRANT SELECT ON words TO rights_reader;
CREATE VIEW shown AS SELECT id, word FROM words; GRANT SELECT ON shown TO rights_reader;
CREATE VIEW inner_view AS SELECT id, word FROM words; CREATE VIEW outer_view AS SELECT id, word FROM inner_view;
GRANT CREATE ON SCHEMA public TO rights_owner; GRANT SELECT ON outer_view TO rights_reader;
ALTER VIEW outer_view OWNER TO rights_owner; GRANT SELECT ON inner_view TO rights_owner;
CREATE VIEW columns AS SELECT id, word FROM words; GRANT SELECT (id, word) ON columns TO rights_reader;
CREATE MATERIALIZED VIEW kept AS SELECT id, word FROM words; GRANT SELECT ON kept TO rights_reader;
CREATE MATERIALIZED VIEW kept_columns AS SELECT id, word FROM words;
GRANT SELECT (id, word) ON kept_columns TO rights_reader;
CREATE FUNCTION loud(word text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(word)';
CREATE FUNCTION louder(word text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN upper(word); END';
CREATE FUNCTION spoken(number int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC SELECT word FROM words WHERE id = number; END;
REVOKE EXECUTE ON FUNCTION loud, louder, spoken FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loud, louder, spoken TO rights_reader;
CREATE TABLE owned (id int PRIMARY KEY, word text NOT NULL); INSERT INTO owned VALUES (1, 'w');
CREATE MATERIALIZED VIEW kept_owned AS SELECT id, word FROM words;
CREATE TABLE lent (id int PRIMARY KEY, word text NOT NULL); INSERT INTO lent VALUES (1, 'w');
CREATE SCHEMA own; CREATE TABLE own.words (id int PRIMARY KEY, word text NOT NULL);
INSERT INTO own.words VALUES (1, 'w');
GRANT SELECT ON own.words TO rights_reader;
"""
ASKS = {
    "shown": "SELECT word FROM shown WHERE id = 1",
    "outer_view": "SELECT word FROM outer_view WHERE id = 1",
    "columns": "SELECT word FROM columns WHERE id = 1",
    "kept": "SELECT word FROM kept WHERE id = 1",
    "kept_columns": "SELECT word FROM kept_columns WHERE id = 1",
    "loud": "SELECT loud(word) AS word FROM words WHERE id = 1",
    "louder": "SELECT louder(word) AS word FROM words WHERE id = 1",
    "spoken": "SELECT spoken(1) AS word",
    "built_in": "SELECT initcap(word) AS word FROM words WHERE id = 1",
    "owned": "SELECT word FROM owned WHERE id = 1",
    "kept_owned": "SELECT word FROM kept_owned WHERE id = 1",
    "schema_owned": "SELECT word FROM own.words WHERE id = 1",
    "lent": "SELECT word FROM lent WHERE id = 1",
}
ROUTES = SENTINEL_ROUTE | {
    name: f"-- @http GET /{name}\n-- @result row\n-- @auth required rls\n-- @cache ttl=300s\n{ask}\n"
    for name, ask in ASKS.items()}


@pytest.fixture(scope="module")
def shared(shared_stack, lazy_postgres, tmp_path_factory):
    lazy_postgres().execute(ROLES)
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True, nginx=False,
                        env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key", LARDER_GUARD_TTL="2s"))


@pytest.fixture
def served(shared):
    barrier(shared)
    return shared


def refused_after(served, target, role, change, back):
    """An answer that would be kept for its whole ttl is refused once the right is gone, and given once it is back."""
    def ask():
        return served.direct(target, headers=bearer("ann", role=role))

    keep(ask)
    wait_until(lambda: time_left(ask()) > 60, 30, "an answer kept for long")
    served.postgres.execute(change, None, served.database, "postgres")
    try:
        wait_until(lambda: ask().status == 403, 20, "an answer that is refused")
    finally:
        served.postgres.execute(back, None, served.database, "postgres")
    wait_until(lambda: ask().status == 200, 20, "an answer again")


@pytest.mark.parametrize("target, change, back", [
    ("/shown", "REVOKE SELECT ON shown FROM rights_reader", "GRANT SELECT ON shown TO rights_reader"),
    ("/outer_view", "REVOKE SELECT ON inner_view FROM rights_owner", "GRANT SELECT ON inner_view TO rights_owner"),
    ("/columns", "REVOKE SELECT (word) ON columns FROM rights_reader", "GRANT SELECT (word) ON columns TO rights_reader"),
    ("/kept", "REVOKE SELECT ON kept FROM rights_reader", "GRANT SELECT ON kept TO rights_reader"),
    ("/kept_columns", "REVOKE SELECT (word) ON kept_columns FROM rights_reader",
     "GRANT SELECT (word) ON kept_columns TO rights_reader"),
    ("/loud", "REVOKE EXECUTE ON FUNCTION loud FROM rights_reader", "GRANT EXECUTE ON FUNCTION loud TO rights_reader"),
    ("/louder", "REVOKE EXECUTE ON FUNCTION louder FROM rights_reader",
     "GRANT EXECUTE ON FUNCTION louder TO rights_reader"),
    ("/spoken", "REVOKE EXECUTE ON FUNCTION spoken FROM rights_reader",
     "GRANT EXECUTE ON FUNCTION spoken TO rights_reader"),
    ("/built_in", "REVOKE EXECUTE ON FUNCTION initcap(text) FROM PUBLIC",
     "GRANT EXECUTE ON FUNCTION initcap(text) TO PUBLIC"),
])
def test_a_right_taken_away_is_heard_of(served, target, change, back):
    refused_after(served, target, "rights_reader", change, back)


@pytest.mark.parametrize("target, thing, role", [
    ("/owned", "TABLE owned", "larder"),
    ("/kept_owned", "MATERIALIZED VIEW kept_owned", "larder"),
    ("/schema_owned", "SCHEMA own", "larder"),
])
def test_another_owner_is_heard_of(served, target, thing, role):
    """Who owns a thing has all rights on it, though no list of rights says so."""
    served.postgres.execute(f"ALTER {thing} OWNER TO rights_reader", None, served.database, "postgres")
    refused_after(served, target, "rights_reader", f"ALTER {thing} OWNER TO {role}",
                  f"ALTER {thing} OWNER TO rights_reader")


@pytest.mark.parametrize("target, thing", [
    ("/owned", "TABLE owned"), ("/kept_owned", "MATERIALIZED VIEW kept_owned"), ("/schema_owned", "SCHEMA own")])
def test_an_owner_for_a_moment_is_heard_of(served, target, thing):
    """Between two looks of larderd at definitions: at both the owner is the same."""
    def ask():
        return served.direct(target, headers=bearer("ann", role="rights_reader"))

    def own(role):
        served.postgres.execute(f"ALTER {thing} OWNER TO {role}", None, served.database, "postgres")

    own("larder")
    wait_until(lambda: ask().status == 403, 20, "the owner of before refused")
    barrier(served)
    served.larderd.pause()
    try:
        own("rights_reader")
        wait_until(lambda: time_left(ask()) > 60, 30, "an answer kept for long")
        own("larder")
    finally:
        served.larderd.resume()
    wait_until(lambda: ask().status == 403, 20, "an answer that is refused")


def test_another_owner_of_the_database_is_heard_of(served):
    """Members of pg_database_owner have what is that role's, and no list tells who they are."""
    change = f'ALTER DATABASE "{served.database}" OWNER TO'
    owner, = served.sql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")[0]
    served.postgres.execute(f"ALTER TABLE lent OWNER TO pg_database_owner; {change} rights_reader", None,
                            served.database, "postgres")
    refused_after(served, "/lent", "rights_reader", f"{change} {owner}", f"{change} rights_reader")
