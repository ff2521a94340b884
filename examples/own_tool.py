"""An example of tools, under Trio: callers book tables of a restaurant.

    python examples/own_tool.py question.wav answer.wav

asks one question from a WAV file ("Is there a table for four tonight, at seven?"), prints which tools were
called, and writes the answer to another file. It uses the providers that the environment configures, as for
`vantum serve`.

A look-up can be cancelled and repeated. A booking cannot, since two bookings would be one too many. So a
caller who speaks meanwhile does not stop it, and the model gets its result before it answers
(`on_interruption="finish"`). With `JOURNAL_DIR`, the journal of the call holds the order before the booking
begins, and then its result.
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
    """A table that is booked."""

    name: str
    guests: int
    at: datetime.time


@define
class Restaurant:
    """The data that the tools use."""

    tables: int = 3
    """The number of tables at each hour."""
    bookings: list[Booking] = Factory(list)

    def free(self, at: datetime.time) -> int:
        """The number of tables that nobody has booked."""
        return self.tables - sum(each.at == at for each in self.bookings)

    def tools(self) -> list[Tool]:
        """The tools of this restaurant."""

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
    """Ask the question; returns the audio up to the caller's next turn, in pieces. Prints the tool calls."""
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
    """Collect the audio for the caller, until the conversation ends."""
    async for message in transport:
        if isinstance(message, AudioOut):
            answer += [message]


async def main(
    question: str, answer: str, restaurant: Restaurant, providers: Providers | None = None
) -> None:
    """Read the question, ask it, and write the answer."""
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
