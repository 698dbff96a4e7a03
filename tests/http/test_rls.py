"""@auth rls: the database's own row level security, as the token's role and with its claims; nothing crosses."""

import re
import subprocess

import pytest

from support import fastcgi, tokens
from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, detail, is_hit, keep, wait_for_body
from support.crowd import Background, ask_together
from support.gate import NUMBER, Gate
from support.launch import launched
from support.paths import program
from support.postgres import PgBouncer
from support.stack import metrics, queries
from support.tokens import bearer, later
from support.waiting import wait_until

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rls_reader') THEN
        CREATE ROLE rls_reader; CREATE ROLE rls_editor; CREATE ROLE rls_nobody; CREATE ROLE rls_foreign;
        CREATE ROLE rls_team; CREATE ROLE "rls Odd'role"; CREATE ROLE rls_super SUPERUSER;
        GRANT rls_reader, rls_editor, rls_nobody, "rls Odd'role" TO larder;
    END IF;
END $$;
"""
CLAIM = "current_setting('request.jwt.claims', true)::json ->> 'sub'"
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TABLE notes (id int PRIMARY KEY, owner text NOT NULL, team int, word text NOT NULL);
CREATE TABLE members (team int, who text);
INSERT INTO notes VALUES (1, 'ann', NULL, 'a'), (2, 'bob', NULL, 'b'), (3, 'cid', 7, 'c');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes FOR SELECT TO rls_reader, "rls Odd'role"
    USING (owner = {CLAIM} OR team IN (SELECT team FROM members WHERE who = {CLAIM}));
CREATE POLICY every ON notes FOR SELECT TO rls_editor USING (true);
GRANT SELECT ON notes, members TO rls_reader, rls_editor, "rls Odd'role";
CREATE TABLE words (word text); INSERT INTO words VALUES ('w');
CREATE SCHEMA vault; CREATE TABLE vault.coins (id int); INSERT INTO vault.coins VALUES (1);
CREATE TABLE teams (id int PRIMARY KEY); INSERT INTO teams VALUES (1), (2); GRANT SELECT ON teams TO rls_reader;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON teams TO rls_reader USING (id = 1);
CREATE POLICY shared ON teams TO rls_team USING (id = 2);
CREATE TABLE casts (id bigint); GRANT SELECT, INSERT ON casts TO rls_editor; ALTER TABLE casts ENABLE ROW LEVEL SECURITY;
CREATE POLICY number ON casts USING ((current_setting('request.jwt.claims', true)::json ->> 'number')::int > 0);
INSERT INTO casts VALUES (1);
CREATE TABLE odd (id int); INSERT INTO odd VALUES (1); GRANT SELECT ON odd TO rls_reader; ALTER TABLE odd ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON odd USING ((current_setting('request.jwt.claims', true)::json ->> 'role')::int > 0);
GRANT USAGE ON SCHEMA vault TO rls_reader, larder; GRANT SELECT ON vault.coins TO rls_reader, larder;
"""
ASK = "SELECT id, word FROM notes ORDER BY id"
WHO = """SELECT current_user::text AS who, current_setting('role') AS role,
    nullif(current_setting('request.jwt.claims', true), '')::json AS claims"""


def route(path, statement, *lines):
    return "\n".join([f"-- @http GET {path}", *(f"-- {line}" for line in lines), statement, ""])


