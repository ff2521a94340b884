"""The real adapters of all vendors, made once, and the providers that a call is held with."""

from __future__ import annotations

import functools

import httpcore2
import trio
from attrs import Factory, frozen

from adapters.cartesia_voice import CartesiaTextToSpeech
from adapters.deepgram_flux import DeepgramFlux, FluxSettings
from adapters.deepgram_nova import DeepgramNova
from adapters.interfaces import LanguageModel, SpeechToText
from adapters.openai_chat import OpenAILanguageModel, http_client
from adapters.simulators import simulators
from orchestrator.providers import Providers
from tests.faults.network import Network, connect_http
from tests.faults.recorded import RecordedHearing, RecordedModel
from tests.simulation import SimulatedProviders, SimulatedVoiceActivity

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
    """OpenAI's idle connections, which outlive calls but not simulators."""


@functools.cache
def vendors() -> Vendors:
    """Made once: it takes a second. Not to be called inside of Trio."""
    network = Network()
    http = http_client()
    made = Vendors(
        network,
        DeepgramNova(KEY, base_url=f"ws://{ADDRESS}", open_stream=network.of("deepgram.v1")),
        # Turns are ended by our own voice activity, as `vantum serve` has it.
        DeepgramFlux(
            KEY,
            base_url=f"ws://{ADDRESS}",
            settings=FluxSettings(eager_eot_threshold=None),
            open_stream=network.of("deepgram.v2"),
        ),
        CartesiaTextToSpeech(KEY, base_url=f"ws://{ADDRESS}", open_stream=network.of("cartesia.websocket")),
        OpenAILanguageModel(http, f"http://{ADDRESS}/v1", "gpt-4.1", KEY, temperature=0.7, max_tokens=500),
        connect_http(http, network, "openai"),
    )
    trio.run(_warm_up, made)
    return made


async def _warm_up(made: Vendors) -> None:
    """OpenAI's SDK asks a thread for the platform before its first request: virtual time would run on."""
    async with simulators() as running:
        made.network.attach(running)
        await made.openai.check()
        await made.pool.aclose()


@frozen
class LineUp(SimulatedProviders):
    """The vendors' adapters in the place of simulated providers, whose `llm` keeps the requests."""

    delivered: list[str] = Factory(list)
    """The words in the audio of each finalized turn, as they reached speech to text."""
    hears: tuple[SpeechToText, ...] = Factory(lambda: (vendors().nova,))
    thinks: tuple[LanguageModel, ...] = Factory(lambda: (vendors().openai,))
    speaks: tuple[CartesiaTextToSpeech, ...] = Factory(lambda: (vendors().cartesia,))

    def for_calls(self) -> Providers:
        """As conversations take them."""
        return Providers(
            RecordedHearing(self.hears[0], self.delivered),
            RecordedModel(self.thinks[0], self.llm.requests),
            self.speaks[0],
            SimulatedVoiceActivity(),
        )

    def in_use(self) -> int:
        """Connections of ours that are open, and not merely kept for the next call."""
        idle = sum(connection.is_idle() for connection in vendors().pool.connections)
        return len(vendors().network.open_lines) - idle
