"""Fixtures: the vendors' adapters, made once, connected through memory to simulators in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing

pytest.importorskip("deepgram")
pytest.importorskip("cartesia")

from adapters.cartesia.stream import CartesiaSettings
from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import ProviderError
from adapters.simulators import Latencies, Latency, Script, Simulators, simulators
from adapters.vendor_socket import SocketLimits
from machines.facts import ErrorClass
from orchestrator.simulation.speech import VOCABULARY
from tests.adapters.vendors.stt_links import Emitted

KEY = "sk-vantum-0123456789abcdef"
ADDRESS = "ws://simulated.invalid:1"


class Switchboard:
    """Connects adapters that live for the whole session to the simulators of the current test."""

    def __init__(self) -> None:
        self.simulators: Simulators | None = None

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        assert self.simulators is not None
        return await self.simulators.connect(host, port)


@pytest.fixture(scope="session")
def switchboard() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="session")
def nova(switchboard: Switchboard) -> DeepgramNova:
    return DeepgramNova(KEY, base_url=ADDRESS, open_stream=switchboard.connect)


@pytest.fixture(scope="session")
def flux(switchboard: Switchboard) -> DeepgramFlux:
    return DeepgramFlux(KEY, base_url=ADDRESS, open_stream=switchboard.connect)


@pytest.fixture(scope="session")
def cartesia(switchboard: Switchboard) -> CartesiaTextToSpeech:
    return CartesiaTextToSpeech(KEY, base_url=ADDRESS, open_stream=switchboard.connect)


@pytest.fixture(scope="session")
def old_cartesia(switchboard: Switchboard) -> CartesiaTextToSpeech:
    """Cartesia with a model that reads markup out."""
    settings = CartesiaSettings(model="sonic-english")
    return CartesiaTextToSpeech(KEY, base_url=ADDRESS, settings=settings, open_stream=switchboard.connect)


@pytest.fixture
async def vendors(
    switchboard: Switchboard, autojump_clock: trio.testing.MockClock
) -> AsyncIterator[Simulators]:
    """Simulators in virtual time. After the test no socket may be open at them, and no task left.

    A test asks for `autojump_clock`, too: pytest-trio takes the clock from the test's own arguments.
    """
    async with simulators(keys=[KEY]) as running:
        switchboard.simulators = running
        tasks = trio.lowlevel.current_statistics().tasks_living
        yield running
        with trio.fail_after(60):
            await running.all_closed()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= tasks


@pytest.fixture
def emitted() -> Emitted:
    return Emitted()


@contextmanager
def fails_with(error_class: ErrorClass, retry_after_ms: int | None = None) -> Iterator[None]:
    """The block must raise `ProviderError` of this class, and the key must not be in anything printable."""
    with pytest.raises(ProviderError) as caught:
        yield
    failure = caught.value.failure
    assert (failure.error_class, failure.retry_after_ms) == (error_class, retry_after_ms)
    assert KEY not in f"{failure} {caught.value!r} {caught.getrepr(chain=True)}"


def patient(**seconds: float) -> SocketLimits:
    return SocketLimits(**seconds)  # type: ignore[arg-type]


@pytest.fixture
async def listeners(
    switchboard: Switchboard, autojump_clock: trio.testing.MockClock
) -> AsyncIterator[Simulators]:
    """A simulated Deepgram that recognises the words in the audio, 150 ms later."""
    script, late = Script(words_by_level=VOCABULARY), Latencies(transcript=Latency(150, 0))
    async with simulators(keys=[KEY], script=script, latencies=late) as running:
        switchboard.simulators = running
        yield running
        await running.all_closed()
