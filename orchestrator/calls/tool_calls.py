"""The tool calls of a call: what was asked, what came of it, and how long it took."""

from __future__ import annotations

import enum

from attrs import Factory, define, frozen

from machines import effects as do
from machines import facts
from machines.effects import Effect
from machines.tools import ToolCall
from orchestrator.calls.values import real_number, text_of, whole_ms


class ToolOutcome(enum.Enum):
    """What became of a tool call."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was stopped, or nobody waited for it any more."""
    UNCERTAIN = "uncertain"
    """It began, and the journal does not say what came of it: the process ended before."""


@frozen
class ToolCallRow:
    """A row of `tool_calls`."""

    call_id: str
    number: int
    began_ms: int
    took_ms: float | None
    name: str
    outcome: str
    arguments: str
    result: str | None


@define
class _Begun:
    """A tool call that was begun."""

    asked: ToolCall
    began_ms: float
    finished: facts.ToolFinished | None = None
    cancelled: bool = False

    @property
    def outcome(self) -> ToolOutcome:
        if self.cancelled:
            return ToolOutcome.CANCELLED
        if self.finished is None:
            return ToolOutcome.UNCERTAIN
        return ToolOutcome.FAILED if self.finished.failed else ToolOutcome.FINISHED


@define
class ToolCalls:
    """Follows tool calls through facts and effects of a conversation."""

    call_id: str
    epoch_ms: float
    """When the conversation's time was 0, in ms since the epoch."""
    _begun: dict[int, _Begun] = Factory(dict)

    def happened(self, fact: facts.ToolFinished) -> None:
        """Note a result, whether the conversation still waited for it or not."""
        begun = self._begun.get(fact.call)
        if begun is not None and begun.finished is None:
            begun.finished = fact

    def caused(self, effect: Effect, at_ms: float) -> None:
        """Note what the conversation asked for at `at_ms`."""
        match effect:
            case do.RunTool(call=number, asked=asked):
                self._begun[number] = _Begun(asked, at_ms)
            case do.CancelTool(call=number) if number in self._begun:
                self._begun[number].cancelled = True

    def rows(self) -> list[ToolCallRow]:
        """What is known so far."""
        return [self._row(number, begun) for number, begun in sorted(self._begun.items())]

    def _row(self, number: int, begun: _Begun) -> ToolCallRow:
        finished = begun.finished
        return ToolCallRow(
            call_id=self.call_id,
            number=number,
            began_ms=whole_ms(self.epoch_ms + begun.began_ms),
            took_ms=real_number(finished.at_ms - begun.began_ms) if finished else None,
            name=text_of(begun.asked.name, 100),
            outcome=begun.outcome.value,
            arguments=text_of(begun.asked.arguments),
            result=text_of(finished.result) if finished else None,
        )
