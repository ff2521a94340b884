"""HTTP clients as they must be in any network: with the environment's proxies, but not to this machine."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies

import httpx2

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""These are never asked of a proxy, which would look for them on its own machine."""


def http_client(**options: Any) -> httpx2.AsyncClient:
    """A client with the options of `httpx2.AsyncClient`. Whoever makes it closes it (`async with`).

    A proxy that cannot be used (SOCKS, or no address at all) only fails the requests that would go through
    it, with a sentence that names the variable.
    """
    mounts: dict[str, httpx2.AsyncBaseTransport | None] = {f"all://{host}": None for host in LOOPBACK}
    proxies = {
        scheme: url for scheme, url in getproxies().items() if scheme in ("http", "https", "all") and url
    }
    if all(_usable(url) for url in proxies.values()):
        return httpx2.AsyncClient(mounts=mounts, **options)
    # The client would refuse to be made, so it must not look at the environment itself.
    for scheme, url in proxies.items():
        mounts[f"{scheme}://"] = (
            httpx2.AsyncHTTPTransport(proxy=_with_scheme(url)) if _usable(url) else _NoProxy(scheme, url)
        )
    for host in filter(None, (each.strip().lstrip(".") for each in getproxies().get("no", "").split(","))):
        mounts |= {"all://": None} if host == "*" else {f"all://{host}": None, f"all://*.{host}": None}
    return httpx2.AsyncClient(mounts=mounts, trust_env=False, **options)


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _usable(url: str) -> bool:
    try:
        parsed = httpx2.URL(_with_scheme(url))
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


class _NoProxy(httpx2.AsyncBaseTransport):
    """Stands for a proxy that cannot be used."""

    def __init__(self, scheme: str, url: str) -> None:
        kind = "a SOCKS proxy" if url.lower().startswith("socks") else "no HTTP proxy's address"
        self._complaint = (
            f"{scheme.upper()}_PROXY is {kind}, which cannot be used: unset it, or set it to an HTTP proxy"
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Refuse."""
        raise httpx2.ProxyError(self._complaint, request=request)
