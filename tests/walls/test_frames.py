"""Frames without end, of each kind, at each path: others run between them, and the socket is closed."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
from trio.testing import MockClock

from orchestrator.server.peer_socket import CONTROL_FRAMES, CONTROL_FRAMES_PER_S, MOST_FRAGMENTS
from orchestrator.simulation import SimulatedProviders
from protocol import MAX_MESSAGE_BYTES
from protocol.twilio import MAX_START_BYTES
from tests.orchestrator.memory_port import memory_port
from tests.walls.peers import BINARY, HANDSHAKE, PING, PONG, Socket, a_socket, frame, send_all

HEARTBEAT = msgpack.packb({"eventType": "connection.lifecycle.heartbeat", "payload": {"timestamp": 1}})
CRUMBS = 900
PIECES = [HEARTBEAT[:1]] + [b""] * CRUMBS + [HEARTBEAT[1:]]
FLOODS = {
    "pongs": frame(PONG) * CRUMBS + frame(BINARY, HEARTBEAT),
    "pings": frame(PING) * CRUMBS + frame(BINARY, HEARTBEAT),
    "full pongs": frame(PONG, bytes(125)) * CRUMBS + frame(BINARY, HEARTBEAT),
    "empty crumbs of a message": frame(BINARY, PIECES[0], final=False)
    + frame(0, final=False) * CRUMBS
    + frame(0, PIECES[-1]),
    "messages": frame(BINARY, HEARTBEAT) * CRUMBS,
}


async def beat(socket: Socket) -> None:
    """Wait for the answer to a heartbeat."""
    while True:
        _, payload = await socket.next_frame()
        if b"heartbeat" in payload:
            return


@pytest.mark.parametrize("flood", FLOODS)
async def test_others_run_between_each_two_frames(flood: str, autojump_clock: MockClock) -> None:
    steps = 0

    async def bystander() -> None:
        nonlocal steps
        while True:
            await trio.lowlevel.checkpoint()
            steps += 1

    async with (
        memory_port(SimulatedProviders()) as port,
        a_socket(port) as socket,
        trio.open_nursery() as nursery,
    ):
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(bystander)
        await socket.stream.send_all(FLOODS[flood])
        for _ in range(CRUMBS if flood == "messages" else 1):
            await beat(socket)
        taken = steps
        nursery.cancel_scope.cancel()
    assert taken >= CRUMBS


@pytest.mark.parametrize("path", ["/ws", "/twilio/media"])
@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_that_is_no_message_is_closed_with_a_reason(
    path: str, opcode: int, autojump_clock: MockClock
) -> None:
    async with memory_port(SimulatedProviders()) as port, a_socket(port, path) as socket:
        await send_all(socket.stream, frame(opcode) * (CONTROL_FRAMES + 10))
        reason = f"more than {CONTROL_FRAMES_PER_S} pings and pongs a second"
        assert await socket.is_closed() == (1008, reason)


async def test_pings_and_pongs_as_often_as_anybody_needs_them_are_taken(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        for _ in range(30):
            await socket.stream.send_all(frame(PING) * (CONTROL_FRAMES_PER_S - 1))
            await trio.sleep(1)
        await socket.stream.send_all(frame(BINARY, HEARTBEAT))
        await beat(socket)


async def test_a_message_in_too_many_crumbs_is_closed_with_a_reason(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        crumbs = frame(BINARY, b"\x81", final=False) + frame(0, final=False) * MOST_FRAGMENTS
        await send_all(socket.stream, crumbs)
        assert await socket.is_closed() == (1008, f"a message in more than {MOST_FRAGMENTS} frames")


@pytest.mark.parametrize("whole", [True, False], ids=["one frame", "fragments"])
@pytest.mark.parametrize(("path", "most"), [("/ws", MAX_MESSAGE_BYTES), ("/twilio/media", MAX_START_BYTES)])
async def test_a_message_that_is_too_large_for_its_path_is_closed_and_never_gathered(
    path: str, most: int, whole: bool, autojump_clock: MockClock
) -> None:
    piece = bytes(most // 2)
    sent = (
        frame(BINARY, bytes(most + 1))[:100]
        if whole
        else frame(BINARY, piece, final=False) + frame(0, piece, final=False) + frame(0, b"\0", final=False)
    )
    async with memory_port(SimulatedProviders()) as port, a_socket(port, path) as socket:
        await send_all(socket.stream, sent)
        assert await socket.is_closed() == (1009, f"a message may have {most} bytes here")


async def test_frames_that_come_with_the_handshake_are_taken_in_their_order(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders()) as port, await port.connect() as stream:
        await stream.send_all(HANDSHAKE % b"/ws" + frame(BINARY, HEARTBEAT) * 3)
        socket = Socket(stream)
        while not (await socket.hears(1) == b"\n" and await socket.hears(2) == b"\r\n"):
            pass
        for _ in range(3):
            await beat(socket)


@pytest.mark.parametrize("path", ["/ws", "/twilio/media"])
async def test_one_more_flood_after_the_close_changes_nothing(path: str, autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        async with a_socket(port, path) as socket:
            await send_all(socket.stream, frame(PONG) * (CONTROL_FRAMES + 1))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, socket.stream, frame(PONG) * 100_000)
                assert (await socket.is_closed())[0] == 1008
        await trio.testing.wait_all_tasks_blocked()
        assert port.open_connections == 0
        assert not port.server.sessions
