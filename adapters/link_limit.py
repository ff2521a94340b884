"""A limit on the links of a provider that are open at once.

It is for embedded models that are the fallback of a vendor. When the vendor fails, all its calls come to them
at once, and more calls than the computer can serve would make all of them unintelligible.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Generic, TypeGuard, TypeVar, cast, overload

from attrs import define

from adapters.interfaces import (
    Emit,
    KnowsLanguages,
    ProviderError,
    SpeechToText,
    TextToSpeech,
    Transcriber,
    Voice,
)
from machines.facts import ErrorClass

T = TypeVar("T")
P = TypeVar("P", SpeechToText, TextToSpeech)


@overload
def with_link_limit(provider: SpeechToText, limit: int) -> SpeechToText: ...
@overload
def with_link_limit(provider: TextToSpeech, limit: int) -> TextToSpeech: ...
def with_link_limit(provider: SpeechToText | TextToSpeech, limit: int) -> SpeechToText | TextToSpeech:
    """The same provider, but `open` raises `ProviderError` while `limit` of its links are open or opening."""
    links = _Limit(provider.name, limit)
    if _is_stt(provider):
        return _SpeechToText(provider, links)
    return _TextToSpeech(cast(TextToSpeech, provider), links)


def _is_stt(provider: SpeechToText | TextToSpeech) -> TypeGuard[SpeechToText]:
    return hasattr(provider, "ends_turns")


@define
class _Limit:
    name: str
    limit: int
    open: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        if self.open >= self.limit:
            raise ProviderError(ErrorClass.RATE_LIMIT, f"{self.name}: serves {self.limit} calls at most")
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


class _Limited(Generic[P]):
    def __init__(self, provider: P, links: _Limit) -> None:
        self.name = provider.name
        self._provider: P = provider
        self._links = links

    def knows(self, language: str) -> bool:
        return not isinstance(self._provider, KnowsLanguages) or self._provider.knows(language)


class _SpeechToText(_Limited[SpeechToText]):
    def __init__(self, provider: SpeechToText, links: _Limit) -> None:
        super().__init__(provider, links)
        self.ends_turns = provider.ends_turns

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        return _in(self._links, self._provider.open(emit, language))


class _TextToSpeech(_Limited[TextToSpeech]):
    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        return _in(self._links, self._provider.open(language))


@asynccontextmanager
async def _in(links: _Limit, link: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    with links.one():
        async with link as opened:
            yield opened
