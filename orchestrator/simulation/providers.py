"""A set of simulated providers, as a conversation needs one."""

from __future__ import annotations

from attrs import Factory, frozen

from orchestrator.providers import Providers
from orchestrator.simulation.hearing import SimulatedSpeechToText, SimulatedTurnModel, SimulatedVoiceActivity
from orchestrator.simulation.speaking import SimulatedTextToSpeech
from orchestrator.simulation.thinking import SimulatedLanguageModel


@frozen
class SimulatedProviders:
    """One provider of each role, or two; all work at once and well unless their plans say otherwise."""

    stt: SimulatedSpeechToText = Factory(SimulatedSpeechToText)
    llm: SimulatedLanguageModel = Factory(SimulatedLanguageModel)
    tts: SimulatedTextToSpeech = Factory(SimulatedTextToSpeech)
    second_stt: SimulatedSpeechToText | None = None
    second_llm: SimulatedLanguageModel | None = None
    second_tts: SimulatedTextToSpeech | None = None
    turn_model: SimulatedTurnModel | None = None

    def for_calls(self) -> Providers:
        """As conversations take them."""
        return Providers(
            (self.stt, *([self.second_stt] if self.second_stt else [])),
            (self.llm, *([self.second_llm] if self.second_llm else [])),
            (self.tts, *([self.second_tts] if self.second_tts else [])),
            SimulatedVoiceActivity(),
            self.turn_model,
        )

    def in_use(self) -> int:
        """Links and streams that are open now, and pauses that are listened to."""
        ears = [each for each in (self.stt, self.second_stt) if each]
        models = [each for each in (self.llm, self.second_llm) if each]
        voices = [each for each in (self.tts, self.second_tts) if each]
        links = sum(each.open_links for each in ears) + sum(each.open_links for each in voices)
        scored = self.turn_model.running if self.turn_model else 0
        running = sum(each.running for each in models) + sum(each.running for each in voices)
        return links + running + scored
