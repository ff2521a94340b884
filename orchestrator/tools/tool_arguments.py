"""The arguments of a tool: their JSON schema, made of the function's signature, and how they are checked.

Both are done by pydantic.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import ErrorDetails

BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class BadArguments(ValueError):  # noqa: N818 (it says what they are)
    """The model's arguments do not match the tool's schema. The text tells the model what to correct."""


@frozen
class ToolArguments:
    """The arguments of one function."""

    schema: Mapping[str, object]
    """The JSON schema of an object with the arguments as properties."""
    context_parameters: frozenset[str]
    """The parameters that get the tool's context, of which the model is not told."""
    _checked: TypeAdapter[dict[str, object]]

    @classmethod
    def of(cls, function: Callable[..., object], context: type) -> ToolArguments:
        """The arguments of this function, without its parameters of the type `context`.

        Raises `TypeError` for a parameter that a model cannot give.
        """
        try:
            parameters = _parameters(function)
            in_context = frozenset(each.name for each in parameters if each.annotation is context)
            others = [each for each in parameters if each.name not in in_context]
            checked = TypeAdapter(_collector(others))
            schema = checked.json_schema(schema_generator=_Untitled)
        except NameError as error:
            raise TypeError(
                f"{function.__qualname__} cannot be a tool: {error} in its annotations, "
                "which are looked up in its module"
            ) from error
        except PydanticUserError as error:
            reason = error.message.partition(". ")[0].splitlines()[0]
            raise TypeError(
                f"{function.__qualname__} cannot be a tool: a model cannot give such arguments ({reason})"
            ) from error
        return cls(schema, in_context, checked)

    def read(self, text: str) -> dict[str, object]:
        """The arguments in a JSON object, each as its parameter's type. Raises `BadArguments`."""
        try:
            return self._checked.validate_json(text.strip() or "{}")
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            raise BadArguments("; ".join(map(_complaint, details))) from None


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    for each in parameters:
        if each.kind not in BY_NAME:
            raise TypeError(
                f"{function.__qualname__} cannot be a tool: a model gives each argument by its name, "
                f"which {each} does not allow"
            )
        if each.annotation is inspect.Parameter.empty:
            raise TypeError(
                f"{function.__qualname__} cannot be a tool: its parameter {each.name} has no annotation, "
                "which a model would be told"
            )
    return parameters


def _collector(parameters: list[inspect.Parameter]) -> Any:
    """A function for pydantic to call: it takes these parameters and returns the arguments."""

    def collect(**arguments: object) -> dict[str, object]:
        return arguments

    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    collect.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
    collect.__annotations__ = {each.name: each.annotation for each in parameters}
    return collect


class _Untitled(GenerateJsonSchema):
    """A schema without titles, which repeat the names, and without defaults that are not JSON."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _complaint(detail: ErrorDetails) -> str:
    place = ".".join(map(str, detail["loc"]))
    match detail["type"]:
        case "missing_keyword_only_argument":
            return f"{place} is missing"
        case "unexpected_keyword_argument":
            return f"there is no argument {place}"
        case "arguments_type" | "unexpected_positional_argument":
            return "they must be a JSON object"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{place}: {message}" if place else message
