"""How long a simulated caller waits for an answer."""

from __future__ import annotations

import trio

from machines.facts import TurnMode
from orchestrator.simulation import SimulatedCall


async def time_to_answer_ms(call: SimulatedCall) -> float:
    """Have the caller say "tell me a joke" in automatic turns. From the last word to the first sound."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.reaches("quiet")
    await call.keep_quiet(100)
    await call.say("tell me a joke")
    ended_ms = trio.current_time() * 1000
    await call.keep_quiet(2500)
    await call.answered()
    return call.caller.playbacks[0].chunks[0].at_ms - ended_ms
