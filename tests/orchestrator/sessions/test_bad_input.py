"""Bad input at a real socket, row by row: the documented error or none, it is counted, the call goes on."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
from attrs import frozen
from structlog.testing import capture_logs

from adapters.interfaces import LISTENING_RATE, Samples
from adapters.pcm_reader import PcmReader
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.conversation import send_queue as outbox
from orchestrator.sessions import session
from orchestrator.sessions.session import FREE_UNUSABLE, Session
from orchestrator.simulation import (
    Breaks,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    script,
)
from orchestrator.simulation.llm import Answer
from orchestrator.simulation.speech import spoken
from protocol import MAX_MESSAGE_BYTES
from tests.orchestrator.real_servers import Running, eventually, serving
from tests.orchestrator.wire_clients import Client, connect, new_id
from tests.walls.peers import BINARY, frame, message

WORDS = "how is the weather"


@frozen
class Names:
    """What a dialect calls the requests, and its errors."""

    v2: bool
    start: str
    chunk: str
    stop: str
    audio_error: str
    rate_error: str
    unreadable: str
    internal: str
    overflow: str


LEGACY = Names(
    False,
    *("voicechat.audio.start", "voicechat.audio.chunk", "voicechat.audio.end"),
    *("voicechat.audio.error", "voicechat.audio.error", "error.error", "voicechat.audio.error"),
    "error.error",
)
V2 = Names(
    True,
    *("audio.input.start", "audio.input.chunk", "audio.input.stop"),
    *("audio.error.invalid_format", "audio.error.unsupported_rate", "error.general.unknown"),
    "error.general.internal_server_error",
    "audio.error.buffer_overflow",
)


@pytest.fixture(params=[LEGACY, V2], ids=["legacy", "v2"])
def names(request: pytest.FixtureRequest) -> Names:
    chosen: Names = request.param
    return chosen


@asynccontextmanager
async def a_call(
    names: Names, providers: SimulatedProviders | None = None, **settings: Any
) -> AsyncIterator[tuple[Client, Running]]:
    async with serving(providers, **settings) as running, connect(running.port, v2=names.v2) as client:
        yield client, running


async def acknowledged(client: Client, event_id: str) -> None:
    """The request was acknowledged, and not refused as well."""
    answer = await client.answer_to(event_id)
    assert answer["payload"] == {"success": True}, answer


async def refused(client: Client, event_id: str, error_event: str, request: str) -> str:
    """The request was refused, and not acknowledged as well; returns the error's message."""
    answer = await client.answer_to(event_id)
    assert (answer["eventType"], answer["requestType"]) == (error_event, request), answer
    return message_of(answer)


def message_of(error: dict[str, Any]) -> str:
    payload = error["payload"]
    return str(payload["error"]["message"] if "error" in payload else payload["message"])


async def say(client: Client, names: Names, words: str = WORDS, rate: int = 16_000) -> None:
    audio = pcm_to_bytes(spoken(words, rate))
    for start in range(0, len(audio), 8192):
        await client.send(names.chunk, {"audio": audio[start : start + 8192]})


async def a_turn_is_understood(client: Client, names: Names, running: Running) -> None:
    """The proof that a call goes on: a turn by hand, and what the model was asked."""
    start = {"turnMode": "manual"} if names.v2 else {}
    await acknowledged(client, await client.send(names.start, start))
    asked = len(running.providers.llm.requests)
    await say(client, names)
    await acknowledged(client, await client.send(names.stop))
    await eventually(lambda: len(running.providers.llm.requests) > asked)
    assert running.providers.llm.requests[-1][-1].text.endswith(WORDS)


async def counts(running: Running, client: Client) -> dict[str, int]:
    """What was counted, once the client's session is over."""
    await client.socket.aclose()
    await eventually(lambda: not running.server.sessions)
    return dict(running.server.counts)


# --- frames that cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [b"\xc1", b"\x82\xa9eventType", msgpack.packb({}) + b"\x00", b"", b"\x93\xd9", b"\xdf\xff\xff\xff\xff"],
    ids=["never used", "cut off", "trailing bytes", "empty", "cut off array", "a map of 4 billion"],
)
async def test_a_malformed_frame(names: Names, frame: bytes) -> None:
    async with a_call(names) as (client, running):
        await client.socket.send_message(frame)
        error = await client.hears(names.unreadable)
        assert names.v2 or error["requestType"] == "error.unknown"
        await a_turn_is_understood(client, names, running)
        assert (await counts(running, client))["MalformedMessage errors"] == 1


