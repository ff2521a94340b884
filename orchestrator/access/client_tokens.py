"""Client tokens: what a browser or app is given instead of a key. They end soon, and say what they allow.

They are JWTs, signed with HS256 by a key of this server's own. Only that algorithm is taken, whatever the
head of a token says.
"""

from __future__ import annotations

import math
import secrets
from typing import Annotated, Any

import jwt
from attrs import frozen
from pydantic import ConfigDict, Field

from orchestrator.access.claims import UNREADABLE, InvalidToken, TermsBody, check_times, scopes_in, terms_in
from orchestrator.access.grants import Grant, Scope
from orchestrator.access.signing_key import SigningKey

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "vantum"
SHORTEST_S, LONGEST_S, USUAL_S = 10, 7200, 600
MOST_USES = 10_000
GRANTABLE = (Scope.CALL, Scope.READ)
"""A token lies in a browser: it never dials, and never administers."""


class TokenOrder(TermsBody):
    """The body of `POST /v1/client-tokens`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    expires_in_s: Annotated[int, Field(ge=SHORTEST_S, le=LONGEST_S)] = USUAL_S
    uses: Annotated[int, Field(ge=1, le=MOST_USES)] = 1
    """How many connections it lets in, or requests."""
    scopes: Annotated[list[Annotated[Scope, Field(strict=False)]], Field(min_length=1)] = Field(
        default=[Scope.CALL]
    )


@frozen
class ClientToken:
    """A token that was read and is valid, if it has not been used too often."""

    grant: Grant
    token_id: str
    expires_s: int
    """Since the epoch."""
    uses: int
    key_digest: bytes | None
    """Of the key that it was made with, which must still be there; None if that was no such key."""


@frozen
class ClientTokens:
    """Makes and reads the tokens that one key signs."""

    key: SigningKey

    def mint(
        self, order: TokenOrder, account: str, key_digest: bytes | None, now_s: float
    ) -> tuple[str, ClientToken]:
        """A new token. `account` is whose share its calls take."""
        terms = order.terms()
        made = ClientToken(
            Grant(account, frozenset(order.scopes), terms=terms),
            secrets.token_urlsafe(16),
            math.floor(now_s) + order.expires_in_s,
            order.uses,
            key_digest,
        )
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account,
            "iat": math.floor(now_s),
            "exp": made.expires_s,
            "jti": made.token_id,
            "uses": order.uses,
            "scopes": [scope.value for scope in order.scopes],
            "terms": TermsBody.model_dump(order, include=set(TermsBody.model_fields), exclude_defaults=True),
            **({} if key_digest is None else {"key": key_digest.hex()}),
        }
        headers = {"kid": self.key.key_id}
        return jwt.encode(claims, self.key.secret, ALGORITHM, headers=headers), made

    def read(self, token: str, now_s: float) -> ClientToken:
        """What a token says. Raises `InvalidToken`."""
        try:
            claims = jwt.decode(
                token,
                self.key.secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # The times are compared with the clock that the token was made by.
                options={
                    "require": ["iss", "aud", "sub", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "enforce_minimum_key_length": True,
                },
            )
        except UNREADABLE as error:
            raise InvalidToken(type(error).__name__) from None
        check_times(claims, now_s, 0)
        return _token_of(claims)


def _token_of(claims: dict[str, Any]) -> ClientToken:
    grant = Grant(
        claims["sub"], scopes_in(claims.get("scopes"), GRANTABLE), terms=terms_in(claims.get("terms"))
    )
    uses, digest = claims.get("uses"), claims.get("key")
    if not isinstance(uses, int) or not isinstance(digest, str | None):
        raise InvalidToken("it was not made here")
    key_digest = None if digest is None else bytes.fromhex(digest)
    return ClientToken(grant, claims["jti"], claims["exp"], uses, key_digest)
