"""Calls of tools in OpenAI's chat interface, assembled from streamed fragments.

Those that a model wrote into its text are read by `written_calls`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai import finish_reasons
from machines.bounds import LONGEST_ARGUMENTS, MOST_CALLS
from machines.facts import ErrorClass
from machines.tools import ToolCall

_NO_ARGUMENTS = "{}"
_SHORT = 256
"""Characters, blanks included, that `{}` may have."""


def is_object(arguments: str) -> bool:
    """Whether this is a whole JSON object."""
    return _object(arguments) is not None


def _object(arguments: str) -> dict[str, Any] | None:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class ObjectScanner:
    """Finds where the brackets at the beginning of a text are closed, each character looked at once."""

    def __init__(self) -> None:
        self.end: int | None = None
        """How long the object is, once it has ended."""
        self.length = 0
        """Of the text so far."""
        self._depth = 0
        self._quote = ""
        """The mark that opened a text within; empty outside of one."""
        self._escaped = False

    def push(self, piece: str) -> int | None:
        """Add a piece; returns `end`. After the end nothing is looked at."""
        if self.end is None:
            self._scan(piece)
        self.length += len(piece)
        return self.end

    def _scan(self, piece: str) -> None:
        for at, character in enumerate(piece):
            if self._quote:
                ends = character == self._quote and not self._escaped
                self._escaped = character == "\\" and not self._escaped
                self._quote = "" if ends else self._quote
            elif character in "\"'":
                self._quote = character
            elif character in "{[(":
                self._depth += 1
            elif character in "}])":
                self._depth -= 1
                if self._depth == 0:
                    self.end = self.length + at + 1
                    return


# --- fragments --------------------------------------------------------------------------------------------


@frozen
class _Fragment:
    """What one delta says about one call. An empty text says nothing."""

    index: int | None
    id: str
    name: str
    arguments: str
    extra: Any
    """What the provider wants to see again with the call."""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> _Fragment:
        """Read a fragment from any fields. A field of the wrong type says nothing."""
        function = fields.get("function")
        function = function if isinstance(function, Mapping) else fields
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):  # some servers do not write a text
            arguments = json.dumps(arguments)
        return cls(
            _index(fields.get("index")),
            _text(fields.get("id")),
            # Models with channels write the marks of a channel behind the name.
            _text(function.get("name")).partition("<|")[0].removeprefix("functions."),
            _text(arguments),
            fields.get("extra_content"),
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _index(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (ValueError, TypeError, OverflowError):
        return None


@define
class _Begun:
    """A call whose fragments are still coming."""

    index: int | None
    id: str = ""
    name: str = ""
    _arguments: list[str] = field(factory=list)
    _length: int = 0
    extra: Any = None
    _scanner: ObjectScanner = field(factory=ObjectScanner)
    _goes_on: bool = False
    """Something other than blanks followed the end of the object."""
    _whole: dict[str, Any] | None = None

    def written(self) -> str:
        """The arguments so far."""
        return "".join(self._arguments).strip()

    def whole(self) -> dict[str, Any] | None:
        """The arguments so far, if they are a whole object. It is read once."""
        if self._scanner.end is None or self._goes_on:
            return None
        if self._whole is None:
            self._whole = _object(self.written())
        return self._whole

    def _append(self, text: str) -> None:
        before, ended = self._scanner.length, self._scanner.end is not None
        self._arguments.append(text)
        end = self._scanner.push(text)
        if end is not None:
            self._goes_on = self._goes_on or bool(text[0 if ended else end - before :].strip())

    def add(self, fragment: _Fragment) -> None:
        self.id = self.id or fragment.id
        self.extra = self.extra or fragment.extra
        if fragment.name != self.name:  # some servers repeat the name with every fragment
            self.name += fragment.name
        if fragment.arguments.lstrip().startswith("{") and self._arguments:
            self._add_object(fragment.arguments)
        else:
            self._append(fragment.arguments)
        self._length += len(fragment.arguments)

    def _add_object(self, arguments: str) -> None:
        """Add an object. Some servers send the whole arguments after an opening brace, or send them twice."""
        whole = _object(arguments)
        if whole is None:
            self._append(arguments)
        elif self._written_is("", "{", _NO_ARGUMENTS):
            self._arguments, self._scanner, self._goes_on, self._whole = [], ObjectScanner(), False, None
            self._append(arguments)
        elif self.whole() != whole:
            self._append(arguments)

    def _written_is(self, *short: str) -> bool:
        """Whether the arguments so far are one of these. Long ones are not put together for that."""
        return self._length <= _SHORT and self.written() in short

    @property
    def too_long(self) -> bool:
        return self._length > LONGEST_ARGUMENTS

    def goes_on_with(self, fragment: _Fragment, offered: Mapping[str, ToolSpec]) -> bool:
        """Whether the fragment belongs to this call. Servers may leave out its number, id or name.

        Some servers number all calls of an answer 0, each with its own id, so a new name with a new id begins
        another call. A new id alone does not: some servers make one for every fragment. Without number and
        id, a name begins a call, and so does another object after whole arguments.
        """
        if fragment.index is not None and fragment.index != self.index:
            return False
        other_id = bool(fragment.id and self.id and fragment.id != self.id)
        if fragment.index is None and fragment.id:
            return not other_id and bool(self.id)
        if other_id and fragment.name:
            return False
        if fragment.index is None and fragment.name:
            return False
        return not self._is_over(fragment, offered)

    def _is_over(self, fragment: _Fragment, offered: Mapping[str, ToolSpec]) -> bool:
        """Whether this call is whole, so that the fragment begins another."""
        if fragment.name and fragment.name != self.name and self.name in offered:
            longer = self.name + fragment.name
            if not any(name.startswith(longer) for name in offered):
                return True
        begins = fragment.arguments.lstrip().startswith("{")
        if not (begins or (fragment.name and fragment.name != self.name)):
            return False
        if self._written_is(_NO_ARGUMENTS) and not (fragment.name and fragment.name != self.name):
            return False
        whole = self.whole()
        return whole is not None and not (begins and _object(fragment.arguments) == whole)


def _numbered(position: int) -> str:
    return f"call_{position}"


@frozen
class MadeCall:
    """A call that the model wants, with `extra`, which its provider wants to see again."""

    call: ToolCall
    extra: Any = None


@define
class StreamedCalls:
    """The calls of one answer, in the order in which they began.

    `new_id` gives an id to a call without one; it gets the call's place.
    """

    _provider: str
    _offered: Mapping[str, ToolSpec] = field(factory=dict)
    _new_id: Callable[[int], str] = _numbered
    _begun: list[_Begun] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self._begun)

    def add(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Add the `tool_calls` of a delta. Raises `ProviderError` if there are too many."""
        for fields in deltas:
            fragment = _Fragment.read(fields)
            begun = self._call_of(fragment)
            begun.add(fragment)
            if begun.too_long or len(self._begun) > MOST_CALLS:
                raise ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: calls of tools without end")

    def add_written(self, name: str, arguments: str) -> None:
        """Add a call that was written as text."""
        if len(self._begun) <= MOST_CALLS:
            self._begun.append(_Begun(None, "", name, [arguments]))

    def finish(self, reason: str) -> list[MadeCall]:
        """All calls, once the answer has ended for this `reason`. Raises `ProviderError`."""
        if len(self._begun) > MOST_CALLS:
            raise ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: calls of tools without end")
        if not all(begun.name for begun in self._begun):
            raise self._error("a call of a tool without the tool's name")
        if finish_reasons.cut_off(reason) and not all(is_object(begun.written()) for begun in self._begun):
            raise self._error(f"a call of a tool was cut off: {reason}")
        taken: set[str] = set()
        made = []
        for position, begun in enumerate(self._begun):
            identity = begun.id if begun.id not in ("", *taken) else self._new_id(position)
            taken.add(identity)
            arguments = without_halves(begun.written()) or _NO_ARGUMENTS
            made.append(MadeCall(ToolCall(identity, without_halves(begun.name), arguments), begun.extra))
        return made

    def _call_of(self, fragment: _Fragment) -> _Begun:
        for begun in reversed(self._begun):
            if begun.goes_on_with(fragment, self._offered):
                return begun
            if (fragment.index is None and not fragment.id) or begun.index == fragment.index is not None:
                break  # such a fragment can only belong to the newest call
        # A call without a name after one with arguments calls the same tool.
        name = self._begun[-1].name if self._begun and self._begun[-1].written() else ""
        self._begun.append(_Begun(fragment.index, name="" if fragment.name or fragment.id else name))
        return self._begun[-1]

    def _error(self, what: str) -> ProviderError:
        return ProviderError(ErrorClass.UNUSABLE_ANSWER, f"{self._provider}: {what}")


_HALF = re.compile("[\ud800-\udfff]")


def without_halves(text: str) -> str:
    """Join the two halves of a character, and drop lone halves, which no encoder takes."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
