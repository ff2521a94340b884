"""Settings of the telephone: the Twilio account, how Twilio reaches this server, and who may dial."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from adapters import twilio
from orchestrator.settings.policy import DEFAULTS
from orchestrator.settings.types import Key, Lowercase, PhoneNumber, TwilioAccount, WebAddress


class Telephone(BaseModel):
    """Calls over Twilio, both ways."""

    twilio_account_sid: TwilioAccount | None = Field(default=None, description="Twilio account: AC…")
    twilio_auth_token: Key = Field(
        default=None, description="Its auth token: signs what Twilio sends, and lets us dial"
    )
    twilio_from_number: PhoneNumber | None = Field(
        default=None, description="The number that calls are made from, such as +15005550006"
    )
    twilio_public_url: WebAddress | None = Field(
        default=None, description="How Twilio reaches this server from outside: https://…, no path needed"
    )
    twilio_trust_proxy: bool = Field(
        default=False,
        description="Believe a proxy's X-Forwarded-For and, without TWILIO_PUBLIC_URL, its X-Forwarded-Proto"
        " and X-Forwarded-Host",
    )
    twilio_ring_timeout_s: int = Field(
        default=60, ge=5, le=600, description="An outbound call that nobody answers is given up after this"
    )
    twilio_machine_detection: bool = Field(
        default=False, description="Outbound calls that an answering machine takes are hung up"
    )
    twilio_voicemail_text: str = Field(
        default="",
        max_length=4096,
        description="Said to an answering machine after its greeting, instead of hanging up at once;"
        " also sets TWILIO_MACHINE_DETECTION",
    )
    twilio_screening_ms: int = Field(
        default=25_000,
        ge=0,
        le=120_000,
        description="A machine that does not beep may screen the call: after the text, a person is waited for"
        " so long; 0: not at all",
    )
    twilio_lead_ms: int = Field(
        default=200,
        ge=0,
        le=2000,
        description="Silence before the first words of a call: networks swallow what is said while they put"
        " it through",
    )
    twilio_carries_tones: bool = Field(
        default=False,
        description="The tones of keys in a call's audio reach the other end: send_digits uses them, and does"
        " not have Twilio press the keys",
    )
    twilio_transfer_to: PhoneNumber | None = Field(
        default=None, description="Calls that are handed over to a person are connected to this number"
    )
    twilio_open_streams: bool = Field(
        default=False,
        description="Programs on this machine may call at /twilio/media without a token, unless the server is"
        " reached from outside: for load tests",
    )
    twilio_base_url: WebAddress = Field(
        default=twilio.BASE_URL, description="Twilio's REST interface, or a proxy's"
    )
    dtmf_timeout_ms: int = Field(
        default=int(DEFAULTS.digits_timeout_ms),
        ge=500,
        le=60_000,
        description="Keys that a caller presses are one string until this long after the last one",
    )
    dtmf_terminator: Annotated[Literal["#", "*", "none"], Lowercase] = Field(
        default="#", description="Or until this key, which is left out"
    )
    api_token: Key = Field(
        default=None,
        description="One key for calls, dialling and reading, beside those of `vantum keys`: sent as bearer"
        " token",
    )
