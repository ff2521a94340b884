"""The simulated providers of a conversation: one of each role, or two."""

from __future__ import annotations

from attrs import Factory, frozen

from adapters.interfaces import SpeechToText, TextToSpeech
from adapters.link_limit import with_link_limit
from orchestrator.providers.provider_chain import Providers
from orchestrator.simulation.llm import SimulatedLanguageModel
from orchestrator.simulation.stt import SimulatedSpeechToText, SimulatedTurnModel, SimulatedVoiceActivity
from orchestrator.simulation.tts import SimulatedTextToSpeech


@frozen
class SimulatedProviders:
    """One provider of each role, or two. All answer at once and without faults unless their plans differ."""

    stt: SimulatedSpeechToText = Factory(SimulatedSpeechToText)
    llm: SimulatedLanguageModel = Factory(SimulatedLanguageModel)
    tts: SimulatedTextToSpeech = Factory(SimulatedTextToSpeech)
    second_stt: SimulatedSpeechToText | None = None
    second_llm: SimulatedLanguageModel | None = None
    second_tts: SimulatedTextToSpeech | None = None
    turn_model: SimulatedTurnModel | None = None
    voice_activity: SimulatedVoiceActivity = Factory(SimulatedVoiceActivity)
    places: int | None = None
    """Links that the second speech to text and text to speech each serve at once; None: any number."""

    def for_calls(self) -> Providers:
        """The providers as a conversation takes them."""
        stt: list[SpeechToText] = [self.stt]
        tts: list[TextToSpeech] = [self.tts]
        if self.second_stt is not None:
            stt.append(with_link_limit(self.second_stt, self.places) if self.places else self.second_stt)
        if self.second_tts is not None:
            tts.append(with_link_limit(self.second_tts, self.places) if self.places else self.second_tts)
        return Providers(tuple(stt), tuple(self.models()), tuple(tts), self.voice_activity, self.turn_model)

    def in_use(self) -> int:
        """How many links and streams are open, and pauses are being scored, now."""
        stt = [each for each in (self.stt, self.second_stt) if each]
        tts = [each for each in (self.tts, self.second_tts) if each]
        links = sum(each.open_links for each in stt) + sum(each.open_links for each in tts)
        scored = self.turn_model.running if self.turn_model else 0
        running = sum(each.running for each in self.models()) + sum(each.running for each in tts)
        return links + running + scored

    def models(self) -> list[SimulatedLanguageModel]:
        """The language models."""
        return [each for each in (self.llm, self.second_llm) if each]
