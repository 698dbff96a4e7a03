"""The page of sql/kv as nginx serves it: its files, their validators, and what it lets a browser do."""

import re

import pytest

from support.stack import pack


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(f"{pack('kv')}/routes")


FILES = {"": "text/html; charset=utf-8", "index.html": "text/html; charset=utf-8", "page.css": "text/css; charset=utf-8",
         "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml; charset=utf-8"}


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_its_type_and_a_strong_validator(served, name):
    answer = served.get(f"/kv/{name}", headers={"Accept-Encoding": "gzip, br"})
    assert answer.status == 200
    assert answer["Content-Type"] == FILES[name]
    assert answer["Cache-Control"] == "no-cache"
    assert answer["Content-Encoding"] is None
    assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', answer["ETag"])
    again = served.get(f"/kv/{name}", headers={"If-None-Match": answer["ETag"]})
    assert (again.status, again.body, again["ETag"]) == (304, b"", answer["ETag"])


@pytest.mark.parametrize("name", FILES)
def test_a_browser_may_load_nothing_but_the_pages_own_files(served, name):
    answer = served.get(f"/kv/{name}")
    policy = dict(each.strip().split(" ", 1) for each in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_no_script_or_style_within(served):
    page = served.get("/kv/").text
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", page) == []


def test_the_page_names_no_file_that_is_not_there(served):
    named = re.findall(r'(?:src|href)="([^"#]+)"', served.get("/kv/").text)
    assert named
    assert [served.get(f"/kv/{name}").status for name in named] == [200] * len(named)


def test_the_folder_without_its_slash(served):
    answer = served.get("/kv")
    assert (answer.status, answer["Location"]) == (308, "/kv/")


def test_what_is_not_there_is_a_problem_document(served):
    assert served.get("/kv/nothing").json()["status"] == 404
    assert served.request("/kv/", method="POST").json()["status"] == 405
    assert served.get("/kv/../../../../etc/passwd").status in (400, 404)
    assert served.get("/kv/..%2f..%2flarder.conf").status in (400, 404)
