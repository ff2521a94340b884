"""Text to speech by Cartesia: contexts, segments, word times, and cancellation at the vendor."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.cartesia import DEFAULT_VOICE_ID as KYLE
from adapters.cartesia.stream import CartesiaSettings
from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.interfaces import ProviderError, SegmentEnd, SpeechStream, SpokenAudio
from adapters.simulators import Fault, FaultKind, Simulators, TtsDialect, simulators
from adapters.simulators.cartesia import UNKNOWN_VOICE
from machines.facts import ErrorClass
from tests.adapters.simulated_vendors import ADDRESS, KEY, Switchboard, fails_with

TESSA = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


async def spoken(stream: SpeechStream) -> list[tuple[int, int, SegmentEnd]]:
    """The number of samples of each segment, and the ends of segments."""
    segments, samples = [], 0
    async for piece in stream:
        if isinstance(piece, SpokenAudio):
            samples += len(piece.samples)
        else:
            segments.append((piece.segment, samples, piece))
            samples = 0
    return segments


async def test_an_answer_is_spoken_segment_by_segment(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en-US") as voice, voice.speak(48_000, None) as stream:
        await stream.say(0, "Hello there.")
        await stream.say(1, "How are you today?")
        await stream.end()
        (first, first_samples, _), (second, second_samples, _) = await spoken(stream)
    assert (first, second) == (0, 1)
    assert first_samples == pytest.approx(0.66 * 48_000, rel=0.01)
    assert second_samples > first_samples
    (context,) = vendors.records.contexts.values()
    assert (context.flushes, context.finished, context.cancelled) == (2, True, False)


async def test_word_times_count_from_the_start_of_their_segment(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, "One two three.")
        await stream.say(1, "Four five.")
        await stream.end()
        ends = [end for _, _, end in await spoken(stream)]
    assert [word.text for word in ends[1].words] == ["Four", "five."]
    assert [(word.start_ms, word.end_ms) for word in ends[1].words] == [
        pytest.approx((0, 240)),
        pytest.approx((240, 540)),
    ]


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 44_100, 48_000])
async def test_a_rate_that_cartesia_has_is_asked_for(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech, rate: int
) -> None:
    async with cartesia.open("en") as voice, voice.speak(rate, None) as stream:
        assert stream.sample_rate == rate
        await stream.say(0, "Hello.")
        await stream.end()
        ((_, samples, _),) = await spoken(stream)
    assert samples == pytest.approx(0.36 * rate, rel=0.01)


@pytest.mark.parametrize(("wanted", "given"), [(12_000, 16_000), (32_000, 44_100), (96_000, 48_000)])
async def test_another_rate_is_rounded_up(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech, wanted: int, given: int
) -> None:
    async with cartesia.open("en") as voice, voice.speak(wanted, None) as stream:
        assert stream.sample_rate == given


async def test_audio_that_is_cut_in_the_middle_of_samples_is_the_same_audio(
    switchboard: Switchboard, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    heard = []
    for dialect in TtsDialect.PLAIN, TtsDialect.ODD_CHUNKS:
        async with (
            simulators(keys=[KEY], tts_dialect=dialect) as switchboard.simulators,
            cartesia.open("en") as voice,
            voice.speak(16_000, None) as stream,
        ):
            await stream.say(0, "One two three.")
            await stream.end()
            heard.append([one.samples async for one in stream if isinstance(one, SpokenAudio)])
    whole, odd = (np.concatenate(pieces) for pieces in heard)
    assert np.array_equal(whole, odd)


async def test_one_warm_connection_serves_all_answers_of_a_call(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice:
        for _ in range(3):
            async with voice.speak(16_000, TESSA) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                assert len(await spoken(stream)) == 1
    assert len(vendors.requests) == 1
    assert len(vendors.records.contexts) == 3


async def test_defect_26_leaving_an_answer_early_cancels_it_at_cartesia(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice:
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "A long sentence that nobody will hear to its end.")
            async for _ in stream:
                break
        await wait_all_tasks_blocked()
        (context,) = vendors.records.contexts.values()
        assert context.cancelled
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "Hello.")
            await stream.end()
            ((_, samples, _),) = await spoken(stream)
    assert samples == pytest.approx(0.36 * 16_000, rel=0.01)


async def test_many_interruptions_leave_no_context_open(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    """A connection with a few open contexts too many is closed (github.com/livekit/agents/issues/5844)."""
    async with cartesia.open("en") as voice:
        for number in range(50):
            async with voice.speak(16_000, None) as stream:
                for segment in range(number % 4):
                    await stream.say(segment, "One two three four five.")
                if number % 3:
                    await stream.end()
                if number % 4:
                    await anext(aiter(stream))
        await trio.sleep(1)
        contexts = vendors.records.contexts.values()
        assert len(contexts) == sum(number % 4 > 0 for number in range(50))
        assert [each for each in contexts if not (each.cancelled or each.finished)] == []
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "Hello.")
            await stream.end()
            assert len(await spoken(stream)) == 1


async def test_the_cancel_is_sent_even_if_the_call_itself_is_cancelled(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice:
        with trio.CancelScope() as scope:
            async with voice.speak(16_000, None) as stream:
                await stream.say(0, "A long sentence.")
                async for _ in stream:
                    scope.cancel()
        await vendors.records.until(lambda: vendors.records.open_contexts == [])
    assert [one.cancelled for one in vendors.records.contexts.values()] == [True]


async def test_late_audio_of_a_cancelled_answer_is_not_in_the_next_one(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    vendors.fail(Fault(FaultKind.LATE_AUDIO, "cartesia"))
    async with cartesia.open("en") as voice:
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "A long sentence that nobody will hear to its end.")
            async for _ in stream:
                break
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "Hello.")
            await stream.end()
            ((_, samples, _),) = await spoken(stream)
        assert voice.dropped_messages > 0  # type: ignore[attr-defined]
    assert samples == pytest.approx(0.36 * 16_000, rel=0.01)


async def test_defect_24_an_error_reply_is_an_error_and_the_voice_can_go_on(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice:
        with fails_with(ErrorClass.REFUSED_REQUEST):
            async with voice.speak(16_000, UNKNOWN_VOICE) as stream:
                await stream.say(0, "Hello.")
                await spoken(stream)
        async with voice.speak(16_000, None) as stream:
            await stream.say(0, "Hello.")
            await stream.end()
            assert len(await spoken(stream)) == 1


async def test_a_refusal_that_all_would_get_is_found_by_the_next_probe(
    vendors: Simulators, autojump_clock: MockClock, switchboard: Switchboard
) -> None:
    settings = CartesiaSettings(voice_id=UNKNOWN_VOICE)
    cartesia = CartesiaTextToSpeech(KEY, base_url=ADDRESS, settings=settings, open_stream=switchboard.connect)
    with fails_with(ErrorClass.FATAL):
        async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
            await stream.say(0, "Hello.")
            await spoken(stream)
    for _ in range(2):
        with fails_with(ErrorClass.FATAL):
            async with cartesia.open("en"):
                pass


async def test_a_text_without_anything_to_say_ends_in_its_turn(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        for segment, text in enumerate(["Hello.", "||BREAK||", "Bye."]):
            await stream.say(segment, text)
        await stream.end()
        assert [(number, samples > 0) for number, samples, _ in await spoken(stream)] == [
            (0, True),
            (1, False),
            (2, True),
        ]


async def test_an_answer_without_any_text_sends_cartesia_nothing(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        await stream.end()
        assert await spoken(stream) == []
    assert vendors.requests[0].messages == []


async def test_markup_goes_to_sonic_3_and_other_marks_do_not(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, '<emotion value="happy"/> **Great** <b>news</b> ||BREAK|| at last.')
        await stream.end()
        await spoken(stream)
    (context,) = vendors.records.contexts.values()
    assert " ".join(context.transcript.split()) == '<emotion value="happy"/> Great news at last.'


async def test_markup_is_left_out_for_models_that_would_read_it_out(
    vendors: Simulators, autojump_clock: MockClock, old_cartesia: CartesiaTextToSpeech
) -> None:
    async with old_cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, '<emotion value="happy"/> Great <break time="300ms"/> news.')
        await stream.end()
        await spoken(stream)
    (context,) = vendors.records.contexts.values()
    assert context.transcript.strip() == "Great news."


async def test_an_impossible_voice_is_replaced_by_the_default(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice:
        for voice_id in (TESSA, None, "heart", ""):
            async with voice.speak(16_000, voice_id) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                await spoken(stream)
    asked = [message["voice"]["id"] for message in vendors.requests[0].messages if message["transcript"]]
    assert asked == [TESSA, KYLE, KYLE, KYLE]


async def test_defect_32_the_language_is_sent(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("de-DE") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, "Hallo.")
        await stream.end()
        await spoken(stream)
    assert {message["language"] for message in vendors.requests[0].messages} == {"de"}


@pytest.mark.parametrize(
    ("language", "sent"), [("nb-NO", {"no"}), ("fil", {"tl"}), ("iw", {"he"}), ("multi", {None})]
)
async def test_a_language_goes_by_cartesias_name_for_it(
    vendors: Simulators,
    autojump_clock: MockClock,
    cartesia: CartesiaTextToSpeech,
    language: str,
    sent: set[str | None],
) -> None:
    assert cartesia.knows(language)
    async with cartesia.open(language) as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, "One.")
        await stream.end()
        await spoken(stream)
    assert {message.get("language") for message in vendors.requests[0].messages} == sent


async def test_a_text_that_comes_late_gets_a_new_context(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    """Cartesia ends a context one second after its last audio."""
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        heard: list[int] = []
        for segment, pause in enumerate((0.3, 0.7, 3, 0)):
            await stream.say(segment, "Hello again.")
            async for piece in stream:
                if isinstance(piece, SegmentEnd):
                    heard.append(piece.segment)
                    break
            await trio.sleep(pause)
        await stream.end()
    assert heard == [0, 1, 2, 3]
    assert len(vendors.records.contexts) == 3


async def test_a_text_that_is_never_answered_is_reported(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    vendors.fail(Fault(FaultKind.STALL, "cartesia", after=2))
    async with cartesia.open("en") as voice:
        with fails_with(ErrorClass.TIMEOUT):
            async with voice.speak(16_000, None) as stream:
                await stream.say(0, "Hello there, how are you?")
                await spoken(stream)


async def test_waiting_for_the_next_text_is_not_a_stall(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with (
        cartesia.open("en") as voice,
        voice.speak(16_000, None) as stream,
        trio.open_nursery() as nursery,
    ):

        async def say_slowly() -> None:
            await trio.sleep(30)
            await stream.say(0, "Hello.")
            await stream.end()

        nursery.start_soon(say_slowly)
        assert len(await spoken(stream)) == 1


async def test_texts_wait_while_much_audio_is_not_consumed(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
        sentence = "This is a rather long sentence about nothing in particular, said twice."
        with trio.move_on_after(60) as scope:
            for segment in range(100):
                await stream.say(segment, sentence)
                await trio.sleep(0.1)
        assert scope.cancelled_caught
    (context,) = vendors.records.contexts.values()
    assert 3 <= context.flushes <= 8


async def test_a_broken_link_fails_the_answer_and_every_later_one(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    vendors.fail(Fault(FaultKind.CLOSE, "cartesia", after=2, code=1011))

    async def call() -> None:
        async with cartesia.open("en") as voice:
            with trio.CancelScope(shield=True):  # in a conversation another task has the link
                with pytest.raises(ProviderError):
                    async with voice.speak(16_000, None) as stream:
                        await stream.say(0, "Hello there.")
                        await spoken(stream)
                with pytest.raises(ProviderError):
                    async with voice.speak(16_000, None):
                        pass
            await trio.sleep_forever()

    with fails_with(ErrorClass.TRANSIENT):
        await call()


async def test_defect_36_no_key_is_in_the_address(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en"):
        pass
    (exchange,) = vendors.requests
    assert exchange.query == {}
    assert exchange.headers["authorization"] == "Bearer"


def test_times_that_count_from_the_flush_are_understood_too() -> None:
    """Cartesia does not document from where flushed contexts count."""
    from adapters.cartesia.stream import _within_segment
    from machines.facts import Word

    words = [Word("Hi", 50, 300), Word("you", 300, 700)]
    shifted = [evolve(word, start_ms=word.start_ms + 5000, end_ms=word.end_ms + 5000) for word in words]
    assert _within_segment(words, 5000, 650) == _within_segment(shifted, 5000, 650)
    assert _within_segment(words, 5000, 650)[-1] == Word("you", 300, 650)


# --- texts that it cannot say -----------------------------------------------------------------------------


async def test_a_text_in_another_script_is_the_texts_fault(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en-US") as voice, voice.speak(16_000, None) as stream:
        await stream.say(0, "您好，我们今天下午六点关门。")
        await stream.say(1, "Hello.")
        await stream.end()
        (_, silent, first), (_, samples, second) = await spoken(stream)
    assert (silent, first.words) == (0, ())
    assert samples > 0
    assert not second.unsayable


async def test_a_text_that_is_refused_is_to_blame_and_the_others_are_spoken(
    vendors: Simulators, autojump_clock: MockClock, cartesia: CartesiaTextToSpeech
) -> None:
    async with cartesia.open("en-US") as voice, voice.speak(16_000, None) as stream:
        for segment, text in enumerate(("One.", "½", "Two three.", "Four.")):
            await stream.say(segment, text)
        await stream.end()
        found = await spoken(stream)
    assert [(segment, samples > 0, end.unsayable) for segment, samples, end in found] == [
        (0, True, False),
        (1, False, True),
        (2, True, False),
        (3, True, False),
    ]
    assert len(vendors.records.contexts) == 2
