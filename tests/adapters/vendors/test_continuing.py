"""An answer that broke off is continued: the model is sent the beginning, and generates the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
import trio

from adapters.interfaces import ProviderError
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.simulators import Fault, FaultKind, simulators
from machines.history import Message, Speaker
from tests.adapters.simulated_vendors import KEY

ASKED = [
    Message(Speaker.SYSTEM, "Be short."),
    Message(Speaker.USER, "Hello"),
    Message(Speaker.ASSISTANT, "Hello! This is Alex."),
    Message(Speaker.USER, "How much does it cost?"),
]
ANSWER = "It starts at forty-nine dollars a month. Shall I explain?"


def without_markers(text: str) -> str:
    return " ".join(re.sub(r"\|\|BREAK\|\|", " ", text).split())


async def collect(
    model: OpenAILanguageModel, messages: Sequence[Message], take: Callable[[str], None]
) -> None:
    async with model.generate(messages) as pieces:
        async for piece in pieces:
            assert isinstance(piece, str)
            take(piece)


@pytest.mark.parametrize("after", range(1, 20, 3))
async def test_an_answer_that_broke_off_anywhere_is_completed_without_repetition(after: int) -> None:
    faults = [Fault(FaultKind.RESET, "openai", after=after)]
    pieces: list[str] = []
    async with simulators(keys=[KEY], faults=faults) as running:
        async with http_client() as http:
            model = OpenAILanguageModel(http, running.openai_url, "gpt-4.1", KEY)
            with pytest.raises(ProviderError):
                await collect(model, ASKED, pieces.append)
            said = without_markers("".join(pieces))
            assert ANSWER.startswith(said)
            assert said != ANSWER
            await collect(model, [*ASKED, Message(Speaker.ASSISTANT, said)], pieces.append)
        with trio.fail_after(60):
            await running.all_closed()
    assert without_markers("".join(pieces)) == ANSWER


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ("It starts", "at forty-nine dollars a month. Shall I explain?"),
        ("It starts at forty-nine dollars a month.\n Shall", "I explain?"),
        (ANSWER, ""),
        ("Something else entirely.", ANSWER),
    ],
)
async def test_the_simulated_model_continues_the_answer_in_its_last_message(said: str, rest: str) -> None:
    pieces: list[str] = []
    async with simulators(keys=[KEY]) as running:
        async with http_client() as http:
            model = OpenAILanguageModel(http, running.openai_url, "gpt-4.1", KEY)
            await collect(model, [*ASKED, Message(Speaker.ASSISTANT, said)], pieces.append)
        with trio.fail_after(60):
            await running.all_closed()
    assert without_markers("".join(pieces)) == rest
