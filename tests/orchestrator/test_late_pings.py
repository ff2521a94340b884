"""A client's WebSocket that is closing while the server pings it."""

from __future__ import annotations

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_client_stream, wrap_server_stream

from orchestrator.late_pings import ignore_late_pings

EMPTY_PING = b"\x89\x00"


async def test_a_ping_that_crosses_the_close_does_not_end_its_client() -> None:
    ours, theirs = memory_stream_pair()

    async def ping_while_it_closes(nursery: trio.Nursery) -> None:
        request = await wrap_server_stream(nursery, theirs)
        socket = await request.accept()
        try:
            await theirs.send_all(EMPTY_PING)
            await socket.get_message()
        except ConnectionClosed as closed:
            assert closed.reason is not None
            assert closed.reason.code == 1000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping_while_it_closes, nursery)
        socket = ignore_late_pings(await wrap_client_stream(nursery, ours, "localhost", "/ws"))  # type: ignore[arg-type]
        with trio.fail_after(120):
            # Nothing is read before it closes: the ping was sent when the close was under way.
            await socket.aclose()
        assert socket.closed is not None
        assert socket.closed.code == 1000
        nursery.cancel_scope.cancel()
