"""The simulated network between adapters and simulators: connections through memory, which can fail.

A `Network` connects to the simulators that run now, so adapters, which are expensive to make, can be used for
many calls. Its lines can be cut or fall silent at any time, also while a vendor sends nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore2
import httpx2
import trio
from attrs import define, field
from httpcore2._backends.trio import TrioStream  # its stream for Trio

from adapters.simulators import Simulators


@define(eq=False)
class Line(trio.abc.Stream):
    """One connection, our end of it."""

    vendor: str
    """The vendor whose adapter opened it."""
    _stream: trio.StapledStream[Any, Any]
    closed: bool = False
    """Whether we closed it."""
    lost: bool = False
    """Whether the network cut it."""
    _silent: bool = False
    _receiving: trio.CancelScope = field(factory=trio.CancelScope)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes. Raises `BrokenResourceError` once the line is cut."""
        if not self.lost:
            with trio.CancelScope() as self._receiving:
                data = bytes(await self._stream.receive_some(max_bytes))
                if self._silent:
                    await trio.sleep_forever()
                return data
        raise trio.BrokenResourceError("the network cut the line")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send. Raises `BrokenResourceError` once the line is cut."""
        await trio.lowlevel.checkpoint()
        if self.lost:
            raise trio.BrokenResourceError("the network cut the line")
        if not self._silent:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once, since sending never blocks."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close our end."""
        self.closed = True
        await self._stream.aclose()

    def is_readable(self) -> bool:
        """Whether a read would return at once: with bytes, the end or an error."""
        incoming = self._stream.receive_stream._incoming
        return bool(self.lost or incoming._closed or incoming._data)

    def cut(self) -> None:
        """Reset the connection, for both ends."""
        self.lost = True
        self._receiving.cancel()
        self._stream.send_stream.close()
        self._stream.receive_stream.close()

    def fall_silent(self) -> None:
        """Swallow everything in both directions from now on."""
        self._silent = True


class Network:
    """Connects the adapters to the simulators of the current call."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        """The connections of the current call."""
        self.failed = False
        """Whether lines were cut or fell silent."""
        self._simulators: Simulators | None = None

    def attach(self, simulators: Simulators) -> None:
        """Lead all connections to these simulators from now on."""
        self._simulators = simulators
        self.lines = []
        self.failed = False

    def of(self, vendor: str) -> Callable[[str, int], Awaitable[Line]]:
        """The `OpenStream` of this vendor's adapter."""

        async def connect(host: str, port: int) -> Line:
            assert self._simulators is not None
            stream = await self._simulators.connect(host, port)
            assert isinstance(stream, trio.StapledStream)
            line = Line(vendor, stream)
            self.lines.append(line)
            return line

        return connect

    def cut(self, vendor: str) -> None:
        """Reset all lines to a vendor."""
        for line in self._lines_to(vendor):
            line.cut()

    def fall_silent(self, vendor: str) -> None:
        """Let all lines to a vendor swallow everything."""
        for line in self._lines_to(vendor):
            line.fall_silent()

    def _lines_to(self, vendor: str) -> list[Line]:
        self.failed = True
        return [line for line in self.lines if line.vendor == vendor]

    @property
    def open_lines(self) -> list[Line]:
        """The lines that we have not closed."""
        return [line for line in self.lines if not line.closed]


class _HttpStream(TrioStream):
    """A line as httpcore needs it."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._line = line

    def get_extra_info(self, info: str) -> Any:
        return self._line.is_readable() if info == "is_readable" else None


class _HttpBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, network: Network, vendor: str) -> None:
        self._network = network
        self._vendor = vendor

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _HttpStream(await self._network.of(self._vendor)(host, port))


def connect_http(client: httpx2.AsyncClient, network: Network, vendor: str) -> httpcore2.AsyncConnectionPool:
    """Connect an HTTP client through the network. Returns its pool; close it when the simulators change."""
    transport = client._transport
    assert isinstance(transport, httpx2.AsyncHTTPTransport)
    pool = transport._pool
    assert isinstance(pool, httpcore2.AsyncConnectionPool)
    pool._network_backend = _HttpBackend(network, vendor)
    return pool
