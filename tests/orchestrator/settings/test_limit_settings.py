"""Settings of limits, and the sentence for each that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.settings.settings import Settings, SettingsError

ACCOUNT: dict[str, Any] = {"twilio_account_sid": "AC" + "0" * 32, "twilio_auth_token": "secret"}
PREFIXES = "must be how numbers begin, each + and digits, divided by commas, such as +44,+1212; +: all."


def complaint(**chosen: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings(**chosen)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+44", ("+44",)),
        (" +49 30, +1 (212) ", ("+4930", "+1212")),
        ("+", ("+",)),
        (["+49", "+43"], ("+49", "+43")),
        (",", ()),
    ],
)
def test_destinations_are_prefixes_divided_by_commas(written: Any, read: tuple[str, ...]) -> None:
    assert Settings(dial_allow=written).dial_allow == read


@pytest.mark.parametrize("wrong", ["44", "0049", "+0", "+49x", "DE", "+49 +43", "+1234567890123456"])
def test_what_is_no_prefix_is_told(wrong: str) -> None:
    assert complaint(dial_allow=wrong) == f"DIAL_ALLOW is {wrong!r}, but {PREFIXES}"


def test_calls_must_be_allowed_to_be_transferred_where_they_are_transferred_to() -> None:
    told = complaint(**ACCOUNT, twilio_transfer_to="+15005550006", dial_allow="+49")
    assert told == (
        "TWILIO_TRANSFER_TO is '+15005550006', but DIAL_ALLOW is '+49', which does not allow it:"
        " add +15005550006 to DIAL_ALLOW."
    )
    to = {**ACCOUNT, "twilio_transfer_to": "+15005550006"}
    Settings(**to, dial_allow=("+49", "+1"))
    Settings(**to)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("connections_per_minute_per_address", 0, "a whole number from 1 to 1000000"),
        ("failed_logins_per_address", "many", "a whole number from 1 to 1000000"),
        ("max_calls_per_key", 0, "a whole number from 1 to 100000"),
        ("calls_per_minute_per_key", -1, "a whole number from 1 to 1000000"),
        ("dials_per_hour_per_number", 0, "a whole number from 1 to 1000000"),
        ("daily_budget_per_key", "free", "a number from 0 to 1000000"),
        ("call_price_per_minute", -0.1, "a number from 0 to 100"),
    ],
)
def test_a_limit_that_cannot_be_is_told_in_one_sentence(name: str, value: Any, told: str) -> None:
    assert complaint(**{name: value}) == f"{name.upper()} is {value!r}, but must be {told}."
