"""The language model behind any server with OpenAI's chat interface, asked through OpenAI's SDK.

We read the bytes of its responses ourselves (`events`, `normalized_chunk`, `markup`, `answer`). The SDK's
typed stream takes twenty times the CPU for each token (150 µs against 8 µs), and does not understand servers
that differ from OpenAI.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
import trio
from attrs import evolve, frozen

from adapters import http_clients
from adapters.interfaces import Product, ProviderError, TokensUsed, ToolSpec
from adapters.logs import library_logger
from adapters.openai.answer import Answer
from adapters.openai.dialect import Amendment, Dialect, Ends, amend
from adapters.openai.errors import CAUGHT, LIMIT_REACHED, is_too_long, provider_error
from adapters.openai.messages import Form, called_tools, message_params, tool_params
from adapters.openai.streamed_calls import MadeCall
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.tools import ToolCall

log = library_logger(__name__)

_CONNECT_SECONDS = 5.0
_GAP_SECONDS = 60.0
"""The longest silence within an answer. The conversation's own deadlines are much shorter."""
_CHECK_SECONDS = 5.0
_LOAD_SECONDS = 60.0
"""For the first question after the start: some servers load a model at the first request."""
_CHECK_TOKENS = 16
"""The lowest limit that OpenAI accepts for its current models."""
_REHEARSAL_PIECES = 256
"""So many pieces of that answer are read: enough to see a thought end, which shows whether the model's
template has begun it."""
_CHECK_EVERY_SECONDS = 60.0
"""A server without a list of models is asked at most one question in this time."""
_SETTLED_SECONDS = 0.1
"""How long we wait for the end of a response after the end of its answer, so that the connection can be used
again."""
_PATIENCE_SECONDS = 2.0
_AFTER_END_SECONDS = {Ends.UNKNOWN: 1.0, Ends.OPEN: _SETTLED_SECONDS, Ends.EARLY: _PATIENCE_SECONDS}
"""How long we wait for more of an answer, or the end of its response, once there is a reason for its end.
Only its end waits: what has come is given at once."""
_ENDLESS_ANSWERS = 2
"""After so many answers in a row without a word about their end, none is expected."""
_NO_MODEL_LIST = frozenset({400, 403, 404, 405, 501})
"""Statuses of a server without a list of models. 403: the key may ask questions, and nothing else."""
_MOST_AMENDMENTS = 4
"""How often one request is amended."""
_REMEMBERED = 1024
"""How many calls with something attached, and how many offers of tools."""

Prepare = Callable[[Sequence[Message]], Sequence[Message]]
"""Chooses and changes the messages of a conversation as the model requires. A message keeps its calls."""


