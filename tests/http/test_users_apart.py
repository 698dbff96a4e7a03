"""Two users and nobody, over every route of every pack and every tier: no answer, entity tag or 304 crosses.

What each must get is asked of a responder that keeps nothing. The routes are found from the packs' files, so a new one
is tried by itself; a new kind of parameter needs a value in VALUES.
"""

import itertools
import os
import re
import subprocess

import pytest

from support import fastcgi, tokens
from support.crowd import ask_together
from support.launch import launched
from support.paths import TOP
from support.stack import clean_environment, pack
from support.waiting import wait_until

ANN, BEN, NOBODY = 1, 2, None
EVERYBODY = (ANN, BEN, NOBODY)
ORDERS = list(itertools.permutations(EVERYBODY))
PACKS = sorted(name for name in os.listdir(f"{TOP}/sql") if os.path.isdir(f"{TOP}/sql/{name}/routes"))
# Of what a path or a query needs; <contents> are one of Ann's and one of Ben's.
VALUES = {
    "social": {"id": "1 2", "user_id": "1 2", "feed_id": "1 2"},
    "catalog": {"id": "1"},
    "review": {"id": "<contents>"},
    "kv": {"key": "shared"},
}
# Tried besides, where a route has this optional parameter.
MORE = {"category_slug": "history", "page": "2", "limit": "3"}
TTL = re.compile(r"^(-- @cache )ttl=\S+", re.MULTILINE)


class Route:
    """One route file of a pack."""

    def __init__(self, path):
        self.pack = path.split("/")[-3]
        self.file = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.method, self.path = re.search(r"^-- @http (\S+) (\S+)", self.text, re.MULTILINE).groups()
        self.signed_in = "\n-- @auth required" in self.text
        self.kept = "\n-- @cache " in self.text
        params = re.findall(r"^-- @param (\w+)(.*)", self.text, re.MULTILINE)
        self.required = [name for name, rest in params if "default=" not in rest and f"{{{name}}}" not in self.path]
        self.optional = [name for name, rest in params if "default=" in rest]

    def __repr__(self):
        return f"{self.method} {self.path}"

    def targets(self, contents):
        """What to ask for: every value of what the path or the query needs, and once each optional parameter."""
        values = VALUES[self.pack]
        names = re.findall(r"\{(\w+)\}", self.path) + self.required
        assert set(names) <= set(values), f"{self}: VALUES needs a value for {names}"
        choices = [contents if values[name] == "<contents>" else values[name].split() for name in names]
        found = []
        for chosen in itertools.product(*choices):
            given = dict(zip(names, chosen))
            path = re.sub(r"\{(\w+)\}", lambda name: given.pop(name[1]), self.path)
            query = "&".join(f"{name}={value}" for name, value in given.items())
            found += [path + (f"?{query}" if query else "")]
            found += ["?".join([path, "&".join([*query.split("&"), f"{name}={MORE[name]}"]).lstrip("&")])
                      for name in self.optional if name in MORE]
        return found


def routes():
    files = [f"{pack(name)}/routes/{file}" for name in PACKS for file in sorted(os.listdir(f"{pack(name)}/routes"))]
    return [Route(path) for path in files]


# A download has no entity tag and is never kept.
READS = [route for route in routes() if route.method == "GET" and "\n-- @stream " not in route.text]
WRITES = [route for route in routes() if route.method != "GET"]


@pytest.fixture(scope="module")
def database(lazy_postgres, tmp_path_factory):
    """All packs with tables, small."""
    server = lazy_postgres()
    name = server.create_database()
    path = few_packages(tmp_path_factory.mktemp("apt"))
    for each in PACKS:
        if os.path.exists(f"{pack(each)}/load"):
            load(server, name, each, path)
    yield name
    server.drop_database(name)


