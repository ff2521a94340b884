"""Vendors of speech that send without end: audio, words, transcripts and messages have bounds."""

from __future__ import annotations

import base64
import math

import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import SegmentEnd, SpokenAudio
from machines.bounds import LONGEST_MESSAGE, LONGEST_SPEECH_S, LONGEST_TRANSCRIPT, MOST_RESULTS, MOST_WORDS
from machines.facts import ErrorClass, TranscriptInterim
from tests.adapters.simulated_vendors import Switchboard, fails_with
from tests.adapters.vendors.stt_links import Emitted, speak
from tests.adapters.vendors.test_invalid_messages import CHUNK, FLUSH_DONE, result, turn_info, vendor

RATE = 8000
A_MINUTE = {**CHUNK, "data": base64.b64encode(bytes(2 * 60 * RATE)).decode()}
WORDS = [f"w{number}" for number in range(2 * MOST_WORDS)]
TIMES = [float(number) for number in range(2 * MOST_WORDS)]


async def test_a_voice_that_does_not_stop_has_failed(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    heard = 0
    async with vendor(switchboard, [A_MINUTE] * 9), cartesia.open("en") as voice:
        with fails_with(ErrorClass.TRANSIENT):
            async with voice.speak(RATE, None) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                async for piece in stream:
                    heard += len(piece.samples) if isinstance(piece, SpokenAudio) else 0
    assert heard == LONGEST_SPEECH_S * RATE


async def test_words_without_end_are_left_out(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    stamps = {"words": WORDS, "start": TIMES, "end": TIMES}
    told = {"type": "timestamps", "context_id": "THEIRS", "word_timestamps": stamps}
    async with (
        vendor(switchboard, [CHUNK, told, told, FLUSH_DONE]),
        cartesia.open("en") as voice,
        voice.speak(RATE, None) as stream,
    ):
        await stream.say(0, "Hello.")
        await stream.end()
        (end,) = [piece async for piece in stream if isinstance(piece, SegmentEnd)]
    assert 0 < len(end.words) <= MOST_WORDS


async def test_a_message_without_end_ends_the_link(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    async def call() -> None:
        async with cartesia.open("en") as voice, voice.speak(RATE, None) as stream:
            await stream.say(0, "Hello.")
            async for _ in stream:
                pass

    async with vendor(switchboard, [{**CHUNK, "data": "A" * LONGEST_MESSAGE}]):
        with fails_with(ErrorClass.TRANSIENT):
            await call()


@pytest.mark.repeats
@pytest.mark.slow
async def test_results_of_nova_without_end_are_left_out(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted
) -> None:
    results = [result(f"w{number}", start=number / 5) for number in range(2 * MOST_RESULTS)]
    async with vendor(switchboard, results), nova.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await trio.sleep(1)
    assert len(emitted.interims(1)[-1].split()) == MOST_RESULTS


@pytest.mark.slow
async def test_turns_of_flux_without_end_are_left_out(
    autojump_clock: MockClock, switchboard: Switchboard, flux: DeepgramFlux, emitted: Emitted
) -> None:
    messages = [turn_info("Update", transcript="word " * LONGEST_TRANSCRIPT)]
    async with vendor(switchboard, messages), flux.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        await trio.sleep(1)
    assert [len(text) for text in emitted.interims(1)] == [LONGEST_TRANSCRIPT]


# --- numbers that are none ----------------------------------------------------------------------------------

NO_NUMBERS = [float("nan"), float("inf"), -float("inf"), 10**400, True, "0.9", None]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda each: str(each)[:8])
async def test_a_confidence_that_is_no_number_is_not_known(
    number: object,
    autojump_clock: MockClock,
    switchboard: Switchboard,
    nova: DeepgramNova,
    flux: DeepgramFlux,
) -> None:
    """Facts are compared and recorded: a number that is unequal to itself would spoil both."""
    alternative = {"transcript": "good", "confidence": number, "words": []}
    words = [{"word": "good", "start": 0.0, "end": 0.2, "confidence": number}]
    for provider, message in (
        (nova, result(channel={"alternatives": [alternative]})),
        (flux, turn_info("Update", words=words)),
    ):
        emitted = Emitted()
        async with vendor(switchboard, [message]), provider.open(emitted, "en") as transcriber:
            transcriber.begin_turn(1)
            await speak(transcriber, 1)
            await trio.sleep(1)
        told = [each.confidence for each in emitted.facts if isinstance(each, TranscriptInterim)]
        assert told in ([0.0], [])  # the SDK refuses some messages as a whole


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda each: str(each)[:8])
async def test_a_word_without_a_time_is_left_out(
    number: object, autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    stamps = {"words": ["a", "b"], "start": [0.0, number], "end": [0.1, 0.2]}
    told = {"type": "timestamps", "context_id": "THEIRS", "word_timestamps": stamps}
    async with (
        vendor(switchboard, [CHUNK, told, FLUSH_DONE]),
        cartesia.open("en") as voice,
        voice.speak(RATE, None) as stream,
    ):
        await stream.say(0, "Hello.")
        await stream.end()
        (end,) = [piece async for piece in stream if isinstance(piece, SegmentEnd)]
    assert [word.text for word in end.words][:1] in (["a"], [])  # the SDK refuses some messages as a whole
    assert all(math.isfinite(word.start_ms) for word in end.words)
