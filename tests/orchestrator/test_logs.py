"""Logs: the session in every line, no spoken words above debug, no secrets anywhere."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio

from adapters.logs import PERSONAL_KEYS
from orchestrator.logs import bind_session, configure_logs
from orchestrator.settings.settings import Settings

log = structlog.get_logger("vantum.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put the process's logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Lines:
    """Logging at a level, in JSON; `lines()` is what was written."""

    def __init__(self, level: str = "info", log_format: str = "json") -> None:
        self.stream = io.StringIO()
        configure_logs(Settings.model_validate({"log_level": level, "log_format": log_format}), self.stream)

    def text(self) -> str:
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


def test_a_line_has_a_time_a_level_its_origin_and_its_facts() -> None:
    logs = Lines()
    log.warning("too late", deadline_ms=5)
    (line,) = logs.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "too late", "level": "warning", "logger": "vantum.test", "deadline_ms": 5}


def test_lines_below_the_level_are_not_written() -> None:
    logs = Lines("warning")
    log.info("chatter")
    logging.getLogger("library").info("chatter")
    assert logs.text() == ""


async def test_each_task_keeps_the_session_it_was_started_in() -> None:
    logs = Lines()

    async def call(session: str) -> None:
        await trio.lowlevel.checkpoint()
        log.info("in call", expected=session)
        logging.getLogger("library").warning("in library %s", session)

    async with trio.open_nursery() as nursery:
        for session in ("one", "two"):
            with bind_session(session):
                nursery.start_soon(call, session)
    log.info("outside")
    *inside, outside = logs.lines()
    assert "session" not in outside
    assert len(inside) == 4
    assert all(line["session"] == line.get("expected", line["event"].split()[-1]) for line in inside)


@pytest.mark.parametrize("key", PERSONAL_KEYS)
def test_what_was_said_is_written_at_debug_level_only(key: str) -> None:
    logs = Lines("debug")
    log.debug("understood", **{key: "my name is Ann"})
    log.info("understood", **{key: "my name is Ann"})
    log.error("understood", **{key: "my name is Ann"})
    at_debug, at_info, at_error = logs.lines()
    assert at_debug[key] == "my name is Ann"
    assert key not in at_info
    assert key not in at_error


SECRETS = [
    {"api_key": "hunter2hunter2"},
    {"Authorization": "hunter2hunter2"},
    {"headers": {"authorization": "hunter2hunter2"}},
    {"urls": ["https://me:hunter2hunter2@example.org/x"]},
    {"request": "GET /v1?api_key=hunter2hunter2&x=1"},
    {"detail": "sent Bearer hunter2hunter2"},
    {"detail": "Authorization: Token hunter2hunter2"},
    {"detail": "Incorrect API key provided: sk-hunter2hunter2"},
    {"error": ValueError("api_key='hunter2hunter2'")},
]


@pytest.mark.parametrize("facts", SECRETS)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_masked_wherever_they_stand(facts: dict[str, Any], log_format: str) -> None:
    logs = Lines(log_format=log_format)
    log.info("running_tools", **facts)
    assert "a secret" in logs.text()
    assert "hunter2" not in logs.text()


def test_secrets_in_tracebacks_and_in_library_lines_are_masked() -> None:
    logs = Lines()
    try:
        raise ConnectionError("https://me:hunter2@example.org refused")
    except ConnectionError:
        log.exception("failed")
        logging.getLogger("library").exception("password=%s", "hunter2")
    ours, theirs = logs.lines()
    assert "ConnectionError: https://me:(a secret)@example.org refused" in ours["exception"]
    assert theirs["event"] == "password=(a secret)"
    assert "hunter2" not in logs.text()


def test_ordinary_words_are_not_taken_for_secrets() -> None:
    logs = Lines()
    facts = {"tokens": 7, "token_count": 8, "note": "token by token; basic functions; http://host:80/path"}
    log.info("answered", **facts)
    (line,) = logs.lines()
    assert facts.items() <= line.items()


def test_lines_for_people_are_readable_text() -> None:
    logs = Lines(log_format="console")
    with bind_session("abc"):
        log.info("turn over", speech_ms=840)
    assert "turn over" in logs.text()
    assert "session=abc" in logs.text()
    assert "speech_ms=840" in logs.text()
    assert "\x1b" not in logs.text()


def test_telephone_numbers_are_written_at_debug_level_only() -> None:
    logs = Lines("debug")
    log.debug("call not placed", error="the number +15005550001 is not valid")
    log.warning("call not placed", error="the number +15005550001 is not valid")
    log.warning("arithmetic", sum="1+2345678 is 2345679")
    at_debug, above, arithmetic = logs.lines()
    assert at_debug["error"] == "the number +15005550001 is not valid"
    assert above["error"] == "the number (a telephone number) is not valid"
    assert arithmetic["sum"] == "1+2345678 is 2345679"


def test_a_stream_that_cannot_be_written_costs_the_line_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logs(Settings(), Full())
    log.info("turn over")
    assert capsys.readouterr() == ("", "")
