"""What signals do to a server, which is a process here."""

from __future__ import annotations

import signal

import pytest
import trio

from tests.orchestrator.server_process import server_process
from tests.orchestrator.wire_clients import ShippedClient, connect


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_a_signal_drains_a_real_process(number: signal.Signals) -> None:
    async with server_process() as started:
        async with connect(started.port, client=ShippedClient) as client:
            assert await client.start()
            for harmless in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO"):
                started.process.send_signal(signal.Signals[harmless])
            started.process.send_signal(number)
            # It has heard a goodbye, and shall not call again by itself.
            assert await client.is_closed() == 1000
        with trio.fail_after(120):
            assert await started.process.wait() == 0
