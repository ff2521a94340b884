"""Simulation of whole calls: callers and providers inside the process, in virtual time.

The simulated parts implement the interfaces of `adapters/interfaces.py` and
`orchestrator/conversation/caller.py`. Plans (`behaviour.py`) decide everything that they do: a plan is a
script, or random with a seed. Under Trio's `MockClock`, and with Trio's scheduling seeded, a seed always
gives the same call.
"""

from orchestrator.simulation.behaviour import (
    AT_ONCE,
    Breaks,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
    Plan,
    Stalls,
    dice,
    script,
)
from orchestrator.simulation.call import ReplayDiffers, SimulatedCall, running_call, simulated_call
from orchestrator.simulation.call_checks import failed_checks
from orchestrator.simulation.caller import SimulatedCaller
from orchestrator.simulation.llm import Answer, SimulatedLanguageModel
from orchestrator.simulation.providers import SimulatedProviders
from orchestrator.simulation.stt import (
    Scoring,
    SimulatedSpeechToText,
    SimulatedTurnModel,
    SimulatedVoiceActivity,
    Transcription,
    TurnDetection,
)
from orchestrator.simulation.tools import Work, simulated_tool
from orchestrator.simulation.tts import SimulatedTextToSpeech, Synthesis

__all__ = [
    "AT_ONCE",
    "Answer",
    "Breaks",
    "Delay",
    "Ends",
    "Fails",
    "Fault",
    "Opening",
    "Plan",
    "ReplayDiffers",
    "Scoring",
    "SimulatedCall",
    "SimulatedCaller",
    "SimulatedLanguageModel",
    "SimulatedProviders",
    "SimulatedSpeechToText",
    "SimulatedTextToSpeech",
    "SimulatedTurnModel",
    "SimulatedVoiceActivity",
    "Stalls",
    "Synthesis",
    "Transcription",
    "TurnDetection",
    "Work",
    "dice",
    "failed_checks",
    "running_call",
    "script",
    "simulated_call",
    "simulated_tool",
]
