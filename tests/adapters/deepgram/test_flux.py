"""Speech to text by Deepgram's v2 interface: Flux decides about turns, and its turns become parts of ours."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.deepgram.flux import DeepgramFlux, FluxSettings
from adapters.simulators import Fault, FaultKind, Simulators
from adapters.simulators.script import CALLER_SAYS
from machines.facts import EagerEndOfTurn, EndOfTurn, TurnResumed
from tests.adapters.simulated_vendors import ADDRESS, KEY, Switchboard
from tests.adapters.vendors.stt_links import Emitted, be_silent, speak, speak_turn
from tests.adapters.vendors.test_invalid_messages import turn_info, vendor


def decisions(emitted: Emitted) -> list[object]:
    return [fact for fact in emitted.facts if isinstance(fact, EagerEndOfTurn | TurnResumed | EndOfTurn)]


async def test_flux_decides_that_a_turn_is_over(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.6)
    eager, end = decisions(emitted)
    assert isinstance(eager, EagerEndOfTurn)
    assert isinstance(end, EndOfTurn)
    assert (eager.turn, eager.text, end.turn, end.text) == (1, CALLER_SAYS[0], 1, CALLER_SAYS[0])
    # That of the words; how sure Flux is of the end is its own business.
    assert [eager.confidence, end.confidence] == pytest.approx([0.97, 0.97])
    assert end.speech_ms == pytest.approx(1000, abs=40)


async def test_an_eager_end_is_taken_back_when_the_caller_goes_on(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.3)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.6)
    assert [type(one) for one in decisions(emitted)] == [
        EagerEndOfTurn,
        TurnResumed,
        EagerEndOfTurn,
        EndOfTurn,
    ]


async def test_a_turn_that_flux_ended_is_final_at_once(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.6)
        await wait_all_tasks_blocked()
        transcriber.finalize(1)
        (final,) = emitted.finals(1)
    assert final.text == CALLER_SAYS[0]
    assert vendors.requests[0].of_type("ForceEndTurn") == []


async def test_finalizing_ends_a_turn_that_goes_on(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        for turn in (1, 2):
            await speak_turn(transcriber, turn)
            final = await emitted.final(turn)
            assert final.text == CALLER_SAYS[turn - 1]
            assert 900 < final.speech_ms < 1100
    assert len(vendors.requests[0].of_type("ForceEndTurn")) == 2
    assert [one for one in decisions(emitted) if isinstance(one, EndOfTurn)] == []


async def test_one_of_our_turns_contains_several_flux_turns(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 1)
        await speak(transcriber, 1)
        transcriber.finalize(1)
        assert (await emitted.final(1)).text == f"{CALLER_SAYS[0]} {CALLER_SAYS[1]}"


async def test_a_turn_without_words_has_an_empty_final_transcript(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await be_silent(transcriber, 1)
        await wait_all_tasks_blocked()
        transcriber.finalize(1)
        assert [final.text for final in emitted.finals(1)] == [""]
        transcriber.finalize(9)
        assert [final.text for final in emitted.finals(9)] == [""]


async def test_an_end_forced_before_flux_detected_the_turn_is_forced_again(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    """Flux ignores `ForceEndTurn` if it has not detected a turn."""
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 0.05)  # too short for Flux to detect yet
        transcriber.finalize(1)
        await trio.sleep(0.1)
        assert emitted.finals(1) == []
        await speak(transcriber, 0.2)
        assert (await emitted.final(1)).text
    assert len(vendors.requests[0].of_type("ForceEndTurn")) >= 2


async def test_speech_that_goes_on_from_a_dropped_turn_belongs_to_the_next(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 0.4)
        await speak_turn(transcriber, 2)
        assert (await emitted.final(2)).text.endswith("speaking to?")
    assert emitted.finals(1) == []


async def test_a_turn_after_a_decision_has_all_words_since_the_decision(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.5)
        await speak(transcriber, 0.7)
        transcriber.begin_turn(2)  # the conversation was late
        await speak(transcriber, 0.3)
        await be_silent(transcriber, 0.6)
    ends = [one for one in decisions(emitted) if isinstance(one, EndOfTurn)]
    assert [(one.turn, one.text) for one in ends] == [(1, CALLER_SAYS[0]), (2, CALLER_SAYS[1])]
    assert ends[1].speech_ms == pytest.approx(1000, abs=40)


@pytest.mark.parametrize("kind", [FaultKind.DUPLICATE, FaultKind.REORDER])
async def test_a_turn_after_a_decision_has_none_of_the_words_before_it(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted, kind: FaultKind
) -> None:
    """Even if the turn is short, and its messages come twice or late."""
    vendors.fail(Fault(kind, "deepgram", count=0))
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_silent, transcriber, 2)
            await emitted.until(lambda: [one for one in decisions(emitted) if isinstance(one, EndOfTurn)])
            transcriber.begin_turn(2)
        await speak(transcriber, 1)
        transcriber.finalize(2)
        await be_silent(transcriber, 1)
        assert (await emitted.final(2)).text == CALLER_SAYS[1]
    assert CALLER_SAYS[0] not in " ".join(emitted.interims(2))


async def test_no_words_are_lost_if_a_decision_is_ignored(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        for _ in range(2):
            await speak(transcriber, 1)
            await be_silent(transcriber, 1)
        transcriber.finalize(1)
        await speak_turn(transcriber, 2)
        assert (await emitted.final(1)).text == f"{CALLER_SAYS[0]} {CALLER_SAYS[1]}"
        assert (await emitted.final(2)).text == CALLER_SAYS[2]
    ends = [one.text for one in decisions(emitted) if isinstance(one, EndOfTurn)]
    assert ends == [CALLER_SAYS[0], f"{CALLER_SAYS[0]} {CALLER_SAYS[1]}"]


async def test_noise_that_flux_takes_for_silence_is_an_empty_turn(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        for _ in range(2):
            await transcriber.send(np.zeros(512, np.int16), 0.9)
        transcriber.finalize(1)
        assert emitted.finals(1) == []
        await be_silent(transcriber, 1)
        assert (await emitted.final(1)).text == ""


async def test_an_end_that_was_forced_for_an_earlier_turn_is_not_a_decision_about_this_one(
    switchboard: Switchboard, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    forced = turn_info("EndOfTurn", trigger="manual")
    async with vendor(switchboard, [forced]), flux.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1)
        await trio.sleep(1)
    assert emitted.interims(1) == ["good"]
    assert decisions(emitted) == []


async def test_silence_is_sent_when_no_audio_comes(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    """v2 has no `KeepAlive`, and closes connections without audio."""
    async with flux.open(emitted, "en-US"):
        await trio.sleep(31)
    (exchange,) = vendors.requests
    assert exchange.messages == []
    assert exchange.audio_bytes > 0


async def test_another_language_goes_to_the_multilingual_model(
    vendors: Simulators, autojump_clock: MockClock, flux: DeepgramFlux, emitted: Emitted
) -> None:
    async with flux.open(emitted, "de-DE"):
        pass
    query = vendors.requests[0].query
    assert (query["model"], query["language_hint"]) == (["flux-general-multi"], ["de"])


async def test_without_an_eager_threshold_only_the_end_is_reported(
    vendors: Simulators, autojump_clock: MockClock, emitted: Emitted
) -> None:
    calm = DeepgramFlux(
        KEY,
        base_url=ADDRESS,
        open_stream=vendors.connect,
        settings=FluxSettings(eager_eot_threshold=None),
    )
    async with calm.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.6)
    assert "eager_eot_threshold" not in vendors.requests[0].query
    assert [type(one) for one in decisions(emitted)] == [EndOfTurn]
