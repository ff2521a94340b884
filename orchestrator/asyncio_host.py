"""The library for asyncio programs: the public names of `orchestrator/hosting/asyncio_host.py`."""

from __future__ import annotations

from orchestrator.hosting.asyncio_host import Conversation, Events, Orchestrator, open_orchestrator

__all__ = ["Conversation", "Events", "Orchestrator", "open_orchestrator"]
