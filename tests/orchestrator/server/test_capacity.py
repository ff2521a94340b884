"""More clients than there may be calls: who is turned away, with which words, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.orchestrator.real_servers import KEY, UPGRADE, eventually, exchange, get, serving
from tests.orchestrator.wire_clients import ShippedClient, connect


async def test_the_call_beyond_the_capacity_is_told_busy_and_closed_with_1013() -> None:
    async with serving(local_max_calls=2) as running:
        async with connect(running.port, v2=True) as first, connect(running.port, v2=True) as second:
            await first.begin()
            await second.begin()
            async with connect(running.port, v2=True) as third:
                assert await third.is_closed() == 1013
                [busy] = third.messages
                assert busy["eventType"] == "system.status.busy"
                assert busy["payload"] == {"activeSessions": 2, "maxSessions": 2}
        await eventually(lambda: not running.server.sessions)
        async with connect(running.port, v2=True) as later:
            assert later.session_id
        assert running.server.counts["turned away"] == 1


@pytest.mark.parametrize(
    ("lacking", "capacity"),
    [(None, 500), ("deepgram_api_key", 3), ("cartesia_api_key", 3), ("llm_api_key", 3)],
)
async def test_embedded_models_bound_the_calls_only_where_one_is_used(
    lacking: str | None, capacity: int
) -> None:
    keys: dict[str, Any] = dict.fromkeys(("deepgram_api_key", "cartesia_api_key", "llm_api_key"), "key")
    if lacking:
        del keys[lacking]
    async with serving(local_max_calls=3, max_sessions=500, **keys) as running:
        assert running.server.capacity.most == capacity


async def test_a_server_whose_lines_are_all_busy_is_not_ready_until_one_is_free() -> None:
    async with serving(local_max_calls=2) as running, connect(running.port, v2=True) as first:
        assert (await get(running, "/ready")).json() == {"ready": True}
        async with connect(running.port, v2=True) as second:
            for client in (first, second):  # neither of them is silent and makes room
                await client.begin()
            full = await get(running, "/ready")
            assert (full.status_code, full.json()) == (
                503,
                {"ready": False, "waiting": "all lines are busy"},
            )
            assert (await get(running, "/health")).json()["status"] == "ok"
        await eventually(lambda: len(running.server.sessions) == 1)
        assert (await get(running, "/ready")).json() == {"ready": True}


async def test_a_shipped_client_beyond_the_capacity_is_shown_an_error() -> None:
    async with serving(local_max_calls=1) as running, connect(running.port, client=ShippedClient) as first:
        assert await first.start()
        async with connect(running.port, client=ShippedClient) as second:
            assert await second.is_closed() == 1013
            [error] = second.errors
            assert "busy" in error


@pytest.mark.slow
async def test_a_client_that_is_turned_away_and_does_not_care_is_let_go() -> None:
    async with serving(local_max_calls=1) as running, connect(running.port, client=ShippedClient) as first:
        assert await first.start()
        upgrade = UPGRADE.format(path="/ws", key=KEY, version=13).encode()
        answer = await exchange(running, upgrade)
        assert b"busy" in answer
