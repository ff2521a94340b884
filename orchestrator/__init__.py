"""The public interface of Vantum as a library, for host programs under Trio.

A host program runs conversations on its own transports. One under asyncio uses
`orchestrator.asyncio_host.open_orchestrator` in the same way. `docs/interface.md` lists the names of this
module with their signatures, and a test compares. Everything else may change.

The tests run the examples in the docstrings with these names: all public ones, `trio`, `np` (numpy),
`evolve` (of attrs), `spoken` (simulated speech) and an open `orchestrator` with simulated providers.
"""

from __future__ import annotations

import logging
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

# A library is silent unless its host configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Importing all of this takes a second, for which `vantum --help` and importers of one module need not wait:
# a name is imported only when it is used.
_HOMES = {
    "adapters.interfaces": (
        "LanguageModel",
        "ProviderError",
        "Samples",
        "SpeechToText",
        "TextToSpeech",
        "ToolSpec",
        "TurnModel",
        "VoiceActivity",
    ),
    "machines.effects": ("LinkNews", "StopCause", "ClientError", "TurnLatency"),
    "machines.facts": ("EndReason", "ErrorClass", "Fact", "ProviderFailure", "Role", "SayMode", "TurnMode"),
    "machines.history": ("Message", "Speaker"),
    "machines.policy": ("ConversationPolicy", "FallbackTexts", "LinkPolicy"),
    "machines.tools": ("CallRecord", "OnInterruption", "ToolCall", "ToolPolicy"),
    "orchestrator.tools.builtin_tools": ("end_call", "send_digits", "transfer_call"),
    "orchestrator.hosting.events": (
        "AnswerEnded",
        "AnswerInterrupted",
        "AnswerStarted",
        "AnswerText",
        "AudioDropped",
        "Event",
        "Events",
        "EventsMissed",
        "LinkChanged",
        "StateChanged",
        "ToolCalled",
        "ToolReturned",
        "Transcript",
        "Transition",
        "ClientErrorReported",
    ),
    "orchestrator.hosting.orchestrator": (
        "Conversation",
        "Orchestrator",
        "open_orchestrator",
    ),
    "orchestrator.hosting.memory_transport": ("MemoryTransport",),
    "orchestrator.hosting.outcome": ("ConversationLost", "ConversationOutcome", "OrchestratorBusy"),
    "orchestrator.providers.provider_chain": ("Providers",),
    "orchestrator.settings.sources": ("load_settings",),
    "orchestrator.providers.selection": ("open_providers",),
    "orchestrator.settings.settings": ("Settings", "SettingsError"),
    "orchestrator.audio.utterance": ("Pacing",),
    "orchestrator.tools.tool": ("Tool", "ToolContext", "ToolError", "tool"),
    "orchestrator.hosting.transport": (
        "AudioBegins",
        "AudioEnds",
        "AudioHeld",
        "AudioIn",
        "AudioOut",
        "AudioStopped",
        "HungUp",
        "Incoming",
        "Interrupted",
        "KeyPressed",
        "Outgoing",
        "Transport",
        "TransportClosed",
        "TurnEnded",
        "TurnStarted",
    ),
}

_EARLIER_NAMES = {"Trouble": "ClientError", "TroubleTold": "ClientErrorReported"}
"""Names that hosts written for version 0.1.0 import, and the names of today."""

__all__ = sorted([*chain.from_iterable(_HOMES.values()), *_EARLIER_NAMES])

if TYPE_CHECKING:
    # isort: off
    from adapters.interfaces import (
        LanguageModel as LanguageModel,
        ProviderError as ProviderError,
        Samples as Samples,
        SpeechToText as SpeechToText,
        TextToSpeech as TextToSpeech,
        ToolSpec as ToolSpec,
        TurnModel as TurnModel,
        VoiceActivity as VoiceActivity,
    )
    from machines.effects import (
        LinkNews as LinkNews,
        StopCause as StopCause,
        ClientError as ClientError,
        ClientError as Trouble,  # noqa: F401 (an earlier name)
        TurnLatency as TurnLatency,
    )
    from machines.facts import (
        EndReason as EndReason,
        ErrorClass as ErrorClass,
        Fact as Fact,
        ProviderFailure as ProviderFailure,
        Role as Role,
        SayMode as SayMode,
        TurnMode as TurnMode,
    )
    from machines.history import (
        Message as Message,
        Speaker as Speaker,
    )
    from machines.policy import (
        ConversationPolicy as ConversationPolicy,
        FallbackTexts as FallbackTexts,
        LinkPolicy as LinkPolicy,
    )
    from machines.tools import (
        CallRecord as CallRecord,
        OnInterruption as OnInterruption,
        ToolCall as ToolCall,
        ToolPolicy as ToolPolicy,
    )
    from orchestrator.tools.builtin_tools import (
        end_call as end_call,
        send_digits as send_digits,
        transfer_call as transfer_call,
    )
    from orchestrator.hosting.events import (
        AnswerEnded as AnswerEnded,
        AnswerInterrupted as AnswerInterrupted,
        AnswerStarted as AnswerStarted,
        AnswerText as AnswerText,
        AudioDropped as AudioDropped,
        Event as Event,
        Events as Events,
        EventsMissed as EventsMissed,
        LinkChanged as LinkChanged,
        StateChanged as StateChanged,
        ToolCalled as ToolCalled,
        ToolReturned as ToolReturned,
        Transcript as Transcript,
        Transition as Transition,
        ClientErrorReported as ClientErrorReported,
        ClientErrorReported as TroubleTold,  # noqa: F401 (an earlier name)
    )
    from orchestrator.hosting.orchestrator import (
        Conversation as Conversation,
        Orchestrator as Orchestrator,
        open_orchestrator as open_orchestrator,
    )
    from orchestrator.hosting.memory_transport import (
        MemoryTransport as MemoryTransport,
    )
    from orchestrator.hosting.outcome import (
        ConversationLost as ConversationLost,
        ConversationOutcome as ConversationOutcome,
        OrchestratorBusy as OrchestratorBusy,
    )
    from orchestrator.providers.provider_chain import (
        Providers as Providers,
    )
    from orchestrator.settings.sources import (
        load_settings as load_settings,
    )
    from orchestrator.providers.selection import (
        open_providers as open_providers,
    )
    from orchestrator.settings.settings import (
        Settings as Settings,
        SettingsError as SettingsError,
    )
    from orchestrator.audio.utterance import (
        Pacing as Pacing,
    )
    from orchestrator.tools.tool import (
        Tool as Tool,
        ToolContext as ToolContext,
        ToolError as ToolError,
        tool as tool,
    )
    from orchestrator.hosting.transport import (
        AudioBegins as AudioBegins,
        AudioEnds as AudioEnds,
        AudioHeld as AudioHeld,
        AudioIn as AudioIn,
        AudioOut as AudioOut,
        AudioStopped as AudioStopped,
        HungUp as HungUp,
        Incoming as Incoming,
        Interrupted as Interrupted,
        KeyPressed as KeyPressed,
        Outgoing as Outgoing,
        Transport as Transport,
        TransportClosed as TransportClosed,
        TurnEnded as TurnEnded,
        TurnStarted as TurnStarted,
    )
else:

    def __getattr__(name: str) -> Any:
        name = _EARLIER_NAMES.get(name, name)
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
