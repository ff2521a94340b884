"""A Twilio account: the REST interface that places, redirects and ends calls, on Twilio's SDK and Trio.

The SDK's own HTTP clients block a thread or need asyncio. Its asynchronous methods only await what the given
client returns, so it is given a client on `httpx2`. No request is repeated, since a call must not be placed
twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
from attrs import frozen
from twilio.base import values  # type: ignore[import-untyped]
from twilio.base.exceptions import TwilioException, TwilioRestException  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from adapters import http_clients
from adapters.interfaces import ProviderError
from adapters.printable import printable
from machines.facts import ErrorClass

TIMEOUT_S = 10.0
"""For a whole request. Twilio usually answers within a second."""
_BY_STATUS: Mapping[int, ErrorClass] = {
    401: ErrorClass.AUTH,
    403: ErrorClass.AUTH,
    408: ErrorClass.TIMEOUT,
    429: ErrorClass.RATE_LIMIT,
    504: ErrorClass.TIMEOUT,
}
"""By HTTP status. All other 4xx are fatal, all other 5xx transient."""
_NOT_IN_PROGRESS = 21220
"""Twilio's error code for a call that is already over."""
_NOT_OURS = "TWILIO_FROM_NUMBER must be a number of this account, or one that it has verified"
_ADVICE: Mapping[int, str] = {
    21205: "TWILIO_PUBLIC_URL must be an address that Twilio can reach",
    21210: _NOT_OURS,
    21212: _NOT_OURS,
    21606: _NOT_OURS,
    21215: "allow this country in Twilio's console: Voice, Settings, Geographic permissions",
    21219: "an account on trial calls only numbers that are verified in Twilio's console",
}
"""What to do about errors that a setting or the account is the reason of, by Twilio's codes."""
_CAUGHT = (TwilioException, httpx2.HTTPError, ValueError)
"""What the SDK and its HTTP client raise; `ValueError` for an answer that is not JSON."""
CALL_EVENTS = ["initiated", "ringing", "answered", "completed"]


@frozen
class Order:
    """A call to be placed."""

    to: str
    from_: str
    voice_url: str
    """Twilio requests it when somebody answers, to learn what to do."""
    status_url: str
    """Twilio reports there how the call goes."""
    ring_timeout_s: int
    machine_detection: bool
    waits_for_beep: bool = False
    """Detection reports a machine when it records, not when its greeting begins."""


def http_client() -> httpx2.AsyncClient:
    """The HTTP client for an account. Whoever makes it closes it (`async with`)."""
    return http_clients.http_client(
        timeout=httpx2.Timeout(TIMEOUT_S), limits=httpx2.Limits(max_connections=20)
    )


class TwilioAccount:
    """Places calls, redirects them and hangs them up."""

    def __init__(self, http: httpx2.AsyncClient, account_sid: str, auth_token: str, base_url: str) -> None:
        """`base_url` is the address of the REST interface: Twilio's, or a simulator's."""
        self._token = auth_token
        self._client = Client(account_sid, auth_token, http_client=_TrioHttpClient(http, base_url))

    async def place(self, order: Order) -> str:
        """Have Twilio dial; returns the call's SID. Raises `ProviderError`."""
        detection: dict[str, Any] = {}
        if order.machine_detection:
            # Detection runs beside the call, so that a person is not kept waiting.
            detection = {
                "machine_detection": "DetectMessageEnd" if order.waits_for_beep else "Enable",
                "async_amd": "true",
                "async_amd_status_callback": order.status_url,
            }
        try:
            call = await self._client.calls.create_async(
                to=order.to,
                from_=order.from_,
                url=order.voice_url,
                status_callback=order.status_url,
                status_callback_event=CALL_EVENTS,
                timeout=order.ring_timeout_s,
                **detection,
            )
        except _CAUGHT as error:
            raise self._provider_error(error) from error
        if not call.sid or call.sid is values.unset:
            raise ProviderError(ErrorClass.TRANSIENT, "twilio: the answer names no call")
        return str(call.sid)

    async def redirect(self, call_sid: str, twiml: str) -> bool:
        """Have Twilio continue a call as `twiml` says; returns False if the call was already over.

        Twilio closes the media stream of the call. Raises `ProviderError`.
        """
        return await self._update(call_sid, twiml=twiml) is not None

    async def hang_up(self, call_sid: str) -> str | None:
        """End a call, or cancel one that rings. Returns its status then; None if it was already over.

        Raises `ProviderError`.
        """
        return await self._update(call_sid, status="completed")

    async def _update(self, call_sid: str, **how: str) -> str | None:
        try:
            call = await self._client.calls(call_sid).update_async(**how)
        except TwilioRestException as error:
            if error.code == _NOT_IN_PROGRESS or error.status == 404:
                return None
            raise self._provider_error(error) from error
        except _CAUGHT as error:
            raise self._provider_error(error) from error
        return str(call.status)

    def _provider_error(self, error: Exception) -> ProviderError:
        if isinstance(error, TwilioRestException):
            usual = ErrorClass.FATAL if 400 <= error.status < 500 else ErrorClass.TRANSIENT
            kind = _BY_STATUS.get(error.status, usual)
            code = f", code {error.code}" if error.code else ""
            told = f"twilio: HTTP {error.status}{code}: {printable(error.msg, self._token)}"
            advice = _ADVICE.get(error.code or 0)
            return ProviderError(kind, f"{told} ({advice})" if advice else told)
        kind = ErrorClass.TRANSIENT
        if isinstance(error, httpx2.TimeoutException):
            kind = ErrorClass.TIMEOUT
        elif isinstance(error, httpx2.TransportError):
            kind = ErrorClass.CONNECTION
        return ProviderError(kind, f"twilio: {type(error).__name__}: {printable(str(error), self._token)}")


class _TrioHttpClient(AsyncHttpClient):  # type: ignore[misc]
    """The HTTP client of the SDK, on Trio."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str) -> None:
        super().__init__(logging.getLogger("twilio.http"), is_async=True)
        self._http = http
        self._base = urlsplit(base_url)

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as the SDK has it
        allow_redirects: bool = False,
    ) -> Response:
        """Make one request, at the account's base URL. Raises `httpx2.HTTPError`."""
        parts = urlsplit(uri)
        path = self._base.path.rstrip("/") + parts.path
        url = urlunsplit((self._base.scheme, self._base.netloc, path, parts.query, ""))
        answer = await self._http.request(
            method,
            url,
            params=params,
            data=data,
            headers=headers,
            auth=auth,
            timeout=timeout or TIMEOUT_S,
            follow_redirects=allow_redirects,
        )
        return Response(answer.status_code, answer.text, answer.headers)
