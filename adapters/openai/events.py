"""From the bytes of a response to the JSON documents in it.

Server-sent events are read as strictly as the standard asks and as tolerantly as servers need.

Lines end at LF, CR and CRLF only. Text is UTF-8, whatever the header says. The `data` lines of an event are
joined by LF, but one that is a whole document by itself is given at once: some servers send no blank lines.
A body that is no event stream (it begins with a brace or a bracket) is read as one document, or as one a
line.

Nothing here fails: what cannot be read comes out as `Unreadable`.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from attrs import frozen
from pydantic_core import from_json

LONGEST_EVENT = 1 << 20
"""Characters of one event, or of a body that is one document. No answer's piece comes near it."""
_DONE = "[DONE]"
_LINE_END = re.compile(r"\r\n|\n|\r")
_NESTED_PREFIX = re.compile(r"(?:\s*data:)+")
_BLANKS = " \t"


@frozen
class Document:
    """A JSON value that the server sent, under the name of its event, which is mostly empty."""

    value: Any
    event: str = ""


@frozen
class Done:
    """The server said that nothing more comes."""


@frozen
class Unreadable:
    """Something that is not what it looks like. `what` says what it was, without its content."""

    what: str
    web_page: bool = False


Read = Document | Done | Unreadable


class EventReader:
    """Takes a response's bytes, cut anywhere; gives what is in them as soon as it is complete.

    Takes time in proportion to what it is given.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        """The beginning of a line, in the pieces in which it came."""
        self._after_cr = False
        """The last line ended at a CR: an LF that follows belongs to that end."""
        self._begun = False
        """Something else than a byte order mark came."""
        self._fields = False
        """A field of an event came: the body is an event stream."""
        self._body = False
        """It is one document, of several lines."""
        self._dead = False
        """Something was too long, or no answer at all: the rest is not read."""
        self._name = ""
        self._data: list[str] = []
        self._length = 0
        """Characters of the line and the data that are kept."""

    def feed(self, data: bytes) -> list[Read]:
        """What these bytes complete, in order."""
        return self._take(self._decoder.decode(data))

    def finish(self) -> list[Read]:
        """What the end of the response completes."""
        read = self._take(self._decoder.decode(b"", final=True))
        if self._dead:
            return read
        if self._line:
            read += self._take_line(self._whole_line(""))
        return read + self._dispatch()

    def _take(self, text: str) -> list[Read]:
        if not self._begun:
            text = text.removeprefix("\ufeff")
            self._begun = bool(text)
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        read: list[Read] = []
        start = 0
        for end in _LINE_END.finditer(text):
            if self._dead:
                return read
            read += self._take_line(self._whole_line(text[start : end.start()]))
            start = end.end()
        if not self._dead and start < len(text):
            read += self._keep(text[start:])
        self._after_cr = text.endswith("\r") or (self._after_cr and not text)
        return read

    def _whole_line(self, end: str) -> str:
        line = "".join((*self._line, end))
        self._length -= len(line) - len(end)
        self._line.clear()
        return line

    def _keep(self, part: str) -> list[Read]:
        """The beginning of a line, whose end is still to come."""
        self._line.append(part)
        return self._lengthen(len(part))

    def _lengthen(self, by: int) -> list[Read]:
        self._length += by
        if self._length <= LONGEST_EVENT:
            return []
        self._dead = True
        return [Unreadable(f"an event of more than {LONGEST_EVENT:,} characters")]

    def _take_line(self, line: str) -> list[Read]:
        line = line.lstrip(_BLANKS) if not self._body else line
        if self._body:
            return self._add(line)
        if not line.strip():
            return self._dispatch()
        if line.startswith(("{", "[")):
            # The body is no event stream, or a server writes a document into the midst of one.
            read = self._add(line)
            self._body = not self._fields and bool(self._data)
            return read
        if line.startswith("<"):
            self._dead = True
            return [Unreadable("a web page", web_page=True)]
        name, _, value = line.partition(":")
        self._fields = True
        if name == "data":
            return self._add(value)
        if name == "error":  # llama.cpp's own kind of event
            return self._add(f'{{"error": {value}}}')
        if name == "event":
            self._name = value.strip()
        return []  # a comment that keeps the connection alive, or another field

    def _add(self, line: str) -> list[Read]:
        """One more line of data: given at once if it is whole, else kept for the lines that follow."""
        if not self._body:
            if nested := _NESTED_PREFIX.match(line):
                line = line[nested.end() :]
            line = line.strip()
            if not line:
                return []
        if not self._data and (read := _read(line, self._name)) is not None:
            self._name = ""
            return [read]
        self._data.append(line)
        return self._lengthen(len(line) + 1)

    def _dispatch(self) -> list[Read]:
        """The event is over."""
        lines, name = self._data, self._name
        self._data, self._name, self._length = [], "", sum(map(len, self._line))
        if not lines:
            return []
        if (read := _read("\n".join(lines), name)) is not None:
            return [read]
        if len(lines) == 1 or self._body:
            return [_unreadable("\n".join(lines), name)]
        return [_read(line, name) or _unreadable(line, name) for line in lines]


def _read(text: str, name: str) -> Read | None:
    """What this text is by itself; None if it is no whole document."""
    if text == _DONE:
        return Done()
    try:
        return Document(from_json(text), name)
    except ValueError:
        pass
    try:
        # Halves of characters, and control characters in texts, which others refuse.
        return Document(json.loads(text, strict=False), name)
    except (ValueError, RecursionError):
        return None


def _unreadable(text: str, name: str) -> Read:
    """Words of a server, like "ping", hold nothing of an answer; a broken object may have."""
    if text.lstrip()[:1] in ("{", "["):
        return Unreadable(f"a malformed chunk of {len(text)} characters")
    return Document(text, name)
