"""The caller's audio on its way to voice activity and speech to text.

`CallerAudio` is the queue between the socket and speech to text: bounded, oldest audio dropped first and
counted. Turn marks travel in the same queue, so that a turn holds exactly the audio that came before its
mark. The `SttFeed` empties it for as long as the call lasts, whether there is a speech-to-text link or not:
it tells speech from silence at once, and keeps what was said (`stt_replay_buffer.py`) for the link that is
open, or the next one. Where there is a turn model, that model scores the pauses (`turn_detection.py`).
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import nullcontext

import numpy as np
import trio
from attrs import frozen

from adapters.interfaces import (
    LISTENING_RATE,
    TELEPHONE_RATE,
    TURN_MODEL_MS,
    Emit,
    Samples,
    TelephoneTranscriber,
    Transcriber,
    TurnModel,
    VoiceActivity,
)
from adapters.tasks import Signal, running
from adapters.vad_hysteresis import VadHysteresis
from machines.facts import Fact
from orchestrator.audio.pcm import StreamingResampler
from orchestrator.audio.stt_replay_buffer import (
    CallerAudioCounts,
    SttReplayBuffer,
    TurnBegins,
    TurnEnds,
    Window,
)
from orchestrator.audio.turn_detection import PauseScoring

MAX_QUEUED_MS = 10_000
"""Audio kept while nobody takes it (before the first turn begins); older audio is dropped."""
JOINED_MS = 20
"""Shorter blocks are joined, so that the queue's bound in time is one in memory too."""
SILENCE_AFTER_S = 0.6
"""A caller who is speaking and sends nothing for this long (over two of the shipped client's 256 ms blocks)
has stopped speaking: silence is put in the place of what did not come."""


@frozen
class Block:
    """Audio as it came from the client, at `rate` Hz."""

    samples: Samples
    rate: int

    @property
    def duration_ms(self) -> float:
        """Its length."""
        return len(self.samples) * 1000 / self.rate


Item = Block | TurnBegins | TurnEnds


class CallerAudio:
    """A queue of audio and turn marks. Nothing leaves it before the first turn begins."""

    def __init__(self, *, telephone: bool = False) -> None:
        """`telephone`: all audio will be pushed at `TELEPHONE_RATE`."""
        self.telephone = telephone
        self.counts = CallerAudioCounts()
        self._items: deque[Item] = deque()
        self._queued_ms = 0.0
        self._begun = False
        self._arrived = Signal()

    def push(self, samples: Samples, rate: int) -> None:
        """Add audio at `rate` Hz. Never blocks; drops the oldest audio beyond `MAX_QUEUED_MS`."""
        block = Block(samples, rate)
        self.counts.received_ms += block.duration_ms
        self._queued_ms += block.duration_ms
        self._append(block)
        while self._queued_ms > MAX_QUEUED_MS:
            self._drop_oldest()
        self._announce()

    def _append(self, block: Block) -> None:
        last = self._items[-1] if self._items else None
        if isinstance(last, Block) and last.rate == block.rate and last.duration_ms < JOINED_MS:
            self._items[-1] = Block(np.concatenate([last.samples, block.samples]), block.rate)
        else:
            self._items.append(block)

    def begin_turn(self, turn: int) -> None:
        """Mark the beginning of a turn here; audio that came before the very first turn is part of it."""
        if self._begun:
            self._items.append(TurnBegins(turn))
        else:
            self._items.appendleft(TurnBegins(turn))
            self._begun = True
        self._announce()

    def end_turn(self, turn: int) -> None:
        """Mark the end of a turn here."""
        self._items.append(TurnEnds(turn))
        self._announce()

    async def take(self) -> Item:
        """The next item in order."""
        while not (self._begun and self._items):
            await self._arrived.wait()
        item = self._items.popleft()
        if isinstance(item, Block):
            self._queued_ms -= item.duration_ms
        return item

    def _announce(self) -> None:
        self._arrived.wake_all()

    def _drop_oldest(self) -> None:
        """Drop as much as is too much, at most one block."""
        for index, item in enumerate(self._items):
            if isinstance(item, Block):
                excess = math.ceil((self._queued_ms - MAX_QUEUED_MS) * item.rate / 1000)
                kept = Block(item.samples[excess:], item.rate)
                if len(kept.samples):
                    self._items[index] = kept
                else:
                    del self._items[index]
                self._queued_ms -= item.duration_ms - kept.duration_ms
                self.counts.dropped_ms += item.duration_ms - kept.duration_ms
                return


