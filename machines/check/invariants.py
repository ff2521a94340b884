"""The invariants: what must hold at every moment of every call. Each returns what is wrong, or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

from attrs import frozen

from machines import effects as do
from machines import facts
from machines.check.observer import Entry, ObservedState
from machines.conversation.context import Context, Continuation
from machines.conversation.deadlines import AFTER_AUDIO
from machines.conversation.deadlines import longest_ms as longest_in_conversation_ms
from machines.declarations import Outcome, Step
from machines.driver import SLACK_MS
from machines.effects import Effect
from machines.facts import Fact, TurnMode
from machines.history import Message, Speaker
from machines.language.scripts import joined
from machines.link import longest_ms as longest_of_link_ms
from machines.tools import OnInterruption

CONVERSATION = "conversation"
SPECULATIVE = frozenset({"speculating", "finalizing"})
"""The states of a speculative answer."""
LISTENING = frozenset({"quiet", "hearing", "endpointing", "speculating", "keypad", "finalizing"})
HOSTS_TEXT = "By the way."
"""The text of every host utterance in the check."""
BY_HAND = facts.InterruptRequested | facts.SayRequested
"""Facts that interrupt an answer by other means than voice."""
FIRST_WORD_MS = 600
"""Audio this long holds at least one whole word. In less, the first word may have been cut and is said
again."""
E = TypeVar("E", bound=do.Effect)


@frozen
class CheckedStep:
    """One fact and all that it led to: the steps, what an observer saw, and where the call is now."""

    steps: tuple[Step, ...]
    lines: tuple[Entry, ...]
    before: ObservedState
    after: ObservedState
    state: str
    room: str
    context: Context
    history_before: tuple[Message, ...]
    kinds: frozenset[type[Fact | Effect]]
    """The classes of all facts and effects in `lines`: most invariants can be skipped by them."""

    def each(self, kind: type[E]) -> Iterator[tuple[ObservedState, E]]:
        """The effects of one class, each with the observed state before it."""
        if kind in self.kinds:
            for line in self.lines:
                if isinstance(line.item, kind):
                    yield line.observed, line.item

    def each_step(self) -> Iterator[tuple[ObservedState, Step]]:
        """The steps, each with the observed state before its fact."""
        line = 0
        for step in self.steps:
            yield self.lines[line].observed, step
            line += 1 + len(step.effects)


Invariant = Callable[[CheckedStep], str | None]


def about(*kinds: type[Fact | Effect]) -> Callable[[Invariant], Invariant]:
    """Check the invariant only after one of these facts or effects: nothing else can break it."""

    def mark(invariant: Invariant) -> Invariant:
        invariant.kinds = frozenset(kinds)  # type: ignore[attr-defined]
        return invariant

    return mark


def kinds_of(invariant: Invariant) -> frozenset[type[Fact | Effect]] | None:
    """The classes of facts and effects that can break the invariant; None: any."""
    return getattr(invariant, "kinds", None)


def every_pair_is_declared(checked: CheckedStep) -> str | None:
    """Every pair of a state and a fact is declared, as a transition or as ignored."""
    for step in checked.steps:
        if step.outcome is Outcome.UNDECLARED:
            return f"{step.machine}: {step.reason}"
    return None


def every_state_but_quiet_has_a_deadline(checked: CheckedStep) -> str | None:
    """Exactly one deadline is armed in each state, unless only the caller is waited for, or all is over."""
    armed = sum(machine == CONVERSATION for machine, _ in checked.after.deadlines)
    wanted = checked.state != "ended" and (checked.state != "quiet" or _something_is_due(checked.context))
    return None if armed == wanted else f"{armed} deadlines are armed in {checked.state}"


def _something_is_due(context: Context) -> bool:
    """Whether something happens in `quiet` without the caller: words, texts or results wait, or time runs."""
    automatic = context.recording.mode is TurnMode.AUTOMATIC
    speaks = context.turns.continuation is Continuation.SPEAKING
    greets = bool(context.policy.greeting) and not context.turns.greeted
    # Nothing of ours is due while the caller has the word.
    wanted = (
        greets or bool(context.host_utterances) or context.tools.results_owed or bool(context.calls_waiting())
    )
    # Clients start their first recording by themselves: that alone does not give the caller the word.
    has_word = not automatic and context.recording.on and not context.recording.first_recording
    own = wanted and not speaks and not has_word
    by_time = automatic and (speaks or context.policy.idle_after_ms > 0)
    waits = context.turns.queue or context.turns.queued or context.turns.digits
    return bool(waits) or own or by_time


def the_armed_deadline_is_the_awaited_one(checked: CheckedStep) -> str | None:
    """The deadline that is armed outside is the one that the machine waits for."""
    armed = {number for machine, number in checked.after.deadlines if machine == CONVERSATION}
    known = set() if checked.context.deadline_armed is None else {checked.context.deadline_armed}
    return None if armed == known else f"deadline {armed} is armed, the machine awaits {known}"


@about(do.StartGeneration, do.Speak)
def one_generation_and_one_utterance_at_most(checked: CheckedStep) -> str | None:
    """At most one generation and at most one utterance are open at a time."""
    for observed, _ in checked.each(do.StartGeneration):
        if observed.generating:
            return f"asked again while generation {set(observed.generating)} is open"
    for observed, speak in checked.each(do.Speak):
        if observed.speaking - {speak.generation}:
            return f"speaks while utterance {set(observed.speaking)} is open"
    return None


def nothing_is_generated_outside_answering(checked: CheckedStep) -> str | None:
    """Outside THINKING and RESPONDING only a speculative answer is generated and only last words are said."""
    if checked.room in ("THINKING", "RESPONDING"):
        return None
    if checked.after.generating and checked.state not in SPECULATIVE:
        return f"generation {set(checked.after.generating)} goes on in {checked.state}"
    if checked.after.speaking and checked.state != "saying_goodbye":
        return f"utterance {set(checked.after.speaking)} goes on in {checked.state}"
    return None


def a_caller_who_goes_on_voids_the_speculative_answer(checked: CheckedStep) -> str | None:
    """Once the caller speaks or records again, nothing of a speculative answer is left that could be said."""
    if checked.state != "finalizing" or checked.context.turns.continuation is Continuation.NONE:
        return None
    if checked.after.generating or checked.after.prepared or checked.context.speculation.segments:
        return "a speculative answer is kept, though the caller goes on"
    return None


def speech_is_prepared_only_for_a_speculative_answer(checked: CheckedStep) -> str | None:
    """Speech that was synthesized in advance is said or dropped when the speculative answer is."""
    if len(checked.after.prepared) > (checked.state in SPECULATIVE):
        return f"speech of answers {set(checked.after.prepared)} is prepared in {checked.state}"
    return None


@about(do.PrepareSpeech, do.DropSpeech)
def only_prepared_speech_is_dropped(checked: CheckedStep) -> str | None:
    """DropSpeech names speech that was prepared. Only an answer that is being generated is prepared."""
    for observed, prepare in checked.each(do.PrepareSpeech):
        if prepare.generation not in observed.generating:
            return f"speech of answer {prepare.generation} is prepared, which is not being generated"
    for observed, drop in checked.each(do.DropSpeech):
        if drop.generation not in observed.prepared:
            return f"speech of answer {drop.generation} is dropped, which was not prepared"
    return None


@about(do.Speak)
def nothing_is_said_while_the_caller_has_the_word(checked: CheckedStep) -> str | None:
    """Nothing is said in LISTENING: a speculative answer is not heard before the turn is over."""
    for step in checked.steps:
        said = any(isinstance(effect, do.Speak) for effect in step.effects)
        if said and step.target in LISTENING:
            return f"something is said in {step.target}"
    return None


@about(do.StartGeneration)
def speculative_requests_are_bounded(checked: CheckedStep) -> str | None:
    """In each turn no more speculative answers are asked for than the policy allows."""
    allowed = checked.context.policy.speculations
    if checked.after.speculations > allowed:
        return f"asked {checked.after.speculations} times before the end of a turn, {allowed} allowed"
    return None


@about(do.NotifyAnswerEnded)
def ended_answers_were_started(checked: CheckedStep) -> str | None:
    """Clients are told of the end of an answer only once, and only after they were told of its start."""
    for observed, ended in checked.each(do.NotifyAnswerEnded):
        if ended.generation not in observed.started:
            return f"the end of answer {ended.generation} is told, which is over or was never told of"
    return None


def speech_is_paused_only_while_an_interruption_is_examined(checked: CheckedStep) -> str | None:
    """An answer is paused in `paused` and `confirming`, and in no other state."""
    if checked.after.paused != (checked.state in ("paused", "confirming")):
        return f"the answer is {'paused' if checked.after.paused else 'not paused'} in {checked.state}"
    return None


@about(do.NotifyInterrupted)
def protected_speech_is_not_interrupted(checked: CheckedStep) -> str | None:
    """The caller's voice does not interrupt an answer that is protected."""
    for step in checked.steps:
        by_hand = isinstance(step.fact, BY_HAND)
        cut = any(isinstance(effect, do.NotifyInterrupted) for effect in step.effects)
        if cut and not by_hand and checked.context.answer.protected and not checked.after.speaking:
            return f"{step.fact.name} cut off what may not be interrupted"
    return None


