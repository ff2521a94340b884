"""The orchestrator as a library: a host program opens one and runs conversations on its own transports.

Everything is opened by `async with`, and closed when that block is left, however it is left. Nothing is
global: several orchestrators with different settings and providers can be open at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from random import Random

import trio
from attrs import Factory, define, field

from adapters.tasks import sole_error
from machines import effects as do
from machines import facts
from machines.checked_fields import check_value
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import EndReason, Role, SayMode, TurnMode
from machines.history import Message
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.clock import epoch_ms, now_ms
from orchestrator.conversation.charts import charts_of_this_thread
from orchestrator.conversation.conversation import converse
from orchestrator.conversation.idle_and_age_limits import watch_limits
from orchestrator.conversation.speculation_counts import ASKED, USED, speculation_counts
from orchestrator.hosting.checked_arguments import check_transport, check_wishes
from orchestrator.hosting.events import AudioDropped, EventLog, Events, EventSource
from orchestrator.hosting.outcome import ConversationLost, ConversationOutcome, OrchestratorBusy
from orchestrator.hosting.transport import Transport
from orchestrator.hosting.transport_caller import TransportCaller
from orchestrator.ids import new_id
from orchestrator.journal.directory import check_directory
from orchestrator.journal.format import About
from orchestrator.journal.writer import Journals, open_journals
from orchestrator.logs import bind_session
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.settings.policy import policy_of
from orchestrator.settings.settings import Settings
from orchestrator.tools.builtin_tools import built_in
from orchestrator.tools.say_requests import keys_to_press, words_to_say
from orchestrator.tools.tool import Tool
from orchestrator.tools.tool_runner import MOST_THREADS, ToolRunner, tools_by_name

DIALECT = "host"
"""The dialect that the journals of a host's conversations name."""


