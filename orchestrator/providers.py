"""The providers that a conversation uses, one per role."""

from __future__ import annotations

from attrs import frozen

from adapters.interfaces import LanguageModel, SpeechToText, TextToSpeech, VoiceActivity


@frozen
class Providers:
    """What listens, thinks and speaks. Shared by all conversations of a process."""

    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    voice_activity: VoiceActivity
