"""The clock of turns on a Deepgram link: which audio belongs to which turn, so that late words reach theirs.

Pure; both Deepgram adapters use it. A position is the number of samples sent on the connection before it; a
vendor's times in seconds are converted to positions.
"""

from __future__ import annotations

import math

from attrs import define, field

from adapters.interfaces import LISTENING_RATE

_PRE_ROLL = LISTENING_RATE // 2
"""A turn contains up to 500 ms of the audio before its beginning, or before the voice that goes on then."""
_MOST_PRE_ROLL = 10 * LISTENING_RATE
_SAME_UTTERANCE = LISTENING_RATE // 2
"""Voice after less silence than this belongs to the same utterance."""
_ACTED_UPON = 2 * LISTENING_RATE
"""A turn that begins this soon after a decision of the vendor contains all audio since the decision."""
_BEFORE_BEGINNING = 1.0
"""Seconds. Times so little before the beginning are rounded."""
_VOICE = 0.5
"""Probability from which a window is voice (Silero's own threshold)."""


@define(eq=False)
class Turn:
    """The audio of one turn."""

    number: int
    start: int
    end: int | None = None
    """Its end; None while the turn is not finalized."""
    decided: int | None = None
    """Where the vendor decided by itself that the turn is over."""
    last_voice: int | None = None
    """The end of its last window of voice."""
    voice: int = 0
    """The number of its samples that are voice."""
    shown: str = ""
    """The last interim text that was reported."""

    def contains(self, position: float) -> bool:
        """Whether the sample at `position` belongs to this turn."""
        return self.start <= position and (self.end is None or position < self.end)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether any of the audio between two positions belongs to this turn."""
        return end > self.start and (self.end is None or start < self.end)

    @property
    def speech_ms(self) -> float:
        """The length of its voice."""
        return self.voice * 1000 / LISTENING_RATE


@define
class TurnClock:
    """The position in the audio, the open turn, and the turns that wait for their last words."""

    sent: int = 0
    """Samples sent so far, the current position."""
    turn: Turn | None = None
    """The turn that audio belongs to now."""
    awaiting: list[Turn] = field(factory=list)
    """Finalized turns without a final transcript, oldest first."""
    last_ended: int | None = None
    """The number of the turn that was finalized last."""
    unanswered_voice: int = 0
    """Samples of voice since the vendor's last message."""
    _finalized_until: int = 0
    """Audio before this position belongs to finalized turns."""
    _utterance_start: int | None = None
    """Where an utterance began that goes on and began between turns."""
    last_voice: int = 0
    """The end of the last window of voice."""

    def send(self, samples: int, speech_probability: float) -> None:
        """Note that so many samples are sent, all of them voice or all silence."""
        start, self.sent = self.sent, self.sent + samples
        if speech_probability < _VOICE:
            if self.sent - self.last_voice >= _SAME_UTTERANCE:
                self._utterance_start = None
            return
        if self.turn is None and self._utterance_start is None:
            self._utterance_start = start
        self.last_voice = self.sent
        self.unanswered_voice += samples
        if self.turn is not None:
            self.turn.last_voice = self.sent
            self.turn.voice += samples

    def begin(self, number: int) -> Turn:
        """Begin a turn. An open turn is dropped, or finalized if the vendor has decided that it is over."""
        decided = self.turn.decided if self.turn is not None else None
        if decided is not None and self.sent - decided <= _ACTED_UPON:
            start = self._utterance_start = min(decided, self.sent)
        else:
            heard_from = self.sent if self._utterance_start is None else self._utterance_start
            earliest = max(self._finalized_until, self.sent - _MOST_PRE_ROLL)
            start = max(earliest, heard_from - _PRE_ROLL)
        self.turn = Turn(number, start)
        if self._utterance_start is not None and self.last_voice > start:
            self.turn.last_voice = self.last_voice
            self.turn.voice = self.last_voice - max(start, self._utterance_start)
        self._utterance_start = None
        return self.turn

    def finalize(self, number: int) -> Turn | None:
        """End the open turn, if it has this number, and return it. Its final transcript is awaited now."""
        ended = self.turn
        if ended is None or ended.number != number:
            return None
        self.turn, ended.end = None, self.sent
        self._finalized_until = self.sent
        self._utterance_start = None
        self.last_ended = number
        self.awaiting.append(ended)
        return ended

    @property
    def unfinished(self) -> list[Turn]:
        """The turns that may still get words, oldest first."""
        return [*self.awaiting, *([self.turn] if self.turn is not None else [])]

    def at(self, position: float) -> Turn | None:
        """The turn that the sample at `position` belongs to; None if it cannot get words any more."""
        return next((turn for turn in self.unfinished if turn.contains(position)), None)

    def complete_until(self, last: Turn) -> list[Turn]:
        """Stop waiting for the turns up to `last`, and return them, oldest first."""
        count = self.awaiting.index(last) + 1
        complete, self.awaiting = self.awaiting[:count], self.awaiting[count:]
        return complete


def position(seconds: object) -> float | None:
    """A vendor's time in seconds as a position; None if it is not a usable number.

    A number may be a text. A little before the beginning is the beginning.
    """
    number = number_of(seconds)
    if number is None or not -_BEFORE_BEGINNING <= number < 1e6:
        return None
    return max(0.0, number) * LISTENING_RATE


def confidence_of(value: object) -> float | None:
    """A vendor's confidence, from 0 to 1; None if it is not a usable number."""
    number = None if isinstance(value, str) else number_of(value)
    return None if number is None or not -1e6 < number < 1e6 else min(1.0, max(0.0, number))


def number_of(value: object) -> float | None:
    """A finite number, which may be a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
