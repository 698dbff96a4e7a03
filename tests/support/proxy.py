"""A TCP proxy that misbehaves on demand: it stands between a responder and Redis or PostgreSQL."""

import re
import socket
import threading
import time

from .network import free_port

COMMAND = re.compile(rb"(?:\A|(?<=\n))\*\d+\r\n")


class Proxy:
    """Passes bytes to `target` (host, port, or the path of a UNIX socket) until told otherwise.

    The behaviour may change at any time and holds for open connections as for new ones.
    """

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.connections = 0
        self.open, self.held, self.holds_new = set(), set(), False
        self.lock = threading.Lock()
        self.changed = threading.Condition()
        self.mode, self.seconds, self.reply, self.pattern = "pass", 0.0, b"", b""
        self.kept_back = self.delayed = 0
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def redis(self):
        """The URL at which a Redis behind it is reached."""
        return f"redis://127.0.0.1:{self.port}/0"

    def behave(self, mode, seconds=0.0, reply=b"", pattern=b""):
        with self.changed:
            self.mode, self.seconds, self.reply, self.pattern = mode, seconds, reply, pattern
            self.changed.notify_all()

    def pass_on(self):
        self.behave("pass")

    def delay(self, seconds):
        """Every answer comes that much later."""
        self.behave("delay", seconds)

    def stall(self):
        """Nothing comes through in either direction; new connections are accepted all the same."""
        self.behave("stall")

    def keep_back(self, pattern, seconds=0.0):
        """What has `pattern` in it reaches the server when the proxy does something else. Every answer comes so many
        seconds later. `kept_back` and `delayed` count them."""
        self.behave("keep", seconds, pattern=pattern)

    def withhold(self, pattern):
        """An answer with `pattern` in it, and what comes behind it, waits until the proxy does something else.
        `kept_back` counts them."""
        self.behave("withhold", pattern=pattern)

    def part(self, pattern, seconds):
        """Of an answer with `pattern` in it, what stands behind that comes so many seconds later."""
        self.behave("part", seconds, pattern=pattern)

    def hold(self):
        """Nothing comes through the connections that are open now, until release; new ones are as always."""
        with self.lock:
            self.held = set(self.open)

    def hold_new(self):
        """The same for the connections that are made from now on."""
        self.holds_new = True

    def release(self):
        with self.changed:
            self.held, self.holds_new = set(), False
            self.changed.notify_all()

    def cut(self):
        """Closes every connection, open or new, at once."""
        self.behave("cut")
        self.drop()

    def drop(self):
        """Closes the open connections and stays as it is for new ones."""
        with self.lock:
            for each in list(self.open):
                shut(each)

    def answer(self, reply):
        """Sends `reply` once for each Redis command that comes, and tells the server nothing."""
        self.behave("answer", reply=reply)

    def stop(self):
        self.behave("cut")
        shut(self.listener)
        self.listener.close()
        self.drop()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        if self.mode == "cut":
            client.close()
            return
        server = self.reach()
        with self.lock:
            self.open |= {client, server}
            if self.holds_new:
                self.held |= {client, server}
        back = threading.Thread(target=self.pump, args=(server, client, False), daemon=True)
        back.start()
        self.pump(client, server, True)
        back.join()
        with self.lock:
            self.open -= {client, server}
        client.close()
        server.close()

    def reach(self):
        """A connection to the target; a dead socket when there is none, so that the client sees a close."""
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        server = socket.socket(family)
        try:
            server.connect(self.target)
        except OSError:
            if self.mode != "answer":
                shut(server)
        return server

    def pump(self, source, sink, upstream):
        try:
            while data := source.recv(1 << 16):
                self.treat(data, source, sink, upstream)
        except OSError:
            pass
        if self.mode != "answer" or upstream:
            shut(source)
            shut(sink)

    def treat(self, data, source, sink, upstream):
        with self.changed:
            self.changed.wait_for(lambda: self.mode != "stall" and source not in self.held)
            mode = self.mode
            if (mode, upstream) in (("keep", True), ("withhold", False)) and self.pattern in data:
                self.kept_back += 1
                self.changed.wait_for(lambda: self.mode != mode)
            mode, seconds, reply, pattern = self.mode, self.seconds, self.reply, self.pattern
        if mode == "answer":
            if upstream:
                source.sendall(reply * max(1, len(COMMAND.findall(data))))
            return
        if mode in ("delay", "keep") and seconds and not upstream:
            self.delayed += 1
            time.sleep(seconds)
        if mode == "part" and not upstream and pattern in data:
            self.delayed += 1
            end = data.index(pattern) + len(pattern)
            sink.sendall(data[:end])
            data = data[end:]
            time.sleep(seconds)
        sink.sendall(data)


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
