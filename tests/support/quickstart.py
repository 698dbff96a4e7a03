"""packaging/quickstart on a state folder of a test's own."""

import os
import subprocess
from pathlib import Path

from .network import free_port

TREE = Path(__file__).resolve().parents[2]
SERVICES = ["postgresql", "redis", "queue", "api", "export", "larderd", "nginx"]


class Quickstart:
    """One state folder, and the command run on it."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LARDER_"))}
        self.environment |= {"LARDER_STATE": str(folder), "LARDER_PORT": str(free_port()), "LARDER_SCALE": "0.01"}
        self.environment["CFLAGS"] = "-O0"  # built sooner; the programs' speed is of no interest here

    @property
    def url(self):
        return f"http://127.0.0.1:{self.environment['LARDER_PORT']}"

    def command(self, *options):
        return [str(TREE / "packaging/quickstart"), *options]

    def __call__(self, *options, **settings):
        return subprocess.run(self.command(*options), env=self.environment | settings, capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL)

    def start(self, **settings):
        started = self("--detach", **settings)
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout

    def pids(self):
        """The pids that --status shows, by service."""
        lines = [line.split() for line in self("--status").stdout.splitlines()]
        assert [line[0] for line in lines] == SERVICES
        return {line[0]: [int(pid) for pid in line[3:]] for line in lines}

    def shell(self, script, **options):
        """A shell after `eval "$(quickstart --env)"`."""
        script = f'set -e; environment=$({" ".join(self.command("--env"))}); eval "$environment"; {script}'
        return subprocess.run(["bash", "-c", script], env=self.environment, capture_output=True, text=True, timeout=60,
                              **options)
