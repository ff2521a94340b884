"""Addresses of machines."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def is_loopback(address: str) -> bool:
    """Whether a host name or address means this machine. No name is looked up."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_private(address: str) -> bool:
    """Whether an address or network is this machine's or a private one: perhaps a proxy's."""
    try:
        return ipaddress.ip_network(address).is_private
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def address_of(peer: str | None, headers: Mapping[str, str], *, behind_proxy: bool) -> str:
    """The address by which a peer's connections are counted. The headers' names are in lower case.

    Behind a proxy that is believed it is the last one of `X-Forwarded-For`, which the proxy itself has added.
    Hosts on one IPv6 network are one peer, since each has as many addresses as it likes.
    """
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip() if behind_proxy else ""
    for told in (forwarded, peer or ""):
        try:
            address = ipaddress.ip_address(told)
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            if not address.is_loopback:
                return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)
    return peer or "unknown"
