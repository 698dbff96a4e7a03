"""The tags of a write's own transaction: told to the writer at its commit, kept in the outbox until it says struck."""

import pytest

from support.install import Installed
from support.waiting import wait_until
from support.writer import Writer

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, name text);
CREATE TABLE posts (id bigint PRIMARY KEY, title text, user_id bigint
                    REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE plans (id int, owner int, kind text, title text);
CREATE TABLE other (id int);
"""
ROUTES = {
    "names": "SELECT id, name FROM users",
    "posts": "-- @param user\n-- @depends posts.user_id = :user\nSELECT title FROM posts WHERE user_id = :user",
    "plans": "-- @param owner\n-- @param kind text default=null\n-- @depends plans.owner = :owner and kind = :kind\n"
             "-- @depends plans.id = id for title\n"
             "SELECT id, title FROM plans WHERE owner = :owner AND (:kind::text IS NULL OR kind = :kind)",
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
    """The outbox' tags by lanes: what larderd takes at once, and what it leaves to responders."""
    return [[tag for tag, in database.sql(
        f"SELECT unnest(string_to_array(tag, E'\\n')) FROM larder.outbox WHERE lane {which} 16 ORDER BY 1", user="postgres")]
            for which in ("<", ">=")]


def struck(answer):
    """What the write was told, which may tell a tag twice."""
    return sorted(set(answer.list("tags")))


ADD_USER = "sql=INSERT INTO users VALUES ($1::bigint, 'a')"
ADD_POST = "sql=INSERT INTO posts VALUES ($1::bigint, 'b', $2::bigint)"


def test_the_tags_come_with_the_commit(installed, pooling):
    with writer(installed, pooling) as write:
        answer = write(ADD_USER, "value=1", ADD_POST, "value=1", "value=1")
        assert struck(answer) == [f"{POSTS}.user_id=1", NAMES]
        assert left(installed) == [[], [f"{POSTS}.user_id=1", NAMES]]
        assert write(f"struck={answer.transaction}").outcome == "struck"
        assert left(installed) == [[], []]


def test_tags_of_several_columns_and_for_some_are_told(installed, pooling):
    rows, titles = "public.plans(id,kind,owner)", "public.plans(for title)"
    with writer(installed, pooling) as write:
        answer = write("sql=INSERT INTO plans VALUES (1, 2, 'a,\"b', 't')")
        assert struck(answer) == [f"{rows}.owner,kind=2,a,\"b", f"{rows}.owner=2"] == left(installed)[1]
        write(f"struck={answer.transaction}")
        answer = write("sql=UPDATE plans SET title = 'u'")
        assert struck(answer) == [titles, f"{titles}.id=1"] == left(installed)[1]


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
        assert struck(answer) == [f"{POSTS}.user_id=1", NAMES]


def test_a_failed_write_leaves_no_tags(installed, pooling):
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1", "sql=SELECT 1/0").outcome == "failed"
        assert left(installed) == [[], []]
        assert struck(write(ADD_USER, "value=1")) == [NAMES], "the first one to commit"


def test_others_changes_are_larderds_at_once(installed):
    installed.sql("INSERT INTO users VALUES (1, 'a')")
    assert left(installed) == [[NAMES], []]


@pytest.mark.parametrize("sees", [True, False])
def test_as_another_role(installed, pooling, sees):
    """Which may call none of the functions that do it, and need not even see them."""
    if not sees:
        installed.sql("REVOKE ALL ON SCHEMA larder FROM PUBLIC")
    installed.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest; GRANT writer_guest TO larder; "
                  "GRANT ALL ON users, posts TO writer_guest", user="postgres")
    try:
        with writer(installed, pooling) as write:
            assert struck(write(ADD_USER, "value=1", "role=writer_guest")) == [NAMES]
            assert struck(write(ADD_USER, "value=2")) == [NAMES]
            assert struck(write(ADD_POST, "value=1", "value=1", ADD_POST, "value=2", "value=2", "role=writer_guest"
                                )) == [f"{POSTS}.user_id=1", f"{POSTS}.user_id=2"]
    finally:
        installed.sql("DROP OWNED BY writer_guest; DROP ROLE writer_guest", user="postgres")


