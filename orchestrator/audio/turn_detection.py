"""A model listens to each pause of one caller: has he finished, or will he go on?

It takes tens of ms in a worker thread, and the hearing goes on meanwhile. One pause is scored at a time; when
voice begins again, or the turn is over, its score is not wanted any more. Whatever goes wrong with the model
is logged once and leaves the call as it would be without one: the machine's deadline ends the pause.
"""

from __future__ import annotations

import structlog
import trio
from attrs import Factory, define, frozen

from adapters.interfaces import Emit, Samples, TurnModel
from adapters.tasks import Signal
from machines.facts import TurnScored

log = structlog.get_logger(__name__)


@frozen(eq=False)
class _Pause:
    turn: int
    samples: Samples
    scope: trio.CancelScope = Factory(trio.CancelScope)


@define(eq=False)
class PauseScoring:
    """The scoring of one caller's pauses."""

    _model: TurnModel
    _emit: Emit
    _pause: _Pause | None = None
    """The newest one, until it is scored or over."""
    _failed: bool = False
    _begun: Signal = Factory(Signal)

    async def run(self) -> None:
        """Score one pause after the other; until cancelled, or until the model fails."""
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
            completeness = await self._model.completeness(pause.samples)
            # A worker thread may end after its work was given up.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._pause = None
            self._emit(TurnScored(pause.turn, completeness))

    def begin_pause(self, turn: int, samples: Samples) -> None:
        """The caller pauses in `turn`; `samples` are what was heard of it, at `LISTENING_RATE`."""
        self.end_pause()
        if not self._failed:
            self._pause = _Pause(turn, samples)
            self._begun.wake_all()

    def end_pause(self) -> None:
        """Voice began again, or the turn is over."""
        if self._pause is not None:
            self._pause.scope.cancel()
            self._pause = None
