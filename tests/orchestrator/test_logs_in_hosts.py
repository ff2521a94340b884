"""Logs in a host program: none unless it configures logging, and nothing personal above debug level."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.logs import PERSONAL_KEYS

ROOT = Path(__file__).parents[2]

HOST = """
import logging, sys
import trio
from trio.testing import MockClock
CONFIGURE
from orchestrator import MemoryTransport, ToolError, TurnMode, open_orchestrator, tool
from orchestrator.simulation import Answer, SimulatedLanguageModel, SimulatedProviders
from machines.tools import ToolCall
from orchestrator.simulation.speech import spoken

@tool
def look_up(name: str) -> str:
    '''Look somebody up.'''
    return "lives in Elm Street"

@tool
def fail() -> str:
    '''Fail.'''
    raise ToolError("ask again at +15005550006")

async def main():
    calls = (ToolCall("1", "look_up", '{"name": "Ann Smith"}'), ToolCall("2", "fail", "{}"))
    llm = SimulatedLanguageModel()
    llm.answers_with(Answer(calls=calls))
    providers = SimulatedProviders(llm=llm)
    async with open_orchestrator(providers=providers.for_calls(), tools=[look_up, fail]) as orchestrator:
        transport = MemoryTransport()
        async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL):
            await transport.start_turn()
            await transport.push(spoken("hello please", 16000), 16000)
            await transport.end_turn()
            with trio.move_on_after(20):
                async for message in transport:
                    pass
    print("the host's own line")

trio.run(main, clock=MockClock(autojump_threshold=0))
"""
PERSONAL = ("Ann Smith", "Elm Street", "+15005550006")


def output_of(configure: str) -> tuple[str, str]:
    """What such a host writes to standard output and to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", HOST.replace("CONFIGURE", configure)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
def test_the_library_is_silent_where_nobody_configures_logging() -> None:
    assert output_of("") == ("the host's own line\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "configure",
    [
        "logging.basicConfig(level=logging.INFO, format='%(levelname)s %(name)s %(message)s')",
        "import structlog; structlog.configure("
        "wrapper_class=structlog.make_filtering_bound_logger(20), "
        "logger_factory=structlog.WriteLoggerFactory(sys.stderr))",
    ],
    ids=["logging", "structlog"],
)
def test_a_host_that_configures_logging_gets_lines_with_nothing_personal(configure: str) -> None:
    own, logged = output_of(configure)
    assert own == "the host's own line\n"
    assert "tool called" in logged
    assert "look_up" in logged
    assert not any(each in logged for each in PERSONAL)


@pytest.mark.slow
def test_at_debug_level_a_host_gets_everything() -> None:
    own, logged = output_of("logging.basicConfig(level=logging.DEBUG, format='%(levelname)s %(message)s')")
    assert own == "the host's own line\n"
    assert all(each in logged for each in PERSONAL)
    assert "session=" in logged
    above = [line for line in logged.splitlines() if not line.startswith("DEBUG")]
    assert not any(each in line for each in PERSONAL for line in above)


def sources() -> list[Path]:
    """Every module of ours."""
    rooms = ("adapters", "machines", "orchestrator", "protocol")
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def log_calls() -> list[tuple[str, str, set[str]]]:
    """Every call of a logger of ours: where, which method, and the keys it is given."""
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method)):
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    found.append((place, method, {each.arg or "" for each in node.keywords}))
    return found


def test_nothing_personal_is_logged_above_debug_level_anywhere() -> None:
    calls = log_calls()
    assert len(calls) > 40
    personal = [place for place, method, keys in calls if method != "debug" and keys & set(PERSONAL_KEYS)]
    assert personal == []


def test_every_logger_is_a_librarys() -> None:
    """One of structlog's own would print to the host's standard output."""
    makers = {
        str(path.relative_to(ROOT))
        for path in sources()
        if "structlog.get_logger(" in path.read_text(encoding="utf-8")
    }
    assert makers == {"adapters/logs.py"}
