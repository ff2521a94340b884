"""One session over a connection in memory, in virtual time: limits, half-open peers, a client's wishes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import structlog
import trio
from attrs import define, evolve
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)
from trio_websocket import wrap_client_stream

from machines.facts import EndReason, TurnMode
from machines.policy import ConversationPolicy
from machines.tools import ToolCall
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.conversation.send_queue import SEND_TIMEOUT_S
from orchestrator.server.peer_socket import PeerSocket
from orchestrator.sessions.call_socket import PING_INTERVAL_S, PONG_TIMEOUT_S
from orchestrator.sessions.early_audio import EARLY_AGE_S
from orchestrator.sessions.served_session import SharedResources
from orchestrator.sessions.session import Session
from orchestrator.sessions.session_settings import SessionSettings
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    script,
)
from orchestrator.simulation.speech import silence, spoken
from orchestrator.tools.builtin_tools import end_call, transfer_call
from protocol import HIERARCHICAL, MAX_MESSAGE_BYTES, Dialect
from tests.orchestrator.wire_clients import Client

IDLE_S = 120
OLDEST_S = 600
SETTINGS = SessionSettings(
    policy=ConversationPolicy(),
    default_turn_mode=TurnMode.AUTOMATIC,
    idle_timeout_s=IDLE_S,
    max_duration_s=OLDEST_S,
)


@define
class Held:
    """A session and its client."""

    session: Session
    client: Client
    over: trio.Event
    began: float
    _client_side: trio.CancelScope

    async def lasted(self) -> float:
        """Seconds until it was over."""
        with trio.fail_after(3600):
            await self.over.wait()
        return trio.current_time() - self.began

    def vanish(self) -> None:
        """The client's side falls silent without closing anything."""
        self._client_side.cancel()


@asynccontextmanager
async def a_session(
    providers: SimulatedProviders | None = None,
    *,
    lockstep: bool = False,
    settings: SessionSettings = SETTINGS,
    dialect: Dialect = HIERARCHICAL,
) -> AsyncIterator[Held]:
    """A session; with `lockstep`, what is not read blocks the sender."""
    providers = providers or SimulatedProviders()
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    async with trio.open_nursery() as nursery:
        sockets: list[PeerSocket] = []
        clients: trio.Nursery = await nursery.start(_keep_open)

        @nursery.start_soon
        async def accept() -> None:
            socket = PeerSocket(ours, MAX_MESSAGE_BYTES)
            await socket.accept(bytes(await ours.receive_some()))
            sockets.append(socket)

        socket = await wrap_client_stream(clients, cast(Any, theirs), "host", "/ws")
        await wait_all_tasks_blocked()
        session = Session(sockets[0], settings, dialect, True)
        client = Client(socket, theirs)
        held = Held(session, client, trio.Event(), trio.current_time(), clients.cancel_scope)

        @nursery.start_soon
        async def run() -> None:
            await session.run(SharedResources(providers.for_calls()))
            held.over.set()
            await ours.aclose()

        clients.start_soon(client.read)
        await client.until(lambda: client.messages)
        yield held
        session.hang_up(EndReason.SHUTDOWN)
        await held.over.wait()
        nursery.cancel_scope.cancel()
    assert providers.in_use() == 0


async def _keep_open(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


async def say(client: Client, words: str) -> None:
    await client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken(words))})


async def test_a_heartbeat_is_sent_back_as_it_came(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        event_id = await held.client.send("connection.lifecycle.heartbeat", {"timestamp": 1})
        answer = await held.client.answer_to(event_id)
        assert (answer["eventType"], answer["sessionId"]) == (
            "connection.lifecycle.heartbeat",
            held.session.session_id,
        )
        assert answer["payload"] == {"timestamp": 1.0}
        await held.client.send("connection.lifecycle.heartbeat", {"timestamp": 2.5}, eventId=...)
        assert (await held.client.hears("connection.lifecycle.heartbeat", 2))["eventId"]


async def keep_quiet(client: Client) -> None:
    await client.send("audio.input.chunk", {"audio": pcm_to_bytes(silence(200))})


async def test_an_idle_session_ends_with_the_full_teardown(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        assert await held.lasted() == pytest.approx(IDLE_S)
        assert await held.client.is_closed() == 1000
        [goodbye] = held.client.named("connection.lifecycle.disconnect")
        assert goodbye["payload"]["reason"] == "idle"


async def test_messages_put_the_idle_limit_off(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        for _ in range(3):
            await trio.sleep(100)
            assert await held.client.is_alive()
        assert await held.lasted() == pytest.approx(300 + IDLE_S)


@pytest.mark.slow
async def test_an_answer_that_is_being_spoken_puts_the_idle_limit_off(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer("Once upon a time there was a story. " * 90)))
    )
    async with a_session(providers) as held:
        await held.client.send("audio.input.start", {"turnMode": "manual"})
        await held.client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken("tell me"))})
        await held.client.send("audio.input.stop")
        assert await held.lasted() > IDLE_S + 100
        assert held.client.named("audio.output.complete")
        assert await held.client.is_closed() == 1000


