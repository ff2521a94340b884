"""What a client puts on the wire, for the tests: frames made without our own code."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

EVENT_ID = "0190b1b2-0000-7000-8000-000000000001"
SESSION_ID = "0190b1b2-0000-7000-8000-00000000000a"
UTTERANCE_ID = "0190b1b2-0000-7000-8000-0000000000aa"
FRESH_ID = "0190b1b2-0000-7000-8000-0000000000ff"
"""The id the caller of a dialect draws for a message of its own."""

NOW = 1_763_856_000_123.0
"""Some time, in ms since the Unix epoch; well above 2^32."""


def frame(event_type: object, payload: object, **header: object) -> bytes:
    """A client's frame with both ids; `header` overrides or adds header fields."""
    message = {"eventType": event_type, "eventId": EVENT_ID, "sessionId": SESSION_ID, "payload": payload}
    return raw(message | header)


def raw(value: object) -> bytes:
    """Any value as MessagePack."""
    packed: bytes = msgpack.packb(value)
    return packed


def read(sent: bytes | None) -> dict[str, Any]:
    """What a peer with a plain MessagePack library reads from our frame."""
    assert sent is not None
    message: dict[str, Any] = msgpack.unpackb(sent)
    return message
