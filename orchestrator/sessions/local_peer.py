"""Whether a request comes from this machine itself, or from outside (also through a proxy or a browser)."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.addresses import is_loopback

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip")
"""Headers that proxies and tunnels on this machine add to requests from outside."""


def is_local(peer: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a program on this machine made the request: no proxy passed it on, and no web page made it.

    `peer` is the address of the other side. The headers' names are in lower case.
    """
    if peer is None or not is_loopback(peer):
        return False
    if any(name in headers for name in _FORWARDED) or "origin" in headers:
        return False
    # A tunnel that adds no header still sends its own host name, and so does a page after DNS rebinding.
    host = headers.get("host", "").rpartition("@")[2]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)
