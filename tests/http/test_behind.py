"""@behind: writes that are queued, answered, and made in batches, each once and in their order."""

import base64
import hashlib
import json
import subprocess
import uuid

import pytest

from support import tokens
from support.paths import program
from support.stack import metrics
from support.waiting import wait_until

SCHEMA = """
CREATE TABLE looks (number bigint GENERATED ALWAYS AS IDENTITY, page text NOT NULL CHECK (page <> 'bad'), note text,
                    batch bigint DEFAULT pg_catalog.pg_current_xact_id()::text::bigint, at timestamptz DEFAULT now());
CREATE TABLE counts (page text PRIMARY KEY, count int NOT NULL);
CREATE TABLE mine (owner text NOT NULL DEFAULT current_user, claims text);
CREATE TABLE waits (seconds float);
CREATE FUNCTION check_page(page text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN IF page = 'ill' THEN RAISE internal_error; END IF; RETURN page; END $$;
GRANT INSERT ON mine TO PUBLIC;
"""

ROUTES = {
    "look.sql": """-- @http POST /looks/{page}
-- @behind batch=100 every=50ms
INSERT INTO looks (page, note) VALUES (:page, :note)""",
    "looks.sql": """-- @http GET /looks
-- @cache ttl=1h
SELECT page, note FROM looks ORDER BY number""",
    "count.sql": """-- @http POST /counts/{page}
-- @behind batch=50 every=20ms
-- @invalidates counted:{page}
INSERT INTO counts VALUES (:page, 1) ON CONFLICT (page) DO UPDATE SET count = counts.count + 1""",
    "slow.sql": """-- @http POST /slow/{page}
-- @behind batch=5 every=1h bound=10
INSERT INTO looks (page) VALUES (:page)""",
    "now.sql": """-- @http POST /now/{page}
-- @behind batch=2 every=1h bound=3 full=now
-- @result row
INSERT INTO looks (page) VALUES (:page) RETURNING page""",
    "own.sql": """-- @http POST /mine
-- @auth required rls
-- @behind batch=10 every=20ms
INSERT INTO mine (claims) VALUES (current_setting('request.jwt.claims')::json ->> 'sub')""",
    "sleep.sql": """-- @http POST /sleep/{page}
-- @param seconds float default=0
-- @behind batch=10 every=20ms
-- @timeout 200ms
INSERT INTO looks (page, note) SELECT :page, pg_sleep(:seconds)""",
    "internal.sql": """-- @http POST /internal/{page}
-- @behind batch=5 every=20ms
INSERT INTO looks (page) VALUES (check_page(:page))""",
    "two.sql": """-- @http POST /two/{page}
-- @param seconds float default=0
-- @behind batch=10 every=20ms
INSERT INTO waits VALUES (:seconds);
INSERT INTO looks (page) VALUES (:page)""",
}


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, processes=2,
                        env=tokens.settings(f"{tmp_path_factory.mktemp('behind')}/key"))


@pytest.fixture(scope="module")
def idle(shared_stack):
    """Without larderd: what is queued stays."""
    routes = {name: text for name, text in ROUTES.items() if "@auth" not in text}
    return shared_stack(routes, schema=SCHEMA, queue=True, install=True)


