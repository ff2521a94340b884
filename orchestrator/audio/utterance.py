"""An utterance: one answer on its way from text to speech to the caller, paced by a playback clock.

Three tasks work side by side: one hands texts to a speech stream, one collects its audio, and one sends
chunks to the caller in real time, a little ahead of playback, so that little is left to play after an
interruption. What was sent and played is reported as facts; the machine decides. When text to speech fails,
the audio that came before is still sent, and the machine may restart the rest on another stream: the next
attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio
from attrs import frozen

from adapters.interfaces import Emit, ProviderError, Samples, SegmentEnd, SpeechStream, SpokenAudio
from adapters.spoken_text import spoken_text
from adapters.tasks import Signal
from machines.checked_fields import check_fields
from machines.facts import (
    ErrorClass,
    Fact,
    PlaybackAt,
    PlaybackFinished,
    SegmentVoiced,
    SynthesisFailed,
)
from machines.language.packs import is_foreign
from orchestrator.audio.playback_buffer import SampleBuffer, UnplayedAudio
from orchestrator.audio.playback_clock import PlaybackClock
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.failures import failure_of
from protocol import HIGHEST_RATE, LOWEST_RATE

SHORTEST_CHUNK_MS = 20
"""A chunk is at least this long, except at the end of a segment or of the answer."""
LEAST_CHUNK_MS, MOST_CHUNK_MS = 1, 10_000
"""A caller's side may want its chunks this long."""
RUNNING_OUT_S = 0.04
"""When the caller has less than this left to play, the next chunk is sent even if it is not full."""
MAX_BUFFERED_MS = 30_000
"""Synthesized audio waiting to be sent; beyond it, text to speech has to wait."""
REPORTED_EVERY_MS = 500
"""The caller's position is reported again after this much sent audio, as a sign of life."""

OpenSpeech = Callable[[int], AbstractAsyncContextManager[SpeechStream]]
"""Waits for a text-to-speech link and opens a stream on it, at a rate in Hz. Raises `ProviderError`."""


@frozen
class Pacing:
    """How audio is cut into chunks, and how far ahead of playback they are sent.

    Raises `TypeError` or `ValueError` for what a field cannot be.

    ```python
    try:
        Pacing(rate=0, chunk_ms=20, lead_ms=100)
    except ValueError as error:
        assert str(error) == "rate of Pacing is 0 Hz, but must be from 8000 to 48000"
    ```
    """

    rate: int
    """Hz on the wire."""
    chunk_ms: float
    lead_ms: float
    """The next chunk is sent when the caller has less than this left to play."""
    settle_ms: float = 0
    """Pause between the announcement of an answer and its first chunk."""
    acknowledged: bool = False
    """The caller's side knows what was played and reports `PlaybackAt` and `PlaybackFinished` itself."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise ValueError(
                f"rate of Pacing is {self.rate} Hz, but must be from {LOWEST_RATE} to {HIGHEST_RATE}"
            )
        if not LEAST_CHUNK_MS <= self.chunk_ms <= MOST_CHUNK_MS:
            raise ValueError(
                f"chunk_ms of Pacing is {self.chunk_ms:g}, "
                f"but must be from {LEAST_CHUNK_MS} to {MOST_CHUNK_MS}"
            )

    @property
    def chunk_samples(self) -> int:
        """Samples in a full chunk."""
        return int(self.rate * self.chunk_ms / 1000)


class AudioSink(Protocol):
    """The caller's side, as the receiver of an answer's audio."""

    def begin_audio(self, utterance: int, rate: int) -> None:
        """The audio of `utterance` follows."""
        ...

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """Send the next chunk. Never blocks: a caller's side that does not take it is dropped."""
        ...

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """All audio of `utterance` was sent."""
        ...

    def pause_audio(self, utterance: int) -> float:
        """Nothing more is sent for the moment.

        Returns how many ms the caller's side has dropped; they will be sent again. `UNPLAYED` means all that
        it had not played yet, by the playback clock.
        """
        ...


