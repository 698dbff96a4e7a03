"""What tests of jobs share: filing one, asking what became of it, and what the queue holds."""

import json

from .waiting import wait_until

ENDED = ("done", "failed", "cancelled")


def file_job(stack, target, fields=None, **headers):
    """Posts it; the job's path."""
    answer = post(stack, target, fields, **headers)
    assert answer.status == 202, answer
    assert answer.json() == {"status": "processing"}, answer
    assert answer["Location"].startswith("/jobs/"), answer
    return answer["Location"]


def post(stack, target, fields=None, method="POST", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return stack.direct(target, method=method, headers={"Content-Type": "application/json"} | headers,
                        body=json.dumps(fields or {}).encode())


def look(stack, path, **headers):
    """What the job's owner is told of it."""
    answer = stack.direct(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 200, answer
    return answer.json()


def ended(stack, path, deadline=30, **headers):
    """Waits until it is done, failed or cancelled; what is told of it then."""
    def over():
        told = look(stack, path, **headers)
        return told if told["status"] in ENDED else None

    return wait_until(over, deadline, f"the end of {path}")


def left(stack):
    """How many jobs wait, run, or are to be tried again: at one moment, for they go from one place to the other."""
    with stack.queue.client().pipeline() as asked:
        asked.xlen("larder:q:jobs").zcard("larder:q:later")
        return sum(asked.execute())


def dead(stack):
    """The ids of the jobs that failed for good."""
    return [fields[b"j"].decode() for _, fields in stack.queue.client().xrange("larder:q:dead")]


def record(stack, path):
    """The job's hash in Redis."""
    fields = stack.queue.client().hgetall(f"larder:q:j:{path.removeprefix('/jobs/')}")
    return {name.decode(): value.decode() for name, value in fields.items()}
