"""Notices audio of a caller that cannot be understood, and says the likely cause, once for each.

Pure. Clients send floats for integers, two channels for one, or audio at another rate than they say, and
microphones are dead or too loud. Speech to text makes no words or wrong ones of that, without a trace.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from adapters.interfaces import Samples

STEADY_S = 5
"""What holds for so many seconds in a row is not by chance."""
SILENT_S = 10
"""A microphone that works is never silent to the last bit for so long."""
NEAR = 0.04
"""Audio that comes this much faster or slower than a cause would have it may be due to it."""
FASTER = 1.25
"""Less is what a client does that catches up."""
CLIPPED_SHARE = 0.005
"""Samples at full scale, from which speech is distorted."""
_FULL_SCALE = 32_767
_QUIETEST = 100
"""Root mean square of a second from which its samples tell something."""
_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Ailment(enum.Enum):
    """What is wrong with audio. The value is for logs."""

    FLOATS = "32-bit floats"
    STEREO = "two channels"
    RATE = "another rate"
    SILENT = "zeros only"
    CLIPPED = "clipped"


@frozen
class Finding:
    """Something that is wrong, as a sentence for whoever wrote or runs the client."""

    ailment: Ailment
    sentence: str


@frozen
class _Second:
    """What a second of audio told."""

    took_s: float
    """How long it took to come."""
    floats: bool
    paired: bool
    """Samples come in pairs, as in two channels of the same."""
    clipped: bool


@define
class AudioHealth:
    """The audio of one caller."""

    _rate: int = 0
    _samples: list[Samples] = field(factory=list)
    _count: int = 0
    _begun_at: float | None = None
    """When the audio of this second began to come; None: it is the first after a break."""
    _seconds: list[_Second] = field(factory=list)
    """The last ones."""
    _sounded: bool = False
    """There was a sample that is not 0. A caller may mute a microphone that works, and files end."""
    _told: set[Ailment] = field(factory=set)

    def pause(self) -> None:
        """The audio is interrupted here: a recording ended, or the microphone is muted."""
        self._samples, self._count, self._begun_at = [], 0, None
        self._seconds.clear()

    def take(self, samples: Samples, rate: int, at_s: float) -> list[Finding]:
        """Take the next samples, which came at `at_s`; return what was not told before."""
        if rate != self._rate:
            self.pause()
            self._rate = rate
        if self._begun_at is None:
            # The first samples may have waited: time is counted from when they are there.
            self._begun_at = at_s
            return []
        self._samples.append(samples)
        self._count += len(samples)
        if self._count < rate:
            return []
        whole = np.concatenate(self._samples)
        self._sounded |= bool(whole.any())
        second = _examined(whole, (at_s - self._begun_at) * rate / self._count)
        self._samples, self._count, self._begun_at = [], 0, at_s
        self._seconds = [*self._seconds, second][-max(STEADY_S, SILENT_S) :]
        found = [each for each in self._findings() if each.ailment not in self._told]
        self._told.update(each.ailment for each in found)
        return found

    def _findings(self) -> Iterator[Finding]:
        last = self._seconds[-STEADY_S:]
        if len(last) < STEADY_S:
            return
        if all(each.floats for each in last):
            yield Finding(Ailment.FLOATS, "the audio looks like 32-bit floats, but must be 16-bit integers")
            return
        yield from self._of_pace(last)
        if all(each.clipped for each in last):
            yield Finding(Ailment.CLIPPED, "the microphone is too loud: the audio is clipped")
        lasted_s = sum(each.took_s for each in self._seconds)
        if lasted_s >= 0.8 * SILENT_S and not self._sounded:
            sentence = f"the microphone has sent nothing but zeros for {SILENT_S} s: it is muted or dead"
            yield Finding(Ailment.SILENT, sentence)

    def _of_pace(self, last: list[_Second]) -> Iterator[Finding]:
        """What a steady pace faster than time tells. A file that is sent at once has no such pace.

        Audio that is slower than time tells nothing: a busy client or a slow line sends it so, too.
        """
        mean = len(last) / max(sum(each.took_s for each in last), 1e-9)
        if any(abs(1 / max(each.took_s, 1e-9) - mean) > 0.15 * mean for each in last):
            return
        times = f"the audio comes {mean:.2g} times as fast as time passes"
        if abs(mean - 2) <= NEAR * 2 and all(each.paired for each in last):
            yield Finding(Ailment.STEREO, f"{times}: it seems to have two channels, but must have one")
            return
        actual = next((rate for rate in _RATES if abs(mean - rate / self._rate) <= NEAR * mean), None)
        if actual is not None and mean >= FASTER:
            sentence = f"{times}: it seems to be at {actual} Hz, but {self._rate} Hz was said"
            yield Finding(Ailment.RATE, sentence)


def _examined(samples: Samples, took_s: float) -> _Second:
    wide = samples.astype(np.float64)
    tells = bool(np.sqrt(np.square(wide).mean()) >= _QUIETEST)
    return _Second(
        took_s,
        floats=tells and _looks_like_floats(samples),
        paired=tells and _is_paired(wide),
        clipped=bool((np.abs(wide) >= _FULL_SCALE).mean() > CLIPPED_SHARE),
    )


def _looks_like_floats(samples: Samples) -> bool:
    """Whether every other sample is the upper half of a float below 1: its exponent says so."""
    for parity in (0, 1):
        upper, lower = samples[parity::2], samples[1 - parity :: 2]
        if _exponents(upper) > 0.9 and _exponents(lower) < 0.5:
            return True
    return False


def _exponents(halves: Samples) -> float:
    """The share of values that are the upper halves of floats from 2^-20 to 1, of those that are not 0."""
    present = halves[halves != 0].astype(np.uint16) & 0x7FFF
    return float(((present >= 0x3580) & (present <= 0x3F80)).mean()) if len(present) else 0.0


def _is_paired(samples: npt.NDArray[np.float64]) -> bool:
    """Whether samples come in pairs, as two channels of the same sound do, equally loud or not."""
    steps = np.abs(np.diff(samples))
    if min(steps[::2].mean(), steps[1::2].mean()) < 0.3 * max(steps[::2].mean(), steps[1::2].mean()):
        return True
    even, odd = samples[: len(samples) // 2 * 2 : 2], samples[1::2]
    # The difference of the channels is as the sound itself; that of neighbours is as its derivative.
    return bool(abs(np.corrcoef(even - odd, even + odd)[0, 1]) > 0.5)
