"""A FastCGI client (specification 1.0) that speaks to a responder's socket without nginx between.

It sends whatever it is told, records that nginx would never make included.
"""

import socket
import struct
import time

from .answer import Answer, parse_header_lines

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES = range(1, 10)
RESPONDER = 1
KEEP_CONNECTION = 1


def record(kind, content=b"", identifier=1, version=1, padding=0, length=None):
    """One record; `length` overrides the true length of the content."""
    size = len(content) if length is None else length
    return struct.pack("!BBHHBB", version, kind, identifier, size, padding, 0) + content + b"\0" * padding


def begin(keep=False, role=RESPONDER, identifier=1):
    return record(BEGIN, struct.pack("!HB5x", role, KEEP_CONNECTION if keep else 0), identifier)


def pair(name, value):
    def size(length):
        return bytes([length]) if length < 128 else struct.pack("!I", length | 0x80000000)

    name, value = (part if isinstance(part, bytes) else part.encode() for part in (name, value))
    return size(len(name)) + size(len(value)) + name + value


def stream(kind, content, identifier=1):
    """The content cut into records, and the empty record that ends a stream."""
    pieces = [content[start:start + 65535] for start in range(0, len(content), 65535)]
    return b"".join(record(kind, piece, identifier) for piece in pieces) + record(kind, b"", identifier)


def cgi_params(target, method="GET", headers=None, body=b""):
    """The parameters nginx would send for this request; `target` may be bytes."""
    target = target if isinstance(target, bytes) else target.encode()
    path, _, query = target.partition(b"?")
    params = {
        "REQUEST_METHOD": method, "REQUEST_URI": target, "QUERY_STRING": query, "DOCUMENT_URI": path,
        "SCRIPT_NAME": path, "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_SCHEME": "http", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1", "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": "80", "SERVER_NAME": "larder.test", "CONTENT_TYPE": "", "HTTP_HOST": "larder.test",
        "CONTENT_LENGTH": str(len(body)) if body else "",
    }
    for name, value in (headers or {}).items():
        variable = name.upper().replace("-", "_")
        params[variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + variable] = value
    return params


class Connection:
    """A connection to a responder's UNIX socket."""

    def __init__(self, path, timeout=30.0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, target, method="GET", headers=None, body=b"", keep=False, params=None, identifier=1):
        start = time.monotonic()
        try:
            self.start(target, method, headers, body, keep, params, identifier)
        except (BrokenPipeError, ConnectionResetError):
            pass  # of a body that nobody wants a responder reads what comes soon; its answer is still there to read
        return self.answer(start)

    def start(self, target, method="GET", headers=None, body=b"", keep=False, params=None, identifier=1):
        """Sends a whole request without reading its answer. `params` adds to or replaces nginx's usual ones."""
        merged = cgi_params(target, method, headers, body) | (params or {})
        pairs = b"".join(pair(name, value) for name, value in merged.items())
        self.send(begin(keep, identifier=identifier) + stream(PARAMS, pairs, identifier)
                  + stream(STDIN, body, identifier))

    def answer(self, start=None):
        """Reads records up to END_REQUEST and gives the CGI answer in them."""
        start = start or time.monotonic()
        output = bytearray()
        while True:
            kind, content = self.read_record()
            if kind == STDOUT:
                output += content
            elif kind == END:
                break
        head, separator, body = bytes(output).partition(b"\r\n\r\n")
        assert separator, f"no end of headers in {bytes(output[:300])!r}"
        headers = parse_header_lines(head)
        status = next((int(value.split()[0]) for name, value in headers if name.lower() == "status"), 200)
        return Answer(status, [each for each in headers if each[0].lower() != "status"], body,
                      time.monotonic() - start)

    def read_record(self):
        _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", self.read_exactly(8))
        content = self.read_exactly(length)
        self.read_exactly(padding)
        return kind, content

    def read_exactly(self, size):
        while len(self.pending) < size:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise ConnectionResetError("the responder closed the connection")
            self.pending += piece
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken


def ask(path, target, timeout=30.0, **options):
    """One request on a FastCGI connection of its own."""
    with Connection(path, timeout) as connection:
        return connection.request(target, **options)
