"""Embedded speech to text by Moonshine, with interim transcripts and a fast final one.

The model decodes whole utterances only. While a caller speaks, the turn so far is decoded again about every
half second, and once more when the caller pauses, so the final transcript is mostly ready when it is asked
for. Each call has at most one decode at a time. Interim decodes are skipped while the workers are busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field, frozen

from adapters.embedded.decode_schedule import Decode, Decoded, DecodeSchedule, DecodeScheduleSettings
from adapters.embedded.english import is_english, require_english
from adapters.embedded.inference_timing import ReportTiming, Timing, discard, timed
from adapters.embedded.moonshine_model import MoonshineModel
from adapters.interfaces import LISTENING_RATE, Emit, Samples, Settled, Transcriber
from adapters.tasks import Signal, running
from machines.facts import (
    ErrorClass,
    ProviderFailure,
    TranscriptFinal,
    TranscriptInterim,
    TranscriptionFailed,
)

_PRE_ROLL_MS = 500
_MOST_PRE_ROLL_MS = 10_000
"""The most audio that is kept of voice while no turn is open."""
_BACKLOG_MS = 30_000
"""`send` waits while a turn has more audio than this that is not decoded."""


class MoonshineSpeechToText:
    """The model, loaded once per process. Loading blocks for about 250 ms: construct it in a worker thread.

    `directory` holds the model's files; `threads` work on one decode, `workers` decodes run at once. English
    only. Raises `ModelsError` if a file is missing.
    """

    name = "moonshine"
    ends_turns = False

    def __init__(
        self,
        directory: Path,
        threads: int = 1,
        workers: int = 1,
        *,
        settings: DecodeScheduleSettings | None = None,
        report: ReportTiming = discard,
    ) -> None:
        self._model = MoonshineModel(directory, threads)
        self._limiter = trio.CapacityLimiter(workers)
        self._settings = settings or DecodeScheduleSettings()
        self._report_timing = report

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""
        return is_english(language)

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        """As `SpeechToText.open`. Raises `ProviderError` for a language other than English."""
        return self._open(emit, language)

    @asynccontextmanager
    async def _open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        require_english(self.name, language)
        transcriber = MoonshineTranscriber(self, emit, self._settings)
        async with running(transcriber.decode_forever):
            yield transcriber

    @property
    def busy(self) -> bool:
        """Whether all workers are decoding."""
        return self._limiter.available_tokens <= 0

    async def transcribe(self, samples: Samples) -> Decoded:
        """The words of an utterance. When cancelled, the worker thread stops within one step of the model."""
        decoded, ms = await trio.to_thread.run_sync(
            timed,
            lambda: self._model.transcribe(samples, trio.from_thread.check_cancelled),
            limiter=self._limiter,
        )
        self._report_timing(Timing("speech_to_text", ms, len(samples) * 1000 / LISTENING_RATE))
        return decoded


@define(eq=False)
class _Turn:
    number: int
    start: int
    """Where in the link's audio the turn begins, in samples."""
    audio: DecodeSchedule
    over: bool = False
    shown: str = ""
    """The last interim text that was reported."""


@frozen
class _InFlight:
    """The decode that runs now."""

    turn: _Turn
    decode: Decode
    scope: trio.CancelScope


