"""Whether a request comes from this machine itself, or from outside: through a network, a proxy or a tunnel.

What a request says only ever speaks against it. Headers that a proxy adds, or a `Host` that is another's,
tell that it comes from outside; that they are missing tells nothing. What speaks for it is the connection:
both ends on loopback, and the kernel's word on who holds the other end (`peer_process.py`).
"""

from __future__ import annotations

from orchestrator.access.credentials import Asked
from orchestrator.access.origins import place_of
from orchestrator.access.peer_process import Ends, Holder, HolderOf
from orchestrator.addresses import is_loopback

_FORWARDED = (
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
"""Headers that proxies and tunnels on this machine add to requests from outside."""


async def why_from_outside(asked: Asked, holder_of: HolderOf) -> str | None:
    """Why a request does not count as one from this machine, in words for the operator; None if it does."""
    if asked.peer is None or asked.own is None or not is_loopback(_plain(asked.peer[0])):
        return "it comes over a network"
    added = next((name for name in _FORWARDED if name in asked.headers), None)
    if added is not None:
        return f"a proxy or tunnel has passed it on, and added {added}"
    host = place_of(asked.headers.get("host", "").rpartition("@")[2].lower())
    if host is None or not is_loopback(host.host):
        return "its Host is not this machine's"
    holder = await holder_of(Ends(asked.peer, asked.own))
    if holder in (Holder.PROGRAM, Holder.UNKNOWN):
        return None
    return f"at the other end of the connection is {holder.value}"


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")
