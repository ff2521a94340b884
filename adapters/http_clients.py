"""HTTP clients as they must be in any network: with the environment's proxies, but not to this machine.

They ask for responses that are not compressed, and read no more of one than `LONGEST_BODY`: a few KB of a
compressed response can be GB of text. They keep no cookies: a server that sets new ones each time would
have the requests of all calls grow without end.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.request import getproxies

import httpx2

from machines.bounds import LONGEST_BODY, LONGEST_ERROR_BODY

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""These are never asked of a proxy, which would look for them on its own machine."""


def http_client(**options: Any) -> httpx2.AsyncClient:
    """A client with the options of `httpx2.AsyncClient`. Whoever makes it closes it (`async with`).

    A proxy that cannot be used (SOCKS, or no address at all) only fails the requests that would go through
    it, with a sentence that names the variable.
    """
    options["headers"] = {"Accept-Encoding": "identity", **options.get("headers", {})}
    options["event_hooks"] = {"response": [_bound]}
    options["cookies"] = CookieJar(_NoCookies())
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


class _NoCookies(DefaultCookiePolicy):
    """Takes none."""

    def __init__(self) -> None:
        super().__init__(allowed_domains=[])


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _usable(url: str) -> bool:
    try:
        parsed = httpx2.URL(_with_scheme(url))
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


class BodyTooLong(httpx2.DecodingError):
    """A response is longer than `LONGEST_BODY`."""


async def _bound(response: httpx2.Response) -> None:
    """Have the response read within its bound. Raises `httpx2.DecodingError` for an unknown compression."""
    encodings = response.headers.get_list("content-encoding", split_commas=True)
    kinds = [each for each in (encoding.strip().lower() for encoding in encodings) if each != "identity"]
    if kinds and (len(kinds) > 1 or kinds[0] not in ("gzip", "x-gzip", "deflate")):
        raise httpx2.DecodingError(
            f"the response is compressed as {', '.join(kinds)!r}, though it was asked for uncompressed"
        )
    if kinds:
        # It is decompressed here, since the client would do so without a bound.
        del response.headers["content-encoding"]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _BoundedBody(response.stream, compressed=bool(kinds), failed=response.is_error)


class _BoundedBody(httpx2.AsyncByteStream):
    """A body that is read up to its bound. What an error says just ends there."""

    # No generator: nobody would close it if a request ends in the middle of its response.

    def __init__(self, body: httpx2.AsyncByteStream, *, compressed: bool, failed: bool) -> None:
        self._body = body
        self._received = aiter(body)
        self._inflater = _Inflater() if compressed else None
        self._failed = failed
        self._left = LONGEST_ERROR_BODY if failed else LONGEST_BODY
        self._parts: Iterator[bytes] = iter(())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left == 0 and self._failed:
            raise StopAsyncIteration
        while (part := next(self._parts, None)) is None:
            data = await anext(self._received)
            self._parts = iter((data,)) if self._inflater is None else self._inflater.parts(data)
        if len(part) > self._left:
            if not self._failed:
                raise BodyTooLong(f"a response of more than {LONGEST_BODY:,} bytes")
            part = part[: self._left]
        self._left -= len(part)
        return part

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._body.aclose()


class _Inflater:
    """Decompresses gzip, and deflate with or without its head, in parts that are not long."""

    _LONGEST = 65_536

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    def parts(self, data: bytes) -> Iterator[bytes]:
        """What these bytes decompress to. Raises `httpx2.DecodingError`."""
        while data:
            try:
                part = self._inflate.decompress(data, self._LONGEST)
            except zlib.error as error:
                if self._begun:
                    raise httpx2.DecodingError(
                        f"the response is not compressed as it says: {error}"
                    ) from None
                self._inflate, self._begun = zlib.decompressobj(-zlib.MAX_WBITS), True
                continue
            self._begun = True
            yield part
            data = b"" if self._inflate.eof else self._inflate.unconsumed_tail


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
