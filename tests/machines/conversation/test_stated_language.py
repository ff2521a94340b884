"""The language that the caller states in a call decides about words, as one known from the beginning does."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import facts
from machines.facts import Role
from tests.machines.calls import AUTOMATIC, POLICY, Call

TEXT = "Das ist eine lange Antwort, die noch eine ganze Weile dauert."


def german(known: str) -> Call:
    """A call in German: known before it, or stated in it."""
    if known == "before":
        return Call(evolve(POLICY, language="de-DE")).listening(AUTOMATIC)
    call = Call(evolve(POLICY, language="en-US"))
    if known == "during the call":
        call.listening(AUTOMATIC)
    call.handle(facts.LanguageChanged("de-DE"))
    for role in (Role.STT, Role.TTS):
        call.handle(facts.LinkOpened(role, 2))
    if known == "while connecting":
        call.handle(facts.LinkOpened(Role.LLM, 1))
        call.handle(facts.RecordingStarted(AUTOMATIC))
    assert call.state == "quiet"
    return call


KNOWN = pytest.mark.parametrize("known", ["before", "while connecting", "during the call"])


@KNOWN
def test_a_backchannel_of_the_stated_language_does_not_interrupt(known: str) -> None:
    call = german(known)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(700))
    call.deadline_passes()
    assert call.memory.turns.awaited is not None
    call.handle(facts.TranscriptFinal(call.memory.turns.awaited, "Hallo.", 0.9, 700))
    call.segment(0, TEXT)
    call.voiced(0, *TEXT.split())
    call.plays()
    call.handle(facts.SpeechStarted(), after_ms=200)
    call.handle(facts.SpeechStopped(400), after_ms=400)
    assert call.memory.turns.awaited is not None
    call.handle(facts.TranscriptFinal(call.memory.turns.awaited, "Genau.", 0.95, 400))
    assert call.state == "speaking"


@KNOWN
def test_an_unfinished_phrase_of_the_stated_language_is_waited_for(known: str) -> None:
    call = german(known)
    call.handle(facts.SpeechStarted())
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "Ich möchte einen", 0.95))
    call.handle(facts.SpeechStopped(900))
    began = call.now
    call.deadline_passes()
    assert call.now - began == POLICY.endpoint_delay_ms + POLICY.unfinished_delay_ms
