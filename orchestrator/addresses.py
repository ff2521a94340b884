"""Addresses of machines."""

from __future__ import annotations

import ipaddress


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
