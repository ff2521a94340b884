"""The chart of the conversation: five states with their substates, eleven arrows, and every event.

INITIALIZING   connecting
LISTENING      quiet, hearing, endpointing, speculating, keypad, finalizing
THINKING       generating, retrying, running_tools
RESPONDING     speaking, paused, confirming
ENDING         closing, saying_goodbye, ended

INITIALIZING → LISTENING   every link is up
INITIALIZING → ENDING      a link is lost for good or late, or the caller hung up
LISTENING → THINKING       the turn is over and understood, or a number was keyed in
LISTENING → RESPONDING     a greeting, reprompt, fallback text, nudge, goodbye, host utterance or ready answer
LISTENING → ENDING         a link is lost for good, or the caller hung up
THINKING → LISTENING       the caller goes on, a result needs no words, or tool calls were given up
THINKING → RESPONDING      the first segment is there, or a fallback text, filler or host utterance is said
THINKING → ENDING          a link is lost for good, or the caller hung up
RESPONDING → LISTENING     heard to the end, interrupted, or text to speech failed
RESPONDING → THINKING      the interruption is understood already, or a tool's result is to be spoken about
RESPONDING → ENDING        the last words were heard, a link is lost for good, or the caller hung up

Below, event by event, each row is one transition: `source.to(target, cond=guard, on=[actions])`. The first
row whose guard holds is taken. Where each guard and action is, and what it does, is listed in
`diagrams/conversation.md`, under "Guards and actions". What is ignored, and why, is in `ignored.py`; how long
a state may last, in `deadlines.py`; where the call goes after the words of a turn, in `words_settled.py`.
`machine.py` puts all of it together.
"""

from __future__ import annotations

from statemachine import State

from machines.conversation.context import Context
from machines.conversation.words_settled import words_settled
from machines.declarations import stay
from machines.driver import Chart


