"""The conformance kit: checks of what every adapter must do, for authors of adapters.

Each check is an async function of one subject, and raises `NotConformant` with a sentence. Checks need
nothing but Trio; with pytest (and pytest-trio), all checks of a role are

    @pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
    async def test_my_voice_conforms(check):
        await check(conformance.TtsUnderTest(MyVoice()))

A check uses the provider as conversations do, for a few answers or turns. It cannot make a provider fail; for
that, a subject has a second provider, `unreachable`.
"""

from adapters.conformance.checks import Check, NotConformant
from adapters.conformance.llm import LANGUAGE_MODEL, WEATHER, LlmUnderTest
from adapters.conformance.stt import SPEECH_TO_TEXT, SttUnderTest
from adapters.conformance.tts import TEXT_TO_SPEECH, TtsUnderTest
from adapters.conformance.turn_detection import TURN_MODEL, TurnModelUnderTest
from adapters.conformance.vad import VOICE_ACTIVITY, VadUnderTest

__all__ = [
    "LANGUAGE_MODEL",
    "SPEECH_TO_TEXT",
    "TEXT_TO_SPEECH",
    "TURN_MODEL",
    "VOICE_ACTIVITY",
    "WEATHER",
    "Check",
    "LlmUnderTest",
    "NotConformant",
    "SttUnderTest",
    "TtsUnderTest",
    "TurnModelUnderTest",
    "VadUnderTest",
]