def something_is_said_in_responding(checked: CheckedStep) -> str | None:
    """In RESPONDING and `saying_goodbye` an utterance is open."""
    if (checked.room == "RESPONDING" or checked.state == "saying_goodbye") and not checked.after.speaking:
        return f"nothing is being said in {checked.state}"
    return None


@about(do.Speak, do.StartGeneration, facts.SegmentReady)
def nothing_is_said_for_a_voided_generation(checked: CheckedStep) -> str | None:
    """No segment of a cancelled or stopped answer is spoken, and no generation number is used twice."""
    for observed, speak in checked.each(do.Speak):
        if speak.generation in observed.voided:
            return f"speaks for generation {speak.generation}, which was voided"
    for observed, start in checked.each(do.StartGeneration):
        if start.generation in observed.asked | observed.voided:
            return f"generation number {start.generation} is used twice"
    for observed, step in checked.each_step():
        if isinstance(step.fact, facts.SegmentReady) and step.outcome is Outcome.TAKEN:
            late = step.fact.generation not in observed.generating
            if late and any(isinstance(effect, do.Speak) for effect in step.effects):
                return f"a segment of generation {step.fact.generation} is spoken, which is over"
    return None


@about(do.StopSpeech, do.FinishSpeech, do.CloseLink)
def only_what_is_open_is_stopped(checked: CheckedStep) -> str | None:
    """StopSpeech and FinishSpeech name the utterance being spoken, and CloseLink names an open link."""
    for observed, stop in checked.each(do.StopSpeech):
        if stop.generation not in observed.speaking:
            return f"stops utterance {stop.generation}, which is not being spoken"
    for observed, finish in checked.each(do.FinishSpeech):
        if finish.generation not in observed.speaking:
            return f"finishes utterance {finish.generation}, which is not being spoken"
    for observed, close in checked.each(do.CloseLink):
        if (close.role, close.attempt) not in observed.links:
            return f"closes the {close.role.value} link's attempt {close.attempt}, which is not open"
    return None


