"""Voice activity by Silero, on real speech, noise and silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.embedded.inference_timing import Timing
from adapters.embedded.models import SPEECH_TO_TEXT_MODEL, ModelsError
from adapters.embedded.silero import SileroVoiceActivity
from adapters.interfaces import LISTENING_RATE, Samples
from adapters.vad_hysteresis import VadHysteresis
from machines.facts import Fact, SpeechStarted, SpeechStopped
from tests.adapters.conftest import Speech

pytestmark = pytest.mark.models

PACKET = 320
"""20 ms, the blocks in which a caller's audio comes."""


def silence(ms: int) -> Samples:
    return np.zeros(ms * LISTENING_RATE // 1000, np.int16)


def noise(ms: int, loudness: float) -> Samples:
    generator = np.random.default_rng(1)
    return (generator.standard_normal(ms * LISTENING_RATE // 1000) * loudness).astype(np.int16)


async def gate(model: SileroVoiceActivity, samples: Samples) -> list[tuple[float, Fact]]:
    """The facts about the samples, each with the ms of audio after which it was emitted."""
    detector, gate, heard_ms = model.open(), VadHysteresis(), 0.0
    facts: list[tuple[float, Fact]] = []
    for start in range(0, len(samples), PACKET):
        for _, probability in await detector.detect(samples[start : start + PACKET]):
            heard_ms += model.window_ms
            facts += [(heard_ms, fact) for fact in gate.take(probability, model.window_ms)]
    return facts


def voiced_ms(samples: Samples) -> tuple[float, float]:
    """Where the speech in clean samples begins and ends, by its loudness."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 1000)
    return float(loud[0]) * 1000 / LISTENING_RATE, float(loud[-1]) * 1000 / LISTENING_RATE


async def test_the_beginning_and_end_of_speech_are_found(silero: SileroVoiceActivity, speech: Speech) -> None:
    samples = np.concatenate(
        [silence(500), speech("What time do you open on Saturday morning?"), silence(500)]
    )
    begins_ms, ends_ms = voiced_ms(samples)
    (started_ms, started), (stopped_ms, stopped) = await gate(silero, samples)
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert started_ms - begins_ms < 200
    assert -100 < stopped_ms - ends_ms < 350
    assert stopped.speech_ms == pytest.approx(ends_ms - begins_ms, abs=300)


async def test_speech_is_found_in_noise(silero: SileroVoiceActivity, speech: Speech) -> None:
    clean = np.concatenate([silence(1000), speech("Can you hear me in here?"), silence(1000)])
    facts = await gate(silero, (clean // 2 + noise(len(clean) // 16, 300)).astype(np.int16))
    assert [type(fact) for _, fact in facts] == [SpeechStarted, SpeechStopped]


@pytest.mark.parametrize("loudness", [0, 30, 3000])
async def test_noise_and_silence_are_not_speech(silero: SileroVoiceActivity, loudness: float) -> None:
    assert await gate(silero, noise(3000, loudness)) == []


async def test_how_the_audio_is_cut_into_packets_makes_no_difference(
    silero: SileroVoiceActivity, speech: Speech
) -> None:
    samples = speech("Hello.")
    at_once = await silero.open().detect(samples)
    detector = silero.open()
    packets = [samples[start : start + 441] for start in range(0, len(samples), 441)]
    in_packets = [window for packet in packets for window in await detector.detect(packet)]
    assert [probability for _, probability in in_packets] == pytest.approx(
        [probability for _, probability in at_once], abs=1e-4
    )
    whole = np.concatenate([window for window, _ in in_packets])
    assert np.array_equal(whole, samples[: len(whole)])
    assert len(samples) - len(whole) < 512


async def test_callers_do_not_disturb_each_other(silero: SileroVoiceActivity, speech: Speech) -> None:
    samples = speech("Hello.")
    alone = [probability for _, probability in await silero.open().detect(samples)]
    first, second = silero.open(), silero.open()
    beside = []
    for start in range(0, len(samples), 512):
        beside += [probability for _, probability in await first.detect(samples[start : start + 512])]
        await second.detect(noise(32, 5000))
    assert beside == pytest.approx(alone, abs=1e-4)


async def test_less_than_a_window_is_kept_for_later(silero: SileroVoiceActivity) -> None:
    detector = silero.open()
    assert await detector.detect(silence(20)) == []
    assert len(await detector.detect(silence(20))) == 1


async def test_times_are_reported(models_dir: Path) -> None:
    timings: list[Timing] = []
    model = SileroVoiceActivity(models_dir / "silero_vad.onnx", report=timings.append)
    await model.open().detect(silence(100))
    assert [(timing.stage, timing.audio_ms) for timing in timings] == [("voice_activity", 96.0)]


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="vantum models fetch"):
        SileroVoiceActivity(tmp_path / "silero_vad.onnx")


def test_a_file_that_is_not_such_a_model_is_refused(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="not Silero v6"):
        SileroVoiceActivity(models_dir / SPEECH_TO_TEXT_MODEL[0].path)
    (tmp_path / "other.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelsError, match=r"other\.onnx cannot be loaded"):
        SileroVoiceActivity(tmp_path / "other.onnx")


@pytest.mark.parametrize("offset", [20_000, -12_000])
async def test_speech_beside_a_constant_offset_is_found(
    silero: SileroVoiceActivity, speech: Speech, offset: int
) -> None:
    said = np.concatenate([silence(500), speech("I need a taxi.") // 4, silence(500)])
    shifted = np.clip(said.astype(np.int32) + offset, -32_768, 32_767).astype(np.int16)
    assert [type(fact) for _, fact in await gate(silero, shifted)] == [SpeechStarted, SpeechStopped]


async def test_speech_after_exact_silence_is_found(silero: SileroVoiceActivity, speech: Speech) -> None:
    said = np.concatenate([silence(20_000), speech("I need a taxi."), silence(20_000)])
    assert [type(fact) for _, fact in await gate(silero, said)] == [SpeechStarted, SpeechStopped]
