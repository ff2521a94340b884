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
        endpointing = State()
        speculating = State()
        keypad = State()
        finalizing = State()

    class THINKING(State.Compound):
        generating = State(initial=True)
        retrying = State()
        running_tools = State()

    class RESPONDING(State.Compound):
        speaking = State(initial=True)
        paused = State()
        confirming = State()

    class ENDING(State.Compound):
        closing = State(initial=True)
        saying_goodbye = State()
        ended = State(final=True)

    connecting = INITIALIZING.connecting
    quiet, hearing, endpointing = LISTENING.quiet, LISTENING.hearing, LISTENING.endpointing
    speculating, keypad, finalizing = (
        LISTENING.speculating,
        LISTENING.keypad,
        LISTENING.finalizing,
    )
    generating, retrying, running_tools = THINKING.generating, THINKING.retrying, THINKING.running_tools
    speaking, paused, confirming = (
        RESPONDING.speaking,
        RESPONDING.paused,
        RESPONDING.confirming,
    )
    closing, saying_goodbye, ended = ENDING.closing, ENDING.saying_goodbye, ENDING.ended

    turn_is_open = (quiet, hearing, endpointing)
    listening = (*turn_is_open, keypad, finalizing)
    thinking = (generating, retrying, running_tools)
    silenced = (paused, confirming)
    responding = (speaking, *silenced)
    answering = (*thinking, *responding)
    in_conversation = (*listening, speculating, *answering)
    ending = (closing, saying_goodbye, ended)

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
        closing.from_(connecting, on=["report_link_lost", "leave"])
        | saying_goodbye.from_(*listening, cond="can_say_so", on=["report_link_lost", "part"])
        | saying_goodbye.from_(
            speculating, cond="can_say_so", on=["report_link_lost", "drop_speculation", "part"]
        )
        | saying_goodbye.from_(*answering, cond="can_say_so", on=["report_link_lost", "end_answer", "part"])
        | closing.from_(*listening, unless="can_say_so", on=["report_link_lost", "leave"])
        | closing.from_(
            speculating, unless="can_say_so", on=["report_link_lost", "drop_speculation", "leave"]
        )
        | closing.from_(*answering, unless="can_say_so", on=["report_link_lost", "end_answer", "leave"])
        | saying_goodbye.to(closing, cond="about_voice", on=["end_answer", "leave"])
    )
    preferred_provider_recovered = stay(quiet, on=["return_to"]) | stay(
        connecting,
        hearing,
        endpointing,
        speculating,
        keypad,
        finalizing,
        *answering,
        on=["note_recovered"],
    )

    # --- the caller's hands -------------------------------------------------------------------------------
    recording_started = (
        stay(connecting, on=["note_recording"])
        | endpointing.to(quiet, cond="by_hand", on=["note_recording", "acknowledge"])
        | speculating.to(quiet, cond="by_hand", on=["drop_speculation", "note_recording", "acknowledge"])
        | stay(endpointing, speculating, unless="by_hand", on=["note_recording", "acknowledge"])
        | stay(quiet, hearing, keypad, on=["note_recording", "acknowledge"])
        | stay(finalizing, on=["note_recording_again", "acknowledge_start"])
        | quiet.from_(*thinking, cond="voidable", on=["void_answer", "note_recording", "acknowledge"])
        | speaking.to(
            quiet,
            cond="interruptible",
            on=["interrupt_answer", "begin_turn", "note_recording", "acknowledge"],
        )
        | stay(*thinking, unless="voidable", on=["note_recording_meanwhile", "acknowledge_start"])
        | stay(speaking, unless="interruptible", on=["note_recording_meanwhile", "acknowledge_start"])
        | paused.to(hearing, on=["interrupt_answer", "note_recording", "acknowledge"])
        | confirming.to(finalizing, on=["interrupt_answer", "note_recording_again", "acknowledge_start"])
        | stay(closing, saying_goodbye, on=["refuse_start"])
    )
    recording_stopped = (
        stay(connecting, on=["note_early_stop"])
        | finalizing.from_(*turn_is_open, on=["await_words", "end_turn"])
        | speculating.to(finalizing, on=["drop_speculation", "await_words", "end_turn"])
        | stay(keypad, on=["acknowledge_stop"])
        | stay(finalizing, on=["await_words"])
        | stay(*thinking, unless="voidable", on=["queue_turn", "acknowledge_stop"])
        | stay(*thinking, cond="voidable", on=["acknowledge_stop"])
        | stay(speaking, unless="interruptible", on=["queue_turn", "acknowledge_stop"])
        | stay(speaking, cond="interruptible", on=["acknowledge_stop"])
        | paused.to(confirming, on=["end_turn", "acknowledge_stop"])
        | stay(confirming, on=["acknowledge_stop"])
        | stay(closing, saying_goodbye, on=["refuse_stop"])
    )
    digit_pressed = (
        keypad.from_(quiet, hearing, endpointing, on=["note_digit"])
        | speculating.to(keypad, on=["drop_speculation", "note_digit"])
        | finalizing.to(keypad, on=["keep_interim", "acknowledge", "note_digit"])
        | keypad.from_(*thinking, cond="voidable", on=["void_answer", "note_digit"])
        | speaking.to(keypad, cond="interruptible", on=["interrupt_answer", "begin_turn", "note_digit"])
        | paused.to(keypad, on=["interrupt_answer", "note_digit"])
        | confirming.to(keypad, on=["interrupt_answer", "give_up_words", "note_digit"])
        | keypad.to(generating, cond="ends_digits", on=["take_digits", "generate"])
        | stay(keypad, on=["note_digit"])
    )
    interrupt_requested = (
        quiet.from_(*thinking, on=["void_answer", "give_up_results"])
        | speaking.to(quiet, on=["interrupt_answer", "give_up_results", "listen_anew"])
        | paused.to(hearing, on=["interrupt_answer", "give_up_results"])
        | confirming.to(finalizing, on=["interrupt_answer", "give_up_results"])
    )
    hung_up = (
        closing.from_(connecting, *listening, on=["leave"])
        | closing.from_(speculating, on=["drop_speculation", "leave"])
        | closing.from_(*answering, saying_goodbye, on=["end_answer", "leave"])
    )
    say_requested = (
        quiet.to(speaking, cond="can_say_now", on=["say"])
        | speaking.from_(*thinking, cond="urgent", on=["void_answer", "answer_later", "say"])
        | stay(speaking, cond="urgent", on=["interrupt_answer", "answer_later", "say"])
        | stay(connecting, *in_conversation, cond="room_for_host_utterance", on=["queue_host_utterance"])
    )

    # --- the caller's voice -------------------------------------------------------------------------------
    speech_started = (
        quiet.to(hearing, on=["note_voice", "note_voice_after_answer"])
        | endpointing.to(hearing, on=["note_voice"])
        | speculating.to(hearing, on=["drop_speculation", "note_voice"])
        | stay(finalizing, cond="automatic", on=["note_speaking_on"])
        | hearing.from_(*thinking, cond="automatic and voidable", on=["void_answer", "note_voice"])
        | speaking.to(
            paused,
            cond="automatic and interruptible and pauses_on_voice",
            on=["pause_speech", "begin_turn"],
        )
        | stay(speaking, cond="automatic and interruptible", on=["begin_turn", "note_speaking_on"])
        | stay(*thinking, speaking, cond="automatic", on=["note_speaking_on"])
        | stay(confirming, on=["note_speaking_on"])
    )
    speech_stopped = (
        hearing.to(endpointing, cond="automatic", on=["note_voice_end"])
        | hearing.to(quiet, unless="automatic", on=["note_voice_end"])
        | quiet.to(endpointing, cond="speaking_on and automatic", on=["note_voice_end"])
        | stay(finalizing, cond="speaking_on", on=["note_pausing_again"])
        | stay(*thinking, speaking, cond="speaking_on", on=["queue_turn"])
        | paused.to(speaking, cond="brief", on=["resume_speech", "begin_turn"])
        | paused.to(confirming, unless="brief", on=["note_voice_end", "end_turn"])
        | stay(confirming, cond="speaking_on", on=["note_pausing_again"])
    )

    # --- the caller's words -------------------------------------------------------------------------------
    transcript_interim = (
        stay(*listening, speculating, on=["note_interim"])
        | paused.to(
            hearing, cond="is_interruption and about_this_turn", on=["interrupt_answer", "note_interim"]
        )
        | confirming.to(
            finalizing, cond="is_interruption and about_this_turn", on=["interrupt_answer", "note_interim"]
        )
        | speaking.to(
            hearing,
            cond="automatic and interruptible and speaking_on and is_interruption and about_this_turn",
            on=["interrupt_answer", "note_interim", "note_voice"],
        )
        | stay(*silenced, on=["note_interim"])
    )
    transcript_final = (
        stay(
            *in_conversation,
            cond="automatic and about_queued_turn and not is_interruption",
            on=["forget_queued_turn", "notify_words"],
        )
        | speaking.to(
            generating,
            cond="about_queued_turn and automatic and voidable and interruptible",
            on=["forget_queued_turn", "interrupt_answer", "keep_words", "generate"],
        )
        | stay(*in_conversation, cond="about_queued_turn", on=["queue_words"])
        | confirming.to(
            hearing, cond="is_interruption and speaking_on", on=["interrupt_answer", "keep_words"]
        )
        | confirming.to(
            endpointing, cond="is_interruption and pausing_again", on=["interrupt_answer", "keep_words"]
        )
        | confirming.to(generating, cond="is_interruption", on=["interrupt_answer", "keep_words", "generate"])
        | stay(confirming, cond="pausing_again", on=["overhear", "end_turn"])
        | confirming.to(speaking, on=["overhear", "resume_speech"])
        | finalizing.to(hearing, cond="speaking_on", on=["keep_words", "acknowledge"])
        | finalizing.to(endpointing, cond="pausing_again", on=["keep_words", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["keep_words", "acknowledge"])
        | finalizing.to(generating, cond="understood", on=["keep_words", "acknowledge", "generate"])
        | finalizing.to(speaking, cond="voice_without_words", on=["keep_words", "acknowledge", "ask_again"])
        | finalizing.to(quiet, on=["keep_words", "acknowledge"])
    )
    transcription_failed = (
        stay(*in_conversation, cond="about_queued_turn", on=["report_stt_failed", "suspect_stt"])
        | stay(finalizing, unless="about_awaited_turn", on=["report_stt_failed"])
        | stay(
            confirming,
            cond="about_awaited_turn and pausing_again",
            on=["report_stt_failed", "suspect_stt", "give_up_words", "end_turn"],
        )
        | confirming.to(
            speaking,
            cond="about_awaited_turn",
            on=["report_stt_failed", "suspect_stt", "give_up_words", "resume_speech"],
        )
        | stay(finalizing, cond="fallback_stt_ready", on=["report_stt_failed", "suspect_stt"])
        | finalizing.to(hearing, cond="speaking_on", on=["report_stt_failed", "keep_interim", "acknowledge"])
        | finalizing.to(
            endpointing, cond="pausing_again", on=["report_stt_failed", "keep_interim", "acknowledge"]
        )
        | finalizing.to(quiet, cond="recording_on", on=["report_stt_failed", "keep_interim", "acknowledge"])
        | finalizing.to(
            generating,
            cond="understood_so_far",
            on=["report_stt_failed", "keep_interim", "acknowledge", "generate"],
        )
        | finalizing.to(
            speaking,
            unless="understood_so_far",
            on=["report_stt_failed", "keep_interim", "refuse", "apologise"],
        )
        | stay(
            *turn_is_open,
            speculating,
            keypad,
            *thinking,
            *responding,
            on=["report_stt_failed", "suspect_stt"],
        )
    )
    turn_scored = stay(endpointing, on=["note_score"])
    eager_end_of_turn = (
        speculating.from_(*turn_is_open, cond="automatic and can_speculate", on=["note_interim", "speculate"])
        | stay(speculating, cond="as_speculated", on=["note_interim"])
        | stay(speculating, cond="can_speculate", on=["drop_speculation", "note_interim", "speculate"])
        | speculating.to(endpointing, on=["drop_speculation", "note_interim"])
        | endpointing.from_(quiet, hearing, cond="automatic", on=["note_interim"])
        | stay(*turn_is_open, on=["note_interim"])
        | paused.to(hearing, cond="is_interruption", on=["interrupt_answer", "note_interim"])
        | confirming.to(finalizing, cond="is_interruption", on=["interrupt_answer", "note_interim"])
        | stay(*silenced, on=["note_interim"])
    )
    turn_resumed = endpointing.to(hearing, cond="automatic", on=["note_voice"]) | speculating.to(
        hearing, on=["drop_speculation", "note_voice"]
    )
    end_of_turn = (
        generating.from_(
            *turn_is_open, cond="automatic and understood", on=["take_turn", "acknowledge", "generate"]
        )
        | quiet.from_(hearing, endpointing, cond="automatic", on=["begin_turn"])
        | speculating.to(
            speaking,
            cond="as_speculated and speculation_has_text",
            on=["take_turn", "acknowledge", "say_speculation"],
        )
        | speculating.to(
            generating, cond="as_speculated", on=["take_turn", "acknowledge", "adopt_speculation"]
        )
        | speculating.to(
            generating, cond="understood", on=["drop_speculation", "take_turn", "acknowledge", "generate"]
        )
        | speculating.to(quiet, on=["drop_speculation", "begin_turn"])
        | paused.to(
            generating,
            cond="is_interruption",
            on=["interrupt_answer", "take_turn", "acknowledge", "generate"],
        )
        | paused.to(speaking, on=["resume_speech", "begin_turn"])
    )

    # --- the model's words --------------------------------------------------------------------------------
    segment_ready = (
        generating.to(
            paused,
            cond="speaking_on and barge_in_allowed and pauses_on_voice",
            on=["begin_answer", "speak", "pause_speech"],
        )
        | generating.to(speaking, on=["begin_answer", "speak"])
        | stay(*responding, unless="said_already", on=["speak"])
        | stay(speculating, on=["keep_speculative_segment"])
    )
    generation_alive = stay(speculating, generating, *responding, on=["note_alive"])
    generation_finished = (
        generating.to(running_tools, cond="asks_for_calls", on=["enter_calls", "run_calls"])
        | generating.to(speaking, on=["report_llm_empty", "fall_back"])
        | stay(speaking, cond="asks_for_calls", on=["finish_answer", "enter_calls", "run_calls"])
        | stay(*silenced, cond="asks_for_calls", on=["finish_answer", "enter_calls"])
        | stay(*responding, unless="asks_for_calls", on=["finish_answer"])
        | stay(
            speculating, cond="speculation_has_text and not asks_for_calls", on=["note_speculation_complete"]
        )
        | speculating.to(endpointing, on=["forget_speculation"])
    )
    generation_failed = (
        speculating.to(endpointing, on=["suspect_llm", "forget_speculation"])
        | generating.to(retrying, cond="worth_retrying", on=["suspect_llm", "prepare_retry"])
        | generating.to(
            speaking, unless="worth_retrying", on=["suspect_llm", "report_llm_failed", "fall_back"]
        )
        | stay(*responding, cond="worth_continuing", on=["suspect_llm", "continue_answer"])
        | stay(
            *responding, unless="worth_continuing", on=["suspect_llm", "report_llm_failed", "finish_early"]
        )
    )

    # --- tools --------------------------------------------------------------------------------------------
    tool_finished = (
        running_tools.to(generating, cond="last_result and reply_owed", on=["note_result", "generate"])
        | running_tools.to(quiet, cond="last_result and not reply_owed", on=["note_result"])
        | stay(running_tools, speaking, on=["note_failure", "note_result", "run_calls"])
        | stay(
            *listening,
            speculating,
            generating,
            retrying,
            *silenced,
            closing,
            saying_goodbye,
            on=["note_result"],
        )
    )

    # --- our voice ----------------------------------------------------------------------------------------
    segment_voiced = stay(*responding, saying_goodbye, on=["note_voiced"])
    playback_at = stay(*responding, saying_goodbye, on=["note_position"])
    playback_finished = (
        closing.from_(*responding, cond="goodbye", on=["note_all_heard", "complete_answer", "leave"])
        | saying_goodbye.to(closing, on=["note_all_heard", "complete_answer", "leave"])
        | speaking.to(
            running_tools,
            cond="calls_pending and not goodbye",
            on=["note_all_heard", "complete_answer", "listen_anew", "run_calls"],
        )
        | speaking.to(quiet, unless="goodbye", on=["note_all_heard", "complete_answer", "listen_anew"])
        | paused.to(hearing, unless="goodbye", on=["note_all_heard", "complete_answer", "note_echoing_turn"])
        | confirming.to(
            finalizing, unless="goodbye", on=["note_all_heard", "complete_answer", "note_echoing_words"]
        )
    )
    synthesis_failed = (
        stay(*responding, saying_goodbye, cond="voice_worth_retrying", on=["suspect_tts", "restart_speech"])
        | closing.from_(*responding, cond="goodbye", on=["give_up_voice", "leave"])
        | saying_goodbye.to(closing, unless="voice_worth_retrying", on=["give_up_voice", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["suspect_tts", "give_up_voice", "listen_anew"])
        | paused.to(hearing, unless="goodbye", on=["suspect_tts", "give_up_voice"])
        | confirming.to(finalizing, unless="goodbye", on=["suspect_tts", "give_up_voice"])
    )

    # --- time ---------------------------------------------------------------------------------------------
    deadline_passed = (
        connecting.to(closing, on=["report_links_late", "leave"])
        | quiet.to(speaking, cond="greets", on=["greet"])
        | quiet.to(speaking, cond="host_utterance_due", on=["say_next_host_utterance"])
        | quiet.to(running_tools, cond="calls_due", on=["run_calls"])
        | quiet.to(generating, cond="turns_wait", on=["next_turn", "generate"])
        | quiet.to(
            speaking,
            cond="words_owed",
            on=["suspect_stt", "report_no_transcript", "forget_queued_turns", "apologise"],
        )
        | quiet.to(speaking, cond="idle_host_utterance_due", on=["say_next_host_utterance"])
        | quiet.to(finalizing, cond="automatic and speaking_on", on=["end_turn"])
        | quiet.to(speaking, cond="idle and nudges_left", on=["nudge"])
        | quiet.to(speaking, cond="idle", on=["take_leave"])
        | finalizing.from_(hearing, cond="automatic", on=["end_turn"])
        | finalizing.from_(hearing, unless="automatic", on=["end_turn", "note_recording_on"])
        | finalizing.from_(endpointing, on=["end_turn"])
        | speculating.to(finalizing, on=["drop_speculation", "end_turn"])
        | keypad.to(generating, on=["take_digits", "generate"])
        | stay(finalizing, cond="stt_silent or fallback_stt_ready", on=["suspect_stt"])
        | stay(finalizing, cond="first_wait", on=["wait_on"])
        | finalizing.to(hearing, cond="speaking_on", on=["suspect_stt", "keep_interim", "acknowledge"])
        | finalizing.to(endpointing, cond="pausing_again", on=["suspect_stt", "keep_interim", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["suspect_stt", "keep_interim", "acknowledge"])
        | finalizing.to(
            generating,
            cond="understood_so_far",
            on=["suspect_stt", "keep_interim", "acknowledge", "generate"],
        )
        | finalizing.to(
            speaking,
            unless="understood_so_far",
            on=["suspect_stt", "report_no_transcript", "keep_interim", "acknowledge", "apologise"],
        )
        | generating.to(retrying, cond="worth_asking_again", on=["suspect_llm", "give_up_request"])
        | generating.to(
            speaking, unless="worth_asking_again", on=["suspect_llm", "report_llm_late", "fall_back"]
        )
        | retrying.to(generating, on=["generate"])
        | running_tools.to(generating, cond="results_owed and not calls_awaited", on=["generate"])
        | running_tools.to(speaking, cond="time_for_filler", on=["fill"])
        | running_tools.to(generating, cond="results_owed", on=["give_up_calls", "generate"])
        | running_tools.to(quiet, on=["give_up_calls"])
        | stay(speaking, cond="answer_too_long", on=["report_llm_late", "finish_early"])
        | stay(speaking, cond="model_stalled and worth_continuing", on=["suspect_llm", "continue_answer"])
        | stay(speaking, cond="model_stalled", on=["suspect_llm", "report_llm_late", "finish_early"])
        | stay(speaking, saying_goodbye, cond="voice_worth_retrying", on=["suspect_tts", "restart_speech"])
        | speaking.to(closing, cond="goodbye", on=["give_up_voice", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["suspect_tts", "give_up_voice", "listen_anew"])
        | saying_goodbye.to(closing, unless="voice_worth_retrying", on=["give_up_voice", "leave"])
        | paused.to(hearing, cond="voice_interrupts", on=["interrupt_answer"])
        | paused.to(
            confirming,
            unless="voice_interrupts",
            on=["end_turn", "note_speaking_on", "note_noise"],
        )
        | stay(confirming, cond="pausing_again", on=["suspect_stt", "give_up_words", "end_turn"])
        | confirming.to(speaking, on=["suspect_stt", "give_up_words", "resume_speech"])
        | closing.to(ended, on=["abandon"])
    )
    everything_closed = closing.to(ended)

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored(
            "link_up link_lost preferred_provider_recovered interrupt_requested speech_started speech_stopped"
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
        *ignored("link_down", (saying_goodbye,), because="only the voice is needed for the last words"),
        *ignored(
            "everything_closed",
            (connecting, *in_conversation, saying_goodbye),
            because="nobody asked to close",
        ),
        *ignored(
            "interrupt_requested", (connecting, *listening, speculating), because="nothing is being said"
        ),
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
            (keypad,),
            because="the caller presses keys, and what is said meanwhile is not listened to",
        ),
        *ignored("digit_pressed", (*thinking, speaking), because="what is said now may not be cut off"),
        *ignored("speech_started", (hearing, paused), because="the caller is known to be speaking"),
        *ignored(
            "speech_started",
            (finalizing, *thinking, speaking),
            because="in manual mode the caller's hand decides",
        ),
        *ignored(
            "speech_stopped",
            (quiet, endpointing, speculating, finalizing, confirming),
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
            (quiet, hearing, speculating, finalizing, *answering),
            because="no pause is waited out",
        ),
        *ignored("eager_end_of_turn turn_resumed", (finalizing,), because="the turn is over already"),
        *ignored("turn_resumed", (quiet, hearing), because="nobody took the turn for over"),
        *ignored("turn_resumed", (endpointing,), because="in manual mode the caller's hand decides"),
        *ignored(
            "end_of_turn",
            (finalizing, confirming),
            because="the final transcript of the turn follows",
        ),
        *ignored("end_of_turn", (quiet,), because="nothing was said, or the caller's hand decides"),
        *ignored("end_of_turn", (hearing, endpointing), because="in manual mode the caller's hand decides"),
        *ignored(
            "transcript_final",
            (connecting, *turn_is_open, speculating, keypad, *thinking, speaking, paused),
            because="no final transcript is awaited",
        ),
        *ignored("transcription_failed", (connecting,), because="no turn has begun"),
        *ignored(
            "segment_ready generation_alive generation_finished generation_failed",
            (connecting, *listening, retrying, running_tools),
            because="nothing is being generated",
        ),
        *ignored("segment_ready", responding, because="it was said already"),
        *ignored(
            "segment_voiced playback_at playback_finished synthesis_failed",
            (connecting, *listening, speculating, *thinking),
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
            case facts.SegmentVoiced(attempt=attempt) | facts.SynthesisFailed(attempt=attempt) if (
                attempt != model.speech_attempt
            ):
                return f"attempt {attempt} of the answer is over"
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
        self.context.ask(do.NotifyState(source_room, room, state, fact.name))
        if state == "quiet":
            recovered = sorted(self.context.recovered, key=lambda each: (each[0].value, each[1]))
            self.context.recovered = frozenset()
            self.context.ask(*(do.ReturnLink(role, provider) for role, provider in recovered))

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last from now on; None where only the caller is waited for."""
        context, policy = self.context, self.context.policy
        match state:
            case "connecting":
                return policy.connect_timeout_ms
            case "quiet":
                # Turns that wait are answered at once, once their words are known.
                waits = context.queue or self.host_utterance_due() or self.idle_host_utterance_due()
                if waits or self.greets() or self.calls_due():
                    return 0.0
                if context.turns_queued:
                    return policy.final_transcript_timeout_ms
                if self.automatic() and self.speaking_on():
                    return policy.max_turn_ms
                return policy.idle_after_ms if self.idle() and self.automatic() else None
            case "hearing":
                return policy.max_turn_ms
            case "endpointing" | "speculating":
                voice_ended = at_ms if context.times.voice_ended is None else context.times.voice_ended
                return max(0.0, voice_ended + self.endpoint_delay_ms() - at_ms)
            case "keypad":
                return policy.digits_timeout_ms
            case "finalizing":
                return policy.final_transcript_timeout_ms / 2
            case "generating":
                # All attempts share one budget: the caller must not wait for it several times.
                budget = context.thinking_began + policy.first_segment_timeout_ms - at_ms
                return max(0.0, min(budget, context.model_due_at() - at_ms))
            case "retrying":
                return self.wait_for_model_ms(context.retry_after_ms)
            case "running_tools":
                return self.calls_wait_ms(at_ms)
            case "speaking":
                quiet_after = context.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
                if context.generation_open is None:
                    return quiet_after
                answer_over = context.thinking_began + policy.answer_timeout_ms
                return max(0.0, min(quiet_after, answer_over - at_ms, context.model_due_at() - at_ms))
            case "paused":
                return policy.barge_in_min_ms if self.voice_interrupts() else policy.barge_in_patience_ms
            case "confirming":
                return policy.final_transcript_timeout_ms / 2
            case "saying_goodbye":
                return context.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
            case "closing":
                return policy.close_timeout_ms
        return None


SIGNS_OF_LIFE = {
    "quiet": frozenset({"transcript_final", "recording_started", "say_requested"}),
    "endpointing": frozenset({"transcript_interim", "eager_end_of_turn", "turn_scored"}),
    "speculating": frozenset({"transcript_interim", "eager_end_of_turn"}),
    "keypad": frozenset({"digit_pressed"}),
    "finalizing": frozenset({"deadline_passed", "transcription_failed"}),
    "generating": frozenset({"generation_alive"}),
    "running_tools": frozenset({"tool_finished"}),
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
    "confirming": frozenset({"transcript_final", "transcription_failed", "deadline_passed"}),
    "saying_goodbye": frozenset({"segment_voiced", "playback_at", "synthesis_failed", "deadline_passed"}),
}
"""In which state which facts say that what is awaited is on its way, or begins anew."""
