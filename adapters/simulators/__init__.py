"""Simulators of Deepgram, OpenAI, Cartesia and Twilio on one loopback port, with faults on demand.

    async with simulators(faults=[Fault(FaultKind.STALL, "cartesia", after=3)]) as running:
        ...  # point any client at running.deepgram_url, running.openai_url or running.cartesia_url

The same seed gives the same behaviour. `running.records` holds what was received.
"""

from __future__ import annotations

from adapters.simulators.dialects import SttDialect, TtsDialect
from adapters.simulators.faults import Fault, FaultKind, RandomFaults, Scenario, ScenarioError
from adapters.simulators.openai_dialects import DIALECTS
from adapters.simulators.phone_dialects import PHONE_DIALECTS, PhoneDialect, phone_dialect_named
from adapters.simulators.records import Exchange, Records, SpeechContext
from adapters.simulators.script import Answer, Latencies, Latency, Script, ScriptedCall
from adapters.simulators.server import ROUTES, Simulators, simulators
from adapters.simulators.speech import LocalVoice, Tone, best_voice
from adapters.simulators.telephone import Telephone
from adapters.simulators.twilio import SimulatedCall, TelephoneNetwork

__all__ = [
    "DIALECTS",
    "PHONE_DIALECTS",
    "ROUTES",
    "Answer",
    "Exchange",
    "Fault",
    "FaultKind",
    "Latencies",
    "Latency",
    "LocalVoice",
    "PhoneDialect",
    "RandomFaults",
    "Records",
    "Scenario",
    "ScenarioError",
    "Script",
    "ScriptedCall",
    "SimulatedCall",
    "Simulators",
    "SpeechContext",
    "SttDialect",
    "Telephone",
    "TelephoneNetwork",
    "Tone",
    "TtsDialect",
    "best_voice",
    "phone_dialect_named",
    "simulators",
]
