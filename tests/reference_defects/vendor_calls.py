"""Calls through the vendors' adapters against simulated vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import trio
from attrs import define
from trio.testing import wait_all_tasks_blocked

from adapters.simulators import Fault, Latencies, Script, Simulators, SttDialect, TtsDialect, simulators
from adapters.simulators.records import Exchange
from machines.facts import ProviderFailure, Role
from machines.history import Message
from machines.policy import ConversationPolicy
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    SimulatedCall,
    SimulatedCaller,
    SimulatedLanguageModel,
    SimulatedVoiceActivity,
    failed_checks,
    simulated_call,
)
from tests.faults.calls import Side, left_behind
from tests.faults.network import Network
from tests.faults.vendors import KEY, VendorProviders, Vendors

NOVA, FLUX, MODEL, VOICE = "deepgram.v1", "deepgram.v2", "openai.chat", "cartesia.websocket"


class BlameKept(ProviderWatch):
    """Keeps what calls hold against providers. It probes none, so no provider counts as down."""

    def __init__(self, providers: Providers) -> None:
        super().__init__(providers, Random(1))
        self.blamed: list[tuple[Role, ProviderFailure]] = []

    def failed(self, role: Role, provider: int, failure: ProviderFailure) -> None:
        self.blamed.append((role, failure))
        super().failed(role, provider, failure)

    def doubted(self, role: Role, provider: int, failure: ProviderFailure) -> None:
        self.blamed.append((role, failure))
        super().doubted(role, provider, failure)


@define
class VendorCall:
    """A running call, with both of its sides."""

    call: SimulatedCall
    caller: SimulatedCaller
    vendors: Simulators
    network: Network
    providers: VendorProviders
    blamed: list[tuple[Role, ProviderFailure]]
    """What counts for the breakers of the process."""

    def at(self, route: str) -> list[Exchange]:
        """What a vendor was sent."""
        return self.vendors.records.at(route)

    def spoken_texts(self) -> list[str]:
        """What Cartesia was asked to speak, context by context."""
        return [context.transcript.strip() for context in self.vendors.records.contexts.values()]

    def requests(self) -> list[tuple[Message, ...]]:
        """What the model was asked."""
        return self.providers.llm.requests

    async def exchange(self, words: str, number: int) -> None:
        """A turn by hand and its answer, which is answer number `number` of the call."""
        await self.call.take_turn(words)
        await self.call.answered(number)
        await self.call.reaches("quiet")


@asynccontextmanager
async def vendor_call(
    made: Vendors,
    *faults: Fault,
    flux: bool = False,
    caller: SimulatedCaller | None = None,
    policy: ConversationPolicy | None = None,
    script: Script | None = None,
    latencies: Latencies | None = None,
    second: SimulatedLanguageModel | None = None,
    stt_dialect: SttDialect = SttDialect.PLAIN,
    tts_dialect: TtsDialect = TtsDialect.PLAIN,
    voice_activity: SimulatedVoiceActivity | None = None,
) -> AsyncIterator[VendorCall]:
    """A call that lasts as long as the block. `second` is the fallback provider after OpenAI's model.

    Fails if the call broke a promise, or left anything behind.
    """
    latencies = latencies or Latencies()
    async with simulators(
        seed=1,
        faults=faults,
        latencies=latencies,
        script=script,
        keys=[KEY],
        stt_dialect=stt_dialect,
        tts_dialect=tts_dialect,
    ) as running:
        made.network.attach(running)
        await wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        providers = VendorProviders(
            vendors=(made,),
            flux=flux,
            second_llm=second,
            voice_activity=voice_activity or SimulatedVoiceActivity(),
        )
        caller = caller or SimulatedCaller()
        watch = BlameKept(providers.for_calls())
        async with simulated_call(providers, caller, policy, watch) as call:
            yield VendorCall(call, caller, running, made.network, providers, watch.blamed)
        assert failed_checks(call) == []
        assert await left_behind([Side(made, running)], tasks) == []
