"""What Twilio asks over HTTP and is answered: signatures, and TwiML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.twiml.voice_response import Connect, Dial, Hangup, Reject, VoiceResponse  # type: ignore[import-untyped]

SIGNATURE_HEADER = "x-twilio-signature"
TWIML_TYPE = "text/xml"


def is_signed(url: str, form: Any, signature: str | None, auth_token: str) -> bool:
    """Whether Twilio made this request: to `url`, query and all, with these form fields.

    `form` is a mapping, or a multi-dictionary with `getlist`.
    """
    return bool(signature and RequestValidator(auth_token).validate(url, form, signature))


def signature_of(url: str, form: Mapping[str, str], auth_token: str) -> str:
    """As Twilio signs a request; for whoever plays Twilio."""
    return str(RequestValidator(auth_token).compute_signature(url, form))


def connect_stream(url: str, parameters: Mapping[str, str]) -> str:
    """TwiML that connects the call to a media stream at `url` until either side ends it."""
    connect = Connect()
    stream = connect.stream(url=url)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    return str(VoiceResponse().append(connect))


def reject_as_busy() -> str:
    """TwiML for a call that is not taken, and not paid for."""
    return str(VoiceResponse().append(Reject(reason="busy")))


def hang_up() -> str:
    """TwiML for a call that is over on our side."""
    return str(VoiceResponse().append(Hangup()))


def dial(number: str, caller_id: str | None = None) -> str:
    """TwiML that connects the caller to `number`, which is shown `caller_id`: without, the caller's own."""
    connected = Dial(caller_id=caller_id)
    connected.number(number)
    return str(VoiceResponse().append(connected))
