"""Hysteresis of voice activity: turns probabilities of speech into `SpeechStarted` and `SpeechStopped`.

Pure; time is counted in audio. Each caller has a `VadHysteresis`, which is given window after window.
"""

from __future__ import annotations

from attrs import define, field, frozen

from machines.facts import Fact, SpeechStarted, SpeechStopped


@frozen
class VadSettings:
    """When voice counts as speech.

    The thresholds are those of Silero's own `get_speech_timestamps`. An onset of two windows ignores single
    clicks and still announces speech within 100 ms; a hangover of three windows bridges the silence of a
    plosive.
    """

    start_threshold: float = 0.5
    """Probability from which a window is voice."""
    stop_threshold: float = 0.35
    """Probability below which a window is silence. Between the two thresholds nothing changes."""
    onset_ms: float = 64
    """Voice of this length without silence in between is speech."""
    hangover_ms: float = 96
    """Silence of this length without voice in between ends the speech."""


@define
class VadHysteresis:
    """Whether one caller is speaking."""

    settings: VadSettings = field(factory=VadSettings)
    speaking: bool = field(default=False, init=False)
    _voice_ms: float = field(default=0, init=False)
    """Length from the onset to the end of the last window of voice."""
    _since_voice_ms: float = field(default=0, init=False)
    """Length since the last window of voice."""
    _silence_ms: float = field(default=0, init=False)
    """The part of `_since_voice_ms` that is silence."""

    def take(self, probability: float, window_ms: float) -> list[Fact]:
        """Process the next window, of `window_ms`, which holds speech with this probability."""
        if probability >= self.settings.start_threshold:
            return self._voice(window_ms)
        self._since_voice_ms += window_ms
        if probability < self.settings.stop_threshold:
            return self._silence(window_ms)
        return []

    def end(self) -> list[Fact]:
        """Process the end of the audio. Afterwards another stream may follow."""
        facts: list[Fact] = [SpeechStopped(self._voice_ms)] if self.speaking else []
        self._forget()
        return facts

    def _voice(self, window_ms: float) -> list[Fact]:
        # Everything between two windows of voice belongs to the speech.
        gap_ms = self._since_voice_ms if self._voice_ms else 0
        self._voice_ms += gap_ms + window_ms
        self._since_voice_ms = self._silence_ms = 0
        if self.speaking or self._voice_ms < self.settings.onset_ms:
            return []
        self.speaking = True
        return [SpeechStarted()]

    def _silence(self, window_ms: float) -> list[Fact]:
        if not self.speaking:
            self._forget()
            return []
        self._silence_ms += window_ms
        if self._silence_ms < self.settings.hangover_ms:
            return []
        return self.end()

    def _forget(self) -> None:
        self.speaking = False
        self._voice_ms = self._since_voice_ms = self._silence_ms = 0
