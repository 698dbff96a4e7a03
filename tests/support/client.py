"""A bare HTTP/1.1 client: sends the target and the headers as given, adds nothing but Host and Connection."""

import socket
import time

from .answer import Answer, parse_header_lines


class IncompleteAnswer(OSError):
    """The connection ended before the answer did."""


def request(port, target, method="GET", headers=None, body=b"", timeout=30.0, host="127.0.0.1",
            source=None):
    """One request on a connection of its own. `target` may be bytes; `headers` a dict or a list of pairs;
    `source` the loopback address that the client is to have."""
    target = target if isinstance(target, bytes) else target.encode()
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    given = {name.lower() for name, _ in pairs}
    if "host" not in given:
        pairs.insert(0, ("Host", "larder.test"))
    if body and "content-length" not in given:
        pairs.append(("Content-Length", str(len(body))))
    pairs.append(("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
    start = time.monotonic()
    with socket.create_connection((host, port), timeout, (source, 0) if source else None) as connection:
        try:
            connection.sendall(method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early refusal (413, 431) may close before all is sent; its answer is still there to read
        return read_answer(connection, method, start)


def read_answer(connection, method, start):
    data = bytearray()
    while True:
        try:
            piece = connection.recv(1 << 18)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    head, separator, body = bytes(data).partition(b"\r\n\r\n")
    if not separator:
        raise IncompleteAnswer(f"no answer, only {bytes(data[:200])!r}")
    status_line, _, block = head.partition(b"\r\n")
    answer = Answer(int(status_line.split()[1]), parse_header_lines(block), body, time.monotonic() - start)
    if "chunked" in (answer["Transfer-Encoding"] or ""):
        answer.body = join_chunks(body)
    elif method != "HEAD" and answer["Content-Length"] and len(body) != int(answer["Content-Length"]):
        raise IncompleteAnswer(f"{len(body)} of {answer['Content-Length']} bytes came")
    return answer


def join_chunks(data):
    pieces, position = [], 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            raise IncompleteAnswer("the last chunk is missing")
        size = int(data[position:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(data[end + 2:end + 2 + size])
        position = end + 2 + size + 2