# Where the database can't tell

def test_without_install_a_write_works_until_there_is_one(database, pooling):
    with writer(database, pooling) as write:
        assert write(ADD_USER, "value=1").outcome == "written"
        database.install("--to", "larder")
        numbers = iter(range(2, 1000))
        wait_until(lambda: struck(write(ADD_USER, f"value={next(numbers)}")) == [NAMES], what="tags", every=0.1)


def test_an_install_that_goes_fails_no_write(installed, pooling):
    with writer(installed, pooling) as write:
        assert struck(write(ADD_USER, "value=1")) == [NAMES]
        assert installed.run("--remove", routes=False)[0] == 0
        assert write(ADD_USER, "value=2").fields["tags"] == ""
        assert installed.sql("SELECT count(*) FROM users") == [(2,)]


def test_an_older_schema(installed, pooling):
    installed.sql("ALTER FUNCTION larder.note RENAME TO mine")
    with writer(installed, pooling) as write:
        assert write(ADD_USER, "value=1").outcome == "written"
        assert left(installed) == [[NAMES], []], "larderd takes it at once"


# More than the setting holds

MANY = 60
LONG = "sql=INSERT INTO named SELECT repeat('n', 60) || n, n FROM generate_series(1, $1::int) AS n"


@pytest.fixture
def crowded(installed):
    """Two tables' worth of routes by a long text, so that one write has more tags than the setting holds."""
    installed.sql("CREATE TABLE named (name text, number int, a int, b int, c int)")
    installed.write(ROUTES | {
        f"named_{column}": "-- @param name text\n-- @depends named.name = :name\n"
                           f"SELECT {column} FROM named WHERE name = :name" for column in ("number", "a", "b", "c")})
    installed.install("--to", "larder")
    return installed


def test_tags_beyond_what_the_setting_holds_are_asked_for(crowded, pooling):
    with writer(crowded, pooling) as write:
        few = write(LONG, "value=3")
        assert len(struck(few)) == 3 * 4
        write(f"struck={few.transaction}")
        answer = write(ADD_USER, "value=1", LONG, f"value={MANY}")
        assert struck(answer) == left(crowded)[1]
        assert len(struck(answer)) == MANY * 4 + 1
        assert write(f"struck={answer.transaction}").outcome == "struck"
        assert left(crowded) == [[], []]
        assert struck(write(ADD_USER, "value=2")) == [NAMES], "the next one begins anew"


def test_what_was_struck_and_can_not_be_asked_for_is_everything(crowded, pooling):
    crowded.sql("ALTER FUNCTION larder.struck OWNER TO postgres; REVOKE EXECUTE ON FUNCTION larder.struck FROM larder",
                user="postgres")
    with writer(crowded, pooling) as write:
        answer = write(LONG, f"value={MANY}")
        assert (answer.outcome, struck(answer)) == ("written", ["*"])
        assert crowded.sql("SELECT count(*) FROM named") == [(MANY,)]
        assert struck(write(ADD_USER, "value=1")) == [NAMES]


def test_what_a_savepoint_takes_back_is_not_told(installed, pooling):
    with writer(installed, pooling) as write:
        answer = write("sql=DO $$ BEGIN INSERT INTO users VALUES (1, 'a'); "
                       "BEGIN INSERT INTO users VALUES (2, 'b'); INSERT INTO posts VALUES (1, 'b', 1); RAISE 'no'; "
                       "EXCEPTION WHEN raise_exception THEN NULL; END; END $$")
        assert struck(answer) == left(installed)[1] == [NAMES]


def test_a_setting_in_a_function_that_has_its_own(installed, pooling):
    installed.sql("CREATE FUNCTION add_user(bigint) RETURNS void LANGUAGE sql SET search_path = public "
                  "AS $$ INSERT INTO users VALUES ($1, 'a') $$")
    with writer(installed, pooling) as write:
        assert struck(write("sql=SELECT add_user($1)", "value=1")) == [NAMES]


