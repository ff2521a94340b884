"""What source files import, and which built-in functions with effects they use: read, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

IMPURE_BUILTINS = frozenset(
    ("__builtins__", "__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print")
)
"""Built-in functions that do I/O, or that can do anything. What else does I/O must be imported."""


def impurities(source: str, allowed: frozenset[str]) -> Iterator[str]:
    """Every import of what is not among the top-level modules `allowed`, and every `IMPURE_BUILTINS` used."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                imported = [module]
            case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_BUILTINS:
                yield f"line {node.lineno}: uses {name}"
                continue
            case _:
                continue
        yield from (
            f"line {node.lineno}: imports {module}"
            for module in imported
            if module.partition(".")[0] not in allowed
        )


def impurities_in(package: Path, allowed: frozenset[str]) -> list[str]:
    """The impurities of all files of a package, with their paths."""
    return [
        f"{path}: {each}"
        for path in sorted(package.rglob("*.py"))
        for each in impurities(path.read_text(), allowed)
    ]
