"""Embedded text to speech by hibari: sentence by sentence, in pieces that can be cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import trio

from adapters.embedded.hibari import SAMPLE_RATE, HibariTextToSpeech, digit_by_digit
from adapters.embedded.inference_timing import Timing
from adapters.embedded.models import ModelsError
from adapters.interfaces import ProviderError, SegmentEnd, SpokenAudio


async def speak(
    model: HibariTextToSpeech, *segments: str, voice_id: str | None = None
) -> Sequence[SpokenAudio | SegmentEnd]:
    async with model.open("en-US") as voice, voice.speak(48_000, voice_id) as stream:
        for number, text in enumerate(segments):
            await stream.say(number, text)
        await stream.end()
        return [item async for item in stream]


def seconds(items: Sequence[SpokenAudio | SegmentEnd], segment: int = 0) -> float:
    pieces = [item for item in items if isinstance(item, SpokenAudio) and item.segment == segment]
    return sum(len(piece.samples) for piece in pieces) / SAMPLE_RATE


@pytest.mark.slow
async def test_segments_come_out_in_order_each_with_its_end(hibari: HibariTextToSpeech) -> None:
    items = await speak(hibari, "Hello there.", "How are you?")
    assert [item.segment for item in items] == sorted(item.segment for item in items)
    assert [item.segment for item in items if isinstance(item, SegmentEnd)] == [0, 1]
    assert items[-1] == SegmentEnd(1)
    assert 0.5 < seconds(items, 0) < 2
    assert 0.5 < seconds(items, 1) < 2


async def test_audio_comes_in_pieces_of_100_ms_at_most(hibari: HibariTextToSpeech) -> None:
    pieces = [item.samples for item in await speak(hibari, "One. Two.") if isinstance(item, SpokenAudio)]
    assert all(0 < len(piece) <= SAMPLE_RATE // 10 for piece in pieces)
    assert {piece.dtype for piece in pieces} == {np.dtype(np.int16)}
    assert np.abs(np.concatenate(pieces)).max() > 3000


async def test_the_first_sentence_comes_before_the_last_is_said(hibari: HibariTextToSpeech) -> None:
    async with hibari.open("en") as voice, voice.speak(24_000, None) as stream:
        await stream.say(0, "First.")
        items = aiter(stream)
        assert isinstance(await anext(items), SpokenAudio)
        await stream.say(1, "Second.")
        await stream.end()
        rest = [item async for item in items]
    assert rest[-1] == SegmentEnd(1)


@pytest.mark.parametrize("text", ["", "   ", "||BREAK||", "<pause/>", "...", "🙂"])
async def test_a_segment_with_nothing_to_say_has_no_audio(hibari: HibariTextToSpeech, text: str) -> None:
    assert await speak(hibari, text) == [SegmentEnd(0)]


async def test_marks_make_no_sound(hibari: HibariTextToSpeech) -> None:
    plain = await speak(hibari, "Hello my friend.")
    marked = await speak(hibari, '<emotion value="happy"/>**Hello** my `friend`.||BREAK||')
    assert seconds(marked) == seconds(plain)


async def test_the_same_text_sounds_the_same(hibari: HibariTextToSpeech) -> None:
    first = await speak(hibari, "Nothing changes.", voice_id=None)
    second = await speak(hibari, "Nothing changes.", voice_id="somebody-else")
    for one, other in zip(first[:-1], second[:-1], strict=True):
        assert isinstance(one, SpokenAudio)
        assert isinstance(other, SpokenAudio)
        assert np.array_equal(one.samples, other.samples)


@pytest.mark.slow
async def test_a_very_long_sentence_without_any_mark_is_spoken_in_bounded_steps() -> None:
    timings: list[Timing] = []
    model = HibariTextToSpeech(seed=1, report=timings.append)
    items = await speak(model, "and then the next word " * 60)
    assert seconds(items) > 60
    assert max(timing.audio_ms for timing in timings) < 30_000
    assert {timing.stage for timing in timings} == {"text_to_speech"}


async def test_a_word_of_any_length_is_spoken(hibari: HibariTextToSpeech) -> None:
    assert seconds(await speak(hibari, "a" * 1000)) > 1


@pytest.mark.slow
async def test_leaving_in_the_middle_stops_the_voice() -> None:
    timings: list[Timing] = []
    model = HibariTextToSpeech(report=timings.append)
    async with model.open("en") as voice, voice.speak(24_000, None) as stream:
        await stream.say(0, "One sentence. " * 50)
        async for _ in stream:
            break
    assert len(timings) == 1


@pytest.mark.slow
async def test_audio_before_a_failure_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pieces = HibariTextToSpeech(seed=1), list[SpokenAudio | SegmentEnd]()
    speaks = model._model

    def breaks(text: str, **options: object) -> object:
        if "Second" in text:
            raise ValueError("no such sound")
        return speaks(text, **options)

    monkeypatch.setattr(model, "_model", breaks)
    async with model.open("en") as voice, voice.speak(24_000, None) as stream:
        await stream.say(0, "First. Second.")
        await stream.say(1, "Third.")
        items = aiter(stream)
        with pytest.raises(ProviderError, match="no such sound"):
            while True:
                pieces.append(await anext(items))
    assert seconds(pieces) > 0.3
    assert all(isinstance(piece, SpokenAudio) and piece.segment == 0 for piece in pieces)


async def test_cancelling_while_waiting_for_text_is_possible(hibari: HibariTextToSpeech) -> None:
    with trio.CancelScope() as scope:
        async with hibari.open("en") as voice, voice.speak(24_000, None) as stream:
            scope.cancel()
            await anext(aiter(stream))
    assert scope.cancelled_caught


async def test_answers_at_the_same_time_do_not_mix(hibari: HibariTextToSpeech) -> None:
    lengths: dict[str, float] = {}

    async def answer(text: str) -> None:
        lengths[text] = seconds(await speak(hibari, text))

    async with trio.open_nursery() as nursery:
        for text in ("Yes.", "This is a somewhat longer sentence than the others."):
            nursery.start_soon(answer, text)
    short, long = sorted(lengths.values())
    assert long > 2 * short


async def test_a_language_that_the_voice_does_not_speak_is_refused(hibari: HibariTextToSpeech) -> None:
    with pytest.raises(ProviderError, match="English only"):
        async with hibari.open("fr-FR"):
            pass


def test_a_voice_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"other\.onnx is missing"):
        HibariTextToSpeech(tmp_path / "other.onnx")


def test_a_file_that_is_not_a_voice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelsError, match=r"other\.onnx cannot be used"):
        HibariTextToSpeech(tmp_path / "other.onnx")


async def test_a_text_of_which_it_knows_no_word_is_the_texts_fault(hibari: HibariTextToSpeech) -> None:
    items = await speak(hibari, "您好，我们今天下午六点关门。", "Hello 您好.", "🙂")
    assert [item for item in items if isinstance(item, SegmentEnd)] == [
        SegmentEnd(0, unsayable=True),
        SegmentEnd(1),
        SegmentEnd(2),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Call 555-123-4567.", "Call 5 5 5, 1 2 3, 4 5 6 7."),
        ("Call +1 555 123 4567 now.", "Call plus 1, 5 5 5, 1 2 3, 4 5 6 7 now."),
        ("It is +49 30 1234567.", "It is plus 4 9, 3 0, 1 2 3 4 5 6 7."),
        ("Dial (555) 123-4567, please.", "Dial 5 5 5, 1 2 3, 4 5 6 7, please."),
        ("1-800-555-1234 or 555.123.4567", "1, 8 0 0, 5 5 5, 1 2 3 4 or 5 5 5, 1 2 3, 4 5 6 7"),
        ("On 2026-05-03 or 03.05.2026.", "On 2026-05-03 or 03.05.2026."),
        ("From 1999-2026 it cost $1,200.50.", "From 1999-2026 it cost $1,200.50."),
        ("Room 101, page 12-15, 8:00.", "Room 101, page 12-15, 8:00."),
        ("10 000 000 people, 3.1415926", "10 000 000 people, 3.1415926"),
        ("You owe $555-123-4567", "You owe $555-123-4567"),
    ],
)
def test_telephone_numbers_are_said_digit_by_digit(text: str, said: str) -> None:
    assert digit_by_digit(text) == said
