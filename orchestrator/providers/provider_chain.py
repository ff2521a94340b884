"""The providers that a conversation uses: for each role one or several, in order of preference."""

from __future__ import annotations

from attrs import evolve, frozen

from adapters.interfaces import (
    HearsTelephones,
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    TurnModel,
    VoiceActivity,
)
from machines.facts import Role

Provider = SpeechToText | LanguageModel | TextToSpeech


@frozen
class Providers:
    """What listens, thinks and speaks. Shared by all conversations of a process."""

    stt: tuple[SpeechToText, ...]
    llm: tuple[LanguageModel, ...]
    tts: tuple[TextToSpeech, ...]
    voice_activity: VoiceActivity
    turn_model: TurnModel | None = None
    """Hears whether a caller who pauses has finished, if there is one."""

    def of(self, role: Role) -> tuple[Provider, ...]:
        """Those of a role; facts and effects name each by its place here."""
        by_role: dict[Role, tuple[Provider, ...]] = {
            Role.STT: self.stt,
            Role.LLM: self.llm,
            Role.TTS: self.tts,
        }
        return by_role[role]

    def for_telephones(self) -> Providers:
        """The same, each at its place: those that can hear a telephone's audio as it is do so."""
        stt = (each.for_telephones() if isinstance(each, HearsTelephones) else each for each in self.stt)
        return evolve(self, stt=tuple(stt))
