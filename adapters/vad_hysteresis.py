"""From probabilities of speech to facts: speech began, speech ended after so many ms.

Pure; time is counted in audio. A gate belongs to one caller and is asked about one window after the other.
"""

from __future__ import annotations

from attrs import define, field, frozen

from machines.facts import Fact, SpeechStarted, SpeechStopped


@frozen
class VoiceGateSettings:
    """When voice counts as speech.

    The thresholds are those of Silero's own `get_speech_timestamps`. Two windows of onset keep single clicks
    out and still announce speech within 100 ms; three windows of hangover bridge the silence of a plosive.
    """

    start_threshold: float = 0.5
    """Probability from which a window is voice."""
    stop_threshold: float = 0.35
    """Probability under which a window is silence; between the two, things stay as they are."""
    onset_ms: float = 64
    """So much voice without silence in between is speech."""
    hangover_ms: float = 96
    """So much silence without voice in between ends it."""


@define
class VadHysteresis:
    """The speech of one caller."""

    settings: VoiceGateSettings = field(factory=VoiceGateSettings)
    speaking: bool = field(default=False, init=False)
    _voice_ms: float = field(default=0, init=False)
    """From the onset to the end of the last window of voice."""
    _since_voice_ms: float = field(default=0, init=False)
    """From there to now."""
    _silence_ms: float = field(default=0, init=False)
    """The silence in that."""

    def take(self, probability: float, window_ms: float) -> list[Fact]:
        """The next window lasts `window_ms` and holds speech with this probability."""
        if probability >= self.settings.start_threshold:
            return self._voice(window_ms)
        self._since_voice_ms += window_ms
        if probability < self.settings.stop_threshold:
            return self._silence(window_ms)
        return []

    def end(self) -> list[Fact]:
        """The audio ends here; the gate is ready for another stream."""
        facts: list[Fact] = [SpeechStopped(self._voice_ms)] if self.speaking else []
        self._forget()
        return facts

    def _voice(self, window_ms: float) -> list[Fact]:
        # What lies between two windows of voice belongs to the speech.
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
