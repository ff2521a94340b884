"""Callers: one process that speaks and listens on many lines at once, and measures what they hear.

    python -m benchmarks.load.callers ws://127.0.0.1:3001/twilio/media --calls 16

Each caller asks, listens, interrupts the answer 1.5 s after it began, hears the second answer to its end, and
begins again. A tick every 20 ms sends a frame on each line; lines are spread over the 20 ms. Prints progress
to stderr, and one line of JSON for each phase to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from attrs import Factory, define, frozen

from benchmarks.load.event_loop import run_fast
from benchmarks.load.sound import FRAME_MS, INTERRUPTIONS, QUESTIONS
from benchmarks.load.websocket import ClientSocket

FRAME_S = FRAME_MS / 1000
LISTENS_S = 1.5
"""From the first sound of an answer until the caller interrupts it."""
PATIENCE_S = 6.0
"""A turn without an answer for so long is lost."""
UNHEARD_S = 1.0
"""An interruption that was not noticed this long after its end is not noticed at all."""
SILENCE_S = 0.8
"""An answer is over when nothing more came for so long after its last sound."""
GAP_S = 0.06
"""A pause within an answer that the caller hears, as audio came too late, or a sentence did."""
IN_FLIGHT_S = 0.2
"""Audio that came so soon after `clear` may have been sent before it."""
SLOTS = 20
"""Lines are spread over the 20 ms of a frame, so that not all are served at once."""
LATE_MS = 10.0
"""A frame is late if it is sent so much after its time."""


@frozen
class Utterance:
    """Something to say, as ready frames of the line."""

    frames: tuple[bytes, ...]


@define
class Findings:
    """What all callers heard in the time that is measured."""

    answers_ms: list[float] = Factory(list)
    """From the end of speech to the first sound of the answer."""
    clears_ms: list[float] = Factory(list)
    """From the onset of an interruption to silence."""
    errors: Counter[str] = Factory(Counter)
    notes: list[str] = Factory(list)
    turns: int = 0
    interruptions: int = 0
    gaps_ms: list[float] = Factory(list)
    """Pauses within answers."""
    frames_sent: int = 0
    frames_heard: int = 0
    late_ms: list[float] = Factory(list)


class Board:
    """What callers share: the clock, what is found, and whether it counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        """The time in seconds."""
        self.found = Findings()
        self.measuring = False
        self.ending = False
        """Nobody begins another turn."""
        self.connected = 0
        self.answered: set[int] = set()
        """The callers that have had an answer."""

    def error(self, kind: str, caller: int, note: str = "") -> None:
        """Something went wrong. Errors count from the first call on, not only while it is measured."""
        self.found.errors[kind] += 1
        if len(self.found.notes) < 40:
            self.found.notes.append(f"call {caller}: {kind}{': ' + note if note else ''}")


