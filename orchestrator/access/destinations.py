"""Which telephone numbers may be called: whoever can have any number called can make a fortune with it.

Whoever earns with calls to a number has them made by servers such as this one, by numbers of premium rate and
satellites most of all, but also by those of small countries. So it calls its own country, unless its operator
allows more.
"""

from __future__ import annotations

import phonenumbers
from attrs import frozen
from phonenumbers import PhoneNumber, PhoneNumberType

from orchestrator.access.refusal import Refusal

FOR_TESTS = "+1500555"
"""How Twilio's numbers begin that are for tests, and cost nothing."""
NO_COUNTRY = "001"
"""What the library calls the place of numbers that belong to no country: satellites, and premium rate of the
whole world."""


@frozen
class Destinations:
    """What may be called. Numbers and prefixes are in E.164 form."""

    prefixes: tuple[str, ...]
    """How they begin; none: those of our own country."""
    chosen: tuple[str, ...] = ()
    """Numbers that the operator has chosen."""

    def check(self, number: str, own: str) -> None:
        """Raise `Refusal` (403) unless the number may be called from `own`, a number of ours."""
        if number in self.chosen:
            return
        there, prefix = _parsed(number), self._prefix_of(number, own)
        if there is None or prefix is None:
            raise Refusal(403, "this number may not be called from here: DIAL_ALLOW names what may")
        cost = None if number.startswith(FOR_TESTS) else _cost_of(there)
        if cost is not None and len(prefix) < cost.least_prefix:
            why = f"it is {cost.words}, and DIAL_ALLOW does not name it"
            raise Refusal(403, f"this number may not be called from here: {why}")

    def _prefix_of(self, number: str, own: str) -> str | None:
        """The longest prefix that allows this number; None if none does."""
        if not self.prefixes:
            return _common_country(number, own)
        return max((each for each in self.prefixes if number.startswith(each)), key=len, default=None)


_COSTLY = {
    PhoneNumberType.PREMIUM_RATE: "of premium rate",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which may cost as much as one of premium rate",
    PhoneNumberType.PAGER: "that of a pager, which may cost as much as one of premium rate",
}
"""The kinds of numbers whose owners earn with calls to them, in words. In Britain those of persons (070) and
of pagers (076) look like those of mobile phones."""


@frozen
class _Cost:
    """Why a number is costly."""

    words: str
    least_prefix: int
    """Who allows a prefix of so many characters has meant it."""


def _cost_of(number: PhoneNumber) -> _Cost | None:
    code = f"+{number.country_code}"
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == NO_COUNTRY:
        return _Cost("that of a satellite or of no country", len(code))
    planned = _planned(number)
    kind = PhoneNumberType.UNKNOWN if planned is None else phonenumbers.number_type(planned)
    return _Cost(_COSTLY[kind], len(code) + 1) if kind in _COSTLY else None


def _planned(number: PhoneNumber) -> PhoneNumber | None:
    """The number in a country's plan that a network takes it for: itself, or without digits behind it, which
    networks leave out. None if there is none."""
    digits = phonenumbers.national_significant_number(number)
    for length in range(len(digits), 0, -1):
        shorter = _parsed(f"+{number.country_code}{digits[:length]}")
        if shorter is not None and phonenumbers.number_type(shorter) != PhoneNumberType.UNKNOWN:
            return shorter
    return None


def _common_country(number: str, own: str) -> str | None:
    """The code of the country of both, such as `+49`; None if they are of different ones.

    Countries may share a code, as those of North America do. Of a number that is in no plan the country is
    taken for the first with its code: networks have new numbers sooner than the library.
    """
    there, here = _parsed(number), _parsed(own)
    if there is None or here is None or _country(there) != _country(here):
        return None
    return f"+{there.country_code}"


def _country(number: PhoneNumber) -> str:
    found = phonenumbers.region_code_for_number(_planned(number) or number)
    return str(found or phonenumbers.region_code_for_country_code(number.country_code or 0))


def _parsed(number: str) -> PhoneNumber | None:
    """The number as the library has it; None for what is no number of any country."""
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
