"""Fixtures that these tests share with those of faults."""

from __future__ import annotations

from tests.faults.conftest import made as made