CACHED = "@cache ttl=300s error=300s"
ROUTES = SENTINEL_ROUTE | {
    "notes": route("/notes", ASK, "@auth required rls", CACHED),
    "far": route("/far", ASK, "@auth required rls", "@cache ttl=300s l1=off"),
    "maybe": route("/maybe", ASK, "@auth optional rls", CACHED),
    "who": route("/who", WHO, "@auth optional rls", "@result row"),
    "session": route("/session", WHO, "@result row"),
    "words": route("/words", "SELECT word FROM words", "@auth required rls"),
    "coins": route("/coins", "SELECT id FROM vault.coins", "@auth required rls", CACHED),
    "teams": route("/teams", "SELECT id FROM teams ORDER BY id", "@auth required rls", CACHED),
    "gate": route("/gate", f"SELECT {CLAIM} AS sub FROM pg_advisory_xact_lock_shared({NUMBER})", "@auth required rls",
                  CACHED, "@result row"),
    "stale": route("/stale", f"SELECT {CLAIM} AS sub, current_user::text AS who, clock_timestamp()::text AS made",
                   "@auth required rls", "@cache ttl=1s stale=300s", "@result row"),
    "claim": route("/claim/{id}", "SELECT :auth.sub::text AS sub, id FROM notes WHERE id = :id", "@auth optional",
                   "@cache ttl=1s stale=300s error=300s negative=1s", "@result row"),
    "cast": route("/cast", "SELECT id FROM casts", "@auth required rls"),
    "cast_one": route("/cast/{id}", "SELECT id FROM casts WHERE id = :id AND (:word IS NULL OR :word <> '')", "@auth required rls",
                      "@param id bigint", "@param word text default=null"),
    "odd": route("/odd", "SELECT id FROM odd", "@auth optional rls"),
    "cast_day": route("/cast-day/{month}", "SELECT make_date(2026, :month, 1) AS day FROM casts", "@auth required rls",
                      "@param month int"),
    "cast_write": route("/cast", "INSERT INTO casts SELECT 2 FROM casts", "@auth required rls").replace("GET", "POST"),
    "cast_write_one": route("/cast/{id}", "INSERT INTO casts SELECT :id FROM casts", "@auth required rls").replace("GET", "POST"),
    "cast_load": route("/casts.csv", "SELECT id FROM casts", "@auth required rls", "@stream csv"),
    "zone": route("/zone", "SELECT set_config('TimeZone', :zone, true) AS zone", "@auth required rls",
                  "@param zone text", "@result row"),
}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    return f"{tmp_path_factory.mktemp('key')}/key"


@pytest.fixture(scope="module")
def shared(shared_stack, lazy_postgres, key_file):
    lazy_postgres().execute(ROLES)
    return shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True,
                        env=tokens.settings(key_file, LARDER_DB_POOL="2"))


@pytest.fixture
def served(shared):
    barrier(shared)
    return shared


def reader(subject, **claims):
    return bearer(subject, role="rls_reader", **claims)


def cache_ttl(answer):
    told = re.search(r";\s*ttl=(\d+)", answer["Cache-Status"] or "")
    return int(told[1]) if told else None


def ids(answer):
    assert answer.status == 200, answer
    return [row["id"] for row in answer.json()]


# As whom

def test_a_statement_runs_as_the_tokens_role_with_its_claims(served):
    answer = served.get("/who", headers=reader("ann", app={"b": 1, "a": [True, None]}, exp=later(), jti="x"))
    assert answer.json() == {"who": "rls_reader", "role": "rls_reader",
                             "claims": {"sub": "ann", "role": "rls_reader", "app": {"b": 1, "a": [True, None]}}}
    odd = served.get("/who", headers=bearer("it's \"$1\"", role="rls Odd'role")).json()
    assert odd["who"] == "rls Odd'role" and odd["claims"]["sub"] == "it's \"$1\""


def test_each_sees_the_rows_that_are_his(served):
    assert ids(served.get("/notes", headers=reader("ann"))) == [1]
    assert ids(served.get("/notes", headers=reader("bob"))) == [2]
    assert ids(served.get("/notes", headers=reader("nobody"))) == []
    assert ids(served.get("/notes", headers=bearer("ann", role="rls_editor"))) == [1, 2, 3]
    assert ids(served.get("/notes", headers=bearer("ann", role="rls Odd'role"))) == [1]


def test_the_session_is_its_own_again(served):
    """Two connections only: whoever comes next has neither role nor claims of the one before."""
    own = served.get("/session").json()
    assert own["role"] == "none" and own["claims"] is None
    for target, headers in (("/who", reader("ann")), ("/words", reader("ann")), ("/who", bearer(1, role="rls_foreign")),
                            ("/zone?zone=nowhere", reader("ann")), ("/notes", reader(str(id(served))))) * 3:
        served.get(target, headers=headers)
        assert all(each.json() == own for each in ask_together(served.direct, ["/session"] * 4))


@pytest.mark.parametrize("role", ["rls_foreign", "rls_super", "postgres", "nonexistent", "none", "larder", "larder ", "x" * 300,
                                  "rls_reader; DROP TABLE notes", "pg_read_all_data"])
def test_a_role_the_responder_may_not_take_is_403(served, role):
    for target in ("/notes", "/who"):
        problem = served.get(target, headers=bearer("ann", role=role)).problem(403)
        assert role not in problem["detail"]


def test_what_the_role_may_not_read_is_403(served):
    answer = served.get("/words", headers=reader("ann"))
    assert "words" not in answer.problem(403)["detail"] and 'error="insufficient_scope"' in answer["WWW-Authenticate"]
    served.get("/notes", headers=bearer("ann", role="rls_nobody")).problem(403)
    for target in ("/notes", "/who", "/maybe"):
        served.get(target, headers=bearer("ann")).problem(403)
        served.get(target, headers=bearer("ann", role=["rls_reader"])).problem(403)


