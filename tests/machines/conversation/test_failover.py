"""Failover: which provider is tried, what is said again, and what the client is told."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import ClientError, Effect, StopCause
from machines.facts import EndReason, ErrorClass, ProviderFailure, Role
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy, LinkPolicy
from machines.system import ProviderChain
from tests.machines.calls import (
    AUTOMATIC,
    FATAL,
    HUNG_UP,
    MANUAL,
    PASSING,
    POLICY,
    STOP,
    SYSTEM,
    TWO_EACH,
    Call,
    user,
)

STT, LLM, TTS = Role.STT, Role.LLM, Role.TTS


def opened(effects: list[Effect]) -> list[tuple[Role, int]]:
    """Which providers are tried."""
    return [(each.role, each.provider) for each in effects if isinstance(each, do.OpenLink)]


def wait_of_link(call: Call) -> float:
    """How long the speech-to-text link waits now, in ms."""
    return [each for each in call.all_effects if isinstance(each, do.ArmLinkDeadline)][-1].delay_ms


def link_waits(call: Call, role: Role = STT, draw: float = 0.5) -> list[Effect]:
    """The link's deadline passes when it is due."""
    number = call.system.links[role].context.deadline_armed
    assert number is not None
    return call.happens(facts.LinkDeadlinePassed(role, number, draw), after_ms=wait_of_link(call))


def fails(call: Call, role: Role, failure: ProviderFailure = PASSING, draw: float = 0.5) -> list[Effect]:
    """The link, or the attempt to open it, fails."""
    return call.happens(facts.LinkFailed(role, call.system.links[role].context.attempt, failure, draw))


def opens(call: Call, role: Role) -> list[Effect]:
    """The attempt to open the link succeeds."""
    return call.happens(facts.LinkOpened(role, call.system.links[role].context.attempt))


# --- links ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("failure", [PASSING, FATAL])
def test_a_lost_provider_is_left_at_once_for_the_next(role: Role, failure: ProviderFailure) -> None:
    call = Call(provider_chains=TWO_EACH).listening()
    assert opened(fails(call, role, failure)) == [(role, 1)]
    opens(call, role)
    assert call.state == "quiet"


def test_clients_are_told_of_a_lost_link_and_of_its_return() -> None:
    call = Call(provider_chains=TWO_EACH).listening()
    fails(call, STT)
    assert do.NotifyLink(STT, do.LinkNews.TRYING, 1, "link_failed") in call.last.effects
    opens(call, STT)
    assert do.NotifyLink(STT, do.LinkNews.UP, 1, "link_opened") in call.last.effects


def test_when_all_providers_failed_a_round_later_the_preferred_is_tried_first() -> None:
    call = Call(provider_chains=TWO_EACH).listening()
    fails(call, STT)
    assert opened(fails(call, STT)) == []
    assert wait_of_link(call) == POLICY.link.retry_delays_ms[0]
    assert opened(link_waits(call)) == [(STT, 0)]


def test_a_provider_that_will_fail_again_is_not_tried_in_the_next_round() -> None:
    call = Call(provider_chains=TWO_EACH).listening()
    fails(call, STT, FATAL)
    fails(call, STT)
    assert opened(link_waits(call)) == [(STT, 1)]


def test_a_round_waits_as_long_as_the_provider_asks_for() -> None:
    call = Call().listening()
    fails(call, STT, ProviderFailure(ErrorClass.RATE_LIMIT, "slow down", retry_after_ms=3_000))
    assert wait_of_link(call) == 3_000


def test_a_provider_that_asks_for_more_time_than_there_is_ends_the_attempts() -> None:
    call = Call().listening()
    fails(call, STT, ProviderFailure(ErrorClass.RATE_LIMIT, "slow down", retry_after_ms=15_001))
    assert call.system.links[STT].state == "DOWN"


@pytest.mark.parametrize(("draw", "delays"), [(0.0, (500, 1000, 2000)), (1.0, (1500, 3000, 6000))])
def test_later_rounds_are_slow_and_vary_by_chance(draw: float, delays: tuple[float, ...]) -> None:
    call = Call(ConversationPolicy(link=LinkPolicy(retry_delays_ms=(), budget_ms=60_000))).listening()
    waits = []
    for _ in delays:
        fails(call, STT, draw=draw)
        waits.append(wait_of_link(call))
        link_waits(call)
    assert tuple(waits) == delays


def test_a_new_call_does_not_try_a_provider_that_is_known_to_be_down() -> None:
    call = Call(provider_chains={STT: ProviderChain(2, frozenset({0}))})
    assert do.OpenLink(STT, 1, 1) in call.beginning.effects


