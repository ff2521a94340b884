"""Two hundred calls at a real socket, ending in every possible way, leave nothing behind."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from random import Random

import pytest
import trio
from trio_websocket import ConnectionClosed

from machines.facts import EndReason, ErrorClass
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.simulation import (
    Answer,
    Breaks,
    Delay,
    Ends,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    dice,
)
from orchestrator.simulation.speech import spoken
from protocol import MAX_MESSAGE_BYTES
from tests.orchestrator.real_servers import Running, eventually, serving
from tests.orchestrator.wire_clients import Client, ConnectionEnded, Message, connect

Watch = Callable[[], AbstractContextManager[None]]

CALLS = 200
AT_ONCE = 20


def moody(random: Random) -> SimulatedProviders:
    """Quick, for the most part, and with every fault there is."""
    faults = (Fails(), Fails(ErrorClass.FATAL), Stalls(), Breaks(), Ends())
    dying = [(0.4, Opening(dies=fault, after_ms=30)) for fault in faults]
    openings = [(10.0, Opening(Delay(0, 5))), (1, Opening(fault=Fails(ErrorClass.AUTH))), *dying]
    return SimulatedProviders(
        SimulatedSpeechToText(
            dice(
                random,
                [(8, Transcription(Delay(0, 20))), *((0.5, Transcription(fault=fault)) for fault in faults)],
            ),
            dice(random, openings),
            random,
        ),
        SimulatedLanguageModel(
            dice(
                random,
                [
                    (8, Answer(first=Delay(0, 20), between=Delay(0, 2))),
                    *((0.5, Answer(fault=fault, after=2)) for fault in faults),
                ],
            ),
            random=random,
        ),
        SimulatedTextToSpeech(
            dice(
                random,
                [(8, Synthesis(ms_per_character=4)), *((0.5, Synthesis(fault=fault)) for fault in faults)],
            ),
            dice(random, openings),
            random,
        ),
    )


# --- how far a call gets ----------------------------------------------------------------------------------


async def greeted(client: Client) -> None:
    """Nothing was said yet."""


async def recording(client: Client) -> None:
    await client.send("audio.input.start", {"turnMode": "manual"})
    await client.send("audio.input.chunk", {"audio": pcm_to_bytes(spoken("hello"))})


async def stopping(client: Client) -> None:
    await recording(client)
    await client.send("audio.input.stop")


async def thinking(client: Client) -> None:
    await stopping(client)
    await client.until(lambda: client.named("conversation.response.start") or _went_wrong(client))


async def responding(client: Client) -> None:
    await stopping(client)
    await client.until(lambda: client.named("audio.output.chunk") or _went_wrong(client))


async def answered(client: Client) -> None:
    await stopping(client)
    await client.until(lambda: client.named("conversation.response.complete") or _went_wrong(client))


def _went_wrong(client: Client) -> bool:
    """Nothing more may come: the call is over, a provider failed, or nothing was understood."""
    return (
        client.closed.is_set()
        or any("error" in each["eventType"].split(".") for each in client.messages)
        or any(not each["payload"]["text"] for each in client.named("transcript.final.result"))
    )


# --- how it ends ------------------------------------------------------------------------------------------


async def close(client: Client, running: Running) -> None:
    await client.socket.aclose(1000)


async def go_away(client: Client, running: Running) -> None:
    await client.socket.aclose(1001)


async def end_call(client: Client, running: Running) -> None:
    await client.send("user.action.end_call", {})
    await client.is_closed()


async def cut_the_line(client: Client, running: Running) -> None:
    await trio.aclose_forcefully(client.stream)


async def reset(client: Client, running: Running) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(client.stream)


async def half_a_frame(client: Client, running: Running) -> None:
    await client.stream.send_all(b"\x82\xfe\x10\x00half")
    await trio.aclose_forcefully(client.stream)


async def no_websocket(client: Client, running: Running) -> None:
    await client.stream.send_all(b"\xff\xff\xff\xff no frame")
    await client.is_closed()


async def too_much(client: Client, running: Running) -> None:
    await client.socket.send_message(bytes(MAX_MESSAGE_BYTES + 1))
    await client.is_closed()


async def nonsense(client: Client, running: Running) -> None:
    values: tuple[object, ...] = (None, [], {"eventType": 1}, {"eventType": "x"})
    for value in values:
        await client.send_packed(value)
    await client.socket.send_message("text")
    await client.socket.aclose()


def sent_away(reason: EndReason) -> Callable[[Client, Running], Awaitable[None]]:
    async def send_away(client: Client, running: Running) -> None:
        for session in running.server.sessions:
            if session.session_id == client.session_id:
                session.hang_up(reason)
        await client.is_closed()

    return send_away


STAGES: tuple[Callable[[Client], Awaitable[None]], ...] = (
    greeted,
    recording,
    stopping,
    thinking,
    responding,
    answered,
)
ENDS: tuple[Callable[[Client, Running], Awaitable[None]], ...] = (
    *(close, go_away, end_call, cut_the_line, reset, half_a_frame, no_websocket, too_much, nonsense),
    *(sent_away(reason) for reason in (EndReason.IDLE, EndReason.TOO_OLD, EndReason.CALLER_STOPPED_READING)),
)


async def hold(number: int, running: Running, seen: Counter[str]) -> None:
    """Call number `number`: each stage with each end in its turn."""
    stage, end = STAGES[number % len(STAGES)], ENDS[number // len(STAGES) % len(ENDS)]
    messages: list[Message] = []
    try:
        async with connect(running.port, v2=True) as client:
            messages = client.messages
            # A provider's fault may end the call at any moment.
            with suppress(
                ConnectionClosed, ConnectionEnded, trio.BrokenResourceError, trio.ClosedResourceError
            ):
                await stage(client)
                if not client.closed.is_set():
                    await end(client, running)
    except* trio.BusyResourceError:
        # Some ends write past the client's library, which answers the server's close meanwhile.
        pass
    seen.update({each["eventType"] for each in messages})


@pytest.mark.repeats
@pytest.mark.slow
async def test_two_hundred_calls_that_end_in_every_way_leave_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        tasks = trio.lowlevel.current_statistics().tasks_living
        seen: Counter[str] = Counter()
        settings = {"first_segment_timeout_ms": 300, "speech_stall_timeout_ms": 1000}
        async with serving(moody(Random(1)), final_transcript_timeout_ms=300, **settings) as running:
            idle = trio.lowlevel.current_statistics().tasks_living
            limiter = trio.CapacityLimiter(AT_ONCE)

            async def one(number: int) -> None:
                async with limiter:
                    await hold(number, running, seen)

            async with trio.open_nursery() as calls:
                for number in range(CALLS):
                    calls.start_soon(one, number)
            await eventually(lambda: not running.server.sessions)
            await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == idle)
            assert running.providers.in_use() == 0

            # And those whom a shutdown catches.
            async with trio.open_nursery() as nursery:
                for stage in STAGES:
                    await nursery.start(_caught, running.port, stage)
                await running.server.drain()
            await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == idle)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
    # They were calls, and they went wrong in many ways. How many got an answer depends on the machine.
    assert seen["audio.output.chunk"] > 0
    assert seen["conversation.response.complete"] > 0
    assert len([name for name in seen if "error" in name.split(".")]) >= 4


async def _caught(
    port: int, stage: Callable[[Client], Awaitable[None]], task_status: trio.TaskStatus[None]
) -> None:
    async with connect(port, v2=True) as client:
        try:
            await stage(client)
        finally:
            task_status.started()
        await client.closed.wait()
