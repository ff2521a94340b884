"""The smallest host, under Trio: asks a question from a WAV file and writes the answer to another file.

    python examples/minimal_host.py question.wav answer.wav

It uses the providers that the environment configures, as for `vantum serve`, or the embedded models.
"""

from __future__ import annotations

import sys
import wave

import trio

from orchestrator import (
    AudioEnds,
    AudioIn,
    AudioOut,
    MemoryTransport,
    Orchestrator,
    Providers,
    TurnMode,
    load_settings,
    open_orchestrator,
)


async def ask(orchestrator: Orchestrator, question: AudioIn) -> list[AudioOut]:
    """Ask the question; returns the audio of the answer, in pieces."""
    transport, answer = MemoryTransport(), list[AudioOut]()
    async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL):
        await transport.start_turn()
        await transport.push(question.samples, question.rate)
        await transport.end_turn()
        async for message in transport:
            if isinstance(message, AudioOut):
                answer.append(message)
            elif isinstance(message, AudioEnds):
                break
    return answer


async def main(question: str, answer: str, providers: Providers | None = None) -> None:
    """Read the question, ask it, and write the answer."""
    with wave.open(question, "rb") as file:
        asked = AudioIn.of_pcm(file.readframes(file.getnframes()), file.getframerate())
    async with open_orchestrator(load_settings(), providers=providers) as orchestrator:
        said = await ask(orchestrator, asked)
    with wave.open(answer, "wb") as file:
        file.setparams((1, 2, said[0].rate, 0, "NONE", ""))
        file.writeframes(b"".join(piece.pcm for piece in said))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