def test_a_new_call_ends_at_once_when_no_provider_of_a_role_works() -> None:
    call = Call(provider_chains={STT: ProviderChain(2, frozenset({0, 1}))})
    assert call.state == "closing"
    assert do.CloseConversation(EndReason.PROVIDER_UNAVAILABLE) in call.beginning.effects


def test_a_running_call_does_not_fail_over_to_a_provider_that_went_down() -> None:
    call = Call(provider_chains=TWO_EACH).listening()
    call.handle(facts.ProviderDown(STT, 1))
    assert opened(fails(call, STT)) == []
    assert wait_of_link(call) == POLICY.link.retry_delays_ms[0]


def on_second(call: Call, role: Role = STT) -> Call:
    """The call, after the preferred provider was lost, and went down."""
    fails(call, role)
    opens(call, role)
    call.handle(facts.ProviderDown(role, 0))
    return call


def test_a_preferred_provider_is_returned_to_at_once_in_quiet() -> None:
    call = on_second(Call(provider_chains=TWO_EACH).listening())
    effects = call.happens(facts.ProviderRecovered(STT, 0))
    assert effects == [do.CloseLink(STT, 2), do.OpenLink(STT, 3, 0)]


def test_a_preferred_provider_is_not_returned_to_in_the_middle_of_an_answer() -> None:
    call = on_second(Call(provider_chains=TWO_EACH).speaking("Yes indeed."))
    assert call.happens(facts.ProviderRecovered(STT, 0)) == []
    assert opened(call.heard_all()) == [(STT, 0)]


def test_a_preferred_provider_that_failed_again_is_not_returned_to() -> None:
    call = on_second(Call(provider_chains=TWO_EACH).speaking("Yes indeed."))
    call.handle(facts.ProviderRecovered(STT, 0))
    call.handle(facts.ProviderDown(STT, 0))
    assert opened(call.heard_all()) == []
    assert call.system.links[STT].state == "UP"


# --- speech to text ---------------------------------------------------------------------------------------


def test_speech_to_text_without_a_word_is_replaced_at_half_time() -> None:
    call = Call(provider_chains=TWO_EACH).finalizing()
    effects = call.deadline_passes()
    assert (opened(effects), call.state) == ([(STT, 1)], "finalizing")
    opens(call, STT)
    call.final("hello")
    assert (call.state, call.history) == ("generating", [])
    assert do.NotifyTranscript(1, "hello", 0.9, is_final=True, speech_ms=800) in call.all_effects


def test_speech_to_text_that_gave_words_is_not_replaced_at_half_time() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptInterim(1, "hello"))
    assert call.deadline_passes() == []


def test_speech_to_text_that_owes_the_rest_of_a_turn_is_replaced_if_a_fallback_is_ready() -> None:
    call = Call(provider_chains=TWO_EACH).finalizing()
    call.handle(facts.TranscriptInterim(1, "hello"))
    assert opened(call.deadline_passes()) == [(STT, 1)]


def test_a_failed_transcription_waits_for_another_provider() -> None:
    call = Call(provider_chains=TWO_EACH).finalizing()
    assert opened(call.happens(facts.TranscriptionFailed(1, FATAL))) == [(STT, 1)]
    assert call.state == "finalizing"


# --- the model --------------------------------------------------------------------------------------------


def test_a_model_that_fails_is_replaced_without_a_wait() -> None:
    call = Call(provider_chains=TWO_EACH).thinking()
    failure = ProviderFailure(ErrorClass.RATE_LIMIT, "slow down", retry_after_ms=4_000)
    assert opened(call.happens(facts.GenerationFailed(1, failure))) == [(LLM, 1)]
    assert call.last.effects[-1] != do.ArmDeadline(call.memory.deadline_number, 4_000)
    began = call.now
    call.deadline_passes()
    assert (call.now, call.state) == (began, "generating")


def test_a_model_is_left_alone_as_long_as_it_asks_for() -> None:
    call = Call().thinking()
    failure = ProviderFailure(ErrorClass.RATE_LIMIT, "slow down", retry_after_ms=4_000)
    call.handle(facts.GenerationFailed(1, failure))
    began = call.now
    call.deadline_passes()
    assert (call.now - began, call.state) == (4_000, "generating")


def test_a_model_that_asks_for_more_time_than_there_is_is_answered_for() -> None:
    call = Call().thinking()
    failure = ProviderFailure(ErrorClass.RATE_LIMIT, "slow down", retry_after_ms=10_000)
    assert do.Speak(2, 0, POLICY.fallback.first) in call.happens(facts.GenerationFailed(1, failure))


