"""Which web pages may talk to a server: its own, and those that the operator names."""

from __future__ import annotations

import pytest

from orchestrator.access.origins import Origins

NAMED = Origins.of(["https://shop.example", "capacitor://localhost"], ["https://voice.example/"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "evil.example"),  # a program: browsers always send an origin
        ("http://localhost:3001", "localhost:3001"),
        ("http://LOCALHOST:3001", "localhost:3001"),
        ("http://127.0.0.1:3001", "127.0.0.1:3001"),
        ("http://[::1]:3001", "[::1]:3001"),
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("http://192.168.1.5:3001", "192.168.1.5:3001"),  # an address cannot be rebound
        ("https://voice.example", "voice.example"),
        ("https://voice.example", "voice.example:443"),
        ("https://shop.example", "localhost:3001"),  # a proxy that passes no Host on
        ("https://shop.example", "shop.example"),
        ("capacitor://localhost", "localhost:3001"),
    ],
)
def test_pages_that_may(origin: str | None, host: str) -> None:
    headers = {"host": host} if origin is None else {"host": host, "origin": origin}
    assert NAMED.allows(headers)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost:3001"),
        ("null", "null"),
        ("", ""),
        ("https://other.example", "localhost:3001"),
        ("http://localhost:5173", "localhost:3001"),  # another program's page on this machine
        ("https://localhost:3001", "localhost"),
        ("http://127.0.0.1:3001", "localhost:3001"),
        ("http://evil.example:3001", "evil.example:3001"),  # DNS rebinding
        ("http://localhost.evil.example", "localhost.evil.example"),
        ("http://shop.example.evil.example", "shop.example"),
        ("https://shop.example:444", "localhost:3001"),
        ("http://shop.example", "localhost:3001"),
        ("http://localhost:3001@evil.example", "localhost:3001"),
        ("http://evil.example/localhost:3001", "localhost:3001"),
        ("http://localhost:99999", "localhost:99999"),
        ("http://[", "["),
        ("file://", "localhost:3001"),
        ("chrome-extension://localhost:3001", "localhost:3001"),
    ],
)
def test_pages_that_may_not(origin: str, host: str) -> None:
    assert not NAMED.allows({"host": host, "origin": origin})
