"""Which web pages may talk to this server: told by the `Origin` that every browser sends, and by `Host`.

A page of another site is refused by its origin. A page that had its own name resolved to this machine (DNS
rebinding) has an origin that fits its `Host`, so `Host` must be a name that this server has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from attrs import frozen

from orchestrator.addresses import is_address, is_loopback

_USUAL_PORTS = {"http": 80, "https": 443}


@frozen
class Place:
    """A host and a port, as origins and `Host` name them."""

    host: str
    port: int | None


def place_of(authority: str, scheme: str = "") -> Place | None:
    """The place of `host`, `host:port` or `[address]:port`; without a port, the usual one of the scheme.

    None if it is none.
    """
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path:
        return None
    return Place(parts.hostname.rstrip("."), port or _USUAL_PORTS.get(scheme))


@frozen
class Origins:
    """Tells which origins are allowed. `allowed` are those of the settings, `names` further hosts of ours."""

    allowed: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, allowed: Collection[str], urls: Collection[str] = ()) -> Origins:
        """From origins that are allowed, and addresses at which this server is known to be reached."""
        names = {urlsplit(each).hostname or "" for each in (*allowed, *urls)}
        return cls(frozenset(each.lower().rstrip("/") for each in allowed), frozenset(names - {""}))

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether whoever sent this is no web page, or one that may. Names of headers are in lower case."""
        origin = headers.get("origin")
        if origin is None:
            return True
        if origin.lower() in self.allowed:
            return True
        return self._is_own(origin, headers.get("host", ""))

    def has_name(self, host: str) -> bool:
        """Whether a host is a name that this server may have. An address cannot be another's name."""
        return is_loopback(host) or is_address(host) or host in self.names

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, authority = origin.lower().partition("://")
        if scheme not in _USUAL_PORTS:
            return False
        page, asked = place_of(authority, scheme), place_of(host.lower(), scheme)
        return page is not None and page == asked and self.has_name(page.host)