async def test_the_model_may_hang_up_on_a_browser_and_cannot_transfer_it(autojump_clock: MockClock) -> None:
    farewell = ToolCall("id", "end_call", json.dumps({"farewell": "Goodbye!"}))
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer(calls=(farewell,)))))
    async with a_session(providers, settings=evolve(SETTINGS, tools=(end_call, transfer_call))) as held:
        await held.client.send("audio.input.start", {"turnMode": "manual"})
        await held.client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken("hello"))})
        await held.client.send("audio.input.stop")
        await held.lasted()
        assert await held.client.is_closed() == 1000
        [goodbye] = held.client.named("connection.lifecycle.disconnect")
        assert goodbye["payload"]["reason"] == "agent_hung_up"
        assert held.client.named("audio.output.complete")
    assert [spec.name for spec in providers.llm.offered[0]] == ["end_call"]


async def test_no_session_grows_older_than_the_limit(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def talk() -> None:
                while not held.over.is_set():
                    await held.client.is_alive()
                    await trio.sleep(50)

            assert await held.lasted() == pytest.approx(OLDEST_S)
            nursery.cancel_scope.cancel()
        assert await held.client.is_closed() == 1000


async def test_a_limit_in_mid_answer_silences_it(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer("Once upon a time there was a story. " * 20)))
    )
    settings = SessionSettings(ConversationPolicy(), TurnMode.MANUAL, IDLE_S, max_duration_s=10)
    async with a_session(providers, settings=settings) as held:
        await held.client.send("audio.input.start")
        await held.client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken("tell me"))})
        await held.client.send("audio.input.stop")
        assert await held.lasted() == pytest.approx(10)
        assert held.client.named("audio.output.cancel")
        assert await held.client.is_closed() == 1000


