"""A call that ends at any message of its media stream, in any way, has one outcome and leaves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock
from websockets.exceptions import InvalidHandshake

from adapters.simulators.telephone import Telephone
from orchestrator.simulation import Answer
from orchestrator.simulation.speech import spoken
from protocol.twilio import Clear, Started
from tests.orchestrator.phone.phone_lines import ACCOUNT, OURS, RATE, STATUS, THEIRS, VOICE, Line, a_line

pytestmark = pytest.mark.repeats

MEDIA = "ws://vantum.example/twilio/media"
End = Callable[["Call", Telephone], Awaitable[None]]


@define(eq=False)
class Counting(trio.abc.Stream):
    """A connection on which something happens once so many pieces went over it, in either direction."""

    stream: trio.abc.Stream
    after: int
    happens: Callable[[], None]
    pieces: int = 0

    def _count(self) -> None:
        self.pieces += 1
        if self.pieces == self.after:
            self.happens()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)
        self._count()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.stream.receive_some(max_bytes)
        self._count()
        return data

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@define(eq=False)
class Call:
    """Somebody who calls us, asks something, interrupts the answer, and hangs up."""

    line: Line
    sid: str
    connection: Counting = field(init=False)

    def form(self, status: str) -> dict[str, str]:
        return {"CallSid": self.sid, "From": THEIRS, "To": OURS, "CallStatus": status, "AccountSid": ACCOUNT}

    async def run(self, after: int, end: End) -> int:
        """With `end` after so many pieces; returns how many there were."""
        _, document = await self.line.webhook(VOICE, self.form("ringing"))
        token = document.partition('name="token" value="')[2].partition('"')[0]
        time_has_come = trio.Event()
        self.connection = Counting(await self.line.port.connect(), after, time_has_come.set)

        async def connect(host: str, port: int) -> trio.abc.Stream:
            return self.connection

        telephone = Telephone(MEDIA, Started("MZ1", self.sid, ACCOUNT, {"token": token}), connect)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def ends() -> None:
                await time_has_come.wait()
                await end(self, telephone)

            @nursery.start_soon
            async def talks() -> None:
                telephone.say(spoken("hello", RATE))
                await telephone.until(lambda: telephone.heard_seconds() > 0.3)
                telephone.say(spoken("stop", RATE))
                await telephone.until(lambda: Clear() in telephone.messages)
                await telephone.until(lambda: telephone.quiet_seconds() > 0.1)
                telephone.hang_up()

            with suppress(InvalidHandshake, OSError):
                await telephone.run()
            nursery.cancel_scope.cancel()
        return self.connection.pieces


async def breaks(call: Call, telephone: Telephone) -> None:
    """The connection is gone, without a word."""
    await trio.aclose_forcefully(call.connection.stream)


async def hangs_up(call: Call, telephone: Telephone) -> None:
    """The caller does."""
    telephone.hang_up()


async def is_reported_over(call: Call, telephone: Telephone) -> None:
    """Twilio says so before it closes the stream."""
    await call.line.webhook(STATUS, call.form("completed"))


async def is_ended_by_us(call: Call, telephone: Telephone) -> None:
    """Whoever runs the server wants that."""
    [ours] = [each for each in call.line.port.server.phone.calls.values() if each.call_sid == call.sid]
    await call.line.ask("DELETE", f"/calls/{ours.call_id}")


@pytest.mark.parametrize(
    ("end", "every"), [(breaks, 1), (hangs_up, 5), (is_reported_over, 6), (is_ended_by_us, 7)]
)
async def test_a_call_that_ends_at_any_message_leaves_nothing_and_one_outcome(
    end: End, every: int, autojump_clock: MockClock
) -> None:
    async with a_line(answer=Answer("one two three four.")) as line:
        pieces = await Call(line, "CA0").run(0, end)
        room = trio.CapacityLimiter(60)
        async with trio.open_nursery() as nursery:
            for after in range(1, pieces, every):

                @nursery.start_soon
                async def one(after: int = after) -> None:
                    async with room:
                        await Call(line, f"CA{after}").run(after, end)

        calls = line.port.server.phone.calls.values()
        for call in calls:
            await call.over.wait()
        talked = [call for call in calls if call.session_id is not None]
        assert len(calls) - 3 <= len(talked), "all but those that ended before their first word"
        assert {call.report()["outcome"] for call in talked} == {"completed"}
        # That it was recorded once, and that nothing is left, is what `a_line` sees to.
