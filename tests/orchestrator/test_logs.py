"""Logs: the session in every line, no spoken words above debug, no secrets anywhere."""

from __future__ import annotations

import gc
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio

from adapters.logs import PERSONAL_KEYS
from adapters.neutral import without_passwords
from adapters.printable import printable
from orchestrator.log_rates import MOST_ALIKE, MOST_OF_LIBRARY, MOST_TRACEBACKS, WINDOW_S
from orchestrator.logs import bind_session, configure_logs
from orchestrator.settings.settings import Settings

log = structlog.get_logger("vantum.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put the process's logging back, with Python's hooks for exceptions and warnings."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(False)
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
    {"offered": "Vantum.Token.eyJhbGciOiJub25lIn0.hunter2hunter2.hunter2hunter2"},
    {"path": "/calls/eyJhbGciOiJub25lIn0.hunter2hunter2."},
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


# --- one logger -------------------------------------------------------------------------------------------


def test_a_library_that_writes_on_its_own_account_passes_its_lines_on() -> None:
    own = io.StringIO()
    library = logging.getLogger("a.library.with.a.handler")
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False
    logs = Lines()
    library.warning("api_key=%s", "hunter2hunter2")
    assert own.getvalue() == ""
    (line,) = logs.lines()
    assert line["event"] == "api_key=(a secret)"


def test_warnings_are_lines() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs = Lines()
        warnings.warn("password=hunter2 is deprecated", stacklevel=1)
    (line,) = logs.lines()
    assert line["level"] == "warning"
    assert "hunter2" not in logs.text()


def test_exceptions_that_nothing_caught_are_lines() -> None:
    logs = Lines()

    def fail() -> None:
        raise ValueError("password=hunter2")

    class FailsAtItsEnd:
        def __del__(self) -> None:
            fail()

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    FailsAtItsEnd()
    gc.collect()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    assert [line["level"] for line in logs.lines()] == ["error", "error", "critical"]
    assert all("ValueError: password=(a secret)" in line["exception"] for line in logs.lines())


class Time:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def bounded(clock: Time, level: str = "info") -> tuple[io.StringIO, logging.Handler]:
    stream = io.StringIO()
    configure_logs(Settings.model_validate({"log_level": level, "log_format": "json"}), stream, clock=clock)
    return stream, logging.getLogger().handlers[0]


def events(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("ours", [True, False])
def test_of_lines_that_are_alike_a_number_is_written_and_how_many_more_there_were(ours: bool) -> None:
    clock = Time()
    stream, _ = bounded(clock)
    for number in range(MOST_ALIKE + 4000):
        if ours:
            log.warning("bad message", code=number)
        else:
            logging.getLogger("library").warning(f"malformed frame {number}")
    assert len(events(stream)) == MOST_ALIKE
    clock.now = WINDOW_S
    log.info("something else")
    told = "bad message" if ours else "malformed frame #"
    assert events(stream)[MOST_ALIKE:] == [f"{told}: and 4,000 more in the last 10 s", "something else"]
    log.warning("bad message", code=1)
    assert events(stream)[-1] == "bad message"


def test_lines_of_a_library_that_all_differ_are_bounded_together() -> None:
    stream, handler = bounded(Time())
    for number in range(2 * MOST_OF_LIBRARY):
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        logging.getLogger("library").warning(f"what is {letters}?")
    log.warning("ours is written")
    assert len(events(stream)) == MOST_OF_LIBRARY + 1
    handler.close()
    assert events(stream)[-1] == f"lines of library: and {MOST_OF_LIBRARY} more in the last 10 s"


def test_of_tracebacks_fewer_are_written() -> None:
    stream, _ = bounded(Time())
    for _ in range(100):
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")
    assert len(events(stream)) == MOST_TRACEBACKS


def test_lines_at_debug_level_are_all_written() -> None:
    stream, _ = bounded(Time(), "debug")
    for _ in range(2 * MOST_ALIKE):
        log.debug("transition")
    assert len(events(stream)) == 2 * MOST_ALIKE


HOSTILE = "\x1b[2J\x07\r\nINFO all is well\u202e\u2028\x9b1m"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_that_somebody_wrote_orders_a_terminal_about_or_begins_a_line(log_format: str) -> None:
    logs = Lines(log_format=log_format)
    log.info("turn over", error=HOSTILE, nested={HOSTILE: [HOSTILE]})
    logging.getLogger("library").warning("peer said %s", HOSTILE)
    assert len(logs.text().splitlines()) == 2
    assert not set(logs.text()) & set("\x1b\x07\r\u202e\u2028\x9b")


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    logs = Lines(log_format="console")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    assert "Traceback" in logs.text()
    assert not set(logs.text()) & set("\x1b\x07\r\u202e\u2028\x9b")


def test_a_line_is_not_longer_than_somebody_can_read() -> None:
    logs = Lines()
    log.warning("bad message", said="x" * 10**6)
    logging.getLogger("library").warning("x" * 10**6)
    assert len(logs.text()) < 10_000


ADDRESSES = [
    "https://me:hunter2@example.org/v1",
    "https://me:hunter2@hunter2@example.org/v1",
    "https://hunter2@example.org/v1",
    "wss://me:hunter2:hunter2@example.org",
    "https://example.org/v1?key=hunter2&model=m",
    "https://example.org/v1?model=m&access_token=hunter2",
    "https://example.org/v1?X-Amz-Signature=hunter2",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_part_of_a_password_in_an_address_is_written(address: str) -> None:
    logs = Lines()
    log.warning("not reached", address=address, error=ConnectionError(f"'{address}' refused"))
    assert "hunter2" not in logs.text()
    assert logs.text().count("example.org") == 2
    assert "hunter2" not in without_passwords(f"LLM_BASE_URL is {address!r}, but")
    assert "hunter2" not in printable(f"nothing at {address}", "")
