"""Simulated speech to text, voice activity and turn model; they recognise the audio of `speech.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import numpy as np
import trio
from attrs import Factory, define, frozen

from adapters.interfaces import LISTENING_RATE, Emit, Samples, Settled, Transcriber, VoiceDetector
from machines.facts import (
    EagerEndOfTurn,
    EndOfTurn,
    ProviderFailure,
    TranscriptFinal,
    TranscriptInterim,
    TranscriptionFailed,
    TurnResumed,
)
from orchestrator.simulation.behaviour import (
    AT_ONCE,
    Breaks,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
    Plan,
    Stalls,
    script,
    strike,
)
from orchestrator.simulation.speech import WORD_MS, Heard, is_voice, understood

WINDOW = 512
"""Samples in a window, as Silero's."""
CARRIED_MS = 300
"""Audio before the beginning of a turn that becomes part of it."""


def _nothing() -> Samples:
    return np.empty(0, np.int16)


class SimulatedVoiceActivity:
    """Voice activity that takes all audio as loud as a word for voice."""

    name = "simulated voice activity"

    def __init__(self, window: int = WINDOW, *, deaf: bool = False) -> None:
        """`window` is the length of a window, in samples. If `deaf`, it takes nothing for voice."""
        self.deaf = deaf
        self.window_ms = window * 1000 / LISTENING_RATE
        self._window = window

    def open(self) -> VoiceDetector:
        """As `VoiceActivity.open`."""
        return _Detector(self._window, self.deaf)


@define
class _Detector:
    _window: int
    _deaf: bool
    _rest: Samples = Factory(_nothing)

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        audio = np.concatenate([self._rest, samples])
        whole = len(audio) // self._window * self._window
        self._rest = audio[whole:]
        await trio.lowlevel.checkpoint()
        windows = audio[:whole].reshape(-1, self._window)
        return [(w, 0.98 if is_voice(w) and not self._deaf else 0.02) for w in windows]


@frozen
class Scoring:
    """How the turn model judges one pause."""

    completeness: float = 0.9
    delay: Delay = AT_ONCE
    fault: Fails | Stalls | Breaks | None = None
    uncancellable: bool = False
    """It cannot be cancelled, like one that works in a thread."""


class SimulatedTurnModel:
    """A turn model that gives the planned completeness."""

    name = "simulated turn model"

    def __init__(self, scorings: Plan[Scoring] | None = None, random: Random | None = None) -> None:
        self.heard: list[str] = []
        """The words of each turn that it was given, up to the pause."""
        self.running = 0
        """Scorings that run now."""
        self._scorings = scorings or script(then=Scoring())
        self._random = random or Random(0)

    async def completeness(self, samples: Samples) -> float:
        """As `TurnModel.completeness`, as planned."""
        scoring = self._scorings()
        self.heard.append(understood(samples))
        self.running += 1
        try:
            with trio.CancelScope(shield=scoring.uncancellable):
                await scoring.delay.wait(self._random)
                await strike(scoring.fault)
        finally:
            self.running -= 1
        return scoring.completeness


@frozen
class Transcription:
    """How speech to text finalizes one turn."""

    delay: Delay = AT_ONCE
    fault: Fault | None = None
    """`Fails` is reported as a fact; with `Ends` the transcript is empty, with `Stalls` it never comes."""
    words: str | None = None
    """The text of the transcript; None: what was said."""
    times: int = 1
    """How often the transcript is reported."""


@frozen
class TurnDetection:
    """How speech to text finds the end of a turn: by this much silence after words."""

    eager_ms: float = 300
    """After this it reports `EagerEndOfTurn`."""
    sure_ms: float = 800
    """After this it reports `EndOfTurn`."""


