"""Takes out of an answer what a model wrote under a label that is not for the caller.

Models that were trained on prompts for agents label the parts of an answer, each at the start of a line.
Templates that do not fit a model leave names of speakers there.

| label | what follows it |
|---|---|
| `Thought:`, `Here is my thought process:` | a thought, up to the next label; if there is none, the answer |
| `Action:` and `Action Input:` | a call of a tool. What follows `Observation:` is made up |
| `Final Answer:`, `Here is my response:`; `Answer:` and `Response:` after the others or first | the answer |
| `Assistant:`, before anything else | the answer |
| `User:`, `Human:`, after the answer | a turn that is made up, as is the rest |
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping

from attrs import frozen

from adapters.interfaces import ToolSpec
from adapters.openai.streamed_calls import is_object, offered_name, plain_arguments
from machines.bounds import LONGEST_THOUGHTS

_LABELS = {
    "thought": ("thought", "thoughts", "here is my thought process", "here's my thought process"),
    "action": ("action",),
    "input": ("action input",),
    "observation": ("observation",),
    "answer": ("final answer", "here is my response", "here's my response"),
    "plain answer": ("answer", "response"),
    "assistant": ("assistant",),
    "caller": ("user", "human"),
}
_KINDS = {word: kind for kind, words in _LABELS.items() for word in words}
_WORDS = "|".join(sorted((re.escape(word) for word in _KINDS), key=len, reverse=True))
_LABEL = re.compile(rf"[ \t]{{0,3}}[*_#]{{0,3}}[ \t]?({_WORDS})[*_]{{0,2}}:[*_]{{0,2}}", re.IGNORECASE)
_ROLE_LINE = re.compile(r"assistant[ \t]{0,3}\r?\n", re.IGNORECASE)
"""What a template leaves of the head of a turn."""
_BEFORE_WORDS = re.compile(r"[ \t]{0,3}[*_#]{0,3}[ \t]?")
_BEHIND_WORDS = re.compile(r"[*_]{0,2}:?[*_]{0,2}\Z|[ \t]{0,3}\r?\Z")
_AROUND_NAME = " \t\r\n*_`\"'[]"
_LONGEST_LINE = 160
"""Characters of a line that may name a tool."""
_NO_TOOL = re.compile(r"\W+")


@frozen
class Labelled:
    """What the filter makes of some text."""

    text: str = ""
    """To be said."""
    alive: bool = False
    """Something is held back or left out."""
    calls: tuple[tuple[str, str], ...] = ()
    """Calls of tools that are offered: names, and arguments as JSON."""
    unknown_call: bool = False
    """A tool that is not offered was called."""


class _In(enum.Enum):
    ANSWER = "answer"
    THOUGHT = "thought"
    CALL = "call"
    REST = "rest"
    """Nothing of the rest is for the caller."""


class LabelFilter:
    """Takes an answer in pieces. Where they are cut changes only blanks after a label."""

    def __init__(self, offered: Mapping[str, ToolSpec] | None = None) -> None:
        self._offered = offered or {}
        self._held = ""
        """The start of a line that may become a label."""
        self._line_start = True
        self._in = _In.ANSWER
        self._seen = False
        """There were labels that only a model for agents writes."""
        self._inside: list[str] = []
        """What was written in a thought or a call."""
        self._inside_length = 0
        self._label = ""
        """How that began."""
        self._name = ""
        """The line that names the tool of a call."""
        self._input = False
        """The call's arguments have begun."""
        self._line_blank = True
        """The line so far is blank."""
        self._said = False
        """Text other than blanks was given."""
        self._strip = False
        """Blanks after a label are left out."""
        self._called = False
        self._unknown = False

    def push(self, piece: str) -> Labelled:
        """Add a piece."""
        return self._filter(piece, last=False)

    def finish(self, *, cut_off: bool = False, called: bool = False) -> Labelled:
        """End the answer.

        `cut_off`: the limit of tokens ended it, so that a thought stays one. `called`: the model calls a
        tool, so that what led to it is a thought.
        """
        before = self._filter("", last=True)
        said: list[str] = []
        calls = list(before.calls)
        self._leave(said, calls, resolved=cut_off or called or bool(calls))
        return Labelled(before.text + "".join(said), before.alive, tuple(calls), self._unknown)

    def undecided(self) -> str:
        """The text to say if the answer breaks off here."""
        return self._held if self._in is _In.ANSWER else ""

    def _filter(self, piece: str, *, last: bool) -> Labelled:
        self._held += piece
        said: list[str] = []
        calls: list[tuple[str, str]] = []
        while self._held:
            if self._line_start:
                if not last and _may_become_label(self._held, first=not self._said):
                    break
                if self._take_label(said, calls):
                    continue
                self._line_blank = True
            end = self._held.find("\n") + 1 or len(self._held)
            line, self._held = self._held[:end], self._held[end:]
            self._line_start = line.endswith("\n")
            self._line_blank = self._line_blank and not line.strip()
            self._take(line, said, calls)
        text = "".join(said)
        alive = self._in is not _In.ANSWER or bool(self._held) or bool(calls)
        return Labelled(text, alive and not text, tuple(calls), self._unknown)

    def _take(self, text: str, said: list[str], calls: list[tuple[str, str]]) -> None:
        if self._in is _In.CALL and not self._input and self._name.strip() and text.strip():
            if not self._name.endswith("\n"):
                self._name += text
                return
            # No arguments follow the tool's name.
            self._leave(said, calls, resolved=True)
            self._begin(_In.REST if self._called else _In.ANSWER, "")
        if self._in is _In.ANSWER:
            text = text.lstrip() if self._strip else text
            if text:
                said.append(text)
                self._strip = False
                self._said = self._said or bool(text.strip())
            return
        if self._in is _In.REST or self._inside_length > LONGEST_THOUGHTS:
            return
        if self._in is _In.CALL and not self._input:
            self._name = self._name + text if self._name.strip() else text.lstrip()
            return
        begun = bool(self._inside_length)
        if begun or text.strip():
            self._inside.append(text)
            self._inside_length += len(text)
        paragraph = self._in is _In.THOUGHT and self._label in _LABELS["thought"][:2]
        if paragraph and begun and self._line_blank and self._line_start:
            # One paragraph is the thought. What follows it without a label is the answer.
            self._begin(_In.ANSWER, "")
            self._strip = True

    def _take_label(self, said: list[str], calls: list[tuple[str, str]]) -> bool:
        """Take the label at the start of this line. Returns whether there was one that counts."""
        if not self._said and self._in is _In.ANSWER and (role := _ROLE_LINE.match(self._held)):
            self._held, self._strip = self._held[role.end() :], True
            return True
        found = _LABEL.match(self._held)
        if found is None or self._in is _In.REST:
            return False
        word = found[1].casefold()
        kind = _KINDS[word]
        if not self._counts(kind):
            return False
        if kind == "input":
            self._input = True
        else:
            self._leave(said, calls, resolved=True)
            self._enter(kind, word)
        self._held, self._line_start = self._held[found.end() :], False
        if self._called:
            self._begin(_In.REST, "")
        return True

    def _counts(self, kind: str) -> bool:
        match kind:
            case "thought" | "answer":
                return True
            case "action":
                return self._seen or self._calls_follow()
            case "input":
                return self._in is _In.CALL
            case "observation":
                return self._seen
            case "plain answer":
                return self._seen or not self._said
            case "assistant":
                return not self._said and self._in is _In.ANSWER
        return self._said and self._in is _In.ANSWER

    def _calls_follow(self) -> bool:
        """Whether this line names a tool on offer."""
        name = self._held.partition("\n")[0].partition(":")[2]
        return offered_name(name.strip(_AROUND_NAME), self._offered) is not None

    def _enter(self, kind: str, word: str) -> None:
        self._seen = self._seen or kind in ("thought", "action", "observation")
        self._strip = True
        if kind == "thought":
            self._begin(_In.THOUGHT, word)
        elif kind == "action":
            self._begin(_In.CALL, word)
        elif kind == "observation":
            self._begin(_In.THOUGHT, kind)
        elif kind == "caller":
            self._begin(_In.REST, word)
        else:
            self._begin(_In.ANSWER, word)

    def _begin(self, where: _In, label: str) -> None:
        self._in, self._label = where, label
        self._name, self._input = "", False
        self._inside, self._inside_length = [], 0

    def _leave(self, said: list[str], calls: list[tuple[str, str]], *, resolved: bool) -> None:
        """A label or the end ends what was begun. A thought is the answer if nothing else is."""
        inside = "".join(self._inside)
        if self._in is _In.CALL:
            call = self._call(inside)
            if call is not None:
                calls.append(call)
                self._called = True
            elif _NO_TOOL.sub("", self._name).casefold() not in ("", "none", "na"):
                self._unknown = True
        elif self._in is _In.THOUGHT and not (resolved or self._said) and self._label != "observation":
            said.append(inside.lstrip())
        self._inside, self._inside_length = [], 0

    def _call(self, written: str) -> tuple[str, str] | None:
        """The call of a tool on offer."""
        name = offered_name(self._name.strip(_AROUND_NAME), self._offered)
        if name is None:
            return None
        properties = self._offered[name].parameters.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return name, "{}"
        arguments = plain_arguments(written.strip())
        if not is_object(arguments) and len(properties) == 1 and "{" not in arguments:
            arguments = json.dumps({next(iter(properties)): arguments.strip(" \t\r\n\"'")})
        return name, arguments


def _may_become_label(line: str, *, first: bool) -> bool:
    """Whether the text so far may go on as a label, or as a label that tells more than it does now."""
    if "\n" in line or len(line) > _LONGEST_LINE:
        return False
    begun = _BEFORE_WORDS.match(line)
    rest = line[begun.end() if begun else 0 :].casefold()
    if not rest:
        return True
    for word in _KINDS:
        if word.startswith(rest):
            return True
        if rest.startswith(word):
            behind = rest[len(word) :]
            if word == "action" and behind.startswith(":"):
                return True  # the line names a tool, or does not
            if (word == "assistant" and first and not behind.strip()) or _BEHIND_WORDS.match(behind):
                return True
    return False
