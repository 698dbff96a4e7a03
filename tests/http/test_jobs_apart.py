"""Jobs of two users and of nobody: who filed one sees it, and to everybody else it is as if it were not there."""

import itertools

import pytest

from support import tokens
from support.jobs import ended, file_job, look

SCHEMA = """
CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY, owner text NOT NULL, text text NOT NULL);
CREATE TABLE gate (part int PRIMARY KEY);
INSERT INTO gate VALUES (1);
"""
ROUTES = {
    "note": "-- @http POST /notes\n-- @auth required\n-- @param text text\n-- @result row\n-- @async\n"
            "INSERT INTO notes (owner, text) VALUES (:auth.sub, :text) RETURNING owner, text\n",
    "once": "-- @http POST /once/{name}\n-- @auth required\n-- @param text text\n-- @result row\n"
            "-- @async dedupe=once-{name}\n"
            "INSERT INTO notes (owner, text) SELECT :auth.sub, :name || ' ' || :text FROM gate RETURNING owner, text\n",
    "anyone": "-- @http POST /anyone\n-- @param text text\n-- @result row\n-- @async\n"
              "INSERT INTO notes (owner, text) VALUES ('nobody', :text) RETURNING owner, text\n",
}
ANN, BEN, NOBODY = "ann", "ben", None
UNKNOWN = "/jobs/AAAAAAAAAAAAAAAAAAAAAA"


def signed(user, **claims):
    return {} if user is None else tokens.bearer(user, **claims)


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, schema=SCHEMA, queue=True, install=True, larderd=True, processes=2,
                        env=tokens.settings(f"{tmp_path_factory.mktemp('apart')}/key"))


@pytest.fixture(scope="module")
def idle(shared_stack, tmp_path_factory):
    """The same without anybody who makes the jobs."""
    return shared_stack(ROUTES, schema=SCHEMA, queue=True, install=True,
                        env=tokens.settings(f"{tmp_path_factory.mktemp('idle')}/key"))


def ways(stack):
    return (stack.direct, stack.request)


def assert_not_there(answer, path, unknown):
    """A job that was never filed is told of in the same words."""
    problem, other = answer.problem(404), unknown.problem(404)
    told, said = ({name: value for name, value in each.items() if name != "instance"} for each in (problem, other))
    assert told == said
    fields, others = ({name for name, _ in each.headers} for each in (answer, unknown))
    assert fields == others, path
    assert answer["ETag"] is None


STRANGERS = [BEN, NOBODY]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_job_is_its_users_alone_queued_or_done(served, idle, stranger):
    done = file_job(served, "/notes", {"text": "mine"}, **signed(ANN))
    ended(served, done, **signed(ANN))
    for stack, path in ((served, done), (idle, file_job(idle, "/notes", {"text": "mine"}, **signed(ANN)))):
        for way in ways(stack):
            own = way(path, headers=signed(ANN))
            assert (own.status, own.json()["id"]) == (200, path.removeprefix("/jobs/"))
            for method, more in (("GET", {}), ("HEAD", {}), ("DELETE", {}), ("GET", {"If-None-Match": own["ETag"]}),
                                 ("GET", {"If-None-Match": "*"}), ("GET", {"If-Match": "*"}),
                                 ("GET", {"Prefer": "wait=30"}), ("GET", {"Accept": "text/event-stream"})):
                answer, unknown = (way(each, method=method, headers=signed(stranger) | more, timeout=5)
                                   for each in (path, UNKNOWN))
                assert answer.status == 404, (method, more, answer)
                if method != "HEAD":
                    assert_not_there(answer, path, unknown)
            assert way(path, headers=signed(ANN)).body == own.body, "a stranger has changed it"


def test_a_signed_in_users_token_may_be_renewed(served):
    path = file_job(served, "/notes", {"text": "mine"}, **signed(ANN, iat=tokens.later(-60), exp=tokens.later(60)))
    ended(served, path, **signed(ANN, exp=tokens.later(600), jti="another"))


