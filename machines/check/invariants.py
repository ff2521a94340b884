"""The invariants: what must hold at every moment of every call. Each says what is wrong, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

from attrs import frozen

from machines import effects as do
from machines import facts
from machines.check.observer import Entry, ObservedState
from machines.conversation.context import Context, Continuation
from machines.declarations import Outcome, Step
from machines.effects import Effect
from machines.facts import Fact, TurnMode
from machines.history import Message, Speaker
from machines.language.scripts import joined
from machines.tools import OnInterruption

CONVERSATION = "conversation"
LISTENING = frozenset({"quiet", "hearing", "endpointing", "speculating", "keypad", "finalizing"})
HOSTS_TEXT = "By the way."
"""What hosts want said, where the check plays one."""
BY_HAND = facts.InterruptRequested | facts.SayRequested
"""What interrupts otherwise than by voice."""
FIRST_WORD_MS = 600
"""In so much audio a word was said; in less, the first one may have been cut, and is said again."""
E = TypeVar("E", bound=do.Effect)


@frozen
class CheckedStep:
    """One fact handled: the steps it led to, line by line in the books, and where the call is now."""

    steps: tuple[Step, ...]
    lines: tuple[Entry, ...]
    before: ObservedState
    after: ObservedState
    state: str
    room: str
    context: Context
    history_before: tuple[Message, ...]
    kinds: frozenset[type[Fact | Effect]]
    """Of the lines: most invariants are about something that did not happen."""

    def each(self, kind: type[E]) -> Iterator[tuple[ObservedState, E]]:
        """The effects of a kind, each with the books as they stood before it."""
        if kind in self.kinds:
            for line in self.lines:
                if isinstance(line.item, kind):
                    yield line.observed, line.item

    def each_step(self) -> Iterator[tuple[ObservedState, Step]]:
        """The steps, each with the books as they stood before its fact."""
        line = 0
        for step in self.steps:
            yield self.lines[line].observed, step
            line += 1 + len(step.effects)


Invariant = Callable[[CheckedStep], str | None]


def about(*kinds: type[Fact | Effect]) -> Callable[[Invariant], Invariant]:
    """Only moments with one of these facts or effects can break the invariant."""

    def mark(invariant: Invariant) -> Invariant:
        invariant.kinds = frozenset(kinds)  # type: ignore[attr-defined]
        return invariant

    return mark


def kinds_of(invariant: Invariant) -> frozenset[type[Fact | Effect]] | None:
    """What it is about; None for one that any moment may break."""
    return getattr(invariant, "kinds", None)


def every_pair_is_declared(moment: CheckedStep) -> str | None:
    """No fact may meet a state in which nobody said what it means."""
    for step in moment.steps:
        if step.outcome is Outcome.UNDECLARED:
            return f"{step.machine}: {step.reason}"
    return None


def every_state_but_quiet_has_a_deadline(moment: CheckedStep) -> str | None:
    """A deadline is armed unless only the caller is waited for, or everything is over."""
    armed = sum(machine == CONVERSATION for machine, _ in moment.after.deadlines)
    wanted = moment.state != "ended" and (moment.state != "quiet" or _something_is_due(moment.context))
    return None if armed == wanted else f"{armed} deadlines are armed in {moment.state}"


def _something_is_due(context: Context) -> bool:
    """Whether a quiet caller will be spoken to."""
    automatic = context.recording.mode is TurnMode.AUTOMATIC
    speaks = context.turns.continuation is Continuation.SPEAKING
    greets = bool(context.policy.greeting) and not context.turns.greeted
    # While the caller has the word nobody thinks of saying something of their own.
    wanted = (
        greets or bool(context.host_utterances) or context.tools.results_owed or bool(context.calls_waiting())
    )
    own = wanted and not speaks and (automatic or not context.recording.on)
    by_time = automatic and (speaks or context.policy.idle_after_ms > 0)
    return bool(context.turns.queue or context.turns.queued) or own or by_time


def no_refused_deadline_is_waited_for(moment: CheckedStep) -> str | None:
    """The deadline that is armed outside is the one that the machine will accept."""
    armed = {number for machine, number in moment.after.deadlines if machine == CONVERSATION}
    known = set() if moment.context.deadline_armed is None else {moment.context.deadline_armed}
    return None if armed == known else f"deadline {armed} is armed, the machine awaits {known}"


@about(do.StartGeneration, do.Speak)
def one_generation_and_one_utterance_at_most(moment: CheckedStep) -> str | None:
    """The model is asked for one answer at a time, and one voice speaks."""
    for observed, _ in moment.each(do.StartGeneration):
        if observed.generating:
            return f"asked again while generation {set(observed.generating)} is open"
    for observed, speak in moment.each(do.Speak):
        if observed.speaking - {speak.generation}:
            return f"speaks while utterance {set(observed.speaking)} is open"
    return None


def nothing_is_generated_outside_answering(moment: CheckedStep) -> str | None:
    """Whoever leaves THINKING and RESPONDING has stopped the model and the voice, or both have ended."""
    if moment.room in ("THINKING", "RESPONDING"):
        return None
    if moment.after.generating and moment.state != "speculating":
        return f"generation {set(moment.after.generating)} goes on in {moment.state}"
    if moment.after.speaking and moment.state != "saying_goodbye":
        return f"utterance {set(moment.after.speaking)} goes on in {moment.state}"
    return None


@about(do.Speak)
def nothing_is_said_while_the_caller_has_the_word(moment: CheckedStep) -> str | None:
    """What the model answers in advance is not heard before the turn is over."""
    for step in moment.steps:
        said = any(isinstance(effect, do.Speak) for effect in step.effects)
        if said and step.target in LISTENING:
            return f"something is said in {step.target}"
    return None


@about(facts.EagerEndOfTurn)
def the_model_is_asked_in_advance_within_bounds(moment: CheckedStep) -> str | None:
    """Answers that may be thrown away are bounded in number, turn by turn."""
    allowed = moment.context.policy.speculations
    if moment.after.in_advance > allowed:
        return f"asked {moment.after.in_advance} times before the end of a turn, {allowed} allowed"
    return None


@about(do.NotifyAnswerEnded)
def ended_answers_were_started(moment: CheckedStep) -> str | None:
    """Clients are told of the end of an answer once, and only if they know of it."""
    for observed, ended in moment.each(do.NotifyAnswerEnded):
        if ended.generation not in observed.begun:
            return f"the end of answer {ended.generation} is told, which nobody knows of"
    return None


def what_is_held_is_decided_upon(moment: CheckedStep) -> str | None:
    """An answer is silent only while it is being found out whether it was interrupted."""
    if moment.after.held != (moment.state in ("paused", "confirming")):
        return f"the answer is {'held' if moment.after.held else 'not held'} in {moment.state}"
    return None


@about(do.NotifyInterrupted)
def what_may_not_be_interrupted_is_not(moment: CheckedStep) -> str | None:
    """The caller's voice cuts off nothing that is to be heard to its end."""
    for step in moment.steps:
        by_hand = isinstance(step.fact, BY_HAND)
        cut = any(isinstance(effect, do.NotifyInterrupted) for effect in step.effects)
        if cut and not by_hand and moment.context.answer.protected and not moment.after.speaking:
            return f"{step.fact.name} cut off what may not be interrupted"
    return None


