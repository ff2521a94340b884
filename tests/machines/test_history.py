"""How many tokens of a model's context the history takes."""

from __future__ import annotations

from machines.history import Message, Speaker, tokens
from machines.tools import CallRecord, ToolCall


def asking(name: str = "weather", arguments: str = "{}", result: str | None = None) -> Message:
    call = CallRecord(1, ToolCall("call_1", name, arguments), result)
    return Message(Speaker.ASSISTANT, "Let me see.", calls=(call,))


def test_a_call_counts_with_its_name_its_arguments_and_its_result() -> None:
    asked = asking()
    assert tokens(asked) > tokens(Message(Speaker.ASSISTANT, "Let me see."))
    assert tokens(asking(name="weather" + 400 * "x")) == tokens(asked) + 100
    assert tokens(asking(arguments="{}" + 400 * " ")) == tokens(asked) + 100
    assert tokens(asking(result=400 * "x")) == tokens(asked) + 100
    assert tokens(asking(result=400 * "ü")) == tokens(asked) + 400


def test_each_call_of_a_message_counts() -> None:
    one = asking(result="Sunny.")
    both = Message(Speaker.ASSISTANT, one.text, calls=2 * one.calls)
    assert tokens(both) > tokens(one)
