"""What nginx/ as shipped keeps, for whom and how long: nginx 1.22's traps, one by one.

Before a responder that answers as it is told: the rules are the site's own, whatever Larder does.
"""

import contextlib
import http.client
import itertools
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.mirror import SECRET, Mirror, Site, nginx_folder
from support.waiting import wait_until


@pytest.fixture(scope="module")
def site(folder_of_nginx, mirror):
    site = Site(folder_of_nginx, extra="set_real_ip_from 127.0.0.1; real_ip_header X-Client;")
    site.start()
    yield site
    site.process.stop()


class Page:
    """One target, whose body tells how often the responder was asked for it."""

    def __init__(self, mirror, target, *, kept="60", control="no-cache", status="200 OK", body=b"page", lines=()):
        self.mirror, self.target = mirror, target
        self.kept, self.control, self.status, self.body, self.lines = kept, control, status, body, lines
        self.asked = []
        mirror.answers[target] = self.answer

    def answer(self, params):
        self.asked.append(params)
        number = len(self.asked)
        head = [f"Status: {self.status}", "Content-Type: application/json", f'ETag: "{number}"']
        if self.kept is not None:
            head.append(f"X-Accel-Expires: {self.kept}")
        head += [f"Cache-Control: {self.control}", "Vary: Accept-Encoding", "Cache-Status: larder; hit", *self.lines]
        body = b"" if params["REQUEST_METHOD"] == "HEAD" else self.body + b" %d" % number
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


numbers = itertools.count()


@pytest.fixture
def page(mirror):
    """Makes a page with a target of its own."""
    return lambda **options: Page(mirror, f"/page-{next(numbers)}", **options)


def kept(answer):
    """Did nginx answer by itself?"""
    return "nginx; hit" in (answer["Cache-Status"] or "")


# What is kept

def test_an_answer_with_x_accel_expires_is_kept(site, page):
    page = page()
    first, second = site.get(page.target), site.get(page.target)
    assert (first.body, second.body) == (b"page 1", b"page 1")
    assert (first["Cache-Status"], second["Cache-Status"]) == ("larder; hit", "larder; hit, nginx; hit")
    assert len(second.lines("Cache-Status")) == 1
    assert len(page.asked) == 1


def test_the_browser_sees_larders_cache_control_and_nothing_of_nginx(site, page):
    page = page(control="public, max-age=7")
    for _ in range(2):
        answer = site.get(page.target)
        assert answer.lines("Cache-Control") == ["public, max-age=7"]
        assert answer["Vary"] == "Accept-Encoding"
        assert answer["X-Accel-Expires"] is None


@pytest.mark.parametrize("options", [
    {"kept": None}, {"kept": "0", "control": "public, max-age=60"}, {"kept": None, "status": "404 Not Found"},
    {"kept": None, "status": "500 Internal Server Error"}, {"kept": None, "status": "304 Not Modified"}])
def test_nothing_else_is_kept(site, page, options):
    page = page(**options)
    for number in range(1, 4):
        assert not kept(site.get(page.target))
        assert len(page.asked) == number


def test_it_ends(site, page):
    """A page that is over is never served: not to the first who asks after a pause either."""
    page = page(kept="2")
    site.get(page.target)
    assert kept(site.get(page.target))
    wait_until(lambda: not kept(site.get(page.target)))
    assert len(page.asked) == 2


# Under which key

def test_head_gets_no_entry_and_makes_none(site, page):
    page = page()
    assert site.get(page.target, method="HEAD").body == b""
    assert site.get(page.target).body == b"page 2"
    assert site.get(page.target).body == b"page 2"
    assert not kept(site.get(page.target, method="HEAD"))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_pass(site, page, method):
    page = page()
    site.get(page.target)
    for _ in range(2):
        assert not kept(site.get(page.target, method=method))
    assert len(page.asked) == 3


def test_the_target_counts_as_it_was_sent(site, page, mirror):
    page = page()
    for target in ("?a=1&b=2", "?b=2&a=1", "?a=%31&b=2", ""):
        mirror.answers[page.target + target] = page.answer
        assert not kept(site.get(page.target + target)), target
        assert kept(site.get(page.target + target)), target


def test_the_host_does_not_count(site, page):
    page = page()
    site.get(page.target, headers={"Host": "a.test"})
    assert kept(site.get(page.target, headers={"Host": "b.test"}))


