"""A simulated call: a running conversation, with methods for what the caller does and for waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from random import Random

import trio
from attrs import Factory, define

from adapters.interfaces import LISTENING_RATE, Samples
from adapters.tasks import Signal
from machines import effects as do
from machines import facts
from machines.declarations import Step
from machines.facts import EndReason, Request, Role, TurnMode
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.conversation.conversation import converse
from orchestrator.conversation.inbox import Inbox
from orchestrator.journal.format import About, CallJournal, End, Record, frame, journal_in
from orchestrator.journal.replay import Replayed, replay
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation.caller import SimulatedCaller
from orchestrator.simulation.providers import SimulatedProviders
from orchestrator.simulation.speech import noise, silence, spoken
from orchestrator.tools.tool import Tool
from orchestrator.tools.tool_runner import ToolRunner

BLOCK_MS = 20
"""Length of the blocks that a simulated microphone sends in real time, unless another is given."""
PATIENCE_S = 60
LONGEST_CALL_S = 3600


ABOUT = About("simulated call", "vantum.v2", 0.0, dict.fromkeys(Role, ("simulated",)))


@cache
def shared_charts() -> Charts:
    """The charts of all simulated calls, which run in one thread. Made once, since that takes 10 ms."""
    return Charts()


class ReplayDiffers(Exception):  # noqa: N818 (it says what happened)
    """The replay of a call's journal led to something else than the call."""


