"""The public interface: its list in the documentation is current, and the examples in docstrings work."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import trio
from trio.testing import MockClock

import orchestrator as public
from orchestrator.cli.interface import listing, public_members, renewed
from orchestrator.hosting import asyncio_host
from orchestrator.simulation import SimulatedProviders
from orchestrator.simulation.speech import spoken

ROOT = Path(__file__).parents[3]
LIBRARY = (
    "orchestrator.hosting.events",
    "orchestrator.hosting.orchestrator",
    "orchestrator.hosting.memory_transport",
    "orchestrator.hosting.outcome",
    "orchestrator.tools.tool",
    "orchestrator.hosting.transport",
)
"""The modules that hosts use. The rest of the interface are the types that they name."""


def examples(of: object) -> list[str]:
    """The code blocks in a docstring."""
    found = re.findall(r"```python\n(.*?)```", inspect.getdoc(of) or "", re.DOTALL)
    return [textwrap.dedent(each) for each in found]


def documented() -> Iterator[tuple[str, object]]:
    for name in public.__all__:
        value = getattr(public, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value


def _cases() -> list[Any]:
    return [
        pytest.param(code, id=f"{name}-{number}")
        for name, value in documented()
        for number, code in enumerate(examples(value))
    ]


@pytest.mark.parametrize("code", _cases())
async def test_the_example_in_a_docstring_works(code: str, autojump_clock: MockClock) -> None:
    names: dict[str, Any] = {name: getattr(public, name) for name in public.__all__}
    names |= {"trio": trio, "np": np, "evolve": attrs.evolve, "spoken": spoken}
    body = textwrap.indent(code, "    ")
    _define(body, names)
    # If nothing is left to happen, virtual time would stand still for ever; with this it fails.
    with trio.fail_after(3600):
        async with public.open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
            await names["example"](orchestrator)


def _define(body: str, names: dict[str, Any]) -> None:
    """Make `example` a function with this body, without the names that this file imports."""
    source = f"async def example(orchestrator):\n{body}"
    exec(compile(source, "<docstring>", "exec", dont_inherit=True), names)


class Quiet:
    """A silent caller in an asyncio program."""

    pacing = public.Pacing(rate=24_000, chunk_ms=60, lead_ms=140)

    async def receive(self) -> public.Incoming:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    async def send(self, message: public.Outgoing) -> None:
        await asyncio.sleep(0)

    async def close(self, reason: public.EndReason) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", asyncio_host.__all__)
def test_the_examples_for_asyncio_hosts_work(name: str) -> None:
    async def run(code: str) -> None:
        names: dict[str, Any] = {each: getattr(public, each) for each in public.__all__}
        names |= {"Quiet": Quiet, "evolve": attrs.evolve, "open_orchestrator": asyncio_host.open_orchestrator}
        _define(textwrap.indent(code, "    "), names)
        async with (
            asyncio.timeout(120),
            asyncio_host.open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        ):
            await names["example"](orchestrator)

    (code,) = examples(getattr(asyncio_host, name))
    asyncio.run(run(code))


@pytest.mark.parametrize(("name", "value"), list(documented()))
def test_everything_that_does_something_has_an_example(name: str, value: object) -> None:
    if getattr(value, "__module__", None) in LIBRARY and _does_something(value):
        assert examples(value), f"{name} has no example in its docstring"


def _does_something(value: object) -> bool:
    if not inspect.isclass(value):
        return True
    return issubclass(value, Exception) or bool(public_members(value))


def test_every_public_name_is_documented() -> None:
    assert [name for name, value in documented() if not inspect.getdoc(value)] == []


def test_the_public_interface_is_as_documented() -> None:
    """If this fails, the interface was changed, and `make diagrams` updates the document."""
    path = ROOT / "docs" / "interface.md"
    text = path.read_text(encoding="utf-8")
    assert text == renewed(text)
    assert "def conversation(self" in listing("orchestrator")


def test_the_interface_is_what_star_imports_give_and_what_type_checkers_see() -> None:
    names: dict[str, Any] = {}
    exec("from orchestrator import *", names)
    assert set(public.__all__) <= set(names)
    source = inspect.getsource(public).split("if TYPE_CHECKING:")[1]
    shown = set(re.findall(r"\w+ as (\w+),", source))
    assert shown == set(public.__all__)
    with pytest.raises(AttributeError, match="'orchestrator' has no attribute 'conversations'"):
        _ = public.conversations  # type: ignore[attr-defined]
