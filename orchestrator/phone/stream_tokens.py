"""One-time tokens of media streams: only the call for which TwiML was made can open one."""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

import trio
from attrs import Factory, define, frozen

VALID_S = 60
"""Seconds from TwiML to the stream's `start`; Twilio takes about one."""

C = TypeVar("C")


@frozen
class Issued(Generic[C]):
    """A token's call, and how long it is valid."""

    call: C
    call_sid: str
    expires_at: float


@define
class StreamTokens(Generic[C]):
    """The tokens that were issued and not used yet."""

    _issued: dict[str, Issued[C]] = Factory(dict)

    def issue(self, call: C, call_sid: str) -> str:
        """Make a token for the stream of this call."""
        now = trio.current_time()
        self._issued = {token: each for token, each in self._issued.items() if each.expires_at > now}
        token = secrets.token_urlsafe(24)
        self._issued[token] = Issued(call, call_sid, now + VALID_S)
        return token

    def redeem(self, token: str, call_sid: str) -> C | None:
        """Use up a token and return its call; None if it is unknown, too old or another call's."""
        issued = self._issued.pop(token, None)
        if issued is None or issued.call_sid != call_sid or issued.expires_at <= trio.current_time():
            return None
        return issued.call
