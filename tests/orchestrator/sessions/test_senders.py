"""Of every event that the protocol says the server sends, there is code that sends it; of no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import protocol
from protocol import REGISTRY, ErrorPayload, ProtocolError

HERE = Path(__file__).parents[3]
READERS = ("payloads.py", "envelope.py", "dialects.py")
"""The modules of `protocol/` that raise errors about what a client sent."""


def called() -> set[str]:
    """Names of everything that is called where messages are made or refused."""
    sources = [*(HERE / "orchestrator").rglob("*.py"), *(HERE / "protocol" / name for name in READERS)]
    return {
        node.func.id
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def errors() -> Iterator[type[ProtocolError]]:
    for value in vars(protocol).values():
        if isinstance(value, type) and issubclass(value, ProtocolError):
            yield value


def events_of(error_type: type[ProtocolError]) -> set[str]:
    """The events that an error can be: of no request, or of any."""
    found = set()
    for wire_type in (None, "voicechat.audio.start", *REGISTRY):
        error = error_type.__new__(error_type)
        error.wire_type = wire_type
        found.add(error.error_event)
    return found


def test_exactly_the_events_that_are_documented_as_sent_have_a_sender() -> None:
    calls = called()
    sent = {event for error in errors() if error.__name__ in calls for event in events_of(error)}
    for name, spec in REGISTRY.items():
        is_error = issubclass(spec.payload_type, ErrorPayload)
        if spec.from_server and not is_error and spec.payload_type.__name__ in calls:
            sent.add(name)
    sent.add("connection.lifecycle.heartbeat")  # the client's own message is sent back
    documented = {name for name, spec in REGISTRY.items() if spec.from_server and not spec.not_sent_yet}
    assert sent == documented


def test_only_what_a_server_could_send_is_said_not_to_be_sent_yet() -> None:
    for spec in REGISTRY.values():
        assert spec.from_server or not spec.not_sent_yet, spec.name
