"""The caller's side of a simulated conversation: keeps what it is told and plays what it is sent.

Playback is that of a client without delay or gaps: a chunk sounds when it arrives, or when the one before it
ends, until it is stopped.
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
        """Its length."""
        return len(self.samples) * 1000 / self.rate


@define
class Playback:
    """One answer, as it was sent and played."""

    utterance: int
    rate: int
    begun_at_ms: float
    chunks: list[Chunk] = Factory(list)
    ended_with_ms: float | None = None
    """The duration that its end was announced with."""
    stopped_at_ms: float | None = None
    cause: StopCause | None = None

    @property
    def over(self) -> bool:
        """Nothing more may come."""
        return self.ended_with_ms is not None or self.cause is not None

    def sent_ms(self) -> float:
        """Duration of all chunks."""
        return sum(chunk.duration_ms for chunk in self.chunks)

    def heard_ms(self, at_ms: float) -> float:
        """How much of it had sounded by `at_ms`."""
        until = at_ms if self.stopped_at_ms is None else min(at_ms, self.stopped_at_ms)
        heard, free_at = 0.0, 0.0
        for chunk in self.chunks:
            start = max(chunk.at_ms, free_at)
            free_at = start + chunk.duration_ms
            heard += max(0.0, min(free_at, until) - start)
        return heard

    def drop(self, at_ms: float) -> float:
        """What has not sounded by `at_ms` never will; where that is something, the end is open again.

        Returns how many ms that are.
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
        """The most audio that was ever waiting to be played."""
        most, free_at = 0.0, 0.0
        for chunk in self.chunks:
            free_at = max(chunk.at_ms, free_at) + chunk.duration_ms
            most = max(most, free_at - chunk.at_ms)
        return most


@define
class SimulatedCaller:
    """A caller in memory; implements `orchestrator.caller.Caller`."""

    language: str = "en-US"
    voice_id: str | None = None
    pacing: Pacing = SMALL_CHUNKS
    closing_takes_ms: float = 0
    """Time that the goodbye on the wire takes."""

    told: list[Effect] = Factory(list)
    playbacks: list[Playback] = Factory(list)
    closed_for: list[EndReason] = Factory(list)
    drops_when_held: bool = False
    """As on the phone, where the other side keeps what it has not played yet."""
    held: list[tuple[int, float]] = Factory(list)
    """The answers that were held, and when."""
    complaints: list[str] = Factory(list)
    """What was sent that may never be sent."""
    on_chunk: Callable[[Playback], None] | None = None
    """Called with each chunk that arrives."""

    # --- the side of the conversation --------------------------------------------------------------------

    def notify(self, effect: Effect) -> None:
        """Keep it."""
        self.told.append(effect)

    def begin_audio(self, utterance: int, rate: int) -> None:
        """A new playback; the one before it must be over."""
        self._must(all(playback.over for playback in self.playbacks), f"{utterance} begins over another")
        self._must(
            all(playback.utterance < utterance for playback in self.playbacks), f"{utterance} begins late"
        )
        self.playbacks.append(Playback(utterance, rate, now_ms()))

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """A chunk of the newest playback."""
        playback = self._playback(utterance)
        if playback is None or playback.over:
            self.complaints.append(f"audio of {utterance}, which is not being played")
            return
        self._must(len(samples) > 0 and rate == playback.rate, f"a bad chunk of {utterance}")
        playback.chunks.append(Chunk(now_ms(), samples, rate))
        if self.on_chunk is not None:
            self.on_chunk(playback)

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """The newest playback gets no more audio."""
        playback = self._playback(utterance)
        if playback is None or playback.over:
            self.complaints.append(f"the end of {utterance}, which is not being played")
            return
        playback.ended_with_ms = duration_ms

    def pause_audio(self, utterance: int) -> float:
        """Silence for the moment: what was not played is dropped, if this caller's side can do that."""
        self.held.append((utterance, now_ms()))
        playback = self._playback(utterance)
        return playback.drop(now_ms()) if playback is not None and self.drops_when_held else 0.0

    def stop_audio(self, utterance: int, cause: StopCause) -> None:
        """Silence."""
        playback = self._playback(utterance)
        if playback is None:
            # Stopped before its first sound: a playback that never was, and that must not begin after this.
            playback = Playback(utterance, self.pacing.rate, now_ms())
            self.playbacks.append(playback)
        playback.stopped_at_ms, playback.cause = now_ms(), cause

    async def close(self, reason: EndReason) -> None:
        """Hang up."""
        self.closed_for.append(reason)
        await trio.sleep(self.closing_takes_ms / 1000)

    # --- the side of who looks ----------------------------------------------------------------------------

    def told_of(self, kind: type[E]) -> list[E]:
        """The effects of one kind, in order."""
        return [effect for effect in self.told if isinstance(effect, kind)]

    def understood(self) -> list[str]:
        """The final transcripts."""
        return [effect.text for effect in self.told_of(do.NotifyTranscript) if effect.is_final]

    def answers(self) -> list[str]:
        """The texts of the answers that are over, heard or not, without those that never began."""
        return [effect.text for effect in self.told_of(do.NotifyAnswerEnded) if effect.text]

    def interruptions(self) -> list[do.NotifyInterrupted]:
        """What was heard of the answers that were cut off."""
        return self.told_of(do.NotifyInterrupted)

    def client_errors(self) -> list[do.ClientError]:
        """What was said to have gone wrong."""
        return [effect.error for effect in self.told_of(do.NotifyClientError)]

    def states(self) -> list[str]:
        """The rooms that were entered, without repetitions."""
        return [effect.target for effect in self.told_of(do.NotifyState) if effect.source != effect.target]

    def _playback(self, utterance: int) -> Playback | None:
        return next((each for each in self.playbacks if each.utterance == utterance), None)

    def _must(self, kept: bool, promise: str) -> None:
        if not kept:
            self.complaints.append(promise)
