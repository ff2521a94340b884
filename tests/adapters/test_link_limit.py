"""The limit on the links of a provider that are open at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from adapters.interfaces import ProviderError
from adapters.link_limit import with_link_limit
from machines.facts import ErrorClass, Fact
from orchestrator.simulation.behaviour import Fails, Opening, Plan, script
from orchestrator.simulation.stt import SimulatedSpeechToText
from orchestrator.simulation.tts import SimulatedTextToSpeech

Open = Callable[[], AbstractAsyncContextManager[object]]


def nobody_listens(fact: Fact) -> None:
    pass


def speech_to_text(limit: int, openings: Plan[Opening] | None = None) -> Open:
    provider = with_link_limit(SimulatedSpeechToText(openings=openings), limit)
    return lambda: provider.open(nobody_listens, "en")


def text_to_speech(limit: int, openings: Plan[Opening] | None = None) -> Open:
    provider = with_link_limit(SimulatedTextToSpeech(openings=openings), limit)
    return lambda: provider.open("en")


@pytest.mark.parametrize("make", [speech_to_text, text_to_speech])
async def test_a_link_beyond_the_limit_is_refused_until_another_one_ends(make: Callable[[int], Open]) -> None:
    open_one = make(2)
    async with AsyncExitStack() as calls:
        await calls.enter_async_context(open_one())
        async with open_one():
            with pytest.raises(ProviderError, match=r"simulated .*: serves 2 calls at most") as refused:
                await calls.enter_async_context(open_one())
            assert refused.value.failure.error_class is ErrorClass.RATE_LIMIT
        async with open_one():
            pass


@pytest.mark.parametrize("make", [speech_to_text, text_to_speech])
async def test_a_link_that_cannot_be_opened_or_fails_does_not_count(
    make: Callable[[int, Plan[Opening]], Open],
) -> None:
    open_one = make(1, script(Opening(fault=Fails(ErrorClass.CONNECTION)), then=Opening()))
    with pytest.raises(ProviderError) as failed:
        async with open_one():
            pass
    assert failed.value.failure.error_class is ErrorClass.CONNECTION
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        async with open_one():
            raise LookupError
    async with open_one():
        pass


def test_the_limited_provider_has_the_same_name_and_properties() -> None:
    provider = SimulatedSpeechToText()
    assert with_link_limit(provider, 1).name == provider.name
    assert not with_link_limit(provider, 1).ends_turns
    provider.ends_turns = True
    assert with_link_limit(provider, 1).ends_turns
    assert with_link_limit(SimulatedTextToSpeech(), 1).name == SimulatedTextToSpeech.name
