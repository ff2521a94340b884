"""`vantum talk`: the client against a server that follows a script; what it sends and prints."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import trio
import trio_websocket
from attrs import Factory, define

import protocol
from adapters.interfaces import Samples
from machines.facts import TurnMode
from orchestrator.audio.pcm import pcm_from_bytes, pcm_to_bytes, read_wav, write_wav
from orchestrator.cli import talk_client as client_module
from orchestrator.cli.talk import Talk, as_lines, as_map, run_talk
from orchestrator.cli.talk_client import TalkError, talk_client
from protocol import Payload
from tests.orchestrator.real_servers import serving
from tests.page.proxies import Proxy

P = TypeVar("P", bound=Payload)

RATE = 16_000
SPEECH = (5000 * np.sin(np.arange(RATE // 10) / 5)).astype(np.int16)
ANSWER = (9000 * np.sin(np.arange(4800) / 7)).astype(np.int16)


@define
class Peer:
    """The server's end of one connection."""

    socket: trio_websocket.WebSocketConnection
    recordings: list[protocol.AudioInputStart] = Factory(list)
    audio: list[Samples] = Factory(list)

    async def tell(self, *payloads: Payload) -> None:
        for payload in payloads:
            frame = protocol.HIERARCHICAL.encode(payload, session_id="s", event_id="e")
            assert frame is not None
            await self.socket.send_message(frame)

    async def hear(self, kind: type[P]) -> P:
        """Receive messages up to and including the next one of this kind."""
        while True:
            payload = protocol.receive(await self.socket.get_message()).payload
            if isinstance(payload, protocol.AudioInputStart):
                self.recordings.append(payload)
            if isinstance(payload, protocol.AudioInputChunk):
                self.audio.append(pcm_from_bytes(payload.audio)[0])
            if isinstance(payload, kind):
                return payload

    async def hear_samples(self, count: int) -> None:
        while sum(len(samples) for samples in self.audio) < count:
            await self.hear(protocol.AudioInputChunk)

    async def listen(self) -> None:
        await self.tell(protocol.ConnectionAck("s"), state("LISTENING", "quiet"))

    async def answer(self, text: str, generation: int) -> None:
        """Send a transcript and begin an answer."""
        await self.tell(
            protocol.TranscriptResult(f"said {generation}", 0.9, is_final=True, turn=generation),
            state("THINKING", "generating"),
            protocol.ConversationResponseStart(0.0, generation),
            protocol.ConversationResponseToken(text, 0, generation),
            state("RESPONDING", "speaking"),
            protocol.AudioOutputStart(f"u{generation}", 24_000, 0.0),
            protocol.AudioOutputChunk(pcm_to_bytes(ANSWER), f"u{generation}", 24_000, 0.0),
        )

    async def finish(self, text: str, generation: int) -> None:
        await self.tell(
            protocol.AudioOutputComplete(f"u{generation}", 200.0, 0.0),
            protocol.ConversationResponseComplete(text, 1, 5.0, generation, protocol.Latency(total_ms=321.0)),
            state("LISTENING", "quiet"),
        )


def state(name: str, substate: str) -> protocol.ConversationStateChanged:
    return protocol.ConversationStateChanged("X", name, 0.0, substate, "script")


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def following(script: Script) -> AsyncIterator[str]:
    """A server whose connections all follow the script; yields its URL."""

    async def converse(request: trio_websocket.WebSocketRequest) -> None:
        peer = Peer(await request.accept(subprotocol="vantum.v2"))
        try:
            await script(peer)
            await peer.hear(protocol.Disconnect)
        except trio_websocket.ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, converse, "127.0.0.1", 0, None)
        yield f"ws://127.0.0.1:{server.port}/ws"
        nursery.cancel_scope.cancel()


async def two_answers(peer: Peer) -> None:
    await peer.listen()
    for generation in (1, 2):
        await peer.hear(protocol.AudioInputStop)
        await peer.answer("Hello there.", generation)
        await peer.finish("Hello there.", generation)


