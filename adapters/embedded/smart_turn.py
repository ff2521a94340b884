"""Turn detection by Smart-Turn v3: whether a caller who pauses has finished, by the tone of the last 8 s.

The model is a Whisper encoder with a classifier, with 8 million weights, for 23 languages. Input
`input_features[n, 80, 800]`: the log-mel features of 8 s at 16 kHz, the newest audio at the end. Output `[n,
1]` is called `logits`, but holds probabilities. The model is not part of this package: a setting names its
file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
import trio

from adapters.embedded.inference_timing import ReportTiming, Timing, discard, timed
from adapters.embedded.log_mel import BANDS, HOP, log_mel
from adapters.embedded.models import ModelsError
from adapters.embedded.onnx_session import open_session
from adapters.interfaces import LISTENING_RATE, TURN_MODEL_MS, Samples

_SAMPLES = TURN_MODEL_MS * LISTENING_RATE // 1000
_INPUT = "input_features"
_SHAPE = [BANDS, _SAMPLES // HOP]
_FLOAT = "tensor(float)"
_FULL_SCALE = 32768.0
_LEAST_VARIANCE = 1e-7

Floats = npt.NDArray[np.float32]


class SmartTurn:
    """The model, loaded once per process. Loading blocks for about 200 ms: construct it in a worker thread.

    `workers` turns are scored at once. Raises `ModelsError` if there is no such model at `path`; its text
    says only what is wrong with the file.
    """

    name = "smart-turn-v3"

    def __init__(self, path: Path, workers: int = 1, report: ReportTiming = discard) -> None:
        self._session = _open(path)
        self._limiter = trio.CapacityLimiter(workers)
        self._report = report
        try:
            self._score(np.zeros(0, np.int16), lambda: None)
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise ModelsError(f"it cannot be used: {error}") from error

    async def completeness(self, samples: Samples) -> float:
        """As `TurnModel.completeness`. Cannot be cancelled while the network runs (about 50 ms)."""
        completeness, ms = await trio.to_thread.run_sync(
            timed,
            lambda: self._score(samples, trio.from_thread.check_cancelled),
            limiter=self._limiter,
        )
        self._report(Timing("turn_model", ms, min(len(samples), _SAMPLES) * 1000 / LISTENING_RATE))
        return completeness

    def _score(self, samples: Samples, check: Callable[[], None]) -> float:
        features = log_mel(_waveform(samples))
        check()
        (probabilities,) = self._session.run(None, {_INPUT: features[np.newaxis]})
        completeness = float(probabilities.item())
        if not 0 <= completeness <= 1:
            raise ValueError(f"{completeness:g} is not a probability")
        return completeness


def _waveform(samples: Samples) -> Floats:
    """The last 8 s, with silence before them if they are fewer, scaled to mean 0 and variance 1."""
    last = samples[-_SAMPLES:]
    waveform = np.zeros(_SAMPLES, np.float32)
    waveform[_SAMPLES - len(last) :] = last / np.float32(_FULL_SCALE)
    normal: Floats = (waveform - waveform.mean()) / np.sqrt(waveform.var() + np.float32(_LEAST_VARIANCE))
    return normal


def _open(path: Path) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ModelsError("there is no such file")
    try:
        session = open_session(path, threads=1)
    except ModelsError as error:
        raise ModelsError(f"it is not an ONNX model ({error.__cause__})") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if not (len(inputs) == 1 and _takes_features(inputs[0])):
        raise ModelsError(f"it takes {_told(inputs)}, not {_INPUT} {[1, *_SHAPE]} {_FLOAT}")
    if not (len(outputs) == 1 and outputs[0].type == _FLOAT):
        raise ModelsError(f"it gives {_told(outputs)}, not one probability {_FLOAT}")
    return session


def _takes_features(node: onnxruntime.NodeArg) -> bool:
    """Whether a node takes the features. A dimension that the model leaves open has a name, not a number."""
    sizes = zip(node.shape, [1, *_SHAPE], strict=False)
    fits = all(not isinstance(size, int) or size == wanted for size, wanted in sizes)
    return node.name == _INPUT and node.type == _FLOAT and len(node.shape) == 3 and fits


def _told(nodes: list[onnxruntime.NodeArg]) -> str:
    return ", ".join(f"{node.name} {node.shape} {node.type}" for node in nodes) or "nothing"
