"""Runs the call of one cell in virtual time, and records what its caller heard and what was left behind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import trio
from attrs import Factory, define, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import LISTENING_RATE, Samples
from adapters.simulators import (
    Answer,
    FaultKind,
    Latencies,
    Script,
    Simulators,
    SttDialect,
    TtsDialect,
    simulators,
)
from adapters.simulators.records import Exchange, SpeechContext
from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import TurnMode
from machines.history import Message, Speaker
from orchestrator.simulation import SimulatedCall, failed_checks, simulated_call
from orchestrator.simulation.call import BLOCK_MS
from orchestrator.simulation.speech import VOCABULARY, silence, spoken
from tests.faults.cells import Cell, NetworkFailure, Role
from tests.faults.network import Network
from tests.faults.vendors import KEY, VendorProviders, Vendors, vendors, vendors_of_dialect

SEED = 1
FIRST_WORDS, NEXT_WORDS = "how is the weather", "what is today please"
SCRIPT = Script(
    words_by_level=VOCABULARY,
    answers=(Answer("", "You said {heard}. ||BREAK|| This is Alex. ||BREAK|| How can I help you today?"),),
)
"""The simulators recognise the words that reach them, and the answer repeats them."""
PAUSE_S = 0.3
TURN_S = 45
"""Longer than any turn may last."""


@frozen
class Turn:
    """A turn of the caller, and what became of it. Times are seconds of the call."""

    began_at: float
    spoken_until: float
    settled_at: float
    """When the answer was over, or it was certain that none would come, or the call ended."""
    told: tuple[Effect, ...]
    """The notifications of the caller's side meanwhile."""
    asked: str
    """The caller's words in the request to the model; empty if there was none."""
    requests: int
    """The number of requests to the model."""
    settled: bool


@frozen
class FinishedCall:
    """A call that is over."""

    cell: Cell
    call: SimulatedCall
    turns: tuple[Turn, ...]
    hung_up_at: float
    ended_at: float
    left_behind: tuple[str, ...]


def run_call(cell: Cell) -> FinishedCall:
    """Run the call of a cell. It is the same every time."""
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    first = vendors_of_dialect(cell.dialect) if cell.dialect and cell.role is Role.MODEL else vendors()
    made = (first, *map(vendors, range(1, cell.providers)))
    trio._core._run._r.seed(cell.name)
    random.seed(cell.name)
    return trio.run(_run, cell, made, clock=MockClock(autojump_threshold=0))


async def _run(cell: Cell, made: tuple[Vendors, ...]) -> FinishedCall:
    async with AsyncExitStack() as stack:
        sides = [
            Side(each, await stack.enter_async_context(_vendors_of(cell, place)))
            for place, each in enumerate(made)
        ]
        for side in sides:
            side.made.network.attach(side.running)
        await wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        providers = VendorProviders(vendors=made, flux=cell.role is Role.FLUX)
        async with simulated_call(providers) as call, trio.open_nursery() as nursery:
            caller = _CallerInACell(cell, call, made[0].network)
            nursery.start_soon(caller.use_microphone)
            nursery.start_soon(caller.let_network_fail)
            await caller.talk()
            hung_up_at = trio.current_time()
            call.hang_up()
            await call.over.wait()
            ended_at = trio.current_time()
            nursery.cancel_scope.cancel()
        left = [*failed_checks(call), *await left_behind(sides, tasks)]
    return FinishedCall(cell, call, tuple(caller.turns), hung_up_at, ended_at, tuple(left))


def _vendors_of(cell: Cell, place: int) -> AbstractAsyncContextManager[Simulators]:
    """The simulators of a provider's place in the order; only those of the first have faults."""
    faults = cell.faults if place == 0 else ()
    dialect = cell.dialect if place == 0 else ""
    return simulators(
        seed=SEED + place,
        faults=faults,
        script=SCRIPT,
        latencies=Latencies(),
        keys=[KEY],
        llm_dialect=dialect if dialect and cell.role is Role.MODEL else None,
        stt_dialect=SttDialect(dialect) if dialect and cell.role is Role.NOVA else SttDialect.PLAIN,
        tts_dialect=TtsDialect(dialect) if dialect and cell.role is Role.VOICE else TtsDialect.PLAIN,
    )


@frozen
class Side:
    """The adapters of some vendors, and their simulators."""

    made: Vendors
    running: Simulators


async def left_behind(sides: Sequence[Side], tasks: int) -> list[str]:
    """What a call left behind, in words. Before it there were so many `tasks`."""
    left = [line for side in sides for line in await _left_at(side)]
    more = trio.lowlevel.current_statistics().tasks_living - tasks
    return [*left, *([f"{more} tasks are left"] if more > 0 else [])]


