"""The command lines of a README, run in a shell as a reader would, and what the README says that they answer.

They stand in indented blocks. Beneath a command stands `# STATUS BODY`, where … in the body is anything; or, where
the command has a prompt, its output, of whose head the names of the fields count and not their values.
"""

import os
import re
import subprocess

MARK = "\x1e"
COMMAND = re.compile(r"(\$ |curl |[A-Za-z]+=)")

# Notes each answer's head; the real one is the next in PATH.
SHIM = """#!/bin/sh
PATH=${{PATH#*:}}
exec curl -s -S -D "{notes}" "$@"
"""


class Line:
    """One command, what the README says of it (`status`, `body`, `output`), and what it did (`head`, `answer`)."""

    def __init__(self, command, number):
        self.command, self.number = command.removeprefix("$ "), number
        self.prompt = command.startswith("$ ")
        self.status, self.body, self.output = None, "", []
        self.head = self.answer = None

    def __repr__(self):
        return f"line {self.number}: {self.command}"

    @property
    def asks(self):
        """Is it a request whose answer a reader sees?"""
        return self.command.startswith("curl ")

    @property
    def told(self):
        return self.status is not None or self.output

    def check(self):
        if self.status is not None:
            assert int(self.head.split()[1]) == self.status, (self, self.head, self.answer)
            body = self.answer.split("\n\n", 1)[1] if self.answer.startswith("HTTP/") else self.answer
            assert fits(self.body, body.strip()), (self, self.body, body)
        for line in self.output:
            field = re.fullmatch(r"([A-Z][A-Za-z-]+): .*", line)
            assert fits(f"…{field[1]}: …" if field else f"…{line}…", self.answer), (self, line, self.answer)


def fits(told, text):
    """Is it that text, but for the places of …?"""
    pattern = ".*".join(re.escape(part) for part in told.split("…"))
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def lines(text):
    """The commands of all blocks, in order, with what is said of their answers."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        said = re.fullmatch(r" {4}# (\d{3})(?: (.*))?", line)
        if not line.startswith("    "):
            continue
        if said:
            found[-1].status, found[-1].body = int(said[1]), said[2] or ""
        elif COMMAND.match(line[4:]):
            found.append(Line(line[4:], number))
        elif found and found[-1].prompt and found[-1].number + len(found[-1].output) + 1 == number:
            found[-1].output.append(line[4:])
    return found


# What psql changed must have been passed on; a reader's fingers are slower than that.
SETTLE = """settle() {
    local round
    for ((round = 0; round < 200; round++)); do
        [ "$(psql -U postgres -XAtc 'SELECT count(*) FROM larder.outbox')" = 0 ] && return
        sleep 0.05
    done
    echo "the outbox does not empty" >&2
}"""


def run(commands, folder, cwd, environment, prelude=""):
    """Runs them in one shell, after the prelude."""
    os.makedirs(folder, exist_ok=True)
    notes = f"{folder}/head"
    with open(f"{folder}/curl", "w", encoding="utf-8") as shim:
        shim.write(SHIM.format(notes=notes))
    os.chmod(f"{folder}/curl", 0o755)
    script = [prelude, SETTLE, f"PATH={folder}:$PATH"]
    for each in commands:
        after = "settle" if each.command.startswith("psql ") else ""
        script += [f": >{notes}", each.command, after, f"printf '%s' '{MARK}'; cat {notes}; printf '%s' '{MARK}'"]
    done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, check=False)
    parts = done.stdout.split(MARK)
    assert (len(parts), done.stderr) == (2 * len(commands) + 1, ""), done
    for place, each in enumerate(commands):
        each.answer, each.head = parts[2 * place], parts[2 * place + 1]
