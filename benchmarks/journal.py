"""Benchmark of journals: bytes for each minute of a call, time for each fact, and the speed of a replay.

Run by `make bench`. Starts `vantum serve --simulated` with a DATA_DIR of its own, makes a call of some turns,
and measures with the facts of that call.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import trio
from hibari import Hibari  # type: ignore[import-untyped]

from adapters.interfaces import Samples
from machines.facts import TurnMode
from machines.system import Handled
from orchestrator.cli.talk_client import talk_client
from orchestrator.journal.format import Journal, frame, read_journal
from orchestrator.journal.redaction import Redactor
from orchestrator.journal.replay import replay
from orchestrator.journal.writer import Journals

TURNS = 8
RATE = 24_000
QUESTION = "What do you like to eat for breakfast?"
TIMES = 200


async def make_call(url: str) -> None:
    """Make a call of some turns."""
    sound = np.concatenate([np.zeros(RATE // 4), Hibari()(QUESTION, seed=1), np.zeros(RATE // 20)])
    samples: Samples = (np.clip(sound, -1, 1) * 30_000).astype(np.int16)
    async with talk_client(url, TurnMode.AUTOMATIC) as client:
        for number in range(TURNS):
            await client.say(samples, RATE, f"question {number}")


def journal_of_a_call(directory: Path) -> Journal:
    """The journal that a server has written of a call."""
    command = [
        *(sys.executable, "-c", "from orchestrator.cli.main import main; main()"),
        *("serve", "--port", "0", "--simulated"),
    ]
    environment = {**os.environ, "LOG_LEVEL": "warning", "DATA_DIR": str(directory)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        ready = re.search(r":(\d+)/", server.stdout.readline())
        if not ready:
            raise SystemExit("the server did not start")
        trio.run(make_call, f"ws://localhost:{ready[1]}/ws")
        server.send_signal(signal.SIGTERM)
    return read_journal(next((directory / "journals").iterdir()))


def microseconds(journal: Journal, redactor: Redactor | None) -> float:
    """The time to turn what one fact led to into bytes, in the worker thread."""
    started = time.perf_counter()
    for each in journal.handled:
        frame(each, redactor)
    return (time.perf_counter() - started) / len(journal.handled) * 1e6


def microseconds_of_the_call(journal: Journal) -> float:
    """The time to hand over what one fact led to, which is all that the call itself waits for."""
    journals = Journals(Path(), redacted=False, counts=Counter(), most_waiting=10**9)
    with journals.of_call(journal.head.about) as kept:
        started = time.perf_counter()
        for each in journal.handled:
            if isinstance(each, Handled):
                kept.add(each)
        return (time.perf_counter() - started) / len(journal.handled) * 1e6


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        journal = journal_of_a_call(Path(directory))
        size = journal.path.stat().st_size
    minutes = (journal.last_ms - journal.head.at_ms) / 60_000
    redactor = Redactor()
    handed_over = statistics.median(microseconds_of_the_call(journal) for _ in range(TIMES))
    framed = statistics.median(microseconds(journal, None) for _ in range(TIMES))
    redacted = statistics.median(microseconds(journal, redactor) for _ in range(TIMES))
    started = time.perf_counter()
    same = all(each.same for each in replay(journal))
    seconds = time.perf_counter() - started
    print(f"  a call of {minutes * 60:.0f} s       {size / 1024:6.1f} KiB, {len(journal.handled)} facts")
    print(f"  a minute of a call   {size / minutes / 1024:6.1f} KiB")
    print(f"  the call hands over  {handed_over:6.1f} µs a fact")
    print(f"  the thread writes    {framed:6.1f} µs a fact, {redacted:.1f} µs if redacted")
    print(f"  replay               {len(journal.handled) / seconds:6.0f} facts a second, the same: {same}")


if __name__ == "__main__":
    main()
