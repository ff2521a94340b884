"""Tools of one's own: a restaurant whose tables callers book. It runs under Trio.

    python examples/own_tool.py question.wav answer.wav

asks one question out of a WAV file ("Is there a table for four tonight, at seven?"), prints which tools were
called, and writes the answer into another. Providers are those of the environment, as for `vantum serve`.

Looking something up can be cancelled and done again. A booking cannot: two would be one too many. So a caller
who goes on to speak does not stop it, and the model is told what came of it before it answers
(`on_interruption="finish"`); with `JOURNAL_DIR`, the call's journal holds that it was wanted before it is
begun, and its result.
"""

from __future__ import annotations

import datetime
import sys
import wave
from typing import Annotated

import trio
from attrs import Factory, define, frozen
from pydantic import Field

from orchestrator import (
    AudioIn,
    AudioOut,
    MemoryTransport,
    Orchestrator,
    Providers,
    StateChanged,
    Tool,
    ToolCalled,
    ToolError,
    ToolReturned,
    TurnMode,
    load_settings,
    open_orchestrator,
    tool,
)

Guests = Annotated[int, Field(ge=1, le=12, description="How many will come.")]
Hour = Annotated[datetime.time, Field(description="When they come, such as 19:00.")]


@frozen
class Booking:
    """A table that is taken."""

    name: str
    guests: int
    at: datetime.time


@define
class Restaurant:
    """What the tools work on."""

    tables: int = 3
    """For each hour."""
    bookings: list[Booking] = Factory(list)

    def free(self, at: datetime.time) -> int:
        """Tables that nobody has booked."""
        return self.tables - sum(each.at == at for each in self.bookings)

    def tools(self) -> list[Tool]:
        """Functions of this restaurant, as the model may call them."""

        @tool(on_interruption="cancel", timeout_s=5)
        async def free_tables(at: Hour) -> int:
            """How many tables are free tonight."""
            return self.free(at)

        @tool(on_interruption="finish", timeout_s=20, filler="I am booking it, one moment please.")
        async def book_table(name: str, guests: Guests, at: Hour) -> str:
            """Book a table for tonight. Ask for the caller's name before. Booking twice takes two tables."""
            if not self.free(at):
                raise ToolError(f"All tables are taken at {at:%H:%M}: propose another time.")
            self.bookings.append(Booking(name, guests, at))
            await trio.sleep(3)  # the restaurant's printer
            return f"Booked for {name}: {guests} guests at {at:%H:%M}."

        return [free_tables, book_table]


async def ask(orchestrator: Orchestrator, question: AudioIn) -> list[AudioOut]:
    """One question; what is said until the caller's next turn, in pieces. Prints the calls of tools."""
    transport, answer = MemoryTransport(), list[AudioOut]()
    async with (
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(keep, transport, answer)
        await transport.start_turn()
        await transport.push(question.samples, question.rate)
        await transport.end_turn()
        async for event in conversation.events():
            match event:
                case ToolCalled(name=name, arguments=arguments):
                    print(f"{name} {arguments}")
                case ToolReturned(name=name, result=result, duration_ms=duration_ms):
                    print(f"{name}: {result} ({duration_ms:.0f} ms)")
                case StateChanged(source="RESPONDING", target="LISTENING"):
                    break
        conversation.end()
    return answer


async def keep(transport: MemoryTransport, answer: list[AudioOut]) -> None:
    """What the caller is to hear, until the conversation's end."""
    async for message in transport:
        if isinstance(message, AudioOut):
            answer += [message]


async def main(
    question: str, answer: str, restaurant: Restaurant, providers: Providers | None = None
) -> None:
    """Read, ask, write."""
    with wave.open(question, "rb") as file:
        asked = AudioIn.of_pcm(file.readframes(file.getnframes()), file.getframerate())
    async with open_orchestrator(
        load_settings(), providers=providers, tools=restaurant.tools()
    ) as orchestrator:
        said = await ask(orchestrator, asked)
    with wave.open(answer, "wb") as file:
        file.setparams((1, 2, said[0].rate, 0, "NONE", ""))
        file.writeframes(b"".join(piece.pcm for piece in said))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], Restaurant())