def something_is_said_in_responding(moment: CheckedStep) -> str | None:
    """RESPONDING holds an utterance that can end."""
    if (moment.room == "RESPONDING" or moment.state == "saying_goodbye") and not moment.after.speaking:
        return f"nothing is being said in {moment.state}"
    return None


@about(do.Speak, do.StartGeneration, facts.SegmentReady)
def nothing_is_said_for_a_voided_generation(moment: CheckedStep) -> str | None:
    """What was cancelled or stopped is never spoken, finished or generated again."""
    for observed, speak in moment.each(do.Speak):
        if speak.generation in observed.voided:
            return f"speaks for generation {speak.generation}, which was voided"
    for observed, start in moment.each(do.StartGeneration):
        if start.generation in observed.asked | observed.voided:
            return f"generation number {start.generation} is used twice"
    for observed, step in moment.each_step():
        if isinstance(step.fact, facts.SegmentReady) and step.outcome is Outcome.TAKEN:
            late = step.fact.generation not in observed.generating
            if late and any(isinstance(effect, do.Speak) for effect in step.effects):
                return f"a segment of generation {step.fact.generation} is spoken, which is over"
    return None


@about(do.StopSpeech, do.FinishSpeech, do.CloseLink)
def only_what_is_open_is_stopped(moment: CheckedStep) -> str | None:
    """StopSpeech and FinishSpeech name the utterance being spoken, CloseLink a link that is open."""
    for observed, stop in moment.each(do.StopSpeech):
        if stop.generation not in observed.speaking:
            return f"stops utterance {stop.generation}, which is not being spoken"
    for observed, finish in moment.each(do.FinishSpeech):
        if finish.generation not in observed.speaking:
            return f"finishes utterance {finish.generation}, which is not being spoken"
    for observed, close in moment.each(do.CloseLink):
        if (close.role, close.attempt) not in observed.links:
            return f"closes the {close.role.value} link's attempt {close.attempt}, which is not open"
    return None