def post(stack, target, fields=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if fields is not None:
        headers["Content-Type"] = "application/json"
    return stack.direct(target, method="POST", headers=headers, body=json.dumps(fields).encode() if fields else b"")


def accepted(answer):
    assert answer.status == 202, answer
    assert answer.json() == {"status": "accepted"}
    assert answer["Cache-Control"] == "no-store"


def pages(stack, like):
    return [page for (page,) in stack.sql("SELECT page FROM looks WHERE page LIKE %s ORDER BY number", (like,))]


def waiting(stack):
    client = stack.queue.client()
    return sum(client.xlen(key) for key in client.keys("larder:q:b:*"))


def emptied(stack):
    wait_until(lambda: waiting(stack) == 0, 20, "the queue being empty")


def test_a_write_is_answered_and_then_made(served):
    accepted(post(served, "/looks/first", {"note": "a ' \" \\ ü\n"}))
    wait_until(lambda: pages(served, "first") == ["first"])
    assert served.sql("SELECT note FROM looks WHERE page = 'first'") == [("a ' \" \\ ü\n",)]
    emptied(served)
    assert pages(served, "first") == ["first"], "once"


def test_what_is_missing_is_null(served):
    accepted(post(served, "/looks/null"))
    wait_until(lambda: served.sql("SELECT note FROM looks WHERE page = 'null'") == [(None,)])


def test_many_are_made_in_their_order_in_few_transactions(served):
    served.larderd.pause()  # or there were more batches the slower these are posted
    for number in range(300):
        accepted(post(served, f"/looks/many-{number:03}"))
    served.larderd.resume()
    wait_until(lambda: len(pages(served, "many-%")) == 300)
    assert pages(served, "many-%") == [f"many-{number:03}" for number in range(300)]
    batches = served.sql("SELECT count(*) FROM looks WHERE page LIKE 'many-%' GROUP BY batch")
    assert max(count for (count,) in batches) <= 100
    assert len(batches) < 20, batches
    assert metrics(served).sum("larder_behind_queued_total") >= 300
    emptied(served)


def test_what_it_changed_is_fresh(served):
    kept = served.direct("/looks")
    wait_until(lambda: "hit" in served.direct("/looks")["Cache-Status"])
    accepted(post(served, "/looks/fresh"))
    wait_until(lambda: "fresh" in served.direct("/looks").text)
    assert "fresh" not in kept.text


def test_a_bad_value_is_told_at_once(served):
    post(served, "/two/x?seconds=1", {"seconds": "long"}).problem(422)
    post(served, "/looks/x", {"unknown": 1}).problem(422)
    answer = served.direct("/looks/x", method="POST", headers={"If-Match": '"x"'})
    answer.problem(412)
    assert pages(served, "x") == []


def test_nobody_is_let_in_for_being_late(served):
    post(served, "/mine").problem(401)


def test_it_runs_as_who_asked(served):
    role = f"looker_{uuid.uuid4().hex[:8]}"
    served.postgres.execute(f"CREATE ROLE {role}; GRANT {role} TO larder", None, served.database, "postgres")
    for user in (7, 8):
        accepted(post(served, "/mine", **tokens.bearer(user, role=role)))
    wait_until(lambda: served.sql("SELECT owner, claims FROM mine ORDER BY claims") == [(role, "7"), (role, "8")])


def test_one_that_can_not_be_made_harms_no_other(served):
    client = served.queue.client()
    dead = client.xlen("larder:q:dead")
    names = [f"poison-{number}" for number in range(20)]
    for number, name in enumerate(names):
        accepted(post(served, f"/looks/{name}"))
        if number in (0, 7, 8, 19):
            accepted(post(served, "/looks/bad", {"note": str(number)}))
    wait_until(lambda: len(pages(served, "poison-%")) == 20)
    emptied(served)
    assert pages(served, "poison-%") == names, "in their order"
    assert pages(served, "bad") == []
    letters = [fields[b"j"].decode() for _, fields in client.xrange("larder:q:dead")][dead:]
    jobs = [client.hgetall(f"larder:q:j:{letter}") for letter in letters]
    assert [json.loads(job[b"d"])["values"]["note"] for job in jobs] == ["0", "7", "8", "19"]
    for job in jobs:
        assert (job[b"s"], job[b"r"]) == (b"failed", b"POST /looks/{page}")
        assert "looks_page_check" in json.loads(job[b"rb"])["detail"]
    assert all(0 < client.ttl(f"larder:q:j:{letter}") <= 14 * 86400 for letter in letters)
    assert metrics(served).sum("larder_behind_dead_total") >= 4


def test_one_whose_time_is_over_does_not_hold_up_the_others_for_ever(served):
    client = served.queue.client()
    dead = client.xlen("larder:q:dead")
    for name, seconds in (("before", 0), ("slow", 5), ("after", 0)):
        accepted(post(served, f"/sleep/{name}", {"seconds": seconds}))
    wait_until(lambda: pages(served, "after") == ["after"], 30)
    assert pages(served, "before") == ["before"] and pages(served, "slow") == []
    assert client.xlen("larder:q:dead") == dead + 1


def test_one_that_fails_for_the_log_alone_does_not_hold_up_the_others_for_ever(served):
    """internal_error may be PostgreSQL's own trouble, which passes; it is what the manual has functions raise, too."""
    client = served.queue.client()
    dead = client.xlen("larder:q:dead")
    for name in ("well", "ill", "better"):
        accepted(post(served, f"/internal/{name}"))
    wait_until(lambda: pages(served, "better") == ["better"], 30)
    assert pages(served, "well") == ["well"] and pages(served, "ill") == []
    assert client.xlen("larder:q:dead") == dead + 1


def test_a_dead_letter_is_nobodys_job(served):
    client = served.queue.client()
    accepted(post(served, "/looks/bad"))
    emptied(served)
    [(_, letter)] = client.xrevrange("larder:q:dead", count=1)
    served.direct("/jobs/" + letter[b"j"].decode()).problem(404)


def stream_of(route):
    digest = hashlib.sha256(f"{len(route)}:{route}".encode()).digest()[:16]
    return "larder:q:b:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("reached, letters", [("99999999999999-0", 0), ("0-0", 1)])
def test_one_that_fits_the_route_no_more_is_no_dead_letter_where_it_was_made(served, reached, letters):
    """As where larderd dies before Redis is told, and comes back with other routes."""
    route, client = "POST /counts/{page}", served.queue.client()
    accepted(post(served, "/counts/first"))
    emptied(served)
    dead = client.xlen("larder:q:dead")
    served.sql("UPDATE larder_kept.behind SET last = %s WHERE route = %s", (reached, route))
    client.xadd(stream_of(route), {"r": route, "d": '{"values":{"gone":"x"}}', "o": ""})
    emptied(served)
    served.sql("UPDATE larder_kept.behind SET last = '0-0' WHERE route = %s", (route,))
    assert client.xlen("larder:q:dead") == dead + letters


def test_a_migration_costs_no_write(served):
    served.sql("ALTER TABLE counts RENAME TO counts_moved")
    accepted(post(served, "/counts/moved"))
    wait_until(lambda: "/counts/{page}: queued writes wait" in served.larderd.log_text())
    dead = served.queue.client().xlen("larder:q:dead")
    served.sql("ALTER TABLE counts_moved RENAME TO counts")
    wait_until(lambda: served.sql("SELECT count FROM counts WHERE page = 'moved'") == [(1,)])
    assert served.queue.client().xlen("larder:q:dead") == dead


def test_a_batch_that_waits_for_a_lock_holds_up_no_other_routes(served):
    holder = served.postgres.connect(served.database, "larder")
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE waits")
    accepted(post(served, "/two/held", {"seconds": 3}))
    wait_until(lambda: served.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)], 10, "a batch that waits")
    for number in range(20):
        accepted(post(served, f"/looks/free-{number:02}"))
        wait_until(lambda page=f"free-{number:02}": pages(served, page) == [page], 8)
    assert pages(served, "held") == []
    holder.rollback()
    holder.close()
    wait_until(lambda: pages(served, "held") == ["held"])


