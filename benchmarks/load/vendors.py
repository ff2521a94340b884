"""Simulated vendors for load: Deepgram, OpenAI and Cartesia on one port, at a few µs a message.

    python -m benchmarks.load.vendors --port 0

`adapters/simulators/` are for tests: they record everything, check every field and have faults and dialects,
which costs more than the server that is measured. These do as little as the vendors' clients can tell from
the vendors themselves: Deepgram's times are those of the stream, interim words grow, `Finalize` is answered,
Cartesia sends audio ten times faster than it is played, word times, and `flush_done` after a flush, and the
model writes token by token. Latencies are fixed, so that what varies is the server.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import sys
from collections import deque
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import numpy as np
from attrs import asdict, define, frozen

from benchmarks.load.event_loop import run_fast
from benchmarks.load.sound import INTERRUPTIONS, LOUD, MULAW_LEVEL, QUESTIONS, answer_audio
from benchmarks.load.websocket import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, accepted, frame


@frozen
class Budget:
    """How long the vendors take, in ms."""

    transcript: float = 50
    """From audio to its transcript."""
    first_token: float = 100
    token: float = 10
    """Between tokens of at most four characters."""
    first_audio: float = 80
    """From a text to its first audio."""
    piece: float = 10
    """Between pieces of 100 ms of audio."""


WORDS = tuple(text for pair in zip(QUESTIONS, INTERRUPTIONS, strict=True) for text in pair)
"""What is understood of the utterances of a stream, one after the other."""
ANSWER = "Sure, I can help you with that. We are open from nine to five every day. Shall I book it for you?"
_MS_PER_CHARACTER = 50
_SECONDS_PER_WORD = 0.22
_INTERIM_EVERY = 0.3
_SILENCE_EVERY = 3.0
WINDOW_S = 0.02
_OVER = 0.7
"""Silence after which the next voice is another utterance."""
_LEAST_SILENCE = 0.1
"""Deepgram notices no shorter silence, whatever `endpointing` says."""
_TOKENS = [ANSWER[start : start + 4] for start in range(0, len(ANSWER), 4)]


@define
class Counts:
    """What was asked for."""

    listens: int = 0
    audio_s: float = 0.0
    questions: int = 0
    given_up: int = 0
    """Questions whose asker went away before the answer was over."""
    texts: int = 0
    characters: int = 0
    cancelled: int = 0


class World:
    """What all connections share."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.counts = Counts()
        self.late_ms: deque[float] = deque(maxlen=100_000)
        """How late this process was, every 20 ms."""
        self.pieces: dict[int, list[str]] = {}
        """The voice's audio, as base64, in pieces of 100 ms, by rate."""

    def voice(self, rate: int) -> list[str]:
        """The pieces at this rate."""
        if rate not in self.pieces:
            audio, size = answer_audio(rate).astype("<i2").tobytes(), rate // 10 * 2
            self.pieces[rate] = [
                base64.b64encode(audio[start : start + size]).decode()
                for start in range(0, len(audio) - size + 1, size)
            ]
        return self.pieces[rate]

    async def watch(self) -> None:
        """Note how late this process is."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.late_ms.append((loop.time() - due) * 1000)
            due = max(due, loop.time() - 0.02)

    def report(self) -> dict[str, Any]:
        """What happened since the last report."""
        late = np.array(self.late_ms or [0.0])
        told = {
            **asdict(self.counts),
            "late_p50_ms": float(np.percentile(late, 50)),
            "late_p99_ms": float(np.percentile(late, 99)),
            "late_max_ms": float(late.max()),
        }
        self.counts = Counts()
        self.late_ms.clear()
        return told


class Nova:
    """One stream of Deepgram's v1 interface."""

    def __init__(self, connection: Connection, query: dict[str, list[str]]) -> None:
        self._connection = connection
        self._world = connection.world
        self._world.counts.listens += 1
        self._rate = int(query.get("sample_rate", ["16000"])[0])
        self._mulaw = query.get("encoding", ["linear16"])[0] == "mulaw"
        self._events = query.get("vad_events", ["false"])[0] == "true"
        self._interims = query.get("interim_results", ["false"])[0] == "true"
        endpointing = query.get("endpointing", ["10"])[0]
        self._endpointing = (
            float("inf") if endpointing == "false" else max(_LEAST_SILENCE, _number(endpointing, 10) / 1000)
        )
        self._utterance_end = _number(query.get("utterance_end_ms", ["0"])[0], 0) / 1000
        self._model = query.get("model", ["nova-2"])[0]
        self._window = round(self._rate * WINDOW_S) * (1 if self._mulaw else 2)
        """Bytes."""
        self._rest = b""
        self._now = 0.0
        self._began: float | None = None
        self._voice_until = 0.0
        self._final_until = 0.0
        self._interim_at = 0.0
        self._said = 0
        """Words of the utterance that were in final results."""
        self._end_owed: float | None = None
        self._number = 0

    def message(self, opcode: int, payload: bytes) -> None:
        """Process a message of the client."""
        if opcode == BINARY:
            self._hear(payload)
            return
        match json.loads(payload).get("type"):
            case "Finalize":
                over = self._began is not None and self._now - self._voice_until >= _LEAST_SILENCE
                self._final(from_finalize=True, over=over)
            case "CloseStream":
                self._final()
                self._say({"type": "Metadata", "request_id": "r", "duration": self._now, "channels": 1})
                self._connection.close_later(self._world.budget.transcript / 1000)
            case _:
                pass  # KeepAlive

    def _hear(self, data: bytes) -> None:
        """Take audio in windows of 20 ms, however long the messages are."""
        data = self._rest + data
        size = self._window
        count = len(data) // size
        whole, self._rest = data[: count * size], data[count * size :]
        self._world.counts.audio_s += count * WINDOW_S
        if self._mulaw:
            levels = whole.translate(MULAW_LEVEL)
            peaks = [max(levels[at : at + size]) * 128 for at in range(0, len(levels), size)]
        else:
            samples = np.abs(np.frombuffer(whole, "<i2"))
            peaks = samples.reshape(count, size // 2).max(axis=1).tolist() if count else []
        for peak in peaks:
            self._hear_window(peak)

    def _hear_window(self, peak: int) -> None:
        self._now += WINDOW_S
        silence = self._now - self._voice_until
        if peak >= LOUD:
            if self._began is None or silence >= _OVER:
                self._begin(self._now - WINDOW_S)
            self._voice_until, self._end_owed = self._now, None
            if self._interims and self._now - self._interim_at >= _INTERIM_EVERY:
                self._interim_at = self._now
                words = self._words()
                if words:
                    self._result(words, False, False, False)
        elif self._began is not None:
            if silence >= self._endpointing and self._voice_until > self._final_until:
                self._final(speech_final=True)
            if silence >= _OVER:
                self._began = None
        elif self._now - self._final_until >= _SILENCE_EVERY:
            self._final()
        if self._end_owed is not None and self._utterance_end and silence >= self._utterance_end:
            self._say({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(self._end_owed, 3)})
            self._end_owed = None

    def _begin(self, at: float) -> None:
        self._began, self._said, self._interim_at = at, 0, self._now
        self._number += 1
        if self._events:
            self._say({"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(at, 3)})

    def _words(self, *, all_of_them: bool = False) -> list[tuple[str, float, float]]:
        """The words since the last final result, with their times in the stream."""
        if self._began is None:
            return []
        texts = WORDS[(self._number - 1) % len(WORDS)].split()
        length = self._voice_until - self._began
        known = len(texts) if all_of_them else min(len(texts), max(1, int(length / _SECONDS_PER_WORD)))
        each = length / max(known, 1)
        return [
            (text, self._began + index * each, self._began + (index + 1) * each)
            for index, text in enumerate(texts[:known])
        ][self._said :]

    def _final(self, *, speech_final: bool = False, from_finalize: bool = False, over: bool = False) -> None:
        words = self._words(all_of_them=over)
        self._result(words, True, speech_final, from_finalize)
        self._said += len(words)
        self._final_until = self._interim_at = self._now
        if words:
            self._end_owed = words[-1][2]
        if over:
            self._began = None

    def _result(
        self, words: list[tuple[str, float, float]], final: bool, speech_final: bool, from_finalize: bool
    ) -> None:
        self._say(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": round(self._now - self._final_until, 3),
                "start": round(self._final_until, 3),
                "is_final": final,
                "speech_final": speech_final,
                "channel": {
                    "alternatives": [
                        {
                            "transcript": " ".join(word for word, _, _ in words),
                            "confidence": 0.98 if words else 0.0,
                            "words": [
                                {
                                    "word": word.strip(".,!?").lower(),
                                    "start": round(start, 3),
                                    "end": round(end, 3),
                                    "confidence": 0.98,
                                    "punctuated_word": word,
                                }
                                for word, start, end in words
                            ],
                        }
                    ]
                },
                "metadata": {
                    "request_id": "r",
                    "model_info": {"name": self._model, "version": "1", "arch": self._model},
                    "model_uuid": "00000000-0000-4000-a000-000000000000",
                },
                "from_finalize": from_finalize,
            }
        )

    def _say(self, message: dict[str, Any]) -> None:
        self._connection.send_later(message, self._world.budget.transcript / 1000)

    def over(self) -> None:
        """The client is gone."""


def _number(text: str, otherwise: float) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() else otherwise


class Cartesia:
    """One WebSocket of Cartesia's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._world = connection.world
        self._contexts: dict[str, tuple[asyncio.Queue[dict[str, Any]], asyncio.Task[None]]] = {}

    def message(self, opcode: int, payload: bytes) -> None:
        """Process a message of the client."""
        del opcode
        request = json.loads(payload)
        name = request["context_id"]
        if request.get("cancel"):
            if name in self._contexts:
                self._world.counts.cancelled += 1
                self._contexts.pop(name)[1].cancel()
            return
        if name not in self._contexts:
            waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            self._contexts[name] = waiting, asyncio.ensure_future(self._speak(name, waiting))
        self._contexts[name][0].put_nowait(request)

    async def _speak(self, name: str, waiting: asyncio.Queue[dict[str, Any]]) -> None:
        flushes, seconds, at = 1, 0.0, 0
        budget = self._world.budget
        while True:
            request = await waiting.get()
            text = request["transcript"]
            spoken = text.strip()
            if spoken:
                self._world.counts.texts += 1
                self._world.counts.characters += len(spoken)
                await asyncio.sleep(budget.first_audio / 1000)
                if request.get("add_timestamps"):
                    self._send(name, "timestamps", flushes, word_timestamps=_times(spoken, seconds))
                pieces = self._world.voice(request["output_format"]["sample_rate"])
                count = max(1, round(len(spoken) * _MS_PER_CHARACTER / 100))
                due = asyncio.get_running_loop().time()
                for _ in range(count):
                    self._send(name, "chunk", flushes, data=pieces[at % len(pieces)], step_time=20.0)
                    at += 1
                    due += budget.piece / 1000
                    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                seconds += count / 10
            if request.get("flush"):
                self._send(name, "flush_done", flushes, flush_done=True)
                flushes += 1
            if not request.get("continue"):
                self._send(name, "done", None, done=True)
                self._contexts.pop(name, None)
                return

    def _send(self, name: str, kind: str, flush_id: int | None, **fields: object) -> None:
        message = {"type": kind, "status_code": 206, "context_id": name, "done": False}
        if flush_id is not None:
            message["flush_id"] = flush_id
        self._connection.send(message | fields)

    def over(self) -> None:
        """The client is gone."""
        for _, task in self._contexts.values():
            task.cancel()


def _times(text: str, begins: float) -> dict[str, list[Any]]:
    words, starts, ends, at = text.split(), [], [], begins
    scale = max(1, round(len(text) * _MS_PER_CHARACTER / 100)) / 10 / max(1, sum(map(len, words)))
    for word in words:
        starts.append(round(at, 4))
        at += len(word) * scale
        ends.append(round(at, 4))
    return {"words": words, "start": starts, "end": ends}


class Connection(asyncio.Protocol):
    """One connection of a client: HTTP requests, or a WebSocket."""

    transport: asyncio.Transport

    def __init__(self, world: World) -> None:
        self.world = world
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._reader: FrameReader | None = None
        self._vendor: Nova | Cartesia | None = None
        self._answer: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.Protocol`."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's have another class

    def connection_lost(self, error: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        if self._answer is not None and not self._answer.done():
            self.world.counts.given_up += 1
            self._answer.cancel()
        if self._vendor is not None:
            self._vendor.over()

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        if self._reader is not None:
            self._reader.feed(data)
            return
        self._received += data
        while self._reader is None and b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            method, target, _ = lines[0].split(" ")
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self._received = rest[length:]
            if "sec-websocket-key" in headers:
                self._upgrade(target, headers)
            else:
                self._serve(method, target, rest[:length])

    # --- WebSockets ---

    def _upgrade(self, target: str, headers: dict[str, str]) -> None:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        self._vendor = Nova(self, query) if parts.path.endswith("/listen") else Cartesia(self)
        self._reader = FrameReader(self._take)
        more = b"dg-request-id: r\r\n"
        if asked := headers.get("sec-websocket-protocol"):
            more += b"sec-websocket-protocol: " + asked.split(",")[0].encode() + b"\r\n"
        self.transport.write(accepted(headers["sec-websocket-key"].encode(), more))
        rest, self._received = self._received, b""
        if rest:
            self._reader.feed(rest)

    def _take(self, opcode: int, payload: bytes) -> None:
        assert self._vendor is not None
        if opcode in (TEXT, BINARY):
            self._vendor.message(opcode, payload)
        elif opcode == PING:
            self.transport.write(frame(payload, PONG))
        elif opcode == CLOSE:
            self.transport.write(frame(payload[:2], CLOSE))
            self.transport.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message of a WebSocket."""
        if not self.transport.is_closing():
            self.transport.write(frame(json.dumps(message).encode()))

    def send_later(self, message: dict[str, Any], seconds: float) -> None:
        """Send it after a delay, in order."""
        self._loop.call_later(seconds, self.send, message)

    def close_later(self, seconds: float) -> None:
        """Close the WebSocket after what was sent before."""
        self._loop.call_later(seconds, self._close)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame((1000).to_bytes(2, "big"), CLOSE))

    # --- HTTP ---

    def _serve(self, method: str, target: str, body: bytes) -> None:
        path = urlsplit(target).path
        if method == "POST" and path.endswith("/chat/completions"):
            self.world.counts.questions += 1
            self._answer = asyncio.ensure_future(self._complete(json.loads(body)))
        elif path.endswith("/models"):
            models = [{"id": "gpt-simulated", "object": "model", "created": 1, "owned_by": "openai"}]
            self._reply(200, {"object": "list", "data": models})
        elif path == "/report":
            self._reply(200, self.world.report())
        else:
            self._reply(404, {"error": {"message": f"nothing is simulated at {path}"}})

    def _reply(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.transport.write(
            f"HTTP/1.1 {status} Simulated\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def _complete(self, request: dict[str, Any]) -> None:
        budget, model = self.world.budget, request.get("model", "gpt-simulated")
        base = {"id": "chatcmpl-1", "created": 1, "model": model, "system_fingerprint": "fp"}
        await asyncio.sleep(budget.first_token / 1000)
        if not request.get("stream"):
            message = {"role": "assistant", "content": ANSWER, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self._reply(200, base | {"object": "chat.completion", "choices": [choice], "usage": _USAGE})
            return
        base["object"] = "chat.completion.chunk"
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )

        def event(delta: dict[str, Any], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            self._chunk(json.dumps(base | {"choices": [choice]}))

        event({"role": "assistant", "content": "", "refusal": None})
        due = asyncio.get_running_loop().time()
        for token in _TOKENS:
            event({"content": token})
            due += budget.token / 1000
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        event({}, "stop")
        if (request.get("stream_options") or {}).get("include_usage"):
            self._chunk(json.dumps(base | {"choices": [], "usage": _USAGE}))
        self._chunk("[DONE]")
        self.transport.write(b"0\r\n\r\n")

    def _chunk(self, content: str) -> None:
        data = f"data: {content}\n\n".encode()
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))


_USAGE = {"prompt_tokens": 100, "completion_tokens": len(_TOKENS), "total_tokens": 100 + len(_TOKENS)}


async def serve(port: int, budget: Budget) -> None:
    """Serve until the process is ended. Prints the port."""
    world = World(budget)
    for rate in (8000, 24000, 48000):
        world.voice(rate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", port, backlog=1024)
    print(f"vendors at {server.sockets[0].getsockname()[1]}", flush=True)
    gc.collect()
    gc.freeze()
    async with server:
        await world.watch()


def main() -> None:
    """Serve, with the latencies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    for name, value in asdict(Budget()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, metavar="MS")
    chosen = vars(parser.parse_args())
    port = chosen.pop("port")
    try:
        run_fast(serve(port, Budget(**chosen)))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
