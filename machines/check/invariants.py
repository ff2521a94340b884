"""The invariants: what must hold at every moment of every call. Each says what is wrong, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import frozen

from machines import effects as do
from machines.check.books import Books, Entry
from machines.context import Context
from machines.declarations import Outcome, Step
from machines.history import Message, Speaker

CONVERSATION = "conversation"
E = TypeVar("E", bound=do.Effect)


@frozen
class Moment:
    """One fact handled: the steps it led to, line by line in the books, and where the call is now."""

    steps: tuple[Step, ...]
    lines: tuple[Entry, ...]
    before: Books
    after: Books
    state: str
    room: str
    context: Context
    history_before: tuple[Message, ...]

    def each(self, kind: type[E]) -> Iterator[tuple[Books, E]]:
        """The effects of a kind, each with the books as they stood before it."""
        for line in self.lines:
            if isinstance(line.item, kind):
                yield line.books, line.item


Invariant = Callable[[Moment], str | None]


def every_pair_is_declared(moment: Moment) -> str | None:
    """No fact may meet a state in which nobody said what it means."""
    for step in moment.steps:
        if step.outcome is Outcome.UNDECLARED:
            return f"{step.machine}: {step.reason}"
    return None


def every_state_but_quiet_has_a_deadline(moment: Moment) -> str | None:
    """A deadline is armed unless only the caller is waited for, or everything is over."""
    armed = sum(machine == CONVERSATION for machine, _ in moment.after.deadlines)
    owed = moment.context.queue or moment.context.turns_queued
    wanted = 0 if moment.state == "ended" or (moment.state == "quiet" and not owed) else 1
    return None if armed == wanted else f"{armed} deadlines are armed in {moment.state}"


def no_refused_deadline_is_waited_for(moment: Moment) -> str | None:
    """The deadline that is armed outside is the one that the machine will accept."""
    armed = {number for machine, number in moment.after.deadlines if machine == CONVERSATION}
    known = set() if moment.context.deadline_armed is None else {moment.context.deadline_armed}
    return None if armed == known else f"deadline {armed} is armed, the machine awaits {known}"


def one_generation_and_one_utterance_at_most(moment: Moment) -> str | None:
    """The model is asked for one answer at a time, and one voice speaks."""
    for books, _ in moment.each(do.StartGeneration):
        if books.generating:
            return f"asked again while generation {set(books.generating)} is open"
    for books, speak in moment.each(do.Speak):
        if books.speaking - {speak.generation}:
            return f"speaks while utterance {set(books.speaking)} is open"
    return None


def nothing_is_generated_outside_answering(moment: Moment) -> str | None:
    """Whoever leaves THINKING and RESPONDING has stopped the model and the voice, or both have ended."""
    if moment.room in ("THINKING", "RESPONDING"):
        return None
    if moment.after.generating:
        return f"generation {set(moment.after.generating)} goes on in {moment.state}"
    if moment.after.speaking and moment.state != "parting":
        return f"utterance {set(moment.after.speaking)} goes on in {moment.state}"
    return None


def something_is_said_in_responding(moment: Moment) -> str | None:
    """RESPONDING holds an utterance that can end."""
    if (moment.room == "RESPONDING" or moment.state == "parting") and not moment.after.speaking:
        return f"nothing is being said in {moment.state}"
    return None


def nothing_is_said_for_a_voided_generation(moment: Moment) -> str | None:
    """What was cancelled or stopped is never spoken, finished or generated again."""
    for books, speak in moment.each(do.Speak):
        if speak.generation in books.voided:
            return f"speaks for generation {speak.generation}, which was voided"
    for books, start in moment.each(do.StartGeneration):
        if start.generation in books.asked | books.voided:
            return f"generation number {start.generation} is used twice"
    return None


def only_what_is_open_is_stopped(moment: Moment) -> str | None:
    """StopSpeech and FinishSpeech name the utterance being spoken, CloseLink a link that is open."""
    for books, stop in moment.each(do.StopSpeech):
        if stop.generation not in books.speaking:
            return f"stops utterance {stop.generation}, which is not being spoken"
    for books, finish in moment.each(do.FinishSpeech):
        if finish.generation not in books.speaking:
            return f"finishes utterance {finish.generation}, which is not being spoken"
    for books, close in moment.each(do.CloseLink):
        if (close.role, close.attempt) not in books.links:
            return f"closes the {close.role.value} link's attempt {close.attempt}, which is not open"
    return None


def one_attempt_per_link(moment: Moment) -> str | None:
    """A link is opened again only when its last attempt was closed or failed."""
    for books, attempt in moment.each(do.OpenLink):
        if any(role is attempt.role for role, _ in books.links):
            return f"opens the {attempt.role.value} link, which is open already"
    return None


def no_link_is_left_at_the_end(moment: Moment) -> str | None:
    """When the conversation was told to close, every link attempt was closed or had failed."""
    if moment.after.over and moment.after.links:
        return f"left open: {sorted((role.value, attempt) for role, attempt in moment.after.links)}"
    return None


def every_request_is_answered_once(moment: Moment) -> str | None:
    """Each request gets exactly one of Acknowledge and Refuse, at the latest when the call is over."""
    answers: tuple[tuple[Books, do.Acknowledge | do.Refuse], ...] = (
        *moment.each(do.Acknowledge),
        *moment.each(do.Refuse),
    )
    for books, answer in answers:
        if answer.request not in books.waiting:
            return f"answers {answer.request.event_type}, which does not wait"
    if moment.after.over and moment.after.waiting:
        return f"{len(moment.after.waiting)} request(s) without an answer in {moment.state}"
    return None


def history_alternates(moment: Moment) -> str | None:
    """The history is a sequence of exchanges: the caller's words, then what was heard of the answer."""
    speakers = [message.speaker for message in moment.context.history]
    if speakers != [Speaker.USER, Speaker.ASSISTANT] * (len(speakers) // 2):
        return f"history is {[speaker.value for speaker in speakers]}"
    if any(not message.text for message in moment.context.history):
        return "history holds an empty message"
    return None


def history_holds_only_heard_words(moment: Moment) -> str | None:
    """A new answer in the history begins like what was said, and goes no further than what was heard."""
    if moment.context.history == moment.history_before:
        return None
    # After an answer that was stopped, another may have begun within the same step.
    books = next((before for before, _ in moment.each(do.StopSpeech)), moment.after)
    at_ms = moment.steps[-1].fact.at_ms
    answer, whole = moment.context.history[-1].text, " ".join(text for text in books.said if text)
    if books.heard_all:
        return None if answer == whole else f"all of {whole!r} was heard, history holds {answer!r}"
    if not whole.startswith(answer):
        return f"history holds {answer!r}, said was {whole!r}"
    if books.heard_ms(at_ms) <= 0:
        return f"nothing was heard, history holds {answer!r}"
    return None


def state_changes_are_told(moment: Moment) -> str | None:
    """Every change of the state is told to the client, and nothing else is told as one."""
    for step in moment.steps:
        told = [effect for effect in step.effects if isinstance(effect, do.TellState)]
        moved = step.machine == CONVERSATION and step.source != step.target
        if [effect.substate for effect in told] != [step.target] * moved:
            return f"{step.source} to {step.target} was told as {told}"
    return None


def nothing_happens_after_the_end(moment: Moment) -> str | None:
    """Once closing has begun, only abandoning what is left remains to be asked for."""
    allowed = (do.AbandonConversation, do.TellState, do.ArmDeadline, do.DisarmDeadline, do.Refuse)
    for line in moment.lines:
        late = line.books.over and line.machine == CONVERSATION and isinstance(line.item, do.Effect)
        if late and not isinstance(line.item, allowed):
            return f"{line.item.name} after the conversation was told to close"
    return None


INVARIANTS: tuple[Invariant, ...] = (
    every_pair_is_declared,
    every_state_but_quiet_has_a_deadline,
    no_refused_deadline_is_waited_for,
    one_generation_and_one_utterance_at_most,
    nothing_is_generated_outside_answering,
    something_is_said_in_responding,
    nothing_is_said_for_a_voided_generation,
    only_what_is_open_is_stopped,
    one_attempt_per_link,
    no_link_is_left_at_the_end,
    every_request_is_answered_once,
    history_alternates,
    history_holds_only_heard_words,
    state_changes_are_told,
    nothing_happens_after_the_end,
)
