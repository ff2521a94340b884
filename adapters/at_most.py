"""A bound on how many calls a provider serves at once.

For embedded models that stand in for a vendor: when the vendor dies, its calls come to them all at once, and
more than the machine can serve would make all of them unintelligible.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeGuard, TypeVar, cast, overload

from attrs import define

from adapters.interfaces import Emit, ProviderError, SpeechToText, TextToSpeech, Transcriber, Voice
from machines.facts import ErrorClass

T = TypeVar("T")


@overload
def at_most(provider: SpeechToText, limit: int) -> SpeechToText: ...
@overload
def at_most(provider: TextToSpeech, limit: int) -> TextToSpeech: ...
def at_most(provider: SpeechToText | TextToSpeech, limit: int) -> SpeechToText | TextToSpeech:
    """The same provider, but `open` raises `ProviderError` while `limit` of its links are open or opening."""
    places = _Places(provider.name, limit)
    if _listens(provider):
        return _SpeechToText(provider, places)
    return _TextToSpeech(cast(TextToSpeech, provider), places)


def _listens(provider: SpeechToText | TextToSpeech) -> TypeGuard[SpeechToText]:
    return hasattr(provider, "ends_turns")


@define
class _Places:
    name: str
    limit: int
    taken: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        if self.taken >= self.limit:
            raise ProviderError(ErrorClass.RATE_LIMIT, f"{self.name}: serves {self.limit} calls at most")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class _SpeechToText:
    def __init__(self, provider: SpeechToText, places: _Places) -> None:
        self.name = provider.name
        self.ends_turns = provider.ends_turns
        self._provider = provider
        self._places = places

    def open(self, emit: Emit, language: str) -> AbstractAsyncContextManager[Transcriber]:
        return _in(self._places, self._provider.open(emit, language))


class _TextToSpeech:
    def __init__(self, provider: TextToSpeech, places: _Places) -> None:
        self.name = provider.name
        self._provider = provider
        self._places = places

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        return _in(self._places, self._provider.open(language))


@asynccontextmanager
async def _in(places: _Places, link: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    with places.one():
        async with link as opened:
            yield opened
