"""Speech to text by Deepgram's v2 interface (Flux), which itself decides when a speaker's turn is over.

Flux has turns of its own. A turn of the conversation contains every Flux turn that began in its audio, so
both turn modes work: in automatic mode Flux's decisions are reported as facts, in manual mode `ForceEndTurn`
ends the Flux turn that goes on.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Any

import numpy as np
import trio
from attrs import define, field, frozen
from deepgram.listen.v2.types import ListenV2FatalError, ListenV2TurnInfo

from adapters.deepgram.languages import MULTI, flux_hint
from adapters.deepgram.link import DeepgramSpeechToText, DeepgramTranscriber
from adapters.deepgram.turns import Turn, confidence_of, position
from adapters.interfaces import LISTENING_RATE, Emit, Product, Settled
from machines.bounds import LONGEST_TRANSCRIPT, MOST_RESULTS
from machines.facts import EagerEndOfTurn, EndOfTurn, TurnResumed
from machines.language.scripts import joined
from machines.language.tags import primary_language

SILENCE_AFTER_SECONDS = 5.0
"""v2 has no `KeepAlive`, so a link without audio for this long is sent a little silence."""

_SILENCE = LISTENING_RATE // 12 // 2 * 2
"""Samples at `LISTENING_RATE`: about 80 ms, the chunk that Deepgram recommends for Flux."""
_FLUSHED_UP_TO = LISTENING_RATE // 4
"""Flux processes audio in chunks, so it ends a turn up to this much before its last voice."""
_OUTDATED = LISTENING_RATE // 2
"""A decision is outdated if voice was sent this much after the audio that it is about. That happens with
audio that is replayed, which is sent far ahead of Flux's messages about it."""


@frozen
class FluxSettings:
    """Options of Flux. Thresholds are confidences."""

    eot_threshold: float = 0.7
    """From 0.5 to 0.9, or 1.0 so that only `finalize` ends turns."""
    eager_eot_threshold: float | None = 0.4
    """From 0.3 to 0.9; None: no `EagerEndOfTurn` and no `TurnResumed`."""
    eot_timeout_ms: int = 5000
    """Silence that ends a turn whatever the confidence."""
    keyterms: tuple[str, ...] = ()
    silent_after_ms: float = 5000
    """The link is stalled if voice of this length, in this time, gets no message from Deepgram."""


class DeepgramFlux(DeepgramSpeechToText[FluxSettings]):
    """Deepgram's v2 interface. English has its own model; all other languages use the multilingual one."""

    name = "deepgram-flux"
    ends_turns = True
    version = "v2"
    product = Product("deepgram", "flux")
    """As `IsSold.product`."""
    usual = FluxSettings()

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""
        return flux_hint(language) is not None

    def _request(self, language: str) -> dict[str, object]:
        spoken = primary_language(language)
        english = spoken in ("", "en")
        return {
            "model": "flux-general-en" if english else "flux-general-multi",
            "language_hint": None if english or spoken == MULTI else [spoken],
            "encoding": "linear16",
            "sample_rate": self.rate,
            "eager_eot_threshold": self.settings.eager_eot_threshold,
            "eot_threshold": self.settings.eot_threshold,
            "eot_timeout_ms": self.settings.eot_timeout_ms,
            "keyterm": list(self.settings.keyterms) or None,
        }

    def _link(self, sock: Any, emit: Emit) -> FluxTranscriber:
        return FluxTranscriber(sock, emit, self.key, self.settings.silent_after_ms, self.rate)


@define
class _FluxTurn:
    """A Flux turn inside a turn of ours."""

    index: int
    text: str = ""
    confidence: float = 0.0
    end: float | None = None
    """The position at which Flux ended it."""


@define
class _Words:
    """The words of one turn of ours."""

    flux_turns: list[_FluxTurn] = field(factory=list)
    eager: bool = False
    """Whether `EagerEndOfTurn` was the last report about its end."""

    @property
    def text(self) -> str:
        return joined(*(turn.text for turn in self.flux_turns))

    @property
    def confidence(self) -> float:
        """The mean confidence of the Flux turns with words."""
        known = [turn.confidence for turn in self.flux_turns if turn.text]
        return sum(known) / len(known) if known else 0.0

    @property
    def going_on(self) -> bool:
        """Whether the newest Flux turn is not over. Earlier ones are over."""
        return bool(self.flux_turns) and self.flux_turns[-1].end is None


