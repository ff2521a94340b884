"""Voice activity by Silero v6: the probability that each 32 ms of a caller's audio hold speech.

Inputs `input[b, context + window]`, the memory `state[2, b, 128]` and the rate `sr`; outputs the `b`
probabilities and the new memory. A window is 512 samples behind 64 of context at 16 kHz, and half of that at
8 kHz, the rate of telephones. The windows of all calls go through the model together.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import trio
from attrs import evolve, frozen

from adapters.embedded.batching import Batching
from adapters.embedded.high_pass import high_pass
from adapters.embedded.inference_timing import ReportTiming, Timing, discard, timed
from adapters.embedded.models import ModelsError
from adapters.embedded.onnx_session import open_session
from adapters.interfaces import LISTENING_RATE, TELEPHONE_RATE, Samples

_WINDOW_MS = 32
_CONTEXT_MS = 4
_FULL_SCALE = 32768.0

Floats = npt.NDArray[np.float32]


@frozen(eq=False)
class _Memory:
    """The state of the network for one caller's audio, and the end of that audio."""

    state: Floats
    """[2, 128]"""
    context: Floats
    last_in: float | None = None
    last_out: float = 0.0
    """The last samples before and behind the high pass."""


@frozen(eq=False)
class _Heard:
    """Windows `[n, samples]` of one caller, which follow the audio behind `memory`."""

    windows: Samples
    memory: _Memory


@frozen(eq=False)
class _Found:
    """The probability of each window, the memory after the last one, and the ms that they took."""

    probabilities: list[float]
    memory: _Memory
    ms: float = 0.0


class SileroVoiceActivity:
    """The model, loaded once per process. Loading blocks for about 30 ms: construct it in a worker thread.

    Raises `ModelsError` if there is no such model at `path`.
    """

    name = "silero-v6"
    window_ms: float = _WINDOW_MS

    def __init__(self, path: Path, report: ReportTiming = discard) -> None:
        self._session = open_session(path, threads=1)
        self._report = report
        self._work_at(LISTENING_RATE)
        try:
            self._run([_Heard(np.zeros((1, self.window_samples), np.int16), self.blank())])
        except Exception as error:
            raise ModelsError(f"The model file {path} is not Silero v6: {error}") from error

    def _work_at(self, rate: int) -> None:
        self.rate = rate
        """The sample rate of the audio that detectors take, in Hz."""
        self.window_samples = rate * _WINDOW_MS // 1000
        self._context_samples = rate * _CONTEXT_MS // 1000
        self._sr = np.array(rate, np.int64)
        self._together: Batching[_Heard, _Found] = Batching(self._run)

    @functools.cached_property
    def _on_telephones(self) -> Self:
        other = copy(self)
        other._work_at(TELEPHONE_RATE)
        return other

    def for_telephones(self) -> Self:
        """As `DetectsOnTelephones.for_telephones`. All telephone calls share it."""
        return self._on_telephones

    def open(self) -> SileroDetector:
        return SileroDetector(self)

    def blank(self) -> _Memory:
        """The memory before any audio."""
        return _Memory(np.zeros((2, 128), np.float32), np.zeros(self._context_samples, np.float32))

    async def probabilities(self, windows: Samples, memory: _Memory) -> tuple[list[float], _Memory]:
        """The probability of each of the windows `[n, samples]`, which follow the audio behind `memory`."""
        found = await self._together(_Heard(windows, memory))
        self._report(Timing("voice_activity", found.ms, len(windows) * self.window_ms))
        return found.probabilities, found.memory

    def _run(self, heard: Sequence[_Heard]) -> list[_Found]:
        """What is found in each of these: first in the first windows of all, then in the second ones."""
        results, ms = timed(lambda: self._found(heard))
        share = ms / sum(len(each.windows) for each in heard)
        return [
            evolve(found, ms=share * len(each.windows)) for each, found in zip(heard, results, strict=True)
        ]

    def _found(self, heard: Sequence[_Heard]) -> list[_Found]:
        found = [_Found([], each.memory) for each in heard]
        for number in range(max(len(each.windows) for each in heard)):
            there = [place for place, each in enumerate(heard) if number < len(each.windows)]
            windows = np.stack([heard[place].windows[number] for place in there])
            memories = [found[place].memory for place in there]
            # The first sample of a call does not jump, whatever the offset is.
            firsts = windows[:, 0].tolist()
            last_in = [
                first if memory.last_in is None else memory.last_in
                for first, memory in zip(firsts, memories, strict=True)
            ]
            last_out = [memory.last_out for memory in memories]
            passed = high_pass(windows, np.array(last_in, np.float64), np.array(last_out), self.rate)
            scaled = (passed / _FULL_SCALE).astype(np.float32)
            inputs = {
                "input": np.concatenate([np.stack([each.context for each in memories]), scaled], axis=1),
                "state": np.stack([each.state for each in memories], axis=1),
                "sr": self._sr,
            }
            probabilities, states = self._session.run(None, inputs)
            for row, place in enumerate(there):
                memory = _Memory(
                    states[:, row].copy(),
                    scaled[row, -self._context_samples :].copy(),
                    float(windows[row, -1]),
                    float(passed[row, -1]),
                )
                found[place].probabilities.append(float(probabilities[row, 0]))
                found[place] = _Found(found[place].probabilities, memory)
        return found


class SileroDetector:
    """The voice activity of one caller."""

    def __init__(self, model: SileroVoiceActivity) -> None:
        self._model = model
        self._memory = model.blank()
        self._pending: Samples = np.zeros(0, np.int16)

    async def detect(self, samples: Samples) -> list[tuple[Samples, float]]:
        """As `VoiceDetector.detect`; all windows are processed in one visit to a worker thread."""
        size = self._model.window_samples
        self._pending = np.concatenate([self._pending, samples])
        whole = len(self._pending) // size
        if whole == 0:
            await trio.lowlevel.checkpoint()
            return []
        windows = self._pending[: whole * size].reshape(whole, size)
        probabilities, self._memory = await self._model.probabilities(windows, self._memory)
        self._pending = self._pending[whole * size :]
        return list(zip(windows, probabilities, strict=True))