def http_client(*, reuse_connections: bool = True) -> httpx2.AsyncClient:
    """The HTTP client for all language models of a process. Whoever makes it closes it (`async with`)."""
    idle_connections = 50 if reuse_connections else 0
    return http_clients.http_client(
        limits=httpx2.Limits(
            max_connections=200, max_keepalive_connections=idle_connections, keepalive_expiry=30
        ),
        timeout=httpx2.Timeout(_GAP_SECONDS, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
    )


def _as_it_is(messages: Sequence[Message]) -> Sequence[Message]:
    return messages


@frozen
class Rehearsal:
    """The first messages of a call, and the tools it offers. `check` asks them to see whether calls work."""

    messages: Sequence[Message] = (Message(Speaker.USER, "Hi"),)
    tools: Sequence[ToolSpec] = ()


class OpenAILanguageModel:
    """A model of a server with OpenAI's interface. `base_url` goes up to and including its `/v1`.

    `api_key` may be empty for a server that wants none. OpenAI charges `organization`. Parameters that are
    None, or neutral (`top_p` 1, penalties 0), are not sent, so that the server's own defaults apply. Those
    named in `omit` are not sent either; `rename` sends some under other names. `extra_body` holds more fields
    of the request.

    If the server refuses a part of a request, the model repeats the request without that part, and leaves it
    out of all later ones.

    With a `rehearsal`, the first `check` asks the question that a call would ask. Without, it asks for the
    list of models. `prefill`: the server continues an answer that stands as the last message.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        base_url: str,
        model: str,
        api_key: str = "",
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        reasoning_effort: str | None = None,
        omit: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        extra_body: Mapping[str, object] | None = None,
        prepare: Prepare = _as_it_is,
        prefill: bool = False,
        rehearsal: Rehearsal | None = None,
        organization: str | None = None,
        name: str = "openai",
    ) -> None:
        self.name = name
        self.product = Product(_seller(base_url), model)
        """As `IsSold.product`."""
        self.ignored_messages = 0
        """Well-formed messages in streams that are neither a chunk of an answer nor an error."""
        self._key = api_key
        # The SDK requires a key. A server that wants none ignores it.
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",
            organization=organization,
            base_url=base_url,
            http_client=http,
            max_retries=0,
        )
        self._model = model
        self._max_tokens = max_tokens
        wanted = {
            "temperature": temperature,
            "top_p": None if top_p == 1 else top_p,
            "frequency_penalty": frequency_penalty or None,
            "presence_penalty": presence_penalty or None,
            "reasoning_effort": reasoning_effort,
        }
        self._parameters = {name: value for name, value in wanted.items() if value is not None}
        self._extra_body = dict(extra_body or {})
        self._prepare = prepare
        self._rehearsal = rehearsal
        self._dialect = Dialect(Form(prefill=prefill), frozenset(omit), dict(rename or {}))
        self._learnt: list[str] = []
        self._answered_at: float | None = None
        """When the server last took a question, in seconds of Trio's clock."""
        self._refuses = False
        """The last question brought nothing, as it may be with all others: the next check asks one."""
        self._attached: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        """What the server wants to see again with a call, by the call's id."""
        self._offers: OrderedDict[tuple[str, ...], Sequence[ToolSpec]] = OrderedDict()
        """Tools that were offered together, by their names."""
        self._ids = 0
        self._endless = 0
        """How many answers in a row ended with their response, without a word about it."""

    @property
    def learnt(self) -> tuple[str, ...]:
        """How requests to this model at this address must differ, in words."""
        return tuple(self._learnt)

    def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[str | ToolCall]]:
        """As `LanguageModel.generate`. Empty pieces: the model thinks, or writes a call.

        If the last message is the assistant's and has no calls, the model continues it, and may have nothing
        left to say. Otherwise an answer without text or calls is an error. A model without tools answers as
        if none were offered.
        """
        begun = messages[-1:] and messages[-1].speaker is Speaker.ASSISTANT and not messages[-1].calls
        return self._generate(messages, tools, self._max_tokens, self._extra_body, may_be_empty=bool(begun))

    # --- checking -----------------------------------------------------------------------------------------

    async def check(self) -> None:
        """As `LanguageModel.check`.

        The first check with a rehearsal asks a question as a call would, and reads how its answer begins. It
        may take 60 s, while the server loads the model. After a refusal that all calls may get, or an empty
        answer, checks ask a question until one is answered. Others ask for the list of models, or, if the
        server does not give us one, a question, at most once a minute. They take at most 5 s.
        """
        if self._refuses:
            await self._ask_a_little(_CHECK_SECONDS, _CHECK_TOKENS)
        elif self._rehearsal is not None and self._answered_at is None:
            await self._ask_a_little(_LOAD_SECONDS, self._max_tokens)
        elif not await self._models_listed():
            at = self._answered_at
            if at is None or trio.current_time() - at >= _CHECK_EVERY_SECONDS:
                await self._ask_a_little(_CHECK_SECONDS, _CHECK_TOKENS)

    async def _models_listed(self) -> bool:
        """Ask for the list of models, without reading it. False if the server does not give us one."""
        with trio.move_on_after(_CHECK_SECONDS):
            try:
                await self._client.models.with_raw_response.list()
            except openai.APIStatusError as error:
                if error.status_code in _NO_MODEL_LIST:
                    return False
                raise provider_error(self.name, error, self._key) from None
            except CAUGHT as error:
                raise provider_error(self.name, error, self._key) from None
            return True
        raise self._late(_CHECK_SECONDS)

    async def _ask_a_little(self, seconds: float, tokens: int | None) -> None:
        asked = self._rehearsal or Rehearsal()
        with trio.move_on_after(seconds):
            try:
                await self._read_little(
                    asked.messages, asked.tools, tokens, self._extra_body, may_be_empty=not self._refuses
                )
            except ProviderError as error:
                well = error.failure.error_class in (ErrorClass.REFUSED_TEXT, ErrorClass.LIMIT_SPENT)
                if not well and LIMIT_REACHED not in error.failure.message:
                    raise
            self._answered_at, self._refuses = trio.current_time(), False
            return
        raise self._late(seconds)

    def _late(self, seconds: float) -> ProviderError:
        return ProviderError(ErrorClass.TIMEOUT, f"{self.name}: no answer within {seconds:.0f} s")

    async def warm_up(self, messages: Sequence[Message], **extra_body: object) -> None:
        """Have the server read the messages and generate next to nothing. Raises `ProviderError`."""
        await self._read_little(messages, (), 1, {**self._extra_body, **extra_body})

    async def _read_little(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        max_tokens: int | None,
        extra_body: Mapping[str, object],
        *,
        may_be_empty: bool = True,
    ) -> None:
        read = 0
        asked = self._generate(messages, tools, max_tokens, extra_body, may_be_empty=may_be_empty)
        async with asked as pieces:
            async for _ in pieces:
                read += 1
                if read >= _REHEARSAL_PIECES:
                    break

    # --- asking -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _generate(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        max_tokens: int | None,
        extra_body: Mapping[str, object],
        *,
        may_be_empty: bool = False,
    ) -> AsyncIterator[AsyncIterator[str | ToolCall]]:
        if tools:
            _remember(self._offers, tuple(tool.name for tool in tools), tools)
        parameters = {**self._parameters, **({} if max_tokens is None else {"max_tokens": max_tokens})}
        try:
            async with AsyncExitStack() as stack:
                response = await self._ask(stack, messages, tools, parameters, extra_body)
                answer = Answer(
                    self.name,
                    self._key,
                    offered={tool.name: tool for tool in tools},
                    limit=max_tokens,
                    begins_in_thought=self._dialect.begins_in_thought,
                    new_id=self._new_id,
                    note_ignored=self._note_ignored,
                    may_be_empty=may_be_empty,
                    says_no_end=self._dialect.says_no_end,
                )
                patience = _AFTER_END_SECONDS[self._dialect.ends]
                pieces = _Pieces(
                    self.name, self._key, response.iter_bytes(), answer, self._note_answer, patience
                )
                yield pieces
                await pieces.drain()
        except CAUGHT as error:
            refused = provider_error(self.name, error, self._key)
            self._note_refusal(refused)
            # Drop the cause: the SDK's exceptions hold the request, and so the key.
            raise refused from None
        except ProviderError as error:
            self._note_refusal(error)
            raise

    def _note_refusal(self, error: ProviderError) -> None:
        """A server whose credit is used up still lists its models: the next check asks as a call does."""
        kind = error.failure.error_class
        self._refuses = self._refuses or kind.refuses_everybody or kind.casts_doubt

    async def _ask(
        self,
        stack: AsyncExitStack,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        parameters: Mapping[str, Any],
        extra_body: Mapping[str, object],
    ) -> Any:
        """The response. Each refusal that says what to change leads to another attempt."""
        sent = self._prepare(messages)
        for attempt in range(_MOST_AMENDMENTS + 1):
            dialect = self._dialect
            request = self._request(sent, tools, parameters, dialect)
            told = request.pop("messages")
            create = self._client.chat.completions.with_streaming_response.create(
                model=self._model,
                messages=told,
                stream=dialect.streams,
                extra_body={**request, **extra_body} or None,
            )
            try:
                return await stack.enter_async_context(create)
            except openai.APIStatusError as error:
                if attempt == _MOST_AMENDMENTS:
                    raise
                # Before `amend`, since such a refusal often names `max_tokens` too.
                if is_too_long(error) and len(shorter := _halved(sent)) < len(sent):
                    log.warning(
                        "history is too long for the model",
                        provider=self.name,
                        left_out=len(sent) - len(shorter),
                    )
                    sent = shorter
                    continue
                amended = amend(dialect, {**request, "messages": told}, error.status_code, error.body)
                if amended is None:
                    raise
                self._learn(amended)
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        parameters: Mapping[str, Any],
        dialect: Dialect,
    ) -> dict[str, Any]:
        fields: dict[str, Any] = {"messages": message_params(messages, dialect.form, self._extras)}
        choice = {}
        if not tools and (called := called_tools(messages)):
            # Servers refuse a history with calls in a request without tools.
            tools, choice = self._offered_before(called), {"tool_choice": "none"}
        if tools and dialect.form.tools:
            fields |= {"tools": tool_params(tools), **dialect.parameters(choice)}
        told = {"stream_options": {"include_usage": True}} if dialect.streams else {}
        return fields | dialect.parameters({**told, **parameters})

    def _offered_before(self, called: Sequence[str]) -> Sequence[ToolSpec]:
        """The newest offer with all of these tools; without one, tools that have only these names."""
        for names in reversed(self._offers):
            if set(called) <= set(names):
                return self._offers[names]
        return [ToolSpec(name, "", {}) for name in called]

    def _learn(self, amended: Amendment) -> None:
        self._dialect = amended.dialect
        self._note_learnt(amended.learnt)

    def _note_learnt(self, what: str) -> None:
        if what not in self._learnt:
            self._learnt.append(what)
            log.warning("learnt about a language model", provider=self.name, model=self._model, it=what)

    # --- what we remember of answers ----------------------------------------------------------------------

    def _extras(self, identity: str) -> Mapping[str, Any]:
        return self._attached.get(identity, {})

    def _new_id(self, position: int) -> str:
        del position  # one numbering for the process: later requests name the call, too
        self._ids += 1
        return f"call_{self._ids}"

    def _note_ignored(self) -> None:
        self.ignored_messages += 1

    def _note_answer(self, answer: Answer, calls: Sequence[MadeCall]) -> None:
        """Remember what an answer that is over has shown of the model."""
        self._answered_at, self._refuses = trio.current_time(), False
        if answer.beyond_bound:
            log.warning("an answer was longer than an answer may be", provider=self.name)
        elif answer.was_cut_off and answer.limit == self._max_tokens:
            log.warning("an answer was cut off", provider=self.name, llm_max_tokens=self._max_tokens)
        if answer.began_in_thought is not self._dialect.begins_in_thought:
            self._dialect = evolve(self._dialect, begins_in_thought=answer.began_in_thought)
            if answer.began_in_thought:
                self._note_learnt("begins its answers within a thought: nothing is said until it ends")
        self._note_end(answer)
        for made in calls:
            attached = {"extra_content": made.extra} if made.extra else {}
            if made is calls[0] and answer.reasoning:
                attached["reasoning_content"] = answer.reasoning
            if attached:
                _remember(self._attached, made.call.id, attached)

    def _note_end(self, answer: Answer) -> None:
        """Remember how the server shows that an answer ends."""
        ends = self._dialect.ends
        if answer.more_followed and ends is not Ends.EARLY:
            self._dialect = evolve(self._dialect, ends=Ends.EARLY)
            self._note_learnt(
                "gives a reason to end before the end: its answers are waited for a little longer"
            )
        elif answer.left_open and ends is Ends.UNKNOWN:
            self._dialect = evolve(self._dialect, ends=Ends.OPEN)
            self._note_learnt("leaves responses open after the end of their answers: they are not waited for")
        self._endless = 0 if answer.said_its_end else self._endless + 1
        says_no_end = self._endless >= _ENDLESS_ANSWERS
        if says_no_end is not self._dialect.says_no_end:
            self._dialect = evolve(self._dialect, says_no_end=says_no_end)
            if says_no_end:
                self._note_learnt("does not say when an answer ends: it ends with its response")