@pytest.mark.parametrize("text", ["", "hello", '{"eventType": "voicechat.audio.start"}'])
async def test_a_text_frame(names: Names, text: str) -> None:
    async with a_call(names) as (client, running):
        await client.socket.send_message(text)
        assert "text frame" in message_of(await client.hears(names.unreadable))
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize("value", [[], [1, 2], 7, "text", None, b"bytes", True], ids=repr)
async def test_a_frame_that_is_no_map(names: Names, value: object) -> None:
    async with a_call(names) as (client, running):
        await client.send_packed(value)
        assert "must be a map" in message_of(await client.hears(names.unreadable))
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize("header", [{"eventType": 7}, {"eventId": {}}, {"sessionId": [1]}], ids=str)
async def test_a_header_field_of_the_wrong_type(names: Names, header: dict[str, Any]) -> None:
    async with a_call(names) as (client, running):
        message = {"eventType": names.start, "eventId": new_id(), "payload": {}, **header}
        await client.send_packed(message)
        error = await client.hears(names.unreadable)
        assert "must be a string" in message_of(error)
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize("event_type", ["voicechat.audio.pause", "audio.input.begin", "nonsense", "x" * 5000])
async def test_an_unknown_event(names: Names, event_type: str) -> None:
    async with a_call(names) as (client, running):
        error = await client.answer_to(await client.send(event_type))
        assert "unknown event type" in message_of(error)
        assert error["requestType"] == event_type
        await a_turn_is_understood(client, names, running)


async def test_a_missing_event_type(names: Names) -> None:
    async with a_call(names) as (client, running):
        error = await client.answer_to(await client.send(...))
        assert error["eventType"] == names.unreadable
        assert "no eventType" in message_of(error)
        await a_turn_is_understood(client, names, running)


async def test_an_event_that_only_the_server_sends(names: Names) -> None:
    async with a_call(names) as (client, running):
        await client.answer_to(
            await client.send("audio.output.start" if names.v2 else "voicechat.response.start")
        )
        await a_turn_is_understood(client, names, running)


# --- payloads that do not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ["text", 7, [], b"", ...], ids=repr)
async def test_a_payload_that_is_no_map(names: Names, payload: object) -> None:
    async with a_call(names) as (client, running):
        for request in (names.start, names.chunk, names.stop):
            event_id = await client.send(request, payload)
            assert "payload" in await refused(client, event_id, names.audio_error, request)
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize(
    "payload",
    [
        {"samplingRate": "16000"},
        {"samplingRate": True},
        {"samplingRate": -1},
        {"voiceId": 7},
        {"language": []},
    ],
    ids=str,
)
async def test_a_start_with_a_field_of_the_wrong_type(names: Names, payload: dict[str, Any]) -> None:
    async with a_call(names) as (client, running):
        event_id = await client.send(names.start, payload)
        message = await refused(client, event_id, names.audio_error, names.start)
        assert next(iter(payload)) in message
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize(
    "payload",
    [{}, {"audio": None}, {"audio": "text"}, {"audio": [1, 2]}, {"audio": b"", "isMuted": "no"}],
    ids=str,
)
async def test_a_chunk_without_binary_audio(names: Names, payload: dict[str, Any]) -> None:
    async with a_call(names) as (client, running):
        event_id = await client.send(names.chunk, payload)
        await refused(client, event_id, names.audio_error, names.chunk)
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize("rate", [7999, 48_001, 1, 192_000, 1e300, math.inf])
async def test_a_rate_out_of_range(names: Names, rate: float) -> None:
    async with a_call(names) as (client, running):
        event_id = await client.send(names.start, {"samplingRate": rate})
        message = await refused(client, event_id, names.rate_error, names.start)
        assert "8000" in message
        assert "48000" in message
        await a_turn_is_understood(client, names, running)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100.0, 48_000])
