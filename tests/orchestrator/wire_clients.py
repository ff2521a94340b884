"""Clients at a real socket: one that says anything, and the reference's shipped web client, restated."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
import trio
import uuid_utils
from attrs import Factory, define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from orchestrator.late_pings import ignore_late_pings

PATIENCE_S = 120
"""So long a test waits for what must come; it fails after that."""
Message = dict[str, Any]


class ConnectionEnded(Exception):  # noqa: N818 (it says what happened)
    """The server closed the socket while more was awaited from it."""


def new_id() -> str:
    return str(uuid_utils.uuid7())


def _brief(message: Message) -> Message:
    """A message without its ids and audio, for people to read."""
    payload = {key: "…" if isinstance(value, bytes) else value for key, value in message["payload"].items()}
    return {message["eventType"]: payload}


@define(eq=False)
class Client:
    """A client that can say anything, and keeps what it is told."""

    socket: WebSocketConnection
    stream: trio.abc.Stream
    messages: list[Message] = Factory(list)
    close_code: int | None = None
    closed: trio.Event = Factory(trio.Event)
    _changed: trio.Event = Factory(trio.Event)

    # --- saying -------------------------------------------------------------------------------------------

    async def send(self, event_type: Any, payload: Any = None, **header: Any) -> str:
        """A message with an event id of its own, unless `header` says otherwise; returns the id.

        Header fields are given in the wire's words: `eventId`, `sessionId`. `...` leaves one out.
        """
        message = {
            "eventType": event_type,
            "eventId": new_id(),
            "sessionId": self.session_id,
            "payload": {} if payload is None else payload,
            **header,
        }
        await self.send_packed({key: value for key, value in message.items() if value is not ...})
        return str(message["eventId"])

    async def send_packed(self, value: object) -> None:
        """Any value."""
        await self.socket.send_message(msgpack.packb(value, use_bin_type=True))

    # --- hearing ------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The session that the server announced."""
        for message in self.messages:
            if message["eventType"] in ("connection.ack", "connection.lifecycle.ack"):
                return str(message["sessionId"])
        return None

    def named(self, event_type: str) -> list[Message]:
        """The messages of one type."""
        return [message for message in self.messages if message["eventType"] == event_type]

    def about(self, event_id: str) -> list[Message]:
        """What the server answered to a request."""
        return [message for message in self.messages if message["eventId"] == event_id]

    async def until(self, happened: Callable[[], object]) -> None:
        """Return once it has happened; it is asked after every message, and when the socket closes."""
        with trio.move_on_after(PATIENCE_S):
            while not happened():
                if self.closed.is_set():
                    raise ConnectionEnded(f"closed with {self.close_code}; the server said {self.messages}")
                await self._changed.wait()
            return
        raise AssertionError(f"it did not happen; the server said {[_brief(each) for each in self.messages]}")

    async def hears(self, event_type: str, times: int = 1) -> Message:
        """The message of this type that comes as number `times`."""
        await self.until(lambda: len(self.named(event_type)) >= times)
        return self.named(event_type)[times - 1]

    async def answer_to(self, event_id: str) -> Message:
        """The answer to a request."""
        await self.until(lambda: self.about(event_id))
        return self.about(event_id)[0]

    async def is_closed(self) -> int | None:
        """The code that the socket was closed with, once it is."""
        with trio.fail_after(PATIENCE_S):
            await self.closed.wait()
        return self.close_code

    async def is_alive(self) -> bool:
        """Whether the call goes on: a heartbeat is answered after everything that was said before."""
        seen = len(self.named("connection.lifecycle.heartbeat"))
        await self.send("connection.lifecycle.heartbeat", {"timestamp": 1.0})
        await self.hears("connection.lifecycle.heartbeat", seen + 1)
        return True

    async def begin(self) -> None:
        """Begin to record. A client that has begun nothing makes room for others after some seconds."""
        answer = await self.answer_to(await self.send("audio.input.start"))
        assert answer["payload"].get("success") is True, answer

    # --- running ------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take messages until the socket closes."""
        try:
            while True:
                await self.take(await self.socket.get_message())
                self._announce()
        except ConnectionClosed as closed:
            self.close_code = closed.reason.code if closed.reason else None
            self.closed.set()
            self._announce()

    async def take(self, frame: bytes | str) -> None:
        """One frame of the server."""
        assert isinstance(frame, bytes), "the server never sends text"
        message = msgpack.unpackb(frame, raw=False)
        assert message["eventType"]
        self.messages.append(message)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@define
class Played:
    """A chunk that the shipped client put into its queue."""

    utterance: str
    samples: int
    rate: float


