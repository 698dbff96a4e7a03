"""The command lines of a README, run in a shell as a reader would, and what the README says that they answer.

They stand in indented blocks. Beneath a curl line stands `# STATUS BODY`, where … in the body is anything; or, where
the line begins with a prompt, its output.
"""

import os
import re
import subprocess

MARK = "\x1e"

# Notes each answer's head; the real one must be told from the shim by its path.
SHIM = """#!/bin/sh
PATH=${{PATH#*:}}
exec curl -s -S -D "{notes}" "$@"
"""


class Line:
    """One command, what the README says of it, and, once it has run, what it did."""

    def __init__(self, command, number):
        self.command, self.number = command, number
        self.status = self.body = None
        self.output = []

    def __repr__(self):
        return f"line {self.number}: {self.command}"

    @property
    def asks(self):
        """Is it a request whose answer a reader sees?"""
        return self.command.startswith("curl ")


def lines(text):
    """The commands of all blocks, in order, with what is said of their answers."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("    "):
            continue
        line = line.strip()
        if said := re.fullmatch(r"# (\d{3})(?: (.*))?", line):
            found[-1].status, found[-1].body = int(said[1]), said[2] or ""
        elif re.match(r"(\$ |curl |[a-z]+=|TOKEN=)", line):
            found.append(Line(line.removeprefix("$ "), number))
            found[-1].prompt = line.startswith("$ ")
        elif found and found[-1].prompt:
            found[-1].output.append(line)
    return found


def run(commands, folder, cwd, environment):
    """Runs them in one shell; each gets `head` and `answer`."""
    os.makedirs(folder, exist_ok=True)
    notes = f"{folder}/head"
    with open(f"{folder}/curl", "w", encoding="utf-8") as shim:
        shim.write(SHIM.format(notes=notes))
    os.chmod(f"{folder}/curl", 0o755)
    script = [f"PATH={folder}:$PATH"]
    for each in commands:
        script += [f": >{notes}", each.command, f"printf '%s' '{MARK}'; cat {notes}; printf '%s' '{MARK}'"]
    done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, check=False)
    parts = done.stdout.split(MARK)
    assert len(parts) == 2 * len(commands) + 1, done.stdout + done.stderr
    for place, each in enumerate(commands):
        each.answer, each.head = parts[2 * place], parts[2 * place + 1]
    assert done.stderr == "", done.stderr
    return commands


def status(line):
    return int(line.head.split()[1])


def body(line):
    """Without the head, which curl -i shows too."""
    return line.answer.split("\n\n", 1)[1] if line.answer.startswith("HTTP/") else line.answer


def fits(said, text):
    """Is it the text, but for the places of …?"""
    pattern = ".*".join(re.escape(part) for part in said.split("…"))
    return re.fullmatch(pattern, text.strip(), re.DOTALL) is not None
