"""Callers are told what went wrong in words for callers; what a provider said is in the log."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TypeVar

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from machines import effects as do
from machines.effects import ClientError
from machines.facts import ErrorClass, Request
from orchestrator.sessions.client_messages import error_of
from orchestrator.sessions.client_words import WORDS
from orchestrator.simulation import (
    Answer,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    Transcription,
    script,
)
from orchestrator.simulation.behaviour import Plan
from protocol import HIERARCHICAL, LEGACY, Dialect
from tests.orchestrator.sessions.test_session import Held, a_session, say
from tests.orchestrator.wire_clients import ConnectionEnded

B = TypeVar("B")

MARK = "INNER-WORDS at 10.0.0.7"
"""In the message of every failure of a provider."""


def failing(place: str, fault: Fails, *, at_first: bool) -> SimulatedProviders:
    """Providers that fail at this place, always or the first time only."""

    def plan(here: str, bad: B, good: B) -> Plan[B]:
        if here != place:
            return script(then=good)
        return script(bad, then=good) if at_first else script(then=bad)

    def links(role: str) -> Plan[Opening]:
        if place == f"{role} lost":
            return plan(place, Opening(dies=fault, after_ms=300), Opening())
        return plan(f"{role} opening", Opening(fault=fault), Opening())

    return SimulatedProviders(
        SimulatedSpeechToText(plan("stt", Transcription(fault=fault), Transcription()), links("stt")),
        SimulatedLanguageModel(plan("llm", Answer(fault=fault, after=1), Answer()), links("llm")),
        tts=SimulatedTextToSpeech(plan("tts", Synthesis(fault=fault, after=1), Synthesis()), links("tts")),
    )


PLACES = ["stt", "stt opening", "stt lost", "llm", "llm opening", "tts", "tts opening", "tts lost"]
FAULTS = [(error_class, False) for error_class in ErrorClass] + [(ErrorClass.CONNECTION, True)]
"""Kinds of failures, and whether they pass."""


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [HIERARCHICAL, LEGACY], ids=lambda dialect: str(dialect.name))
@pytest.mark.parametrize("place", PLACES)
async def test_nothing_that_a_provider_says_of_its_failure_reaches_a_client(
    place: str, dialect: Dialect, autojump_clock: MockClock
) -> None:
    told: list[str] = []
    with capture_logs() as lines:
        for error_class, at_first in FAULTS:
            providers = failing(place, Fails(error_class, MARK, retry_after_ms=50), at_first=at_first)
            async with a_session(providers, dialect=dialect) as held:
                with suppress(ConnectionClosed, ConnectionEnded):
                    await held.client.send("audio.input.start", {"turnMode": "manual"})
                    await say(held.client, "hello please")
                    await held.client.send("audio.input.stop")
                    await held.client.until(partial(_settled, held))
                told += [repr(message) for message in held.client.messages]
    assert not [each for each in told if "INNER" in each or "10.0.0.7" in each]
    assert any(MARK in repr(line) for line in lines), "the log has it"


def _settled(held: Held) -> bool:
    ends = ("output.complete", "response.complete", "error")
    return held.over.is_set() or any(str(each["eventType"]).endswith(ends) for each in held.client.messages)


async def test_the_log_has_the_reason_of_an_error_under_the_id_of_its_message(
    autojump_clock: MockClock,
) -> None:
    providers = failing("llm", Fails(ErrorClass.FATAL, MARK), at_first=True)
    with capture_logs() as lines:
        async with a_session(providers) as held:
            await held.client.send("audio.input.start", {"turnMode": "manual"})
            await say(held.client, "hello please")
            await held.client.send("audio.input.stop")
            told = await held.client.hears("conversation.error.llm_failed")
    assert told["payload"]["error"]["message"] == WORDS[ClientError.MODEL_FAILED]
    [line] = [each for each in lines if each.get("reference") == told["eventId"]]
    assert line["why"] == MARK


@pytest.mark.parametrize("error", ClientError)
def test_there_are_words_for_every_error(error: ClientError) -> None:
    request = Request("audio.input.stop", "1")
    for effect in (do.NotifyClientError(error, MARK, retryable=True), do.Refuse(request, MARK, error)):
        told = error_of(effect)
        assert told is not None
        assert told.message == WORDS[error]
        assert told.message[0].isupper()
        assert told.message.endswith(".")


def test_whoever_asks_for_something_at_the_end_is_told_that_it_is_the_end() -> None:
    told = error_of(do.Refuse(Request("audio.input.start", "1"), MARK))
    assert told is not None
    assert told.message == "The call is over."
