"""Speech to text by Deepgram's v1 interface (Nova): turns, late words, and the link that stays open."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.deepgram.languages import nova_tag
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import ProviderError
from adapters.simulators import Simulators
from adapters.simulators.script import CALLER_SAYS
from machines.facts import ErrorClass
from tests.adapters.simulated_vendors import fails_with
from tests.adapters.vendors.stt_links import Emitted, be_silent, speak, speak_turn


async def test_a_finalized_turn_gets_all_its_words(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        await speak_turn(transcriber, 1, 1.5)
        final = await emitted.final(1)
    assert final.text == CALLER_SAYS[0]
    assert final.confidence == pytest.approx(0.98)
    assert final.speech_ms == pytest.approx(1500, abs=40)


async def test_interim_words_are_reported_while_the_caller_speaks(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1.5)
    assert emitted.interims(1)[:3] == ["Hello,", "Hello, who", "Hello, who am"]


async def test_defect_21_finalizing_keeps_the_link_open_for_the_next_turn(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        for turn in (1, 2, 3):
            await speak_turn(transcriber, turn)
            assert (await emitted.final(turn)).text == CALLER_SAYS[turn - 1]
    (exchange,) = vendors.requests
    assert len(exchange.of_type("Finalize")) == 3
    assert exchange.of_type("CloseStream") == []


async def test_defect_20_a_reopened_link_reports_every_word_once(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    for turn in (1, 2):
        async with nova.open(emitted, "en-US") as transcriber:
            await speak_turn(transcriber, turn)
            assert (await emitted.final(turn)).text == CALLER_SAYS[0]


async def test_a_turn_whose_end_deepgram_detected_before_is_final_at_once(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    """Deepgram may not answer `Finalize` if it has sent all words."""
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.5)
        await wait_all_tasks_blocked()
        transcriber.finalize(1)
        (final,) = emitted.finals(1)
        await be_silent(transcriber, 1)
    assert final.text == CALLER_SAYS[0]
    assert len(emitted.finals(1)) == 1


async def test_words_of_both_sides_of_a_pause_are_joined_with_one_space(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 0.4)
        await speak(transcriber, 1)
        transcriber.finalize(1)
        assert (await emitted.final(1)).text == f"{CALLER_SAYS[0]} {CALLER_SAYS[1]}"


async def test_late_words_belong_to_the_turn_in_which_they_were_spoken(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        await speak_turn(transcriber, 1)
        transcriber.begin_turn(2)  # before Deepgram could answer
        await speak(transcriber, 1)
        transcriber.finalize(2)
        assert (await emitted.final(1)).text == CALLER_SAYS[0]
        assert (await emitted.final(2)).text == CALLER_SAYS[1]


async def test_voice_that_began_just_before_its_turn_is_part_of_it(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        await be_silent(transcriber, 1)
        await speak(transcriber, 0.2)
        await speak_turn(transcriber, 1)
        assert (await emitted.final(1)).text == CALLER_SAYS[0]


async def test_what_was_said_long_before_a_turn_is_not_part_of_it(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        await speak(transcriber, 1)
        await be_silent(transcriber, 2)
        await speak_turn(transcriber, 1)
        assert (await emitted.final(1)).text == CALLER_SAYS[1]


async def test_a_dropped_turn_leaves_no_words_to_the_next(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await be_silent(transcriber, 1)
        await speak_turn(transcriber, 2)
        assert (await emitted.final(2)).text == CALLER_SAYS[1]
    assert emitted.finals(1) == []


async def test_a_turn_that_never_began_is_empty_and_reported_once(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.finalize(7)
        transcriber.finalize(7)
    assert [final.text for final in emitted.finals(7)] == [""]


async def test_keep_alives_keep_the_link_of_a_silent_caller_open(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "en-US") as transcriber:
        await trio.sleep(33)
        await speak_turn(transcriber, 1)
        await emitted.final(1)
    assert len(vendors.requests[0].of_type("KeepAlive")) == 4


async def test_audio_without_samples_is_not_sent(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    """An empty message makes Deepgram close the connection."""
    async with nova.open(emitted, "en-US") as transcriber:
        transcriber.begin_turn(1)
        await transcriber.send(np.zeros(0, np.int16), 0.0)
        await speak(transcriber, 1)
        transcriber.finalize(1)
        assert (await emitted.final(1)).text


async def test_an_error_message_ends_the_link(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async def send_nonsense() -> None:
        async with nova.open(emitted, "en-US") as transcriber:
            await transcriber._sock._send(json.dumps({"type": "Nonsense"}))  # type: ignore[attr-defined]
            await trio.sleep(5)

    with fails_with(ErrorClass.REFUSED_REQUEST):
        await send_nonsense()


async def test_an_error_in_the_block_is_raised_as_it_is(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    with pytest.raises(LookupError):
        async with nova.open(emitted, "en-US"):
            raise LookupError
    with pytest.raises(TimeoutError):  # not a `ProviderError`
        async with nova.open(emitted, "en-US"):
            raise TimeoutError


async def test_a_wrong_key_is_refused(
    vendors: Simulators, autojump_clock: MockClock, emitted: Emitted
) -> None:
    stranger = DeepgramNova(
        "sk-someone-elses-key", base_url="ws://simulated.invalid:1", open_stream=vendors.connect
    )
    with pytest.raises(ProviderError) as caught:
        async with stranger.open(emitted, "en-US"):
            pass
    assert caught.value.failure.error_class is ErrorClass.AUTH
    assert "someone" not in str(caught.value)


def test_an_address_without_a_scheme_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"api\.deepgram\.com"):
        DeepgramNova("key", base_url="api.deepgram.com")


@pytest.mark.parametrize(
    ("model", "language", "tag"),
    [
        ("nova-3", "en-US", "en-US"),
        ("nova-3", "de-DE", "de"),
        ("nova-3-general", "fr-FR", "fr"),
        ("nova-2", "de_ch", "de-CH"),
        ("nova-2", "nb-NO", "no"),
        ("nova-3", "fil-PH", "tl"),
        ("nova-2", "zh-cn", "zh-CN"),
        ("nova-2", "multi", "multi"),
        ("nova-3", "tlh", None),
        ("nova-2", "ta", None),
        ("our-own-model", "tlh", "tlh"),
        ("nova-3", "", ""),
    ],
)
def test_a_language_is_asked_for_with_the_nearest_tag_that_the_model_has(
    model: str, language: str, tag: str | None
) -> None:
    assert nova_tag(model, language) == tag


async def test_a_region_that_deepgram_does_not_list_is_left_out(
    vendors: Simulators, autojump_clock: MockClock, nova: DeepgramNova, emitted: Emitted
) -> None:
    async with nova.open(emitted, "de-DE"):
        pass
    assert vendors.requests[0].query["language"] == ["de"]