def test_long_targets_pass(site, page, mirror):
    page = page()
    log = site.folder / "larder.error.log"
    for size, wanted in ((1024, True), (1025, False), (15900, False)):
        target = (page.target + "?").ljust(size, "x")
        mirror.answers[target] = page.answer
        site.get(target)
        assert kept(site.get(target)) is wanted, size
    assert not log.exists() or "not enough for cache key" not in log.read_text()


CODINGS = {
    None: "identity", "identity": "identity", "deflate": "identity", "zstd, deflate": "identity",
    "gzip": "gzip", "GZIP": "gzip", "gzip, deflate": "gzip", "deflate,gzip": "gzip", "deflate, gzip,zstd": "gzip",
    "br, gzip": "br, gzip", "gzip, deflate, br": "br, gzip", "gzip, deflate, br, zstd": "br, gzip",
    "zstd,br,gzip": "br, gzip", "identity, gzip, br": "br, gzip",
}
AROUND = ["br", "br, deflate", "gzip;q=0", "gzip;q=1.0, identity;q=0", "identity;q=0", "*", "gzip, *;q=0", "br;q=0.5, gzip",
          "x-gzip", "gzip, x-gzip", "gzip;q=0, br", "gzip ; q=0", "brotli, \"gzip"]


@pytest.mark.parametrize("sent", CODINGS)
def test_a_client_gets_the_entry_of_its_codings(site, page, sent):
    page = page()
    headers = {} if sent is None else {"Accept-Encoding": sent}
    for coding in ("identity", "gzip", "br, gzip"):
        site.get(page.target, headers={"Accept-Encoding": coding})
    answer = site.get(page.target, headers=headers)
    assert kept(answer)
    entry = int(answer.body.split()[1])
    assert page.asked[entry - 1]["HTTP_ACCEPT_ENCODING"] == CODINGS[sent]
    assert len(page.asked) == 3


@pytest.mark.parametrize("sent", AROUND)
def test_unusual_codings_go_around_and_arrive_as_they_were_sent(site, page, sent):
    page = page()
    site.get(page.target)
    for _ in range(2):
        assert not kept(site.get(page.target, headers={"Accept-Encoding": sent}))
        assert page.asked[-1]["HTTP_ACCEPT_ENCODING"] == sent
        assert "LARDER_NGINX" not in page.asked[-1]
    assert site.get(page.target).body == b"page 1", "nothing was stored by them"


@pytest.mark.parametrize("accept, wanted", [
    ("*/*", True), ("application/json", True), ("text/html,application/xml;q=0.9,*/*;q=0.8", True),
    ("application/*;q=0.5", True), ("text/html", False), ("application/json;q=0, text/html", False),
    ("application/json;q=0.0", False), ("*/*, application/json; q=0", False), ("application/jsonp", False)])
def test_who_refuses_json_goes_around(site, page, accept, wanted):
    page = page()
    site.get(page.target)
    assert kept(site.get(page.target, headers={"Accept": accept})) is wanted


@pytest.mark.parametrize("header", [
    "Authorization", "Cookie", "If-Match", "If-Unmodified-Since", "If-Modified-Since", "Origin"])
def test_requests_with_these_go_around(site, page, header):
    page = page()
    site.get(page.target)
    for number in (2, 3):
        assert site.get(page.target, headers={header: "x"}).body == b"page %d" % number
        assert page.asked[-1]["HTTP_" + header.upper().replace("-", "_")] == "x"
    assert site.get(page.target).body == b"page 1", "nothing was stored by them"


# Conditions

@pytest.mark.parametrize("condition", ['"1"', 'W/"1"', '"x", "1"', "*"])
def test_if_none_match_is_answered_from_the_entry(site, page, condition):
    page = page(control="public, max-age=7")
    site.get(page.target)
    answer = site.get(page.target, headers={"If-None-Match": condition})
    assert (answer.status, answer.body) == (304, b"")
    assert (answer["ETag"], answer["Cache-Control"], answer["Vary"]) == ('"1"', "public, max-age=7", "Accept-Encoding")
    assert answer["Content-Type"] is None and answer["Content-Length"] is None
    assert kept(answer)
    assert len(page.asked) == 1


def test_if_none_match_of_another_version_gets_the_page(site, page):
    page = page()
    site.get(page.target)
    assert site.get(page.target, headers={"If-None-Match": '"old"'}).body == b"page 1"


