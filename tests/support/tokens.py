"""JSON Web Tokens as an issuer makes them, and as an attacker would; nothing here verifies any."""

import base64
import hashlib
import hmac
import json
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

SECRET = b"a secret of the tests, long enough for HS256"


def encode(data):
    data = data if isinstance(data, bytes) else data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size):
    return encode(value.to_bytes(size, "big"))


def later(seconds=3600):
    """For exp, nbf and iat."""
    return int(time.time() + seconds)


class Secret:
    """HS256."""

    algorithm = "HS256"

    def __init__(self, secret=SECRET):
        self.secret = secret

    def sign(self, text):
        return hmac.new(self.secret, text, hashlib.sha256).digest()

    def file_text(self):
        return self.secret

    def jwk(self, **more):
        return {"kty": "oct", "k": encode(self.secret)} | more


class Rsa:
    """RS256."""

    algorithm = "RS256"

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)

    def sign(self, text):
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def file_text(self):
        return public_pem(self.key)

    def jwk(self, **more):
        numbers = self.key.public_key().public_numbers()
        return {"kty": "RSA", "n": number(numbers.n, 256), "e": number(numbers.e, 3)} | more


class Ec:
    """ES256."""

    algorithm = "ES256"

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, text):
        r, s = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def file_text(self):
        return public_pem(self.key)

    def jwk(self, **more):
        numbers = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)} | more


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def token(claims, key=None, header=None):
    """A signed token; `header` adds to or replaces its header, None removes."""
    key = key or Secret()
    head = {"alg": key.algorithm, "typ": "JWT"} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    text = f"{encode(json.dumps(head))}.{encode(claims if isinstance(claims, str) else json.dumps(claims))}"
    return f"{text}.{encode(key.sign(text.encode()))}"


def bearer(subject=None, key=None, header=None, **claims):
    """The header of a request by `subject`."""
    claims = ({} if subject is None else {"sub": str(subject)}) | claims
    return {"Authorization": f"Bearer {token(claims, key, header)}"}


def write_key(path, key=None):
    """The key file, put in place at once as an operator's tool does."""
    text = key if isinstance(key, bytes) else (key or Secret()).file_text()
    with open(f"{path}.new", "wb") as file:
        file.write(text)
    os.chmod(f"{path}.new", 0o644)
    os.replace(f"{path}.new", path)
    return path


def settings(path, key=None, **environment):
    """Writes the key and gives the LARDER_JWT_* to start with."""
    key = key or Secret()
    return {"LARDER_JWT_ALG": key.algorithm, "LARDER_JWT_KEY_FILE": write_key(path, key)} | environment
