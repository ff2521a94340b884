"""Benchmark of the latency from the end of speech to the first audio, with a real server and speech.

Run by `make bench`. Starts `vantum serve` with the embedded models on a free port, asks the same question
several times in each mode, and prints medians. "arrival" is measured at the client and includes everything;
the stages are the server's own figures. In automatic mode the endpoint delay (500 ms of silence) is included.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import trio
from hibari import Hibari  # type: ignore[import-untyped]

from adapters.interfaces import Samples
from machines.facts import TurnMode
from orchestrator.cli.talk_client import Turn, talk_client

TURNS = 10
RATE = 24_000
QUESTION = "What do you like to eat for breakfast?"


def question() -> Samples:
    """The audio of the question, with a little silence around it."""
    sound = np.concatenate([np.zeros(RATE // 4), Hibari()(QUESTION, seed=1), np.zeros(RATE // 20)])
    samples: Samples = (np.clip(sound, -1, 1) * 30_000).astype(np.int16)
    return samples


async def ask(url: str, mode: TurnMode, samples: Samples) -> list[Turn]:
    """The turns of one call, without the first, which is a warm-up."""
    async with talk_client(url, mode) as client:
        for number in range(TURNS + 1):
            await client.say(samples, RATE, f"question {number}")
        return client.turns[1:]


def show(mode: TurnMode, turns: list[Turn]) -> None:
    """Print medians, and the 95th percentile of the arrival."""
    arrivals = sorted(turn.first_audio_ms for turn in turns if turn.first_audio_ms is not None)
    if not arrivals:
        print(f"  {mode.value}: no turn was answered")
        return
    tail = arrivals[min(len(arrivals) - 1, int(len(arrivals) * 0.95))]
    stages = [attrs.asdict(turn.latency) for turn in turns if turn.latency]
    split = ", ".join(
        f"{name.removesuffix('_ms')} {statistics.median(values):.0f}"
        for name in ("endpoint_ms", "transcript_ms", "first_segment_ms", "first_audio_ms")
        if (values := [stage[name] for stage in stages if stage[name] is not None])
    )
    print(
        f"  {mode.value:9} {len(arrivals)} of {TURNS} turns, arrival p50 {statistics.median(arrivals):.0f},"
        f" p95 {tail:.0f} ms; medians of the stages in ms: {split}"
    )


def main() -> None:
    """Measure and print."""
    command = [str(Path(sys.executable).with_name("vantum")), "serve", "--port", "0"]
    quiet = {**os.environ, "LOG_LEVEL": "warning", "KEEP_CALLS": "false"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as server:
        assert server.stdout is not None
        ready = re.search(r":(\d+)/", server.stdout.readline())
        assert ready, "the server did not start"
        samples = question()
        for mode in TurnMode:
            show(mode, trio.run(ask, f"ws://localhost:{ready[1]}/ws", mode, samples))
        server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
