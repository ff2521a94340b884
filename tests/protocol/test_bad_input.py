"""Fuzzing: whatever a client sends, reading it gives a message or a `ProtocolError` that can be answered."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import HIERARCHICAL, LEGACY, REGISTRY, ProtocolError, Received, receive, receive_from_server
from protocol.payloads import wire_name
from tests.protocol.frames import FRESH_ID, NOW, SESSION_ID, raw, read

KEYS = sorted(
    {"extra"}
    | {wire_name(attribute) for spec in REGISTRY.values() for attribute in spec.payload_type.__attrs_attrs__}
)
TYPES = [
    *REGISTRY,
    "voicechat.audio.start",
    "voicechat.audio.chunk",
    "voicechat.audio.end",
    "audio.input.end",
]

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
    | st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(KEYS), anything, max_size=8)
messages = st.fixed_dictionaries(
    {},
    optional={
        "eventType": st.sampled_from(TYPES) | anything,
        "eventId": st.text("0123456789abcdef-") | anything,
        "sessionId": st.text("0123456789abcdef-") | anything,
        "payload": bodies | anything,
        "requestType": anything,
    },
)


def _answer(frame: bytes | str) -> None:
    """Read a frame as either side; both dialects must be able to write the error."""
    for reader in (receive, receive_from_server):
        try:
            received = reader(frame)
        except ProtocolError as error:
            told = HIERARCHICAL.refuse(error, event_id=FRESH_ID, session_id=SESSION_ID, timestamp=NOW)
            assert read(told)["payload"]["error"]["message"] == error.message
            legacy = LEGACY.refuse(error, event_id=FRESH_ID, session_id=SESSION_ID, timestamp=NOW)
            assert read(legacy)["requestType"] == error.request_type
        else:
            assert isinstance(received, Received)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
@example(b"\x91" * 10_000)
@example(b"\xdf\xff\xff\xff\xff")
def test_arbitrary_bytes(frame: bytes) -> None:
    _answer(frame)


@settings(max_examples=200, deadline=None)
@given(st.text())
@example('{"eventType": "voicechat.audio.start"}')
def test_arbitrary_text(frame: str) -> None:
    _answer(frame)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(messages)
def test_messages_with_anything_in_any_field(message: dict[str, Any]) -> None:
    _answer(raw(message))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(messages, st.data())
def test_broken_messages(message: dict[str, Any], data: st.DataObject) -> None:
    frame = bytearray(raw(message))
    for place in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=4)):
        frame[place] = data.draw(st.integers(0, 255))
    _answer(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
