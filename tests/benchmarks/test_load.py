"""The load benchmark's callers and vendors do what Twilio, Deepgram and Cartesia do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from adapters.mulaw import SILENCE, to_mulaw
from benchmarks.load.callers import FRAME_S, LISTENS_S, PATIENCE_S, UNHEARD_S, Board, Caller
from benchmarks.load.lines import BROWSER_RATE, BrowserLine, TelephoneLine
from benchmarks.load.report import table
from benchmarks.load.run import Measured
from benchmarks.load.sound import FRAME_MS, INTERRUPTIONS, LOUD, QUESTIONS, longest_pause_ms, spoken
from benchmarks.load.vendors import ANSWER, Budget, Connection, World
from benchmarks.load.websocket import BINARY, CLOSE, PING, TEXT, FrameReader, accept_key, frame

VOICE = to_mulaw(np.full(160, 10_000, np.int16))
AT_ONCE = Budget(0, 0, 0, 0, 0)


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[int, bytes]] = []
        self.raw = b""
        self._reader = FrameReader(lambda opcode, payload: self.written.append((opcode, payload)))
        self.upgraded = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.upgraded:
            self._reader.feed(bytes(data))
        else:
            self.raw += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def messages(self, **wanted: str) -> list[dict[str, Any]]:
        """The JSON messages in which these fields have these values."""
        every = [json.loads(payload) for opcode, payload in self.written if opcode == TEXT]
        return [each for each in every if all(each.get(name) == value for name, value in wanted.items())]


# --- frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("masked", [False, True])
def test_a_frame_that_comes_in_pieces_is_read_as_one(size: int, masked: bool) -> None:
    read: list[tuple[int, bytes]] = []
    reader = FrameReader(lambda opcode, payload: read.append((opcode, payload)))
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = frame(payload, BINARY, masked=masked) + frame(b"x", TEXT)
    for start in range(0, len(data), 1 + len(data) // 7):
        reader.feed(data[start : start + 1 + len(data) // 7])
    assert read == [(BINARY, payload), (TEXT, b"x")]


def test_fragments_are_joined_and_a_ping_may_come_between_them() -> None:
    read: list[tuple[int, bytes]] = []
    reader = FrameReader(lambda opcode, payload: read.append((opcode, payload)))
    reader.feed(b"\x01\x02ab" + frame(b"!", PING) + b"\x00\x01c" + b"\x80\x01d" + frame(b"", CLOSE))
    assert read == [(PING, b"!"), (TEXT, b"abcd"), (CLOSE, b"")]


def test_a_masked_frame_is_unmasked() -> None:
    read: list[bytes] = []
    FrameReader(lambda _, payload: read.append(payload)).feed(b"\x81\x82\x01\x02\x03\x04" + b"ik")
    assert read == [b"hi"]


def test_the_key_is_accepted_as_the_standard_says() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# --- speech -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*QUESTIONS, *INTERRUPTIONS])
def test_an_utterance_begins_and_ends_with_voice_and_has_no_long_pause(text: str) -> None:
    samples = spoken(text, 8000)
    size = 8000 * FRAME_MS // 1000
    assert np.abs(samples[:size].astype(int)).max() >= LOUD <= np.abs(samples[-size:].astype(int)).max()
    assert longest_pause_ms(samples, 8000) < 200


# --- callers ----------------------------------------------------------------------------------------------


class Call:
    """A caller on a line that is not there, and the time, which a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.board = Board(lambda: self.now)
        self.board.measuring = True
        self.wire = Wire()
        self.caller: Caller = TelephoneLine(self.board, 0, "ws://127.0.0.1:1/media")
        self.caller.transport = self.wire
        self.caller.opened()

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.caller.tick(self.now)
            self.caller.check_unheard(self.now)

    def passes_until_speech(self) -> None:
        while not self.speaks():
            self.passes(FRAME_S)

    def passes_until_silence(self) -> None:
        while self.speaks():
            self.passes(FRAME_S)

    def speaks(self) -> bool:
        last = self.wire.messages(event="media")[-1:]
        return bool(last) and base64.b64decode(last[0]["media"]["payload"]) != SILENCE * 160

    def server_says(self, **message: object) -> None:
        self.caller.message(TEXT, json.dumps(message).encode())

    def audio(self, seconds: float = FRAME_S, sound: bytes = VOICE) -> None:
        payload = base64.b64encode(sound * (round(seconds / FRAME_S))).decode()
        self.server_says(event="media", media={"payload": payload})

    def marks(self) -> list[str]:
        return [each["mark"]["name"] for each in self.wire.messages(event="mark")]


def test_a_mark_comes_back_when_the_audio_before_it_was_played() -> None:
    call = Call()
    call.audio(1.0, SILENCE * 160)
    call.server_says(event="mark", mark={"name": "end"})
    call.passes(0.98)
    assert call.marks() == []
    call.passes(0.06)
    assert call.marks() == ["end"]


