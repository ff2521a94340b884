"""Frames without end, of each kind, at each path: others run between them, and the socket is closed."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
from trio.testing import MockClock

from orchestrator.server.peer_socket import CONTROL_FRAMES, CONTROL_FRAMES_PER_S, LAST_READ_S, MOST_FRAGMENTS
from orchestrator.simulation import SimulatedProviders
from protocol import MAX_MESSAGE_BYTES
from protocol.twilio import MAX_START_BYTES
from tests.orchestrator.memory_port import memory_port
from tests.walls.peers import (
    BINARY,
    CLOSE,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    Socket,
    a_socket,
    frame,
    send_all,
)

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
        await trio.sleep(LAST_READ_S)
        assert port.open_connections == 0
        assert not port.server.sessions


INSIDE = frame(TEXT, b"x", final=False)
"""The beginning of a message."""
WRONG = {
    "a reserved bit": (b"\xc2\x81" + bytes(4) + b"x", 1002),
    "a reserved kind": (frame(3, b"x"), 1002),
    "a reserved kind of control frame": (frame(11), 1002),
    "no mask": (b"\x82\x01x", 1002),
    "a ping without a mask": (b"\x89\x00", 1002),
    "a long ping": (frame(PING, bytes(126)), 1002),
    "a ping that would fill the memory": (b"\x89\xff" + (2**40).to_bytes(8, "big") + bytes(4), 1002),
    "a ping in pieces": (frame(PING, b"x", final=False), 1002),
    "a length of two bytes that needs one": (b"\x82\xfe\x00\x05" + bytes(4) + bytes(5), 1002),
    "a length of eight bytes that needs two": (b"\x82\xff" + (200).to_bytes(8, "big") + bytes(204), 1002),
    "a length beyond 63 bits": (b"\x82\xff" + (2**63).to_bytes(8, "big") + bytes(4), 1002),
    "the middle of no message": (frame(0, b"x"), 1002),
    "a message within another": (INSIDE + frame(TEXT, b"y"), 1002),
    "text that is none": (frame(TEXT, b"\xff"), 1007),
    "text that ends in half a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "text whose halves do not fit": (frame(TEXT, b"\xe2", final=False) + frame(0, b"x", final=False), 1007),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "a close code that nobody may send": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a close code that nobody knows": (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
    "a reason that is no text": (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
}


@pytest.mark.parametrize("path", ["/ws", "/twilio/media"])
@pytest.mark.parametrize("wrong", WRONG)
async def test_whoever_breaks_the_rules_of_websockets_is_told_which(
    wrong: str, path: str, autojump_clock: MockClock
) -> None:
    sent, wanted = WRONG[wrong]
    async with memory_port(SimulatedProviders()) as port:
        async with a_socket(port, path) as socket:
            await send_all(socket.stream, sent)
            code, reason = await socket.is_closed()
            assert code == wanted
            assert reason
        await trio.testing.wait_all_tasks_blocked()
        assert port.open_connections == 0


async def test_text_whose_characters_are_cut_by_frames_is_text(autojump_clock: MockClock) -> None:
    text = "ä€😀".encode()
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        mask = b"\x01\x02\x03\x04"
        for at, byte in enumerate(text):
            first = (0x80 if at == len(text) - 1 else 0) | (0 if at else TEXT)
            await socket.stream.send_all(bytes([first, 0x81]) + mask + bytes([byte ^ mask[0]]))
            await socket.stream.send_all(frame(PING))
        await socket.stream.send_all(frame(BINARY, HEARTBEAT))
        await beat(socket)


async def test_a_goodbye_is_answered_with_the_same_code(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        for payload, answered in ((b"", (0, "")), ((4999).to_bytes(2, "big") + b"x", (4999, "x"))):
            async with a_socket(port) as socket:
                await socket.stream.send_all(frame(CLOSE, payload))
                assert await socket.is_closed() == answered
