"""A server that has too much to do: who is refused, what is left out, whose call ends, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.server.load import Load
from orchestrator.server.server import Server
from orchestrator.settings.settings import Settings, SettingsError
from orchestrator.simulation.speech import spoken
from tests.orchestrator.phone.phone_lines import STATUS, THEIRS, a_line, says
from tests.orchestrator.real_servers import eventually, get, serving
from tests.orchestrator.server_process import SERVER, server_process
from tests.orchestrator.wire_clients import Client, ShippedClient, connect

CALM = Load(2.0, 0.2, 100_000_000)
BUSY = Load(20.0, 0.97, 100_000_000)
LATE = Load(600.0, 1.0, 100_000_000)


def measures(server: Server, load: Load, times: int) -> None:
    """The server finds so often that it has this much to do, with the calls that it has."""
    for _ in range(times):
        server.capacity.admissions.measured(load, len(server.sessions))


def state_of(server: Server) -> str:
    return str(server.health()["admission"]["state"])


# --- the door ---------------------------------------------------------------------------------------------


async def test_a_call_that_would_harm_the_others_is_told_busy_and_when_to_come_again() -> None:
    async with serving() as running, connect(running.port, v2=True) as first:
        measures(running.server, BUSY, 4)
        async with connect(running.port, v2=True) as second:
            assert await second.is_closed() == 1013
            assert second.socket.closed.reason == "busy; retry=10000"
            [busy] = second.messages
            assert busy["eventType"] == "system.status.busy"
            assert busy["payload"] == {"activeSessions": 1, "maxSessions": 1}
        async with connect(running.port, client=ShippedClient) as shipped:
            assert await shipped.is_closed() == 1013
            assert "busy" in shipped.errors[0]
        assert await first.is_alive()
        assert running.server.counts["turned away"] == 2
        measures(running.server, CALM, 10)
        async with connect(running.port, v2=True) as later:
            assert later.session_id


async def test_ready_and_health_tell_of_it() -> None:
    async with serving() as running, connect(running.port, v2=True):
        measures(running.server, CALM, 1)
        assert (await get(running, "/ready")).json() == {"ready": True}
        measures(running.server, BUSY, 4)
        refused = await get(running, "/ready")
        assert (refused.status_code, refused.json()) == (
            503,
            {"ready": False, "waiting": "the server is too busy for another call"},
        )
        health = (await get(running, "/health")).json()
        assert health["status"] == "ok", "it is well"
        assert health["admission"] == {
            "state": "refusing",
            "leftOut": [],
            "lagMs": 20.0,
            "cpuPercent": 97.0,
            "residentBytes": 100_000_000,
        }
        measures(running.server, CALM, 5)
        assert (await get(running, "/ready")).json() == {"ready": True}


async def test_a_machine_that_is_busy_with_other_things_takes_a_first_call() -> None:
    async with serving() as running:
        measures(running.server, LATE, 50)
        assert (await get(running, "/ready")).status_code == 200
        async with connect(running.port, v2=True) as only:
            assert await only.is_alive()


async def test_an_operator_can_turn_it_off() -> None:
    async with serving(admission=False) as running, connect(running.port, v2=True):
        measures(running.server, LATE, 50)
        assert state_of(running.server) == "off"
        async with connect(running.port, v2=True) as second:
            assert second.session_id


async def test_each_change_is_logged_once_and_no_refusal_is() -> None:
    async with serving() as running, connect(running.port, v2=True):
        with structlog.testing.capture_logs() as lines:
            measures(running.server, BUSY, 20)
            for _ in range(3):
                async with connect(running.port, v2=True) as refused:
                    await refused.is_closed()
            measures(running.server, CALM, 20)
        told = [each for each in lines if each["event"] == "admission"]
        assert [(each["log_level"], each["was"], each["now"]) for each in told] == [
            ("warning", "OPEN", "TIGHT"),
            ("warning", "TIGHT", "refusing"),
            ("info", "refusing", "TIGHT"),
            ("info", "TIGHT", "OPEN"),
        ]
        assert (told[0]["calls"], told[0]["lag_ms"], told[0]["cpu_percent"]) == (1, 20.0, 97.0)
        assert [each for each in lines if each["event"] == "no room"] == []


# --- the telephone ----------------------------------------------------------------------------------------


async def test_whoever_rings_a_server_that_cannot_bear_it_hears_busy(autojump_clock: MockClock) -> None:
    async with a_line(says("hello", "thanks", "bye")) as line:
        first = line.rings(status_url=STATUS)
        await line.talking(first)
        measures(line.port.server, BUSY, 4)
        second = line.rings(status_url=STATUS)
        await second.over.wait()
        assert second.status == "busy"
        assert line.port.server.counts["calls turned away"] == 1
        status, body = await line.ask("POST", "/calls", {"to": THEIRS})
        assert (status, body["error"]) == (503, "the server is too busy for another call")
        await first.over.wait()
        assert first.status == "completed"


async def test_a_call_that_already_rings_is_not_refused_when_it_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with a_line(says("hello")) as line:
        first = line.rings(status_url=STATUS)
        await line.talking(first)
        ringing = await line.order()
        measures(line.port.server, BUSY, 4)
        await ringing.over.wait()
        assert ringing.report()["outcome"] == "completed"
        await first.over.wait()


# --- too much was taken -----------------------------------------------------------------------------------


async def asks(client: Client) -> list[dict[str, Any]]:
    """Say something by button, and have it answered. Returns what was told meanwhile."""
    seen = len(client.messages)
    answered = len(client.named("conversation.response.complete"))
    await client.send("audio.input.start", {"samplingRate": 16_000, "turnMode": "manual"})
    await client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken("tell me a joke"))})
    await client.send("audio.input.stop")
    await client.hears("conversation.response.complete", answered + 1)
    return client.messages[seen:]


def told(messages: list[dict[str, Any]], event_type: str) -> list[dict[str, Any]]:
    return [each["payload"] for each in messages if each["eventType"] == event_type]


async def test_interim_words_and_telemetry_are_left_out_and_no_turn_is_lost() -> None:
    async with serving() as running, connect(running.port, v2=True) as client:
        usual = await asks(client)
        measures(running.server, LATE, 4 + 5 + 5)
        assert running.server.health()["admission"]["leftOut"] == ["interim words", "telemetry"]
        spare = await asks(client)
        for each in (usual, spare):
            assert [final["text"] for final in told(each, "transcript.final.result")] == ["tell me a joke"]
            assert told(each, "audio.output.chunk")
        assert told(usual, "transcript.interim.result")
        assert not told(spare, "transcript.interim.result")
        substates, rooms = (
            [(each["from"], each["to"]) for each in told(messages, "conversation.state.changed")]
            for messages in (usual, spare)
        )
        assert any(source == target for source, target in substates)
        assert {("LISTENING", "THINKING"), ("THINKING", "RESPONDING")} <= set(rooms)
        assert all(source != target for source, target in rooms)
        measures(running.server, CALM, 5)
        assert running.server.health()["admission"]["leftOut"] == []
        assert told(await asks(client), "transcript.interim.result")


async def test_the_newest_call_ends_with_a_goodbye_and_the_others_go_on() -> None:
    async with (
        serving() as running,
        connect(running.port, v2=True) as oldest,
        connect(running.port, v2=True) as newest,
    ):
        measures(running.server, LATE, 4 + 5 + 5 + 5)
        assert await newest.is_closed() == 1000, "it has heard a goodbye, and shall not call again by itself"
        assert newest.named("audio.output.chunk")
        assert newest.named("connection.lifecycle.disconnect")[0]["payload"]["reason"] == "overloaded"
        assert newest.named("system.status.maintenance") == []
        assert await oldest.is_alive()


async def test_without_a_goodbye_it_is_closed_with_1013() -> None:
    async with (
        serving(admission_goodbye="") as running,
        connect(running.port, v2=True) as oldest,
        connect(running.port, v2=True) as newest,
    ):
        measures(running.server, LATE, 4 + 5 + 5 + 5)
        assert await newest.is_closed() == 1013
        assert newest.named("connection.lifecycle.disconnect")[0]["payload"]["reason"] == "overloaded"
        assert await oldest.is_alive()
        await eventually(lambda: len(running.server.sessions) == 1)
        measures(running.server, LATE, 50)
        assert await oldest.is_alive(), "the last call is never ended"


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        (
            {"admission_most_lag_ms": 0},
            "ADMISSION_MOST_LAG_MS is 0, but must be a whole number from 1 to 10000.",
        ),
        (
            {"admission_most_cpu_percent": 101},
            "ADMISSION_MOST_CPU_PERCENT is 101, but must be a whole number from 1 to 100.",
        ),
    ],
)
def test_a_bound_that_is_none_is_said_in_one_sentence(chosen: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings(**chosen)
    assert str(error.value) == complaint


def test_the_bounds_are_those_that_were_chosen() -> None:
    policy = Settings(admission_most_lag_ms=200, admission_most_cpu_percent=50).admission_policy
    assert policy is not None
    assert (policy.most_lag_ms, policy.most_cpu, policy.late_lag_ms) == (200, 0.5, 500)


# --- a real process ---------------------------------------------------------------------------------------

BUSY_SERVER = SERVER.replace(
    "port=0)",
    """port=0, llm_base_url="http://127.0.0.1:9", llm_model="none", deepgram_api_key="none",
    cartesia_api_key="none", admission_most_cpu_percent=1)""",
)


@pytest.mark.slow
async def test_a_real_process_measures_itself_and_refuses() -> None:
    async with (
        server_process(BUSY_SERVER) as started,
        connect(started.port, v2=True) as busy,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def keep_it_busy() -> None:
            while True:
                await busy.is_alive()

        with trio.fail_after(120):
            while True:
                async with connect(started.port, v2=True) as other:
                    if other.named("system.status.busy"):
                        assert await other.is_closed() == 1013
                        break
        assert await busy.is_alive()
        nursery.cancel_scope.cancel()
