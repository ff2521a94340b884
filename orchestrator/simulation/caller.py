"""The caller's side of a simulated conversation: records notifications and plays the audio it is sent.

Playback is that of a client without delay or gaps: a chunk sounds when it arrives or when the one before it
ends, until playback is stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
from attrs import Factory, define, frozen

from adapters.interfaces import Samples
from machines import effects as do
from machines.effects import Effect, StopCause
from machines.facts import EndReason
from orchestrator.audio.utterance import Pacing
from orchestrator.clock import now_ms

E = TypeVar("E", bound=Effect)

SMALL_CHUNKS = Pacing(rate=24_000, chunk_ms=60, lead_ms=140)


@frozen
class Chunk:
    """Audio that arrived at `at_ms`."""

    at_ms: float
    samples: Samples
    rate: int

    @property
    def duration_ms(self) -> float:
        """The length of the audio."""
        return len(self.samples) * 1000 / self.rate


@define
class Playback:
    """One answer, as it was sent and played."""

    utterance: int
    rate: int
    begun_at_ms: float
    chunks: list[Chunk] = Factory(list)
    ended_with_ms: float | None = None
    """The duration that was announced with its end."""
    stopped_at_ms: float | None = None
    cause: StopCause | None = None

    @property
    def over(self) -> bool:
        """Whether no more audio may come."""
        return self.ended_with_ms is not None or self.cause is not None

    def sent_ms(self) -> float:
        """The duration of all chunks."""
        return sum(chunk.duration_ms for chunk in self.chunks)

    def heard_ms(self, at_ms: float) -> float:
        """How much of the answer had sounded by `at_ms`, in ms."""
        until = at_ms if self.stopped_at_ms is None else min(at_ms, self.stopped_at_ms)
        heard, free_at = 0.0, 0.0
        for chunk in self.chunks:
            start = max(chunk.at_ms, free_at)
            free_at = start + chunk.duration_ms
            heard += max(0.0, min(free_at, until) - start)
        return heard

    def drop(self, at_ms: float) -> float:
        """Drop the audio that has not sounded by `at_ms`; returns its duration in ms.

        If anything was dropped, more audio and another end may follow.
        """
        kept, free_at = [], 0.0
        for chunk in self.chunks:
            start = max(chunk.at_ms, free_at)
            free_at = start + chunk.duration_ms
            heard = max(0.0, min(chunk.duration_ms, at_ms - start))
            if heard:
                samples = chunk.samples[: round(heard * chunk.rate / 1000)]
                kept.append(Chunk(chunk.at_ms, samples, chunk.rate))
        sent_ms, self.chunks = self.sent_ms(), kept
        dropped_ms = sent_ms - self.sent_ms()
        if dropped_ms > 0:
            self.ended_with_ms = None
        return dropped_ms

    def ahead_ms(self) -> float:
        """The most audio that ever waited to be played, in ms."""
        most, free_at = 0.0, 0.0
        for chunk in self.chunks:
            free_at = max(chunk.at_ms, free_at) + chunk.duration_ms
            most = max(most, free_at - chunk.at_ms)
        return most


@define
class SimulatedCaller:
    """A caller in memory; implements `orchestrator.conversation.caller.Caller`."""

    language: str = "en-US"
    voice_id: str | None = None
    pacing: Pacing = SMALL_CHUNKS
    closing_takes_ms: float = 0
    """How long `close` takes."""

    notified: list[Effect] = Factory(list)
    playbacks: list[Playback] = Factory(list)
    closed_for: list[EndReason] = Factory(list)
    drops_when_paused: bool = False
    """`pause_audio` drops what was not played, as on the phone, where Twilio holds that audio."""
    pauses: list[tuple[int, float]] = Factory(list)
    """(utterance, ms) of each `pause_audio`."""
    complaints: list[str] = Factory(list)
    """Violations of the `Caller` protocol, in words."""
    on_chunk: Callable[[Playback], None] | None = None
    """Called with each chunk that arrives."""

    # --- as `Caller` --------------------------------------------------------------------

    def notify(self, effect: Effect) -> None:
        """Record the notification."""
        self.notified.append(effect)

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Begin a playback; the one before it must be over."""
        self._must(all(playback.over for playback in self.playbacks), f"{utterance} begins over another")
        self._must(
            all(playback.utterance < utterance for playback in self.playbacks), f"{utterance} begins late"
        )
        self.playbacks.append(Playback(utterance, rate, now_ms()))

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Add a chunk to the newest playback."""
        playback = self._playback(utterance)
        if playback is None or playback.over:
            self.complaints.append(f"audio of {utterance}, which is not being played")
            return
        self._must(len(samples) > 0 and rate == playback.rate, f"a bad chunk of {utterance}")
        playback.chunks.append(Chunk(now_ms(), samples, rate))
        if self.on_chunk is not None:
            self.on_chunk(playback)

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """End the newest playback: no more audio comes for it."""
        playback = self._playback(utterance)
        if playback is None or playback.over:
            self.complaints.append(f"the end of {utterance}, which is not being played")
            return
        playback.ended_with_ms = duration_ms

    def pause_audio(self, utterance: int) -> float:
        """Pause. Returns the ms of audio dropped, 0 if this caller's side drops none."""
        self.pauses.append((utterance, now_ms()))
        playback = self._playback(utterance)
        return playback.drop(now_ms()) if playback is not None and self.drops_when_paused else 0.0

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Stop a playback."""
        playback = self._playback(utterance)
        if playback is None:
            # Stopped before its first sound. It is recorded, so that beginning it afterwards is a complaint.
            playback = Playback(utterance, self.pacing.rate, now_ms())
            self.playbacks.append(playback)
        playback.stopped_at_ms, playback.cause = now_ms(), cause

    async def close(self, reason: EndReason, *, after_goodbye: bool) -> None:
        """Record the end of the call, and take `closing_takes_ms` for it."""
        self.closed_for.append(reason)
        await trio.sleep(self.closing_takes_ms / 1000)

    # --- for tests and checks ----------------------------------------------------------------------------

    def notified_of(self, kind: type[E]) -> list[E]:
        """The notifications of one kind, in order."""
        return [effect for effect in self.notified if isinstance(effect, kind)]

    def understood(self) -> list[str]:
        """The texts of the final transcripts."""
        return [effect.text for effect in self.notified_of(do.NotifyTranscript) if effect.is_final]

    def answers(self) -> list[str]:
        """The texts of the answers that are over, without those that never began."""
        return [effect.text for effect in self.notified_of(do.NotifyAnswerEnded) if effect.text]

    def interruptions(self) -> list[do.NotifyInterrupted]:
        """The notifications of interrupted answers."""
        return self.notified_of(do.NotifyInterrupted)

    def client_errors(self) -> list[do.ClientError]:
        """The errors that the caller was notified of."""
        return [effect.error for effect in self.notified_of(do.NotifyClientError)]

    def states(self) -> list[str]:
        """The states that were entered, substates left out."""
        return [
            effect.target for effect in self.notified_of(do.NotifyState) if effect.source != effect.target
        ]

    def _playback(self, utterance: int) -> Playback | None:
        return next((each for each in self.playbacks if each.utterance == utterance), None)

    def _must(self, true: bool, complaint: str) -> None:
        if not true:
            self.complaints.append(complaint)
