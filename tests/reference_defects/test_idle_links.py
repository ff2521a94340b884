"""A vendor closes a link that it was sent nothing on: the call goes on, and nobody is blamed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators import SttDialect, TtsDialect
from machines import effects as do
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import NOVA, VOICE, vendor_call

CLOSES_IDLE = [SttDialect.NET0001, SttDialect.NET0000, SttDialect.METADATA_CLOSE]


@pytest.mark.parametrize("dialect", CLOSES_IDLE)
async def test_a_silent_caller_costs_one_link_and_is_understood_afterwards(
    made: Vendors, autojump_clock: MockClock, dialect: SttDialect
) -> None:
    idle = TtsDialect.IDLE_CLOSE
    async with vendor_call(made, stt_dialect=dialect, tts_dialect=idle) as held:
        await held.call.start_recording()
        await trio.sleep(200)
        assert (len(held.at(NOVA)), len(held.at(VOICE))) == (1, 1)
        await held.exchange("how is the weather", 1)
        assert (len(held.at(NOVA)), len(held.at(VOICE))) == (2, 2)
        assert held.caller.understood() != [""]
        assert held.caller.notified_of(do.NotifyClientError) == []
        assert held.blamed == []
