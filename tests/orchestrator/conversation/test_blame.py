"""What a call's own request caused opens no breaker: other calls go on with the provider."""

from __future__ import annotations

from random import Random

import pytest
import trio

from machines.facts import ErrorClass
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    Answer,
    Fails,
    SimulatedLanguageModel,
    SimulatedProviders,
    script,
    simulated_call,
)

OWN = ("FATAL", "REFUSED_TEXT", "UNUSABLE_ANSWER", "LIMIT_SPENT")


@pytest.mark.parametrize("name", [each.name for each in ErrorClass])
async def test_only_what_the_provider_caused_counts_for_its_breaker(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    fails = Answer(fault=Fails(ErrorClass[name], "no"))
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=fails)))
    async with trio.open_nursery() as nursery:
        watch = ProviderWatch(providers.for_calls(), Random(0))
        await nursery.start(watch.run)
        async with simulated_call(providers, watch=watch) as call:
            await call.take_turn("hello")
            await call.answered(1)
            failures = watch.report()["llm"][0]["failures"]
            assert (failures == 0) is (name in OWN)
        nursery.cancel_scope.cancel()
