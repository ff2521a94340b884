"""Links: attempts, retries, what the conversation hears of them, and how each ends."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import RecordingStarted, Role
from machines.policy import ConversationPolicy, LinkPolicy
from tests.machines.calls import FATAL, HUNG_UP, MANUAL, PASSING, TWO_EACH, Call

POLICY = ConversationPolicy(link=LinkPolicy(attempt_timeout_ms=5_000, retry_delays_ms=(100, 200)))
STT = Role.STT


def call() -> Call:
    """A call whose links have two retries."""
    return Call(POLICY)


def link_state(call: Call) -> str:
    return call.system.links[STT].state


def deadline_of_link(call: Call) -> facts.LinkDeadlinePassed:
    number = call.system.links[STT].context.deadline_armed
    assert number is not None
    return facts.LinkDeadlinePassed(STT, number)


def handled(call: Call, fact: facts.Fact) -> tuple[Effect, ...]:
    """The effects of `fact`, without those that only tell the client and the process."""
    told = (do.NotifyLink, do.ReportProviderFailure, do.LogFailure)
    return tuple(effect for effect in call.handle(fact).effects if not isinstance(effect, told))


def test_a_failed_attempt_is_repeated_after_its_delay() -> None:
    trying = call()
    assert handled(trying, facts.LinkFailed(STT, 1, PASSING)) == (do.ArmLinkDeadline(STT, 2, 100),)
    assert link_state(trying) == "waiting"
    assert handled(trying, deadline_of_link(trying)) == (
        do.OpenLink(STT, 2),
        do.ArmLinkDeadline(STT, 3, 5_000),
    )
    assert handled(trying, facts.LinkFailed(STT, 2, PASSING)) == (do.ArmLinkDeadline(STT, 4, 200),)


def test_a_silent_attempt_is_closed_and_repeated() -> None:
    trying = call()
    assert handled(trying, deadline_of_link(trying)) == (
        do.CloseLink(STT, 1),
        do.ArmLinkDeadline(STT, 2, 100),
    )


@pytest.mark.parametrize("silent", [True, False])
def test_when_the_budget_is_used_up_the_call_ends(silent: bool) -> None:
    trying = Call(evolve(POLICY, link=evolve(POLICY.link, budget_ms=6_000)))
    for attempt in (1, 2, 3):
        assert trying.state == "connecting"
        failed = deadline_of_link(trying) if silent else facts.LinkFailed(STT, attempt, PASSING)
        trying.handle(failed, after_ms=2_950 if attempt > 1 else 0)
        if attempt < 3:
            handled(trying, deadline_of_link(trying))
    # A third round would begin one second later, after the budget's end.
    assert link_state(trying) == "DOWN"
    assert trying.state == "closing"


@pytest.mark.parametrize("error_class", facts.ErrorClass)
def test_only_errors_that_may_pass_are_retried(error_class: facts.ErrorClass) -> None:
    trying = call()
    handled(trying, facts.LinkFailed(STT, 1, facts.ProviderFailure(error_class, "no")))
    retried = error_class.value in ("rate_limit", "transient", "connection", "timeout")
    assert link_state(trying) == ("waiting" if retried else "DOWN")


def test_a_lost_link_is_reopened_without_a_word_to_the_caller() -> None:
    trying = call().listening()
    assert trying.happens(facts.LinkFailed(STT, 1, PASSING)) == []
    assert link_state(trying) == "pausing"
    assert trying.happens(deadline_of_link(trying)) == [do.OpenLink(STT, 2)]
    assert trying.happens(facts.LinkOpened(STT, 2)) == []
    assert (link_state(trying), trying.state) == ("UP", "quiet")


def test_a_lost_link_that_cannot_be_reopened_ends_the_call_with_a_word() -> None:
    trying = call().listening()
    handled(trying, facts.LinkFailed(STT, 1, PASSING))
    handled(trying, deadline_of_link(trying))
    handled(trying, facts.LinkFailed(STT, 2, FATAL))
    assert (link_state(trying), trying.state) == ("DOWN", "saying_goodbye")


@pytest.mark.parametrize(("up_ms", "delay_ms"), [(9_999, 200), (10_000, 100)])
def test_a_link_that_lasted_has_all_its_retries_again(up_ms: float, delay_ms: float) -> None:
    trying = call()
    handled(trying, facts.LinkFailed(STT, 1, PASSING))
    handled(trying, deadline_of_link(trying))
    handled(trying, facts.LinkOpened(STT, 2))
    trying.handle(facts.LinkFailed(STT, 2, PASSING), after_ms=up_ms)
    assert trying.last.effects[-1] == do.ArmLinkDeadline(STT, 4, delay_ms)


def test_news_of_an_attempt_that_is_over_is_refused() -> None:
    trying = call()
    handled(trying, deadline_of_link(trying))
    handled(trying, deadline_of_link(trying))
    for fact in (
        facts.LinkOpened(STT, 1),
        facts.LinkFailed(STT, 1, FATAL),
        facts.LinkDeadlinePassed(STT, 1),
    ):
        assert handled(trying, fact) == ()
        assert trying.outcome() is Outcome.REFUSED
    assert link_state(trying) == "opening"


@pytest.mark.parametrize("attempt_is_over", [True, False])
def test_a_released_link_closes_only_what_is_open(attempt_is_over: bool) -> None:
    trying = call()
    if attempt_is_over:
        handled(trying, facts.LinkFailed(STT, 1, PASSING))
    closed = [effect for effect in handled(trying, HUNG_UP) if isinstance(effect, do.CloseLink)]
    assert (do.CloseLink(STT, 1) in closed) is not attempt_is_over


def test_after_its_end_a_link_takes_nothing_more() -> None:
    trying = call()
    handled(trying, HUNG_UP)
    for fact in (
        facts.LinkWanted(STT),
        facts.LinkReleased(STT),
        facts.LinkOpened(STT, 1),
        facts.LinkFailed(STT, 1, FATAL),
    ):
        assert handled(trying, fact) == ()
        assert trying.outcome() is Outcome.IGNORED
    down = call()
    handled(down, facts.LinkFailed(STT, 1, FATAL))
    assert handled(down, facts.LinkFailed(STT, 1, FATAL)) == ()
    assert down.outcome() is Outcome.IGNORED


def test_a_link_that_opens_and_dies_at_once_is_not_reopened_without_end() -> None:
    trying = call().listening()
    attempt = 1
    while link_state(trying) == "UP":
        trying.handle(facts.LinkFailed(STT, attempt, PASSING))
        waits = [each for each in trying.last.effects if isinstance(each, do.ArmLinkDeadline)]
        if waits:
            trying.handle(deadline_of_link(trying), after_ms=waits[0].delay_ms)
            attempt += 1
            handled(trying, facts.LinkOpened(STT, attempt))
    assert (link_state(trying), trying.state) == ("DOWN", "saying_goodbye")
    assert attempt < 12


# --- another language -------------------------------------------------------------------------------------


def test_a_link_is_opened_anew_in_another_language_and_nobody_is_blamed() -> None:
    speaking = call().listening()
    effects = speaking.handle(facts.LanguageChanged("de")).effects
    assert [each for each in effects if isinstance(each, do.CloseLink | do.OpenLink)] == [
        do.CloseLink(STT, 1),
        do.OpenLink(STT, 2),
        do.CloseLink(Role.TTS, 1),
        do.OpenLink(Role.TTS, 2),
    ]
    assert not [each for each in effects if isinstance(each, do.ReportProviderFailure)]


def test_a_start_in_another_language_is_acknowledged_when_the_links_are_up() -> None:
    speaking = call().listening()
    speaking.handle(facts.LanguageChanged("de"))
    request = facts.Request("audio.input.start", "again")
    assert do.Acknowledge(request) not in speaking.handle(RecordingStarted(MANUAL, request)).effects
    assert do.Acknowledge(request) not in speaking.handle(facts.LinkOpened(STT, 2)).effects
    assert do.Acknowledge(request) in speaking.handle(facts.LinkOpened(Role.TTS, 2)).effects


def test_a_start_in_another_language_is_refused_when_the_call_ends_before_the_links_are_up() -> None:
    speaking = call().listening()
    speaking.handle(facts.LanguageChanged("de"))
    request = facts.Request("audio.input.start", "again")
    speaking.handle(RecordingStarted(MANUAL, request))
    refused = [each for each in speaking.handle(HUNG_UP).effects if isinstance(each, do.Refuse)]
    assert [each.request for each in refused] == [request]


def test_what_is_being_said_is_not_cut_off_by_another_language() -> None:
    answering = call().speaking()
    effects = answering.handle(facts.LanguageChanged("de")).effects
    assert do.CloseLink(Role.TTS, 1) not in effects
    number = answering.memory.answer.speech_open
    assert number is not None
    effects = answering.handle(facts.PlaybackFinished(number)).effects
    assert do.CloseLink(Role.TTS, 1) in effects


def test_the_last_provider_that_knows_the_language_is_not_given_up_for_one_that_does_not() -> None:
    two = Call(POLICY, TWO_EACH).listening()
    effects = two.handle(facts.LanguageChanged("de", unable_stt=(0,))).effects
    assert do.OpenLink(STT, 2, 1) in effects
    assert do.OpenLink(STT, 3, 0) not in two.handle(facts.LinkFailed(STT, 2, PASSING)).effects
    assert link_state(two) == "pausing"


def test_a_language_that_only_refused_providers_know_ends_the_call() -> None:
    two = Call(POLICY, TWO_EACH).listening()
    two.handle(facts.LinkFailed(STT, 1, FATAL))
    two.handle(facts.LinkOpened(STT, 2))
    two.handle(facts.LanguageChanged("de", unable_stt=(1,)))
    assert link_state(two) == "DOWN"


# --- idle links -------------------------------------------------------------------------------------------

IDLE = facts.ProviderFailure(facts.ErrorClass.CONNECTION, "closed with 1000", idle=True)


def test_an_idle_link_that_is_closed_blames_nobody_and_stays_closed() -> None:
    quiet = call().listening()
    assert quiet.handle(facts.LinkFailed(STT, 1, IDLE)).effects == ()
    assert link_state(quiet) == "dormant"
    assert STT in quiet.memory.links.up, "the conversation goes on as before"


@pytest.mark.parametrize("fact", [facts.SpeechStarted(), facts.RecordingStopped(), RecordingStarted(MANUAL)])
def test_an_idle_link_is_opened_when_the_caller_says_something(fact: facts.Fact) -> None:
    quiet = call().listening()
    quiet.handle(facts.LinkFailed(STT, 1, IDLE))
    assert do.OpenLink(STT, 2) in quiet.handle(fact).effects


def test_an_idle_voice_is_opened_when_the_model_is_asked() -> None:
    waiting = call().finalizing()
    waiting.handle(facts.LinkFailed(Role.TTS, 1, IDLE))
    awaited = waiting.memory.turns.awaited
    assert awaited is not None
    effects = waiting.handle(facts.TranscriptFinal(awaited, "well")).effects
    assert do.OpenLink(Role.TTS, 2) in effects


def test_an_idle_link_that_does_not_open_again_has_failed() -> None:
    quiet = call().listening()
    quiet.handle(facts.LinkFailed(STT, 1, IDLE))
    quiet.handle(facts.SpeechStarted())
    effects = quiet.handle(facts.LinkFailed(STT, 2, PASSING)).effects
    assert do.ReportProviderFailure(STT, 0, PASSING) in effects
    assert STT not in quiet.memory.links.up
