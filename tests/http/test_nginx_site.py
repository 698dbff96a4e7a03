"""nginx/ as shipped: what it passes on, what it lets through untouched, and its own errors.

nginx runs here as an unprivileged user in front of a responder that tells what it was sent, so that
these tests need no program of ours.
"""

import os
import socket
import subprocess

import pytest

from support.mirror import Mirror, Site, as_unprivileged, nginx_folder
from support.waiting import wait_until


@pytest.fixture(scope="module")
def site(folder_of_nginx, mirror):
    site = Site(folder_of_nginx)
    site.start()
    yield site
    site.process.stop()


def problem(answer, status):
    assert answer.status == status, answer
    assert answer["Content-Type"] == "application/problem+json", answer
    assert answer["Cache-Control"] == "no-store", answer
    document = answer.json()
    assert document["status"] == status, document
    assert document["title"] and document["detail"], document
    return document


# What the responder is told

def test_the_shipped_files_are_valid(site):
    checked = subprocess.run(site.command("-t", "-q"), capture_output=True, text=True, **as_unprivileged())
    assert (checked.returncode, checked.stderr) == (0, "")


def test_only_the_parameters_needed_are_passed(site):
    seen = site.seen("/feeds?limit=2")
    assert sorted(name for name in seen if not name.startswith("HTTP_")) == [
        "LARDER_EXPORT", "LARDER_NGINX", "REMOTE_ADDR", "REQUEST_METHOD", "REQUEST_URI"]
    assert seen["REQUEST_METHOD"] == "GET"
    assert seen["REQUEST_URI"] == "/feeds?limit=2"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("target", [
    "/feeds//x/./y", "/feeds/a%2Fb%20c%C3%A9", "//export/csv", "/feeds/../users/1", "/?a=1&a=%31+2&b", "/a%25b?q=%2f", "/%7Eme"])
def test_the_target_arrives_as_it_was_sent(site, target):
    assert site.seen(target)["REQUEST_URI"] == target


def test_headers_arrive_and_a_proxy_header_becomes_no_variable(site):
    seen = site.seen("/", headers={"If-None-Match": '"x", W/"d"', "Proxy": "http://evil.test"})
    assert seen["HTTP_IF_NONE_MATCH"] == '"x", W/"d"'
    assert not seen.get("HTTP_PROXY")


