"""The built-in tools. `TOOLS` names those that the model may call; a host passes them like its own tools.

They make the same requests as a host can, and the machine decides: so last words are heard before the call
ends, and a caller who interrupts a farewell keeps the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from attrs import evolve
from pydantic import Field

from machines.facts import EndReason
from orchestrator.tools.host_utterances import has_words
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
    digits: Annotated[str, Field(description="The keys in their order: 0 to 9, *, #, such as: 42#")],
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


async def _press_nothing(digits: str, context: ToolContext) -> str:
    """In place of `send_digits`, where the tones of keys do not reach the other end."""
    del digits, context
    raise ToolError(
        "No key was pressed: this telephone line does not carry the tones of keys. Say that you cannot press"
        " keys, or ask for a person."
    )


def without_keys(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """The tools for a call in which no keys can be pressed: `send_digits` says so instead."""
    return tuple(evolve(each, function=_press_nothing) if each is send_digits else each for each in tools)


BUILT_IN = {each.name: each for each in (end_call, transfer_call, send_digits)}
"""The tools by their names in `TOOLS`."""


def built_in(names: Iterable[str]) -> tuple[Tool, ...]:
    """The built-in tools with these names."""
    return tuple(BUILT_IN[name] for name in names)


def _say_last(text: str, then: EndReason, context: ToolContext, *, interruptible: bool) -> None:
    """Say the text and then end the conversation; end it at once if the text has no words."""
    if has_words(text):
        context.say(text, interruptible=interruptible, then=then)
    else:
        context.end(then)
