"""Deepgram's own SDK on Trio: its client, and its `connect()` with our connector instead of asyncio's.

The SDK builds the URL, the query and the headers, maps a refused handshake to its `ApiError`, and parses the
messages. Nothing of the SDK is patched: we copy its `connect()` and replace the names that the copy looks up.
`require_known_sdk` raises an error if a release changes one of those names.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from websockets.exceptions import InvalidStatus

from adapters import vendor_errors
from adapters.interfaces import ProviderError
from adapters.vendor_errors import DEEPGRAM, UnknownSdkError
from adapters.vendor_socket import OpenStream, SocketLimits, VendorSocket, open_vendor_socket, tls
from machines.facts import ErrorClass

with warnings.catch_warnings():
    # The SDK imports `websockets.legacy`, which warns that it is deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client
    import deepgram.listen.v2.client
    from deepgram import AsyncDeepgramClient
    from deepgram.core.api_error import ApiError
    from deepgram.environment import DeepgramClientEnvironment

_LOOKED_UP = {"websockets_client_connect", "InvalidWebSocketStatus", "get_status_code"}
"""The names that are replaced in the copy of the SDK's `connect()`."""

Connect = Callable[..., AbstractAsyncContextManager[Any]]


def require_known_sdk() -> None:
    """Raise `UnknownSdkError` unless the SDK still has the private names that are used here."""
    for module in (deepgram.listen.v1.client, deepgram.listen.v2.client):
        _generator_of(module)


def make_client(api_key: str, base_url: str) -> AsyncDeepgramClient:
    """The SDK's client; takes about 250 ms. One serves all calls of a process.

    `base_url` begins with `ws`, `wss`, `http` or `https`. Raises `ValueError` for another one.
    """
    scheme, separator, rest = base_url.rstrip("/").partition("://")
    if not separator or scheme not in ("ws", "wss", "http", "https"):
        raise ValueError(f"Deepgram's address is {base_url!r}; it must begin with wss:// or ws://")
    secure = "s" if scheme in ("wss", "https") else ""
    tls()
    socket, rest_api = f"ws{secure}://{rest}", f"http{secure}://{rest}"
    return AsyncDeepgramClient(
        api_key=api_key,
        environment=DeepgramClientEnvironment(
            base=rest_api, production=socket, agent=socket, agent_rest=rest_api
        ),
        max_retries=0,
        stream_reconnection_enabled=False,
        reconnect=False,
    )


def listen(
    client: AsyncDeepgramClient, version: str, limits: SocketLimits, open_stream: OpenStream
) -> Connect:
    """`client.listen.v1.connect`, or that of `v2`, on Trio."""
    modules = {"v1": deepgram.listen.v1.client, "v2": deepgram.listen.v2.client}
    connect = _on_trio(modules[version], limits, open_stream)
    return functools.partial(connect, getattr(client.listen, version))


def as_provider_error(error: BaseException, key: str) -> ProviderError:
    """The `ProviderError` for an exception of the SDK or the socket.

    Raise it `from None`, because the SDK's exceptions hold the request's headers.
    """
    if isinstance(error, ApiError):
        return _refused(error, key)
    return vendor_errors.broken(DEEPGRAM, error, key)


CAUGHT = (ApiError, *vendor_errors.BROKEN, *vendor_errors.BROKEN_ON_SENDING)
"""What the SDK and the socket raise."""


def _on_trio(module: types.ModuleType, limits: SocketLimits, open_stream: OpenStream) -> Connect:
    generator = _generator_of(module)

    def connect(url: str, extra_headers: dict[str, str]) -> AbstractAsyncContextManager[VendorSocket]:
        return open_vendor_socket(url, extra_headers, limits=limits, open_stream=open_stream)

    exchanged = {
        "websockets_client_connect": connect,
        "InvalidWebSocketStatus": InvalidStatus,
        "get_status_code": _status_code,
    }
    copy = types.FunctionType(
        generator.__code__,
        {**generator.__globals__, **exchanged},
        generator.__name__,
        generator.__defaults__,
        generator.__closure__,
    )
    copy.__kwdefaults__ = generator.__kwdefaults__
    return contextlib.asynccontextmanager(copy)


def _status_code(refusal: InvalidStatus) -> int:
    return refusal.response.status_code


def _generator_of(module: types.ModuleType) -> types.FunctionType:
    """The generator function inside the SDK's `connect`, which is an `@asynccontextmanager`."""
    name = f"{module.__name__}.Async{'V1' if '.v1.' in module.__name__ else 'V2'}Client"
    client = getattr(module, name.rpartition(".")[2], None)
    generator = getattr(getattr(client, "connect", None), "__wrapped__", None)
    if not (isinstance(generator, types.FunctionType) and inspect.isasyncgenfunction(generator)):
        raise UnknownSdkError(f"deepgram-sdk has changed: {name}.connect is not a context manager any more")
    missing = _LOOKED_UP - set(generator.__code__.co_names)
    if missing:
        raise UnknownSdkError(
            f"deepgram-sdk has changed: {name}.connect does not use {', '.join(sorted(missing))}"
        )
    return generator


def _refused(error: ApiError, key: str) -> ProviderError:
    # The SDK keeps the headers of the request. Those of the answer are in the exception it was handling.
    refusal = error.__context__
    if isinstance(refusal, InvalidStatus):
        return vendor_errors.broken(DEEPGRAM, refusal, key)
    status = error.status_code
    if status is None:
        return ProviderError(ErrorClass.TRANSIENT, f"{DEEPGRAM.vendor}: the SDK failed without a status")
    return vendor_errors.refused(DEEPGRAM, status, {}, str(error.body), key)
