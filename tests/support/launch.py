"""Responders of a test's own, with options and routes of their own, beside the database of a started stack."""

import contextlib
import os

from . import fastcgi
from .responder import Responder
from .waiting import wait_until


@contextlib.contextmanager
def launched(stack, folder, routes, processes=1, **environment):
    """A healthy responder over the stack's database and Redis; killed at the end if it still runs."""
    responder = Responder(folder, "own", settings(stack, folder, routes, **environment), processes)
    responder.start()
    try:
        wait_until(lambda: fastcgi.ask(responder.socket, "/_larder/health", timeout=5).status == 200, 20, "health")
        responder.wait_told()
        yield responder
    finally:
        responder.kill()


def settings(stack, folder, routes, **environment):
    """Writes the routes below `folder` and gives the environment to start with."""
    os.makedirs(f"{folder}/routes", exist_ok=True)
    for name, text in routes.items():
        write_route(folder, name, text)
    return stack.environment() | {"LARDER_ROUTES": f"{folder}/routes", "LARDER_RUN": str(folder)} | environment


def write_route(folder, name, text):
    path = f"{folder}/routes/{name}.sql"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as route:
        route.write(text)
