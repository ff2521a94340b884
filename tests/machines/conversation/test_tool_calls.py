"""Tool calls: when they run, what becomes of them when the caller goes on, and what history holds."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.facts import SayMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.tools import CallRecord, OnInterruption, ToolCall, ToolPolicy
from tests.machines.calls import AUTOMATIC, HUNG_UP, PASSING, POLICY, SYSTEM, Call, user

LOOK, BOOK, FIND, NOTE = (ToolCall(f"id of {name}", name, "{}") for name in ("look", "book", "find", "note"))
TOOLS = (
    ToolPolicy("look", timeout_ms=4_000),
    ToolPolicy("book", on_interruption=OnInterruption.BLOCK),
    ToolPolicy("find", on_interruption=OnInterruption.CANCEL, filler="Let me search."),
    ToolPolicy("note", reply=False),
)
TOOLED = evolve(POLICY, tools=TOOLS)
STEPWISE = evolve(TOOLED, tools_in_parallel=False)


def asked_for(*calls: ToolCall, policy: ConversationPolicy = TOOLED) -> Call:
    """The model asks for these tool calls before it says anything."""
    call = Call(policy).thinking(mode=AUTOMATIC)
    call.handle(facts.GenerationFinished(call.memory.answer.generation, calls))
    assert call.state == "running_tools"
    return call


def run(effects: tuple[do.Effect, ...] | list[do.Effect]) -> list[int]:
    """The tool calls that are begun."""
    return [effect.call for effect in effects if isinstance(effect, do.RunTool)]


def cancelled(effects: tuple[do.Effect, ...] | list[do.Effect]) -> list[int]:
    return [effect.call for effect in effects if isinstance(effect, do.CancelTool)]


def requests(effects: list[do.Effect]) -> list[do.StartGeneration]:
    return [effect for effect in effects if isinstance(effect, do.StartGeneration)]


def results(call: Call) -> list[str | None]:
    """The results of all tool calls in the history."""
    return [record.result for message in call.memory.history for record in message.calls]


def caller_says(call: Call, words: str) -> None:
    """A whole turn by voice, whatever is going on."""
    call.handle(facts.SpeechStarted(), after_ms=100)
    call.handle(facts.SpeechStopped(speech_ms=600), after_ms=600)
    call.deadline_passes()
    call.final(words)


# --- the usual way ----------------------------------------------------------------------------------------


def test_the_model_is_told_the_result_and_its_answer_follows_the_call() -> None:
    call = asked_for(LOOK)
    assert run(call.last.effects) == [1]
    assert do.RunTool(1, LOOK, 4_000) in call.last.effects
    [request] = requests(call.happens(facts.ToolFinished(1, "sunny"), after_ms=700))
    known = Message(Speaker.ASSISTANT, "", calls=(CallRecord(1, LOOK, "sunny"),))
    assert request == do.StartGeneration(2, (SYSTEM, user("hello"), known), tools=True)
    call.answers("It is sunny.")
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", ""), ("assistant", "It is sunny.")]
    assert call.memory.history[1] == known


def test_without_tools_nothing_is_offered() -> None:
    call = Call().thinking()
    assert [each.tools for each in requests(call.all_effects)] == [False]


def test_calls_of_one_message_run_at_once_and_the_model_waits_for_all() -> None:
    call = asked_for(LOOK, FIND)
    assert run(call.last.effects) == [1, 2]
    assert requests(call.happens(facts.ToolFinished(2, "found"))) == []
    assert len(requests(call.happens(facts.ToolFinished(1, "sunny")))) == 1
    assert results(call) == ["sunny", "found"]


def test_or_one_after_the_other() -> None:
    call = asked_for(LOOK, FIND, policy=STEPWISE)
    assert run(call.last.effects) == [1]
    assert run(call.happens(facts.ToolFinished(1, "sunny"))) == [2]
    assert len(requests(call.happens(facts.ToolFinished(2, "found")))) == 1


def test_a_model_that_calls_again_and_again_must_speak_in_the_end() -> None:
    call = asked_for(LOOK, policy=evolve(TOOLED, max_tool_steps=2))
    [second] = requests(call.happens(facts.ToolFinished(1, "sunny")))
    call.handle(facts.GenerationFinished(second.generation, (LOOK,)))
    [third] = requests(call.happens(facts.ToolFinished(2, "still sunny")))
    assert (second.tools, third.tools) == (True, False)
    call.handle(facts.GenerationFinished(third.generation, (LOOK,)))
    assert (call.state, run(call.last.effects)) == ("speaking", [])


def test_what_is_said_before_a_call_is_heard_while_it_runs() -> None:
    call = Call(TOOLED).thinking(mode=AUTOMATIC)
    call.segment(0, "Let me look.")
    call.handle(facts.GenerationFinished(1, (LOOK,)))
    assert (call.state, run(call.last.effects)) == ("speaking", [1])
    call.happens(facts.ToolFinished(1, "sunny"))
    call.heard_all()
    assert call.state == "running_tools"
    assert len(requests(call.deadline_passes())) == 1
    assert call.memory.history[1] == Message(
        Speaker.ASSISTANT, "Let me look.", heard_ms=0.0, calls=(CallRecord(1, LOOK, "sunny"),)
    )


def test_a_call_that_is_all_the_answer_is_not_spoken_about() -> None:
    call = asked_for(NOTE)
    assert requests(call.happens(facts.ToolFinished(1, "noted"))) == []
    assert (call.state, results(call)) == ("quiet", ["noted"])


def test_unless_it_failed() -> None:
    call = asked_for(NOTE)
    [request] = requests(call.happens(facts.ToolFinished(1, "no pencil", failed=True)))
    assert request.messages[-1].calls[0].failed


def test_a_result_that_is_late_is_refused() -> None:
    call = asked_for(LOOK)
    call.happens(facts.ToolFinished(1, "sunny"))
    call.handle(facts.ToolFinished(1, "rainy"))
    assert (call.outcome(), results(call)) == (Outcome.REFUSED, ["sunny"])


# --- it takes long ----------------------------------------------------------------------------------------


def test_a_caller_who_waits_hears_fillers_again_and_again() -> None:
    call = asked_for(FIND)
    said = []
    for _ in range(3):
        effects = call.deadline_passes()
        said += [effect.text for effect in effects if isinstance(effect, do.Speak)]
        if call.state == "speaking":
            call.heard_all()
    assert said == ["Let me search.", TOOLED.tool_fillers[1]]
    # Fillers that the caller heard meanwhile are not part of the history.
    assert call.history == [("user", "hello"), ("assistant", "")]


def test_a_call_that_cannot_be_stopped_is_given_up_and_its_result_kept_when_it_comes() -> None:
    call = asked_for(LOOK, policy=evolve(TOOLED, tool_filler_after_ms=0))
    effects = call.deadline_passes()
    assert cancelled(effects) == [1]
    assert requests(effects)[0].messages[-1].calls[0].result is None
    assert call.now >= 4_000
    call.handle(facts.ToolFinished(1, "sunny"), after_ms=10_000)
    assert results(call) == ["sunny"]


# --- the caller goes on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "gone"), [(LOOK, []), (FIND, [1])])
def test_words_overtake_a_call(tool: ToolCall, gone: list[int]) -> None:
    call = asked_for(tool)
    caller_says(call, "something else")
    assert cancelled(call.last.effects) == gone
    [request] = requests(list(call.last.effects))
    assert [each.text for each in request.messages[1:]] == ["hello", "", "something else"]
    call.handle(facts.ToolFinished(1, "too late"))
    assert (call.outcome(), results(call)) == (Outcome.TAKEN, ["too late"])
    assert call.state == "generating"


def test_a_cough_costs_nothing() -> None:
    call = asked_for(FIND)
    call.handle(facts.SpeechStarted(), after_ms=100)
    assert (call.state, cancelled(call.last.effects)) == ("hearing", [])
    call.handle(facts.ToolFinished(1, "found"))
    call.handle(facts.SpeechStopped(speech_ms=600), after_ms=600)
    call.deadline_passes()
    call.happens(facts.TranscriptFinal(call.memory.turns.awaited or 0, ""))
    assert call.state == "quiet"
    call.deadline_passes()
    assert call.state == "running_tools"
    [request] = requests(call.deadline_passes())
    assert request.messages[-1].calls[0].result == "found"


def test_nothing_interrupts_a_call_that_blocks_and_what_is_said_is_answered_afterwards() -> None:
    call = asked_for(BOOK)
    call.handle(facts.SpeechStarted(), after_ms=100)
    call.handle(facts.SpeechStopped(speech_ms=600), after_ms=600)
    assert call.state == "running_tools"
    call.happens(facts.TranscriptFinal(call.memory.turns.queued[0], "and a window seat"))
    call.happens(facts.ToolFinished(1, "booked"))
    call.answers("It is booked.")
    call.heard_all()
    [request] = requests(call.deadline_passes())
    assert request.messages[-1] == user("and a window seat")


def test_who_objects_to_what_is_announced_prevents_it() -> None:
    call = Call(TOOLED).thinking(mode=AUTOMATIC)
    call.segment(0, "I will book that table for you.")
    call.voiced(0, *["I", "will", "book", "that", "table", "for", "you."])
    call.plays(0)
    call.handle(facts.SpeechStarted(), after_ms=150)
    assert call.state == "paused"
    call.handle(facts.GenerationFinished(1, (BOOK,)))
    assert run(call.last.effects) == []
    call.happens(facts.TranscriptInterim(call.memory.turns.current, "no wait stop"))
    call.handle(facts.SpeechStopped(speech_ms=600), after_ms=600)
    call.deadline_passes()
    call.final("no wait stop")
    assert run(call.all_effects) == []
    assert results(call) == [TOOLED.tool_not_called]


def test_or_not_and_the_call_is_begun_when_the_answer_goes_on() -> None:
    call = Call(TOOLED).thinking(mode=AUTOMATIC)
    call.segment(0, "I will book that table for you.")
    call.handle(facts.SpeechStarted(), after_ms=150)
    call.handle(facts.GenerationFinished(1, (BOOK,)))
    call.handle(facts.SpeechStopped(speech_ms=100), after_ms=100)
    assert (call.state, run(call.last.effects)) == ("speaking", [1])


def test_who_wants_silence_gets_it_and_the_result_is_kept() -> None:
    call = asked_for(LOOK, FIND)
    assert cancelled(call.happens(facts.InterruptRequested())) == [2]
    assert call.state == "quiet"
    call.happens(facts.ToolFinished(1, "sunny"))
    call.happens(facts.ToolFinished(2, "It was cancelled.", failed=True))
    assert (call.state, results(call)) == ("quiet", ["sunny", "It was cancelled."])
    caller_says(call, "and now")
    assert requests(list(call.last.effects))[0].messages[2].calls[0].result == "sunny"


def test_a_host_that_interrupts_delays_the_answer_only() -> None:
    call = asked_for(LOOK)
    call.handle(facts.SayRequested("A storm is coming.", SayMode.INTERRUPT))
    call.happens(facts.ToolFinished(1, "sunny"))
    call.heard_all()
    assert call.state == "running_tools"
    assert len(requests(call.deadline_passes())) == 1


def test_calls_that_wait_for_others_are_not_begun_when_the_caller_goes_on() -> None:
    call = asked_for(LOOK, FIND, policy=STEPWISE)
    caller_says(call, "something else")
    call.handle(facts.ToolFinished(1, "sunny"))
    assert (run(call.all_effects), results(call)) == ([1], ["sunny", TOOLED.tool_not_called])


# --- it ends, or fails ------------------------------------------------------------------------------------


def test_when_the_caller_hangs_up_what_may_finish_does_and_is_remembered() -> None:
    call = asked_for(LOOK, FIND)
    assert cancelled(call.happens(HUNG_UP)) == [2]
    call.happens(facts.ToolFinished(1, "sunny"))
    assert (call.state, results(call)) == ("closing", ["sunny", None])


def test_a_model_that_fails_after_a_call_is_asked_again_with_the_result() -> None:
    call = asked_for(LOOK)
    [request] = requests(call.happens(facts.ToolFinished(1, "sunny")))
    call.handle(facts.GenerationFailed(request.generation, PASSING))
    assert call.state == "retrying"
    [again] = requests(call.deadline_passes())
    assert again.messages == request.messages


def test_a_tool_that_nobody_knows_is_called_like_any_other_and_fails_by_itself() -> None:
    call = asked_for(ToolCall("x", "unheard_of", "{}"))
    assert do.RunTool(1, ToolCall("x", "unheard_of", "{}"), 10_000) in call.last.effects


def test_history_is_cut_by_whole_exchanges_and_never_in_a_running_call() -> None:
    call = asked_for(LOOK, policy=evolve(TOOLED, max_history=0))
    call.happens(facts.ToolFinished(1, "sunny"))
    assert results(call) == ["sunny"]
    call.answers("It is sunny.")
    call.heard_all()
    assert call.history == []


def test_a_model_that_goes_on_after_calls_knows_them_however_small_the_budget_is() -> None:
    call = asked_for(LOOK, policy=evolve(TOOLED, max_history_tokens=10))
    [asked] = requests(call.happens(facts.ToolFinished(1, "sunny")))
    assert [each.text for each in asked.messages] == [SYSTEM.text, "hello", ""]
    assert [each.result for each in asked.messages[-1].calls] == ["sunny"]