class SimulatedSpeechToText:
    """Speech to text: interim transcripts word by word, final ones as planned."""

    name = "simulated speech to text"

    def __init__(
        self,
        transcriptions: Plan[Transcription] | None = None,
        openings: Plan[Opening] | None = None,
        random: Random | None = None,
        *,
        interim: bool = True,
        detection: TurnDetection | None = None,
    ) -> None:
        """`interim`: it reports interim transcripts. With `detection` it decides about ends of turns."""
        self.ends_turns = detection is not None
        self.open_links = 0
        self.known_languages: frozenset[str] | None = None
        """The only languages that it can be opened with; None: any."""
        self.languages: list[str] = []
        """The language of each link, in the order they were opened."""
        self._transcriptions = transcriptions or script(then=Transcription())
        self._openings = openings or script(then=Opening())
        self._next_openings: list[Opening] = []
        self._random = random or Random(0)
        self._interim = interim
        self._detection = detection

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""
        return self.known_languages is None or language in self.known_languages

    def opens_with(self, *openings: Opening) -> None:
        """Let the next openings go like this, before those that are planned."""
        self._next_openings.extend(openings)

    def _next_opening(self) -> Opening:
        return self._next_openings.pop(0) if self._next_openings else self._openings()

    @asynccontextmanager
    async def open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        """As `SpeechToText.open`, as planned."""
        opening = self._next_opening()
        await opening.open(self._random)
        self.open_links += 1
        self.languages.append(language)
        try:
            async with opening.lifetime(), trio.open_nursery() as nursery:
                yield _Transcriber(
                    nursery, emit, self._transcriptions, self._random, self._interim, self._detection
                )
                nursery.cancel_scope.cancel()
        finally:
            self.open_links -= 1


@define
class _Transcriber:
    _nursery: trio.Nursery
    _emit: Emit
    _transcriptions: Plan[Transcription]
    _random: Random
    _interim: bool
    _detection: TurnDetection | None
    _turn: int | None = None
    _heard: Heard = Factory(Heard)
    _told: str = ""
    _silence_ms: float = 0
    """Silence since the last word."""
    _eager: bool = False

    def settled(self, turn: int) -> Settled:
        return Settled()  # no word is sure before the final transcript

    def begin_turn(self, turn: int) -> None:
        self._turn = turn
        self._told = ""
        self._silence_ms, self._eager = 0, False
        carried, self._heard = self._heard.last(CARRIED_MS), Heard()
        self._heard.add(carried)

    async def send(self, samples: Samples, speech_probability: float) -> None:
        self._heard.add(samples)
        await trio.lowlevel.checkpoint()
        words = self._heard.words()
        if self._interim and self._turn is not None and words != self._told:
            self._told = words
            self._emit(TranscriptInterim(self._turn, words, 0.8))
        if self._detection is not None and self._turn is not None and words:
            self._detect_end(self._detection, self._turn, words, samples)

    def _detect_end(self, detection: TurnDetection, turn: int, words: str, samples: Samples) -> None:
        if is_voice(samples):
            if self._eager:
                self._emit(TurnResumed(turn))
            self._silence_ms, self._eager = 0, False
            return
        self._silence_ms += len(samples) * 1000 / LISTENING_RATE
        if self._silence_ms >= detection.sure_ms:
            self._forget()
            self._emit(EndOfTurn(turn, words, 0.9, WORD_MS * len(words.split())))
        elif self._silence_ms >= detection.eager_ms and not self._eager:
            self._eager = True
            self._emit(EagerEndOfTurn(turn, words, 0.6))

    def finalize(self, turn: int) -> None:
        words = self._heard.words() if turn == self._turn else ""
        self._forget()
        self._nursery.start_soon(self._report, turn, words, self._transcriptions())

    def _forget(self) -> None:
        self._turn, self._heard, self._told = None, Heard(), ""

    async def _report(self, turn: int, words: str, how: Transcription) -> None:
        await how.delay.wait(self._random)
        if how.fault is not None:
            how.fault.strikes()
        match how.fault:
            case Fails(error_class=error_class, message=message):
                self._emit(TranscriptionFailed(turn, ProviderFailure(error_class, message)))
                return
            case Breaks(error=error):
                raise error("simulated bug")
            case Ends():
                words = ""
            case None:
                words = words if how.words is None else how.words
            case _:
                return
        for _ in range(how.times):
            self._emit(TranscriptFinal(turn, words, 0.9, WORD_MS * len(words.split())))
