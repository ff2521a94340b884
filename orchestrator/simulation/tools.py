"""Simulated tools, whose calls succeed, fail or stall as planned."""

from __future__ import annotations

from random import Random

import trio
from attrs import frozen

from adapters.interfaces import ProviderError
from machines.tools import OnInterruption
from orchestrator.simulation.behaviour import AT_ONCE, Delay, Fault, Plan, strike
from orchestrator.tools.tool import Tool, ToolContext, ToolError, tool


@frozen
class Work:
    """How one call of a tool goes."""

    takes: Delay = AT_ONCE
    fault: Fault | None = None
    """Happens after that time. `Fails` tells the model why, `Ends` gives an empty result."""
    says: str = ""
    """What the tool says to the caller as soon as it is called."""
    uncancellable: bool = False
    """It takes the full time even if it is cancelled."""

    async def do(self, context: ToolContext, random: Random) -> str:
        """Return the result; raises what the fault says."""
        if self.says:
            context.say(self.says)
        with trio.CancelScope(shield=self.uncancellable):
            await self.takes.wait(random)
        try:
            nothing = await strike(self.fault)
        except ProviderError as error:
            raise ToolError(error.failure.message) from error
        return "" if nothing else f"result {context.call}"


def simulated_tool(
    name: str,
    works: Plan[Work],
    random: Random,
    *,
    on_interruption: OnInterruption = OnInterruption.FINISH,
    timeout_s: float = 10,
    reply: bool = True,
    filler: str = "",
) -> Tool:
    """A tool whose calls go as `works` plans."""

    async def work(context: ToolContext, of: str = "it") -> str:
        """Do something."""
        del of  # the argument makes no difference
        return await works().do(context, random)

    making = tool(name=name, timeout_s=timeout_s, on_interruption=on_interruption, reply=reply, filler=filler)
    return making(work)