def test_more_routes_than_one_look_takes(stack):
    """Each of them is served."""
    count = 510
    routes = {f"r{number}": f"-- @http POST /r{number}/{{page}}\n-- @behind batch=10 every=50ms\n"
              "INSERT INTO looks (page) VALUES (:page)" for number in range(count)}
    many = stack(routes, schema=SCHEMA, queue=True, install=True, larderd=True, nginx=False)
    for number in range(count):
        accepted(post(many, f"/r{number}/{number}"))
    wait_until(lambda: len(pages(many, "%")) == count, 60)
    emptied(many)
    assert sorted(pages(many, "%")) == sorted(map(str, range(count)))


def test_settings_that_may_lose_writes_are_told_of_where_no_jobs_are_run(stack):
    bare = stack({"look.sql": ROUTES["look.sql"]}, schema=SCHEMA, queue={"appendonly": "no"}, install=True, larderd=True,
                 nginx=False, env={"LARDER_WORKERS": "0"})
    wait_until(lambda: "appendonly is not yes" in bare.larderd.log_text(), 20, "a line of log")
    accepted(post(bare, "/looks/x"))


def test_statements_of_one_write_are_made_together_or_not(served):
    accepted(post(served, "/two/bad", {"seconds": 1}))
    accepted(post(served, "/two/good", {"seconds": 2}))
    wait_until(lambda: pages(served, "good") == ["good"])
    assert served.sql("SELECT seconds FROM waits WHERE seconds IN (1, 2)") == [(2.0,)]


