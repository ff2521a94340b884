"""The body of `vantum talk --microphone`: a call with the microphone and loudspeaker of this computer."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from types import ModuleType
from typing import Any

import click
import trio

import protocol
from machines.facts import TurnMode
from orchestrator.cli.installing import install_command
from orchestrator.cli.printing import say
from orchestrator.cli.talk_client import CHUNK_MS, TalkError, talk_client
from protocol import Payload

RATE = 16_000
"""Sample rate of the recording, in Hz."""
_WAITING_CHUNKS = 50
"""Chunks that may wait to be sent, one second of audio. Newer ones are dropped when so many wait."""


async def converse(url: str, key: str | None = None) -> None:
    """Talk until cancelled. Raises `TalkError`, also if there is no sound library or no microphone."""
    sounds = _sound_library()
    put, recorded = trio.open_memory_channel[bytes](_WAITING_CHUNKS)
    in_trio = trio.lowlevel.current_trio_token()

    def put_chunk(chunk: bytes) -> None:
        # The network may be slower than the microphone, and a chunk may come after the end of the call.
        with suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            put.send_nowait(chunk)

    def on_chunk(pcm: Any, frames: int, time: Any, status: Any) -> None:
        in_trio.run_sync_soon(put_chunk, bytes(pcm))

    async with talk_client(url, TurnMode.AUTOMATIC, key=key) as client:
        with Loudspeaker(sounds) as loudspeaker, put, recorded:
            client.on_payload = loudspeaker.on_payload
            await client.ready()
            await client.send(protocol.AudioInputStart(sampling_rate=RATE, turn_mode="automatic"))
            click.echo("Speak; Ctrl-C ends the call.")
            with _opened(sounds, "RawInputStream", RATE, on_chunk):
                async for chunk in recorded:
                    await client.send(protocol.AudioInputChunk(chunk))


class Loudspeaker:
    """Plays the answers as they arrive, stops when the server cancels them, and prints what is said."""

    def __init__(self, sounds: ModuleType) -> None:
        self._sounds = sounds
        self._stream: Any = None
        self._rate = 0
        self._waiting = bytearray()
        self._lock = threading.Lock()

    def __enter__(self) -> Loudspeaker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open(0)

    def on_payload(self, payload: Payload) -> None:
        """Play, cancel or print a payload from the server."""
        match payload:
            case protocol.AudioOutputStart(sampling_rate=rate):
                self._open(rate)
            case protocol.AudioOutputChunk(audio=audio):
                with self._lock:
                    self._waiting += audio
            case protocol.AudioOutputCancel():
                with self._lock:
                    self._waiting.clear()
            case protocol.TranscriptResult(is_final=True, text=text) if text:
                say(f"You:    {text}")
            case protocol.ConversationResponseToken(token=token):
                say(f"Vantum: {token.strip()}")
            case protocol.ConversationStateInterrupted(partial_response=heard):
                say(f"        (interrupted; heard: {heard or 'nothing'})")

    def _open(self, rate: int) -> None:
        """Replace the output stream by one at this rate, or by none if `rate` is 0."""
        if rate == self._rate:
            return
        if self._stream is not None:
            self._stream.close()
        self._rate = rate
        self._stream = _opened(self._sounds, "RawOutputStream", rate, self._play) if rate else None
        if self._stream is not None:
            self._stream.start()

    def _play(self, pcm: Any, frames: int, time: Any, status: Any) -> None:
        """Called by the sound library in its own thread: fill its buffer, if need be with silence."""
        with self._lock:
            piece = bytes(self._waiting[: len(pcm)])
            del self._waiting[: len(pcm)]
        pcm[:] = piece.ljust(len(pcm), b"\0")


def _sound_library() -> ModuleType:
    try:
        return importlib.import_module("sounddevice")
    except ImportError:
        raise TalkError(f"--microphone needs a sound library: `{install_command('microphone')}`.") from None
    except OSError as error:
        raise TalkError(
            f"--microphone needs PortAudio ({error}); on Debian and Ubuntu, `apt-get install libportaudio2`."
        ) from None


def _opened(sounds: Any, kind: str, rate: int, callback: Any) -> Any:
    try:
        return getattr(sounds, kind)(
            samplerate=rate, blocksize=rate * CHUNK_MS // 1000, channels=1, dtype="int16", callback=callback
        )
    except sounds.PortAudioError as error:
        device = "microphone" if kind == "RawInputStream" else "loudspeaker"
        raise TalkError(f"The {device} cannot be used: {error}.") from None
