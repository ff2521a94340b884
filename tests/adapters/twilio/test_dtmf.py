"""Keys of a telephone: how they may be written, and their tones."""

from __future__ import annotations

import pytest

from adapters.twilio.dtmf import as_keys, tones

RATE = 8000


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("42#", "42#"),
        ("1ww2,3", "1ww2w3"),
        ("W1p2", "ww1w2"),
        ("555-123 (4) 5.6", "555123456"),
        ("*a b", "*AB"),
    ],
)
def test_keys_are_taken_as_people_and_carriers_write_them(written: str, keys: str) -> None:
    assert as_keys(written) == keys


@pytest.mark.parametrize("written", ["", "ww", "two", "1;2", "+1", "1" * 65, "１"])
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="cannot be pressed: the keys are 0 to 9"):
        as_keys(written)


def test_a_pause_is_silence_of_half_a_second() -> None:
    assert len(tones("1w", RATE)) == len(tones("1", RATE)) + RATE // 2
    assert not tones("w1", RATE)[: RATE // 2].any()
