"""Twilio's marks as playback positions: which marks are out, and what a mark means when it comes back.

Twilio sends a mark back when all audio before it was played. We send one before each stretch of audio, which
comes back as its first sound is played, one after every piece, and one at the end of the answer. No piece
holds audio of two segments. After a `clear` Twilio sends back all marks at once although their audio was not
played: those are not counted.
"""

from __future__ import annotations

from attrs import Factory, define, evolve, frozen

from machines.facts import Fact, PlaybackAt, PlaybackFinished
from orchestrator.audio.utterance import REPORTED_EVERY_MS

EXPECTED_WITHIN_MS = 20
"""A position that differs less from what the machine takes for granted is no news."""


@frozen
class MarkMeaning:
    """What it means when a mark comes back: the audio up to `position_ms` was played."""

    utterance: int
    position_ms: float
    ends_audio: bool
    """Audio comes right before the mark, not after it."""
    ends_answer: bool = False


@define
class PlaybackMarks:
    """The marks of one call."""

    _out: dict[str, MarkMeaning] = Factory(dict)
    """The marks that were sent and did not come back, in order."""
    _utterance: int = 0
    _position_ms: float = 0.0
    """The end of its audio that was sent."""
    _played_ms: float = 0.0
    _played_at_ms: float = 0.0
    """When `_played_ms` was reported."""
    _number: int = 0
    _told: PlaybackAt | None = None
    """The last position that the machine was told, with its time."""

    def begin(self, utterance: int) -> None:
        """The audio of another answer follows."""
        self._utterance, self._position_ms, self._played_ms = utterance, 0.0, 0.0

    def before_audio(self) -> str | None:
        """The mark to send before the next piece of audio; None within a stretch."""
        if self._audio_is_out():
            return None
        return self._add(MarkMeaning(self._utterance, self._position_ms, ends_audio=False))

    def after_audio(self, duration_ms: float) -> str:
        """The mark to send after a piece of audio."""
        self._position_ms += duration_ms
        return self._add(MarkMeaning(self._utterance, self._position_ms, ends_audio=True))

    def at_end(self) -> str:
        """The mark to send at the end of the answer."""
        return self._add(MarkMeaning(self._utterance, self._position_ms, ends_audio=False, ends_answer=True))

    def returned(self, name: str, at_ms: float) -> Fact | None:
        """The fact that a returned mark reports; None if its audio was dropped, or if it is not ours."""
        if name not in self._out:
            return None
        # Marks come back in order: one that was lost on the way is covered by the next.
        for earlier in list(self._out):
            meaning = self._out.pop(earlier)
            if earlier == name:
                break
        if meaning.ends_answer:
            return PlaybackFinished(meaning.utterance)
        if meaning.utterance == self._utterance:
            self._played_ms, self._played_at_ms = meaning.position_ms, at_ms
        goes_on = not meaning.ends_audio or self._audio_is_out()
        return PlaybackAt(meaning.utterance, meaning.position_ms, playing=goes_on)

    def news(self, name: str, at_ms: float) -> Fact | None:
        """As `returned`, but None as well for what the machine takes for granted: audio plays in real time.

        It is told all the same every `REPORTED_EVERY_MS`, as a sign of life.
        """
        fact = self.returned(name, at_ms)
        if not isinstance(fact, PlaybackAt):
            self._told = None if fact is not None else self._told
            return fact
        told = self._told
        if (
            told is not None
            and told.utterance == fact.utterance
            and told.playing
            and fact.playing
            and at_ms - told.at_ms < REPORTED_EVERY_MS
            and abs(told.position_ms + at_ms - told.at_ms - fact.position_ms) <= EXPECTED_WITHIN_MS
        ):
            return None
        self._told = evolve(fact, at_ms=at_ms)
        return fact

    def is_out(self, name: str) -> bool:
        """Whether a mark was sent and did not come back."""
        return name in self._out

    @property
    def ending(self) -> bool:
        """All of an answer was sent, and not all of it was played."""
        return any(meaning.ends_answer for meaning in self._out.values())

    def dropped(self, at_ms: float) -> float:
        """All audio that was not played by now was dropped. The marks that are out no longer mean anything.

        Returns how many ms were dropped; an answer that is resumed continues with them.
        """
        sent_ms = self._position_ms
        if self._audio_is_out():
            began = all(meaning.ends_audio for meaning in self._out.values())
            elapsed = at_ms - self._played_at_ms if began else 0.0
            self._position_ms = min(sent_ms, self._played_ms + elapsed)
        self._out.clear()
        self._told = None
        return sent_ms - self._position_ms

    def _audio_is_out(self) -> bool:
        return any(meaning.ends_audio for meaning in self._out.values())

    def _add(self, meaning: MarkMeaning) -> str:
        self._number += 1
        name = f"{self._number}: {meaning.position_ms:.0f} ms of {meaning.utterance}"
        self._out[name] = meaning
        return name