class Utterance:
    """Speaks one answer.

    `say`, `prepare`, `finish`, `restart`, `pause` and `resume` carry out the machine's effects.
    """

    def __init__(self, number: int, sink: AudioSink, pacing: Pacing, emit: Emit, language: str = "") -> None:
        self.number = number
        self._language = language
        self._sink = sink
        self._pacing = pacing
        self._emit = emit
        self._buffer = SampleBuffer(int(MAX_BUFFERED_MS * pacing.rate / 1000))
        self._attempt = Attempt(1)
        self._restarted = Signal()
        self._clock = PlaybackClock()
        self._unplayed = UnplayedAudio(pacing.rate)
        self._chunk: Samples | None = None
        """Taken from the buffer and not sent yet."""
        self._paused = False
        self._resumed = Signal()
        self._prepared: int | None = None
        """The segment that is synthesized in advance. Until it is said, nothing is sent or reported."""
        self._unreported: list[Fact] = []
        """What became of it so far."""

    def say(self, segment: int, text: str) -> None:
        """Add a segment. If it was prepared, send and report what there is of it."""
        if segment != self._prepared:
            self._attempt.say(segment, text)
            return
        self._prepared = None
        self.resume()
        for fact in self._unreported:
            self._emit(fact)
        self._unreported.clear()

    def prepare(self, segment: int, text: str) -> None:
        """Synthesize the first segment before it is known whether it will be said."""
        self._prepared, self._paused = segment, True
        self._attempt.say(segment, text)

    def finish(self) -> None:
        """No segment will follow."""
        self._attempt.finish()

    def restart(self, attempt: int) -> None:
        """Cancel the stream of text to speech; what is said from now on goes to a new one."""
        self._attempt.scope.cancel()
        self._attempt = Attempt(attempt)
        self._restarted.wake_all()

    def pause(self) -> None:
        """Send nothing more until `resume`, which continues after the last sample that was heard."""
        self._paused = True
        dropped_ms = self._clock.rewind(self._sink.pause_audio(self.number))
        if dropped_ms > 0:
            if self._chunk is not None:
                self._buffer.put_back(self._chunk)
                self._chunk = None
            self._buffer.put_back(self._unplayed.take_last(dropped_ms))
            self._emit(PlaybackAt(self.number, self._clock.heard_ms, playing=False))

    def resume(self) -> None:
        """Continue after `pause`."""
        self._paused = False
        self._resumed.wake_all()

    async def run(self, open_stream: OpenSpeech) -> None:
        """Speak until the caller has heard everything. Cancelling this makes silence.

        A failure of text to speech is reported as a fact; `run` then waits for `restart`.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            attempt = self._attempt
            while not await self._speak(attempt, open_stream):
                while attempt is self._attempt:
                    await self._restarted.wait()
                attempt = self._attempt
            self._buffer.close()

    async def _speak(self, attempt: Attempt, open_stream: OpenSpeech) -> bool:
        """Make one attempt. Returns whether it was synthesized to its end and is still the current one."""
        try:
            with attempt.scope:
                if await attempt.has_text():
                    async with open_stream(self._pacing.rate) as stream, trio.open_nursery() as nursery:
                        nursery.start_soon(attempt.feed, stream)
                        nursery.start_soon(self._collect_audio, attempt, stream)
        except* Exception as group:
            if not attempt.complete:
                failure = failure_of(group, f"utterance {self.number}")
                self._tell(
                    SynthesisFailed(self.number, failure, attempt.unreported_ms, attempt=attempt.number)
                )
        return attempt.complete and attempt is self._attempt

    async def _collect_audio(self, attempt: Attempt, stream: SpeechStream) -> None:
        """Put the stream's audio into the buffer, at the wire's rate, and report each complete segment."""
        resampler = StreamingResampler(stream.sample_rate, self._pacing.rate)
        has_sound = False
        excused = True
        """Whatever had no audio has none that could be missed."""
        silent: list[SegmentVoiced] = []
        async for piece in stream:
            match piece:
                case SpokenAudio(samples=samples):
                    attempt.unreported_ms += len(samples) * 1000 / stream.sample_rate
                    await self._buffer.put(resampler.push(samples))
                case SegmentEnd():
                    # The next segment may take long: the filter's tail must not wait for it.
                    await self._buffer.put(resampler.flush())
                    if self._pacing.acknowledged:
                        # A chunk is acknowledged as a whole, so it must not hold audio of two segments.
                        self._buffer.end_segment()
                    fact, text = self._voiced(attempt, piece)
                    excused = excused and (fact.unsayable or fact.duration_ms > 0 or not spoken_text(text))
                    silent.append(fact)
            has_sound = has_sound or attempt.unreported_ms > 0 or any(each.duration_ms for each in silent)
            if has_sound:
                # A stream of silent segments only has failed: they are reported once one has sound.
                for fact in silent:
                    self._tell(fact)
                silent.clear()
        # What was never synthesized must not count as heard.
        if not attempt.complete:
            raise ProviderError(ErrorClass.TRANSIENT, "text to speech ended before the answer did")
        if not has_sound and not excused:
            attempt.fail()
            raise ProviderError(ErrorClass.TRANSIENT, "text to speech gave no audio")
        for fact in silent:
            self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        """Report what became of a segment, once it is known that it will be said."""
        if self._prepared is None:
            self._emit(fact)
        else:
            self._unreported.append(fact)

    def _voiced(self, attempt: Attempt, end: SegmentEnd) -> tuple[SegmentVoiced, str]:
        """What is reported of a segment that has ended, and its text."""
        segment, text = attempt.unvoiced.popleft() if attempt.unvoiced else (None, "")
        if segment != end.segment:
            attempt.fail()
            message = f"text to speech ended segment {end.segment} out of turn"
            raise ProviderError(ErrorClass.TRANSIENT, message)
        duration_ms, attempt.unreported_ms = attempt.unreported_ms, 0.0
        # A voice that says nothing in a script which its language is not written in does what it can.
        unsayable = duration_ms == 0 and (end.unsayable or is_foreign(spoken_text(text), self._language))
        fact = SegmentVoiced(
            self.number, end.segment, duration_ms, end.words, attempt=attempt.number, unsayable=unsayable
        )
        return fact, text

    async def _send(self) -> None:
        """Send chunks in real time, and report the caller's position.

        This task may be cancelled when it is already scheduled to run: hence it checks for cancellation again
        before it sends anything to the caller.
        """
        clock, reported_ms = self._clock, 0.0
        await self._wait_while_paused()
        self._sink.begin_audio(self.number, self._pacing.rate)
        await trio.sleep(self._pacing.settle_ms / 1000)
        while True:
            await self._next_chunk()
            await trio.lowlevel.checkpoint_if_cancelled()
            chunk, self._chunk = self._chunk, None
            if self._paused:
                if chunk is not None:
                    self._buffer.put_back(chunk)
                await self._wait_while_paused()
            elif chunk is None:
                continue  # `pause` put it back, and `resume` has been called
            elif len(chunk):
                if not clock.playing or clock.sent_ms - reported_ms >= REPORTED_EVERY_MS:
                    reported_ms = clock.sent_ms
                    self._report(PlaybackAt(self.number, clock.heard_ms, playing=True))
                clock.sent(len(chunk) * 1000 / self._pacing.rate)
                self._unplayed.add(chunk)
                self._sink.send_audio(self.number, chunk, self._pacing.rate)
                await clock.wait_until_left(self._pacing.lead_ms)
            else:
                self._sink.end_audio(self.number, clock.sent_ms)
                await clock.wait_until_left(0)
                if self._buffer.empty:
                    break
        self._report(PlaybackFinished(self.number))

    async def _wait_while_paused(self) -> None:
        """Return when the answer may continue. Reports when the caller has played everything until then."""
        async with trio.open_nursery() as nursery:
            if self._paused and self._clock.playing:
                nursery.start_soon(self._report_played_out)
            while self._paused:
                await self._resumed.wait()
            nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _next_chunk(self) -> None:
        """Take a full chunk from the buffer, or a shorter one before the caller has played everything.

        The chunk is empty after the last one. Reports when the caller has played everything.
        """
        full, some = self._pacing.chunk_samples, int(self._pacing.rate * SHORTEST_CHUNK_MS / 1000)
        if self._clock.playing:
            with trio.move_on_at(self._clock.plays_out_at - RUNNING_OUT_S):
                self._chunk = await self._buffer.take(full, full)
                return
        async with trio.open_nursery() as nursery:
            if self._clock.playing:
                nursery.start_soon(self._report_played_out)
            self._chunk = await self._buffer.take(full, some)
            nursery.cancel_scope.cancel()

    async def _report_played_out(self) -> None:
        await self._clock.wait_until_left(0)
        self._clock.stop()
        self._report(PlaybackAt(self.number, self._clock.sent_ms, playing=False))

    def _report(self, fact: PlaybackAt | PlaybackFinished) -> None:
        """Report a position of the playback clock, unless the caller's side reports its own."""
        if not self._pacing.acknowledged:
            self._emit(fact)