async def test_a_manual_turn_is_one_recording_and_collects_all_that_the_server_sends() -> None:
    heard: list[Peer] = []

    async def script(peer: Peer) -> None:
        heard.append(peer)
        await two_answers(peer)

    async with following(script) as url, talk_client(url, TurnMode.MANUAL) as client:
        turn = await client.say(SPEECH, RATE, "one")
        again = await client.say(SPEECH, 8000)
    assert (turn.understood, turn.answer, turn.name) == ("said 1", "Hello there.", "one")
    assert turn.latency == protocol.Latency(total_ms=321.0)
    assert np.array_equal(np.concatenate(turn.audio), ANSWER)
    assert turn.audio_rate == 24_000
    assert turn.first_audio_ms is not None
    assert [visit.state for visit in turn.states] == ["THINKING", "RESPONDING", "LISTENING"]
    assert again.understood == "said 2"
    (peer,) = heard
    assert [(start.sampling_rate, start.language, start.turn_mode) for start in peer.recordings] == [
        (RATE, None, "manual"),
        (8000, None, "manual"),
    ], "the language is the server's"
    assert np.array_equal(np.concatenate(peer.audio), np.concatenate([SPEECH, SPEECH]))


@pytest.mark.slow
async def test_an_automatic_call_is_one_recording_with_silence_until_the_answer_was_heard() -> None:
    heard: list[Peer] = []

    async def script(peer: Peer) -> None:
        heard.append(peer)
        await peer.listen()
        await peer.hear_samples(len(SPEECH) + RATE // 10)
        await peer.answer("Hello.", 1)
        await peer.hear_samples(len(SPEECH) + RATE // 5)
        await peer.finish("Hello.", 1)
        before = sum(len(samples) for samples in peer.audio)
        await peer.hear_samples(before + 2 * len(SPEECH))
        await peer.answer("Bye.", 2)
        await peer.finish("Bye.", 2)

    async with following(script) as url, talk_client(url, TurnMode.AUTOMATIC) as client:
        first = await client.say(SPEECH, RATE)
        second = await client.say(SPEECH, RATE // 2)
    assert (first.answer, second.answer) == ("Hello.", "Bye.")
    (peer,) = heard
    assert [(start.sampling_rate, start.turn_mode) for start in peer.recordings] == [(RATE, "automatic")]
    sent = np.concatenate(peer.audio)
    assert np.array_equal(sent[: len(SPEECH)], SPEECH)
    assert not sent[len(SPEECH) : len(SPEECH) + RATE // 10].any()


async def test_an_answer_can_be_talked_over_and_keeps_what_was_heard_of_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.AudioInputStop)
        await peer.answer("A long story.", 1)
        await peer.hear(protocol.AudioInputStart)
        await peer.tell(
            protocol.AudioOutputCancel("u1", protocol.INTERRUPTED, 0.0),
            protocol.ConversationStateInterrupted("A long", 0.0, "story.", "u1", 640.0),
            protocol.ConversationResponseComplete("A long story.", 1, 5.0, 1),
            state("LISTENING", "quiet"),
        )
        await peer.hear(protocol.AudioInputStop)
        await peer.answer("Yes?", 2)
        await peer.finish("Yes?", 2)

    async with following(script) as url, talk_client(url, TurnMode.MANUAL) as client:
        told = await client.say(SPEECH, RATE, interrupt_after=0.05)
        over = await client.say(SPEECH, RATE)
    assert told.interruption is not None
    assert (told.interruption.partial_response, told.interruption.heard_ms) == ("A long", 640.0)
    assert (told.answer, over.answer) == ("A long story.", "Yes?")
    assert over.interruption is None


async def test_a_turn_in_which_nothing_was_understood_is_over_without_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.AudioInputStop)
        await peer.tell(protocol.TranscriptResult("", 0.0, is_final=True), state("LISTENING", "quiet"))

    async with following(script) as url, talk_client(url, TurnMode.MANUAL) as client:
        turn = await client.say(SPEECH, RATE)
    assert (turn.understood, turn.answer, turn.complaints) == ("", "", [])


async def test_an_error_of_the_server_is_kept_with_the_turn() -> None:
    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.AudioInputStop)
        error = protocol.SttFailed("the model is broken")
        frame = protocol.HIERARCHICAL.refuse(error, event_id="e", session_id="s", timestamp=0.0)
        assert frame is not None
        await peer.socket.send_message(frame)
        await peer.tell(state("LISTENING", "quiet"))

    async with following(script) as url, talk_client(url, TurnMode.MANUAL) as client:
        turn = await client.say(SPEECH, RATE)
    (complaint,) = turn.complaints
    assert (complaint.event, complaint.message) == ("transcript.error.stt_failed", "the model is broken")


async def test_a_server_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.05)
    for mode in TurnMode:
        async with following(Peer.listen) as url, talk_client(url, mode) as client:
            turn = await client.say(SPEECH, RATE)
        assert [complaint.code for complaint in turn.complaints] == ["NO_ANSWER"]


