"""Which audio belongs to which turn, counted in samples: so that late words find the turn they belong to.

Pure; shared by both Deepgram adapters. Positions are samples sent on one connection; a vendor's seconds are
converted to them.
"""

from __future__ import annotations

from attrs import define, field

from adapters.interfaces import LISTENING_RATE

_PRE_ROLL = LISTENING_RATE // 2
"""A turn takes in what was sent up to 500 ms before it began, or before the voice that goes on began."""
_MOST_PRE_ROLL = 10 * LISTENING_RATE
_SAME_UTTERANCE = LISTENING_RATE // 2
"""Voice after less silence than this continues the utterance."""
_ACTED_UPON = 2 * LISTENING_RATE
"""A turn that begins so soon after the vendor's decision follows from it, and takes in all audio since."""
_VOICE = 0.5
"""Probability from which a window is voice (Silero's own threshold)."""


@define(eq=False)
class Turn:
    """One turn's stretch of the audio."""

    number: int
    start: int
    end: int | None = None
    """Set when the turn was finalized."""
    decided: int | None = None
    """Where the vendor decided that it is over, without being asked."""
    last_voice: int | None = None
    """The end of the last window of voice in it."""
    voice: int = 0
    """Samples of voice in it."""
    shown: str = ""
    """The last interim text that was reported."""

    def holds(self, position: float) -> bool:
        """Whether the sample at `position` belongs to this turn."""
        return self.start <= position and (self.end is None or position < self.end)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether any of the audio between two positions belongs to this turn."""
        return end > self.start and (self.end is None or start < self.end)

    @property
    def speech_ms(self) -> float:
        """How much voice is in it."""
        return self.voice * 1000 / LISTENING_RATE


@define
class TurnClock:
    """The position in the audio, and the turns that are open or still wait for their last words."""

    sent: int = 0
    """Samples sent so far."""
    turn: Turn | None = None
    """The turn that audio belongs to now."""
    awaiting: list[Turn] = field(factory=list)
    """Finalized, without their final transcript; oldest first."""
    last_ended: int | None = None
    """The number of the turn finalized last."""
    unanswered_voice: int = 0
    """Samples of voice since the vendor last said anything."""
    _taken_until: int = 0
    """Audio before this belongs to turns that were finalized."""
    _utterance_start: int | None = None
    """The first voice of an utterance that began between turns and goes on."""
    _last_voice: int = 0

    def send(self, samples: int, speech_probability: float) -> None:
        """So many samples are sent, all voice or all silence."""
        start, self.sent = self.sent, self.sent + samples
        if speech_probability < _VOICE:
            if self.sent - self._last_voice >= _SAME_UTTERANCE:
                self._utterance_start = None
            return
        if self.turn is None and self._utterance_start is None:
            self._utterance_start = start
        self._last_voice = self.sent
        self.unanswered_voice += samples
        if self.turn is not None:
            self.turn.last_voice = self.sent
            self.turn.voice += samples

    def begin(self, number: int) -> Turn:
        """A turn begins; an open one is dropped, or over if the vendor has decided so."""
        decided = self.turn.decided if self.turn is not None else None
        if decided is not None and self.sent - decided <= _ACTED_UPON:
            start = self._utterance_start = min(decided, self.sent)
        else:
            heard_from = self.sent if self._utterance_start is None else self._utterance_start
            earliest = max(self._taken_until, self.sent - _MOST_PRE_ROLL)
            start = max(earliest, heard_from - _PRE_ROLL)
        self.turn = Turn(number, start)
        if self._utterance_start is not None and self._last_voice > start:
            self.turn.last_voice = self._last_voice
            self.turn.voice = self._last_voice - max(start, self._utterance_start)
        self._utterance_start = None
        return self.turn

    def finalize(self, number: int) -> Turn | None:
        """The open turn ends here, if it has this number; it is awaited from now on."""
        ended = self.turn
        if ended is None or ended.number != number:
            return None
        self.turn, ended.end = None, self.sent
        self._taken_until = self.sent
        self._utterance_start = None
        self.last_ended = number
        self.awaiting.append(ended)
        return ended

    @property
    def unfinished(self) -> list[Turn]:
        """The turns that may still get words; oldest first."""
        return [*self.awaiting, *([self.turn] if self.turn is not None else [])]

    def at(self, position: float) -> Turn | None:
        """The turn that the sample at `position` belongs to, if it may still get words."""
        return next((turn for turn in self.unfinished if turn.holds(position)), None)

    def complete_until(self, last: Turn) -> list[Turn]:
        """Awaited turns up to `last` are awaited no more; they are returned, oldest first."""
        count = self.awaiting.index(last) + 1
        complete, self.awaiting = self.awaiting[:count], self.awaiting[count:]
        return complete


def position(seconds: object) -> float | None:
    """A vendor's time in seconds as samples; None if it is no usable number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e6:
        return None
    return seconds * LISTENING_RATE
