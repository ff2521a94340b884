"""Streams on top of other streams, for what must be read in another way."""

from __future__ import annotations

import trio


class StreamOver(trio.abc.Stream):
    """A stream on top of another one. What a subclass does not change is as with the other."""

    def __init__(self, stream: trio.abc.Stream, received: bytes = b"") -> None:
        """`received` was read from `stream` already. It is returned first."""
        self._stream = stream
        self._received = received

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The bytes that were read already, then what comes."""
        if not self._received:
            return await self._receive(max_bytes)
        await trio.lowlevel.checkpoint()
        count = len(self._received) if max_bytes is None else max_bytes
        data, self._received = self._received[:count], self._received[count:]
        return data

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        """What comes."""
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the other stream."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the other stream."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the other stream."""
        await self._stream.aclose()


class HalfCloseableStreamOver(StreamOver, trio.abc.HalfCloseableStream):
    """A `StreamOver` that can end what it sends."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, received: bytes = b"") -> None:
        super().__init__(stream, received)
        self._half_closeable = stream

    async def send_eof(self) -> None:
        """As the other stream."""
        await self._half_closeable.send_eof()
