"""What a telephone network's marks say of the playback: which are out, and what one means that comes back.

Twilio sends a mark back when all audio before it was played. A stretch of audio begins with a mark that comes
back at once, as its first sound is played, every piece of it ends with one, and so does the answer. No piece
holds audio of two segments. After a
`clear` Twilio sends back all marks at once though nothing of theirs was heard: those are not counted.
"""

from __future__ import annotations

from attrs import Factory, define, frozen

from machines.facts import Fact, PlaybackAt, PlaybackFinished


@frozen
class Reach:
    """What a mark will say."""

    utterance: int
    position_ms: float
    ends_audio: bool
    """Audio comes right before it, instead of after it."""
    ends_answer: bool = False


@define
class PlaybackMarks:
    """The marks of one call."""

    _out: dict[str, Reach] = Factory(dict)
    """Sent and not returned, in order."""
    _utterance: int = 0
    _position_ms: float = 0.0
    """End of the audio that was sent of it."""
    _played_ms: float = 0.0
    _played_at_ms: float = 0.0
    """When that much of it was known to be played."""
    _number: int = 0

    def begin(self, utterance: int) -> None:
        """Audio of another answer follows."""
        self._utterance, self._position_ms, self._played_ms = utterance, 0.0, 0.0

    def before_audio(self) -> str | None:
        """The mark to send before the next piece of audio, if a stretch begins with it."""
        if self._audio_is_out():
            return None
        return self._add(Reach(self._utterance, self._position_ms, ends_audio=False))

    def after_audio(self, duration_ms: float) -> str:
        """The mark to send after a piece of audio."""
        self._position_ms += duration_ms
        return self._add(Reach(self._utterance, self._position_ms, ends_audio=True))

    def at_end(self) -> str:
        """The mark to send after everything of the answer."""
        return self._add(Reach(self._utterance, self._position_ms, ends_audio=False, ends_answer=True))

    def returned(self, name: str, at_ms: float) -> Fact | None:
        """What a mark says that came back; None if it says nothing: it was dropped, or is not ours."""
        if name not in self._out:
            return None
        # They come back in order: one that was lost on the way is told by the next.
        for earlier in list(self._out):
            reach = self._out.pop(earlier)
            if earlier == name:
                break
        if reach.ends_answer:
            return PlaybackFinished(reach.utterance)
        if reach.utterance == self._utterance:
            self._played_ms, self._played_at_ms = reach.position_ms, at_ms
        goes_on = not reach.ends_audio or self._audio_is_out()
        return PlaybackAt(reach.utterance, reach.position_ms, playing=goes_on)

    def is_out(self, name: str) -> bool:
        """Whether a mark was sent and has not come back."""
        return name in self._out

    @property
    def ending(self) -> bool:
        """Everything of an answer was sent, and not all of it was played."""
        return any(reach.ends_answer for reach in self._out.values())

    def dropped(self, at_ms: float) -> float:
        """All audio that was not played by now was dropped, and marks that are out come back for nothing.

        Returns how many ms that are; an answer that goes on does so with these.
        """
        sent_ms = self._position_ms
        if self._audio_is_out():
            began = all(reach.ends_audio for reach in self._out.values())
            elapsed = at_ms - self._played_at_ms if began else 0.0
            self._position_ms = min(sent_ms, self._played_ms + elapsed)
        self._out.clear()
        return sent_ms - self._position_ms

    def _audio_is_out(self) -> bool:
        return any(reach.ends_audio for reach in self._out.values())

    def _add(self, reach: Reach) -> str:
        self._number += 1
        name = f"{self._number}: {reach.position_ms:.0f} ms of {reach.utterance}"
        self._out[name] = reach
        return name