@about(do.OpenLink)
def one_attempt_per_link(moment: CheckedStep) -> str | None:
    """A link is opened again only when its last attempt was closed or failed."""
    for observed, attempt in moment.each(do.OpenLink):
        if any(role is attempt.role for role, _ in observed.links):
            return f"opens the {attempt.role.value} link, which is open already"
    return None


def no_link_is_left_at_the_end(moment: CheckedStep) -> str | None:
    """When the conversation was told to close, every link attempt was closed or had failed."""
    if moment.after.over and moment.after.links:
        return f"left open: {sorted((role.value, attempt) for role, attempt in moment.after.links)}"
    return None


def every_request_is_answered_once(moment: CheckedStep) -> str | None:
    """Each request gets exactly one of Acknowledge and Refuse, at the latest when the call is over."""
    answers: tuple[tuple[ObservedState, do.Acknowledge | do.Refuse], ...] = (
        *moment.each(do.Acknowledge),
        *moment.each(do.Refuse),
    )
    for observed, answer in answers:
        if answer.request not in observed.waiting:
            return f"answers {answer.request.event_type}, which does not wait"
    if moment.after.over and moment.after.waiting:
        return f"{len(moment.after.waiting)} request(s) without an answer in {moment.state}"
    return None


def history_alternates(moment: CheckedStep) -> str | None:
    """The history is a sequence of exchanges: the caller's words, calls, what was heard of the answer."""
    history = moment.context.history
    if history is moment.history_before:
        return None
    # After a call the model has more to say, or would have had: what follows is its own, or the caller's.
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


def history_holds_only_heard_words(moment: CheckedStep) -> str | None:
    """A new answer in the history begins like what was said, and goes no further than what was heard."""
    history = moment.context.history
    if history == moment.history_before or not history[-1].text or _only_results_came(moment):
        return None
    # After an answer that was stopped, another may have begun within the same step.
    observed = next((before for before, _ in moment.each(do.StopSpeech)), moment.after)
    at_ms = moment.steps[-1].fact.at_ms
    answer, whole = history[-1].text, joined(*observed.said)
    if observed.heard_all:
        return None if answer == whole else f"all of {whole!r} was heard, history holds {answer!r}"
    if not whole.startswith(answer):
        return f"history holds {answer!r}, said was {whole!r}"
    if observed.heard_ms(at_ms) <= 0:
        return f"nothing was heard, history holds {answer!r}"
    return None


