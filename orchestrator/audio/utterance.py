"""One answer on its way from the voice to the caller, paced by a playback clock.

Three tasks work side by side: texts go to the voice, its audio is gathered, and chunks are sent in real time,
a little ahead of what the caller hears, so that an interruption leaves little behind. What was sent and
played is reported as facts; nothing here decides. When the voice fails, what it gave before is still sent,
and whoever decides may have the rest said over another stream of the voice: the next attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio
from attrs import frozen

from adapters.interfaces import Emit, ProviderError, Samples, SegmentEnd, SpeechStream, SpokenAudio
from adapters.tasks import Signal
from machines.facts import (
    ErrorClass,
    PlaybackAt,
    PlaybackFinished,
    SegmentVoiced,
    SynthesisFailed,
    Word,
)
from orchestrator.audio.pcm import StreamingResampler
from orchestrator.audio.playback import PlaybackClock, SampleBuffer, Unplayed
from orchestrator.failures import failure_of

SHORTEST_CHUNK_MS = 20
"""Less than this is not sent by itself, except at the end."""
RUNNING_OUT_S = 0.04
"""A caller with less than this left to play gets what there is, a full chunk or not."""
MAX_BUFFERED_MS = 30_000
"""Synthesized audio waiting to be sent; the voice is held up beyond it."""
REPORTED_EVERY_MS = 500
"""How much may be sent before the caller's position is reported again: a sign of life for whoever waits."""

OpenSpeech = Callable[[int], AbstractAsyncContextManager[SpeechStream]]
"""Opens a stream of the voice at a rate in Hz, waiting until there is a voice. Raises `ProviderError`."""


@frozen
class Pacing:
    """How audio is cut and how far it is sent ahead."""

    rate: int
    """Hz on the wire."""
    chunk_ms: float
    lead_ms: float
    """The next chunk is sent once the caller has less than this left to play."""
    settle_ms: float = 0
    """Pause between the announcement of an answer and its first chunk."""
    acknowledged: bool = False
    """The caller's side knows what was played, and reports `PlaybackAt` and `PlaybackFinished` itself."""

    @property
    def chunk_samples(self) -> int:
        """Samples in a full chunk."""
        return int(self.rate * self.chunk_ms / 1000)


class AudioSink(Protocol):
    """Where an answer's audio goes: the caller's side."""

    def begin_audio(self, utterance: int, rate: int) -> None:
        """Audio of `utterance` is about to follow."""
        ...

    def send_audio(self, utterance: int, samples: Samples, rate: int) -> None:
        """The next chunk. Never blocks: a caller's side that does not take it is dropped."""
        ...

    def end_audio(self, utterance: int, duration_ms: float) -> None:
        """All audio of `utterance` was sent."""
        ...

    def pause_audio(self, utterance: int) -> float:
        """Nothing more is sent for the moment.

        Returns how many ms the caller's side has dropped, which will be sent again; `UNPLAYED`: those that it
        had not played, by the pacing's clock.
        """
        ...


