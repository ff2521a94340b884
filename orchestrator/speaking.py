"""One answer on its way from the voice to the caller, paced by a playback clock.

Three tasks work side by side: texts go to the voice, its audio is gathered, and chunks are sent in real time,
a little ahead of what the caller hears, so that an interruption leaves little behind. What was sent and
played is reported as facts; nothing here decides.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np
import trio
from attrs import frozen

from adapters.interfaces import Emit, ProviderError, Samples, SegmentEnd, SpeechStream, SpokenAudio, Voice
from machines.facts import ErrorClass, PlaybackAt, PlaybackFinished, SegmentVoiced, Word
from orchestrator.audio import StreamingResampler

SHORTEST_CHUNK_MS = 20
"""Less than this is not sent by itself, except at the end."""
RUNNING_OUT_S = 0.04
"""A caller with less than this left to play gets what there is, a full chunk or not."""
MAX_BUFFERED_MS = 30_000
"""Synthesized audio waiting to be sent; the voice is held up beyond it."""


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


class Utterance:
    """The speaking of one answer. `say` and `finish` come from the machine's effects."""

    def __init__(self, number: int, sink: AudioSink, pacing: Pacing, emit: Emit) -> None:
        self.number = number
        self._sink = sink
        self._pacing = pacing
        self._emit = emit
        self._texts, self._to_say = trio.open_memory_channel[tuple[int, str]](math.inf)
        self._buffer = SampleBuffer(int(MAX_BUFFERED_MS * pacing.rate / 1000))
        self._unvoiced: deque[int] = deque()
        """Segments whose audio is not complete, in order."""
        self._finished = False

    def say(self, segment: int, text: str) -> None:
        """Add a segment."""
        self._unvoiced.append(segment)
        self._texts.send_nowait((segment, text))

    def finish(self) -> None:
        """No segment will follow."""
        self._finished = True
        self._texts.close()

    async def run(self, voice: Voice, voice_id: str | None) -> None:
        """Speak until everything was heard. Raises `ProviderError`; cancelling it is silence."""
        async with voice.speak(self._pacing.rate, voice_id) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, stream)
            nursery.start_soon(self._gather, stream)
            nursery.start_soon(self._send)

    async def _feed(self, stream: SpeechStream) -> None:
        async for segment, text in self._to_say:
            await stream.say(segment, text)
        await stream.end()

    async def _gather(self, stream: SpeechStream) -> None:
        """Audio from the voice, at the wire's rate, into the buffer; a fact for each whole segment."""
        resampler = StreamingResampler(stream.sample_rate, self._pacing.rate)
        voiced_ms, segment_samples = 0.0, 0
        voiced: list[SegmentVoiced] = []
        async for piece in stream:
            match piece:
                case SpokenAudio(samples=samples):
                    segment_samples += len(samples)
                    await self._buffer.put(resampler.push(samples))
                case SegmentEnd(segment=segment, words=words):
                    # The filter's tail must not wait for a next segment that may take long.
                    await self._buffer.put(resampler.flush())
                    duration_ms = segment_samples * 1000 / stream.sample_rate
                    voiced.append(self._voiced(segment, duration_ms, words))
                    voiced_ms, segment_samples = voiced_ms + duration_ms, 0
            if voiced_ms:
                self._report(voiced)
        # What was never voiced must not count as heard.
        if self._unvoiced or not self._finished:
            raise ProviderError(ErrorClass.TRANSIENT, "the voice ended before the answer did")
        if voiced_ms == 0:
            raise ProviderError(ErrorClass.TRANSIENT, "the voice gave no audio")
        self._buffer.close()

    def _voiced(self, segment: int, duration_ms: float, words: tuple[Word, ...]) -> SegmentVoiced:
        if not self._unvoiced or self._unvoiced.popleft() != segment:
            raise ProviderError(ErrorClass.TRANSIENT, f"the voice ended segment {segment} out of turn")
        return SegmentVoiced(self.number, segment, duration_ms, words)

    def _report(self, voiced: list[SegmentVoiced]) -> None:
        for fact in voiced:
            self._emit(fact)
        voiced.clear()

    async def _send(self) -> None:
        """Chunks out in real time, and facts about where the caller is.

        A stop may come in the instant in which this task is already on its way, so each time it asks once
        more before anything reaches the caller.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._sink.begin_audio(self.number, self._pacing.rate)
        await trio.sleep(self._pacing.settle_ms / 1000)
        clock = PlaybackClock()
        while True:
            chunk = await self._next_chunk(clock)
            await trio.lowlevel.checkpoint_if_cancelled()
            if len(chunk) == 0:
                break
            if not clock.playing:
                self._emit(PlaybackAt(self.number, clock.sent_ms, playing=True))
            clock.sent(len(chunk) * 1000 / self._pacing.rate)
            self._sink.send_audio(self.number, chunk, self._pacing.rate)
            await clock.wait_until_left(self._pacing.lead_ms)
        self._sink.end_audio(self.number, clock.sent_ms)
        await clock.wait_until_left(0)
        self._emit(PlaybackFinished(self.number))

    async def _next_chunk(self, clock: PlaybackClock) -> Samples:
        """A full chunk if it comes in time, else what there is before the caller runs out of audio.

        Empty after the last one. Reports when the caller does run out.
        """
        full, some = self._pacing.chunk_samples, int(self._pacing.rate * SHORTEST_CHUNK_MS / 1000)
        if clock.playing:
            with trio.move_on_at(clock.plays_out_at - RUNNING_OUT_S):
                return await self._buffer.take(full, full)
        async with trio.open_nursery() as nursery:
            if clock.playing:
                nursery.start_soon(self._report_dry, clock)
            chunk = await self._buffer.take(full, some)
            nursery.cancel_scope.cancel()
        return chunk

    async def _report_dry(self, clock: PlaybackClock) -> None:
        await clock.wait_until_left(0)
        clock.stop()
        self._emit(PlaybackAt(self.number, clock.sent_ms, playing=False))


class PlaybackClock:
    """Where a caller is who plays audio in real time from the moment it is sent."""

    def __init__(self) -> None:
        self.sent_ms = 0.0
        self.playing = False
        self.plays_out_at = 0.0

    def sent(self, duration_ms: float) -> None:
        """Another chunk is on its way; it plays after those before it, or at once."""
        start = self.plays_out_at if self.playing else trio.current_time()
        self.plays_out_at = start + duration_ms / 1000
        self.sent_ms += duration_ms
        self.playing = True

    def stop(self) -> None:
        """The caller ran out of audio."""
        self.playing = False

    async def wait_until_left(self, ms: float) -> None:
        """Return once at most `ms` of what was sent are still to be played."""
        await trio.sleep_until(self.plays_out_at - ms / 1000)


class SampleBuffer:
    """Samples in, chunks out. Bounded: `put` waits for room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: deque[Samples] = deque()
        self._length = 0
        self._closed = False
        self._changed = trio.Event()

    async def put(self, samples: Samples) -> None:
        """Add samples; waits while the buffer is full."""
        while self._length >= self._capacity:
            await self._change()
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)
            self._announce()

    def close(self) -> None:
        """No more samples will come."""
        self._closed = True
        self._announce()

    async def take(self, count: int, at_least: int) -> Samples:
        """Up to `count` samples as soon as there are `at_least`; fewer, or none, once no more will come."""
        while self._length < at_least and not self._closed:
            await self._change()
        return self._take(min(count, self._length))

    def _take(self, count: int) -> Samples:
        taken = [np.empty(0, np.int16)]
        self._length -= count
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        self._announce()
        return np.concatenate(taken)

    async def _change(self) -> None:
        await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
