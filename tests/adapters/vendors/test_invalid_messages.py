"""Defect 10: a vendor's messages are validated. No junk breaks a link, and none becomes part of a turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from adapters.cartesia.voice import CartesiaTextToSpeech
from adapters.deepgram.flux import DeepgramFlux
from adapters.deepgram.nova import DeepgramNova
from adapters.interfaces import ProviderError, SegmentEnd, SpokenAudio
from adapters.simulators.wire import ByteStream, HangupError, WebSocketWire, read_head
from machines.facts import ErrorClass
from tests.adapters.simulated_vendors import Switchboard, fails_with
from tests.adapters.vendors.stt_links import Emitted, speak, speak_turn


class Vendor:
    """A vendor that sends given messages, whatever the client does."""

    def __init__(self, nursery: trio.Nursery, messages: Sequence[object]) -> None:
        self._nursery = nursery
        self._messages = messages
        self.received: list[Any] = []
        self.context_id = trio.Event()

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        theirs, ours = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, stream: trio.abc.Stream) -> None:
        wire = WebSocketWire(ByteStream(stream))
        try:
            await wire.accept(await read_head(ByteStream(stream)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, wire)
                async for message in wire.messages():
                    self.received.append(json.loads(message) if isinstance(message, str) else message)
                nursery.cancel_scope.cancel()
        except* HangupError:
            pass
        await trio.aclose_forcefully(stream)

    async def _send(self, wire: WebSocketWire) -> None:
        await trio.sleep(0.5)  # the client has begun
        for message in self._messages:
            text = message if isinstance(message, str) else json.dumps(message)
            if isinstance(message, dict) and message.get("context_id") == "THEIRS":
                text = text.replace("THEIRS", self.received[0]["context_id"])
            await wire.send_message(text)


@asynccontextmanager
async def vendor(switchboard: Switchboard, messages: Sequence[object]) -> AsyncIterator[Vendor]:
    async with trio.open_nursery() as nursery:
        running = Vendor(nursery, messages)
        switchboard.simulators = running  # type: ignore[assignment]
        yield running
        nursery.cancel_scope.cancel()


def result(text: object = "good", **fields: object) -> dict[str, object]:
    alternative = {"transcript": text, "confidence": 0.9, "words": []}
    known = {"type": "Results", "start": 0, "duration": 0.2, "is_final": True, "from_finalize": False}
    return {**known, "channel": {"alternatives": [alternative]}, **fields}


def word(text: str, start: float, end: float) -> dict[str, object]:
    return {"word": text, "punctuated_word": text, "start": start, "end": end, "confidence": 0.9}


NOVA_JUNK: list[object] = [
    "no JSON",
    "[]",
    "3",
    "null",
    '"text"',
    {},
    {"type": None},
    {"type": "Results"},
    result(3),
    result(None),
    result(channel=None),
    result(channel={}),
    result(channel={"alternatives": []}),
    result(channel={"alternatives": [None]}),
    result(channel={"alternatives": "junk"}),
    result(start="now"),
    result(start=-1),
    result(start=None),
    result(duration=True),
    result(duration=1e300),
    {"type": "UtteranceEnd"},
    {"type": "SpeechStarted", "channel": "x"},
    {"type": "Metadata"},
    {"type": "FromTheFuture"},
]


@pytest.mark.parametrize("junk", NOVA_JUNK, ids=str)
async def test_junk_does_not_disturb_a_turn_of_nova(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted, junk: object
) -> None:
    async with vendor(switchboard, [junk, result(), junk]), nova.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        assert emitted.interims(1) == ["good"]


async def test_words_of_one_result_are_divided_among_their_turns(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted
) -> None:
    words = [word("One,", 0.1, 0.2), word("two.", 0.2, 0.3), word("Three.", 0.45, 0.6)]
    alternative = {"transcript": "One, two. Three.", "confidence": 0.9, "words": words}
    both = result(duration=0.7, channel={"alternatives": [alternative]})
    async with vendor(switchboard, [both]), nova.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1, 0.4)
        transcriber.begin_turn(2)
        await speak(transcriber, 0.4)
        assert (await emitted.final(1)).text == "One, two."
        assert emitted.interims(2) == ["Three."]


async def test_a_finalize_that_was_never_answered_does_not_shift_the_answers(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted
) -> None:
    """The answer to the second `Finalize` completes both turns, each with its own words."""
    answer = result("second", start=0.25, duration=0.25, from_finalize=True)
    async with vendor(switchboard, [result("first"), answer]), nova.open(emitted, "en") as transcriber:
        for turn in (1, 2):
            await speak_turn(transcriber, turn, 0.24)
        assert (await emitted.final(1)).text == "first"
        assert (await emitted.final(2)).text == "second"


async def test_an_answer_with_wrong_times_goes_to_the_oldest_finalize(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, emitted: Emitted
) -> None:
    answer = result("", start=0, duration=0, from_finalize=True)
    async with vendor(switchboard, [result("first"), answer]), nova.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1, 0.4)
        assert (await emitted.final(1)).text == "first"


def turn_info(event: object = "Update", text: object = "good", **fields: object) -> dict[str, object]:
    known = {"type": "TurnInfo", "event": event, "turn_index": 0, "transcript": text, "words": []}
    return {
        **known,
        "audio_window_start": 0,
        "audio_window_end": 0.4,
        "end_of_turn_confidence": 0.1,
        **fields,
    }


FLUX_JUNK: list[object] = [
    "no JSON",
    "[]",
    "null",
    {},
    {"type": "TurnInfo"},
    turn_info(3),
    turn_info("FromTheFuture", ""),
    turn_info(text=None),
    turn_info(turn_index="first"),
    turn_info(audio_window_end="late"),
    {"type": "Warning"},
    {"type": "Connected"},
    {"type": "FromTheFuture"},
]


@pytest.mark.parametrize("junk", FLUX_JUNK, ids=str)
async def test_junk_does_not_disturb_a_turn_of_flux(
    autojump_clock: MockClock, switchboard: Switchboard, flux: DeepgramFlux, emitted: Emitted, junk: object
) -> None:
    messages = [turn_info("StartOfTurn", words="junk"), junk, turn_info(words=[{"word": 3}])]
    async with vendor(switchboard, messages), flux.open(emitted, "en") as transcriber:
        transcriber.begin_turn(1)
        await speak(transcriber, 1)
        assert emitted.interims(1) == ["good"]


CHUNK = {"type": "chunk", "context_id": "THEIRS", "data": "AAAAAAAA", "flush_id": 1}
FLUSH_DONE = {"type": "flush_done", "context_id": "THEIRS", "flush_done": True, "flush_id": 1}
CARTESIA_JUNK: list[object] = [
    "no JSON",
    "[]",
    "null",
    {},
    {"type": 3},
    {"type": "chunk"},
    {"type": "chunk", "context_id": "someone else's", "data": "AAAA"},
    {**CHUNK, "data": None},
    {**CHUNK, "data": "no base64!"},
    {**CHUNK, "data": ""},
    {**CHUNK, "flush_id": 99},
    {"type": "timestamps", "context_id": "THEIRS"},
    {
        "type": "timestamps",
        "context_id": "THEIRS",
        "word_timestamps": {"words": ["a"], "start": 0, "end": []},
    },
    {
        "type": "timestamps",
        "context_id": "THEIRS",
        "word_timestamps": {"words": [1], "start": [0], "end": [1]},
    },
    {"type": "phoneme_timestamps", "context_id": "THEIRS"},
    {**FLUSH_DONE, "flush_id": 99},
    {"type": "done"},
    {"type": "from_the_future", "context_id": "THEIRS"},
]


@pytest.mark.parametrize("junk", CARTESIA_JUNK, ids=str)
async def test_junk_does_not_disturb_an_answer_of_cartesia(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech, junk: object
) -> None:
    async with (
        vendor(switchboard, [junk, CHUNK, junk, FLUSH_DONE, junk]),
        cartesia.open("en") as voice,
        voice.speak(16_000, None) as stream,
    ):
        await stream.say(0, "Hello.")
        await stream.end()
        pieces = [piece async for piece in stream]
    assert [len(piece.samples) for piece in pieces if isinstance(piece, SpokenAudio)] == [3]
    assert isinstance(pieces[-1], SegmentEnd)


async def test_an_error_without_a_context_ends_the_link(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    async def call() -> None:
        async with cartesia.open("en"):
            await trio.sleep_forever()

    error = {"type": "error", "done": True, "status_code": 429, "error_code": "concurrency_limited"}
    async with vendor(switchboard, [error]):
        with fails_with(ErrorClass.RATE_LIMIT):
            await call()


async def test_a_context_that_ends_without_audio_is_an_error(
    autojump_clock: MockClock, switchboard: Switchboard, cartesia: CartesiaTextToSpeech
) -> None:
    done = {"type": "done", "context_id": "THEIRS", "done": True}
    async with vendor(switchboard, [done]), cartesia.open("en") as voice:
        with fails_with(ErrorClass.TRANSIENT):
            async with voice.speak(16_000, None) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                async for _ in stream:
                    pass


# --- anything at all ----------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def changed(messages: Sequence[dict[str, object]]) -> st.SearchStrategy[list[object]]:
    """These messages, with some fields replaced by anything or left out."""

    def spoil(message: dict[str, object]) -> st.SearchStrategy[object]:
        names = sorted(set(message) - {"type"})
        return st.fixed_dictionaries(
            {"type": st.just(message["type"])},
            optional={name: st.just(message[name]) | anything for name in names},
        )

    return st.lists(st.one_of(*map(spoil, messages)), max_size=8)


async def reports_a_turn_at_most_once(
    switchboard: Switchboard, provider: DeepgramNova | DeepgramFlux, messages: list[object]
) -> None:
    emitted = Emitted()
    async with vendor(switchboard, messages), provider.open(emitted, "en") as transcriber:
        await speak_turn(transcriber, 1)
        await trio.sleep(1)
    assert len(emitted.finals(1)) <= 1


@pytest.mark.repeats
@pytest.mark.slow
@settings(max_examples=40)
@given(messages=changed([result(), {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0}]))
async def test_no_message_breaks_nova(
    autojump_clock: MockClock, switchboard: Switchboard, nova: DeepgramNova, messages: list[object]
) -> None:
    await reports_a_turn_at_most_once(switchboard, nova, messages)


@pytest.mark.slow
@settings(max_examples=40)
@given(messages=changed([turn_info("StartOfTurn"), turn_info("EndOfTurn"), turn_info("EagerEndOfTurn")]))
async def test_no_message_breaks_flux(
    autojump_clock: MockClock, switchboard: Switchboard, flux: DeepgramFlux, messages: list[object]
) -> None:
    await reports_a_turn_at_most_once(switchboard, flux, messages)


STAMPS = {"words": ["a"], "start": [0.0], "end": [1.0]}
CARTESIA_MESSAGES: list[dict[str, object]] = [
    dict(CHUNK),
    dict(FLUSH_DONE),
    {"type": "timestamps", "context_id": "THEIRS", "word_timestamps": STAMPS},
    {"type": "done", "context_id": "THEIRS", "done": True},
    {"type": "error", "context_id": "THEIRS", "status_code": 500, "title": "Oh", "message": "dear"},
]


@pytest.mark.slow
@settings(max_examples=40)
@given(messages=changed(CARTESIA_MESSAGES))
async def test_no_message_makes_cartesia_raise_anything_but_provider_error(
    autojump_clock: MockClock,
    switchboard: Switchboard,
    cartesia: CartesiaTextToSpeech,
    messages: list[object],
) -> None:
    async with vendor(switchboard, messages):
        try:
            async with cartesia.open("en") as voice, voice.speak(16_000, None) as stream:
                await stream.say(0, "Hello.")
                await stream.end()
                async for _ in stream:
                    pass
        except ProviderError:
            return
