"""Twilio's webhooks: signatures of its requests, and TwiML for the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.twiml.voice_response import (  # type: ignore[import-untyped]
    Connect,
    Dial,
    Hangup,
    Play,
    Reject,
    VoiceResponse,
)

SIGNATURE_HEADER = "x-twilio-signature"
TWIML_TYPE = "text/xml"


def is_signed(url: str, form: Any, signature: str | None, auth_token: str) -> bool:
    """Whether Twilio made this request, to `url` (with its query) and with these form fields.

    `form` is a mapping, or a multi-dictionary with `getlist`.
    """
    return bool(signature and RequestValidator(auth_token).validate(url, form, signature))


def may_be_shown(number: str) -> bool:
    """Whether Twilio connects somebody who is shown this number; otherwise `<Dial>` fails (13214).

    A caller may withhold theirs, be no telephone at all (`sip:`, `client:`), or have a placeholder.
    """
    return bool(_E164.fullmatch(number)) and number not in _PLACEHOLDERS


_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_PLACEHOLDERS = ("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253")
"""What Twilio shows for numbers that are withheld: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE."""


def connect_stream(url: str, parameters: Mapping[str, str]) -> str:
    """TwiML that connects the call to a media stream at `url` until either side ends it."""
    return str(VoiceResponse().append(_stream(url, parameters)))


def press(keys: str, url: str, parameters: Mapping[str, str]) -> str:
    """TwiML that presses keys (`dtmf.KEYS`) and then connects the call as `connect_stream` does."""
    return str(VoiceResponse().append(Play(digits=keys)).append(_stream(url, parameters)))


def _stream(url: str, parameters: Mapping[str, str]) -> Connect:
    connect = Connect()
    stream = connect.stream(url=url)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    return connect


def reject_as_busy() -> str:
    """TwiML that rejects a call as busy, which costs nothing."""
    return str(VoiceResponse().append(Reject(reason="busy")))


def hang_up() -> str:
    """TwiML that hangs up."""
    return str(VoiceResponse().append(Hangup()))


def dial(number: str, caller_id: str | None = None) -> str:
    """TwiML that connects the caller to `number`, which sees `caller_id`, or the caller's own number."""
    connected = Dial(caller_id=caller_id)
    connected.number(number)
    return str(VoiceResponse().append(connected))