async def test_a_rate_at_the_bounds_and_between(names: Names, rate: float) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(
            client, await client.send(names.start, {"samplingRate": rate, "turnMode": "manual"})
        )
        await say(client, names, rate=int(rate))
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


UNDEFINED = msgpack.ExtType(0, b"\0")


@pytest.mark.parametrize("absent", [None, UNDEFINED, 0, math.nan], ids=["null", "undefined", "0", "NaN"])
async def test_null_and_absent_fields_mean_the_default(names: Names, absent: object) -> None:
    async with a_call(names) as (client, running):
        unsaid = {} if isinstance(absent, int | float) else {"language": absent, "voiceId": absent}
        start = {"samplingRate": absent, "turnMode": "manual", "unknownKey": 1, **unsaid}
        await acknowledged(client, await client.send(names.start, start))
        await say(client, names, rate=16_000)
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


async def test_a_missing_event_id_is_carried_out_and_then_refused_an_acknowledgement(names: Names) -> None:
    async with a_call(names) as (client, running):
        await say(client, names, "one two")  # early, and to be heard all the same
        await client.send(names.start, {"turnMode": "manual"}, eventId=...)
        error = await client.hears(names.audio_error)
        assert "eventId" in message_of(error)
        await say(client, names, "three four")
        await client.send(names.stop, eventId=None)
        await client.hears(names.audio_error, 2)
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == "one two three four"


async def test_a_wrong_session_id_is_counted_and_the_socket_decides(names: Names) -> None:
    async with a_call(names) as (client, running):
        event_id = await client.send(names.start, {"turnMode": "manual"}, sessionId=new_id())
        await acknowledged(client, event_id)
        await a_turn_is_understood(client, names, running)
        assert (await counts(running, client))["wrong session ids"] == 1


async def test_a_missing_session_id_is_no_error(names: Names) -> None:
    async with a_call(names) as (client, _):
        event_id = await client.send(names.start, sessionId=...)
        await acknowledged(client, event_id)
        assert client.about(event_id)[0]["sessionId"] == client.session_id


# --- languages --------------------------------------------------------------------------------------------


async def test_the_stated_language_is_used_before_the_start_is_acknowledged(names: Names) -> None:
    async with a_call(names) as (client, running):
        for language in ("de-DE", "de-DE", "multi"):
            wanted = {"turnMode": "manual", "language": language}
            await acknowledged(client, await client.send(names.start, wanted))
            stt, tts = running.providers.stt, running.providers.tts
            assert (stt.languages[-1], stt.open_links) == (language, 1)
            assert (tts.languages[-1], tts.open_links) == (language, 1)
        await a_turn_is_understood(client, names, running)
        assert stt.languages == ["en-US", "de-DE", "multi"], "a link is opened anew for another language only"
        assert tts.languages == stt.languages


@pytest.mark.parametrize("role", ["stt", "tts"])
async def test_a_language_that_no_provider_knows_is_refused_and_the_call_goes_on(
    names: Names, role: str
) -> None:
    providers = SimulatedProviders()
    getattr(providers, role).known_languages = frozenset({"en-US"})
    async with a_call(names, providers) as (client, running):
        event_id = await client.send(names.start, {"turnMode": "manual", "language": "xx"})
        assert "'xx'" in await refused(client, event_id, names.audio_error, names.start)
        await a_turn_is_understood(client, names, running)
        assert set(providers.stt.languages + providers.tts.languages) == {"en-US"}


async def test_of_several_providers_one_that_knows_the_language_is_used(names: Names) -> None:
    providers = SimulatedProviders(second_stt=SimulatedSpeechToText())
    providers.stt.known_languages = frozenset({"en-US"})
    async with a_call(names, providers) as (client, _):
        wanted = {"turnMode": "manual", "language": "de-DE"}
        await acknowledged(client, await client.send(names.start, wanted))
        assert providers.second_stt is not None
        assert (providers.second_stt.languages, providers.stt.open_links) == (["de-DE"], 0)
        await acknowledged(client, await client.send(names.start, wanted | {"language": "en-US"}))
        assert providers.stt.languages == ["en-US"], "the link that knows both languages stays"
        assert providers.second_stt.languages == ["de-DE", "en-US"]


