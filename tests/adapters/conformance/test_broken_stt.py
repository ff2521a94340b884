"""The conformance kit detects faults of speech to text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import NotConformant
from adapters.interfaces import (
    Emit,
    Samples,
    Settled,
    SpeechToText,
    Transcriber,
)
from machines.facts import Fact, SpeechStarted, TranscriptFinal, TranscriptInterim
from orchestrator.simulation import (
    Breaks,
    Delay,
    Fails,
    Opening,
    SimulatedSpeechToText,
    Transcription,
    script,
)
from tests.adapters.conformance.subjects import (
    named,
    stt_subject,
)


class Altered:
    """Simulated speech to text with a fault, which the parameters decide."""

    name = "altered"
    ends_turns = False

    def __init__(
        self,
        tell: Callable[[Emit, Fact], None] = lambda emit, fact: emit(fact),
        transcriber: Callable[[Transcriber], Transcriber] = lambda link: link,
        after_the_end: Fact | None = None,
    ) -> None:
        self._inner = SimulatedSpeechToText()
        self._tell = tell
        self._transcriber = transcriber
        self._after_the_end = after_the_end

    @asynccontextmanager
    async def open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        async with self._inner.open(lambda fact: self._tell(emit, fact), language) as link:
            yield self._transcriber(link)
        if self._after_the_end is not None:
            trio.lowlevel.spawn_system_task(self._report_late, emit, self._after_the_end)

    async def _report_late(self, emit: Emit, fact: Fact) -> None:
        await trio.sleep(0.05)
        emit(fact)


class Forwarding:
    """A transcriber that forwards everything to another one."""

    def __init__(self, link: Transcriber) -> None:
        self.link = link

    def settled(self, turn: int) -> Settled:
        return self.link.settled(turn)

    def begin_turn(self, turn: int) -> None:
        self.link.begin_turn(turn)

    async def send(self, samples: Samples, speech_probability: float) -> None:
        await self.link.send(samples, speech_probability)

    def finalize(self, turn: int) -> None:
        self.link.finalize(turn)


class Remembering(Forwarding):
    """Does not drop the words of a turn that was not finalized."""

    begun = 0

    def begin_turn(self, turn: int) -> None:
        self.begun = self.begun or turn
        if self.begun == turn:
            self.link.begin_turn(turn)

    def finalize(self, turn: int) -> None:
        self.link.finalize(self.begun)
        self.begun = 0


class Settling(Forwarding):
    """Says that everything is settled."""

    def settled(self, turn: int) -> Settled:
        return Settled("yes", 1.0, 16_000)


def report_turn_zero(emit: Emit, fact: Fact) -> None:
    emit(evolve(fact, turn=0) if isinstance(fact, TranscriptInterim) else fact)


def report_no_silence(emit: Emit, fact: Fact) -> None:
    if not isinstance(fact, TranscriptFinal) or fact.text:
        emit(fact)


def report_voice(emit: Emit, fact: Fact) -> None:
    emit(fact)
    emit(SpeechStarted())


def simulated(**how: Any) -> SimulatedSpeechToText:
    return SimulatedSpeechToText(script(then=Transcription(**how)))


class Nameless(SimulatedSpeechToText):
    name = ""


BROKEN_EARS: list[tuple[str, SpeechToText, str]] = [
    ("it_says_what_it_is", Nameless(), "its name is ''"),
    (
        "links_open_and_close",
        SimulatedSpeechToText(openings=script(then=Opening(fault=Breaks()))),
        "raised RuntimeError: simulated bug",
    ),
    (
        "links_open_and_close",
        SimulatedSpeechToText(openings=script(then=Opening(Delay(60_000)))),
        "opening or closing a link took longer than 10 s",
    ),
    ("a_turn_is_understood_and_reported_once", simulated(times=2), "turn 7 has 2 final transcripts"),
    ("a_turn_is_understood_and_reported_once", simulated(words="bye"), "only 0% was understood"),
    ("a_turn_is_understood_and_reported_once", simulated(fault=Fails()), "the transcription failed"),
    ("a_turn_is_understood_and_reported_once", Altered(report_turn_zero), r"it emitted facts of turns \[0\]"),
    ("a_turn_is_understood_and_reported_once", Altered(report_voice), "it emitted speech_started"),
    (
        "a_turn_without_words_is_reported_empty",
        Altered(report_no_silence),
        "final transcript of turn 1",
    ),
    (
        "a_turn_that_is_begun_anew_is_forgotten",
        Altered(transcriber=Remembering),
        "(final transcript of turn 2|turn that was never finalized)",
    ),
    ("what_is_settled_can_be_asked_at_any_time", Altered(transcriber=Settling), "turn 5 was never begun"),
    (
        "a_link_can_be_left_in_the_midst_of_a_turn",
        Altered(after_the_end=TranscriptFinal(1, "late")),
        "after its link was closed",
    ),
]


@pytest.mark.parametrize(("check", "broken", "complaint"), BROKEN_EARS)
async def test_broken_speech_to_text_is_found(
    check: str, broken: SpeechToText, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.SPEECH_TO_TEXT, check)(stt_subject(broken))
