"""Benchmark of the simulation: calls per second on one core, including their checks, for each fault profile.

Run by `make bench`. No sockets, no models, no threads. It counts seconds of CPU, so that other programs on
the computer matter little.
"""

from __future__ import annotations

import time

from orchestrator.simulation.campaign import Campaign
from orchestrator.simulation.faults import PROFILES

CALLS = 200


def main() -> None:
    """Measure and print."""
    for faults in PROFILES:
        campaign = Campaign(1, faults)
        list(campaign.calls(10))
        began = time.process_time()
        calls = list(campaign.calls(CALLS))
        seconds = time.process_time() - began
        answers, virtual_s = (
            sum(each.answers for each in calls),
            sum(each.virtual_ms for each in calls) / 1000,
        )
        print(
            f"  {faults:<10} {CALLS / seconds:4.0f} calls/s   {virtual_s / seconds:4.0f} times real time"
            f"   {answers / CALLS:.1f} answers a call"
        )


if __name__ == "__main__":
    main()
