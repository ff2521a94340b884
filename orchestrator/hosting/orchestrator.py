"""The orchestrator as a library: a host program opens one, and holds conversations on transports of its own.

Everything is a block: what is opened by `async with` is gone when the block is left, however it is left.
Nothing is global, so several orchestrators with different settings and providers may be open side by side.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from random import Random

import trio
import uuid_utils
from attrs import Factory, define, field

from adapters.tasks import sole_error
from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import EndReason, Role, SayMode, TurnMode
from machines.history import Message
from machines.policy import ConversationPolicy
from machines.system import Charts, Handled
from orchestrator.clock import now_ms
from orchestrator.conversation.charts import charts_of_this_thread
from orchestrator.conversation.conversation import converse
from orchestrator.conversation.idle_and_age_limits import watch_limits
from orchestrator.hosting.events import EventLog, Events, EventSource
from orchestrator.hosting.outcome import ConversationLost, ConversationOutcome, OrchestratorBusy
from orchestrator.hosting.transport import Transport
from orchestrator.hosting.transport_caller import TransportCaller
from orchestrator.journal.format import About
from orchestrator.journal.writer import Journals, check_directory, open_journals
from orchestrator.logs import bind_session
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.settings.policy import policy_of
from orchestrator.settings.settings import Settings
from orchestrator.tools.builtin_tools import built_in
from orchestrator.tools.host_utterances import keys_to_press, words_to_say
from orchestrator.tools.tool import Tool
from orchestrator.tools.tool_runner import MOST_THREADS, ToolRunner, tools_by_name

DIALECT = "host"
"""How journals call the caller's side of a host's conversations."""


@define(eq=False)
class Conversation:
    """A conversation that is being held. Made by `Orchestrator.conversation`.

    ```python
    async with orchestrator.conversation(MemoryTransport()) as conversation:
        async for event in conversation.events():
            if conversation.state == "LISTENING":
                conversation.end(EndReason.HANDED_OVER)
    assert (await conversation.outcome()).reason is EndReason.HANDED_OVER
    ```
    """

    id: str
    """A UUIDv7: names its journal, and its log lines as `session`."""
    _caller: TransportCaller
    _providers: Providers
    _journals: Journals | None
    state: str = field(default="INITIALIZING", init=False)
    """One of the five, for example `LISTENING`."""
    substate: str = field(default="connecting", init=False)
    """For example `hearing`."""
    _log: EventLog = field(factory=EventLog, init=False)
    _source: EventSource = field(init=False)
    _began_ms: float = field(factory=now_ms, init=False)
    _counts: Counter[type[Effect] | Outcome] = field(factory=Counter, init=False)
    _reason: EndReason | None = field(default=None, init=False)
    _outcome: ConversationOutcome | None = field(default=None, init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._source = EventSource(self._providers)

    def events(self) -> Events:
        """Everything that happens in it, from its beginning."""
        return Events(self._log)

    def say(
        self,
        text: str,
        mode: SayMode = SayMode.QUEUE,
        *,
        interruptible: bool = True,
        then: EndReason | None = None,
    ) -> None:
        """Say this to the caller, when `mode` says; in a conversation that is over, nothing is said.

        What is said comes as `AnswerText`, and is no part of the history. When more wait than
        `ConversationPolicy.max_host_utterances`, further ones are refused, which the log tells. Raises
        `ValueError` for a text without words.

        Args:
            text: what to say.
            mode: after what is being said now, at once, or when nobody speaks.
            interruptible: whether the caller's voice may cut it off.
            then: these are the last words: the conversation ends for this reason once they were heard, or
                could not be spoken. A caller who cuts them off keeps it going.
        """
        self._caller.inbox.put(words_to_say(text, mode, interruptible=interruptible, then=then))

    def send_digits(self, digits: str) -> None:
        """Press these keys of a telephone, such as `42#`: the other side hears their tones.

        They wait for what is being said and for a caller who speaks, and are not interrupted. Raises
        `ValueError` for what is no key.
        """
        self._caller.inbox.put(keys_to_press(digits))

    def interrupt(self) -> None:
        """Silence: the answer that is being made or said is cut off."""
        self._caller.inbox.put(facts.InterruptRequested())

    def end(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End it, as soon as everything is closed properly; nothing happens to one that is over."""
        self._caller.inbox.put(facts.HungUp(reason))

    async def outcome(self) -> ConversationOutcome:
        """What has become of it, when it is over. Raises `ConversationLost`."""
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
                    nursery.start_soon(self._caller.run)
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
                    self._outcome = self._ended(history)
                    nursery.cancel_scope.cancel()
        finally:
            self._log.close()
            self._over.set()

    def _known_outcome(self) -> ConversationOutcome:
        """The same of one that is known to be over."""
        if self._outcome is None:
            raise ConversationLost(f"conversation {self.id} was cancelled or failed before its end")
        return self._outcome

    def _about(self) -> About:
        names = {role: tuple(each.name for each in self._providers.of(role)) for role in Role}
        return About(self.id, DIALECT, time.time() * 1000, names)

    def _observe(self, handled: Handled) -> None:
        for event in self._source.events_of(handled, now_ms() - self._began_ms):
            self._log.add(event)
        self._counts.update(step.outcome for step in handled.steps)
        self._counts.update(type(effect) for effect in handled.effects)
        for effect in handled.effects:
            match effect:
                case do.NotifyState(target=state, substate=substate):
                    self.state, self.substate = state, substate
                case do.CloseConversation(reason=reason):
                    self._reason = reason

    async def _watch_limits(self, settings: Settings) -> None:
        """A conversation in which nothing happens, or that goes on for too long, is ended."""
        await watch_limits(
            self.end,
            lambda: self._caller.last_activity,
            idle_timeout_s=settings.session_idle_timeout_ms / 1000,
            ends_at=(self._began_ms + settings.session_max_duration_ms) / 1000,
        )

    def _ended(self, history: tuple[Message, ...]) -> ConversationOutcome:
        assert self._reason is not None, "a conversation ends by closing, for a reason"
        hearing = self._caller.audio.counts
        return ConversationOutcome(
            self._reason,
            now_ms() - self._began_ms,
            history,
            self._counts[do.NotifyAnswerStarted],
            self._counts[do.NotifyInterrupted],
            self._counts[do.NotifyClientError],
            self._counts[Outcome.REFUSED],
            hearing.received_ms,
            hearing.dropped_ms,
            self._journals.path_of(self.id) if self._journals is not None else None,
        )