class Caller(ClientSocket, ABC):
    """One caller on one line. Subclasses speak the line's protocol."""

    def __init__(self, board: Board, number: int, url: str, subprotocol: str = "") -> None:
        parts = urlsplit(url)
        super().__init__(parts.netloc, parts.path or "/", subprotocol)
        self.board = board
        self.number = number
        self.up = False
        """The line is open, and frames can be sent."""
        self._clock = board.clock
        self._random = random.Random(number)
        self._state = "quiet"
        self._until = float("inf")
        """When a caller that is quiet or waits does something by itself."""
        self._speech: deque[bytes] = deque()
        self._counted = False
        """The turn under way is one that is measured."""
        self._interrupts = False
        """The utterance under way interrupts an answer."""
        self._onset: float | None = None
        """When the interruption began that was not noticed yet."""
        self._silenced_at = 0.0
        self._speech_end = 0.0
        self._plays_until = 0.0
        """When all audio so far will have been played."""
        self._turn = number
        self._answering = False
        """The sounds that come belong to an answer whose first sound was heard."""

    # --- the line's protocol ------------------------------------------------------------------------------

    @abstractmethod
    def frame(self, sound: bytes) -> None:
        """Send 20 ms: one of an utterance's frames, or `self.silence`."""

    @abstractmethod
    def utterance(self, number: int, *, interrupts: bool) -> Utterance:
        """What to say."""

    silence: bytes

    def every_tick(self, now: float) -> None:
        """What else the line does every 20 ms."""

    def say_goodbye(self) -> None:
        """What the line sends before it is closed."""

    # --- speaking -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The line is open: ask the first question in a moment."""
        self.up = True
        self.board.connected += 1
        self._until = self._clock() + 0.5 + self._random.random()

    def tick(self, now: float) -> None:
        """Send the next frame, and do what the caller does by now."""
        if not self.up:
            return
        speech = self._speech
        if speech:
            self.frame(speech.popleft())
            if not speech:
                self._stop_speaking(now)
        else:
            self.frame(self.silence)
            if now >= self._until:
                self._act(now)
        self.every_tick(now)

    def _act(self, now: float) -> None:
        match self._state:
            case "quiet":
                if self.board.ending:
                    self._until = float("inf")
                else:
                    self._speak(interrupts=False)
            case "listening":
                if self.board.ending or self._plays_until < now:
                    self._state, self._until = "hearing out", now + SILENCE_S
                else:
                    self._speak(interrupts=True)
            case "hearing out":
                if now < self._plays_until + SILENCE_S:
                    self._until = self._plays_until + SILENCE_S
                else:
                    self._rest(now)
            case "waiting":
                if self._counted:
                    self.board.error("turn lost", self.number)
                self._rest(now)

    def _rest(self, now: float) -> None:
        self._state, self._until = "quiet", now + 0.2 + 0.6 * self._random.random()
        self._answering = False

    def _speak(self, *, interrupts: bool) -> None:
        self._turn += 1
        self._speech.extend(self.utterance(self._turn, interrupts=interrupts).frames)
        self._state, self._until = "speaking", float("inf")
        self._interrupts, self._counted = interrupts, self.board.measuring
        self._answering = False
        # The first frame is sent with the next tick, and begins with voice.
        self._onset = self._clock() + FRAME_S if interrupts else None
        if interrupts and self._counted:
            self.board.found.interruptions += 1

    def _stop_speaking(self, now: float) -> None:
        self._speech_end = now
        self._state, self._until = "waiting", now + PATIENCE_S
        if self._counted:
            self.board.found.turns += 1

    # --- hearing ------------------------------------------------------------------------------------------

    def heard(self, seconds: float, audible: Callable[[], bool]) -> None:
        """Audio came, which is played after what came before. Whether it is `audible` is asked if need be."""
        now = self._clock()
        self.board.found.frames_heard += 1
        begins = self._plays_until
        if begins < now:
            if self._answering and begins > self._silenced_at and now - begins >= GAP_S and audible():
                self.board.found.gaps_ms.append((now - begins) * 1000)
            begins = now
        self._plays_until = begins + seconds
        if self._state == "waiting":
            if audible():
                self._first_sound(now)
        elif self._state == "speaking" and self._is_spoken_over(begins, now) and audible():
            self._counted = False
            self.board.error("spoken over", self.number)

    def _is_spoken_over(self, begins: float, now: float) -> bool:
        """A sound that begins now falls into an utterance: its turn was taken to be over too soon."""
        begins_now = begins == now and now > self._silenced_at + IN_FLIGHT_S
        return self._counted and self._onset is None and begins_now

    def _first_sound(self, now: float) -> None:
        self._answering = True
        self.board.answered.add(self.number)
        if self._counted:
            self.board.found.answers_ms.append((now - self._speech_end) * 1000)
        if self._onset is not None:
            self._unheard()
        if self._interrupts:
            self._state, self._until = "hearing out", now + SILENCE_S
        else:
            self._state, self._until = "listening", now + LISTENS_S

    def _unheard(self) -> None:
        self._onset = None
        if self._counted:
            self.board.error("interruption unheard", self.number)

    def cleared(self) -> None:
        """The server took back what was not played yet."""
        now = self._clock()
        self._plays_until, self._silenced_at = now, now
        if self._onset is not None:
            if self._counted:
                self.board.found.clears_ms.append((now - self._onset) * 1000)
            self._onset = None
        elif self._state in ("listening", "hearing out") and self.board.measuring:
            self.board.error("cleared without a reason", self.number)

    def silent_since_onset(self, now: float) -> bool:
        """Over an interruption, what there was to play was played, and no more has come for a while."""
        return self._onset is not None and now > max(self._plays_until, self._onset) + GAP_S

    def fell_silent(self) -> None:
        """For lines on which nobody says `clear`: the answer is not heard any more."""
        if self._counted and self._onset is not None:
            self.board.found.clears_ms.append(max(0.0, self._plays_until - self._onset) * 1000)
        self._onset, self._silenced_at = None, self._plays_until

    def lost(self, reason: str) -> None:
        """As `ClientSocket.lost`."""
        self.board.error("closed" if self.up else "refused", self.number, reason)
        self.up = False

    def check_unheard(self, now: float) -> None:
        """Whether an interruption was not noticed for too long after its end."""
        if self._onset is not None and self._state == "waiting" and now > self._speech_end + UNHEARD_S:
            self._unheard()

    @property
    def busy(self) -> bool:
        """A turn that counts is under way."""
        return self.up and self._counted and self._state in ("speaking", "waiting")