@about(do.OpenLink)
def one_attempt_per_link(checked: CheckedStep) -> str | None:
    """A link is opened again only after its last attempt was closed or failed."""
    for observed, attempt in checked.each(do.OpenLink):
        if any(role is attempt.role for role, _ in observed.links):
            return f"opens the {attempt.role.value} link, which is open already"
    return None


def no_link_is_left_at_the_end(checked: CheckedStep) -> str | None:
    """When the conversation is told to close, every attempt to open a link was closed or has failed."""
    if checked.after.over and checked.after.links:
        return f"left open: {sorted((role.value, attempt) for role, attempt in checked.after.links)}"
    return None


def every_request_is_answered_once(checked: CheckedStep) -> str | None:
    """Each request gets exactly one Acknowledge or Refuse, at the latest when the call is over."""
    answers: tuple[tuple[ObservedState, do.Acknowledge | do.Refuse], ...] = (
        *checked.each(do.Acknowledge),
        *checked.each(do.Refuse),
    )
    for observed, answer in answers:
        if answer.request not in observed.waiting:
            return f"answers {answer.request.event_type}, which does not wait"
    if checked.after.over and checked.after.waiting:
        return f"{len(checked.after.waiting)} request(s) without an answer in {checked.state}"
    return None


def history_alternates(checked: CheckedStep) -> str | None:
    """The history is exchanges: the caller's words, tool calls, and what was heard of the answer."""
    if checked.context.history is checked.history_before:
        return None
    # Nobody answers what a filter refused, and no model is sent it.
    history = [message for message in checked.context.history if not message.withheld]
    # After a tool call either the model speaks again, or the caller does.
    for before, after in pairwise((None, *history, None)):
        asks = before is None or before.speaker is Speaker.ASSISTANT
        answers = before is not None and (before.speaker is Speaker.USER or bool(before.calls))
        if after is not None and not (asks if after.speaker is Speaker.USER else answers):
            return f"history is {[message.speaker.value for message in history]}"
    if history and history[-1].speaker is Speaker.USER:
        return "history ends with words that nobody answered"
    if any(not message.text and not message.calls for message in history):
        return "history holds an empty message"
    return None


