"""The prompt of the embedded language model."""

from __future__ import annotations

import itertools

from adapters.embedded.smoke_test_brain import EXAMPLES, SYSTEM_PROMPT, prompt
from machines.history import Message, Speaker
from machines.tools import CallRecord, ToolCall


def conversation(turns: int, length: int = 60) -> list[Message]:
    return [
        Message(speaker, f"{number} ".ljust(length, "x"))
        for number in range(turns)
        for speaker in (Speaker.USER, Speaker.ASSISTANT)
    ]


def test_the_examples_stand_between_the_system_message_and_the_conversation() -> None:
    system = Message(Speaker.SYSTEM, "You sell flowers.")
    assert prompt([system, *conversation(1)]) == [system, *EXAMPLES, *conversation(1)]


def test_a_conversation_without_a_system_message_gets_one() -> None:
    assert prompt(conversation(1))[0] == Message(Speaker.SYSTEM, SYSTEM_PROMPT)


def test_a_long_conversation_keeps_its_end_and_fits_the_context() -> None:
    sent = prompt(conversation(200))
    assert sent[-1] == conversation(200)[-1]
    assert 800 < sum(len(message.text) for message in sent) < 2500


def test_while_a_long_conversation_grows_the_beginning_of_the_prompt_mostly_stays() -> None:
    """The model reads only what differs from what it read last."""
    prompts = [prompt(conversation(turns)) for turns in range(1, 100)]
    starts = [sent[len(EXAMPLES) + 1] for sent in prompts]
    changes = sum(before != after for before, after in itertools.pairwise(starts))
    assert changes <= len(prompts) / 5


def test_calls_stay_with_their_message_and_take_their_room() -> None:
    record = CallRecord(1, ToolCall("call_1", "menu", "{}"), "x" * 1000)
    asking = Message(Speaker.ASSISTANT, "", calls=(record,))
    assert prompt([*conversation(1), asking])[-1] == asking
    sent = prompt([*conversation(1), *[asking] * 10])
    assert [message for message in sent if message.calls] == [asking]


def test_one_enormous_message_is_sent_as_it_is() -> None:
    huge = Message(Speaker.USER, "x" * 100_000)
    assert prompt([*conversation(3), huge])[-1] == huge
