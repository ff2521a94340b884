"""The playback ledger: how much of an answer was heard, in time and in words.

It is fed by facts only: segments as they are handed to the voice, their durations as they are synthesized,
and playback positions from the best source the transport has. Between two positions it extrapolates, since
audio plays in real time. What was heard of a segment is always a beginning of the segment's own text: words
that a voice reports only move a mark in it.
"""

from __future__ import annotations

import itertools
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from attrs import Factory, define, field

from machines.facts import PlaybackAt, SegmentVoiced, Word
from machines.language.scripts import OPENERS, joined, pieces_of, weight

SPEAKING_RATE = 15 / 1000
"""Weight per millisecond: how fast a segment is assumed to be spoken until its duration is known. Typical
English speech is 150 words a minute of about 6 characters; synthesized voices are a little faster. Characters
of other scripts weigh what they take longer (`machines/language/scripts.py`)."""

CAUTION = 0.8
"""The share of a broken segment's audio that is assumed to hold words at that rate."""
_AHEAD = 40
"""Letters within which a reported word is looked for, if it is not short."""
_SHORT = 2
"""Letters of the longest word that is short."""


@define
class SpokenSegment:
    """One segment of an answer. Its duration is None until all its audio was synthesized."""

    text: str
    duration_ms: float | None = None
    words: tuple[Word, ...] = ()
    unsayable: bool = False
    """The voice cannot say it, so it has no audio. This is not a failure."""
    filler: bool = False
    """It is said in place of words of the model, before the first of them, and never remembered."""

    def expected_ms(self) -> float:
        """The duration, or an estimate if it is not known yet."""
        return weight(self.text) / SPEAKING_RATE if self.duration_ms is None else self.duration_ms

    def marks(self) -> list[tuple[int, float]]:
        """Places in the text with the time at which the sound before them ends, the text's end at last.

        By the voice's own words, else each word in proportion to what it weighs.
        """
        if self.words:
            *marks, (place, ends_ms) = _marks_of(self.text, self.words, self.expected_ms())
            if place < len(self.text):
                marks.append((place, ends_ms))
                ends_ms = max(ends_ms, self.expected_ms())
            return [*marks, (len(self.text), ends_ms)]
        places, weights, whole = _weighed(self.text)
        length_ms = self.expected_ms()
        return [(place, length_ms * so_far / whole) for place, so_far in zip(places, weights, strict=True)]

    def place_at(self, ms: float) -> int:
        """How much of the text was said by `ms`, in characters."""
        place = 0
        for end, ends_ms in self.marks():
            # Word times of a voice need not go upwards: words after an unheard one are unheard.
            if ends_ms > ms:
                break
            place = end
        return place


@lru_cache(maxsize=256)
def _weighed(text: str) -> tuple[tuple[int, ...], tuple[float, ...], float]:
    """Where each word of a text ends, what the text weighs up to there, and what it weighs in all."""
    pieces = pieces_of(text)
    # Each word takes a blank with it, the last one too.
    weights = [weight(each.strip()) + (each[-1] == " " or each is pieces[-1]) for each in pieces]
    ends = itertools.accumulate(len(each) for each in pieces)
    return tuple(ends), tuple(itertools.accumulate(weights)), float(sum(weights))


def _marks_of(text: str, words: tuple[Word, ...], length_ms: float) -> Iterator[tuple[int, float]]:
    """Where each reported word ends in the text.

    A voice may report pieces of words, words with other spaces, or what it made of "$5". What is not found
    moves the mark by its share of time.
    """
    letters, places = _letters(text)
    ends = [0, *itertools.accumulate(len(piece) for piece in pieces_of(text))]
    at = place = 0
    for word in words:
        looked_for, _ = _letters(word.text)
        # A short word is easily found within another.
        ahead = _AHEAD if len(looked_for) > _SHORT else 0
        found = letters.find(looked_for, at, at + len(looked_for) + ahead) if looked_for else -1
        if found >= 0:
            at = found + len(looked_for)
            place = max(place, _after(text, places[at - 1] + 1))
        elif looked_for and length_ms > 0:
            share = min(1.0, max(0.0, word.end_ms / length_ms))
            place = max(place, ends[bisect_right(ends, len(text) * share) - 1])
        yield place, word.end_ms


