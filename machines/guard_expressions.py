"""Guard expressions: boolean expressions over the names of guards, with `and`, `or`, `not` and brackets."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Question = Callable[[T], Any]
"""A function that says whether a guard holds, for example for a fact."""


def guard_names(guard: str) -> tuple[str, ...]:
    """The names of the guards in an expression, in their order."""
    return tuple(dict.fromkeys(re.findall(r"\b(?!and\b|or\b|not\b)\w+", guard)))


def compiled(guard: str, question_of: Callable[[str], Question[T]]) -> Question[T]:
    """The expression as one function. An empty expression always holds.

    Args:
        guard: the expression.
        question_of: gives the function for each guard's name.

    Raises:
        ValueError: the expression has something other than names, `and`, `or` and `not`.
    """
    if not guard:
        return lambda asked: True
    return _compiled(ast.parse(guard, mode="eval").body, question_of)


def _compiled(node: ast.expr, question_of: Callable[[str], Question[T]]) -> Question[T]:
    match node:
        case ast.Name(id=name):
            return question_of(name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            denied = _compiled(operand, question_of)
            return lambda asked: not denied(asked)
        case ast.BoolOp(op=operator, values=values):
            parts = tuple(_compiled(value, question_of) for value in values)
            decide = all if isinstance(operator, ast.And) else any
            return lambda asked: decide(part(asked) for part in parts)
    raise ValueError(f"a guard may use names, and, or, not; this does not: {ast.unparse(node)}")