async def _left_at(side: Side) -> list[str]:
    network, running = side.made.network, side.running
    await side.made.pool.aclose()
    left = [f"our line to {line.vendor} is open" for line in network.open_lines]
    with trio.move_on_after(60):  # a half-open simulator cannot detect that we left, and waits for 30 s
        await running.all_closed()
    await wait_all_tasks_blocked()
    if not network.failed:
        still = [one for one in running.records.open_contexts if _could_be_cancelled(one, running)]
        left += [f"Cartesia still speaks {context.transcript!r}" for context in still]
    if running.records.open_sockets:
        left.append(f"{running.records.open_sockets} connections are open at the simulators")
    return left


_LOSES_CONTEXTS = (FaultKind.RESET, FaultKind.CLOSE, FaultKind.HALF_OPEN)


def _could_be_cancelled(context: SpeechContext, running: Simulators) -> bool:
    """Whether a cancellation could reach Cartesia. Contexts of a lost connection are lost, too."""

    def holds(exchange: Exchange) -> bool:
        return any(message.get("context_id") == context.id for message in exchange.messages)

    exchange = next(one for one in running.records.at("cartesia.websocket") if holds(one))
    return not any(kind in _LOSES_CONTEXTS for kind in exchange.faults)


@define
class _CallerInACell:
    """The caller: speaks two turns, or what the cell says, with the microphone open all the time."""

    cell: Cell
    call: SimulatedCall
    network: Network
    """The network of the first provider of each role."""
    turns: list[Turn] = Factory(list)
    _speech: Samples = Factory(lambda: silence(0))
    _said: trio.Event = Factory(trio.Event)

    async def talk(self) -> None:
        """Do everything that the caller does, except hanging up."""
        await self.call.start_recording(TurnMode.AUTOMATIC)
        if self.cell.hangs_up:
            await self._talk_and_leave()
            return
        if not self.cell.speaks_at_once:
            await self.call.reaches("quiet")
            await trio.sleep(PAUSE_S)
        await self._take_turn(FIRST_WORDS)
        await trio.sleep(PAUSE_S)
        if not self.call.over.is_set():
            await self._take_turn(NEXT_WORDS)

    async def _talk_and_leave(self) -> None:
        if not self.cell.speaks_at_once:
            await self.call.reaches("quiet")
        await self._say(FIRST_WORDS)
        await self.call.reaches(self.cell.state.value)
        await trio.sleep(self.cell.later + 1)

    async def _take_turn(self, words: str) -> None:
        began_at = trio.current_time()
        steps, told = len(self.call.steps), len(self.call.caller.notified)
        requests = len(self.call.providers.llm.requests)
        await self._say(words)
        spoken_until = trio.current_time()
        # Arriving audio is not a step of a machine.
        until = self.call.until if self._waits_for_audio else self.call.until_step
        with trio.move_on_after(TURN_S) as scope:
            await until(lambda: self._is_settled(steps))
        self.turns.append(
            Turn(
                began_at,
                spoken_until,
                trio.current_time(),
                tuple(self.call.caller.notified[told:]),
                _last_words(self.call.providers.llm.requests[requests:]),
                len(self.call.providers.llm.requests) - requests,
                not scope.cancelled_caught,
            )
        )

    @property
    def _waits_for_audio(self) -> bool:
        """Whether the turn is over as soon as there is an answer to interrupt."""
        return self.cell.barges_in and not self.turns

    def _is_settled(self, first_step: int) -> bool:
        if self.call.over.is_set():
            return True
        if self._waits_for_audio:
            return self.call.state == "speaking" and self._hears_something()
        return any(map(_settles, self.call.steps[first_step:])) and self.call.state == "quiet"

    def _hears_something(self) -> bool:
        return any(len(playback.chunks) > 5 for playback in self.call.caller.playbacks)

    async def _say(self, words: str) -> None:
        self._speech, self._said = spoken(words), trio.Event()
        await self._said.wait()

    async def use_microphone(self) -> None:
        """Send speech if there is some, else silence, in real time."""
        length = LISTENING_RATE * BLOCK_MS // 1000
        while True:
            await trio.sleep(BLOCK_MS / 1000)
            block, self._speech = self._speech[:length], self._speech[length:]
            self.call.audio.push(block if len(block) else silence(BLOCK_MS), LISTENING_RATE)
            if not len(self._speech):
                self._said.set()

    async def let_network_fail(self) -> None:
        """Let the network fail at the time that the cell says."""
        if self.cell.network is None:
            return
        await self.call.reaches(self.cell.state.value)
        await trio.sleep(self.cell.later)
        if self.cell.network is NetworkFailure.CUTS:
            self.network.cut(self.cell.role.value)
        else:
            self.network.fall_silent(self.cell.role.value)


def _last_words(requests: list[tuple[Message, ...]]) -> str:
    """The caller's last words in the newest of these requests."""
    messages = requests[-1] if requests else ()
    return next((one.text for one in reversed(messages) if one.speaker is Speaker.USER), "")


def _settles(step: Step) -> bool:
    """Whether the conversation waits for the caller again after this step."""
    if step.machine != "conversation" or step.outcome is not Outcome.TAKEN or step.target != "quiet":
        return False
    return step.source not in ("connecting", "quiet", "hearing")
