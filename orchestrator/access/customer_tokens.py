"""Tokens of a customer's own login: JWTs that their issuer signs, with keys that it publishes (JWKS).

The algorithms are a fixed list of asymmetric ones, and never what a token says. The keys are fetched again
after `CACHE_S`, and for a key that is not known: at most once in `COOLDOWN_S`, so that nobody can have us
hammer the issuer by inventing names of keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2
import jwt
import trio
from attrs import Factory, define, field, frozen

from adapters.http_clients import http_client
from adapters.logs import library_logger
from orchestrator.access.claims import (
    InvalidToken,
    algorithm_in,
    key_id_in,
    scopes_in,
    terms_in,
    verified_claims,
)
from orchestrator.access.grants import Grant, Scope
from orchestrator.access.refusal import Refusal
from orchestrator.settings.access import JWT_ALGORITHMS

log = library_logger(__name__)

CACHE_S = 300.0
COOLDOWN_S = 30.0
FETCH_S = 5.0
LEEWAY_S = 30.0
"""By so much the issuer's clock may differ from ours."""
MOST_KEYS = 100
GRANTABLE = (Scope.CALL, Scope.READ, Scope.DIAL)
ACCOUNT_PREFIX = "jwt:"
"""Before the account of a customer's user: no key is called so."""


ByAlgorithm = Mapping[str, jwt.PyJWK]
"""One published key, for each algorithm that it may be used with."""


@frozen
class ClaimNames:
    """Which claims say what. None: no claim does."""

    account: str = "sub"
    scopes: str | None = None
    """Without it, calls are allowed, and nothing else."""
    terms: str | None = None


@frozen
class Issuer:
    """Whose tokens are taken, and how they are read."""

    jwks_url: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = JWT_ALGORITHMS
    claims: ClaimNames = ClaimNames()


@define(eq=False)
class CustomerTokens:
    """Reads the tokens of one issuer. By default a client is made for each fetch: they are rare."""

    issuer: Issuer
    http: httpx2.AsyncClient | None = None
    _keys: dict[str, ByAlgorithm] = field(factory=dict, init=False)
    """By their ids."""
    _fetched_at: float = field(default=-math.inf, init=False)
    _asked_at: float = field(default=-math.inf, init=False)
    _fetching: trio.Lock = field(default=Factory(trio.Lock), init=False)

    async def read(self, token: str, now_s: float) -> Grant:
        """What a token grants. Raises `InvalidToken`, and `Refusal` (503) if the keys cannot be had."""
        key_id = key_id_in(token)
        if key_id is None:
            raise InvalidToken("it names no key")
        key = (await self._key(key_id)).get(algorithm_in(token) or "")
        if key is None:
            raise InvalidToken("its key is for another algorithm")
        claims = verified_claims(
            token,
            key,
            self.issuer.algorithms,
            audience=self.issuer.audience,
            issuer=self.issuer.issuer,
            required=["iss", "aud", "exp"],
            now_s=now_s,
            leeway_s=LEEWAY_S,
        )
        return self._grant(claims)

    def _grant(self, claims: dict[str, Any]) -> Grant:
        names = self.issuer.claims
        account = claims.get(names.account)
        if not isinstance(account, str) or not account:
            raise InvalidToken(f"it has no {names.account}")
        scopes = frozenset({Scope.CALL})
        if names.scopes is not None:
            scopes = scopes_in(claims.get(names.scopes, []), GRANTABLE)
        terms = terms_in(claims.get(names.terms)) if names.terms is not None else terms_in(None)
        return Grant(ACCOUNT_PREFIX + account, scopes, terms=terms)

    # --- the issuer's keys --------------------------------------------------------------------------------

    async def _key(self, key_id: str) -> ByAlgorithm:
        known = self._keys.get(key_id)
        fresh = trio.current_time() < self._fetched_at + CACHE_S
        # Whoever invents names of keys has us ask the issuer, which may be slow: nobody else waits for that.
        if known is not None and (fresh or self._fetching.locked()):
            return known
        async with self._fetching:
            if key_id not in self._keys or trio.current_time() >= self._fetched_at + CACHE_S:
                await self._refresh()
        if math.isinf(self._fetched_at):
            raise Refusal(503, "tokens cannot be checked at the moment", COOLDOWN_S)
        if key_id not in self._keys:
            raise InvalidToken("its key is unknown")
        return self._keys[key_id]

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was done just now. If it fails, those that are known stay."""
        if trio.current_time() < self._asked_at + COOLDOWN_S:
            return
        self._asked_at = trio.current_time()
        try:
            self._keys = _usable(await self._published(), self.issuer.algorithms)
            self._fetched_at = trio.current_time()
        except (httpx2.HTTPError, ValueError, RecursionError, trio.TooSlowError) as error:
            log.warning("the keys of JWT_JWKS_URL cannot be had", error=str(error) or type(error).__name__)

    async def _published(self) -> Any:
        with trio.fail_after(FETCH_S):
            if self.http is not None:
                return (await self.http.get(self.issuer.jwks_url)).raise_for_status().json()
            async with http_client(timeout=FETCH_S) as http:
                return (await http.get(self.issuer.jwks_url)).raise_for_status().json()


def _usable(published: Any, algorithms: Iterable[str]) -> dict[str, ByAlgorithm]:
    """The keys that verify signatures and are public. Raises `ValueError` for what is no JWKS."""
    listed = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no JWKS")  # noqa: TRY004 - of a value that came from outside
    found: dict[str, ByAlgorithm] = {}
    for each in listed[:MOST_KEYS]:
        if not isinstance(each, dict) or each.get("kty") == "oct" or each.get("use", "sig") != "sig":
            continue
        usable = {name: key for name in algorithms if (key := _key_for(each, name)) is not None}
        if usable and isinstance(each.get("kid"), str):
            found[each["kid"]] = usable
        else:
            log.info("a key of JWT_JWKS_URL cannot be used", kind=str(each.get("kty"))[:20])
    return found


def _key_for(published: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key for this algorithm; None if it is for others. Many issuers do not say for which a key is, which
    they need not (RFC 7517, 4.4): then its kind tells."""
    if published.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK.from_dict(published, algorithm)
    except Exception:  # the library raises much about what is no key of this kind
        return None
