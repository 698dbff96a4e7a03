"""nginx over the project's own site and snippets, on a private port and with sockets of the stack."""

import os
import re
import shutil

from .network import accepts, free_port
from .paths import TOP
from .process import Process
from .waiting import wait_until

MAIN = """
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
daemon off;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    {http}
    include site.conf;
}}
"""


class Nginx:
    """`gzip on` stands in the outer configuration on purpose: the snippets must keep it off Larder's answers."""

    def __init__(self, folder, sockets, workers=1, http="", port=None, secret_file="/nonexistent"):
        self.folder = str(folder)
        self.port = port or free_port()
        self.secret_file = secret_file
        self.workers = workers
        self.http = http
        self.sockets = sockets
        self.process = None
        os.makedirs(self.folder)
        self.configure()
        self.start()

    def configure(self):
        shutil.copytree(f"{TOP}/nginx/snippets", f"{self.folder}/snippets")
        upstreams = f"{self.folder}/snippets/larder-upstreams.conf"
        self.rewrite(upstreams, "/run/larder-nginx", f"{self.folder}/kept")
        self.rewrite(upstreams, "/run/larder/", f"{self.sockets}/")
        self.rewrite(upstreams, "/etc/larder/nginx-secret.con[f]", self.secret_file)
        self.rewrite(f"{self.folder}/snippets/larder-kv.conf", "/usr/share/larder/", f"{TOP}/")
        shutil.copy(f"{TOP}/nginx/larder.conf", f"{self.folder}/site.conf")
        self.rewrite(f"{self.folder}/site.conf", "listen 80;", f"listen 127.0.0.1:{self.port};")
        self.rewrite(f"{self.folder}/site.conf", "/var/log/nginx/", f"{self.folder}/")
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as main:
            main.write(MAIN.format(folder=self.folder, workers=self.workers, http=self.http,
                                   user="user root;" if os.geteuid() == 0 else ""))

    @staticmethod
    def rewrite(path, old, new):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        assert re.search(rf"^[^#\n]*{re.escape(old)}", text, re.MULTILINE), f"{path} has no {old!r}"
        with open(path, "w", encoding="utf-8") as changed:
            changed.write(text.replace(old, new))

    @property
    def log(self):
        return f"{self.folder}/error.log"

    def start(self):
        command = ["nginx", "-p", self.folder, "-c", f"{self.folder}/nginx.conf"]
        self.process = Process("nginx", command, f"{self.folder}/nginx.log")
        wait_until(self.answers, 20, "nginx answering")

    def answers(self):
        assert self.process.running(), f"nginx ended, see {self.folder}/nginx.log"
        return accepts(self.port)

    def stop(self):
        if self.process:
            self.process.stop()
