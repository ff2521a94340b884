"""Tools: functions of the host program that the language model may call while it answers.

```python
from orchestrator import tool


@tool
async def opening_hours(day: str) -> str:
    \"\"\"The opening hours of the shop on a day of the week, such as `Monday`.\"\"\"
    return "9 to 5"
```

`open_orchestrator(tools=[opening_hours])` offers it to the model in all conversations, and
`orchestrator.conversation(transport, tools=[...])` in one.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, overload

import trio
from attrs import define, field, frozen

from adapters.interfaces import Emit, ToolSpec
from machines.facts import EndReason, Fact, HungUp, SayMode
from machines.tools import OnInterruption, ToolPolicy
from orchestrator.tools.say_requests import keys_to_press, require_words, words_to_say
from orchestrator.tools.tool_arguments import ToolArguments

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Run = Callable[..., Any]
"""A function of any signature, synchronous or not."""


class ToolError(Exception):
    """Raised by a tool that cannot do what it is asked. The model is told the text, which is the reason.

    Of any other exception the model is told only the class: the text of an exception is written for
    programmers, and a model repeats to the caller what it reads. That text is logged.

    ```python
    @tool
    async def free_tables(day: str) -> int:
        \"\"\"How many tables are free on a day of the week.\"\"\"
        if day == "Sunday":
            raise ToolError("The restaurant is closed on Sundays.")
        return 3
    ```
    """


@define(eq=False)
class ToolContext:
    """The conversation in which a tool is called. A tool gets it by a parameter of this type.

    It may be used in any thread, and in the event loop of an asyncio host. After the end of the conversation
    it does nothing.

    ```python
    @tool
    async def look_up(order: int, context: ToolContext) -> str:
        \"\"\"The state of an order.\"\"\"
        context.say("That takes me a moment.")
        await trio.sleep(3)
        return "It is on its way."

    assert "context" not in look_up.spec.parameters["properties"]
    ```
    """

    conversation_id: str
    """The id of the conversation, by which its journal is named."""
    call: int
    """The number of this tool call in its conversation."""
    _emit: Emit
    _trio: trio.lowlevel.TrioToken = field(factory=trio.lowlevel.current_trio_token, init=False)

    def say(
        self,
        text: str,
        mode: SayMode = SayMode.QUEUE,
        *,
        interruptible: bool = True,
        then: EndReason | None = None,
    ) -> None:
        """As `Conversation.say`. Raises `ValueError` for a text without words."""
        self._report(words_to_say(text, mode, interruptible=interruptible, then=then))

    def send_digits(self, digits: str) -> None:
        """As `Conversation.send_digits`. Raises `ValueError` for anything but keys."""
        self._report(keys_to_press(digits))

    def end(self, reason: EndReason = EndReason.AGENT_HUNG_UP) -> None:
        """End the conversation properly."""
        self._report(HungUp(reason))

    def _report(self, fact: Fact) -> None:
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._trio:
            self._emit(fact)
            return
        # This keeps the order of all that the tool reports from its thread, including its result.
        with suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(self._emit, fact)


@frozen
class Tool:
    """A function that a language model may call. Made by `tool`.

    ```python
    @tool
    def add(one: float, other: float) -> float:
        \"\"\"The sum of two numbers.\"\"\"
        return one + other

    assert (add.name, add.spec.description) == ("add", "The sum of two numbers.")
    assert add.function(1, 2) == 3
    ```
    """

    spec: ToolSpec
    """What the model is told about the tool."""
    policy: ToolPolicy
    """What the machine needs to know about the tool."""
    function: Run
    """The function itself."""
    _arguments: ToolArguments
    _is_async: bool
    """Whether the function is asynchronous; others run in threads."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        return self.spec.name


@overload
def tool(function: Run, /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    timeout_s: float = 10,
    on_interruption: OnInterruption | Literal["cancel", "finish", "block"] = OnInterruption.FINISH,
    reply: bool = True,
    filler: str = "",
) -> Callable[[Run], Tool]: ...


def tool(
    function: Run | None = None,
    /,
    *,
    name: str | None = None,
    timeout_s: float = 10,
    on_interruption: OnInterruption | Literal["cancel", "finish", "block"] = OnInterruption.FINISH,
    reply: bool = True,
    filler: str = "",
) -> Tool | Callable[[Run], Tool]:
    """Make a tool of a function: `@tool`, or `@tool(timeout_s=5)`.

    The model is told the function's docstring and its parameters: their names, types, defaults and, by
    `Annotated[str, Field(description=...)]`, descriptions. Pydantic checks the model's arguments before the
    function is called. The model reads the result: a text as it is, None as `done`, everything else as JSON.

    A synchronous function runs in a thread, which Python cannot stop: a call that is cancelled or takes too
    long continues there, and its result is ignored. An asynchronous one runs under Trio or, for an asyncio
    host, in the host's loop.

    Raises `TypeError` for a function without a docstring or with parameters that a model cannot give, and
    `ValueError` for impossible options.

    ```python
    from typing import Annotated, Literal

    from pydantic import Field

    @tool(timeout_s=20, on_interruption="finish", filler="I am booking it.")
    def book_table(
        guests: Annotated[int, Field(ge=1, le=12, description="How many will come.")],
        room: Literal["inside", "outside"] = "inside",
    ) -> str:
        \"\"\"Book a table for tonight.\"\"\"
        return f"Booked: {guests} guests, {room}."

    transport = MemoryTransport()
    async with orchestrator.conversation(transport, tools=[book_table]) as conversation:
        assert conversation.state == "INITIALIZING"
    ```

    Args:
        function: synchronous or asynchronous, also a bound method.
        name: the name by which the model calls it; the function's name by default.
        timeout_s: a call that takes longer has failed, in seconds.
        on_interruption: what happens to a call when the caller interrupts: it is cancelled, it finishes
            silently, or it blocks the interruption.
        reply: whether the model is asked to speak about the result.
        filler: said when a call takes long; by default, one of `ConversationPolicy.tool_fillers`.
    """

    def make(made_of: Run) -> Tool:
        return _made(made_of, name, timeout_s, OnInterruption(on_interruption), reply, filler)

    return make if function is None else make(function)


def _made(
    function: Run,
    name: str | None,
    timeout_s: float,
    on_interruption: OnInterruption,
    reply: bool,
    filler: str,
) -> Tool:
    if not inspect.isroutine(function):
        raise TypeError(f"a tool is made of a function or a method, not of {function!r}")
    name = function.__name__ if name is None else name
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a tool's name: 1 to 64 letters, digits, _ and - (no others)")
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ValueError(f"timeout_s of {name} is {timeout_s}, but must be above 0 and finite")
    if filler:
        require_words(filler)
    description = inspect.getdoc(function)
    if not description:
        raise TypeError(
            f"{function.__qualname__} cannot be a tool without a docstring: "
            "it tells the model what the tool is for"
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__qualname__} cannot be a tool: it yields, and a tool returns one result")
    arguments = ToolArguments.of(function, ToolContext)
    return Tool(
        ToolSpec(name, description, arguments.schema),
        ToolPolicy(name, timeout_s * 1000, on_interruption, reply, filler),
        function,
        arguments,
        inspect.iscoroutinefunction(function),
    )
