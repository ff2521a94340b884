"""Simulated Flux: a stream of Deepgram's v2 interface, which decides itself when a turn is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio
from attrs import define, field

from adapters.simulators.deepgram_stream import DeepgramStream, number
from adapters.simulators.recognition import RecognizedWord, SpeechEvent

FLUX_MODELS = ("flux-general-en", "flux-general-multi")
_V2_UPDATE_EVERY = 0.24
_V2_EAGER_SILENCE = 0.24
_V2_SILENCE = 0.48
"""Silence after which the confidence of Flux is above every usual threshold."""


@define
class FluxStream(DeepgramStream):
    """One stream of the v2 interface."""

    _sequence: int = field(init=False, default=0)
    _turn: int = field(init=False, default=0)
    _window_start: float = field(init=False, default=0.0)
    _last_update: float = field(init=False, default=0.0)
    _eager: bool = field(init=False, default=False)
    """Whether `EagerEndOfTurn` was the last message about the end of the turn."""

    def begin(self) -> None:
        """Send the first message of a connection."""
        self._say("Connected")

    def process(self, message: dict[str, Any] | bytes | str) -> None:
        """Process a message of the client."""
        self.last_sign = trio.current_time()
        match message:
            case bytes():
                for event in self.recognizer.feed(message):
                    self._react(event)
            case {"type": "ForceEndTurn"}:
                if self.recognizer.began is not None:
                    self._end_turn("manual")
            case {"type": "CloseStream"}:
                self.sender.close(1000)
            case dict() if message.get("type") == "Configure":
                self._configure(message)
            case _:
                description = "Could not parse the client's message"
                self._say("Error", code="UNPARSABLE_CLIENT_MESSAGE", description=description)
                self.sender.close(1008, description)

    def _react(self, event: SpeechEvent) -> None:
        match event:
            case SpeechEvent.BEGAN:
                self._turn_info("StartOfTurn", self.recognizer.words_so_far(), 0.01)
            case SpeechEvent.RESUMED if self._eager:
                self._eager = False
                self._turn_info("TurnResumed", self.recognizer.words_so_far(), 0.1)
            case SpeechEvent.GOES_ON:
                self._go_on()

    def _go_on(self) -> None:
        silence, eager = self.recognizer.silence, number(self.query, "eager_eot_threshold")
        if self.recognizer.began is None:
            self._update(())
        elif silence >= self._patience:
            if eager and not self._eager:
                self._turn_info("EagerEndOfTurn", self.recognizer.all_words(), eager)
            self._end_turn("timeout" if self._threshold >= 1.0 else "model")
        elif eager and silence >= _V2_EAGER_SILENCE and not self._eager:
            self._eager = True
            self._turn_info("EagerEndOfTurn", self.recognizer.all_words(), eager)
        elif not self._eager:
            self._update(self.recognizer.words_so_far())

    @property
    def _threshold(self) -> float:
        return number(self.query, "eot_threshold") or 0.7

    @property
    def _patience(self) -> float:
        timeout = (number(self.query, "eot_timeout_ms") or 5000) / 1000
        return timeout if self._threshold >= 1.0 else min(_V2_SILENCE, timeout)

    def _update(self, words: Sequence[RecognizedWord]) -> None:
        if self.recognizer.now - self._last_update >= _V2_UPDATE_EVERY:
            self._turn_info("Update", words, 0.05)

    def _end_turn(self, trigger: str) -> None:
        words = self.recognizer.all_words()
        self.recognizer.end_utterance()
        self._eager = False
        self._turn_info("EndOfTurn", words, max(self._threshold, 0.7), trigger=trigger)
        self._turn += 1
        self._window_start = self.recognizer.now

    def _turn_info(
        self, event: str, words: Sequence[RecognizedWord], confidence: float, **fields: str
    ) -> None:
        self._last_update = self.recognizer.now
        self._say(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=round(self._window_start, 3),
            audio_window_end=round(self.recognizer.now, 3),
            transcript=" ".join(word.text for word in words),
            words=[
                {
                    "word": word.text,
                    "confidence": 0.97,
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                }
                for word in words
            ],
            end_of_turn_confidence=confidence,
            **fields,
        )

    def _configure(self, message: Mapping[str, Any]) -> None:
        if message.get("language_hints") and self.query["model"] != [FLUX_MODELS[1]]:
            description = "language hints need flux-general-multi"
            self._say("ConfigureFailure", code="INVALID_CONFIGURATION", description=description)
            return
        if message.get("numerals") and self.query["model"] == [FLUX_MODELS[1]]:
            description = "numerals are not formatted in every language"
            self._say("Warning", code="NUMERALS_LANGUAGE_DEPENDENT", description=description)
        thresholds = message.get("thresholds") or {}
        self.query = {**self.query, **{name: [str(value)] for name, value in thresholds.items() if value}}
        self._say("ConfigureSuccess", thresholds=thresholds, keyterms=message.get("keyterms") or [])

    def _say(self, kind: str, **fields: object) -> None:
        self.say({"type": kind, "request_id": self.request_id, "sequence_id": self._sequence, **fields})
        self._sequence += 1
