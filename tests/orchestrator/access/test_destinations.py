"""Only numbers that the operator may have meant are called: toll fraud has no number to go to."""

from __future__ import annotations

import pytest

from orchestrator.access.destinations import Destinations
from orchestrator.access.refusal import Refusal

BERLIN, MUNICH = "+493012345678", "+498912345678"
NEW_YORK, BOSTON = "+12125550123", "+16175550123"
TEST = "+15005550006"
"""Twilio's own for tests, which is in no country's plan."""
OTHERS_OF_NORTH_AMERICA = ["+18765551234", "+14734051234", "+18095551234", "+12425551234", "+14165550123"]
PREMIUM = ["+19002345678", "+499001234567", "+449061234567", "+33899123456"]
NOWHERE = ["+881612345678", "+870773123456", "+882161234567", "+97912345678", "+87812345678901"]


def allowed(number: str, own: str, *prefixes: str, chosen: tuple[str, ...] = ()) -> bool:
    try:
        Destinations(prefixes, chosen).check(number, own)
    except Refusal as refusal:
        assert refusal.status == 403
        assert refusal.sentence.startswith("this number may not be called from here: ")
        assert "DIAL_ALLOW" in refusal.sentence
        return False
    return True


@pytest.mark.parametrize(
    ("number", "own"),
    [
        (MUNICH, BERLIN),
        ("+4915112345678", BERLIN),
        (BOSTON, NEW_YORK),
        ("+18005551212", NEW_YORK),
        ("+15005550001", TEST),
        (BOSTON, TEST),
        (TEST, NEW_YORK),
        ("+74951234567", "+78121234567"),
    ],
)
def test_the_own_country_may_be_called(number: str, own: str) -> None:
    assert allowed(number, own)


@pytest.mark.parametrize("number", ["+447010123456", "+447640123456"])
def test_personal_numbers_and_pagers_are_not_taken_for_mobile_phones(number: str) -> None:
    """Their owners earn with calls to them, and they look like any number of a mobile phone in Britain."""
    london, mobile = "+442079460000", "+447400123456"
    assert allowed(mobile, london)
    assert not allowed(number, london)
    assert not allowed(number, london, "+44")
    assert allowed(number, london, number[:6])


@pytest.mark.parametrize("number", [NEW_YORK, *OTHERS_OF_NORTH_AMERICA, *PREMIUM, *NOWHERE])
def test_from_germany_nothing_else_is_called(number: str) -> None:
    assert not allowed(number, BERLIN)


@pytest.mark.parametrize("number", [*OTHERS_OF_NORTH_AMERICA, *PREMIUM, *NOWHERE, BERLIN])
@pytest.mark.parametrize("own", [NEW_YORK, TEST])
def test_countries_that_share_a_code_are_told_apart(number: str, own: str) -> None:
    assert not allowed(number, own)
    assert not allowed("+77011234567", "+74951234567")


@pytest.mark.parametrize(
    ("number", "prefixes", "may"),
    [
        (BERLIN, ("+4930",), True),
        (MUNICH, ("+4930",), False),
        (MUNICH, ("+4930", "+4989"), True),
        (NEW_YORK, ("+4930",), False),
        ("+18765551234", ("+1",), True),
        ("+18765551234", ("+1212",), False),
        (BERLIN, ("+",), True),
        (NEW_YORK, ("+",), True),
    ],
)
def test_prefixes_take_the_place_of_the_own_country(
    number: str, prefixes: tuple[str, ...], may: bool
) -> None:
    assert allowed(number, NEW_YORK, *prefixes) is may


@pytest.mark.parametrize("number", [*PREMIUM, *NOWHERE])
def test_what_is_costly_is_called_only_if_a_prefix_names_it(number: str) -> None:
    assert not allowed(number, BERLIN, "+")
    assert not allowed(number, BERLIN, number[:2])
    assert allowed(number, BERLIN, number[:5])
    assert allowed(number, BERLIN, number)


@pytest.mark.parametrize("more", ["0", "1234", "99"])
@pytest.mark.parametrize("number", ["+19002345678", "+449061234567"])
def test_digits_behind_a_costly_number_do_not_hide_it(number: str, more: str) -> None:
    if len(number + more) <= 16:
        assert not allowed(number + more, BERLIN, "+", "+1", "+44")


LONDON, SYDNEY = "+442079460000", "+61291234567"


@pytest.mark.parametrize("more", ["", "0", "12"])
@pytest.mark.parametrize(
    ("number", "own"),
    [
        ("+14165550123", NEW_YORK),  # Canada
        ("+18765551234", NEW_YORK),  # Jamaica
        ("+447781123456", LONDON),  # Guernsey
        ("+441534123456", LONDON),  # Jersey
        ("+447624123456", LONDON),  # Isle of Man
        ("+61891621234", SYDNEY),  # Cocos Islands
        ("+4779123456", "+4721930100"),  # Svalbard
    ],
)
def test_digits_behind_a_number_do_not_hide_its_country(number: str, own: str, more: str) -> None:
    assert not allowed(number + more, own)


@pytest.mark.parametrize(
    ("number", "own"), [(BOSTON, NEW_YORK), ("+447400123456", LONDON), ("+61412345678", SYDNEY)]
)
def test_digits_behind_a_number_of_the_own_country_do_no_harm(number: str, own: str) -> None:
    """Extensions, which some write so."""
    assert allowed(number + "12", own)


def test_whom_the_operator_has_chosen_may_be_called() -> None:
    assert allowed(NEW_YORK, BERLIN, chosen=(NEW_YORK,))
    assert not allowed(BOSTON, BERLIN, chosen=(NEW_YORK,))


@pytest.mark.parametrize("own", ["", "sip:ann@example.com", "client:ann", "+", "+999"])
def test_from_no_number_nothing_is_called(own: str) -> None:
    assert not allowed(BERLIN, own)
    assert allowed(BERLIN, own, "+49")


@pytest.mark.parametrize("number", ["", "+", "sip:x@y", "112", "+0"])
def test_what_is_no_number_is_not_called(number: str) -> None:
    assert not allowed(number, BERLIN)
    assert not allowed(number, BERLIN, "+49")
