"""Vendors' words in logs and error messages: short, on one line, without keys."""

from __future__ import annotations

import pytest

from adapters.printable import LONGEST, printable

KEY = "a-key-of-ours"


@pytest.mark.parametrize(
    "said",
    [f"key {KEY} is wrong", "Token abcdef0123456789", "Bearer sk-abcdef-0123456789", f"?api_key={KEY}"],
)
def test_no_key_gets_into_a_message(said: str) -> None:
    printed = printable(said, KEY)
    assert KEY not in printed
    assert "0123456789" not in printed


def test_a_message_is_short_and_on_one_line() -> None:
    printed = printable("line\nline\n" * 200, "")
    assert len(printed) == LONGEST
    assert "\n" not in printed


def test_a_short_key_does_not_garble_words() -> None:
    assert printable("handshake", "k") == "handshake"
