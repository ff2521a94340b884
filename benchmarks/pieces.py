"""Benchmark of the pieces of a call, each alone: 20 ms of audio, a fact, a window of voice activity, a frame.

    python benchmarks/pieces.py                     all of them
    python benchmarks/pieces.py --only codec floor

All times are processor time. The last column is what that is of one core for one call: 50 frames a second
each way, 31 windows, and so on.
`machine.py` and `journal.py` have more about two of the pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import trio
from attrs import frozen

from adapters.embedded.models import VOICE_ACTIVITY_MODEL
from adapters.embedded.silero import SileroVoiceActivity
from adapters.mulaw import from_mulaw, to_mulaw
from benchmarks import machine
from benchmarks.load.environments import ROOT, load_path
from benchmarks.load.processes import (
    LOAD_CORE,
    SERVER_CORE,
    BenchmarkError,
    cpu_seconds,
    pinned,
    rss_mib,
    running,
)
from benchmarks.load.processes import machine as this_machine
from benchmarks.load.run import results_directory
from benchmarks.load.servers import VANTUM
from benchmarks.load.sound import QUESTIONS, spoken
from benchmarks.load.websocket import ClientSocket
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.ids import new_id
from orchestrator.journal.format import About, frame
from orchestrator.journal.writer import Journals
from orchestrator.settings.sources import load_settings
from protocol import AudioInputChunk, AudioOutputChunk, receive
from protocol.dialects import dialect_for_subprotocol
from protocol.twilio import Media, read_stream_message, write_stream_message

FRAMES = 50
"""A second, each way."""


@frozen
class Figure:
    """One row."""

    piece: str
    value: float
    unit: str
    percent_per_call: float | None = None
    """Of one core."""


def microseconds(work: Callable[[], object], *, times: int = 2000, rounds: int = 7) -> float:
    """The median processor time of one call of `work`, in µs."""
    work()
    taken = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        for _ in range(times):
            work()
        taken.append((time.process_time_ns() - begun) / times / 1000)
    return statistics.median(taken)


def _each(piece: str, micro: float, a_second: float) -> Figure:
    return Figure(piece, round(micro, 2), "µs", round(micro * a_second / 10_000, 3))


# --- codec ------------------------------------------------------------------------------------------------


def codec() -> Iterator[Figure]:
    """A frame's bytes, read and written."""
    phone = spoken(QUESTIONS[0], 8000)[:160]
    wide = np.resize(spoken(QUESTIONS[0], 48_000), 960)
    mulaw = to_mulaw(phone)
    yield _each("µ-law to samples, 20 ms", microseconds(lambda: from_mulaw(mulaw)), FRAMES)
    yield _each("samples to µ-law, 20 ms", microseconds(lambda: to_mulaw(phone)), FRAMES)
    sid = "MZ" + "0" * 32
    media = write_stream_message(Media(mulaw, timestamp_ms=1000), sid, 50)
    yield _each("read a frame of Twilio's", microseconds(lambda: read_stream_message(media)), FRAMES)
    yield _each(
        "write a frame for Twilio", microseconds(lambda: write_stream_message(Media(mulaw), sid)), FRAMES
    )
    dialect = dialect_for_subprotocol("vantum.v2")
    pcm = wide.tobytes()
    chunk = dialect.encode(AudioInputChunk(pcm, timestamp=1e12), event_id=new_id(), session_id=new_id())
    yield _each("read 20 ms of a browser at 48 kHz", microseconds(lambda: receive(chunk)), FRAMES)
    answer = AudioOutputChunk(pcm, new_id(), 48_000, 1e12)
    event_id, session_id = new_id(), new_id()
    yield _each(
        "write 20 ms for a browser at 48 kHz",
        microseconds(lambda: dialect.encode(answer, event_id=event_id, session_id=session_id)),
        FRAMES,
    )


# --- resampler --------------------------------------------------------------------------------------------


