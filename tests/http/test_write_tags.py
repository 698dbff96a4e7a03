"""The tags of a write's own transaction: told to the writer at its commit, kept in the outbox until it says struck."""

import pytest

from support.install import Installed
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, name text);
CREATE TABLE posts (id bigint PRIMARY KEY, title text, user_id bigint
                    REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE other (id int);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT title FROM posts WHERE user_id = :user",
}
NAMES, POSTS = "public.users(id,name)", "public.posts(title,user_id)"


@pytest.fixture(params=["session", "transaction"])
def pooling(request):
    return request.param


@pytest.fixture
def database(lazy_postgres, tmp_path):
    made = Installed(lazy_postgres(), tmp_path / "routes", SCHEMA, ROUTES)
    yield made
    made.server.drop_database(made.name)


@pytest.fixture
def installed(database):
    database.install("--to", "larder")
    return database


def writer(database, pooling, user="larder"):
    return Writer(database.environment(user), pooling)


def left(database):
    """The outbox by lanes: what larderd takes at once, and what it leaves to responders."""
    return [[tag for tag, in database.sql(f"SELECT tag FROM larder.outbox WHERE lane {which} 16 ORDER BY tag",
                                          user="postgres")] for which in ("<", ">=")]


ADD_USER = "sql=INSERT INTO users VALUES ($1::bigint, 'a')"
ADD_POST = "sql=INSERT INTO posts VALUES ($1::bigint, 'b', $2::bigint)"


def test_the_tags_come_with_the_commit(installed, pooling):
    with writer(installed, pooling) as write:
        answer = write(ADD_USER, "value=1", ADD_POST, "value=1", "value=1")
        assert answer.list("tags") == [f"{POSTS}.user_id=1", NAMES]
        assert left(installed) == [[], [f"{POSTS}.user_id=1", NAMES]]
        assert write(f"struck={answer.transaction}").outcome == "struck"
        assert left(installed) == [[], []]


def test_only_those_told_struck_go(installed, pooling):
    with writer(installed, pooling) as write:
        first = write(ADD_USER, "value=1")
        second = write(ADD_USER, "value=2")
        write(ADD_USER, "value=3")
        assert first.transaction != second.transaction
        write(f"struck={first.transaction},{second.transaction}")
        assert left(installed) == [[], [NAMES]]


def test_a_write_that_changes_nothing_watched_has_no_tags(installed, pooling):
    with writer(installed, pooling) as write:
        answer = write("sql=INSERT INTO other VALUES (1)")
        assert (answer.tags, answer.transaction) == ("", "0")
    assert left(installed) == [[], []]


def test_what_a_deferred_cascade_strikes_is_told(installed, pooling):
    with writer(installed, pooling) as write:
        write(ADD_USER, "value=1", ADD_POST, "value=5", "value=1")
        answer = write("sql=DELETE FROM users WHERE id = 1")
        assert answer.list("tags") == [f"{POSTS}.user_id=1", NAMES]


def test_a_failed_write_leaves_no_tags(installed, pooling):
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1", "sql=SELECT 1/0").outcome == "failed"
        assert left(installed) == [[], []]
        assert write(ADD_USER, "value=1").list("tags") == [NAMES], "the first one to commit"


def test_others_changes_are_larderds_at_once(installed):
    installed.sql("INSERT INTO users VALUES (1, 'a')")
    assert left(installed) == [[NAMES], []]


def test_as_another_role(installed, pooling):
    installed.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest; GRANT writer_guest TO larder; "
                  "GRANT ALL ON users TO writer_guest", user="postgres")
    try:
        with writer(installed, pooling) as write:
            assert write(ADD_USER, "value=1", "role=writer_guest").list("tags") == [NAMES]
    finally:
        installed.sql("DROP OWNED BY writer_guest; DROP ROLE writer_guest", user="postgres")


# Where the database can't tell

def test_without_install_a_write_works_until_there_is_one(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD_USER, "value=1").outcome == "written"
        database.install("--to", "larder")
        numbers = iter(range(2, 1000))
        wait_until(lambda: write(ADD_USER, f"value={next(numbers)}").list("tags") == [NAMES], what="tags", every=0.1)


def test_an_install_that_goes_fails_no_write(installed, pooling):
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1").list("tags") == [NAMES]
        assert installed.run("--remove", routes=False)[0] == 0
        assert write(ADD_USER, "value=2").fields["tags"] == ""
        assert installed.sql("SELECT count(*) FROM users") == [(2,)]


def test_an_older_schema(installed, pooling):
    installed.sql("DROP FUNCTION larder.mine(), larder.bumped(xid8[])")
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1").outcome == "written"
        assert left(installed) == [[NAMES], []], "larderd takes it at once"


def test_a_role_that_may_not_ask(installed, pooling):
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1").list("tags") == [NAMES]
        installed.sql("REVOKE EXECUTE ON FUNCTION larder.mine() FROM PUBLIC")
        installed.sql("ALTER FUNCTION larder.mine() OWNER TO postgres", user="postgres")
        assert write(ADD_USER, "value=2").outcome == "written"
        assert left(installed) == [[NAMES], [NAMES]]


def test_only_the_role_of_to_can_say_struck(installed):
    installed.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest LOGIN; "
                  "GRANT ALL ON users TO writer_guest", user="postgres")
    try:
        with writer(installed, "session", "writer_guest") as write:
            answer = write(ADD_USER, "value=1")
            assert answer.list("tags") == [NAMES]
            assert write(f"struck={answer.transaction}").outcome == "struck"
            assert left(installed) == [[], [NAMES]], "it stays, and larderd strikes it"
    finally:
        installed.sql("DROP OWNED BY writer_guest; DROP ROLE writer_guest", user="postgres")
