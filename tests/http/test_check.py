"""The command: what `larder check` finds, what `larder routes` and `larder config` print, and how calls go wrong."""

import os
import re
import subprocess

import pytest

from support.network import free_port
from support.paths import program
from support.postgres import PgBouncer
from support.stack import clean_environment

GOOD = "-- The newest thing.\n-- @http GET /good/{id}\n-- @cache ttl=5m negative=1m\nSELECT id, name FROM things WHERE id = :id"


@pytest.fixture(scope="module")
def database(lazy_postgres):
    """libpq's variables for a database with a table."""
    server = lazy_postgres()
    name = server.create_database()
    server.execute("CREATE TABLE things (id bigint PRIMARY KEY, name text, made date)", database=name, user="larder")
    yield server.environment | {"PGDATABASE": name}
    server.drop_database(name)


class Folder:
    def __init__(self, path):
        self.path = str(path)

    def write(self, **files):
        for name, text in files.items():
            with open(f"{self.path}/{name}.sql", "w", encoding="utf-8") as route:
                route.write(text)
        return self

    def larder(self, command, *arguments, before=(), **environment):
        """`larder COMMAND ARGUMENTS FOLDER`: exit status, lines of output, error text."""
        return larder(command, *arguments, self.path, before=before, **environment)

    def faults(self, **environment):
        """The lines with a place that `larder check` prints, without the folder's name; the exit status must be 1."""
        status, lines, _ = self.larder("check", **environment)
        assert status == 1, lines
        return [line.removeprefix(f"{self.path}/") for line in lines[:-1] if ": note: " not in line]