@define
class SimulatedCall:
    """A running call."""

    providers: SimulatedProviders
    caller: SimulatedCaller
    policy: ConversationPolicy
    inbox: Inbox = Factory(Inbox)
    audio: CallerAudio = Factory(CallerAudio)
    steps: list[Step] = Factory(list)
    """Every step of the machines, in order."""
    state: str = "connecting"
    """The state of the conversation machine."""
    over: trio.Event = Factory(trio.Event)
    answers: int = 0
    """How many answers are over, those included that never began."""
    watch: ProviderWatch | None = None
    journal: CallJournal | None = None
    """Keeps the records too, if given."""
    records: list[Record] = Factory(list)
    """The records of the call's own journal."""
    charts: Charts = Factory(shared_charts)
    tools: Sequence[Tool] = ()
    block_ms: int = BLOCK_MS
    random: Random = Factory(lambda: Random(0))
    """Gives the jitter of retries."""
    _requests: int = 0
    _changed: Signal = Factory(Signal)

    # --- what the caller does -----------------------------------------------------------------------------

    async def start_recording(self, mode: TurnMode = TurnMode.MANUAL) -> Request:
        """Start to record, as `audio.input.start` does."""
        request = self._request("audio.input.start")
        await self.inbox.deliver(facts.RecordingStarted(mode, request))
        return request

    async def stop_recording(self) -> Request:
        """Stop to record, as `audio.input.stop` does."""
        request = self._request("audio.input.stop")
        await self.inbox.deliver(facts.RecordingStopped(request))
        return request

    async def say(self, words: str, rate: int = LISTENING_RATE) -> None:
        """Send these words as audio, in real time."""
        await self._send(spoken(words, rate), rate)

    async def make_noise(self, ms: float) -> None:
        """Send a sound like a voice without words, in real time."""
        await self._send(noise(ms), LISTENING_RATE)

    async def keep_quiet(self, ms: float) -> None:
        """Send silence, in real time."""
        await self._send(silence(ms), LISTENING_RATE)

    async def take_turn(self, words: str) -> None:
        """A whole manual turn: start to record, speak, stop."""
        await self.start_recording()
        await self.say(words)
        await self.stop_recording()

    async def interrupt(self) -> None:
        """Ask for silence, as `user.action.interrupt` does."""
        await self.inbox.deliver(facts.InterruptRequested())

    async def press(self, digit: str) -> None:
        """Press a key of the telephone."""
        await self.inbox.deliver(facts.DigitPressed(digit))

    def hang_up(self, reason: EndReason = EndReason.CALLER_HUNG_UP) -> None:
        """End the call."""
        self.inbox.put(facts.HungUp(reason))

    # --- what can be waited for ---------------------------------------------------------------------------

    async def until(self, happened: Callable[[], bool]) -> None:
        """Return once `happened()`, which is called after every step of a machine and every 10 ms.

        Raises `trio.TooSlowError` after a minute of waiting.
        """
        with trio.fail_after(PATIENCE_S):
            while not happened():
                with trio.move_on_after(0.01):
                    await self._changed.wait()

    async def until_step(self, happened: Callable[[], bool]) -> None:
        """As `until`, for what only a step of a machine can bring about: `happened` is called after each."""
        with trio.fail_after(PATIENCE_S):
            while not happened():
                await self._changed.wait()

    async def within(self, seconds: float, happened: Callable[[], bool]) -> bool:
        """Wait for `happened()` until `seconds` have passed or the call is over; returns whether it happened.

        It is called after every step of a machine.
        """
        with trio.move_on_after(seconds):
            while not (happened() or self.over.is_set()):
                await self._changed.wait()
        return happened()

    async def reaches(self, *states: str) -> None:
        """Return once the conversation machine is in one of these states, or the call is over."""
        await self.until_step(lambda: self.state in states or self.over.is_set())

    async def answered(self, times: int = 1) -> None:
        """Return once so many answers are over."""
        await self.until_step(lambda: len(self.caller.answers()) >= times or self.over.is_set())

    def facts(self, kind: type[facts.Fact]) -> list[facts.Fact]:
        """The facts of one kind that the machines were given."""
        return [step.fact for step in self.steps if isinstance(step.fact, kind)]

    # --- how it runs --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the conversation to its end."""
        await converse(
            self.caller,
            self.audio,
            self.inbox,
            self.providers.for_calls(),
            self.policy,
            self._observe,
            watch=self.watch,
            charts=self.charts,
            random=self.random,
            tools=ToolRunner(self.tools, ABOUT.session_id),
            journal=CallJournal(ABOUT if self.journal is None else self.journal.about, self._keep),
        )
        self.over.set()
        self._announce()

    def _observe(self, handled: Handled) -> None:
        self.steps += handled.steps
        for step in handled.steps:
            if step.machine == "conversation":
                self.state = step.target
                self.answers += sum(isinstance(effect, do.NotifyAnswerEnded) for effect in step.effects)
        self._announce()

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        if self.journal is not None:
            self.journal.keep(record)

    def replayed(self) -> Iterator[Replayed]:
        """Replay the call's journal, after it was written to bytes and read again."""
        data = b"".join(frame(record) for record in [*self.records, End()])
        return replay(journal_in(data, Path(ABOUT.session_id)), self.charts)

    def _announce(self) -> None:
        self._changed.wake_all()

    async def _send(self, samples: Samples, rate: int) -> None:
        block = rate * self.block_ms // 1000
        for start in range(0, len(samples), block):
            await trio.sleep(self.block_ms / 1000)
            self.audio.push(samples[start : start + block], rate)

    def _request(self, event_type: str) -> Request:
        self._requests += 1
        return Request(event_type, f"request {self._requests}")


@asynccontextmanager
async def simulated_call(
    providers: SimulatedProviders | None = None,
    caller: SimulatedCaller | None = None,
    policy: ConversationPolicy | None = None,
    watch: ProviderWatch | None = None,
    journal: CallJournal | None = None,
    tools: Sequence[Tool] = (),
) -> AsyncIterator[SimulatedCall]:
    """A call that runs as long as the block, and is then hung up properly.

    Raises `ReplayDiffers` if a replay of its journal leads to anything else.
    """
    call = SimulatedCall(
        providers or SimulatedProviders(),
        caller or SimulatedCaller(),
        policy or ConversationPolicy(),
        watch=watch,
        journal=journal,
        tools=tools,
    )
    async with running_call(call):
        yield call
    for fact in call.replayed():
        if not fact.same:
            raise ReplayDiffers(
                f"fact {fact.number} led to {fact.recorded}; replayed, it leads to {fact.now}"
            )


@asynccontextmanager
async def running_call(call: SimulatedCall) -> AsyncIterator[None]:
    """Run the call as long as the block, and then hang it up properly.

    Raises `trio.TooSlowError` after an hour of virtual time, so that a call in which nothing happens any more
    does not wait for ever.
    """
    with trio.fail_after(LONGEST_CALL_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.run)
            yield
            call.hang_up()
            await call.over.wait()
