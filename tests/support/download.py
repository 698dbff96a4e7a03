"""A download as its reader sees it on a responder's socket: read at his own pace, whole or broken off."""

from .answer import Answer, parse_header_lines
from .fastcgi import END, STDOUT, Connection


class Download:
    def __init__(self, path, target, headers=None, timeout=30.0, keep=False):
        self.connection = Connection(path, timeout)
        self.output = bytearray()
        self.whole = self.broken = False
        self.connection.start(target, headers=headers, keep=keep)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        self.connection.close()

    def step(self):
        """Reads one record; False when there will be none any more."""
        try:
            kind, content = self.connection.read_record()
        except ConnectionResetError:
            self.broken = True
            return False
        if kind == STDOUT:
            self.output += content
        self.whole = kind == END
        return not self.whole

    def read_until(self, size):
        """Reads until so many bytes are there; false when there are not."""
        while len(self.output) < size and self.step():
            pass
        return len(self.output) >= size

    def finish(self):
        while self.step():
            pass
        return self

    @property
    def answer(self):
        head, separator, body = bytes(self.output).partition(b"\r\n\r\n")
        assert separator, self.output[:300]
        headers = parse_header_lines(head)
        status = next(int(value.split()[0]) for name, value in headers if name.lower() == "status")
        return Answer(status, headers, body)
