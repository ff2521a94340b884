"""Deadlines: how long each state of a telephone call may last."""

from __future__ import annotations

from machines.telephone_call.context import CallContext
from machines.telephone_call.policy import CallPolicy


def longest_ms(state: str, policy: CallPolicy) -> float | None:
    """The deadline of `state`, besides the time of keys; None for the conversation, which has limits of its
    own."""
    return {
        "placing": policy.placing_timeout_ms,
        "placed": policy.ringing_timeout_ms,
        "ringing": policy.ringing_timeout_ms,
        "ANSWERED": policy.stream_timeout_ms,
        "DETECTING": policy.verdict_timeout_ms,
        "pressing": policy.pressing_timeout_ms,
        "screened": policy.screening_timeout_ms,
        "saying_goodbye": policy.goodbye_timeout_ms,
        "handover": policy.transfer_timeout_ms,
        "revoking": policy.placing_timeout_ms,
        "clearing": policy.hang_up_timeout_ms,
    }.get(state)


def deadline_ms(context: CallContext, state: str) -> float | None:
    """How long `state` may last now; None if it has no deadline."""
    most = longest_ms(state, context.policy)
    if most is None or state != "pressing":
        return most
    return most + context.policy.key_ms * len(context.keys)
