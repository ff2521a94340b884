"""A stream of simulated Deepgram: the part that both of its interfaces share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from attrs import define, field

from adapters.simulators.dialects import SttDialect
from adapters.simulators.recognition import Recognizer
from adapters.simulators.session import Sender, Session

_TIMEOUT_SECONDS = 10.0
"""Without audio or `KeepAlive` for this long, the connection is closed with 1011 (NET-0001)."""
_TIMED_OUT = (1011, "NET-0001: no audio data or text message within the timeout window")
CLOSES_IDLE: Mapping[SttDialect, tuple[int, str]] = {
    SttDialect.NET0001: (1011, "Deepgram did not receive audio data. See https://dpgr.am/net0001"),
    SttDialect.NET0000: (1011, "The server had an internal error. See https://dpgr.am/net0000"),
    SttDialect.METADATA_CLOSE: (1000, ""),
}
"""The dialects that close a link without audio, whatever `KeepAlive` says; how they do it."""


@define
class DeepgramStream:
    """The part that both interfaces share."""

    session: Session
    sender: Sender
    query: Mapping[str, list[str]]
    recognizer: Recognizer = field(init=False)
    last_sign: float = field(init=False, factory=trio.current_time)
    request_id: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        rate = int(number(self.query, "sample_rate"))
        self.recognizer = Recognizer(rate, self.session.world.script)
        self.request_id = self.session.id()

    @property
    def dialect(self) -> SttDialect:
        """How this Deepgram deviates."""
        return self.session.world.stt_dialect

    def asked(self, name: str) -> bool:
        """Whether a boolean parameter is true."""
        return self.query.get(name) == ["true"]

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message, with the latency of transcripts."""
        self.sender.say(message, self.session.world.latencies.transcript.draw(self.session.randomness))

    async def watch(self) -> None:
        """Close the connection if the client is silent for too long."""
        remaining = _TIMEOUT_SECONDS
        while remaining > 0:
            await trio.sleep(remaining)
            remaining = self.last_sign + _TIMEOUT_SECONDS - trio.current_time()
        if self.dialect is SttDialect.METADATA_CLOSE:
            self.say({"type": "Metadata", "request_id": self.request_id, "duration": 0.0, "channels": 1})
        self.sender.close(*CLOSES_IDLE.get(self.dialect, _TIMED_OUT))


def number(query: Mapping[str, list[str]], name: str) -> float:
    """A parameter that is a number; 0 if it was left out."""
    return float(query.get(name, ["0"])[0])