@define(eq=False)
class ShippedClient(Client):
    """What the reference's web client does: section 1.6 of the reference sheet."""

    errors: list[str] = field(factory=list)
    """What it shows to its user."""
    warnings: list[str] = field(factory=list)
    played: list[Played] = field(factory=list)
    stops: list[str] = field(factory=list)
    """Why playback was stopped, each time."""
    _pending: dict[str, trio.Event] = field(factory=dict)
    _playing: str | None = None
    _plays_until: float = 0

    async def hear_out(self) -> None:
        """Listen until everything that came was played."""
        await trio.sleep_until(self._plays_until)

    async def request(self, event_type: str, payload: Message) -> bool:
        """A tracked request; whether it was acknowledged. (The shipped client waits for ten seconds.)"""
        event_id, settled = new_id(), trio.Event()
        self._pending[event_id] = settled
        await self.send(event_type, payload, eventId=event_id)
        with trio.move_on_after(PATIENCE_S) as waiting:
            await settled.wait()
        self._pending.pop(event_id, None)
        if waiting.cancelled_caught:
            self.errors.append(f"Request {event_type} timed out")
        return not waiting.cancelled_caught

    async def start(self, rate: float = 16_000, voice: str = "voice-1") -> bool:
        """The record button."""
        wanted = {"samplingRate": rate, "language": "en-US", "voiceId": voice}
        return await self.request("voicechat.audio.start", wanted)

    async def chunk(self, audio: bytes, session_id: str | None = None) -> None:
        """One block of the microphone; never acknowledged."""
        await self.send(
            "voicechat.audio.chunk",
            {"audio": audio, "isMuted": False},
            sessionId=session_id or self.session_id,
        )

    async def stop(self) -> bool:
        """The stop button."""
        return await self.request("voicechat.audio.end", {})

    async def take(self, frame: bytes | str) -> None:
        if isinstance(frame, str):
            self.warnings.append("text frame")
            return
        message = msgpack.unpackb(frame, raw=False)
        if not message.get("eventType"):
            self.warnings.append("no event type")
            return
        self.messages.append(message)
        payload = message["payload"]  # throws if there is none
        if payload.get("success") is True and message["eventId"] in self._pending:
            self._pending[message["eventId"]].set()
        elif message["eventType"].endswith(".error"):
            request = message.get("requestType") or "ERROR"
            self.errors.append(f"{request}: {payload.get('message') or 'Unknown error'}")
        else:
            self._handle(message["eventType"], payload)

    def _handle(self, event_type: str, payload: Message) -> None:
        match event_type:
            case "connection.ack":
                pass
            case "voicechat.response.start" | "voicechat.response.interrupt" | "voicechat.response.stop":
                _log(payload["utteranceId"], payload["timestamp"])
                self._stop(event_type.rpartition(".")[2])
            case "voicechat.response.complete":
                _log(payload["utteranceId"])
            case "voicechat.response.chunk":
                self._enqueue(payload["utteranceId"], payload["audio"], payload["sampleRate"])
            case _:
                self.warnings.append(f"unhandled event type {event_type}")

    def _enqueue(self, utterance: str, audio: object, rate: float) -> None:
        assert isinstance(audio, bytes), "not a typed array"
        assert audio, "empty audio"
        if self._playing not in (None, utterance):
            self._stop("another utterance")
        self._playing = utterance
        played = Played(utterance, len(audio) // 2, rate if 0 < rate <= 192_000 else 16_000)
        self.played.append(played)
        self._plays_until = max(self._plays_until, trio.current_time()) + played.samples / played.rate

    def _stop(self, why: str) -> None:
        self.stops.append(why)
        self._playing, self._plays_until = None, 0


def _log(*values: object) -> None:
    """`JSON.stringify`, which throws on a BigInt: what an integer that needs 64 bits is decoded to."""
    assert not any(isinstance(value, int) and abs(value) >= 2**32 for value in values), "BigInt"
    json.dumps(values)


@asynccontextmanager
async def connect(
    port: int,
    *,
    v2: bool = False,
    path: str = "/ws",
    client: type[Client] = Client,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> AsyncIterator[Any]:
    """A client of this kind whose session has begun; its socket is closed when the block is left."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with connect_over(stream, v2=v2, path=path, client=client, headers=headers) as connected:
        yield connected


@asynccontextmanager
async def connect_over(
    stream: trio.abc.Stream,
    *,
    v2: bool = False,
    path: str = "/ws",
    client: type[Client] = Client,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> AsyncIterator[Any]:
    """As `connect`, over a stream to the server, which is closed, too."""
    async with stream, trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            socket = await wrap_client_stream(
                nursery,
                cast(Any, stream),
                "127.0.0.1",
                path,
                subprotocols=["vantum.v2"] if v2 else None,
                extra_headers=list(headers),
                message_queue_size=10_000,
                max_message_size=2**24,
            )
            ignore_late_pings(socket)
        connected = client(socket, stream)
        nursery.start_soon(connected.read)
        await connected.until(lambda: connected.messages or connected.closed.is_set())
        yield connected
        with trio.move_on_after(PATIENCE_S):
            await socket.aclose()
        nursery.cancel_scope.cancel()
