"""How the simulated Twilio asks a server: one signed request on a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import h11
import trio
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from adapters.vendor_socket import OpenStream, tls


def signature_of(url: str, form: Mapping[str, str], auth_token: str) -> str:
    """The signature that Twilio gives a request to `url` (with its query) with these form fields."""
    return str(RequestValidator(auth_token).compute_signature(url, form))


async def ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes, open_stream: OpenStream
) -> tuple[int, bytes]:
    """Make one request on a connection of its own; returns status and body of the answer.

    Raises `OSError`, `h11.RemoteProtocolError` or `trio.BrokenResourceError`.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    stream = await open_stream(parts.hostname or "", parts.port or (443 if secure else 80))
    if secure:
        stream = trio.SSLStream(stream, tls(), server_hostname=parts.hostname, https_compatible=True)
    connection = h11.Connection(h11.CLIENT)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    own = {"host": parts.netloc, "content-length": str(len(body)), "connection": "close"}
    fields = [(name.encode(), value.encode("latin-1")) for name, value in (own | dict(headers)).items()]
    request = h11.Request(method=method, target=target, headers=fields)
    pieces = (request, h11.Data(data=body), h11.EndOfMessage())
    async with stream:
        await stream.send_all(b"".join(connection.send(each) or b"" for each in pieces))
        status, received = 0, b""
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some()))
                case h11.Response():
                    status = event.status_code
                case h11.Data():
                    received += bytes(event.data)
                case h11.EndOfMessage():
                    return status, received
