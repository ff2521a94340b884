"""R08 to R13: a conversation that waits for something that never comes, or for nothing at all."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import AbstractAsyncContextManager
from random import Random

import pytest
import trio
from attrs import evolve
from hypothesis import settings
from hypothesis.stateful import invariant
from trio.testing import MockClock

from machines import effects as do
from machines import facts
from machines.conversation.context import Continuation
from machines.facts import Role, SayMode, TurnMode
from machines.policy import ConversationPolicy
from machines.tools import ToolCall
from orchestrator import ToolContext, tool
from orchestrator.simulation import (
    Answer,
    Delay,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    Stalls,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)
from orchestrator.simulation import SimulatedCall as WholeCall
from orchestrator.simulation.caller import Playback
from tests.faults.network import Network
from tests.faults.vendors import Vendors
from tests.machines.calls import AUTOMATIC, Call
from tests.machines.conversation.test_interleavings import AnyCall
from tests.peer_regressions.scenes import INSTANT, STORY, ask_by_voice, storyteller
from tests.reference_defects.vendor_calls import FLUX, NOVA, VOICE, vendor_call

pytestmark = pytest.mark.repeats

# --- R08 --------------------------------------------------------------------------------------------------


class FrozenProviders(AnyCall):
    """Anything happens; then providers and caller fall silent, and only time passes."""

    def teardown(self) -> None:
        """The call reaches quiet or its end when the deadlines on the way have passed."""
        policy, context = self.policy, self.system.conversation.context
        began, waits = self.now, 0
        while self.system.conversation.state not in ("quiet", "ended") or self._something_is_owed():
            self._next_deadline_passes()
            waits += 1
            assert waits < 100, f"still in {self.system.conversation.state}"
        answers = 3 + policy.max_queue + policy.max_host_utterances
        an_answer = policy.answer_timeout_ms + (1 + policy.voice_retries) * policy.speech_stall_timeout_ms
        longest = policy.max_turn_ms + answers * (an_answer + policy.final_transcript_timeout_ms)
        assert self.now - began <= longest + context.answer.ledger.known_ms() * (1 + policy.voice_retries)

    def _something_is_owed(self) -> bool:
        return self.system.conversation.context.deadline_armed is not None

    def _next_deadline_passes(self) -> None:
        """The deadline of the conversation and its links that is due first."""
        owner, number, due = min(self._deadlines(), key=lambda each: each[2])
        fact = facts.DeadlinePassed(number) if owner is None else facts.LinkDeadlinePassed(owner, number)
        self.happens(fact, max(0.0, due - self.now))

    def _deadlines(self) -> list[tuple[Role | None, int, float]]:
        conversation = self.system.conversation.context.deadline_armed
        links = [(role, link.context.deadline_armed) for role, link in self.system.links.items()]
        armed = ((owner, number) for owner, number in [(None, conversation), *links] if number is not None)
        return [(owner, number, self._due_at(owner, number)) for owner, number in armed]

    def _due_at(self, owner: Role | None, number: int) -> float:
        for fact, handled in reversed(self.told):
            for effect in handled.effects:
                match effect:
                    case do.ArmDeadline(number=armed, delay_ms=delay) if owner is None and armed == number:
                        return (0.0 if fact is None else fact.at_ms) + delay
                    case do.ArmLinkDeadline(role=role, number=armed, delay_ms=delay) if (
                        role is owner and armed == number
                    ):
                        return (0.0 if fact is None else fact.at_ms) + delay
        return math.inf


TestR08NoStateIsForEver = FrozenProviders.TestCase
TestR08NoStateIsForEver.__doc__ = (
    "LiveKit: the bot was `speaking` without audio until the caller said something."
)
TestR08NoStateIsForEver.settings = settings(max_examples=40, stateful_step_count=20)


async def test_r09_what_a_tool_says_holds_nothing_up_whenever_it_is_interrupted(
    autojump_clock: MockClock,
) -> None:
    """LiveKit: what a tool said waited, once interrupted, for a silence that never came."""
    ends = Counter[bool]()

    def begin() -> AbstractAsyncContextManager[WholeCall]:
        async def look(context: ToolContext) -> str:
            """Say something, and look."""
            context.say("That takes me a moment.", SayMode.INTERRUPT)
            await trio.sleep(1)
            context.say("There it is.")
            ends[True] += 1
            return "found"

        looks = Answer("Let me see.", Delay(50), calls=(ToolCall("id", "look", "{}"),))
        providers = SimulatedProviders(llm=SimulatedLanguageModel(script(looks, then=Answer("Well."))))
        return simulated_call(providers, policy=INSTANT, tools=[tool(look)])

    async with begin() as call:
        await ask_by_voice(call)
        asked = len(call.records)
        await trio.sleep(15)
        assert call.state == "quiet"
        last = len(call.records)
        assert "There it is." in call.caller.answers()
    for number in range(asked, last):
        async with begin() as call:
            await ask_by_voice(call)
            await call.until(lambda: len(call.records) > number)  # noqa: B023
            await call.say("please stop")
            await call.keep_quiet(700)
            await trio.sleep(15)
            assert call.state == "quiet", f"fact {number}"
            before = len(call.caller.answers())
            await call.say("thanks")
            await call.keep_quiet(700)
            await trio.sleep(10)
            assert call.state == "quiet", f"fact {number}"
            assert len(call.caller.answers()) > before, f"fact {number}"
        assert failed_checks(call) == [], f"fact {number}"
    assert ends[True] == last - asked + 1


# --- R10 --------------------------------------------------------------------------------------------------

TURNS = 250
"""Survey: 1,000; as many take a quarter of a minute, and nothing is different after the first few."""


async def test_r10_after_hundreds_of_interruptions_the_next_turn_is_answered_aloud(
    autojump_clock: MockClock,
) -> None:
    """Pipecat: on one branch a paused answer was never resumed, and the bot was silent from then on."""
    random = Random(10)
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(then=Answer("Well. I see, I see."))))
    async with simulated_call(providers, policy=INSTANT) as call:
        playbacks = call.caller.playbacks
        await call.start_recording()
        for number in range(1, TURNS + 1):
            before = playbacks[-1].utterance if playbacks else 0
            await call.say("yes")
            await call.stop_recording()
            with trio.fail_after(0.1):
                await call.until(lambda: _sounds_after(before, playbacks))  # noqa: B023
            await trio.sleep(random.choice((0, 0.01, random.uniform(0, 1.5))))
            if random.random() < 0.5:
                await call.interrupt()
            await call.start_recording()
            assert len(call.providers.llm.requests) == number
    assert failed_checks(call) == []


async def test_r10_around_the_results_of_tools_the_next_turn_is_answered_aloud(
    autojump_clock: MockClock,
) -> None:
    """The answer is interrupted before, at and after the result of a tool call."""
    random, made = Random(11), Counter[str]()

    def plan() -> Answer:
        calls = (ToolCall("id", random.choice(("quick", "slow")), "{}"),) if random.random() < 0.6 else ()
        return Answer(random.choice((None, "", "Let me see.")) if calls else "Well. I see.", calls=calls)

    async def quick() -> str:
        """Give something at once."""
        made["quick"] += 1
        return "something"

    async def slow() -> str:
        """Give something after a while."""
        made["slow"] += 1
        await trio.sleep(0.7)
        made["slow, to its end"] += 1
        return "something"

    tools = [tool(quick), tool(on_interruption="cancel")(slow)]
    providers = SimulatedProviders(llm=SimulatedLanguageModel(plan))
    async with simulated_call(providers, policy=INSTANT, tools=tools) as call:
        playbacks = call.caller.playbacks
        await call.start_recording()
        for _ in range(TURNS):
            before = playbacks[-1].utterance if playbacks else 0
            await call.say("yes")
            await call.stop_recording()
            if random.random() < 0.5:
                # Somewhere between the question and the answer.
                await trio.sleep(random.choice((0, 0.7, random.uniform(0, 1.5))))
                if random.random() < 0.5:
                    await call.interrupt()
            else:
                with trio.fail_after(15):
                    await call.until(lambda: _sounds_after(before, playbacks))  # noqa: B023
            await call.start_recording()
        before = playbacks[-1].utterance
        await call.say("yes")
        await call.stop_recording()
        with trio.fail_after(15):
            await call.until(lambda: _sounds_after(before, playbacks))
    assert failed_checks(call) == []
    assert made["quick"] > TURNS / 10
    assert made["slow"] > made["slow, to its end"] > 0


def _sounds_after(utterance: int, playbacks: list[Playback]) -> bool:
    return bool(playbacks and playbacks[-1].utterance > utterance and playbacks[-1].chunks)


# --- R11 --------------------------------------------------------------------------------------------------

ASKS_AGAIN = ConversationPolicy(reprompt="Pardon?")
NEVER = None
DELAYS_MS = (0, 1, 50, 300, 900, 1900, 1999, 2001, 2500, 3000, 3999, 4001, NEVER)


@pytest.mark.parametrize("interim", [True, False], ids=["with interim words", "without"])
@pytest.mark.parametrize("mode", TurnMode)
@pytest.mark.parametrize("delay_ms", DELAYS_MS)
async def test_r11_late_words_lead_to_one_reply_or_one_question(
    delay_ms: float | None, mode: TurnMode, interim: bool, autojump_clock: MockClock
) -> None:
    """Pipecat, LiveKit: without a final transcript in time the turn was skipped without a word."""
    how = Transcription(fault=Stalls()) if delay_ms is None else Transcription(Delay(delay_ms))
    providers = SimulatedProviders(SimulatedSpeechToText(script(then=how), interim=interim))
    async with simulated_call(providers, policy=ASKS_AGAIN) as call:
        await call.start_recording(mode)
        await call.say("how is the weather")
        await (call.stop_recording() if mode is TurnMode.MANUAL else call.keep_quiet(1000))
        await trio.sleep(20)
        assert len(call.caller.answers()) == 1
        reply = "You said how is the weather. That was all."
        assert call.caller.answers()[0] in (reply, ASKS_AGAIN.fallback.unheard)
        in_time = delay_ms is not None and delay_ms < ASKS_AGAIN.final_transcript_timeout_ms / 2
        assert call.caller.answers() == [reply] or not (interim or in_time)
        assert call.state == "quiet"
    assert failed_checks(call) == []


@pytest.mark.parametrize("early_ms", [300, 200, 100, 1, 0])
@pytest.mark.parametrize("eager", [True, False], ids=["expected", "at once"])
def test_r11_words_that_come_before_the_end_of_the_voice_are_answered_once(
    early_ms: float, eager: bool
) -> None:
    """Words overtake voice activity: speech to text has decided that the turn is over."""
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted(), after_ms=500)
    call.handle(facts.TranscriptInterim(1, "hello"), after_ms=500)
    if eager:
        call.handle(facts.EagerEndOfTurn(1, "hello"))
    call.handle(facts.EndOfTurn(1, "hello"), after_ms=500)
    call.handle(facts.SpeechStopped(1500), after_ms=early_ms)
    call.handle(facts.EndOfTurn(1, "hello"))
    call.answers("Yes indeed.")
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "Yes indeed.")]
    assert call.state == "quiet"
    assert call.memory.deadline_armed is None


@pytest.mark.parametrize("reprompt", ["", "Pardon?"])
@pytest.mark.parametrize("delay_ms", [0, 300, 1900])
def test_r11_voice_without_words_is_asked_about_once_or_ignored_as_configured(
    delay_ms: float, reprompt: str
) -> None:
    """A transcript comes, and is empty."""
    call = Call(ConversationPolicy(reprompt=reprompt)).finalizing(AUTOMATIC)
    said = call.happens(facts.TranscriptFinal(1, "", speech_ms=800), after_ms=delay_ms)
    assert [each.text for each in said if isinstance(each, do.Speak)] == [reprompt] * bool(reprompt)
    assert call.state == ("speaking" if reprompt else "quiet")


# --- R12 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("route", [NOVA, FLUX, VOICE, "openai"])
async def test_r12_a_vendor_whose_line_goes_dead_unnoticed_does_not_silence_the_call(
    made: Vendors, route: str, seed: int, autojump_clock: MockClock
) -> None:
    """Pipecat: Flux's socket was open and silent for seven minutes, and nothing noticed."""
    random = Random(seed)
    async with vendor_call(made, flux=route == FLUX) as held:
        await held.call.start_recording(TurnMode.AUTOMATIC)
        await held.call.reaches("quiet")
        dead_after_s = random.uniform(0, 6)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_goes_dead, held.network, route, dead_after_s)
            for number in range(1, 4):
                await held.call.say("how is the weather")
                await held.call.keep_quiet(1000)
                quiet_since = trio.current_time()
                await held.call.answered(number)
                await held.call.reaches("quiet")
                assert trio.current_time() - quiet_since < 20
        texts = held.call.policy.fallback
        ours = (texts.first, texts.second, texts.third, texts.unheard)
        assert not set(ours) & set(held.caller.answers()), "all three turns were answered by the model"
        assert held.caller.playbacks[-1].ended_with_ms