class MoonshineTranscriber:
    """A speech-to-text link of one conversation."""

    def __init__(self, model: MoonshineSpeechToText, emit: Emit, settings: DecodeScheduleSettings) -> None:
        self._model = model
        self._emit = emit
        self._settings = settings
        self._pre_roll = _PreRoll(settings.voice_threshold)
        self._sent = 0
        """Samples sent on the link so far."""
        self._turn: _Turn | None = None
        """The turn that audio belongs to now."""
        self._ended: deque[_Turn] = deque()
        """Turns that were finalized and are not decoded yet."""
        self._last_ended: int | None = None
        """The last turn that was finalized or failed. It gets no further final transcript."""
        self._in_flight: _InFlight | None = None
        self._changed = Signal()
        """There may be work."""
        self._decoded = Signal()
        """A decode has ended."""

    # --- what the conversation asks for ---

    def settled(self, turn: int) -> Settled:
        """As `Transcriber.settled`."""
        known = [*self._ended, *([self._turn] if self._turn else [])]
        begun = next((one for one in known if one.number == turn), None)
        if begun is None:
            return Settled()
        decoded = begun.audio.settled
        return Settled(decoded.text, decoded.confidence, begun.start + begun.audio.settled_samples)

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`. Voice that began before is part of the turn from its start."""
        self._cancel_decode_of(self._turn)
        start = self._sent - sum(len(samples) for samples, _ in self._pre_roll.windows)
        self._turn = _Turn(turn, start, DecodeSchedule(self._settings))
        for samples, probability in self._pre_roll.windows:
            self._turn.audio.add(samples, probability)
        self._pre_roll.shorten()
        self._changed.wake_all()

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """As `Transcriber.send`. Waits while 30 s of the turn's audio are not decoded yet."""
        turn = self._turn
        self._sent += len(samples)
        self._pre_roll.add(samples, speech_probability, between_turns=turn is None)
        if turn is not None:
            turn.audio.add(samples, speech_probability)
            self._changed.wake_all()
            while turn is self._turn and turn.audio.open_ms > _BACKLOG_MS:
                await self._decoded.wait()
        await trio.lowlevel.checkpoint()

    def finalize(self, turn: int) -> None:
        """As `Transcriber.finalize`. A turn that never began or was dropped has an empty transcript."""
        ended, self._turn = self._turn, None
        if ended is None or ended.number != turn:
            self._turn = ended
            if turn != self._last_ended:
                self._emit(TranscriptFinal(turn, ""))
                self._last_ended = turn
            return
        self._pre_roll = _PreRoll(self._settings.voice_threshold)
        self._last_ended = turn
        ended.over = True
        self._ended.append(ended)
        self._cancel_outdated_decode_of(ended)
        self._report_decoded_turns()
        self._changed.wake_all()

    # --- decoding ---

    async def decode_forever(self) -> None:
        """Decode whatever there is, one decode at a time, earlier turns first."""
        while True:
            work = self._next_work()
            if work is None:
                await self._changed.wait()
            else:
                await self._decode(*work)
                self._decoded.wake_all()

    def _next_work(self) -> tuple[_Turn, Decode] | None:
        turn = self._ended[0] if self._ended else self._turn
        decode = turn.audio.next_decode(over=turn.over) if turn else None
        if turn is None or decode is None or (self._model.busy and not decode.urgent):
            return None
        return turn, decode

    async def _decode(self, turn: _Turn, decode: Decode) -> None:
        with trio.CancelScope() as scope:
            self._in_flight = _InFlight(turn, decode, scope)
            try:
                decoded = await self._model.transcribe(decode.samples)
            except Exception as error:
                self._fail(turn, error)
            else:
                turn.audio.add_result(decode, decoded)
                self._report(turn)
            finally:
                self._in_flight = None

    def _cancel_decode_of(self, turn: _Turn | None) -> None:
        if self._in_flight and self._in_flight.turn is turn:
            self._in_flight.scope.cancel()

    def _cancel_outdated_decode_of(self, turn: _Turn) -> None:
        decode = self._in_flight.decode if self._in_flight else None
        if decode and not decode.settles and not turn.audio.covers_all(decode.voice_ms):
            self._cancel_decode_of(turn)

    # --- reporting ---

    def _report(self, turn: _Turn) -> None:
        decoded = turn.audio.decoded
        if turn.over:
            self._report_decoded_turns()
        elif turn is self._turn and decoded.text and decoded.text != turn.shown:
            turn.shown = decoded.text
            self._emit(TranscriptInterim(turn.number, decoded.text, decoded.confidence))

    def _report_decoded_turns(self) -> None:
        while self._ended and self._ended[0].audio.is_decoded:
            turn = self._ended.popleft()
            decoded = turn.audio.decoded
            speech_ms = turn.audio.voice_ms
            self._emit(TranscriptFinal(turn.number, decoded.text, decoded.confidence, speech_ms))

    def _fail(self, turn: _Turn, error: Exception) -> None:
        if turn.over:
            self._ended.remove(turn)
        elif turn is self._turn:
            self._turn = None
            self._last_ended = turn.number
        else:
            return
        message = f"{self._model.name}: {type(error).__name__}: {error}"
        self._emit(TranscriptionFailed(turn.number, ProviderFailure(ErrorClass.TRANSIENT, message)))
        self._report_decoded_turns()


@define
class _PreRoll:
    """The last audio, which becomes the beginning of the next turn."""

    _voice_threshold: float
    windows: deque[tuple[Samples, float]] = field(factory=deque, init=False)
    _length_ms: float = field(default=0, init=False)
    _utterance_ms: float = field(default=0, init=False)
    """Length since the first voice of an utterance that goes on; 0 if none does."""
    _silence_ms: float = field(default=0, init=False)
    """Length since the last voice."""

    def add(self, samples: Samples, probability: float, *, between_turns: bool) -> None:
        self.windows.append((samples, probability))
        length_ms = _ms(samples)
        self._length_ms += length_ms
        self._silence_ms += length_ms
        if probability >= self._voice_threshold:
            self._silence_ms = 0
        if self._silence_ms < _PRE_ROLL_MS and between_turns:
            self._utterance_ms += length_ms
        else:
            self._utterance_ms = 0
        self._trim()

    def shorten(self) -> None:
        """Keep only the audio that another turn would need if it began at once."""
        self._utterance_ms = 0
        self._trim()

    def _trim(self) -> None:
        limit = min(_PRE_ROLL_MS + self._utterance_ms, _MOST_PRE_ROLL_MS)
        while self._length_ms > limit:
            self._length_ms -= _ms(self.windows.popleft()[0])


def _ms(samples: Samples) -> float:
    return len(samples) * 1000 / LISTENING_RATE