class _Pieces:
    """An answer as it comes: its text, piece by piece, then its calls."""

    def __init__(
        self,
        provider: str,
        key: str,
        data: AsyncIterator[bytes],
        answer: Answer,
        note_answer: Callable[[Answer, Sequence[MadeCall]], None],
        patience: float,
    ) -> None:
        self._provider = provider
        self._key = key
        self._data = data
        self._answer = answer
        self._note_answer = note_answer
        self._patience = patience
        """Seconds that the end of an answer is waited for after the reason for it."""
        self._since = 0.0
        self._waits_after: tuple[int, bool] | None = None
        """When this wait began, and after how much of the answer."""
        self._ready: deque[str | ToolCall] = deque()
        self._finished = False
        self._ended = False
        """The response is over, or we stopped reading it."""

    @property
    def used(self) -> TokensUsed | None:
        """As `CountsTokens.used`."""
        return self._answer.used

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> str | ToolCall:
        while not self._ready and not self._answer.over:
            self._ready.extend(await self._read())
        if not self._ready and not self._finished:
            self._finished = True
            self._ready.extend(self._answer.last_pieces())
            if self._answer.failure is None:
                calls = self._answer.calls()
                self._note_answer(self._answer, calls)
                self._ready.extend(made.call for made in calls)
        if self._ready:
            return self._ready.popleft()
        if self._answer.failure is not None:
            raise self._answer.failure
        raise StopAsyncIteration

    async def drain(self) -> None:
        """For a moment, read what the server sends after a complete answer, instead of hanging up."""
        if self._ended or not self._answer.over or self._answer.failure is not None:
            return
        with trio.move_on_after(_SETTLED_SECONDS):
            try:
                async for _ in self._data:
                    pass
            except CAUGHT:
                return  # The answer is complete; only the connection is lost.

    async def _read(self) -> list[str]:
        if not self._answer.complete:
            return await self._next()
        settled = self._answer.settled
        if self._waits_after != (self._answer.amount, settled):
            self._since, self._waits_after = trio.current_time(), (self._answer.amount, settled)
        patience = _PATIENCE_SECONDS if self._answer.lacks_content else self._patience
        with trio.move_on_at(self._since + (_SETTLED_SECONDS if settled else patience)):
            return await self._next()
        self._ended = True
        return self._answer.wait_no_longer()

    async def _next(self) -> list[str]:
        try:
            data = await anext(self._data, None)
        except CAUGHT as error:
            data = None
            if isinstance(error, http_clients.BodyTooLong):
                self._answer.cut()
            if not self._answer.complete:
                self._answer.break_off(provider_error(self._provider, error, self._key))
        if data is not None:
            return self._answer.feed(data)
        self._ended = True
        return self._answer.end()


K = TypeVar("K")
V = TypeVar("V")


def _remember(memory: OrderedDict[K, V], name: K, value: V) -> None:
    """Add an entry; drop the oldest if there are too many."""
    memory[name] = value
    memory.move_to_end(name)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _seller(base_url: str) -> str:
    """The host of a server that models are asked at."""
    return urlsplit(base_url).hostname or ""


def _halved(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages without the older half of the exchanges before the last. The system message stays."""
    system = [message for message in messages[:1] if message.speaker is Speaker.SYSTEM]
    users = [at for at, message in enumerate(messages) if message.speaker is Speaker.USER]
    return [*system, *messages[users[(len(users) + 1) // 2] :]] if len(users) > 1 else messages
