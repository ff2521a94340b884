"""The built-in tools. `TOOLS` names those that the model may call; a host passes them like its own tools.

They make the same requests as a host can, and the machine decides: so last words are heard before the call
ends, and a caller who interrupts a farewell keeps the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated

from attrs import evolve
from pydantic import Field

from adapters.twilio.dtmf import as_keys
from machines.facts import EndReason
from machines.language.scripts import has_sound
from machines.tools import OnInterruption
from orchestrator.tools.tool import Tool, ToolContext, ToolError, tool


@tool(reply=False)
async def end_call(
    farewell: Annotated[
        str,
        Field(
            description="The last words to the caller, one short sentence in the caller's language, "
            "such as: Thank you for calling, goodbye!"
        ),
    ],
    context: ToolContext,
) -> str:
    """Say goodbye and hang up.

    Use it when the caller says goodbye or wants to hang up, or when everything is settled and the caller
    needs nothing more. Do not use it while a question is open. The farewell is spoken for you before the call
    ends: do not say goodbye in your own text too.
    """
    _say_last(farewell, EndReason.AGENT_HUNG_UP, context, interruptible=True)
    return "The farewell is said, and then the call ends."


@tool(reply=False)
async def transfer_call(
    announcement: Annotated[
        str,
        Field(
            description="What the caller hears before, one short sentence in the caller's language, "
            "such as: I am connecting you with a colleague, one moment please."
        ),
    ],
    context: ToolContext,
) -> str:
    """Hand the caller over to a person, which ends your part in the call.

    Use it when the caller asks for a person, or needs what you cannot do. The announcement is spoken for you
    before the caller is connected: do not announce it in your own text too.
    """
    _say_last(announcement, EndReason.HANDED_OVER, context, interruptible=False)
    return "The announcement is said, and then the caller is connected with a person."


@tool(reply=False)
async def send_digits(
    digits: Annotated[
        str,
        Field(
            description="The keys in their order: 0 to 9, *, #, such as: 42#. w waits half a second, for "
            "menus that need time, such as: 1ww2"
        ),
    ],
    context: ToolContext,
) -> str:
    """Press keys of the telephone, as a menu at the other end asks for.

    Use it when you are connected to an automatic menu ("for opening hours press 2") or asked to type a
    number. Never use it to tell digits to a person: say them instead.
    """
    try:
        context.send_digits(digits)
    except ValueError as error:
        raise ToolError(f"{error}.") from None
    return "The keys are pressed."


PRESSING_TIMEOUT_MS = 120_000
"""The carrier's own limit is shorter; before that, what is being said is finished."""
NO_TONES = "this telephone line does not carry the tones of keys"
NO_TELEPHONE = "this is not a telephone call"


def without_keys(tools: Iterable[Tool], why: str) -> tuple[Tool, ...]:
    """The tools for a call in which no keys can be pressed: `send_digits` says so instead, and why."""

    async def press_nothing(digits: str, context: ToolContext) -> str:
        del digits, context
        raise ToolError(f"No key was pressed: {why}. Say that you cannot press keys, or ask for a person.")

    return tuple(evolve(each, function=press_nothing) if each is send_digits else each for each in tools)


def pressing_keys(tools: Iterable[Tool], press: Callable[[str], Awaitable[str | None]]) -> tuple[Tool, ...]:
    """The tools for a call whose carrier presses keys: `send_digits` ends when they were pressed.

    `press` takes keys as in `adapters.twilio.dtmf.KEYS`, and returns why they were not pressed.
    """

    async def press_and_wait(digits: str, context: ToolContext) -> str:
        del context
        try:
            keys = as_keys(digits)
        except ValueError as error:
            raise ToolError(f"{error}.") from None
        failed = await press(keys)
        if failed is not None:
            raise ToolError(f"It is not certain that the keys were pressed: {failed}.")
        return "The keys were pressed."

    def changed(each: Tool) -> Tool:
        policy = evolve(
            each.policy, timeout_ms=PRESSING_TIMEOUT_MS, on_interruption=OnInterruption.BLOCK, silent=True
        )
        return evolve(each, function=press_and_wait, policy=policy)

    return tuple(changed(each) if each is send_digits else each for each in tools)


BUILT_IN = {each.name: each for each in (end_call, transfer_call, send_digits)}
"""The tools by their names in `TOOLS`."""


def built_in(names: Iterable[str]) -> tuple[Tool, ...]:
    """The built-in tools with these names."""
    return tuple(BUILT_IN[name] for name in names)


def _say_last(text: str, then: EndReason, context: ToolContext, *, interruptible: bool) -> None:
    """Say the text and then end the conversation; end it at once if the text has no words."""
    if has_sound(text):
        context.say(text, interruptible=interruptible, then=then)
    else:
        context.end(then)