class ConversationChart(Chart[Context]):
    """Five states with their substates, and what happens in them, fact by fact."""

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
    speculating, keypad, finalizing = LISTENING.speculating, LISTENING.keypad, LISTENING.finalizing
    generating, retrying, running_tools = THINKING.generating, THINKING.retrying, THINKING.running_tools
    speaking, paused, confirming = RESPONDING.speaking, RESPONDING.paused, RESPONDING.confirming
    closing, saying_goodbye, ended = ENDING.closing, ENDING.saying_goodbye, ENDING.ended

    turn_is_open = (quiet, hearing, endpointing)
    without_speculation = (*turn_is_open, keypad)
    speculative = (speculating, finalizing)
    listening = (*without_speculation, *speculative)
    thinking = (generating, retrying, running_tools)
    silenced = (paused, confirming)
    responding = (speaking, *silenced)
    answering = (*thinking, *responding)
    in_conversation = (*listening, *answering)
    ending = (closing, saying_goodbye, ended)

    # --- links ----------------------------------------------------------------------------------------------
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
        closing.from_(connecting, on=["report_link_lost", "begin_closing"])
        | saying_goodbye.from_(
            *without_speculation, cond="can_say_goodbye", on=["report_link_lost", "say_goodbye"]
        )
        | saying_goodbye.from_(
            *speculative, cond="can_say_goodbye", on=["report_link_lost", "drop_speculation", "say_goodbye"]
        )
        | saying_goodbye.from_(
            *answering, cond="can_say_goodbye", on=["report_link_lost", "end_answer", "say_goodbye"]
        )
        | closing.from_(
            *without_speculation, unless="can_say_goodbye", on=["report_link_lost", "begin_closing"]
        )
        | closing.from_(
            *speculative,
            unless="can_say_goodbye",
            on=["report_link_lost", "drop_speculation", "begin_closing"],
        )
        | closing.from_(
            *answering, unless="can_say_goodbye", on=["report_link_lost", "end_answer", "begin_closing"]
        )
        | saying_goodbye.to(closing, cond="tts_lost", on=["end_answer", "begin_closing"])
    )
    preferred_provider_recovered = stay(quiet, on=["return_to_preferred"]) | stay(
        connecting,
        hearing,
        endpointing,
        speculating,
        keypad,
        finalizing,
        *answering,
        on=["note_recovered"],
    )

    # --- what the caller's side asks for --------------------------------------------------------------------
    language_changed = stay(connecting, *in_conversation, on=["note_language", "renew_links"])
    recording_started = (
        stay(connecting, on=["note_recording"])
        | endpointing.to(quiet, cond="by_hand", on=["note_recording", "acknowledge"])
        | speculating.to(quiet, cond="by_hand", on=["drop_speculation", "note_recording", "acknowledge"])
        | stay(endpointing, speculating, unless="by_hand", on=["note_recording", "acknowledge"])
        | stay(quiet, hearing, keypad, on=["note_recording", "acknowledge"])
        | stay(finalizing, on=["drop_speculation", "note_recording_again", "acknowledge_start"])
        | quiet.from_(
            *thinking,
            cond="by_button and can_void_answer",
            on=["void_answer", "note_recording", "acknowledge"],
        )
        | speaking.to(
            quiet,
            cond="by_button and interruptible",
            on=["interrupt_answer", "begin_turn", "note_recording", "acknowledge"],
        )
        | paused.to(hearing, cond="by_button", on=["interrupt_answer", "note_recording", "acknowledge"])
        | confirming.to(
            finalizing,
            cond="by_button",
            on=["interrupt_answer", "note_recording_again", "acknowledge_start"],
        )
        | stay(*thinking, *responding, on=["note_recording_meanwhile", "acknowledge_start"])
        | stay(closing, saying_goodbye, on=["refuse_start"])
    )
    recording_stopped = (
        stay(connecting, on=["note_early_stop"])
        | finalizing.from_(*turn_is_open, on=["await_words", "end_turn"])
        | speculating.to(finalizing, on=["drop_speculation", "await_words", "end_turn"])
        | stay(keypad, on=["acknowledge_stop"])
        | stay(finalizing, on=["await_words"])
        | stay(
            *thinking,
            cond="in_first_recording or not can_void_answer",
            on=["queue_turn", "acknowledge_stop"],
        )
        | stay(*thinking, on=["acknowledge_stop"])
        | stay(
            speaking,
            cond="in_first_recording or not interruptible",
            on=["queue_turn", "acknowledge_stop"],
        )
        | stay(speaking, on=["acknowledge_stop"])
        | paused.to(confirming, on=["end_turn", "acknowledge_stop"])
        | stay(confirming, on=["acknowledge_stop"])
        | stay(closing, saying_goodbye, on=["refuse_stop"])
    )
    digit_pressed = (
        stay(connecting, cond="ends_digits", on=["skip_greeting", "queue_early_digits"])
        | stay(connecting, on=["skip_greeting", "keep_digit"])
        | keypad.from_(quiet, hearing, endpointing, on=["note_digit"])
        | speculating.to(keypad, on=["drop_speculation", "note_digit"])
        | finalizing.to(keypad, on=["drop_speculation", "keep_interim", "acknowledge", "note_digit"])
        | keypad.from_(*thinking, cond="can_void_answer", on=["void_answer", "note_digit"])
        | speaking.to(keypad, cond="interruptible", on=["interrupt_answer", "begin_turn", "note_digit"])
        | paused.to(keypad, on=["interrupt_answer", "note_digit"])
        | confirming.to(keypad, on=["interrupt_answer", "give_up_words", "note_digit"])
        | keypad.to(generating, cond="ends_digits", on=["end_digits", "generate"])
        | stay(*thinking, speaking, cond="ends_digits", on=["queue_digits"])
        | stay(keypad, *thinking, speaking, on=["note_digit"])
    )
    interrupt_requested = (
        quiet.from_(*thinking, on=["void_answer", "give_up_results"])
        | speaking.to(quiet, on=["interrupt_answer", "give_up_results", "begin_turn_after_answer"])
        | paused.to(hearing, on=["interrupt_answer", "give_up_results"])
        | confirming.to(finalizing, on=["interrupt_answer", "give_up_results"])
    )
    hung_up = (
        closing.from_(connecting, *without_speculation, on=["begin_closing"])
        | closing.from_(*speculative, on=["drop_speculation", "begin_closing"])
        | closing.from_(*answering, saying_goodbye, on=["end_answer", "begin_closing"])
    )
    say_requested = (
        quiet.to(speaking, cond="can_say_now", on=["say_host_utterance"])
        | speaking.from_(
            *thinking, cond="replaces_answer", on=["void_answer", "answer_later", "say_host_utterance"]
        )
        | stay(
            speaking, cond="replaces_answer", on=["interrupt_answer", "answer_later", "say_host_utterance"]
        )
        | stay(connecting, *in_conversation, cond="room_for_host_utterance", on=["queue_host_utterance"])
    )

    # --- the caller's voice ---------------------------------------------------------------------------------
    speech_started = (
        quiet.to(hearing, on=["note_voice", "note_voice_after_answer"])
        | endpointing.to(hearing, on=["note_voice"])
        | speculating.to(hearing, on=["drop_speculation", "note_voice"])
        | stay(finalizing, cond="automatic", on=["drop_speculation", "note_speaking_on"])
        | hearing.from_(*thinking, cond="automatic and can_void_answer", on=["void_answer", "note_voice"])
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
        | paused.to(speaking, cond="too_short_for_words", on=["resume_speech", "begin_turn"])
        | paused.to(confirming, unless="too_short_for_words", on=["note_voice_end", "end_turn"])
        | stay(confirming, cond="speaking_on", on=["note_pausing_again"])
    )

    # --- the caller's words ---------------------------------------------------------------------------------
    transcript_interim = (
        quiet.to(endpointing, cond="automatic and words_without_voice", on=["note_voice", "note_interim"])
        | speculating.to(endpointing, cond="other_words", on=["drop_speculation", "note_interim"])
        | stay(*listening, on=["note_interim"])
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
            cond="about_queued_turn and automatic and can_void_answer and interruptible",
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
        | stay(confirming, cond="pausing_again", on=["discard_words", "end_turn"])
        | confirming.to(speaking, on=["discard_words", "resume_speech"])
        | finalizing.to(
            speaking,
            cond="matches_speculation and speculation_has_text",
            on=["keep_words", "acknowledge", "say_speculation"],
        )
        | finalizing.to(
            generating, cond="matches_speculation", on=["keep_words", "acknowledge", "adopt_speculation"]
        )
        | words_settled(LISTENING, generating, "understood", ["drop_speculation", "keep_words"])
        | finalizing.to(
            speaking,
            cond="voice_without_words",
            on=["drop_speculation", "keep_words", "acknowledge", "reprompt"],
        )
        | finalizing.to(quiet, on=["drop_speculation", "keep_words", "acknowledge"])
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
        | words_settled(
            LISTENING,
            generating,
            "understood_so_far",
            ["drop_speculation", "report_stt_failed", "keep_interim"],
        )
        | finalizing.to(
            speaking,
            unless="understood_so_far",
            on=["drop_speculation", "report_stt_failed", "keep_interim", "refuse", "apologise"],
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
    turn_scored = stay(endpointing, speculating, on=["note_score"])
    eager_end_of_turn = (
        speculating.from_(*turn_is_open, cond="automatic and can_speculate", on=["note_interim", "speculate"])
        | stay(speculating, cond="matches_speculation", on=["note_interim"])
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
            *turn_is_open,
            cond="automatic and understood",
            on=["end_turn_with_words", "acknowledge", "generate"],
        )
        | speaking.from_(
            hearing,
            endpointing,
            cond="automatic and voice_without_words",
            on=["end_turn_with_words", "acknowledge", "reprompt"],
        )
        | quiet.from_(hearing, endpointing, cond="automatic", on=["begin_turn"])
        | speculating.to(
            speaking,
            cond="matches_speculation and speculation_has_text",
            on=["end_turn_with_words", "acknowledge", "say_speculation"],
        )
        | speculating.to(
            generating,
            cond="matches_speculation",
            on=["end_turn_with_words", "acknowledge", "adopt_speculation"],
        )
        | speculating.to(
            generating,
            cond="understood",
            on=["drop_speculation", "end_turn_with_words", "acknowledge", "generate"],
        )
        | speculating.to(quiet, on=["drop_speculation", "begin_turn"])
        | paused.to(
            generating,
            cond="is_interruption",
            on=["interrupt_answer", "end_turn_with_words", "acknowledge", "generate"],
        )
        | paused.to(speaking, on=["resume_speech", "begin_turn"])
    )

    # --- the model's words ----------------------------------------------------------------------------------
    segment_ready = (
        generating.to(
            paused,
            cond="speaking_on and barge_in_allowed and pauses_on_voice",
            on=["begin_answer", "speak", "pause_speech"],
        )
        | generating.to(speaking, on=["begin_answer", "speak"])
        | stay(*responding, unless="already_said", on=["speak"])
        | stay(*speculative, on=["keep_speculative_segment"])
    )
    generation_alive = stay(*speculative, generating, *responding, on=["note_alive"])
    generation_finished = (
        generating.to(running_tools, cond="asks_for_calls", on=["enter_calls", "run_calls"])
        | generating.to(speaking, on=["report_llm_empty", "fall_back"])
        | stay(speaking, cond="asks_for_calls", on=["finish_answer", "enter_calls", "run_calls"])
        | stay(*silenced, cond="asks_for_calls", on=["finish_answer", "enter_calls"])
        | stay(*responding, cond="only_filler_said", on=["report_llm_empty", "fall_back_after_filler"])
        | stay(*responding, unless="asks_for_calls", on=["finish_answer"])
        | stay(
            *speculative, cond="speculation_has_text and not asks_for_calls", on=["note_speculation_complete"]
        )
        | speculating.to(endpointing, on=["forget_speculation"])
        | stay(finalizing, on=["forget_speculation"])
    )
    generation_failed = (
        speculating.to(endpointing, on=["suspect_llm", "forget_speculation"])
        | stay(finalizing, on=["suspect_llm", "forget_speculation"])
        | generating.to(retrying, cond="worth_retrying", on=["suspect_llm", "prepare_retry"])
        | generating.to(
            speaking, unless="worth_retrying", on=["suspect_llm", "report_llm_failed", "fall_back"]
        )
        | stay(*responding, cond="worth_continuing", on=["suspect_llm", "continue_answer"])
        | stay(
            *responding,
            cond="only_filler_said",
            on=["suspect_llm", "report_llm_failed", "fall_back_after_filler"],
        )
        | stay(
            *responding, unless="worth_continuing", on=["suspect_llm", "report_llm_failed", "finish_early"]
        )
    )

    # --- tools ----------------------------------------------------------------------------------------------
    tool_finished = (
        running_tools.to(generating, cond="last_result and reply_owed", on=["note_result", "generate"])
        | running_tools.to(quiet, cond="last_result and not reply_owed", on=["note_result"])
        | stay(running_tools, speaking, on=["note_failure", "note_result", "run_calls"])
        | stay(
            *listening,
            generating,
            retrying,
            *silenced,
            closing,
            saying_goodbye,
            on=["note_result"],
        )
    )

    # --- our voice ------------------------------------------------------------------------------------------
    segment_voiced = stay(*responding, saying_goodbye, on=["note_voiced"])
    playback_at = stay(*responding, saying_goodbye, on=["note_position"])
    playback_finished = (
        closing.from_(
            *responding, cond="is_goodbye", on=["note_all_heard", "complete_answer", "begin_closing"]
        )
        | saying_goodbye.to(closing, on=["note_all_heard", "complete_answer", "begin_closing"])
        | stay(
            speaking,
            cond="is_unsayable_reply and not calls_pending and not is_goodbye",
            on=["note_all_heard", "complete_answer", "say_unsayable"],
        )
        | speaking.to(
            running_tools,
            cond="calls_pending and not is_goodbye",
            on=["note_all_heard", "complete_answer", "begin_turn_after_answer", "run_calls"],
        )
        | speaking.to(
            quiet, unless="is_goodbye", on=["note_all_heard", "complete_answer", "begin_turn_after_answer"]
        )
        | paused.to(
            hearing, unless="is_goodbye", on=["note_all_heard", "complete_answer", "note_echoing_turn"]
        )
        | confirming.to(
            finalizing, unless="is_goodbye", on=["note_all_heard", "complete_answer", "note_echoing_words"]
        )
    )
    synthesis_failed = (
        stay(*responding, saying_goodbye, cond="tts_worth_retrying", on=["suspect_tts", "restart_speech"])
        | closing.from_(*responding, cond="is_goodbye", on=["give_up_tts", "begin_closing"])
        | saying_goodbye.to(closing, unless="tts_worth_retrying", on=["give_up_tts", "begin_closing"])
        | speaking.to(
            quiet, unless="is_goodbye", on=["suspect_tts", "give_up_tts", "begin_turn_after_answer"]
        )
        | paused.to(hearing, unless="is_goodbye", on=["suspect_tts", "give_up_tts"])
        | confirming.to(finalizing, unless="is_goodbye", on=["suspect_tts", "give_up_tts"])
    )

    # --- time: deadlines.py says how long each state may last -----------------------------------------------
    deadline_passed = (
        connecting.to(closing, on=["report_links_late", "begin_closing"])
        | quiet.to(speaking, cond="greeting_due", on=["greet"])
        | quiet.to(keypad, cond="digits_begun")
        | quiet.to(speaking, cond="host_utterance_due", on=["say_next_host_utterance"])
        | quiet.to(running_tools, cond="calls_due", on=["run_calls"])
        | quiet.to(generating, cond="turns_wait", on=["next_turn", "generate"])
        | quiet.to(
            speaking,
            cond="transcripts_pending",
            on=["suspect_stt", "report_no_transcript", "forget_queued_turns", "apologise"],
        )
        | quiet.to(speaking, cond="idle_host_utterance_due", on=["say_next_host_utterance"])
        | quiet.to(finalizing, cond="automatic and speaking_on", on=["end_turn"])
        | quiet.to(speaking, cond="idle_limit_set and nudges_left", on=["nudge"])
        | quiet.to(speaking, cond="idle_limit_set", on=["say_idle_goodbye"])
        | finalizing.from_(hearing, cond="automatic", on=["end_turn"])
        | finalizing.from_(hearing, unless="automatic", on=["end_turn", "note_recording_on"])
        | endpointing.to(speculating, cond="words_stable", on=["speculate_in_pause"])
        | finalizing.from_(endpointing, speculating, on=["end_turn"])
        | keypad.to(generating, on=["end_digits", "generate"])
        | stay(finalizing, cond="stt_silent or fallback_stt_ready", on=["suspect_stt"])
        | stay(finalizing, cond="first_wait", on=["wait_longer"])
        | words_settled(
            LISTENING, generating, "understood_so_far", ["drop_speculation", "suspect_stt", "keep_interim"]
        )
        | finalizing.to(
            speaking,
            unless="understood_so_far",
            on=[
                "drop_speculation",
                "suspect_stt",
                "report_no_transcript",
                "keep_interim",
                "acknowledge",
                "apologise",
            ],
        )
        | generating.to(speaking, cond="time_for_thinking_filler", on=["say_thinking_filler"])
        | stay(generating, cond="model_in_time")
        | generating.to(retrying, cond="worth_asking_again", on=["suspect_llm", "give_up_request"])
        | generating.to(
            speaking, unless="worth_asking_again", on=["suspect_llm", "report_llm_late", "fall_back"]
        )
        | retrying.to(generating, on=["generate"])
        | running_tools.to(generating, cond="results_owed and not calls_awaited", on=["generate"])
        | running_tools.to(speaking, cond="time_for_filler", on=["say_filler"])
        | running_tools.to(generating, cond="results_owed", on=["give_up_calls", "generate"])
        | running_tools.to(quiet, on=["give_up_calls"])
        | stay(
            speaking,
            cond="answer_too_long and not only_filler_said",
            on=["report_answer_too_long", "finish_early"],
        )
        | stay(speaking, cond="model_stalled and worth_continuing", on=["suspect_llm", "continue_answer"])
        | stay(
            speaking,
            cond="only_filler_said and (answer_too_long or model_stalled)",
            on=["suspect_llm", "report_llm_late", "fall_back_after_filler"],
        )
        | stay(speaking, cond="model_stalled", on=["suspect_llm", "report_llm_late", "finish_early"])
        | stay(speaking, saying_goodbye, cond="tts_worth_retrying", on=["suspect_tts", "restart_speech"])
        | speaking.to(closing, cond="is_goodbye", on=["give_up_tts", "begin_closing"])
        | speaking.to(
            quiet, unless="is_goodbye", on=["suspect_tts", "give_up_tts", "begin_turn_after_answer"]
        )
        | saying_goodbye.to(closing, unless="tts_worth_retrying", on=["give_up_tts", "begin_closing"])
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
