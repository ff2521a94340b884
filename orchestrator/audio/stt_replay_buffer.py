"""The replay buffer of speech to text: the caller's audio that has no final transcript yet.

An `SttReplayBuffer` holds the last 10 s of the caller's audio with the turns in it, so that it can be
replayed to a new speech-to-text link. Each link reads it through a `Cursor` of its own: a new cursor begins
with all that is kept of turns without a final transcript, and goes on live. What a dying link had settled
of a turn is not replayed; it is put before what the next link understands.

Positions are samples at `LISTENING_RATE` since the call began. Turns are numbered upwards. No I/O in here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import numpy as np
import trio
from attrs import define, evolve, field, frozen

from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples, Settled
from adapters.tasks import Signal
from machines.facts import EagerEndOfTurn, EndOfTurn, Fact, TranscriptFinal, TranscriptInterim

KEPT_MS = 10_000
"""At least so much of the caller's last audio is kept, and less than a window more."""
PRE_ROLL = LISTENING_RATE // 2
"""500 ms of audio before its mark are taken into a turn: it begins only after its first sound was noticed."""


@frozen
class TurnBegins:
    """Mark: what follows belongs to `turn`."""

    turn: int


@frozen
class TurnEnds:
    """Mark: what came before is all of `turn`."""

    turn: int


@frozen(eq=False)
class Window:
    """Audio at `LISTENING_RATE` from position `start` on, and the probability that it holds speech."""

    start: int
    samples: Samples
    probability: float
    as_it_came: Samples | None = None
    """The same at `TELEPHONE_RATE`, from a telephone."""

    @property
    def end(self) -> int:
        """The position behind it."""
        return self.start + len(self.samples)


@define
class CallerAudioCounts:
    """What happened to the caller's audio."""

    received_ms: float = 0.0
    dropped_ms: float = 0.0
    """Lost before any link was sent it, for want of room."""
    replayed_ms: float = 0.0
    """Sent to one link after another, each time counted."""


@frozen
class Words:
    """A text and how sure a link was of it, from 0 to 1."""

    text: str = ""
    confidence: float = 0.0

    def __add__(self, other: Words) -> Words:
        """One text after the other; each word counts as much as any other."""
        own, others = len(self.text.split()), len(other.text.split())
        if not own or not others:
            return self if own else other
        confidence = (self.confidence * own + other.confidence * others) / (own + others)
        return Words(f"{self.text} {other.text}", confidence)


@define(eq=False)
class _Kept:
    window: Window
    sent: bool = False


@define(eq=False)
class _Turn:
    """A turn without a final transcript."""

    number: int
    start: int
    """Its audio begins here: at most `PRE_ROLL` before its mark."""
    begins_at: int
    """Where its mark is."""
    ends_at: int | None = None
    """Set when it is over."""
    settled_until: int = 0
    """Audio before this is told by `settled`."""
    settled: Words = Words()
    """What links that ended had settled."""
    prefix: Words = Words()
    """What was settled when the newest cursor was opened: all that its link will not hear."""
    decided_until: int | None = None
    """The provider, having been sent the audio up to here, decided that the turn was over."""

    @property
    def untold_from(self) -> int:
        """What must be said to a new link begins here."""
        return max(self.start, self.settled_until)


@define(eq=False)
class Cursor:
    """How far one link has been told. Made by `SttReplayBuffer.open_cursor`."""

    position: int = 0
    """All audio before this was sent on it, or need not be."""
    turn: int = 0
    """The turn it was told last, 0 for none."""
    in_turn: bool = False
    """That turn has begun on this cursor, and not ended."""
    overtaken: bool = False
    """That turn was reported by another link: no more of it needs to be said."""
    _sent: int = 0
    _stretches: list[tuple[int, int]] = field(factory=list)
    """Each unbroken stretch of audio: (samples sent before it, its position)."""

    def position_of(self, samples: int) -> int:
        """The position behind the first `samples` samples that were sent on this cursor; 0 for none."""
        for sent_before, start in reversed(self._stretches):
            if samples > sent_before:
                return start + min(samples, self._sent) - sent_before
        return 0

    def note(self, item: Window | TurnBegins | TurnEnds) -> None:
        """This is what the link is told now."""
        match item:
            case Window():
                if not self._stretches or self.position != item.start:
                    self._stretches.append((self._sent, item.start))
                self._sent += len(item.samples)
                self.position = item.end
            case TurnBegins(turn=turn):
                self.turn, self.in_turn, self.overtaken = turn, True, False
            case TurnEnds():
                self.in_turn = self.overtaken = False


