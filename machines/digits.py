"""Digits that a caller presses, gathered into one string: pure, its time comes with each digit."""

from __future__ import annotations

from attrs import define, frozen


@frozen
class DigitPolicy:
    """When a string of digits is complete."""

    terminator: str = "#"
    """The key that ends it, and is no part of it; empty: only the time does, or the number of digits."""
    timeout_ms: float = 3_000
    """So long after its last digit it is complete."""
    most: int = 32
    """It is complete when it has so many digits."""


@define
class Digits:
    """What was pressed so far."""

    policy: DigitPolicy = DigitPolicy()
    _pressed: str = ""
    _last_ms: float = 0.0

    @property
    def pressed(self) -> str:
        """The string so far."""
        return self._pressed

    def press(self, digit: str, at_ms: float) -> str | None:
        """Take one more digit; returns the whole string if it is complete now.

        A digit that comes after the time has passed begins another string: ask `passed` before.
        """
        if digit == self.policy.terminator:
            return self._take()
        self._pressed += digit
        self._last_ms = at_ms
        return self._take() if len(self._pressed) >= self.policy.most else None

    def due_at_ms(self) -> float | None:
        """When the string is complete if no other digit comes; None if there is none."""
        return self._last_ms + self.policy.timeout_ms if self._pressed else None

    def passed(self, at_ms: float) -> str | None:
        """The string if its time is over by `at_ms`, None otherwise."""
        due = self.due_at_ms()
        return self._take() if due is not None and at_ms >= due else None

    def _take(self) -> str:
        taken, self._pressed = self._pressed, ""
        return taken
