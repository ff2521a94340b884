"""Conversations inside an asyncio program: what hosts import. It lives in `orchestrator/hosting/`."""

from __future__ import annotations

from orchestrator.hosting.asyncio_host import Conversation, Events, Orchestrator, open_orchestrator

__all__ = ["Conversation", "Events", "Orchestrator", "open_orchestrator"]