@lru_cache(maxsize=4096)
def _letters(text: str) -> tuple[str, tuple[int, ...]]:
    """The letters and digits of a text as they are compared, and the place of each."""
    letters, places = [], []
    for place, character in enumerate(text):
        for each in unicodedata.normalize("NFKC", character).casefold():
            if each.isalnum() or unicodedata.category(each)[0] == "M":
                letters.append(each)
                places.append(place)
    return "".join(letters), tuple(places)


def _after(text: str, place: int) -> int:
    """The place behind the punctuation and blanks that follow a word."""
    while place < len(text) and not (text[place].isalnum() or text[place] in OPENERS):
        place += 1
    return place


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

    def add(self, text: str, *, filler: bool = False) -> int:
        """Enter the next segment. Returns its number."""
        self.segments.append(SpokenSegment(text, filler=filler))
        return len(self.segments) - 1

    def voiced(self, fact: SegmentVoiced) -> None:
        """Note the duration and word times of a segment whose audio is complete."""
        segment = self.segments[fact.segment]
        segment.duration_ms = fact.duration_ms
        segment.words = fact.words
        segment.unsayable = fact.unsayable

    def cut(self, voiced_ms: float) -> tuple[tuple[int, str], ...]:
        """Cut the answer where the voice broke off. Returns what must be said again, as numbered segments.

        All complete segments are still heard, and `voiced_ms` of the first that is not. It is cut there, by
        the pace that is assumed for it; a word too many is better said twice than left out.
        """
        first = next((n for n, each in enumerate(self.segments) if each.duration_ms is None), None)
        if first is None:
            return ()
        broken, later = self.segments[first], self.segments[first + 1 :]
        place = broken.place_at(voiced_ms * CAUTION)
        said, rest = broken.text[:place].rstrip(), broken.text[place:].lstrip()
        del self.segments[first:]
        if voiced_ms > 0:
            self.segments.append(SpokenSegment(said, voiced_ms, filler=broken.filler))
        if rest:
            self.segments.append(SpokenSegment(rest, filler=broken.filler))
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

    def silent_since(self, at_ms: float) -> float:
        """Since when nothing is being played at `at_ms`: this very time if something is, 0 if nothing was."""
        if self.started_at is None:
            return 0.0
        if not self._playing:
            return self._at_ms
        if not self.every_segment_voiced():
            return at_ms
        return min(at_ms, self._at_ms + self.known_ms() - self._position_ms)

    def every_segment_voiced(self) -> bool:
        """Whether the audio of all segments is complete."""
        return all(segment.duration_ms is not None for segment in self.segments)

    def last_text(self) -> str:
        """The text of the last segment that has one."""
        return next((segment.text for segment in reversed(self.segments) if segment.text), "")

    def text(self) -> str:
        """The text of all segments."""
        return joined(*(segment.text for segment in self.segments))

    def own_text(self) -> str:
        """The text without fillers."""
        return joined(*(segment.text for segment in self.segments if not segment.filler))

    def only_filler(self) -> bool:
        """Whether nothing but a filler was to be said so far."""
        return bool(self.segments) and all(segment.filler for segment in self.segments)

    def unsayable(self) -> bool:
        """The voice can say nothing of it but the filler."""
        own = [segment for segment in self.segments if not segment.filler]
        return bool(own) and all(segment.unsayable for segment in own)

    def split(self, at_ms: float, *, own: bool = False) -> tuple[str, str]:
        """What was heard by `at_ms`, up to the end of a word, and the rest.

        What the voice could not say was not heard; it is among the rest only if that is not all over. With
        `own`, fillers are left out of both.
        """
        texts = ["" if own and each.filler else each.text for each in self.segments]
        said = ["" if each.unsayable else text for each, text in zip(self.segments, texts, strict=True)]
        if self.all_heard and not self.unsayable():
            return joined(*said), ""
        number, place = self._heard_up_to(self.heard_ms(at_ms))
        if number == len(texts):
            return joined(*said), ""
        cut = texts[number]
        heard = joined(*said[:number], cut[:place].rstrip())
        return heard, joined(cut[place:].lstrip(), *texts[number + 1 :])

    def _heard_up_to(self, position_ms: float) -> tuple[int, int]:
        """The segment that was heard in part, and up to where in its text.

        Text without any sound goes with the next that has one.
        """
        start, heard = 0.0, 0
        for number, segment in enumerate(self.segments):
            length_ms = segment.expected_ms()
            if length_ms <= 0:
                continue
            place = segment.place_at(position_ms - start)
            if place < len(segment.text):
                return (number, place) if place else (heard, 0)
            start, heard = start + length_ms, number + 1
        return heard, 0