# --- audio ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4097, 999])
async def test_audio_may_be_cut_anywhere(names: Names, size: int) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        audio = pcm_to_bytes(spoken(WORDS))
        pieces = [audio[start : start + size] for start in range(0, len(audio), size)]
        for piece in pieces:
            await client.send(names.chunk, {"audio": piece})
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS
        odd = sum(len(piece) % 2 for piece in pieces)
        assert (await counts(running, client))["odd chunks"] == odd


@pytest.mark.slow
async def test_half_a_minute_sent_at_once_is_understood_whole(names: Names) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        words = " ".join([WORDS] * 25)
        await client.send(names.chunk, {"audio": pcm_to_bytes(spoken(words))})
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == words


async def test_audio_that_nobody_takes_is_dropped_and_the_client_is_told(names: Names) -> None:
    providers = SimulatedProviders(stt=SimulatedSpeechToText(openings=script(then=Opening(fault=Stalls()))))
    async with a_call(names, providers) as (client, _):
        await client.send(names.start, {"turnMode": "manual"})
        for _ in range(15):
            await client.send(names.chunk, {"audio": bytes(32_000)})
        error = await client.hears(names.overflow)
        assert "ms of audio" in message_of(error)


async def test_what_is_lost_of_audio_that_came_at_once_before_the_start_is_told(names: Names) -> None:
    with capture_logs() as lines:
        async with a_call(names) as (client, running):
            for _ in range(32):
                await client.send(names.chunk, {"audio": bytes(32_000)})
            await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
            error = await client.hears(names.overflow)
            assert message_of(error).startswith("22000 ms of audio")
            [session] = running.server.sessions
            assert isinstance(session, Session)
            assert session._audio.counts.dropped_ms == 22_000
            await a_turn_is_understood(client, names, running)
    assert [line["dropped_ms"] for line in lines if line["event"] == "audio dropped"] == [22_000]


