"""Where things are: the tree, and the build whose programs are tested (LARDER_BUILD)."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LARDER_BUILD", TOP))


def program(name):
    path = f"{BUILD}/{name}"
    assert os.access(path, os.X_OK), f"{path} is not built: name the build folder in LARDER_BUILD"
    return path


def module():
    """The library of the module for PostgreSQL, which no program has."""
    path = f"{BUILD}/postgres/larder.so"
    assert os.path.exists(path), f"{path} is not built: configure with --with-postgres"
    return path


def sanitized():
    """Is the responder built with a sanitizer?"""
    with open(program("larder-fcgi"), "rb") as binary:
        code = binary.read()
    return b"__asan_init" in code or b"__tsan_init" in code
