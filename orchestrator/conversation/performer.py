"""The performer carries out effects: it maps each one to one action and decides nothing.

Every action that takes time is a task in the conversation's nursery with its own cancel scope, found by the
number that the machine gave it. A task that fails, for whatever reason, reports this by a fact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import trio
from attrs import Factory, define, evolve, frozen

from adapters.interfaces import Emit, LanguageModel, ProviderError, SpeechStream, Voice
from adapters.logs import library_logger
from adapters.tasks import Signal, running
from adapters.twilio.dtmf import ToneStream
from machines import effects as do
from machines import facts
from machines.bounds import FAIR_PART, LONGEST_ANSWER, MOST_SEGMENTS
from machines.effects import Effect
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Role
from machines.segments import Segment, Segmenter
from machines.tools import ToolCall
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.stt_feed import SttFeed
from orchestrator.audio.utterance import Utterance
from orchestrator.conversation.armed_deadlines import ArmedDeadlines
from orchestrator.conversation.caller import Caller
from orchestrator.conversation.metering import TokenMeter, metered_audio, metered_tokens
from orchestrator.conversation.role_link import RoleLink
from orchestrator.failures import failure_of
from orchestrator.journal.format import CallJournal
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.tools.tool_runner import CANCELLED, ToolRunner

log = library_logger(__name__)

ALIVE_EVERY_S = 0.5
"""The language model's signs of life are reported at most this often."""
TEXT_PAUSE_S = 0.25
"""If a model that has just written the end of a sentence is silent for so long, the sentence is said."""

OnFailure = Callable[[ProviderFailure], Fact]
"""Makes the fact that reports a task's failure."""


class Opened(Protocol):
    """Reports that a link is usable, unless it was cancelled meanwhile."""

    async def __call__(self, ends_turns: bool = False) -> None: ...


T = TypeVar("T")


@frozen
class ProviderLink(Generic[T]):
    """An open link and the provider that it leads to."""

    provider: int
    """Its place among the providers of the role."""
    link: T


