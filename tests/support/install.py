"""Databases that `larder install` works on, and what its triggers leave in the outbox."""

import os
import subprocess

from .paths import program
from .postgres import program_folder
from .stack import clean_environment


class Installed:
    """A database of its own, a folder of routes, and the command between them."""

    def __init__(self, server, folder, schema, routes, encoding=None):
        self.server = server
        self.name = server.create_database(encoding=encoding)
        # The role has the schema's name, so that "$user" would come to mean it.
        server.execute(f'ALTER DATABASE "{self.name}" SET search_path = public')
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.write(routes)
        server.execute(schema, database=self.name, user="larder")

    def write(self, routes):
        """Routes by name, each its statement, after annotations if need be; answers are kept but where one says how."""
        for name in os.listdir(self.folder):
            os.remove(f"{self.folder}/{name}")
        for name, text in routes.items():
            with open(f"{self.folder}/{name}.sql", "w", encoding="utf-8") as route:
                kept = "" if text.startswith("-- kept: ") else "-- @cache ttl=60s\n"
                route.write(f"-- @http GET /{name}\n{kept}{text}")

    def environment(self, user="larder"):
        return clean_environment() | self.server.environment | {"PGDATABASE": self.name, "PGUSER": user}

    def run(self, *arguments, user="larder", routes=True):
        """`larder install`: status, output, errors."""
        words = [program("larder"), "install", *arguments, *([self.folder] if routes else [])]
        ended = subprocess.run(words, env=self.environment(user), check=False, capture_output=True, text=True,
                               timeout=60, stdin=subprocess.DEVNULL)
        return ended.returncode, ended.stdout, ended.stderr

    def check(self):
        """What `larder check` says of the folder."""
        ended = subprocess.run([program("larder"), "check", self.folder], env=self.environment(), check=False,
                               capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return ended.stdout

    def install(self, *arguments, user="larder"):
        status, output, errors = self.run(*arguments, user=user)
        assert status == 0, errors
        self.sql("TRUNCATE larder.outbox", user="postgres")
        return output

    def sql(self, statement, parameters=None, user="larder"):
        return self.server.execute(statement, parameters, database=self.name, user=user)

    def connect(self, user="larder"):
        return self.server.connect(self.name, user)

    def rows(self):
        """The outbox' tags as they are, sorted."""
        return sorted(tag for tag, in self.sql("SELECT unnest(string_to_array(tag, E'\\n')) FROM larder.outbox", user="postgres"))

    def struck(self, *statements, user="larder"):
        """The tags, each once, that the statements leave; one session, autocommit but for BEGINs among them."""
        return sorted(set(self.left(*statements, user=user)))

    def left(self, *statements, user="larder"):
        """The same as the rows are, twice where there are two."""
        self.sql("TRUNCATE larder.outbox", user="postgres")
        connection = self.connect(user)
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()
        return self.rows()

    def dump_and_restore(self, *arguments):
        """What a dump of the database, taken with these arguments, makes of an empty one in its place."""
        folder, environment = program_folder(), self.environment("postgres")
        dump = subprocess.run([f"{folder}/pg_dump", *arguments], env=environment, check=True, capture_output=True,
                              timeout=60).stdout
        self.server.drop_database(self.name)
        self.server.execute(f"CREATE DATABASE {self.name} OWNER larder")
        self.server.execute(f"ALTER DATABASE {self.name} SET search_path = public")
        subprocess.run([f"{folder}/psql", "-qX", "-v", "ON_ERROR_STOP=1"], env=environment, input=dump, check=True,
                       capture_output=True, timeout=60)

    def triggers(self):
        """What there is of triggers, in a way that a change of any shows."""
        return self.sql("SELECT t.tgrelid::regclass::text, t.tgname, t.tgenabled, t.oid, t.xmin::text "
                        "FROM pg_trigger AS t WHERE t.tgname LIKE 'larder%' ORDER BY 1, 2", user="postgres")

    def objects(self):
        """All of Larder's that a dump would show: by their texts, without OIDs."""
        return self.sql(
            "SELECT 't', tgrelid::regclass::text, pg_get_triggerdef(oid, true) || tgenabled::text FROM pg_trigger "
            "WHERE NOT tgisinternal "
            "UNION ALL SELECT 'p', proname, pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc "
            "WHERE pronamespace = to_regnamespace('larder') "
            "UNION ALL SELECT 'c', relname, relkind::text || relpersistence::text || coalesce(relacl::text, '') "
            "FROM pg_class WHERE relnamespace = to_regnamespace('larder') "
            "UNION ALL SELECT 'e', evtname, evtenabled::text FROM pg_event_trigger ORDER BY 1, 2, 3", user="postgres")
