"""Vendors of speech that send without end: audio, words, transcripts and messages have bounds."""

from __future__ import annotations

import base64

import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import SegmentEnd, SpokenAudio
from machines.bounds import LONGEST_MESSAGE, LONGEST_SPEECH_S, LONGEST_TRANSCRIPT, MOST_RESULTS, MOST_WORDS
from machines.facts import ErrorClass
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


async def test_results_of_nova_without_end_are_left_out(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted
) -> None:
    results = [result(f"w{number}", start=number / 10_000) for number in range(2 * MOST_RESULTS)]
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
