"""Hostile peers beside an innocent call: what the call notices. Prints the table of `docs/security.md`.

    python benchmarks/walls.py [--tree DIRECTORY] [--seconds 10] [ATTACK ...]

For each attack a server of the tree is started (`vantum serve --simulated`), and another process attacks it.
Meanwhile the heartbeat of a bystander is answered or late, another one takes turn after turn, and new
callers come. The attackers take one core, the server has the other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import numpy as np
import trio
from attrs import Factory, define, frozen

from machines.facts import TurnMode
from orchestrator.cli.talk_client import TalkError, talk_client

HERE = Path(__file__).resolve().parent.parent
HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-protocol: vantum.v2\r\n\r\n"
)
ATTACKER = "127.0.0.2"
"""Attackers have an address of their own, as the bounds by address see them."""
WS, MEDIA = b"/ws", b"/twilio/media"
PING, PONG, BINARY = 9, 10, 2
ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
FORM = (
    b"POST /twilio/voice HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n"
)
SPEECH = (8000 * np.sin(np.arange(16_000) / 8)).astype(np.int16)

# --- what attackers send ----------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame as a client sends it."""
    return header(opcode, len(payload), final=final) + payload


def header(opcode: int, size: int, *, final: bool = True) -> bytes:
    """The header of a frame, with a mask that changes nothing."""
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + bytes(4)


def message(event_type: str, **payload: object) -> bytes:
    """A message of the protocol, in a frame."""
    whole = {"eventType": event_type, "eventId": "x", "payload": payload}
    return frame(BINARY, msgpack.packb(whole, use_bin_type=True))


def connected(port: int, request: bytes = b"") -> socket.socket | None:
    """A connection that has sent this; None if it is refused."""
    try:
        made = socket.create_connection(("127.0.0.1", port), 5, (ATTACKER, 0))
        made.sendall(request)
    except OSError:
        return None
    return made


def upgraded(port: int, path: bytes) -> socket.socket | None:
    """A WebSocket; None if it is refused."""
    made = connected(port, HANDSHAKE % path)
    if made is not None:
        with suppress(OSError):
            if made.recv(4096).startswith(b"HTTP/1.1 101 "):
                return made
    return None


def flood(port: int, path: bytes, count: int, data: bytes, until: float, begin: bytes = b"") -> str:
    """Send `data` over `count` sockets as fast as they take it; who is closed comes again."""
    sent, sockets, came = 0, {}, 0
    poll = select.poll()

    def come() -> None:
        nonlocal came
        made = upgraded(port, path)
        if made is not None:
            made.setblocking(False)
            with suppress(OSError):
                made.send(begin)
            sockets[made.fileno()] = made
            poll.register(made, select.POLLOUT | select.POLLIN)
            came += 1

    for _ in range(count):
        come()
    while time.monotonic() < until:
        for number, events in poll.poll(100):
            made = sockets[number]
            try:
                if events & select.POLLIN and not made.recv(65_536):
                    raise ConnectionResetError
                if events & select.POLLOUT:
                    sent += made.send(data)
            except BlockingIOError:
                continue
            except OSError:
                poll.unregister(made)
                del sockets[number]
                made.close()
        if len(sockets) < count:
            come()
    return f"{sent / 1e6:.1f} MB in {came} sockets"


def held(
    port: int, count: int, request: bytes, until: float, *, path: bytes = b"", small: bool = False
) -> str:
    """Keep `count` connections open that send this and nothing more; those that end come again."""
    kept: list[socket.socket] = []
    came, refused, most = 0, 0, 0
    while time.monotonic() < until:
        for made in kept[:]:
            with suppress(BlockingIOError, OSError):
                if not small and not made.recv(65_536):
                    made.close()
            if made.fileno() < 0:
                kept.remove(made)
        for _ in range(min(50, count - len(kept))):
            if time.monotonic() >= until:
                break
            made_or_none = upgraded(port, path) if path else connected(port, b"" if small else request)
            if made_or_none is None:
                refused += 1
                continue
            came += 1
            if small:
                made_or_none.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            made_or_none.setblocking(False)
            if path or small:
                with suppress(OSError):
                    made_or_none.sendall(request)
            kept.append(made_or_none)
        most = max(most, len(kept))
        time.sleep(0.05)
    return f"{most} held, {came} came, {refused} refused"


