"""A telephone call over Media Streams, in virtual time through the whole server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import trio
from attrs import Factory, define
from structlog.testing import capture_logs
from trio.testing import MockClock
from trio_websocket import WebSocketConnection, wrap_client_stream

from adapters.mulaw import to_mulaw
from adapters.simulators.script import Latency
from adapters.simulators.telephone import NO_LATENCY, Telephone
from machines.facts import DigitPressed, ErrorClass, Fact
from machines.history import Message, Speaker
from machines.system import Handled
from orchestrator.journal.format import read_journal
from orchestrator.late_pings import ignore_late_pings
from orchestrator.phone.media_stream import MARK_GRACE_S, MOST_UNUSABLE
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken
from protocol.twilio import Clear, Mark, Media, Started, Stopped, StreamMessage, write_stream_message
from tests.orchestrator.memory_port import MemoryPort, memory_port

pytestmark = pytest.mark.slow

F = TypeVar("F", bound=Fact)
RATE = 8000
URL = "ws://localhost:3001/twilio/media"


@define
class PhoneCall:
    """A telephone that is connected, and what it is connected to."""

    telephone: Telephone
    port: MemoryPort
    providers: SimulatedProviders

    def history(self) -> list[Message]:
        """What the model was told last."""
        return list(self.providers.llm.requests[-1])

    def say(self, words: str) -> None:
        self.telephone.say(spoken(words, RATE))

    async def answered(self) -> None:
        """Return when the answer to what was said has been heard to its end."""
        requests, pieces = len(self.providers.llm.requests), len(self.telephone.heard)
        await self.telephone.until(lambda: len(self.providers.llm.requests) > requests)
        await self.telephone.until(lambda: len(self.telephone.heard) > pieces)
        await self.is_quiet()

    async def is_quiet(self) -> None:
        """Return when nothing has been played for a second."""
        await self.telephone.until(lambda: self.telephone.heard)
        await self.telephone.until(lambda: _silent_for(self.telephone) > 1)


def _silent_for(telephone: Telephone) -> float:
    last = telephone.heard[-1]
    return trio.current_time() - last.at - last.seconds


def simulated(**how: Any) -> SimulatedProviders:
    return SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=how.pop("answer", Answer()))),
        tts=SimulatedTextToSpeech(script(then=Synthesis(rate=RATE, **how))),
    )


@asynccontextmanager
async def phone_call(
    providers: SimulatedProviders | None = None,
    parameters: dict[str, str] | None = None,
    jitter: Latency = NO_LATENCY,
    kind: type[Telephone] = Telephone,
    **chosen: Any,
) -> AsyncIterator[PhoneCall]:
    """A call that needs no token; it is over, and nothing of it is left, when the block is left."""
    providers = providers or simulated()
    with trio.fail_after(3600):
        async with memory_port(providers, twilio_open_streams=True, **chosen) as port:
            started = Started("MZ1", "CA1", "AC1", parameters or {})
            telephone = kind(URL, started, port.connect, jitter)
            async with trio.open_nursery() as nursery:
                await nursery.start(telephone.run)
                yield PhoneCall(telephone, port, providers)
                telephone.hang_up()
            while port.server.sessions or port.open_connections:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert providers.in_use() == 0


async def test_a_turn_is_understood_and_answered_aloud(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        call.say("hello how is the weather")
        await call.answered()
        text = "You said hello how is the weather. That was all."
        assert call.history()[-1].text == "hello how is the weather"
        # Sixty ms a character, as the voice gave them, in the samples' own order.
        played = call.telephone.heard_samples()
        segments = [len(part) * 60 * RATE // 1000 for part in (text[:-15], text[-14:])]
        assert len(played) == sum(segments)
        assert abs(int(played[0]) - 1000) < 40
        assert abs(int(played[-1]) - 2000) < 80


async def test_a_stream_without_a_call_cannot_be_transferred(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {
        "tools": ("end_call", "transfer_call"),
        "twilio_transfer_to": "+15005557777",
        "twilio_account_sid": f"AC{'0' * 32}",
        "twilio_auth_token": "token",
        "twilio_base_url": "http://127.0.0.1:1",  # on this machine: programs here are believed
    }
    async with phone_call(**chosen) as call:
        call.say("hello")
        await call.answered()
        assert [spec.name for spec in call.providers.llm.offered[0]] == ["end_call"]


async def test_no_audio_is_resampled_on_its_way_to_the_telephone(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        call.say("hello")
        await call.answered()
        played = call.telephone.heard_samples()
        assert set(np.unique(played)) <= {988, 1052, 1980, 2108, 924, 1004, 1996, 996, 2012}


@define(eq=False)
class Listing(Telephone):
    """A network that keeps how much audio came before each mark, in ms."""

    marked_at: list[float] = Factory(list)
    came_ms: float = 0.0

    def _receive(self, message: StreamMessage) -> None:
        Telephone._receive(self, message)
        if isinstance(message, Media):
            self.came_ms += len(message.audio) * 1000 / RATE
        elif isinstance(message, Mark):
            self.marked_at.append(self.came_ms)


async def test_a_mark_falls_at_the_end_of_each_segment_and_after_every_100_ms(
    autojump_clock: MockClock,
) -> None:
    segments = ("One, two.", "Three of them.", "And four!")
    async with phone_call(simulated(answer=Answer(" ".join(segments))), kind=Listing) as call:
        call.say("hello")
        await call.answered()
        marked_at = cast(Listing, call.telephone).marked_at
    ends = np.cumsum([len(segment) * 60 for segment in segments])
    assert set(ends) <= set(marked_at), "540, 1380 and 1920 ms"
    assert max(np.diff(marked_at)) == 100


async def test_no_more_than_200_ms_are_ahead_of_what_is_heard(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        call.say("tell me a joke")
        await call.telephone.until(lambda: call.telephone.heard)
        most = 0
        while _silent_for(call.telephone) < 0.5:
            most = max(most, sum(1 for item in call.telephone._queue if not isinstance(item, Mark)))
            await trio.sleep(0.005)
        assert 0 < most <= 10


async def test_the_conversation_goes_on_turn_by_turn(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        for words in ("hello", "what is the weather", "thanks bye"):
            call.say(words)
            await call.answered()
        assert [message.text for message in call.history() if message.speaker is Speaker.USER] == [
            "hello",
            "what is the weather",
            "thanks bye",
        ]


async def test_custom_parameters_reach_the_session(autojump_clock: MockClock) -> None:
    parameters = {
        "language": "de-DE",
        "voice": "kyle",
        "greeting": "Guten Tag.",
        "system_prompt": "Be brief.",
        "FirstName": "Jane",
    }
    async with phone_call(parameters=parameters) as call:
        await call.is_quiet()
        assert call.telephone.heard_seconds() == pytest.approx(len("Guten Tag.") * 0.06)
        call.say("hello")
        await call.answered()
        assert call.history()[0] == Message(Speaker.SYSTEM, "Be brief.")
        assert call.providers.stt.languages == ["de-DE"]
        assert call.providers.tts.voices == ["kyle", "kyle"]


async def test_an_answer_is_over_when_its_last_mark_is_back(autojump_clock: MockClock) -> None:
    """Late marks: a network that takes half a second is heard half a second later, and nothing is lost."""
    async with phone_call(jitter=Latency(500, 0)) as call:
        call.say("hello")
        await call.answered()
        call.say("thanks")
        await call.answered()
        texts = [message.text for message in call.history()]
        assert texts[1:] == ["hello", "You said hello. That was all.", "thanks"]
        assert call.port.server.counts["missing marks"] == 0


class Forgetful(Telephone):
    """A network that sends no more marks back."""

    def _send(self, message: StreamMessage) -> None:
        if not isinstance(message, Mark) or len(self.heard) < 10:
            super()._send(message)


class Markless(Telephone):
    """A program that sends no marks back."""

    def _send(self, message: StreamMessage) -> None:
        if not isinstance(message, Mark):
            super()._send(message)


@pytest.mark.parametrize(("kind", "grace_s"), [(Forgetful, MARK_GRACE_S), (Markless, 0)])
async def test_marks_that_do_not_come_back_do_not_keep_anybody_waiting(
    kind: type[Telephone], grace_s: float, autojump_clock: MockClock
) -> None:
    async with phone_call(kind=kind) as call:
        call.say("hello how is the weather")
        await call.answered()
        await trio.sleep(grace_s)
        call.say("thanks")
        await call.answered()
        texts = [message.text for message in call.history()]
        said = "hello how is the weather"
        assert texts[1:] == [said, f"You said {said}. That was all.", "thanks"]
        await trio.sleep(grace_s)
    assert call.port.server.counts["missing marks"] == 2


def facts_in(journals: Path, kind: type[F]) -> list[F]:
    """The facts of this kind in the only journal there."""
    [path] = journals.iterdir()
    handled = [each for each in read_journal(path).handled if isinstance(each, Handled)]
    return [step.fact for each in handled for step in each.steps if isinstance(step.fact, kind)]


async def test_keys_reach_the_conversation_as_facts(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with phone_call(journal_dir=tmp_path) as call:
        await trio.sleep(1)
        for key in "42#":
            call.telephone.press(key)
        await trio.sleep(1)
    pressed = facts_in(tmp_path, DigitPressed)
    assert [fact.digit for fact in pressed] == ["4", "2", "#"]


async def test_keys_are_one_string_and_what_the_model_is_asked(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        await trio.sleep(1)
        for key in "42#":
            call.telephone.press(key)
        await call.answered()
        assert call.history()[-1].text == "I pressed 4 2 on the keypad."
        assert call.telephone.heard_seconds() > 1


@pytest.mark.parametrize(
    ("chosen", "keys", "asked"),
    [
        ({}, "42", "4 2"),
        ({"dtmf_timeout_ms": 10_000}, "42", "4 2"),
        ({"dtmf_terminator": "*"}, "4#2*", "4 # 2"),
        ({"dtmf_terminator": "none"}, "4#2*", "4 # 2 *"),
    ],
)
async def test_a_string_is_complete_as_the_settings_say(
    chosen: dict[str, Any], keys: str, asked: str, autojump_clock: MockClock
) -> None:
    async with phone_call(**chosen) as call:
        await trio.sleep(1)
        for key in keys:
            call.telephone.press(key)
            await trio.sleep(chosen.get("dtmf_timeout_ms", 3000) / 1000 - 0.5 if key != keys[-1] else 0)
        await call.answered()
        assert call.history()[-1].text == f"I pressed {asked} on the keypad."


async def test_a_key_during_an_answer_silences_it_at_once(autojump_clock: MockClock) -> None:
    async with phone_call(simulated(answer=Answer(TEXT))) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() > 1.5)
        call.telephone.press("1")
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        played = call.telephone.heard_seconds()
        await trio.sleep(1)
        assert call.telephone.heard_seconds() == pytest.approx(played, abs=0.001)
        call.telephone.press("#")
        await call.answered()
        said, keys = call.history()[-2:]
        assert (said.speaker, said.interrupted, keys.text) == (
            Speaker.ASSISTANT,
            True,
            "I pressed 1 on the keypad.",
        )
        assert abs(len(said.text.split()) - words_played(played)) <= 1


async def test_a_greeting_that_is_protected_is_not_cut_off_by_keys(autojump_clock: MockClock) -> None:
    greeting = "This call is recorded. What can I do for you?"
    async with phone_call(greeting=greeting, barge_in_greeting=False) as call:
        await call.telephone.until(lambda: call.telephone.heard_seconds() > 0.5)
        call.telephone.press("1")
        await call.is_quiet()
        assert call.telephone.heard_seconds() == pytest.approx(len(greeting) * 0.06)
        assert Clear() not in call.telephone.messages


async def test_keys_over_the_end_of_a_protected_greeting_are_answered_after_it(
    autojump_clock: MockClock,
) -> None:
    greeting = "This call is recorded. What can I do for you?"
    async with phone_call(greeting=greeting, barge_in_greeting=False) as call:
        await call.telephone.until(lambda: call.telephone.heard_seconds() > len(greeting) * 0.06 - 0.5)
        for key in "4711#":
            call.telephone.press(key)
            await trio.sleep(0.2)
        await call.telephone.until(lambda: call.providers.llm.requests)
        assert call.history()[-1].text == "I pressed 4 7 1 1 on the keypad."
        assert call.telephone.heard_seconds() >= len(greeting) * 0.06 - 0.001
        assert Clear() not in call.telephone.messages


async def test_what_is_said_while_keys_are_pressed_is_not_answered(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        await trio.sleep(1)
        call.telephone.press("4")
        call.say("tell me a joke")
        await trio.sleep(2)
        call.telephone.press("2")
        await call.answered()
        asked = [m.text for m in call.history() if m.speaker is Speaker.USER]
        assert asked == ["I pressed 4 2 on the keypad."]
        call.say("thanks")
        await call.answered()
        assert call.history()[-1].text == "thanks"


async def test_who_hangs_up_between_two_keys_is_asked_nothing(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        await trio.sleep(1)
        call.telephone.press("4")
        await trio.sleep(0.5)
        call.telephone.hang_up()
        await call.telephone.over.wait()
    assert call.providers.llm.requests == []


async def test_what_is_no_message_of_twilios_is_counted_and_the_call_goes_on(
    autojump_clock: MockClock,
) -> None:
    started = Started("MZ1", "CA1")
    async with a_socket() as (port, socket, logged):
        await socket.send_message(write_stream_message(started, "MZ1", 1))
        for junk in (
            b"binary",
            "no JSON",
            '{"event": "media", "media": {"payload": "?"}}',
            '{"event": "future"}',
        ) * 20:
            await socket.send_message(junk)
        for odd in (started, Media(b"\xff", track="outbound"), Clear()):
            await socket.send_message(write_stream_message(odd, "MZ1", 2))
        await trio.sleep(1)
        [session] = port.server.sessions
        assert {name: count for name, count in session.counts.items() if "facts" not in name} == {
            "MalformedMessage errors": 40,
            "InvalidPayload errors": 20,
            "UnknownEvent errors": 20,
            "unexpected messages": 2,
        }
        warned = [each["error_kind"] for each in logged if each["log_level"] == "warning"]
        assert warned == ["MalformedMessage", "InvalidPayload"]
        await socket.send_message(write_stream_message(Stopped("CA1"), "MZ1", 3))
        while port.server.sessions:  # noqa: ASYNC110
            await trio.sleep(0.01)
        [unusable] = [each for each in logged if each["event"] == "messages that could not be used"]
        assert unusable["counts"] == {"MalformedMessage errors": 40, "InvalidPayload errors": 20}


async def test_a_peer_that_sends_nothing_of_use_is_left(autojump_clock: MockClock) -> None:
    async with a_socket() as (port, socket, _):
        await socket.send_message(write_stream_message(Started("MZ1", "CA1"), "MZ1", 1))
        await socket.send_message(write_stream_message(Media(b"\xff"), "MZ1", 2))
        for _ in range(MOST_UNUSABLE):
            await socket.send_message('{"event": "media", "media": {"payload": "?"}}')
        while port.server.sessions:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_a_carrier_that_sends_only_what_the_caller_hears_is_told_of_once(
    autojump_clock: MockClock,
) -> None:
    async with a_socket() as (_, socket, logged):
        await socket.send_message(write_stream_message(Started("MZ1", "CA1"), "MZ1", 1))
        for number in range(2 * MOST_UNUSABLE):
            await socket.send_message(write_stream_message(Media(b"\xff", "outbound"), "MZ1", number))
        await trio.sleep(1)
        [warning] = [each for each in logged if each["log_level"] == "warning"]
        assert warning["event"] == "the carrier sends nothing that the caller says"
        await socket.send_message(write_stream_message(Stopped("CA1"), "MZ1", 3))


@pytest.mark.parametrize("connected", [True, False])
async def test_what_comes_before_the_start_is_not_lost(connected: bool, autojump_clock: MockClock) -> None:
    providers = simulated()
    async with a_socket(providers) as (_, socket, _):
        if connected:
            await socket.send_message('{"event": "connected", "version": 1}')
        await socket.send_message('{"event": "future"}')
        audio = to_mulaw(spoken("hello", RATE))
        frames = [audio[start : start + 160] for start in range(0, len(audio), 160)]
        for frame in frames:
            await socket.send_message(write_stream_message(Media(frame), "MZ1", 2))
        await socket.send_message(write_stream_message(Started("MZ1", "CA1"), "MZ1", 1))
        for _ in range(100):
            await trio.sleep(0.02)
            await socket.send_message(write_stream_message(Media(b"\xff" * 160), "MZ1", 3))
        assert providers.llm.requests[-1][-1].text == "hello"
        await socket.send_message(write_stream_message(Stopped("CA1"), "MZ1", 3))


@asynccontextmanager
async def a_socket(
    providers: SimulatedProviders | None = None,
) -> AsyncIterator[tuple[MemoryPort, WebSocketConnection, list[Any]]]:
    """A server, a socket to its media streams, and what is logged."""
    with capture_logs() as logged:
        async with (
            memory_port(providers or simulated(), twilio_open_streams=True) as port,
            trio.open_nursery() as nursery,
        ):
            stream = await port.connect()
            socket = await wrap_client_stream(nursery, cast(Any, stream), "localhost", "/twilio/media")
            ignore_late_pings(socket)
            yield port, socket, logged
            nursery.cancel_scope.cancel()


# --- interruptions ----------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten eleven twelve."
SEGMENTS = ("One two three.", "Four five six, seven.", "Eight nine ten eleven?", "Twelve.")


def ends_of_words(segments: Sequence[str] = (TEXT,)) -> list[float]:
    """When each word of an answer was played to its end, in seconds: all letters and gaps take 60 ms."""
    ends, at = [], 0.0
    for segment in segments:
        ends += [at + match.end() * 0.06 for match in re.finditer(r"\S+ ?", segment)]
        at += len(segment) * 0.06
    return ends


def words_played(seconds: float, segments: Sequence[str] = (TEXT,)) -> int:
    """How many of them were played to their end by then."""
    return sum(end <= seconds + 1e-9 for end in ends_of_words(segments))


@pytest.mark.repeats
@pytest.mark.parametrize(
    ("segments", "jitter"),
    [((TEXT,), NO_LATENCY), (SEGMENTS, Latency(60, 0.5))],
    ids=["one segment", "segments and jitter"],
)
@pytest.mark.parametrize("word", range(12))
async def test_an_interruption_at_any_word_leaves_in_history_what_the_marks_say_was_played(
    word: int, segments: Sequence[str], jitter: Latency, autojump_clock: MockClock
) -> None:
    text = " ".join(segments)
    async with phone_call(simulated(answer=Answer(text)), jitter=jitter) as call:
        call.say("hello")
        at = [0.0, *ends_of_words(segments)][word] + 0.06
        await call.telephone.until(lambda: call.telephone.heard_seconds() >= at)
        call.say("stop please stop")
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        played = call.telephone.heard_seconds()
        await trio.sleep(0.3)
        assert call.telephone.heard_seconds() == pytest.approx(played, abs=0.001), (
            "it goes on after the interruption"
        )
        await call.telephone.until(lambda: len(call.providers.llm.requests) > 1)
        said = [m.text for m in call.history() if m.speaker is Speaker.ASSISTANT]
        told = len(said[0].split()) if said else 0
        assert abs(told - words_played(played, segments)) <= 1
        assert text.startswith(" ".join(said))


async def test_who_sends_no_marks_has_heard_what_could_be_played(autojump_clock: MockClock) -> None:
    async with phone_call(simulated(answer=Answer(TEXT)), kind=Markless) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() >= 2.5)
        call.say("stop please stop")
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        played = words_played(call.telephone.heard_seconds())
        await call.telephone.until(lambda: len(call.providers.llm.requests) > 1)
        [said] = [m.text for m in call.history() if m.speaker is Speaker.ASSISTANT]
        assert TEXT.startswith(said)
        assert abs(len(said.split()) - played) <= 1


@pytest.mark.parametrize("jitter", [NO_LATENCY, Latency(50, 0)], ids=["no delay", "50 ms of delay"])
async def test_an_answer_that_was_held_for_a_noise_goes_on_and_is_heard_to_its_end(
    jitter: Latency, autojump_clock: MockClock
) -> None:
    async with phone_call(simulated(answer=Answer(TEXT)), jitter=jitter) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() > 1)
        call.telephone.say(spoken("a", RATE)[: RATE // 10])
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        await call.is_quiet()
        assert call.telephone.heard_seconds() == pytest.approx(len(TEXT) * 0.06, abs=0.15)
        call.say("thanks")
        await call.answered()
        said = [m.text for m in call.history() if m.speaker is Speaker.ASSISTANT]
        assert said == [TEXT]


@pytest.mark.repeats
@pytest.mark.parametrize("at", [0.3, 1.0, 1.77, 2.5])
@pytest.mark.parametrize("buffer_s", [0.06, 0.15, 0.3])
async def test_no_sound_is_skipped_however_much_the_network_keeps_before_it_is_played(
    buffer_s: float, at: float, autojump_clock: MockClock
) -> None:
    async with phone_call(simulated(answer=Answer(TEXT))) as call:
        call.telephone.buffer_s = buffer_s
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() > at)
        call.telephone.say(spoken("a", RATE)[: RATE // 10])
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        await call.is_quiet()
        assert call.telephone.heard_seconds() == pytest.approx(len(TEXT) * 0.06, abs=0.021)


async def test_a_noise_over_the_last_word_lets_it_be_heard(autojump_clock: MockClock) -> None:
    async with phone_call(simulated(answer=Answer(TEXT)), jitter=Latency(300, 0)) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() > len(TEXT) * 0.06 - 0.2)
        call.telephone.say(spoken("a", RATE)[: RATE // 10])
        await call.is_quiet()
        assert call.telephone.heard_seconds() == pytest.approx(len(TEXT) * 0.06)
        assert Clear() not in call.telephone.messages


async def test_marks_that_come_back_after_a_clear_are_not_heard(autojump_clock: MockClock) -> None:
    async with phone_call(simulated(answer=Answer(TEXT)), jitter=Latency(50, 0)) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() > 1)
        call.say("stop please stop")
        await call.telephone.until(lambda: call.telephone.flushed_marks)
        await call.is_quiet()
    assert call.port.server.counts["marks of dropped audio"] >= len(call.telephone.flushed_marks) > 0
    assert call.port.server.counts["missing marks"] == 0


async def test_a_slow_voice_that_lets_the_line_run_dry_is_followed_by_the_marks(
    autojump_clock: MockClock,
) -> None:
    slow = simulated(answer=Answer(TEXT), between=Delay(300))
    async with phone_call(slow) as call:
        call.say("hello")
        await call.telephone.until(lambda: call.telephone.heard_seconds() >= 1.5)
        call.say("stop please stop")
        await call.telephone.until(lambda: Clear() in call.telephone.messages)
        played = call.telephone.heard_seconds()
        await call.telephone.until(lambda: len(call.providers.llm.requests) > 1)
        said = next(m for m in call.history() if m.speaker is Speaker.ASSISTANT)
        assert abs(len(said.text.split()) - words_played(played)) <= 1


# --- the end ----------------------------------------------------------------------------------------------


async def test_a_caller_who_hangs_up_ends_the_session(autojump_clock: MockClock) -> None:
    async with phone_call() as call:
        await trio.sleep(1)
        assert len(call.port.server.sessions) == 1
        call.telephone.hang_up()
        await call.telephone.over.wait()


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0])
async def test_a_connection_that_breaks_at_any_moment_leaves_nothing(
    after_s: float, autojump_clock: MockClock
) -> None:
    async with phone_call(simulated(answer=Answer(TEXT))) as call:
        call.say("hello")
        await trio.sleep(after_s)
        call.telephone.cut()
        await call.telephone.over.wait()


async def test_goodbye_is_heard_to_its_end_before_the_line_is_closed(autojump_clock: MockClock) -> None:
    async with phone_call(idle_nudge_ms=1000, idle_goodbye="Goodbye for now.") as call:
        await call.telephone.over.wait()
        texts = ("Are you still there?", "I am still here, if there is anything else.", "Goodbye for now.")
        assert call.telephone.closed_by_server
        assert call.telephone.heard_seconds() == pytest.approx(sum(map(len, texts)) * 0.06)


async def test_a_stream_without_a_call_is_closed_when_a_person_is_wanted(autojump_clock: MockClock) -> None:
    broken = simulated(answer=Answer(fault=Fails(ErrorClass.FATAL)))
    async with phone_call(broken, llm_fallback_tier3_then="hand_over") as call:
        for _ in range(3):
            call.say("hello")
            await call.answered()
        await call.telephone.over.wait()
        assert call.telephone.closed_by_server


# --- who may call -----------------------------------------------------------------------------------------


async def is_refused(port: MemoryPort, started: Started) -> bool:
    telephone = Telephone(URL, started, port.connect)
    await telephone.run()
    assert not port.server.sessions
    return telephone.closed_by_server


@pytest.mark.parametrize("open_streams", [True, False])
async def test_without_a_token_only_programs_on_this_machine_may_call_and_only_if_allowed(
    open_streams: bool, autojump_clock: MockClock
) -> None:
    async with memory_port(simulated(), twilio_open_streams=open_streams) as port:
        port.peer = "203.0.113.5" if open_streams else "127.0.0.1"
        assert await is_refused(port, Started("MZ1", "CA1"))
        assert port.server.counts["media streams refused"] == 1


async def test_a_bad_parameter_is_refused(autojump_clock: MockClock) -> None:
    async with memory_port(simulated(), twilio_open_streams=True) as port:
        assert await is_refused(port, Started("MZ1", "CA1", parameters={"language": "klingon!"}))


async def test_a_server_without_room_refuses(autojump_clock: MockClock) -> None:
    async with phone_call(local_max_calls=1) as call:
        other = Telephone(URL, Started("MZ2", "CA2"), call.port.connect)
        await other.run()
        assert other.closed_by_server
        assert len(call.port.server.sessions) == 1
