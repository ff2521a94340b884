"""What these tests share: the vendors' adapters, which are made outside of virtual time."""

from __future__ import annotations

import pytest

pytest.importorskip("deepgram")
pytest.importorskip("cartesia")

from tests.faults.vendors import Vendors, vendors


@pytest.fixture(scope="session")
def made() -> Vendors:
    """One adapter for each vendor."""
    return vendors()
