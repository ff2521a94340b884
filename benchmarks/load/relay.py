"""The floor: a server that takes a frame and gives one back, and does nothing else.

    python -m benchmarks.load.relay streams      two bare Trio streams
    python -m benchmarks.load.relay websockets   with WebSocket frames by `websockets` (sans-I/O)

A call cannot cost less than this on Trio, whatever the server does with its frames.
"""

from __future__ import annotations

import sys

import trio
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

SIZE = 380
"""Bytes of a frame: 20 ms of a telephone call in JSON."""


async def relay(stream: trio.SocketStream) -> None:
    """Give every frame back."""
    rest = b""
    try:
        while data := await stream.receive_some():
            rest += data
            while len(rest) >= SIZE:
                frame, rest = rest[:SIZE], rest[SIZE:]
                await stream.send_all(frame)
    except trio.BrokenResourceError:
        return


async def relay_frames(stream: trio.SocketStream) -> None:
    """Give every message of a WebSocket back."""
    protocol = ServerProtocol()
    try:
        while data := await stream.receive_some():
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Frame):
                    if event.opcode is Opcode.TEXT:
                        protocol.send_text(event.data)
                else:
                    protocol.send_response(protocol.accept(event))  # type: ignore[arg-type, unused-ignore]
            for answer in protocol.data_to_send():
                if answer:
                    await stream.send_all(answer)
    except trio.BrokenResourceError:
        return


async def main(kind: str) -> None:
    """Serve until the process is ended."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(f"relay at {listeners[0].socket.getsockname()[1]}", flush=True)
    await trio.serve_listeners(relay_frames if kind == "websockets" else relay, listeners)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