@define
class RunningTasks:
    """The running tasks of one conversation, by name."""

    _scopes: dict[str, trio.CancelScope] = Factory(dict)
    _none_left: Signal = Factory(Signal)

    def enter(self, name: str) -> None:
        """Make the cancel scope of a task before it runs, so that it can be cancelled at once."""
        self._scopes[name] = trio.CancelScope()

    def cancel(self, name: str) -> None:
        """Cancel the task with this name, if it is still running."""
        scope = self._scopes.get(name)
        if scope is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        """Cancel every task."""
        for scope in self._scopes.values():
            scope.cancel()

    async def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as the task that was entered with this name."""
        try:
            with self._scopes[name]:
                await work()
        finally:
            del self._scopes[name]
            if not self._scopes:
                self._none_left.wake_all()

    async def wait_until_none(self) -> None:
        """Return when no task is running."""
        while self._scopes:
            await self._none_left.wait()


class Performer:
    """Performs the effects of one conversation.

    `watch` is told which providers answer and which fail. `draw` returns random numbers from 0 to 1. Before a
    tool runs, which may have effects outside, the performer waits until `journal` is written.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        caller: Caller,
        audio: CallerAudio,
        providers: Providers,
        deadlines: ArmedDeadlines,
        emit: Emit,
        watch: ProviderWatch | None,
        draw: Callable[[], float],
        tools: ToolRunner,
        journal: CallJournal | None,
    ) -> None:
        self._nursery = nursery
        self._caller = caller
        self._audio = audio
        self._providers = providers
        self._deadlines = deadlines
        self._emit = emit
        self._watch = watch
        self._draw = draw
        self._tools = tools
        self._journal = journal
        self._stt_feed = SttFeed(audio, providers.voice_activity, emit, providers.turn_model)
        self._tasks = RunningTasks()
        self._llm_link: RoleLink[ProviderLink[LanguageModel]] = RoleLink()
        self._tts_link: RoleLink[ProviderLink[Voice]] = RoleLink()
        self._attempts: dict[tuple[Role, int], int] = {}
        """Which provider each attempt to open a link led to."""
        self._utterance: Utterance | None = None
        nursery.start_soon(self._run_stt_feed)

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
            case do.OpenLink(role=role, attempt=attempt, provider=provider):
                self._open_link(role, attempt, provider)
            case do.CloseLink(role=role, attempt=attempt):
                self._close_link(role, attempt)
            case do.ReportProviderFailure(role=role, provider=provider, failure=failure):
                self._report_failed(role, provider, failure)
            case do.LogFailure() as log_failure:
                self._log_failure(log_failure)
            case do.BeginTurn(turn=turn):
                self._audio.begin_turn(turn)
            case do.FinalizeTurn(turn=turn):
                self._audio.end_turn(turn)
            case do.StartGeneration() as wanted:
                self._start_generation(wanted)
            case do.CancelGeneration(generation=generation):
                self._tasks.cancel(f"generation {generation}")
            case do.RunTool(call=call, asked=asked, timeout_ms=timeout_ms):
                self._start_tool(call, asked, timeout_ms)
            case do.CancelTool(call=call):
                self._tasks.cancel(f"tool {call}")
            case do.Speak(generation=generation, segment=segment, text=text, tones=tones):
                self._utterance_of(generation, tones=tones).say(segment, text)
            case do.FinishSpeech(generation=generation):
                self._utterance_of(generation).finish()
            case do.PrepareSpeech(generation=generation, segment=segment, text=text):
                self._utterance_of(generation).prepare(segment, text)
            case do.DropSpeech(generation=generation):
                self._tasks.cancel(f"utterance {generation}")
            case do.RestartSpeech(generation=generation, attempt=attempt):
                self._utterance_of(generation).restart(attempt)
            case do.PauseSpeech(generation=generation):
                self._utterance_of(generation).pause()
            case do.ResumeSpeech(generation=generation):
                self._utterance_of(generation).resume()
            case do.StopSpeech(generation=generation, cause=cause):
                self._tasks.cancel(f"utterance {generation}")
                self._caller.stop_audio(generation, cause)
            case do.CloseConversation(reason=reason, after_goodbye=after_goodbye):
                self._nursery.start_soon(self._close, reason, after_goodbye)
            case do.AbandonConversation():
                self._tasks.cancel_all()
            case _:
                self._caller.notify(effect)

    # --- links --------------------------------------------------------------------------------------------

    def _open_link(self, role: Role, attempt: int, provider: int) -> None:
        self._attempts[role, attempt] = provider
        by_role = {Role.STT: self._run_stt_link, Role.LLM: self._run_llm_link, Role.TTS: self._run_tts_link}

        def failed(failure: ProviderFailure) -> Fact:
            return facts.LinkFailed(role, attempt, failure, self._draw())

        async def opened(ends_turns: bool = False) -> None:
            # An attempt that was cancelled at a moment without a checkpoint must not replace the next one.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._emit(facts.LinkOpened(role, attempt, ends_turns))

        async def work() -> None:
            await by_role[role](attempt, provider, opened)
            raise ProviderError(ErrorClass.CONNECTION, f"the {role.value} link ended by itself")

        self._start(f"{role.value} link {attempt}", work, failed)

    def _close_link(self, role: Role, attempt: int) -> None:
        """Close a link. It is withdrawn at once, since its task needs a moment to end."""
        self._tasks.cancel(f"{role.value} link {attempt}")
        if role is Role.LLM:
            self._llm_link.withdraw(attempt)
        elif role is Role.TTS:
            self._tts_link.withdraw(attempt)

    async def _run_stt_link(self, attempt: int, provider: int, opened: Opened) -> None:
        del attempt  # the feed serves any link that is open
        stt = self._providers.stt[provider]

        def report(fact: Fact) -> None:
            if isinstance(fact, facts.TranscriptFinal | facts.TranscriptInterim | facts.EndOfTurn):
                self._report_answered(Role.STT, provider)
            self._stt_feed.report(fact)

        async with stt.open(report, self._caller.language) as transcriber:
            await opened(stt.ends_turns)
            with metered_audio(self._journal, provider) as sent:
                await self._stt_feed.send_to(transcriber, sent)

    async def _run_llm_link(self, attempt: int, provider: int, opened: Opened) -> None:
        model = self._providers.llm[provider]
        await model.check()
        await opened()
        with self._llm_link.provide(attempt, ProviderLink(provider, model)):
            await trio.sleep_forever()

    async def _run_tts_link(self, attempt: int, provider: int, opened: Opened) -> None:
        async with self._providers.tts[provider].open(self._caller.language) as voice:
            await opened()
            with self._tts_link.provide(attempt, ProviderLink(provider, voice)):
                await trio.sleep_forever()

    def _report_failed(self, role: Role, provider: int, failure: ProviderFailure) -> None:
        if self._watch is None:
            return
        if not failure.error_class.caused_by_request:
            self._watch.failed(role, provider, failure)
        elif failure.error_class.casts_doubt:
            self._watch.doubted(role, provider, failure)

    def _log_failure(self, wanted: do.LogFailure) -> None:
        role, failure = wanted.role, wanted.failure
        newest = max((attempt for each, attempt in self._attempts if each is role), default=0)
        provider = self._attempts.get((role, newest if wanted.attempt is None else wanted.attempt))
        chain = self._providers.of(role)
        log.warning(
            "a caller waited for a provider that failed",
            role=role.value,
            provider=", ".join(each.name for each in chain) if provider is None else chain[provider].name,
            error=failure.message,
            error_class=failure.error_class.value,
            waited_ms=round(wanted.waited_ms),
        )

    def _report_answered(self, role: Role, provider: int) -> None:
        if self._watch is not None:
            self._watch.answered(role, provider)

    async def _run_stt_feed(self) -> None:
        """Detect voice as long as the conversation lasts; without that it cannot go on."""

        def failed(failure: ProviderFailure) -> Fact:
            return facts.LinkDown(Role.STT, failure)

        await self._report_failure("speech-to-text feed", self._stt_feed.run, failed)

    # --- generations --------------------------------------------------------------------------------------

    def _start_generation(self, wanted: do.StartGeneration) -> None:
        generation = wanted.generation
        link_attempt: int | None = None

        def failed(failure: ProviderFailure) -> Fact:
            return facts.GenerationFailed(generation, failure, link_attempt)

        async def work() -> None:
            nonlocal link_attempt
            link_attempt, llm = await self._llm_link.get()
            with metered_tokens(self._journal, llm.provider, wanted) as meter:
                await self._generate(wanted, llm, meter)

        self._start(f"generation {generation}", work, failed)

    async def _generate(
        self, wanted: do.StartGeneration, llm: ProviderLink[LanguageModel], meter: TokenMeter
    ) -> None:
        """Report the model's words as segments, also those that came before a failure."""
        generation = wanted.generation
        tools = self._tools.specs if wanted.tools else ()
        segmenter = Segmenter(self._caller.language)
        calls: list[ToolCall] = []
        count, alive_at, answered_at = 0, -ALIVE_EVERY_S, -ALIVE_EVERY_S
        length = unbroken = 0
        """Characters of the answer, and of it since other tasks last had their turn."""
        came_at, came = trio.current_time(), Signal()

        async def notice_pauses() -> None:
            while True:
                await trio.sleep_until(came_at + TEXT_PAUSE_S)
                if trio.current_time() >= came_at + TEXT_PAUSE_S:
                    report(segmenter.pause())
                    await came.wait()

        def report(segments: list[Segment]) -> None:
            nonlocal count
            for segment in segments[: MOST_SEGMENTS - count]:
                self._emit(facts.SegmentReady(generation, count, segment.text, segment.markup))
                count += 1

        try:
            async with llm.link.generate(wanted.messages, tools) as pieces, running(notice_pauses):
                meter.pieces = pieces
                async for piece in pieces:
                    meter.came(piece)
                    if length > LONGEST_ANSWER or count >= MOST_SEGMENTS:
                        log.warning("an answer was longer than an answer may be", provider=llm.link.name)
                        break
                    came_at = trio.current_time()
                    came.wake_all()
                    if trio.current_time() - alive_at >= ALIVE_EVERY_S:
                        alive_at = trio.current_time()
                        self._emit(facts.GenerationAlive(generation))
                    # A server that only shows that it is there has not answered yet.
                    if piece and trio.current_time() - answered_at >= ALIVE_EVERY_S:
                        answered_at = trio.current_time()
                        self._report_answered(Role.LLM, llm.provider)
                    if isinstance(piece, ToolCall):
                        calls.append(piece)
                        continue
                    for at in range(0, len(piece), FAIR_PART):
                        part = piece[at : at + FAIR_PART]
                        report(segmenter.push(part))
                        length, unbroken = length + len(part), unbroken + len(part)
                        # A model that writes without end must not keep the process from other calls.
                        if unbroken >= FAIR_PART:
                            unbroken = 0
                            await trio.lowlevel.checkpoint()
                        if length > LONGEST_ANSWER or count >= MOST_SEGMENTS:
                            break
        except Exception:
            report(segmenter.finish())
            raise
        report(segmenter.finish())
        self._emit(facts.GenerationFinished(generation, tuple(calls)))

    # --- tools --------------------------------------------------------------------------------------------

    def _start_tool(self, call: int, asked: ToolCall, timeout_ms: float) -> None:
        async def work() -> None:
            result = CANCELLED
            try:
                if self._journal is not None:
                    await self._journal.written()
                result = await self._tools.run(call, asked, timeout_ms, self._emit)
            finally:
                self._emit(facts.ToolFinished(call, result.text, failed=result.failed))

        name = f"tool {call}"
        self._tasks.enter(name)
        self._nursery.start_soon(self._tasks.run, name, work)

    # --- utterances ---------------------------------------------------------------------------------------

    def _utterance_of(self, generation: int, *, tones: bool = False) -> Utterance:
        """The utterance that speaks this answer. The first effect on it begins it."""
        if self._utterance is None or self._utterance.number != generation:
            self._utterance = self._begin_utterance(generation, tones=tones)
        return self._utterance

    def _begin_utterance(self, generation: int, *, tones: bool) -> Utterance:
        provider = 0
        link_attempt: int | None = None
        told = False

        def emit(fact: Fact) -> None:
            nonlocal told
            if isinstance(fact, facts.SegmentVoiced) and fact.duration_ms > 0 and not tones:
                self._report_answered(Role.TTS, provider)
            elif isinstance(fact, facts.SegmentVoiced) and fact.unsayable and not told:
                told = True
                name, language = self._providers.tts[provider].name, self._caller.language
                log.warning("the voice cannot say an answer", voice=name, language=language)
            elif isinstance(fact, facts.SynthesisFailed):
                fact = evolve(fact, link_attempt=link_attempt)
            self._emit(fact)

        @asynccontextmanager
        async def open_tones(rate: int) -> AsyncIterator[SpeechStream]:
            yield ToneStream(rate)

        @asynccontextmanager
        async def open_stream(rate: int) -> AsyncIterator[SpeechStream]:
            nonlocal provider, link_attempt
            link_attempt, tts = await self._tts_link.get()
            provider = tts.provider
            async with tts.link.speak(rate, self._caller.voice_id) as stream:
                yield stream

        def failed(failure: ProviderFailure) -> Fact:
            return facts.SynthesisFailed(generation, failure)

        async def work() -> None:
            await utterance.run(open_tones if tones else open_stream)

        utterance = Utterance(generation, self._caller, self._caller.pacing, emit, self._caller.language)
        self._start(f"utterance {generation}", work, failed)
        return utterance

    # --- the end ------------------------------------------------------------------------------------------

    async def _close(self, reason: EndReason, after_goodbye: bool) -> None:
        await self._caller.close(reason, after_goodbye=after_goodbye)
        await self._tasks.wait_until_none()
        self._emit(facts.EverythingClosed())

    # --- tasks --------------------------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[], Awaitable[None]], failed: OnFailure) -> None:
        self._tasks.enter(name)
        self._nursery.start_soon(self._tasks.run, name, lambda: self._report_failure(name, work, failed))

    async def _report_failure(
        self, name: str, work: Callable[[], Awaitable[None]], failed: OnFailure
    ) -> None:
        """Run `work`, and report a failure as a fact: the machine decides what follows from it."""
        try:
            await work()
        except* Exception as group:
            self._emit(failed(failure_of(group, name)))
