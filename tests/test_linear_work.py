"""Work on text that callers, models and vendors wrote grows in proportion to it, whatever it consists of.

Twice the text may be at most about twice the work. Work is counted, not timed: lines of Python that ran, and
characters that were copied or searched by methods of the text. What regular expressions do is not seen so;
they are given texts that would keep a quadratic one busy for a quarter of an hour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from adapters.interfaces import ToolSpec
from adapters.logs import mask_secrets
from adapters.openai.answer import Answer
from adapters.openai.hidden_text import HiddenTextFilter
from adapters.openai.response_documents import DocumentReader
from adapters.openai.streamed_calls import StreamedCalls, plain_arguments
from adapters.openai.written_calls import written_calls
from adapters.printable import printable
from adapters.spoken_text import spoken_text
from machines import phrases
from machines.facts import Word
from machines.history import Message, Speaker, tokens
from machines.language import scripts
from machines.playback_ledger import PlaybackLedger, SpokenSegment
from machines.segments import Segmenter
from orchestrator.journal.redaction import Redactor
from tests.adapters.openai.mutated_streams import new_answer

HOSTILE = {
    "newlines": "\n",
    "blanks": " ",
    "blank lines": "\n \n",
    "one letter": "a",
    "short words": "ab ",
    "backchannels": "uh-huh ",
    "sentences": "One two. ",
    "full stops": ".",
    "closing quotes": '." ',
    "open French quotes": "« a. ",
    "digits": "1",
    "numbers": "1. ",
    "abbreviations": "e.g. ",
    "letters with marks": "e\u0301",
    "only marks": "\u0301",
    "Chinese": "中。",
    "Thai": "ก ",
    "emoji": "😀",
    "backticks": "`",
    "stars": "** a",
    "brackets": "[",
    "open links": "[a](",
    "open tags": '<a b="',
    "open comments": "<!-- ",
    "spelling": "<spell>a. ",
    "rows of a table": "| a |\n",
    "fences": "```\n",
    "breaks": "||BREAK||",
    "almost breaks": "|| ",
    "entities": "&",
    "open thoughts": "<think>",
    "marks of turns": "</s>",
    "open objects": '{"name"',
    "closing braces": "}",
    "closed in a text": '{"name":"}}}}}}}}',
    "open parameters": "<function=a><parameter=a>",
    "open keys": "<tool_call>a<arg_key>b",
    "lines of data": "data: {\n",
    "addresses": "//a:b@",
    "keys": "sk-token bearer ",
}
OFFERED = {"a": ToolSpec("a", "", {})}


def in_pieces(text: str, size: int = 7) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def segment(text: str, *, whole: bool) -> None:
    segmenter = Segmenter()
    for piece in [text] if whole else in_pieces(text):
        segmenter.push(piece)
    segmenter.finish()


def take_out_markup(text: str, *, in_thought: bool = False) -> None:
    hidden = HiddenTextFilter(OFFERED, begins_in_thought=in_thought)
    for piece in in_pieces(text):
        hidden.push(piece)
    hidden.finish()


def read_events(text: str) -> None:
    reader = DocumentReader()
    for piece in in_pieces(text, 300):
        reader.feed(piece.encode())
    reader.finish()


def collect_arguments(text: str) -> None:
    calls = StreamedCalls("vendor", OFFERED)
    for piece in in_pieces(text):
        calls.add([{"index": 0, "function": {"name": "a", "arguments": piece}}])


def collect_objects(text: str) -> None:
    """Fragments that each look like the beginning of another object."""
    calls = StreamedCalls("vendor", OFFERED)
    for piece in in_pieces(text):
        calls.add([{"index": 0, "function": {"name": "a", "arguments": "{" + piece}}])


def repeat_after_the_end(text: str) -> None:
    answer: Answer = new_answer()
    answer.feed(b'data: {"choices": [{"delta": {"content": "So it was."}, "finish_reason": "stop"}]}\n\n')
    for piece in in_pieces(text):
        answer._take_text(answer._new_text(_ending(piece)))


def say_in_two_choices(text: str) -> None:
    from adapters.openai.normalized_chunk import Chunk
    from adapters.openai.repeats import Repeats

    repeats = Repeats()
    for piece in in_pieces(text):
        for choice in (0, 1):
            repeats.new(Chunk(piece, choice=choice), ends=False)
    repeats.finish()


def read_joined_documents(text: str) -> None:
    """Documents on one line, and what a document is not."""
    reader = DocumentReader()
    reader.feed(b"data: " + b"{}" * len(text) + text.replace("\n", " ").encode() + b"\n\n")


def plain_arguments_of(text: str) -> None:
    for begun in ("", "{", "```json\n{", '"', "{}", "[{}"):
        plain_arguments(begun + text)


def _ending(text: str) -> Any:
    from adapters.openai.normalized_chunk import Chunk

    return Chunk(text, finish="stop")


def align_words(text: str) -> None:
    words = tuple(Word(word, at, at + 1.0) for at, word in enumerate(phrases.words_of(text)))
    SpokenSegment(text, 1000.0, words).marks()


def keep_ledger(text: str) -> None:
    ledger = PlaybackLedger()
    for piece in in_pieces(text):
        scripts.gap(ledger.last_text(), piece)
        ledger.add(piece)
    ledger.split(1000.0)
    ledger.text()


def find_echo(text: str) -> None:
    phrases.without_echo(text, text)
    words = phrases.words_of(text)
    phrases.occurs_late(words[: len(words) // 4], text)
    phrases.without_backchannels(words, phrases.BACKCHANNELS)


WORK: dict[str, Callable[[str], object]] = {
    "segments of a whole text": partial(segment, whole=True),
    "segments of pieces": partial(segment, whole=False),
    "spoken text": spoken_text,
    "words": phrases.words_of,
    "pieces": scripts.pieces_of,
    "first words": lambda text: phrases.first_words(text, 3),
    "unfinished": phrases.sounds_unfinished,
    "echo and backchannels": find_echo,
    "joining": lambda text: scripts.joined(*text),
    "word alignment": align_words,
    "word alignment by weight": lambda text: SpokenSegment(text, 1000.0).marks(),
    "playback ledger": keep_ledger,
    "history": lambda text: tokens(Message(Speaker.USER, text)),
    "redaction": lambda text: Redactor().words(text),
    "markup of a model": take_out_markup,
    "a thought of a model": partial(take_out_markup, in_thought=True),
    "events": read_events,
    "arguments": collect_arguments,
    "objects": collect_objects,
    "calls in a text": lambda text: written_calls(text, OFFERED),
    "text after the end": repeat_after_the_end,
    "two choices": say_in_two_choices,
    "documents of one line": read_joined_documents,
    "wrapped arguments": plain_arguments_of,
    "a line of the log": lambda text: mask_secrets(None, "info", {"event": text}),
    "what a vendor said": lambda text: printable(text, "hunter2hunter2"),
}


class Counted(str):
    """A text that counts the characters that its methods look at or copy."""

    touched = 0


def _counting(name: str) -> Callable[..., Any]:
    plain = getattr(str, name)

    def method(self: Counted, *arguments: Any) -> Any:
        result = plain(self, *arguments)
        Counted.touched += len(result) if isinstance(result, str) else len(self)
        return Counted(result) if isinstance(result, str) else result

    return method


for _name in ("__getitem__", "__add__", "strip", "lstrip", "rstrip", "casefold", "lower", "replace"):
    setattr(Counted, _name, _counting(_name))
for _name in ("split", "splitlines", "count", "__contains__", "encode", "isascii"):
    setattr(Counted, _name, _counting(_name))


def work_of(function: Callable[[str], object], text: str) -> int:
    """Lines that ran, and characters that were touched."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        if event == "call" and frame.f_code is json.JSONDecoder.decode.__code__:
            lines += len(frame.f_locals["s"])
        return trace

    Counted.touched = 0
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(Counted(text))
    except Exception as error:  # a bound that was reached is an answer, too
        assert "without end" in str(error)
    finally:
        sys.settrace(before)
    return lines + Counted.touched


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
def test_twice_the_text_is_at_most_twice_the_work(work: str) -> None:
    length = 400
    for kind, unit in HOSTILE.items():
        text = unit * (2 * length // len(unit) + 1)
        work_of(WORK[work], text[:50])  # caches are filled
        once, twice = work_of(WORK[work], text[:length]), work_of(WORK[work], text[: 2 * length])
        assert twice <= 2.25 * once + 1000, f"{work}, {kind}: {once:,} steps, then {twice:,}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "work", ["pieces", "first words", "words", "a line of the log", "what a vendor said", "calls in a text"]
)
def test_a_flood_of_one_kind_is_worked_through(work: str) -> None:
    """Quadratic work on 300,000 blanks took half an hour."""
    for unit in (
        "\n",
        " ",
        "\n ",
        "a",
        ".",
        "\u0301",
        "[",
        "token ",
        "<parameter=a>",
        "<arg_key>a</arg_key> ",
    ):
        WORK[work]((unit * (300_000 // len(unit)))[:300_000])