@define(eq=False)
class Orchestrator:
    """Providers, and the conversations that are held with them. Made by `open_orchestrator`.

    ```python
    policy = evolve(orchestrator.policy, greeting="Hello!")
    transport = MemoryTransport()
    async with orchestrator.conversation(transport, policy=policy):
        first = await anext(transport)
    assert isinstance(first, AudioBegins)
    ```
    """

    settings: Settings
    """As it was opened with."""
    providers: Providers
    """Those that its conversations use, in order of preference."""
    policy: ConversationPolicy
    """For conversations that are given none of their own."""
    tools: tuple[Tool, ...]
    """Likewise."""
    capacity: int
    """Conversations that may be held at once."""
    _watch: ProviderWatch
    _journals: Journals | None
    _charts: Charts = Factory(charts_of_this_thread)
    _tool_threads: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(MOST_THREADS))
    _held: set[Conversation] = Factory(set)
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
        """Hold a conversation on `transport`. Leaving the block ends it properly, and waits for that.

        An exception in the block ends it at once; so does cancellation, and one that comes out of the
        transport, which then comes out of the block. Raises `OrchestratorBusy` when there is no room, and
        `ValueError` for two tools of the same name.

        Args:
            transport: the caller.
            policy: texts, delays and deadlines; `Orchestrator.policy` by default. Its `tools` are the next.
            tools: what the model may call; `Orchestrator.tools` by default.
            turn_mode: who decides that the caller has spoken: voice activity, or the transport.
            language: the caller's, for example `en-US`; `Settings.stt_language` by default.
            voice_id: the voice to speak with, in the text-to-speech provider's terms; its own by default.
        """
        self._admit()
        caller = TransportCaller(transport, turn_mode, language or self.settings.stt_language, voice_id)
        conversation = Conversation(str(uuid_utils.uuid7()), caller, self.providers, self._journals)
        toolbox = ToolRunner(self.tools if tools is None else tools, conversation.id, self._tool_threads)
        self._held.add(conversation)
        try:
            with sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(
                        conversation._run,
                        policy or self.policy,
                        toolbox,
                        self._charts,
                        self._watch,
                        self.settings,
                    )
                    yield conversation
                    conversation.end()
        finally:
            self._held.remove(conversation)

    async def until_usable(self) -> None:
        """Return when every role has a provider that is known to work.

        Conversations may be begun before; they end with `EndReason.PROVIDER_UNAVAILABLE` if none is found.
        """
        await self._watch.until_usable()

    def _admit(self) -> None:
        if self._closed:
            raise RuntimeError("the orchestrator is closed: conversations are held within its block")
        if len(self._held) >= self.capacity:
            raise OrchestratorBusy(
                f"all {self.capacity} conversations that there may be at once are being held"
            )

    async def _close(self) -> None:
        """End what is still being held, by tasks outside this orchestrator's block."""
        self._closed = True
        for conversation in self._held:
            conversation.end()
        await self._all_over()

    async def _abandon(self) -> None:
        """The same at once: what the conversations use goes now."""
        self._closed = True
        for conversation in self._held:
            conversation._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._all_over()

    async def _all_over(self) -> None:
        for conversation in tuple(self._held):
            await conversation._over.wait()


