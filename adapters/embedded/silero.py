"""Voice activity by Silero v6: the probability that each 32 ms of a caller's audio hold speech.

Inputs `input[n, 576]` (64 samples of context and 512 new ones), `h` and `c` `[1, 1, 128]`; outputs the `n`
probabilities and the new `h` and `c`. 16 kHz only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import trio
from attrs import frozen

from adapters.embedded.high_pass import HighPass
from adapters.embedded.inference_timing import ReportTiming, Timing, discard, timed
from adapters.embedded.models import ModelsError
from adapters.embedded.onnx_session import open_session
from adapters.interfaces import LISTENING_RATE, Samples

_WINDOW = 512
_CONTEXT = 64
_FULL_SCALE = 32768.0

Floats = npt.NDArray[np.float32]


@frozen
class _Memory:
    """The state of the network for one caller's audio."""

    hidden: Floats
    cell: Floats
    context: Floats


_BLANK = _Memory(
    np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32)
)


class SileroVoiceActivity:
    """The model, loaded once per process. Loading blocks for about 30 ms: construct it in a worker thread.

    `workers` calls of `detect` may run at once. Raises `ModelsError` if there is no such model at
    `path`.
    """

    name = "silero-v6"
    window_ms = _WINDOW * 1000 / LISTENING_RATE

    def __init__(self, path: Path, workers: int = 1, report: ReportTiming = discard) -> None:
        self._session = open_session(path, threads=1)
        self._limiter = trio.CapacityLimiter(workers)
        self._report = report
        try:
            self._run(np.zeros((1, _WINDOW), np.float32), _BLANK)
        except Exception as error:
            raise ModelsError(f"The model file {path} is not Silero v6: {error}") from error

    def open(self) -> SileroDetector:
        return SileroDetector(self)

    async def probabilities(self, windows: Floats, memory: _Memory) -> tuple[list[float], _Memory]:
        """The probability of each of the windows `[n, 512]`, which follow the audio behind `memory`."""
        (result, ms) = await trio.to_thread.run_sync(
            timed, lambda: self._run(windows, memory), limiter=self._limiter
        )
        self._report(Timing("voice_activity", ms, len(windows) * self.window_ms))
        return result

    def _run(self, windows: Floats, memory: _Memory) -> tuple[list[float], _Memory]:
        tails = np.vstack([memory.context, windows[:-1, -_CONTEXT:]])
        inputs = {"input": np.hstack([tails, windows]), "h": memory.hidden, "c": memory.cell}
        probabilities, hidden, cell = self._session.run(None, inputs)
        return probabilities.ravel().tolist(), _Memory(hidden, cell, windows[-1, -_CONTEXT:])


class SileroDetector:
    """The voice activity of one caller."""

    def __init__(self, model: SileroVoiceActivity) -> None:
        self._model = model
        self._memory = _BLANK
        self._pending: Samples = np.zeros(0, np.int16)
        self._high_pass = HighPass()

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        """As `VoiceDetector.detect`; all windows are processed in one visit to a worker thread."""
        self._pending = np.concatenate([self._pending, samples])
        whole = len(self._pending) // _WINDOW
        if whole == 0:
            await trio.lowlevel.checkpoint()
            return []
        windows = self._pending[: whole * _WINDOW].reshape(whole, _WINDOW)
        scaled = self._high_pass.push(windows.ravel()).reshape(whole, _WINDOW) / np.float32(_FULL_SCALE)
        probabilities, self._memory = await self._model.probabilities(scaled, self._memory)
        self._pending = self._pending[whole * _WINDOW :]
        return list(zip(windows, probabilities, strict=True))