class Attempt:
    """The texts of an answer on their way to one stream of text to speech."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.scope = trio.CancelScope()
        self.unvoiced: deque[tuple[int, str]] = deque()
        """Segments whose audio is not complete, in order, with their texts."""
        self.unreported_ms = 0.0
        """Audio of the first of them so far."""
        self._texts: deque[tuple[int, str]] = deque()
        self._finished = False
        self._failed = False
        self._changed = Signal()

    @property
    def complete(self) -> bool:
        """All segments were synthesized, and none will follow."""
        return self._finished and not self.unvoiced and not self._failed

    def say(self, segment: int, text: str) -> None:
        """Add a segment."""
        self.unvoiced.append((segment, text))
        self._texts.append((segment, text))
        self._changed.wake_all()

    def finish(self) -> None:
        """No segment will follow."""
        self._finished = True
        self._changed.wake_all()

    def fail(self) -> None:
        """The stream broke its contract: the attempt never counts as complete."""
        self._failed = True

    async def has_text(self) -> bool:
        """Wait for a text to synthesize; False if none will follow."""
        while not self._texts and not self._finished:
            await self._changed.wait()
        return bool(self._texts)

    async def feed(self, stream: SpeechStream) -> None:
        """Send the texts to the stream as they come."""
        while await self.has_text():
            segment, text = self._texts.popleft()
            await stream.say(segment, text)
        await stream.end()
