"""The reference's shipped web client at a real socket: whole calls, as section 1.6 says it behaves."""

from __future__ import annotations

import math

import pytest
import trio

from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.simulation import (
    Delay,
    Fails,
    Opening,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken
from tests.orchestrator.real_servers import eventually, serving
from tests.orchestrator.wire_clients import ShippedClient, connect

BLOCK = 8192


async def record(client: ShippedClient, words: str, rate: int = 16_000) -> None:
    """Speak into the microphone: blocks of 4096 samples, the last one padded with silence."""
    audio = pcm_to_bytes(spoken(words, rate))
    for start in range(0, len(audio), BLOCK):
        await client.chunk(audio[start : start + BLOCK].ljust(BLOCK, b"\0"))


def completed(client: ShippedClient) -> int:
    return len(client.named("voicechat.response.complete"))


@pytest.mark.slow
async def test_a_call_by_the_record_button() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as client:
        assert client.messages[0]["eventType"] == "connection.ack"
        assert client.messages[0]["payload"] == {"success": True}
        for turn in (1, 2):
            assert await client.start()
            await record(client, "hello how is the weather")
            assert await client.stop()
            await client.until(lambda turn=turn: completed(client) == turn)
            await client.hear_out()
        assert [request[-1].text for request in running.providers.llm.requests] == [
            "hello how is the weather"
        ] * 2
        assert client.errors == client.warnings == []
        assert running.providers.tts.voices == ["voice-1", "voice-1"]


@pytest.mark.slow
async def test_one_utterance_id_an_answer_increasing_and_event_ids_all_different() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as client:
        for turn in (1, 2):
            await client.start()
            await record(client, "tell me a joke")
            await client.stop()
            await client.until(lambda turn=turn: completed(client) == turn)
            await client.hear_out()
        spoken_messages = [m for m in client.messages if m["eventType"].startswith("voicechat.response.")]
        ids = [message["payload"]["utteranceId"] for message in spoken_messages]
        assert len(set(ids)) == 2
        assert ids == sorted(ids), "the client sorts its queue by them"
        assert len({message["eventId"] for message in spoken_messages}) == len(spoken_messages)
        assert {message["sessionId"] for message in spoken_messages} == {client.session_id}
        assert client.stops == ["start", "start"], "nothing else stopped its playback"


async def test_audio_is_48_khz_in_a_few_large_chunks() -> None:
    voice = SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=30)))
    async with (
        serving(SimulatedProviders(tts=voice)) as running,
        connect(running.port, client=ShippedClient) as client,
    ):
        await client.start()
        await record(client, "tell me a joke please")
        await client.stop()
        await client.until(lambda: completed(client))
        assert {played.rate for played in client.played} == {48_000}
        # Fewer samples are at the end of a segment, if the next one is not there yet.
        assert max(played.samples for played in client.played) == 48 * 320
        text = "You said tell me a joke please." + "That was all."
        samples = sum(played.samples for played in client.played)
        assert samples == 48 * 30 * len(text)
        segments = 2
        assert len(client.played) <= math.ceil(samples / (48 * 320)) + segments


async def test_timestamps_are_floats_which_json_can_print() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as client:
        await client.start()
        await record(client, "hello")
        await client.stop()
        await client.until(lambda: completed(client))
        [start] = client.named("voicechat.response.start")
        assert isinstance(start["payload"]["timestamp"], float)


async def test_recording_over_the_answer_interrupts_it_with_one_interrupt_event() -> None:
    slow = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=100))))
    async with serving(slow) as running, connect(running.port, client=ShippedClient) as client:
        await client.start()
        await record(client, "hello")
        await client.stop()
        await client.until(lambda: client.played)
        assert await client.start()
        await client.hears("voicechat.response.interrupt")
        position = [m["eventType"] for m in client.messages].index("voicechat.response.interrupt")
        await record(client, "stop")
        later = [m["eventType"] for m in client.messages[position + 1 :]]
        assert not [name for name in later if name.startswith("voicechat.response.chunk")]
        assert client.stops == ["start", "interrupt"]
        assert client.errors == []


async def test_a_chunk_that_comes_before_start_is_heard_at_the_rate_that_start_names() -> None:
    async with serving() as running, connect(running.port, client=ShippedClient) as client:
        await record(client, "one two", 48_000)
        await client.start(48_000)
        await record(client, "three four", 48_000)
        await client.stop()
        await client.until(lambda: completed(client))
        assert running.providers.llm.requests[0][-1].text == "one two three four"


async def test_after_a_reconnection_chunks_without_start_under_the_old_id_are_heard_at_the_stop() -> None:
    async with serving() as running:
        async with connect(running.port, client=ShippedClient) as first:
            await first.start()
            await first.chunk(bytes(BLOCK))
            old_id = first.session_id
        async with connect(running.port, client=ShippedClient) as second:
            assert second.session_id != old_id
            audio = pcm_to_bytes(spoken("how is the weather"))
            for start in range(0, len(audio), BLOCK):
                await second.chunk(audio[start : start + BLOCK].ljust(BLOCK, b"\0"), old_id)
            assert await second.stop()
            await second.until(lambda: completed(second))
            assert running.providers.llm.requests[0][-1].text == "how is the weather"
            assert second.errors == []


async def test_disconnecting_in_mid_recording_ends_the_session() -> None:
    async with serving() as running:
        async with connect(running.port, client=ShippedClient) as client:
            await client.start()
            await record(client, "hello")
            await client.send("voicechat.audio.end", {})
            await client.socket.aclose(1000, "User disconnected")
        await eventually(lambda: not running.server.sessions)
        assert running.providers.in_use() == 0


async def test_two_quick_connections_are_two_sessions() -> None:
    """The client's development build mounts twice."""
    async with (
        serving() as running,
        connect(running.port, client=ShippedClient) as first,
        connect(running.port, client=ShippedClient) as second,
    ):
        assert first.session_id != second.session_id
        assert await second.start()


async def test_a_voice_that_fails_is_shown() -> None:
    providers = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(fault=Fails()))))
    async with serving(providers) as running, connect(running.port, client=ShippedClient) as client:
        await client.start()
        await record(client, "hello")
        assert await client.stop()
        await client.until(lambda: client.errors)
        [error] = client.named("voicechat.error")
        assert error["payload"] == {
            "errorType": "synthesis",
            "message": "The answer cannot be spoken at the moment.",
            "retryable": True,
        }
        assert "requestType" not in error
        assert client.errors == ["ERROR: The answer cannot be spoken at the moment."]


async def test_a_start_is_acknowledged_only_when_somebody_listens() -> None:
    slow = SimulatedSpeechToText(openings=script(then=Opening(Delay(100))))
    providers = SimulatedProviders(slow)
    async with serving(providers) as running, connect(running.port, client=ShippedClient) as client:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def start() -> None:
                assert await client.start()
                assert running.providers.stt.open_links == 1

        assert client.errors == []
