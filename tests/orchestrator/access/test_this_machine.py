"""Who counts as this machine: headers speak against it only, and the kernel has the last word."""

from __future__ import annotations

import pytest

from orchestrator.access.credentials import Asked
from orchestrator.access.peer_process import Ends, Holder
from orchestrator.access.this_machine import why_from_outside


async def why(peer: str | None, headers: dict[str, str], holder: Holder = Holder.PROGRAM) -> str | None:
    async def kernel(ends: Ends) -> Holder:
        return holder

    own = "::1" if peer is not None and ":" in peer else "127.0.0.1"
    return await why_from_outside(
        Asked(None if peer is None else (peer, 50_000), (own, 3001), headers), kernel
    )


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "localhost:3001"),
        ("127.0.0.1", "LocalHost:3001"),
        ("127.0.0.1", "127.0.0.1:3001"),
        ("127.9.9.9", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]:3001"),
        ("::1", "localhost"),
    ],
)
@pytest.mark.parametrize("holder", [Holder.PROGRAM, Holder.UNKNOWN])
async def test_a_program_on_this_machine(peer: str, host: str, holder: Holder) -> None:
    assert await why(peer, {"host": host}, holder) is None


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (None, {"host": "localhost"}),
        ("192.168.1.5", {"host": "localhost"}),
        ("nonsense", {"host": "localhost"}),
        ("127.0.0.1", {}),
        ("127.0.0.1", {"host": "vantum.example"}),
        ("127.0.0.1", {"host": "localhost.evil.example"}),
        ("127.0.0.1", {"host": "user@evil.example"}),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "203.0.113.5"}),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=203.0.113.5"}),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 example"}),
    ],
)
async def test_what_comes_from_outside(peer: str | None, headers: dict[str, str]) -> None:
    assert await why(peer, headers) is not None


@pytest.mark.parametrize("holder", [Holder.FORWARDER, Holder.STRANGER, Holder.NOBODY])
async def test_no_header_helps_somebody_whom_the_kernel_does_not_call_a_program(holder: Holder) -> None:
    told = await why("127.0.0.1", {"host": "localhost:3001"}, holder)
    assert told == f"at the other end of the connection is {holder.value}"