def test_nobodys_job_is_whose_who_knows_its_path(served):
    path = file_job(served, "/anyone", {"text": "whose"})
    assert ended(served, path)["result"] == {"owner": "nobody", "text": "whose"}


def test_a_result_is_private(served):
    path = file_job(served, "/notes", {"text": "private"}, **signed(ANN))
    ended(served, path, **signed(ANN))
    for way in ways(served):
        answer = way(path, headers=signed(ANN))
        assert "private" in answer["Cache-Control"] and "Authorization" in answer["Vary"]
        again = way(path, headers=signed(ANN) | {"If-None-Match": answer["ETag"]})
        assert (again.status, again.body) == (304, b"")


def test_each_job_is_made_as_who_filed_it(served):
    users = [ANN, BEN, "cem", "dee"] * 5
    jobs = [(user, file_job(served, "/notes", {"text": f"of {user}"}, **signed(user))) for user in users]
    for user, path in jobs:
        assert ended(served, path, **signed(user))["result"] == {"owner": user, "text": f"of {user}"}


@pytest.mark.parametrize(("target", "more"), [("/once/same", {}), ("/notes", {"Idempotency_Key": "same"})])
def test_one_users_key_is_not_anothers(idle, target, more):
    """What is filed once is filed once for each."""
    jobs = {user: file_job(idle, target, {"text": "same"}, **signed(user), **more) for user in (ANN, BEN)}
    again = {user: file_job(idle, target, {"text": "same"}, **signed(user), **more) for user in (ANN, BEN)}
    assert again == jobs and jobs[ANN] != jobs[BEN]
    for user, other in itertools.permutations((ANN, BEN)):
        assert look(idle, jobs[user], **signed(user))["status"] == "queued"
        idle.direct(jobs[other], headers=signed(user)).problem(404)


def test_a_bad_token_is_told_so_and_no_more(idle):
    path = file_job(idle, "/notes", {"text": "mine"}, **signed(ANN))
    forged = tokens.bearer(ANN, key=tokens.Secret(b"another secret, as long as it must be, but not ours"))
    for headers in (forged, tokens.bearer(ANN, exp=tokens.later(-3600))):
        for method in ("GET", "DELETE"):
            answers = [idle.direct(each, method=method, headers=headers) for each in (path, UNKNOWN)]
            assert answers[0].status == answers[1].status and answers[0].status in (401, 404), answers
    assert look(idle, path, **signed(ANN))["status"] == "queued"


def test_a_cancelled_job_is_its_users_still(idle):
    path = file_job(idle, "/notes", {"text": "no"}, **signed(ANN))
    idle.direct(path, method="DELETE", headers=signed(BEN)).problem(404)
    assert idle.direct(path, method="DELETE", headers=signed(ANN)).status in (200, 202, 204)
    assert look(idle, path, **signed(ANN))["status"] == "cancelled"
    idle.direct(path, headers=signed(BEN)).problem(404)


@pytest.mark.parametrize("path", ["/jobs/", "/jobs/x", "/jobs/" + "A" * 21, "/jobs/" + "A" * 23, "/jobs/%00", "/jobs/*",
                                  "/jobs/" + "A" * 21 + "%2F", "/jobs/" + "A" * 21 + "*", "/jobs"])
def test_what_is_no_id_is_no_job(idle, path):
    for user in (ANN, NOBODY):
        answer = idle.direct(path, headers=signed(user))
        assert answer.status in (400, 404), answer


def test_a_stream_of_events_tells_its_user_alone(served):
    """The stranger's request ends at once; the owner's with the job."""
    path = file_job(served, "/notes", {"text": "watched"}, **signed(ANN))
    for way in ways(served):
        answer = way(path, headers=signed(ANN) | {"Accept": "text/event-stream"})
        assert answer.status == 200 and answer["Content-Type"].startswith("text/event-stream"), answer
        assert b"done" in answer.body
