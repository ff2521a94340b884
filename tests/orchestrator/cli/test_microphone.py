"""`vantum talk --microphone`, with a fake sound library."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
import trio

import protocol
from orchestrator.cli.microphone import Loudspeaker, converse
from orchestrator.cli.talk_client import TalkError
from tests.orchestrator.cli.test_talk import Peer, following


class PortAudioError(Exception):
    """The sound library's own error."""


class Stream:
    """A stream of the sound library, which calls back from its own thread while it records."""

    def __init__(self, callback: Callable[..., None], **options: Any) -> None:
        self.callback = callback
        self.options = options
        self.closed = False
        self._stop = threading.Event()
        self._recording = threading.Thread(target=self._record)

    def __enter__(self) -> Stream:
        self._recording.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._recording.join()
        self.close()

    def _record(self) -> None:
        size = self.options["blocksize"]
        while not self._stop.wait(0.001):
            self.callback(memoryview(b"\x01\x02" * size), size, None, None)

    def start(self) -> None:
        return

    def close(self) -> None:
        self.closed = True

    def heard(self, size: int) -> bytes:
        buffer = bytearray(size)
        self.callback(memoryview(buffer), size // 2, None, None)
        return bytes(buffer)


class Sounds(types.ModuleType):
    """The sound library."""

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.opened: list[Stream] = []
        self.broken = False
        self.PortAudioError = PortAudioError
        self.RawInputStream = self.RawOutputStream = self._open

    def _open(self, **options: Any) -> Stream:
        if self.broken:
            raise PortAudioError("no such device")
        self.opened.append(Stream(**options))
        return self.opened[-1]


@pytest.fixture
def sounds(monkeypatch: pytest.MonkeyPatch) -> Sounds:
    library = Sounds()
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


async def test_what_the_microphone_records_is_sent_and_the_call_ends_with_the_server(
    sounds: Sounds, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.listen()
        heard.append((await peer.hear(protocol.AudioInputChunk)).audio)
        await peer.socket.aclose(1001, "going away")

    async with following(script) as url:
        with trio.fail_after(60), pytest.raises(TalkError, match="going away"):
            await converse(url)
    assert heard == [b"\x01\x02" * 320]
    assert all(stream.closed for stream in sounds.opened)
    assert "Speak; Ctrl-C ends the call." in capsys.readouterr().out


def test_the_loudspeaker_plays_what_arrives_and_stops_when_the_server_cancels(
    sounds: Sounds, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loudspeaker(sounds) as loudspeaker:
        loudspeaker.on_payload(protocol.AudioOutputStart("u", 24_000, 0.0))
        loudspeaker.on_payload(protocol.AudioOutputChunk(b"abcdef", "u", 24_000, 0.0))
        (stream,) = sounds.opened
        assert stream.options["samplerate"] == 24_000
        assert stream.heard(4) == b"abcd"
        assert stream.heard(4) == b"ef\0\0"
        loudspeaker.on_payload(protocol.AudioOutputChunk(b"ghij", "u", 24_000, 0.0))
        loudspeaker.on_payload(protocol.AudioOutputCancel("u", "interrupted", 0.0))
        assert stream.heard(4) == bytes(4)
        loudspeaker.on_payload(protocol.AudioOutputStart("v", 48_000, 0.0))
        assert stream.closed
        loudspeaker.on_payload(protocol.TranscriptResult("hello", 1.0, is_final=True))
        loudspeaker.on_payload(protocol.ConversationResponseToken("Hi.", 0))
        loudspeaker.on_payload(protocol.ConversationStateInterrupted("", 0.0))
    assert all(stream.closed for stream in sounds.opened)
    assert capsys.readouterr().out.splitlines() == [
        "You:    hello",
        "Vantum: Hi.",
        "        (interrupted; heard: nothing)",
    ]


async def test_a_missing_sound_library_is_an_error_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(TalkError, match=r"needs a sound library: `.*\[microphone\]"):
        await converse("ws://localhost:1/ws")


async def test_a_microphone_that_cannot_be_used_is_an_error(sounds: Sounds) -> None:
    sounds.broken = True
    async with following(Peer.listen) as url:
        with pytest.raises(TalkError, match="The microphone cannot be used: no such device"):
            await converse(url)
