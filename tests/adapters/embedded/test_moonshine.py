"""Embedded speech to text by Moonshine: words, interim transcripts, long turns, and turns that race."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing
from attrs import define, field

from adapters.embedded.inference_timing import Timing
from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY, ModelsError
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.interfaces import LISTENING_RATE, ProviderError, Samples, Settled, Transcriber
from adapters.tasks import Signal
from machines.facts import ErrorClass, Fact, TranscriptFinal, TranscriptInterim, TranscriptionFailed
from tests.adapters.conftest import Speech

pytestmark = pytest.mark.models

WINDOW = 512
QUESTION = "What time do you open on Saturday morning?"
ORDER = "I would like to book a table for four people tomorrow evening at half past seven."


def words(text: str) -> list[str]:
    """The words, however the model spells them: on some processors it writes "to morrow"."""
    return re.findall(r"[a-z']+", re.sub(r"\bto[- ]morrow", "tomorrow", text.lower()).replace("-", " "))


def silence(ms: int) -> Samples:
    return np.zeros(ms * LISTENING_RATE // 1000, np.int16)


@define
class Call:
    """A conversation that records the facts that it gets."""

    transcriber: Transcriber
    facts: list[Fact] = field(factory=list)
    _told: trio.Event = field(factory=trio.Event)

    def take(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._told.set()
        self._told = trio.Event()

    async def told(self) -> None:
        """Wait for the next fact."""
        await self._told.wait()

    async def hear(self, samples: Samples, *, probability: float | None = None) -> None:
        """Send samples; by default their loudness decides whether they are voice."""
        for start in range(0, len(samples) - WINDOW + 1, WINDOW):
            window = samples[start : start + WINDOW]
            loud = float(np.abs(window.astype(np.int32)).max() > 500)
            await self.transcriber.send(window, loud if probability is None else probability)

    async def until(self, kind: type[Fact], turn: int) -> Fact:
        with trio.fail_after(300):
            while True:
                for fact in self.facts:
                    if isinstance(fact, kind) and getattr(fact, "turn", None) == turn:
                        return fact
                await self.told()

    async def final(self, turn: int) -> TranscriptFinal:
        fact = await self.until(TranscriptFinal, turn)
        assert isinstance(fact, TranscriptFinal)
        return fact

    def interims(self, turn: int) -> list[str]:
        return [fact.text for fact in self.facts if isinstance(fact, TranscriptInterim) and fact.turn == turn]

    def answers(self) -> list[int]:
        """The turns with final transcripts, in order."""
        ends = (TranscriptFinal, TranscriptionFailed)
        return [fact.turn for fact in self.facts if isinstance(fact, ends)]


@asynccontextmanager
async def calling(model: MoonshineSpeechToText) -> AsyncIterator[Call]:
    calls: list[Call] = []
    async with model.open(lambda fact: calls[0].take(fact), "en-US") as transcriber:
        calls.append(Call(transcriber))
        yield calls[0]


@pytest.mark.parametrize("said", ["Hello, can you hear me?", QUESTION, ORDER, "Yes.", "No."])
async def test_speech_is_transcribed(moonshine: MoonshineSpeechToText, speech: Speech, said: str) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(speech(said))
        call.transcriber.finalize(1)
        final = await call.final(1)
    assert words(final.text) == words(said)
    assert 0.5 < final.confidence <= 1
    assert 0.3 < final.speech_ms / (len(speech(said)) / 16) < 1


async def test_interim_transcripts_arrive_while_somebody_speaks_and_grow(
    models_dir: Path, speech: Speech
) -> None:
    decoded = Signal()
    model = MoonshineSpeechToText(
        models_dir / SPEECH_TO_TEXT_DIRECTORY, report=lambda timing: decoded.wake_all()
    )
    async with calling(model) as call:
        call.transcriber.begin_turn(1)
        with trio.fail_after(300):
            for part in np.array_split(speech(ORDER), 8):
                await call.hear(part)
                # A caller who speaks no faster than the model decodes.
                await trio.testing.wait_all_tasks_blocked()
                while model.busy:
                    await decoded.wait()
        interims = call.interims(1)
        assert len(interims) >= 3
        assert len(words(interims[-1])) > len(words(interims[0]))
        assert all(words(text)[:3] == ["i", "would", "like"] for text in interims)
        call.transcriber.finalize(1)
        await call.final(1)
    assert call.answers() == [1]


async def test_after_a_pause_the_final_transcript_is_there_at_once(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(speech(QUESTION))
        await call.hear(silence(300))
        with trio.fail_after(300):
            while not call.interims(1) or words(call.interims(1)[-1]) != words(QUESTION):
                await call.told()
        call.transcriber.finalize(1)
        assert call.answers() == [1], "no decode was left to do"


async def test_a_turn_of_a_minute_is_transcribed_with_bounded_decodes(
    models_dir: Path, speech: Speech
) -> None:
    timings: list[Timing] = []
    model = MoonshineSpeechToText(models_dir / SPEECH_TO_TEXT_DIRECTORY, report=timings.append)
    sentences = [QUESTION, ORDER, "Hello, can you hear me?", "The weather is lovely today."]
    said = [sentences[number % 4] for number in range(21)]
    async with calling(model) as call:
        call.transcriber.begin_turn(1)
        for sentence in said:
            await call.hear(speech(sentence))
        call.transcriber.finalize(1)
        final = await call.final(1)
    assert sum(len(speech(sentence)) for sentence in said) > 60 * LISTENING_RATE
    heard, expected = words(final.text), words(" ".join(said))
    assert heard.count("saturday") == expected.count("saturday")
    assert heard.count("lovely") == expected.count("lovely")
    assert abs(len(heard) - len(expected)) < len(expected) * 0.1
    assert max(timing.audio_ms for timing in timings) <= 10_100


async def test_a_minute_without_a_pause_is_transcribed_too(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    """Voice activity that finds voice everywhere leaves no pause to cut at."""
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        for _ in range(13):
            await call.hear(speech(ORDER), probability=1.0)
        call.transcriber.finalize(1)
        heard = words((await call.final(1)).text)
    assert heard.count("people") >= 11
    assert heard.count("table") >= 11


@pytest.mark.parametrize("probability", [0.0, 0.1])
async def test_silence_has_an_empty_final_transcript(
    moonshine: MoonshineSpeechToText, probability: float
) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(silence(3000), probability=probability)
        call.transcriber.finalize(1)
        assert call.facts == [TranscriptFinal(1, "", 0.0, 0.0)]


async def test_a_cough_has_an_empty_final_transcript(moonshine: MoonshineSpeechToText) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(silence(128), probability=0.9)
        await call.hear(silence(1000), probability=0.0)
        call.transcriber.finalize(1)
        assert await call.final(1) == TranscriptFinal(1, "", 0.0, 128.0)


async def test_another_link_needs_only_the_audio_that_is_not_settled(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    audio = np.concatenate([silence(3008), speech(ORDER), silence(640), speech(ORDER), silence(1024)])
    async with calling(moonshine) as call:
        assert call.transcriber.settled(1) == Settled()
        await call.hear(audio[: 2048 * LISTENING_RATE // 1000])
        call.transcriber.begin_turn(1)
        await call.hear(audio[2048 * LISTENING_RATE // 1000 :])
        with trio.fail_after(300):
            while not call.transcriber.settled(1).text:
                await call.hear(silence(32))
    settled = call.transcriber.settled(1)
    assert 0 < settled.samples < len(audio)
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(audio[settled.samples :])
        call.transcriber.finalize(1)
        rest = (await call.final(1)).text
    assert words(f"{settled.text} {rest}") == words(f"{ORDER} {ORDER}")


async def test_what_was_said_just_before_the_turn_began_belongs_to_it(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        await call.hear(silence(2000))
        samples = speech(ORDER)
        await call.hear(samples[: LISTENING_RATE * 2])
        call.transcriber.begin_turn(1)
        await call.hear(samples[LISTENING_RATE * 2 :])
        call.transcriber.finalize(1)
        assert words((await call.final(1)).text)[:5] == ["i", "would", "like", "to", "book"]


async def test_what_was_said_long_before_the_turn_does_not_belong_to_it(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        await call.hear(speech("Forget about this sentence."))
        await call.hear(silence(1500))
        call.transcriber.begin_turn(1)
        await call.hear(speech(QUESTION))
        call.transcriber.finalize(1)
        assert words((await call.final(1)).text) == words(QUESTION)


async def test_audio_after_finalize_belongs_to_the_next_turn(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(speech(QUESTION))
        call.transcriber.finalize(1)
        await call.hear(speech("Hello, can you hear me?"))
        call.transcriber.begin_turn(2)
        call.transcriber.finalize(2)
        assert words((await call.final(1)).text) == words(QUESTION)
        assert words((await call.final(2)).text) == words("Hello, can you hear me?")


async def test_turns_in_quick_succession_get_their_transcripts_in_order_and_once(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        for turn in range(5):
            call.transcriber.begin_turn(turn)
            await call.hear(speech("Hello, can you hear me?"))
            call.transcriber.finalize(turn)
        await call.final(4)
    assert call.answers() == [0, 1, 2, 3, 4]
    assert all(
        words(fact.text) == words("Hello, can you hear me?")
        for fact in call.facts
        if isinstance(fact, TranscriptFinal)
    )


async def test_finalizing_within_an_interim_decode_gives_the_whole_turn(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    samples = speech(ORDER)
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(samples[: LISTENING_RATE * 3])  # an interim decode has begun
        await call.hear(samples[LISTENING_RATE * 3 :])
        call.transcriber.finalize(1)
        call.transcriber.begin_turn(2)
        await call.hear(speech("Yes."))
        assert words((await call.final(1)).text)[-2:] == ["past", "seven"]
        call.transcriber.finalize(2)
        assert words((await call.final(2)).text) == ["yes"]
    assert call.answers() == [1, 2]


async def test_beginning_a_turn_drops_the_words_of_an_unfinalized_one(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        call.transcriber.begin_turn(1)
        await call.hear(speech(ORDER))
        await call.hear(silence(600))
        call.transcriber.begin_turn(2)
        told = len(call.facts)
        await call.hear(speech(QUESTION))
        call.transcriber.finalize(2)
        assert words((await call.final(2)).text) == words(QUESTION)
        assert all(getattr(fact, "turn", None) == 2 for fact in call.facts[told:])


async def test_finalizing_twice_or_a_turn_that_never_began_gives_one_transcript(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    async with calling(moonshine) as call:
        call.transcriber.finalize(7)
        assert call.facts == [TranscriptFinal(7, "")]
        call.transcriber.begin_turn(8)
        await call.hear(speech("Hello, can you hear me?"))
        call.transcriber.finalize(8)
        call.transcriber.finalize(8)
        await call.final(8)
        call.transcriber.finalize(8)
        await trio.lowlevel.checkpoint()
    assert call.answers() == [7, 8]


async def test_calls_at_the_same_time_do_not_mix(moonshine: MoonshineSpeechToText, speech: Speech) -> None:
    said = {1: QUESTION, 2: ORDER, 3: "Hello, can you hear me?"}
    heard: dict[int, list[str]] = {}

    async def one_call(number: int) -> None:
        async with calling(moonshine) as call:
            call.transcriber.begin_turn(number)
            for part in np.array_split(speech(said[number]), 6):
                await call.hear(part)
            call.transcriber.finalize(number)
            heard[number] = words((await call.final(number)).text)

    async with trio.open_nursery() as nursery:
        for number in said:
            nursery.start_soon(one_call, number)
    assert heard == {number: words(text) for number, text in said.items()}


async def test_hanging_up_within_a_decode_leaves_no_task_and_no_busy_worker(
    moonshine: MoonshineSpeechToText, speech: Speech
) -> None:
    for _ in range(5):
        with trio.CancelScope() as scope:
            async with calling(moonshine) as call:
                call.transcriber.begin_turn(1)
                await call.hear(speech(ORDER))
                call.transcriber.finalize(1)
                await trio.lowlevel.checkpoint()
                assert moonshine.busy
                scope.cancel()
                await trio.sleep_forever()
        assert not moonshine.busy
        assert call.answers() == []


async def test_an_error_in_the_block_is_raised_as_it_is(moonshine: MoonshineSpeechToText) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with calling(moonshine):
            raise KeyError("mine")


async def test_a_model_that_fails_is_reported_for_the_turn_and_the_next_turn_is_tried(
    models_dir: Path, tmp_path: Path, speech: Speech
) -> None:
    """An encoder in place of the decoder can be loaded, but fails when it is run."""
    source = models_dir / SPEECH_TO_TEXT_DIRECTORY
    # As many tokens as the encoder has outputs, of one letter each.
    (tmp_path / "tokenizer.bin").write_bytes(b"\x01a" * 288)
    (tmp_path / "encoder_model.ort").symlink_to(source / "encoder_model.ort")
    (tmp_path / "decoder_model_merged.ort").symlink_to(source / "encoder_model.ort")
    async with calling(MoonshineSpeechToText(tmp_path)) as call:
        for turn in (1, 2):
            call.transcriber.begin_turn(turn)
            await call.hear(speech("Hello, can you hear me?"))
            call.transcriber.finalize(turn)
            failed = await call.until(TranscriptionFailed, turn)
            assert isinstance(failed, TranscriptionFailed)
            assert failed.failure.error_class is ErrorClass.TRANSIENT
        call.transcriber.begin_turn(3)
        await call.hear(speech(ORDER))
        await call.until(TranscriptionFailed, 3)  # at an interim decode
        call.transcriber.finalize(3)
        await trio.lowlevel.checkpoint()
    assert call.answers() == [1, 2, 3]


async def test_a_language_that_the_model_does_not_know_is_refused(moonshine: MoonshineSpeechToText) -> None:
    with pytest.raises(ProviderError, match=r"English only.*'de-DE'") as raised:
        async with moonshine.open(print, "de-DE"):
            pass
    assert raised.value.failure.error_class is ErrorClass.REFUSED_REQUEST


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"tokenizer\.bin.*vantum models fetch"):
        MoonshineSpeechToText(tmp_path / SPEECH_TO_TEXT_DIRECTORY)
