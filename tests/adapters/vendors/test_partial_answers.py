"""Text to speech fails within an answer: audio that came is delivered, and incomplete segments get no end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.interfaces import ProviderError, Samples, SegmentEnd, SpeechStream, SpokenAudio
from adapters.simulators import Fault, FaultKind, Simulators
from tests.adapters.simulated_vendors import Switchboard
from tests.adapters.vendors.test_invalid_messages import CHUNK, FLUSH_DONE, vendor

TEXTS = ("One two three.", "Four five six.", "Seven eight.")
ERROR = {"type": "error", "context_id": "THEIRS", "status_code": 500, "title": "Oh", "message": "dear"}
DONE = {"type": "done", "context_id": "THEIRS", "done": True}


async def take_all(stream: SpeechStream, take: Callable[[SpokenAudio | SegmentEnd], None]) -> None:
    async for piece in stream:
        take(piece)


async def answer(
    cartesia: CartesiaTextToSpeech, *, reading_late: bool
) -> tuple[list[SpokenAudio | SegmentEnd], ProviderError | None]:
    """What was delivered of an answer of three segments, and the error."""
    pieces: list[SpokenAudio | SegmentEnd] = []
    failed: list[ProviderError] = []

    async def listen(stream: SpeechStream) -> None:
        try:
            await take_all(stream, pieces.append)
        except ProviderError as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        try:
            async with cartesia.open("en") as voice:
                with trio.CancelScope(shield=True):  # in a conversation another task has the link
                    async with voice.speak(16_000, None) as stream:
                        if not reading_late:
                            nursery.start_soon(listen, stream)
                        for segment, text in enumerate(TEXTS):
                            await stream.say(segment, text)
                            await trio.sleep(0.3)
                        await trio.sleep(8)
                        await stream.end()
                        if reading_late:
                            await listen(stream)
        except ProviderError as error:
            failed.append(error)
    return pieces, failed[0] if failed else None


def audio(pieces: list[SpokenAudio | SegmentEnd]) -> Samples:
    sounding = [piece.samples for piece in pieces if isinstance(piece, SpokenAudio)]
    return np.concatenate([np.empty(0, np.int16), *sounding])


def ends(pieces: list[SpokenAudio | SegmentEnd]) -> list[int]:
    return [piece.segment for piece in pieces if isinstance(piece, SegmentEnd)]


@pytest.mark.parametrize("reading_late", [False, True])
@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.STALL, FaultKind.CLOSE, FaultKind.HALF_OPEN])
async def test_all_audio_before_a_fault_is_delivered(
    vendors: Simulators,
    autojump_clock: MockClock,
    cartesia: CartesiaTextToSpeech,
    kind: FaultKind,
    reading_late: bool,
) -> None:
    whole, failure = await answer(cartesia, reading_late=reading_late)
    assert failure is None
    lengths: list[int] = []
    for after in range(0, 40, 2):
        vendors.fail(Fault(kind, "cartesia", after=after))
        pieces, failure = await answer(cartesia, reading_late=reading_late)
        came = audio(pieces)
        assert np.array_equal(came, audio(whole)[: len(came)])
        assert ends(pieces) == [0, 1, 2][: len(ends(pieces))]
        assert (failure is None) == (ends(pieces) == [0, 1, 2])
        lengths.append(len(came))
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] == len(audio(whole))
    assert len(set(lengths)) > 10  # piece by piece


@pytest.mark.parametrize("last", [ERROR, DONE], ids=["error", "done"])
async def test_a_segment_that_cartesia_broke_off_gets_no_end(
    autojump_clock: MockClock,
    switchboard: Switchboard,
    cartesia: CartesiaTextToSpeech,
    last: dict[str, object],
) -> None:
    pieces: list[SpokenAudio | SegmentEnd] = []
    async with (
        vendor(switchboard, [CHUNK, CHUNK, FLUSH_DONE, last]),
        cartesia.open("en") as voice,
        voice.speak(16_000, None) as stream,
    ):
        for segment, text in enumerate(TEXTS):
            await stream.say(segment, text)
        with pytest.raises(ProviderError):
            await take_all(stream, pieces.append)
    assert len(audio(pieces)) > 0
    assert ends(pieces) == [0]


async def test_audio_of_a_segment_that_an_error_broke_off_is_delivered(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    pieces: list[SpokenAudio | SegmentEnd] = []
    async with (
        vendor(switchboard, [CHUNK, CHUNK, ERROR]),
        cartesia.open("en") as voice,
        voice.speak(16_000, None) as stream,
    ):
        await stream.say(0, TEXTS[0])
        await trio.sleep(2)
        await stream.say(1, TEXTS[1])  # `say` does not raise the error, iterating does
        with pytest.raises(ProviderError):
            await take_all(stream, pieces.append)
    assert [type(piece) for piece in pieces] == [SpokenAudio, SpokenAudio]
