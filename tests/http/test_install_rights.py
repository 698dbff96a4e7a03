"""Which rights `larder install` needs, which it gives, and what writers need."""

import pytest

from support.install_example import NAMES, ROUTES, example, ordinary_role


@pytest.fixture
def database(lazy_postgres, tmp_path):
    with example(lazy_postgres(), f"{tmp_path}/routes") as made:
        yield made


@pytest.fixture
def role(database):
    with ordinary_role(database) as name:
        yield name


def test_missing_rights_are_told_with_what_to_grant(database, role):
    for table in ("users", "posts", "days", "totals"):
        database.sql(f"GRANT SELECT ON {table} TO other")
    status, _, errors = database.run(user=role)
    assert status == 1
    assert f"GRANT CREATE ON DATABASE {database.name} TO other" in errors
    assert "GRANT TRIGGER ON public.users TO other, or run it as the owner larder" in errors
    assert "public.posts" in errors and "public.days_a" in errors and "totals" not in errors
    database.sql(f"GRANT CREATE ON DATABASE {database.name} TO other", user="postgres")
    database.sql("GRANT TRIGGER ON users, posts, days, days_a TO other")
    database.install(user=role)
    assert database.struck("INSERT INTO users VALUES (1)") == [NAMES]
    status, _, errors = database.run("--remove", user=role, routes=False)
    assert status == 1 and "must be owner" in errors and "nothing was changed" in errors


def test_writes_outlive_the_membership_of_who_installed(database, role):
    database.install()
    database.sql(f"GRANT larder TO {role}", user="postgres")
    database.write(ROUTES | {"ages": "-- @param id\n-- @depends users.id = :id\nSELECT age FROM users WHERE id = :id"})
    database.install(user=role)
    database.sql(f"REVOKE larder FROM {role}", user="postgres")
    assert database.struck("INSERT INTO users VALUES (1)") == ["public.users(age,id).id=1", NAMES]


def test_who_may_not_look_at_what_is_installed_is_told_who_may(database, role):
    database.install()
    status, _, errors = database.run(user=role)
    assert (status, errors.count("\n")) == (1, 1) and errors.startswith("larder install: permission denied for ")
    assert "run it as the owner, or as a superuser" in errors


def test_a_schema_of_somebody_elses_making_is_not_touched(database):
    database.sql("CREATE SCHEMA larder")
    for arguments in ((), ("--remove",)):
        status, _, errors = database.run(*arguments, routes=not arguments)
        assert status == 1 and "not of its making" in errors
    assert database.sql("SELECT count(*) FROM pg_trigger") == [(0,)]


def test_the_daemons_role_gets_what_it_needs_and_keeps_it(database, role):
    database.install("--to", role)
    granted = database.objects()
    assert database.install("--to", role) and database.objects() == granted
    database.sql("UPDATE larder.meta SET version = -1")
    database.install()
    assert database.objects() == granted
    for allowed in ("SELECT tag, xid FROM larder.outbox FOR UPDATE SKIP LOCKED", "DELETE FROM larder.outbox",
                    "INSERT INTO larder.marker DEFAULT VALUES ON CONFLICT DO NOTHING",
                    "SELECT setval('larder.asleep', 2)", "SELECT last_value FROM larder.asleep",
                    "SELECT larder.changed_definitions()", "SELECT * FROM larder.watch"):
        database.sql(allowed, user=role)
    with pytest.raises(Exception, match="permission denied"):
        database.sql("DELETE FROM larder.watch", user=role)


WRITE = "INSERT INTO posts VALUES (1, 7, 'new'); UPDATE posts SET title = 'newer' WHERE id = 1; DELETE FROM posts"


def test_where_functions_are_not_everybodys(database, role):
    database.sql("ALTER DEFAULT PRIVILEGES FOR ROLE larder REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", user="postgres")
    database.install()
    database.sql(f"GRANT ALL ON posts TO {role}")
    assert "public.posts(id,title,user_id).user_id=7" in database.struck(WRITE, user=role)


def test_functions_that_were_taken_from_everybody(database, role):
    database.install("--to", role)
    database.sql(f"GRANT ALL ON posts TO {role}")
    before = database.objects()
    database.sql("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA larder FROM PUBLIC")
    with pytest.raises(Exception, match="permission denied for function value_"):
        database.sql(WRITE, user=role)
    assert "GRANT EXECUTE" in database.run("--print")[1]
    database.install()
    assert "public.posts(id,title,user_id).user_id=7" in database.struck(WRITE, user=role)
    assert database.run("--print")[1] == "-- There is nothing to do.\n"
    assert [thing[:2] for thing in database.objects()] == [thing[:2] for thing in before]


def test_a_schema_that_the_owner_may_not_use_any_more(database):
    """The event trigger runs with the owner's rights in everybody's DDL, and so does larderd's look."""
    database.sql("CREATE SCHEMA closed; CREATE TABLE closed.parents (id int); CREATE TABLE closed.middle () INHERITS (closed.parents);"
                 "CREATE TABLE closed.children () INHERITS (closed.middle)")
    database.write({"parents": "SELECT id FROM closed.parents"})
    database.install("--to", "larder")
    database.install(user="postgres")
    database.sql("ALTER SCHEMA closed OWNER TO postgres", user="postgres")
    database.sql("ALTER TABLE bystanders ADD more int", user="postgres")
    database.sql("REFRESH MATERIALIZED VIEW totals")
    database.sql("SELECT larder.changed_definitions()")
