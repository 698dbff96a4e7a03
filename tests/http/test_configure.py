"""What `configure` says where libraries are missing."""

import os
import re
import subprocess

import pytest

from support.paths import BUILD, TOP

LIBRARIES = ["libfcgi-dev", "libhiredis-dev", "libpq-dev", "libssl-dev", "libdeflate-dev", "zlib1g-dev",
             "libbrotli-dev", "libjwt-dev", "libcurl4-openssl-dev"]


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """configure's answer where pkg-config finds no library at all."""
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent", "PKG_CONFIG_PATH": ""}
    source = BUILD if os.path.exists(f"{BUILD}/configure") else TOP
    copy = tmp_path_factory.mktemp("source")
    subprocess.run(["cp", "-r", *(f"{source}/{each}" for each in ("configure", "build-aux", "Makefile.in", "config.h.in", "src")),
                    str(copy)], check=True)
    folder = tmp_path_factory.mktemp("configure")
    return subprocess.run([f"{copy}/configure"], cwd=folder, env=environment, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL)


def test_it_fails(answer):
    assert answer.returncode != 0


@pytest.mark.parametrize("package", LIBRARIES)
def test_each_missing_library_is_named_with_its_package(answer, package):
    assert re.search(rf"Debian package {package}$", answer.stderr, re.MULTILINE)
