"""The part of the operator's settings that sessions need."""

from __future__ import annotations

import json
import math

from attrs import evolve, frozen

from machines.facts import TurnMode
from machines.policy import ConversationPolicy
from orchestrator.access.grants import Terms
from orchestrator.settings.policy import policy_of
from orchestrator.settings.settings import Settings
from orchestrator.settings.types import TRANSFER_CALL
from orchestrator.tools.builtin_tools import NO_TELEPHONE, built_in, without_keys
from orchestrator.tools.tool import Tool


@frozen
class SessionSettings:
    """Settings of sessions. Times are in seconds."""

    policy: ConversationPolicy
    default_turn_mode: TurnMode
    """For clients of the hierarchical dialect. Legacy clients use manual mode unless they ask otherwise."""
    idle_timeout_s: float
    max_duration_s: float
    begin_timeout_s: float = math.inf
    """A client that sends no audio and starts no recording is disconnected after this."""
    log_interim_transcripts: bool = False
    tools: tuple[Tool, ...] = ()
    """Those that the model may call. See `tools_on`."""
    voice: str | None = None
    """The voice that a token has fixed: the client may not choose another."""
    metadata: str = ""
    """What a token says about its calls, as JSON: for the journal."""

    def under(self, terms: Terms) -> SessionSettings:
        """The settings of a session under the terms of its credential, which only narrow these."""
        longest = self.max_duration_s if terms.max_duration_s is None else terms.max_duration_s
        return evolve(
            self,
            max_duration_s=min(self.max_duration_s, longest),
            tools=tuple(each for each in self.tools if terms.tools is None or each.name in terms.tools),
            voice=terms.voice,
            metadata=json.dumps(terms.metadata, ensure_ascii=False) if terms.metadata else "",
        )

    def tools_on(self, *, telephone: bool) -> tuple[Tool, ...]:
        """The tools that work on this kind of call: only telephones have keys, and can be transferred."""
        if telephone:
            return self.tools
        kept = (each for each in self.tools if each.name != TRANSFER_CALL)
        return without_keys(kept, NO_TELEPHONE)


def session_settings(settings: Settings) -> SessionSettings:
    """The settings of sessions, from all settings."""
    return SessionSettings(
        policy=policy_of(settings),
        default_turn_mode=settings.turn_mode,
        idle_timeout_s=settings.session_idle_timeout_ms / 1000,
        max_duration_s=settings.session_max_duration_ms / 1000,
        begin_timeout_s=settings.session_begin_timeout_ms / 1000,
        log_interim_transcripts=settings.log_interim_transcripts,
        tools=built_in(settings.tools),
    )
