"""Feeds the caller's audio to voice activity detection and speech to text.

The `SttFeed` empties the queue of the caller's audio (`caller_audio.py`) as long as the call lasts, whether a
speech-to-text link is open or not. It detects voice at once and keeps the audio in the replay buffer
(`stt_replay_buffer.py`) for the link that is open or the next one. If there is a turn model, it scores the
pauses (`turn_detection.py`).
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import trio
from attrs import evolve

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
from adapters.tasks import running
from adapters.vad_hysteresis import VadHysteresis
from machines.bounds import INTERIMS_AT_ONCE, INTERIMS_PER_S, LONGEST_TRANSCRIPT
from machines.facts import Fact, Transcribed, TranscriptInterim
from machines.language.markup import visible
from orchestrator.audio.caller_audio import (
    STALLED_AFTER_S,
    AudioBlock,
    CallerAudio,
    QueueItem,
    TurnBegins,
    TurnEnds,
)
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.audio.stt_replay_buffer import SttReplayBuffer, Window
from orchestrator.audio.turn_detection import PauseScoring
from orchestrator.leaky_bucket import LeakyBucket

SILENCE_AFTER_S = 0.6
"""If a caller who is speaking sends nothing for this long (over two of the shipped client's 256 ms blocks),
the missing audio counts as silence."""


class SttFeed:
    """Feeds one caller's audio to voice activity detection and to each link to speech to text.

    `run` works for the whole conversation, `send_to` for one link. What links report goes through `report`.
    """

    def __init__(
        self,
        audio: CallerAudio,
        voice_activity: VoiceActivity,
        emit: Emit,
        turn_model: TurnModel | None = None,
    ) -> None:
        """Dropped and replayed audio is counted in `audio.counts`."""
        self._audio = audio
        self._emit = emit
        self._replay_buffer = SttReplayBuffer(audio.counts)
        self._window_ms = voice_activity.window_ms
        self._detector = voice_activity.open()
        self._hysteresis = VadHysteresis()
        self._scoring = PauseScoring(turn_model, emit) if turn_model is not None else None
        self._interims = LeakyBucket(INTERIMS_AT_ONCE, INTERIMS_PER_S)
        """If a client had to take all that a vendor can send, it would look as if the client were slow."""
        self._resampler = StreamingResampler(LISTENING_RATE, LISTENING_RATE)
        self._telephone_samples: Samples | None = np.empty(0, np.int16) if audio.telephone else None
        """Of a telephone call: the original audio that is not in a window yet."""

    # --- from the caller ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Detect voice and fill the replay buffer, until cancelled."""
        async with running(self._scoring.run) if self._scoring is not None else nullcontext():
            while True:
                match await self._next_item():
                    case TurnBegins(turn=turn):
                        self._end_pause()
                        self._replay_buffer.begin_turn(turn)
                    case TurnEnds(turn=turn):
                        self._end_pause()
                        self._emit_all(self._hysteresis.end())
                        self._replay_buffer.end_turn(turn)
                    case AudioBlock(samples=samples, rate=rate):
                        if self._telephone_samples is not None:
                            self._telephone_samples = np.concatenate([self._telephone_samples, samples])
                        await self._detect_voice(self._convert(samples, rate))

    async def _next_item(self) -> QueueItem:
        """The next item, or silence in place of audio that did not come."""
        if not self._hysteresis.speaking:
            return await self._audio.take()
        with trio.move_on_after(SILENCE_AFTER_S):
            return await self._audio.take()
        rate = self._resampler.source_rate
        return AudioBlock(np.zeros(int(SILENCE_AFTER_S * rate), np.int16), rate)

    def _convert(self, samples: Samples, rate: int) -> Samples:
        """The samples at `LISTENING_RATE`, continuous as long as the source rate stays the same."""
        if rate == self._resampler.source_rate:
            return self._resampler.push(samples)
        tail = self._resampler.flush()
        self._resampler = StreamingResampler(rate, LISTENING_RATE)
        return np.concatenate([tail, self._resampler.push(samples)])

    async def _detect_voice(self, samples: Samples) -> None:
        for window, probability in await self._detector.detect(samples):
            with trio.move_on_after(STALLED_AFTER_S):
                await self._replay_buffer.room()
            self._replay_buffer.add(window, probability, self._take_telephone_samples(len(window)))
            changes = self._hysteresis.take(probability, self._window_ms)
            self._emit_all(changes)
            if changes and self._hysteresis.speaking:
                self._end_pause()
            elif changes:
                self._begin_pause()

    def _take_telephone_samples(self, count: int) -> Samples | None:
        """The original audio of `count` samples at `LISTENING_RATE`, if the caller is on a telephone."""
        if self._telephone_samples is None:
            return None
        own = count * TELEPHONE_RATE // LISTENING_RATE
        taken, self._telephone_samples = self._telephone_samples[:own], self._telephone_samples[own:]
        return taken

    def _emit_all(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._emit(fact)

    def _begin_pause(self) -> None:
        if self._scoring is None:
            return
        turn_so_far = self._replay_buffer.current_turn_audio(TURN_MODEL_MS)
        if turn_so_far is not None:
            self._scoring.begin_pause(*turn_so_far)

    def _end_pause(self) -> None:
        if self._scoring is not None:
            self._scoring.end_pause()

    # --- to and from speech to text -----------------------------------------------------------------------

    async def send_to(self, transcriber: Transcriber) -> None:
        """Send the replay buffer to an open link: turns without a final transcript, then what comes.

        Runs until it is cancelled or the link fails; what the link raises comes out.
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
                    case Window(samples=samples, probability=probability, telephone_samples=original):
                        if telephone:
                            assert original is not None, "only telephone calls use telephone links"
                            samples = original
                        await transcriber.send(samples, probability)
        finally:
            self._replay_buffer.close_cursor(cursor, transcriber.settled)

    def report(self, fact: Fact) -> None:
        """Pass on what a link reports, preceded by the words that earlier links had settled of the turn."""
        if isinstance(fact, TranscriptInterim) and not self._interims.admits(1):
            return
        completed = self._replay_buffer.complete_fact(fact)
        if isinstance(completed, Transcribed):
            text = visible(completed.text[:LONGEST_TRANSCRIPT])
            completed = completed if text == completed.text else evolve(completed, text=text)
        self._emit(completed)
