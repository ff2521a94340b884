"""The interface to the caller's side of a conversation: where its notifications and audio go.

Implemented for WebSocket clients, telephone calls, host programs' transports, and by the simulated caller.
"""

from __future__ import annotations

from typing import Protocol

from adapters.interfaces import Samples
from machines.effects import Effect, StopCause
from machines.facts import EndReason
from orchestrator.audio.utterance import Pacing


class Caller(Protocol):
    """Carries out the effects on the caller. Only `close` may take time; nothing else blocks."""

    @property
    def language(self) -> str:
        """The caller's language, for example `en-US`."""
        ...

    @property
    def voice_id(self) -> str | None:
        """The synthesized voice that the caller chose, in the text-to-speech provider's terms."""
        ...

    @property
    def pacing(self) -> Pacing:
        """How the caller's side wants its audio."""
        ...

    def notify(self, effect: Effect) -> None:
        """Carry out `Acknowledge`, `Refuse` or one of the `Notify...` effects."""
        ...

    def begin_audio(self, utterance: int, rate: int) -> None:
        """The audio of `utterance` follows, at `rate` Hz."""
        ...

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Send the next chunk of it."""
        ...

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """All audio of `utterance` was sent."""
        ...

    def pause_audio(self, utterance: int) -> float:
        """Nothing more is sent until the answer is resumed, if it is.

        Returns how many ms the caller's side dropped because it had not played them: 0 if it plays what it
        has, `UNPLAYED` if it drops all the rest and cannot tell how much that is. What was dropped will be
        sent again, followed by the end of the audio, even if that was announced already.
        """
        ...

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Drop what is not sent yet, and tell the caller's side to stop playing."""
        ...

    async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
        """Close the connection, in the way that its protocol has for `reason`.

        `after_goodbye`: the caller has heard last words; their client shall not call again by itself.
        """
        ...
