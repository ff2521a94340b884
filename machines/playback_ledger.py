"""The playback ledger: how much of an answer was heard, in time and in words.

It is filled by facts only: segments when they are handed to text to speech, their durations when they are
synthesized, and playback positions from the best source that the transport has. Between two positions it
extrapolates, since audio plays in real time.
"""

from __future__ import annotations

from attrs import Factory, define, field

from machines.facts import PlaybackAt, SegmentVoiced, Word

SPEAKING_RATE = 15 / 1000
"""Characters per millisecond at which a segment is assumed to be spoken until its duration is known.
Typical English speech is 150 words a minute of about 6 characters; synthesized voices are a little faster."""

CAUTION = 0.8
"""The share of a broken segment's audio that is assumed to hold words at that rate."""


@define
class SpokenSegment:
    """One segment of an answer. Its duration is None until all its audio was synthesized."""

    text: str
    duration_ms: float | None = None
    words: tuple[Word, ...] = ()

    def expected_ms(self) -> float:
        """The duration, or an estimate if it is not known yet."""
        return len(self.text) / SPEAKING_RATE if self.duration_ms is None else self.duration_ms

    def word_ends(self) -> list[tuple[str, float]]:
        """Each word with the time at which its sound ends: the voice's own times, or by number of letters."""
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
    """What is known about the playback of one answer."""

    segments: list[SpokenSegment] = Factory(list)
    started_at: float | None = None
    """When the first sound was played, in the conversation's ms."""
    all_heard: bool = False
    _at_ms: float = field(default=0.0, alias="at_ms")
    _position_ms: float = field(default=0.0, alias="position_ms")
    _playing: bool = field(default=False, alias="playing")

    def add(self, text: str) -> int:
        """Enter the next segment. Returns its number."""
        self.segments.append(SpokenSegment(text))
        return len(self.segments) - 1

    def voiced(self, fact: SegmentVoiced) -> None:
        """Note the duration and word times of a segment whose audio is complete."""
        segment = self.segments[fact.segment]
        segment.duration_ms = fact.duration_ms
        segment.words = fact.words

    def cut(self, voiced_ms: float) -> tuple[tuple[int, str], ...]:
        """Cut the answer where the voice broke off. Returns what must be said again, as numbered segments.

        All complete segments are still played, and `voiced_ms` of the first incomplete one. That one is cut
        there, at the assumed rate. It is better to say a word twice than to leave it out.
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
        """Note a playback position."""
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
        """The duration of all segments whose audio is complete."""
        return sum(segment.duration_ms or 0.0 for segment in self.segments)

    def remaining_ms(self, at_ms: float) -> float:
        """How long the audio that is known of will go on playing."""
        return max(0.0, self.known_ms() - self.heard_ms(at_ms))

    def every_segment_voiced(self) -> bool:
        """Whether the audio of all segments is complete."""
        return all(segment.duration_ms is not None for segment in self.segments)

    def text(self) -> str:
        """The text of all segments."""
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
                    # After an unheard word all words are unheard: the word times of a voice may go backwards.
                    # Words without sound count like the next word that has one.
                    (heard if not unheard and start + end <= position else unheard).extend(soundless)
                    soundless = []
            start += segment.expected_ms()
        return " ".join(heard), " ".join([*unheard, *soundless])
