"""The replay buffer of speech to text: the caller's audio that has no final transcript yet.

An `SttReplayBuffer` keeps the last 10 s of the caller's audio and the turns in it, to be replayed on a new
speech-to-text link. Each link reads it through its own `Cursor`: a new cursor begins with the audio of turns
without a final transcript and then continues live. Words that a link had settled before it ended are not
replayed: they are put in front of what the next link transcribes.

Positions are samples at `LISTENING_RATE` since the call began, whatever the rate of the audio is. Turn
numbers increase. No I/O in here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property

import numpy as np
import trio
from attrs import define, evolve, field, frozen

from adapters.gathering import NO_VOICE, goes_now
from adapters.interfaces import LISTENING_RATE, Samples, Settled
from adapters.tasks import Signal
from machines.evidence import VoiceHeard
from machines.facts import EagerEndOfTurn, EndOfTurn, Fact, Transcribed, TranscriptFinal, TranscriptInterim
from machines.language.scripts import joined
from machines.phrases import words_of
from orchestrator.audio.caller_audio import BACKLOG_MS, CallerAudioCounts, TurnBegins, TurnEnds

KEPT_MS = 10_000
"""The buffer keeps at least the last 10 s of the caller's audio, and less than a window more."""
MOST_AT_ONCE = 4
"""After so many items that are there at once, others may run."""
VOICED = 0.5
"""Probability of speech from which a window is voice (Silero's own threshold)."""
LOUD = 32_768 * 10 ** (-45 / 20)
"""Root mean square from which a window is as loud as somebody who speaks: -45 dB of full scale. Behind a
closed lid speech had -33 dB (open-jarvis/OpenJarvis#519)."""
PRE_ROLL = LISTENING_RATE // 2
"""A turn includes the 500 ms before its mark: voice is detected only after its first sound."""


