"""Text to speech by Cartesia over one warm WebSocket per call, on Cartesia's SDK.

Every answer is a context of its own (`stream.py`). One task reads the messages and delivers them by context.
A context that is left early is cancelled at Cartesia; messages that still come for it are dropped and
counted.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import trio
from attrs import define

from adapters import vendor_errors
from adapters.cartesia import BASE_URL
from adapters.cartesia import sdk as cartesia_sdk
from adapters.cartesia.stream import CartesiaSettings, CartesiaSpeechStream, reported
from adapters.interfaces import Product, ProviderError, SpeechStream, Voice
from adapters.vendor_errors import BROKEN, BROKEN_ON_SENDING, CARTESIA
from adapters.vendor_socket import OpenStream, SocketLimits, VendorSocket, alive_with, open_vendor_socket
from machines.language.tags import primary_language

SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Hz. The rates of Cartesia's raw output (`RawOutputFormatParam` in SDK 4.2)."""

LANGUAGES = frozenset(
    {"ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "gu", "he", "hi", "hr", "hu", "id"}
    | {"it", "ja", "ka", "kn", "ko", "ml", "mr", "ms", "nl", "no", "or", "pa", "pl", "pt", "ro", "ru", "sk"}
    | {"sv", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh"}
)
"""The languages of Cartesia's voices (`SupportedLanguage` in SDK 4.2)."""
_ALSO_CALLED = {"nb": "no", "nn": "no", "fil": "tl", "iw": "he", "in": "id", "multi": ""}

_REHEARSED = "OK."

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class CartesiaTextToSpeech:
    """Cartesia's WebSocket interface. Construct it in a worker thread, since that takes about a second.

    `base_url` begins with `https`, `http`, `wss` or `ws`. Raises `ValueError` for another one, and
    `UnknownSdkError` for an unknown SDK.
    """

    name = "cartesia"

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        settings: CartesiaSettings | None = None,
        limits: SocketLimits | None = None,
        open_stream: OpenStream = trio.open_tcp_stream,
    ) -> None:
        self._key = api_key
        self._settings = settings or CartesiaSettings()
        self.product = Product("cartesia", self._settings.model)
        """As `IsSold.product`."""
        self._limits = limits or SocketLimits()
        self._open_stream = open_stream
        self._client = cartesia_sdk.make_client(api_key, base_url)
        self._url = cartesia_sdk.socket_url(self._client)
        self._refusal = _Refusal()

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`. Callers who mix languages hear the voice's own."""
        return cartesia_language(language) in (*LANGUAGES, "")

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        """As `TextToSpeech.open`. Without a `language` Cartesia's own default applies."""
        return self._open(language)

    @asynccontextmanager
    async def _open(self, language: str) -> AsyncIterator[Voice]:
        async with AsyncExitStack() as stack:
            connection = open_vendor_socket(
                self._url,
                cartesia_sdk.headers(self._client),
                limits=self._limits,
                open_stream=self._open_stream,
            )
            try:
                socket = await stack.enter_async_context(connection)
            except BROKEN as error:
                raise vendor_errors.broken(CARTESIA, error, self._key) from None
            voice = CartesiaVoice(socket, self._settings, language, self._key, self._refusal)
            async with alive_with(voice.receive_forever):
                if self._refusal.standing:
                    await voice.rehearse()
                yield voice


@define
class _Refusal:
    """What all links of the process know."""

    standing: bool = False
    """Cartesia has refused an answer as it would refuse any: no credit, no such model. It opens links
    nevertheless, so that a link is tried out before it is used, until an answer is spoken."""


class CartesiaVoice:
    """A text-to-speech link of one conversation."""

    def __init__(
        self, socket: VendorSocket, settings: CartesiaSettings, language: str, key: str, refusal: _Refusal
    ) -> None:
        self.dropped_messages = 0
        """Counts messages of contexts that were left or never begun, mostly late audio."""
        self.ignored_messages = 0
        """Counts messages that are not as the SDK documents."""
        self.settings = settings
        self.language = cartesia_language(language)
        self.key = key
        self.has_spoken = False
        """Audio has come over it."""
        self._sdk = cartesia_sdk.connection_over(socket)
        self._streams: dict[str, CartesiaSpeechStream] = {}
        """The streams, by context id."""
        self._failure: ProviderError | None = None
        self._refusal = refusal

    async def rehearse(self) -> None:
        """Have a word spoken, which nobody hears. Raises `ProviderError`."""
        async with self.speak(SAMPLE_RATES[0], None) as stream:
            await stream.say(0, _REHEARSED)
            await stream.end()
            async for _ in stream:
                break
        self._refusal.standing = False

    def note_refusal(self, error: ProviderError) -> None:
        """As `Connection.note_refusal`."""
        if error.failure.error_class.refuses_everybody:
            self._refusal.standing = True

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        """As `Voice.speak`, at `sample_rate` if it is one of `SAMPLE_RATES`, else at the next higher one."""
        self.check()
        rate = next((rate for rate in SAMPLE_RATES if rate >= sample_rate), SAMPLE_RATES[-1])
        known = voice_id if voice_id and _UUID.fullmatch(voice_id) else self.settings.voice_id
        stream = CartesiaSpeechStream(self, rate, known)
        try:
            yield stream
        finally:
            await stream.leave()

    def check(self) -> None:
        """Raise the failure that ended the connection, if one did."""
        if self._failure is not None:
            failure = self._failure.failure
            raise ProviderError(
                failure.error_class, failure.message, failure.retry_after_ms, idle=failure.idle
            )

    def register(self, context_id: str, stream: CartesiaSpeechStream) -> None:
        """Messages of this context go to this stream from now on."""
        self._streams[context_id] = stream

    def forget(self, context_id: str) -> None:
        """Messages of this context are dropped from now on."""
        self._streams.pop(context_id, None)

    async def request(self, event: dict[str, object]) -> None:
        """Send through the SDK. Raises `ProviderError`."""
        self.check()
        try:
            await self._sdk.send(event)
        except BROKEN_ON_SENDING as error:
            raise vendor_errors.broken(CARTESIA, error, self.key) from None

    async def receive_forever(self) -> None:
        """Deliver Cartesia's messages until the connection ends. Raises `ProviderError`."""
        try:
            while True:
                self._receive(await self._next_event())
        except BROKEN as error:
            as_failure = vendor_errors.broken if self._streams else vendor_errors.closed_idle
            self._fail(as_failure(CARTESIA, error, self.key))
        except ProviderError as error:
            self._fail(error)
        self.check()

    async def _next_event(self) -> object:
        """The next message, parsed by the SDK; None if it is not a JSON object."""
        data = await self._sdk.recv_bytes()
        try:
            return self._sdk.parse_event(data)
        except (ValueError, TypeError, AttributeError):
            return None

    def _receive(self, event: object) -> None:
        context_id, kind = getattr(event, "context_id", None), getattr(event, "type", None)
        if not isinstance(kind, str):
            self.ignored_messages += 1
        elif isinstance(context_id, str):
            stream = self._streams.get(context_id)
            if stream is None:
                self.dropped_messages += 1
            elif not stream.process(context_id, kind, event):
                self.ignored_messages += 1
        elif kind == "error":
            raise reported(event, self.key)  # it concerns the whole connection
        else:
            self.ignored_messages += 1

    def _fail(self, error: ProviderError) -> None:
        self._failure = error
        for stream in {id(stream): stream for stream in self._streams.values()}.values():
            stream.fail(error)


def cartesia_language(language: str) -> str:
    """The language as Cartesia calls it: without a region. Empty: the voice's own."""
    base = primary_language(language)
    return _ALSO_CALLED.get(base, base)