@asynccontextmanager
async def open_orchestrator(
    settings: Settings | None = None,
    *,
    providers: Providers | AbstractAsyncContextManager[Providers] | None = None,
    policy: ConversationPolicy | None = None,
    tools: Sequence[Tool] | None = None,
) -> AsyncIterator[Orchestrator]:
    """Open an orchestrator, for as long as the block lasts: providers are loaded, and probed once.

    Only what is given counts: `Settings()` are defaults, with embedded models; `load_settings()` reads the
    environment and files as `vantum serve` does. Of the settings, those on addresses, logging and
    `turn_mode` are the server's alone. Raises what loading providers raises (`ModelsError`,
    `UnknownSdkError`), `JournalError` when journals cannot be written, and `ValueError` for two tools of the
    same name.

    ```python
    from orchestrator.simulation import SimulatedProviders

    async with open_orchestrator(
        Settings(stt_language="de"), providers=SimulatedProviders().for_calls()
    ) as german:
        assert german.settings is not orchestrator.settings
    ```

    Args:
        settings: providers, texts, delays, limits, where journals are kept.
        providers: in place of those of the settings; what a block gives is closed at the end.
        policy: in place of the settings' texts, delays and deadlines.
        tools: what the model may call, in place of the settings' built-in ones.
    """
    settings = settings or Settings()
    offered = built_in(settings.tools) if tools is None else tuple(tools)
    tools_by_name(offered)
    async with AsyncExitStack() as stack:
        found = await _providers(settings, providers, stack)
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
    stack: AsyncExitStack,
) -> Providers:
    if isinstance(given, Providers):
        return given
    if given is None:
        # Vendors' SDKs take long to load, and are not needed by whoever brings providers.
        from orchestrator.providers.selection import open_providers

        given = open_providers(settings)
    return await stack.enter_async_context(given)


async def _journals(settings: Settings, stack: AsyncExitStack) -> Journals | None:
    directory = settings.journal_dir
    if directory is None:
        return None
    await trio.to_thread.run_sync(check_directory, directory)
    redacted = settings.journal_transcripts == "redacted"
    return await stack.enter_async_context(open_journals(directory, redacted=redacted, counts=Counter()))
