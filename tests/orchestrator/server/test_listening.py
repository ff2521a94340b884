"""Where the server listens: on every address of its host, all on one port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from orchestrator.server import listening
from orchestrator.server.listening import listen


@contextmanager
def listened(host: str, port: int = 0) -> Iterator[list[tuple[str, int]]]:
    """The addresses that are listened on."""
    sockets = listen(host, port)
    try:
        yield [each.getsockname()[:2] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def there_is_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not there_is_ipv6(), reason="this machine has no ::1")


@ipv6
def test_localhost_is_reached_by_both_of_its_addresses() -> None:
    with listened("localhost") as addresses:
        port = addresses[0][1]
        assert addresses == [("127.0.0.1", port), ("::1", port)]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=60).close()


def test_localhost_needs_only_one_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    # TEST-NET-1: an address that no machine has, as ::1 where there is no IPv6.
    monkeypatch.setattr(listening, "LOOPBACKS", ("127.0.0.1", "192.0.2.1"))
    with listened("localhost") as addresses:
        assert [address for address, _ in addresses] == ["127.0.0.1"]


@ipv6
def test_a_port_that_is_taken_at_one_address_is_taken() -> None:
    # Else whoever asks for localhost might reach the other program.
    with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as taken:
        with pytest.raises(OSError) as raised:
            listen("localhost", taken.getsockname()[1])
        assert raised.value.errno == errno.EADDRINUSE


def test_an_address_that_the_machine_does_not_have_cannot_be_listened_on() -> None:
    with pytest.raises(OSError) as raised:
        listen("192.0.2.1", 0)
    assert raised.value.errno == errno.EADDRNOTAVAIL