async def test_a_half_open_peer_is_found_by_its_missing_pong(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        held.vanish()
        assert await held.lasted() == pytest.approx(PING_INTERVAL_S + PONG_TIMEOUT_S)


async def test_a_peer_that_answers_pings_is_kept(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        await trio.sleep(4 * (PING_INTERVAL_S + PONG_TIMEOUT_S) - IDLE_S / 2)
        assert not held.over.is_set()


async def test_a_client_that_takes_nothing_is_dropped_after_the_send_timeout(
    autojump_clock: MockClock,
) -> None:
    async with a_session(lockstep=True) as held:
        assert await held.client.is_alive()
        await held.client.send("nonsense")
        held.vanish()
        assert await held.lasted() == pytest.approx(SEND_TIMEOUT_S)


async def test_a_client_that_takes_nothing_does_not_hold_up_the_goodbye(autojump_clock: MockClock) -> None:
    async with a_session(lockstep=True) as held:
        await held.client.send("user.action.end_call")
        held.vanish()
        assert await held.lasted() <= SETTINGS.policy.close_timeout_ms / 1000


# --- what a client asks for -------------------------------------------------------------------------------


async def test_a_client_that_does_not_say_is_listened_to_until_it_pauses(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        await held.client.send("audio.input.start")
        await say(held.client, "what is your name")
        for _ in range(5):
            await keep_quiet(held.client)
            await trio.sleep(0.2)
        final = await held.client.hears("transcript.final.result")
        assert final["payload"]["text"] == "what is your name"
        await held.client.hears("audio.output.complete")


async def test_a_language_stated_during_the_greeting_is_spoken_from_the_next_answer_on(
    autojump_clock: MockClock,
) -> None:
    providers = SimulatedProviders()
    greeted = evolve(SETTINGS, policy=ConversationPolicy(greeting="Hello, this is a greeting that lasts."))
    async with a_session(providers, settings=greeted) as held:
        await held.client.hears("audio.output.start")
        stated = {"turnMode": "manual", "language": "de-DE"}
        await held.client.answer_to(await held.client.send("audio.input.start", stated))
        assert providers.stt.languages[-1] == "de-DE", "listening changes at once"
        assert providers.tts.languages == ["en-US"], "what is being said goes on"
        await held.client.hears("audio.output.complete")
        assert not held.client.named("audio.output.cancel")
        await say(held.client, "hello")
        await held.client.send("audio.input.stop")
        await held.client.hears("audio.output.complete", 2)
        assert providers.tts.languages == ["en-US", "de-DE"]


async def test_states_words_and_latency_are_told(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        client = held.client
        await client.hears("system.status.ready")
        await client.send("audio.input.start", {"turnMode": "manual"})
        await say(client, "hello")
        await client.send("audio.input.stop")
        complete = await client.hears("conversation.response.complete")
        await client.is_alive()
        assert complete["payload"]["fullResponse"] == "You said hello. That was all."
        assert complete["payload"]["latency"]["totalMs"] is not None
        assert [each["payload"]["token"] for each in client.named("conversation.response.token")] == [
            "You said hello.",
            " That was all.",
        ]
        states = [
            (each["payload"]["from"], each["payload"]["to"])
            for each in client.named("conversation.state.changed")
        ]
        assert [(source, target) for source, target in states if source != target] == [
            ("INITIALIZING", "LISTENING"),
            ("LISTENING", "THINKING"),
            ("THINKING", "RESPONDING"),
            ("RESPONDING", "LISTENING"),
        ]


async def test_an_interruption_says_what_was_heard(autojump_clock: MockClock) -> None:
    text = "One two three four five six seven eight nine ten. And so on it goes for a long time."
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer(text))))
    async with a_session(providers) as held:
        client = held.client
        await client.send("audio.input.start", {"turnMode": "manual"})
        await say(client, "hello")
        await client.send("audio.input.stop")
        await client.hears("audio.output.chunk")
        await trio.sleep(1)
        await client.send("user.action.interrupt", {"timestamp": 1.0})
        cut = (await client.hears("conversation.state.interrupted"))["payload"]
        [cancel] = client.named("audio.output.cancel")
        assert cancel["payload"]["reason"] == "interrupted"
        assert cancel["payload"]["utteranceId"] == cut["utteranceId"]
        assert cut["heardMs"] == pytest.approx(1000, abs=1)
        assert f"{cut['partialResponse']} {cut['unheardResponse']}" == text
        await client.is_alive()
        position = client.messages.index(cancel)
        assert not [m for m in client.messages[position:] if m["eventType"] == "audio.output.chunk"]


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
async def test_answers_come_at_the_rate_the_client_wants(rate: int, autojump_clock: MockClock) -> None:
    async with a_session() as held:
        await held.client.send("audio.input.start", {"turnMode": "manual", "outputSamplingRate": rate})
        await say(held.client, "hello")
        await held.client.send("audio.input.stop")
        done = await held.client.hears("audio.output.complete")
        chunks = [message["payload"] for message in held.client.named("audio.output.chunk")]
        assert {chunk["samplingRate"] for chunk in chunks} == {rate}
        samples = sum(len(chunk["audio"]) // 2 for chunk in chunks)
        assert samples * 1000 / rate == pytest.approx(done["payload"]["duration"])


async def test_audio_long_before_the_start_is_not_part_of_the_recording(autojump_clock: MockClock) -> None:
    async with a_session() as held:
        await say(held.client, "stop wait")
        await held.client.is_alive()
        await trio.sleep(EARLY_AGE_S + 1)
        await say(held.client, "hello")
        await held.client.send("audio.input.start", {"turnMode": "manual"})
        await held.client.send("audio.input.stop")
        final = await held.client.hears("transcript.final.result")
        assert final["payload"]["text"] == "hello"


async def test_words_are_logged_at_debug_only(autojump_clock: MockClock) -> None:
    with structlog.testing.capture_logs() as lines:
        async with a_session() as held:
            await held.client.send("audio.input.start", {"turnMode": "manual"})
            await say(held.client, "hello please")
            await held.client.send("audio.input.stop")
            await held.client.hears("audio.output.complete")
    assert {line["log_level"] for line in lines if "hello" in str(line)} == {"debug"}