def test_clear_drops_what_was_not_played_and_sends_all_marks_back() -> None:
    call = Call()
    call.audio(10.0, SILENCE * 160)
    call.server_says(event="mark", mark={"name": "end"})
    call.server_says(event="clear")
    assert call.marks() == ["end"]
    call.server_says(event="mark", mark={"name": "next"})
    call.passes(FRAME_S)
    assert call.marks() == ["end", "next"]


def test_frames_are_numbered_and_come_every_20_ms() -> None:
    call = Call()
    call.passes(0.2)
    media = call.wire.messages(event="media")
    assert [int(each["media"]["timestamp"]) for each in media] == [40 + 20 * n for n in range(10)]
    assert {each["streamSid"] for each in media} == {"MZ" + "0" * 32}
    assert [b - a for a, b in pairwise(int(each["sequenceNumber"]) for each in media)] == [1] * 9


def test_an_answer_is_timed_from_the_last_frame_of_speech_to_its_first_sound() -> None:
    call = Call()
    call.passes_until_speech()
    call.passes_until_silence()
    call.passes(0.3 - FRAME_S)
    call.audio(sound=SILENCE * 160)
    call.passes(0.1)
    call.audio()
    assert call.board.found.answers_ms == pytest.approx([400], abs=25)
    assert call.board.found.turns == 1


def interrupted() -> Call:
    """A call whose caller has just begun to interrupt the answer."""
    call = Call()
    call.passes_until_speech()
    call.passes_until_silence()
    call.audio(8.0)
    call.passes(LISTENS_S)
    call.passes_until_speech()
    return call


def test_an_interruption_is_timed_from_its_first_frame_to_clear() -> None:
    call = interrupted()
    call.passes(0.2)
    call.server_says(event="clear")
    assert call.board.found.clears_ms == pytest.approx([200], abs=25)
    assert call.board.found.interruptions == 1


def test_an_interruption_that_is_not_noticed_is_an_error() -> None:
    call = interrupted()
    call.passes_until_silence()
    call.passes(UNHEARD_S + 0.1)
    assert dict(call.board.found.errors) == {"interruption unheard": 1}


def test_a_turn_without_an_answer_is_lost() -> None:
    call = Call()
    call.passes_until_speech()
    call.passes_until_silence()
    call.passes(PATIENCE_S + 0.1)
    assert dict(call.board.found.errors) == {"turn lost": 1}
    assert call.board.found.answers_ms == []


def test_an_answer_that_begins_while_the_caller_speaks_is_an_error_and_is_not_timed() -> None:
    call = Call()
    call.passes_until_speech()
    call.passes(0.5)
    call.audio()
    call.passes_until_silence()
    call.audio()
    assert dict(call.board.found.errors) == {"spoken over": 1}
    assert call.board.found.answers_ms == []


def test_a_line_that_the_server_closes_is_an_error() -> None:
    call = Call()
    call.caller.connection_lost(None)
    assert dict(call.board.found.errors) == {"closed": 1}


def test_a_pause_within_an_answer_is_a_gap() -> None:
    call = Call()
    call.passes_until_speech()
    call.passes_until_silence()
    call.audio(0.5)
    call.passes(0.7)
    call.audio(0.5)
    assert call.board.found.gaps_ms == pytest.approx([200], abs=25)


def test_a_browser_is_silent_when_what_it_had_was_played() -> None:
    now = [100.0]
    board = Board(lambda: now[0])
    board.measuring = True
    line = BrowserLine(board, 0, "ws://127.0.0.1:1/ws")
    line.transport = Wire()
    line.begin()
    line._speak(interrupts=True)
    line.heard(0.2, lambda: True)
    for _ in range(20):
        now[0] += FRAME_S
        line.tick(now[0])
    assert board.found.clears_ms == pytest.approx([180], abs=25)
    assert BROWSER_RATE == 48_000


# --- vendors ----------------------------------------------------------------------------------------------


def exchange(path: str, *messages: bytes | dict[str, Any], budget: Budget = AT_ONCE) -> Wire:
    """What a vendor sends on a WebSocket for these messages: audio as bytes, the rest as JSON."""

    async def run() -> Wire:
        wire, connection = Wire(), Connection(World(budget))
        wire.upgraded = False
        connection.connection_made(wire)
        connection.data_received(f"GET {path} HTTP/1.1\r\nsec-websocket-key: k\r\n\r\n".encode())
        wire.upgraded = True
        for each in messages:
            kind = BINARY if isinstance(each, bytes) else TEXT
            data = each if isinstance(each, bytes) else json.dumps(each).encode()
            connection.data_received(frame(data, kind, masked=True))
        for _ in range(300):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        return wire

    return asyncio.run(run())


def frames(seconds: float, level: int) -> Iterator[bytes]:
    for _ in range(round(seconds / FRAME_S)):
        yield np.full(160, level, "<i2").tobytes()


