"""Conformance checks of speech to text."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import trio
from attrs import Factory, define, evolve, field, frozen

from adapters.conformance.checks import Check, checked, must, must_fail, must_have_a_name, within
from adapters.interfaces import LISTENING_RATE, Samples, Settled, SpeechToText, Transcriber
from adapters.tasks import Signal
from machines.facts import (
    EagerEndOfTurn,
    EndOfTurn,
    Fact,
    TranscriptFinal,
    TranscriptInterim,
    TranscriptionFailed,
    TurnResumed,
)

WINDOW = 512
"""Samples that are sent at once, a window of voice activity."""
LOUD = 500
"""A window with a sample this far from zero counts as voice."""
REPORTS = (TranscriptInterim, TranscriptFinal, TranscriptionFailed, EagerEndOfTurn, TurnResumed, EndOfTurn)
FEW = 0.34
"""Share of the words of a dropped turn that may remain, since its last few 100 ms are carried over."""
LATE_S = 0.2
"""How long the checks wait for facts that should not come."""


@frozen(eq=False)
class SttUnderTest:
    """A speech-to-text provider to be checked, and speech that it understands."""

    provider: SpeechToText
    speech: Samples
    """Some seconds at 16 kHz, with silence around the words."""
    words: str
    """The words of the speech. Half of them must be in the transcript, in upper or lower case."""
    language: str = "en-US"
    patience_s: float = 10
    """The longest that anything may take."""
    speed: float = 0
    """Audio is sent so many times faster than real time; 0: all at once, as to a replacement link."""
    unreachable: SpeechToText | None = None
    """The same adapter with an address where nobody answers. Without it, failure is not checked."""


@define
class _Link:
    """An open link, and the facts that it emitted."""

    patience_s: float
    speed: float
    transcriber: Transcriber = field(init=False)
    told: list[Fact] = Factory(list)
    faults: list[str] = Factory(list)
    """Facts that it must not emit, in words. (An exception in `emit` might be handled by the adapter.)"""
    closed: bool = False
    _changed: Signal = Factory(Signal)

    def emit(self, fact: Fact) -> None:
        if self.closed:
            self.faults.append(f"it emitted {fact.name} after its link was closed")
        if not isinstance(fact, REPORTS):
            self.faults.append(f"it emitted {fact.name}, which speech to text must not emit")
        self.told.append(fact)
        self._changed.wake_all()

    async def send(self, samples: Samples) -> None:
        for start in range(0, len(samples), WINDOW):
            window = samples[start : start + WINDOW]
            if self.speed:
                await trio.sleep(len(window) / LISTENING_RATE / self.speed)
            with within(self.patience_s, "taking audio in"):
                await self.transcriber.send(window, float(np.abs(window.astype(int)).max() > LOUD))

    async def final(self, turn: int) -> TranscriptFinal:
        """Finalize the turn and wait for its final transcript."""
        with within(self.patience_s, f"the final transcript of turn {turn}"):
            while not self.finals(turn):
                failed = [fact for fact in self.told if isinstance(fact, TranscriptionFailed)]
                must(not failed, f"the transcription failed: {failed}")
                await self._changed.wait()
        return self.finals(turn)[0]

    def finals(self, turn: int) -> list[TranscriptFinal]:
        return [fact for fact in self.told if isinstance(fact, TranscriptFinal) and fact.turn == turn]


@asynccontextmanager
async def _open(subject: SttUnderTest) -> AsyncIterator[_Link]:
    """A link; it must open and close in time, and emit only what it may."""
    link = _Link(subject.patience_s, subject.speed)
    with trio.CancelScope(deadline=trio.current_time() + subject.patience_s) as patience:
        async with subject.provider.open(link.emit, subject.language) as link.transcriber:
            patience.deadline = math.inf
            yield link
            patience.deadline = trio.current_time() + subject.patience_s
    must(
        not patience.cancelled_caught, f"opening or closing a link took longer than {subject.patience_s:g} s"
    )
    link.closed = True
    await trio.sleep(LATE_S)
    must(not link.faults, "".join(link.faults[:1]))


def _share(subject: SttUnderTest, text: str) -> float:
    """The share of the words that are in a text."""
    wanted, found = (re.findall(r"\w+", each.lower()) for each in (subject.words, text))
    return sum(word in found for word in wanted) / len(wanted)


def _silence(ms: int) -> Samples:
    return np.zeros(LISTENING_RATE * ms // 1000, np.int16)


# --- the checks -------------------------------------------------------------------------------------------


@checked
async def it_says_what_it_is(subject: SttUnderTest) -> None:
    """It has a name, and says whether it decides about ends of turns."""
    must_have_a_name(subject.provider)
    ends_turns = getattr(subject.provider, "ends_turns", None)
    must(isinstance(ends_turns, bool), f"ends_turns is {ends_turns!r}, but must be True or False")
    await trio.lowlevel.checkpoint()


@checked
async def links_open_and_close(subject: SttUnderTest) -> None:
    """Links open and close one after the other and several at once, without any audio."""
    for _ in range(2):
        async with _open(subject):
            pass
    async with _open(subject), _open(subject):
        pass


@checked
async def a_turn_is_understood_and_reported_once(subject: SttUnderTest) -> None:
    """The words come once, after `finalize`, and every fact names the turn."""
    async with _open(subject) as link:
        link.transcriber.begin_turn(7)
        await link.send(subject.speech)
        must(not link.finals(7), "a final transcript came before the turn was finalized")
        link.transcriber.finalize(7)
        final = await link.final(7)
        share = _share(subject, final.text)
        must(share >= 0.5, f"of {subject.words!r} only {share:.0%} was understood: {final.text!r}")
        must(0 <= final.confidence <= 1, f"its confidence is {final.confidence}, but must be from 0 to 1")
        await _nothing_more(link)
        must(len(link.finals(7)) == 1, f"turn 7 has {len(link.finals(7))} final transcripts")
        others = {fact.turn for fact in link.told if isinstance(fact, REPORTS)} - {7}
        must(not others, f"only turn 7 was begun, but it emitted facts of turns {sorted(others)}")


async def _nothing_more(link: _Link) -> None:
    """Wait for facts that should not come."""
    await link.send(_silence(200))
    await trio.sleep(LATE_S)


@checked
async def turns_follow_each_other(subject: SttUnderTest) -> None:
    """Each turn gets its own words, even if the next one begins before they are known."""
    async with _open(subject) as link:
        link.transcriber.begin_turn(1)
        await link.send(subject.speech)
        link.transcriber.finalize(1)
        link.transcriber.begin_turn(2)
        await link.send(_silence(1000))
        link.transcriber.finalize(2)
        first, second = await link.final(1), await link.final(2)
        must(_share(subject, first.text) >= 0.5, f"turn 1 was {subject.words!r}, not {first.text!r}")
        must(_share(subject, second.text) <= FEW, f"turn 2 was silent, but has {second.text!r}")
        link.transcriber.begin_turn(3)
        await link.send(subject.speech)
        link.transcriber.finalize(3)
        third = await link.final(3)
        must(_share(subject, third.text) >= 0.5, f"turn 3 was {subject.words!r}, not {third.text!r}")


@checked
async def a_turn_without_words_is_reported_empty(subject: SttUnderTest) -> None:
    """Every finalized turn gets a transcript, also of silence and without any audio."""
    async with _open(subject) as link:
        for turn, audio in ((1, _silence(1000)), (2, _silence(0))):
            link.transcriber.begin_turn(turn)
            await link.send(audio)
            link.transcriber.finalize(turn)
            final = await link.final(turn)
            must(not final.text.strip(), f"nothing was said in turn {turn}, but it has {final.text!r}")


@checked
async def a_turn_that_is_begun_anew_is_forgotten(subject: SttUnderTest) -> None:
    """The words of a turn that was not finalized are dropped when the next one begins."""
    async with _open(subject) as link:
        link.transcriber.begin_turn(1)
        await link.send(np.concatenate([subject.speech, _silence(1000)]))
        link.transcriber.begin_turn(2)
        link.transcriber.finalize(2)
        final = await link.final(2)
        must(not link.finals(1), "a turn that was never finalized has a final transcript")
        must(_share(subject, final.text) <= FEW, f"turn 2 has the dropped words of turn 1: {final.text!r}")


@checked
async def what_is_settled_can_be_asked_at_any_time(subject: SttUnderTest) -> None:
    """`settled` can be called before, during and after a turn; of an unknown turn nothing is settled."""
    async with _open(subject) as link:
        ask: Callable[[int], Settled] = link.transcriber.settled
        must(ask(5) == Settled(), f"turn 5 was never begun, but {ask(5)} is settled")
        link.transcriber.begin_turn(1)
        await link.send(subject.speech)
        during = ask(1)
        must(
            0 <= during.samples <= len(subject.speech),
            f"{during.samples} samples are settled, more than sent",
        )
        must(bool(during.text) <= bool(during.samples), f"words are settled without audio: {during}")
    after = ask(1)
    must(after.samples >= during.samples, f"{during} was settled, after the link only {after}")


@checked
async def callers_are_not_mixed_up(subject: SttUnderTest) -> None:
    """With two links at once, the words of one caller are not in the transcript of the other."""
    async with _open(subject) as talking, _open(subject) as silent:
        for link in (talking, silent):
            link.transcriber.begin_turn(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talking.send, subject.speech)
            nursery.start_soon(silent.send, _silence(1000))
        for link in (talking, silent):
            link.transcriber.finalize(1)
        said, heard = await talking.final(1), await silent.final(1)
        must(_share(subject, said.text) >= 0.5, f"one caller said {subject.words!r}, not {said.text!r}")
        must(not heard.text.strip(), f"the silent caller's transcript is {heard.text!r}")


@checked
async def a_link_can_be_left_in_the_midst_of_a_turn(subject: SttUnderTest) -> None:
    """A link closes in time while it works, and emits nothing afterwards."""
    for finalized in (False, True):
        async with _open(subject) as link:
            link.transcriber.begin_turn(1)
            await link.send(subject.speech)
            if finalized:
                link.transcriber.finalize(1)


@checked
async def one_that_cannot_be_reached_raises_provider_error(subject: SttUnderTest) -> None:
    """It raises the error in time, since the next provider has to wait for it."""
    if subject.unreachable is None:
        return

    async def use() -> None:
        assert subject.unreachable is not None
        async with _open(evolve(subject, provider=subject.unreachable)) as link:
            link.transcriber.begin_turn(1)
            await link.send(subject.speech)
            link.transcriber.finalize(1)
            await link.final(1)

    await must_fail(subject.patience_s, "opening what cannot be reached", use)


SPEECH_TO_TEXT: tuple[Check[SttUnderTest], ...] = (
    it_says_what_it_is,
    links_open_and_close,
    a_turn_is_understood_and_reported_once,
    turns_follow_each_other,
    a_turn_without_words_is_reported_empty,
    a_turn_that_is_begun_anew_is_forgotten,
    what_is_settled_can_be_asked_at_any_time,
    callers_are_not_mixed_up,
    a_link_can_be_left_in_the_midst_of_a_turn,
    one_that_cannot_be_reached_raises_provider_error,
)
