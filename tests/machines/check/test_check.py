"""The exhaustive check finds seeded faults: each breaks the invariant that is about it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from machines import effects as do
from machines import facts
from machines.check import (
    Report,
    walk_answers,
    walk_host,
    walk_one_link,
    walk_queue,
    walk_turns,
)
from machines.check.invariants import INVARIANTS, CheckedStep, every_request_is_answered_once
from machines.conversation import generation, heard_history, speech
from machines.conversation.context import Context
from machines.conversation.machine import Conversation
from machines.facts import Fact
from machines.link import Link
from machines.playback_ledger import PlaybackLedger


@pytest.mark.slow
def test_the_same_walk_sees_the_same() -> None:
    assert walk_one_link() == walk_one_link()


# --- seeded faults are found ------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def an_ignored_pair_is_forgotten(patch: Patch) -> None:
    left = tuple(each for each in Conversation.IGNORED if each.event != "speech_stopped")
    patch.setattr(Conversation, "IGNORED", left)


def the_voided_generation_goes_on(patch: Patch) -> None:
    def keep(self: Conversation) -> None:
        self.context.answer.requests = 0

    patch.setattr(Conversation, "void_answer", keep)


def the_interrupted_voice_goes_on(patch: Patch) -> None:
    def keep(self: Conversation, fact: Fact) -> None:
        speech.end_speech(self.context, fact.at_ms)

    patch.setattr(Conversation, "interrupt_answer", keep)


def thinking_lasts_for_ever(patch: Patch) -> None:
    patched = Conversation.deadline_ms

    def deadline_ms(self: Conversation, state: str, at_ms: float) -> float | None:
        return None if state == "generating" else patched(self, state, at_ms)

    patch.setattr(Conversation, "deadline_ms", deadline_ms)


def closing_lasts_for_ever(patch: Patch) -> None:
    def stale(self: Conversation, fact: Fact) -> str | None:
        return "nothing is ever closed" if fact.name in ("everything_closed", "deadline_passed") else None

    patch.setattr(Conversation, "stale", stale)


def history_keeps_what_was_said(patch: Patch) -> None:
    patched = heard_history.commit

    def commit(context: Context, at_ms: float) -> None:
        context.answer.ledger.all_heard = True
        patched(context, at_ms)

    patch.setattr(speech, "commit", commit)


def late_segments_are_spoken(patch: Patch) -> None:
    patched = Conversation.stale

    def stale(self: Conversation, fact: Fact) -> str | None:
        return None if fact.name == "segment_ready" else patched(self, fact)

    patch.setattr(Conversation, "stale", stale)


def the_stop_is_acknowledged_twice(patch: Patch) -> None:
    def acknowledge(self: Conversation) -> None:
        self.context.ask(*(do.Acknowledge(request) for request in self.context.recording.unanswered))

    patch.setattr(Conversation, "acknowledge", acknowledge)


def the_model_is_asked_while_it_answers(patch: Patch) -> None:
    def begin_answer(self: Conversation, fact: facts.SegmentReady) -> None:
        speech.open_speech(self.context, fact.at_ms, replying=True)
        self.context.ask(do.StartGeneration(self.context.answer.generation + 100, ()))

    patch.setattr(Conversation, "begin_answer", begin_answer)


def links_are_left_open(patch: Patch) -> None:
    patch.setattr(Link, "close", lambda self: None)


def a_silent_change_of_state(patch: Patch) -> None:
    patch.setattr(Conversation, "entered", lambda self, source_room, room, state, fact: None)


def a_guard_breaks(patch: Patch) -> None:
    patch.setattr(Conversation, "understood", lambda self, fact: fact.no_such_thing)


def a_fact_of_an_earlier_attempt_is_believed(patch: Patch) -> None:
    patched = Conversation.stale

    def stale(self: Conversation, fact: Fact) -> str | None:
        reason = patched(self, fact)
        return None if reason is not None and reason.startswith("attempt") else reason

    patch.setattr(Conversation, "stale", stale)


def everything_is_said_again(patch: Patch) -> None:
    def cut(self: PlaybackLedger, voiced_ms: float) -> tuple[tuple[int, str], ...]:
        return tuple((number, segment.text) for number, segment in enumerate(self.segments))

    patch.setattr(PlaybackLedger, "cut", cut)


def a_broken_segment_is_said_again_from_its_start(patch: Patch) -> None:
    patched = PlaybackLedger.cut
    patch.setattr(PlaybackLedger, "cut", lambda self, voiced_ms: patched(self, 0.0))


def a_continued_answer_begins_anew(patch: Patch) -> None:
    patch.setattr(Conversation, "already_said", lambda self, fact: False)


def silent_stt_is_trusted(patch: Patch) -> None:
    patch.setattr(Conversation, "stt_silent", lambda self: False)


def the_apology_is_forgotten(patch: Patch) -> None:
    patch.setattr(Conversation, "recording_on", lambda self: not self.context.turns.interim)


def saying_goodbye_lasts_for_ever(patch: Patch) -> None:
    patched = Conversation.deadline_ms

    def deadline_ms(self: Conversation, state: str, at_ms: float) -> float | None:
        return None if state == "saying_goodbye" else patched(self, state, at_ms)

    patch.setattr(Conversation, "deadline_ms", deadline_ms)


def links_are_moved_at_once(patch: Patch) -> None:
    def note_recovered(self: Conversation, fact: facts.PreferredProviderRecovered) -> None:
        self.context.ask(do.ReturnLink(fact.role, fact.provider))

    patch.setattr(Conversation, "note_recovered", note_recovered)


def the_paused_answer_is_forgotten(patch: Patch) -> None:
    patch.setattr(Conversation, "resume_speech", lambda self: None)


def a_speculative_answer_is_said_at_once(patch: Patch) -> None:
    def keep_speculative_segment(self: Conversation, fact: facts.SegmentReady) -> None:
        self.context.ask(do.Speak(fact.generation, fact.segment, fact.text))

    patch.setattr(Conversation, "keep_speculative_segment", keep_speculative_segment)


def the_model_speculates_again_and_again(patch: Patch) -> None:
    patch.setattr(Conversation, "can_speculate", lambda self, fact: True)


def the_end_of_a_speculative_answer_is_told(patch: Patch) -> None:
    def drop_speculation(self: Conversation) -> None:
        generation.void_generation(self.context)
        self.forget_speculation()

    patch.setattr(Conversation, "drop_speculation", drop_speculation)


def the_speculative_answer_is_kept_while_the_caller_goes_on(patch: Patch) -> None:
    patched = Conversation.drop_speculation

    def drop_speculation(self: Conversation) -> None:
        if self.state != "finalizing":
            patched(self)

    patch.setattr(Conversation, "drop_speculation", drop_speculation)


def speech_in_advance_is_left_behind(patch: Patch) -> None:
    patched = Conversation._forget

    def _forget(self: Conversation) -> None:
        self.context.speculation.prepared = None
        patched(self)

    patch.setattr(Conversation, "_forget", _forget)


def speech_in_advance_is_dropped_again(patch: Patch) -> None:
    patched = Conversation._forget

    def _forget(self: Conversation) -> None:
        patched(self)
        self.context.ask(do.DropSpeech(self.context.answer.generation))

    patch.setattr(Conversation, "_forget", _forget)


def what_is_protected_is_cut_off(patch: Patch) -> None:
    patch.setattr(Conversation, "interruptible", lambda self: self.context.policy.barge_in)


def what_the_host_says_becomes_history(patch: Patch) -> None:
    patched = speech.open_speech
    patch.setattr(
        speech, "open_speech", lambda context, at_ms, *, replying: patched(context, at_ms, replying=True)
    )


def turns_that_wait_are_never_answered(patch: Patch) -> None:
    patch.setattr(Conversation, "turns_wait", lambda self: False)


def queued_turns_are_not_waited_for(patch: Patch) -> None:
    patched = Conversation.deadline_ms

    def deadline_ms(self: Conversation, state: str, at_ms: float) -> float | None:
        return None if state == "quiet" else patched(self, state, at_ms)

    patch.setattr(Conversation, "deadline_ms", deadline_ms)


def failures_of_providers_are_forgotten(patch: Patch) -> None:
    patch.setattr(Link, "note_failure", lambda self, fact: None)


def a_provider_that_fails_again_is_returned_to(patch: Patch) -> None:
    patch.setattr(Link, "still_preferred", Link.is_preferred)


@functools.wraps(every_request_is_answered_once)
def every_timely_request_is_answered_once(checked: CheckedStep) -> str | None:
    """`every_request_is_answered_once`, except for requests after the end, where it is known to fail."""
    return None if checked.before.over else every_request_is_answered_once(checked)


TIMELY = tuple(
    every_timely_request_is_answered_once if each is every_request_is_answered_once else each
    for each in INVARIANTS
)
Fault = Callable[[Patch], None]
OF_ANSWERS: dict[Fault, str] = {
    an_ignored_pair_is_forgotten: "every_pair_is_declared",
    the_voided_generation_goes_on: "nothing_is_generated_outside_answering",
    the_interrupted_voice_goes_on: "nothing_is_generated_outside_answering",
    thinking_lasts_for_ever: "every_state_but_quiet_has_a_deadline",
    history_keeps_what_was_said: "history_holds_only_heard_words",
    late_segments_are_spoken: "nothing_is_said_for_a_voided_generation",
    the_stop_is_acknowledged_twice: "every_request_is_answered_once",
    the_model_is_asked_while_it_answers: "one_generation_and_one_utterance_at_most",
    a_silent_change_of_state: "clients_are_told_of_every_state_change",
    a_guard_breaks: "no_fact_raises",
    a_fact_of_an_earlier_attempt_is_believed: "facts_of_other_attempts_are_ignored",
    everything_is_said_again: "voiced_segments_are_not_said_again",
    a_broken_segment_is_said_again_from_its_start: "voiced_segments_are_not_said_again",
    a_continued_answer_begins_anew: "a_continued_answer_repeats_nothing",
    silent_stt_is_trusted: "silent_stt_is_replaced",
    the_apology_is_forgotten: "a_caller_who_was_not_understood_is_told",
    saying_goodbye_lasts_for_ever: "every_state_but_quiet_has_a_deadline",
    links_are_moved_at_once: "a_link_is_moved_back_only_in_quiet",
}
OF_TURNS: dict[Fault, str] = {
    the_paused_answer_is_forgotten: "speech_is_paused_only_while_an_interruption_is_examined",
    a_speculative_answer_is_said_at_once: "nothing_is_said_while_the_caller_has_the_word",
    the_model_speculates_again_and_again: "speculative_requests_are_bounded",
    the_end_of_a_speculative_answer_is_told: "ended_answers_were_started",
    the_speculative_answer_is_kept_while_the_caller_goes_on: (
        "a_caller_who_goes_on_voids_the_speculative_answer"
    ),
    speech_in_advance_is_left_behind: "speech_is_prepared_only_for_a_speculative_answer",
    speech_in_advance_is_dropped_again: "only_prepared_speech_is_dropped",
}
OF_QUEUES: dict[Fault, str] = {
    turns_that_wait_are_never_answered: "queued_turns_are_answered_first",
    queued_turns_are_not_waited_for: "every_state_but_quiet_has_a_deadline",
}
OF_HOSTS: dict[Fault, str] = {
    what_is_protected_is_cut_off: "protected_speech_is_not_interrupted",
    what_the_host_says_becomes_history: "history_holds_only_replies",
}
PROVIDER_MUTANTS: dict[Fault, str] = {
    failures_of_providers_are_forgotten: "no_failed_provider_is_tried_twice_in_a_round",
    a_provider_that_fails_again_is_returned_to: "no_failed_provider_is_tried_twice_in_a_round",
}
LINK_MUTANTS: dict[Fault, str] = {
    closing_lasts_for_ever: "the_end_can_be_reached",
    links_are_left_open: "no_link_is_left_at_the_end",
}
SEEDED = [
    *((fault, name, walk_answers) for fault, name in OF_ANSWERS.items()),
    *((fault, name, walk_turns) for fault, name in OF_TURNS.items()),
    *((fault, name, walk_queue) for fault, name in OF_QUEUES.items()),
    *((fault, name, walk_host) for fault, name in OF_HOSTS.items()),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "invariant", "walk"), SEEDED, ids=[str(each[0].__name__) for each in SEEDED]
)
def test_a_seeded_fault_is_found(
    fault: Fault, invariant: str, walk: Callable[..., Report], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    report = walk(TIMELY, stop_at_violation=True)
    assert invariant in {each.invariant for each in report.violations}
    assert str(report.violations[0]).startswith(report.violations[0].invariant)


@pytest.mark.slow
@pytest.mark.parametrize("fault", LINK_MUTANTS, ids=lambda fault: str(fault.__name__))
def test_a_seeded_fault_of_links_and_endings_is_found(fault: Fault, monkeypatch: Patch) -> None:
    fault(monkeypatch)
    assert LINK_MUTANTS[fault] in {each.invariant for each in walk_one_link().violations}


@pytest.mark.parametrize("fault", PROVIDER_MUTANTS, ids=lambda fault: str(fault.__name__))
def test_a_seeded_fault_of_failover_is_found(fault: Fault, monkeypatch: Patch) -> None:
    fault(monkeypatch)
    found = {each.invariant for each in walk_one_link(stop_at_violation=True, providers=2).violations}
    assert PROVIDER_MUTANTS[fault] in found
