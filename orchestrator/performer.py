"""Carries out effects: each is mapped to one action, and nothing is judged here.

Every action that takes time is a task in the conversation's nursery under a cancel scope of its own, found by
the number that the machine gave it. A task that fails, for whatever reason, says so by a fact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio
from attrs import Factory, define

from adapters.interfaces import Emit, ProviderError, Voice
from machines import effects as do
from machines import facts
from machines.effects import Effect
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Role
from machines.history import Message
from machines.segments import Segmenter
from orchestrator.caller import Caller
from orchestrator.deadlines import Deadlines
from orchestrator.hearing import CallerAudio, Ear
from orchestrator.providers import Providers
from orchestrator.speaking import Utterance

log = structlog.get_logger(__name__)

OnFailure = Callable[[ProviderFailure], Fact]
"""Makes the fact that reports a task's failure."""
Opened = Callable[[], Awaitable[None]]
"""Reports that a link is usable, unless it was given up meanwhile."""


@define
class RunningTasks:
    """The tasks of one conversation, each under its name."""

    _scopes: dict[str, trio.CancelScope] = Factory(dict)
    _none_left: trio.Event = Factory(trio.Event)

    def enter(self, name: str) -> None:
        """Make the scope of a task before the task runs, so that it can be cancelled at once."""
        self._scopes[name] = trio.CancelScope()

    def cancel(self, name: str) -> None:
        """Cancel the task of this name, if it still runs."""
        scope = self._scopes.get(name)
        if scope is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        """Cancel every task."""
        for scope in self._scopes.values():
            scope.cancel()

    async def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as the task that was entered under this name."""
        try:
            with self._scopes[name]:
                await work()
        finally:
            del self._scopes[name]
            if not self._scopes:
                self._none_left.set()

    async def wait_until_none(self) -> None:
        """Return when no task runs."""
        while self._scopes:
            self._none_left = trio.Event()
            await self._none_left.wait()


class Performer:
    """Performs the effects of one conversation."""

    def __init__(
        self,
        nursery: trio.Nursery,
        caller: Caller,
        audio: CallerAudio,
        providers: Providers,
        deadlines: Deadlines,
        emit: Emit,
    ) -> None:
        self._nursery = nursery
        self._caller = caller
        self._audio = audio
        self._providers = providers
        self._deadlines = deadlines
        self._emit = emit
        self._ear = Ear(audio, providers.voice_activity, emit)
        self._tasks = RunningTasks()
        self._voice: Voice | None = None
        self._utterance: Utterance | None = None

    def perform(self, effect: Effect) -> None:
        """Carry out one effect; never blocks."""
        match effect:
            case do.ArmDeadline(number=number, delay_ms=delay_ms):
                self._deadlines.arm(None, number, delay_ms)
            case do.DisarmDeadline():
                self._deadlines.disarm(None)
            case do.ArmLinkDeadline(role=role, number=number, delay_ms=delay_ms):
                self._deadlines.arm(role, number, delay_ms)
            case do.DisarmLinkDeadline(role=role):
                self._deadlines.disarm(role)
            case do.OpenLink(role=role, attempt=attempt):
                self._open_link(role, attempt)
            case do.CloseLink(role=role, attempt=attempt):
                self._tasks.cancel(f"{role.value} link {attempt}")
            case do.BeginTurn(turn=turn):
                self._audio.begin_turn(turn)
            case do.FinalizeTurn(turn=turn):
                self._audio.end_turn(turn)
            case do.StartGeneration(generation=generation, messages=messages):
                self._start_generation(generation, messages)
            case do.CancelGeneration(generation=generation):
                self._tasks.cancel(f"generation {generation}")
            case do.Speak(generation=generation, segment=segment, text=text):
                self._speaking(generation).say(segment, text)
            case do.FinishSpeech(generation=generation):
                self._speaking(generation).finish()
            case do.StopSpeech(generation=generation, cause=cause):
                self._tasks.cancel(f"utterance {generation}")
                self._caller.stop_audio(generation, cause)
            case do.CloseConversation(reason=reason):
                self._nursery.start_soon(self._close, reason)
            case do.AbandonConversation():
                self._tasks.cancel_all()
            case _:
                self._caller.tell(effect)

    # --- links ---------------------------------------------------------------------------------------------

    def _open_link(self, role: Role, attempt: int) -> None:
        hold = {Role.STT: self._hold_stt, Role.LLM: self._hold_llm, Role.TTS: self._hold_tts}[role]

        def failed(failure: ProviderFailure) -> Fact:
            return facts.LinkFailed(role, attempt, failure)

        async def opened() -> None:
            # An attempt that was given up while it could not be cancelled must not displace the next one.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._emit(facts.LinkOpened(role, attempt))

        async def work() -> None:
            await hold(opened)
            raise ProviderError(ErrorClass.CONNECTION, f"the {role.value} link ended by itself")

        self._start(f"{role.value} link {attempt}", work, failed)

    async def _hold_stt(self, opened: Opened) -> None:
        async with self._providers.stt.open(self._emit, self._caller.language) as transcriber:
            await opened()
            await self._ear.listen(transcriber)

    async def _hold_llm(self, opened: Opened) -> None:
        await self._providers.llm.check()
        await opened()
        await trio.sleep_forever()

    async def _hold_tts(self, opened: Opened) -> None:
        async with self._providers.tts.open(self._caller.language) as voice:
            await opened()
            self._voice = voice
            try:
                await trio.sleep_forever()
            finally:
                self._voice = None

    # --- thinking ------------------------------------------------------------------------------------------

    def _start_generation(self, generation: int, messages: tuple[Message, ...]) -> None:
        def failed(failure: ProviderFailure) -> Fact:
            return facts.GenerationFailed(generation, failure)

        async def work() -> None:
            await self._generate(generation, messages)

        self._start(f"generation {generation}", work, failed)

    async def _generate(self, generation: int, messages: tuple[Message, ...]) -> None:
        """Stream the model's words as segments; what came before a failure is worth saying too."""
        segmenter = Segmenter()
        count = 0

        def report(texts: list[str]) -> None:
            nonlocal count
            for text in texts:
                self._emit(facts.SegmentReady(generation, count, text))
                count += 1

        try:
            async with self._providers.llm.generate(messages) as pieces:
                async for piece in pieces:
                    report(segmenter.push(piece))
        except ProviderError:
            report(segmenter.finish())
            raise
        report(segmenter.finish())
        self._emit(facts.GenerationFinished(generation))

    # --- speaking ------------------------------------------------------------------------------------------

    def _speaking(self, generation: int) -> Utterance:
        """The utterance that speaks this answer; it begins with the answer's first effect."""
        if self._utterance is None or self._utterance.number != generation:
            self._utterance = self._begin_utterance(generation)
        return self._utterance

    def _begin_utterance(self, generation: int) -> Utterance:
        utterance = Utterance(generation, self._caller, self._caller.pacing, self._emit)

        def failed(failure: ProviderFailure) -> Fact:
            return facts.SynthesisFailed(generation, failure)

        async def work() -> None:
            if self._voice is None:
                raise ProviderError(ErrorClass.CONNECTION, "the link to the voice is not open")
            await utterance.run(self._voice, self._caller.voice_id)

        self._start(f"utterance {generation}", work, failed)
        return utterance

    # --- the end -------------------------------------------------------------------------------------------

    async def _close(self, reason: EndReason) -> None:
        await self._caller.close(reason)
        await self._tasks.wait_until_none()
        self._emit(facts.EverythingClosed())

    # --- tasks ---------------------------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[], Awaitable[None]], failed: OnFailure) -> None:
        self._tasks.enter(name)
        self._nursery.start_soon(self._tasks.run, name, lambda: self._report_failure(name, work, failed))

    async def _report_failure(
        self, name: str, work: Callable[[], Awaitable[None]], failed: OnFailure
    ) -> None:
        """Run `work`; a failure becomes a fact, since what follows from it is for the machine to decide."""
        try:
            await work()
        except* ProviderError as group:
            error = _first(group)
            log.warning("provider failed", task=name, error=str(error), error_class=error.failure.error_class)
            self._emit(failed(error.failure))
        except* Exception as group:
            # A fault of our own or of an SDK: it must end neither the conversation nor the server unheard.
            log.exception("task broke", task=name, exc_info=group)
            self._emit(failed(ProviderFailure(ErrorClass.TRANSIENT, f"{name} broke: internal error")))


def _first(group: BaseExceptionGroup[ProviderError]) -> ProviderError:
    """One error of the group: a task fails for one reason, however deep in nurseries it was."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ProviderError)
    return error