async def test_an_answer_can_be_interrupted_without_speaking() -> None:
    asked = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.UserInterrupt)
        asked.set()

    async with following(script) as url, talk_client(url) as client:
        await client.ready()
        await client.interrupt()
        await asked.wait()


# --- what ends a call ---------------------------------------------------------------------------------------


async def busy(peer: Peer) -> None:
    await peer.tell(protocol.SystemBusy(4, 4))
    await peer.socket.aclose(1013, "busy")


async def closing(peer: Peer) -> None:
    await peer.listen()
    await peer.hear(protocol.AudioInputChunk)
    await peer.socket.aclose(1001, "going away")


async def nonsense(peer: Peer) -> None:
    await peer.socket.send_message(b"\xc1")


async def refusal(peer: Peer) -> None:
    error = protocol.LlmUnavailable("no brain today")
    frame = protocol.HIERARCHICAL.refuse(error, event_id="e", session_id="s", timestamp=0.0)
    assert frame is not None
    await peer.socket.send_message(frame)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (busy, "The server is busy: 4 of 4 calls are going on."),
        (closing, r"The server closed the call \(code 1001: going away\)."),
        (nonsense, "The server sent something unreadable"),
        (refusal, "The server refuses: no brain today"),
    ],
)
async def test_the_end_of_a_call_is_reported_in_one_sentence(script: Script, words: str) -> None:
    async with following(script) as url:
        with pytest.raises(TalkError, match=words):
            async with talk_client(url, TurnMode.MANUAL) as client:
                await client.say(SPEECH, RATE)


async def test_a_refusal_that_the_server_explains_is_told_in_its_words() -> None:
    async with serving() as running:
        proxy = Proxy(running.port, upgrades=False)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(proxy.serve)
            with pytest.raises(TalkError, match=r"refuses a WebSocket \(426\): .* a proxy has dropped"):
                async with talk_client(f"ws://127.0.0.1:{port}/ws"):
                    pass
            nursery.cancel_scope.cancel()


async def test_a_server_that_does_not_begin_to_listen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.tell(protocol.ConnectionAck("s"))

    async with following(script) as url, talk_client(url) as client:
        # From here on: on a busy machine, connecting may take longer.
        monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.01)
        with pytest.raises(TalkError, match="did not begin to listen"):
            await client.ready()


@pytest.mark.parametrize("url", ["http://localhost/ws", "localhost:3001", "ws://", "ws://localhost:port/ws"])
async def test_an_address_that_is_not_a_websocket_address_is_refused(url: str) -> None:
    with pytest.raises(TalkError, match="is not"):
        async with talk_client(url):
            raise AssertionError("connected")


async def test_where_nothing_listens_the_sentence_says_how_to_start_a_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TalkError, match="`vantum serve` starts a server"):
            async with talk_client(f"ws://127.0.0.1:{taken.getsockname()[1]}"):
                raise AssertionError("connected")


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-x\r\n", b""]
)
async def test_a_server_of_another_kind_is_recognized(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.3)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with pytest.raises(
            TalkError, match=r"is not a WebSocket of a Vantum server|did not open a WebSocket within 0\.3 s"
        ):
            async with talk_client(f"ws://127.0.0.1:{port}/ws") as client:
                await client.ready()
        nursery.cancel_scope.cancel()


async def test_an_error_in_the_block_is_raised_as_it_is_and_nothing_is_left(
    leaves_nothing: Callable[[], AbstractContextManager[None]],
) -> None:
    with leaves_nothing():
        async with following(Peer.listen) as url:
            with pytest.raises(ZeroDivisionError):
                async with talk_client(url) as client:
                    await client.ready()
                    raise ZeroDivisionError


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    path = tmp_path / "spoken.wav"
    write_wav(path, SPEECH, RATE)
    return path