def few_packages(folder):
    """A PATH in which apt knows but the beginning of the machine's own package index: all of it takes long."""
    targets = ["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages"]
    index = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    with subprocess.Popen(["/usr/lib/apt/apt-helper", "cat-file", index], stdout=subprocess.PIPE, text=True) as whole:
        lines = list(itertools.islice(whole.stdout, 20_000))
        whole.kill()
    while lines.pop() != "\n":
        pass
    (folder / "Packages").write_text("".join(lines))
    (folder / "apt-get").write_text(f'#!/bin/sh\necho "few {folder}/Packages"\n')
    (folder / "apt-get").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def load(server, database, name, path):
    command = [f"{pack(name)}/load"]
    scales = "--scale" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    environment = clean_environment() | server.environment | {"PGDATABASE": database, "PATH": path}
    done = subprocess.run([*command, *(["--scale", "0.01"] if scales else [])], env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def texts(change=lambda text: text):
    return {f"{route.pack}/{route.file}": change(route.text) for route in routes()}


def contents_of(stack):
    """One of Ann's and one of Ben's."""
    return [str(stack.sql("SELECT min(id) FROM review.contents WHERE author_id = %s", (user,))[0][0])
            for user in (ANN, BEN)]


class World:
    """A running Larder, one that keeps nothing, and who asks them."""

    def __init__(self, stack, plain):
        self.stack, self.plain = stack, plain
        self.contents = contents_of(stack)

    def truth(self, user, target):
        return fastcgi.ask(self.plain.socket, target, headers=signed(user))

    def direct(self, user, target, **headers):
        return self.stack.direct(target, headers=signed(user, headers))

    def nginx(self, user, target, **headers):
        return self.stack.request(target, headers=signed(user, headers))

    def check(self, user, target, answer, expected=None):
        """Is it what this user gets where nothing is kept?"""
        expected = expected or self.truth(user, target)
        assert (answer.status, answer.body) == (expected.status, expected.body), (user, target)
        assert answer["ETag"] == expected["ETag"], (user, target)
        assert answer["Vary"] == expected["Vary"], (user, target)
        assert answer["Cache-Control"] == expected["Cache-Control"], (user, target)


def signed(user, headers=None):
    headers = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return headers | ({} if user is None else tokens.bearer(user))


def launch_world(stack_factory, folder, database, change=lambda text: text, **options):
    environment = tokens.settings(f"{folder}/key") | options.pop("env", {})
    stack = stack_factory(texts(change), database=database, env=environment, processes=2, install=True, larderd=True,
                          queue=True, **options)
    stack.request("/set", "POST", headers={"Content-Type": "application/json"}, body=b'{"key":"shared","value":"same"}')
    return stack


@pytest.fixture(scope="module")
def world(shared_stack, tmp_path_factory, database):
    folder = tmp_path_factory.mktemp("apart")
    stack = launch_world(shared_stack, folder, database)
    with launched(stack, folder / "plain", texts(), LARDER_CACHE="off") as plain:
        yield World(stack, plain)


every_read = pytest.mark.parametrize("route", READS, ids=repr)


@every_read
def test_each_gets_their_own_from_database_memory_and_redis(world, route):
    """In every order, again and again: first from the database, then from whatever kept it."""
    for target in route.targets(world.contents):
        own = {user: world.truth(user, target) for user in EVERYBODY}
        for order in ORDERS:
            for user in order * 2:
                world.check(user, target, world.direct(user, target), own[user])


@every_read
def test_each_gets_their_own_through_nginx(world, route):
    for target in route.targets(world.contents):
        own = {user: world.truth(user, target) for user in EVERYBODY}
        for user in itertools.chain(*ORDERS):
            world.check(user, target, world.nginx(user, target), own[user])


@pytest.fixture(scope="module")
def forgetful(world, tmp_path_factory):
    """A process without memory of its own."""
    with launched(world.stack, tmp_path_factory.mktemp("f"), texts(), LARDER_L1="0", LARDER_GUARD_TTL="10m") as responder:
        yield responder


@every_read
def test_each_gets_their_own_from_redis_alone(world, route, forgetful):
    """It finds in Redis what the others kept."""
    targets = route.targets(world.contents)
    for target, user in itertools.product(targets, EVERYBODY):
        world.direct(user, target)
    for target, user in itertools.product(targets, EVERYBODY):
        answer = fastcgi.ask(forgetful.socket, target, headers=signed(user))
        world.check(user, target, answer)
    if route.kept and route.pack != "kv":
        assert "hit" in fastcgi.ask(forgetful.socket, targets[0], headers=signed(ANN))["Cache-Status"]


@every_read
def test_a_head_tells_of_their_own_alone(world, route):
    for target, user in itertools.product(route.targets(world.contents), EVERYBODY):
        world.direct(ANN, target)
        head = world.stack.direct(target, method="HEAD", headers=signed(user))
        own = world.truth(user, target)
        assert (head.status, head.body, head["ETag"]) == (own.status, b"", own["ETag"]), (user, target)
        assert head["Content-Length"] in (None, str(len(own.body)))


@every_read
def test_the_entity_tag_of_one_is_no_304_for_another(world, route):
    """Unless both get the same bytes, by right."""
    for target in route.targets(world.contents):
        owns = {user: world.direct(user, target) for user in EVERYBODY}
        for owner, asker in itertools.permutations(EVERYBODY, 2):
            tag = owns[owner]["ETag"]
            same = owns[owner].status == owns[asker].status == 200 and owns[owner].body == owns[asker].body
            for way in (world.direct, world.nginx):
                for tags in [tag] if tag else []:
                    answer = way(asker, target, If_None_Match=tags)
                    assert (answer.status == 304) == same, (owner, asker, target)
                    if not same:
                        world.check(asker, target, answer)
            if owns[asker].status in (401, 403):
                assert world.direct(asker, target, If_None_Match="*").status == owns[asker].status
                assert world.direct(asker, target, If_Match="*").status == owns[asker].status


def test_the_users_answers_are_told_apart_at_all(world):
    """What the others prove would be nothing if both users saw the same."""
    for route in READS:
        for target in route.targets(world.contents) if route.signed_in else []:
            assert world.truth(NOBODY, target).status == 401, target
            if "category_slug" not in target and "page" not in target:
                assert world.truth(ANN, target).body != world.truth(BEN, target).body, target


def test_private_answers_say_so(world):
    for route in READS:
        for target in route.targets(world.contents) if route.signed_in else []:
            for way in (world.direct, world.nginx):
                answer = way(ANN, target)
                if answer.status == 200:
                    assert "private" in answer["Cache-Control"], target
                    assert "Authorization" in answer["Vary"], target
                else:
                    answer.problem(404)


def test_parked_requests_get_their_own(shared_stack, tmp_path, database):
    """Everybody at once, nothing kept, and a database that is slow enough for flights to fill."""
    stack = launch_world(shared_stack, tmp_path, database, database_proxy=True)
    with launched(stack, tmp_path / "plain", texts(), LARDER_CACHE="off") as plain:
        world = World(stack, plain)
        targets = [target for route in READS for target in route.targets(world.contents)]
        expected = {(user, target): world.truth(user, target) for target in targets for user in EVERYBODY}
        stack.database_proxy.delay(0.2)
        for target in targets:
            askers = list(EVERYBODY) * 4
            answers = ask_together(lambda user, target=target: world.direct(user, target), askers, threads=12)
            for user, answer in zip(askers, answers):
                own = expected[user, target]
                told = (own.status, own.body, own["ETag"])
                assert (answer.status, answer.body, answer["ETag"]) == told, (user, target)
        stack.database_proxy.pass_on()


@pytest.mark.parametrize(("more", "mark"), [("stale=1h", "detail=stale"), ("error=1h", "detail=database-down")])
def test_aged_answers_are_their_own(shared_stack, tmp_path, database, more, mark):
    """stale= while an answer is made anew, and error= while the database is away: all answers, past their ttl."""
    def brief(text):
        return TTL.sub(rf"\g<1>ttl=1s {more}", text)

    stack = launch_world(shared_stack, tmp_path, database, brief, database_proxy=True)
    targets = [target for route in READS if route.kept for target in route.targets(contents_of(stack))]
    with launched(stack, tmp_path / "plain", texts(brief), LARDER_CACHE="off") as plain:
        world = World(stack, plain)
        expected = {each: world.truth(*each) for each in itertools.product(EVERYBODY, targets)}
        left = {each for each, own in expected.items() if own.status == 200}

        def all_seen_aged():
            """Whom it is new to asks first: after him it is made anew, and is another's too where nobody is signed in."""
            for each, own in sorted(expected.items(), key=lambda item: item[0] not in left):
                answer = world.direct(*each)
                if answer.status == 503:
                    continue
                assert (answer.status, answer.body, answer["ETag"]) == (own.status, own.body, own["ETag"]), each
                if mark in (answer["Cache-Status"] or ""):
                    left.discard(each)
            return not left

        all_seen_aged()
        if more.startswith("error="):
            stack.database_proxy.cut()
        # Who asks on and on has answers made anew ahead of their end.
        wait_until(all_seen_aged, 60, "every answer past its ttl", every=1.1)


# Writes

def written(route, contents):
    return re.sub(r"\{(\w+)\}", lambda name: contents[0] if route.pack == "review" else "1", route.path)


@pytest.mark.parametrize("route", [route for route in WRITES if route.signed_in], ids=repr)
def test_a_write_without_a_good_token_is_refused_unread(world, route):
    target = written(route, world.contents)
    forged = tokens.bearer(ANN, key=tokens.Secret(b"another secret, as long as it must be, but not ours"))
    expired = tokens.bearer(ANN, exp=tokens.later(-3600))
    for headers in ({}, forged, expired):
        answer = world.stack.direct(target, method=route.method, headers=headers | {"Content-Type": "application/json"},
                                    body=b"{not even JSON")
        answer.problem(401)
        assert answer["WWW-Authenticate"].startswith("Bearer ")


def as_json(world, user, method, target, body):
    return world.stack.direct(target, method=method, headers=signed(user, {"Content_Type": "application/json"}),
                              body=body.encode())


ANOTHERS = [
    ("PUT", "/users/1", '{"display_name":"Ben was here"}', "/users/1"),
    ("PUT", "/api/content/{content}/", '{"title":"Mine","content":"now","category_slug":"law"}',
     "/api/content/{content}/"),
    ("POST", "/api/review/complete/", '{"content_id":{content},"result":"forgot"}', "/api/review/today/"),
]


@pytest.mark.parametrize(("method", "target", "body", "read"), ANOTHERS)
def test_nobody_writes_what_is_anothers(world, method, target, body, read):
    places = [text.replace("{content}", world.contents[0]) for text in (target, body, read)]
    before = world.truth(ANN, places[2])
    as_json(world, BEN, method, places[0], places[1]).problem(404)
    after = world.truth(ANN, places[2])
    assert (after.status, after.body) == (before.status, before.body)


def test_a_write_ends_the_writers_answers_alone(world):
    """Ann's tier changes: hers are fresh at once, Ben's are kept."""
    targets = ["/api/review/today/", "/api/analytics/stats/", "/api/content/", "/api/subscription/"]
    for user, target in itertools.product((ANN, BEN), targets):
        wait_until(lambda: "hit" in world.direct(user, target)["Cache-Status"], 10, "a hit")
    assert as_json(world, ANN, "PUT", "/api/subscription/", '{"tier":"premium"}').status == 200
    for target in targets:
        assert "hit" not in world.direct(ANN, target)["Cache-Status"], target
        world.check(ANN, target, world.direct(ANN, target))
        assert "hit" in world.direct(BEN, target)["Cache-Status"], target


def test_one_users_limit_is_not_anothers(world):
    """Ann has asked too often, in vain; Ben may still write."""
    target, body = "/api/content/", '{"title":"Once more","content":"and again","category_slug":"law"}'
    wait_until(lambda: as_json(world, ANN, "POST", target, "{").status == 429, 30, "a 429")
    as_json(world, ANN, "POST", target, body).problem(429)
    assert as_json(world, BEN, "POST", target, body).status == 201
    as_json(world, NOBODY, "POST", target, body).problem(401)


def test_one_users_idempotency_key_is_not_anothers(world):
    answers = [world.stack.direct("/feeds", method="POST", body=b'{"content":"Mine."}', headers=signed(
        user, {"Content_Type": "application/json", "Idempotency_Key": '"the-same-key"'})) for user in (ANN, BEN, ANN)]
    assert [answer.status for answer in answers] == [201, 201, 201]
    assert [answer.json()["user_id"] for answer in answers] == [ANN, BEN, ANN]
    assert answers[2].body == answers[0].body
