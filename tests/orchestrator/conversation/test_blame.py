"""Whose fault a failure is, in virtual time.

What refuses everybody is known to the process after one call, and what one call caused is not held against
the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from machines.facts import ErrorClass, Role
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    Answer,
    Fails,
    Opening,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    script,
    simulated_call,
)

UNPAID = Fails(ErrorClass.FATAL, "HTTP 402: out of credit")
OWN = Fails(ErrorClass.REFUSED_REQUEST, "HTTP 400: the history is too long")


def broken(role: Role, fault: Fails, *, on_opening: bool) -> SimulatedProviders:
    """One provider of a role fails like this after the first probe: when opened, or when asked."""
    # A probe asks what a call asks, so that it finds what refuses everybody, too.
    well = (Opening(),) if on_opening else (Opening(), Opening())
    openings = script(*well, then=Opening(fault=fault if on_opening or fault is UNPAID else None))
    of = {
        Role.STT: lambda: SimulatedProviders(SimulatedSpeechToText(openings=openings)),
        Role.LLM: lambda: SimulatedProviders(
            llm=SimulatedLanguageModel(
                None if on_opening else script(then=Answer(fault=fault)), checks=openings
            )
        ),
        Role.TTS: lambda: SimulatedProviders(
            tts=SimulatedTextToSpeech(
                None if on_opening else script(then=Synthesis(fault=fault)), openings=openings
            )
        ),
    }
    return of[role]()


@asynccontextmanager
async def watched(providers: SimulatedProviders) -> AsyncIterator[ProviderWatch]:
    """The breakers of these providers, as a server has them."""
    async with trio.open_nursery() as nursery:
        watch = ProviderWatch(providers.for_calls(), Random(0))
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


async def first_call(call: SimulatedCall, *, on_opening: bool) -> None:
    if on_opening:
        await call.start_recording()
        await call.over.wait()
    else:
        await call.take_turn("hello")
        await call.answered()


CASES = pytest.mark.parametrize(
    ("role", "on_opening"),
    [(Role.STT, True), (Role.LLM, True), (Role.TTS, True), (Role.LLM, False), (Role.TTS, False)],
)


@CASES
async def test_a_provider_that_refuses_everybody_is_not_ready_after_one_call(
    role: Role, on_opening: bool, autojump_clock: MockClock
) -> None:
    providers = broken(role, UNPAID, on_opening=on_opening)
    async with watched(providers) as watch:
        assert watch.usable(role)
        async with simulated_call(providers, watch=watch) as call:
            await first_call(call, on_opening=on_opening)
            assert not watch.usable(role)
            assert watch.report()[role.value][0]["state"] == "open"


@CASES
async def test_what_one_calls_request_caused_is_not_held_against_the_provider(
    role: Role, on_opening: bool, autojump_clock: MockClock
) -> None:
    providers = broken(role, OWN, on_opening=on_opening)
    async with watched(providers) as watch:
        for _ in range(2 if on_opening else 4):  # probes cannot be told from calls there
            async with simulated_call(providers, watch=watch) as call:
                await first_call(call, on_opening=on_opening)
                assert watch.usable(role)
        assert watch.report()[role.value][0]["state"] == "closed"
        assert watch.report()[role.value][0]["failures"] == 0


CAUSED_BY_REQUEST = ("REFUSED_TEXT", "REFUSED_REQUEST", "UNUSABLE_ANSWER", "LIMIT_SPENT")


@pytest.mark.parametrize("name", [each.name for each in ErrorClass])
async def test_only_what_the_provider_caused_counts_for_its_breaker(
    name: str, autojump_clock: MockClock
) -> None:
    fails = Answer(fault=Fails(ErrorClass[name], "no"))
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=fails)))
    async with watched(providers) as watch, simulated_call(providers, watch=watch) as call:
        await call.take_turn("hello")
        await call.answered(1)
        failures = watch.report()["llm"][0]["failures"]
        assert (failures == 0) is (name in CAUSED_BY_REQUEST)


async def test_a_model_that_is_only_there_has_not_answered(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer(thinks_ms=60_000))))
    async with watched(providers) as watch:
        for _ in range(3):
            async with simulated_call(providers, watch=watch) as call:
                await call.take_turn("hello")
                await call.answered(1)
        assert watch.report()["llm"][0]["failures"] == 3


EMPTY = Fails(ErrorClass.UNUSABLE_ANSWER, "an empty answer")


@pytest.mark.parametrize("fault", [OWN, EMPTY])
@pytest.mark.parametrize("everybody", [True, False])
async def test_what_every_call_meets_is_the_providers_fault_if_a_probe_meets_it_too(
    fault: Fails, everybody: bool, autojump_clock: MockClock
) -> None:
    def check() -> Opening:
        return Opening(fault=fault if everybody and len(model.requests) >= 3 else None)

    model = SimulatedLanguageModel(script(then=Answer(fault=fault)), checks=check)
    providers = SimulatedProviders(llm=model)
    async with watched(providers) as watch:
        for _ in range(4):
            async with simulated_call(providers, watch=watch) as call:
                await call.take_turn("hello")
                await call.answered()
                await trio.sleep(10)
        assert watch.usable(Role.LLM) is not everybody
