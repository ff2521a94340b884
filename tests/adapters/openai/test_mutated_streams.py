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

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.sampled_from(["", " ", "x", "null", "stop"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
TEXTS = st.lists(
    st.text(
        st.characters(
            codec="utf-8", categories=("L", "N", "P", "Zs", "S", "Zl", "Zp", "Cc"), exclude_characters="<[{`◁"
        ),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=6,
)


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


@st.composite
def other_types(draw: st.DrawFn, stream: list[Chunk]) -> None:
    """Null, absent or of another type: fields that the text does not need. `error` is none of them."""
    for each in stream:
        if not draw(st.booleans()):
            continue
        choice = each["choices"][0]
        for fields, names in (
            (each, SPARE_FIELDS),
            (choice, SPARE_IN_CHOICE),
            (choice["delta"], SPARE_IN_DELTA),
        ):
            name = draw(st.sampled_from(names))
            if draw(st.booleans()):
                fields.pop(name, None)
            else:
                fields[name] = draw(harmless(name))


def harmless(name: str) -> st.SearchStrategy[Any]:
    """Values that say neither a word nor a call, nor that something went wrong."""
    if name in ("tool_calls", "function_call"):
        return st.sampled_from([None, "", 0, False, [], "none", [None], [[]]])
    if name == "refusal":
        return st.sampled_from([None, "", False, []])
    if name == "object":
        return ANYTHING.filter(lambda value: value != "error")
    return ANYTHING


WRAPPINGS: Sequence[Callable[[str], Any]] = (
    lambda text: text,
    lambda text: [{"type": "text", "text": text}],
    lambda text: {"type": "text", "text": text},
    lambda text: [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"text": text}],
    lambda text: [text],
)
NEUTRAL = st.sampled_from(
    [
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
    ]
)
AFTER = st.sampled_from(
    [
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
    ]
)


def encoded(each: Chunk, newline: str, ascii_only: bool, prefix: str, split: bool) -> bytes:
    """One event; `split`: its data in two lines, where JSON may be divided."""
    payload = json.dumps(each, ensure_ascii=ascii_only)
    if split:
        payload = payload.replace(', "choices"', f',{newline}data:{newline}{prefix}"choices"', 1)
    return f"{prefix}{payload}{newline}{newline}".encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: st.DrawFn) -> tuple[list[bytes], str]:
    """The bytes, cut anywhere, and the text that is in them."""
    texts = draw(TEXTS)
    wrap = draw(st.sampled_from(WRAPPINGS))
    stream = [chunk({"content": wrap(text)}) for text in texts]
    if draw(st.booleans()):
        stream.insert(0, chunk({"role": "assistant", "content": ""}))
    draw(other_types(stream))
    finish = draw(st.sampled_from(["stop", "length", "eos", "end_turn", "of_another_server"]))
    ends_apart = draw(st.booleans())
    if ends_apart:
        stream.append(chunk({}, finish))
    else:
        stream[-1]["choices"][0]["finish_reason"] = finish
    said_again = len(texts) > 1 and len("".join(texts).strip()) >= 8
    if ends_apart and draw(st.booleans()) and not (said_again and texts[-1] == "".join(texts[:-1])):
        stream[-2:] = reversed(stream[-2:])  # the end overtakes the last words
    if draw(st.booleans()):
        stream.append(chunk({}, finish))
    if said_again and draw(st.booleans()):
        stream.append(draw(st.sampled_from([chunk({"content": "".join(texts)}), whole("".join(texts))])))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    ascii_only, split = draw(st.booleans()), draw(st.booleans())
    prefix = draw(st.sampled_from(["data: ", "data:", "data: data: ", " data:  "]))
    events = [encoded(each, newline, ascii_only, prefix, split) for each in stream]
    for noise in draw(st.lists(NEUTRAL, max_size=3)):
        events.insert(draw(st.integers(0, len(events))), noise)
    if draw(st.booleans()):
        events.append(b"data: [DONE]" + newline.encode() * draw(st.integers(0, 2)))
    events += [b"\n\n", *draw(st.lists(AFTER, max_size=3))]
    bom = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return cut(draw, bom + b"".join(events)), "".join(texts)


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    size = draw(st.sampled_from([1, 2, 3, 7, 64, 1024]))
    shift = draw(st.integers(0, size - 1))
    starts = [0, *range(shift or size, len(data), size)]
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


@tried
@given(mutated())
def test_text_that_arrived_is_said_once_and_in_order_and_nothing_after_it_fails(
    stream: tuple[list[bytes], str],
) -> None:
    parts, text = stream
    spoken, answer = said(parts)
    assert spoken == text
    assert answer.failure is None
    assert answer.calls() == []


FIELDS = (
    *("choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index", "id"),
    *("finish_reason", "error", "object", "type", "text", "reasoning_content", "extra_content", "refusal"),
)
DOCUMENTS = st.recursive(
    ANYTHING | st.sampled_from(["Hi", "<think>", "{"]),
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
