"""Labels, names of speakers and turns that a model writes into its answer, wherever the stream is cut."""

from __future__ import annotations

import pytest

from adapters.interfaces import ProviderError
from machines.facts import ErrorClass
from tests.adapters.openai.test_deviations import NOON, ONE, STOP, choice, say
from tests.adapters.openai.test_odd_streams import failure, read

DIGITS, END = ("send_digits", ONE), ("end_call", "{}")


def answers(text: str, finish: str = STOP) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """What is said and called, of the text in all halves and in single characters."""
    cuts = [[text], list(text), *([text[:at], text[at:]] for at in range(1, len(text)))]
    read_ = (read(*(say(part) for part in parts), finish) for parts in cuts)
    return {(" ".join(said.split()), tuple(calls)) for said, calls in read_}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"Thought: I know that.\nFinal Answer: {NOON}", NOON),
        (f"**Thought:** I know: it is.\n\n**Final Answer:** {NOON}", NOON),
        (f"Thought: I know that.\n\n{NOON}", NOON),
        (f"Thought: I do not need a tool.\nAction: None\nAnswer: {NOON}", NOON),
        (f"Thought: {NOON}", NOON),
        (f"Here is my thought process: The caller\nwants it.\n\nHere is my response: {NOON}", NOON),
        (f"Assistant: {NOON}", NOON),
        (f"assistant\n\n{NOON}", NOON),
        (f"Answer: {NOON}", NOON),
        (f"{NOON}\nUser: And now?\nAssistant: It is one.", NOON),
        (f"{NOON}\n\nHuman: And now?", NOON),
    ],
)
def test_what_stands_under_a_label_for_somebody_else_is_not_said(text: str, said: str) -> None:
    assert answers(text) == {(said, ())}


@pytest.mark.parametrize(
    ("text", "said", "call"),
    [
        (f"Thought: I need it.\nAction: send_digits\nAction Input: {ONE}", "", DIGITS),
        (f"I will press it.\nAction: send_digits\nAction Input: {ONE}\n", "I will press it.", DIGITS),
        (
            f"Thought: x\nAction: send_digits\nAction Input: {ONE}\nObservation: ok\n"
            "Thought: Done.\nFinal Answer: I pressed it.",
            "",
            DIGITS,
        ),
        ("**Action:** `send_digits`\n**Action Input:** 1", "", DIGITS),
        ("Goodbye!\nAction: end_call", "Goodbye!", END),
        ("<send_digits><digits>1</digits></send_digits>", "", DIGITS),
        ("<send_digits>\n<digits>\n1\n</digits>\n</send_digits>", "", DIGITS),
    ],
)
def test_a_call_that_is_written_in_lines_or_tags_is_made(text: str, said: str, call: tuple[str, str]) -> None:
    assert answers(text) == {(said, (call,))}


@pytest.mark.parametrize(
    "text",
    [
        "Action: we take your case to the manager.",
        "Answer the question: is it noon?",
        "Food for thought: it is noon.",
        "The user: that is you.",
        "We say:\nAction: we will see.\nThen we go.",
        "Users: ten. Assistants: two.",
        "It is noon.\nObservation: the sky is blue.",
        "Thoughtful people say it.",
        "Human beings are here. Actions: none.",
    ],
)
def test_what_only_looks_like_a_label_is_said(text: str) -> None:
    assert answers(text) == {(" ".join(text.split()), ())}


def test_a_call_of_no_tool_on_offer_is_asked_for_again() -> None:
    error = failure(say("Thought: x\nAction: fly\nAction Input: {}\n"), STOP)
    assert error.failure.error_class is ErrorClass.UNUSABLE_ANSWER


def test_a_thought_that_the_limit_cut_off_is_not_said() -> None:
    with pytest.raises(ProviderError) as raised:
        read(say("Thought: I have to think about"), choice("length"))
    assert raised.value.failure.error_class is ErrorClass.LIMIT_SPENT


@pytest.mark.parametrize(
    "text",
    [
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{NOON}<|eot_id|>",
        f"[/INST] {NOON}</s>",
        f"<|assistant|>\n{NOON}<|end|>",
        f"<|start_of_role|>assistant<|end_of_role|>{NOON}<|end_of_text|>",
        f"{NOON}<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\nIt is one.",
        f"{NOON}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd now?",
        f"{NOON}<|user|>\nAnd now?",
        f"{NOON}</s><s>[INST] And now? [/INST] It is one.",
        f"{NOON}<|endoftext|>The history of clocks",
        f"<|im_start|>user\nWhat time is it?<|im_end|>\n<|im_start|>assistant\n{NOON}<|im_end|>",
        f"[INST] What time is it? [/INST] {NOON}",
    ],
)
def test_marks_of_turns_and_turns_that_are_made_up_are_not_said(text: str) -> None:
    assert answers(text) == {(NOON, ())}
