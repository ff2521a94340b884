"""What these tests share with those of faults and of the orchestrator."""

from __future__ import annotations

from tests.faults.conftest import made as made
from tests.orchestrator.conftest import plain_logs as plain_logs
