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
from orchestrator.tools.host_utterances import keys_to_press, require_words, words_to_say
from orchestrator.tools.tool_arguments import Arguments

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Run = Callable[..., Any]
"""A function of any signature, synchronous or not."""


class ToolError(Exception):
    """Raised by a tool that cannot do what it is asked: its text, the reason, is what the model is told.

    Of every other exception the model learns no more than its class, for the text of an exception is written
    for programmers, and a model repeats to the caller what it reads. That text goes to the log.

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
    """The conversation that a tool is called in: a parameter of this type is no argument of the model's.

    It may be used from a thread, and from the event loop of an asyncio host. After the end of the
    conversation it does nothing.

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
    """Of the conversation; names its journal."""
    call: int
    """The number of this call of a tool, in its conversation."""
    _put: Emit
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
        self._tell(words_to_say(text, mode, interruptible=interruptible, then=then))

    def send_digits(self, digits: str) -> None:
        """As `Conversation.send_digits`. Raises `ValueError` for what is no key."""
        self._tell(keys_to_press(digits))

    def end(self, reason: EndReason = EndReason.AGENT_HUNG_UP) -> None:
        """End the conversation, as soon as everything is closed properly."""
        self._tell(HungUp(reason))

    def _tell(self, fact: Fact) -> None:
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._trio:
            self._put(fact)
            return
        # In order with whatever else comes from that thread, the tool's result included.
        with suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(self._put, fact)


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
    """What the model is told of it."""
    policy: ToolPolicy
    """What the conversation must know of it."""
    function: Run
    """As it was written."""
    _arguments: Arguments
    _is_async: bool
    """The function is awaited; others run in threads."""

    @property
    def name(self) -> str:
        """The model's name for it."""
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
    `Annotated[str, Field(description=...)]`, descriptions. What it gives is checked by pydantic before the
    function is called. The result is for the model to read: text as it is, nothing as `done`, everything else
    as JSON.

    A synchronous function runs in a thread, which Python cannot stop: a call that is cancelled or takes too
    long goes on there, unheard. An asynchronous one runs under Trio, or, for an asyncio host, in its loop.

    Raises `TypeError` for a function without docstring or with parameters that a model cannot give, and
    `ValueError` for options that make no sense.

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
        function: synchronous or asynchronous; a method of an object too.
        name: the model's name for it; the function's by default.
        timeout_s: a call that takes longer has failed, in seconds.
        on_interruption: what becomes of a call when the caller goes on to speak: it is cancelled, or it
            finishes silently, or it blocks the interruption.
        reply: whether the model is asked to speak about the result.
        filler: said when a call takes long; by default, what `ConversationPolicy.tool_fillers` has.
    """

    def make(of: Run) -> Tool:
        return _made(of, name, timeout_s, OnInterruption(on_interruption), reply, filler)

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
    arguments = Arguments.of(function, ToolContext)
    return Tool(
        ToolSpec(name, description, arguments.schema),
        ToolPolicy(name, timeout_s * 1000, on_interruption, reply, filler),
        function,
        arguments,
        inspect.iscoroutinefunction(function),
    )