class SttFeed:
    """The hearing of one caller, kept over the links to speech to text.

    `run` is its work for the whole conversation, `listen` that of one link. What links report goes through
    `report`.
    """

    def __init__(
        self,
        audio: CallerAudio,
        voice_activity: VoiceActivity,
        emit: Emit,
        turn_model: TurnModel | None = None,
    ) -> None:
        """Counts what it drops and replays in the counts of `audio`."""
        self._audio = audio
        self._emit = emit
        self._replay_buffer = SttReplayBuffer(audio.counts)
        self._window_ms = voice_activity.window_ms
        self._detector = voice_activity.open()
        self._gate = VadHysteresis()
        self._scoring = PauseScoring(turn_model, emit) if turn_model is not None else None
        self._resampler = StreamingResampler(LISTENING_RATE, LISTENING_RATE)
        self._as_it_came: Samples | None = np.empty(0, np.int16) if audio.telephone else None
        """From a telephone: what is not in a window yet."""

    # --- from the caller ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell speech from silence, and keep what was said; until cancelled."""
        async with running(self._scoring.run) if self._scoring is not None else nullcontext():
            while True:
                match await self._next_item():
                    case TurnBegins(turn=turn):
                        self._end_pause()
                        self._replay_buffer.begin_turn(turn)
                    case TurnEnds(turn=turn):
                        self._end_pause()
                        self._announce(self._gate.end())
                        self._replay_buffer.end_turn(turn)
                    case Block(samples=samples, rate=rate):
                        if self._as_it_came is not None:
                            self._as_it_came = np.concatenate([self._as_it_came, samples])
                        await self._hear(self._convert(samples, rate))

    async def _next_item(self) -> Item:
        """The next item, or silence in the place of audio that should have come."""
        if not self._gate.speaking:
            return await self._audio.take()
        with trio.move_on_after(SILENCE_AFTER_S):
            return await self._audio.take()
        rate = self._resampler.source_rate
        return Block(np.zeros(int(SILENCE_AFTER_S * rate), np.int16), rate)

    def _convert(self, samples: Samples, rate: int) -> Samples:
        """At `LISTENING_RATE`, continuous as long as the rate stays the same."""
        if rate == self._resampler.source_rate:
            return self._resampler.push(samples)
        tail = self._resampler.flush()
        self._resampler = StreamingResampler(rate, LISTENING_RATE)
        return np.concatenate([tail, self._resampler.push(samples)])

    async def _hear(self, samples: Samples) -> None:
        for window, probability in await self._detector.detect(samples):
            self._replay_buffer.add(window, probability, self._take_as_it_came(len(window)))
            changes = self._gate.take(probability, self._window_ms)
            self._announce(changes)
            if changes and self._gate.speaking:
                self._end_pause()
            elif changes:
                self._begin_pause()

    def _take_as_it_came(self, count: int) -> Samples | None:
        """What `count` samples at `LISTENING_RATE` were made of, if they come from a telephone."""
        if self._as_it_came is None:
            return None
        own = count * TELEPHONE_RATE // LISTENING_RATE
        taken, self._as_it_came = self._as_it_came[:own], self._as_it_came[own:]
        return taken

    def _announce(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._emit(fact)

    def _begin_pause(self) -> None:
        if self._scoring is not None and (so_far := self._replay_buffer.open_turn(TURN_MODEL_MS)) is not None:
            self._scoring.begin_pause(*so_far)

    def _end_pause(self) -> None:
        if self._scoring is not None:
            self._scoring.end_pause()

    # --- to and from speech to text -----------------------------------------------------------------------

    async def listen(self, transcriber: Transcriber) -> None:
        """Let an open link hear what is kept of turns without a final transcript, then what comes.

        Goes on until cancelled, or until the link fails: whatever it raises comes out.
        """
        cursor = self._replay_buffer.open_cursor()
        telephone = isinstance(transcriber, TelephoneTranscriber) and transcriber.rate == TELEPHONE_RATE
        try:
            while True:
                match await self._replay_buffer.take(cursor):
                    case TurnBegins(turn=turn):
                        transcriber.begin_turn(turn)
                    case TurnEnds(turn=turn):
                        transcriber.finalize(turn)
                    case Window(samples=samples, probability=probability, as_it_came=as_it_came):
                        if telephone:
                            assert as_it_came is not None, "links for telephones are for telephones"
                            samples = as_it_came
                        await transcriber.send(samples, probability)
        finally:
            self._replay_buffer.close_cursor(cursor, transcriber.settled)

    def report(self, fact: Fact) -> None:
        """A link reports this: passed on, with what earlier links had settled of the turn put before it."""
        self._emit(self._replay_buffer.complete(fact))
