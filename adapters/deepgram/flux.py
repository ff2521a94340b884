"""Speech to text by Deepgram's v2 interface (Flux), which decides by itself when a speaker's turn is over.

Flux counts turns of its own. A turn of the conversation takes in every Flux turn that began in its audio, so
that both kinds of turn mode work: in the automatic mode Flux's decisions come out as they are made, in the
manual mode `ForceEndTurn` ends what is going on.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Any

import numpy as np
import trio
from attrs import define, field, frozen
from deepgram.listen.v2.types import ListenV2FatalError, ListenV2TurnInfo

from adapters.deepgram.link import DeepgramSpeechToText, DeepgramTranscriber
from adapters.deepgram.turns import Turn, position
from adapters.interfaces import LISTENING_RATE, Emit, Settled
from machines.facts import EagerEndOfTurn, EndOfTurn, TurnResumed
from machines.language.scripts import joined

SILENCE_AFTER_SECONDS = 5.0
"""v2 has no `KeepAlive`: a link that gets no audio for this long gets a little silence instead."""

_SILENCE = LISTENING_RATE // 12 // 2 * 2
"""Samples at `LISTENING_RATE`: about 80 ms, the chunk that Deepgram recommends for Flux."""
_FLUSHED_UP_TO = LISTENING_RATE // 4
"""Flux hears audio in chunks: it ends a turn up to so much before the last voice of it."""
_OUTDATED = LISTENING_RATE // 2
"""Voice that was sent so much later than the audio of a decision shows that the caller went on: audio that is
sent again is far ahead of what Flux says about it."""


@frozen
class FluxSettings:
    """What is asked of Flux. Thresholds are confidences."""

    eot_threshold: float = 0.7
    """From 0.5 to 0.9, or 1.0 to leave it to `finalize` alone."""
    eager_eot_threshold: float | None = 0.4
    """From 0.3 to 0.9. None: no `EagerEndOfTurn`, and no `TurnResumed`."""
    eot_timeout_ms: int = 5000
    """So much silence ends a turn whatever the confidence."""
    keyterms: tuple[str, ...] = ()
    silent_after_ms: float = 5000
    """So much voice, for so long, without any message from Deepgram, and the link is stalled."""


class DeepgramFlux(DeepgramSpeechToText[FluxSettings]):
    """Deepgram's v2 interface. English has a model of its own; all else goes to the multilingual one."""

    name = "deepgram-flux"
    ends_turns = True
    version = "v2"
    usual = FluxSettings()

    def _request(self, language: str) -> dict[str, object]:
        spoken = language.replace("_", "-").split("-")[0].lower()
        english = spoken in ("", "en")
        return {
            "model": "flux-general-en" if english else "flux-general-multi",
            "language_hint": None if english else [spoken],
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
    """One of Flux's turns, inside a turn of ours."""

    index: int
    text: str = ""
    confidence: float = 0.0
    end: float | None = None
    """Where in the audio Flux ended it."""


@define
class _Words:
    """What was understood of one turn of ours."""

    flux_turns: list[_FluxTurn] = field(factory=list)
    eager: bool = False
    """`EagerEndOfTurn` was reported, and neither of its sequels."""

    @property
    def text(self) -> str:
        return joined(*(turn.text for turn in self.flux_turns))

    @property
    def confidence(self) -> float:
        """The mean over the Flux turns that hold words."""
        known = [turn.confidence for turn in self.flux_turns if turn.text]
        return sum(known) / len(known) if known else 0.0

    @property
    def going_on(self) -> bool:
        """A Flux turn has begun and is not over; with a newer one, earlier ones are."""
        return bool(self.flux_turns) and self.flux_turns[-1].end is None


@frozen
class _TurnInfo:
    """A `TurnInfo` message, as far as it counts."""

    event: str
    index: int
    start: float
    end: float
    text: str
    words: tuple[tuple[str, float], ...]
    """Each with the position of its middle; empty if the message does not give them all."""
    word_confidence: float
    end_confidence: float
    forced: bool
    """It answers `ForceEndTurn`."""


class FluxTranscriber(DeepgramTranscriber[_Words]):
    """The speech to text of one conversation."""

    def __init__(self, sock: Any, emit: Emit, key: str, silent_after_ms: float, rate: int) -> None:
        super().__init__(sock, emit, key, silent_after_ms, rate)
        self._turn_of: dict[int, Turn] = {}
        """By index of a Flux turn that is going on."""
        self._over: deque[int] = deque(maxlen=16)
        """The Flux turns that were over last: what still comes for them is old."""
        self._heard_until = 0.0
        """Flux has told what it heard up to here."""
        self._fillers: list[int] = []
        """The positions of the silence that kept the link open."""

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
        """How much of what was sent up to `position` is the caller's audio."""
        return position - sum(max(0, min(_SILENCE, position - start)) for start in self._fillers)

    def begin_turn(self, turn: int) -> None:
        """As `Transcriber.begin_turn`. What a Flux turn that goes on still brings belongs to it.

        After an `EndOfTurn` it begins where Flux ended the turn before.
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
            self._outgoing.send_nowait(None)
        else:
            # Nothing is going on, and Flux ignores `ForceEndTurn` then.
            self._report_finals_until(turn)

    # --- to Deepgram ---

    async def _send_end(self) -> None:
        await self._sock.send_force_end_turn()

    async def keep_open_forever(self) -> None:
        """As `DeepgramTranscriber.keep_open_forever`: by silence when no audio has come for a while."""
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
            return  # silence between Flux's turns, under the index of the turn to come
        turn = self._owner(info)
        if turn is None:
            return  # it began in no turn of ours
        words = self._words[turn.number]
        self._note(words, turn, info)
        self._show(turn, words)
        self._decide(words, turn, info)

    def _owner(self, info: _TurnInfo) -> Turn | None:
        """The turn of ours in whose audio this turn of Flux's began."""
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
        if known is None:
            known = _FluxTurn(info.index)
            words.flux_turns.append(known)
            if turn in self._clock.awaiting and info.event != "EndOfTurn":
                # `ForceEndTurn` came before Flux had noticed the turn, and was ignored.
                self._outgoing.send_nowait(None)
        own = [word for word, middle in info.words if middle >= turn.start]
        known.text = info.text if len(own) == len(info.words) else joined(*own)
        known.confidence = info.word_confidence
        known.end = info.end if info.event == "EndOfTurn" else None

    def _decide(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        outdated = turn.last_voice is not None and turn.last_voice > info.end + _OUTDATED
        match info.event:
            case "EagerEndOfTurn" if not outdated:
                words.eager = True
                self._emit(EagerEndOfTurn(turn.number, words.text, info.end_confidence))
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
                    self._emit(EndOfTurn(turn.number, words.text, info.end_confidence, turn.speech_ms))

    def _report_if_complete(self, words: _Words, turn: Turn, info: _TurnInfo) -> None:
        """Flux may be far behind: then more of its turns are still to come in the audio of this one."""
        spoken_until = turn.last_voice if turn.last_voice is not None else turn.start
        if not words.going_on and (info.forced or info.end >= spoken_until - _FLUSHED_UP_TO):
            self._report_finals_until(turn)

    def _report_what_was_passed(self) -> None:
        """Flux hears on beyond a turn's end and knows of nothing in it: no answer will come for it."""
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
    """The message's content; None if it is not what the SDK documents. The SDK does not check that."""
    event, index = getattr(message, "event", None), getattr(message, "turn_index", None)
    text = getattr(message, "transcript", None)
    start = position(getattr(message, "audio_window_start", None))
    end = position(getattr(message, "audio_window_end", None))
    if not (isinstance(event, str) and isinstance(index, int) and isinstance(text, str)):
        return None
    if start is None or end is None:
        return None
    words, confidences = _read_words(getattr(message, "words", None))
    end_confidence = getattr(message, "end_of_turn_confidence", None)
    return _TurnInfo(
        event=event,
        index=index,
        start=start,
        end=end,
        text=" ".join(text.split()),
        words=words,
        word_confidence=sum(confidences) / len(confidences) if confidences else 0.0,
        end_confidence=float(end_confidence) if isinstance(end_confidence, int | float) else 0.0,
        forced=getattr(message, "trigger", None) == "manual",
    )


def _read_words(words: object) -> tuple[tuple[tuple[str, float], ...], list[float]]:
    """The words with their places, if all have one, and how sure Flux is of each."""
    read: list[tuple[str, float]] = []
    confidences: list[float] = []
    listed = words if isinstance(words, list) else []
    for word in listed:
        spelling, confidence = getattr(word, "word", None), getattr(word, "confidence", None)
        start, end = position(getattr(word, "start", None)), position(getattr(word, "end", None))
        if isinstance(confidence, int | float):
            confidences.append(float(confidence))
        if isinstance(spelling, str) and start is not None and end is not None:
            read.append((spelling, (start + end) / 2))
    return (tuple(read) if len(read) == len(listed) else ()), confidences
