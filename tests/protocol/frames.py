"""Helpers: frames as a client sends them, made without our own code."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

EVENT_ID = "0190b1b2-0000-7000-8000-000000000001"
SESSION_ID = "0190b1b2-0000-7000-8000-00000000000a"
UTTERANCE_ID = "0190b1b2-0000-7000-8000-0000000000aa"
FRESH_ID = "0190b1b2-0000-7000-8000-0000000000ff"
"""The event id that the caller of a dialect passes."""

NOW = 1_763_856_000_123.0
"""A time in ms since the Unix epoch, well above 2^32."""


def frame(event_type: object, payload: object, **header: object) -> bytes:
    """A client's frame with both ids; `header` overrides or adds header fields."""
    message = {"eventType": event_type, "eventId": EVENT_ID, "sessionId": SESSION_ID, "payload": payload}
    return raw(message | header)


def raw(value: object) -> bytes:
    """Any value as MessagePack."""
    packed: bytes = msgpack.packb(value)
    return packed


def read(sent: bytes | None) -> dict[str, Any]:
    """The content of our frame, as a peer with a plain MessagePack library reads it."""
    assert sent is not None
    message: dict[str, Any] = msgpack.unpackb(sent)
    return message