def test_a_bad_setting_within_the_statement_is_no_matter_of_roles(served):
    assert served.get("/zone?zone=UTC", headers=reader("ann")).json() == {"zone": "UTC"}
    assert served.get("/zone?zone=nowhere", headers=reader("ann")).status in (422, 500)


def test_a_claim_that_a_policy_can_not_read_is_laid_to_the_token(served):
    """The parameters that Larder has brought into PostgreSQL's form are not suspected."""
    token = {"name": "Authorization", "in": "header", "detail": "may have a token with a claim that the database does not take"}
    for target in ("/cast", "/cast/1"):
        assert served.get(target, headers=bearer("ann", role="rls_editor", number="7")).status == 200
        problem = served.get(target, headers=bearer("ann", role="rls_editor", number="seven")).problem(422)
        assert problem["errors"] == [token]
    assert served.get("/casts.csv", headers=bearer("ann", role="rls_editor", number="seven")).problem(422)["errors"] == [token]
    for path in ("/cast", "/cast/1"):
        problem = served.request(path, "POST", headers=bearer("ann", role="rls_editor", number="seven")).problem(422)
        assert problem["errors"] == [token]
    problem = served.get("/cast/1?word=x", headers=bearer("ann", role="rls_editor", number="seven")).problem(422)
    assert [item["name"] for item in problem["errors"]] == ["word", "Authorization"]


def test_a_number_that_only_the_statement_refuses_is_suspected_beside_the_token(served):
    problem = served.get("/cast-day/13", headers=bearer("ann", role="rls_editor", number="7")).problem(422)
    assert [item["name"] for item in problem["errors"]] == ["month", "Authorization"]


def test_what_a_policy_can_not_read_is_not_laid_to_a_token_that_nobody_sent(served, work_folder):
    assert served.get("/odd", headers=reader("ann")).problem(422)
    with launched(served, f"{work_folder}/no-token", ROUTES, LARDER_ANON_ROLE="rls_reader") as anon:
        assert fastcgi.ask(anon.socket, "/odd").status == 500


def test_nobody_has_the_role_that_is_configured(served, work_folder):
    for target in ("/who", "/maybe", "/notes"):
        assert served.get(target).problem(401) and served.get(target)["WWW-Authenticate"] == 'Bearer realm="larder"'
    with launched(served, f"{work_folder}/anon", ROUTES, LARDER_ANON_ROLE="rls_reader") as anon:
        def ask(target, headers=None):
            return fastcgi.ask(anon.socket, target, headers=headers)

        assert ask("/who").json() == {"who": "rls_reader", "role": "rls_reader", "claims": {"role": "rls_reader"}}
        assert ids(ask("/maybe")) == []
        assert ask("/who", bearer("ann")).json()["who"] == "rls_reader"
        assert ids(ask("/maybe", bearer("ann"))) == [1]
        assert ids(ask("/maybe")) == []
        ask("/notes").problem(401)
        ask("/who", bearer("ann", role="none")).problem(403)
    with launched(served, f"{work_folder}/barred", ROUTES, LARDER_ANON_ROLE="rls_nobody") as barred:
        answer = fastcgi.ask(barred.socket, "/maybe")
        assert answer.problem(401) and answer["WWW-Authenticate"]


# What is kept

@pytest.mark.parametrize("target, tier", [("/notes", "l1"), ("/far", "redis")])
def test_what_is_kept_is_kept_for_one(served, target, tier):
    people = {name: reader(name) for name in ("ann", "bob", "cid", "dan")}
    tags = {}
    for name, headers in people.items():
        answer = served.get(target, headers=headers)
        tags[name] = answer["ETag"]
    for name, headers in people.items():
        again = keep(lambda: served.get(target, headers=headers), tier)
        assert ids(again) == {"ann": [1], "bob": [2], "cid": [3], "dan": []}[name] and again["ETag"] == tags[name]
        for other, tag in tags.items():
            conditional = served.get(target, headers=headers | {"If-None-Match": tag})
            assert conditional.status == (304 if tag == tags[name] else 200), (name, other)


