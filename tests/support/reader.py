"""A client that reads of its answer as much as it is told to, and when."""

import socket

from .client import join_chunks, parse_header_lines


class Reader:
    """Asks at once. `seen` is what was read: head and chunks as they came, or their end alone after skip_to_end()."""

    def __init__(self, port, target, buffer=None, **headers):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: larder.test\r\n{fields}\r\n".encode())
        self.seen = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        self.socket.close()

    def read_until(self, text):
        while text not in self.seen:
            piece = self.socket.recv(1 << 16)
            assert piece, f"the connection ended after {self.seen[-200:]!r}"
            self.seen += piece
        return self

    def skip_to_end(self):
        """Reads the rest, of which only the end is held; gives how many bytes came."""
        count = 0
        while not self.seen.endswith(b"\r\n0\r\n\r\n"):
            piece = self.socket.recv(1 << 20)
            assert piece, f"the connection ended after {self.seen[-200:]!r}"
            self.seen = self.seen[-64:] + piece
            count += len(piece)
        return count

    def whole(self):
        """(status, fields, body) of an answer that is small enough to be held."""
        self.read_until(b"\r\n\r\n")
        head, _, _ = self.seen.partition(b"\r\n\r\n")
        fields = {name.lower(): value for name, value in parse_header_lines(head.partition(b"\r\n")[2])}
        length = fields.get("content-length")
        while not self.ended(length):
            piece = self.socket.recv(1 << 16)
            assert piece, f"the connection ended after {self.seen[-200:]!r}"
            self.seen += piece
        body = self.seen.partition(b"\r\n\r\n")[2]
        return int(self.seen.split()[1]), fields, body if length else join_chunks(body)

    def ended(self, length):
        body = self.seen.partition(b"\r\n\r\n")[2]
        return len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")
