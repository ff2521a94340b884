"""Streams that were well-formed and then were changed as servers, gateways and networks change them.

Whatever is done to a stream that leaves its text in it: the text is said once and in order, and once an
answer is complete nothing that follows can fail it. `mutated_streams.py` tries as many as you like.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.interfaces import ProviderError
from adapters.openai.hidden_text import HiddenTextFilter
from machines.bounds import LONGEST_ANSWER, LONGEST_PIECE
from tests.adapters.openai.mutated_streams import SCALARS, chunk, complaint, new_answer, said
from tests.adapters.openai.test_deviations import TOOLS

pytestmark = pytest.mark.slow
OFFERED = {tool.name: tool for tool in TOOLS}

tried = settings(max_examples=300, deadline=None)


@pytest.mark.slow
@tried
@given(st.randoms(use_true_random=False))
def test_text_that_arrived_is_said_once_and_in_order_and_nothing_after_it_fails(choices: Random) -> None:
    assert complaint(choices) is None


FIELDS = (
    *("choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index", "id"),
    *("finish_reason", "error", "object", "type", "text", "reasoning_content", "extra_content", "refusal"),
)
DOCUMENTS = st.recursive(
    st.sampled_from(SCALARS) | st.sampled_from(["Hi", "<think>", "{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@pytest.mark.slow
@tried
@given(st.lists(DOCUMENTS | st.binary(max_size=40), max_size=6))
def test_whatever_comes_an_answer_or_one_provider_error_comes_out(values: list[Any]) -> None:
    parts = [
        value if isinstance(value, bytes) else f"data: {json.dumps(value)}\n\n".encode() for value in values
    ]
    _, answer = said(parts)
    with contextlib.suppress(ProviderError):
        answer.calls()


MARKED = st.lists(
    st.sampled_from(
        [
            *(
                "<think>",
                "</think>",
                "[THINK]",
                "[/THINK]",
                "<tool_call>",
                "</tool_call>",
                "<|im_end|>",
                "</s>",
            ),
            *(
                "<function=end_call>",
                "</function>",
                "<|channel|>",
                "final",
                "analysis",
                "<|message|>",
                "<|end|>",
            ),
            *(
                "<|start|>",
                "assistant",
                '{"name"',
                ': "end_call", "arguments": {}}',
                "end_call",
                "send_digits(",
                '"1")',
                "call:",
                "<invoke name=",
                "</invoke>",
                "<Tool_Use>",
                "[thinking]",
                "```json\n{",
                "```",
                "}",
            ),
            *("<", "Hi. ", "\n\n", "x < 5", "[", "{", '"', "[TOOL_CALLS]", "<|python_tag|>"),
        ]
    ),
    max_size=8,
).map("".join)


@pytest.mark.slow
@tried
@given(MARKED, st.integers(1, 9), st.booleans())
def test_what_is_filtered_out_of_a_text_does_not_depend_on_where_it_is_cut(
    text: str, size: int, in_thought: bool
) -> None:
    def filtered(parts: Sequence[str]) -> tuple[str, list[str]]:
        hidden = HiddenTextFilter(OFFERED, begins_in_thought=in_thought)
        came = [*map(hidden.push, parts), hidden.finish()]
        return "".join(each.text for each in came).strip(), [call for each in came for call in each.calls]

    assert filtered([text[at : at + size] for at in range(0, len(text), size)]) == filtered([text])


@pytest.mark.slow
@pytest.mark.parametrize(
    "flood",
    [
        b"data: " + json.dumps(chunk({"content": "x" * 900_000})).encode() + b"\n\n",
        b"x" * 10_000_000,
        b"data: {" + b"x" * 10_000_000,
        b"\n" * 300_000,
        b"data: \n" * 150_000,
        b"data: {\n" * 100_000,
        b"data: " + json.dumps(chunk({"content": "</s>" * 200_000})).encode() + b"\n\n",
        b"data: " + b"[" * 900_000 + b"\n\n",
        b"data: " + json.dumps(chunk({"content": '{"name"' * 100_000})).encode() + b"\n\n",
    ],
    ids=["text", "line", "event", "blank lines", "empty data", "lines of data", "marks", "depth", "objects"],
)
def test_a_flood_is_read_in_proportion_to_its_length(flood: bytes) -> None:
    """Whoever takes the pieces gets short ones, and no more than an answer can be."""
    answer = new_answer()
    pieces = [piece for at in range(0, len(flood), 65536) for piece in answer.feed(flood[at : at + 65536])]
    assert sum(map(len, pieces)) <= LONGEST_ANSWER
    assert max(map(len, pieces), default=0) <= 2 * LONGEST_PIECE