async def _goes_dead(network: Network, route: str, after_s: float) -> None:
    await trio.sleep(after_s)
    network.fall_silent(route)


# --- R13 --------------------------------------------------------------------------------------------------

IDLE_AFTER_MS = 77_777.0


class IdleCaller(AnyCall):
    """Anything happens in a call whose caller is spoken to when quiet for long."""

    usual = evolve(AnyCall.usual, idle_after_ms=IDLE_AFTER_MS)

    @invariant()
    def the_idle_timer_runs_exactly_while_the_caller_is_waited_for(self) -> None:
        """The idle timer is the deadline of quiet, and nothing else."""
        conversation = self.system.conversation
        context = conversation.context
        owed = context.turns.queue or context.turns.queued or context.host_utterances
        waits = conversation.state == "quiet" and context.recording.mode is TurnMode.AUTOMATIC and not owed
        speaking_on = context.turns.continuation is Continuation.SPEAKING
        assert self._idle_timer_runs() is (waits and not speaking_on)

    def _idle_timer_runs(self) -> bool:
        armed = self.system.conversation.context.deadline_armed
        arming = do.ArmDeadline(armed or 0, IDLE_AFTER_MS)
        return any(arming in handled.effects for _, handled in self.told)


TestR13TheIdleTimer = IdleCaller.TestCase
TestR13TheIdleTimer.__doc__ = "Pipecat, LiveKit: idle timers died, or rang while buffered audio was playing."
TestR13TheIdleTimer.settings = settings(max_examples=40, stateful_step_count=20)


async def test_r13_a_caller_who_listens_is_not_idle(autojump_clock: MockClock) -> None:
    """Pipecat, LiveKit: the timer rang while the answer was still heard."""
    policy = ConversationPolicy(idle_after_ms=2000)
    async with simulated_call(storyteller(), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        await call.keep_quiet(700)
        await call.answered()
        heard_at = trio.current_time()
        assert call.caller.answers() == [STORY]
        await call.until(lambda: len(call.caller.playbacks) == 2)
        assert trio.current_time() - heard_at == pytest.approx(2, abs=0.05)
        await call.answered(2)
        assert call.caller.answers()[1] == policy.nudges[0]
    assert failed_checks(call) == []