def history_holds_only_heard_words(checked: CheckedStep) -> str | None:
    """A new answer in the history begins like what was said, and holds no more than what was heard."""
    history = checked.context.history
    if history == checked.history_before or not history[-1].text or _only_results_came(checked):
        return None
    if history[-1].withheld:  # the caller's words, which a filter refused
        return None
    # After an answer was stopped, another one may have begun within the same step.
    observed = next((before for before, _ in checked.each(do.StopSpeech)), checked.after)
    at_ms = checked.steps[-1].fact.at_ms
    said = (text for number, text in enumerate(observed.said) if number not in observed.unsayable)
    answer, whole = history[-1].text, joined(*said)
    models = _without_filler(whole, checked.context.policy.thinking_filler)
    if observed.heard_all:
        return None if answer in models else f"all of {whole!r} was heard, history holds {answer!r}"
    if not any(each.startswith(answer) for each in models):
        return f"history holds {answer!r}, said was {whole!r}"
    if observed.heard_ms(at_ms) <= 0:
        return f"nothing was heard, history holds {answer!r}"
    return None


def _without_filler(said: str, filler: str) -> set[str]:
    """What of it may be the model's. It begins with as much of the filler as the voice could say."""
    words = filler.split()
    parts = (words[first:end] for end in range(len(words) + 1) for first in range(end + 1))
    return {said.removeprefix(" ".join(part)).lstrip() for part in parts}


def _only_results_came(checked: CheckedStep) -> bool:
    """Whether the newest message has only got results: its text was known before."""
    before = checked.history_before
    return bool(before) and checked.context.history[-1].text == before[-1].text


def history_holds_only_replies(checked: CheckedStep) -> str | None:
    """A greeting, reprompt, nudge, filler or host utterance is not entered into the history."""
    policy = checked.context.policy
    own = {policy.greeting, policy.reprompt, *policy.nudges, policy.idle_goodbye, HOSTS_TEXT} - {""}
    own |= {*policy.tool_fillers, policy.thinking_filler} - {""}
    if checked.context.history != checked.history_before and checked.context.history[-1].text in own:
        return f"history holds {checked.context.history[-1].text!r}, which answers nothing"
    return None


@about(do.RunTool, do.CancelTool)
def a_tool_call_runs_once(checked: CheckedStep) -> str | None:
    """Each tool call runs once. Only a running one is cancelled, and only once."""
    for observed, run in checked.each(do.RunTool):
        if run.call in observed.calls_made:
            return f"call {run.call} is run again"
    for observed, cancel in checked.each(do.CancelTool):
        running = cancel.call in {number for number, _ in observed.calls}
        if not running or cancel.call in observed.calls_cancelled:
            return f"call {cancel.call} is cancelled, which does not run or was cancelled"
    return None


