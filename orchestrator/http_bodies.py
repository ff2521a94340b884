"""What the HTTP interfaces share about bodies: reading one up to a bound, and answers that nobody keeps."""

from __future__ import annotations

from contextlib import aclosing

from starlette.requests import Request

UNCACHED = {"cache-control": "no-store"}
"""Headers of what changes with every request, or is for one reader only."""


def is_json(request: Request) -> bool:
    """Whether the body of a request is said to be JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


async def body_of(request: Request, most_bytes: int) -> bytes | None:
    """The body of a request; None if it has more bytes, of which the rest is not read.

    Raises `ClientDisconnect` if it ends too early.
    """
    body = bytearray()
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > most_bytes:
                return None
    return bytes(body)
