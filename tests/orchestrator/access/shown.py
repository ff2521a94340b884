"""What may be shown at the doors, right and wrong: keys, client tokens, and tokens of a customer's login."""

from __future__ import annotations

import time
from functools import cache
from hashlib import blake2b
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

from orchestrator.access.client_tokens import AUDIENCE, ISSUER
from orchestrator.access.grants import ApiKey, KeyLimits, Scope
from orchestrator.access.memory_book import MemoryKeyBook

SIGNING = "a signing key of these tests, and nobody else has it: 64 bytes and some more"
JWKS_URL = "https://login.example/keys"
LOGIN = {
    "jwt_jwks_url": JWKS_URL,
    "jwt_issuer": "https://login.example",
    "jwt_audience": "voice",
    "jwt_scope_claim": "scope",
    "jwt_terms_claim": "voice_terms",
}


def digest(secret: str) -> bytes:
    """The keyed hash of a key, in these tests."""
    return blake2b(secret.encode(), key=b"pepper", digest_size=32).digest()


def book(**keys: frozenset[Scope]) -> MemoryKeyBook:
    """A book with these keys: each secret is `vsk_` and the name."""
    return MemoryKeyBook(
        {
            digest(f"vsk_{name}"): ApiKey(f"key-{name}", name, "vsk_", scopes, 0, KeyLimits(calls_at_once=7))
            for name, scopes in keys.items()
        }
    )


def signed(secret: str = SIGNING, algorithm: str = "HS256", kid: str = "", **claims: Any) -> str:
    """A client token as a server makes it, but for what is given; None leaves a claim out."""
    from orchestrator.access.signing_key import SigningKey

    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "key-all",
        "iat": int(time.time()),
        "exp": int(time.time()) + 600,
        "jti": "one",
        "uses": 1,
        "scopes": ["call"],
    }
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    named = kid or SigningKey(SIGNING.encode()).key_id
    return jwt.encode(kept, secret if algorithm != "none" else "", algorithm, headers={"kid": named})


# --- a customer's login ------------------------------------------------------------------------------------


@cache
def login_key(name: str) -> Any:
    """A private key of the customer's issuer, or of somebody else."""
    return generate_private_key(SECP256R1())


def jwks(*names: str) -> dict[str, Any]:
    """What the issuer publishes."""
    public = [(name, ECAlgorithm.to_jwk(login_key(name).public_key(), as_dict=True)) for name in names]
    return {"keys": [{**key, "kid": name, "use": "sig", "alg": "ES256"} for name, key in public]}


def login_token(key: str = "k1", kid: str | None = None, **claims: Any) -> str:
    """A token of the issuer's; None leaves a claim out."""
    usual = {
        "iss": LOGIN["jwt_issuer"],
        "aud": LOGIN["jwt_audience"],
        "sub": "ann",
        "exp": int(time.time()) + 600,
        "scope": "call",
    }
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(kept, login_key(key), "ES256", headers={"kid": kid or key})


class LoginServer:
    """The customer's issuer, simulated: counts how often it is asked."""

    def __init__(self, *names: str) -> None:
        self.published: Any = jwks(*names)
        self.status = 200
        self.asked = 0

    def client(self) -> httpx2.AsyncClient:
        """A client that reaches it."""
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if isinstance(self.published, bytes):
            return httpx2.Response(self.status, content=self.published)
        return httpx2.Response(self.status, json=self.published)
