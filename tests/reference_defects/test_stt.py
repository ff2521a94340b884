"""Speech to text: 2 (on its side), 4, 11, 16, 17, 20, 21, 22, 23, and 33 where words pile up."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators import Fault, FaultKind, Script
from machines import effects as do
from machines.facts import RecordingStarted, RecordingStopped, TurnMode
from orchestrator.simulation.speech import VOCABULARY, spoken
from tests.faults.vendors import Vendors
from tests.reference_defects.vendor_calls import FLUX, NOVA, vendor_call

SCRIPT = Script(caller_says=("One apple.", "Two pears.", "Three plums.", "Four figs."))
VERBATIM = Script(words_by_level=VOCABULARY)
"""What is understood is what the vendor was sent."""


@pytest.fixture(params=["nova", "flux"])
def flux(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "flux")


async def test_04_states_and_interim_transcripts_are_told_while_the_caller_waits(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux) as held:
        await held.exchange("how is the weather", 1)
        transcripts = held.caller.notified_of(do.NotifyTranscript)
        assert [transcript.is_final for transcript in transcripts][:2] == [False, False]
        assert held.caller.states()[-4:] == ["LISTENING", "THINKING", "RESPONDING", "LISTENING"]


async def test_11_a_transcript_holds_each_piece_once(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux, script=SCRIPT) as held:
        await held.call.start_recording()
        for _ in range(3):
            await held.call.say("one two")
            await held.call.keep_quiet(1500)
        await held.call.stop_recording()
        await held.call.answered()
        assert held.caller.understood() == ["One apple. Two pears. Three plums."]


async def test_16_what_comes_before_the_vendors_are_connected_is_kept(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    slow = Fault(FaultKind.SLOW_ACCEPT, seconds=2)
    async with vendor_call(made, slow, flux=flux, script=VERBATIM) as held:
        await held.call.take_turn("how is")
        assert held.call.state == "connecting"
        await held.call.answered()
        assert held.caller.understood() == ["how is"]
        assert len(held.caller.notified_of(do.Acknowledge)) == 2


async def test_16_a_close_before_the_vendors_are_connected_leaves_nothing(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    slow = Fault(FaultKind.SLOW_ACCEPT, seconds=2, times=0)
    async with vendor_call(made, slow, flux=flux) as held:
        await held.call.take_turn("how is")
        held.call.hang_up()
        await held.call.over.wait()
        assert len(held.caller.notified_of(do.Refuse)) == 2, "nobody waits for an answer for ever"


async def test_17_what_a_caller_sends_at_once_is_handled_in_its_order(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux, script=VERBATIM) as held:
        await held.call.reaches("quiet")
        held.call.inbox.put(RecordingStarted(TurnMode.MANUAL))
        held.call.audio.push(spoken("how is the weather"), 16_000)
        held.call.inbox.put(RecordingStopped())
        held.call.inbox.put(RecordingStopped())
        await held.call.answered()
        assert held.caller.understood() == ["how is the weather"]


async def test_20_after_a_reconnection_nothing_is_told_twice(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    route = FLUX if flux else NOVA
    async with vendor_call(made, flux=flux, script=SCRIPT) as held:
        await held.exchange("one two", 1)
        held.network.cut(route)
        await trio.sleep(1)
        before = len(held.caller.notified_of(do.NotifyTranscript))
        await held.exchange("one two", 2)
        after_loss = len(held.caller.notified_of(do.NotifyTranscript)) - before
        await held.exchange("one two", 3)
        assert held.caller.understood() == ["One apple.", "One apple.", "Two pears."]
        assert after_loss <= before, "as many as before the loss, and not twice as many"
        assert len(held.at(route)) == 2


async def test_21_one_connection_serves_all_turns_and_none_is_closed_to_get_its_words(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    async with vendor_call(made, flux=flux, script=SCRIPT) as held:
        for number in (1, 2, 3):
            await held.exchange("one two three", number)
        (connection,) = held.at(FLUX if flux else NOVA)
        assert connection.of_type("CloseStream") == []
        assert len(connection.of_type("ForceEndTurn" if flux else "Finalize")) == 3
        assert held.caller.understood() == ["One apple.", "Two pears.", "Three plums."]


async def test_22_the_rate_that_is_declared_is_the_rate_that_is_sent(
    made: Vendors, autojump_clock: MockClock, flux: bool
) -> None:
    late = Fault(FaultKind.SLOW_ACCEPT, seconds=1)
    async with vendor_call(made, late, flux=flux) as held:
        await held.call.start_recording()
        await held.call.say("how is the weather", rate=48_000)
        await held.call.stop_recording()
        await held.call.answered()
        (connection,) = held.at(FLUX if flux else NOVA)
        assert connection.query["sample_rate"] == ["16000"]
        seconds = connection.audio_bytes / 2 / 16_000
        assert seconds == pytest.approx(4 * 0.32, abs=0.2)


async def test_23_the_options_for_voice_activity_are_really_sent(
    made: Vendors, autojump_clock: MockClock
) -> None:
    async with vendor_call(made) as held:
        await held.call.reaches("quiet")
        (connection,) = held.at(NOVA)
        sent = {name: connection.query[name] for name in ("vad_events", "endpointing", "utterance_end_ms")}
        assert sent == {"vad_events": ["true"], "endpointing": ["300"], "utterance_end_ms": ["1000"]}
        assert connection.query["interim_results"] == ["true"]


async def test_23_the_thresholds_of_turns_are_really_sent(made: Vendors, autojump_clock: MockClock) -> None:
    async with vendor_call(made, flux=True) as held:
        await held.call.reaches("quiet")
        (connection,) = held.at(FLUX)
        assert connection.query["eot_threshold"] == ["0.7"]
        assert connection.query["eot_timeout_ms"] == ["5000"]
