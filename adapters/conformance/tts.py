"""Conformance checks of text to speech."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import trio
from attrs import Factory, define, frozen

from adapters.conformance.checks import (
    Check,
    checked,
    must,
    must_be_audio,
    must_fail,
    must_have_a_name,
    within,
)
from adapters.interfaces import SegmentEnd, SpeechStream, SpokenAudio, TextToSpeech, Voice

FIRST = "This is the first sentence."
SECOND = "And here is another one."
NOT_SPEAKABLE = ("", "...", "🙂")
LEAST_MS = 200
"""A sentence of five words takes longer than this."""
SLACK_MS = 50
"""How long after its segment's audio a word may end."""


@frozen(eq=False)
class TtsUnderTest:
    """A text-to-speech provider to be checked."""

    provider: TextToSpeech
    language: str = "en-US"
    patience_s: float = 20
    """The longest that anything may take, also a whole answer of two sentences."""
    unreachable: TextToSpeech | None = None
    """The same adapter with an address where nobody answers. Without it, failure is not checked."""


@define
class _Spoken:
    """What a stream delivered for one answer."""

    rate: int
    lengths: dict[int, int] = Factory(dict)
    """The number of samples of each segment."""
    ends: list[SegmentEnd] = Factory(list)
    loudest: int = 0

    def add(self, item: object) -> None:
        match item:
            case SpokenAudio(segment=segment, samples=samples):
                audio = must_be_audio(samples)
                must(
                    segment == len(self.ends), f"audio of segment {segment} came in segment {len(self.ends)}"
                )
                self.lengths[segment] = self.lengths.get(segment, 0) + len(audio)
                self.loudest = max([self.loudest, *np.abs(audio.astype(int))])
            case SegmentEnd(segment=segment):
                must(segment == len(self.ends), f"segment {segment} ended before {len(self.ends)}")
                self.ends.append(item)
            case _:
                must(False, f"a voice gives SpokenAudio and SegmentEnd, not {item!r}")

    def ms(self, segment: int) -> float:
        return self.lengths.get(segment, 0) * 1000 / self.rate


@asynccontextmanager
async def _stream(
    voice: Voice, rate: int = 24_000, voice_id: str | None = None
) -> AsyncIterator[SpeechStream]:
    async with voice.speak(rate, voice_id) as stream:
        is_rate = isinstance(stream.sample_rate, int) and 8_000 <= stream.sample_rate <= 48_000
        must(is_rate, f"sample_rate is {stream.sample_rate!r}, but must be a whole number from 8000 to 48000")
        yield stream


async def _answer(
    subject: TtsUnderTest, voice: Voice, *segments: str, rate: int = 24_000, voice_id: str | None = None
) -> _Spoken:
    """Have a whole answer spoken."""
    with within(subject.patience_s, "an answer"):
        async with _stream(voice, rate, voice_id) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(_say, stream, segments)
            spoken = _Spoken(stream.sample_rate)
            async for item in stream:
                spoken.add(item)
    must(len(spoken.ends) == len(segments), f"{len(segments)} segments have {len(spoken.ends)} ends")
    return spoken


async def _say(stream: SpeechStream, segments: tuple[str, ...]) -> None:
    for number, text in enumerate(segments):
        await stream.say(number, text)
    await stream.end()


# --- the checks -------------------------------------------------------------------------------------------


@checked
async def it_says_what_it_is(subject: TtsUnderTest) -> None:
    """It has a name."""
    must_have_a_name(subject.provider)
    await trio.lowlevel.checkpoint()


@checked
async def links_open_and_close(subject: TtsUnderTest) -> None:
    """Links open and close one after the other and several at once, without any text."""
    with within(subject.patience_s, "opening and closing links"):
        for _ in range(2):
            async with subject.provider.open(subject.language):
                pass
        async with subject.provider.open(subject.language), subject.provider.open(subject.language):
            pass


@checked
async def segments_are_spoken_in_order_each_with_its_end(subject: TtsUnderTest) -> None:
    """Each segment gets audible audio and then its end, in order; the next answer likewise."""
    async with subject.provider.open(subject.language) as voice:
        for _ in range(2):
            spoken = await _answer(subject, voice, FIRST, SECOND)
            for segment in (0, 1):
                must(
                    spoken.ms(segment) > LEAST_MS, f"a sentence has only {spoken.ms(segment):.0f} ms of audio"
                )
            must(spoken.loudest > 300, f"what is spoken is not louder than {spoken.loudest} of 32767")


