"""Where a credential is in a request. What is found here is never logged, and is in no message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from attrs import frozen

TOKEN_SUBPROTOCOL = "vantum.token."
"""A browser offers this with its token behind it, beside the subprotocol that it speaks."""
QUERY_NAME = "token"


@frozen
class Asked:
    """Who asks for something, as far as the connection and the head of the request tell."""

    peer: tuple[str, int] | None
    """Address and port of the other side; None once it is gone."""
    own: tuple[str, int] | None
    """The address and port that it has connected to."""
    headers: Mapping[str, str]
    """By names in lower case."""
    query: str = ""


def joined(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names in lower case. The values of one that has several lines are a list, as HTTP has
    it (RFC 9110, 5.3): nobody may choose by one more line which of them counts."""
    headers: dict[str, str] = {}
    for name, value in lines:
        before = headers.get(name.lower())
        headers[name.lower()] = value if before is None else f"{before}, {value}"
    return headers


def credential_in(asked: Asked, *, query_counts: bool, other_schemes_count: bool) -> str | None:
    """What was shown as a credential; None without one. In the query it only counts if a setting says so.

    What `Authorization` holds by another scheme than `Bearer` was meant for a proxy, which has passed it on.
    Beside a token of ours it does not count; alone it is a wrong credential, unless others say who may ask.
    """
    authorization = asked.headers.get("authorization", "").strip()
    return (
        _bearer(authorization)
        or _offered(asked.headers.get("sec-websocket-protocol", ""))
        or (_in_query(asked.query) if query_counts else None)
        or (authorization if other_schemes_count else None)
        or None
    )


def _bearer(authorization: str) -> str | None:
    scheme, _, credential = authorization.partition(" ")
    return (credential.strip() or None) if scheme.lower() == "bearer" else None


def _offered(subprotocols: str) -> str | None:
    for each in subprotocols.split(","):
        if each.strip().startswith(TOKEN_SUBPROTOCOL):
            return each.strip().removeprefix(TOKEN_SUBPROTOCOL) or None
    return None


def _in_query(query: str) -> str | None:
    return next((value for name, value in parse_qsl(query) if name == QUERY_NAME), None)
