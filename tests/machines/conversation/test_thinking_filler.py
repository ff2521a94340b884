"""A model that thinks for long: the caller hears a filler, and the model gets as much time as without it."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.effects import ClientError
from machines.facts import ErrorClass, ProviderFailure
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.tools import ToolCall, ToolPolicy
from tests.machines.calls import AUTOMATIC, FATAL, PASSING, POLICY, Call, effects_of, user

FILLER = POLICY.thinking_filler
AFTER_MS = POLICY.thinking_filler_after_ms
WITH_TOOLS = evolve(POLICY, tools=(ToolPolicy("look"),))
REFUSED = ProviderFailure(ErrorClass.REFUSED_TEXT, "content_filter")


def thinking(policy: ConversationPolicy = POLICY, alive_after_ms: float = 500) -> Call:
    """The model was asked, and has given one sign of life."""
    call = Call(policy).thinking()
    call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=alive_after_ms)
    return call


def bridged(policy: ConversationPolicy = POLICY) -> Call:
    """The filler is being said; the model has gone on thinking."""
    call = thinking(policy)
    call.deadline_passes()
    assert call.state == "speaking"
    call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=100)
    return call


def told(call: Call) -> list[tuple[Speaker, str]]:
    return [(message.speaker, message.text) for message in call.memory.history]


def test_a_filler_is_said_when_the_caller_has_waited_for_long_and_the_model_thinks() -> None:
    call = thinking()
    effects = call.deadline_passes()
    generation = call.memory.answer.generation
    assert effects == [do.NotifySegment(generation, 0, FILLER), do.Speak(generation, 0, FILLER)]
    assert (call.state, call.memory.answer.generation_open) == ("speaking", generation)
    assert call.now - 1100 == AFTER_MS, "the caller's words were known after 1100 ms"


def test_the_answer_follows_the_filler_and_is_all_that_is_remembered() -> None:
    call = bridged()
    assert call.segment(0, "It is noon.")[-1] == do.Speak(call.utterance, 1, "It is noon.")
    call.handle(facts.GenerationFinished(call.memory.answer.generation))
    call.heard_all()
    assert call.state == "quiet"
    assert told(call) == [(Speaker.USER, "hello"), (Speaker.ASSISTANT, "It is noon.")]


def test_a_model_that_gives_no_sign_of_life_is_not_covered_for_but_asked_again() -> None:
    call = Call().thinking()
    call.deadline_passes()
    assert call.state == "retrying"
    assert do.Speak not in {type(each) for each in call.all_effects}


@pytest.mark.parametrize("change", [{"thinking_filler": ""}, {"thinking_filler_after_ms": 0}])
def test_no_filler_is_said_where_none_is_wanted(change: dict[str, object]) -> None:
    call = thinking(evolve(POLICY, **change))  # type: ignore[arg-type]
    call.deadline_passes()
    assert call.state == "retrying", "the model has fallen silent"


def test_a_filler_is_said_once_for_the_caller_s_words() -> None:
    call = bridged(WITH_TOOLS)
    asked = (ToolCall("c", "look", "{}"),)
    call.handle(facts.GenerationFinished(call.memory.answer.generation, asked))
    call.heard_all()
    [ran] = effects_of(call, do.RunTool)
    assert isinstance(ran, do.RunTool)
    call.handle(facts.ToolFinished(ran.call, "noon"))
    assert call.state == "generating"
    call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=4000)
    assert call.state == "generating"
    call.segment(0, "It is noon.")
    call.handle(facts.GenerationFinished(call.memory.answer.generation))
    call.heard_all()
    spoken = [each.text for each in call.all_effects if isinstance(each, do.Speak)]
    assert spoken == [FILLER, "It is noon."]
    assert [text for _, text in told(call)] == ["hello", "", "It is noon."]


def test_the_next_words_of_the_caller_get_a_filler_of_their_own() -> None:
    call = bridged()
    call.segment(0, "It is noon.")
    call.handle(facts.GenerationFinished(call.memory.answer.generation))
    call.heard_all()
    call.handle(facts.RecordingStopped())
    call.final("and now")
    call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=500)
    call.deadline_passes()
    assert call.state == "speaking"


# --- while the filler is said, the model fails ------------------------------------------------------------


def test_a_model_that_fails_during_the_filler_is_asked_anew() -> None:
    call = bridged()
    effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, PASSING))
    [asked] = [each for each in effects if isinstance(each, do.StartGeneration)]
    assert asked.messages[-1] == user("hello"), "the filler is not the beginning of an answer"
    call.segment(0, "It is noon.")
    assert call.state == "speaking"


@pytest.mark.parametrize("failure", [FATAL, REFUSED])
def test_a_model_that_fails_for_good_is_covered_for_after_the_filler(failure: ProviderFailure) -> None:
    call = bridged()
    effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, failure))
    texts = POLICY.fallback
    text = texts.refused if failure is REFUSED else texts.first
    assert do.Speak(call.utterance, 1, text) in effects
    assert do.FinishSpeech(call.utterance) in effects
    call.heard_all()
    assert call.state == "quiet"
    remembered = [(message.text, message.withheld) for message in call.memory.history]
    assert remembered == ([("hello", True)] if failure is REFUSED else [("hello", False), (text, False)])


def test_an_empty_answer_is_covered_for_after_the_filler() -> None:
    call = bridged()
    effects = call.happens(facts.GenerationFinished(call.memory.answer.generation))
    assert do.Speak(call.utterance, 1, POLICY.fallback.first) in effects
    assert ClientError.MODEL_FAILED in {
        each.error for each in effects if isinstance(each, do.NotifyClientError)
    }


def test_three_failures_after_fillers_end_the_call() -> None:
    call = Call()
    for number, text in enumerate((POLICY.fallback.first, POLICY.fallback.second, POLICY.fallback.third)):
        if number:
            call.handle(facts.RecordingStopped())
            call.final("again")
        else:
            call.thinking()
        call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=500)
        call.deadline_passes()
        effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, FATAL))
        assert do.Speak(call.utterance, 1, text) in effects
        call.heard_all()
    assert call.state == "closing"


def test_a_filler_gives_the_model_no_more_time() -> None:
    """Ten seconds for the first words, however alive it is."""
    call = bridged()
    began = call.memory.answer.thinking_began
    call.voiced(0, "Let", "me", "think")
    call.plays()
    while call.now < began + POLICY.first_segment_timeout_ms - 600:
        call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=500)
    effects = call.deadline_passes()
    assert call.now == began + POLICY.first_segment_timeout_ms
    assert do.Speak(call.utterance, 1, POLICY.fallback.first) in effects
    assert do.CancelGeneration(call.memory.answer.generation) in effects
    logged = [each for each in call.all_effects if isinstance(each, do.LogFailure)]
    assert [each.failure.message for each in logged] == ["the language model gave no words within 10000 ms"]


def test_a_model_that_falls_silent_during_the_filler_is_asked_again_in_time() -> None:
    call = bridged()
    call.voiced(0, "Let", "me", "think")
    call.plays()
    effects = call.deadline_passes()
    assert any(isinstance(each, do.StartGeneration) for each in effects)
    assert call.state == "speaking"


# --- the caller meanwhile ---------------------------------------------------------------------------------


def test_whoever_interrupts_the_filler_is_answered_with_all_they_said() -> None:
    call = bridged()
    call.happens(facts.InterruptRequested())
    assert call.state == "quiet"
    assert call.memory.history == ()
    call.handle(facts.RecordingStopped())
    call.final("tomorrow")
    asked = effects_of(call, do.StartGeneration)[-1]
    assert isinstance(asked, do.StartGeneration)
    assert asked.messages[-1] == Message(Speaker.USER, "hello tomorrow")


def test_no_filler_is_said_while_the_caller_speaks_and_nobody_is_blamed_for_it() -> None:
    policy = evolve(POLICY, barge_in_thinking=False)
    call = Call(policy).thinking(mode=AUTOMATIC)
    call.handle(facts.GenerationAlive(call.memory.answer.generation), after_ms=500)
    call.handle(facts.SpeechStarted(), after_ms=500)
    assert call.state == "generating"
    call.deadline_passes()
    assert call.state == "generating"
    assert effects_of(call, do.LogFailure) == []