@frozen(eq=False)
class Window:
    """Audio at `rate` Hz from position `start` on, and the probability that it holds speech."""

    start: int
    samples: Samples
    probability: float
    rate: int = LISTENING_RATE

    @property
    def length(self) -> int:
        """In positions."""
        return len(self.samples) * (LISTENING_RATE // self.rate)

    @property
    def end(self) -> int:
        """The position after it."""
        return self.start + self.length


@frozen
class Words:
    """A text and its confidence, from 0 to 1."""

    text: str = ""
    confidence: float = 0.0

    def __add__(self, other: Words) -> Words:
        """One text after the other; the confidence is the mean over all words."""
        own, others = len(words_of(self.text)), len(words_of(other.text))
        if not self.text or not other.text:
            return self if self.text else other
        confidence = (self.confidence * own + other.confidence * others) / ((own + others) or 1)
        return Words(joined(self.text, other.text), confidence)


@define(eq=False)
class _Kept:
    window: Window
    sent: bool = False

    @cached_property
    def loud(self) -> bool:
        """Somebody who speaks is as loud as this. Few windows are asked, but those again and again."""
        return _loudness(self.window.samples) >= LOUD


@define(eq=False)
class _Turn:
    """A turn without a final transcript."""

    number: int
    start: int
    """Position of its first audio: at most `PRE_ROLL` before its mark."""
    begins_at: int
    """Position of its mark."""
    ends_at: int | None = None
    """Position of its end; None as long as it goes on."""
    settled_until: int = 0
    """`settled` covers the audio before this position."""
    settled: Words = Words()
    """The words that links had settled before they ended."""
    prefix: Words = Words()
    """`settled` when the newest cursor was opened: words whose audio its link is not sent."""
    decided_until: int | None = None
    """How far its audio had been sent when the provider decided that the turn was over."""

    @property
    def replay_from(self) -> int:
        """A new link is sent its audio from here on."""
        return max(self.start, self.settled_until)


@define(eq=False)
class Cursor:
    """How far one link has been fed. Made by `SttReplayBuffer.open_cursor`."""

    position: int = 0
    """All audio before this was sent, or need not be."""
    turn: int = 0
    """The turn that it began last; 0 for none."""
    in_turn: bool = False
    """That turn has begun on this cursor and not ended."""
    overtaken: bool = False
    """Another link has reported that turn: no more of it needs to be sent."""
    at_once: int = 0
    """Items that were taken since others could run."""
    _sent: int = 0
    _stretches: list[tuple[int, int]] = field(factory=list)
    """The unbroken stretches of audio, each as (samples sent before it, its position)."""

    def position_of(self, samples: int) -> int:
        """The position after the first `samples` samples that were sent on this cursor; 0 for none."""
        for sent_before, start in reversed(self._stretches):
            if samples > sent_before:
                return start + min(samples, self._sent) - sent_before
        return 0

    def note(self, item: Window | TurnBegins | TurnEnds) -> None:
        """Note that the link is sent this item now."""
        match item:
            case Window():
                if not self._stretches or self.position != item.start:
                    self._stretches.append((self._sent, item.start))
                self._sent += item.length
                self.position = item.end
            case TurnBegins(turn=turn):
                self.turn, self.in_turn, self.overtaken = turn, True, False
            case TurnEnds():
                self.in_turn = self.overtaken = False


class SttReplayBuffer:
    """The caller's audio and turns of one conversation, as far as they may have to be replayed."""

    def __init__(self, counts: CallerAudioCounts, rate: int = LISTENING_RATE) -> None:
        """The audio has `rate` Hz: `LISTENING_RATE` or a fraction of it.

        Dropped and replayed audio is counted in `counts`.
        """
        self._counts = counts
        self._rate = rate
        self._windows: list[_Kept] = []
        """In order, with gaps where audio is no longer needed."""
        self._kept_samples = 0
        """Samples in them."""
        self._end = 0
        """The position of the next audio."""
        self._turns: list[_Turn] = []
        """In order. All but the last one are over."""
        self._closed_until = 0
        """Audio before this belongs to turns that are over: no later turn may include it."""
        self._cursors: list[Cursor] = []
        self._newest_cursor: Cursor | None = None
        self._untold = 0
        """Positions of audio that came since the links were told of audio."""
        self._voice_until = NO_VOICE
        """The end of the last voice."""
        self._changed = Signal()
        self._taken = Signal()

    # --- audio and turns in -------------------------------------------------------------------------------

    def add(self, samples: Samples, probability: float) -> None:
        """Keep the next window. Drops the oldest ones as long as `KEPT_MS` remain without them."""
        # A copy, since a window may be a small view of a large block.
        window = Window(self._end, np.array(samples), probability, self._rate)
        self._end = window.end
        self._windows.append(_Kept(window))
        self._kept_samples += len(samples)
        while (self._kept_samples - len(self._windows[0].window.samples)) * 1000 >= KEPT_MS * self._rate:
            self._drop_oldest()
        self._untold += window.length
        if probability >= VOICED:
            self._voice_until = window.end
        if goes_now(self._untold, window.end, self._voice_until):
            self._tell()

    def _tell(self) -> None:
        """Wake whoever sends."""
        self._untold = 0
        self._changed.wake_all()

    def _drop_oldest(self) -> None:
        oldest = self._windows.pop(0)
        self._kept_samples -= len(oldest.window.samples)
        if not oldest.sent:
            self._counts.dropped_ms += _ms(oldest.window)

    def begin_turn(self, turn: int) -> None:
        """A turn begins here. If another is open, its audio is dropped, except the last 500 ms.

        If the provider had decided that the open turn was over, the new turn gets all the audio that the
        provider had not been sent by then.
        """
        begins_at = self._end
        if self._turns and self._turns[-1].ends_at is None:
            begins_at = self._abandon(self._turns.pop())
        start = max(self._closed_until, begins_at - PRE_ROLL)
        earlier = self._turns[-1].ends_at if self._turns else None
        self._drop_between(earlier or 0, start)
        self._turns.append(_Turn(turn, start, begins_at))
        self._tell()

    def _abandon(self, turn: _Turn) -> int:
        """The turn gets no final transcript. Returns where the next one begins."""
        if turn.decided_until is None or self._newest_cursor is None:
            return self._end
        for cursor in self._cursors:
            # A link other than the one that decided is still being sent this turn.
            cursor.overtaken |= (
                cursor.in_turn and cursor.turn == turn.number and cursor.position < turn.decided_until
            )
        self._closed_until = max(self._closed_until, turn.decided_until)
        return max(turn.decided_until, self._newest_cursor.position)

    def end_turn(self, turn: int) -> None:
        """The open turn ends here."""
        ended = self._find(turn)
        assert ended is not None, f"turn {turn} is not open"
        ended.ends_at = self._closed_until = self._end
        self._tell()

    def current_turn_audio(self, most_ms: int) -> tuple[int, Samples] | None:
        """The number of the open turn and the last `most_ms` of its audio; None between two turns."""
        if not self._turns or self._turns[-1].ends_at is not None:
            return None
        turn = self._turns[-1]
        start = max(turn.start, self._end - most_ms * LISTENING_RATE // 1000)
        first = bisect_right(self._windows, start, key=lambda kept: kept.window.end)
        kept = [_cut(each.window, start, None).samples for each in self._windows[first:]]
        return turn.number, np.concatenate([np.empty(0, np.int16), *kept])

    # --- to a link ----------------------------------------------------------------------------------------

    def open_cursor(self) -> Cursor:
        """A cursor for a new link, which has been sent nothing yet."""
        cursor = Cursor()
        self._cursors.append(cursor)
        self._newest_cursor = cursor
        for turn in self._turns:
            turn.prefix = turn.settled
        return cursor

    async def take(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds:
        """Wait for what the cursor's link must be sent next, and return it."""
        if cursor.at_once >= MOST_AT_ONCE:
            # Replaying seconds of audio must not keep other tasks from running.
            await trio.lowlevel.checkpoint()
            cursor.at_once = 0
        cursor.at_once += 1
        while (item := self.take_nowait(cursor)) is None:
            await self._changed.wait()
            cursor.at_once = 1
        return item

    def take_nowait(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds | None:
        """As `take`, but None if there is nothing yet."""
        item = self._next(cursor)
        if item is not None:
            cursor.note(item)
            self._taken.wake_all()
        return item

    @property
    def has_room(self) -> bool:
        """Whether the open link, if there is one, has been sent most of the audio."""
        return self._behind_ms() <= BACKLOG_MS

    async def room(self) -> None:
        """Wait until there is room."""
        while not self.has_room:
            await self._taken.wait()

    def _behind_ms(self) -> float:
        """How much of the kept audio the newest link was not sent; 0 if it has ended."""
        cursor = self._newest_cursor
        if cursor is None or cursor not in self._cursors or not self._windows:
            return 0.0
        first = max(cursor.position, self._windows[0].window.start)
        return (self._end - first) * 1000 / LISTENING_RATE

    def _next(self, cursor: Cursor) -> Window | TurnBegins | TurnEnds | None:
        if cursor.overtaken:
            return TurnEnds(cursor.turn)
        current = self._find(cursor.turn) if cursor.in_turn else None
        if current is not None:
            window = self._window(cursor, current.replay_from, current.ends_at)
            ends = TurnEnds(current.number) if current.ends_at is not None else None
            return window or ends
        coming = next((turn for turn in self._turns if turn.number > cursor.turn), None)
        if coming is None:
            return self._window(cursor, max(self._closed_until, self._end - PRE_ROLL), None)
        return self._window(cursor, coming.replay_from, coming.begins_at) or TurnBegins(coming.number)

    def _window(self, cursor: Cursor, start: int, stop: int | None) -> Window | None:
        """The next audio from `start` to `stop` that was not sent on this cursor; at most one window."""
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
        """The cursor's link has ended. `settled` returns what it has settled of a turn."""
        self._cursors.remove(cursor)
        self._taken.wake_all()
        if cursor is not self._newest_cursor:
            return  # a newer link is being sent all of it again already
        for turn in self._turns:
            known = settled(turn.number)
            turn.settled_until = max(turn.settled_until, cursor.position_of(known.samples))
            turn.settled += Words(known.text, known.confidence)

    # --- from a link --------------------------------------------------------------------------------------

    def complete_fact(self, fact: Fact) -> Fact:
        """The fact with what was heard in its turn, and with the words of the whole turn, even if its link
        was sent only a part of it.

        With its final transcript, a turn is removed from the buffer.
        """
        match fact:
            case TranscriptInterim() | EagerEndOfTurn():
                return self._of_whole_turn(fact)
            case EndOfTurn():
                self._note_decision(fact.turn)
                return self._of_whole_turn(fact)
            case TranscriptFinal():
                completed = self._of_whole_turn(fact)
                self._forget(fact.turn)
                return completed
        return fact

    def _of_whole_turn(self, fact: Transcribed) -> Fact:
        turn = self._find(fact.turn)
        if turn is None:
            return fact
        fact = evolve(fact, voice=self._voice_of(turn))
        if not turn.prefix.text:
            return fact
        words = turn.prefix + Words(fact.text, fact.confidence)
        return evolve(fact, text=words.text, confidence=words.confidence)

    def _voice_of(self, turn: _Turn) -> VoiceHeard:
        """What was heard in the turn, as far as its audio is still kept."""
        until = self._end if turn.ends_at is None else turn.ends_at
        first = bisect_right(self._windows, turn.start, key=lambda kept: kept.window.end)
        voiced = certainty = loud = 0.0
        for kept in self._windows[first:]:
            if kept.window.start >= until:
                break
            if kept.window.probability >= VOICED:
                voiced += _ms(kept.window)
                certainty += _ms(kept.window) * kept.window.probability
            if kept.loud:
                loud += _ms(kept.window)
        return VoiceHeard(voiced, certainty / voiced if voiced else 0.0, loud)

    def _note_decision(self, number: int) -> None:
        """The provider decided that a turn was over: note how much of it had been sent by then."""
        turn = self._find(number)
        if turn is not None and self._newest_cursor is not None:
            turn.decided_until = self._newest_cursor.position

    def _forget(self, number: int) -> None:
        """Remove this turn, which has its final transcript, and those before it, which will get none."""
        turn = self._find(number)
        if turn is None or turn.ends_at is None:
            return
        self._turns = [later for later in self._turns if later.number > number]
        self._drop_between(0, turn.ends_at)
        for cursor in self._cursors:
            cursor.overtaken |= cursor.in_turn and cursor.turn <= number
        self._tell()

    # --- the rest -----------------------------------------------------------------------------------------

    def _find(self, number: int) -> _Turn | None:
        return next((turn for turn in self._turns if turn.number == number), None)

    def _drop_between(self, start: int, stop: int) -> None:
        """Drop the audio between two positions: it is no longer needed."""
        first = bisect_right(self._windows, start, key=lambda kept: kept.window.end)
        last = bisect_right(self._windows, stop, key=lambda kept: kept.window.end)
        self._kept_samples -= sum(len(kept.window.samples) for kept in self._windows[first:last])
        del self._windows[first:last]


def _cut(window: Window, start: int, stop: int | None) -> Window:
    """The part of a window between two positions."""
    factor = LISTENING_RATE // window.rate
    first = max(start - window.start, 0) // factor
    last = None if stop is None else max(stop - window.start, 0) // factor
    if first == 0 and (last is None or last >= len(window.samples)):
        return window
    return evolve(window, start=window.start + first * factor, samples=window.samples[first:last])


def _ms(window: Window) -> float:
    return len(window.samples) * 1000 / window.rate


def _loudness(samples: Samples) -> float:
    """The root mean square without a constant offset; 0 of nothing."""
    return float(samples.std()) if len(samples) else 0.0
