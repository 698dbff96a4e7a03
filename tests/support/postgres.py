"""A private PostgreSQL server, and PgBouncer before it when a test asks for one."""

import functools
import os
import shutil
import signal
import subprocess
import tempfile

import psycopg2

from .network import free_port
from .paths import TOP, module
from .process import Process, wait_stopped
from .waiting import wait_until

SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "250",
    "shared_buffers": "256MB", "max_wal_size": "4GB", "listen_addresses": "'127.0.0.1'", "timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %a '", "jit": "off",
}

# Of a server with the module: each test's database has a ring, as long as there are enough of them.
MODULE_SETTINGS = {"larder.ring_databases": "32"}


def program_folder():
    """Debian keeps initdb and postgres out of PATH; the newest version installed counts."""
    root = "/usr/lib/postgresql"
    if os.path.isdir(root):
        newest = max(os.listdir(root), key=float)
        return f"{root}/{newest}/bin"
    return os.path.dirname(shutil.which("postgres"))


def own(path):
    """Gives the folder to the user that the server runs as, for it refuses to run as root."""
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


class Postgres:
    """One cluster with a superuser `postgres` and an ordinary role `larder`, both trusted. `module`: with Larder's module
    in shared_preload_libraries; a database has its functions by create_module()."""

    def __init__(self, folder, settings=None, module=False):
        self.folder = str(folder)
        self.data = f"{self.folder}/data"
        self.port = free_port()
        self.process = None
        self.databases = 0
        os.makedirs(self.folder)
        own(self.folder)
        preloaded = {"shared_preload_libraries": f"'{self.module}'"} | MODULE_SETTINGS if module else {}
        self.initialise(SETTINGS | preloaded | (settings or {}))
        self.start()
        self.execute("CREATE ROLE larder LOGIN", database="postgres")

    def initialise(self, settings):
        command = [f"{program_folder()}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "-N"]
        Process("initdb", command, self.log, user="postgres", cwd=self.folder).wait(120)
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as configuration:
            configuration.write(f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n")
            configuration.writelines(f"{name} = {value}\n" for name, value in settings.items())

    @property
    def log(self):
        return f"{self.folder}/postgres.log"

    @property
    def environment(self):
        """libpq's variables for the role that Larder uses; the database is the caller's to add."""
        return {"PGHOST": self.folder, "PGPORT": str(self.port), "PGUSER": "larder"}

    def start(self):
        command = [f"{program_folder()}/postgres", "-D", self.data]
        self.process = Process("postgres", command, self.log, user="postgres", cwd=self.folder)
        wait_until(self.answers, 60, "PostgreSQL answering")

    def answers(self):
        assert self.process.running(), f"PostgreSQL ended, see {self.log}"
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def connect(self, database, user="postgres", **options):
        """An autocommit connection, over the UNIX socket unless told otherwise."""
        place = {"host": self.folder, "port": self.port} | options
        connection = psycopg2.connect(dbname=database, user=user, **place)
        connection.autocommit = True
        return connection

    @functools.cached_property
    def version(self):
        return int(self.execute("SHOW server_version_num")[0][0]) // 10000

    def execute(self, statement, parameters=None, database="postgres", user="postgres"):
        """Runs a statement and gives its rows, or None when it has none."""
        connection = self.connect(database, user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def create_database(self, name=None, encoding=None):
        self.databases += 1
        name = name or f"test_{self.databases}"
        other = f"TEMPLATE template0 LOCALE 'C' ENCODING '{encoding}'" if encoding else ""
        self.execute(f'CREATE DATABASE "{name}" OWNER larder {other} {self.cheaply()}')
        return name

    def cheaply(self):
        """Copied as files it costs little over half of what logging its pages does; before 15 it is so anyway."""
        return "STRATEGY file_copy" if self.version >= 15 else ""

    @functools.cached_property
    def module(self):
        """What the server loads Larder's module by: a copy of its own, since it may not be let into the build folder."""
        shutil.copy(module(), f"{self.folder}/larder.so")
        return f"{self.folder}/larder"

    def create_module(self, database, owner="larder"):
        """What CREATE EXTENSION larder does where the module is installed."""
        with open(f"{TOP}/sql/larder/module.sql", encoding="utf-8") as script:
            functions = script.read().replace("MODULE_PATHNAME", self.module).replace("@extowner@", owner)
        self.execute(f"CREATE SCHEMA larder_ring AUTHORIZATION {owner}; SET search_path = larder_ring, pg_temp; {functions}",
                     database=database)

    def drop_database(self, name):
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def everyone(self):
        """The pids of the postmaster and of all its children."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], check=False,
                                  capture_output=True, text=True).stdout.split()
        return [self.process.pid] + [int(pid) for pid in children]

    def crash(self, pid):
        """Kills one of its sessions, for which it ends all others and begins anew, and gives a function that waits for
        that: until it has noticed, the old ones answer."""
        before = set(self.everyone()[1:])
        send(pid, signal.SIGKILL)
        return lambda: wait_until(lambda: not before & set(self.everyone()) and self.answers(), 20, "PostgreSQL after its crash")

    def pause(self):
        """SIGSTOP to the postmaster, so that it makes no more, and to every backend: connections stay open, nothing
        answers."""
        self.process.pause()
        for pid in self.everyone():
            send(pid, signal.SIGSTOP)
            wait_stopped(pid)

    def resume(self):
        for pid in reversed(self.everyone()):
            send(pid, signal.SIGCONT)

    def stop(self):
        """A fast shutdown, as `pg_ctl stop` does it."""
        if self.process and self.process.running():
            self.resume()
            self.process.stop(signal.SIGINT, 30)

    def kill(self):
        """An immediate shutdown: every client is cut, nothing is flushed."""
        self.process.stop(signal.SIGQUIT, 30)


class Standby(Postgres):
    """A hot standby of another server, which applies what it hears `late` seconds after the commit."""

    def __init__(self, folder, primary, late=0):
        self.folder = str(folder)
        self.data = f"{self.folder}/data"
        self.port = free_port()
        self.process = None
        os.makedirs(self.folder)
        own(self.folder)
        command = [f"{program_folder()}/pg_basebackup", "-h", primary.folder, "-p", str(primary.port), "-U", "postgres",
                   "-D", self.data, "-R", "-X", "stream", "-c", "fast"]
        Process("pg_basebackup", command, self.log, user="postgres", cwd=self.folder).wait(120)
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as configuration:
            configuration.write(f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
                                f"recovery_min_apply_delay = {late}s\n")
        self.start()

    def promote(self):
        self.execute("SELECT pg_promote()")


def lets_in(environment):
    """Does PostgreSQL let in whoever has that environment?"""
    place = {name: environment.get(f"PG{name.upper()}") for name in ("host", "port", "user")}
    try:
        psycopg2.connect(dbname=environment.get("PGDATABASE"), connect_timeout=2, **place).close()
        return True
    except psycopg2.OperationalError:
        return False


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class PgBouncer:
    """PgBouncer in transaction pooling before one database, with as many server connections as `pool`.

    Its own folder is made below `folder`, for all files of a session share that one."""

    def __init__(self, folder, postgres, database, pool=2):
        self.folder = tempfile.mkdtemp(prefix="pgbouncer-", dir=folder)
        self.port = free_port()
        with open(f"{self.folder}/users.txt", "w", encoding="utf-8") as users:
            users.write('"larder" ""\n')
        with open(f"{self.folder}/pgbouncer.ini", "w", encoding="utf-8") as configuration:
            configuration.write(
                f"[databases]\n{database} = host={postgres.folder} port={postgres.port} dbname={database}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
                f"auth_type = trust\nauth_file = {self.folder}/users.txt\npool_mode = transaction\n"
                f"default_pool_size = {pool}\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n")
        own(self.folder)
        self.process = Process("pgbouncer", ["pgbouncer", f"{self.folder}/pgbouncer.ini"],
                               f"{self.folder}/pgbouncer.log", user="postgres")
        wait_until(lambda: self.answers(database), 20, "PgBouncer answering")

    def answers(self, database):
        try:
            psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user="larder").close()
            return True
        except psycopg2.OperationalError:
            return False

    @property
    def environment(self):
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "larder"}

    def stop(self):
        self.process.stop()
