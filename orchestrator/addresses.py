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


def is_address(host: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