class Utterance:
    """The speaking of one answer.

    `say`, `finish`, `restart`, `hold` and `resume` come from the machine's effects.
    """

    def __init__(self, number: int, sink: AudioSink, pacing: Pacing, emit: Emit) -> None:
        self.number = number
        self._sink = sink
        self._pacing = pacing
        self._emit = emit
        self._buffer = SampleBuffer(int(MAX_BUFFERED_MS * pacing.rate / 1000))
        self._attempt = Attempt(1)
        self._restarted = Signal()
        self._clock = PlaybackClock()
        self._unplayed = Unplayed(pacing.rate)
        self._in_hand: Samples | None = None
        """Taken from the buffer, and not sent yet."""
        self._held = False
        self._resumed = Signal()

    def say(self, segment: int, text: str) -> None:
        """Add a segment."""
        self._attempt.say(segment, text)

    def finish(self) -> None:
        """No segment will follow."""
        self._attempt.finish()

    def restart(self, attempt: int) -> None:
        """Give up the stream of the voice; what is said from now on goes to another one."""
        self._attempt.scope.cancel()
        self._attempt = Attempt(attempt)
        self._restarted.wake_all()

    def hold(self) -> None:
        """Send nothing more until `resume`, and nothing else than what follows what was heard."""
        self._held = True
        dropped_ms = self._clock.rewind(self._sink.pause_audio(self.number))
        if dropped_ms > 0:
            if self._in_hand is not None:
                self._buffer.put_back(self._in_hand)
                self._in_hand = None
            self._buffer.put_back(self._unplayed.last(dropped_ms))
            self._emit(PlaybackAt(self.number, self._clock.heard_ms, playing=False))

    def resume(self) -> None:
        """Go on."""
        self._held = False
        self._resumed.wake_all()

    async def run(self, open_stream: OpenSpeech) -> None:
        """Speak until everything was heard; cancelling it is silence.

        A failure of the voice is reported as a fact, and what happens then is for others to say.
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
        """One attempt; whether the answer was spoken to its end."""
        try:
            with attempt.scope:
                if await attempt.begun():
                    async with open_stream(self._pacing.rate) as stream, trio.open_nursery() as nursery:
                        nursery.start_soon(attempt.feed, stream)
                        nursery.start_soon(self._gather, attempt, stream)
        except* Exception as group:
            if not attempt.complete:
                failure = failure_of(group, f"utterance {self.number}")
                self._emit(
                    SynthesisFailed(self.number, failure, attempt.unreported_ms, attempt=attempt.number)
                )
        return attempt.complete and attempt is self._attempt

    async def _gather(self, attempt: Attempt, stream: SpeechStream) -> None:
        """Audio from the voice, at the wire's rate, into the buffer; a fact for each whole segment."""
        resampler = StreamingResampler(stream.sample_rate, self._pacing.rate)
        anything = False
        silent: list[SegmentVoiced] = []
        async for piece in stream:
            match piece:
                case SpokenAudio(samples=samples):
                    attempt.unreported_ms += len(samples) * 1000 / stream.sample_rate
                    await self._buffer.put(resampler.push(samples))
                case SegmentEnd(segment=segment, words=words):
                    # The filter's tail must not wait for a next segment that may take long.
                    await self._buffer.put(resampler.flush())
                    if self._pacing.acknowledged:
                        # Each chunk is, and so is the end of each segment.
                        self._buffer.end_segment()
                    silent.append(self._voiced(attempt, segment, words))
            anything = anything or attempt.unreported_ms > 0 or any(each.duration_ms for each in silent)
            if anything:
                # Segments without any sound are told with the first that has one: they must not count alone.
                for fact in silent:
                    self._emit(fact)
                silent.clear()
        # What was never voiced must not count as heard.
        if not attempt.complete:
            raise ProviderError(ErrorClass.TRANSIENT, "the voice ended before the answer did")
        if not anything:
            attempt.fail()
            raise ProviderError(ErrorClass.TRANSIENT, "the voice gave no audio")

    def _voiced(self, attempt: Attempt, segment: int, words: tuple[Word, ...]) -> SegmentVoiced:
        if not attempt.unvoiced or attempt.unvoiced.popleft() != segment:
            attempt.fail()
            raise ProviderError(ErrorClass.TRANSIENT, f"the voice ended segment {segment} out of turn")
        duration_ms, attempt.unreported_ms = attempt.unreported_ms, 0.0
        return SegmentVoiced(self.number, segment, duration_ms, words, attempt=attempt.number)

    async def _send(self) -> None:
        """Chunks out in real time, and facts about where the caller is.

        A stop may come in the instant in which this task is already on its way, so each time it asks once
        more before anything reaches the caller.
        """
        clock, reported_ms = self._clock, 0.0
        await self._while_held()
        self._sink.begin_audio(self.number, self._pacing.rate)
        await trio.sleep(self._pacing.settle_ms / 1000)
        while True:
            await self._next_chunk()
            await trio.lowlevel.checkpoint_if_cancelled()
            chunk, self._in_hand = self._in_hand, None
            if self._held:
                if chunk is not None:
                    self._buffer.put_back(chunk)
                await self._while_held()
            elif chunk is None:
                continue  # a hold has put it back, and is over
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

    async def _while_held(self) -> None:
        """Until the answer may go on. Reports when the caller has played what they had."""
        async with trio.open_nursery() as nursery:
            if self._held and self._clock.playing:
                nursery.start_soon(self._report_dry)
            while self._held:
                await self._resumed.wait()
            nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _next_chunk(self) -> None:
        """Take a full chunk in hand if it comes in time, else what there is before the caller runs out.

        An empty one after the last. Reports when the caller does run out of audio.
        """
        full, some = self._pacing.chunk_samples, int(self._pacing.rate * SHORTEST_CHUNK_MS / 1000)
        if self._clock.playing:
            with trio.move_on_at(self._clock.plays_out_at - RUNNING_OUT_S):
                self._in_hand = await self._buffer.take(full, full)
                return
        async with trio.open_nursery() as nursery:
            if self._clock.playing:
                nursery.start_soon(self._report_dry)
            self._in_hand = await self._buffer.take(full, some)
            nursery.cancel_scope.cancel()

    async def _report_dry(self) -> None:
        await self._clock.wait_until_left(0)
        self._clock.stop()
        self._report(PlaybackAt(self.number, self._clock.sent_ms, playing=False))

    def _report(self, fact: PlaybackAt | PlaybackFinished) -> None:
        """What the clock says of the playback, where nobody knows better."""
        if not self._pacing.acknowledged:
            self._emit(fact)


class Attempt:
    """The texts of an answer on their way to one stream of the voice."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.scope = trio.CancelScope()
        self.unvoiced: deque[int] = deque()
        """Segments whose audio is not complete, in order."""
        self.unreported_ms = 0.0
        """Audio of the first of them that has come."""
        self._texts: deque[tuple[int, str]] = deque()
        self._finished = False
        self._failed = False
        self._changed = Signal()

    @property
    def complete(self) -> bool:
        """Everything was voiced, and nothing more will be said."""
        return self._finished and not self.unvoiced and not self._failed

    def say(self, segment: int, text: str) -> None:
        """Add a segment."""
        self.unvoiced.append(segment)
        self._texts.append((segment, text))
        self._announce()

    def finish(self) -> None:
        """No segment will follow."""
        self._finished = True
        self._announce()

    def fail(self) -> None:
        """The voice said something that cannot be: whatever it voiced does not count."""
        self._failed = True

    async def begun(self) -> bool:
        """Wait until there is something to say; False if there never will be."""
        while not self._texts and not self._finished:
            await self._changed.wait()
        return bool(self._texts)

    async def feed(self, stream: SpeechStream) -> None:
        """Hand the texts on as they come."""
        while await self.begun():
            segment, text = self._texts.popleft()
            await stream.say(segment, text)
        await stream.end()

    def _announce(self) -> None:
        self._changed.wake_all()