def test_its_own_tags_are_struck(served):
    served.write_route("counted", "-- @http GET /counted/{page}\n-- @cache ttl=1h\n-- @tags counted:{page}\n"
                       "SELECT random() AS number, :page AS page")
    served.api.reload()
    first = served.direct("/counted/a").text
    wait_until(lambda: served.direct("/counted/a").text == served.direct("/counted/a").text)
    accepted(post(served, "/counts/a"))
    wait_until(lambda: served.direct("/counted/a").text != first)


def test_a_key_queues_once(idle):
    key = f'"{uuid.uuid4()}"'
    before = waiting(idle)
    accepted(post(idle, "/looks/keyed", {"note": "a"}, Idempotency_Key=key))
    again = post(idle, "/looks/keyed", {"note": "a"}, Idempotency_Key=key)
    accepted(again)
    assert again["Idempotent-Replayed"] == "true"
    post(idle, "/looks/keyed", {"note": "b"}, Idempotency_Key=key).problem(422)
    assert waiting(idle) == before + 1


def test_no_more_wait_than_may(idle):
    for number in range(10):
        accepted(post(idle, f"/slow/{number}"))
    answer = post(idle, "/slow/late")
    answer.problem(429)
    assert answer["Retry-After"] == "3600"
    accepted(post(idle, "/looks/another-route"))
    assert metrics(idle).sum("larder_behind_refused_total") == 1


def test_beyond_the_bound_it_is_made_at_once_where_the_route_says_so(idle):
    for number in range(3):
        accepted(post(idle, f"/now/{number}"))
    answer = post(idle, "/now/three")
    assert (answer.status, answer.json()) == (200, {"page": "three"})
    assert pages(idle, "three") == ["three"] and pages(idle, "0") == []
    post(idle, "/now/keyed", Idempotency_Key='"k"').problem(429)
    assert metrics(idle).sum("larder_behind_at_once_total") == 1


def test_a_queue_without_room_takes_nothing(idle):
    client = idle.queue.client()
    before = waiting(idle)
    client.config_set("maxmemory", 1)
    try:
        answer = post(idle, "/looks/room", Idempotency_Key='"room"')
    finally:
        client.config_set("maxmemory", 0)
    answer.problem(503)
    assert answer["Retry-After"] == "5" and waiting(idle) == before
    accepted(post(idle, "/looks/room", Idempotency_Key='"room"'))
    assert waiting(idle) == before + 1, "nor does it remember the key"


def test_a_role_with_no_more_rights_than_it_needs(stack):
    """Behind PgBouncer's rules besides: nothing is kept in a session."""
    served = stack({"look.sql": ROUTES["look.sql"]}, schema=SCHEMA, queue=True, install=True)
    role = f"maker_{uuid.uuid4().hex[:8]}"
    served.postgres.execute(f"CREATE ROLE {role} LOGIN", None, served.database, "postgres")
    served.sql(f"GRANT INSERT ON looks TO {role}")
    install = subprocess.run([program("larder"), "install", "--to", role], env=served.environment(), capture_output=True,
                             text=True, check=False, timeout=60)
    assert install.returncode == 0, install.stdout + install.stderr
    served.start_larderd("maker", {"PGUSER": role, "LARDER_DB_POOLING": "transaction"})
    for number in range(50):
        accepted(post(served, f"/looks/{number:02}"))
    wait_until(lambda: len(pages(served, "%")) == 50)
    assert pages(served, "%") == [f"{number:02}" for number in range(50)]


def test_no_queue_no_write(stack):
    bare = stack({"look.sql": ROUTES["look.sql"]}, schema=SCHEMA)
    post(bare, "/looks/x").problem(503)
    assert pages(bare, "x") == []


def test_a_dead_letter_is_tried_again_when_told_to(served):
    """As a job: what was in its way is gone."""
    client = served.queue.client()
    served.sql("ALTER TABLE looks ADD CHECK (page <> 'again')")
    accepted(post(served, "/looks/again", {"note": "kept"}))
    emptied(served)
    [(_, letter)] = client.xrevrange("larder:q:dead", count=1)
    served.sql("ALTER TABLE looks DROP CONSTRAINT looks_page_check1")
    retry = subprocess.run([program("larder"), "jobs", "retry", letter[b"j"].decode()], env=served.environment(),
                           capture_output=True, text=True, check=False, timeout=30)
    assert retry.returncode == 0, retry.stdout + retry.stderr
    wait_until(lambda: served.sql("SELECT note FROM looks WHERE page = 'again'") == [("kept",)])