def _only_results_came(moment: CheckedStep) -> bool:
    """What was said of the newest message was known before."""
    before = moment.history_before
    return bool(before) and moment.context.history[-1].text == before[-1].text


def history_holds_what_was_asked_for(moment: CheckedStep) -> str | None:
    """A greeting, a nudge or a text of the host is nobody's answer."""
    policy = moment.context.policy
    own = {policy.greeting, policy.reprompt, *policy.nudges, policy.idle_goodbye, HOSTS_TEXT} - {""}
    own |= set(policy.tool_fillers)
    if moment.context.history != moment.history_before and moment.context.history[-1].text in own:
        return f"history holds {moment.context.history[-1].text!r}, which answers nothing"
    return None


@about(do.RunTool, do.CancelTool)
def a_call_is_run_once(moment: CheckedStep) -> str | None:
    """What a tool does is done once; and only what runs is cancelled, once."""
    for observed, run in moment.each(do.RunTool):
        if run.call in observed.calls_made:
            return f"call {run.call} is run again"
    for observed, cancel in moment.each(do.CancelTool):
        running = cancel.call in {number for number, _ in observed.calls}
        if not running or cancel.call in observed.calls_cancelled:
            return f"call {cancel.call} is cancelled, which does not run or was cancelled"
    return None


@about(facts.ToolFinished)
def every_result_is_kept(moment: CheckedStep) -> str | None:
    """Whatever happened meanwhile, the result of a call enters the history that holds the call."""
    for observed, step in moment.each_step():
        fact = step.fact
        if isinstance(fact, facts.ToolFinished) and fact.call in {number for number, _ in observed.calls}:
            records = [each for message in moment.context.history for each in message.calls]
            if any(each.number == fact.call and each.result != fact.result for each in records):
                return f"the result of call {fact.call} was lost"
    return None


@about(do.StartGeneration)
def the_model_knows_what_it_asked_for(moment: CheckedStep) -> str | None:
    """It is asked to go on when its calls are over or given up; one without a result is still running."""
    for observed, start in moment.each(do.StartGeneration):
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
def calls_are_bounded(moment: CheckedStep) -> str | None:
    """A model that asks for calls again and again must speak in the end."""
    policy = moment.context.policy
    for _, start in moment.each(do.StartGeneration):
        steps = 0
        for message in start.messages:
            steps = 0 if message.speaker is Speaker.USER else steps + bool(message.calls)
        if start.tools and steps >= policy.max_tool_steps:
            return f"calls are offered after {steps} of them"
    return None


@about(do.RunTool)
def no_call_begins_while_the_caller_may_cut_in(moment: CheckedStep) -> str | None:
    """Whoever objects to what is announced can prevent it."""
    for _, step in moment.each_step():
        runs = any(isinstance(effect, do.RunTool) for effect in step.effects)
        if runs and step.target not in ("running_tools", "speaking"):
            return f"a call is begun in {step.target}"
    return None


@about(do.NotifyInterrupted, do.CancelGeneration, do.CancelTool)
def nothing_interrupts_a_blocking_call(moment: CheckedStep) -> str | None:
    """As long as such a call runs, the caller's voice voids nothing."""
    blocking = {
        tool.name for tool in moment.context.policy.tools if tool.on_interruption is OnInterruption.BLOCK
    }
    for observed, step in moment.each_step():
        runs = any(
            name in blocking for number, name in observed.calls if number not in observed.calls_cancelled
        )
        voided = any(isinstance(effect, do.NotifyInterrupted) for effect in step.effects)
        if runs and voided and not isinstance(step.fact, BY_HAND) and step.target in LISTENING:
            return f"{step.fact.name} interrupted what is said during a blocking call"
        if runs and step.source in ("generating", "retrying", "running_tools") and step.target == "hearing":
            return f"{step.fact.name} took the word during a blocking call"
    return None


