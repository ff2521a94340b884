"""Runs the tool calls of one conversation. Every call has a result, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import FunctionType

import trio
from attrs import Factory, define, field, frozen
from pydantic_core import to_json

from adapters.interfaces import Emit, ToolSpec
from adapters.logs import library_logger
from adapters.tasks import sole_error
from machines.tools import ToolCall, ToolPolicy
from orchestrator.tools.tool import Tool, ToolContext, ToolError
from orchestrator.tools.tool_arguments import BadArguments

log = library_logger(__name__)

MOST_THREADS = 40
"""Synchronous tools that run at the same time, including abandoned ones. Trio's own default."""


@frozen
class ToolResult:
    """The result of a tool call, for the model to read."""

    text: str
    failed: bool = False


DONE = "done"
"""The result of a tool that returns nothing."""
CANCELLED = ToolResult(
    "The call was cancelled before it had a result; it is not known what it has done.", failed=True
)


def tools_by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """The tools by name.

    Raises `TypeError` for what is not a list of tools, and `ValueError` if two have the same name.
    """
    if isinstance(tools, Tool | str) or not isinstance(tools, Iterable):
        raise TypeError(f"tools is {_told(tools)}, but must be a list of tools")
    named: dict[str, Tool] = {}
    for place, each in enumerate(tools):
        if not isinstance(each, Tool):
            raise TypeError(
                f"tools[{place}] is {_told(each)}, but must be a tool: @tool makes one of a function"
            )
        if each.name in named:
            raise ValueError(f"there are two tools named {each.name}: give one of them another name")
        named[each.name] = each
    return named


def _told(value: object) -> str:
    if isinstance(value, Tool):
        return f"the tool {value.name}"
    return f"the function {value.__name__}" if isinstance(value, FunctionType) else repr(value)


@define(eq=False)
class ToolRunner:
    """The tools of one conversation, and how their calls are run."""

    _tools: dict[str, Tool] = field(converter=tools_by_name, factory=tuple)
    _conversation_id: str = ""
    _threads: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(MOST_THREADS))
    """Shared with other conversations, to limit the threads of all."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told about the tools."""
        return tuple(each.spec for each in self._tools.values())

    @property
    def policies(self) -> tuple[ToolPolicy, ...]:
        """What the machine is told about the tools."""
        return tuple(each.policy for each in self._tools.values())

    async def run(self, number: int, asked: ToolCall, timeout_ms: float, emit: Emit) -> ToolResult:
        """Run a tool call. Every error becomes a result; only cancellation comes out.

        `emit` gets the facts that the tool reports through its context.
        """
        began = trio.current_time()
        result = await self._result_of(asked, timeout_ms, ToolContext(self._conversation_id, number, emit))
        log.info(
            "tool called",
            tool=asked.name,
            call=number,
            failed=result.failed,
            seconds=round(trio.current_time() - began, 3),
        )
        log.debug("tool result", call=number, arguments=asked.arguments, result=result.text)
        return result

    async def _result_of(self, asked: ToolCall, timeout_ms: float, context: ToolContext) -> ToolResult:
        tool = self._tools.get(asked.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return ToolResult(f"There is no tool {asked.name}; the tools are: {known}.", failed=True)
        try:
            arguments = tool._arguments.read(asked.arguments)
            in_context = dict.fromkeys(tool._arguments.context_parameters, context)
            with sole_error(), trio.move_on_after(timeout_ms / 1000):
                return ToolResult(_text(await self._call(tool, {**arguments, **in_context})))
            return ToolResult(
                f"{tool.name} did not finish within {timeout_ms / 1000:g} seconds; "
                "it is not known what it has done.",
                failed=True,
            )
        except BadArguments as error:
            return ToolResult(
                f"{tool.name} was not called, since its arguments are wrong: {error}. Correct them.",
                failed=True,
            )
        except ToolError as error:
            return ToolResult(str(error) or f"{tool.name} could not do it.", failed=True)
        except Exception as error:
            return _failed(tool, error)
        except BaseExceptionGroup as group:
            # The tool was cancelled from outside and raised other errors as well.
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


def _failed(tool: Tool, error: Exception) -> ToolResult:
    # The error's text may contain what no caller may hear: the model gets only its class.
    log.exception("tool failed", tool=tool.name, exc_info=error)
    return ToolResult(f"{tool.name} failed ({type(error).__name__}).", failed=True)


def _text(value: object) -> str:
    """A result as text for the model. Raises an error of pydantic's if it cannot be JSON."""
    if value is None:
        return DONE
    return value if isinstance(value, str) else to_json(value).decode()
