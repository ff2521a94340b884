"""A voice-agent server made of LiveKit Agents, for Twilio's media streams.

    benchmarks/environments/livekit/bin/python benchmarks/load/peers/livekit_server.py 9100 tuned

The first argument is the port of the vendors. `tuned`: turns end 200 ms after the voice, 200 ms of voice
interrupt; `default`: as LiveKit decides. Each call is an `AgentSession` in this one process: no LiveKit
server, no room, no process for each job, all of which would cost more. The carrier holds an answer as soon as
it is there, so that nothing is paced here. Runs in an environment of its own: nothing of ours is imported.
"""

import asyncio
import audioop
import base64
import json
import logging
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from livekit.plugins import cartesia, deepgram, openai, silero

RATE = 8000


class Ear(io.AudioInput):
    """The caller's audio."""

    def __init__(self) -> None:
        super().__init__(label="telephone")
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def take(self, mulaw: bytes | None) -> None:
        """20 ms came; None: no more will."""
        self._frames.put_nowait(mulaw)

    def __aiter__(self) -> AsyncIterator[rtc.AudioFrame]:
        return self

    async def __anext__(self) -> rtc.AudioFrame:
        mulaw = await self._frames.get()
        if mulaw is None:
            raise StopAsyncIteration
        return rtc.AudioFrame(audioop.ulaw2lin(mulaw, 2), RATE, 1, len(mulaw))


class Mouth(io.AudioOutput):
    """What the caller hears. The carrier holds it; a clock tells how much was played."""

    def __init__(self, socket: web.WebSocketResponse, stream_sid: str) -> None:
        super().__init__(
            label="telephone", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=RATE
        )
        self._socket = socket
        self._sid = stream_sid
        self._loop = asyncio.get_running_loop()
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._writing = asyncio.ensure_future(self._write())
        self._audio = bytearray()
        """The segment so far, as µ-law."""
        self._until = 0.0
        """When all that the carrier holds will have been played."""
        self._paused_at: int | None = None
        """How much of the segment was played when it was paused."""
        self._flushed = False
        self._over: asyncio.TimerHandle | None = None

    def _played(self) -> int:
        if self._paused_at is not None:
            return self._paused_at
        left = max(0.0, self._until - self._loop.time())
        return max(0, len(self._audio) - round(left * RATE))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """As `AudioOutput.capture_frame`."""
        await super().capture_frame(frame)
        mulaw = audioop.lin2ulaw(bytes(frame.data), 2)
        if not self._audio:
            self.on_playback_started(created_at=time.time())
        self._audio += mulaw
        if self._paused_at is None:
            self._send_audio(mulaw)

    def _send_audio(self, mulaw: bytes) -> None:
        self._until = max(self._until, self._loop.time()) + len(mulaw) / RATE
        payload = base64.b64encode(mulaw).decode()
        self._send({"event": "media", "streamSid": self._sid, "media": {"payload": payload}})

    def flush(self) -> None:
        """As `AudioOutput.flush`."""
        super().flush()
        self._flushed = bool(self._audio)
        self._finish_when_played()

    def _finish_when_played(self) -> None:
        if self._over is not None:
            self._over.cancel()
            self._over = None
        if self._flushed and self._paused_at is None:
            self._over = self._loop.call_at(self._until, self._finish, False)

    def _finish(self, interrupted: bool) -> None:
        position = self._played() / RATE
        if self._over is not None:
            self._over.cancel()
        self._audio, self._paused_at, self._flushed, self._over = bytearray(), None, False, None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)

    def clear_buffer(self) -> None:
        """As `AudioOutput.clear_buffer`."""
        if self._audio:
            position = self._played()
            self._clear()
            self._paused_at = position
            self._finish(True)

    def _clear(self) -> None:
        self._until = 0.0
        self._send({"event": "clear", "streamSid": self._sid})

    def pause(self) -> None:
        """As `AudioOutput.pause`."""
        super().pause()
        if self._paused_at is None:
            self._paused_at = self._played()
            if self._audio:
                self._clear()
            self._finish_when_played()

    def resume(self) -> None:
        """As `AudioOutput.resume`."""
        super().resume()
        if self._paused_at is not None:
            rest, self._paused_at = bytes(self._audio[self._paused_at :]), None
            if rest:
                self._send_audio(rest)
            self._finish_when_played()

    def _send(self, message: object) -> None:
        self._outgoing.put_nowait(json.dumps(message))

    async def _write(self) -> None:
        while True:
            await self._socket.send_str(await self._outgoing.get())

    def close(self) -> None:
        """The call is over."""
        self._writing.cancel()
        if self._over is not None:
            self._over.cancel()


class Calls:
    """What all calls share."""

    def __init__(self, vendors: int, kind: str, http: aiohttp.ClientSession) -> None:
        self._place = f"127.0.0.1:{vendors}"
        self._tuned = kind == "tuned"
        self._http = http
        silence = {"min_silence_duration": 0.2} if self._tuned else {}
        self._vad = silero.VAD.load(sample_rate=RATE, **silence)

    def _session(self) -> AgentSession:
        stt = deepgram.STT(
            api_key="simulated",
            base_url=f"http://{self._place}/v1/listen",
            sample_rate=RATE,
            http_session=self._http,
        )
        llm = openai.LLM(api_key="simulated", base_url=f"http://{self._place}/v1", model="gpt-4.1")
        tts = cartesia.TTS(
            api_key="simulated",
            base_url=f"http://{self._place}",
            voice="simulated",
            sample_rate=RATE,
            http_session=self._http,
        )
        if not self._tuned:
            return AgentSession(vad=self._vad, stt=stt, llm=llm, tts=tts)
        return AgentSession(
            vad=self._vad,
            stt=stt,
            llm=llm,
            tts=tts,
            aec_warmup_duration=None,
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": 0.2},
                "interruption": {"mode": "vad", "min_duration": 0.2},
            },
        )

    async def hold(self, request: web.Request) -> web.WebSocketResponse:
        """One call, from its first message to its end."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        while (message := json.loads(await socket.receive_str()))["event"] != "start":
            pass
        ear, mouth = Ear(), Mouth(socket, message["start"]["streamSid"])
        session = self._session()
        session.input.audio, session.output.audio = ear, mouth
        await session.start(Agent(instructions="You answer callers of a restaurant."), record=False)
        try:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                message = json.loads(frame.data)
                if message["event"] == "media":
                    ear.take(base64.b64decode(message["media"]["payload"]))
                elif message["event"] == "stop":
                    break
        finally:
            ear.take(None)
            mouth.close()
            await session.aclose()
        return socket


async def main(vendors: int, kind: str) -> None:
    """Serve until the process is ended. Prints the port."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("livekit").setLevel(logging.ERROR)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        calls = Calls(vendors, kind, http)
        app = web.Application()
        app.router.add_get("/media", calls.hold)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        print(f"livekit at {runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
