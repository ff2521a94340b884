"""The embedded language model: llama.cpp's server, by xllamacpp, on a loopback port of its own.

The OpenAI adapter talks to it over HTTP, like to any other server. The system chooses the port, and requests
need a token that this process has drawn at random.

Tools reach the model through its chat template. A model whose template has no place for tools, like that of
SmolLM2-135M, never sees them, and answers in words.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import xllamacpp  # type: ignore[import-untyped]
from attrs import field, frozen

from adapters.embedded import smoke_test_brain
from adapters.embedded.models import ModelsError, require
from adapters.openai.chat import OpenAILanguageModel, http_client
from machines.history import Message, Speaker

MODEL_NAME = "embedded"
_SILENT = -1
_REPEAT_PENALTY = 1.1
"""Keeps a small model from repeating itself."""


@frozen
class Endpoint:
    """The address of the embedded server: `base_url` ends in `/v1`, `token` is the API key."""

    base_url: str
    token: str = field(repr=False)


@asynccontextmanager
async def serve_model(
    path: Path, *, parallel: int = 1, threads: int = 1, context_tokens: int = smoke_test_brain.CONTEXT_TOKENS
) -> AsyncIterator[Endpoint]:
    """Serve the GGUF file at `path` while the block runs: `parallel` answers at once, each with
    `context_tokens` of context (about 45 MB each for SmolLM2-135M).

    Loading happens in a worker thread, for SmolLM2-135M in about 0.6 s. Raises `ModelsError` if there is no
    such file or it cannot be used. When the block is left, the server's threads and socket are gone.
    """
    token = secrets.token_urlsafe(32)
    parameters = _parameters(require(path), token, parallel, threads, context_tokens)
    # Loading and stopping cannot be interrupted; each takes well under a second for small models.
    server = await trio.to_thread.run_sync(_load, parameters, path)
    try:
        yield Endpoint(f"{server.listening_address}/v1", token)
    finally:
        # The server stops when its last reference goes, so the thread is given that reference.
        last_reference = [server]
        del server
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(last_reference.clear)


@asynccontextmanager
async def embedded_language_model(
    path: Path,
    system_prompt: str | None = None,
    *,
    parallel: int = 1,
    threads: int = 1,
    temperature: float = 0.2,
    max_tokens: int = smoke_test_brain.MAX_TOKENS,
) -> AsyncIterator[OpenAILanguageModel]:
    """The embedded server with the OpenAI adapter in front of it, for as long as the block runs.

    The server reads the beginning of conversations in advance, once for each of the `parallel` slots (about
    0.7 s each with one thread), so that the first answer comes as fast as the others.
    """
    async with (
        serve_model(path, parallel=parallel, threads=threads) as endpoint,
        # After 3 of 100 answers this server closes the connection without having announced it.
        http_client(reuse_connections=False) as http,
    ):
        model = OpenAILanguageModel(
            http,
            endpoint.base_url,
            MODEL_NAME,
            endpoint.token,
            temperature=temperature,
            max_tokens=max_tokens,
            extra_body={"repeat_penalty": _REPEAT_PENALTY, "cache_prompt": True},
            prepare=smoke_test_brain.prompt,
            prefill=True,
            name=MODEL_NAME,
        )
        beginning = [] if system_prompt is None else [Message(Speaker.SYSTEM, system_prompt)]
        for slot in range(parallel):
            await model.warm_up([*beginning, Message(Speaker.USER, "Hello.")], id_slot=slot)
        yield model


def _parameters(
    path: Path, token: str, parallel: int, threads: int, context_tokens: int
) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {MODEL_NAME}
    parameters.n_parallel = parallel
    parameters.n_ctx = context_tokens * parallel
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_gpu_layers = 0
    parameters.cache_ram_mib = 0
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [token]
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.offline = True
    parameters.verbosity = _SILENT
    return parameters


def _load(parameters: xllamacpp.CommonParams, path: Path) -> xllamacpp.Server:
    try:
        server = xllamacpp.Server(parameters)
    except Exception as error:
        raise ModelsError(f"The model file {path} cannot be loaded: {error}") from error
    _await_main_loop(server, path)
    return server


def _await_main_loop(server: xllamacpp.Server, path: Path) -> None:
    """Wait until the server's main loop runs, by having it answer something.

    `xllamacpp.Server` returns before that. A server that is stopped in between misses the stop, and is then
    waited for without end (xllamacpp 2026.10, `init` in its server.cpp sets the result before `start_loop`).
    """
    answers: list[dict[str, object]] = []
    server.handle_completions({"prompt": "Hello", "max_tokens": 1}, answers.append)
    if not answers or "error" in answers[0]:
        raise ModelsError(f"The model file {path} does not hold a model that completes texts: {answers[:1]}")