async def test_each_turn_is_one_json_object_and_the_answers_are_kept(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with following(two_answers) as url:
        out = tmp_path / "out.wav"
        assert await run_talk(
            Talk(url, (spoken, spoken), TurnMode.MANUAL, out, as_json=True, interrupt_after=None)
        )
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["turn"], first["said"], first["understood"]) == (1, str(spoken), "said 1")
    assert (second["answer"], second["interrupted"], second["errors"]) == ("Hello there.", False, [])
    assert first["latency"]["total_ms"] == 321.0
    assert first["audioMs"] == 200.0
    assert [visit["state"] for visit in first["states"]] == ["THINKING", "RESPONDING", "LISTENING"]
    samples, rate = read_wav(out)
    assert np.array_equal(samples, np.concatenate([ANSWER, ANSWER]))
    assert rate == 24_000


@pytest.mark.slow
async def test_texts_are_said_with_the_embedded_voice(capsys: pytest.CaptureFixture[str]) -> None:
    async with following(two_answers) as url:
        talk = Talk(
            url, (), TurnMode.MANUAL, None, as_json=True, interrupt_after=None, sentences=("Hello.", "Again.")
        )
        assert await run_talk(talk)
    turns = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [turn["said"] for turn in turns] == ["Hello.", "Again."]


async def test_without_the_embedded_voice_a_text_cannot_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adapters.embedded.hibari", None)
    talk = Talk(
        "ws://localhost:1",
        (),
        TurnMode.MANUAL,
        None,
        as_json=True,
        interrupt_after=None,
        sentences=("Hello.",),
    )
    with pytest.raises(TalkError, match=r"^--say needs the embedded voice: `.*\[local\]'`, or say a file"):
        await run_talk(talk)


async def test_a_single_file_is_spoken_twice_to_interrupt_and_printed_for_people(
    spoken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.AudioInputStop)
        await peer.answer("A long story.", 1)
        await peer.hear(protocol.AudioInputStart)
        await peer.tell(
            protocol.ConversationStateInterrupted("A long", 0.0, "story.", "u1", 640.0),
            state("LISTENING", "quiet"),
        )
        await peer.hear(protocol.AudioInputStop)
        await peer.answer("Yes?", 2)
        await peer.finish("Yes?", 2)

    async with following(script) as url:
        assert await run_talk(
            Talk(url, (spoken,), TurnMode.MANUAL, None, as_json=False, interrupt_after=0.01)
        )
    shown = capsys.readouterr().out
    assert "interrupted after 640 ms; heard: A long\n" in shown
    assert "Turn 2:" in shown
    assert "(server: total 321)" in shown


async def test_turns_before_the_call_broke_are_still_printed(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.listen()
        await peer.hear(protocol.AudioInputStop)
        await peer.tell(protocol.TranscriptResult("half a", 0.5, is_final=True))
        await peer.socket.aclose(1011, "internal error")

    out = tmp_path / "out.wav"
    async with following(script) as url:
        with pytest.raises(TalkError, match="1011"):
            await run_talk(Talk(url, (spoken,), TurnMode.MANUAL, out, as_json=True, interrupt_after=None))
    assert json.loads(capsys.readouterr().out)["understood"] == "half a"
    assert len(read_wav(out)[0]) == 0


async def test_a_turn_with_an_error_makes_the_call_a_failure(
    spoken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.05)
    async with following(Peer.listen) as url:
        talk = Talk(url, (spoken,), TurnMode.MANUAL, None, as_json=False, interrupt_after=None)
        assert not await run_talk(talk)


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("not audio")
    talk = Talk(
        "ws://localhost:1", (tmp_path / "x.wav",), TurnMode.MANUAL, None, as_json=False, interrupt_after=None
    )
    with pytest.raises(TalkError, match=r"x\.wav is not a PCM WAV file"):
        await run_talk(talk)


def test_a_turn_without_an_answer_can_be_printed() -> None:
    turn = client_module.Turn("x", speech_ended_at=0.0)
    turn.complaints.append(client_module.Complaint("", "NO_ANSWER", "no answer within 60 s"))
    assert as_map(1, turn)["firstAudioMs"] is None
    assert list(as_lines(1, turn)) == [
        "Turn 1: x",
        "  understood   (nothing)",
        "  answer       (none)",
        "  states       (none)",
        "  ERROR        no answer within 60 s (NO_ANSWER)",
    ]
