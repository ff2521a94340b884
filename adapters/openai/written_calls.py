"""Reads the calls of tools that a model wrote into its text.

A server writes calls into the text if it has no parser for its model's output. Models write them as objects,
as Python, and within tags of many names.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.interfaces import ToolSpec
from adapters.openai.response_documents import LENIENT_JSON
from adapters.openai.streamed_calls import ARGUMENT_KEYS, ObjectScanner

NAME_KEYS = ("name", "function", "tool", "tool_name", "action")
"""The keys under which models write a tool's name."""
_LIST_KEYS = ("tool_calls", "function_calls", "calls", "tools")
_NO_ARGUMENTS = "{}"

_TAGGED = re.compile(r"<function=([\w.-]+)>(.*?)(?=<function=|\Z)", re.DOTALL)
_PARAMETER_TAG = re.compile(r"<parameter=([\w.-]+)>|</parameter>")
_INVOKED = re.compile(r"""<[^<>\s]{0,20}\binvoke\s+name\s*=\s*["']?([\w.-]+)["']?[^<>]{0,200}>""")
_INVOKED_PARAMETER = re.compile(
    r"""<[^<>\s/]{0,20}\bparameter\s+name\s*=\s*["']?([\w.-]+)["']?[^<>]{0,200}>|</[^<>\s]{0,20}parameter>"""
)
_KEYED_CALL = re.compile(r"<tool_call>|</tool_call>")
_KEYED_NAME = re.compile(r"\s*([\w.-]+)")
_KEYED_TAG = re.compile(r"</?arg_(?:key|value)>")
_OWN_TAG = re.compile(r"<([A-Za-z][\w.-]{0,63})\s*/?>")
_WORD = re.compile(r"[\w-]+")
_QUOTE_MARKS = re.compile(r'<escape>|<\|"\|>')
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)(?=\s*:)")
_PYTHONIC = re.compile(r"([A-Za-z_][\w.-]{0,80})(?=\()")
_BARE_OBJECT = re.compile(r"\[?\s*\{")
_ARGUMENT_KEY, _NAME_KEY = (
    re.compile(rf"[\"'](?:{'|'.join(keys)})[\"']\s*:") for keys in (ARGUMENT_KEYS, NAME_KEYS)
)


def looks_like_call(text: str) -> bool:
    """Whether an object has the fields of a call."""
    return bool(_ARGUMENT_KEY.search(text) and _NAME_KEY.search(text))


def tool_named(name: str) -> str:
    """The tool's own name, out of the names of modules before it."""
    return name.rpartition(".")[2]


def written_calls(text: str, offered: Mapping[str, ToolSpec]) -> list[tuple[str, str]]:
    """The calls in a text that the markup filter took for calls: names, and arguments as JSON.

    Calls of tools that are not offered are left out.
    """
    text = _QUOTE_MARKS.sub('"', text)
    if _TAGGED.search(text):
        found = [(name, _tagged_arguments(name, body, offered)) for name, body in _TAGGED.findall(text)]
    elif _INVOKED.search(text):
        found = list(_invoked(text, offered))
    elif "<arg_key>" in text:
        found = [
            (name[1], json.dumps(_typed(name[1], _keyed(part), offered)))
            for part in _KEYED_CALL.split(text)
            if (name := _KEYED_NAME.match(part))
        ]
    else:
        found = list(_objects(text, offered))
        if not any(name in offered for name, _ in found) and not _BARE_OBJECT.match(text.lstrip()):
            found = list(_pythonic(text, offered))
        if not found and (own := _OWN_TAG.search(text)):
            found = [(own[1], _own_arguments(own[1], text[own.end() :], offered))]
    return [(name, arguments) for name, arguments in found if name in offered]


# --- arguments between tags -------------------------------------------------------------------------------


def _between(body: str, tags: re.Pattern[str]) -> list[tuple[str, str]]:
    """Names and values in `<parameter=name>value</parameter>`, each with a line of its own or not."""
    pairs = []
    opened: re.Match[str] | None = None
    for tag in tags.finditer(body):
        if opened is None and tag[1]:
            opened = tag
        elif opened is not None and not tag[1]:
            value = body[opened.end() : tag.start()]
            pairs.append((opened[1], value.removeprefix("\n").removesuffix("\n")))
            opened = None
    return pairs


def _own_arguments(name: str, body: str, offered: Mapping[str, ToolSpec]) -> str:
    """Arguments in tags that are named after them: `<send_digits><digits>1</digits></send_digits>`."""
    pairs = []
    for key in _properties(name, offered):
        opening, closing = f"<{key}>", f"</{key}>"
        start = body.find(opening)
        end = body.find(closing, start + len(opening)) if start >= 0 else -1
        if end >= 0:
            pairs.append((key, body[start + len(opening) : end].removeprefix("\n").removesuffix("\n")))
    return json.dumps(_typed(name, pairs, offered)) if pairs else _NO_ARGUMENTS


def _invoked(text: str, offered: Mapping[str, ToolSpec]) -> Iterator[tuple[str, str]]:
    openings = list(_INVOKED.finditer(text))
    for opening, following in zip(openings, [*openings[1:], None], strict=True):
        body = text[opening.end() : following.start() if following else len(text)]
        pairs = _between(body, _INVOKED_PARAMETER)
        yield opening[1], json.dumps(_typed(opening[1], pairs, offered))