def test_a_fatal_error_of_one_model_leads_to_another() -> None:
    call = Call(provider_chains=TWO_EACH).thinking()
    call.handle(facts.GenerationFailed(1, FATAL))
    assert call.state == "retrying"


def test_a_model_that_gives_no_sign_is_replaced_at_its_first_deadline() -> None:
    call = Call(provider_chains=TWO_EACH).thinking()
    began = call.now
    effects = call.deadline_passes()
    assert call.now - began == POLICY.first_token_timeout_ms
    assert (effects[0], opened(effects)) == (do.CancelGeneration(1), [(LLM, 1)])


def test_a_model_that_goes_on_is_waited_for() -> None:
    call = Call(evolve(POLICY, thinking_filler="")).thinking()
    began = call.now
    call.handle(facts.GenerationAlive(1), after_ms=4_000)
    call.deadline_passes()
    assert call.now - began == 4_000 + POLICY.token_gap_timeout_ms


def broken_off(call: Call) -> list[Effect]:
    """The model breaks off after its first segment."""
    call.segment(0, "One two three.")
    return call.happens(facts.GenerationFailed(1, PASSING))


def test_a_model_that_breaks_off_is_continued_with_what_it_said() -> None:
    call = Call(provider_chains=TWO_EACH).thinking()
    said = Message(Speaker.ASSISTANT, "One two three.")
    effects = broken_off(call)
    assert effects[0] == do.StartGeneration(2, (SYSTEM, user("hello"), said))
    assert opened(effects) == [(LLM, 1)]
    assert call.segment(1, "Four five.") == [
        do.NotifySegment(1, 1, "Four five.", " "),
        do.Speak(1, 1, "Four five."),
    ]
    assert call.happens(facts.GenerationFinished(2)) == [do.FinishSpeech(1)]
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "One two three. Four five.")]


def test_a_continued_answer_says_nothing_again() -> None:
    call = Call().thinking()
    broken_off(call)
    assert call.segment(0, "One two three.") == []
    assert call.outcome() is Outcome.IGNORED


def test_a_model_that_stalls_in_mid_answer_is_cancelled_and_continued() -> None:
    call = Call().thinking()
    call.segment(0, "One two three.")
    effects = call.deadline_passes()
    assert [type(effect) for effect in effects[:2]] == [do.CancelGeneration, do.StartGeneration]
    assert call.state == "speaking"


def test_the_reason_of_a_call_that_is_handed_over_says_so() -> None:
    call = Call(evolve(POLICY, hand_over=True)).saying_goodbye()
    assert do.CloseConversation(EndReason.HANDED_OVER, after_goodbye=True) in call.heard_all()


def test_the_model_is_asked_with_no_more_history_than_its_budget() -> None:
    call = Call(evolve(POLICY, max_history_tokens=30)).listening()
    call.exchange("one", "First.")
    call.exchange("two " * 20, "Second.")
    call.exchange("three", "Third.")
    call.handle(facts.RecordingStopped())
    asked = [effect for effect in call.final("four") if isinstance(effect, do.StartGeneration)]
    texts = [message.text for message in asked[0].messages]
    assert texts == [SYSTEM.text, "three", "Third.", "four"]


# --- the voice --------------------------------------------------------------------------------------------


def test_a_voice_that_breaks_off_is_continued_by_the_next_without_what_was_voiced() -> None:
    call = Call(provider_chains=TWO_EACH).speaking("One two.", "Three four.")
    call.voiced(0, "One", "two.")
    effects = call.voice_fails()
    assert effects[:3] == [do.RestartSpeech(1, 2), do.Speak(1, 1, "Three four."), do.FinishSpeech(1)]
    assert opened(effects) == [(TTS, 1)]
    assert call.state == "speaking"


def test_half_a_segment_is_not_said_again() -> None:
    call = Call().speaking("One two three four five six.")
    # At 15 characters a second, of which four fifths count, "One two three" takes 1170 ms.
    effects = call.voice_fails(voiced_ms=1_250)
    assert do.Speak(1, 1, "four five six.") in effects
    call.voiced(1, "four", "five", "six.")
    call.heard_all()
    assert call.history[-1] == ("assistant", "One two three four five six.")


def test_an_answer_that_is_still_generated_is_not_finished_when_it_is_restarted() -> None:
    call = Call().thinking()
    call.segment(0, "Yes indeed.")
    assert not any(isinstance(effect, do.FinishSpeech) for effect in call.voice_fails())


