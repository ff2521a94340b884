"""Conversations in a host program: on its own transport, and seen from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from attrs import evolve
from structlog.testing import capture_logs
from trio.testing import MockClock

from adapters.interfaces import Samples
from orchestrator import (
    AnswerEnded,
    AnswerInterrupted,
    AnswerText,
    AudioDropped,
    AudioEnds,
    AudioHeld,
    AudioIn,
    AudioOut,
    AudioStopped,
    ClientErrorReported,
    EndReason,
    EventsMissed,
    HungUp,
    Incoming,
    KeyPressed,
    LinkChanged,
    MemoryTransport,
    Orchestrator,
    Outgoing,
    Role,
    SayMode,
    Settings,
    StateChanged,
    StopCause,
    Transcript,
    Transition,
    TurnMode,
    open_orchestrator,
    tool,
)
from orchestrator.hosting.events import EVENTS_KEPT
from orchestrator.journal.format import read_journal
from orchestrator.journal.replay import replay
from orchestrator.simulation import (
    Answer,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    script,
)
from orchestrator.simulation.speech import silence, spoken
from tests.orchestrator.hosting.host_calls import LONG, RATE, listen, speak, take_turn, until

# --- a conversation ---------------------------------------------------------------------------------------


async def test_a_caller_is_heard_and_answered_and_the_outcome_says_what_was_said(
    autojump_clock: MockClock,
) -> None:
    providers = SimulatedProviders()
    transport, heard = MemoryTransport(), list[Outgoing]()
    async with (
        open_orchestrator(providers=providers.for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport) as conversation,
    ):
        nursery.start_soon(listen, transport, heard)
        await speak(transport, np.concatenate([spoken("hello", RATE), silence(900, RATE)]))
        await until(conversation, AnswerText)
        while not any(isinstance(message, AudioEnds) for message in heard):
            await speak(transport, silence(100, RATE))
        await speak(transport, silence(1000, RATE))
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert outcome.reason is EndReason.CALLER_HUNG_UP
    assert [message.text for message in outcome.history] == ["hello", "You said hello. That was all."]
    assert (outcome.answers, outcome.interruptions, outcome.client_errors) == (1, 0, 0)
    assert outcome.audio_received_ms > 2000 and outcome.audio_dropped_ms == 0
    assert outcome.journal is None
    assert transport.closed_for is EndReason.CALLER_HUNG_UP
    assert sum(chunk.duration_ms for chunk in heard if isinstance(chunk, AudioOut)) == pytest.approx(1680)
    assert providers.in_use() == 0


async def test_turns_by_hand_are_answered_when_the_hand_says_so(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        await transport.start_turn()
        await speak(transport, np.concatenate([spoken("yes", RATE), silence(3000, RATE), spoken("no", RATE)]))
        with trio.move_on_after(60) as waiting:
            await anext(transport)
        assert waiting.cancelled_caught
        await transport.end_turn()
        await anext(transport)
    events = [event async for event in conversation.events()]
    transcripts = [event for event in events if isinstance(event, Transcript)]
    assert (transcripts[-1].text, transcripts[-1].is_final) == ("yes no", True)


@pytest.mark.parametrize("piece", [None, RATE // 5], ids=["at once", "in pieces"])
async def test_audio_ahead_of_time_is_understood_whole(piece: int | None, autojump_clock: MockClock) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    words = " ".join(["how is the weather"] * 25)
    samples = spoken(words, RATE)
    async with (
        open_orchestrator(providers=providers.for_calls()) as orchestrator,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        await transport.start_turn()
        for start in range(0, len(samples), piece or len(samples)):
            await transport.push(samples[start : start + (piece or len(samples))], RATE)
        await transport.end_turn()
        await anext(transport)
    assert providers.llm.requests[0][-1].text == words
    assert (await conversation.outcome()).audio_dropped_ms == 0


async def test_audio_that_is_too_far_ahead_of_time_is_dropped_and_told(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    with capture_logs() as lines:
        async with (
            open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
        ):
            await transport.start_turn()
            await transport.push(silence(100_000, RATE), RATE)
            await trio.sleep(60)
    told = [event async for event in conversation.events() if isinstance(event, AudioDropped)]
    dropped_ms = (await conversation.outcome()).audio_dropped_ms
    assert 30_000 < dropped_ms <= 40_000
    assert sum(event.duration_ms for event in told) == dropped_ms
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["audio dropped"]


async def test_a_cough_holds_the_answer_which_then_goes_on_to_its_end(autojump_clock: MockClock) -> None:
    transport, heard = MemoryTransport(), list[Outgoing]()
    cough = np.full(RATE // 4, 32_000, np.int16)
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport) as conversation,
    ):
        nursery.start_soon(listen, transport, heard)
        await speak(transport, np.concatenate([spoken("hello", RATE), silence(700, RATE)]))
        while not any(isinstance(message, AudioOut) for message in heard):
            await speak(transport, silence(20, RATE))
        await speak(transport, np.concatenate([cough, silence(6000, RATE)]))
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert AudioHeld(1) in heard
    assert not any(isinstance(message, AudioStopped) for message in heard)
    assert outcome.history[-1].text == "You said hello. That was all."
    assert not outcome.history[-1].interrupted


@pytest.mark.parametrize("mode", SayMode)
async def test_what_the_host_wants_said_is_said_and_not_remembered(
    mode: SayMode, autojump_clock: MockClock
) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport) as conversation,
    ):
        nursery.start_soon(listen, transport, [])
        conversation.say("Your table is ready.", mode)
        said = await until(conversation, AnswerText)
        await trio.sleep(10)
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert isinstance(said, AnswerText) and said.text == "Your table is ready."
    assert outcome.history == ()


@pytest.mark.parametrize("mode", SayMode)
async def test_the_conversation_ends_when_the_last_words_of_the_host_were_heard(
    mode: SayMode, autojump_clock: MockClock, tmp_path: Path
) -> None:
    transport, heard = MemoryTransport(), list[Outgoing]()
    async with (
        open_orchestrator(
            Settings(journal_dir=tmp_path), providers=SimulatedProviders().for_calls()
        ) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport) as conversation,
    ):
        nursery.start_soon(listen, transport, heard)
        conversation.say("I put you through now.", mode, then=EndReason.HANDED_OVER)
        outcome = await conversation.outcome()
    assert outcome.reason is EndReason.HANDED_OVER
    assert isinstance(heard[-1], AudioEnds) and heard[-1].duration_ms > 0
    assert outcome.journal is not None
    kept = read_journal(outcome.journal)
    assert kept.ended is EndReason.HANDED_OVER
    assert all(each.same for each in replay(kept))


@pytest.mark.parametrize("interruptible", [True, False])
async def test_last_words_that_the_caller_may_cut_off_are_none_then(
    interruptible: bool, autojump_clock: MockClock
) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport) as conversation,
    ):
        nursery.start_soon(listen, transport, [])
        conversation.say(LONG, interruptible=interruptible, then=EndReason.HANDED_OVER)
        await until(conversation, AnswerText)
        await trio.sleep(1)
        await speak(transport, np.concatenate([spoken("wait how is the weather", RATE), silence(9000, RATE)]))
        with trio.move_on_after(60):
            await conversation.outcome()
        conversation.end(EndReason.OPERATOR_HUNG_UP)
        outcome = await conversation.outcome()
    assert outcome.interruptions == int(interruptible)
    assert outcome.reason is (EndReason.OPERATOR_HUNG_UP if interruptible else EndReason.HANDED_OVER)


@pytest.mark.parametrize("text", ["", " ", "...", "🙂"])
async def test_nothing_cannot_be_said(text: str, autojump_clock: MockClock) -> None:
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(MemoryTransport()) as conversation,
    ):
        with pytest.raises(ValueError, match="nothing to say"):
            conversation.say(text)


async def test_keys_that_the_caller_presses_are_what_the_caller_has_said(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport) as conversation,
    ):
        await transport.press("42#")
        await until(conversation, AnswerEnded)
        with pytest.raises(ValueError, match="'x' cannot be pressed"):
            await transport.press("x")
        with pytest.raises(ValueError, match="'12' is not one key"):
            KeyPressed("12")
        conversation.end()
        history = (await conversation.outcome()).history
    assert history[0].text == "I pressed 4 2 on the keypad."


@pytest.mark.parametrize("whose", ["host", "caller"])
async def test_an_interruption_stops_the_audio_and_the_history_holds_what_was_heard(
    whose: str, autojump_clock: MockClock
) -> None:
    llm = SimulatedLanguageModel(script(then=Answer(LONG)))
    transport, heard = MemoryTransport(), list[Outgoing]()
    async with (
        open_orchestrator(providers=SimulatedProviders(llm=llm).for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        nursery.start_soon(listen, transport, heard)
        await take_turn(transport, "hello")
        await trio.sleep(5)
        if whose == "host":
            conversation.interrupt()
        else:
            await transport.interrupt()
        interrupted = await until(conversation, AnswerInterrupted)
        await trio.sleep(1)
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert isinstance(interrupted, AnswerInterrupted)
    assert heard[-1] == AudioStopped(1, StopCause.INTERRUPTED)
    assert LONG.startswith(interrupted.heard) and interrupted.unheard
    assert outcome.history[-1].text == interrupted.heard and outcome.history[-1].interrupted
    assert outcome.interruptions == 1


async def test_each_conversation_has_its_own_texts(autojump_clock: MockClock) -> None:
    async def greeting(orchestrator: Orchestrator, text: str, found: dict[str, str]) -> None:
        policy = evolve(orchestrator.policy, greeting=text)
        async with orchestrator.conversation(MemoryTransport(), policy=policy) as conversation:
            said = await until(conversation, AnswerText)
        assert isinstance(said, AnswerText)
        found[text] = said.text

    found: dict[str, str] = {}
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        trio.open_nursery() as nursery,
    ):
        for text in ("Good morning.", "Good evening."):
            nursery.start_soon(greeting, orchestrator, text, found)
    assert found == {"Good morning.": "Good morning.", "Good evening.": "Good evening."}


async def test_two_orchestrators_with_different_settings_live_side_by_side(
    autojump_clock: MockClock,
) -> None:
    first, second = SimulatedProviders(), SimulatedProviders()
    async with (
        open_orchestrator(
            Settings(stt_language="de", llm_system_prompt="Sei kurz."), providers=first.for_calls()
        ) as german,
        open_orchestrator(
            Settings(stt_language="fr", llm_system_prompt="Soyez bref."), providers=second.for_calls()
        ) as french,
    ):
        for orchestrator in (german, french):
            transport = MemoryTransport()
            async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                await take_turn(transport, "hello")
                await until(conversation, AnswerText)
    assert set(first.stt.languages) == {"de"} and set(second.stt.languages) == {"fr"}
    assert [request[0].text for request in first.llm.requests] == ["Sei kurz."]
    assert [request[0].text for request in second.llm.requests] == ["Soyez bref."]


async def test_the_voice_and_the_language_of_a_caller_reach_the_providers(autojump_clock: MockClock) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    async with (
        open_orchestrator(providers=providers.for_calls()) as orchestrator,
        orchestrator.conversation(
            transport, turn_mode=TurnMode.MANUAL, language="en-GB", voice_id="alto"
        ) as conversation,
    ):
        await take_turn(transport, "hello")
        await until(conversation, AnswerText)
        await anext(transport)
    assert providers.stt.languages[-1] == "en-GB"
    assert providers.tts.voices == ["alto"]


# --- seeing it --------------------------------------------------------------------------------------------


async def test_every_transition_is_seen_from_the_beginning_by_whoever_looks(
    autojump_clock: MockClock,
) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        early = conversation.events()
        await take_turn(transport, "hello")
        await trio.sleep(5)
        await transport.hang_up()
        await conversation.outcome()
    seen = [event async for event in early]
    assert seen == [event async for event in conversation.events()]
    states = [event for event in seen if isinstance(event, StateChanged)]
    rooms = [event.target for event in states if event.source != event.target]
    assert rooms == ["LISTENING", "THINKING", "RESPONDING", "LISTENING", "ENDING"]
    machines = {event.machine for event in seen if isinstance(event, Transition)}
    assert machines == {"conversation", "stt link", "llm link", "tts link"}
    assert conversation.state == "ENDING" and conversation.substate == "ended"


async def test_an_observer_that_is_too_slow_is_told_how_much_it_missed_and_holds_nothing_up(
    autojump_clock: MockClock,
) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        events = conversation.events()
        first = await anext(events)
        for _ in range(EVENTS_KEPT):
            await transport.start_turn()
        await trio.testing.wait_all_tasks_blocked()
        rest = [await anext(events) for _ in range(EVENTS_KEPT + 1)]
        began = trio.current_time()
        await transport.hang_up()
        await conversation.outcome()
        assert trio.current_time() == began
    assert isinstance(first, Transition)
    missed = [event for event in rest if isinstance(event, EventsMissed)]
    assert rest[0] == missed[0] and len(missed) == 1 and missed[0].count > 0


async def test_trouble_with_providers_is_seen_by_name(autojump_clock: MockClock) -> None:
    stt = SimulatedSpeechToText(openings=script(Opening(), Opening(fault=Fails()), then=Opening()))
    llm = SimulatedLanguageModel(script(then=Answer("", fault=Fails())))
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders(stt, llm).for_calls()) as orchestrator,
        orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
    ):
        await take_turn(transport, "hello")
        changed = await until(conversation, LinkChanged)
        await until(conversation, ClientErrorReported)
        await transport.hang_up()
        assert (await conversation.outcome()).client_errors == 1
    assert isinstance(changed, LinkChanged)
    assert (changed.role, changed.provider) == (Role.STT, "simulated speech to text")


async def test_a_conversation_is_journalled_where_the_settings_say(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    settings = Settings(journal_dir=tmp_path)
    async with (
        open_orchestrator(settings, providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(MemoryTransport()) as conversation,
    ):
        await until(conversation, StateChanged)
    outcome = await conversation.outcome()
    assert outcome.journal is not None
    journal = read_journal(outcome.journal)
    assert journal.head.about.session_id == conversation.id
    assert journal.ended is EndReason.SHUTDOWN and journal.end is not None


# --- what a transport carries -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (np.zeros(3, np.float32), "1-dimensional float32"),
        (np.zeros((2, 3), np.int16), "2-dimensional int16"),
        (b"ab", "bytes"),
    ],
)
def test_what_is_no_audio_is_refused_in_words(samples: Samples, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        AudioIn(samples, RATE)


def test_rates_and_bytes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="4000 Hz, but must be from 8000 to 48000"):
        AudioIn(np.zeros(3, np.int16), 4000)
    with pytest.raises(ValueError, match="3 bytes"):
        AudioIn.of_pcm(b"abc", RATE)


async def test_nothing_is_received_after_a_hang_up(autojump_clock: MockClock) -> None:
    class Once(MemoryTransport):
        received = 0

        async def receive(self) -> Incoming:
            self.received += 1
            return HungUp()

    transport = Once()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport) as conversation,
    ):
        await conversation.outcome()
    assert transport.received == 1


def plain_function() -> str:
    """Not a tool: nobody has decorated it."""
    return ""


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        (
            [plain_function],
            "tools[0] is the function plain_function, but must be a tool: @tool makes one of a function",
        ),
        ([tool(plain_function), 5], "tools[1] is 5, but must be a tool: @tool makes one of a function"),
        (plain_function, "tools is the function plain_function, but must be a list of tools"),
        (tool(plain_function), "tools is the tool plain_function, but must be a list of tools"),
    ],
)
async def test_what_is_no_tool_is_told_in_one_sentence(tools: Any, told: str) -> None:
    with pytest.raises(TypeError) as caught:
        async with open_orchestrator(providers=SimulatedProviders().for_calls(), tools=tools):
            pass
    assert str(caught.value) == told
    async with open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
        with pytest.raises(TypeError) as caught:
            async with orchestrator.conversation(MemoryTransport(), tools=tools):
                pass
    assert str(caught.value) == told


class Pacing5:
    """A transport whose pacing is none."""

    pacing = 5
    receive = send = close = plain_function


LANGUAGE = "but must be a language's code, such as en-US, or multi"
WISHES: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"turn_mode": "manual"},
        TypeError,
        "turn_mode of conversation() is 'manual', but must be one of TurnMode.MANUAL, TurnMode.AUTOMATIC",
    ),
    ({"language": 5}, TypeError, "language of conversation() is 5, but must be a text or None"),
    ({"language": "klingon!"}, ValueError, f"language of conversation() is 'klingon!', {LANGUAGE}"),
    ({"language": ""}, ValueError, f"language of conversation() is '', {LANGUAGE}"),
    ({"voice_id": 5}, TypeError, "voice_id of conversation() is 5, but must be a text or None"),
    (
        {"policy": "polite"},
        TypeError,
        "policy of conversation() is 'polite', but must be an object of ConversationPolicy or None",
    ),
    (
        {"transport": object()},
        TypeError,
        "transport of conversation() is an object of object, but must have the methods receive, send and "
        "close, and a pacing",
    ),
    (
        {"transport": Pacing5()},
        TypeError,
        "pacing of Pacing5 is 5, but must be an object of Pacing",
    ),
]


@pytest.mark.parametrize(("wishes", "kind", "told"), WISHES)
async def test_what_no_conversation_can_be_is_told_in_one_sentence(
    wishes: dict[str, Any], kind: type[Exception], told: str, autojump_clock: MockClock
) -> None:
    async with open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
        with pytest.raises(kind) as caught:
            async with orchestrator.conversation(**{"transport": MemoryTransport(), **wishes}):
                pass
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda call: call.say(5), "text of say() is 5, but must be a text"),
        (
            lambda call: call.say("Hello.", "queue"),
            "mode of say() is 'queue', but must be one of SayMode.QUEUE, SayMode.INTERRUPT, "
            "SayMode.WHEN_IDLE",
        ),
        (
            lambda call: call.say("Hello.", interruptible=None),
            "interruptible of say() is None, but must be True or False",
        ),
        (
            lambda call: call.say("Hello.", then="bye"),
            "then of say() is 'bye', but must be one of EndReason.",
        ),
        (lambda call: call.send_digits(5), "digits of send_digits() is 5, but must be a text"),
        (lambda call: call.end("bye"), "reason of end() is 'bye', but must be one of EndReason."),
    ],
)
async def test_what_cannot_be_done_in_a_conversation_is_told_in_one_sentence(
    asked: Any, told: str, autojump_clock: MockClock
) -> None:
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(MemoryTransport()) as conversation,
    ):
        with pytest.raises(TypeError) as caught:
            asked(conversation)
        assert conversation.state == "INITIALIZING"
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("rate", [8000.5, True, "8000"])
def test_a_rate_that_is_no_whole_number_is_refused(rate: Any) -> None:
    with pytest.raises(TypeError, match="but must be a whole number"):
        AudioIn(silence(20, RATE), rate)
