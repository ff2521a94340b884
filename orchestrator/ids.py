"""Ids of conversations, telephone calls, messages and utterances."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A UUIDv7 in lower case."""
    return str(uuid_utils.uuid7())
