"""Cartesia's own SDK on Trio: its client, its address and headers, and its connection over our socket.

The SDK opens its sockets with asyncio. The rest of it does not depend on asyncio, and is used here.
`require_known_sdk` raises an error if a release changes one of the private names that are used.
"""

from __future__ import annotations

from typing import Any

import cartesia
from cartesia.lib import _tts as sockets

from adapters.vendor_errors import UnknownSdkError
from adapters.vendor_socket import VendorSocket, tls


def require_known_sdk() -> None:
    """Raise `UnknownSdkError` unless the SDK still has the private names that are used here."""
    connection = getattr(sockets, "AsyncTTSResourceConnection", None)
    manager = getattr(sockets, "AsyncTTSResourceConnectionManager", None)
    needed = (
        *((connection, name) for name in ("send", "recv_bytes", "parse_event")),
        (manager, "_prepare_url"),
        *((cartesia.AsyncCartesia, name) for name in ("auth_headers", "default_headers", "user_agent")),
    )
    missing = [name for owner, name in needed if not hasattr(owner, name)]
    if missing:
        raise UnknownSdkError(f"the cartesia SDK has changed: it has no {', '.join(missing)}")


def make_client(api_key: str, base_url: str) -> cartesia.AsyncCartesia:
    """The SDK's client; takes about 200 ms. One serves all calls of a process.

    `base_url` begins with `https`, `http`, `wss` or `ws`. Raises `ValueError` for another one, and
    `UnknownSdkError`.
    """
    require_known_sdk()
    scheme, separator, rest = base_url.rstrip("/").partition("://")
    if not separator or scheme not in ("ws", "wss", "http", "https"):
        raise ValueError(f"Cartesia's address is {base_url!r}; it must begin with https:// or http://")
    secure = "s" if scheme in ("wss", "https") else ""
    _warm_up()
    return cartesia.AsyncCartesia(
        api_key=api_key,
        base_url=f"http{secure}://{rest}",
        websocket_base_url=f"ws{secure}://{rest}",
        max_retries=0,
    )


def socket_url(client: cartesia.AsyncCartesia) -> str:
    """The URL that the SDK would connect to. The key is not in it."""
    manager = sockets.AsyncTTSResourceConnectionManager(
        client=client, extra_query={}, extra_headers={}, websocket_connection_options={}
    )
    return str(manager._prepare_url())


def headers(client: cartesia.AsyncCartesia) -> dict[str, str]:
    """The headers that the SDK would send on connecting. The key is in them."""
    all_headers = {**client.default_headers, **client.auth_headers, "User-Agent": client.user_agent}
    return {name: value for name, value in all_headers.items() if isinstance(value, str)}


def connection_over(socket: VendorSocket) -> Any:
    """The SDK's connection: `send` takes its requests, `recv_bytes` and `parse_event` give its events.

    Its type is `Any`, because the SDK declares asyncio's socket, but takes any object with `send` and `recv`.
    """
    return sockets.AsyncTTSResourceConnection(socket)  # type: ignore[arg-type]


def _warm_up() -> None:
    """Have the SDK build its parsers now, which takes tens of ms, and not when they are first used."""
    tls()
    connection = sockets.AsyncTTSResourceConnection(None)  # type: ignore[arg-type]
    connection.parse_event('{"type": "done", "done": true, "status_code": 200, "context_id": "none"}')
