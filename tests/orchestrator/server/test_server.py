"""The server: its health, when it is ready, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from random import Random
from typing import Any

import httpx2
import pytest
import trio
from attrs import evolve, field, frozen

from machines.breaker import BreakerPolicy
from machines.facts import EndReason, ErrorClass
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.providers.provider_chain import Providers
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.server.server import Server
from orchestrator.server.startup import open_listeners, serve_with
from orchestrator.settings.settings import Settings
from orchestrator.simulation import (
    Answer,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken
from tests.orchestrator.real_servers import Running, eventually, get, quick_providers, serving
from tests.orchestrator.wire_clients import Client, ShippedClient, connect

Watch = Callable[[], AbstractContextManager[None]]


async def test_health_has_the_references_fields_and_counts_sessions() -> None:
    async with serving() as running:
        async with (
            connect(running.port, client=ShippedClient) as recording,
            connect(running.port, client=ShippedClient) as recorded,
            connect(running.port),
        ):
            assert await recording.start()
            assert await recorded.start()
            assert await recorded.stop()
            health = (await get(running, "/health")).json()
            assert health["status"] == "ok"
            assert isinstance(health["message"], str)
            assert health["uptime"] >= 0
            assert {key: health["sessions"][key] for key in ("total", "idle", "active", "ended")} == {
                "total": 3,
                "idle": 1,
                "active": 1,
                "ended": 1,
            }
            assert health["sessions"]["avgDuration"] >= 0
            assert health["websocketServer"] == {
                "healthy": True,
                "totalConnections": 3,
                "activeSessions": 3,
            }
            assert health["providers"]["stt"] == "simulated speech to text"
        await eventually(lambda: not running.server.sessions)
        response = await get(running, "/health")
        assert response.json()["sessions"]["total"] == 0


@pytest.mark.parametrize("language", ["de-DE", "multi"])
async def test_callers_who_state_no_language_speak_the_configured_one(language: str) -> None:
    async with serving(stt_language=language) as running, connect(running.port) as client:
        await client.send("voicechat.audio.start", {"samplingRate": 16_000})
        await eventually(lambda: running.providers.stt.languages)
        assert running.providers.stt.languages == [language]


# --- readiness --------------------------------------------------------------------------------------------


@frozen
class WaitsFor(Opening):
    """A check that lasts until something happens."""

    event: trio.Event = field(factory=trio.Event)

    async def open(self, random: Random) -> None:
        """Return when it has happened."""
        await self.event.wait()


@asynccontextmanager
async def starting(watched: Providers, **chosen: Any) -> AsyncIterator[Running]:
    """A server with a watch over its providers, as soon as it listens."""
    settings = Settings(**{"host": "127.0.0.1", "port": 0, **chosen})
    watch = ProviderWatch(watched, Random(0), BreakerPolicy(probe_delays_ms=(10,)))
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        bound = await nursery.start(serve_with, settings, watched, listeners, watch)
        yield Running(bound.server, bound.port, quick_providers(), nursery.cancel_scope)
        nursery.cancel_scope.cancel()


def with_models(*models: SimulatedLanguageModel) -> Providers:
    return evolve(quick_providers().for_calls(), llm=models)


async def test_a_server_with_its_providers_probed_is_ready_until_it_drains() -> None:
    async with serving() as running:
        assert (await get(running, "/ready")).status_code == 200
        assert (await get(running, "/ready")).json() == {"ready": True}
        await running.server.drain()
        stopping = await get(running, "/ready")
        assert stopping.status_code == 503
        assert stopping.json() == {"ready": False, "waiting": "the server is stopping"}
        assert stopping.headers["cache-control"] == "no-store"


async def test_before_the_providers_are_loaded_the_port_answers_and_takes_no_call() -> None:
    server = Server(Settings())
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(Settings(host="127.0.0.1", port=0))
        await nursery.start(trio.serve_listeners, server.handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        running = Running(server, port, quick_providers(), nursery.cancel_scope)
        answer = await get(running, "/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "waiting": "the providers are being loaded"}
        assert (await get(running, "/")).status_code == 200
        assert (await get(running, "/health")).json()["status"] == "starting"
        async with connect(port, client=ShippedClient) as shipped, connect(port, v2=True) as other:
            assert await shipped.is_closed() == 1013
            assert await other.is_closed() == 1013
            # An error would stay on the shipped client's screen beside "Connected"; it tries again by itself.
            assert shipped.errors == []
            assert "the server is not ready" in str(other.messages)
        nursery.cancel_scope.cancel()


async def test_a_server_is_ready_when_every_role_has_a_provider_that_works() -> None:
    works = trio.Event()
    model = SimulatedLanguageModel(checks=script(then=WaitsFor(event=works)))
    async with starting(with_models(model)) as running:
        await eventually(lambda: running.server.watch)
        answer = await get(running, "/ready")
        assert answer.status_code == 503
        assert answer.json()["waiting"] == "no provider is known to work for llm"
        async with connect(running.port, client=ShippedClient) as early:
            assert await early.is_closed() == 1013
        works.set()
        await eventually(lambda: running.server.ready)
        assert (await get(running, "/ready")).status_code == 200
        async with connect(running.port, client=ShippedClient) as client:
            assert client.session_id


TWILIO: dict[str, Any] = {
    "twilio_account_sid": f"AC{0:032}",
    "twilio_auth_token": "the auth token",
    "twilio_from_number": "+15005550006",
    "twilio_public_url": "http://vantum.example",
    "twilio_base_url": "http://127.0.0.1:1",
}


async def dial(running: Running) -> httpx2.Response:
    key = {"authorization": f"Bearer {running.server.phone.own_key}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=120, headers=key) as http:
        return await http.post(f"http://127.0.0.1:{running.port}/calls", json={"to": "+15005551234"})


async def test_a_server_whose_only_provider_fails_in_a_call_takes_no_call_until_it_works_again() -> None:
    works = trio.Event()
    # One check is the probe at the start, and one opens the call's link.
    checks = script(Opening(), Opening(), then=WaitsFor(event=works))
    model = SimulatedLanguageModel(script(then=Answer(fault=Fails(ErrorClass.AUTH))), checks=checks)
    async with starting(with_models(model), allow_anybody=True, **TWILIO) as running:
        await eventually(lambda: running.server.ready)
        async with connect(running.port, client=ShippedClient) as client:
            await client.start()
            await client.chunk(pcm_to_bytes(spoken("tell me a joke")))
            await client.stop()
            await eventually(lambda: running.server.not_ready())
        why = "no provider is known to work for llm"
        answer = await get(running, "/ready")
        assert (answer.status_code, answer.json()["waiting"]) == (503, why)
        async with connect(running.port, client=ShippedClient) as next_one:
            assert await next_one.is_closed() == 1013
        dialled = await dial(running)
        assert (dialled.status_code, dialled.json()["error"]) == (503, why)
        works.set()
        await eventually(lambda: running.server.not_ready() is None)
        assert (await get(running, "/ready")).json() == {"ready": True}


async def test_a_provider_that_is_down_at_the_start_holds_up_nobody_where_there_is_another() -> None:
    dead = SimulatedLanguageModel(checks=script(then=Opening(fault=Fails())))
    async with starting(with_models(dead, SimulatedLanguageModel())) as running:
        await eventually(lambda: running.server.ready)
        states = (await get(running, "/health")).json()["providerStates"]
        assert [model["state"] for model in states["llm"]] == ["open", "closed"]
        assert states["llm"][0]["lastError"]["class"] == "transient"
        assert [voice["state"] for voice in states["tts"]] == ["closed"]


async def test_a_server_without_any_provider_that_works_goes_on_probing() -> None:
    refused = [Opening(fault=Fails(ErrorClass.AUTH))] * 5
    model = SimulatedLanguageModel(checks=script(*refused, then=Opening()))
    async with starting(with_models(model)) as running:
        await eventually(lambda: running.server.ready)
        assert (await get(running, "/ready")).status_code == 200
        [state] = (await get(running, "/health")).json()["providerStates"]["llm"]
        assert (state["state"], state["failures"]) == ("closed", 5)


# --- the end ----------------------------------------------------------------------------------------------


async def speaking(port: int, nursery: trio.Nursery) -> Client:
    """A client that the server is speaking to, and that stays until it is sent away."""

    async def talk(task_status: trio.TaskStatus[Client]) -> None:
        async with connect(port, client=ShippedClient) as client:
            await client.start()
            await client.chunk(pcm_to_bytes(spoken("tell me a joke")))
            await client.stop()
            await client.until(lambda: client.played)
            task_status.started(client)
            await client.closed.wait()

    client: Client = await nursery.start(talk)
    return client


@pytest.mark.slow
async def test_an_answer_is_finished_and_a_goodbye_said_before_the_server_stops() -> None:
    slow = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=20))))
    async with (
        serving(slow) as running,
        connect(running.port, v2=True) as quiet,
        trio.open_nursery() as nursery,
    ):
        busy = await speaking(running.port, nursery)
        with trio.fail_after(60):
            await running.server.drain(patience_s=50)
        assert await busy.is_closed() == 1000
        assert await quiet.is_closed() == 1000
        assert [each["payload"] for each in quiet.named("system.status.maintenance")] == [{}]
        assert busy.named("voicechat.response.stop") == []


async def test_a_drain_without_patience_closes_with_1001_for_everybody_and_takes_nobody_new() -> None:
    slow = SimulatedProviders(tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=100))))
    async with (
        serving(slow) as running,
        connect(running.port, v2=True) as quiet,
        trio.open_nursery() as nursery,
    ):
        busy = await speaking(running.port, nursery)
        running.server.draining = True
        async with (
            connect(running.port, client=ShippedClient) as late,
            connect(running.port, v2=True) as later,
        ):
            assert await late.is_closed() == 1001
            assert await later.is_closed() == 1001
            assert late.errors == []
            # Not that all lines are busy, which is another reason to wait.
            assert [each["eventType"] for each in later.messages] == ["system.status.maintenance"]
        with trio.fail_after(120):
            await running.server.drain()
        assert not running.server.sessions
        assert await quiet.is_closed() == 1001
        assert quiet.named("connection.lifecycle.disconnect")[0]["payload"] == {
            "reason": EndReason.SHUTDOWN.value,
            "code": 1001,
        }
        assert await busy.is_closed() == 1001
        assert busy.named("voicechat.response.stop")
        health = (await get(running, "/health")).json()
        assert health["status"] == "draining"
        assert health["websocketServer"]["healthy"] is False


@pytest.mark.slow
async def test_a_server_that_is_cancelled_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        async with serving() as running, connect(running.port, client=ShippedClient) as client:
            await client.start()
            running.stop.cancel()
            await client.is_closed()


async def test_hanging_up_by_message_is_answered_with_1000() -> None:
    for event, payload in (
        ("user.action.end_call", {"reason": "done"}),
        ("connection.lifecycle.disconnect", {"reason": "done"}),
    ):
        async with serving() as running, connect(running.port, v2=True) as client:
            await client.send(event, payload)
            assert await client.is_closed() == 1000
            [goodbye] = client.named("connection.lifecycle.disconnect")
            assert goodbye["payload"]["code"] == 1000


@pytest.mark.slow
async def test_providers_that_cannot_be_reached_end_the_call_with_1011() -> None:
    providers = SimulatedProviders(SimulatedSpeechToText(openings=script(then=Opening(fault=Fails()))))
    async with serving(providers) as running:
        async with connect(running.port, v2=True) as client:
            assert await client.is_closed() == 1011
            assert client.named("error.service.stt_unavailable")
        async with connect(running.port, client=ShippedClient) as shipped:
            assert not await _started_before_close(shipped)
            assert shipped.close_code == 1011
            assert shipped.errors[0].startswith("voicechat.audio.start: ")


async def _started_before_close(client: ShippedClient) -> bool:
    acknowledged = False
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def start() -> None:
            nonlocal acknowledged
            acknowledged = await client.start()

        await client.closed.wait()
        nursery.cancel_scope.cancel()
    return acknowledged