def test_definitions_that_a_write_changes_are_told(lazy_postgres, tmp_path, pooling):
    made = Installed(lazy_postgres(), tmp_path / "routes", SCHEMA + "CREATE MATERIALIZED VIEW seen AS SELECT name FROM users;",
                     ROUTES | {"seen": "SELECT name FROM seen"})
    try:
        made.install("--to", "larder", user="postgres")
        with writer(made, pooling) as write:
            assert "public.seen(name)" in struck(write("sql=REFRESH MATERIALIZED VIEW seen"))
            assert left(made)[0] == []
    finally:
        made.server.drop_database(made.name)


def test_only_the_role_of_to_can_say_struck(installed):
    installed.sql("DROP ROLE IF EXISTS writer_guest; CREATE ROLE writer_guest LOGIN; "
                  "GRANT ALL ON users TO writer_guest", user="postgres")
    try:
        with writer(installed, "session", "writer_guest") as write:
            answer = write(ADD_USER, "value=1")
            assert struck(answer) == [NAMES]
            assert write(f"struck={answer.transaction}").outcome == "struck"
            assert left(installed) == [[], [NAMES]], "it stays, and larderd strikes it"
    finally:
        installed.sql("DROP OWNED BY writer_guest; DROP ROLE writer_guest", user="postgres")


# What the database's own functions do to the setting

RESET = "CREATE FUNCTION reset_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET ALL; END $$"


@pytest.mark.parametrize("last", [(), (ADD_USER, "value=1")])
def test_a_reset_in_the_midst_is_everything(installed, pooling, last):
    installed.sql(RESET)
    with writer(installed, pooling) as write:
        answer = write(ADD_POST, "value=1", "value=", "sql=SELECT reset_all()", *last)
        assert (struck(answer), answer.transaction) == (["*"], "0")
        assert left(installed) == [[NAMES] if last else [], [f"{POSTS}.user_id is null"]], "larderd takes it too"
        assert struck(write(ADD_USER, "value=2")) == [NAMES], "the session tells the next one's again"


LATE = """
CREATE TABLE marked (id bigint);
CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id = 1 THEN
        SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO marked VALUES (2);
    ELSE
        INSERT INTO posts VALUES (9, 'late', NULL);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER put_off AFTER INSERT ON marked DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION put_off();
"""


@pytest.mark.parametrize("once", [(), ("once=k",)])
def test_what_is_struck_in_the_commit_is_larderds(installed, pooling, once):
    installed.sql(LATE)
    with writer(installed, pooling) as write:
        answer = write(ADD_USER, "value=1", "sql=INSERT INTO marked VALUES (1)", *once)
        assert struck(answer) == [NAMES]
        assert write(f"struck={answer.transaction}").outcome == "struck"
        assert left(installed) == [[f"{POSTS}.user_id is null"], []]
        assert struck(write(ADD_USER, "value=2")) == [NAMES]


def test_names_of_several_lines(installed, pooling):
    installed.sql('CREATE TABLE "odd\nname" (id bigint, "col\numn" text)')
    installed.write(ROUTES | {"odd": 'SELECT "col\numn" FROM "odd\nname"'})
    installed.install("--to", "larder")
    with writer(installed, pooling) as write:
        answer = write("sql=DO $$ BEGIN EXECUTE E'INSERT INTO \"odd\\nname\" VALUES (1, 2)'; END $$")
        assert struck(answer) == left(installed)[1] and len(struck(answer)) == 1


@pytest.mark.parametrize("rows", range(724, 732))
def test_about_as_many_as_the_setting_holds(installed, pooling, rows):
    with writer(installed, pooling) as write:
        answer = write(ADD_POST, "value=1", "value=", f"sql=DO $$ BEGIN FOR i IN 1..{rows} LOOP "
                       "INSERT INTO users VALUES (i, 'a'); END LOOP; END $$")
        assert struck(answer) == sorted(set(left(installed)[1]))
        write(f"struck={answer.transaction}")
        assert left(installed) == [[], []]