@pytest.mark.parametrize("framing, sent", [
    (b"Content-Length: 5", b"hello"),
    (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")])
def test_a_body_arrives_with_its_length(site, framing, sent):
    got = site.raw(b"POST /feeds HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                   + framing + b"\r\n\r\n" + sent).json()
    assert got["body"] == "hello"
    assert got["params"]["CONTENT_LENGTH"] == "5"
    assert got["params"]["CONTENT_TYPE"] == "application/json"


def test_connections_to_the_responder_are_kept(site, mirror):
    before = mirror.connections
    for _ in range(40):
        assert site.get("/feeds").status == 200
    assert mirror.connections - before <= 2, "each of two workers opens one at most"


def test_long_targets_and_headers_still_reach_larder(site):
    """Up to nginx's own bounds Larder decides: its answer names the limit."""
    seen = site.seen("/feeds?q=" + "x" * 14000, headers={"X-Long": "y" * 15000})
    assert len(seen["HTTP_X_LONG"]) == 15000


# What the client gets

def test_answers_pass_untouched(site):
    answer = site.get("/sized/5000", headers={"Accept-Encoding": "gzip"})
    assert answer["ETag"] == '"abc"'
    assert answer["Content-Encoding"] is None
    assert answer.body == b"x" * 5000
    assert answer["Server"] == "nginx"


def test_larders_own_errors_pass_untouched(site):
    answer = site.get("/problem")
    assert (answer.status, answer["Retry-After"], answer.json()) == (503, "9", {"mine": True})


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_no_answer_of_that_size_is_written_to_a_file(site, size):
    assert len(site.get(f"/sized/{size}").body) == size
    assert "buffered to a temporary file" not in (site.folder / "larder.error.log").read_text()


def test_the_access_log_has_times_and_cache_status(site):
    site.get("/feeds?logged=1")
    log = site.folder / "larder.access.log"
    line = wait_until(lambda: [line for line in log.read_text().splitlines() if "logged=1" in line])[0]
    assert 'cache="larder; hit"' in line
    assert " rt=0." in line and " urt=0." in line


# nginx's own errors

@pytest.fixture
def away(mirror):
    """A target that is led on to a pool which does not run."""
    mirror.answers["/away"] = b"X-Accel-Redirect: @larder_export\r\n\r\n"
    return "/away"


@pytest.mark.parametrize("target", ["/feeds", "/feeds.html"])
def test_the_export_pool_is_down(site, away, target):
    """No export.sock exists; the other pool is not asked in its stead."""
    answer = site.get(away)
    assert "not running" in problem(answer, 502)["detail"]
    assert answer["Retry-After"]
    assert site.get(target).status == 200


def test_a_broken_off_answer(site):
    problem(site.get("/broken"), 502)


def test_malformed_requests(site):
    problem(site.raw(b"GET /feeds HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400)
    problem(site.raw(b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 400)
    problem(site.raw(b"\x01\x02 nonsense\r\n\r\n"), 400)
    problem(site.raw(b"GET /feeds HTTP/1.1\r\n\r\n"), 400)


def test_a_target_too_long(site):
    problem(site.get("/" + "x" * 20000), 414)


def test_headers_too_large(site):
    problem(site.get("/", headers={"X-Long": "y" * 20000}), 431)
    problem(site.get("/", headers=[(f"X-{n}", "y" * 15000) for n in range(6)]), 431)


@pytest.mark.parametrize("target", ["/feeds", "/feeds.html"])
def test_a_body_too_large(site, target):
    problem(site.get(target, method="POST", body=b"x" * (1 << 20) + b"x"), 413)


def test_a_chunked_body_too_large(site):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    problem(site.raw(b"POST /feeds HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     + chunk * 17 + b"0\r\n\r\n"), 413)


def test_methods_and_codings_that_nginx_refuses(site):
    trace = site.get("/feeds", method="TRACE")
    problem(trace, 405)
    assert "GET" in trace["Allow"]
    problem(site.get("/feeds", method="POST", headers={"Transfer-Encoding": "zip"}), 501)
    problem(site.raw(b"GET /feeds HTTP/3.0\r\nHost: a\r\n\r\n"), 505)


def test_head_of_an_error_has_no_body(site, away):
    answer = site.get(away, method="HEAD")
    assert (answer.status, answer.body) == (502, b"")
    assert answer["Content-Type"] == "application/problem+json"


def test_errors_are_logged_with_their_status(site, away):
    site.get(away)
    log = site.folder / "larder.access.log"
    assert wait_until(lambda: [line for line in log.read_text().splitlines() if '/away HTTP/1.1" 502' in line])


def test_the_error_pages_themselves_are_not_served(site):
    problem(site.get("/_larder/error/503"), 404)
    problem(site.get("/_larder/error/none"), 404)


# Faults of the responder, each with a site of its own

@pytest.fixture
def own_folder():
    with nginx_folder() as folder:
        yield folder


@pytest.fixture
def own_site(own_folder):
    started = []

    def start(**options):
        site = Site(own_folder, **options)
        site.start()
        started.append(site)
        return site

    yield start
    for site in started:
        site.process.stop()


def test_a_responder_that_hangs(own_site, own_folder):
    """Its socket takes connections and nobody serves them, as with a stopped process."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(own_folder / "api.sock"))
    listener.listen(8)
    os.chmod(own_folder / "api.sock", 0o666)
    answer = own_site().get("/feeds")
    assert "in time" in problem(answer, 504)["detail"]
    assert answer["Retry-After"]


def test_a_kept_connection_that_has_died_costs_no_get_and_repeats_no_post(own_site, own_folder):
    """The responder closes each kept connection as the next request arrives."""
    arrived = []

    class Closing(Mirror):
        def serve(self, connection):
            with connection, connection.makefile("rb") as stream:
                self.serve_one(connection, stream)
                arrived.append(connection.recv(1 << 16))

    mirror = Closing(str(own_folder / "api.sock"))
    site = own_site()
    for _ in range(6):
        assert site.get("/feeds").status == 200
    assert any(arrived), "no kept connection was used"

    def post_on_kept_connection():
        before = len(arrived)
        answer = site.get("/feeds", method="POST", body=b"x")
        return len(arrived) > before and answer
    before = mirror.requests
    problem(wait_until(post_on_kept_connection), 502)
    mirror.close()
    assert mirror.requests == before, "a POST was sent twice"


def test_internal_paths_are_closed_to_others(own_site, own_folder):
    """A client that is not local, as nginx sees it by the real_ip module."""
    mirror = Mirror(str(own_folder / "api.sock"))
    site = own_site(extra="set_real_ip_from 127.0.0.1; real_ip_header X-Client;")
    stranger = {"X-Client": "192.0.2.1"}
    assert site.get("/_larder/metrics").status == 200
    assert site.get("/feeds", headers=stranger).status == 200
    before = mirror.requests
    for target in ("/_larder/metrics", "/%5Flarder/metrics", "/feeds/../_larder/metrics", "/_larder/%6detrics",
                   "/_larder/metrics?x=/feeds", "/./_larder/health"):
        problem(site.get(target, headers=stranger), 403)
    assert mirror.requests == before
    mirror.close()