@about(facts.ToolFinished)
def every_tool_result_is_kept(checked: CheckedStep) -> str | None:
    """The result of a tool call enters the history that holds the call, whatever happened meanwhile."""
    for observed, step in checked.each_step():
        fact = step.fact
        if isinstance(fact, facts.ToolFinished) and fact.call in {number for number, _ in observed.calls}:
            records = [each for message in checked.context.history for each in message.calls]
            if any(each.number == fact.call and each.result != fact.result for each in records):
                return f"the result of call {fact.call} was lost"
    return None


@about(do.StartGeneration)
def the_model_sees_the_results_it_asked_for(checked: CheckedStep) -> str | None:
    """The model is asked only when each tool call it is shown has a result, was given up, or still runs."""
    for observed, start in checked.each(do.StartGeneration):
        if all(message.speaker is not Speaker.USER for message in start.messages):
            return "the model is asked without any words of the caller's"
        running = {number for number, _ in observed.calls}
        for message in start.messages:
            for record in message.calls:
                waited_for = message is start.messages[-1] and record.number not in observed.calls_cancelled
                if record.result is None and (waited_for or record.number not in running):
                    return f"the model is asked without the result of call {record.number}"
    return None


@about(do.StartGeneration)
def tool_calls_are_bounded(checked: CheckedStep) -> str | None:
    """Tools are offered to the model only until it has asked for calls as often as the policy allows."""
    policy = checked.context.policy
    for _, start in checked.each(do.StartGeneration):
        steps = 0
        for message in start.messages:
            steps = 0 if message.speaker is Speaker.USER else steps + bool(message.calls)
        if start.tools and steps >= policy.max_tool_steps:
            return f"calls are offered after {steps} of them"
    return None


@about(do.RunTool)
def no_tool_call_begins_while_the_caller_may_interrupt(checked: CheckedStep) -> str | None:
    """A tool call begins only in `running_tools` and `speaking`, never while the caller may be objecting."""
    for _, step in checked.each_step():
        runs = any(isinstance(effect, do.RunTool) for effect in step.effects)
        if runs and step.target not in ("running_tools", "speaking"):
            return f"a call is begun in {step.target}"
    return None


@about(do.NotifyInterrupted, do.CancelGeneration, do.CancelTool)
def voice_does_not_interrupt_a_blocking_call(checked: CheckedStep) -> str | None:
    """While a tool call runs that blocks interruption, the caller's voice interrupts and voids nothing."""
    blocking = {
        tool.name for tool in checked.context.policy.tools if tool.on_interruption is OnInterruption.BLOCK
    }
    for observed, step in checked.each_step():
        runs = any(
            name in blocking for number, name in observed.calls if number not in observed.calls_cancelled
        )
        voided = any(isinstance(effect, do.NotifyInterrupted) for effect in step.effects)
        if runs and voided and not isinstance(step.fact, BY_HAND) and step.target in LISTENING:
            return f"{step.fact.name} interrupted what is said during a blocking call"
        if runs and step.source in ("generating", "retrying", "running_tools") and step.target == "hearing":
            return f"{step.fact.name} voided the answer during a blocking call"
    return None


def clients_are_told_of_every_state_change(checked: CheckedStep) -> str | None:
    """The client is told of every change of state, and of nothing else as one."""
    for step in checked.steps:
        reported = [effect for effect in step.effects if isinstance(effect, do.NotifyState)]
        moved = step.machine == CONVERSATION and step.source != step.target
        if [effect.substate for effect in reported] != [step.target] * moved:
            return f"{step.source} to {step.target} was reported as {reported}"
    return None


# --- failures and what follows from them ------------------------------------------------------------------


@about(facts.DeadlinePassed, facts.LinkDeadlinePassed)
def every_passed_deadline_causes_a_transition(checked: CheckedStep) -> str | None:
    """An armed deadline that passes causes a transition: otherwise nothing would end the wait."""
    for observed, step in checked.each_step():
        if isinstance(step.fact, facts.DeadlinePassed | facts.LinkDeadlinePassed):
            armed = (step.machine, step.fact.number) in observed.deadlines
            if armed and step.outcome is not Outcome.TAKEN:
                return f"the deadline of {step.source} is {step.outcome.value}: {step.reason}"
    return None