def test_what_the_voice_says_of_the_take_before_is_refused() -> None:
    call = Call().speaking("Yes indeed.")
    call.voice_fails()
    for fact in (facts.SegmentVoiced(1, 0, 500, attempt=1), facts.SynthesisFailed(1, PASSING, attempt=1)):
        assert call.happens(fact) == []
        assert call.outcome() is Outcome.REFUSED


def test_a_fatal_error_of_the_only_voice_ends_the_answer_unless_it_was_the_connection_s() -> None:
    call = Call().speaking("Yes indeed.")
    assert do.RestartSpeech(1, 2) in call.voice_fails(FATAL)
    assert do.StopSpeech(1, StopCause.FAILED) in call.voice_fails(FATAL)
    assert call.state == "quiet"


def test_speech_markup_is_spoken_and_neither_told_nor_remembered() -> None:
    call = Call().thinking()
    markup = '<emotion value="glad"/> Yes.'
    assert call.happens(facts.SegmentReady(1, 0, "Yes.", markup)) == [
        do.NotifySegment(1, 0, "Yes."),
        do.Speak(1, 0, markup),
    ]
    call.handle(facts.GenerationFinished(1))
    call.heard_all()
    assert call.history[-1] == ("assistant", "Yes.")


# --- the last words ---------------------------------------------------------------------------------------


def saying_goodbye() -> Call:
    """A call whose speech to text is lost for good."""
    call = Call().listening()
    effects = fails(call, STT, FATAL)
    assert do.NotifyClientError(ClientError.STT_UNAVAILABLE, "no such model", retryable=False) in effects
    assert effects[-2:] == [do.Speak(1, 0, POLICY.fallback.third), do.FinishSpeech(1)]
    assert call.state == "saying_goodbye"
    return call


def test_a_caller_who_cannot_be_heard_any_more_is_told_so_before_the_end() -> None:
    call = saying_goodbye()
    assert do.CloseConversation(EndReason.PROVIDER_UNAVAILABLE, after_goodbye=True) in call.heard_all()
    assert call.state == "closing"


def test_a_caller_hangs_up_during_the_last_words() -> None:
    call = saying_goodbye()
    effects = call.happens(HUNG_UP)
    assert do.StopSpeech(1, StopCause.ENDED) in effects
    assert do.CloseConversation(EndReason.CALLER_HUNG_UP) in effects


def test_the_last_words_end_when_the_voice_is_lost() -> None:
    call = saying_goodbye()
    assert do.StopSpeech(1, StopCause.ENDED) in fails(call, TTS, FATAL)
    assert call.state == "closing"


def test_last_words_that_are_never_heard_end_at_their_deadline() -> None:
    call = saying_goodbye()
    for _ in range(POLICY.voice_retries):
        call.deadline_passes()
        opens(call, TTS)
        assert call.state == "saying_goodbye"
    call.deadline_passes()
    assert call.state == "closing"


def test_a_call_whose_voice_is_lost_ends_without_last_words() -> None:
    call = Call().listening()
    fails(call, TTS, FATAL)
    assert call.state == "closing"


def test_a_recording_during_the_last_words_is_refused() -> None:
    call = saying_goodbye()
    effects = call.happens(facts.RecordingStopped(STOP))
    assert [type(effect) for effect in effects] == [do.Refuse]


# --- a provider that decides about turns ------------------------------------------------------------------


def test_a_provider_that_is_moderately_sure_makes_a_pause() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert call.happens(facts.EagerEndOfTurn(1, "hello")) == [do.NotifyTranscript(1, "hello", 0.0, False)]
    assert call.state == "endpointing"
    call.handle(facts.TurnResumed(1))
    assert call.state == "hearing"


def test_a_provider_that_ends_the_turn_has_it_answered() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    effects = call.happens(facts.EndOfTurn(1, "hello", 0.9))
    assert effects[:3] == [
        do.NotifyTranscript(1, "hello", 0.9, is_final=True),
        do.BeginTurn(2),
        do.StartGeneration(1, (SYSTEM, user("hello"))),
    ]


@pytest.mark.parametrize("fact", [facts.EndOfTurn(1, "hello"), facts.TurnResumed(1)])
def test_in_manual_mode_the_provider_does_not_end_a_turn(fact: facts.Fact) -> None:
    call = Call().listening(MANUAL)
    call.handle(facts.SpeechStarted())
    assert call.happens(fact) == []
    assert call.state == "hearing"
