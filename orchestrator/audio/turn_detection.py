"""Turn detection: at each pause of the caller, a model scores whether the turn is over.

Scoring takes tens of ms in a worker thread, while audio goes on to be processed. One pause is scored at a
time. When the caller speaks again, or the turn is over, its score is dropped. If the model fails, that is
logged once and the call goes on without it: the machine's deadline ends each pause.
"""

from __future__ import annotations

import numpy as np
import trio
from attrs import Factory, define, frozen

from adapters.interfaces import LISTENING_RATE, Emit, Samples, TurnModel
from adapters.logs import library_logger
from adapters.tasks import Signal
from machines.facts import TurnScored
from orchestrator.audio.resampling import StreamingResampler

log = library_logger(__name__)


@frozen(eq=False)
class _Pause:
    turn: int
    samples: Samples
    rate: int
    scope: trio.CancelScope = Factory(trio.CancelScope)


@define(eq=False)
class PauseScoring:
    """Scores the pauses of one caller."""

    _model: TurnModel
    _emit: Emit
    _pause: _Pause | None = None
    """The current pause, until it is scored or over."""
    _failed: bool = False
    _begun: Signal = Factory(Signal)

    async def run(self) -> None:
        """Score each pause, until cancelled or until the model fails."""
        try:
            while True:
                await self._score(await self._next())
        except Exception:
            self._failed = True
            self._pause = None
            log.exception("turn model failed: this call goes on without it", model=self._model.name)

    async def _next(self) -> _Pause:
        while self._pause is None:
            await self._begun.wait()
        return self._pause

    async def _score(self, pause: _Pause) -> None:
        with pause.scope:
            samples = pause.samples
            if pause.rate != LISTENING_RATE:
                resampler = StreamingResampler(pause.rate, LISTENING_RATE)
                samples = np.concatenate([resampler.push(samples), resampler.flush()])
            completeness = await self._model.completeness(samples)
            # The worker thread may finish although the pause was cancelled.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._pause = None
            self._emit(TurnScored(pause.turn, completeness))

    def begin_pause(self, turn: int, samples: Samples, rate: int = LISTENING_RATE) -> None:
        """The caller pauses in `turn`; `samples` are its audio so far, at `rate` Hz."""
        self.end_pause()
        if not self._failed:
            self._pause = _Pause(turn, samples, rate)
            self._begun.wake_all()

    def end_pause(self) -> None:
        """The caller speaks again, or the turn is over."""
        if self._pause is not None:
            self._pause.scope.cancel()
            self._pause = None
