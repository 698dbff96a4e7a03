"""Who may ask: bearer tokens, good and bad, roles, claims as values, and what answers say of being somebody's."""

import json
import os
import subprocess

import pytest

from support import fastcgi, tokens
from support.coherent import detail, is_hit
from support.gate import learning
from support.launch import launched, settings
from support.paths import program
from support.stack import metrics, queries
from support.tokens import bearer, later
from support.waiting import wait_until

ROUTES = {
    "open": "-- @http GET /open\n-- @result row\nSELECT 1 AS a",
    "none": "-- @http GET /none\n-- @auth none\n-- @result row\nSELECT 1 AS a",
    "me": "-- @http GET /me\n-- @auth required\n-- @cache ttl=300s\n-- @result row\n"
          "SELECT :auth.sub::text AS sub, :auth.app.role::text AS role, :auth.app::jsonb AS app",
    "maybe": "-- @http GET /maybe\n-- @auth optional\n-- @cache ttl=300s\n-- @result row\nSELECT :auth.sub::text AS sub",
    "number": "-- @http GET /number\n-- @auth required\n-- @result row\nSELECT :auth.sub::int AS sub",
    "groups": "-- @http GET /groups\n-- @auth required\n-- @result row\nSELECT :auth.groups::text[] AS groups",
    "editor": "-- @http GET /editor\n-- @auth required role=editor\n-- @result row\nSELECT 1 AS a",
    "anyone": "-- @http GET /anyone\n-- @auth optional role=editor\n-- @result row\nSELECT 1 AS a",
    "missing": "-- @http GET /missing\n-- @auth required\n-- @cache ttl=300s negative=60s\n-- @result row\n"
               "SELECT 1 AS a WHERE false AND :auth.sub::text = ''",
    "public": "-- @http GET /public\n-- @auth required\n-- @control public, max-age=60\n-- @result row\nSELECT 1 AS a",
    "aged": "-- @http GET /aged\n-- @auth required\n-- @control max-age=60\n-- @result row\nSELECT 1 AS a",
    "plain": "-- @http GET /plain\n-- @auth required\n-- @cache ttl=300s compress=off\n-- @result row\nSELECT 1 AS a",
    "failing": "-- @http GET /failing\n-- @auth required\n-- @result row\nSELECT 1 / (:auth.sub::int - 1) AS a",
}


@pytest.fixture(scope="module")
def served(shared_stack, tmp_path_factory):
    return shared_stack(ROUTES, env=tokens.settings(f"{tmp_path_factory.mktemp('key')}/key"))


def refused(answer, word=None):
    """A 401 with its challenge; `word` stands in what is wrong with the token."""
    problem = answer.problem(401)
    challenge = answer["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="larder"'), challenge
    if word is None:
        assert challenge == 'Bearer realm="larder"'
    else:
        assert 'error="invalid_token"' in challenge and word in problem["detail"], (challenge, problem)
    return problem


# What is asked for

def test_routes_that_ask_nobody_look_at_no_token(served):
    for target in ("/open", "/none"):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, bearer(7)):
            answer = served.get(target, headers=headers)
            assert answer.status == 200 and "Authorization" not in (answer["Vary"] or "")
            assert answer["Cache-Control"] == "no-cache"


def test_a_required_token_that_is_missing_is_401(served):
    before = queries(served)
    refused(served.get("/me"))
    refused(served.get("/me", headers={"Authorization": "Basic dXNlcjpwYXNz"}))
    assert served.request("/me", "HEAD").status == 401
    assert queries(served) == before


def test_an_optional_token_may_be_missing_but_not_bad(served):
    assert served.get("/maybe").json() == {"sub": None}
    assert served.get("/maybe", headers={"Authorization": "Basic dXNlcjpwYXNz"}).json() == {"sub": None}
    assert served.get("/maybe", headers=bearer(7)).json() == {"sub": "7"}
    refused(served.get("/maybe", headers={"Authorization": "Bearer nonsense"}), "three parts")


