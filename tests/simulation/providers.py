"""A set of simulated providers, as a conversation needs one."""

from __future__ import annotations

from attrs import Factory, frozen

from orchestrator.providers import Providers
from tests.simulation.hearing import SimulatedSpeechToText, SimulatedVoiceActivity
from tests.simulation.speaking import SimulatedTextToSpeech
from tests.simulation.thinking import SimulatedLanguageModel


@frozen
class SimulatedProviders:
    """One provider of each role; each works at once and without fault unless its plans say otherwise."""

    stt: SimulatedSpeechToText = Factory(SimulatedSpeechToText)
    llm: SimulatedLanguageModel = Factory(SimulatedLanguageModel)
    tts: SimulatedTextToSpeech = Factory(SimulatedTextToSpeech)

    def for_calls(self) -> Providers:
        """As conversations take them."""
        return Providers((self.stt,), (self.llm,), (self.tts,), SimulatedVoiceActivity())

    def in_use(self) -> int:
        """Links and streams that are open now."""
        return self.stt.open_links + self.llm.running + self.tts.open_links + self.tts.running
