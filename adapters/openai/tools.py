"""Calls of tools in OpenAI's chat interface, assembled from streamed fragments or read from an answer's text.

A server writes calls into the text if it has no parser for its model's output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai import finish_reasons
from machines.facts import ErrorClass
from machines.tools import ToolCall

NAME_KEYS = ("name", "function", "tool", "tool_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
"""The keys under which models write a tool's name and arguments."""
_NO_ARGUMENTS = "{}"
LONGEST_ARGUMENTS = 1 << 16
"""Characters of the arguments of one call."""


def is_object(arguments: str) -> bool:
    """Whether this is a whole JSON object."""
    return _object(arguments) is not None


def _object(arguments: str) -> dict[str, Any] | None:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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

    def written(self) -> str:
        """The arguments so far."""
        return "".join(self._arguments).strip()

    def add(self, fragment: _Fragment) -> None:
        self.id = self.id or fragment.id
        self.extra = self.extra or fragment.extra
        if fragment.name != self.name:  # some servers repeat the name with every fragment
            self.name += fragment.name
        if fragment.arguments.lstrip().startswith("{") and self._arguments:
            self._add_object(fragment.arguments)
        else:
            self._arguments.append(fragment.arguments)
        self._length += len(fragment.arguments)

    def _add_object(self, arguments: str) -> None:
        """Add an object. Some servers send the whole arguments after an opening brace, or send them twice."""
        whole = _object(arguments)
        if whole is None:
            self._arguments.append(arguments)
            return
        written = self.written()
        if written in ("", "{", _NO_ARGUMENTS):
            self._arguments = [arguments]
        elif _object(written) != whole:
            self._arguments.append(arguments)

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
        written = self.written()
        if written == _NO_ARGUMENTS and not (fragment.name and fragment.name != self.name):
            return False
        whole = _object(written)
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
            if begun.too_long or len(self._begun) > _MOST_CALLS:
                raise self._error("calls of tools without end")

    def add_written(self, name: str, arguments: str) -> None:
        """Add a call that was written as text."""
        self._begun.append(_Begun(None, "", name, [arguments]))

    def finish(self, reason: str) -> list[MadeCall]:
        """All calls, once the answer has ended for this `reason`. Raises `ProviderError`."""
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
        return ProviderError(ErrorClass.TRANSIENT, f"{self._provider}: {what}")


_MOST_CALLS = 64
_HALF = re.compile("[\ud800-\udfff]")


def without_halves(text: str) -> str:
    """Join the two halves of a character, and drop lone halves, which no encoder takes."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


# --- calls in text ----------------------------------------------------------------------------------------

_TAGGED = re.compile(r"<function=([\w.-]+)>(.*?)(?=<function=|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_KEYED_NAME = re.compile(r"<tool_call>\s*([\w.-]+)")
_KEYED = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_WORD = re.compile(r"[\w-]+")
_JSON = json.JSONDecoder(strict=False)


def written_calls(text: str, offered: Mapping[str, ToolSpec]) -> list[tuple[str, str]]:
    """The calls in a text that the markup filter took for calls: names, and arguments as JSON.

    Calls of tools that are not offered are left out.
    """
    if _TAGGED.search(text):
        found = [(name, _tagged_arguments(name, body, offered)) for name, body in _TAGGED.findall(text)]
    elif "<arg_key>" in text:
        found = [
            (name, json.dumps(_typed(name, _KEYED.findall(part), offered)))
            for part in text.split("</tool_call>")
            for name in _KEYED_NAME.findall(part)
        ]
    else:
        found = list(_objects(text, offered))
    return [(name, arguments) for name, arguments in found if name in offered]


def _tagged_arguments(name: str, body: str, offered: Mapping[str, ToolSpec]) -> str:
    if pairs := _PARAMETER.findall(body):
        return json.dumps(_typed(name, pairs, offered))
    start = body.find("{")
    try:
        return json.dumps(_JSON.raw_decode(body, start)[0]) if start >= 0 else _NO_ARGUMENTS
    except (ValueError, RecursionError):
        return body[start:]


def _typed(name: str, pairs: Sequence[tuple[str, str]], offered: Mapping[str, ToolSpec]) -> dict[str, object]:
    """Arguments that were written as plain text: strings where the schema says so, otherwise JSON."""
    spec = offered.get(name)
    properties = spec.parameters.get("properties") if spec is not None else None
    properties = properties if isinstance(properties, Mapping) else {}
    typed: dict[str, object] = {}
    for key, value in pairs:
        schema = properties.get(key)
        is_text = isinstance(schema, Mapping) and schema.get("type") == "string"
        typed[key] = value if is_text else _json_or_text(value)
    return typed


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _objects(text: str, offered: Mapping[str, ToolSpec]) -> Iterator[tuple[str, str]]:
    """Calls written as objects that name a tool and its arguments, or that follow the name of a tool."""
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, end = _JSON.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        before, at = text[at:start], end
        name, arguments = _named(value)
        if not name:
            name = next((word for word in reversed(_WORD.findall(before)) if word in offered), "")
            arguments = value
        yield name, arguments if isinstance(arguments, str) else json.dumps(arguments)


def _named(value: Any) -> tuple[str, Any]:
    """The name and arguments in an object that is a call; an empty name if it is not."""
    function = value.get("function")
    fields = function if isinstance(function, Mapping) else value
    name = next((fields[key] for key in NAME_KEYS if isinstance(fields.get(key), str)), "")
    arguments = next((fields[key] for key in ARGUMENT_KEYS if fields.get(key) is not None), None)
    if arguments is None and fields.keys() - {"name", "type", "id"}:
        return "", None
    return name.removeprefix("functions."), {} if arguments is None else arguments
