"""nginx/ as shipped in front of a responder that tells what it was sent: no program of ours is needed."""

import contextlib
import json
import os
import shutil
import socket
import struct
import tempfile
import threading
from pathlib import Path

from .client import read_answer, request
from .network import accepts, free_port
from .paths import TOP
from .process import Process
from .waiting import wait_until

UNPRIVILEGED = "www-data"
SECRET = "0123456789abcdef0123456789abcdef"
BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
MAIN = """
daemon off; pid {folder}/nginx.pid; worker_processes 2; error_log {folder}/error.log info;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi; proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ text/html html; }}
    gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;
    fastcgi_read_timeout 1s;
    {extra}
    include larder.conf;
}}
"""


@contextlib.contextmanager
def nginx_folder():
    """A folder that nginx may enter as whoever it runs, under a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="larder-nginx-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Mirror:
    """A FastCGI responder that answers with the parameters and the body it got, as JSON.

    It keeps connections and counts them. `/sized/N` answers N bytes, `/problem` a problem of its own,
    `/broken` half an answer; `answers` has what further targets are answered with: bytes, or a function of the
    parameters that gives them. `seen` has the parameters of all requests.
    """

    def __init__(self, path):
        self.answers = {}
        self.seen = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        self.connections = 0
        self.requests = 0
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def drop(self):
        """Cuts the kept connections."""
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as stream:
            while self.serve_one(connection, stream):
                pass

    def serve_one(self, connection, stream):
        params, body, keep = b"", b"", False
        while True:
            header = stream.read(8)
            if len(header) < 8:
                return False
            _, kind, identifier, length, padding, _ = struct.unpack("!BBHHBB", header)
            content = stream.read(length + padding)[:length]
            if kind == BEGIN:
                keep = bool(content[2] & 1)
            elif kind == PARAMS:
                params += content
            elif kind == STDIN and content:
                body += content
            elif kind == STDIN:
                break
        self.requests += 1
        params = dict(pairs(params))
        self.seen.append(params)
        answer = self.answer(params, body)
        for start in range(0, len(answer), 65535):
            piece = answer[start:start + 65535]
            connection.sendall(struct.pack("!BBHHBB", 1, STDOUT, identifier, len(piece), 0, 0) + piece)
        if params["REQUEST_URI"] == "/broken":
            return False
        connection.sendall(struct.pack("!BBHHBB", 1, END, identifier, 8, 0, 0) + bytes(8))
        return keep

    def answer(self, params, body):
        target = params["REQUEST_URI"]
        if own := self.answers.get(target):
            return own if isinstance(own, bytes) else own(params)
        if target == "/broken":
            return b"Content-Type: text/plain\r\nContent-Length: 100\r\n"
        if target == "/problem":
            return (b"Status: 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
                    b'Retry-After: 9\r\n\r\n{"mine":true}')
        if target.startswith("/sized/"):
            return b'Content-Type: application/json\r\nETag: "abc"\r\n\r\n' + b"x" * int(target[7:])
        return (b'Content-Type: application/json\r\nETag: "abc"\r\nCache-Status: larder; hit\r\n\r\n'
                + json.dumps({"params": params, "body": body.decode("latin-1")}).encode())


def pairs(data):
    position = 0

    def size():
        nonlocal position
        if data[position] < 128:
            position += 1
            return data[position - 1]
        position += 4
        return struct.unpack_from("!I", data, position - 4)[0] & 0x7FFFFFFF

    while position < len(data):
        name, value = size(), size()
        yield (data[position:position + name].decode("latin-1"),
               data[position + name:position + name + value].decode("latin-1"))
        position += name + value


def as_unprivileged():
    return {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}


class Site:
    """The shipped files, with their port, sockets and logs moved into a folder."""

    def __init__(self, folder, extra=""):
        self.folder = folder
        self.port = free_port()
        etc = folder / "etc"
        shutil.copytree(f"{TOP}/nginx", etc)
        moved = {"listen 80;": f"listen 127.0.0.1:{self.port};", "/run/larder/": f"{folder}/",
                 "/run/larder-nginx": f"{folder}/kept",
                 "/etc/larder/": f"{etc}/", "/var/log/nginx/": f"{folder}/"}
        (etc / "nginx-secret.conf").write_text(f"{SECRET} yes;\n")
        for name in ("larder.conf", "snippets/larder-upstreams.conf"):
            text = (etc / name).read_text()
            for old, new in moved.items():
                text = text.replace(old, new)
            (etc / name).write_text(text)
        (etc / "nginx.conf").write_text(MAIN.format(folder=folder, extra=extra))
        if os.geteuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)

    def command(self, *arguments):
        return ["/usr/sbin/nginx", "-p", str(self.folder), "-e", str(self.folder / "error.log"),
                "-c", str(self.folder / "etc/nginx.conf"), *arguments]

    def start(self):
        self.process = Process("nginx", self.command(), self.folder / "start.log", user=UNPRIVILEGED)
        wait_until(lambda: accepts(self.port), what="nginx listens")

    def get(self, target, **options):
        return request(self.port, target, **options)

    def seen(self, target, **options):
        answer = self.get(target, **options)
        assert answer.status == 200, answer
        return answer.json()["params"]

    def raw(self, data):
        """Sends bytes that need be no request at all."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            return read_answer(connection, "GET", 0)
