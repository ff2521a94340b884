"""38: what the reference's shipped web client, in JavaScript, can see of a vendor's failure."""

from __future__ import annotations

from adapters.simulators import simulators
from adapters.simulators.cartesia import UNKNOWN_VOICE
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.simulation.speech import spoken
from tests.faults.vendors import KEY, VendorProviders, Vendors
from tests.orchestrator.real_servers import serving
from tests.orchestrator.wire_clients import ShippedClient, connect


async def test_38_a_failure_of_a_vendor_is_shown_by_the_shipped_client(made: Vendors) -> None:
    async with simulators(keys=[KEY]) as running:
        made.network.attach(running)
        async with serving(VendorProviders()) as server, connect(server.port, client=ShippedClient) as client:
            assert await client.start(voice=UNKNOWN_VOICE)
            await client.chunk(pcm_to_bytes(spoken("how is the weather")))
            assert await client.stop()
            await client.until(lambda: client.errors)
            assert client.errors[0] == "ERROR: The answer cannot be spoken at the moment."
            assert client.warnings == [], "no text frame, and no event that it does not know"
        await made.pool.aclose()
