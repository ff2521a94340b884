"""Digits are gathered until the terminator, the number wanted, or a pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from machines.digits import DigitPolicy, Digits


def test_the_terminator_completes_the_string_and_is_no_part_of_it() -> None:
    digits = Digits()
    assert [digits.press(key, 0) for key in "123#"] == [None, None, None, "123"]
    assert digits.pressed == ""


def test_a_terminator_alone_is_an_empty_string() -> None:
    assert Digits().press("#", 0) == ""


def test_a_pause_completes_the_string() -> None:
    digits = Digits(DigitPolicy(timeout_ms=1000))
    digits.press("4", 100)
    digits.press("2", 900)
    assert digits.due_at_ms() == 1900
    assert digits.passed(1899) is None
    assert digits.passed(1900) == "42"
    assert digits.due_at_ms() is None
    assert digits.passed(5000) is None


def test_so_many_digits_complete_the_string() -> None:
    digits = Digits(DigitPolicy(terminator="", most=4))
    assert [digits.press(key, 0) for key in "12#4"] == [None, None, None, "12#4"]


@given(st.text("0123456789*", max_size=31))
def test_what_was_pressed_comes_out_as_it_was(pressed: str) -> None:
    digits = Digits()
    for at_ms, key in enumerate(pressed):
        assert digits.press(key, at_ms) is None
    assert digits.press("#", 100) == pressed