def test_the_scheme_is_told_by_its_letters_alone(served):
    text = tokens.token({"sub": "7"})
    for value in (f"bearer {text}", f"BEARER {text}", f"Bearer   {text}"):
        assert served.get("/me", headers={"Authorization": value}).json()["sub"] == "7"
    for value in ("Bearer", "Bearer ", f"Bearer {text} {text}", f"Bearer {text}, Bearer {text}", f'Bearer "{text}"'):
        assert served.direct("/me", headers={"Authorization": value}).status == 401


def test_a_role_is_asked_for(served):
    assert served.get("/editor", headers=bearer(7, role="editor")).status == 200
    assert served.get("/editor", headers=bearer(7, role=["reader", "editor"])).status == 200
    for claims in ({}, {"role": "edito"}, {"role": "editors"}, {"role": []}, {"role": {"editor": True}}, {"role": None}):
        answer = served.get("/editor", headers=bearer(7, **claims))
        assert "another role" in answer.problem(403)["detail"]
        assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
    refused(served.get("/editor"))
    refused(served.get("/anyone"))
    served.get("/anyone", headers=bearer(7)).problem(403)
    assert served.get("/anyone", headers=bearer(7, role="editor")).status == 200


# Bad tokens

GOOD = {"sub": "7"}
OTHER = tokens.Secret(b"another secret, of the same length or so")


def cut(text, part, replacement):
    parts = text.split(".")
    parts[part] = replacement
    return ".".join(parts)


def public_key_as_secret():
    """What makes verifiers that believe `alg` take a public key for a secret."""
    return tokens.token(GOOD, tokens.Secret(tokens.Rsa().file_text()))


