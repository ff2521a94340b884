"""Sounds that are not words get no answer and interrupt nothing; quiet, noisy and short speech is answered.

The embedded models hear some of the sounds of `benchmarks/sounds.py`; `docs/sounds.md` has all of them.
"""

from __future__ import annotations

import pytest

from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.embedded.silero import SileroVoiceActivity
from adapters.interfaces import Samples
from benchmarks.sounds import (
    MANNERS,
    SPEECH,
    Recognised,
    everything,
    evidence,
    hear,
    models_directory,
    over_telephone,
    spoken,
)
from machines.evidence import Evidence
from tests.sounds import SOUNDS, sound

pytestmark = [pytest.mark.models, pytest.mark.slow]


async def all_heard(sounds: list[Samples]) -> list[Recognised]:
    models = models_directory()
    silero = SileroVoiceActivity(models / "silero_vad.onnx")
    moonshine = MoonshineSpeechToText(models / SPEECH_TO_TEXT_DIRECTORY)
    return [await hear(each, silero, moonshine) for each in sounds]


async def test_sounds_that_are_no_words_are_not_answered_and_interrupt_nothing() -> None:
    sounds = [sound(name, seed) for name in SOUNDS for seed in range(4)]
    heard = await all_heard([*sounds, *map(over_telephone, sounds)])
    assert any(everything(each) is Evidence.SURE for each in heard), "speech to text made words of none"
    assert [each for each in heard if evidence(each) is not Evidence.NOISE] == []


@pytest.mark.parametrize("manner", [name for name in MANNERS if name != "noise, 2 dB below"])
async def test_speech_is_answered_however_it_comes(manner: str) -> None:
    heard = await all_heard(list(spoken(MANNERS[manner], SPEECH[:6], [1.0])))
    assert [each for each in heard if evidence(each) is not Evidence.SURE] == []
