"""What nginx keeps is coherent: a row changed in SQL shows in moments, and nginx answers by itself all the while."""

import os
import time

import pytest

from support.stack import metrics
from support.waiting import wait_until

MOMENT = 20.0  # seconds a change may take in these tests, however busy the machine; the ttl is far longer
SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL);
INSERT INTO notes SELECT n, repeat('note ' || n || ' ', 400) FROM generate_series(1, 400) AS n;
"""
ROUTES = {
    "note": """-- A note.
-- @http GET /notes/{id}
-- @param id int
-- @result row
-- @cache ttl=10m
-- @nginx ttl=5m
-- @depends notes.id = :id
SELECT id, text FROM notes WHERE id = :id
""",
    "count": """-- How many.
-- @http GET /count
-- @result row
-- @nginx ttl=5m
SELECT count(*) AS notes FROM notes
""",
}
CODINGS = ("identity", "gzip", "br, gzip")
numbers = iter(range(1, 400))


@pytest.fixture(scope="module")
def served(shared_stack):
    return begin(shared_stack)


def begin(factory, **options):
    """Everything is heard of: an answer may be kept for the whole ttl."""
    stack = factory(ROUTES, schema=SCHEMA, nginx_workers=2, install=True, larderd=1, **options)
    wait_heard(stack)
    return stack


def wait_heard(stack):
    wait_until(lambda: int(stack.direct("/count")["X-Accel-Expires"] or 0) > 100, 20, "changes being heard of")


@pytest.fixture
def id():
    return next(numbers)


def kept(answer):
    return "nginx; hit" in (answer["Cache-Status"] or "")


def keep(stack, target, **options):
    """Asks until nginx answers by itself."""
    return wait_until(lambda: kept(answer := stack.get(target, **options)) and answer, what=f"{target} kept")


def change(stack, id, text):
    stack.sql("UPDATE notes SET text = %s WHERE id = %s", [text, id])


def wait_for_text(stack, id, text, deadline=MOMENT, **options):
    """Seconds until nginx has it; whoever asked meanwhile was answered by nginx."""
    begin = time.monotonic()

    def there():
        answer = stack.get(f"/notes/{id}", **options)
        assert kept(answer), f"passed on to Larder: {answer['Cache-Status']}"
        return answer.json()["text"] == text

    while not there():
        assert time.monotonic() - begin < deadline, f"{text} is not there after {deadline} s"
    return time.monotonic() - begin


def count(stack, name):
    return metrics(stack).sum(f"larder_nginx_{name}_total")


def test_a_change_shows_in_moments_and_nginx_answers_all_the_while(served, id):
    keep(served, f"/notes/{id}")
    ages = []
    for number in range(30):
        change(served, id, f"text {number}")
        ages.append(wait_for_text(served, id, f"text {number}"))
    print(f"\nuntil nginx has a change: median {sorted(ages)[15] * 1000:.1f} ms, most {max(ages) * 1000:.1f} ms")


def test_each_coding_is_refreshed(served, id):
    for coding in CODINGS:
        keep(served, f"/notes/{id}", headers={"Accept-Encoding": coding})
    old = {coding: served.get(f"/notes/{id}", headers={"Accept-Encoding": coding})["ETag"] for coding in CODINGS}
    change(served, id, "new " * 500)
    for coding in CODINGS:
        headers = {"Accept-Encoding": coding}
        answer = wait_until(lambda: (got := served.get(f"/notes/{id}", headers=headers))["ETag"] != old[coding] and got,
                            MOMENT)
        assert kept(answer)
        assert served.get(f"/notes/{id}", headers=headers | {"If-None-Match": answer["ETag"]}).status == 304
        assert served.get(f"/notes/{id}", headers=headers | {"If-None-Match": old[coding]}).status == 200


def test_a_row_that_goes_takes_its_page_with_it(served, id):
    keep(served, f"/notes/{id}")
    served.sql("DELETE FROM notes WHERE id = %s", [id])
    wait_until(lambda: served.get(f"/notes/{id}").status == 404, MOMENT)
    served.sql("INSERT INTO notes VALUES (%s, 'back')", [id])
    wait_until(lambda: served.get(f"/notes/{id}").status == 200, MOMENT)


def test_a_route_without_cache_is_coherent_too(served):
    notes = keep(served, "/count").json()["notes"]
    served.sql("INSERT INTO notes VALUES (1001, 'more')")
    wait_until(lambda: served.get("/count").json()["notes"] == notes + 1, MOMENT)
    assert kept(served.get("/count"))


def test_other_pages_stay(served, id):
    other = next(numbers)
    for each in (id, other):
        keep(served, f"/notes/{each}")
    before = count(served, "refreshes")
    change(served, id, "changed")
    wait_for_text(served, id, "changed")
    keep(served, f"/notes/{other}")
    assert count(served, "refreshes") - before <= 2, "the page, and the count of a test before"


def test_many_changes_of_a_page_are_few_refreshes(served, id):
    keep(served, f"/notes/{id}")
    before = count(served, "refreshes")
    served.sql("".join(f"UPDATE notes SET text = 'text {number}' WHERE id = {id}; COMMIT; " for number in range(300)))
    wait_for_text(served, id, "text 299")
    assert count(served, "refreshes") - before < 150


def test_what_nobody_reads_is_not_refreshed_for_ever(stack):
    routes = ROUTES | {"brief": ROUTES["note"].replace("/notes/", "/brief/").replace("@nginx ttl=5m", "@nginx ttl=1s")}
    stack = stack(routes, schema=SCHEMA, install=True, larderd=1)
    wait_heard(stack)
    keep(stack, "/brief/1")
    texts = (f"text {number}" for number in range(1000))

    def refreshed(deadline):
        before = count(stack, "refreshes")
        change(stack, 1, text := next(texts))
        wait_until(lambda: count(stack, "refreshes") > before, deadline)
        return text

    def ended():
        try:
            refreshed(1)
        except AssertionError:
            return True

    text = refreshed(MOMENT)
    wait_until(lambda: stack.get("/brief/1").json()["text"] == text, MOMENT, "the text in nginx")
    wait_until(ended, 30, "an end of the refreshes")
    # nginx counts in whole seconds; its own hits keep nothing alive
    wait_until(lambda: kept(stack.get("/brief/1")) is False, 5, "nginx' own end of it")
    assert stack.get("/brief/1").json()["text"] == stack.sql("SELECT text FROM notes WHERE id = 1")[0][0]


def test_changes_while_larderd_was_away_show_when_it_is_back(stack):
    stack = begin(stack)
    keep(stack, "/notes/1")
    stack.larderd.kill()
    change(stack, 1, "while away")
    assert stack.get("/notes/1").json()["text"] != "while away"
    stack.larderd.start()
    wait_for_text(stack, 1, "while away", 20)


def test_a_nginx_that_was_away_has_the_change_when_it_is_back(stack):
    """What it kept is still in its folder, within its ttl, but struck."""
    stack = begin(stack)
    keep(stack, "/notes/1")
    stack.nginx.stop()
    change(stack, 1, "while away")
    wait_until(lambda: count(stack, "refresh_failures") > 0)
    assert "refreshing what nginx keeps" in stack.larderd.log_text()
    stack.nginx.start()
    wait_until(lambda: stack.get("/notes/1").json()["text"] == "while away", 20)


def test_a_responder_that_heard_nothing_for_a_while_has_all_asked_for_anew(stack):
    """While no responder of the host runs nobody there hears of changes."""
    stack = begin(stack)
    keep(stack, "/notes/1")
    stack.api.stop()
    change(stack, 1, "while away")
    wait_until(lambda: stack.sql("SELECT count(*) FROM larder.outbox")[0][0] == 0)
    stack.restart()
    wait_until(lambda: stack.get("/notes/1").json()["text"] == "while away", 10)


def test_a_responder_that_began_after_the_last_change(stack):
    """Nothing need change before nginx may keep for its whole time what is in no other cache."""
    stack = begin(stack, env={"LARDER_GUARD_TTL": "1s"})
    redis = stack.redis.client()

    def passed():
        seconds, rest = redis.time()
        return seconds * 1_000_000 + rest > int(redis.hget("larder:c", "n"))

    wait_until(passed, 20, "Redis' time past the numbers that were given at larderd's start")
    stack.restart()
    wait_heard(stack)


def test_the_wrong_secret_is_told(stack):
    stack = stack(ROUTES, schema=SCHEMA, install=True, larderd=0)
    with open(f"{stack.folder}/other-secret", "w", encoding="utf-8") as other:
        other.write("0" * 32 + " yes;\n")
    stack.start_larderd(environment=stack.environment() | {"LARDER_NGINX_SECRET_FILE": f"{stack.folder}/other-secret"})
    wait_heard(stack)
    keep(stack, "/notes/1")
    change(stack, 1, "new")
    log = wait_until(lambda: "as old as before" in (text := stack.larderd.log_text()) and text)
    assert "0" * 32 not in log and stack.nginx_secret not in log


@pytest.mark.parametrize("text", ["", "short", "with blanks in it"])
def test_a_secret_that_is_none_is_refused(stack, text):
    stack = stack(ROUTES, schema=SCHEMA, install=True, larderd=0)
    with open(f"{stack.folder}/bad-secret", "w", encoding="utf-8") as bad:
        bad.write(text)
    stack.start_larderd(environment=stack.environment() | {"LARDER_NGINX_SECRET_FILE": f"{stack.folder}/bad-secret"})
    wait_until(lambda: not stack.larderd.running())
    assert "LARDER_NGINX_SECRET_FILE" in stack.larderd.log_text()


def write_note(stack, text, line=""):
    """The route of one note with another text; `line` is one more of its annotations."""
    stack.write_route("note", ROUTES["note"].replace("@http", f"{line}@http", 1).replace("text FROM", f"{text} FROM"))


def reload(stack):
    for pool in stack.pools:
        pool.reload()


def wait_for_status(stack, target, status):
    wait_until(lambda: stack.get(target).status == status, MOMENT, f"{status} of {target}")


def test_routes_that_changed_change_what_nginx_keeps(stack):
    """Its key has no version: a page of before would be served for its ttl, to whoever may not have it any more too."""
    served = begin(stack)
    for target in ("/notes/1", "/notes/2", "/count"):
        keep(served, target)
    write_note(served, "upper(text) AS text")
    reload(served)
    for id in (1, 2):
        wait_for_text(served, id, f"NOTE {id} " * 400)
    served.write_route("second", ROUTES["note"].replace("{id}", "2").replace("-- @param id int\n", "")
                       .replace("= :id", "= 2", 1).replace(":id", "2").replace("-- @depends notes.id = 2\n", "")
                       .replace("text FROM", "'shadow' AS text FROM"))
    reload(served)
    wait_for_text(served, 2, "shadow")
    assert kept(served.get("/notes/1")), "what is as it was stays"
    os.unlink(f"{served.routes}/second.sql")
    reload(served)
    wait_for_text(served, 2, "NOTE 2 " * 400)
    os.unlink(f"{served.routes}/note.sql")
    reload(served)
    wait_for_status(served, "/notes/1", 404)
    assert kept(served.get("/count"))


def test_a_route_that_changed_while_no_responder_ran(stack):
    served = begin(stack)
    keep(served, "/notes/1")
    write_note(served, "'anew' AS text")
    served.restart()
    wait_for_text(served, 1, "anew")