@define(eq=False)
class Conversation:
    """A running conversation. Made by `Orchestrator.conversation`.

    ```python
    async with orchestrator.conversation(MemoryTransport()) as conversation:
        async for event in conversation.events():
            if conversation.state == "LISTENING":
                conversation.end(EndReason.HANDED_OVER)
    assert (await conversation.outcome()).reason is EndReason.HANDED_OVER
    ```
    """

    id: str
    """A UUIDv7. Its journal is named by it, and its log lines carry it as `session`."""
    _caller: TransportCaller
    _providers: Providers
    _journals: Journals | None
    state: str = field(default="INITIALIZING", init=False)
    """One of the five states, for example `LISTENING`."""
    substate: str = field(default="connecting", init=False)
    """For example `hearing`."""
    _log: EventLog = field(factory=EventLog, init=False)
    _source: EventSource = field(init=False)
    _began_ms: float = field(factory=now_ms, init=False)
    _counts: Counter[type[Effect] | Outcome | str] = field(factory=Counter, init=False)
    _reason: EndReason | None = field(default=None, init=False)
    _outcome: ConversationOutcome | None = field(default=None, init=False)
    _fault: Exception | None = field(default=None, init=False)
    """What it failed of, which comes out of its block."""
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._source = EventSource(self._providers)

    def events(self) -> Events:
        """All its events, from its beginning."""
        return Events(self._log)

    def say(
        self,
        text: str,
        mode: SayMode = SayMode.QUEUE,
        *,
        interruptible: bool = True,
        then: EndReason | None = None,
    ) -> None:
        """Say this to the caller, at the time that `mode` names. Does nothing if the conversation is over.

        The text comes as `AnswerText` and is not part of the history. When
        `ConversationPolicy.max_host_utterances` wait, further ones are refused and logged. Raises
        `ValueError` for a text without words, and `TypeError` for an argument of another kind.

        Args:
            text: what to say.
            mode: after what is being said now, at once, or when nobody speaks.
            interruptible: whether the caller's voice may interrupt it.
            then: makes these the last words: the conversation ends for this reason when they were heard or
                could not be spoken. If the caller interrupts them, it continues.
        """
        self._caller.inbox.put(words_to_say(text, mode, interruptible=interruptible, then=then))

    def send_digits(self, digits: str) -> None:
        """Press these keys of a telephone, such as `42#`: the other side hears their tones.

        `w` is a pause of half a second, `W` one of a second. The tones follow what is being said now, wait
        until the caller is silent, and are not interruptible.
        Raises `ValueError` for anything but keys.
        """
        self._caller.inbox.put(keys_to_press(digits))

    def interrupt(self) -> None:
        """Stop the answer that is being generated or spoken."""
        self._caller.inbox.put(facts.InterruptRequested())

    def end(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End the conversation properly. Does nothing if it is over."""
        check_value("reason", "end()", reason, EndReason)
        self._caller.inbox.put(facts.HungUp(reason))

    async def outcome(self) -> ConversationOutcome:
        """Wait until the conversation is over, and return its outcome. Raises `ConversationLost`."""
        await self._over.wait()
        return self._known_outcome()

    # --- how it runs --------------------------------------------------------------------------------------

    async def _run(
        self,
        policy: ConversationPolicy,
        tools: ToolRunner,
        charts: Charts,
        watch: ProviderWatch,
        settings: Settings,
    ) -> None:
        journal = self._journals.of_call(self._about()) if self._journals is not None else nullcontext()
        try:
            with bind_session(self.id), self._scope, journal as kept, sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._caller.run, self._note_dropped)
                    nursery.start_soon(self._watch_limits, settings)
                    with sole_error():
                        history = await converse(
                            self._caller,
                            self._caller.audio,
                            self._caller.inbox,
                            self._providers,
                            policy,
                            self._observe,
                            charts,
                            watch,
                            journal=kept,
                            tools=tools,
                        )
                    self._outcome = self._outcome_with(history)
                    nursery.cancel_scope.cancel()
        except Exception as fault:
            self._fault = fault
            raise
        finally:
            self._log.close()
            self._over.set()

    def _known_outcome(self) -> ConversationOutcome:
        """The outcome of a conversation that is known to be over."""
        if self._outcome is None:
            what = "was cancelled" if self._fault is None else "failed"
            raise ConversationLost(f"conversation {self.id} {what} before its end") from self._fault
        return self._outcome

    def _about(self) -> About:
        names = {role: tuple(each.name for each in self._providers.of(role)) for role in Role}
        return About(self.id, DIALECT, epoch_ms(), names, products=self._providers.products())

    def _observe(self, handled: Handled) -> None:
        for event in self._source.events_of(handled, now_ms() - self._began_ms):
            self._log.add(event)
        self._counts.update(step.outcome for step in handled.steps)
        for step in handled.steps:
            self._counts.update(speculation_counts(step))
        self._counts.update(type(effect) for effect in handled.effects)
        for effect in handled.effects:
            match effect:
                case do.NotifyState(target=state, substate=substate):
                    self.state, self.substate = state, substate
                case do.CloseConversation(reason=reason):
                    self._reason = reason

    def _note_dropped(self, duration_ms: float) -> None:
        self._log.add(AudioDropped(now_ms() - self._began_ms, duration_ms))

    async def _watch_limits(self, settings: Settings) -> None:
        """End the conversation if nothing happens in it, or if it lasts too long."""
        await watch_limits(
            self.end,
            lambda: self._caller.last_activity,
            idle_timeout_s=settings.session_idle_timeout_ms / 1000,
            ends_at=(self._began_ms + settings.session_max_duration_ms) / 1000,
        )

    def _outcome_with(self, history: tuple[Message, ...]) -> ConversationOutcome:
        assert self._reason is not None, "a conversation ends by closing, for a reason"
        audio = self._caller.audio.counts
        return ConversationOutcome(
            self._reason,
            now_ms() - self._began_ms,
            history,
            self._counts[do.NotifyAnswerStarted],
            self._counts[do.NotifyInterrupted],
            self._counts[do.NotifyClientError],
            self._counts[Outcome.REFUSED],
            audio.received_ms,
            audio.dropped_ms,
            self._journals.path_of(self.id) if self._journals is not None else None,
            self._counts[ASKED],
            self._counts[USED],
        )


@define(eq=False)
class Orchestrator:
    """Runs conversations with its providers. Made by `open_orchestrator`.

    ```python
    policy = evolve(orchestrator.policy, greeting="Hello!")
    transport = MemoryTransport()
    async with orchestrator.conversation(transport, policy=policy):
        first = await anext(transport)
    assert isinstance(first, AudioBegins)
    ```
    """

    settings: Settings
    """The settings with which it was opened."""
    providers: Providers
    """The providers of its conversations, in order of preference."""
    policy: ConversationPolicy
    """The default policy of its conversations."""
    tools: tuple[Tool, ...]
    """The default tools of its conversations."""
    capacity: int
    """How many conversations may run at once."""
    _watch: ProviderWatch
    _journals: Journals | None
    _charts: Charts = Factory(charts_of_this_thread)
    _tool_threads: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(MOST_THREADS))
    _running: set[Conversation] = Factory(set)
    _closed: bool = False

    @asynccontextmanager
    async def conversation(
        self,
        transport: Transport,
        *,
        policy: ConversationPolicy | None = None,
        tools: Sequence[Tool] | None = None,
        turn_mode: TurnMode = TurnMode.AUTOMATIC,
        language: str | None = None,
        voice_id: str | None = None,
    ) -> AsyncIterator[Conversation]:
        """Run a conversation on `transport`. Leaving the block ends it properly, and waits for that.

        An exception in the block or its cancellation ends it at once. So does an exception of the transport,
        which then comes out of the block. Raises `OrchestratorBusy` if there is no room, `ValueError` for two
        tools with the same name and for what is not a language's code, and `TypeError` for an argument of
        another kind.

        Args:
            transport: the caller.
            policy: texts, delays and deadlines; `Orchestrator.policy` by default. `tools` replaces its tools.
            tools: the tools that the model may call; `Orchestrator.tools` by default.
            turn_mode: who decides that a turn is over: voice activity, or the transport.
            language: the caller's language, for example `en-US`; `Settings.stt_language` by default.
            voice_id: the synthesized voice, in the text-to-speech provider's terms; its own by default.
        """
        check_transport(transport)
        check_wishes(policy, turn_mode, language, voice_id)
        self._admit()
        caller = TransportCaller(transport, turn_mode, language or self.settings.stt_language, voice_id)
        conversation = Conversation(new_id(), caller, self.providers, self._journals)
        tool_runner = ToolRunner(self.tools if tools is None else tools, conversation.id, self._tool_threads)
        self._running.add(conversation)
        try:
            with sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(
                        conversation._run,
                        policy or self.policy,
                        tool_runner,
                        self._charts,
                        self._watch,
                        self.settings,
                    )
                    yield conversation
                    conversation.end()
        finally:
            self._running.remove(conversation)

    async def until_usable(self) -> None:
        """Return when every role has a provider that is known to work.

        Conversations may begin earlier; they end with `EndReason.PROVIDER_UNAVAILABLE` if none is found.
        """
        await self._watch.until_usable()

    def _admit(self) -> None:
        if self._closed:
            raise RuntimeError("the orchestrator is closed: conversations run only within its block")
        if len(self._running) >= self.capacity:
            raise OrchestratorBusy(f"{self.capacity} conversations are running, which is the limit")

    async def _close(self) -> None:
        """End the conversations that still run, in tasks outside this orchestrator's block."""
        self._closed = True
        for conversation in self._running:
            conversation.end()
        await self._all_over()

    async def _abandon(self) -> None:
        """Cancel the conversations that still run: what they use is closed now."""
        self._closed = True
        for conversation in self._running:
            conversation._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._all_over()

    async def _all_over(self) -> None:
        for conversation in tuple(self._running):
            await conversation._over.wait()


@asynccontextmanager
async def open_orchestrator(
    settings: Settings | None = None,
    *,
    providers: Providers | AbstractAsyncContextManager[Providers] | None = None,
    policy: ConversationPolicy | None = None,
    tools: Sequence[Tool] | None = None,
) -> AsyncIterator[Orchestrator]:
    """Open an orchestrator for as long as the block lasts: load the providers, and probe each once.

    Nothing is read from the environment: `Settings()` are the defaults, with embedded models;
    `load_settings()` reads the environment and files as `vantum serve` does. The settings of addresses and
    logging, and `turn_mode`, have no effect here. Raises what loading providers raises (`ModelsError`,
    `UnknownSdkError`), `JournalError` if journals cannot be written, `ValueError` for two tools with the same
    name, and `TypeError` for an argument of another kind.

    ```python
    from orchestrator.simulation import SimulatedProviders

    async with open_orchestrator(
        Settings(stt_language="de"), providers=SimulatedProviders().for_calls()
    ) as german:
        assert german.settings is not orchestrator.settings
    ```

    Args:
        settings: providers, texts, delays, limits, the directory of journals (without one, none are kept).
        providers: used instead of those of the settings. A context manager is entered, and left at the end.
        policy: used instead of the settings' texts, delays and deadlines.
        tools: the tools that the model may call, instead of the settings' built-in ones.
    """
    check_value("settings", "open_orchestrator()", settings, Settings | None)
    check_value("policy", "open_orchestrator()", policy, ConversationPolicy | None)
    settings = settings or Settings()
    offered = tuple(tools_by_name(built_in(settings.tools) if tools is None else tools).values())
    async with AsyncExitStack() as stack:
        found = await _providers(settings, providers, offered, stack)
        journals = await _journals(settings, stack)
        watch = ProviderWatch(found, Random(), language=settings.stt_language)
        capacity = settings.capacity if providers is None else settings.max_sessions
        with sole_error():
            async with trio.open_nursery() as nursery:
                await nursery.start(watch.run)
                orchestrator = Orchestrator(
                    settings, found, policy or policy_of(settings), offered, capacity, watch, journals
                )
                try:
                    yield orchestrator
                    await orchestrator._close()
                finally:
                    await orchestrator._abandon()
                nursery.cancel_scope.cancel()


async def _providers(
    settings: Settings,
    given: Providers | AbstractAsyncContextManager[Providers] | None,
    tools: Sequence[Tool],
    stack: AsyncExitStack,
) -> Providers:
    if isinstance(given, Providers):
        return given
    if given is None:
        # Vendors' SDKs take long to load, and a host that brings its providers may not need them.
        from orchestrator.providers.selection import open_providers

        given = open_providers(settings, [each.spec for each in tools])
    return await stack.enter_async_context(given)


async def _journals(settings: Settings, stack: AsyncExitStack) -> Journals | None:
    directory = settings.asked_journals
    if directory is None:
        return None
    await trio.to_thread.run_sync(check_directory, directory)
    redacted = settings.journal_transcripts == "redacted"
    return await stack.enter_async_context(open_journals(directory, redacted=redacted, counts=Counter()))
