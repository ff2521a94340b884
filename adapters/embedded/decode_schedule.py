"""The decode schedule of a turn: when to decode which audio, for a model that decodes whole utterances only.

Pure. Of a turn two things are kept: the text that is settled, and the voiced audio after it ("open" audio,
long silences removed). Open audio is decoded again and again while it grows, so it must stay short: at a
pause, or when it gets too long, its text is settled and its audio dropped. So a turn of any length needs
bounded memory, and each decode takes bounded time.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from attrs import define, field, frozen

from adapters.interfaces import LISTENING_RATE, Samples


@frozen
class DecodeScheduleSettings:
    """When a turn is decoded. The numbers follow measurements with Moonshine tiny-en on two cores."""

    voice_threshold: float = 0.5
    """Probability from which a window counts as voice."""
    margin_ms: float = 300
    """Audio without voice that is kept before and after voice, since words begin and end softly."""
    least_speech_ms: float = 150
    """Less voice than this is not decoded: a click or a breath becomes "You". A short "No." has as little as
    190; whether what is decoded are words is decided by their evidence (`machines/evidence.py`)."""
    first_interim_ms: float = 1000
    """Voice before the first interim decode; earlier ones are mostly wrong."""
    interim_step_ms: float = 500
    """New voice before the next interim decode."""
    pause_ms: float = 200
    """Silence after which the turn is decoded, because it may be over."""
    settle_ms: float = 5000
    """At a pause, the text of open audio of at least this length is settled."""
    longest_ms: float = 10_000
    """The most open audio that one decode may hold."""


@frozen
class Decoded:
    """The result of a decode. `confidence` is the mean probability of its `tokens` tokens, from 0 to 1."""

    text: str = ""
    confidence: float = 0.0
    tokens: int = 0

    def __add__(self, other: Decoded) -> Decoded:
        tokens = self.tokens + other.tokens
        certainty = self.confidence * self.tokens + other.confidence * other.tokens
        return Decoded(f"{self.text} {other.text}".strip(), certainty / tokens if tokens else 0.0, tokens)


@frozen
class Decode:
    """A decode to be done: of `samples`, the first `windows` windows of the open audio."""

    samples: Samples
    windows: int
    voice_ms: float
    """The turn's voice up to the end of these windows, which says how current the result is."""
    settles: bool
    """Whether the result is final for these windows."""
    urgent: bool
    """Whether the turn may be over. A decode that is not urgent may be skipped."""


@frozen
class _Window:
    samples: Samples
    probability: float
    voice_ms: float
    """The turn's voice up to and including this window."""
    end: int
    """The turn's samples up to and including this window."""


def _ms(samples: Samples) -> float:
    return len(samples) * 1000 / LISTENING_RATE


@define
class DecodeSchedule:
    """The audio of one turn, and what was decoded of it."""

    settings: DecodeScheduleSettings = field(factory=DecodeScheduleSettings)
    voice_ms: float = field(default=0, init=False)
    """Voice so far."""
    open_ms: float = field(default=0, init=False)
    """Length of the open audio."""
    settled: Decoded = field(factory=Decoded, init=False)
    """The settled text: that of the turn's first `settled_samples` samples."""
    settled_samples: int = field(default=0, init=False)
    _samples: int = field(default=0, init=False)
    """Samples added so far."""
    _open: list[_Window] = field(factory=list, init=False)
    _lead_in: deque[tuple[Samples, int]] = field(factory=deque, init=False)
    """The last audio without voice. It becomes open audio if voice follows."""
    _silence_ms: float = field(default=0, init=False)
    """Silence since the last window of voice."""
    _latest: Decoded = field(factory=Decoded, init=False)
    """The last result for the open audio."""
    _latest_voice_ms: float = field(default=0, init=False)
    """The turn's voice that `settled` and `_latest` cover."""

    @property
    def decoded(self) -> Decoded:
        """The text of the whole turn so far."""
        return self.settled + self._latest

    @property
    def is_speech(self) -> bool:
        return self.voice_ms >= self.settings.least_speech_ms

    @property
    def is_decoded(self) -> bool:
        """Whether nothing is left to decode: all voice is covered, or there is too little of it."""
        return self.covers_all(self._latest_voice_ms) or not self.is_speech

    def covers_all(self, voice_ms: float) -> bool:
        """Whether the first `voice_ms` of voice are all the voice of the turn."""
        return voice_ms >= self.voice_ms

    def add(self, samples: Samples, probability: float) -> None:
        """Add the next window of audio, which holds speech with this probability."""
        self._samples += len(samples)
        if probability >= self.settings.voice_threshold:
            self.voice_ms += _ms(samples)
            self._silence_ms = 0
            while self._lead_in:
                earlier, end = self._lead_in.popleft()
                self._open_window(_Window(earlier, 0.0, self._open_voice_ms, end))
            self._open_window(_Window(samples, probability, self.voice_ms, self._samples))
            return
        self._silence_ms += _ms(samples)
        if self._open and self._silence_ms <= self.settings.margin_ms:
            self._open_window(_Window(samples, probability, self.voice_ms, self._samples))
            return
        self._lead_in.append((samples, self._samples))
        while sum(_ms(kept) for kept, _ in self._lead_in) > self.settings.margin_ms:
            self._lead_in.popleft()

    def next_decode(self, *, over: bool) -> Decode | None:
        """The decode to do now, if any. If the turn is `over`, all that is left of it is to be decoded."""
        if self.is_decoded:
            return None
        if self.open_ms > self.settings.longest_ms:
            return self._decode(self._quietest_cut(), settles=True, urgent=True)
        pausing = self._silence_ms >= self.settings.pause_ms
        if over or pausing:
            settles = pausing and self.open_ms >= self.settings.settle_ms
            return self._decode(len(self._open), settles=settles, urgent=True)
        fresh_ms = self.voice_ms - self._latest_voice_ms
        if self.voice_ms >= self.settings.first_interim_ms and fresh_ms >= self.settings.interim_step_ms:
            return self._decode(len(self._open), settles=False, urgent=False)
        return None

    def add_result(self, decode: Decode, decoded: Decoded) -> None:
        """Take in the result of a decode. Decodes are done one at a time, in order."""
        self._latest_voice_ms = decode.voice_ms
        if not decode.settles:
            self._latest = decoded
            return
        self.settled += decoded
        self.settled_samples = self._open[decode.windows - 1].end
        self._latest = Decoded()
        for window in self._open[: decode.windows]:
            self.open_ms -= _ms(window.samples)
        del self._open[: decode.windows]

    @property
    def _open_voice_ms(self) -> float:
        return self._open[-1].voice_ms if self._open else self._latest_voice_ms

    def _open_window(self, window: _Window) -> None:
        self._open.append(window)
        self.open_ms += _ms(window.samples)

    def _decode(self, windows: int, *, settles: bool, urgent: bool) -> Decode:
        chosen = self._open[:windows]
        samples = np.concatenate([window.samples for window in chosen])
        return Decode(samples, windows, chosen[-1].voice_ms, settles, urgent)

    def _quietest_cut(self) -> int:
        """How many windows of too long open audio to decode: up to the quietest in its last third."""
        length_ms = 0.0
        candidates: list[tuple[float, float, int]] = []
        for count, window in enumerate(self._open, start=1):
            length_ms += _ms(window.samples)
            if length_ms > self.settings.longest_ms:
                break
            if length_ms > self.settings.longest_ms * 2 / 3:
                loudness = float(np.abs(window.samples.astype(np.float32)).mean())
                candidates.append((window.probability, loudness, count))
        return min(candidates)[2] if candidates else 1
