"""Fixtures of the service tests: servers of one session, stacks of one file or one test, the loaded packs."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support import tokens  # noqa: E402
from support.mirror import Mirror, nginx_folder  # noqa: E402
from support.postgres import Postgres, Standby  # noqa: E402
from support.stack import Stack, clean_environment, pack  # noqa: E402

living = []

# A machine that has much to do is no Redis that is away. Tests in which Redis is name another bound.
PATIENT = {"LARDER_REDIS_TIMEOUT": "5s"}


class Factory:
    """Makes started stacks and stops them, the latest first."""

    def __init__(self, folder, default_postgres, module_postgres):
        self.folder = folder
        self.default_postgres, self.module_postgres = default_postgres, module_postgres
        self.exits = contextlib.ExitStack()

    def __call__(self, routes, postgres=None, module=False, **options):
        folder = tempfile.mkdtemp(prefix="s", dir=self.folder)
        os.chmod(folder, 0o755)
        postgres = postgres or (self.module_postgres if module else self.default_postgres)()
        stack = Stack(f"{folder}/s", postgres, routes, module=module, usual=PATIENT, **options)
        living.append(stack)
        self.exits.callback(living.remove, stack)
        return self.exits.enter_context(stack)

    def postgres(self, **options):
        """A PostgreSQL of the test's own, to be killed or stopped at will."""
        folder = tempfile.mkdtemp(prefix="p", dir=self.folder)
        os.chmod(folder, 0o755)
        server = Postgres(f"{folder}/postgres", **options)
        self.exits.callback(server.stop)
        return server

    def standby(self, primary, **options):
        """A hot standby of another PostgreSQL."""
        folder = tempfile.mkdtemp(prefix="p", dir=self.folder)
        os.chmod(folder, 0o755)
        server = Standby(f"{folder}/postgres", primary, **options)
        self.exits.callback(server.stop)
        return server


@pytest.fixture(scope="session")
def work_folder(request):
    folder = tempfile.mkdtemp(prefix="larder-test-")
    os.chmod(folder, 0o755)
    yield folder
    if request.session.testsfailed:
        print(f"\nThe servers' logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def folder_of_nginx():
    with nginx_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def mirror(folder_of_nginx):
    mirror = Mirror(str(folder_of_nginx / "api.sock"))
    yield mirror
    mirror.close()


@contextlib.contextmanager
def started_when_asked(folder, **options):
    """A function that gives a PostgreSQL, started at its first call."""
    servers = []

    def server():
        if not servers:
            servers.append(Postgres(folder, **options))
        return servers[0]

    yield server
    for each in servers:
        each.stop()


@pytest.fixture(scope="session")
def lazy_postgres(work_folder):
    """A function that gives the session's PostgreSQL, started at its first call."""
    with started_when_asked(f"{work_folder}/postgres") as server:
        yield server


@pytest.fixture(scope="session")
def lazy_module_postgres(work_folder):
    """The same for one that has Larder's module loaded: stack(…, module=True) uses it."""
    with started_when_asked(f"{work_folder}/postgres-module", module=True) as server:
        yield server


@pytest.fixture
def stack(work_folder, lazy_postgres, lazy_module_postgres):
    """A factory: stack(routes, schema=..., env=..., ...) gives a started Stack that ends with the test."""
    factory = Factory(work_folder, lazy_postgres, lazy_module_postgres)
    with factory.exits:
        yield factory


@pytest.fixture(scope="module")
def shared_stack(work_folder, lazy_postgres, lazy_module_postgres):
    """The same factory for stacks that all tests of one file share."""
    factory = Factory(work_folder, lazy_postgres, lazy_module_postgres)
    with factory.exits:
        yield factory


@pytest.fixture(scope="session")
def loaded_database(lazy_postgres, work_folder):
    """The name of a database that holds both packs at their default scale."""
    server = lazy_postgres()
    name = server.create_database("packs")
    environment = clean_environment() | server.environment | {"PGDATABASE": name}
    for each in ("social", "catalog"):
        with open(f"{work_folder}/load-{each}.log", "wb") as log:
            status = subprocess.run([f"{pack(each)}/load"], env=environment, stdout=log, stderr=log, check=False,
                                    timeout=300).returncode
        assert status == 0, open(f"{work_folder}/load-{each}.log", encoding="utf-8").read()[-3000:]
    return name


@pytest.fixture(scope="session")
def pack_database(lazy_postgres, loaded_database):
    """A psycopg2 connection, as the role `larder`, to the database with both packs."""
    connection = lazy_postgres().connect(loaded_database, "larder")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def packs_stack(work_folder, lazy_postgres, lazy_module_postgres, loaded_database):
    """A stack that serves both packs."""
    factory = Factory(work_folder, lazy_postgres, lazy_module_postgres)
    routes = f"{work_folder}/pack-routes"
    for each in ("social", "catalog"):
        shutil.copytree(f"{pack(each)}/routes", f"{routes}/{each}")
    with factory.exits:
        yield factory(routes, database=loaded_database, env=tokens.settings(f"{work_folder}/pack-tokens"))


@pytest.fixture(scope="session")
def packs_url(packs_stack):
    return packs_stack.url


# Files that take longest begin first, so that none is left over for the end.
LONGEST = ("test_quickstart", "test_packs", "test_definitions", "test_larderd_sweep", "test_staleness", "test_jobs_killed",
           "test_staleness_database", "test_coherence", "test_users_apart", "test_full_disk", "test_jobs_workers",
           "test_jobs_servers", "test_behind_killed", "test_standby", "test_write_left", "test_larderd",
           "test_redis_refuses", "test_install_definitions", "test_staleness_forgotten", "test_larderd_servers",
           "test_responder", "test_verify", "test_stream_broken", "test_rights", "test_write_ahead", "test_redis_slow",
           "test_write_lost", "test_write_tags", "test_database_away", "test_feed", "test_page", "test_access",
           "test_jobs_run", "test_leases", "test_ring_killed", "test_ring_full", "test_hostile_fastcgi", "test_verify_beside", "test_checker",
           "test_install_command", "test_narrowing_random", "test_pages", "test_rls", "test_sessions", "test_write_once",
           "test_review", "test_job_events")


def pytest_collection_modifyitems(items):
    """Sorting keeps the order within a file."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the ends of the logs of a failed test's own servers, or of all, below it."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    own = [each for each in item.funcargs.values() if isinstance(each, Stack)]
    for each in own or living:
        daemons = [f"run/{daemon.name}.log" for daemon in each.larderds]
        for place in (*daemons, "run/api.log", "nginx/error.log", "redis/redis.log", "queue/redis.log"):
            path = f"{each.folder}/{place}"
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as log:
                    report.sections.append((path, log.read()[-4000:]))
