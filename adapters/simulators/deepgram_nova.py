"""Simulated Nova: a stream of Deepgram's v1 interface."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import trio
from attrs import define, evolve, field

from adapters.simulators.deepgram_stream import CLOSES_IDLE, DeepgramStream, number
from adapters.simulators.dialects import SttDialect
from adapters.simulators.recognition import RecognizedWord, SpeechEvent

_ZH = ("您好", "，", "我要", "订", "明天", "六点", "的", "位", "。")
_V1_INTERIM_EVERY = 0.3
_V1_SILENCE_EVERY = 3.0
"""In silence an empty final result is sent every so many seconds."""
_V1_WORTH_FLUSHING = 0.1
"""`Finalize` is not answered with less audio than this since the last final result, as documented."""


@define
class NovaStream(DeepgramStream):
    """One stream of the v1 interface."""

    _final_until: float = field(init=False, default=0.0)
    _last_interim: float = field(init=False, default=0.0)
    _utterance_end: float | None = field(init=False, default=None)
    """The end of the last word; None when `UtteranceEnd` was sent for it."""

    def process(self, message: dict[str, Any] | bytes | str) -> None:
        """Process a message of the client."""
        if message != {"type": "KeepAlive"} or self.dialect not in CLOSES_IDLE:
            self.last_sign = trio.current_time()
        match message:
            case bytes() if not message:
                self._close()
            case bytes():
                for event in self.recognizer.feed(message):
                    self._react(event)
            case {"type": "KeepAlive"}:
                pass
            case {"type": "Finalize"}:
                self._finalize()
            case {"type": "CloseStream"}:
                self._close()
            case dict() if message.get("type") == "Configure":
                self._configure(message)
            case _:
                description = "Could not deserialize last text message"
                content = message if isinstance(message, str) else json.dumps(message)
                self.say(
                    {
                        "type": "Error",
                        "variant": "SchemaError",
                        "description": description,
                        "message": content,
                    }
                )

    def _react(self, event: SpeechEvent) -> None:
        if event is SpeechEvent.BEGAN:
            self._utterance_end = None
            if self.asked("vad_events"):
                self.say(
                    {
                        "type": "SpeechStarted",
                        "channel": [0, 1],
                        "timestamp": round(self.recognizer.began or 0, 3),
                    }
                )
        if event is not SpeechEvent.GOES_ON:
            return
        now, silence = self.recognizer.now, self.recognizer.silence
        if self.recognizer.began is not None:
            if silence >= self._endpointing():
                self._send_final(speech_final=True)
            elif self.asked("interim_results") and now - self._last_interim >= _V1_INTERIM_EVERY:
                self._last_interim = now
                self._send_result(self.recognizer.words_so_far(), now)
        elif now - self._final_until >= _V1_SILENCE_EVERY:
            self._send_final()
        wanted = number(self.query, "utterance_end_ms") / 1000
        if wanted and self._utterance_end is not None and now - self._utterance_end >= wanted:
            last_word_end = round(self._utterance_end, 3)
            self.say({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last_word_end})
            self._utterance_end = None

    def _endpointing(self) -> float:
        asked = self.query.get("endpointing", ["10"])[0]
        if asked == "false":
            return float("inf")
        return 0.01 if asked == "true" else int(asked) / 1000

    def _finalize(self) -> None:
        if self.dialect is SttDialect.NO_FINALIZE and not self.recognizer.all_words():
            return
        if self.recognizer.now - self._final_until >= _V1_WORTH_FLUSHING:
            self._send_final(from_finalize=True)

    def _send_final(self, *, speech_final: bool = False, from_finalize: bool = False) -> None:
        words = () if self.dialect is SttDialect.TAKEN_BACK else self.recognizer.all_words()
        self.recognizer.end_utterance()
        if self.dialect is SttDialect.INTERIM_ONLY and words:
            return
        if self.dialect is SttDialect.OKAY_IN_SILENCE and not words and not from_finalize:
            words = (RecognizedWord("Okay.", self.recognizer.now - 0.5, self.recognizer.now - 0.1),)
            self._send_result(words, self.recognizer.now)
        self._send_result(
            words, self.recognizer.now, is_final=True, speech_final=speech_final, from_finalize=from_finalize
        )
        self._final_until = self._last_interim = self.recognizer.now
        if words:
            self._utterance_end = words[-1].end

    def _send_result(
        self,
        words: Sequence[RecognizedWord],
        now: float,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> None:
        if self.dialect is SttDialect.ZH_WORDS:
            words = [evolve(word, text=_ZH[number % len(_ZH)]) for number, word in enumerate(words)]
        confidence = 0.965 if self.dialect is SttDialect.OKAY_IN_SILENCE else 0.98
        blank = "" if self.dialect is SttDialect.ZH_WORDS else " "
        alternative = {
            "transcript": blank.join(word.text for word in words),
            "confidence": confidence if words else 0.0,
            "words": [
                {
                    "word": word.text.strip(".,!?").lower(),
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "confidence": confidence,
                    "punctuated_word": word.text,
                }
                for word in words
            ],
        }
        nothing = self.dialect is SttDialect.NO_ALTERNATIVES and not words
        self.say(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": round(now - self._final_until, 3),
                "start": round(self._final_until, 3),
                "is_final": is_final,
                "speech_final": speech_final,
                "channel": {"alternatives": [] if nothing else [alternative]},
                "metadata": {
                    "request_id": self.request_id,
                    "model_info": {"name": self._model, "version": "2026-01-01.0", "arch": self._model},
                    "model_uuid": "00000000-0000-4000-a000-000000000000",
                },
                "from_finalize": from_finalize,
            }
        )

    @property
    def _model(self) -> str:
        return self.query.get("model", ["general"])[0]

    def _configure(self, message: Mapping[str, Any]) -> None:
        if message.get("keyterms") is not None and not self._model.startswith("nova-3"):
            self.say(
                {
                    "type": "ConfigureFailure",
                    "request_id": self.request_id,
                    "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                    "description": f"{self._model} has no keyterms",
                }
            )
            return
        answer = {"type": "ConfigureSuccess", "request_id": self.request_id}
        if message.get("keyterms") is not None:
            answer["keyterms"] = message["keyterms"]
        self.say(answer)

    def _close(self) -> None:
        self._send_final()
        self.say(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self.request_id,
                "sha256": "0" * 64,
                "created": "2026-01-01T00:00:00.000Z",
                "duration": round(self.recognizer.now, 3),
                "channels": 1,
            }
        )
        self.sender.close(1000)
