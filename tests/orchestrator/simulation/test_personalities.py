"""Personalities of simulated callers: when they take it that it is their turn."""

from __future__ import annotations

from random import Random

import trio
from trio.testing import MockClock

from machines.facts import SayMode, SayRequested, TurnMode
from orchestrator.simulation import (
    Delay,
    SimulatedProviders,
    SimulatedSpeechToText,
    Transcription,
    script,
    simulated_call,
)
from orchestrator.simulation.personalities import Person


async def test_who_waits_for_the_end_of_an_answer_is_not_deceived_by_its_silence(
    autojump_clock: MockClock,
) -> None:
    """A text of the host takes the place of the answer, and is silent while a "yes" is being understood."""
    late_words = SimulatedSpeechToText(script(then=Transcription(delay=Delay(800))))
    async with simulated_call(SimulatedProviders(late_words)) as call, trio.open_nursery() as nursery:
        person = Person(call, Random(1), TurnMode.AUTOMATIC)
        went_on_in: list[str] = []

        async def wait() -> None:
            await person.answered()
            went_on_in.append(call.state)

        await person.begin()
        await call.reaches("quiet")
        await call.say("tell me a joke")
        await call.keep_quiet(1500)
        await call.reaches("speaking")
        nursery.start_soon(wait)
        await call.inbox.deliver(
            SayRequested("Your taxi is here. It is waiting in front of the house.", SayMode.INTERRUPT)
        )
        await call.say("yes")
        await call.keep_quiet(300)
        assert call.state == "confirming"
        await call.keep_quiet(8000)
        assert went_on_in == ["quiet"]
