"""The real adapters of all vendors, made once, as the providers of a call."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from copy import copy

import httpcore2
import trio
from attrs import Factory, frozen

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import LanguageModel, SpeechToText
from adapters.openai.chat import OpenAILanguageModel, http_client
from adapters.simulators import simulators
from orchestrator.providers.provider_chain import Providers
from orchestrator.simulation import SimulatedProviders
from tests.faults.network import Network, connect_http
from tests.faults.recorded_model import RecordedModel

KEY = "sk-vantum-0123456789abcdef"
ADDRESS = "simulated.invalid:1"


@frozen
class Vendors:
    """One adapter for each vendor, all on one network."""

    network: Network
    nova: DeepgramNova
    flux: DeepgramFlux
    cartesia: CartesiaTextToSpeech
    openai: OpenAILanguageModel
    pool: httpcore2.AsyncConnectionPool
    """OpenAI's connection pool. Idle connections outlive calls, but not simulators."""


@functools.cache
def vendors(place: int = 0) -> Vendors:
    """The vendors of one place in the order of preference, with a network of their own.

    Made once, which takes a second. Not to be called inside Trio.
    """
    network = Network()
    http = http_client()
    made = Vendors(
        network,
        DeepgramNova(KEY, base_url=f"ws://{ADDRESS}", open_stream=network.of("deepgram.v1")),
        DeepgramFlux(KEY, base_url=f"ws://{ADDRESS}", open_stream=network.of("deepgram.v2")),
        CartesiaTextToSpeech(KEY, base_url=f"ws://{ADDRESS}", open_stream=network.of("cartesia.websocket")),
        OpenAILanguageModel(http, f"http://{ADDRESS}/v1", "gpt-4.1", KEY, temperature=0.7, max_tokens=500),
        connect_http(http, network, "openai"),
    )
    trio.run(_warm_up, made)
    return made


async def _warm_up(made: Vendors) -> None:
    """Make a request now: before its first one, OpenAI's SDK uses a thread, and virtual time would run on."""
    async with simulators() as running:
        made.network.attach(running)
        await made.openai.check()
        await made.pool.aclose()


@frozen
class VendorProviders(SimulatedProviders):
    """The vendors' adapters instead of simulated providers; `llm` records the requests."""

    vendors: tuple[Vendors, ...] = Factory(lambda: (vendors(),))
    """The vendors, in order of preference."""
    flux: bool = False
    """Whether Flux is first and Nova its fallback, or the other way around."""

    def for_calls(self) -> Providers:
        """The providers as conversations take them."""
        return Providers(
            tuple(self._stt()),
            tuple(self._llm()),
            tuple(made.cartesia for made in self.vendors),
            self.voice_activity,
        )

    def _stt(self) -> Iterator[SpeechToText]:
        flux = self.flux
        for made in self.vendors:
            yield made.flux if flux else made.nova
            flux = not flux

    def _llm(self) -> Iterator[LanguageModel]:
        for made in self.vendors:
            # A copy: what the adapter learns of its server is not known to the next call of another test.
            yield RecordedModel(copy(made.openai), self.llm.requests)
        if self.second_llm is not None:
            yield self.second_llm

    def in_use(self) -> int:
        """Our open connections, without those that are idle."""
        idle = sum(connection.is_idle() for made in self.vendors for connection in made.pool.connections)
        return sum(len(made.network.open_lines) for made in self.vendors) - idle
