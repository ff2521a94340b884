"""Who asks: this machine itself, or somebody from outside through a proxy or a browser."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip")
"""What proxies and tunnels on this machine add to requests of others."""


def is_local(peer: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request was made on this machine, by a program: not passed on by a proxy, not by a web page.

    `peer` is the other side's address; the headers' names are in lower case.
    """
    if peer is None or not is_loopback(peer):
        return False
    if any(name in headers for name in _FORWARDED) or "origin" in headers:
        return False
    # A tunnel that adds no header still asks for its own name, and so does a page that rebinds one.
    host = headers.get("host", "").rpartition("@")[2]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)


def is_loopback(address: str) -> bool:
    """Whether a host's name or address is this machine's own, by itself: no name is looked up."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
