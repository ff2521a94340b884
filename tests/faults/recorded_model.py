"""A wrapper around a language model that records its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from attrs import define, field

from adapters.interfaces import LanguageModel, ToolSpec
from machines.history import Message
from machines.tools import ToolCall


@define
class RecordedModel:
    """A language model, with a record of its requests."""

    _model: LanguageModel
    requests: list[tuple[Message, ...]]
    name: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.name = self._model.name

    def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[str | ToolCall]]:
        """As `LanguageModel.generate`."""
        self.requests.append(tuple(messages))
        return self._model.generate(messages, tools)

    async def check(self) -> None:
        """As `LanguageModel.check`."""
        await self._model.check()
