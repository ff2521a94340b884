"""The Smart-Turn adapter, with a small network that scores the loudness of the last second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trio

from adapters.embedded.inference_timing import Timing
from adapters.embedded.models import VOICE_ACTIVITY_MODEL, ModelsError
from adapters.embedded.smart_turn import SmartTurn
from adapters.interfaces import LISTENING_RATE, Samples
from tests.adapters.embedded.onnx_files import loudness_of_last_second

ModelFile = Callable[[bytes], Path]


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    def write(content: bytes) -> Path:
        path = tmp_path / "turn.onnx"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def model(model_file: ModelFile) -> SmartTurn:
    return SmartTurn(model_file(loudness_of_last_second()))


def loud(seconds: float) -> Samples:
    voice = np.random.default_rng(3).standard_normal(int(seconds * LISTENING_RATE)) * 3000
    return voice.astype(np.int16)


def quiet(seconds: float) -> Samples:
    return (loud(seconds) // 1000).astype(np.int16)


# --- what it hears ----------------------------------------------------------------------------------------


async def test_a_short_turn_is_at_the_end_of_the_models_input(model: SmartTurn) -> None:
    assert await model.completeness(loud(1)) > 0.6
    assert await model.completeness(np.concatenate([loud(1), quiet(1)])) < 0.5


async def test_of_a_long_turn_the_last_eight_seconds_count(model: SmartTurn) -> None:
    turn = np.concatenate([loud(3), quiet(7), loud(1)])
    assert await model.completeness(turn) > 0.6
    assert await model.completeness(turn) == await model.completeness(turn[-8 * LISTENING_RATE :])


async def test_how_loud_the_caller_is_on_the_whole_makes_no_difference(model: SmartTurn) -> None:
    turn = np.concatenate([quiet(1), loud(1)])
    half = (turn // 2).astype(np.int16)
    assert await model.completeness(half) == pytest.approx(await model.completeness(turn), abs=0.02)


@pytest.mark.parametrize("samples", [0, 1, 100, 128_000])
async def test_silence_is_not_an_error(model: SmartTurn, samples: int) -> None:
    assert 0 <= await model.completeness(np.zeros(samples, np.int16)) <= 1


async def test_a_number_that_is_not_a_probability_is_a_failure(model_file: ModelFile) -> None:
    # For silence this one gives 0.1, which is a valid probability.
    model = SmartTurn(model_file(loudness_of_last_second(sigmoid=False, bias=1.6)))
    with pytest.raises(ValueError, match="is not a probability"):
        await model.completeness(loud(2))


# --- how it works -----------------------------------------------------------------------------------------


async def test_times_are_reported(model_file: ModelFile) -> None:
    timings: list[Timing] = []
    model = SmartTurn(model_file(loudness_of_last_second()), report=timings.append)
    await model.completeness(loud(2))
    await model.completeness(loud(9))
    assert [(timing.stage, timing.audio_ms) for timing in timings] == [
        ("turn_model", 2000.0),
        ("turn_model", 8000.0),
    ]
    assert all(timing.ms > 0 for timing in timings)


async def test_a_score_that_nobody_needs_any_more_is_cancelled(model: SmartTurn) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await model.completeness(loud(1))
    assert scope.cancelled_caught
    assert await model.completeness(loud(1)) > 0.6


# --- files that are not such a model ----------------------------------------------------------------------


def complaint(path: Path) -> str:
    with pytest.raises(ModelsError) as caught:
        SmartTurn(path)
    return str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.onnx") == "there is no such file"
    assert complaint(tmp_path) == "there is no such file"


def test_a_file_that_is_not_a_model_is_refused(model_file: ModelFile) -> None:
    assert complaint(model_file(b"no model at all")).startswith("it is not an ONNX model (")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            loudness_of_last_second(input_name="audio"),
            "it takes audio ['n', 80, 800] tensor(float), not input_features [1, 80, 800] tensor(float)",
        ),
        (
            loudness_of_last_second(shape=(1, 128, 800)),
            "it takes input_features [1, 128, 800] tensor(float), not ",
        ),
        (loudness_of_last_second(outputs=2), "it gives logits ['n', 1] tensor(float), logits1 "),
        (loudness_of_last_second(sigmoid=False), "it cannot be used: -1.5 is not a probability"),
    ],
    ids=["another input", "another number of bands", "two outputs", "no probability"],
)
def test_a_model_for_something_else_is_refused(model_file: ModelFile, content: bytes, said: str) -> None:
    assert complaint(model_file(content)).startswith(said)


def test_a_model_of_a_fixed_size_is_taken(model_file: ModelFile) -> None:
    SmartTurn(model_file(loudness_of_last_second(shape=(1, 80, 800))))


@pytest.mark.models
def test_the_voice_activity_model_is_refused(models_dir: Path) -> None:
    assert complaint(models_dir / VOICE_ACTIVITY_MODEL.path).startswith("it takes input [")