def test_a_conditional_request_can_begin_an_entry(site, page):
    """The responder answers 200, being told that nginx keeps it; nginx makes a 304 of it."""
    page = page()
    answer = site.get(page.target, headers={"If-None-Match": '"1"'})
    assert (answer.status, page.asked[0]["LARDER_NGINX"]) == (304, "keep")
    assert site.get(page.target).body == b"page 1"


def test_the_responder_sees_if_none_match_of_what_is_not_kept(site, page):
    page = page(kept="0")
    site.get(page.target, headers={"If-None-Match": '"1"'})
    assert page.asked[0]["HTTP_IF_NONE_MATCH"] == '"1"'
    site.get(page.target)
    assert "HTTP_IF_NONE_MATCH" not in page.asked[1]


def test_a_range_gets_the_whole(site, page):
    page = page()
    for _ in range(2):
        answer = site.get(page.target, headers={"Range": "bytes=0-1"})
        assert (answer.status, answer.body) == (200, b"page 1")


# Faults and loads

@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable"])
def test_the_old_page_stands_in_for_errors(site, page, status):
    page = page(kept="1")
    site.get(page.target)
    page.kept, page.status = None, status

    def failed():
        answer = site.get(page.target)
        assert (answer.status, answer.body) == (200, b"page 1")
        return len(page.asked) > 1 and answer

    assert wait_until(failed)["Cache-Status"] == "larder; hit, nginx; hit; detail=stale"
    page.kept, page.status = "60", "200 OK"
    assert site.get(page.target).body != b"page 1"


def test_the_old_page_stands_in_while_no_responder_runs():
    with nginx_folder() as folder:
        mirror = Mirror(str(folder / "api.sock"))
        site = Site(folder)
        page = Page(mirror, "/page", kept="1")
        site.start()
        try:
            site.get("/page")
            mirror.close()
            mirror.drop()
            stale = wait_until(
                lambda: (answer := site.get("/page"))["Cache-Status"].endswith("detail=stale") and answer)
            assert (stale.status, stale.body) == (200, b"page 1")
            assert site.get("/other").status == 502
            assert len(page.asked) == 1
        finally:
            site.process.stop()


@pytest.fixture
def small_memory():
    """A site whose zone lies in 24 MB, as the /run of a small machine is."""
    with nginx_folder() as folder:
        memory = folder / "kept"
        memory.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(memory)]
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting is forbidden here")
        mirror, site = Mirror(str(folder / "api.sock")), Site(folder)
        site.start()
        try:
            yield site, mirror
        finally:
            site.process.stop()
            mirror.close()
            subprocess.run(["umount", "-l", str(memory)], check=True)


def test_the_zone_never_fills_the_memory_it_lies_in(small_memory):
    """What nginx can't write it breaks off, so it makes room before: its manager looks every ten seconds."""
    site, mirror = small_memory
    pages = [Page(mirror, f"/page-{number}", body=b"x" * (1 << 20)) for number in range(12)]
    for page in pages:
        site.get(page.target)

    def room():
        memory = os.statvfs(site.folder / "kept")
        return memory.f_bavail * memory.f_bsize >= 16 << 20
    wait_until(room, 60, "room made by nginx")
    assert kept(site.get(pages[-1].target)) and not kept(site.get(pages[0].target))


def test_an_answer_that_is_refused_does_not_hide_behind_the_old_page(site, page):
    page = page(kept="1")
    site.get(page.target)
    page.kept, page.status = None, "404 Not Found"
    wait_until(lambda: site.get(page.target).status == 404)
    assert site.get(page.target).status == 404


def test_stale_while_revalidate_is_made_anew_in_the_background(site, page):
    """Cache-Control first: so nginx 1.22 reads its extension, and then X-Accel-Expires for the ttl."""
    page = page(kept=None, control="public, max-age=1, stale-while-revalidate=60\r\nX-Accel-Expires: 1")
    site.get(page.target)
    stale = wait_until(lambda: (answer := site.get(page.target))["Cache-Status"].endswith("detail=stale") and answer)
    assert stale.body == b"page 1"
    assert wait_until(lambda: site.get(page.target).body == b"page 2")


def test_many_misses_at_once_wait_for_nobody(site, page, mirror):
    """The first has no answer before another was asked for, which with nginx's lock would wait for it."""
    page = page()

    def answer(params):
        made = page.answer(params)
        wait_until(lambda: len(page.asked) > 1, 0.9, "another asked for meanwhile", every=0.005)
        return made

    mirror.answers[page.target] = answer
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: site.get(page.target), range(30)))
    assert all(answer.status == 200 for answer in answers)
    assert kept(site.get(page.target))