def unfinished(port: int, path: bytes, count: int, size: int, until: float) -> str:
    """Send messages of `size` bytes that lack their last byte, and keep the sockets."""
    kept, sent = [], 0
    body = bytes(64 * 1024)
    for _ in range(count):
        made = upgraded(port, path)
        if made is None:
            continue
        kept.append(made)
        with suppress(OSError):
            made.sendall(header(BINARY, size))
            for _ in range(size // len(body) - 1):
                made.sendall(body)
                sent += len(body)
    time.sleep(max(0, until - time.monotonic()))
    return f"{sent / 1e6:.0f} MB in {len(kept)} sockets"


def at_once(port: int, count: int, until: float) -> str:
    """`count` callers who come within a second."""
    kept = []
    for _ in range(count):
        made = connected(port, HANDSHAKE % WS)
        if made is not None:
            kept.append(made)
    time.sleep(max(0, until - time.monotonic()))
    begun = 0
    for made in kept:
        with suppress(OSError):
            made.setblocking(False)
            begun += b"connection.lifecycle.ack" in made.recv(65_536)
    return f"{len(kept)} callers, {begun} begun"


@frozen
class Attack:
    """One attack, and what the server is started with."""

    run: Callable[[int, float], str]
    """With the port and the time until when; returns the load in words."""
    environment: dict[str, str] = Factory(dict)
    descriptors: int = 4096


START = message("audio.input.start", turnMode="manual")
SECOND = message("audio.input.chunk", audio=SPEECH.tobytes())
CRUMBS = frame(BINARY, b"\x81", final=False) + frame(0, final=False) * 10_000
ATTACKS = {
    "none": Attack(lambda port, until: time.sleep(max(0, until - time.monotonic())) or "none"),
    "pongs, 1 socket at /ws": Attack(lambda port, until: flood(port, WS, 1, frame(PONG) * 10_000, until)),
    "pongs, 20 sockets at /twilio/media": Attack(
        lambda port, until: flood(port, MEDIA, 20, frame(PONG) * 10_000, until)
    ),
    "pings, 20 sockets at /ws": Attack(lambda port, until: flood(port, WS, 20, frame(PING) * 10_000, until)),
    "pings without end, 10 sockets at /ws": Attack(
        lambda port, until: flood(
            port, WS, 10, bytes(65_536), until, b"\x89\xff" + (2**40).to_bytes(8, "big")
        )
    ),
    "hosts in no script, 20 connections": Attack(
        lambda port, until: held(
            port, 20, (HANDSHAKE % WS).replace(b"localhost", b"xn--" + b"a" * 15_000), until
        )
    ),
    "starts and stops, 20 sockets": Attack(
        lambda port, until: flood(port, WS, 20, (START + message("audio.input.stop")) * 200, until)
    ),
    "interruptions, 20 sockets": Attack(
        lambda port, until: flood(port, WS, 20, message("interaction.user.interrupt") * 500, until, START)
    ),
    "empty fragments, 20 sockets at /ws": Attack(lambda port, until: flood(port, WS, 20, CRUMBS, until)),
    "heartbeats, 20 sockets": Attack(
        lambda port, until: flood(
            port, WS, 20, message("connection.lifecycle.heartbeat", timestamp=1) * 500, until, START
        )
    ),
    "malformed messages, 20 sockets": Attack(
        lambda port, until: flood(port, WS, 20, frame(BINARY, b"\xc1") * 2000, until)
    ),
    "100 unfinished messages of 10 MB at /twilio/media": Attack(
        lambda port, until: unfinished(port, MEDIA, 100, 10_000_000, until)
    ),
    "100 unfinished messages of 10 MB at /ws": Attack(
        lambda port, until: unfinished(port, WS, 100, 10_000_000, until)
    ),
    "300 bodies that do not come, 256 descriptors": Attack(
        lambda port, until: held(port, 300, FORM + b"content-length: 9\r\n\r\nx", until), ACCOUNT, 256
    ),
    "300 answers that are not read, 256 descriptors": Attack(
        lambda port, until: held(
            port,
            300,
            b"GET /page/vendor/msgpack/index.mjs HTTP/1.1\r\nhost: localhost\r\n\r\n",
            until,
            small=True,
        ),
        {},
        256,
    ),
    "300 heads that do not come, 256 descriptors": Attack(
        lambda port, until: held(port, 300, b"GET / HTT", until), {}, 256
    ),
    "silent sockets on all of 8 lines": Attack(
        lambda port, until: held(port, 8, b"", until, path=WS), {"MAX_SESSIONS": "10"}
    ),
    "2,000 idle connections": Attack(lambda port, until: held(port, 2000, b"", until)),
    "audio at 50 times real time, 10 callers": Attack(
        lambda port, until: flood(port, WS, 10, SECOND, until, START)
    ),
    "500 callers within a second": Attack(lambda port, until: at_once(port, 500, until)),
}

# --- the server and the bystanders ------------------------------------------------------------------------


@contextmanager
def served(tree: Path, attack: Attack) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server of this tree."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (attack.descriptors, attack.descriptors))

    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "LOG_LEVEL": "error",
        "ALLOW_ANYBODY": "true",
        **attack.environment,
    }
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", "serve", "--simulated", "--port", "0"],
            cwd=directory,
            env={**environment, "DATA_DIR": directory},
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=limit,
        )
        try:
            for _ in range(600):
                out.seek(0)
                ready = re.search(r"ready: http://\w+:(\d+)/", out.read())
                if ready or process.poll() is not None:
                    break
                time.sleep(0.1)
            if not ready:
                out.seek(0)
                raise RuntimeError(f"the server does not start: {out.read()}")
            yield int(ready[1]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@define
class Seen:
    """What the bystanders saw."""

    lost: bool = False
    """A bystander was disconnected."""
    beats_ms: list[float] = Factory(list)
    turns: int = 0
    answered: int = 0
    answers_ms: list[float] = Factory(list)
    callers: int = 0
    let_in: int = 0


async def beat(port: int, seen: Seen) -> None:
    """Send a heartbeat every 20 ms, and wait for each."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(HANDSHAKE % WS)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await stream.receive_some()
    await stream.send_all(START)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def hear() -> None:
            nonlocal heard
            async for data in stream:
                heard = heard[-64:] + bytes(data)
                if b"lifecycle.heartbeat" in heard:
                    heard = b""
                    answered.set()
            seen.lost = True
            nursery.cancel_scope.cancel()

        while True:
            answered = trio.Event()
            began = trio.current_time()
            await stream.send_all(message("connection.lifecycle.heartbeat", timestamp=1))
            try:
                await answered.wait()
            finally:
                # One that is not answered to the end was at least so late.
                seen.beats_ms.append((trio.current_time() - began) * 1000)
            await trio.sleep(0.02)


async def take_turns(port: int, seen: Seen) -> None:
    """Say something, hear the answer, and so on."""
    try:
        async with talk_client(f"ws://127.0.0.1:{port}/ws", TurnMode.MANUAL) as client:
            while True:
                seen.turns += 1
                turn = await client.say(SPEECH[:8000], 16_000)
                if turn.first_audio_ms is not None:
                    seen.answered += 1
                    seen.answers_ms.append(turn.first_audio_ms)
    except TalkError:
        seen.lost = True


async def come_anew(port: int, seen: Seen) -> None:
    """A new caller every half second, who is let in within two seconds or is not."""
    while True:
        await trio.sleep(0.5)
        let_in = False
        with trio.move_on_after(2), suppress(OSError, trio.BrokenResourceError):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(HANDSHAKE % WS)
                heard = b""
                while b"lifecycle.ack" not in heard:
                    data = await stream.receive_some()
                    if not data:
                        break
                    heard += data
                else:
                    let_in = True
        seen.callers += 1
        seen.let_in += let_in


def memory_mb(process: int) -> float:
    """The memory of a process that is not shared and not paged out."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


async def measure(name: str, tree: Path, seconds: float) -> list[str]:
    """The row of an attack."""
    seen, attack = Seen(), ATTACKS[name]
    with served(tree, attack) as (port, process):
        most = before = memory_mb(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat, port, seen)
            nursery.start_soon(take_turns, port, seen)
            await trio.sleep(2)  # both have begun
            seen.beats_ms.clear()
            nursery.start_soon(come_anew, port, seen)
            command = [sys.executable, __file__, "--attack", name, "--port", str(port)]
            attacking = await trio.lowlevel.open_process(
                [*command, "--seconds", str(seconds)], stdout=subprocess.PIPE
            )
            while attacking.poll() is None:
                await trio.sleep(0.25)
                most = max(most, memory_mb(process))
            assert attacking.stdout is not None
            load = json.loads(b"".join([part async for part in attacking.stdout]))
            nursery.cancel_scope.cancel()
    beats = sorted(seen.beats_ms)
    late = beats[min(len(beats) - 1, int(0.99 * len(beats)))]
    answers = f"{statistics.median(seen.answers_ms):.0f}" if seen.answers_ms else "-"
    return [
        name,
        str(load),
        f"{before:.0f} → {most:.0f}",
        f"{statistics.median(beats):.0f}",
        f"{late:.0f}",
        f"{beats[-1]:.0f}",
        "the call is lost" if seen.lost else f"{seen.answered} of {seen.turns - 1}, {answers}",
        f"{seen.let_in} of {seen.callers}",
    ]


HEAD = ["attack", "load", "memory, MB", "heartbeat: median", "p99", "worst, ms", "turns, ms", "new callers"]


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("attacks", nargs="*", help="which; all by default")
    arguments.add_argument("--tree", type=Path, default=HERE, help="the checkout whose server is attacked")
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--attack", help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    del soft
    if chosen.attack:
        print(json.dumps(ATTACKS[chosen.attack].run(chosen.port, time.monotonic() + chosen.seconds)))
        return
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for name in chosen.attacks or ATTACKS:
        try:
            row = trio.run(measure, name, chosen.tree.resolve(), chosen.seconds)
        except* Exception as group:
            row = [name, *(["-"] * 6), repr(group.exceptions[0])[:80]]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
