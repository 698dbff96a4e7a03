"""Routes that file jobs, and clients that wait at /jobs/{id}."""

from . import tokens
from .crowd import Background
from .filed import QUEUE, job_id, post, queue
from .stack import metrics
from .waiting import wait_until

SCHEMA = "CREATE TABLE notes (id int, text text);"
PAGE = "https://page.test"
ROUTES = {
    "note": "-- @http POST /notes/{id}\n-- @auth optional\n-- @async dedupe={id}\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :auth.sub)",
    "text": "-- @http PUT /notes/{id}\n-- @param text text\n-- @async\n-- @result none\n"
            "INSERT INTO notes VALUES (:id, :text)",
    "two": "-- @http GET /{a}/{b}\nSELECT :a::text AS a, :b::text AS b",
}


def settings(folder):
    """Three may wait at a time."""
    return QUEUE | tokens.settings(f"{folder}/key") | {"LARDER_CORS_ORIGINS": PAGE, "LARDER_JOB_WAITS": "3"}


def empty(stack):
    """Whoever waited in the test before is answered first, and then counted no more."""
    wait_until_waiting(stack, 0)
    queue(stack).flushdb()


def filed(stack, number=1, **headers):
    return job_id(post(stack, f"/notes/{number}", **headers))


def waiting(stack):
    return metrics(stack).sum("larder_job_waits")


def wait_until_waiting(stack, count):
    wait_until(lambda: waiting(stack) == count, 20, f"{count} that wait for a job")


def ask_waiting(stack, identifier, wait=30, others=0, **headers):
    """A long-poll that waits, beside so many others."""
    asking = Background(stack.get, f"/jobs/{identifier}", headers={"Prefer": f"wait={wait}"} | headers)
    wait_until_waiting(stack, others + 1)
    return asking


def ask_made(stack, target="/notes/1", **headers):
    """A POST that waits for its own job: the request, and the job's id."""
    asking = Background(post, stack, target, **{"Prefer": "respond-async, wait=30"} | headers)
    wait_until_waiting(stack, 1)
    (_, entry), = queue(stack).xrange("larder:q:jobs")
    return asking, entry[b"j"].decode()