@checked
async def the_first_segment_is_spoken_before_the_next_is_known(subject: TtsUnderTest) -> None:
    """The first audio comes before the next segment is known, so that callers need not wait for all of it."""
    async with subject.provider.open(subject.language) as voice, _stream(voice) as stream:
        await stream.say(0, FIRST)
        with within(subject.patience_s, "the first audio, with one segment known,"):
            async for item in stream:
                must(isinstance(item, SpokenAudio), f"the first that came is {item!r}, not audio")
                break


@checked
async def words_lie_within_their_segment(subject: TtsUnderTest) -> None:
    """Word times, if they are reported, increase and end with the audio."""
    async with subject.provider.open(subject.language) as voice:
        spoken = await _answer(subject, voice, FIRST, SECOND)
    for end in spoken.ends:
        times = [time for word in end.words for time in (word.start_ms, word.end_ms)]
        must(times == sorted(times), f"the words of segment {end.segment} are not in order: {end.words}")
        ms = spoken.ms(end.segment)
        must(
            all(0 <= time <= ms + SLACK_MS for time in times),
            f"segment {end.segment} has {ms:.0f} ms of audio, but words until {times[-1:]}",
        )


@checked
async def what_cannot_be_spoken_ends_as_well(subject: TtsUnderTest) -> None:
    """A segment without words gets its end, with little or no audio, and raises no error."""
    async with subject.provider.open(subject.language) as voice:
        for text in NOT_SPEAKABLE:
            await _answer(subject, voice, text, FIRST)


@checked
async def an_answer_without_segments_ends(subject: TtsUnderTest) -> None:
    """`end` without any segment ends the iteration."""
    async with subject.provider.open(subject.language) as voice:
        await _answer(subject, voice)


@checked
async def an_answer_can_be_left_early(subject: TtsUnderTest) -> None:
    """An answer can be left early in time, and the same link then speaks the next one and nothing else."""
    async with subject.provider.open(subject.language) as voice:
        for _ in range(3):
            with within(subject.patience_s, "leaving an answer early"):
                async with _stream(voice) as stream:
                    await stream.say(0, FIRST)
                    await stream.say(1, SECOND)
                    async for _item in stream:
                        break
        spoken = await _answer(subject, voice, FIRST)
    must(spoken.ms(0) > LEAST_MS, "after answers left early, one has no audio")


@checked
async def the_sample_rate_is_what_it_says(subject: TtsUnderTest) -> None:
    """A text has about the same length at every rate that is asked for."""
    async with subject.provider.open(subject.language) as voice:
        lengths = [
            (await _answer(subject, voice, FIRST, rate=rate)).ms(0) for rate in (8_000, 24_000, 48_000)
        ]
    must(
        max(lengths) < 1.5 * min(lengths), f"at other rates the same text has other lengths, in ms: {lengths}"
    )


@checked
async def an_unknown_voice_is_the_default_one(subject: TtsUnderTest) -> None:
    """An unknown voice id, such as one of another provider, means the default voice."""
    async with subject.provider.open(subject.language) as voice:
        spoken = await _answer(subject, voice, FIRST, voice_id="no such voice")
    must(spoken.ms(0) > LEAST_MS, "an unknown voice says nothing")


@checked
async def callers_are_spoken_to_at_the_same_time(subject: TtsUnderTest) -> None:
    """Each caller has a link, and gets audio."""
    spoken: list[_Spoken] = []

    async def call() -> None:
        async with subject.provider.open(subject.language) as voice:
            spoken.append(await _answer(subject, voice, FIRST, SECOND))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(call)
    must(len(spoken) == 2, "of two callers one was not spoken to")


@checked
async def one_that_cannot_be_reached_raises_provider_error(subject: TtsUnderTest) -> None:
    """It raises the error in time, since the next provider has to wait for it."""
    unreachable = subject.unreachable
    if unreachable is None:
        return

    async def use() -> None:
        async with unreachable.open(subject.language) as voice:
            await _answer(subject, voice, FIRST)

    await must_fail(subject.patience_s, "opening what cannot be reached", use)


TEXT_TO_SPEECH: tuple[Check[TtsUnderTest], ...] = (
    it_says_what_it_is,
    links_open_and_close,
    segments_are_spoken_in_order_each_with_its_end,
    the_first_segment_is_spoken_before_the_next_is_known,
    words_lie_within_their_segment,
    what_cannot_be_spoken_ends_as_well,
    an_answer_without_segments_ends,
    an_answer_can_be_left_early,
    the_sample_rate_is_what_it_says,
    an_unknown_voice_is_the_default_one,
    callers_are_spoken_to_at_the_same_time,
    one_that_cannot_be_reached_raises_provider_error,
)
