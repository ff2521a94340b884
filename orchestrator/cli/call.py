"""The body of `vantum call`: has a running server place a call, and prints how it goes until it is over.

However it is left, the call is hung up: by a signal, an error, or a pipe that nobody reads any more.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import trio

from adapters.http_clients import http_client
from adapters.tasks import sole_error
from orchestrator.addresses import is_loopback
from orchestrator.phone.call_key import read_key

POLL_S = 0.5
TRIES = 3
"""So many questions in a row may go unanswered before the call is given up."""
HANG_UP_S = 5.0
"""Leaving waits no longer than this for the server to hang up."""
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
"""Each hangs up. The second one leaves without waiting for the end of the call."""
_TIMEOUT_S = 10.0
STATES_IN_WORDS = {
    "placing": "asking the carrier",
    "placed": "dialling",
    "ringing": "ringing",
    "ANSWERED": "answered",
    "DETECTING": "hearing who answered",
    "conversing": "talking",
    "pressing": "pressing keys",
    "screened": "hearing whether a person takes the call",
    "saying_goodbye": "saying goodbye",
    "handover": "connecting to somebody else",
    "revoking": "hanging up",
    "clearing": "hanging up",
}
"""What `vantum call` says of a call in each state that it can be seen in."""

Say = Callable[[str], object]


class CallError(Exception):
    """The server cannot be reached, or refuses. The message is one sentence."""


class UnansweredError(CallError):
    """The server cannot be reached, perhaps only for the moment."""


def client(url: str, token: str | None) -> httpx2.AsyncClient:
    """A client of the server at `url`. Whoever makes it closes it (`async with`)."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return http_client(base_url=url, headers=headers, timeout=_TIMEOUT_S)


def own_key(url: str) -> str | None:
    """The key of a server on this machine that this user has started; None for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return read_key(port) if is_loopback(parts.hostname or "") else None


async def post(http: httpx2.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request. Raises `CallError`."""
    with sole_error():
        return await _ask(http, "POST", path, body)


async def place_call(http: httpx2.AsyncClient, order: Mapping[str, Any], say: Say) -> bool:
    """Have a call placed and follow it to its end; returns whether there was a conversation.

    The first of `SIGNALS` hangs up, the second leaves at once. Raises `CallError`, and what `say` raises.
    """
    with sole_error(), trio.open_signal_receiver(*SIGNALS) as signals:
        call = await _ask(http, "POST", "/calls", order)
        path = f"/calls/{call['id']}"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_hang_up_on, signals, nursery.cancel_scope, http, path)
                call = await _followed(http, path, call, say)
                nursery.cancel_scope.cancel()
        finally:
            if call["outcome"] is None:
                await _hang_up(http, path, say)
    if call["outcome"] is None:
        return False
    reason = f" ({call['reason']})" if call["reason"] else ""
    say(f"{call['to']}: {call['outcome'].replace('_', ' ')}{reason}")
    return call["outcome"] in ("completed", "handed_over")


async def _followed(http: httpx2.AsyncClient, path: str, call: dict[str, Any], say: Say) -> dict[str, Any]:
    """Tell each state of the call; returns what is known of it at its end."""
    told, unanswered = "", 0
    while call["outcome"] is None:
        news = STATES_IN_WORDS.get(call["state"], call["state"])
        if news != told:
            say(f"{call['to']}: {news}")
            told = news
        await trio.sleep(POLL_S)
        try:
            call, unanswered = await _ask(http, "GET", path), 0
        except UnansweredError:
            unanswered += 1
            if unanswered == TRIES:
                raise
    return call


async def _hang_up_on(
    signals: AsyncIterator[int], everything: trio.CancelScope, http: httpx2.AsyncClient, path: str
) -> None:
    await anext(signals)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ask, http, "DELETE", path)
        await anext(signals)
        everything.cancel()


async def _hang_up(http: httpx2.AsyncClient, path: str, say: Say) -> None:
    """Hang up, whatever has happened and even if cancelled; say so if that is impossible."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + HANG_UP_S) as scope:
        try:
            await _ask(http, "DELETE", path)
        except CallError as error:
            say(f"The call may go on, since it could not be hung up: {error}")
    if scope.cancelled_caught:
        say(f"The call may go on: the server did not answer within {HANG_UP_S:g} s.")


async def _ask(
    http: httpx2.AsyncClient, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    try:
        answer = await http.request(method, path, json=body)
        told = answer.json()
    except httpx2.HTTPError as error:
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UnansweredError(f"The server at {http.base_url} cannot be asked: {problem}.") from None
    except ValueError:
        raise CallError(f"{http.base_url} is not a Vantum server: it does not answer in JSON.") from None
    if not isinstance(told, dict):
        raise CallError(f"{http.base_url} is not a Vantum server: its answer is not a JSON object.")
    if answer.is_error:
        raise CallError(f"The server refuses: {told.get('error', answer.status_code)}.")
    return told
