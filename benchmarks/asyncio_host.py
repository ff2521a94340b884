"""Benchmark of hosting under asyncio: Trio in a thread, and Trio as a guest of asyncio's loop.

Run by `make bench`. Chunks of 20 ms go from asyncio to Trio and back, like a caller's audio, on several
streams at once. Measured are the time of a round trip, and the CPU time of a chunk, including all that the
loops do. Then whole conversations run with simulated providers, under Trio alone and over
`orchestrator.asyncio_host`, which uses a thread: the difference is what the border costs a call.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
import outcome
import structlog
import trio
from attrs import define

from orchestrator import (
    AudioIn,
    ConversationPolicy,
    EndReason,
    Incoming,
    Orchestrator,
    Outgoing,
    Pacing,
    open_orchestrator,
)
from orchestrator.hosting import asyncio_host
from orchestrator.simulation import SimulatedProviders

STREAMS = (1, 20, 50)
SECONDS = 4.0
CHUNK_S = 0.02
CHUNK = bytes(640)
Times = list[float]


class Crossing:
    """Hands chunks to Trio and back, however Trio is run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.times: Times = []
        self.ready = asyncio.Event()
        self.stop = trio.Event()
        self.streams: list[trio.MemorySendChannel[tuple[bytes, float]]] = []

    async def echo(self, streams: int) -> None:
        """In Trio: send every chunk back, with a timer running, as in a conversation."""
        self.token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            for _ in range(streams):
                send, receive = trio.open_memory_channel[tuple[bytes, float]](100)
                self.streams.append(send)
                nursery.start_soon(self._echo_stream, receive)
            self.loop.call_soon_threadsafe(self.ready.set)
            await self.stop.wait()
            nursery.cancel_scope.cancel()

    async def _echo_stream(self, receive: trio.MemoryReceiveChannel[tuple[bytes, float]]) -> None:
        async for chunk, sent_at in receive:
            with trio.move_on_after(0.001):
                await trio.sleep_forever()
            self.loop.call_soon_threadsafe(self._came_back, chunk, sent_at)

    def _came_back(self, chunk: bytes, sent_at: float) -> None:
        self.times.append(time.perf_counter() - sent_at)

    async def send(self, stream: int) -> None:
        """In asyncio: send a chunk every 20 ms."""
        due = time.perf_counter() + CHUNK_S * stream / len(self.streams)
        for _ in range(round(SECONDS / CHUNK_S)):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            chunk = (CHUNK, time.perf_counter())
            self.token.run_sync_soon(self.streams[stream].send_nowait, chunk)
            due += CHUNK_S


async def in_a_thread(work: Callable[[], Awaitable[None]], body: Callable[[], Awaitable[None]]) -> None:
    """Run Trio in a thread of its own."""
    thread = threading.Thread(target=trio.run, args=(work,))
    thread.start()
    await body()
    await asyncio.to_thread(thread.join)


async def as_a_guest(work: Callable[[], Awaitable[None]], body: Callable[[], Awaitable[None]]) -> None:
    """Run Trio in the thread of the loop. It still waits for sockets and timers in another thread."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[outcome.Outcome[None]] = loop.create_future()
    trio.lowlevel.start_guest_run(
        work,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=over.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    await body()
    (await over).unwrap()


async def measure(run: Callable[..., Awaitable[None]], streams: int) -> tuple[Times, float]:
    """The round trips in ms, and the CPU time of a chunk in µs."""
    crossing = Crossing(asyncio.get_running_loop())

    async def body() -> None:
        await crossing.ready.wait()
        await asyncio.gather(*(crossing.send(number) for number in range(streams)))
        await asyncio.sleep(0.1)
        crossing.token.run_sync_soon(crossing.stop.set)

    began = time.process_time()
    await run(partial(crossing.echo, streams), body)
    cpu = time.process_time() - began
    return [seconds * 1000 for seconds in crossing.times], cpu * 1e6 / len(crossing.times)


# --- whole conversations ----------------------------------------------------------------------------------


GREETING = ConversationPolicy(greeting="This goes on and on, and nobody listens. " * 4)
PACING = Pacing(rate=24_000, chunk_ms=60, lead_ms=140)


@define
class Caller:
    """A caller who sends silence in real time and gets a long greeting. `sleep` is that of the loop."""

    sleep: Callable[[float], Awaitable[None]]
    pacing: Pacing = PACING
    messages: int = 0
    due: float = 0.0

    async def receive(self) -> Incoming:
        self.due = (self.due or time.perf_counter()) + CHUNK_S
        await self.sleep(max(0.0, self.due - time.perf_counter()))
        self.messages += 1
        return AudioIn(np.zeros(320, np.int16), 16_000)

    async def send(self, message: Outgoing) -> None:
        self.messages += 1
        await self.sleep(0)

    async def close(self, reason: EndReason) -> None:
        await self.sleep(0)


async def under_trio(calls: int) -> int:
    """Run conversations under Trio alone; returns the number of messages."""
    callers = [Caller(trio.sleep) for _ in range(calls)]

    async def call(orchestrator: Orchestrator, caller: Caller) -> None:
        async with orchestrator.conversation(caller):
            await trio.sleep(SECONDS)

    providers = SimulatedProviders().for_calls()
    async with (
        open_orchestrator(providers=providers, policy=GREETING) as orchestrator,
        trio.open_nursery() as nursery,
    ):
        for caller in callers:
            nursery.start_soon(call, orchestrator, caller)
    return sum(caller.messages for caller in callers)


async def under_asyncio(calls: int) -> int:
    """Run conversations in an asyncio program; returns the number of messages."""
    callers = [Caller(asyncio.sleep) for _ in range(calls)]

    async def call(orchestrator: asyncio_host.Orchestrator, caller: Caller) -> None:
        async with orchestrator.conversation(caller):
            await asyncio.sleep(SECONDS)

    providers = SimulatedProviders().for_calls()
    async with asyncio_host.open_orchestrator(providers=providers, policy=GREETING) as orchestrator:
        await asyncio.gather(*(call(orchestrator, caller) for caller in callers))
    return sum(caller.messages for caller in callers)


def in_a_loop(calls: int) -> int:
    """Run `under_asyncio` in a new loop."""
    return asyncio.run(under_asyncio(calls))


def show_costs(calls: int, name: str, run: Callable[[], int]) -> None:
    """Print what one call costs."""
    began = time.process_time()
    messages = run()
    cpu = time.process_time() - began
    print(
        f"  {calls:3} conversations under {name:8} {cpu / calls / SECONDS * 100:5.1f} % of a core each,"
        f" {cpu * 1e6 / messages:4.0f} µs of CPU for each message carried"
    )


def main() -> None:
    """Measure and print."""
    for streams in STREAMS:
        for name, run in (("thread", in_a_thread), ("guest", as_a_guest)):
            times, cpu = asyncio.run(measure(run, streams))
            cuts = statistics.quantiles(times, n=100)
            print(
                f"  {streams:3} streams, {name:6}  round trip p50 {cuts[49]:5.2f} ms, p99 {cuts[98]:6.2f} ms;"
                f"  {cpu:4.0f} µs of CPU a chunk"
            )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for calls in (1, 10):
        show_costs(calls, "Trio", partial(trio.run, under_trio, calls))
        show_costs(calls, "asyncio", partial(in_a_loop, calls))


if __name__ == "__main__":
    main()
