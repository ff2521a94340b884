"""Simulated calls are made before the tests: each has a Trio run of its own, which cannot be in a test's."""

from __future__ import annotations

import pytest

from tests.orchestrator.calls.kept import hostile_calls


@pytest.fixture(scope="session", autouse=True)
def made_calls() -> None:
    hostile_calls()
