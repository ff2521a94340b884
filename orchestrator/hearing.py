"""The caller's audio on its way to voice activity and speech to text.

`CallerAudio` is the queue between the socket and the models: bounded, oldest audio dropped first and counted.
Turn marks travel in the same queue, so that a turn holds exactly the audio that came before its mark. An
`Ear` empties it into an open speech-to-text link.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import trio
from attrs import define, frozen

from adapters.interfaces import LISTENING_RATE, Emit, Samples, Transcriber, VoiceActivity
from adapters.voice_gate import VoiceGate
from machines.facts import Fact
from orchestrator.audio import StreamingResampler

MAX_QUEUED_MS = 10_000
"""Audio kept while no link takes it (links connecting or reconnecting); older audio is dropped."""
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


@frozen
class TurnBegins:
    """Mark: what follows belongs to `turn`."""

    turn: int


@frozen
class TurnEnds:
    """Mark: what came before is all of `turn`."""

    turn: int


Item = Block | TurnBegins | TurnEnds


@define
class HearingCounts:
    """What happened to the caller's audio."""

    received_ms: float = 0.0
    dropped_ms: float = 0.0


class CallerAudio:
    """A queue of audio and turn marks. Nothing leaves it before the first turn begins."""

    def __init__(self) -> None:
        self.counts = HearingCounts()
        self.turn: int | None = None
        """The turn that the item taken last belongs to."""
        self._items: deque[Item] = deque()
        self._queued_ms = 0.0
        self._begun = False
        self._arrived = trio.Event()

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
            self._arrived = trio.Event()
            await self._arrived.wait()
        item = self._items.popleft()
        if isinstance(item, Block):
            self._queued_ms -= item.duration_ms
        elif isinstance(item, TurnBegins):
            self.turn = item.turn
        return item

    def _announce(self) -> None:
        self._arrived.set()

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


class Ear:
    """The hearing of one caller: rate conversion, voice activity and its gate, kept over reconnections."""

    def __init__(self, audio: CallerAudio, voice_activity: VoiceActivity, emit: Emit) -> None:
        self._audio = audio
        self._emit = emit
        self._window_ms = voice_activity.window_ms
        self._detector = voice_activity.open()
        self._gate = VoiceGate()
        self._resampler = StreamingResampler(LISTENING_RATE, LISTENING_RATE)

    async def listen(self, transcriber: Transcriber) -> None:
        """Feed an open link from the queue, for as long as it is open."""
        if self._audio.turn is not None:
            # A reopened link: the turn goes on with what was kept meanwhile.
            transcriber.begin_turn(self._audio.turn)
        while True:
            match await self._next_item():
                case TurnBegins(turn=turn):
                    transcriber.begin_turn(turn)
                case TurnEnds(turn=turn):
                    self._announce(self._gate.end())
                    transcriber.finalize(turn)
                case Block(samples=samples, rate=rate):
                    await self._hear(transcriber, self._convert(samples, rate))

    async def _next_item(self) -> Item:
        """The next item, or silence in the place of audio that should have come."""
        if not self._gate.speaking:
            return await self._audio.take()
        with trio.move_on_after(SILENCE_AFTER_S):
            return await self._audio.take()
        return Block(np.zeros(int(SILENCE_AFTER_S * LISTENING_RATE), np.int16), LISTENING_RATE)

    def _convert(self, samples: Samples, rate: int) -> Samples:
        """At `LISTENING_RATE`, continuous as long as the rate stays the same."""
        if rate == self._resampler.source_rate:
            return self._resampler.push(samples)
        tail = self._resampler.flush()
        self._resampler = StreamingResampler(rate, LISTENING_RATE)
        return np.concatenate([tail, self._resampler.push(samples)])

    async def _hear(self, transcriber: Transcriber, samples: Samples) -> None:
        for window, probability in await self._detector.detect(samples):
            self._announce(self._gate.take(probability, self._window_ms))
            await transcriber.send(window, probability)

    def _announce(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._emit(fact)