def test_one_person_s_tokens_share_what_is_kept(served):
    keep(lambda: served.get("/notes", headers=reader("ann", exp=later(100), jti="1", iat=later(-5))))
    before = queries(served)
    assert is_hit(served.get("/notes", headers=reader("ann", exp=later(200), jti="2")))
    assert queries(served) == before
    assert not is_hit(served.get("/notes", headers=reader("ann", team=8)))


def test_another_role_is_another_answer(served):
    keep(lambda: served.get("/notes", headers=reader("ann")))
    assert ids(served.get("/notes", headers=bearer("ann", role="rls_editor"))) == [1, 2, 3]
    assert ids(served.get("/notes", headers=reader("ann"))) == [1]


def test_a_table_that_only_a_policy_reads_is_heard_of(served):
    """Nothing in the statement names it."""
    headers = reader("eve")
    assert ids(keep(lambda: served.get("/notes", headers=headers), "l1")) == []
    served.sql("INSERT INTO members VALUES (7, 'eve')")
    wait_for_body(lambda: served.get("/notes", headers=headers), [{"id": 3, "word": "c"}])
    keep(lambda: served.get("/notes", headers=headers), "l1")
    served.sql("DELETE FROM members WHERE who = 'eve'")
    wait_for_body(lambda: served.get("/notes", headers=headers), [])


def test_another_policy_is_heard_of(served):
    headers = reader("fay")
    assert ids(keep(lambda: served.get("/notes", headers=headers))) == []
    served.sql("CREATE POLICY more ON notes FOR SELECT TO rls_reader USING (id = 2)")
    try:
        wait_for_body(lambda: served.get("/notes", headers=headers), [{"id": 2, "word": "b"}])
    finally:
        served.sql("DROP POLICY more ON notes")
    wait_for_body(lambda: served.get("/notes", headers=headers), [])


def test_a_right_taken_away_is_heard_of(served):
    headers = reader("gil")
    keep(lambda: served.get("/notes", headers=headers), "l1")
    served.sql("REVOKE SELECT ON members FROM rls_reader")
    try:
        wait_until(lambda: served.get("/notes", headers=headers).status == 403, 30, "an answer that is refused")
    finally:
        served.sql("GRANT SELECT ON members TO rls_reader")
    wait_until(lambda: served.get("/notes", headers=headers).status == 200, 30, "an answer again")


def test_a_schema_closed_to_a_role_is_heard_of(served):
    headers = reader("gus")
    wait_until(lambda: (cache_ttl(served.get("/coins", headers=headers)) or 0) > 60, 30, "an answer kept for long")
    served.sql("REVOKE USAGE ON SCHEMA vault FROM rls_reader")
    try:
        wait_until(lambda: served.get("/coins", headers=headers).status == 403, 30, "an answer that is refused")
    finally:
        served.sql("GRANT USAGE ON SCHEMA vault TO rls_reader")
    wait_until(lambda: served.get("/coins", headers=headers).status == 200, 30, "an answer again")


@pytest.mark.parametrize("change, back", [
    ("GRANT rls_team TO rls_reader", "REVOKE rls_team FROM rls_reader"),
    ("ALTER ROLE rls_reader BYPASSRLS", "ALTER ROLE rls_reader NOBYPASSRLS"),
])
def test_what_a_role_is_is_heard_of(served, change, back):
    """No table changes with it, but what its policies let through does."""
    before = [{"id": 1}]
    keep(lambda: served.direct("/teams", headers=reader("ann")))
    barrier(served)
    assert keep(lambda: served.direct("/teams", headers=reader("ann"))).json() == before
    served.postgres.execute(change, None, served.database, "postgres")
    try:
        wait_for_body(lambda: served.direct("/teams", headers=reader("ann")), [{"id": 1}, {"id": 2}], 20)
    finally:
        served.postgres.execute(back, None, served.database, "postgres")
    wait_for_body(lambda: served.direct("/teams", headers=reader("ann")), before, 20)


def test_who_waits_for_an_answer_gets_his_own(served):
    """Four of each of two people at once, one process: two queries, and each has what is his."""
    before = queries(served)
    with Gate(served) as gate:
        asking = [Background(served.direct, "/gate", headers=reader(name)) for name in ("ann", "bob") * 4]
        gate.wait_for(2)
        gate.open()
        answers = [each.result() for each in asking]
    assert [answer.json()["sub"] for answer in answers] == ["ann", "bob"] * 4
    assert queries(served) == before + 2