LISTEN = "/v1/listen?sample_rate=8000&encoding=linear16&interim_results=true&endpointing=300"


def _transcripts(wire: Wire) -> list[tuple[bool, str]]:
    results = wire.messages(type="Results")
    return [(each["is_final"], each["channel"]["alternatives"][0]["transcript"]) for each in results]


def test_interim_words_grow_and_the_final_result_has_them_all() -> None:
    wire = exchange(LISTEN, *frames(2.0, 9000), *frames(0.4, 0))
    *interims, (is_final, text) = _transcripts(wire)
    assert not any(final for final, _ in interims)
    assert is_final and text == QUESTIONS[0]
    assert all(later.startswith(earlier) for (_, earlier), (_, later) in pairwise(interims))
    assert len({text for _, text in interims}) > 2


def test_the_times_of_words_are_those_of_the_stream() -> None:
    wire = exchange(LISTEN, *frames(1.0, 0), *frames(2.0, 9000), *frames(0.4, 0))
    words = wire.messages(type="Results")[-1]["channel"]["alternatives"][0]["words"]
    assert words[0]["start"] == pytest.approx(1.0, abs=0.03)
    assert words[-1]["end"] == pytest.approx(3.0, abs=0.03)
    assert all(a["end"] <= b["start"] + 0.001 for a, b in pairwise(words))


@pytest.mark.parametrize("ms", [5, 20, 100])
def test_what_is_understood_does_not_depend_on_how_audio_is_cut(ms: int) -> None:
    audio = b"".join([*frames(0.5, 0), *frames(1.5, 9000), *frames(0.5, 0)])
    size = ms * 16
    wire = exchange(LISTEN, *(audio[start : start + size] for start in range(0, len(audio), size)))
    words = wire.messages(type="Results")[-1]["channel"]["alternatives"][0]["words"]
    assert (words[0]["start"], words[-1]["end"]) == pytest.approx((0.5, 2.0), abs=0.03)


def test_finalize_is_answered_with_all_words_at_once() -> None:
    wire = exchange(LISTEN, *frames(1.0, 9000), *frames(0.2, 0), {"type": "Finalize"})
    last = wire.messages(type="Results")[-1]
    assert last["from_finalize"] and last["is_final"]
    assert last["channel"]["alternatives"][0]["transcript"] == QUESTIONS[0]


def _speak(text: str, **more: object) -> dict[str, Any]:
    form = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    return {"context_id": "c", "transcript": text, "continue": True, "output_format": form, **more}


def test_a_flush_is_answered_after_its_audio() -> None:
    wire = exchange("/tts/websocket", _speak("Hello there. "), _speak("", flush=True))
    assert [each["type"] for each in wire.messages()][-2:] == ["chunk", "flush_done"]
    assert wire.messages(type="flush_done")[0]["flush_id"] == 1


def test_audio_is_as_long_as_its_word_times_say() -> None:
    wire = exchange("/tts/websocket", _speak("We are open from nine to five.", add_timestamps=True))
    audio = b"".join(base64.b64decode(each["data"]) for each in wire.messages(type="chunk"))
    times = wire.messages(type="timestamps")[0]["word_timestamps"]
    assert times["words"] == ["We", "are", "open", "from", "nine", "to", "five."]
    assert len(audio) / 16_000 == pytest.approx(times["end"][-1], abs=0.01)


def test_a_cancelled_context_says_nothing_more() -> None:
    cancel = {"context_id": "c", "cancel": True}
    wire = exchange("/tts/websocket", _speak("Hello."), cancel, budget=Budget(0, 0, 0, 10_000, 0))
    assert wire.messages() == []


def test_the_model_writes_its_answer_token_by_token() -> None:
    async def run() -> bytes:
        wire, connection = Wire(), Connection(World(AT_ONCE))
        wire.upgraded = False
        connection.connection_made(wire)
        body = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.data_received(head.encode() + body)
        for _ in range(100):
            await asyncio.sleep(0)
        return wire.raw

    lines = [each for each in asyncio.run(run()).split(b"\n") if each.startswith(b"data: {")]
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines]
    assert "".join(delta.get("content", "") for delta in deltas) == ANSWER
    assert len(deltas) > 10


# --- report -----------------------------------------------------------------------------------------------


def test_a_discarded_run_is_not_in_the_figures_and_is_named() -> None:
    good = Measured("S", "telephone", 8, answer_p50=600.0, answer_p95=650.0, errors={"turn lost": 1})
    bad = Measured("S", "telephone", 8, answer_p50=9000.0, answer_p95=9000.0, discarded="frames late")
    shown = table([good, bad])
    assert "600 / 650" in shown and "9000" not in shown
    assert "1 turn lost" in shown and "1 (1 discarded)" in shown
    assert "frames late" in table([bad])
