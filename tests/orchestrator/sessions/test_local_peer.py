"""Who counts as this machine: no proxy's clients, no web page, nobody who asks for another name."""

from __future__ import annotations

import pytest

from orchestrator.sessions.local_peer import is_local


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "localhost:3001"),
        ("127.0.0.1", "127.0.0.1:3001"),
        ("127.9.9.9", "127.0.0.1"),
        ("::1", "[::1]:3001"),
        ("::1", "localhost"),
    ],
)
def test_a_program_on_this_machine_is_local(peer: str, host: str) -> None:
    assert is_local(peer, {"host": host})


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (None, {"host": "localhost"}),
        ("192.168.1.5", {"host": "localhost"}),
        ("nonsense", {"host": "localhost"}),
        ("127.0.0.1", {}),
        ("127.0.0.1", {"host": "vantum.example"}),
        ("127.0.0.1", {"host": "localhost.evil.example"}),
        ("127.0.0.1", {"host": "user@evil.example"}),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "203.0.113.5"}),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=203.0.113.5"}),
        ("127.0.0.1", {"host": "localhost", "origin": "http://localhost:3001"}),
    ],
)
def test_all_others_are_not(peer: str | None, headers: dict[str, str]) -> None:
    assert not is_local(peer, headers)
