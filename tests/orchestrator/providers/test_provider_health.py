"""The watch over the process's providers, in virtual time: probes, news for calls, what `/health` says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from random import Random

import pytest
import trio
from attrs import define, field

from machines.breaker import BreakerPolicy
from machines.facts import ErrorClass, Fact, ProviderDown, ProviderFailure, ProviderRecovered, Role
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    Breaks,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
    SimulatedLanguageModel,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    SimulatedVoiceActivity,
    Stalls,
    script,
)

POLICY = BreakerPolicy(jitter=0)
LOST = ProviderFailure(ErrorClass.CONNECTION, "connection lost")
REFUSED = ProviderFailure(ErrorClass.AUTH, "the key was refused")
WELL = Opening()
ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: str(role.value))


def providers(role: Role = Role.LLM, *openings: Opening, then: Opening = WELL) -> Providers:
    """Two providers of each role; the first one of `role` opens, or is checked, as said."""
    plans = {each: script(then=WELL) for each in Role} | {role: script(*openings, then=then)}
    return Providers(
        (SimulatedSpeechToText(openings=plans[Role.STT]), SimulatedSpeechToText()),
        (SimulatedLanguageModel(checks=plans[Role.LLM]), SimulatedLanguageModel()),
        (SimulatedTextToSpeech(openings=plans[Role.TTS]), SimulatedTextToSpeech()),
        SimulatedVoiceActivity(),
    )


@define
class Watching:
    """A watch that runs, and what a conversation hears of it."""

    watch: ProviderWatch
    started_after: float
    heard: list[Fact] = field(factory=list)

    def state(self, role: Role = Role.LLM) -> str:
        return str(self.watch.report()[role.value][0]["state"])


@asynccontextmanager
async def watching(watched: Providers, policy: BreakerPolicy = POLICY) -> AsyncIterator[Watching]:
    watch = ProviderWatch(watched, Random(0), policy)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        running = Watching(watch, trio.current_time() - began)
        with watch.listening(running.heard.append):
            yield running
        nursery.cancel_scope.cancel()


# --- the start --------------------------------------------------------------------------------------------


@ROLES
async def test_every_provider_is_probed_once_before_the_watch_has_started(
    role: Role, autojump_clock: trio.testing.MockClock
) -> None:
    slow = Opening(Delay(700))
    watch = ProviderWatch(providers(role, slow), Random(0), POLICY)
    assert not watch.usable(role)
    assert watch.report()[role.value][0]["state"] == "idle"
    async with watching(providers(role, slow)) as running:
        assert running.started_after == pytest.approx(0.7)
        assert all(running.watch.usable(each) for each in Role)
        assert running.watch.down(role) == frozenset()


@pytest.mark.parametrize("takes_s", [6, 59])
async def test_a_model_that_is_loaded_at_the_first_question_is_waited_for(
    takes_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    async with watching(providers(Role.LLM, Opening(Delay(takes_s * 1000)))) as running:
        assert running.started_after == pytest.approx(POLICY.probe_timeout_ms / 1000)
        assert running.state() != "closed"
        await trio.sleep(takes_s)
        assert running.state() == "closed"
        assert running.heard == [ProviderRecovered(Role.LLM, 0)]


@ROLES
@pytest.mark.parametrize("fault", [Fails(), Fails(ErrorClass.AUTH), Stalls(), Breaks()])
async def test_a_provider_that_cannot_be_reached_at_the_start_holds_nothing_up_and_is_down(
    role: Role, fault: Fault, autojump_clock: trio.testing.MockClock
) -> None:
    async with watching(providers(role, then=Opening(fault=fault))) as running:
        assert running.started_after <= POLICY.probe_timeout_ms / 1000
        await trio.sleep(POLICY.first_llm_probe_timeout_ms / 1000)
        assert running.watch.down(role) == {0}
        assert running.watch.usable(role)


async def test_a_probe_that_cannot_be_broken_off_does_not_hold_up_the_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stubborn = Opening(Delay(60_000), uncancellable=True)
    async with watching(providers(Role.TTS, stubborn)) as running:
        assert running.started_after == pytest.approx(5)
        assert running.watch.down(Role.TTS) == {0}


async def test_probes_leave_no_link_open(autojump_clock: trio.testing.MockClock) -> None:
    watched = providers()
    async with watching(watched):
        stt, tts = watched.stt[0], watched.tts[0]
        assert isinstance(stt, SimulatedSpeechToText)
        assert isinstance(tts, SimulatedTextToSpeech)
        assert (stt.open_links, tts.open_links) == (0, 0)
        assert stt.languages == ["en-US"]


async def test_a_link_that_ends_right_after_it_opened_was_still_opened(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watching(providers(Role.STT, Opening(dies=Ends()))) as running:
        assert running.watch.down(Role.STT) == frozenset()


# --- while it runs ----------------------------------------------------------------------------------------


@ROLES
async def test_calls_are_told_when_a_provider_is_down_and_when_it_is_back(
    role: Role, autojump_clock: trio.testing.MockClock
) -> None:
    async with watching(providers(role, WELL, Opening(fault=Fails()), then=WELL)) as running:
        for _ in range(3):
            running.watch.failed(role, 0, LOST)
        assert running.heard == [ProviderDown(role, 0)]
        assert running.watch.down(role) == {0}
        await trio.sleep(2.9)
        assert running.watch.down(role) == {0}
        await trio.sleep(0.2)
        assert running.heard == [ProviderDown(role, 0), ProviderRecovered(role, 0)]
        assert running.watch.down(role) == frozenset()


async def test_a_refused_key_puts_a_provider_down_at_once_and_spares_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watching(providers()) as running:
        running.watch.failed(Role.STT, 1, REFUSED)
        assert running.heard == [ProviderDown(Role.STT, 1)]
        assert [running.watch.down(role) for role in Role] == [{1}, frozenset(), frozenset()]


async def test_an_answer_in_between_keeps_a_provider_up(autojump_clock: trio.testing.MockClock) -> None:
    async with watching(providers()) as running:
        for _ in range(10):
            running.watch.failed(Role.LLM, 0, LOST)
            running.watch.answered(Role.LLM, 0)
        assert running.state() == "closed"
        assert ProviderDown(Role.LLM, 0) not in running.heard


async def test_a_provider_that_accepts_links_and_stays_mute_is_left_alone_ever_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watching(providers()) as running:
        running.watch.failed(Role.TTS, 0, LOST)
        running.watch.failed(Role.TTS, 0, LOST)
        outages = []
        for _ in range(4):
            running.watch.failed(Role.TTS, 0, LOST)
            began = trio.current_time()
            while running.watch.down(Role.TTS):  # noqa: ASYNC110
                await trio.sleep(0.1)
            outages.append(round(trio.current_time() - began))
        assert outages == [1, 2, 4, 8]


async def test_a_provider_that_never_comes_back_is_probed_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stalling = SimulatedLanguageModel(checks=script(then=Opening(fault=Stalls())))
    watched = Providers(
        (SimulatedSpeechToText(),), (stalling,), (SimulatedTextToSpeech(),), SimulatedVoiceActivity()
    )
    async with watching(watched) as running:
        await trio.sleep(3600)
        [told] = running.watch.report()["llm"]
        assert told["state"] == "open"
        assert told["failures"] > 90
        assert told["lastError"]["class"] == "timeout"
        assert not running.watch.usable(Role.LLM)


async def test_a_conversation_that_is_over_hears_nothing_more(autojump_clock: trio.testing.MockClock) -> None:
    async with watching(providers()) as running:
        heard: list[Fact] = []
        with running.watch.listening(heard.append):
            running.watch.failed(Role.STT, 0, REFUSED)
        running.watch.failed(Role.STT, 1, REFUSED)
        assert heard == [ProviderDown(Role.STT, 0)]


@pytest.mark.slow
async def test_nothing_of_the_watch_goes_on_when_it_is_cancelled(
    autojump_clock: trio.testing.MockClock, leaves_nothing: Callable[[], AbstractContextManager[None]]
) -> None:
    with leaves_nothing():
        async with watching(providers(Role.STT, then=Opening(fault=Stalls()))) as running:
            running.watch.failed(Role.LLM, 0, LOST)
        running.watch.failed(Role.LLM, 0, LOST)
        running.watch.answered(Role.LLM, 0)
        await trio.sleep(60)


async def test_without_probes_nothing_counts_as_down() -> None:
    watch = ProviderWatch(providers(), Random(0))
    for _ in range(10):
        watch.failed(Role.STT, 0, REFUSED)
    watch.answered(Role.STT, 1)
    assert watch.down(Role.STT) == frozenset()


# --- the report -------------------------------------------------------------------------------------------


async def test_the_report_says_what_is_known_of_each_provider(autojump_clock: trio.testing.MockClock) -> None:
    async with watching(providers()) as running:
        secretive = ProviderFailure(ErrorClass.RATE_LIMIT, "wss://me:hunter2@example.org is busy", 20_000)
        running.watch.failed(Role.STT, 0, secretive)
        await trio.sleep(5)
        report = running.watch.report()
        assert list(report) == ["stt", "llm", "tts"]
        assert report["stt"] == [
            {
                "name": "simulated speech to text",
                "state": "suspect",
                "failures": 1,
                "lastError": {"class": "rate_limit", "message": "wss://me:(a secret)@example.org is busy"},
                "nextProbeInSeconds": 15.0,
            },
            {
                "name": "simulated speech to text",
                "state": "closed",
                "failures": 0,
                "lastError": None,
                "nextProbeInSeconds": None,
            },
        ]