def test_a_refresh_in_the_background_is_for_whom_it_was_set_off(served):
    """Two people's answers grow stale; each is made anew as who he is."""
    def made(name):
        answer = served.direct("/stale", headers=reader(name)).json()
        assert (answer["sub"], answer["who"]) == (name, "rls_reader")
        return answer["made"]

    before = metrics(served).sum("larder_refreshes_total")

    def both_refreshed():
        for name in ("ann", "bob"):
            seen[name].add(made(name))
        return metrics(served).sum("larder_refreshes_total") >= before + 2 and min(map(len, seen.values())) > 2

    seen = {"ann": set(), "bob": set()}
    wait_until(both_refreshed, 30, "answers made anew in the background")


def test_many_at_once_stay_apart(shared_stack, key_file):
    """Two processes, short lives, other people's tags: every answer is that of who asked."""
    crowded = shared_stack(ROUTES, schema=SCHEMA, install=True, larderd=True, processes=2,
                           env=tokens.settings(key_file, LARDER_DB_POOL="3", LARDER_ANON_ROLE="rls_nobody"))
    people = {"ann": [1], "bob": [2], "cid": [3], "dan": []}
    crowded.sql("INSERT INTO members VALUES (7, 'cid')")
    barrier(crowded)
    tags = {}

    def ask(number):
        name = list(people)[number % 4]
        other = list(people)[number // 4 % 4]
        target = ("/notes", "/far", "/claim/3", "/stale", "/who")[number // 16 % 5]
        headers = reader(name)
        if tag := tags.get((target, other)):
            headers["If-None-Match"] = tag
        if number % 50 == 0:
            crowded.sql("UPDATE notes SET word = 'w' || %s", [number])
        answer = crowded.get(target, headers=headers)
        if answer.status == 304:
            assert other == name, (target, name, other)
            return
        assert answer.status == 200, answer
        if target in ("/notes", "/far"):
            assert ids(answer) == people[name], (target, name, answer)
        else:
            body = answer.json()
            assert (body["claims"] if target == "/who" else body)["sub"] == name, (target, name, answer)
        if target != "/who":
            tags[(target, name)] = answer["ETag"]

    ask_together(ask, range(1600))


def test_a_last_good_answer_stands_in_for_its_own_alone(stack, key_file, lazy_postgres):
    lazy_postgres().execute(ROLES)
    away = stack({"notes": ROUTES["notes"], "maybe": ROUTES["maybe"]}, schema=SCHEMA, database_proxy=True, nginx=False,
                 env=tokens.settings(key_file, LARDER_DB_WAIT="300ms", LARDER_TIMEOUT="500ms", LARDER_GUARD_TTL="100ms"))
    # the first connection may take longer to be let in than LARDER_DB_WAIT has it
    wait_until(lambda: ids(away.direct("/notes", headers=reader("ann"))) == [1], 20, "an answer")
    away.database_proxy.cut()
    answer = away.direct("/notes", headers=reader("ann"))
    assert ids(answer) == [1]
    away.direct("/notes", headers=reader("bob")).problem(503)
    away.direct("/notes").problem(401)


# Elsewhere

def test_behind_pgbouncer_roles_stay_apart_too(served, work_folder, key_file):
    bouncer = PgBouncer(work_folder, served.postgres, served.database, pool=1)
    try:
        with launched(served, f"{work_folder}/bounced", ROUTES, LARDER_DB_POOLING="transaction",
                      **bouncer.environment) as bounced:
            def ask(target, headers=None):
                return fastcgi.ask(bounced.socket, target, headers=headers)

            for _ in range(3):
                assert ask("/who", reader("ann")).json()["claims"]["sub"] == "ann"
                assert ask("/session").json()["claims"] is None and ask("/session").json()["role"] == "none"
                ask("/who", bearer("ann", role="rls_foreign")).problem(403)
                ask("/who", bearer("ann", role="nonexistent")).problem(403)
                assert ids(ask("/far", bearer("ann", role="rls_editor"))) == [1, 2, 3]
    finally:
        bouncer.stop()


def test_check_does_not_complain_of_the_claims(served):
    checked = subprocess.run([program("larder"), "check"], env=served.environment(), capture_output=True, text=True,
                             check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout
    assert "notes.sql" not in checked.stdout and "501" not in checked.stdout


def test_verify_passes_such_answers_over(served):
    keep(lambda: served.get("/notes", headers=reader("ann")))
    verified = subprocess.run([program("larder"), "verify", "--sample", "all"], env=served.environment(),
                              capture_output=True, text=True, check=False, timeout=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "as a client's role" in verified.stdout, verified.stdout
    assert detail(served.get("/notes", headers=reader("ann"))) == "l1"
