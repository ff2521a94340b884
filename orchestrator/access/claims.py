"""What the claims of a token say, whoever has signed it: how long it is valid, and what it grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, nan
from typing import Annotated, Any

import jwt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from pydantic_core import to_json

from orchestrator.access.grants import Scope, Terms

MOST_METADATA = 2048
"""Bytes, as JSON: a token must fit into the head of a request."""
LONGEST_CALL_S = 86_400
LONGEST_NAME = 200
MOST_TOOLS = 100


class InvalidToken(Exception):  # noqa: N818 (it says what happened)
    """A token is not valid. Why is for tests; nobody else is told which part was wrong."""


class TokenOver(InvalidToken):
    """A token was signed as it should be, and is over: whoever shows it has guessed nothing."""


UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
"""What is raised about a token that anybody may have written. (Its JSON may be too deep for a stack.)"""

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


def key_id_in(token: str) -> str | None:
    """The name of the key (`kid`) that a token says it is signed with, unverified; None if it names none."""
    return _in_head(token, "kid")


def algorithm_in(token: str) -> str | None:
    """The algorithm with which a token says it is signed, unverified; None if it names none."""
    return _in_head(token, "alg")


def _in_head(token: str, name: str) -> str | None:
    try:
        found = jwt.get_unverified_header(token).get(name)
    except UNREADABLE:
        return None
    return found if isinstance(found, str) else None


def verified_claims(
    token: str,
    key: bytes | jwt.PyJWK,
    algorithms: Sequence[str],
    *,
    audience: str,
    issuer: str,
    required: Sequence[str],
    now_s: float,
    leeway_s: float,
) -> dict[str, Any]:
    """What a token says that this key has signed and that is valid now. Raises `InvalidToken`.

    The algorithms are ours and never the token's. Its times are compared with the clock of `now_s`.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            options={
                "require": list(required),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "enforce_minimum_key_length": True,
            },
        )
    except UNREADABLE as error:
        raise InvalidToken(type(error).__name__) from None
    check_times(claims, now_s, leeway_s)
    return claims


class TermsBody(BaseModel):
    """What a token may fix for its calls, as JSON has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tools: Annotated[list[Name], Field(max_length=MOST_TOOLS)] | None = None
    voice: Name | None = None
    max_duration_s: Annotated[float, Field(ge=1, le=LONGEST_CALL_S, allow_inf_nan=False)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if len(to_json(metadata)) > MOST_METADATA:
            raise ValueError(f"may have {MOST_METADATA} bytes as JSON")
        return metadata

    def terms(self) -> Terms:
        """The same in the words of the program."""
        tools = None if self.tools is None else tuple(self.tools)
        return Terms(
            tools=tools, voice=self.voice, max_duration_s=self.max_duration_s, metadata=self.metadata
        )


def terms_in(claim: Any) -> Terms:
    """The terms in a claim; none at all if it is absent. Raises `InvalidToken`: what cannot be kept to must
    not be dropped."""
    if claim is None:
        return Terms()
    try:
        return TermsBody.model_validate(claim).terms()
    except ValidationError:
        raise InvalidToken("its terms cannot be read") from None


def scopes_in(claim: Any, grantable: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes that a claim names, a list or a text with blanks, as far as they are grantable."""
    names = claim.split() if isinstance(claim, str) else claim
    if not isinstance(names, list):
        raise InvalidToken("its scopes cannot be read")
    return frozenset(scope for scope in grantable if scope.value in names)


def check_times(claims: Mapping[str, Any], now_s: float, leeway_s: float) -> None:
    """Raise `TokenOver` unless the token, whose signature was right, is valid now; it must say until when.
    `nbf` counts, too."""
    if not _time(claims.get("nbf", 0)) - leeway_s <= now_s < _time(claims.get("exp")) + leeway_s:
        raise TokenOver("it is not valid now")


def _time(value: Any) -> float:
    try:
        time = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan
    except OverflowError:  # JSON's numbers have no bounds
        time = nan
    if not isfinite(time):
        raise InvalidToken("its times are no numbers")
    return time


def told(error: ValidationError) -> str:
    """What is wrong with a body, field by field, in one line."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    )