# The refresh

def refresh(site, target, **headers):
    return site.get(target, headers={"X-Larder-Refresh": SECRET} | headers)


def workers(site):
    with open(f"/proc/{site.process.pid}/task/{site.process.pid}/children", encoding="ascii") as children:
        found = [f"/proc/{pid}" for pid in children.read().split()]
    return [pid for pid in found if "worker" in Path(pid, "cmdline").read_text(encoding="utf-8")]


def open_files(process):
    """What its descriptors lead to."""
    found = set()
    for descriptor in Path(process, "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(descriptor))
    return found


@contextlib.contextmanager
def connection_to_each_worker(site):
    """{worker: a kept connection that it has accepted}."""
    with contextlib.ExitStack() as stack:
        found = {}

        def look():
            before = {worker: open_files(worker) for worker in workers(site)}
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
            stack.callback(connection.close)
            connection.connect()
            wait_until(lambda: any(gained(worker, before) for worker in before), what="the connection accepted")
            accepted = [worker for worker in before if gained(worker, before)]
            if len(accepted) == 1:
                found.setdefault(accepted[0], connection)
            return len(found) == 2

        def gained(worker, before):
            return any(file.startswith("socket:") for file in open_files(worker) - before[worker])

        wait_until(look, 20, "a connection to each of both workers")
        yield found


def ask(connection, target, headers=None):
    connection.request("GET", target, headers=headers or {})
    answer = connection.getresponse()
    return answer.read(), answer.headers["Cache-Status"]


def test_workers_keep_files_open_and_see_each_others_refreshes_at_once(site, page):
    """No moment passes between the end of a refresh through one worker and the new page at both."""
    page = page()
    with connection_to_each_worker(site) as connections:
        ask(next(iter(connections.values())), page.target)
        for number in range(1, 41):
            for worker, connection in connections.items():
                body, status = ask(connection, page.target)
                assert (body, status) == (b"page %d" % number, "larder; hit, nginx; hit"), worker
                assert any(str(site.folder / "kept") in file for file in open_files(worker)), "it was not kept open"
            refresher = list(connections.values())[number % 2]
            assert ask(refresher, page.target, {"X-Larder-Refresh": SECRET})[0] == b"page %d" % (number + 1)


def test_a_refresh_replaces_the_entry(site, page):
    page = page()
    site.get(page.target)
    assert refresh(site, page.target).body == b"page 2"
    assert site.get(page.target).body == b"page 2"
    assert [params["LARDER_NGINX"] for params in page.asked] == ["keep", "refresh"]


def test_a_refresh_of_one_coding_leaves_the_others(site, page):
    page = page()
    gzip = {"Accept-Encoding": "gzip"}
    site.get(page.target)
    site.get(page.target, headers=gzip)
    refresh(site, page.target, **gzip)
    assert [site.get(page.target).body, site.get(page.target, headers=gzip).body] == [b"page 1", b"page 3"]


def test_a_refresh_that_is_over_at_once_takes_the_entry_away(site, page):
    page = page()
    site.get(page.target)
    page.kept, page.status = "@1", "404 Not Found"
    assert refresh(site, page.target).status == 404
    assert not kept(site.get(page.target))
    assert site.get(page.target).status == 404


def test_the_responder_never_sees_the_secret(site, page):
    page = page()
    refresh(site, page.target)
    assert SECRET not in repr(page.asked)
    site.get("/not/kept", headers={"X-Larder-Refresh": SECRET, "Accept-Encoding": "*"})
    assert SECRET not in repr(site.seen("/seen", headers={"X-Larder-Refresh": SECRET}))
    for log in ("larder.access.log", "larder.error.log", "error.log"):
        assert SECRET not in (site.folder / log).read_text()


@pytest.mark.parametrize("headers", [
    {"X-Larder-Refresh": ""}, {"X-Larder-Refresh": "yes"}, {"X-Larder-Refresh": "1"},
    {"X-Larder-Refresh": SECRET[:-1]}, {"X-Larder-Refresh": SECRET + "0"}, {"X_Larder_Refresh": SECRET},
    {"X-Larder-Refresh": SECRET, "X-Client": "192.0.2.1"}, {"Larder-Nginx": "refresh"},
    {"Cache-Control": "no-cache"}, {"Pragma": "no-cache"}])
def test_nobody_else_can_refresh(site, page, headers):
    page = page()
    site.get(page.target)
    assert kept(site.get(page.target, headers=headers))
    assert len(page.asked) == 1
