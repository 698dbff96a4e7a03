"""What every part of the bench stands on: a loaded PostgreSQL, one Redis, and compiled helpers."""

import os
import re
import shutil
import subprocess

from support import plans
from support.paths import TOP
from support.postgres import Postgres
from support.redis_server import Redis
from support.stack import clean_environment, pack
from support.waiting import wait_until

BENCH = os.path.dirname(os.path.abspath(__file__))
TARGET = "/feeds?skip=0&limit=20"
# The same page kept elsewhere: file name: (path, added to @cache, further lines).
VARIANTS = {"feeds_redis": ("/redis/feeds", " l1=off", ""),
            "feeds_public": ("/public/feeds", "", "\n-- @control public, no-cache\n-- @nginx ttl=60s")}
PAGE_VALUES = {"limit": 20, "skip": 0}


def run(command, log, **options):
    """Runs a set-up command; shows the end of what it said when it fails."""
    with open(log, "ab") as output:
        status = subprocess.run(command, stdout=output, stderr=output, check=False, **options).returncode
    if status:
        with open(log, encoding="utf-8", errors="replace") as said:
            raise SystemExit(f"{said.read()[-3000:]}\nbench: {' '.join(command)} failed with status {status}")


class Field:
    """Servers of the bench's own in `work`, stopped on leaving. `scale` is that of the social pack's data; `module`:
    PostgreSQL has loaded Larder's."""

    def __init__(self, work, scale, module=False):
        self.work = work
        self.scale = scale
        self.module = module
        self.postgres = self.redis = None
        self.compiled = {}

    def __enter__(self):
        try:
            print(f"Loading the social pack at scale {self.scale:g}", flush=True)
            self.postgres = Postgres(f"{self.work}/postgres", module=self.module)
            self.database = self.postgres.create_database("bench")
            run([f"{pack('social')}/load", "--scale", str(self.scale)], f"{self.work}/load.log",
                env=self.environment())
            run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", f"{BENCH}/schema.sql"], f"{self.work}/load.log",
                env=self.environment())
            self.redis = Redis(f"{self.work}/redis")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in (self.redis, self.postgres):
            if server:
                server.stop()

    def environment(self, database="bench"):
        return clean_environment() | self.postgres.environment | {"PGDATABASE": database}

    def settle(self):
        """What loading and writing left to PostgreSQL, done: it would go on with it beside what is measured next."""
        for (name,) in self.postgres.execute("SELECT datname FROM pg_database WHERE datallowconn"):
            self.postgres.execute("VACUUM ANALYZE", database=name)
        wait_until(self.is_settled, 120, "PostgreSQL's autovacuum coming to its end", 0.2)
        self.postgres.execute("CHECKPOINT")

    def is_settled(self):
        return self.postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
                                     )[0][0] == 0

    def statement_file(self):
        """The page's statement, shaped as Larder shapes it, with $1 the limit and $2 the rows to skip."""
        with open(f"{pack('social')}/routes/feeds.sql", encoding="utf-8") as route:
            lines = [line for line in route if not line.startswith("--")]
        statement = "".join(lines).strip().rstrip(";")
        for number, name in enumerate(PAGE_VALUES, 1):
            statement = re.sub(rf"(?<!:):{name}\b", f"${number}", statement)
        path = f"{self.work}/statement.sql"
        with open(path, "w", encoding="utf-8") as output:
            output.write("SELECT coalesce(json_agg(row_to_json(page_row)), '[]')::text "
                         f"FROM (\n{statement}\n) AS page_row")
        return path

    def compile(self, source, libraries=()):
        """Builds a C helper of the bench, once, and gives the path of the program."""
        if source in self.compiled:
            return self.compiled[source]
        program = f"{self.work}/{os.path.basename(source).removesuffix('.c')}"
        sources = [f"{BENCH}/{source}"] + [f"{BENCH}/timing/link.c"] * source.startswith("timing/")
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *libraries], check=True, capture_output=True,
                               text=True).stdout.split() if libraries else []
        run([os.environ.get("CC", "gcc"), "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread", "-o",
             program, *sources, *flags], f"{self.work}/compile.log")
        self.compiled[source] = program
        return program

    def routes(self):
        """A folder with the social pack's reads and the bench's own routes."""
        folder = f"{self.work}/routes"
        os.makedirs(folder, exist_ok=True)
        for route in plans.reads("social"):
            shutil.copy(f"{TOP}/sql/{route}", folder)
        shutil.copytree(f"{BENCH}/routes", folder, dirs_exist_ok=True)
        with open(f"{folder}/feeds.sql", encoding="utf-8") as route:
            text = route.read()
        for name, (path, cache, more) in VARIANTS.items():
            changed = re.sub(r"(?m)^(-- @http GET )/feeds$", rf"\g<1>{path}", text)
            changed = re.sub(r"(?m)^-- @cache .*$", rf"\g<0>{cache}{more}", changed)
            assert path in changed and cache + more in changed, "the pack's feeds.sql is not as it was"
            with open(f"{folder}/{name}.sql", "w", encoding="utf-8") as output:
                output.write(changed)
        return folder
