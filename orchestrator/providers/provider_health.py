"""The health of the providers: a circuit breaker for each, the probes that it asks for, and notifications.

Conversations report failures and answers (`failed`, `doubted`, `answered`) and read which providers are down
(`down`). None of these methods blocks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, assert_never, cast

import trio
from attrs import Factory, define, evolve

from adapters.interfaces import Emit, LanguageModel, ProviderError, SpeechToText, TextToSpeech
from adapters.logs import library_logger
from adapters.neutral import without_passwords
from adapters.tasks import Signal, first_error
from machines import breaker
from machines.breaker import Breaker, BreakerContext, BreakerPolicy
from machines.driver import Driver
from machines.effects import Effect
from machines.facts import (
    ErrorClass,
    Fact,
    ProviderDown,
    ProviderFailure,
    ProviderRecovered,
    Role,
)
from orchestrator.clock import now_ms
from orchestrator.providers.provider_chain import Provider, Providers

log = library_logger(__name__)

DOWN = "OPEN"
USABLE = ("CLOSED", "SUSPECT")
"""States of the breaker."""


@define(eq=False)
class _Watched:
    """One provider and its breaker."""

    role: Role
    place: int
    """Its index in the order of preference."""
    provider: Provider
    driver: Driver[BreakerContext]
    deadline: tuple[int, float] | None = None
    """The armed one: its number, and when it passes, in seconds of Trio's clock."""
    first_probe_ended: trio.Event = Factory(trio.Event)


