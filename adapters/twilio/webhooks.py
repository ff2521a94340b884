"""Twilio's webhooks: signatures of its requests, and TwiML for the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.twiml.voice_response import Connect, Dial, Hangup, Reject, VoiceResponse  # type: ignore[import-untyped]

SIGNATURE_HEADER = "x-twilio-signature"
TWIML_TYPE = "text/xml"


def is_signed(url: str, form: Any, signature: str | None, auth_token: str) -> bool:
    """Whether Twilio made this request, to `url` (with its query) and with these form fields.

    `form` is a mapping, or a multi-dictionary with `getlist`.
    """
    return bool(signature and RequestValidator(auth_token).validate(url, form, signature))


def connect_stream(url: str, parameters: Mapping[str, str]) -> str:
    """TwiML that connects the call to a media stream at `url` until either side ends it."""
    connect = Connect()
    stream = connect.stream(url=url)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    return str(VoiceResponse().append(connect))


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
