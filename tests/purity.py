"""What source files import, and which built-in functions with effects they use: read, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

IMPURE_BUILTINS = frozenset(
    (
        "__builtins__",
        "__import__",
        "breakpoint",
        "compile",
        "eval",
        "exec",
        "globals",
        "input",
        "open",
        "print",
    )
)
"""Built-in functions that do I/O, or that can do anything. What else does I/O must be imported."""
IMPURE_MODULES = frozenset(
    ("asyncio", "builtins", "ctypes", "datetime", "importlib", "io", "linecache", "logging", "os", "pathlib")
) | {"random", "select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time"}
"""Modules with effects that modules without any have imported themselves: `inspect.os` is `os`."""


def impurities(source: str, allowed: frozenset[str]) -> Iterator[str]:
    """Imports of what is not among the top-level modules `allowed`, and uses of what has effects."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                imported = [module, *(alias.name for alias in names if alias.name in IMPURE_MODULES)]
            case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_BUILTINS:
                yield f"line {node.lineno}: uses {name}"
                continue
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if name in IMPURE_MODULES - allowed:
                yield f"line {node.lineno}: uses {owner}.{name}"
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
