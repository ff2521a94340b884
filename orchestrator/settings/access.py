"""Settings of access: who is let in besides those with a key, which web pages, and whose tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from orchestrator.settings.types import Key, WebAddress

JWT_ALGORITHMS = ("RS256", "ES256", "EdDSA")
_KNOWN_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""All are asymmetric: an issuer's public keys can sign nothing."""
_ORIGIN = r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
LEAST_KEY = 32
"""Characters of `CLIENT_TOKEN_KEY`."""


def _algorithms(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("neither text nor a list of texts")
    plain = tuple(name.strip() for name in names)
    if not plain or not set(plain) <= set(_KNOWN_ALGORITHMS):
        raise ValueError("unknown")
    return plain


Algorithms = Annotated[
    tuple[str, ...],
    BeforeValidator(_algorithms),
    Field(json_schema_extra={"format": "algorithms", "known": list(_KNOWN_ALGORITHMS)}),
]


class Access(BaseModel):
    """Who may talk to this server."""

    allow_anybody: bool = Field(
        default=False,
        description="Whoever reaches the port may talk without a key: where a proxy asks who it is, or in a"
        " closed network. Calls by telephone need one all the same",
    )
    allowed_origins: str = Field(
        default="",
        pattern=rf"^({_ORIGIN})?( {_ORIGIN})*$",
        json_schema_extra={"format": "origins"},
        description="Origins of web pages that may talk to this server besides its own, divided by blanks;"
        " their hosts count as names of this server, too",
    )
    client_token_key: Key = Field(
        default=None,
        description="Signs client tokens: the same for all servers that shall take each other's; by default a"
        " key that is kept in DATA_DIR",
    )
    token_in_query: bool = Field(
        default=False,
        description="Tokens are taken from the address (?token=…) too, for clients that can send them nowhere"
        " else; proxies write addresses into their logs",
    )
    jwt_jwks_url: WebAddress | None = Field(
        default=None, description="Where the issuer of your own login's tokens publishes its keys (JWKS)"
    )
    jwt_issuer: str | None = Field(default=None, min_length=1, description="The `iss` of these tokens")
    jwt_audience: str | None = Field(default=None, min_length=1, description="The `aud` of these tokens")
    jwt_algorithms: Algorithms = Field(
        default=JWT_ALGORITHMS, description="How they may be signed, divided by commas"
    )
    jwt_account_claim: str = Field(
        default="sub", min_length=1, description="The claim that says whose share a token's calls take"
    )
    jwt_scope_claim: str | None = Field(
        default=None,
        min_length=1,
        description="The claim that names scopes: call, read, dial; unset: a token allows calls only",
    )
    jwt_terms_claim: str | None = Field(
        default=None,
        min_length=1,
        description="The claim with a map of what a token fixes: tools, voice, max_duration_s, metadata",
    )
