"""Streams that were well-formed and then were changed as servers, gateways and networks change them.

Whatever is done to a stream that leaves its text in it: the text is said once and in order, and once an
answer is complete nothing that follows can fail it.

`STREAM_EXAMPLES=100000 pytest tests/adapters/openai/test_mutated_streams.py` tries as many streams.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.interfaces import ProviderError
from adapters.openai.answer import LONGEST_ANSWER, LONGEST_PIECE, Answer
from adapters.openai.markup import MarkupFilter
from tests.adapters.openai.test_deviations import TOOLS

EXAMPLES = int(os.environ.get("STREAM_EXAMPLES", "300"))
tried = settings(max_examples=EXAMPLES, deadline=None)

CI = EXAMPLES <= 1000
CHOICES = st.randoms(use_true_random=not CI)
"""Draws that Hypothesis makes smaller after a failure; for long runs, seeds, which are ten times as fast."""

SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    float("nan"),
    10**30,
    "",
    " ",
    "x",
    "null",
    "stop",
)
CHARACTERS = (
    "abcdefghij 0123456789.,;:!?'\"()>*#_~/\\|&%$+-=@^}]\n\r\t\x0b\x0c\x1c\x85\u2028\u2029\ufeff\u00a0\x00"
    "äß€éñçЖшد你好，。？こんにちは안녕🙂👩‍👩‍👧🇩🇪\u0301\U0010fffd"
)
"""Without those that a tag may begin with: tags have tests of their own."""


def anything(choices: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = choices.randrange(6 if depth else 4)
    if kind == 4:
        return [anything(choices, depth - 1) for _ in range(choices.randrange(3))]
    if kind == 5:
        return {name: anything(choices, depth - 1) for name in choices.sample("abc", choices.randrange(3))}
    return choices.choice(SCALARS)


def some_text(choices: Random) -> str:
    return "".join(choices.choice(CHARACTERS) for _ in range(choices.randint(1, 12)))


def perhaps(choices: Random) -> bool:
    return choices.random() < 0.5


# --- a well-formed stream, and what is done to it ---------------------------------------------------------

Chunk = dict[str, Any]


def chunk(delta: Chunk, finish: str | None = None) -> Chunk:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "system_fingerprint": None,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


def whole(text: str) -> Chunk:
    """The whole answer once more, as some servers end a stream."""
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


SPARE_FIELDS = (
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "usage",
    "prompt_filter_results",
    "x",
)
SPARE_IN_CHOICE = ("index", "logprobs", "content_filter_results", "stop_reason")
SPARE_IN_DELTA = (
    "role",
    "audio",
    "annotations",
    "tool_calls",
    "function_call",
    "refusal",
    "reasoning_content",
)


def change_types(choices: Random, stream: list[Chunk]) -> None:
    """Null, absent or of another type: fields that the text does not need. `error` is none of them."""
    for each in stream:
        if perhaps(choices):
            continue
        choice = each["choices"][0]
        for fields, names in (
            (each, SPARE_FIELDS),
            (choice, SPARE_IN_CHOICE),
            (choice["delta"], SPARE_IN_DELTA),
        ):
            name = choices.choice(names)
            if perhaps(choices):
                fields.pop(name, None)
            else:
                fields[name] = harmless(choices, name)


def harmless(choices: Random, name: str) -> Any:
    """A value that says neither a word nor a call, nor that something went wrong."""
    if name in ("tool_calls", "function_call"):
        return choices.choice([None, "", 0, False, [], "none", [None], [[]]])
    if name == "refusal":
        return choices.choice([None, "", False, []])
    return anything(choices)


WRAPPINGS: Sequence[Callable[[str], Any]] = (
    lambda text: text,
    lambda text: [{"type": "text", "text": text}],
    lambda text: {"type": "text", "text": text},
    lambda text: [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"text": text}],
    lambda text: [text],
)
NEUTRAL = (
    b": ping\n\n",
    b"\n",
    b"data:\n\n",
    b"data: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b"id: 7\nretry: 10\n\n",
    b'data: {"type": "FromTheFuture"}\n\n',
    b'data: {"choices": []}\n\n',
    b'data: {"choices": null, "usage": {}}\n\n',
    b'data: {"choices": [null]}\n\n',
    b'data: {"choices": [{}]}\n\n',
    b'data: {"choices": [{"delta": null}]}\n\n',
    b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n',
    b'data: {"choices": [{"delta": {"reasoning": "Hm."}}]}\n\n',
    b'data: {"error": null, "choices": []}\n\n',
    b"data: 5\n\n",
    b"data: null\n\n",
    b"nonsense\n\n",
)
AFTER = (
    b"data: {broken\n\n",
    b'data: {"error": {"message": "late"}}\n\n',
    b"event: error\ndata: {}\n\n",
    b"error: {}\n\n",
    b"<html>\n",
    b"\xff\xfe\n\n",
    b"data: [DONE]\n\n",
    b'data: {"choices": [{"delta": {}, "finish_reason": "error"}]}\n\n',
    b'data: {"choices": [{"delta": {"tool_calls": [5, null]}}]}\n\n',
    b"data: [[[[[[\n\n",
    b"x" * 300 + b"\n\n",
)


def encoded(each: Chunk, newline: str, ascii_only: bool, prefix: str, split: bool) -> bytes:
    """One event; `split`: its data in two lines, where JSON may be divided."""
    payload = json.dumps(each, ensure_ascii=ascii_only)
    if split:
        payload = payload.replace(', "choices"', f',{newline}data:{newline}{prefix}"choices"', 1)
    return f"{prefix}{payload}{newline}{newline}".encode("utf-8", "surrogatepass")


def mutated(choices: Random) -> tuple[list[bytes], str]:
    """The bytes, cut anywhere, and the text that is in them."""
    texts = [some_text(choices) for _ in range(choices.randint(1, 6))]
    text = "".join(texts)
    wrap = choices.choice(WRAPPINGS)
    stream = [chunk({"content": wrap(each)}) for each in texts]
    if perhaps(choices):
        stream.insert(0, chunk({"role": "assistant", "content": ""}))
    change_types(choices, stream)
    finish = choices.choice(["stop", "length", "eos", "end_turn", "of_another_server"])
    said_again = len(texts) > 1 and len(text.strip()) >= 8
    if perhaps(choices):
        stream.append(chunk({}, finish))
        if perhaps(choices) and not (said_again and texts[-1] == "".join(texts[:-1])):
            stream[-2:] = reversed(stream[-2:])  # the end overtakes the last words
    else:
        stream[-1]["choices"][0]["finish_reason"] = finish
    if perhaps(choices):
        stream.append(chunk({}, finish))
    if said_again and perhaps(choices):
        stream.append(choices.choice([chunk({"content": text}), whole(text)]))
    newline = choices.choice(["\n", "\r\n", "\r"])
    ascii_only, split = perhaps(choices), perhaps(choices)
    prefix = choices.choice(["data: ", "data:", "data: data: ", " data:  "])
    events = [encoded(each, newline, ascii_only, prefix, split) for each in stream]
    for _ in range(choices.randrange(4)):
        events.insert(choices.randint(0, len(events)), choices.choice(NEUTRAL))
    if perhaps(choices):
        events.append(b"data: [DONE]" + newline.encode() * choices.randrange(3))
    events += [b"\n\n", *(choices.choice(AFTER) for _ in range(choices.randrange(4)))]
    bom = b"\xef\xbb\xbf" if perhaps(choices) else b""
    return cut(choices, bom + b"".join(events)), text


def cut(choices: Random, data: bytes) -> list[bytes]:
    size = choices.choice([1, 2, 3, 7, 64, 1024])
    starts = [0, *range(choices.randint(1, size), len(data), size)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def new_answer() -> Answer:
    return Answer(
        "test",
        "",
        offered={tool.name: tool for tool in TOOLS},
        limit=None,
        begins_in_thought=False,
        new_id=str,
        note_ignored=lambda: None,
        may_be_empty=True,
    )


def said(parts: Sequence[bytes]) -> tuple[str, Answer]:
    answer = new_answer()
    pieces: list[str] = []
    for part in parts:
        if answer.over:
            break
        pieces += answer.feed(part)
    if not answer.over:
        pieces += answer.end()
    return "".join([*pieces, *answer.last_pieces()]), answer


# --- what holds -------------------------------------------------------------------------------------------


@pytest.mark.slow
@tried
@given(CHOICES)
def test_text_that_arrived_is_said_once_and_in_order_and_nothing_after_it_fails(choices: Random) -> None:
    parts, text = mutated(choices)
    spoken, answer = said(parts)
    assert spoken == text
    assert answer.failure is None
    assert answer.calls() == []


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
        markup = MarkupFilter(begins_in_thought=in_thought)
        came = [*map(markup.push, parts), markup.finish()]
        return "".join(each.text for each in came).strip(), [call for each in came for call in each.calls]

    assert filtered([text[at : at + size] for at in range(0, len(text), size)]) == filtered([text])


@pytest.mark.slow
@pytest.mark.parametrize(
    "flood",
    [
        b"data: " + json.dumps(chunk({"content": "x" * 900_000})).encode() + b"\n\n",
        b"x" * 10_000_000,
        b"data: {" + b"x" * 10_000_000,
        b"\n" * 3_000_000,
        b"data: \n" * 1_000_000,
        b"data: {\n" * 300_000,
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
