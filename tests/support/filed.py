"""Jobs of the queue as a test sees them: filed through HTTP, brought on by hand as a worker would."""

import json
import re
import socket
import time

from .answer import parse_header_lines

QUEUE = {"LARDER_QUEUE": "redis://127.0.0.1:{stack.redis.port}/1"}


def queue(stack):
    return stack.redis.client(db=1)


def post(stack, target, body=None, method="POST", **headers):
    """Headers are named with underscores; the body is JSON."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        headers["Content-Type"] = "application/json"
    text = b"" if body is None else json.dumps(body).encode()
    return stack.request(target, method=method, body=text, headers=headers)


def job_id(answer):
    """The id of the job that a 202 tells of."""
    assert answer.status == 202, answer
    return re.fullmatch(r"/jobs/([A-Za-z0-9_-]{22})", answer["Location"])[1]


def fields(stack, identifier):
    stored = queue(stack).hgetall(f"larder:q:j:{identifier}")
    return {name.decode(): value.decode() for name, value in stored.items()}


def bring(stack, identifier, state, told=True, **changes):
    """What a worker does to a job's hash, and the news of it."""
    with queue(stack).pipeline() as pipe:
        pipe.hset(f"larder:q:j:{identifier}", mapping={"s": state} | changes)
        if told:
            pipe.publish("larder:q:news", f"{identifier} {state}")
        pipe.execute()


def finish(stack, identifier, body='{"made":1}', **changes):
    result = {"e": str(int(time.time() * 1e6)), "rs": "200", "rt": "application/json", "rb": body}
    bring(stack, identifier, "done", **result | changes)


class Events:
    """A reader of server-sent events, through nginx."""

    def __init__(self, stack, target, headers=None, timeout=30.0):
        lines = {"Host": "larder.test", "Accept": "text/event-stream"} | (headers or {})
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.connection = socket.create_connection(("127.0.0.1", stack.nginx.port), timeout)
        self.connection.sendall(f"GET {target} HTTP/1.0\r\n{text}\r\n".encode())
        self.data = b""
        head = self.until(b"\r\n\r\n")
        status, _, block = head.partition(b"\r\n")
        self.status = int(status.split()[1])
        self.headers = dict(parse_header_lines(block))

    def until(self, mark):
        """What comes up to the mark; b"" where the stream ends before."""
        while mark not in self.data:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            self.data += piece
        part, _, self.data = self.data.partition(mark)
        return part

    def next(self):
        """(type, id, data) of the next event; None at the end. Signs of life are passed over."""
        while text := self.until(b"\n\n").decode():
            if text == ":":
                continue
            rows = [line.partition(": ")[::2] for line in text.split("\n")]
            named = dict(rows)
            return named["event"], named["id"], "\n".join(value for name, value in rows if name == "data")
        return None

    def close(self):
        self.connection.close()