@frozen
class _TurnInfo:
    """The content of a `TurnInfo` message that matters."""

    event: str
    index: int
    start: float
    end: float
    text: str
    words: tuple[tuple[str, float], ...]
    """(word, position of its middle); empty if the message does not give all positions."""
    confidence: float
    """Of the words. That of the turn's end is Flux's own business: it is what its thresholds are for."""
    forced: bool
    """Whether it answers `ForceEndTurn`."""


class FluxTranscriber(DeepgramTranscriber[_Words]):
    """A speech-to-text link of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float, rate: int) -> None:
        super().__init__(sock, emit, key, silent_after_ms, rate)
        self._turn_of: dict[int, Turn] = {}
        """Our turn, by the index of a Flux turn that is not over."""
        self._over: deque[int] = deque(maxlen=16)
        """The indices of the last Flux turns that are over. Messages about them are outdated."""
        self._heard_until = 0.0
        """The position up to which Flux has reported."""
        self._fillers: list[int] = []
        """The positions of the silence that was sent to keep the link open."""

    def settled(self, turn: int) -> Settled:
        """As `Transcriber.settled`: the words of the Flux turns that are over."""
        begun = next((one for one in self._clock.unfinished if one.number == turn), None)
        if begun is None:
            return Settled()
        over = takewhile(lambda one: one.end is not None, self._words[turn].flux_turns)
        words = _Words(list(over))
        until = max((one.end for one in words.flux_turns if one.end is not None), default=0.0)
        return Settled(words.text, words.confidence, self._of_caller(max(begun.start, int(until))))

    def _of_caller(self, position: int) -> int:
        """How many of the samples up to `position` are the caller's."""
        return position - sum(max(0, min(_SILENCE, position - start)) for start in self._fillers)

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`. Further words of a Flux turn that goes on belong to the new turn.

        After an `EndOfTurn` the new turn begins where Flux ended the one before.
        """
        dropped = self._clock.turn
        begun = self._clock.begin(turn)
        self._words[turn] = _Words()
        if dropped is not None:
            del self._words[dropped.number]
            for index, owner in self._turn_of.items():
                if owner is dropped:
                    self._turn_of[index] = begun

    def _end(self, turn: Turn, words: _Words) -> None:
        silent_since = turn.last_voice if turn.last_voice is not None else turn.start
        if words.going_on or self._heard_until < silent_since:
            self._end_turn()
        else:
            # No Flux turn goes on, and then Flux ignores `ForceEndTurn`.
            self._report_finals_until(turn)

    # --- to Deepgram ---

    async def _send_end(self) -> None:
        await self._sock.send_force_end_turn()

    async def keep_open_forever(self) -> None:
        """As `DeepgramTranscriber.keep_open_forever`: sends silence if no audio has come for a while."""
        while True:
            await trio.sleep_until(self._last_audio + SILENCE_AFTER_SECONDS)
            if trio.current_time() >= self._last_audio + SILENCE_AFTER_SECONDS:
                self._fillers.append(self._clock.sent)
                self._push(np.zeros(_SILENCE * self.rate // LISTENING_RATE, np.int16), 0.0)

    # --- from Deepgram ---

    def _receive(self, message: object) -> None:
        match message:
            case ListenV2TurnInfo():
                info = _read(message)
                if info is None:
                    self.ignored_messages += 1
                else:
                    self._take(info)
                    self._report_what_was_passed()
            case ListenV2FatalError():
                raise self._reported(getattr(message, "code", None), getattr(message, "description", ""))
            case None:
                self.ignored_messages += 1
            case _:
                pass  # Connected, Warning and the answers to a Configure that is never sent

    def _take(self, info: _TurnInfo) -> None:
        self._heard_until = max(self._heard_until, info.end)
        if info.index in self._over:
            return  # sent twice, or overtaken by the turn's end
        if info.index not in self._turn_of and info.event == "Update" and not info.text:
            return  # silence between Flux's turns, with the index of the next turn
        turn = self._owner(info)
        if turn is None:
            return  # it did not begin in any turn of ours
        words = self._words[turn.number]
        self._note(words, turn, info)
        self._show(turn, words)
        self._decide(words, turn, info)

    def _owner(self, info: _TurnInfo) -> Turn | None:
        """The turn of ours in whose audio this Flux turn began."""
        turn = self._turn_of.get(info.index)
        if turn is not None and turn.number in self._words:
            return turn
        first_word = info.words[0][1] if info.words else info.end
        turn = self._clock.at(first_word) or self._clock.at(info.start) or self._clock.turn
        if turn is not None:
            self._turn_of[info.index] = turn
        return turn

    def _note(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        known = next((one for one in words.flux_turns if one.index == info.index), None)
        if known is None and len(words.flux_turns) >= MOST_RESULTS:
            return
        if known is None:
            known = _FluxTurn(info.index)
            words.flux_turns.append(known)
            if turn in self._clock.awaiting and info.event != "EndOfTurn":
                # `ForceEndTurn` came before Flux had detected the turn, and was ignored.
                self._end_turn()
        own = [word for word, middle in info.words if middle >= turn.start]
        text = info.text if len(own) == len(info.words) else joined(*own)
        known.text = text[:LONGEST_TRANSCRIPT]
        known.confidence = info.confidence
        known.end = info.end if info.event == "EndOfTurn" else None

    def _decide(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        outdated = turn.last_voice is not None and turn.last_voice > info.end + _OUTDATED
        match info.event:
            case "EagerEndOfTurn" if not outdated:
                words.eager = True
                self._emit(EagerEndOfTurn(turn.number, words.text, words.confidence))
            case "TurnResumed":
                self._resume(words, turn)
            case "EndOfTurn":
                self._turn_of.pop(info.index, None)
                self._over.append(info.index)
                if turn in self._clock.awaiting:
                    self._report_if_complete(words, turn, info)
                elif outdated or info.forced:
                    self._resume(words, turn)
                else:
                    words.eager, turn.decided = False, int(info.end)
                    self._emit(EndOfTurn(turn.number, words.text, words.confidence, turn.speech_ms))

    def _report_if_complete(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        """Report the turn, unless Flux is so far behind that further Flux turns may come in its audio."""
        spoken_until = turn.last_voice if turn.last_voice is not None else turn.start
        if not words.going_on and (info.forced or info.end >= spoken_until - _FLUSHED_UP_TO):
            self._report_finals_until(turn)

    def _report_what_was_passed(self) -> None:
        """Report turns without words whose end Flux has passed, since no answer comes for them."""
        while self._clock.awaiting:
            turn = self._clock.awaiting[0]
            passed = turn.end is not None and self._heard_until >= turn.end + _OUTDATED
            if not passed or self._words[turn.number].going_on:
                return
            self._report_finals_until(turn)

    def _resume(self, words: _Words, turn: Turn) -> None:
        if words.eager:
            words.eager = False
            self._emit(TurnResumed(turn.number))


def _read(message: ListenV2TurnInfo) -> _TurnInfo | None:
    """The content of a message; None if it is not as documented, which the SDK does not check."""
    event, index = getattr(message, "event", None), getattr(message, "turn_index", None)
    text = getattr(message, "transcript", None)
    start = position(getattr(message, "audio_window_start", None))
    end = position(getattr(message, "audio_window_end", None))
    if not (isinstance(event, str) and isinstance(index, int) and isinstance(text, str)):
        return None
    if start is None or end is None:
        return None
    words, confidences = _read_words(getattr(message, "words", None))
    return _TurnInfo(
        event=event,
        index=index,
        start=start,
        end=end,
        text=" ".join(text.split()),
        words=words,
        confidence=sum(confidences) / len(confidences) if confidences else 0.0,
        forced=getattr(message, "trigger", None) == "manual",
    )


def _read_words(words: object) -> tuple[tuple[tuple[str, float], ...], list[float]]:
    """The words with their positions, if all have one, and the confidence of each."""
    read: list[tuple[str, float]] = []
    confidences: list[float] = []
    listed = words if isinstance(words, list) else []
    for word in listed:
        spelling, confidence = getattr(word, "word", None), confidence_of(getattr(word, "confidence", None))
        start, end = position(getattr(word, "start", None)), position(getattr(word, "end", None))
        if confidence is not None:
            confidences.append(confidence)
        if isinstance(spelling, str) and start is not None and end is not None:
            read.append((spelling, (start + end) / 2))
    return (tuple(read) if len(read) == len(listed) else ()), confidences
