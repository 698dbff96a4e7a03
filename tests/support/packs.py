"""A small Larder that serves one pack, with its data and signed-in users."""

import json
import subprocess

from . import fastcgi, tokens
from .coherent import wait_for_beat
from .stack import clean_environment, pack
from .waiting import wait_until


def load(server, database, name, *options):
    """Runs the pack's `load`; gives its status and what it said."""
    environment = clean_environment() | server.environment | {"PGDATABASE": database}
    done = subprocess.run([f"{pack(name)}/load", *options], env=environment, capture_output=True, text=True,
                          timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


class Pack:
    """`stack` is a factory of stacks. Two processes; what one wrote the other must know."""

    def __init__(self, stack, server, folder, name, *options):
        self.database = server.create_database()
        status, said = load(server, self.database, name, *options)
        assert status == 0, said
        self.stack = stack(f"{pack(name)}/routes", database=self.database, processes=2, install=True, larderd=True,
                           queue=True, env=tokens.settings(f"{folder}/key"))
        wait_for_beat(self.stack.redis)  # larderd has struck all that it strikes at its start

    def sql(self, statement, *values):
        return self.stack.sql(statement, values or None)

    def get(self, target, user=None, **headers):
        return self.stack.direct(target, headers=self.headers(user, headers))

    def write(self, method, target, user, fields, **headers):
        return self.stack.direct(target, method=method, body=json.dumps(fields).encode(),
                                 headers=self.headers(user, {"Content_Type": "application/json"} | headers))

    @staticmethod
    def headers(user, headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return headers | ({} if user is None else tokens.bearer(user))

    def kept(self, target, user=None):
        """Asks until every process answers it without the database; gives the answer."""
        def everybodys():
            answers = [self.get(target, user) for _ in range(8)]
            return answers[-1] if all("hit" in answer["Cache-Status"] for answer in answers) else None

        return wait_until(everybodys, 10, f"hits of {target}")

    def everywhere(self, target, user=None):
        """What requests at the same time, so that several processes take them, are answered: all must be one body."""
        connections = [fastcgi.Connection(self.stack.api.socket) for _ in range(8)]
        for each in connections:
            each.start(target, headers=self.headers(user, {}))
        answers = [each.answer() for each in connections]
        for each in connections:
            each.close()
        assert len({answer.body for answer in answers}) == 1, answers
        assert {answer.status for answer in answers} == {200}, answers
        return answers[0].json()
