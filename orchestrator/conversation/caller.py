"""The caller's side of a conversation, as the performer sees it: whatever carries words and audio there.

The WebSocket server has one implementation; a host program or a test has its own.
"""

from __future__ import annotations

from typing import Protocol

from adapters.interfaces import Samples
from machines.effects import Effect, StopCause
from machines.facts import EndReason
from orchestrator.audio.utterance import Pacing


class Caller(Protocol):
    """Where a conversation's effects on the caller go. Only `close` may take time; nothing else blocks."""

    @property
    def language(self) -> str:
        """The caller's language, for example `en-US`."""
        ...

    @property
    def voice_id(self) -> str | None:
        """The voice that the caller chose, in the text-to-speech provider's terms."""
        ...

    @property
    def pacing(self) -> Pacing:
        """How the caller's side wants its audio."""
        ...

    def notify(self, effect: Effect) -> None:
        """Carry out `Acknowledge`, `Refuse` or one of the `Notify...` effects."""
        ...

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Audio of `utterance` at `rate` Hz is about to follow."""
        ...

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """The next chunk of it."""
        ...

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """All audio of `utterance` was sent."""
        ...

    def pause_audio(self, utterance: int) -> float:
        """Nothing more is sent for the moment, perhaps for good.

        Returns how many ms the caller's side was made to drop because it had not played them: 0 for one that
        plays what it has, `UNPLAYED` for one that drops all the rest and does not know how much that is. They
        will be sent again, and after them the end of the audio, though it may have been announced already.
        """
        ...

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Drop what is not sent yet, and tell the caller's side to stop playing."""
        ...

    async def close(self, reason: EndReason) -> None:
        """Say goodbye on the wire as `reason` calls for, and close."""
        ...
