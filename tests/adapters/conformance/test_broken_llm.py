"""The conformance kit detects faults of language models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import LlmUnderTest, NotConformant
from adapters.interfaces import (
    LanguageModel,
    ProviderError,
    ToolSpec,
)
from machines.facts import ErrorClass
from machines.history import Message
from machines.tools import ToolCall
from tests.adapters.conformance.subjects import (
    llm_subject,
    named,
)


class Model:
    """A language model with a fault in it."""

    name = "broken model"

    def __init__(self) -> None:
        self.connections = trio.CapacityLimiter(5)

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        async with aclosing(self.pieces(messages, tools)) as pieces:
            yield pieces

    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        for piece in ("One, ", "two, ", "three."):
            await trio.sleep(0.01)
            yield piece


class Silent(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        await trio.sleep(0.01)
        return
        yield


class Bytes(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        await trio.sleep(0.01)
        yield b"One, "  # type: ignore[misc]


class Unwell(Model):
    async def check(self) -> None:
        raise ProviderError(ErrorClass.AUTH, "no key")


class Hanging(Model):
    async def check(self) -> None:
        await trio.sleep_forever()


class OnlyQuestions(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        if messages[-1].speaker.value != "user":
            raise ProviderError(ErrorClass.FATAL, "the last message must be the user's")
        await trio.sleep(0.01)
        yield "One."


class Leaking(Model):
    """Releases its connection only when an answer was read to its end."""

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        owner = object()
        await self.connections.acquire_on_behalf_of(owner)
        async with aclosing(self.pieces(messages, tools)) as pieces:
            yield pieces
            async for _ in pieces:
                return
        self.connections.release_on_behalf_of(owner)


class Swallowing(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        with trio.CancelScope(shield=True):
            for _ in range(3):
                await trio.sleep(0.01)
                yield "One. "


class OneAtATime(Model):
    def __init__(self) -> None:
        super().__init__()
        self.connections = trio.CapacityLimiter(1)

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        if self.connections.available_tokens == 0:
            raise ProviderError(ErrorClass.RATE_LIMIT, "busy")
        async with self.connections, super().generate(messages, tools) as pieces:
            yield pieces


class Toolless(Model):
    """Does not support tools: `generate` does not even take them."""

    @asynccontextmanager
    async def generate(self, messages: Sequence[Message]) -> AsyncIterator[AsyncIterator[str | ToolCall]]:  # type: ignore[override]
        async with super().generate(messages) as pieces:
            yield pieces


class OnlyWords(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        if any(message.calls for message in messages):
            raise KeyError("tool")
        await trio.sleep(0.01)
        yield "One."


class SilentWithTools(Model):
    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        await trio.sleep(0.01)
        if not tools:
            yield "One."


class Calling(Model):
    """Asks for these calls, and gives no answer to their results."""

    def __init__(self, *said: str | ToolCall) -> None:
        super().__init__()
        self.said = said

    async def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | ToolCall, None]:
        await trio.sleep(0.01)
        if tools:
            for piece in self.said:
                yield piece


def call(arguments: str = "{}", name: str = conformance.WEATHER.name, id_: str = "1") -> ToolCall:
    return ToolCall(id_, name, arguments)


BROKEN_MODELS: list[tuple[str, LanguageModel, str]] = [
    ("it_says_what_it_is_and_that_it_works", Unwell(), "raised ProviderError: no key"),
    ("it_says_what_it_is_and_that_it_works", Hanging(), r"check\(\) took longer than 30 s"),
    ("questions_are_answered", Silent(), "the answer is empty"),
    ("questions_are_answered", Bytes(), "is b'One, ', but must be a text"),
    ("every_form_of_history_is_taken", OnlyQuestions(), "the last message must be the user's"),
    ("every_form_of_history_is_taken", OnlyWords(), "raised KeyError: 'tool'"),
    ("tools_may_be_offered", cast(LanguageModel, Toolless()), "raised TypeError"),
    ("tools_may_be_offered", SilentWithTools(), "the answer is empty when a tool is offered"),
    ("tools_may_be_offered", Calling(call(name="other")), "'other' was called, but not offered"),
    ("tools_may_be_offered", Calling(call(), "One."), "text came after a call: 'One.'"),
    ("tools_are_called", Model(), "the tool was not called, but was said: 'One, two, three.'"),
    ("tools_are_called", Calling(call(), call()), "ids do not tell them apart"),
    ("tools_are_called", Calling(call(id_="")), "ids do not tell them apart"),
    ("tools_are_called", Calling(call('{"city"')), "the arguments are not a JSON object"),
    ("tools_are_called", Calling(call("[]")), "the arguments are not a JSON object"),
    ("tools_are_called", Calling(call()), "the answer to a call's result is empty"),
    ("an_answer_can_be_left_early", Leaking(), "took longer than 30 s"),
    ("cancellation_comes_out", Swallowing(), "cancellation was swallowed"),
    ("callers_are_answered_at_the_same_time", OneAtATime(), "raised ProviderError: busy"),
]


@pytest.mark.parametrize(("check", "broken", "complaint"), BROKEN_MODELS)
async def test_a_broken_language_model_is_found(
    check: str, broken: LanguageModel, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.LANGUAGE_MODEL, check)(llm_subject(broken, "What is the weather in Paris?"))


class RefusedSocket(Model):
    """Raises the exceptions of an SDK as they are."""

    async def check(self) -> None:
        raise ConnectionRefusedError("nobody listens")


@pytest.mark.parametrize(
    ("unreachable", "complaint"),
    [
        (RefusedSocket(), "raised ConnectionRefusedError: nobody listens"),
        (Model(), "raised no ProviderError"),
    ],
)
async def test_a_model_that_cannot_be_reached_and_raises_another_error_is_found(
    unreachable: LanguageModel, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.LANGUAGE_MODEL, "one_that_cannot_be_reached_raises_provider_error")(
            LlmUnderTest(Model(), unreachable=unreachable)
        )
