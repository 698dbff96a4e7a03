"""What `configure` says where libraries are missing."""

import os
import re
import subprocess

import pytest

from support.paths import BUILD, TOP

LIBRARIES = ["libfcgi-dev", "libhiredis-dev", "libpq-dev", "libssl-dev", "libdeflate-dev", "zlib1g-dev",
             "libbrotli-dev", "libjwt-dev", "libcurl4-openssl-dev"]


@pytest.fixture(scope="module")
def configure(tmp_path_factory):
    """Runs configure with these options and gives its answer, where pkg-config finds no library at all."""
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent", "PKG_CONFIG_PATH": ""}
    source = BUILD if os.path.exists(f"{BUILD}/configure") else TOP
    copy = tmp_path_factory.mktemp("source")
    subprocess.run(["cp", "-r", *(f"{source}/{each}" for each in ("configure", "build-aux", "Makefile.in", "config.h.in", "src",
                                                                  "packaging")), str(copy)], check=True)

    def run(*options):
        folder = tmp_path_factory.mktemp("configure")
        return subprocess.run([f"{copy}/configure", *options], cwd=folder, env=environment, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)

    return run


@pytest.fixture(scope="module")
def answer(configure):
    return configure()


def test_it_fails(answer):
    assert answer.returncode != 0


@pytest.mark.parametrize("package", LIBRARIES)
def test_each_missing_library_is_named_with_its_package(answer, package):
    assert re.search(rf"Debian package {package}$", answer.stderr, re.MULTILINE)


def test_postgresql_s_headers_are_missed_only_where_the_module_is_asked_for(answer):
    assert "postgresql-server-dev" not in answer.stderr


def test_missing_headers_of_postgresql_are_named_with_the_package_of_their_version(configure, tmp_path):
    other = tmp_path / "pg_config"
    other.write_text("#!/bin/sh\ncase $1 in --version) echo 'PostgreSQL 99.1 (Debian 99.1-1)' ;; *) echo /nonexistent ;; esac\n")
    other.chmod(0o755)
    answer = configure(f"--with-postgres={other}")
    assert answer.returncode != 0
    assert re.search(r"/nonexistent/postgres.h: Debian package postgresql-server-dev-99$", answer.stderr, re.MULTILINE)


def test_a_missing_pg_config_is_named_with_its_package(configure):
    answer = configure("--with-postgres=/nonexistent/pg_config")
    assert answer.returncode != 0
    assert re.search(r"pg_config: Debian package postgresql-server-dev-all", answer.stderr)
