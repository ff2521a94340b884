"""The playback ledger: how much of an answer was heard, in time and in words.

It is fed by facts only: segments as they are handed to the voice, their durations as they are synthesized,
and playback positions from the best source the transport has. Between two positions it extrapolates, since
audio plays in real time.
"""

from __future__ import annotations

from attrs import Factory, define, field

from machines.facts import PlaybackAt, SegmentVoiced, Word

SPEAKING_RATE = 15 / 1000
"""Characters per millisecond: how fast a segment is assumed to be spoken until its duration is known.
Typical English speech is 150 words a minute of about 6 characters; synthesized voices are a little faster."""

CAUTION = 0.8
"""How much of a broken segment's audio is trusted to hold words at the assumed pace."""


@define
class SpokenSegment:
    """One segment of an answer. Its duration is None until all its audio was synthesized."""

    text: str
    duration_ms: float | None = None
    words: tuple[Word, ...] = ()

    def expected_ms(self) -> float:
        """The duration, or an estimate of it."""
        return len(self.text) / SPEAKING_RATE if self.duration_ms is None else self.duration_ms

    def word_ends(self) -> list[tuple[str, float]]:
        """Each word with the time its sound ends: the voice's own, else in proportion to its letters."""
        if self.words:
            return [(word.text, word.end_ms) for word in self.words]
        words = self.text.split()
        letters = sum(len(word) + 1 for word in words)
        ends, so_far = [], 0
        for word in words:
            so_far += len(word) + 1
            ends.append((word, self.expected_ms() * so_far / letters))
        return ends


@define
class PlaybackLedger:
    """What is known of the playback of one answer."""

    segments: list[SpokenSegment] = Factory(list)
    started_at: float | None = None
    """When the first sound was played, in the conversation's ms."""
    all_heard: bool = False
    _at_ms: float = field(default=0.0, alias="at_ms")
    _position_ms: float = field(default=0.0, alias="position_ms")
    _playing: bool = field(default=False, alias="playing")

    def add(self, text: str) -> int:
        """Enter the next segment; returns its number."""
        self.segments.append(SpokenSegment(text))
        return len(self.segments) - 1

    def voiced(self, fact: SegmentVoiced) -> None:
        """A segment's audio is complete."""
        segment = self.segments[fact.segment]
        segment.duration_ms = fact.duration_ms
        segment.words = fact.words

    def cut(self, voiced_ms: float) -> tuple[tuple[int, str], ...]:
        """The voice broke off: what of it must be said again, as numbered segments.

        All complete segments are still heard, and `voiced_ms` of the first that is not. It is cut there, by
        the pace that is assumed for it; a word too many is better said twice than left out.
        """
        first = next((n for n, each in enumerate(self.segments) if each.duration_ms is None), None)
        if first is None:
            return ()
        broken, later = self.segments[first], self.segments[first + 1 :]
        said = [word for word, end in broken.word_ends() if end <= voiced_ms * CAUTION]
        rest = " ".join(broken.text.split()[len(said) :])
        del self.segments[first:]
        if voiced_ms > 0:
            self.segments.append(SpokenSegment(" ".join(said), voiced_ms))
        if rest:
            self.segments.append(SpokenSegment(rest))
        self.segments.extend(later)
        again = range(first + (voiced_ms > 0), len(self.segments))
        return tuple((number, self.segments[number].text) for number in again)

    def moved(self, fact: PlaybackAt) -> None:
        """The playback position became known."""
        if self.started_at is None and fact.playing:
            self.started_at = fact.at_ms
        self._at_ms, self._position_ms, self._playing = fact.at_ms, fact.position_ms, fact.playing

    def heard_ms(self, at_ms: float) -> float:
        """How much audio was heard by `at_ms`."""
        if self.all_heard:
            return self.known_ms()
        elapsed = max(0.0, at_ms - self._at_ms) if self._playing else 0.0
        heard = self._position_ms + elapsed
        return min(heard, self.known_ms()) if self.every_segment_voiced() else heard

    def known_ms(self) -> float:
        """Duration of all audio that is known to exist."""
        return sum(segment.duration_ms or 0.0 for segment in self.segments)

    def remaining_ms(self, at_ms: float) -> float:
        """How long the audio known of will go on playing."""
        return max(0.0, self.known_ms() - self.heard_ms(at_ms))

    def every_segment_voiced(self) -> bool:
        """Whether no segment's synthesis is outstanding."""
        return all(segment.duration_ms is not None for segment in self.segments)

    def text(self) -> str:
        """All text entered."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    def split(self, at_ms: float) -> tuple[str, str]:
        """The words that were heard to their end by `at_ms`, and the words that were not."""
        if self.all_heard:
            return self.text(), ""
        position = self.heard_ms(at_ms)
        heard: list[str] = []
        unheard: list[str] = []
        soundless: list[str] = []
        start = 0.0
        for segment in self.segments:
            for word, end in segment.word_ends():
                soundless.append(word)
                if segment.expected_ms() > 0:
                    # Once a word is unheard, all after it are: word times of a voice need not be monotonic.
                    # Words without any sound go with the next that has one.
                    (heard if not unheard and start + end <= position else unheard).extend(soundless)
                    soundless = []
            start += segment.expected_ms()
        return " ".join(heard), " ".join([*unheard, *soundless])