def state_changes_are_told(moment: CheckedStep) -> str | None:
    """Every change of the state is told to the client, and nothing else is told as one."""
    for step in moment.steps:
        told = [effect for effect in step.effects if isinstance(effect, do.NotifyState)]
        moved = step.machine == CONVERSATION and step.source != step.target
        if [effect.substate for effect in told] != [step.target] * moved:
            return f"{step.source} to {step.target} was told as {told}"
    return None


# --- failures and what follows from them ------------------------------------------------------------------


@about(facts.DeadlinePassed, facts.LinkDeadlinePassed)
def no_deadline_passes_in_vain(moment: CheckedStep) -> str | None:
    """An armed deadline means something when it passes: after one that does not, nobody would wait."""
    for observed, step in moment.each_step():
        if isinstance(step.fact, facts.DeadlinePassed | facts.LinkDeadlinePassed):
            armed = (step.machine, step.fact.number) in observed.deadlines
            if armed and step.outcome is not Outcome.TAKEN:
                return f"the deadline of {step.source} is {step.outcome.value}: {step.reason}"
    return None


@about(facts.DeadlinePassed)
def turns_that_wait_are_answered_first(moment: CheckedStep) -> str | None:
    """Nobody is spoken to about something else while words wait for an answer, but where a host wants it."""
    policy = moment.context.policy
    ours = {policy.greeting, *policy.nudges, policy.idle_goodbye, policy.fallback.unheard}
    for _, step in moment.each_step():
        passed = isinstance(step.fact, facts.DeadlinePassed) and step.outcome is Outcome.TAKEN
        said = any(isinstance(effect, do.Speak) and effect.text in ours for effect in step.effects)
        if passed and step.source == "quiet" and said and moment.context.turns.queue:
            return f"quiet went to {step.target}, while {len(moment.context.turns.queue)} turn(s) wait"
    return None


@about(do.Speak, facts.SynthesisFailed)
def what_was_voiced_is_not_said_again(moment: CheckedStep) -> str | None:
    """A voice that takes an answer up again says only what it had not given before."""
    for observed, speak in moment.each(do.Speak):
        if speak.generation in observed.speaking and speak.segment in observed.voiced:
            return f"segment {speak.segment} of utterance {speak.generation} was voiced already"
    for observed, step in moment.each_step():
        if isinstance(step.fact, facts.SynthesisFailed) and step.fact.voiced_ms >= FIRST_WORD_MS:
            again = [effect.text for effect in step.effects if isinstance(effect, do.Speak)]
            if observed.said and joined(*again) == joined(*observed.said):
                return f"all of {again} is said again, after {step.fact.voiced_ms:.0f} ms of it"
    return None


@about(facts.SegmentVoiced, facts.SynthesisFailed)
def no_other_attempt_is_believed(moment: CheckedStep) -> str | None:
    """What a voice says of an answer that it was relieved of changes nothing."""
    for observed, step in moment.each_step():
        if isinstance(step.fact, facts.SegmentVoiced | facts.SynthesisFailed):
            other = step.fact.attempt != observed.attempt
            if step.outcome is Outcome.TAKEN and other:
                return f"attempt {step.fact.attempt} is believed, while attempt {observed.attempt} is spoken"
    return None


@about(facts.SegmentReady)
def a_continued_answer_repeats_nothing(moment: CheckedStep) -> str | None:
    """A model that was to go on with an answer is not heard saying the same again."""
    for observed, step in moment.each_step():
        if isinstance(step.fact, facts.SegmentReady) and step.fact.generation not in observed.speaking:
            again = step.outcome is Outcome.TAKEN and observed.speaking and step.fact.text in observed.said
            if again:
                return f"{step.fact.text!r} is said again"
    return None


