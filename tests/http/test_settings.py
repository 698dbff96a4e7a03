"""What the options say together: every program tells it alike, so that no responder fails at its next start alone."""

import os
import subprocess

import pytest

from support.paths import program
from support.stack import clean_environment

ROUTE = "-- @http GET /one\nSELECT 1 AS one"
PROGRAMS = (["larder", "config"], ["larder", "check", "--offline"], ["larder-fcgi"], ["larderd"])


@pytest.fixture
def refused(tmp_path):
    """refused(**environment): what each program says of it; all must exit with 2."""
    os.mkdir(f"{tmp_path}/routes")
    with open(f"{tmp_path}/routes/one.sql", "w", encoding="utf-8") as file:
        file.write(ROUTE)

    def run(**environment):
        usual = {"LARDER_ROUTES": f"{tmp_path}/routes", "LARDER_RUN": str(tmp_path),
                 "LARDER_REDIS": "redis://127.0.0.1:1/0", "PGHOST": str(tmp_path)}
        told = []
        for name, *arguments in PROGRAMS:
            ended = subprocess.run([program(name), *arguments], env=clean_environment() | usual | environment, timeout=20,
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            assert (ended.returncode, ended.stdout) == (2, ""), (name, ended)
            told.append(ended.stderr)
        return told
    return run


@pytest.mark.parametrize("option", ["LARDER_REDIS", "LARDER_QUEUE", "LARDER_LIMIT_REDIS"])
@pytest.mark.parametrize("address, expected", [
    ("redis://:hidden@host:0", "the port is not a number from 1 to 65535"),
    ("redis://:hidden@host:65536/1", "the port is not a number from 1 to 65535"),
    ("redis://:hidden@host/16x", 'database "16x" is not a number from 0 to 65535'),
    ("redis://:hidden@", "the host is missing"),
    ("redis://:hidden@[::1", 'the host "[::1" is not [address]'),
    ("unix:/hidden?number=1", "only ?db=number is allowed"),
])
def test_an_address_is_told_by_the_name_of_its_option(refused, option, address, expected):
    for told in refused(**{option: address}):
        assert f"{option}: " in told and expected in told and "hidden" not in told
        assert len(told.splitlines()) == 1


@pytest.mark.parametrize("settings, expected", [
    ({"LARDER_QUEUE": "redis://127.0.0.1:1/0"}, "LARDER_QUEUE is the database of LARDER_REDIS"),
    ({"LARDER_CORS_ORIGINS": "*", "LARDER_CORS_CREDENTIALS": "on"}, "must be off while LARDER_CORS_ORIGINS"),
    ({"LARDER_JWT_ALG": "HS256"}, "LARDER_JWT_ALG is HS256, but LARDER_JWT_KEY_FILE names no file"),
])
def test_options_that_contradict_each_other(refused, settings, expected):
    for told in refused(**settings):
        assert expected in told and len(told.splitlines()) == 1


@pytest.mark.parametrize("option, values", [
    ("LARDER_NGINX", ["http://:80", "http://h:0", "http://h:65536", "http://h:", "http://h:1:2", "http://[::1", "http://::1",
                      "http://[]", "http://[::1]x"]),
    ("LARDER_CORS_ORIGINS", ["https://:1", "https://h:0", "https://h:65536", "https://h:", "https://[::1"]),
])
def test_hosts_that_are_none_and_ports_that_are_none(refused, option, values):
    for value in values:
        for told in refused(**{option: value}):
            assert f'{option} is "{value}", but must be ' in told


def test_a_faulty_value_is_told_on_one_line_and_in_bounds(refused):
    for told in refused(LARDER_THREADS="4\n2026 error start: forged\x1b[2J" + "x" * 5000):
        assert len(told.splitlines()) == 1 and len(told) < 1000 and "\x1b" not in told
        assert 'LARDER_THREADS is "4\\x0a2026 error start: forged\\x1b[2Jxxx' in told
        assert told.endswith('xxx...", but must be a whole number from 1 to 1024\n')
