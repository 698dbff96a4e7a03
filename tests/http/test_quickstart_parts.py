"""What packaging/quickstart refuses before it starts anything, and its parts one by one."""

import os
import re
import subprocess

import pytest

from support.quickstart import TREE, Quickstart


def test_the_shell_scripts_pass_shellcheck():
    checked = subprocess.run(["shellcheck", "-x", "packaging/quickstart"], cwd=TREE, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("settings, words", [
    ({"LARDER_PORT": "80"}, "LARDER_PORT is '80': allowed is a port from 1024 to 65535"),
    ({"LARDER_PORT": "1e4"}, "LARDER_PORT is '1e4'"),
    ({"LARDER_SCALE": "big"}, "LARDER_SCALE is 'big': allowed is a number from 0.001 to 50")])
def test_bad_settings_are_named(tmp_path, settings, words):
    refused = Quickstart(tmp_path)("--detach", **settings)
    assert (refused.returncode, words in refused.stderr) == (2, True), refused


@pytest.mark.parametrize("options", [["--nonsense"], ["--stop", "--env"], ["--token"], ["--token", "7", "8"],
                                     ["--token", '7","role":"x']])
def test_bad_options_are_named(tmp_path, options):
    refused = Quickstart(tmp_path)(*options)
    assert refused.returncode == 2
    assert options[0] in refused.stderr


def test_help_names_every_option_and_setting(tmp_path):
    shown = Quickstart(tmp_path)("--help")
    assert shown.returncode == 0
    for word in ("--detach", "--stop", "--status", "--env", "--token", "LARDER_PORT", "LARDER_STATE", "LARDER_SCALE"):
        assert word in shown.stdout


def test_a_folder_that_cannot_hold_the_state_is_replaced(tmp_path):
    assert "Nothing is running in /var/tmp/larder-" in Quickstart(tmp_path / "a folder with blanks")("--stop").stdout
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        assert "/var/tmp/larder-0-" in Quickstart(tmp_path / "closed/state")("--stop").stdout


# Routes, where the services may not read the checkout

def gather(folder, pack, before=":", status=0):
    """The packs' routes gathered as at a start; what is said."""
    script = f'''set -euo pipefail
        source {TREE}/packaging/lib/stack.sh
        {before}
        exec_as() {{ false; }}
        say() {{ echo "$1"; }}
        tree={folder}/tree state={folder}/state web_user=nobody packs=({pack})
        gather_routes'''
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert told.returncode == status and not told.stderr, told
    return told.stdout


# A disk that is full after so many of the copies, of which some of the last one is there.
FULL = "cp() {{ (($(ls {0}/state/routes-copied | wc -l) < {1})) && command cp \"$@\" || {{ mkdir \"$3\"; false; }}; }}"


@pytest.mark.parametrize("copies", [0, 1])
def test_a_copy_that_was_broken_off_is_no_edit(tmp_path, copies):
    pack, copy = (tmp_path / name / "one.sql" for name in ("tree/sql/pack/routes", "state/routes/pack"))
    pack.parent.mkdir(parents=True)
    pack.write_text("first")
    gather(tmp_path, "pack", FULL.format(tmp_path, copies), status=1)
    assert not copy.exists()
    assert gather(tmp_path, "pack") == "" and copy.read_text() == "first"


def test_an_edit_of_a_packs_copied_routes_stays(tmp_path):
    pack, copy = (tmp_path / name / "one.sql" for name in ("tree/sql/pack/routes", "state/routes/pack"))
    pack.parent.mkdir(parents=True)
    pack.write_text("first")
    assert gather(tmp_path, "pack") == "" and copy.read_text() == "first"
    pack.write_text("second")
    assert gather(tmp_path, "pack") == "" and copy.read_text() == "second", "nobody edited it"
    copy.write_text("mine")
    pack.write_text("third")
    for _ in range(2):
        assert f"{copy.parent} has edits of yours" in gather(tmp_path, "pack")
        assert copy.read_text() == "mine"
    copy.unlink()
    copy.parent.rmdir()
    assert gather(tmp_path, "pack") == "" and copy.read_text() == "third"


# Packages, with a dpkg-query and an apt-get that only take notes

class Machine:
    def __init__(self, folder, installed):
        self.folder = folder
        self.notes = folder / "notes"
        self.notes.touch()
        (folder / "installed").write_text("".join(f"{name} installed\n" for name in installed))
        self.program("dpkg-query", f'cat "{folder}/installed"; exit 1')
        self.program("apt-cache", '[ "$2" = gone ] || echo "  Candidate: 1"')
        self.program("apt-get", f'''
            echo "$*" >>"{self.notes}"
            case "$*" in *" install "*|*"install "*)
                for each; do [ "$each" = gone ] || echo "$each installed" >>"{folder}/installed"; done ;;
            esac''')
        self.program("sudo", f'echo "sudo $*" >>"{self.notes}"; shift; exec "$@"')

    def program(self, name, body):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def install(self, table):
        """install_missing run, on that table, as if /usr/sbin/policy-rc.d were a file of ours."""
        (self.folder / "table").write_text(table)
        script = f'''set -euo pipefail
            source {TREE}/packaging/lib/packages.sh
            dependencies_table={self.folder}/table policy_file={self.folder}/policy packages_log={self.folder}/log
            install_missing run'''
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                              env={"PATH": f"{self.folder}:{os.environ['PATH']}"}, stdin=subprocess.DEVNULL)


TABLE = "# a comment\n\none run - x\ntwo build,run - x\nthree build - x\nfour run sh x\n"


def test_nothing_missing_calls_neither_apt_nor_sudo(tmp_path):
    machine = Machine(tmp_path, ["one", "two"])
    assert machine.install(TABLE).returncode == 0
    assert machine.notes.read_text() == ""


def test_only_the_missing_packages_of_that_purpose_are_installed(tmp_path):
    machine = Machine(tmp_path, ["one"])
    assert machine.install(TABLE).returncode == 0
    installs = [line for line in machine.notes.read_text().splitlines() if "install" in line and "sudo" not in line]
    assert len(installs) == 1
    assert installs[0].endswith("--no-install-recommends two")
    assert not (tmp_path / "policy").exists(), "services may start again"


def test_a_package_that_debian_lacks_is_named(tmp_path):
    failed = Machine(tmp_path, []).install("one run - x\ngone run - x\n")
    assert failed.returncode != 0
    assert failed.stderr == "apt knows no package gone: see /etc/apt/sources.list\n"
    assert not (tmp_path / "policy").exists()


def test_the_table_lists_every_library_that_configure_asks_for():
    script = f"source {TREE}/packaging/lib/packages.sh; packages_for build run"
    listed = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.split()
    asked = re.findall(r"LARDER_PACKAGE\(\[\w+\], \[[^]]+\], \[([^]]+)\]\)", (TREE / "configure.ac").read_text())
    assert len(asked) >= 6
    assert set(asked) | {"gcc", "postgresql", "redis-server", "nginx", "spawn-fcgi"} <= set(listed)


def test_every_package_of_the_table_is_well_formed():
    rows = [line.split(None, 3) for line in (TREE / "packaging/dependencies").read_text().splitlines()
            if line and not line.startswith("#")]
    assert all(len(row) == 4 for row in rows), rows
    assert len({row[0] for row in rows}) == len(rows)
    assert {purpose for row in rows for purpose in row[1].split(",")} == {"build", "run", "test", "bench", "deb"}