BAD = {
    "nothing": ("", "three parts"),
    "two parts": (tokens.token(GOOD).rpartition(".")[0], "three parts"),
    "four parts": (tokens.token(GOOD) + ".x", "three parts"),
    "encrypted": (tokens.token(GOOD) + ".x.y", "three parts"),
    "alg none": (tokens.token(GOOD, header={"alg": "none"}), "algorithm"),
    "alg none, unsigned": (cut(tokens.token(GOOD, header={"alg": "none"}), 2, ""), "algorithm"),
    "alg nOnE": (tokens.token(GOOD, header={"alg": "nOnE"}), "algorithm"),
    "alg swapped": (tokens.token(GOOD, header={"alg": "RS256"}), "algorithm"),
    "alg HS512": (tokens.token(GOOD, header={"alg": "HS512"}), "algorithm"),
    "no alg": (tokens.token(GOOD, header={"alg": None}), "how it is signed"),
    "unsigned": (cut(tokens.token(GOOD), 2, ""), "signed by a key"),
    "wrong key": (tokens.token(GOOD, OTHER), "signed by a key"),
    "public key as secret": (public_key_as_secret(), "signed by a key"),
    "other claims": (cut(tokens.token(GOOD), 1, tokens.encode('{"sub":"8"}')), "signed by a key"),
    "kid traversal": (tokens.token(GOOD, OTHER, {"kid": "../../../../dev/null"}), "signed by a key"),
    "kid of SQL": (tokens.token(GOOD, OTHER, {"kid": "x' UNION SELECT 'secret"}), "signed by a key"),
    "key of its own": (tokens.token(GOOD, OTHER, {"jwk": OTHER.jwk(), "jku": "http://127.0.0.1/"}), "signed by a key"),
    "crit": (tokens.token(GOOD, header={"crit": ["exp"]}), "extension"),
    "typ": (tokens.token(GOOD, header={"typ": "dpop+jwt"}), "type JWT"),
    "bad base64 in the header": ("!" + tokens.token(GOOD)[1:], "header"),
    "bad base64 in the claims": (cut(tokens.token(GOOD), 1, "e30="), "claims"),
    "bad base64 in the signature": (tokens.token(GOOD) + "=", "signature"),
    "header no JSON": (cut(tokens.token(GOOD), 0, tokens.encode("alg")), "header"),
    "header no object": (cut(tokens.token(GOOD), 0, tokens.encode('["HS256"]')), "header"),
    "claims no object": (tokens.token("7"), "claims"),
    "claims twice": (tokens.token('{"sub":"7","sub":"8"}'), "claims"),
    "claims with NUL": (tokens.token('{"sub":"7\\u0000"}'), "claims"),
    "lone surrogate": (tokens.token('{"sub":"\\ud800"}'), "claims"),
    "deep": (tokens.token('{"a":' + "[" * 1000 + "]" * 1000 + "}"), "claims"),
    "huge": (tokens.token({"sub": "7", "x": "x" * 8000}), "longer than 8192"),
    "exp no number": (tokens.token({"sub": "7", "exp": str(later())}), "exp"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_is_401_and_says_why(served, kind):
    text, word = BAD[kind]
    before = queries(served)
    answer = served.direct("/me", headers={"Authorization": f"Bearer {text}"})
    refused(answer, word)
    assert queries(served) == before
    assert not text or text not in answer.text + str(answer.headers)
    assert len(text) < 40 or text not in served.log_text()


@pytest.mark.parametrize("claim, seconds, word", [
    ("exp", -31, "expired"), ("exp", -10**9, "expired"), ("nbf", 40, "not valid yet"), ("iat", 40, "in the future")])
def test_a_token_of_another_time_is_401(served, claim, seconds, word):
    refused(served.get("/me", headers=bearer(7, **{claim: later(seconds)})), word)


@pytest.mark.parametrize("claim, seconds", [("exp", -20), ("nbf", 20), ("iat", 20), ("exp", 3600)])
def test_the_leeway_forgives_other_clocks(served, claim, seconds):
    assert served.get("/me", headers=bearer(7, **{claim: later(seconds) + 0.5})).status == 200


def test_a_token_is_verified_once_for_a_while(served):
    headers = bearer("known", exp=later())
    before = metrics(served)
    for _ in range(5):
        assert served.get("/me", headers=headers).status == 200
    after = metrics(served)
    assert after.sum("larder_tokens_verified_total") - before.sum("larder_tokens_verified_total") == 1
    assert after.sum("larder_tokens_known_total") - before.sum("larder_tokens_known_total") == 4


def test_a_known_token_that_expires_counts_no_more(served, work_folder):
    """Without leeway: from a hit to 401 within the token's own second."""
    folder = f"{work_folder}/brief"
    with launched(served, folder, ROUTES, LARDER_JWT_LEEWAY="0s") as brief:
        headers = bearer("brief", exp=later(3))
        assert fastcgi.ask(brief.socket, "/me", headers=headers).status == 200
        wait_until(lambda: fastcgi.ask(brief.socket, "/me", headers=headers).status == 401, 8, "the token's end")
        refused(fastcgi.ask(brief.socket, "/me", headers=headers), "expired")


# Audience, issuer, other algorithms, other keys

def test_audience_and_issuer_are_held_to(served, work_folder):
    with launched(served, f"{work_folder}/meant", ROUTES, LARDER_JWT_AUDIENCE="api", LARDER_JWT_ISSUER="me",
                  LARDER_JWT_ROLE_CLAIM="app.role") as meant:
        def ask(target="/me", **claims):
            return fastcgi.ask(meant.socket, target, headers=bearer(7, **claims))

        assert ask(aud="api", iss="me").status == 200
        assert ask(aud=["web", "api"], iss="me").status == 200
        refused(ask(iss="me"), "audience")
        refused(ask(aud="web", iss="me"), "audience")
        refused(ask(aud="api"), "issuer")
        refused(ask(aud="api", iss="you"), "issuer")
        assert ask("/editor", aud="api", iss="me", app={"role": "editor"}).status == 200
        ask("/editor", aud="api", iss="me", role="editor").problem(403)


@pytest.mark.parametrize("kind", [tokens.Rsa, tokens.Ec])
def test_public_keys_verify(served, work_folder, kind):
    key, other = kind(), kind()
    folder = f"{work_folder}/{kind.__name__}"
    with launched(served, folder, ROUTES, **tokens.settings(f"{work_folder}/{kind.__name__}.key", key)) as public:
        def ask(headers):
            return fastcgi.ask(public.socket, "/me", headers=headers)

        assert ask(bearer(7, key)).json()["sub"] == "7"
        refused(ask(bearer(7, other)), "signed by a key")
        refused(ask(bearer(7, tokens.Secret(key.file_text()))), "algorithm")
        refused(ask(bearer(7, tokens.Secret(key.file_text()), {"alg": key.algorithm})), "signed by a key")


def test_a_set_of_keys_is_rotated_while_running(served, work_folder):
    """Old and new side by side, then the new alone; kid tells which, and is only ever compared."""
    old, new = tokens.Rsa(), tokens.Rsa()
    path = f"{work_folder}/rotated.json"

    def publish(**keys):
        tokens.write_key(path, json.dumps({"keys": [key.jwk(kid=kid) for kid, key in keys.items()]}).encode())

    publish(old=old)
    with launched(served, f"{work_folder}/rotated", ROUTES, LARDER_JWT_ALG="RS256", LARDER_JWT_KEY_FILE=path) as rotated:
        def ask(key, kid):
            return fastcgi.ask(rotated.socket, "/me", headers=bearer(7, key, {"kid": kid}))

        assert ask(old, "old").status == 200
        refused(ask(new, "new"), "names a key")
        refused(ask(new, "old"), "signed by a key")
        publish(old=old, new=new)
        wait_until(lambda: ask(new, "new").status == 200, 5, "the new key")
        assert ask(old, "old").status == 200
        publish(new=new)
        wait_until(lambda: ask(old, "old").status == 401, 5, "the old key's end")
        refused(ask(old, "old"), "names a key")
        refused(ask(old, None), "signed by a key")
        assert ask(new, None).status == 200
        tokens.write_key(path, b"{}")
        wait_until(lambda: "the old keys stay" in rotated.log_text(), 5, "a complaint")
        assert ask(new, "new").status == 200


def test_a_key_that_went_counts_no_more_while_postgresql_is_asked_about_routes(served, work_folder):
    """The main thread may wait for PostgreSQL for seconds; who revokes a key counts on one."""
    old, new = tokens.Secret(), tokens.Secret(b"another secret of 32 bytes or so")
    path, folder = f"{work_folder}/revoked.key", f"{work_folder}/revoked"
    served.sql("CREATE TABLE held (word text)")
    routes = ROUTES | {"held": "-- @http GET /held\nSELECT word FROM held"}
    with launched(served, folder, routes, **tokens.settings(path, old)) as revoked:
        def status(key):
            return fastcgi.ask(revoked.socket, "/me", headers=bearer(7, key)).status

        assert status(old) == 200
        with learning(served, revoked, "held"):
            tokens.write_key(path, new)
            wait_until(lambda: status(old) == 401, 20, "the old key's end")
            assert status(new) == 200


# Starting

@pytest.mark.parametrize("environment, words", [
    ({"LARDER_JWT_ALG": None}, ["routes/editor.sql:", "@auth", "LARDER_JWT_ALG"]),
    ({"LARDER_JWT_ALG": "none"}, ["LARDER_JWT_ALG", "HS256"]),
    ({"LARDER_JWT_KEY_FILE": None}, ["LARDER_JWT_KEY_FILE"]),
    ({"LARDER_JWT_KEY_FILE": "/nonexistent/key"}, ["LARDER_JWT_KEY_FILE", "/nonexistent/key"]),
    ({"LARDER_JWT_ALG": "RS256"}, ["LARDER_JWT_KEY_FILE", "PEM"]),
    ({"LARDER_ANON_ROLE": "x" * 64}, ["LARDER_ANON_ROLE"]),
    ({"LARDER_JWT_LEEWAY": "30"}, ["LARDER_JWT_LEEWAY"]),
])
def test_settings_that_verify_nothing_stop_the_start(served, tmp_path, environment, words):
    folder = f"{tmp_path}/start"
    variables = settings(served, folder, ROUTES) | environment
    variables = {name: value for name, value in variables.items() if value is not None}
    done = subprocess.run(["spawn-fcgi", "-n", "-s", f"{folder}/own.sock", "--", program("larder-fcgi")], env=variables,
                          capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr + done.stdout, done.stderr
    assert tokens.SECRET.decode() not in done.stderr + done.stdout


def test_a_reload_brings_no_route_that_nobody_could_ask(stack):
    plain = stack({"open": ROUTES["open"]}, nginx=False, redis=False)
    plain.write_route("me", ROUTES["me"])
    plain.api.reload()
    wait_until(lambda: "the old routes stay" in plain.log_text(), 5, "the reload's end")
    assert "tokens are off" in plain.log_text()
    plain.direct("/me").problem(404)
    assert plain.direct("/open").status == 200


# Claims

def test_claims_are_values(served):
    app = {"role": "x", "n": 9007199254740993}
    assert served.get("/me", headers=bearer("ä\"'$1", app=app)).json() == {"sub": "ä\"'$1", "role": "x", "app": app}
    assert served.get("/me", headers=bearer()).json() == {"sub": None, "role": None, "app": None}
    assert served.get("/me", headers=bearer(app="x")).json() == {"sub": None, "role": None, "app": "x"}
    assert served.get("/number", headers=bearer("0042")).json() == {"sub": 42}
    assert served.get("/groups", headers=bearer(groups=["a", "b,c", "{}"])).json() == {"groups": ["a", "b,c", "{}"]}
    assert served.get("/groups", headers=bearer(groups=[])).json() == {"groups": []}
    assert served.get("/groups", headers=bearer(groups="a")).json() == {"groups": ["a"]}
    assert served.get("/groups", headers=bearer(groups=["a", None])).json() == {"groups": ["a", None]}
    assert served.get("/groups", headers=bearer()).json() == {"groups": None}


def test_a_claim_that_does_not_fit_is_the_tokens_fault(served):
    before = queries(served)
    refused(served.get("/number", headers=bearer("seven")), "claim sub")
    refused(served.get("/number", headers=bearer('"7')), "claim sub")
    refused(served.get("/number", headers=bearer("9" * 30)), "claim sub")
    refused(served.get("/groups", headers=bearer(groups=["a", ["b"]])), "claim groups")
    assert queries(served) == before


def test_a_claim_can_not_be_given_in_the_query(served):
    answer = served.get("/me?auth.sub=8&sub=8", headers=bearer(7))
    assert answer.json()["sub"] == "7"


# What answers say

def test_answers_to_somebody_are_private_and_vary(served):
    for target, control, vary in (("/me", "private, no-cache", "Accept-Encoding, Authorization"),
                                  ("/maybe", "private, no-cache", "Accept-Encoding, Authorization"),
                                  ("/plain", "private, no-cache", "Authorization"),
                                  ("/aged", "private, max-age=60", "Accept-Encoding, Authorization"),
                                  ("/public", "public, max-age=60", "Accept-Encoding, Authorization")):
        headers = bearer(7)
        answers = [served.get(target, headers=headers), served.get(target, headers=headers),
                   served.request(target, "HEAD", headers=headers)]
        answers.append(served.get(target, headers=headers | {"If-None-Match": answers[0]["ETag"]}))
        assert [each.status for each in answers] == [200, 200, 200, 304]
        for answer in answers:
            assert answer["Cache-Control"] == control and answer["Vary"] == vary, answer


def test_a_kept_404_is_private_too(served):
    headers = bearer(7)
    for _ in range(2):
        answer = served.get("/missing", headers=headers)
        assert answer.status == 404 and answer["Cache-Control"] == "private, no-cache"
        assert answer["Vary"] == "Authorization"
    assert is_hit(answer)
    other = served.get("/missing", headers=bearer(8))
    assert other.status == 404 and not is_hit(other)


def test_a_kept_404_says_all_that_it_differs_by(served, work_folder):
    with launched(served, work_folder, ROUTES, LARDER_CORS_ORIGINS="https://app.example") as other:
        for target, vary in (("/missing", "Authorization, Origin"), ("/me", "Accept-Encoding, Authorization, Origin")):
            answer = fastcgi.ask(other.socket, target, headers=bearer(7) | {"Origin": "https://app.example"})
            assert answer["Access-Control-Allow-Origin"] == "https://app.example"
            assert answer.lines("Vary") == [vary]


@pytest.mark.parametrize("mode, warned", [(0o644, True), (0o604, True), (0o640, False)])
def test_a_secret_that_everybody_may_read_is_warned_of(served, work_folder, mode, warned):
    folder = f"{work_folder}/secret-{mode:o}"
    os.makedirs(folder)
    key = tokens.write_key(f"{folder}/key")
    os.chmod(key, mode)
    with launched(served, folder, ROUTES, LARDER_JWT_KEY_FILE=key) as other:
        assert fastcgi.ask(other.socket, "/me", headers=bearer(7)).status == 200
        assert (f"everybody may read LARDER_JWT_KEY_FILE {key}" in other.log_text()) == warned


def test_a_public_key_is_for_everybody_to_read(served, work_folder):
    folder = f"{work_folder}/public"
    os.makedirs(folder)
    with launched(served, folder, ROUTES, **tokens.settings(f"{folder}/key", tokens.Rsa())) as other:
        assert "everybody may read" not in other.log_text()


def test_refusals_are_kept_by_nobody(served):
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert served.get("/me", headers=headers)["Cache-Control"] == "no-store"


# Apart

def test_claims_are_part_of_the_key(served):
    """Each of two users gets his own answer in every tier, and no hit or 304 by the other's."""
    one, two = bearer("one"), bearer("two")
    first = served.get("/me", headers=one)
    assert not is_hit(first)
    second = served.get("/me", headers=two)
    assert not is_hit(second) and second["ETag"] != first["ETag"]
    for _ in range(3):
        for headers, name, tag in ((one, "one", first["ETag"]), (two, "two", second["ETag"])):
            again = served.get("/me", headers=headers)
            assert is_hit(again) and again.json()["sub"] == name and again["ETag"] == tag
    assert detail(served.get("/me", headers=one)) == "l1"
    crossed = served.get("/me", headers=two | {"If-None-Match": first["ETag"]})
    assert crossed.status == 200 and crossed.json()["sub"] == "two"
    own = served.get("/me", headers=two | {"If-None-Match": second["ETag"]})
    assert own.status == 304 and own.body == b""
    refused(served.get("/me", headers={"If-None-Match": first["ETag"]}))
    refused(served.get("/me", headers={"If-None-Match": "*", "Authorization": "Bearer x"}), "three parts")


def test_users_whose_claims_the_statement_does_not_read_share(served):
    assert served.get("/plain", headers=bearer("one")).status == 200
    assert is_hit(served.get("/plain", headers=bearer("two")))
    refused(served.get("/plain"))


def test_nobody_shares_with_somebody(served):
    named = served.get("/maybe", headers=bearer("null"))
    nobody = served.get("/maybe")
    assert named.json() == {"sub": "null"} and nobody.json() == {"sub": None}
    assert named["ETag"] != nobody["ETag"]
    assert served.get("/maybe", headers=bearer("")).json() == {"sub": ""}


def test_a_failure_is_told_to_whose_it_is(served):
    served.get("/failing", headers=bearer(1)).problem(500)
    assert served.get("/failing", headers=bearer(2)).json() == {"a": 1}
