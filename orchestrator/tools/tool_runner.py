"""The tools of one conversation, and how a call of one is carried out: it always has a result."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import structlog
import trio
from attrs import Factory, define, field, frozen
from pydantic_core import to_json

from adapters.interfaces import Emit, ToolSpec
from adapters.tasks import sole_error
from machines.tools import ToolCall, ToolPolicy
from orchestrator.tools.tool import Tool, ToolContext, ToolError
from orchestrator.tools.tool_arguments import BadArguments

log = structlog.get_logger(__name__)

MOST_THREADS = 40
"""Synchronous tools that run at once, those that nobody waits for any more included: Trio's own number."""


@frozen
class Result:
    """What came of a call, for the model to read."""

    text: str
    failed: bool = False


DONE = "done"
"""The result of a tool that returns nothing."""
CANCELLED = Result(
    "The call was cancelled before it had a result; it is not known what it has done.", failed=True
)


def tools_by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Raises `ValueError` if two have the same name, for the model could not tell which is meant."""
    named: dict[str, Tool] = {}
    for each in tools:
        if each.name in named:
            raise ValueError(f"there are two tools named {each.name}: give one of them another name")
        named[each.name] = each
    return named


@define(eq=False)
class ToolRunner:
    """The tools that the model may call in one conversation."""

    _tools: dict[str, Tool] = field(converter=tools_by_name, factory=tuple)
    _conversation_id: str = ""
    _threads: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(MOST_THREADS))
    """Shared with other conversations, to bound them all."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told."""
        return tuple(each.spec for each in self._tools.values())

    @property
    def policies(self) -> tuple[ToolPolicy, ...]:
        """What the machine is told."""
        return tuple(each.policy for each in self._tools.values())

    async def run(self, number: int, asked: ToolCall, timeout_ms: float, put: Emit) -> Result:
        """Carry out a call: everything that can go wrong with it is a result. `put` takes the tool's facts.

        Only cancellation comes out.
        """
        began = trio.current_time()
        result = await self._attempt(asked, timeout_ms, ToolContext(self._conversation_id, number, put))
        log.info(
            "tool called",
            tool=asked.name,
            call=number,
            failed=result.failed,
            seconds=round(trio.current_time() - began, 3),
        )
        log.debug("tool's words", call=number, arguments=asked.arguments, result=result.text)
        return result

    async def _attempt(self, asked: ToolCall, timeout_ms: float, context: ToolContext) -> Result:
        tool = self._tools.get(asked.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return Result(f"There is no tool {asked.name}; the tools are: {known}.", failed=True)
        try:
            arguments = tool._arguments.read(asked.arguments)
            given = dict.fromkeys(tool._arguments.given_ones, context)
            with sole_error(), trio.move_on_after(timeout_ms / 1000):
                return Result(_text(await self._call(tool, {**arguments, **given})))
            return Result(
                f"{tool.name} did not finish within {timeout_ms / 1000:g} seconds; "
                "it is not known what it has done.",
                failed=True,
            )
        except BadArguments as error:
            return Result(
                f"{tool.name} was not called, since its arguments are wrong: {error}. Correct them.",
                failed=True,
            )
        except ToolError as error:
            return Result(str(error) or f"{tool.name} could not do it.", failed=True)
        except Exception as error:
            return _failed(tool, error)
        except BaseExceptionGroup as group:
            # A tool that is cancelled from outside, and fails over it.
            errors, others = group.split(Exception)
            if errors is not None:
                _failed(tool, errors)
            assert others is not None, "a group of exceptions only is an exception"
            raise others from None

    async def _call(self, tool: Tool, arguments: dict[str, object]) -> object:
        if tool._is_async:
            return await tool.function(**arguments)
        work = partial(tool.function, **arguments)
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)


def _failed(tool: Tool, error: Exception) -> Result:
    # Its text is written for programmers and may hold what no caller may hear: the model gets the class.
    log.exception("tool failed", tool=tool.name, exc_info=error)
    return Result(f"{tool.name} failed ({type(error).__name__}).", failed=True)


def _text(value: object) -> str:
    """A result as the model reads it. Raises an error of pydantic's for what is no JSON."""
    if value is None:
        return DONE
    return value if isinstance(value, str) else to_json(value).decode()
