"""The provider chains of a process: for each role one or more providers, in order of preference."""

from __future__ import annotations

from attrs import evolve, frozen

from adapters.interfaces import (
    HearsTelephones,
    IsSold,
    KnowsLanguages,
    LanguageModel,
    Product,
    SpeechToText,
    TextToSpeech,
    TurnModel,
    VoiceActivity,
)
from machines.facts import Role

Provider = SpeechToText | LanguageModel | TextToSpeech


@frozen
class Providers:
    """Speech to text, language models, text to speech and local models. Shared by all conversations."""

    stt: tuple[SpeechToText, ...]
    llm: tuple[LanguageModel, ...]
    tts: tuple[TextToSpeech, ...]
    voice_activity: VoiceActivity
    turn_model: TurnModel | None = None
    """Scores whether a caller who pauses has finished; None if there is no such model."""

    def of(self, role: Role) -> tuple[Provider, ...]:
        """The providers of a role. Facts and effects name each one by its index here."""
        by_role: dict[Role, tuple[Provider, ...]] = {
            Role.STT: self.stt,
            Role.LLM: self.llm,
            Role.TTS: self.tts,
        }
        return by_role[role]

    def products(self) -> dict[Role, tuple[Product, ...]]:
        """What the providers of each role are in a list of prices, in order of preference."""
        return {
            role: tuple(
                each.product if isinstance(each, IsSold) else Product(each.name) for each in self.of(role)
            )
            for role in Role
        }

    def unable(self, role: Role, language: str) -> tuple[int, ...]:
        """The providers of a role that cannot be opened with this language, by their places."""
        return tuple(
            place
            for place, each in enumerate(self.of(role))
            if isinstance(each, KnowsLanguages) and not each.knows(language)
        )

    def for_telephones(self) -> Providers:
        """The same providers; those that can take a telephone's audio without resampling do so."""
        stt = (each.for_telephones() if isinstance(each, HearsTelephones) else each for each in self.stt)
        return evolve(self, stt=tuple(stt))
