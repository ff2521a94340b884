"""Voice activity detection and speech to text disagree about whether anybody speaks."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters.interfaces import LISTENING_RATE, Samples
from adapters.simulators import SttDialect
from machines import effects as do
from machines.facts import TurnMode
from orchestrator.simulation import SimulatedVoiceActivity
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import VendorCall, vendor_call

ANSWER = "Hello! This is Alex. How can I help you today?"


def hiss(seconds: float, level: float) -> Samples:
    """Something that varies, as sounds do."""
    noise = np.random.default_rng(1).normal(size=int(seconds * LISTENING_RATE))
    sound: Samples = (noise * level).astype(np.int16)
    return sound


async def listen(held: VendorCall, samples: Samples) -> None:
    """The microphone sends these samples in real time."""
    for start in range(0, len(samples), 320):
        held.call.audio.push(samples[start : start + 320], LISTENING_RATE)
        await trio.sleep(0.02)


@pytest.mark.parametrize("flux", [False, True], ids=["nova", "flux"])
async def test_a_caller_under_a_closed_lid_is_answered(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    deaf = SimulatedVoiceActivity(deaf=True)
    async with vendor_call(made, flux=flux, voice_activity=deaf) as held:
        await held.call.start_recording(TurnMode.AUTOMATIC)
        await listen(held, np.concatenate([hiss(1, 2), hiss(2, 800), hiss(5, 2)]))
        await held.call.answered()
        assert held.caller.answers() == [ANSWER]
        assert held.caller.notified_of(do.NotifyClientError) == []


@pytest.mark.slow
async def test_words_out_of_silence_are_neither_answered_nor_shown(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made, stt_dialect=SttDialect.OKAY_IN_SILENCE) as held:
        await held.call.start_recording(TurnMode.AUTOMATIC)
        await listen(held, hiss(30, 2))
        assert held.call.state == "quiet"
        assert held.caller.notified_of(do.NotifyTranscript) == []
        assert held.caller.answers() == []
