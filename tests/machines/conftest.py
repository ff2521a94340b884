"""What several tests of the machines need: the walks, made once."""

from __future__ import annotations

import pytest

from machines.check.report import Visited, visit_everything


@pytest.fixture(scope="session")
def visited() -> tuple[Visited, ...]:
    """Every walk of `vantum check`, made once for all tests."""
    return tuple(visit_everything())