@about(do.OpenLink)
def no_failed_provider_is_tried_twice_in_a_round(moment: CheckedStep) -> str | None:
    """A provider that failed is left for the others, and left for good if it will fail again."""
    for observed, opened in moment.each(do.OpenLink):
        if (opened.role, opened.provider) in observed.failed:
            return f"{opened.role.value} provider {opened.provider} is tried twice in a round"
        if (opened.role, opened.provider) in observed.refused:
            return f"{opened.role.value} provider {opened.provider} is tried, though it will fail again"
    return None


@about(do.ReturnLink)
def a_link_is_moved_back_only_in_quiet(moment: CheckedStep) -> str | None:
    """A provider that works is not left for a better one while somebody speaks."""
    for step in moment.steps:
        moved = any(isinstance(effect, do.ReturnLink) for effect in step.effects)
        if moved and step.target != "quiet":
            return f"a link is moved back in {step.target}"
    return None


@about(facts.DeadlinePassed)
def a_mute_ear_is_doubted(moment: CheckedStep) -> str | None:
    """Before a wait for words ends with none at all, another link was given the same audio."""
    for observed, step in moment.each_step():
        if (
            isinstance(step.fact, facts.DeadlinePassed)
            and step.source == "finalizing"
            and not observed.doubted
        ):
            told = [effect for effect in step.effects if isinstance(effect, do.NotifyTranscript)]
            if any(each.turn != observed.heard_words for each in told):
                return "no words came, and speech to text was never doubted"
    return None


@about(facts.DeadlinePassed, facts.TranscriptionFailed)
def whoever_was_not_understood_hears_so(moment: CheckedStep) -> str | None:
    """For technical reasons nobody is left in silence, unless the recording goes on."""
    for step in moment.steps:
        broken = isinstance(step.fact, facts.DeadlinePassed | facts.TranscriptionFailed)
        goes_on = moment.context.turns.continuation is Continuation.RECORDING
        if broken and (step.source, step.target) == ("finalizing", "quiet") and not goes_on:
            return "the wait for words ended without any, in silence"
    return None


def nothing_happens_after_the_end(moment: CheckedStep) -> str | None:
    """Once closing has begun, only abandoning what is left remains to be asked for."""
    allowed = (do.AbandonConversation, do.NotifyState, do.ArmDeadline, do.DisarmDeadline, do.Refuse)
    for line in moment.lines:
        late = line.observed.over and line.machine == CONVERSATION and isinstance(line.item, do.Effect)
        if late and not isinstance(line.item, allowed):
            return f"{line.item.name} after the conversation was told to close"
    return None


INVARIANTS: tuple[Invariant, ...] = (
    every_pair_is_declared,
    every_state_but_quiet_has_a_deadline,
    no_refused_deadline_is_waited_for,
    one_generation_and_one_utterance_at_most,
    nothing_is_generated_outside_answering,
    nothing_is_said_while_the_caller_has_the_word,
    the_model_is_asked_in_advance_within_bounds,
    ended_answers_were_started,
    what_is_held_is_decided_upon,
    what_may_not_be_interrupted_is_not,
    something_is_said_in_responding,
    nothing_is_said_for_a_voided_generation,
    only_what_is_open_is_stopped,
    one_attempt_per_link,
    no_link_is_left_at_the_end,
    every_request_is_answered_once,
    history_alternates,
    history_holds_only_heard_words,
    history_holds_what_was_asked_for,
    a_call_is_run_once,
    every_result_is_kept,
    the_model_knows_what_it_asked_for,
    calls_are_bounded,
    no_call_begins_while_the_caller_may_cut_in,
    nothing_interrupts_a_blocking_call,
    state_changes_are_told,
    nothing_happens_after_the_end,
    no_deadline_passes_in_vain,
    turns_that_wait_are_answered_first,
    what_was_voiced_is_not_said_again,
    no_other_attempt_is_believed,
    a_continued_answer_repeats_nothing,
    no_failed_provider_is_tried_twice_in_a_round,
    a_link_is_moved_back_only_in_quiet,
    a_mute_ear_is_doubted,
    whoever_was_not_understood_hears_so,
)