def larder(*arguments, before=(), **environment):
    ended = subprocess.run([*before, program("larder"), *arguments], env=clean_environment() | environment, check=False,
                           capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


@pytest.fixture
def folder(tmp_path):
    os.makedirs(f"{tmp_path}/routes")
    return Folder(f"{tmp_path}/routes")


# check without a database

def test_all_faults_of_all_files_are_told_at_once(folder):
    folder.write(
        one="-- @http GET /one\n-- @chache ttl=5s\n-- @result rowz\n-- @timeout 5\nSELECT :nobody",
        two="-- @http FETCH /two\n-- @param limit int min=9 max=1\n-- @param limit int\nSELECT :limit",
        three="-- A text alone.\nSELECT 1",
        four="-- @http GET /four\n-- @control public, max-age=soon\nSELECT 1; SELECT 2")
    faults = folder.faults()
    assert [re.match(r"[a-z]+\.sql:\d+", fault)[0] for fault in faults] == [
        "four.sql:2", "four.sql:3", "one.sql:2", "one.sql:3", "one.sql:4", "one.sql:5", "three.sql:1", "two.sql:1",
        "two.sql:2", "two.sql:3"]
    for fault in faults:
        assert re.fullmatch(r"[a-z]+\.sql:\d+(:\d+)?: \S.*", fault)


@pytest.mark.parametrize("line, column, expected", [
    ("-- @cach ttl=5s", 4, ["@cach", "@cache"]),
    ("-- @result rowz", 12, ["rowz", "rows, row, value, json or none"]),
    ("-- @timeout 5", 13, ['"5"', "unit", "ms, s, m, h or d"]),
    ("-- @cache ttl=5", None, ["@cache", "ttl=", '"5"', "unit"]),
    ("-- @cache stale=5s", None, ["@cache", "ttl= is missing"]),
    ("-- @cache ttl=5s tl=5s", 18, ["tl", "ttl=", "stale=", "negative="]),
    ("-- @param a int min=x", None, ["@param a", "min=", '"x"', "whole number"]),
    ("-- @param a int in=cookie", None, ["in=cookie", "path, query, body or header"]),
    ("-- @param a text enum=", None, ["enum="]),
    ("-- @param a text pattern=(", None, ["@param a", "pattern="]),
    ("-- @param a int default=x", None, ["@param a", "default=", '"x"', "whole number"]),
    ("-- @param unused int", None, ["@param unused", "used nowhere"]),
    ("-- @http GET /again", None, ["@http", "line 1", "once"]),
    ("-- @stream xml", 12, ["xml", "csv, ndjson or json"]),
    ("-- @async", None, ["@async", "GET"]),
    ("-- @auth maybe", 10, ["maybe", "none, optional or required"]),
    ("-- @limit 100", None, ["@limit", "100/min"]),
])
def test_a_fault_says_where_it_is_and_what_is_allowed(folder, line, column, expected):
    statement = "SELECT :a" if "@param a" in line else "SELECT 1"
    fault = folder.write(route=f"-- @http GET /route\n{line}\n{statement}").faults()[0]
    assert fault.startswith(f"route.sql:2:{column}: " if column else "route.sql:2:"), fault
    for part in expected:
        assert part in fault, fault


@pytest.mark.parametrize("method, path, expected", [
    ("FETCH", "/a", ["FETCH", "GET, POST, PUT, PATCH, DELETE"]), ("get", "/a", ["get", "GET"]),
    ("GET", "a", ['"a"', "/"]), ("GET", "/{a", ["{a"]), ("GET", "/{1}", ["1"]), ("GET", "/{a}/{a}", ["a"]),
    ("GET", "/a b", ["b"]), ("GET", "/_larder/x", ["/_larder"]), ("GET", "/a\"", ["percent-encoded"]),
])
def test_a_faulty_http_line_is_told(folder, method, path, expected):
    faults = folder.write(route=f"-- @http {method} {path}\nSELECT 1").faults()
    assert faults[0].startswith("route.sql:1:"), faults
    for part in expected:
        assert any(part in fault for fault in faults), faults


def test_two_files_with_one_route_name_each_other(folder):
    faults = folder.write(a="-- @http GET /x/{a}\n-- @param a int\nSELECT :a",
                          b="-- One more.\n-- @http GET /x/{b}\n-- @param b int\nSELECT :b").faults()
    assert len(faults) == 1
    assert faults[0].startswith("b.sql:2") and "a.sql:1" in faults[0] and "GET /x/{b}" in faults[0]


def test_good_files_give_a_summary_and_exit_0(folder):
    status, lines, said = folder.write(good=GOOD, more="-- @http GET /more\nSELECT 1 AS a").larder("check")
    assert (status, said) == (0, "")
    assert len(lines) == 1
    assert "2 routes" in lines[0] and "0 faults" in lines[0] and "PostgreSQL was not asked" in lines[0]


def test_a_file_can_be_checked_alone(folder):
    folder.write(good=GOOD, bad="SELECT 1")
    assert larder("check", f"{folder.path}/good.sql")[0] == 0
    assert larder("check", f"{folder.path}/bad.sql")[0] == 1


def test_the_folder_is_larder_routes_unless_named(folder):
    assert larder("check", LARDER_ROUTES=folder.write(good=GOOD).path)[0] == 0
    assert larder("check", LARDER_ROUTES="/nonexistent", )[0] == 1


# check: what can't be read

def test_a_missing_and_an_empty_folder(folder):
    status, lines, _ = larder("check", f"{folder.path}/missing")
    assert status == 1 and lines[0] == f"{folder.path}/missing: can't be read: No such file or directory"
    status, lines, _ = folder.larder("check")
    assert status == 1 and lines[0].startswith(f"{folder.path}: holds no route file")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_a_fault_and_hides_no_other(folder, what):
    folder.write(bad="SELECT 1", closed=GOOD)
    os.makedirs(f"{folder.path}/inner")
    closed = f"{folder.path}/closed.sql" if what == "file" else f"{folder.path}/inner"
    os.chmod(closed, 0)
    before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    status, lines, _ = folder.larder("check", before=before)
    os.chmod(closed, 0o755)
    assert status == 1
    assert f"{closed}: can't be read: Permission denied" in lines
    assert any(line.startswith(f"{folder.path}/bad.sql:1") for line in lines)


def test_a_link_to_nothing_a_pipe_and_too_large_a_file_are_faults(folder):
    folder.write(good=GOOD, large="-- " + "x" * (1 << 20))
    os.symlink("nothing", f"{folder.path}/link.sql")
    os.mkfifo(f"{folder.path}/pipe.sql")
    faults = folder.faults()
    assert len(faults) == 3
    assert faults[0].startswith("large.sql: ") and "1 MB" in faults[0]
    assert faults[1].startswith("link.sql: can't be read: ") and faults[2].startswith("pipe.sql: ")


def test_folders_that_loop_are_a_fault_told_once_and_soon(folder):
    folder.write(good=GOOD)
    os.makedirs(f"{folder.path}/inner")
    for name in ("one", "two", "three"):
        os.symlink("..", f"{folder.path}/inner/{name}")
    status, lines, _ = folder.larder("check")  # within the 20 s that a call may take
    assert status == 1
    assert len(lines) <= 4 and all("inner" in line for line in lines[:-1]), lines[:6]


def test_other_files_hidden_ones_and_a_linked_folder(folder, tmp_path):
    os.makedirs(f"{tmp_path}/elsewhere/deep")
    Folder(f"{tmp_path}/elsewhere/deep").write(linked="-- @http GET /linked\nSELECT 1 AS a")
    folder.write(**{".hidden": "SELECT 1"})
    with open(f"{folder.path}/README.md", "w", encoding="utf-8") as other:
        other.write("no route")
    os.symlink(f"{tmp_path}/elsewhere", f"{folder.path}/linked")
    status, lines, _ = folder.larder("routes")
    assert status == 0 and [line.split()[:2] for line in lines[1:]] == [["GET", "/linked"]]


# check with a database

@pytest.mark.parametrize("statement, line, column, expected", [
    ("SELECT id\n  FORM things", 4, None, 'syntax error at or near "things"'),
    ("SELECT id\nFROM nothing", 4, 6, 'relation "nothing" does not exist'),
    ("SELECT id,\n       missing\nFROM things", 4, 8, 'column "missing" does not exist'),
    ("SELECT id FROM things\nWHERE made = 5", 4, 12, "operator does not exist: date = integer"),
    ("SELECT 'žluť – 你好' AS word, missing FROM things", 3, 29, 'column "missing" does not exist'),
    ("SELECT id FROM things WHERE id = :id AND name = :name\n  AND missing", 4, 7, 'column "missing" does not exist'),
    ("SELECT id AS one, name AS two, made AS one FROM things", 3, None, '"one"'),
    ("SELECT nofunction(id) FROM things", 3, 8, "function nofunction(bigint) does not exist"),
])
def test_postgresqls_complaint_stands_at_its_place_in_the_file(folder, database, statement, line, column, expected):
    text = f"-- Žluťoučký.\n-- @http GET /x\n{statement}"
    params = "".join(f"-- @param {name} text\n" for name in ("id", "name") if f":{name}" in statement)
    if params:
        text = text.replace("-- @http GET /x\n", f"-- @http GET /x\n{params}".replace("id text", "id bigint"))
        line += 2
    faults = folder.write(route=text).faults(**database)
    assert len(faults) == 1, faults
    assert faults[0].startswith(f"route.sql:{line}:{column}: " if column else f"route.sql:{line}"), faults
    assert expected in faults[0]


def test_columns_of_value_json_and_row(folder, database):
    faults = folder.write(
        json="-- @http GET /json\n-- @result json\nSELECT 1, 2", row="-- @http GET /row\n-- @result row\nSELECT 1 AS a, 2 AS b",
        value="-- @http GET /value\n-- @result value\nSELECT id, name FROM things").faults(**database)
    assert [fault.split(":")[0] for fault in faults] == ["json.sql", "value.sql"]
    for fault in faults:
        assert re.match(r"[a-z]+\.sql:3: @result (json|value) needs a statement with one column, this one has 2", fault)


@pytest.mark.parametrize("statement, words", [
    ("SHOW work_mem", "@stream needs a SELECT, VALUES, TABLE or WITH"),
    ("EXPLAIN SELECT 1", "@stream needs a SELECT, VALUES, TABLE or WITH"),
    ("INSERT INTO things (id) VALUES (1) RETURNING id", "INSERT in a GET, which only reads"),
    ("WITH made AS (INSERT INTO things (id) VALUES (1) RETURNING id) SELECT * FROM made", "INSERT in a GET")])
def test_a_download_is_of_what_can_be_selected_from(folder, database, statement, words):
    (fault,) = folder.write(route=f"-- @http GET /x\n-- @stream csv\n{statement}").faults(**database)
    assert fault.startswith("route.sql:3:") and words in fault


@pytest.mark.parametrize("statement, word", [
    ("INSERT INTO things (id) VALUES (1) RETURNING id", "INSERT"),
    ("WITH a AS (SELECT 1), gone AS (delete FROM things RETURNING id) SELECT * FROM gone", "delete"),
    ("WITH a AS (SELECT 1) UPDATE things SET id = 1 RETURNING id", "UPDATE")])
def test_a_get_that_writes_is_told_so_without_a_database_too(folder, statement, word):
    (fault,) = folder.write(route=f"-- @http GET /x\n{statement}").faults()
    assert fault == (f"route.sql:2:1: {word} in a GET, which only reads: what changes data is for POST, PUT, PATCH and "
                     "DELETE")


def test_a_get_of_what_nothing_can_be_put_around(folder, database):
    (fault,) = folder.write(route="-- @http GET /x\nSHOW work_mem").faults(**database)
    assert fault == "route.sql:2: a GET needs a SELECT, VALUES, TABLE or WITH"


def test_postgresql_complains_of_parameters_by_their_names(folder, database):
    faults = folder.write(
        kind="-- @http GET /kind\n-- @param id int\n-- @param q default=null\nSELECT id FROM things "
             "WHERE id = :id AND (:q IS NULL OR name = :q)",
        page="-- @http GET /page\n-- @param q default=null\n-- @page by=id\nSELECT id FROM things WHERE :q IS NULL"
    ).faults(**database)
    for fault, file in zip(faults, ("kind.sql:4", "page.sql:4"), strict=True):
        assert fault.startswith(file) and "could not determine data type of parameter :q (SQLSTATE 42P" in fault
        assert fault.endswith('; give it one, by @param as in "-- @param name text", or where it stands, as in :name::text')


def test_an_operator_that_a_declared_type_does_not_have(folder, database):
    note = "; leave the type out of @param to have the one that PostgreSQL needs there"
    faults = folder.write(declared="-- @http GET /declared\n-- @param id text\nSELECT name FROM things WHERE id = :id",
                          other="-- @http GET /other\nSELECT id FROM things WHERE name = 1").faults(**database)
    assert [fault.endswith(note) for fault in faults] == [True, False]
    assert all("operator does not exist" in fault for fault in faults)


def test_a_statement_that_the_role_may_not_run_is_noted(folder, database, lazy_postgres):
    """PostgreSQL prepares it; only a request would show it. Nothing is run for the note."""
    server, name = lazy_postgres(), database["PGDATABASE"]
    server.execute("CREATE TABLE locked (id bigint PRIMARY KEY); CREATE TABLE half (id bigint); REVOKE ALL ON locked, half FROM larder; "
                   "GRANT SELECT ON half TO larder", database=name)
    routes = {"read": "-- @http GET /read\nSELECT id FROM locked",
              "first": "-- @http POST /first\nINSERT INTO half (id) VALUES (:id); SELECT id FROM half",
              "page": "-- @http GET /page\n-- @page by=id\n-- @param kind text\nSELECT id FROM locked WHERE :kind <> ''",
              "load": "-- @http GET /load\n-- @stream csv\nSELECT id FROM locked",
              "rls": "-- @http GET /rls\n-- @auth required rls\nSELECT id FROM locked",
              "good": "-- @http POST /good\nINSERT INTO things (id) SELECT :id FROM half; NOTIFY told"}
    status, lines, said = folder.write(**routes).larder("check", LARDER_JWT_ALG="HS256", LARDER_JWT_KEY_FILE="secret",
                                                         **database)
    notes = {line.removeprefix(f"{folder.path}/") for line in lines[:-1] if "permission denied" in line}
    words = "note: PostgreSQL: permission denied for table {}; grant it, or the answer is 500 where responders ask as the same role"
    assert notes == {f"first.sql:2: {words.format('half')}"} | {
        f"{file}: {words.format('locked')}" for file in ("read.sql:2", "page.sql:4", "load.sql:3")}
    assert (status, said) == (0, "")
    assert server.execute("SELECT count(*) FROM things", database=name) == [(0,)]


def test_an_order_by_a_value_is_noted(folder):
    routes = {"value": "-- @http GET /value\n-- @param sort text default=id enum=id,name\nSELECT id FROM things ORDER BY :sort",
              "chosen": "-- @http GET /chosen\n-- @param sort text default=id\nSELECT id, name FROM things "
                        "ORDER BY CASE WHEN :sort = 'name' THEN name END, id"}
    status, lines, _ = folder.write(**routes).larder("check")
    (note,) = lines[:-1]
    assert status == 0 and note.startswith(f"{folder.path}/value.sql:3: note: ORDER BY :sort is one value for all rows")


def test_a_location_that_leads_nowhere_is_noted(folder):
    write = "-- @http POST /{0}\n-- @result row\n-- @location {1}\nINSERT INTO things (id) VALUES (:id) RETURNING id"
    folder.write(good=GOOD, right=write.format("right", "/good/{id}"), wrong=write.format("wrong", "/goods/{id}"),
                 written=write.format("written", "/wrong"))
    status, lines, _ = folder.larder("check")
    assert status == 0 and lines[:-1] == [
        f"{folder.path}/{file}.sql:3:14: note: @location {path}: no GET here has this path"
        for file, path in (("written", "/wrong"), ("wrong", "/goods/{id}"))]


def test_auth_without_tokens_is_noted_as_the_start_would_refuse_it(folder):
    folder.write(a="-- @http GET /a\n-- @auth optional\nSELECT 1 AS a", b="-- @http GET /b\n-- @auth required\nSELECT 1 AS b",
                 c="-- @http GET /c\nSELECT 1 AS c")
    status, lines, said = folder.larder("check")
    assert (status, said) == (0, "") and lines[:-1] == [
        f"{folder.path}/a.sql:1: note: 2 routes have @auth, but LARDER_JWT_ALG is off: with these settings no responder starts"]
    assert len(folder.larder("check", LARDER_JWT_ALG="HS256", LARDER_JWT_KEY_FILE="secret")[1]) == 1


def test_every_statement_is_asked_of_postgresql(folder, database):
    bad = {f"bad{number}": f"-- @http GET /bad{number}\nSELECT missing{number} FROM things" for number in range(5)}
    status, lines, _ = folder.write(good=GOOD, **bad).larder("check", **database)
    assert status == 1 and sum("does not exist" in line for line in lines) == 5
    assert "1 route without fault" in lines[-1] and "5 faults" in lines[-1]


def test_behind_pgbouncer_the_commands_leave_nothing_to_the_next_client(folder, database, lazy_postgres, work_folder):
    """Neither a prepared statement, over which the next command would stumble, nor a time-out."""
    name = database["PGDATABASE"]
    bouncer = PgBouncer(work_folder, lazy_postgres(), name, pool=1)
    try:
        settings = database | bouncer.environment | {"LARDER_DB_POOLING": "transaction"}
        folder.write(good=GOOD)
        for command in (["check"], ["routes", "--depends"], ["install"], ["check"], ["install", "--remove"], ["check"]):
            status, lines, said = folder.larder(*command, **settings)
            assert (status, said) == (0, ""), (command, lines, said)
        with lazy_postgres().connect(name, "larder", host="127.0.0.1", port=bouncer.port) as client, client.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout'), count(*) FROM pg_prepared_statements")
            assert cursor.fetchall() == [("0", 0)]
    finally:
        bouncer.stop()


def test_a_good_folder_with_a_database(folder, database):
    status, lines, said = folder.write(good=GOOD).larder("check", **database)
    assert (status, said) == (0, "")
    assert lines[-1].startswith("1 route without fault, 0 faults") and "not asked" not in lines[-1]


def test_a_statement_is_prepared_and_not_run(folder, database):
    text = "-- @http GET /run\n-- @result value\nSELECT 1 / 0 AS never"
    assert folder.write(run=text).larder("check", **database)[0] == 0


def test_an_unreachable_database_is_said_and_offline_does_not_ask(folder):
    nowhere = {"PGHOST": "127.0.0.1", "PGPORT": str(free_port()), "PGDATABASE": "x", "PGUSER": "x", "PGPASSWORD": "hidden"}
    status, lines, said = folder.write(good=GOOD).larder("check", **nowhere)
    assert status == 1 and "PostgreSQL" in said and "refused" in said
    assert "hidden" not in said + "".join(lines)
    status, lines, said = folder.larder("check", "--offline", **nowhere)
    assert (status, said) == (0, "") and "not asked" in lines[-1]
    status, lines, said = folder.write(bad="SELECT 1").larder("check", **nowhere)
    assert status == 1 and any("bad.sql:1" in line for line in lines), "the files' own faults are told all the same"


# routes

ROUTES = {
    "good": GOOD,
    "list": "-- @http GET /list\n-- @param limit int default=20\n-- @param tag text[] default=null\n"
            "-- @control public, max-age=60\nSELECT id FROM things WHERE name = ANY(:tag) LIMIT :limit",
    "plain": "-- @http GET /plain\nSELECT 1 AS a",
}


def cells(lines):
    return [re.split(r"  +", line.strip()) for line in lines]


def test_routes_prints_the_table_with_types_learned(folder, database):
    status, lines, said = folder.write(**ROUTES).larder("routes", **database)
    assert (status, said) == (0, "")
    assert cells(lines) == [
        ["METHOD", "PATH", "PARAMETERS", "AUTH", "CACHE", "CONTROL"],
        ["GET", "/good/{id}", "id bigint", "-", "ttl=5m negative=1m", "no-cache"],
        ["GET", "/list", "limit integer=20, tag text[]=null", "-", "-", "public, max-age=60"],
        ["GET", "/plain", "-", "-", "-", "no-cache"]]
    assert len({line.index("GET /good") if "GET /good" in line else 0 for line in lines}) == 1
    starts = {line.find(word) for line, word in zip(lines, ("CONTROL", "no-cache", "public,", "no-cache"))}
    assert len(starts) == 1, "the columns are aligned"


def test_routes_of_values_are_texts_that_nobody_keeps(folder):
    _, lines, _ = folder.write(put="-- @http PUT /v/{key}\n-- @kv set key={key} value={value}",
                               got="-- @http GET /v/{key}\n-- @kv get key={key}").larder("routes")
    assert cells(lines)[1:] == [["GET", "/v/{key}", "key text", "-", "-", "no-store"],
                                ["PUT", "/v/{key}", "key text, value text", "-", "-", "no-store"]]


def test_routes_tells_who_may_ask_and_what_a_caller_alone_is_answered(folder):
    _, lines, _ = folder.write(
        maybe="-- @http GET /maybe\n-- @auth optional\nSELECT :auth.sub::text AS sub",
        own="-- @http GET /own\n-- @auth required rls\n-- @cache ttl=5m\nSELECT 1 AS a",
        shared="-- @http GET /shared\n-- @auth required role=editor\n-- @control public, max-age=9\nSELECT 1 AS a",
    ).larder("routes")
    assert [row[3:] for row in cells(lines)[1:]] == [
        ["optional", "-", "private, no-cache"], ["required rls", "ttl=5m", "private, no-cache"],
        ["required role=editor", "-", "public, max-age=9"]]


def test_routes_shows_a_field_that_may_be_left_out_as_one(folder):
    """What no @param declares is NULL then; what one declares without a default is required."""
    _, lines, _ = folder.write(patch="-- @http PATCH /things/{id}\n-- @param made date\nUPDATE things SET made = :made, "
                                     "name = coalesce(:name, name) WHERE id = :id").larder("routes")
    assert cells(lines)[1][2] == "id ?, made date, name ?=null"


def test_routes_without_a_database_leaves_what_only_postgresql_knows_open(folder):
    status, lines, _ = folder.write(**ROUTES).larder("routes")
    assert status == 0
    assert [row[2] for row in cells(lines)[1:]] == ["id ?", "limit integer=20, tag text[]=null", "-"]


def test_routes_of_faulty_files_points_to_check(folder):
    status, lines, said = folder.write(bad="SELECT 1", **ROUTES).larder("routes")
    assert status == 1 and len(lines) == 4 and "larder check" in said


# config

def test_config_prints_every_value_and_where_it_comes_from():
    status, lines, said = larder("config", LARDER_THREADS="7", LARDER_REDIS="redis://user:hidden@host:6379/2",
                                 LARDER_TIMEOUT="")
    assert (status, said) == (0, "")
    assert "LARDER_THREADS=7  # environment" in lines and "LARDER_DB_POOL=10  # default" in lines
    assert "LARDER_TIMEOUT=10s  # default" in lines
    redis = next(line for line in lines if line.startswith("LARDER_REDIS="))
    assert "hidden" not in redis and "host:6379/2" in redis and "***" in redis
    assert all(re.fullmatch(r"LARDER_[A-Z0-9_]+=.*  # (default|environment)", line) for line in lines)


def test_the_sample_is_an_environment_file_whose_values_are_valid():
    status, lines, said = larder("config", "--sample")
    assert (status, said) == (0, "")
    assert all(re.fullmatch(r"(#.*)?", line) for line in lines), "nothing is set until somebody uncomments it"
    values = dict(line[1:].split("=", 1) for line in lines if re.match(r"#LARDER_[A-Z0-9_]+=", line))
    names = {line.split("=")[0] for line in larder("config")[1]}
    assert values.keys() == names
    status, after, said = larder("config", **values)
    assert (status, said) == (0, "")
    assert [line.split("  #")[0] for line in after] == [line.split("  #")[0] for line in larder("config")[1]]
    for name in names:
        place = next(index for index, line in enumerate(lines) if line.startswith(f"#{name}="))
        assert lines[place - 1].startswith("# Allowed: ") and len(lines[place - 2]) > 20


def test_bad_options_are_told_by_every_command(folder):
    for command in (["config"], ["check", folder.path], ["routes", folder.path]):
        status, lines, said = larder(*command, LARDER_THREADS="0", LARDER_CACHE="yes", LARDER_DB_WAIT="5")
        assert (status, lines) == (2, [])
        assert said.splitlines() == [
            'LARDER_CACHE is "yes", but must be off or on',
            'LARDER_THREADS is "0", but must be a whole number from 1 to 1024',
            'LARDER_DB_WAIT is "5", but must be a duration with a unit (ms, s, m, h, d) from 1ms to 10m']


def test_an_unknown_option_is_warned_of():
    status, _, said = larder("config", LARDER_THREAD="4", LARDER_STATE="x")
    assert status == 0 and "LARDER_THREAD " in said and "LARDER_STATE" not in said


# The call

def test_help_and_version_go_to_the_output():
    status, lines, said = larder("--help")
    assert (status, said) == (0, "") and all(any(f"larder {word}" in line for line in lines)
                                             for word in ("check", "routes", "config"))
    assert larder("-h") == (status, lines, said)
    for word, usage in (("check", "[--offline] [DIR]"), ("jobs", "list [waiting"), ("stats", "[--json]"),
                        ("install", "[--print] [--remove] [--replica] [--no-module] [--to ROLE] [--wait DURATION] [DIR]")):
        status, lines, said = larder(word, "--help", LARDER_THREADS="bad")
        assert (status, said) == (0, "") and lines[0].startswith(f"usage: larder {word} {usage}")
        assert not any(line.startswith("usage") or "  larder " in line for line in lines[1:]), "and of no other command"
        assert all(len(line) <= 80 for line in lines[1:]), lines
        assert all(f"  {option} " in "\n".join(lines) for option in re.findall("--[a-z-]+", usage)), "each option is told"
        assert larder(word, "-h") == (status, lines, said)
    status, lines, said = larder("--version")
    assert (status, said) == (0, "") and re.fullmatch(r"larder \d+\.\d+\.\d+", lines[0]) and len(lines) == 1
    for name in ("larder-fcgi", "larderd"):
        shown = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True, timeout=10)
        assert shown.stdout.startswith(name + " ")


@pytest.mark.parametrize("arguments, expected", [
    ([], "usage"), (["chek"], '"chek"'), (["check", "--ofline"], '"--ofline"'), (["check", "a", "b"], '"b"'),
    (["routes", "-x"], '"-x"'), (["config", "--all"], '"--all"'), (["config", "--sample", "x"], '"x"'),
    (["--help-me"], '"--help-me"'),
])
def test_a_wrong_call_says_so_and_exits_2(arguments, expected):
    status, lines, said = larder(*arguments)
    assert (status, lines) == (2, []) and expected in said
