"""A server that hardly does anything: it shows how many calls callers and vendors themselves can bear.

    python -m benchmarks.load.parrot 9100

It hears voice by its level, has all audio transcribed and every answer spoken by the vendors, and answers
200 ms after the voice with speech that is ready, 20 ms at a time, with a mark every 100 ms.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import cast

from benchmarks.load.event_loop import run_fast
from benchmarks.load.sound import FRAME_MS, LOUD, MULAW_LEVEL, answer_audio
from benchmarks.load.vendors import ANSWER
from benchmarks.load.websocket import BINARY, CLOSE, ClientSocket, FrameReader, accepted, frame

RATE = 8000
SIZE = RATE * FRAME_MS // 1000
ANSWER_FRAMES = 250
"""5 s."""
SILENT_FRAMES = 10
"""So many end a turn."""
MARK_EVERY = 5


class Ear(ClientSocket):
    """A stream to Deepgram, or a socket of Cartesia's. What comes is not read."""

    up = False

    def opened(self) -> None:
        """As `ClientSocket.opened`."""
        self.up = True


class ParrotCall(asyncio.Protocol):
    """One call."""

    transport: asyncio.Transport

    def __init__(self, vendors: int, answer: list[bytes]) -> None:
        self._vendors = vendors
        self._answer = answer
        self._received = b""
        self._reader: FrameReader | None = None
        self._ears: list[Ear] = []
        self._opening: asyncio.Task[None] | None = None
        self._stream = ""
        self._silent = SILENT_FRAMES
        self._voiced = 0
        self._at: int | None = None
        """Which frame of the answer comes next; None: there is none."""
        self._answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.Protocol`."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        for each in self._ears:
            each.hang_up()

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        if self._reader is not None:
            self._reader.feed(data)
            return
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if separator:
            lines = head.split(b"\r\n")
            key = next(line for line in lines if line.lower().startswith(b"sec-websocket-key:"))
            self.transport.write(accepted(key.partition(b":")[2].strip()))
            self._reader = FrameReader(self._take)
            self._opening = asyncio.ensure_future(self._open())
            self._reader.feed(rest)

    async def _open(self) -> None:
        host, loop = f"127.0.0.1:{self._vendors}", asyncio.get_running_loop()
        query = "encoding=linear16&sample_rate=8000&interim_results=true&vad_events=true&endpointing=300"
        for path in (f"/v1/listen?{query}", "/tts/websocket"):
            ear = Ear(host, path)
            await loop.create_connection(lambda ear=ear: ear, "127.0.0.1", self._vendors)  # type: ignore[misc]
            self._ears.append(ear)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.transport.close()
            return
        message = json.loads(payload)
        if message["event"] == "start":
            self._stream = message["streamSid"]
        elif message["event"] == "media":
            self._hear(base64.b64decode(message["media"]["payload"]))

    def _hear(self, audio: bytes) -> None:
        if len(self._ears) == 2 and self._ears[0].up:
            self._ears[0].send(audio + audio, BINARY)  # as many bytes as samples of 16 bits would be
        if max(audio.translate(MULAW_LEVEL)) * 128 >= LOUD:
            self._silent = 0
            self._voiced += 1
            if self._voiced == 5 and self._at is not None:
                self._at = None
                self._send({"event": "clear", "streamSid": self._stream})
        else:
            self._silent += 1
            if self._silent == SILENT_FRAMES and self._voiced >= 5:
                self._at, self._voiced = 0, 0
                self._speak()
            elif self._silent > SILENT_FRAMES:
                self._voiced = 0
        if self._at is not None:
            self._play()

    def _speak(self) -> None:
        """Have the vendors say it, too, for the work that this is."""
        self._answers += 1
        form = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE}
        request = {"context_id": str(self._answers), "transcript": ANSWER, "output_format": form}
        if len(self._ears) == 2 and self._ears[1].up:
            self._ears[1].send(json.dumps(request).encode())

    def _play(self) -> None:
        assert self._at is not None
        audio = base64.b64encode(self._answer[self._at]).decode()
        self._send({"event": "media", "streamSid": self._stream, "media": {"payload": audio}})
        self._at += 1
        if self._at % MARK_EVERY == 0:
            mark = {"name": f"{self._answers}.{self._at}"}
            self._send({"event": "mark", "streamSid": self._stream, "mark": mark})
        if self._at == len(self._answer):
            self._at = None

    def _send(self, message: object) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame(json.dumps(message).encode()))


async def serve(vendors: int) -> None:
    """Serve until the process is ended. Prints the port."""
    from adapters.mulaw import to_mulaw

    audio = to_mulaw(answer_audio(RATE))
    answer = [audio[at : at + SIZE] for at in range(0, SIZE * ANSWER_FRAMES, SIZE)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ParrotCall(vendors, answer), "127.0.0.1", 0, backlog=1024)
    print(f"parrot at {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run_fast(serve(int(sys.argv[1])))