Told = TranscriptInterim | TranscriptFinal | EagerEndOfTurn | EndOfTurn


class SttReplayBuffer:
    """The memory of one conversation."""

    def __init__(self, counts: CallerAudioCounts) -> None:
        """Of `counts`, it counts what is dropped and replayed."""
        self._counts = counts
        self._windows: list[_Kept] = []
        """In order, with gaps where audio is not needed any more."""
        self._held = 0
        """Samples in them."""
        self._end = 0
        """The position of what comes next."""
        self._turns: list[_Turn] = []
        """In order; all but the last one are over."""
        self._told_until = 0
        """Audio before this belongs to turns that are over: no later turn may take it in."""
        self._cursors: list[Cursor] = []
        self._newest_cursor: Cursor | None = None
        self._changed = Signal()

    # --- what comes in ------------------------------------------------------------------------------------

    def add(self, samples: Samples, probability: float, as_it_came: Samples | None = None) -> None:
        """Keep the next window; the oldest ones are dropped when there are `KEPT_MS` without them."""
        # A copy, since a window may be a small view of a large block.
        own = None if as_it_came is None else np.array(as_it_came)
        window = Window(self._end, np.array(samples), probability, own)
        self._end = window.end
        self._windows.append(_Kept(window))
        self._held += len(samples)
        while (self._held - len(self._windows[0].window.samples)) * 1000 >= KEPT_MS * LISTENING_RATE:
            self._drop_oldest()
        self._announce()

    def _drop_oldest(self) -> None:
        oldest = self._windows.pop(0)
        self._held -= len(oldest.window.samples)
        if not oldest.sent:
            self._counts.dropped_ms += _ms(oldest.window)

    def begin_turn(self, turn: int) -> None:
        """A turn begins here. The audio of one that is open is let go, but for the last 500 ms.

        If the provider decided that the open one was over, all that it had not been sent by then is the new
        turn's.
        """
        begins_at = self._end
        if self._turns and self._turns[-1].ends_at is None:
            begins_at = self._abandon(self._turns.pop())
        start = max(self._told_until, begins_at - PRE_ROLL)
        earlier = self._turns[-1].ends_at if self._turns else None
        self._let_go(earlier or 0, start)
        self._turns.append(_Turn(turn, start, begins_at))
        self._announce()

    def _abandon(self, turn: _Turn) -> int:
        """The turn will have no final transcript; returns where the next one begins."""
        if turn.decided_until is None or self._newest_cursor is None:
            return self._end
        for cursor in self._cursors:
            # Another link than the one that decided is in the midst of what is told now.
            cursor.overtaken |= (
                cursor.in_turn and cursor.turn == turn.number and cursor.position < turn.decided_until
            )
        self._told_until = max(self._told_until, turn.decided_until)
        return max(turn.decided_until, self._newest_cursor.position)

    def end_turn(self, turn: int) -> None:
        """The turn, which is open, ends here."""
        ended = self._find(turn)
        assert ended is not None, f"turn {turn} is not open"
        ended.ends_at = self._told_until = self._end
        self._announce()

    def open_turn(self, most_ms: int) -> tuple[int, Samples] | None:
        """The turn that goes on, and the last `most_ms` of its audio so far; None between two turns."""
        if not self._turns or self._turns[-1].ends_at is not None:
            return None
        turn = self._turns[-1]
        start = max(turn.start, self._end - most_ms * LISTENING_RATE // 1000)
        first = bisect_right(self._windows, start, key=lambda kept: kept.window.end)
        kept = [_cut(each.window, start, None).samples for each in self._windows[first:]]
        return turn.number, np.concatenate([np.empty(0, np.int16), *kept])

    # --- what goes out ------------------------------------------------------------------------------------

    def open_cursor(self) -> Cursor:
        """A cursor for a new link, which knows nothing yet."""
        cursor = Cursor()
        self._cursors.append(cursor)
        self._newest_cursor = cursor
        for turn in self._turns:
            turn.prefix = turn.settled
        return cursor

    async def take(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds:
        """What the cursor's link must be told next; waits for it."""
        # A replay of seconds must leave others their turn.
        await trio.lowlevel.checkpoint()
        while (item := self.take_nowait(cursor)) is None:
            await self._changed.wait()
        return item

    def take_nowait(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds | None:
        """As `take`, None if there is nothing yet."""
        item = self._next(cursor)
        if item is not None:
            cursor.note(item)
        return item

    def _next(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds | None:
        if cursor.overtaken:
            return TurnEnds(cursor.turn)
        current = self._find(cursor.turn) if cursor.in_turn else None
        if current is not None:
            window = self._window(cursor, current.untold_from, current.ends_at)
            ends = TurnEnds(current.number) if current.ends_at is not None else None
            return window or ends
        coming = next((turn for turn in self._turns if turn.number > cursor.turn), None)
        if coming is None:
            return self._window(cursor, max(self._told_until, self._end - PRE_ROLL), None)
        return self._window(cursor, coming.untold_from, coming.begins_at) or TurnBegins(coming.number)

    def _window(self, cursor: Cursor, start: int, stop: int | None) -> Window | None:
        """The first audio from `start` to `stop` that the cursor has not been sent, at most one window."""
        start = max(start, cursor.position)
        index = bisect_right(self._windows, start, key=lambda kept: kept.window.end)
        if index == len(self._windows):
            return None
        kept = self._windows[index]
        window = _cut(kept.window, start, stop)
        if not len(window.samples):
            return None
        if kept.sent:
            self._counts.replayed_ms += _ms(window)
        kept.sent = True
        return window

    def close_cursor(self, cursor: Cursor, settled: Callable[[int], Settled]) -> None:
        """The cursor's link is told no more; `settled` says what it has settled of a turn."""
        self._cursors.remove(cursor)
        if cursor is not self._newest_cursor:
            return  # a newer link is being told all of it again already
        for turn in self._turns:
            known = settled(turn.number)
            turn.settled_until = max(turn.settled_until, cursor.position_of(known.samples))
            turn.settled += Words(known.text, known.confidence)

    # --- what links report --------------------------------------------------------------------------------

    def complete(self, fact: Fact) -> Fact:
        """The fact, made to tell of its whole turn if the link that reports it has heard only a part.

        A turn with a final transcript is forgotten.
        """
        match fact:
            case TranscriptInterim() | EagerEndOfTurn():
                return self._with_prefix(fact)
            case EndOfTurn():
                self._note_decision(fact.turn)
                return self._with_prefix(fact)
            case TranscriptFinal():
                completed = self._with_prefix(fact)
                self._forget(fact.turn)
                return completed
        return fact

    def _with_prefix(self, fact: Told) -> Fact:
        turn = self._find(fact.turn)
        if turn is None or not turn.prefix.text:
            return fact
        words = turn.prefix + Words(fact.text, fact.confidence)
        return evolve(fact, text=words.text, confidence=words.confidence)

    def _note_decision(self, number: int) -> None:
        """Only the beginning of another turn shows that the decision is followed."""
        turn = self._find(number)
        if turn is not None and self._newest_cursor is not None:
            turn.decided_until = self._newest_cursor.position

    def _forget(self, number: int) -> None:
        """All of this turn was told, and of those before it nothing will be."""
        turn = self._find(number)
        if turn is None or turn.ends_at is None:
            return
        self._turns = [later for later in self._turns if later.number > number]
        self._let_go(0, turn.ends_at)
        for cursor in self._cursors:
            cursor.overtaken |= cursor.in_turn and cursor.turn <= number
        self._announce()

    # --- the rest -----------------------------------------------------------------------------------------

    def _find(self, number: int) -> _Turn | None:
        return next((turn for turn in self._turns if turn.number == number), None)

    def _let_go(self, start: int, stop: int) -> None:
        """Audio between two positions is not needed any more."""
        first = bisect_right(self._windows, start, key=lambda kept: kept.window.end)
        last = bisect_right(self._windows, stop, key=lambda kept: kept.window.end)
        self._held -= sum(len(kept.window.samples) for kept in self._windows[first:last])
        del self._windows[first:last]

    def _announce(self) -> None:
        self._changed.wake_all()


def _cut(window: Window, start: int, stop: int | None) -> Window:
    """What lies between two positions."""
    first = max(start - window.start, 0)
    last = None if stop is None else max(stop - window.start, 0)
    own = window.as_it_came
    if own is not None:
        factor = LISTENING_RATE // TELEPHONE_RATE
        own = own[first // factor : None if last is None else last // factor]
    return Window(window.start + first, window.samples[first:last], window.probability, own)


def _ms(window: Window) -> float:
    return len(window.samples) * 1000 / LISTENING_RATE
