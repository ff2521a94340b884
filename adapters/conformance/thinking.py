"""Checks of language models."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from attrs import frozen

from adapters.conformance.checks import Check, checked, must, must_fail, must_have_a_name, within
from adapters.interfaces import LanguageModel
from machines.history import Message, Speaker

LEFT = 10
"""Answers that are left early, one after the other: a connection that is not given back is missed by then."""


@frozen(eq=False)
class Thinking:
    """A provider."""

    provider: LanguageModel
    question: str = "Please count from one to twenty."
    """Something that has an answer of some words."""
    patience_s: float = 30
    """Nothing may take longer, a whole answer included."""
    unreachable: LanguageModel | None = None
    """The same adapter, led to where nobody answers; without it, its failing is not checked."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """What is asked."""
        return (
            Message(Speaker.SYSTEM, "You answer in one short sentence."),
            Message(Speaker.USER, self.question),
        )


async def _answer(subject: Thinking, messages: Sequence[Message]) -> str:
    pieces: list[str] = []
    with within(subject.patience_s, "an answer"):
        async with subject.provider.generate(messages) as answer:
            async for piece in answer:
                must(isinstance(piece, str), f"a piece of an answer is {piece!r}, but must be a text")
                pieces.append(piece)
    return "".join(pieces)


@checked
async def it_says_what_it_is_and_that_it_works(subject: Thinking) -> None:
    """A name; `check` returns."""
    must_have_a_name(subject.provider)
    with within(subject.patience_s, "check()"):
        await subject.provider.check()


@checked
async def questions_are_answered(subject: Thinking) -> None:
    """With words, and an end."""
    answer = await _answer(subject, subject.messages)
    must(bool(answer.strip()), "the answer is empty")


@checked
async def every_form_of_history_is_taken(subject: Thinking) -> None:
    """With and without a system message, after exchanges, and with an answer's beginning to go on with."""
    system, user = subject.messages
    exchange = (Message(Speaker.USER, "Hello?"), Message(Speaker.ASSISTANT, "Hel", True, 200.0, "lo there."))
    begun = Message(Speaker.ASSISTANT, "One, two,")
    for messages in ((user,), (system, *exchange, user), (system, *exchange, user, begun)):
        await _answer(subject, messages)


@checked
async def an_answer_can_be_left_early(subject: Thinking) -> None:
    """In time, again and again, and the next one is answered."""
    for _ in range(LEFT):
        with within(subject.patience_s, "leaving an answer early"):
            async with subject.provider.generate(subject.messages) as answer:
                async for _piece in answer:
                    break
    must(bool((await _answer(subject, subject.messages)).strip()), "after answers left early, one is empty")


@checked
async def cancellation_comes_out(subject: Thinking) -> None:
    """A cancelled answer ends at once and as a cancelled one: not as an error, and not as if it were over."""
    gone_on = False
    for begun in (False, True):
        with within(subject.patience_s, "a cancelled answer"), trio.CancelScope() as scope:
            if not begun:
                scope.cancel()
            async with subject.provider.generate(subject.messages) as answer:
                async for _piece in answer:
                    scope.cancel()
                gone_on = True
        must(scope.cancelled_caught and not gone_on, "cancellation was swallowed")


@checked
async def callers_are_answered_at_the_same_time(subject: Thinking) -> None:
    """Each with an answer."""
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await _answer(subject, subject.messages))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    must(all(answer.strip() for answer in answers), f"of three callers some were not answered: {answers}")


@checked
async def one_that_cannot_be_reached_raises_provider_error(subject: Thinking) -> None:
    """And in time: the next provider waits for it."""
    unreachable = subject.unreachable
    if unreachable is None:
        return

    async def ask() -> None:
        async with unreachable.generate(subject.messages) as answer:
            async for _piece in answer:
                await trio.lowlevel.checkpoint()

    await must_fail(subject.patience_s, "checking what cannot be reached", unreachable.check)
    await must_fail(subject.patience_s, "asking what cannot be reached", ask)


LANGUAGE_MODEL: tuple[Check[Thinking], ...] = (
    it_says_what_it_is_and_that_it_works,
    questions_are_answered,
    every_form_of_history_is_taken,
    an_answer_can_be_left_early,
    cancellation_comes_out,
    callers_are_answered_at_the_same_time,
    one_that_cannot_be_reached_raises_provider_error,
)