class ProviderWatch:
    """The health of all providers of one process.

    Unless `run` runs, nothing is probed, and no provider counts as down, whatever conversations report.

    Args:
        providers: the providers to watch.
        random: draws the jitter of waits.
        policy: the policy of the breakers.
        language: the language with which speech providers are probed: that of callers who state none.
        chart: the breakers' chart, if it is shared in this thread; by default, a new one is made.
    """

    def __init__(
        self,
        providers: Providers,
        random: Random,
        policy: BreakerPolicy | None = None,
        *,
        language: str = "en-US",
        chart: Breaker | None = None,
    ) -> None:
        self._random = random
        self._policy = policy or BreakerPolicy()
        self._language = language
        chart = chart or Breaker(BreakerContext(self._policy))
        self._watched = {
            role: tuple(
                _Watched(role, place, provider, self._breaker(chart, role, place))
                for place, provider in enumerate(providers.of(role))
            )
            for role in Role
        }
        self._listeners: set[_Listener] = set()
        self._nursery: trio.Nursery | None = None
        self._deadlines_changed = Signal()
        self._recovered = Signal()

    def _breaker(self, chart: Breaker, role: Role, place: int) -> Driver[BreakerContext]:
        name = f"{role.value} breaker {place}"
        context = BreakerContext(self._policy)
        return Driver(name, chart, context, breaker.ArmBreakerDeadline, breaker.DisarmBreakerDeadline)

    # --- for conversations --------------------------------------------------------------------------------

    def failed(self, role: Role, provider: int, failure: ProviderFailure) -> None:
        """A conversation could not use the provider, or could no longer use it."""
        self._take(self._watched[role][provider], breaker.ProviderFailed(failure, self._random.random()))

    def doubted(self, role: Role, provider: int, failure: ProviderFailure) -> None:
        """A conversation got nothing of use from the provider, perhaps for what it asked."""
        self._take(self._watched[role][provider], breaker.ProviderDoubted(failure))

    def answered(self, role: Role, provider: int) -> None:
        """The provider did its work: it gave a transcript, a first token, a synthesized segment."""
        self._take(self._watched[role][provider], breaker.ProviderAnswered())

    def down(self, role: Role) -> frozenset[int]:
        """The role's providers that are known to be down and should not be tried."""
        return frozenset(each.place for each in self._watched[role] if each.driver.room == DOWN)

    @contextmanager
    def listening(self, emit: Emit) -> Iterator[None]:
        """While the block runs, call `emit` with a `ProviderDown` or `ProviderRecovered` on every change."""
        listener = _Listener(emit)
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    # --- for the server -----------------------------------------------------------------------------------

    def usable(self, role: Role) -> bool:
        """Whether a provider of the role is known to work, or did until recently."""
        return any(each.driver.room in USABLE for each in self._watched[role])

    async def until_usable(self) -> None:
        """Return when every role has a usable provider."""
        while not all(self.usable(role) for role in Role):
            await self._recovered.wait()

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """For `/health`: by role, the providers in order of preference, without keys."""
        return {role.value: [self._report(each) for each in self._watched[role]] for role in Role}

    def _report(self, watched: _Watched) -> dict[str, Any]:
        context = watched.driver.context
        failure, deadline = context.last_failure, watched.deadline
        return {
            "name": watched.provider.name,
            "state": watched.driver.room.lower(),
            "failures": context.failures,
            "lastError": None
            if failure is None
            else {"class": failure.error_class.value, "message": without_passwords(failure.message)},
            "nextProbeInSeconds": None
            if deadline is None
            else round(max(0.0, deadline[1] - trio.current_time()), 3),
        }

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Probe the providers that are not known to work, until cancelled. No task outlives this.

        Reports as started when every provider was probed once, after one probe timeout at most. By then the
        SDKs have made what they make on first use (clients, TLS contexts, name look-ups).
        """
        async with trio.open_nursery() as self._nursery:
            try:
                every = [each for watched in self._watched.values() for each in watched]
                for each in every:
                    self._take(each, breaker.WatchBegan())
                self._nursery.start_soon(self._keep_time, every)
                with trio.move_on_after(self._policy.probe_timeout_ms / 1000):
                    for each in every:
                        await each.first_probe_ended.wait()
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    # --- the breakers -------------------------------------------------------------------------------------

    def _take(self, watched: _Watched, fact: Fact) -> None:
        step = watched.driver.handle(_at(fact))
        for effect in step.effects:
            self._perform(watched, effect)

    def _perform(self, watched: _Watched, effect: Effect) -> None:
        match effect:
            case breaker.ArmBreakerDeadline(number=number, delay_ms=delay_ms):
                watched.deadline = (number, trio.current_time() + delay_ms / 1000)
                self._deadlines_changed.wake_all()
            case breaker.DisarmBreakerDeadline():
                watched.deadline = None
            case breaker.Probe(probe=number):
                if self._nursery is not None:
                    self._nursery.start_soon(self._probe, watched, number)
            case breaker.NotifyDown():
                self._log(watched, "provider is down")
                self._notify_listeners(ProviderDown(watched.role, watched.place))
            case breaker.NotifyRecovered():
                self._log(watched, "provider works")
                self._recovered.wake_all()
                self._notify_listeners(ProviderRecovered(watched.role, watched.place))

    def _notify_listeners(self, fact: Fact) -> None:
        for listener in tuple(self._listeners):
            listener.emit(fact)

    def _log(self, watched: _Watched, what: str) -> None:
        log.info(what, role=watched.role.value, provider=watched.provider.name, place=watched.place)

    async def _keep_time(self, every: list[_Watched]) -> None:
        while True:
            with trio.CancelScope(deadline=min(map(_passes_at, every))):
                await self._deadlines_changed.wait()
            for watched in every:
                if watched.deadline is not None and watched.deadline[1] <= trio.current_time():
                    number, watched.deadline = watched.deadline[0], None
                    self._take(watched, breaker.BreakerDeadlinePassed(number))

    # --- probes -------------------------------------------------------------------------------------------

    async def _probe(self, watched: _Watched, number: int) -> None:
        """Find out whether the provider can be reached and accepts us. Any error counts as an answer."""
        failure = await self._failure_of(watched)
        if failure is None:
            self._take(watched, breaker.ProbeSucceeded(number))
        else:
            # Only whoever starts the server waits for a probe, and only for the first one.
            level = logging.INFO if watched.first_probe_ended.is_set() else logging.WARNING
            log.log(
                level,
                "probe failed",
                role=watched.role.value,
                provider=watched.provider.name,
                error=failure.message,
                error_class=failure.error_class.value,
            )
            self._take(watched, breaker.ProbeFailed(number, failure, self._random.random()))
        watched.first_probe_ended.set()

    async def _failure_of(self, watched: _Watched) -> ProviderFailure | None:
        timeout_s = self._probe_timeout_ms(watched) / 1000
        found: list[ProviderFailure] = []
        usable = trio.Event()
        try:
            with trio.move_on_after(timeout_s):
                await self._use(watched, usable)
        except* ProviderError as group:
            error = first_error(group)
            assert isinstance(error, ProviderError)
            found.append(error.failure)
        except* Exception as group:
            log.exception("probe broke", provider=watched.provider.name, exc_info=group)
            found.append(ProviderFailure(ErrorClass.TRANSIENT, "the probe broke: internal error"))
        if found:
            return found[0]
        if not usable.is_set():
            message = f"{watched.provider.name}: not usable within {timeout_s:g} s"
            return ProviderFailure(ErrorClass.TIMEOUT, message)
        return None

    def _probe_timeout_ms(self, watched: _Watched) -> float:
        first = watched.role is Role.LLM and not watched.first_probe_ended.is_set()
        return self._policy.first_llm_probe_timeout_ms if first else self._policy.probe_timeout_ms

    async def _use(self, watched: _Watched, usable: trio.Event) -> None:
        """Do what a conversation does first with the provider. The time to close counts, too."""
        match watched.role:
            case Role.STT:
                stt = cast(SpeechToText, watched.provider)
                async with stt.open(_ignore, self._language):
                    usable.set()
            case Role.LLM:
                await cast(LanguageModel, watched.provider).check()
                usable.set()
            case Role.TTS:
                async with cast(TextToSpeech, watched.provider).open(self._language):
                    usable.set()
            case _:
                assert_never(watched.role)


@define(eq=False)
class _Listener:
    """A conversation that is notified of changes."""

    emit: Emit


def _at(fact: Fact) -> Fact:
    return evolve(fact, at_ms=now_ms())


def _passes_at(watched: _Watched) -> float:
    return math.inf if watched.deadline is None else watched.deadline[1]


def _ignore(fact: Fact) -> None:
    """A probe sends no audio, so that its transcripts mean nothing."""
