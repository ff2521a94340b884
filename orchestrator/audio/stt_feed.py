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
from attrs import Factory, define, evolve

from adapters.interfaces import (
    LISTENING_RATE,
    TELEPHONE_RATE,
    TURN_MODEL_MS,
    DetectsOnTelephones,
    Emit,
    Samples,
    TelephoneTranscriber,
    Transcriber,
    TurnModel,
    VoiceActivity,
    VoiceDetector,
)
from adapters.tasks import running
from adapters.vad_hysteresis import VadHysteresis
from machines.bounds import INTERIMS_AT_ONCE, INTERIMS_PER_S, LONGEST_TRANSCRIPT
from machines.facts import Fact, Transcribed, TranscriptInterim
from machines.language.markup.reader import visible
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


def _detector(model: VoiceActivity, *, telephone: bool) -> VoiceDetector:
    """Voice activity for audio at the rate of telephones, or at `LISTENING_RATE`."""
    if not telephone:
        return model.open()
    if isinstance(model, DetectsOnTelephones):
        return model.for_telephones().open()
    return _ConvertingDetector(model.open())


@define(eq=False)
class _ConvertingDetector:
    """Takes and returns audio at `TELEPHONE_RATE`, and has it heard at `LISTENING_RATE`."""

    _detector: VoiceDetector
    _resampler: StreamingResampler = Factory(lambda: StreamingResampler(TELEPHONE_RATE, LISTENING_RATE))
    _original: Samples = Factory(lambda: np.empty(0, np.int16))
    """The audio that is in no window yet."""

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        """As `VoiceDetector.detect`."""
        self._original = np.concatenate([self._original, samples])
        found = []
        for window, probability in await self._detector.detect(self._resampler.push(samples)):
            count = len(window) * TELEPHONE_RATE // LISTENING_RATE
            found.append((self._original[:count], probability))
            self._original = self._original[count:]
        return found


@define
class SentAudio:
    """How much audio one link was sent."""

    ms: float = 0.0


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
        self._rate = TELEPHONE_RATE if audio.telephone else LISTENING_RATE
        """Of the audio that is kept."""
        self._replay_buffer = SttReplayBuffer(audio.counts, self._rate)
        self._window_ms = voice_activity.window_ms
        self._detector = _detector(voice_activity, telephone=audio.telephone)
        self._hysteresis = VadHysteresis()
        self._scoring = PauseScoring(turn_model, emit) if turn_model is not None else None
        self._interims = LeakyBucket(INTERIMS_AT_ONCE, INTERIMS_PER_S)
        """If a client had to take all that a vendor can send, it would look as if the client were slow."""
        self._resampler = StreamingResampler(self._rate, self._rate)

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
                        await self._detect_voice(self._convert(samples, rate))

    async def _next_item(self) -> QueueItem:
        """The next item, or silence in place of audio that did not come."""
        if not self._hysteresis.speaking:
            return await self._audio.take()
        with trio.move_on_after(SILENCE_AFTER_S):
            return await self._audio.take()
        last = self._audio.take_short() or AudioBlock(np.empty(0, np.int16), self._resampler.source_rate)
        silence = np.zeros(int(SILENCE_AFTER_S * last.rate), np.int16)
        return AudioBlock(np.concatenate([last.samples, silence]), last.rate)

    def _convert(self, samples: Samples, rate: int) -> Samples:
        """The samples at the rate that is kept, continuous as long as the source rate stays the same."""
        if rate == self._resampler.source_rate:
            return self._resampler.push(samples)
        tail = self._resampler.flush()
        self._resampler = StreamingResampler(rate, self._rate)
        return np.concatenate([tail, self._resampler.push(samples)])

    async def _detect_voice(self, samples: Samples) -> None:
        for window, probability in await self._detector.detect(samples):
            if not self._replay_buffer.has_room:
                with trio.move_on_after(STALLED_AFTER_S):
                    await self._replay_buffer.room()
            self._replay_buffer.add(window, probability)
            changes = self._hysteresis.take(probability, self._window_ms)
            self._emit_all(changes)
            if changes and self._hysteresis.speaking:
                self._end_pause()
            elif changes:
                self._begin_pause()

    def _emit_all(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._emit(fact)

    def _begin_pause(self) -> None:
        if self._scoring is None:
            return
        turn_so_far = self._replay_buffer.current_turn_audio(TURN_MODEL_MS)
        if turn_so_far is not None:
            turn, samples = turn_so_far
            self._scoring.begin_pause(turn, samples, self._rate)

    def _end_pause(self) -> None:
        if self._scoring is not None:
            self._scoring.end_pause()

    # --- to and from speech to text -----------------------------------------------------------------------

    async def send_to(self, transcriber: Transcriber, sent: SentAudio | None = None) -> None:
        """Send the replay buffer to an open link: turns without a final transcript, then what comes.

        Runs until it is cancelled or the link fails; what the link raises comes out. How much was sent is
        added to `sent`.
        """
        sent = sent or SentAudio()
        cursor = self._replay_buffer.open_cursor()
        takes = transcriber.rate if isinstance(transcriber, TelephoneTranscriber) else LISTENING_RATE
        resampler = StreamingResampler(self._rate, takes)
        last_probability = 0.0
        try:
            while True:
                match await self._replay_buffer.take(cursor):
                    case TurnBegins(turn=turn):
                        transcriber.begin_turn(turn)
                    case TurnEnds(turn=turn):
                        if len(tail := resampler.flush()):
                            await transcriber.send(tail, last_probability)
                        transcriber.finalize(turn)
                    case Window(samples=samples, probability=probability):
                        last_probability = probability
                        sent.ms += len(samples) * 1000 / self._rate
                        await transcriber.send(resampler.push(samples), probability)
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
