"""Makes streams that were well-formed and then were changed as servers, gateways and networks change them.

`python -m tests.adapters.openai.mutated_streams --count 100000` reads as many of them and says which seed's
stream was not read as it should be. It prints how far it is, and takes some minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import click

from adapters.interfaces import ProviderError
from adapters.openai.answer import Answer
from tests.adapters.openai.test_deviations import TOOLS

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
    "abcdefghij 0123456789.,;:!?'\"()<>*#_~/\\|&%$+-=@^{}[]`\n\r\t\x0b\x0c\x1c\x85\u2028\u2029\ufeff"
    "\u00a0\x00äß€éñçЖшد你好，。？こんにちは안녕🙂👩‍👩‍👧🇩🇪\u0301\U0010fffd"
)
FRAGMENTS = (
    *("x < 5", "{well}", "[1]", "a `b`", "<b>", '{"a": 1}', '[{"a": 1}]', "```\n", "</b>", "x[0]"),
    *("a <think> b", "a <tool> b", "[thinks", '{"name": "', "{'", "<|", "end_call", "a send_digits("),
)
"""What only begins like something that is not for the caller."""


def anything(choices: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = choices.randrange(6 if depth else 4)
    if kind == 4:
        return [anything(choices, depth - 1) for _ in range(choices.randrange(3))]
    if kind == 5:
        return {name: anything(choices, depth - 1) for name in choices.sample("abc", choices.randrange(3))}
    return choices.choice(SCALARS)


def some_text(choices: Random) -> str:
    text = "".join(choices.choice(CHARACTERS) for _ in range(choices.randint(1, 12)))
    return f"a{choices.choice(FRAGMENTS)} {text}" if choices.random() < 0.2 else text


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


def usage() -> Chunk:
    return {**chunk({}), "choices": [], "usage": {"total_tokens": 9}}


CALLS = (("end_call", "{}"), ("send_digits", '{"digits": "12"}'))


def call_chunks(choices: Random, index: int) -> list[Chunk]:
    """The chunks of one call: its name, then its arguments in pieces."""
    name, arguments = CALLS[index]
    begun = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name}}
    size = choices.randint(1, 8)
    parts = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    pieces = [begun, *({"index": index, "function": {"arguments": part}} for part in parts)]
    return [chunk({"tool_calls": [piece]}) for piece in pieces]


def mixed_in(choices: Random, stream: list[Chunk], more: list[Chunk]) -> None:
    """Put chunks anywhere between the others, in their order."""
    places = sorted(choices.randint(0, len(stream)) for _ in more)
    for place, each in reversed(list(zip(places, more, strict=True))):
        stream.insert(place, each)


def repeated_and_reordered(choices: Random, texts: list[str]) -> list[str]:
    """The texts as they arrive: some twice, some too early. Nobody can know that, so all of it is said."""
    for _ in range(choices.randrange(3)):
        texts.insert(choices.randint(0, len(texts)), choices.choice(texts))
    if perhaps(choices):
        choices.shuffle(texts)
    if len(texts) > 1 and texts[-1].strip() == "".join(texts[:-1]).strip():
        texts.pop()  # the whole answer once more, at its end, is not said again
    return texts


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
            for name in choices.sample(names, choices.randint(1, len(names))):
                if name == "tool_calls" and "tool_calls" in fields:
                    continue
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


def mutated(choices: Random) -> tuple[list[bytes], str, list[tuple[str, str]]]:
    """The bytes, cut anywhere, and the text and the calls that are in them."""
    texts = repeated_and_reordered(choices, [some_text(choices) for _ in range(choices.randint(1, 6))])
    text = "".join(texts)
    wrap = choices.choice(WRAPPINGS)
    stream = [chunk({"content": wrap(each)}) for each in texts]
    called = choices.sample(range(len(CALLS)), choices.choice([0, 0, 1, 2]))
    for index in called:
        mixed_in(choices, stream, call_chunks(choices, index))
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
    mixed_in(choices, stream, [chunk({"role": "assistant", "content": ""})] * choices.randrange(3))
    mixed_in(choices, stream, [usage()] * choices.randrange(3))
    events = [encoded(each, newline, ascii_only, prefix, split) for each in stream]
    for _ in range(choices.randrange(4)):
        events.insert(choices.randint(0, len(events)), choices.choice(NEUTRAL))
    if perhaps(choices):
        events.append(b"data: [DONE]" + newline.encode() * choices.randrange(3))
    events += [b"\n\n", *(choices.choice(AFTER) for _ in range(choices.randrange(4)))]
    bom = b"\xef\xbb\xbf" if perhaps(choices) else b""
    return cut(choices, bom + b"".join(events)), text, [CALLS[index] for index in called]


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


def complaint(choices: Random) -> str | None:
    """What is wrong with how a stream is read: its text must be said once, and nothing after it may fail."""
    parts, text, calls = mutated(choices)
    spoken, answer = said(parts)
    if spoken != text:
        return f"said {spoken!r} instead of {text!r}"
    if answer.failure is not None:
        return f"failed after a complete answer: {answer.failure}"
    try:
        made = [(each.call.name, each.call.arguments) for each in answer.calls()]
    except ProviderError as error:
        return f"no calls: {error}"
    return None if sorted(made) == sorted(calls) else f"calls {made} instead of {calls}"


@click.command()
@click.option("--count", default=100_000, show_default=True, help="How many streams are read.")
@click.option("--first", default=0, show_default=True, help="The seed of the first; the next ones follow.")
def main(count: int, first: int) -> None:
    """Read mutated streams, one for each seed."""
    began, wrong = time.monotonic(), 0
    for number in range(count):
        found = complaint(Random(first + number))
        if found is not None:
            wrong += 1
            click.echo(f"seed {first + number}: {found}")
        if (number + 1) % 10_000 == 0:
            click.echo(f"{number + 1} streams, {wrong} wrong, {time.monotonic() - began:.0f} s")
    click.echo(f"{count} streams from seed {first}, {wrong} of them read wrongly.")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
