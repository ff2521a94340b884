"""Reads the JSON documents out of the bytes of a response.

Server-sent events are read as the standard says, and more tolerantly where servers need it.

Lines end at LF, CR and CRLF only. Text is UTF-8, whatever the header says. The `data` lines of an event are
joined by LF. A line that is a whole document by itself is given at once, since some servers send no blank
lines. A body that is not an event stream (it begins with a brace or a bracket) holds one document, or one
document in each line.

Nothing here fails: what cannot be read comes out as `Unreadable`.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from attrs import frozen
from pydantic_core import from_json

from machines.bounds import LONGEST_EVENT

_DONE = re.compile(r"[\"'<]*\[?done\]?[>\"'.;]*(?:\\[nr])*", re.IGNORECASE)
"""The last line of a stream, as it should be and as some servers write it."""
_LONGEST_DONE = 20
_ENDS = ("done", "end")
"""Names of events without data that end a stream."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_NESTED_PREFIX = re.compile(r"(?:\s*data:)+")
_BLANKS = " \t\ufeff\x00"
"""What may stand before a field. Servers that join texts leave byte order marks there."""
_COMMENTS = re.compile(r"(?:<!--.*?-->\s*)+")
_BETWEEN = re.compile(r"\s*(?:data:\s*)*")
"""What stands between two documents of one line."""
LENIENT_JSON = json.JSONDecoder(strict=False)


@frozen
class Document:
    """A JSON value that the server sent, and the name of its event, which is mostly empty."""

    value: Any
    event: str = ""


@frozen
class Done:
    """The server said that nothing more comes."""


@frozen
class Unreadable:
    """Something that could not be read. `what` says what it was, without its content."""

    what: str
    web_page: bool = False


Read = Document | Done | Unreadable


class DocumentReader:
    """Takes a response's bytes, cut anywhere; gives each document as soon as it is complete.

    The time it takes grows in proportion to the bytes.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        """The beginning of a line, in pieces as they came."""
        self._after_cr = False
        """The last line ended at a CR. An LF that follows belongs to it."""
        self._begun = False
        """More than a byte order mark came."""
        self._fields = False
        """A field of an event came, so the body is an event stream."""
        self._body = False
        """The body is one document of several lines."""
        self._dead = False
        """Something was too long, or was not an answer at all. The rest is not read."""
        self._name = ""
        self._data: list[str] = []
        self._length = 0
        """Characters in `_line` and `_data`."""
        self._kept_alive = False
        """A comment came, or a blank line before anything else."""

    def feed(self, data: bytes) -> list[Read]:
        """Read these bytes; returns what they complete, in order."""
        return self._take(self._decoder.decode(data))

    def kept_alive(self) -> bool:
        """Whether something came, since this was last asked, that only shows that the server is there."""
        kept, self._kept_alive = self._kept_alive, False
        return kept

    def finish(self) -> list[Read]:
        """End the response; returns what this completes."""
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
            if self._length + end.start() - start > LONGEST_EVENT:
                return read + self._lengthen(end.start() - start)
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
        """Keep the beginning of a line until its end comes."""
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
        if not self._body and (comments := _COMMENTS.match(line)):
            line = line[comments.end() :]
        if self._body:
            return self._add(line)
        if not line.strip():
            self._kept_alive = self._kept_alive or not self._fields
            return self._dispatch()
        if line.startswith(("{", "[")):
            # The body is not an event stream, or the server wrote a document into one.
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
        if name == "error":  # only llama.cpp has such lines
            return self._add(f'{{"error": {value}}}')
        if name == "event":
            self._name = value.strip()
        self._kept_alive = self._kept_alive or not name
        return []  # a comment that keeps the connection alive, or another field

    def _add(self, line: str) -> list[Read]:
        """Take a line of data: give it at once if it is a whole document, else keep it for the next lines."""
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
        """Give what the event holds, since it is over."""
        lines, name = self._data, self._name
        self._data, self._name, self._length = [], "", sum(map(len, self._line))
        if not lines:
            return [Done()] if name in _ENDS else []
        if (read := _read("\n".join(lines), name)) is not None:
            return [read]
        if len(lines) == 1 or self._body:
            return _several("\n".join(lines), name)
        return [read for line in lines for read in _several(line, name)]


def _read(text: str, name: str) -> Read | None:
    """Read a text by itself; None if it is not a whole document."""
    if len(text) <= _LONGEST_DONE and _DONE.fullmatch(text):
        return Done()
    try:
        return Document(from_json(text), name)
    except ValueError:
        pass
    try:
        # Takes halves of characters, and control characters in texts, which `from_json` refuses.
        return Document(json.loads(text, strict=False), name)
    except (ValueError, RecursionError):
        return None


def _several(text: str, name: str) -> list[Read]:
    """What stands in a text that is not one document: mostly several, without a line's end between them."""
    if (read := _read(text, name)) is not None:
        return [read]
    found: list[Read] = []
    at = 0
    while at < len(text):
        try:
            value, end = LENIENT_JSON.raw_decode(text, at)
        except (ValueError, RecursionError):
            rest = text[at:].strip()
            return [*found, Done() if _DONE.fullmatch(rest[:_LONGEST_DONE]) else _unreadable(rest, name)]
        found.append(Document(value, name))
        between = _BETWEEN.match(text, end)
        at = between.end() if between else end
    return found


def _unreadable(text: str, name: str) -> Read:
    """A text that is not JSON. A broken object may have held a part of the answer; "ping" holds nothing."""
    if text.lstrip()[:1] in ("{", "["):
        return Unreadable(f"a malformed chunk of {len(text)} characters")
    return Document(text, name)
