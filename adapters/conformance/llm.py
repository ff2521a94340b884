"""Conformance checks of language models."""

from __future__ import annotations

import json
from collections.abc import Sequence

import trio
from attrs import field, frozen

from adapters.conformance.checks import Check, checked, must, must_fail, must_have_a_name, within
from adapters.interfaces import LanguageModel, ToolSpec
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall

LEFT = 10
"""Answers that are left early, one after the other, so that connections that are not released run out."""

WEATHER = ToolSpec(
    "get_weather",
    "Tells the weather that a city has now.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_RESULT = "Sunny, 21 degrees Celsius."


@frozen(eq=False)
class LlmUnderTest:
    """A language model to be checked."""

    provider: LanguageModel
    question: str = "Please count from one to twenty."
    """A question whose answer has several words."""
    patience_s: float = 30
    """The longest that anything may take, also a whole answer."""
    unreachable: LanguageModel | None = None
    """The same adapter with an address where nobody answers. Without it, failure is not checked."""
    tool_question: str | None = None
    """A question for which the model calls `WEATHER`, like "What is the weather in Paris?". Without it, calls
    are not checked, since an adapter or a model may ignore tools."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that ask the question."""
        return (
            Message(Speaker.SYSTEM, "You answer in one short sentence."),
            Message(Speaker.USER, self.question),
        )


@frozen
class _Answer:
    text: str = ""
    calls: list[ToolCall] = field(factory=list)


async def _answer(
    subject: LlmUnderTest, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
) -> _Answer:
    pieces: list[str] = []
    calls: list[ToolCall] = []
    with within(subject.patience_s, "an answer"):
        async with subject.provider.generate(messages, tools) as answer:
            async for piece in answer:
                if isinstance(piece, ToolCall):
                    calls.append(piece)
                    continue
                must(
                    isinstance(piece, str), f"a piece of an answer is {piece!r}, but must be a text or a call"
                )
                must(not (calls and piece), f"text came after a call: {piece!r}")
                pieces.append(piece)
    offered = {tool.name for tool in tools}
    for call in calls:
        must(call.name in offered, f"{call.name!r} was called, but not offered")
    return _Answer("".join(pieces), calls)


@checked
async def it_says_what_it_is_and_that_it_works(subject: LlmUnderTest) -> None:
    """It has a name, and `check` returns."""
    must_have_a_name(subject.provider)
    with within(subject.patience_s, "check()"):
        await subject.provider.check()


@checked
async def questions_are_answered(subject: LlmUnderTest) -> None:
    """An answer has words, and ends."""
    answer = await _answer(subject, subject.messages)
    must(bool(answer.text.strip()), "the answer is empty")


@checked
async def every_form_of_history_is_taken(subject: LlmUnderTest) -> None:
    """History with and without a system message, after exchanges, and ending with the beginning of an answer.

    Also with tool calls in it, whether the tools are still offered or not.
    """
    system, user = subject.messages
    exchange = (Message(Speaker.USER, "Hello?"), Message(Speaker.ASSISTANT, "Hel", True, 200.0, "lo there."))
    begun = Message(Speaker.ASSISTANT, "One, two,")
    for messages in ((user,), (system, *exchange, user), (system, *exchange, user, begun)):
        await _answer(subject, messages)
    finished = _asking("", CallRecord(1, _call(1), _RESULT))
    others = _asking(
        "Let me see.",
        CallRecord(2, _call(2), "No such city.", failed=True),
        CallRecord(3, _call(3)),
        CallRecord(4, ToolCall("call_4", WEATHER.name, '{"city'), "These are not arguments.", failed=True),
    )
    for with_calls in ((system, user, finished), (system, user, finished, *exchange, user, others)):
        for tools in ((), (WEATHER,)):
            await _answer(subject, with_calls, tools)


def _call(number: int) -> ToolCall:
    return ToolCall(f"call_{number}", WEATHER.name, '{"city": "Paris"}')


def _asking(text: str, *calls: CallRecord) -> Message:
    return Message(Speaker.ASSISTANT, text, calls=calls)


@checked
async def tools_may_be_offered(subject: LlmUnderTest) -> None:
    """If tools are offered, the answer has words or calls, or both."""
    answer = await _answer(subject, subject.messages, (WEATHER,))
    must(bool(answer.text.strip() or answer.calls), "the answer is empty when a tool is offered")


@checked
async def tools_are_called(subject: LlmUnderTest) -> None:
    """Calls have arguments and different ids, and the answer to their results has words."""
    if subject.tool_question is None:
        return
    messages = (subject.messages[0], Message(Speaker.USER, subject.tool_question))
    answer = await _answer(subject, messages, (WEATHER,))
    must(bool(answer.calls), f"the tool was not called, but was said: {answer.text!r}")
    ids = [call.id for call in answer.calls]
    must(all(ids) and len(set(ids)) == len(ids), f"the calls' ids do not tell them apart: {ids}")
    for call in answer.calls:
        must(_is_object(call.arguments), f"the arguments are not a JSON object: {call.arguments!r}")
    records = (CallRecord(number, call, _RESULT) for number, call in enumerate(answer.calls, 1))
    spoken = await _answer(subject, (*messages, _asking(answer.text, *records)))
    must(bool(spoken.text.strip()), "the answer to a call's result is empty")


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


@checked
async def an_answer_can_be_left_early(subject: LlmUnderTest) -> None:
    """Answers can be left early in time, again and again, and the next one is complete."""
    for _ in range(LEFT):
        with within(subject.patience_s, "leaving an answer early"):
            async with subject.provider.generate(subject.messages) as answer:
                async for _piece in answer:
                    break
    answered = await _answer(subject, subject.messages)
    must(bool(answered.text.strip()), "after answers left early, one is empty")


@checked
async def cancellation_comes_out(subject: LlmUnderTest) -> None:
    """A cancelled answer raises `Cancelled` at once; it does not raise an error or end normally."""
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
async def callers_are_answered_at_the_same_time(subject: LlmUnderTest) -> None:
    """Each caller gets an answer."""
    answers: list[str] = []

    async def ask() -> None:
        answers.append((await _answer(subject, subject.messages)).text)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    must(all(answer.strip() for answer in answers), f"of three callers some were not answered: {answers}")


@checked
async def one_that_cannot_be_reached_raises_provider_error(subject: LlmUnderTest) -> None:
    """It raises the error in time, since the next provider has to wait for it."""
    unreachable = subject.unreachable
    if unreachable is None:
        return

    async def ask() -> None:
        async with unreachable.generate(subject.messages) as answer:
            async for _piece in answer:
                await trio.lowlevel.checkpoint()

    await must_fail(subject.patience_s, "checking what cannot be reached", unreachable.check)
    await must_fail(subject.patience_s, "asking what cannot be reached", ask)


LANGUAGE_MODEL: tuple[Check[LlmUnderTest], ...] = (
    it_says_what_it_is_and_that_it_works,
    questions_are_answered,
    every_form_of_history_is_taken,
    tools_may_be_offered,
    tools_are_called,
    an_answer_can_be_left_early,
    cancellation_comes_out,
    callers_are_answered_at_the_same_time,
    one_that_cannot_be_reached_raises_provider_error,
)
