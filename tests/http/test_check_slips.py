"""What `larder check` says of files that are no fault and mostly not what their author meant."""

import subprocess

import pytest

from support.paths import program
from support.stack import clean_environment


@pytest.fixture
def check(tmp_path):
    """The lines of `larder check` for files with these texts, without the folder's name and the sum."""
    def run(status=0, database=None, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
        ended = subprocess.run([program("larder"), "check", str(tmp_path)], check=False, capture_output=True, text=True, timeout=20,
                               env=clean_environment() | (database or {}) | {"LARDER_JWT_ALG": "HS256", "LARDER_JWT_KEY_FILE": "secret"})
        assert (ended.returncode, ended.stderr) == (status, ""), ended
        return [line.removeprefix(f"{tmp_path}/") for line in ended.stdout.splitlines()[:-1]]
    return run


def test_a_name_of_the_path_that_is_used_nowhere_is_noted(check):
    """"WHERE id = id" is true of every row."""
    assert check(slip="-- @http GET /slip/{id}\nSELECT name FROM things WHERE id = id",
                 write="-- @http DELETE /slip/{id}\n-- @param id bigint min=1\nDELETE FROM things WHERE id = id",
                 quoted="-- @http GET /quoted/{q}\nSELECT id FROM things WHERE name LIKE ':q%'",
                 right="-- @http GET /right/{id}\nSELECT id FROM things WHERE id = :id",
                 first="-- @http POST /first/{id}\nUPDATE things SET name = :name WHERE id = :id; SELECT 1 AS done",
                 tagged="-- @http GET /tagged/{id}\n-- @cache ttl=5s\n-- @tags thing:{id}\nSELECT 1 AS a",
                 limited="-- @http POST /limited/{id}\n-- @limit 1/s by=id\nSELECT 1 AS a",
                 kv="-- @http GET /kv/{key}\n-- @kv get key=a:{key}") == [
        "quoted.sql:1: note: {q} of the path is used nowhere, so all its values are answered alike; write :q where the statement "
        "means it; in quotes or a comment it is none: write it outside, as in '%' || :name || '%'",
        "slip.sql:1: note: {id} of the path is used nowhere, so all its values are answered alike; write :id where the statement "
        "means it",
        "write.sql:1: note: {id} of the path is used nowhere, so all its values are answered alike; write :id where the statement "
        "means it"]


def test_a_parameter_that_stands_in_quotes_alone_is_told_why_it_is_none(check):
    plain = "is used nowhere: not in the path, the statement or another annotation"
    quoted = f"{plain}; in quotes or a comment it is none: write it outside, as in '%' || :name || '%'"
    assert check(status=1, like="-- @http GET /like\n-- @param q text\nSELECT id FROM things WHERE name LIKE '%:q%'",
                 before="-- @http POST /before\n-- @param d int\nDELETE FROM things WHERE made < :now - interval ':d days'; SELECT 1 AS a",
                 comment="-- @http GET /comment\n-- @param q text\nSELECT 1 /* :q */ AS a",
                 longer="-- @http GET /longer\n-- @param q text\nSELECT ':query :q1 ::' AS a", end="-- @http GET /end\n-- @param q text\n"
                 "SELECT ':") == [
        f"before.sql:2:11: @param d {quoted}",
        f"comment.sql:2:11: @param q {quoted}",
        "end.sql:3:8: the string '…' has no end",
        f"like.sql:2:11: @param q {quoted}",
        f"longer.sql:2:11: @param q {plain}"]


def test_a_claim_without_auth_is_noted_as_always_null(check):
    assert check(none="-- @http GET /none\nSELECT id FROM things\nWHERE owner = :auth.sub",
                 off="-- @http POST /off\n-- @auth none\nINSERT INTO things (owner) VALUES (:auth.app.name)",
                 optional="-- @http GET /optional\n-- @auth optional\nSELECT id FROM things WHERE owner = :auth.sub") == [
        'none.sql:3: note: :auth.sub is NULL whoever asks, for without @auth no token is looked at; add "-- @auth required", or optional',
        'off.sql:3: note: :auth.app.name is NULL whoever asks, for without @auth no token is looked at; add "-- @auth required", or '
        "optional"]


def test_a_version_that_no_read_tells_is_noted(check):
    write = "-- @http PUT /{0}/{{id}}\n-- @version {1}\nUPDATE things SET name = :name WHERE id = :id AND {1} = coalesce(:version, {1})"
    note = "note: @version: no GET here has this path and an @version of its own, so no client can name a version in If-Match"
    assert check(alone=write.format("alone", "made"), plain=write.format("plain", "made"), right=write.format("right", "made"),
                 plain_read="-- @http GET /plain/{id}\n-- @result row\nSELECT made FROM things WHERE id = :id",
                 right_read="-- @http GET /right/{key}\n-- @result row\n-- @version made\nSELECT made FROM things WHERE id = :key") == [
        f"alone.sql:2:13: {note}", f"plain.sql:2:13: {note}"]


# With a database

@pytest.fixture(scope="module")
def server(lazy_postgres):
    server = lazy_postgres()
    name = server.create_database()
    yield server.environment | {"PGDATABASE": name}, lambda statement: server.execute(statement, database=name)
    server.drop_database(name)


def test_what_jsonb_alone_has_is_called_with_the_body_cast(check, server):
    asked, _ = server
    (fault, other) = check(status=1, database=asked, body="-- @http POST /body\nSELECT jsonb_array_length(:body) AS n",
                           given="-- @http POST /given\n-- @param a json\nSELECT jsonb_array_length(:a) AS n",
                           right="-- @http POST /right\nSELECT jsonb_array_length(:body::jsonb) AS n")
    assert fault.startswith("body.sql:2:8: ") and fault.endswith("; :body is json, so where jsonb is wanted write :body::jsonb")
    assert other.startswith("given.sql:3:8: ") and ":body" not in other


def test_a_schema_that_the_role_may_not_use_is_told_with_the_grant(check, server):
    asked, execute = server
    execute("CREATE SCHEMA closed; CREATE TABLE closed.things (id int)")
    (fault,) = check(status=1, database=asked, closed="-- @http GET /closed\nSELECT id FROM closed.things")
    assert fault == ("closed.sql:2:16: PostgreSQL: permission denied for schema closed (SQLSTATE 42501); grant it to the role that asks "
                     "(PGUSER), and for @auth rls to those of the tokens, as in GRANT USAGE ON SCHEMA name TO role")


def test_a_role_that_has_what_rls_is_to_give_it_is_noted(check, server):
    """Policies for a role are for those who inherit its rights, too."""
    asked, execute = server
    asked = asked | {"PGUSER": "inherits_all"}
    roles = 'inherited_one, "Inherited two"'
    routes = {"mine": "-- @http GET /mine\n-- @auth required rls\nSELECT 1 AS a", "open": "-- @http GET /open\nSELECT 1 AS a"}
    execute(f'CREATE ROLE inherits_all LOGIN; CREATE ROLE inherited_one; CREATE ROLE "Inherited two"; GRANT {roles} TO inherits_all')
    try:
        assert check(database=asked, **routes) == [
            'mine.sql:1: note: inherits_all has the rights of "Inherited two", inherited_one without taking the role, so routes without '
            "rls have them too; ALTER ROLE inherits_all NOINHERIT, from PostgreSQL 16 on GRANT ... WITH INHERIT FALSE"]
        execute(f"ALTER ROLE inherits_all NOINHERIT; REVOKE {roles} FROM inherits_all; GRANT {roles} TO inherits_all")
        assert check(database=asked, **routes) == []
        execute("ALTER ROLE inherits_all SUPERUSER")
        assert check(database=asked, **routes) == [], "a superuser is not whom responders ask as"
    finally:
        execute(f"DROP ROLE inherits_all, {roles}")


def test_roles_that_postgresql_has_of_itself_are_none_of_rls(check, server):
    asked, execute = server
    execute("CREATE ROLE looks_on LOGIN; GRANT pg_monitor TO looks_on")
    try:
        assert check(database=asked | {"PGUSER": "looks_on"}, mine="-- @http GET /mine\n-- @auth required rls\nSELECT 1 AS a",
                     open="-- @http GET /open\nSELECT 1 AS a") == []
    finally:
        execute("DROP ROLE looks_on")


def test_a_role_is_not_noted_where_every_route_takes_another(check, server):
    asked, execute = server
    execute("CREATE ROLE inherited; GRANT inherited TO larder")
    try:
        assert check(database=asked, mine="-- @http GET /mine\n-- @auth required rls\nSELECT 1 AS a") == []
        assert check(database=asked, open="-- @http GET /open\nSELECT 1 AS a", mine="-- @http GET /mine\nSELECT 1 AS a") == []
    finally:
        execute("DROP ROLE inherited")