def _keyed(part: str) -> list[tuple[str, str]]:
    """Names and values in `<arg_key>name</arg_key><arg_value>value</arg_value>`."""
    pairs = []
    name: str | None = None
    opened: re.Match[str] | None = None
    for tag in _KEYED_TAG.finditer(part):
        if opened is None or (tag[0] == "<arg_key>" and opened[0] == "<arg_key>"):
            opened = tag if tag[0] == "<arg_key>" or (name is not None and tag[0] == "<arg_value>") else None
        elif tag[0] == "</arg_key>" and opened[0] == "<arg_key>":
            name, opened = part[opened.end() : tag.start()], None
        elif tag[0] == "</arg_value>" and opened[0] == "<arg_value>" and name is not None:
            pairs.append((name, part[opened.end() : tag.start()]))
            name = opened = None
    return pairs


def _tagged_arguments(name: str, body: str, offered: Mapping[str, ToolSpec]) -> str:
    if pairs := _between(body, _PARAMETER_TAG):
        return json.dumps(_typed(name, pairs, offered))
    start = body.find("{")
    try:
        return json.dumps(LENIENT_JSON.raw_decode(body, start)[0]) if start >= 0 else _NO_ARGUMENTS
    except (ValueError, RecursionError):
        return body[start:]


def _properties(name: str, offered: Mapping[str, ToolSpec]) -> Mapping[str, Any]:
    spec = offered.get(name)
    properties = spec.parameters.get("properties") if spec is not None else None
    return properties if isinstance(properties, Mapping) else {}


def _typed(name: str, pairs: Sequence[tuple[str, str]], offered: Mapping[str, ToolSpec]) -> dict[str, object]:
    """Arguments that were written as plain text: strings where the schema says so, otherwise JSON."""
    properties = _properties(name, offered)
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


# --- objects ----------------------------------------------------------------------------------------------


def _objects(text: str, offered: Mapping[str, ToolSpec]) -> Iterator[tuple[str, str]]:
    """Calls written as objects that name a tool and its arguments, or that follow the name of a tool."""
    at = 0
    while (start := text.find("{", at)) >= 0:
        value, end = _decoded(text, start)
        if end is None:
            return
        before, at = text[at:start], end
        if not isinstance(value, Mapping):
            continue
        named = [_named(each) for each in _listed(value)]
        if not any(name for name, _ in named):
            name = next((word for word in reversed(_WORD.findall(before)) if word in offered), "")
            named = [(name, value)]
        for name, arguments in named:
            yield name, arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)


def _decoded(text: str, start: int) -> tuple[Any, int | None]:
    """The object that begins here, as JSON or as Python writes it, and where it ends; None: it is none."""
    try:
        return LENIENT_JSON.raw_decode(text, start)
    except (ValueError, RecursionError):
        end = _end_of_object(text, start)
    if end is None:
        return None, None
    written = text[start:end]
    try:
        return LENIENT_JSON.decode(_BARE_KEY.sub(r'\1"\2"', written)), end
    except (ValueError, RecursionError):
        value = _literal(written)
    return value, None if value is None else end


def _end_of_object(text: str, start: int) -> int | None:
    scanner = ObjectScanner()
    for at in range(start, len(text), 256):
        end = scanner.push(text[at : at + 256])
        if end is not None:
            return start + end
    return None


def _literal(written: str) -> Any:
    """The value of a literal of Python; None if it is none."""
    parsed = _parsed(written)
    try:
        return None if parsed is None else ast.literal_eval(parsed)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _parsed(written: str) -> ast.expr | None:
    """An expression of Python; None if it is none. What Python would warn about is the model's affair."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return ast.parse(written, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _listed(value: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The calls in an object that lists them, otherwise the object itself."""
    for key in _LIST_KEYS:
        calls = value.get(key)
        if isinstance(calls, list) and calls and all(isinstance(each, Mapping) for each in calls):
            return calls
    return [value]


def _named(value: Mapping[str, Any]) -> tuple[str, Any]:
    """The name and arguments in an object that is a call; an empty name if it is not."""
    function = value.get("function")
    fields = function if isinstance(function, Mapping) else value
    name = next((fields[key] for key in NAME_KEYS if isinstance(fields.get(key), str)), "")
    arguments = next((fields[key] for key in ARGUMENT_KEYS if fields.get(key) is not None), None)
    if arguments is None and fields.keys() - {*NAME_KEYS, *ARGUMENT_KEYS, "type", "id"}:
        return "", None
    return name.removeprefix("functions."), {} if arguments is None else arguments


# --- Python -----------------------------------------------------------------------------------------------


def _pythonic(text: str, offered: Mapping[str, ToolSpec]) -> Iterator[tuple[str, str]]:
    """Calls written as Python: `name(key="value")`, or with the values in the order of the schema."""
    at = 0
    while (called := _PYTHONIC.search(text, at)) is not None:
        at = called.end()
        name = tool_named(called[1])
        if name not in offered:
            continue
        end = _end_of_object(text, at)
        if end is None:
            return
        made = _parsed(f"f{text[at:end]}")
        if made is None:
            return
        at = end
        if isinstance(made, ast.Call):
            values = [*zip(_properties(name, offered), made.args, strict=False)]
            values += [(each.arg, each.value) for each in made.keywords if each.arg]
            yield name, json.dumps({key: _value(value) for key, value in values}, default=str)


def _value(node: ast.expr) -> Any:
    """The value of an argument. `true` and the like are not Python, but are written as if they were."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}.get(node.id, node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return ast.unparse(node)