@about(facts.DeadlinePassed)
def queued_turns_are_answered_first(checked: CheckedStep) -> str | None:
    """While turns wait in `quiet`, no nudge, goodbye or apology is said, and no greeting that may be cut."""
    policy = checked.context.policy
    cut = policy.barge_in and policy.barge_in_greeting
    ours = {policy.greeting if cut else "", *policy.nudges, policy.idle_goodbye, policy.fallback.unheard}
    for _, step in checked.each_step():
        passed = isinstance(step.fact, facts.DeadlinePassed) and step.outcome is Outcome.TAKEN
        said = any(isinstance(effect, do.Speak) and effect.text in ours for effect in step.effects)
        if passed and step.source == "quiet" and said and checked.context.turns.queue:
            return f"quiet went to {step.target}, while {len(checked.context.turns.queue)} turn(s) wait"
    return None


@about(do.Speak, facts.SynthesisFailed)
def voiced_segments_are_not_said_again(checked: CheckedStep) -> str | None:
    """A restarted answer says only what was not voiced before."""
    for observed, speak in checked.each(do.Speak):
        if speak.generation in observed.speaking and speak.segment in observed.voiced:
            return f"segment {speak.segment} of utterance {speak.generation} was voiced already"
    for observed, step in checked.each_step():
        if isinstance(step.fact, facts.SynthesisFailed) and step.fact.voiced_ms >= FIRST_WORD_MS:
            again = [effect.text for effect in step.effects if isinstance(effect, do.Speak)]
            if observed.said and joined(*again) == joined(*observed.said):
                return f"all of {again} is said again, after {step.fact.voiced_ms:.0f} ms of it"
    return None


@about(facts.SegmentVoiced, facts.SynthesisFailed)
def facts_of_other_attempts_are_ignored(checked: CheckedStep) -> str | None:
    """Facts of an earlier attempt at saying the answer change nothing."""
    for observed, step in checked.each_step():
        if isinstance(step.fact, facts.SegmentVoiced | facts.SynthesisFailed):
            other = step.fact.attempt != observed.attempt
            if step.outcome is Outcome.TAKEN and other:
                return f"attempt {step.fact.attempt} is believed, while attempt {observed.attempt} is spoken"
    return None


@about(facts.SegmentReady)
def a_continued_answer_repeats_nothing(checked: CheckedStep) -> str | None:
    """A model that continues an answer is not heard repeating an earlier segment."""
    for observed, step in checked.each_step():
        if isinstance(step.fact, facts.SegmentReady) and step.fact.generation not in observed.speaking:
            again = step.outcome is Outcome.TAKEN and observed.speaking and step.fact.text in observed.said
            if again:
                return f"{step.fact.text!r} is said again"
    return None


@about(do.OpenLink)
def no_failed_provider_is_tried_twice_in_a_round(checked: CheckedStep) -> str | None:
    """A provider that failed is not tried again in the same round, and one that will fail again never."""
    for observed, opened in checked.each(do.OpenLink):
        if (opened.role, opened.provider) in observed.failed:
            return f"{opened.role.value} provider {opened.provider} is tried twice in a round"
        if (opened.role, opened.provider) in observed.refused:
            return f"{opened.role.value} provider {opened.provider} is tried, though it will fail again"
    return None


@about(do.ReturnLink)
def a_link_is_moved_back_only_in_quiet(checked: CheckedStep) -> str | None:
    """A link returns to a preferred provider only in `quiet`, where nobody speaks."""
    for step in checked.steps:
        moved = any(isinstance(effect, do.ReturnLink) for effect in step.effects)
        if moved and step.target != "quiet":
            return f"a link is moved back in {step.target}"
    return None


@about(facts.DeadlinePassed)
def silent_stt_is_replaced(checked: CheckedStep) -> str | None:
    """If no words came, the speech-to-text link is replaced before the wait for them ends."""
    for observed, step in checked.each_step():
        if (
            isinstance(step.fact, facts.DeadlinePassed)
            and step.source == "finalizing"
            and not observed.stt_replaced
        ):
            transcripts = [effect for effect in step.effects if isinstance(effect, do.NotifyTranscript)]
            if any(each.turn != observed.transcribed_turn for each in transcripts):
                return "no words came, and the speech-to-text link was never replaced"
    return None


