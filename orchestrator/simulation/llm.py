"""A simulated language model, whose answers are planned."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio
from attrs import evolve, field, frozen

from adapters.interfaces import ToolSpec
from machines.history import Message
from machines.tools import ToolCall
from orchestrator.simulation.behaviour import AT_ONCE, Delay, Fault, Opening, Plan, script, strike

THOUGHT_MS = 500


@frozen
class Answer:
    """How one answer goes; it comes word by word."""

    text: str | None = None
    """None: two sentences that repeat what the caller said last, or the results of tools."""
    first: Delay = AT_ONCE
    """Before the first word."""
    between: Delay = AT_ONCE
    """Before each further word."""
    fault: Fault | None = None
    after: int = 0
    """Words that come before the fault."""
    calls: tuple[ToolCall, ...] = field(default=(), kw_only=True)
    """Asked for after the text, if tools are offered. With calls, a text of None means no text."""
    thinks_ms: int = field(default=0, kw_only=True)
    """How long the model thinks before its first word, with a sign of life every `THOUGHT_MS`."""
    unasked: bool = field(default=False, kw_only=True)
    """The calls are asked for even if no tools are offered."""


class SimulatedLanguageModel:
    """A language model whose answers and openings go as planned."""

    name = "simulated language model"

    def __init__(
        self,
        answers: Plan[Answer] | None = None,
        checks: Plan[Opening] | None = None,
        random: Random | None = None,
    ) -> None:
        self.requests: list[tuple[Message, ...]] = []
        """The messages of each request, in order."""
        self.offered: list[tuple[ToolSpec, ...]] = []
        """The tools that each request offered."""
        self.running = 0
        """Answers that are being generated now."""
        self._answers = answers or script(then=Answer())
        self._checks = checks or script(then=Opening())
        self._next_openings: list[Opening] = []
        self._next_answers: list[Answer] = []
        self._random = random or Random(0)

    def answers_with(self, *answers: Answer) -> None:
        """Give these answers next, before those that are planned."""
        self._next_answers.extend(answers)

    def opens_with(self, *openings: Opening) -> None:
        """Let the next openings go like this, before those that are planned."""
        self._next_openings.extend(openings)

    def _next_opening(self) -> Opening:
        return self._next_openings.pop(0) if self._next_openings else self._checks()

    async def check(self) -> None:
        """As `LanguageModel.check`, as planned."""
        await self._next_opening().open(self._random)

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        """As `LanguageModel.generate`: the next planned answer."""
        self.requests.append(tuple(messages))
        self.offered.append(tuple(tools))
        self.running += 1
        answer = self._next_answers.pop(0) if self._next_answers else self._answers()
        if not (tools or answer.unasked):
            answer = evolve(answer, calls=())
        pieces = self._pieces(answer, messages)
        try:
            yield pieces
        finally:
            self.running -= 1
            await pieces.aclose()

    async def _pieces(
        self, answer: Answer, messages: Sequence[Message]
    ) -> AsyncGenerator[str | ToolCall, None]:
        for _ in range(answer.thinks_ms // THOUGHT_MS):
            yield ""
            await trio.sleep(THOUGHT_MS / 1000)
        text = _text(answer, messages)
        words = re.findall(r"\S+\s*", text)
        for count, word in enumerate(words):
            if answer.fault is not None and count == answer.after and await strike(answer.fault):
                return
            await (answer.between if count else answer.first).wait(self._random)
            yield word
        if answer.fault is not None and answer.after >= len(words):
            await strike(answer.fault)
        if not words:
            await answer.first.wait(self._random)
        for call in answer.calls:
            yield call


def _text(answer: Answer, messages: Sequence[Message]) -> str:
    if answer.text is not None:
        return answer.text
    if answer.calls:
        return ""
    last = messages[-1]
    if last.calls:
        return f"The tools gave {', '.join(str(each.result) for each in last.calls)}. That was all."
    return f"You said {last.text}. That was all."
