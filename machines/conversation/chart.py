"""The conversation machine: five states, and everything that moves a conversation between them.

Every decision that changes what a caller hears or what is remembered is in this table. Its guards are in
`guards.py`, its actions in `turns.py` and `answers.py`. It does no I/O, reads no clock and draws no ids: the
same facts give the same effects. `diagrams/` is drawn from it.
"""

from __future__ import annotations

from typing import ClassVar

from statemachine import State

from machines import effects as do
from machines import facts
from machines.conversation.answers import AnswerActions
from machines.declarations import Ignored, ignored, stay
from machines.facts import Fact


class Conversation(AnswerActions):
    """Five states with their substates; then, event by event, what happens in them."""

    class INITIALIZING(State.Compound):
        connecting = State(initial=True)

    class LISTENING(State.Compound):
        quiet = State(initial=True)
        hearing = State()
        pausing = State()
        expecting = State()
        keying = State()
        finalizing = State()

    class THINKING(State.Compound):
        generating = State(initial=True)
        retrying = State()
        calling = State()

    class RESPONDING(State.Compound):
        speaking = State(initial=True)
        deciding = State()
        weighing = State()

    class ENDING(State.Compound):
        closing = State(initial=True)
        parting = State()
        ended = State(final=True)

    connecting = INITIALIZING.connecting
    quiet, hearing, pausing = LISTENING.quiet, LISTENING.hearing, LISTENING.pausing
    expecting, keying, finalizing = LISTENING.expecting, LISTENING.keying, LISTENING.finalizing
    generating, retrying, calling = THINKING.generating, THINKING.retrying, THINKING.calling
    speaking, deciding, weighing = RESPONDING.speaking, RESPONDING.deciding, RESPONDING.weighing
    closing, parting, ended = ENDING.closing, ENDING.parting, ENDING.ended

    turn_is_open = (quiet, hearing, pausing)
    listening = (*turn_is_open, keying, finalizing)
    thinking = (generating, retrying, calling)
    held = (deciding, weighing)
    responding = (speaking, *held)
    answering = (*thinking, *responding)
    in_conversation = (*listening, expecting, *answering)
    ending = (closing, parting, ended)

    # --- links --------------------------------------------------------------------------------------------
    link_up = (
        connecting.to(
            finalizing,
            cond="last_link and stop_pending",
            on=["note_link", "begin_turn", "acknowledge", "await_early_words", "end_turn"],
        )
        | connecting.to(
            quiet, cond="last_link", on=["note_link", "begin_turn", "await_early_words", "acknowledge"]
        )
        | stay(connecting, unless="last_link", on=["note_link"])
        | stay(*in_conversation, on=["note_link"])
    )
    link_lost = stay(connecting, *in_conversation, on=["note_link_lost"])
    link_down = (
        closing.from_(connecting, on=["tell_link_lost", "leave"])
        | parting.from_(*listening, cond="can_say_so", on=["tell_link_lost", "part"])
        | parting.from_(expecting, cond="can_say_so", on=["tell_link_lost", "drop_foreseen", "part"])
        | parting.from_(*answering, cond="can_say_so", on=["tell_link_lost", "end_answer", "part"])
        | closing.from_(*listening, unless="can_say_so", on=["tell_link_lost", "leave"])
        | closing.from_(expecting, unless="can_say_so", on=["tell_link_lost", "drop_foreseen", "leave"])
        | closing.from_(*answering, unless="can_say_so", on=["tell_link_lost", "end_answer", "leave"])
        | parting.to(closing, cond="about_voice", on=["end_answer", "leave"])
    )
    better_provider = stay(quiet, on=["return_to"]) | stay(
        connecting, hearing, pausing, expecting, keying, finalizing, *answering, on=["note_better"]
    )

    # --- the caller's hands -------------------------------------------------------------------------------
    recording_started = (
        stay(connecting, on=["note_recording"])
        | pausing.to(quiet, cond="by_hand", on=["note_recording", "acknowledge"])
        | expecting.to(quiet, cond="by_hand", on=["drop_foreseen", "note_recording", "acknowledge"])
        | stay(pausing, expecting, unless="by_hand", on=["note_recording", "acknowledge"])
        | stay(quiet, hearing, keying, on=["note_recording", "acknowledge"])
        | stay(finalizing, on=["note_recording_again", "acknowledge_start"])
        | quiet.from_(*thinking, cond="voidable", on=["void_answer", "note_recording", "acknowledge"])
        | speaking.to(
            quiet,
            cond="interruptible",
            on=["interrupt_answer", "begin_turn", "note_recording", "acknowledge"],
        )
        | stay(*thinking, unless="voidable", on=["note_recording_meanwhile", "acknowledge_start"])
        | stay(speaking, unless="interruptible", on=["note_recording_meanwhile", "acknowledge_start"])
        | deciding.to(hearing, on=["interrupt_answer", "note_recording", "acknowledge"])
        | weighing.to(finalizing, on=["interrupt_answer", "note_recording_again", "acknowledge_start"])
        | stay(closing, parting, on=["refuse_start"])
    )
    recording_stopped = (
        stay(connecting, on=["note_early_stop"])
        | finalizing.from_(*turn_is_open, on=["await_words", "end_turn"])
        | expecting.to(finalizing, on=["drop_foreseen", "await_words", "end_turn"])
        | stay(keying, on=["acknowledge_stop"])
        | stay(finalizing, on=["await_words"])
        | stay(*thinking, unless="voidable", on=["queue_turn", "acknowledge_stop"])
        | stay(*thinking, cond="voidable", on=["acknowledge_stop"])
        | stay(speaking, unless="interruptible", on=["queue_turn", "acknowledge_stop"])
        | stay(speaking, cond="interruptible", on=["acknowledge_stop"])
        | deciding.to(weighing, on=["end_turn", "acknowledge_stop"])
        | stay(weighing, on=["acknowledge_stop"])
        | stay(closing, parting, on=["refuse_stop"])
    )
    digit_pressed = (
        keying.from_(quiet, hearing, pausing, on=["note_digit"])
        | expecting.to(keying, on=["drop_foreseen", "note_digit"])
        | finalizing.to(keying, on=["keep_interim", "acknowledge", "note_digit"])
        | keying.from_(*thinking, cond="voidable", on=["void_answer", "note_digit"])
        | speaking.to(keying, cond="interruptible", on=["interrupt_answer", "begin_turn", "note_digit"])
        | deciding.to(keying, on=["interrupt_answer", "note_digit"])
        | weighing.to(keying, on=["interrupt_answer", "give_up_words", "note_digit"])
        | keying.to(generating, cond="ends_digits", on=["take_digits", "generate"])
        | stay(keying, on=["note_digit"])
    )
    interrupt_requested = (
        quiet.from_(*thinking, on=["void_answer", "give_up_results"])
        | speaking.to(quiet, on=["interrupt_answer", "give_up_results", "listen_anew"])
        | deciding.to(hearing, on=["interrupt_answer", "give_up_results"])
        | weighing.to(finalizing, on=["interrupt_answer", "give_up_results"])
    )
    hung_up = (
        closing.from_(connecting, *listening, on=["leave"])
        | closing.from_(expecting, on=["drop_foreseen", "leave"])
        | closing.from_(*answering, parting, on=["end_answer", "leave"])
    )
    say_requested = (
        quiet.to(speaking, cond="may_be_said", on=["say"])
        | speaking.from_(*thinking, cond="urgent", on=["void_answer", "answer_later", "say"])
        | stay(speaking, cond="urgent", on=["interrupt_answer", "answer_later", "say"])
        | stay(connecting, *in_conversation, cond="room_to_say", on=["keep_saying"])
    )

    # --- the caller's voice -------------------------------------------------------------------------------
    speech_started = (
        quiet.to(hearing, on=["note_voice", "note_voice_after_answer"])
        | pausing.to(hearing, on=["note_voice"])
        | expecting.to(hearing, on=["drop_foreseen", "note_voice"])
        | stay(finalizing, cond="automatic", on=["note_speaking_on"])
        | hearing.from_(*thinking, cond="automatic and voidable", on=["void_answer", "note_voice"])
        | speaking.to(
            deciding,
            cond="automatic and interruptible and holds_at_voice",
            on=["hold_speech", "begin_turn"],
        )
        | stay(speaking, cond="automatic and interruptible", on=["begin_turn", "note_speaking_on"])
        | stay(*thinking, speaking, cond="automatic", on=["note_speaking_on"])
        | stay(weighing, on=["note_speaking_on"])
    )
    speech_stopped = (
        hearing.to(pausing, cond="automatic", on=["note_voice_end"])
        | hearing.to(quiet, unless="automatic", on=["note_voice_end"])
        | quiet.to(pausing, cond="speaking_on and automatic", on=["note_voice_end"])
        | stay(finalizing, cond="speaking_on", on=["note_pausing_again"])
        | stay(*thinking, speaking, cond="speaking_on", on=["queue_turn"])
        | deciding.to(speaking, cond="brief", on=["resume_speech", "begin_turn"])
        | deciding.to(weighing, unless="brief", on=["note_voice_end", "end_turn"])
        | stay(weighing, cond="speaking_on", on=["note_pausing_again"])
    )

    # --- the caller's words -------------------------------------------------------------------------------
    transcript_interim = (
        stay(*listening, expecting, on=["note_interim"])
        | deciding.to(hearing, cond="cuts_in and about_this_turn", on=["interrupt_answer", "note_interim"])
        | weighing.to(finalizing, cond="cuts_in and about_this_turn", on=["interrupt_answer", "note_interim"])
        | speaking.to(
            hearing,
            cond="automatic and interruptible and speaking_on and cuts_in and about_this_turn",
            on=["interrupt_answer", "note_interim", "note_voice"],
        )
        | stay(*held, on=["note_interim"])
    )
    transcript_final = (
        stay(
            *in_conversation,
            cond="automatic and about_queued_turn and not cuts_in",
            on=["forget_queued_turn", "tell_words"],
        )
        | speaking.to(
            generating,
            cond="about_queued_turn and automatic and voidable and interruptible",
            on=["forget_queued_turn", "interrupt_answer", "keep_words", "generate"],
        )
        | stay(*in_conversation, cond="about_queued_turn", on=["queue_words"])
        | weighing.to(hearing, cond="cuts_in and speaking_on", on=["interrupt_answer", "keep_words"])
        | weighing.to(pausing, cond="cuts_in and pausing_again", on=["interrupt_answer", "keep_words"])
        | weighing.to(generating, cond="cuts_in", on=["interrupt_answer", "keep_words", "generate"])
        | stay(weighing, cond="pausing_again", on=["overhear", "end_turn"])
        | weighing.to(speaking, on=["overhear", "resume_speech"])
        | finalizing.to(hearing, cond="speaking_on", on=["keep_words", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["keep_words", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["keep_words", "acknowledge"])
        | finalizing.to(generating, cond="understood", on=["keep_words", "acknowledge", "generate"])
        | finalizing.to(speaking, cond="voice_without_words", on=["keep_words", "acknowledge", "ask_again"])
        | finalizing.to(quiet, on=["keep_words", "acknowledge"])
    )
    transcription_failed = (
        stay(*in_conversation, cond="about_queued_turn", on=["tell_deaf", "doubt_ears"])
        | stay(finalizing, unless="about_awaited_turn", on=["tell_deaf"])
        | stay(
            weighing,
            cond="about_awaited_turn and pausing_again",
            on=["tell_deaf", "doubt_ears", "give_up_words", "end_turn"],
        )
        | weighing.to(
            speaking,
            cond="about_awaited_turn",
            on=["tell_deaf", "doubt_ears", "give_up_words", "resume_speech"],
        )
        | stay(finalizing, cond="other_ears", on=["tell_deaf", "doubt_ears"])
        | finalizing.to(hearing, cond="speaking_on", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(
            generating, cond="understood_so_far", on=["tell_deaf", "keep_interim", "acknowledge", "generate"]
        )
        | finalizing.to(
            speaking, unless="understood_so_far", on=["tell_deaf", "keep_interim", "refuse", "apologise"]
        )
        | stay(*turn_is_open, expecting, keying, *thinking, *responding, on=["tell_deaf", "doubt_ears"])
    )
    turn_scored = stay(pausing, on=["note_score"])
    eager_end_of_turn = (
        expecting.from_(*turn_is_open, cond="automatic and may_anticipate", on=["note_interim", "anticipate"])
        | stay(expecting, cond="as_anticipated", on=["note_interim"])
        | stay(expecting, cond="may_anticipate", on=["drop_foreseen", "note_interim", "anticipate"])
        | expecting.to(pausing, on=["drop_foreseen", "note_interim"])
        | pausing.from_(quiet, hearing, cond="automatic", on=["note_interim"])
        | stay(*turn_is_open, on=["note_interim"])
        | deciding.to(hearing, cond="cuts_in", on=["interrupt_answer", "note_interim"])
        | weighing.to(finalizing, cond="cuts_in", on=["interrupt_answer", "note_interim"])
        | stay(*held, on=["note_interim"])
    )
    turn_resumed = pausing.to(hearing, cond="automatic", on=["note_voice"]) | expecting.to(
        hearing, on=["drop_foreseen", "note_voice"]
    )
    end_of_turn = (
        generating.from_(
            *turn_is_open, cond="automatic and understood", on=["take_turn", "acknowledge", "generate"]
        )
        | quiet.from_(hearing, pausing, cond="automatic", on=["begin_turn"])
        | expecting.to(
            speaking,
            cond="as_anticipated and answer_foreseen",
            on=["take_turn", "acknowledge", "say_foreseen"],
        )
        | expecting.to(generating, cond="as_anticipated", on=["take_turn", "acknowledge", "await_foreseen"])
        | expecting.to(
            generating, cond="understood", on=["drop_foreseen", "take_turn", "acknowledge", "generate"]
        )
        | expecting.to(quiet, on=["drop_foreseen", "begin_turn"])
        | deciding.to(
            generating, cond="cuts_in", on=["interrupt_answer", "take_turn", "acknowledge", "generate"]
        )
        | deciding.to(speaking, on=["resume_speech", "begin_turn"])
    )

    # --- the model's words --------------------------------------------------------------------------------
    segment_ready = (
        generating.to(
            deciding,
            cond="speaking_on and barge_in_allowed and holds_at_voice",
            on=["begin_answer", "speak", "hold_speech"],
        )
        | generating.to(speaking, on=["begin_answer", "speak"])
        | stay(*responding, unless="said_already", on=["speak"])
        | stay(expecting, on=["keep_foreseen"])
    )
    generation_alive = stay(expecting, generating, *responding, on=["note_alive"])
    generation_finished = (
        generating.to(calling, cond="asks_for_calls", on=["enter_calls", "run_calls"])
        | generating.to(speaking, on=["tell_model_empty", "fall_back"])
        | stay(speaking, cond="asks_for_calls", on=["finish_answer", "enter_calls", "run_calls"])
        | stay(*held, cond="asks_for_calls", on=["finish_answer", "enter_calls"])
        | stay(*responding, unless="asks_for_calls", on=["finish_answer"])
        | stay(expecting, cond="answer_foreseen and not asks_for_calls", on=["note_foreseen_whole"])
        | expecting.to(pausing, on=["forget_foreseen"])
    )
    generation_failed = (
        expecting.to(pausing, on=["doubt_model", "forget_foreseen"])
        | generating.to(retrying, cond="worth_retrying", on=["doubt_model", "prepare_retry"])
        | generating.to(
            speaking, unless="worth_retrying", on=["doubt_model", "tell_model_failed", "fall_back"]
        )
        | stay(*responding, cond="worth_continuing", on=["doubt_model", "continue_answer"])
        | stay(
            *responding, unless="worth_continuing", on=["doubt_model", "tell_model_failed", "finish_early"]
        )
    )

    # --- tools --------------------------------------------------------------------------------------------
    tool_finished = (
        calling.to(generating, cond="last_result and reply_owed", on=["note_result", "generate"])
        | calling.to(quiet, cond="last_result and not reply_owed", on=["note_result"])
        | stay(calling, speaking, on=["note_failure", "note_result", "run_calls"])
        | stay(*listening, expecting, generating, retrying, *held, closing, parting, on=["note_result"])
    )

    # --- our voice ----------------------------------------------------------------------------------------
    segment_voiced = stay(*responding, parting, on=["note_voiced"])
    playback_at = stay(*responding, parting, on=["note_position"])
    playback_finished = (
        closing.from_(*responding, cond="goodbye", on=["note_all_heard", "complete_answer", "leave"])
        | parting.to(closing, on=["note_all_heard", "complete_answer", "leave"])
        | speaking.to(
            calling,
            cond="calls_pending and not goodbye",
            on=["note_all_heard", "complete_answer", "listen_anew", "run_calls"],
        )
        | speaking.to(quiet, unless="goodbye", on=["note_all_heard", "complete_answer", "listen_anew"])
        | deciding.to(
            hearing, unless="goodbye", on=["note_all_heard", "complete_answer", "note_echoing_turn"]
        )
        | weighing.to(
            finalizing, unless="goodbye", on=["note_all_heard", "complete_answer", "note_echoing_words"]
        )
    )
    synthesis_failed = (
        stay(*responding, parting, cond="voice_worth_retrying", on=["doubt_voice", "restart_speech"])
        | closing.from_(*responding, cond="goodbye", on=["lose_voice", "leave"])
        | parting.to(closing, unless="voice_worth_retrying", on=["lose_voice", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["doubt_voice", "lose_voice", "listen_anew"])
        | deciding.to(hearing, unless="goodbye", on=["doubt_voice", "lose_voice"])
        | weighing.to(finalizing, unless="goodbye", on=["doubt_voice", "lose_voice"])
    )

    # --- time ---------------------------------------------------------------------------------------------
    deadline_passed = (
        connecting.to(closing, on=["tell_links_late", "leave"])
        | quiet.to(speaking, cond="greets", on=["greet"])
        | quiet.to(speaking, cond="saying_due", on=["say_next"])
        | quiet.to(calling, cond="calls_due", on=["run_calls"])
        | quiet.to(generating, cond="turns_wait", on=["next_turn", "generate"])
        | quiet.to(
            speaking, cond="words_owed", on=["doubt_ears", "tell_unheard", "forget_queued_turns", "apologise"]
        )
        | quiet.to(speaking, cond="saying_has_time", on=["say_next"])
        | quiet.to(finalizing, cond="automatic and speaking_on", on=["end_turn"])
        | quiet.to(speaking, cond="idle and nudges_left", on=["nudge"])
        | quiet.to(speaking, cond="idle", on=["take_leave"])
        | finalizing.from_(hearing, cond="automatic", on=["end_turn"])
        | finalizing.from_(hearing, unless="automatic", on=["end_turn", "note_recording_on"])
        | finalizing.from_(pausing, on=["end_turn"])
        | expecting.to(finalizing, on=["drop_foreseen", "end_turn"])
        | keying.to(generating, on=["take_digits", "generate"])
        | stay(finalizing, cond="mute or other_ears", on=["doubt_ears"])
        | stay(finalizing, cond="first_wait", on=["wait_on"])
        | finalizing.to(hearing, cond="speaking_on", on=["doubt_ears", "keep_interim", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["doubt_ears", "keep_interim", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["doubt_ears", "keep_interim", "acknowledge"])
        | finalizing.to(
            generating, cond="understood_so_far", on=["doubt_ears", "keep_interim", "acknowledge", "generate"]
        )
        | finalizing.to(
            speaking,
            unless="understood_so_far",
            on=["doubt_ears", "tell_unheard", "keep_interim", "acknowledge", "apologise"],
        )
        | generating.to(retrying, cond="worth_asking_again", on=["doubt_model", "give_up_request"])
        | generating.to(
            speaking, unless="worth_asking_again", on=["doubt_model", "tell_model_late", "fall_back"]
        )
        | retrying.to(generating, on=["generate"])
        | calling.to(generating, cond="results_owed and not calls_awaited", on=["generate"])
        | calling.to(speaking, cond="time_for_filler", on=["fill"])
        | calling.to(generating, cond="results_owed", on=["give_up_calls", "generate"])
        | calling.to(quiet, on=["give_up_calls"])
        | stay(speaking, cond="answer_too_long", on=["tell_model_late", "finish_early"])
        | stay(speaking, cond="model_stalled and worth_continuing", on=["doubt_model", "continue_answer"])
        | stay(speaking, cond="model_stalled", on=["doubt_model", "tell_model_late", "finish_early"])
        | stay(speaking, parting, cond="voice_worth_retrying", on=["doubt_voice", "restart_speech"])
        | speaking.to(closing, cond="goodbye", on=["lose_voice", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["doubt_voice", "lose_voice", "listen_anew"])
        | parting.to(closing, unless="voice_worth_retrying", on=["lose_voice", "leave"])
        | deciding.to(hearing, cond="voice_interrupts", on=["interrupt_answer"])
        | deciding.to(weighing, unless="voice_interrupts", on=["end_turn", "note_speaking_on", "note_noise"])
        | stay(weighing, cond="pausing_again", on=["doubt_ears", "give_up_words", "end_turn"])
        | weighing.to(speaking, on=["doubt_ears", "give_up_words", "resume_speech"])
        | closing.to(ended, on=["abandon"])
    )
    everything_closed = closing.to(ended)

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored(
            "link_up link_lost better_provider interrupt_requested speech_started speech_stopped"
            " transcript_interim transcript_final transcription_failed eager_end_of_turn turn_resumed"
            " say_requested digit_pressed turn_scored end_of_turn segment_ready generation_alive"
            " generation_finished generation_failed",
            ending,
            because="the conversation is over",
        ),
        *ignored("tool_finished", (ended,), because="the conversation is over"),
        *ignored("tool_finished", (connecting,), because="the model was not asked yet"),
        *ignored(
            "link_down hung_up segment_voiced playback_at playback_finished synthesis_failed",
            (closing, ended),
            because="the conversation is over",
        ),
        *ignored(
            "recording_started recording_stopped deadline_passed everything_closed",
            (ended,),
            because="the conversation is over",
        ),
        *ignored("link_down", (parting,), because="only the voice is needed for the last words"),
        *ignored(
            "everything_closed", (connecting, *in_conversation, parting), because="nobody asked to close"
        ),
        *ignored("interrupt_requested", (connecting, *listening, expecting), because="nothing is being said"),
        *ignored(
            "say_requested", (connecting, *in_conversation), because="too much waits to be said already"
        ),
        *ignored(
            "speech_started speech_stopped digit_pressed",
            (connecting,),
            because="nobody listens before a turn begins",
        ),
        *ignored(
            "speech_started speech_stopped eager_end_of_turn turn_resumed end_of_turn turn_scored",
            (keying,),
            because="the caller presses keys, and what is said meanwhile is not listened to",
        ),
        *ignored("digit_pressed", (*thinking, speaking), because="what is said now may not be cut off"),
        *ignored("speech_started", (hearing, deciding), because="the caller is known to be speaking"),
        *ignored(
            "speech_started",
            (finalizing, *thinking, speaking),
            because="in manual mode the caller's hand decides",
        ),
        *ignored(
            "speech_stopped",
            (quiet, pausing, expecting, finalizing, weighing),
            because="the caller is known to be silent",
        ),
        *ignored(
            "speech_stopped", (*thinking, speaking), because="the voice that ends here was taken already"
        ),
        *ignored(
            "transcript_interim eager_end_of_turn turn_resumed end_of_turn turn_scored",
            (connecting,),
            because="no turn has begun",
        ),
        *ignored(
            "transcript_interim eager_end_of_turn end_of_turn",
            (*thinking, speaking),
            because="the next turn is not listened to yet",
        ),
        *ignored("turn_resumed", answering, because="nobody took the turn for over"),
        *ignored(
            "turn_scored",
            (quiet, hearing, expecting, finalizing, *answering),
            because="no pause is waited out",
        ),
        *ignored("eager_end_of_turn turn_resumed", (finalizing,), because="the turn is over already"),
        *ignored("turn_resumed", (quiet, hearing), because="nobody took the turn for over"),
        *ignored("turn_resumed", (pausing,), because="in manual mode the caller's hand decides"),
        *ignored("end_of_turn", (finalizing, weighing), because="the final transcript of the turn follows"),
        *ignored("end_of_turn", (quiet,), because="nothing was said, or the caller's hand decides"),
        *ignored("end_of_turn", (hearing, pausing), because="in manual mode the caller's hand decides"),
        *ignored(
            "transcript_final",
            (connecting, *turn_is_open, expecting, keying, *thinking, speaking, deciding),
            because="no final transcript is awaited",
        ),
        *ignored("transcription_failed", (connecting,), because="no turn has begun"),
        *ignored(
            "segment_ready generation_alive generation_finished generation_failed",
            (connecting, *listening, retrying, calling),
            because="nothing is being generated",
        ),
        *ignored("segment_ready", responding, because="it was said already"),
        *ignored(
            "segment_voiced playback_at playback_finished synthesis_failed",
            (connecting, *listening, expecting, *thinking),
            because="nothing is being said",
        ),
        *ignored("deadline_passed", (quiet,), because="this caller is waited for as long as it takes"),
    )

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        model = self.context
        match fact:
            case facts.TranscriptFinal(turn=turn) if turn not in (model.turn_awaited, *model.turns_queued):
                return f"turn {turn} is not awaited"
            case (
                facts.TranscriptInterim(turn=turn)
                | facts.TranscriptionFailed(turn=turn)
                | facts.EagerEndOfTurn(turn=turn)
                | facts.TurnResumed(turn=turn)
                | facts.EndOfTurn(turn=turn)
                | facts.TurnScored(turn=turn)
            ) if turn not in (model.turn, model.turn_awaited, *model.turns_queued):
                return f"turn {turn} is over"
            case (
                facts.SegmentReady(generation=generation)
                | facts.GenerationAlive(generation=generation)
                | facts.GenerationFinished(generation=generation)
                | facts.GenerationFailed(generation=generation)
            ) if generation != model.generation_open:
                return f"generation {generation} is not being generated"
            case (
                facts.SegmentVoiced(utterance=utterance)
                | facts.PlaybackAt(utterance=utterance)
                | facts.PlaybackFinished(utterance=utterance)
                | facts.SynthesisFailed(utterance=utterance)
            ) if utterance != model.speech_open:
                return f"utterance {utterance} is not being spoken"
            case facts.ToolFinished(call=call) if all(call != each.number for each in model.calls_running):
                return f"call {call} is not running"
            case facts.SegmentVoiced(take=take) | facts.SynthesisFailed(take=take) if take != model.take:
                return f"take {take} of the answer is over"
            case facts.DeadlinePassed(number=number) if number != model.deadline_armed:
                return f"deadline {number} is not armed"
        return None

    def is_progress(self, fact: Fact) -> bool:
        """Whether a state begins to wait anew for its deadline, though it stays the same."""
        return fact.name in SIGNS_OF_LIFE.get(self.state, ())

    @property
    def state(self) -> str:
        """The innermost state of the machine that runs."""
        return str([*self.context.state][-1])

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Tell the client about every change, of the substate too; in quiet, go back to better ones."""
        self.context.ask(do.TellState(source_room, room, state, fact.name))
        if state == "quiet":
            better = sorted(self.context.better, key=lambda each: (each[0].value, each[1]))
            self.context.better = frozenset()
            self.context.ask(*(do.ReturnLink(role, provider) for role, provider in better))

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last from now on; None where only the caller is waited for."""
        context, policy = self.context, self.context.policy
        match state:
            case "connecting":
                return policy.connect_timeout_ms
            case "quiet":
                # Turns that wait are answered at once, once their words are known.
                waits = context.queue or self.saying_due() or self.saying_has_time()
                if waits or self.greets() or self.calls_due():
                    return 0.0
                if context.turns_queued:
                    return policy.final_transcript_timeout_ms
                if self.automatic() and self.speaking_on():
                    return policy.max_turn_ms
                return policy.idle_after_ms if self.idle() and self.automatic() else None
            case "hearing":
                return policy.max_turn_ms
            case "pausing" | "expecting":
                voice_ended = at_ms if context.times.voice_ended is None else context.times.voice_ended
                return max(0.0, voice_ended + self.endpoint_delay_ms() - at_ms)
            case "keying":
                return policy.digits_timeout_ms
            case "finalizing":
                return policy.final_transcript_timeout_ms / 2
            case "generating":
                # All attempts share one budget: the caller must not wait for it several times.
                budget = context.thinking_began + policy.first_segment_timeout_ms - at_ms
                return max(0.0, min(budget, context.model_due_at() - at_ms))
            case "retrying":
                return self.wait_for_model_ms(context.retry_after_ms)
            case "calling":
                return self.calls_wait_ms(at_ms)
            case "speaking":
                quiet_after = context.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
                if context.generation_open is None:
                    return quiet_after
                answer_over = context.thinking_began + policy.answer_timeout_ms
                return max(0.0, min(quiet_after, answer_over - at_ms, context.model_due_at() - at_ms))
            case "deciding":
                return policy.barge_in_min_ms if self.voice_interrupts() else policy.barge_in_patience_ms
            case "weighing":
                return policy.final_transcript_timeout_ms / 2
            case "parting":
                return context.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
            case "closing":
                return policy.close_timeout_ms
        return None


SIGNS_OF_LIFE = {
    "quiet": frozenset({"transcript_final", "recording_started", "say_requested"}),
    "pausing": frozenset({"transcript_interim", "eager_end_of_turn", "turn_scored"}),
    "expecting": frozenset({"transcript_interim", "eager_end_of_turn"}),
    "keying": frozenset({"digit_pressed"}),
    "finalizing": frozenset({"deadline_passed", "transcription_failed"}),
    "generating": frozenset({"generation_alive"}),
    "calling": frozenset({"tool_finished"}),
    "speaking": frozenset(
        {
            "say_requested",
            "segment_ready",
            "generation_alive",
            "generation_finished",
            "generation_failed",
            "segment_voiced",
            "playback_at",
            "synthesis_failed",
            "deadline_passed",
        }
    ),
    "weighing": frozenset({"transcript_final", "transcription_failed", "deadline_passed"}),
    "parting": frozenset({"segment_voiced", "playback_at", "synthesis_failed", "deadline_passed"}),
}
"""In which state which facts say that what is awaited is on its way, or begins anew."""
