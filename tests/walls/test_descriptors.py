"""What a process may open, and how many calls that is enough for."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from orchestrator.server.connection_limits import most_calls

ASKED = """
import resource
from orchestrator.server.connection_limits import ask_for_descriptors, descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))
ask_for_descriptors()
print(descriptors())
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 200, reason="this process may have few")
@pytest.mark.parametrize("hard", [64, 200])
def test_a_server_asks_for_as_many_as_it_may_have(hard: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ASKED.format(hard=hard)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(hard)


@pytest.mark.parametrize(("descriptors", "calls"), [(20_000, 3990), (1024, 195), (256, 41), (64, 6), (8, 1)])
def test_calls_are_bounded_by_what_each_needs(descriptors: int, calls: int) -> None:
    assert most_calls(descriptors) == calls