def resampler() -> Iterator[Figure]:
    """20 ms from one rate to another."""
    for source, target in ((8000, 16_000), (48_000, 16_000), (24_000, 8000), (24_000, 48_000)):
        samples = np.resize(spoken(QUESTIONS[0], 8000), source // FRAMES)
        stream = StreamingResampler(source, target)
        name = f"20 ms from {source // 1000} to {target // 1000} kHz"
        yield _each(name, microseconds(partial(stream.push, samples), times=500), FRAMES)


# --- machine ----------------------------------------------------------------------------------------------


def step() -> Iterator[Figure]:
    """A step of the machines: `benchmarks/machine.py` lists the facts one by one."""
    system = machine.listening(machine.Charts())
    steps = machine.turn(system)

    def turn() -> None:
        for make in steps:
            system.handle(make())

    micro = microseconds(turn, times=40)
    yield Figure("a turn of the machines, 14 facts", round(micro), "µs", round(micro / 5 / 10_000, 3))
    yield Figure("a fact of it", round(micro / len(steps), 1), "µs")


# --- voice activity ---------------------------------------------------------------------------------------


def voice_activity() -> Iterator[Figure]:
    """A window of voice activity detection, as a call gets it, with the visit to the worker thread."""
    model = SileroVoiceActivity(load_settings().local_models_dir / VOICE_ACTIVITY_MODEL.path)
    window_ms = model.window_ms
    samples = np.resize(spoken(QUESTIONS[0], 16_000), round(16_000 * window_ms / 1000))

    async def ticks(calls: int, rounds: int) -> float:
        detectors = [model.open() for _ in range(calls)]

        async def detect(detector: object) -> None:
            await detector.detect(samples)  # type: ignore[attr-defined]

        async def tick() -> None:
            async with trio.open_nursery() as nursery:
                for each in detectors:
                    nursery.start_soon(detect, each)

        await tick()
        begun = time.process_time()
        for _ in range(rounds):
            await tick()
        return (time.process_time() - begun) / rounds / calls * 1e6

    for calls in (1, 16, 64):
        micro = trio.run(ticks, calls, max(20, 600 // calls))
        name = f"a window of {window_ms:.0f} ms of each of {calls} call{'s' if calls > 1 else ''}, CPU"
        yield _each(name, micro, 1000 / window_ms)


# --- journal ----------------------------------------------------------------------------------------------


def journal() -> Iterator[Figure]:
    """What a journal takes of the call, and of the thread that writes it."""
    system = machine.listening(machine.Charts())
    handled = [system.handle(make()) for _ in range(20) for make in machine.turn(system)]
    journals = Journals(Path(), redacted=False, counts=Counter(), most_waiting=10**9)
    with journals.of_call(About("benchmark", "vantum.v2", 0.0, {})) as kept:

        def hand_over() -> None:
            for each in handled:
                kept.add(each)

        micro = microseconds(hand_over, times=5) / len(handled)
    yield _each("the call hands over a fact (3 a second)", micro, 3)
    micro = microseconds(lambda: [frame(each) for each in handled], times=2) / len(handled)
    yield _each("the thread writes a fact (3 a second)", micro, 3)


# --- memory and start-up ----------------------------------------------------------------------------------


def memory() -> Iterator[Figure]:
    """A server's start and its memory before any call; a call's memory is in `telephone_load.py`."""
    pinned(LOAD_CORE)()
    starts, sizes, threads = [], [], []
    vendors = running(
        [sys.executable, "-m", "benchmarks.load.vendors"], r"vendors at (\d+)", LOAD_CORE, _here()
    )
    with vendors as simulated:
        port = int(simulated.said[1])
        environment = VANTUM.environment(port)
        for _ in range(3):
            with running(VANTUM.command(port), VANTUM.ready, SERVER_CORE, environment) as server:
                time.sleep(2)
                pid = server.process.pid
                starts.append(server.seconds)
                sizes.append(rss_mib(pid))
                threads.append(len(list(Path(f"/proc/{pid}/task").iterdir())))
    yield Figure("from the start of a server until it is ready", round(statistics.median(starts), 2), "s")
    yield Figure("its memory then", round(statistics.median(sizes), 1), "MiB")
    yield Figure("its threads then", statistics.median(threads), "")
    gc.collect()


# --- the floor --------------------------------------------------------------------------------------------


def _here() -> dict[str, str]:
    return {"PYTHONPATH": load_path()}


class _Echo(ClientSocket):
    """A WebSocket whose messages come back."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", "/")
        self.back = 0
        self.up = False

    def opened(self) -> None:
        self.up = True

    def message(self, opcode: int, payload: bytes) -> None:
        self.back += 1


class _Bytes(asyncio.Protocol):
    """A stream whose bytes come back."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = 0
        self.up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.up = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


async def _send_frames(kind: str, port: int, pid: int, calls: int, seconds: int) -> float:
    """Send frames as calls do; returns the server's µs of CPU for each."""
    from benchmarks.load.relay import SIZE

    loop = asyncio.get_running_loop()
    clients: list[_Echo | _Bytes] = [_Echo() if kind == "websockets" else _Bytes() for _ in range(calls)]
    for each in clients:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", port)
    await asyncio.sleep(0.5)
    payload = base64.b64encode(bytes(SIZE))[:SIZE]
    begun, before = loop.time(), cpu_seconds(pid)
    slots = 20
    for tick in range(seconds * FRAMES * slots):
        if (wait := begun + tick / FRAMES / slots - loop.time()) > 0:
            await asyncio.sleep(wait)
        for each in clients[tick % slots :: slots]:
            if isinstance(each, _Echo):
                each.send(payload)
            else:
                each.transport.write(payload)
    await asyncio.sleep(0.5)
    worked = cpu_seconds(pid) - before
    back = sum(each.back if isinstance(each, _Echo) else each.received / SIZE for each in clients)
    for each in clients:
        each.transport.abort()
    if back < calls * seconds * FRAMES * 0.99:
        raise BenchmarkError(f"of {calls * seconds * FRAMES} frames only {back:.0f} came back")
    return worked / back * 1e6


def floor() -> Iterator[Figure]:
    """A relay of frames: 60 calls, 50 frames a second each, 8 s."""
    pinned(LOAD_CORE)()
    for kind, name in (("streams", "two bare Trio streams"), ("websockets", "with WebSocket frames")):
        command = [sys.executable, "-m", "benchmarks.load.relay", kind]
        with running(command, r"relay at (\d+)", SERVER_CORE, _here()) as server:
            micro = asyncio.run(
                _send_frames(kind, int(server.said[1]), server.process.pid, calls=60, seconds=8)
            )
        yield _each(f"a frame in and a frame out: {name}", micro, FRAMES)


PIECES = {
    "codec": codec,
    "resampler": resampler,
    "step": step,
    "voice-activity": voice_activity,
    "journal": journal,
    "memory": memory,
    "floor": floor,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(PIECES), default=list(PIECES))
    chosen = parser.parse_args()
    lines = ["| piece | figure | of a core, a call |", "|---|---|---|"]
    figures: dict[str, list[Figure]] = {}
    for name in chosen.only:
        print(f"{name}: {(PIECES[name].__doc__ or '').splitlines()[0]}", flush=True)
        for figure in PIECES[name]():
            figures.setdefault(name, []).append(figure)
            share = "" if figure.percent_per_call is None else f"{figure.percent_per_call:.3f} %"
            print(f"  {figure.piece:52} {figure.value:8g} {figure.unit:4} {share}", flush=True)
            lines.append(f"| {figure.piece} | {figure.value:g} {figure.unit} | {share} |")
    stem = results_directory() / f"pieces-{time.strftime('%Y%m%d-%H%M%S')}"
    content = {
        "machine": this_machine(),
        "pieces": {
            name: [
                {
                    "piece": each.piece,
                    "value": each.value,
                    "unit": each.unit,
                    "percent": each.percent_per_call,
                }
                for each in rows
            ]
            for name, rows in figures.items()
        },
    }
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    stem.with_suffix(".md").write_text("\n".join([f"{this_machine()}", "", *lines, ""]))
    print(f"Report: {stem.with_suffix('.md').relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except (BenchmarkError, subprocess.SubprocessError) as error:
        raise SystemExit(f"Nothing more can be measured: {error}") from None