@about(do.ArmDeadline, do.ArmLinkDeadline)
def no_deadline_is_longer_than_drawn(checked: CheckedStep) -> str | None:
    """No deadline is longer than the diagrams say, whatever the machine remembers."""
    policy = checked.context.policy
    for step in checked.steps:
        for effect in step.effects:
            match effect:
                case do.ArmDeadline(delay_ms=delay_ms):
                    longest = longest_in_conversation_ms(step.target, policy)
                    if step.target in AFTER_AUDIO and longest is not None:
                        longest += checked.context.answer.ledger.remaining_ms(step.fact.at_ms)
                case do.ArmLinkDeadline(delay_ms=delay_ms):
                    longest = longest_of_link_ms(step.target, policy.link)
                case _:
                    continue
            if longest is not None and delay_ms > longest + SLACK_MS:
                return f"{step.target} of the {step.machine} may last {delay_ms} ms, but {longest} are drawn"
    return None


@about(facts.DeadlinePassed, facts.TranscriptionFailed)
def a_caller_who_was_not_understood_is_told(checked: CheckedStep) -> str | None:
    """A caller whose words are lost for technical reasons is told so, unless their recording goes on."""
    for step in checked.steps:
        broken = isinstance(step.fact, facts.DeadlinePassed | facts.TranscriptionFailed)
        goes_on = checked.context.turns.continuation is Continuation.RECORDING
        if broken and (step.source, step.target) == ("finalizing", "quiet") and not goes_on:
            return "the wait for words ended without any, in silence"
    return None


def nothing_happens_after_the_end(checked: CheckedStep) -> str | None:
    """After CloseConversation the machine only abandons what is left, refuses requests and reports states."""
    allowed = (do.AbandonConversation, do.NotifyState, do.ArmDeadline, do.DisarmDeadline, do.Refuse)
    for line in checked.lines:
        late = line.observed.over and line.machine == CONVERSATION and isinstance(line.item, do.Effect)
        if late and not isinstance(line.item, allowed):
            return f"{line.item.name} after the conversation was told to close"
    return None


INVARIANTS: tuple[Invariant, ...] = (
    every_pair_is_declared,
    every_state_but_quiet_has_a_deadline,
    the_armed_deadline_is_the_awaited_one,
    one_generation_and_one_utterance_at_most,
    nothing_is_generated_outside_answering,
    a_caller_who_goes_on_voids_the_speculative_answer,
    speech_is_prepared_only_for_a_speculative_answer,
    only_prepared_speech_is_dropped,
    nothing_is_said_while_the_caller_has_the_word,
    speculative_requests_are_bounded,
    ended_answers_were_started,
    speech_is_paused_only_while_an_interruption_is_examined,
    protected_speech_is_not_interrupted,
    something_is_said_in_responding,
    nothing_is_said_for_a_voided_generation,
    only_what_is_open_is_stopped,
    one_attempt_per_link,
    no_link_is_left_at_the_end,
    every_request_is_answered_once,
    history_alternates,
    history_holds_only_heard_words,
    history_holds_only_replies,
    a_tool_call_runs_once,
    every_tool_result_is_kept,
    the_model_sees_the_results_it_asked_for,
    tool_calls_are_bounded,
    no_tool_call_begins_while_the_caller_may_interrupt,
    voice_does_not_interrupt_a_blocking_call,
    clients_are_told_of_every_state_change,
    nothing_happens_after_the_end,
    every_passed_deadline_causes_a_transition,
    queued_turns_are_answered_first,
    voiced_segments_are_not_said_again,
    facts_of_other_attempts_are_ignored,
    a_continued_answer_repeats_nothing,
    no_failed_provider_is_tried_twice_in_a_round,
    a_link_is_moved_back_only_in_quiet,
    silent_stt_is_replaced,
    a_caller_who_was_not_understood_is_told,
    no_deadline_is_longer_than_drawn,
)
