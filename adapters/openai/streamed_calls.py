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
from adapters.openai.response_documents import LENIENT_JSON
from machines.bounds import LONGEST_ARGUMENTS, MOST_CALLS
from machines.facts import ErrorClass
from machines.tools import ToolCall

ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "action_input")
_NO_ARGUMENTS = "{}"
_SHORT = 256
"""Characters, blanks included, that `{}` may have."""
_NOTHING = ("", "null", "none", "undefined", '""', "[]")
"""How servers write that there are no arguments."""
_LAYERS = 3
"""How often arguments may be wrapped: in a text, a list or a fence."""
_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*(?:```)?", re.DOTALL | re.IGNORECASE)
_BEGINNINGS = ("{", '"{', '"\\', "```")
"""How arguments begin that are not whole."""
_MARK = re.compile(r"<|```")
"""Behind the arguments: the beginning of a mark that the server should have taken away."""
_BEHIND_NAME = re.compile(r"(?:\(\)|:\d+)$")


def is_object(arguments: str) -> bool:
    """Whether this is a whole JSON object."""
    return _object(arguments) is not None


def _object(arguments: str) -> dict[str, Any] | None:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def plain_arguments(written: str) -> str:
    """The arguments as an object, if there is one in what was written; otherwise what was written."""
    found = written.strip()
    for _ in range(_LAYERS):
        if found.lower() in _NOTHING:
            return _NO_ARGUMENTS
        if is_object(found):
            return found
        inner = _inner(found)
        if inner is None:
            break
        found = inner.strip()
    return found if is_object(found) else written


def _inner(text: str) -> str | None:
    """What stands in a text, a list or a fence, or before a mark; None if there is no object in it."""
    if fence := _FENCE.fullmatch(text):
        return fence[1]
    try:
        value, end = LENIENT_JSON.raw_decode(text)
    except (ValueError, RecursionError):
        # Some servers send an opening brace, and then the object.
        return text[1:] if text.startswith("{") and text[1:].lstrip().startswith("{") else None
    rest = text[end:].strip()
    if isinstance(value, str) and not rest:
        return value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not rest:
        return json.dumps(value[0])
    if not isinstance(value, dict):
        return None
    if not value and rest.startswith("{"):
        return rest
    if rest.startswith('"') and _object(plain_arguments(rest)) == value:
        return json.dumps(value)
    if not rest or rest == text[:end] or _MARK.match(rest) or not rest.strip("}"):
        return json.dumps(value)
    return None


def offered_name(name: str, offered: Mapping[str, ToolSpec]) -> str | None:
    """The offered tool that is meant by this name, if it is surely one of them."""
    if name in offered:
        return name
    plain = _BEHIND_NAME.sub("", name.strip())
    meant = {plain, plain.rpartition(".")[2]}
    for fold in (str, str.casefold):
        folded = {fold(each) for each in meant}
        fitting = [each for each in offered if fold(each) in folded]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


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
        function = fields.get("function") or fields.get("custom")
        if isinstance(function, str) and any(key in fields for key in ARGUMENT_KEYS):
            function = {**fields, "name": function}
        function = function if isinstance(function, Mapping) else fields
        arguments = next((function[key] for key in ARGUMENT_KEYS if function.get(key) is not None), None)
        if isinstance(arguments, list) and arguments and all(isinstance(each, str) for each in arguments):
            arguments = "".join(arguments)
        elif arguments is not None and not isinstance(arguments, str):  # some servers do not write a text
            arguments = json.dumps(arguments)
        return cls(
            _index(fields.get("index")),
            _text(fields.get("id")),
            # Models with channels write the marks of a channel behind the name.
            _text(function.get("name")).partition("<|")[0].removeprefix("functions."),
            _text(arguments),
            fields.get("extra_content"),
        )

    @property
    def says_something(self) -> bool:
        return bool(self.id or self.name.strip() or self.arguments or self.extra)


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
    delta: int | None = None
    """The number of the delta in which it began; None if it was written as text."""
    repeated: bool = False
    """It began in a message that repeats an answer."""
    _arguments: list[str] = field(factory=list)
    _length: int = 0
    extra: Any = None
    _scanner: ObjectScanner = field(factory=ObjectScanner)
    _goes_on: bool = False
    """Something other than blanks followed the end of the object."""
    _whole: dict[str, Any] | None = None
    _plain: str | None = None
    _in_order: str | None = None

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

    @property
    def is_half(self) -> bool:
        """Whether its arguments are the beginning of an object."""
        plain = self.plain()
        return self._scanner.end is None and plain.startswith(_BEGINNINGS) and not is_object(plain)

    def plain(self) -> str:
        """The arguments, out of what servers wrap them in. Ask when all came: they are looked at once."""
        if self._plain is None:
            self._plain = plain_arguments(self.written())
        return self._plain

    def says_as(self, other: _Begun, offered: Mapping[str, ToolSpec]) -> bool:
        """Whether it is `other` once more: the same call, or that call without its arguments."""
        mine, others = (offered_name(each.name, offered) or each.name for each in (self, other))
        if mine != others or self.delta == other.delta:
            return False
        again = self.repeated or self.index is None or self.index == other.index
        again = again or self.delta is None or other.delta is None
        return again and (not self.written() or self._sorted() == other._sorted())

    def _sorted(self) -> str:
        """The arguments in a form that is the same for the same object."""
        if self._in_order is None:
            whole = _object(self.plain())
            self._in_order = self.plain() if whole is None else json.dumps(whole, sort_keys=True)
        return self._in_order

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
            grown = bool(self.name) and fragment.name.startswith(self.name)
            self.name = fragment.name if grown else self.name + fragment.name
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
        if other_id and fragment.name == self.name and fragment.index is not None and self._in_arguments:
            return True
        if fragment.index is None and fragment.id:
            return not other_id and bool(self.id)
        if other_id and fragment.name:
            return False
        if fragment.index is None and fragment.name:
            return False
        return not self._is_over(fragment, offered)

    @property
    def unfinished(self) -> bool:
        """Whether its arguments are not a whole object yet."""
        return self._scanner.end is None

    @property
    def _in_arguments(self) -> bool:
        return self.unfinished and self._length > 0

    def _is_over(self, fragment: _Fragment, offered: Mapping[str, ToolSpec]) -> bool:
        """Whether this call is whole, so that the fragment begins another."""
        if fragment.name and fragment.name != self.name and offered_name(self.name, offered):
            longer = self.name + fragment.name
            goes_on = any(name.startswith(longer) for name in offered) or offered_name(longer, offered)
            if not goes_on and fragment.name.strip():
                return True
        begins = fragment.arguments.lstrip().startswith("{")
        if not self.name and fragment.name and not fragment.arguments:
            return False  # the name of arguments that came before it
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

    _deltas: int = 0

    def __bool__(self) -> bool:
        return any(begun.name.strip() or begun.written() for begun in self._begun)

    @property
    def whole(self) -> bool:
        """Whether no call is in the middle of its arguments."""
        return not any(begun.is_half for begun in self._begun)

    def add(self, deltas: Iterable[Mapping[str, Any]], *, repeated: bool = False) -> bool:
        """Add the `tool_calls` of a delta, or of a whole message (`repeated`).

        Returns whether they say anything. Raises `ProviderError` if there are too many.
        """
        self._deltas += 1
        fragments = [each for each in map(_Fragment.read, deltas) if each.says_something]
        for fragment in fragments:
            begun = self._call_of(fragment, repeated=repeated)
            begun.add(fragment)
            if begun.too_long or len(self._begun) > MOST_CALLS:
                raise ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: calls of tools without end")
        return bool(fragments)

    def add_written(self, name: str, arguments: str) -> None:
        """Add a call that was written as text."""
        if len(self._begun) <= MOST_CALLS:
            self._begun.append(_Begun(None, "", name, arguments=[arguments]))

    def finish(self, reason: str) -> list[MadeCall]:
        """All calls, once the answer has ended for this `reason`. Raises `ProviderError`."""
        if len(self._begun) > MOST_CALLS:
            raise ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: calls of tools without end")
        calls = self._once()
        if not all(begun.name.strip() for begun in calls):
            raise self._error("a call of a tool without the tool's name")
        arguments = [begun.plain() for begun in calls]
        if finish_reasons.cut_off(reason) and not all(map(is_object, map(_or_none, calls, arguments))):
            raise self._error(f"a call of a tool was cut off: {reason}")
        # Wrong arguments are told to the model. Half of them is no mistake of the model: servers also say
        # `tool_calls` where they lost the rest.
        if any(begun.is_half for begun in calls):
            raise self._error("a call of a tool ended in the middle of its arguments")
        taken: set[str] = set()
        made = []
        for position, (begun, written) in enumerate(zip(calls, arguments, strict=True)):
            identity = begun.id if begun.id not in ("", *taken) else self._new_id(position)
            taken.add(identity)
            name = offered_name(begun.name, self._offered) or begun.name
            call = ToolCall(identity, without_halves(name), without_halves(written))
            made.append(MadeCall(call, begun.extra))
        return made

    def _once(self) -> list[_Begun]:
        """The calls that say something, without those that say another once more."""
        calls: list[_Begun] = []
        for begun in self._begun:
            says = begun.name.strip() or begun.written()
            if says and not any(begun.says_as(other, self._offered) for other in calls):
                calls.append(begun)
        return calls

    def _call_of(self, fragment: _Fragment, *, repeated: bool) -> _Begun:
        for begun in reversed(self._begun):
            if begun.goes_on_with(fragment, self._offered):
                return begun
            if (fragment.index is None and not fragment.id) or begun.index == fragment.index is not None:
                break  # such a fragment can only belong to the newest call
        if self._counts_fragments(fragment):
            return self._begun[-1]
        # A call without a name after one with arguments calls the same tool.
        name = self._begun[-1].name if self._begun and self._begun[-1].written() else ""
        named = "" if fragment.name or fragment.id else name
        self._begun.append(_Begun(fragment.index, name=named, delta=self._deltas, repeated=repeated))
        return self._begun[-1]

    def _counts_fragments(self, fragment: _Fragment) -> bool:
        """Whether the server gives each fragment of a call a number of its own."""
        if not self._begun or fragment.id or fragment.name or fragment.index is None:
            return False
        known = any(begun.index == fragment.index for begun in self._begun)
        return not known and bool(self._begun[-1].name) and self._begun[-1].unfinished

    def _error(self, what: str) -> ProviderError:
        return ProviderError(ErrorClass.UNUSABLE_ANSWER, f"{self._provider}: {what}")


def _or_none(begun: _Begun, arguments: str) -> str:
    """The arguments; nothing if none were written, since the limit may have come before them."""
    return arguments if begun.written() else ""


_HALF = re.compile("[\ud800-\udfff]")


def without_halves(text: str) -> str:
    """Join the two halves of a character, and drop lone halves, which no encoder takes."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
