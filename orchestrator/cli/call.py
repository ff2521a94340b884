"""The body of `vantum call`: has a running server place a call, and prints how it goes until it is over."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import trio

POLL_S = 0.5
_TIMEOUT_S = 10.0
STATES_IN_WORDS = {
    "placing": "asking the carrier",
    "placed": "dialling",
    "ringing": "ringing",
    "ANSWERED": "answered",
    "DETECTING": "hearing who answered",
    "TALKING": "talking",
    "saying_goodbye": "saying goodbye",
    "handover": "connecting to somebody else",
    "revoking": "hanging up",
    "clearing": "hanging up",
}
"""What `vantum call` says of a call in each state that it can be seen in (`machines/phone_call.py`)."""

Say = Callable[[str], object]


class CallError(Exception):
    """The server cannot be reached, or refuses. The message is one sentence."""


def client(url: str, token: str | None) -> httpx2.AsyncClient:
    """A client of the server at `url`. Whoever makes it closes it (`async with`)."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S)


async def place_call(http: httpx2.AsyncClient, order: Mapping[str, Any], say: Say) -> bool:
    """Have a call placed and follow it to its end; returns whether there was a conversation.

    SIGINT hangs up. Raises `CallError`.
    """
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        call = await _ask(http, "POST", "/calls", order)
        path = f"/calls/{call['id']}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hang_up_on, interrupts, http, path)
            told = ""
            while call["outcome"] is None:
                news = STATES_IN_WORDS[call["state"]]
                if news != told:
                    say(f"{call['to']}: {news}")
                    told = news
                await trio.sleep(POLL_S)
                call = await _ask(http, "GET", path)
            nursery.cancel_scope.cancel()
    reason = f" ({call['reason']})" if call["reason"] else ""
    say(f"{call['to']}: {call['outcome'].replace('_', ' ')}{reason}")
    return call["outcome"] in ("completed", "handed_over")


async def _hang_up_on(interrupts: Any, http: httpx2.AsyncClient, path: str) -> None:
    async for _ in interrupts:
        await _ask(http, "DELETE", path)


async def _ask(
    http: httpx2.AsyncClient, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    try:
        answer = await http.request(method, path, json=body)
        told = answer.json()
    except httpx2.HTTPError as error:
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise CallError(f"The server at {http.base_url} cannot be asked: {problem}.") from None
    except ValueError:
        raise CallError(f"{http.base_url} is not a Vantum server: it does not answer in JSON.") from None
    if answer.is_error:
        raise CallError(f"The server refuses: {told.get('error', answer.status_code)}.")
    return dict(told)