def as_wav(samples: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(pcm_to_bytes(samples))
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("size", [7, 4097, 1_000_000])
async def test_a_wav_file_is_understood_at_its_own_rate(names: Names, size: int) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(
            client, await client.send(names.start, {"turnMode": "manual", "samplingRate": 48_000})
        )
        file = as_wav(spoken(WORDS), LISTENING_RATE)
        # Hundreds of messages would be slower than speech on a busy machine: what is missing is silence then.
        cuts = [*range(0, len(file), size)][:100]
        for start, end in pairwise([*cuts, len(file)]):
            await client.send(names.chunk, {"audio": file[start:end]})
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


async def test_chunks_that_are_each_a_wav_file_are_understood(names: Names) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        said = spoken(WORDS)
        for start in range(0, len(said), 1600):
            await client.send(names.chunk, {"audio": as_wav(said[start : start + 1600], LISTENING_RATE)})
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


@pytest.mark.parametrize("magic", [b"OggS", b"\x1aE\xdf\xa3", b"ID3\x04"])
async def test_other_formats_are_not_heard_and_named_until_the_next_recording(magic: bytes) -> None:
    async with a_call(V2) as (client, running):
        await acknowledged(client, await client.send(V2.start, {"turnMode": "manual"}))
        await client.send(V2.chunk, {"audio": magic + pcm_to_bytes(spoken(WORDS))})
        await client.send(V2.chunk, {"audio": pcm_to_bytes(spoken(WORDS))})
        error = await client.hears("audio.error.invalid_format")
        assert "must be 16-bit PCM without a container" in message_of(error)
        await acknowledged(client, await client.send(V2.stop))
        await a_turn_is_understood(client, V2, running)
        assert len(client.named("audio.error.invalid_format")) == 1


@pytest.mark.slow
async def test_audio_that_is_not_what_it_is_said_to_be_is_told_once() -> None:
    async with a_call(V2) as (client, _):
        await acknowledged(client, await client.send(V2.start, {"turnMode": "manual"}))
        floats = (spoken(" ".join([WORDS] * 40)).astype("<f4") / 32_768).tobytes()
        for start in range(0, len(floats), 6400):
            await client.send(V2.chunk, {"audio": floats[start : start + 6400]})
        error = await client.hears("audio.error.invalid_format")
        assert "looks like 32-bit floats" in message_of(error)
        assert len(client.named("audio.error.invalid_format")) == 1


async def test_empty_audio_is_ignored(names: Names) -> None:
    async with a_call(names) as (client, running):
        for _ in range(100):
            await client.send(names.chunk, {"audio": b""})
        await a_turn_is_understood(client, names, running)


async def test_muted_audio_is_not_understood(names: Names) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        await client.send(names.chunk, {"audio": pcm_to_bytes(spoken("stop wait")), "isMuted": True})
        await say(client, names)
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


async def test_a_muted_microphone_is_not_understood_until_it_is_live_again() -> None:
    async with a_call(V2) as (client, running):
        await acknowledged(client, await client.send(V2.start, {"turnMode": "manual"}))
        await client.send("user.action.mute", {"timestamp": 1.0})
        await say(client, V2, "stop wait")
        await client.send("user.action.unmute", {"timestamp": 2.0})
        await say(client, V2)
        await acknowledged(client, await client.send(V2.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == WORDS


async def test_chunks_before_start_are_heard_at_its_rate(names: Names) -> None:
    async with a_call(names) as (client, running):
        await say(client, names, "one two", 44_100)
        await acknowledged(
            client, await client.send(names.start, {"samplingRate": 44_100, "turnMode": "manual"})
        )
        await say(client, names, "three", 44_100)
        await acknowledged(client, await client.send(names.stop))
        await eventually(lambda: running.providers.llm.requests)
        assert running.providers.llm.requests[0][-1].text == "one two three"


async def test_chunks_before_start_are_kept_up_to_a_bound(names: Names) -> None:
    async with a_call(names) as (client, running):
        for _ in range(400):
            await client.send(names.chunk, {"audio": bytes(8192)})
        await say(client, names)
        await a_turn_is_understood(client, names, running)
        assert running.providers.llm.requests[0][-1].text == f"{WORDS} {WORDS}"
        assert (await counts(running, client))["early chunks dropped"] >= 360


async def test_tiny_chunks_before_start_are_bounded_too(names: Names) -> None:
    async with a_call(names) as (client, running):
        for number in range(1500):
            await client.send(names.chunk, {"audio": b"\0\0" if number % 2 else b""})
        await acknowledged(client, await client.send(names.start))
        [kept] = running.server.sessions
        assert (await counts(running, client))["early chunks dropped"] >= 500
        assert isinstance(kept, Session)
        assert list(kept._client_audio._early.take(0)) == []


async def test_a_chunk_after_stop_disturbs_nothing(names: Names) -> None:
    async with a_call(names) as (client, running):
        await a_turn_is_understood(client, names, running)
        await say(client, names, "one")
        await a_turn_is_understood(client, names, running)


async def test_starting_twice(names: Names) -> None:
    async with a_call(names) as (client, running):
        for rate in (48_000, 16_000):
            start = {"samplingRate": rate, "turnMode": "manual"}
            await acknowledged(client, await client.send(names.start, start))
        await a_turn_is_understood(client, names, running)
        assert len(running.providers.llm.requests) == 1


async def test_stopping_twice(names: Names) -> None:
    async with a_call(names) as (client, running):
        await a_turn_is_understood(client, names, running)
        await acknowledged(client, await client.send(names.stop))
        await acknowledged(client, await client.send(names.stop))
        await a_turn_is_understood(client, names, running)


async def test_stopping_twice_at_once_is_answered_once_each(names: Names) -> None:
    async with a_call(names) as (client, running):
        await client.send(names.start, {"turnMode": "manual"})
        await say(client, names)
        for event_id in [await client.send(names.stop) for _ in range(3)]:
            await acknowledged(client, event_id)
            assert len(client.about(event_id)) == 1
        await eventually(lambda: running.providers.llm.requests)
        assert len(running.providers.llm.requests) == 1


async def test_stopping_without_a_start(names: Names) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.stop))
        await a_turn_is_understood(client, names, running)


async def test_starting_and_stopping_before_anybody_listens(names: Names) -> None:
    stt = SimulatedSpeechToText(openings=script(then=Opening(fault=Stalls())))
    async with a_call(names, SimulatedProviders(stt), connect_timeout_ms=1500) as (client, _):
        start, stop = await client.send(names.start), await client.send(names.stop)
        code = await client.is_closed()
        assert code == 1011
        for event_id in (start, stop):
            assert len(client.about(event_id)) == 1
            assert client.about(event_id)[0]["payload"] != {"success": True}


async def test_wishes_in_the_wrong_order_disturb_nothing() -> None:
    async with a_call(V2) as (client, running):
        now = {"timestamp": 1.0}
        for event_type in ("user.action.interrupt", "user.action.unmute", "user.action.interrupt"):
            await client.send(event_type, now)
        await client.send("user.feedback.sentiment", {"sentiment": "positive", **now})
        await client.send("user.feedback.sentiment", {"sentiment": "sad", **now})
        await a_turn_is_understood(client, V2, running)


# --- too much ---------------------------------------------------------------------------------------------


async def test_a_frame_that_is_too_large_closes_with_1009_and_nobody_else_notices(names: Names) -> None:
    async with (
        a_call(names) as (client, running),
        connect(running.port, v2=names.v2) as neighbour,
    ):
        await client.socket.send_message(bytes(MAX_MESSAGE_BYTES + 1))
        assert await client.is_closed() == 1009
        await a_turn_is_understood(neighbour, names, running)
        await eventually(lambda: len(running.server.sessions) == 1)


@pytest.mark.slow
async def test_the_largest_frame_is_taken(names: Names) -> None:
    async with a_call(names) as (client, running):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        frame = {"eventType": names.chunk, "eventId": new_id(), "payload": {"audio": b""}}
        room = MAX_MESSAGE_BYTES - len(msgpack.packb(frame, use_bin_type=True)) - 3
        frame["payload"] = {"audio": bytes(room)}
        assert len(msgpack.packb(frame, use_bin_type=True)) == MAX_MESSAGE_BYTES
        await client.send_packed(frame)
        await client.send(names.chunk, {"audio": bytes(room % 2)})
        await a_turn_is_understood(client, names, running)
        [kept] = running.server.sessions
        assert isinstance(kept, Session)
        assert kept._audio.counts.received_ms >= room / 32


@pytest.mark.slow
async def test_a_flood_of_messages_leaves_the_neighbour_its_call(names: Names) -> None:
    async with (
        a_call(names) as (client, running),
        connect(running.port, v2=names.v2) as neighbour,
        trio.open_nursery() as nursery,
    ):
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        flood = msgpack.packb(
            {"eventType": names.chunk, "eventId": new_id(), "payload": {"audio": bytes(64)}}
        )

        @nursery.start_soon
        async def pour() -> None:
            for _ in range(10_000):
                await client.socket.send_message(flood)

        await a_turn_is_understood(neighbour, names, running)
        await acknowledged(client, await client.send(names.stop))


@pytest.mark.slow
async def test_a_client_that_stops_reading_is_dropped_and_not_buffered_for(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks and asks, and takes no answer: what waits for it stays within the bound."""
    # However busy this machine is, the bound is reached before one frame has waited for too long.
    monkeypatch.setattr(outbox, "SEND_TIMEOUT_S", 3600)
    async with serving() as running, connect(running.port, v2=names.v2) as neighbour:
        silent = await trio.open_tcp_stream("127.0.0.1", running.port)
        async with silent, trio.open_nursery() as nursery:
            protocol = b"Sec-WebSocket-Protocol: vantum.v2\r\n" if names.v2 else b""
            await silent.send_all(
                b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                + protocol
                + b"\r\n"
            )
            await eventually(lambda: len(running.server.sessions) == 2)
            [dropped] = [each for each in running.server.sessions if each.session_id != neighbour.session_id]
            assert isinstance(dropped, Session)
            waiting = dropped._socket._outbox

            @nursery.start_soon
            async def ask() -> None:
                question = {"eventType": "x", "eventId": "y" * 10_000, "payload": {}}
                unreadable = frame(BINARY, msgpack.packb(question)) * FREE_UNUSABLE
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    while True:
                        # Whoever sends nothing that can be read is read slowly, and disconnected for that.
                        await silent.send_all(unreadable + message(names.chunk, audio=b"\0\0"))

            await eventually(lambda: waiting.overflown)
            assert sum(len(frame.data) for frame in waiting._frames) <= 1024 * 1024
            # The frame that is being sent is not cancelled. Once it was taken, nothing more is sent.
            with suppress(trio.BrokenResourceError):
                while await silent.receive_some():
                    pass
            await eventually(lambda: len(running.server.sessions) == 1)
            nursery.cancel_scope.cancel()
        await a_turn_is_understood(neighbour, names, running)


# --- faults of our own ------------------------------------------------------------------------------------

BROKEN = {
    "speech to text": SimulatedProviders(SimulatedSpeechToText(script(then=Transcription(fault=Breaks())))),
    "its link": SimulatedProviders(SimulatedSpeechToText(openings=script(then=Opening(fault=Breaks())))),
    "language model": SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer(fault=Breaks(KeyError))))
    ),
    "voice": SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(fault=Breaks(OSError))))),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_provider_that_breaks_breaks_no_connection(names: Names, broken: str) -> None:
    async with a_call(names, BROKEN[broken]) as (client, running), connect(running.port) as neighbour:
        await client.send(names.start, {"turnMode": "manual"})
        await say(client, names)
        await client.send(names.stop)
        if broken == "its link":
            assert await client.is_closed() == 1011
            assert await neighbour.is_closed() == 1011
        else:
            await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
            await acknowledged(neighbour, await neighbour.send(LEGACY.start))


async def test_a_bug_in_a_handler_is_told_and_the_call_goes_on(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("simulated bug")

    async with a_call(names) as (client, running), connect(running.port) as neighbour:
        await acknowledged(client, await client.send(names.start, {"turnMode": "manual"}))
        with monkeypatch.context() as patched:
            patched.setattr(PcmReader, "push", bug)
            event_id = await client.send(names.chunk, {"audio": bytes(64)})
            message = await refused(client, event_id, names.internal, names.chunk)
            assert "ZeroDivisionError" not in message
        await a_turn_is_understood(client, names, running)
        await acknowledged(neighbour, await neighbour.send(LEGACY.start))


async def test_a_bug_in_a_conversation_closes_it_with_1011_and_no_other(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("simulated bug")

    async with a_call(names) as (client, running), connect(running.port) as neighbour:
        await acknowledged(client, await client.send(names.start))
        with monkeypatch.context() as patched:
            patched.setattr(session, "payloads_of", bug)
            await client.send(names.stop)
            assert await client.is_closed() == 1011
        await eventually(lambda: len(running.server.sessions) == 1)
        await a_turn_is_understood(neighbour, LEGACY, running)


# --- hierarchical names without the subprotocol -----------------------------------------------------------


async def test_hierarchical_names_without_the_subprotocol_are_answered_in_kind() -> None:
    async with serving() as running, connect(running.port) as client:
        assert client.messages[0]["eventType"] == "connection.ack"
        await a_turn_is_understood(client, V2, running)
        await client.hears("audio.output.complete")
        later = [message["eventType"] for message in client.messages[1:]]
        assert not [name for name in later if name.startswith("voicechat.")]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"samplingRate": 1}, "audio.error.unsupported_rate"),
        ({"samplingRate": "x"}, "audio.error.invalid_format"),
    ],
)
async def test_also_when_the_very_first_message_is_wrong(payload: dict[str, Any], error: str) -> None:
    async with serving() as running, connect(running.port) as client:
        event_id = await client.send("audio.input.start", payload)
        await refused(client, event_id, error, "audio.input.start")
        await a_turn_is_understood(client, V2, running)


async def test_the_other_name_for_stop_is_acknowledged_under_it() -> None:
    async with a_call(V2) as (client, running):
        await client.send("audio.input.start", {"turnMode": "manual"})
        await say(client, V2)
        answer = await client.answer_to(await client.send("audio.input.end"))
        assert answer["eventType"] == "audio.input.end"
        await eventually(lambda: running.providers.llm.requests)


async def test_a_client_that_offered_the_subprotocol_is_greeted_in_it() -> None:
    async with serving() as running, connect(running.port, v2=True) as client:
        assert client.messages[0]["eventType"] == "connection.lifecycle.ack"
        assert client.socket.subprotocol == "vantum.v2"
