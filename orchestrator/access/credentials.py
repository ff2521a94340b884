"""Where a credential is in a request. What is found here is never logged, and is in no message."""

from __future__ import annotations

from collections.abc import Mapping
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


def credential_in(asked: Asked, *, query_counts: bool) -> str | None:
    """What was shown as a credential; None without one. In the query it only counts if a setting says so."""
    return (
        _bearer(asked.headers.get("authorization", ""))
        or _offered(asked.headers.get("sec-websocket-protocol", ""))
        or (_in_query(asked.query) if query_counts else None)
    )


def _bearer(value: str) -> str | None:
    scheme, _, credential = value.strip().partition(" ")
    # Another scheme is a credential too, and a wrong one: it must not count as none.
    return (credential.strip() if scheme.lower() == "bearer" else value) or None


def _offered(subprotocols: str) -> str | None:
    for each in subprotocols.split(","):
        if each.strip().startswith(TOKEN_SUBPROTOCOL):
            return each.strip().removeprefix(TOKEN_SUBPROTOCOL) or None
    return None


def _in_query(query: str) -> str | None:
    return next((value for name, value in parse_qsl(query) if name == QUERY_NAME), None)