async def keep_time(callers: list[Caller], board: Board) -> None:
    """Tick every caller every 20 ms, each at its own moment of these 20 ms. Notes how late that is."""
    clock = board.clock
    slots = [callers[slot::SLOTS] for slot in range(SLOTS)]
    begun = clock()
    late_ms = board.found.late_ms
    for number in count():
        for slot, members in enumerate(slots):
            if not members:
                continue
            due = begun + number * FRAME_S + slot * FRAME_S / SLOTS
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            now = clock()
            if board.measuring:
                late_ms.append((now - due) * 1000)
                board.found.frames_sent += len(members)
            for caller in members:
                caller.tick(now)
                caller.check_unheard(now)
        if clock() - (begun + (number + 1) * FRAME_S) > 1:
            raise SystemExit("the load generator is a second late: too many calls for one core")
        await asyncio.sleep(0)


async def hold(arguments: argparse.Namespace) -> None:
    """Hold all calls, and report."""
    from benchmarks.load import lines

    loop = asyncio.get_running_loop()
    board = Board(loop.time)
    calls = arguments.calls
    make = lines.LINES[arguments.line]
    callers: list[Caller] = [make(board, number, arguments.url) for number in range(calls)]
    for number in range(len(QUESTIONS)):
        for interrupts in (False, True):
            callers[0].utterance(number, interrupts=interrupts)
    assert len(QUESTIONS) == len(INTERRUPTIONS)
    gc.collect()
    gc.freeze()
    timing = asyncio.ensure_future(keep_time(callers, board))
    parts = urlsplit(arguments.url)
    apart = max(0.2, min(0.7, 25 / calls))
    for each in callers:
        await loop.create_connection(partial(_same, each), parts.hostname, parts.port)
        progress(f"{sum(one.up for one in callers)} of {calls} calls are up")
        await asyncio.sleep(apart)
    await until(lambda: len(board.answered) + board.found.errors["refused"] >= calls, arguments.warm_up)
    await asyncio.sleep(2)
    early = Counter(board.found.errors)
    say("measuring", up=sum(each.up for each in callers), early_errors=early)
    board.measuring = True
    for second in range(arguments.seconds):
        progress(f"{second} of {arguments.seconds} s, {len(board.found.answers_ms)} answers heard")
        await asyncio.sleep(1)
    board.measuring, board.ending = False, True
    say("measured")
    await until(lambda: not any(each.busy for each in callers), PATIENCE_S + 4)
    still_up = sum(each.up for each in callers)
    for each in callers:
        if each.up:
            each.say_goodbye()
            each.up = False
            each.hang_up()
    timing.cancel()
    await asyncio.sleep(0.3)
    found = board.found
    late = np.array(found.late_ms or [0.0])
    say(
        "found",
        answers_ms=[round(each, 1) for each in found.answers_ms],
        clears_ms=[round(each, 1) for each in found.clears_ms],
        gaps_ms=[round(each, 1) for each in found.gaps_ms],
        turns=found.turns,
        interruptions=found.interruptions,
        errors=found.errors,
        notes=found.notes,
        frames_sent=found.frames_sent,
        frames_heard=found.frames_heard,
        still_up=still_up,
        late_p50_ms=float(np.percentile(late, 50)),
        late_p99_ms=float(np.percentile(late, 99)),
        late_max_ms=float(late.max()),
        late_share=float((late > LATE_MS).mean()),
    )


def _same(caller: Caller) -> Caller:
    return caller


async def until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait for it, looking every 100 ms, for so long at most."""
    for _ in range(round(seconds * 10)):
        if happened():
            return
        await asyncio.sleep(0.1)


def say(phase: str, **more: Any) -> None:
    """Tell the benchmark."""
    print(json.dumps({"phase": phase, **more}), flush=True)


def progress(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Hold the calls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=40, help="that are measured")
    parser.add_argument("--warm-up", type=float, default=15, help="seconds at most")
    parser.add_argument("--line", default="telephone")
    run_fast(hold(parser.parse_args()))


if __name__ == "__main__":
    main()
