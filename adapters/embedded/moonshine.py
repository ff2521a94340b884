"""Speech to text by Moonshine, inside the process: interim transcripts, and a final one within moments.

The model decodes whole utterances. While a caller speaks, the turn so far is decoded again about every half
second; when the caller pauses, once more, so that the final transcript is mostly there when it is asked for.
One decode runs per call at a time. Interim decodes are left out while the workers are busy with other calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field, frozen

from adapters.embedded.english import require_english
from adapters.embedded.moonshine_model import MoonshineModel
from adapters.embedded.timing import ReportTiming, Timing, discard, timed
from adapters.embedded.turn_audio import Decode, Heard, TurnAudio, TurnAudioSettings
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
"""Voice that goes on while no turn is open is kept up to this."""
_BACKLOG_MS = 30_000
"""Undecoded audio of a turn from which its caller has to wait."""


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
        settings: TurnAudioSettings | None = None,
        report: ReportTiming = discard,
    ) -> None:
        self._model = MoonshineModel(directory, threads)
        self._limiter = trio.CapacityLimiter(workers)
        self._settings = settings or TurnAudioSettings()
        self._report_timing = report

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
        """All workers are decoding."""
        return self._limiter.available_tokens <= 0

    async def understand(self, samples: Samples) -> Heard:
        """The words of an utterance. Cancellable: the worker thread stops within one step of the model."""
        heard, ms = await trio.to_thread.run_sync(
            timed,
            lambda: self._model.understand(samples, trio.from_thread.check_cancelled),
            limiter=self._limiter,
        )
        self._report_timing(Timing("speech_to_text", ms, len(samples) * 1000 / LISTENING_RATE))
        return heard


@define(eq=False)
class _Turn:
    number: int
    start: int
    """The position in the link's audio where it begins, in samples."""
    audio: TurnAudio
    over: bool = False
    shown: str = ""
    """The last interim text."""


@frozen
class _InFlight:
    """The decode that is under way."""

    turn: _Turn
    decode: Decode
    scope: trio.CancelScope


class MoonshineTranscriber:
    """The speech to text of one conversation."""

    def __init__(self, model: MoonshineSpeechToText, emit: Emit, settings: TurnAudioSettings) -> None:
        self._model = model
        self._emit = emit
        self._settings = settings
        self._pre_roll = _PreRoll(settings.voice_threshold)
        self._sent = 0
        """Samples of the link's audio so far."""
        self._turn: _Turn | None = None
        """The turn that audio belongs to."""
        self._ended: deque[_Turn] = deque()
        """Finalized, and not yet understood."""
        self._last_ended: int | None = None
        """The last turn that was finalized or failed: it gets no further final transcript."""
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
        heard = begun.audio.settled
        return Settled(heard.text, heard.confidence, begun.start + begun.audio.settled_samples)

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`. Voice that began while no turn was open is taken in from its start."""
        self._cancel_decode_of(self._turn)
        start = self._sent - sum(len(samples) for samples, _ in self._pre_roll.windows)
        self._turn = _Turn(turn, start, TurnAudio(self._settings))
        for samples, probability in self._pre_roll.windows:
            self._turn.audio.take(samples, probability)
        self._pre_roll.shorten()
        self._changed.wake_all()

    async def send(self, samples: Samples, speech_probability: float) -> None:
        """As `Transcriber.send`. Waits while 30 s of the turn's audio could not be decoded yet."""
        turn = self._turn
        self._sent += len(samples)
        self._pre_roll.take(samples, speech_probability, between_turns=turn is None)
        if turn is not None:
            turn.audio.take(samples, speech_probability)
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
        self._report_understood_turns()
        self._changed.wake_all()

    # --- decoding ---

    async def decode_forever(self) -> None:
        """Do what there is to decode, one at a time; earlier turns first."""
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
                heard = await self._model.understand(decode.samples)
            except Exception as error:
                self._fail(turn, error)
            else:
                turn.audio.understand(decode, heard)
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
        heard = turn.audio.heard
        if turn.over:
            self._report_understood_turns()
        elif turn is self._turn and heard.text and heard.text != turn.shown:
            turn.shown = heard.text
            self._emit(TranscriptInterim(turn.number, heard.text, heard.confidence))

    def _report_understood_turns(self) -> None:
        while self._ended and self._ended[0].audio.is_understood:
            turn = self._ended.popleft()
            heard = turn.audio.heard
            speech_ms = turn.audio.voice_ms
            self._emit(TranscriptFinal(turn.number, heard.text, heard.confidence, speech_ms))

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
        self._report_understood_turns()


@define
class _PreRoll:
    """The last audio, from which the next turn begins."""

    _voice_threshold: float
    windows: deque[tuple[Samples, float]] = field(factory=deque, init=False)
    _held_ms: float = field(default=0, init=False)
    _utterance_ms: float = field(default=0, init=False)
    """Since the first voice of an utterance that is going on; 0 if none is."""
    _silence_ms: float = field(default=0, init=False)
    """Since the last voice."""

    def take(self, samples: Samples, probability: float, *, between_turns: bool) -> None:
        self.windows.append((samples, probability))
        length_ms = _ms(samples)
        self._held_ms += length_ms
        self._silence_ms += length_ms
        if probability >= self._voice_threshold:
            self._silence_ms = 0
        if self._silence_ms < _PRE_ROLL_MS and between_turns:
            self._utterance_ms += length_ms
        else:
            self._utterance_ms = 0
        self._trim()

    def shorten(self) -> None:
        """A turn has taken what is held; keep only what another turn that begins at once would need."""
        self._utterance_ms = 0
        self._trim()

    def _trim(self) -> None:
        limit = min(_PRE_ROLL_MS + self._utterance_ms, _MOST_PRE_ROLL_MS)
        while self._held_ms > limit:
            self._held_ms -= _ms(self.windows.popleft()[0])


def _ms(samples: Samples) -> float:
    return len(samples) * 1000 / LISTENING_RATE
