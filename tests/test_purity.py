"""Machines and protocol are pure: what they may import is listed, and they open, print and run nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import machines
import protocol
from tests.purity import impurities, impurities_in

MACHINES = frozenset(
    ["machines", "attrs", "statemachine", "__future__", "ast", "bisect", "collections", "enum", "functools"]
) | {"html", "inspect", "itertools", "math", "operator", "re", "types", "typing", "unicodedata"}
"""What the machines may import: none of it does I/O, reads a clock or draws numbers."""
PROTOCOL = frozenset(
    ["protocol", "attrs", "cattrs", "msgpack", "__future__", "abc", "base64", "binascii", "collections"]
) | {"enum", "json", "math", "re", "types", "typing"}


def test_the_machines_are_pure() -> None:
    assert impurities_in(Path(machines.__path__[0]), MACHINES) == []


def test_the_protocol_is_pure() -> None:
    """`python -m protocol` writes a document; nothing imports it."""
    found = impurities_in(Path(protocol.__path__[0]), PROTOCOL)
    command = str(Path(protocol.__path__[0]) / "__main__.py")
    assert [each for each in found if not each.startswith(command)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import logging", ["line 1: imports logging"]),
        ("import math, sqlite3", ["line 1: imports sqlite3"]),
        ("import os.path as p", ["line 1: imports os.path"]),
        ("from httpx2 import get", ["line 1: imports httpx2"]),
        ("def f():\n    import ctypes", ["line 2: imports ctypes"]),
        ("from orchestrator.clock import now_ms", ["line 1: imports orchestrator.clock"]),
        ("text = open('x').read()", ["line 1: uses open"]),
        ("show = print", ["line 1: uses print"]),
        ("__import__('os')", ["line 1: uses __import__"]),
        ("eval('1')", ["line 1: uses eval"]),
        ("exec('')", ["line 1: uses exec"]),
        ("if late:\n    breakpoint()", ["line 2: uses breakpoint"]),
        ("name = input()", ["line 1: uses input"]),
        ("import inspect\ninspect.os.remove('x')", ["line 2: uses inspect.os"]),
        ("from inspect import sys", ["line 1: imports sys"]),
        ("globals()['__builtins__']['open']('x')", ["line 1: uses globals"]),
        ("import re\nfrom . import facts\nfrom machines.facts import Role\nline.open()\nopen = True", []),
    ],
)
def test_every_way_to_the_world_is_found(source: str, found: list[str]) -> None:
    assert list(impurities(source, MACHINES)) == found
