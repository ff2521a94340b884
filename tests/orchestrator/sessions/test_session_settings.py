"""What an operator chose reaches the calls."""

from __future__ import annotations

from machines.policy import FallbackTexts
from orchestrator.sessions.session_settings import session_settings
from orchestrator.settings.settings import Settings


def test_what_an_operator_chose_reaches_the_calls() -> None:
    chosen = Settings.model_validate(
        {
            "llm_max_queue_size": 3,
            "llm_max_messages": 20,
            "llm_max_context_tokens": 1000,
            "llm_max_retries": 4,
            "first_token_timeout_ms": 1000,
            "token_gap_timeout_ms": 2000,
            "barge_in": False,
            "llm_fallback_tier3_then": "hand_over",
            "llm_fallback_tier1": "one",
            "llm_fallback_tier2": "two",
            "llm_fallback_tier3": "three",
            "stt_fallback": "what?",
            "greeting": "Good day.",
            "reprompt": "Pardon?",
            "idle_nudge_ms": 7000,
            "idle_nudge_1": "Hello?",
            "idle_nudge_2": "Still there?",
            "idle_goodbye": "Bye.",
            "unfinished_delay_ms": 700,
            "barge_in_thinking": False,
            "barge_in_greeting": False,
            "barge_in_min_words": 2,
            "backchannels": "aha, go on ,",
            "llm_anticipations": 2,
            "dtmf_timeout_ms": 1500,
            "dtmf_terminator": "none",
        }
    )
    policy = session_settings(chosen).policy
    assert (policy.greeting, policy.reprompt, policy.idle_goodbye) == ("Good day.", "Pardon?", "Bye.")
    assert (policy.idle_after_ms, policy.nudges) == (7000, ("Hello?", "Still there?"))
    assert policy.unfinished_delay_ms == 700
    assert (policy.max_queue, policy.max_history, policy.max_history_tokens) == (3, 20, 1000)
    assert (policy.first_token_timeout_ms, policy.token_gap_timeout_ms) == (1000, 2000)
    assert policy.llm_retry_delays_ms == (0, 100, 200, 400)
    assert (policy.barge_in, policy.hand_over) == (False, True)
    assert (policy.barge_in_thinking, policy.barge_in_greeting) == (False, False)
    assert (policy.barge_in_min_words, policy.backchannels) == (2, ("aha", "go on"))
    assert policy.speculations == 2
    assert (policy.digits_timeout_ms, policy.digits_terminator) == (1500, "")
    assert policy.fallback == FallbackTexts("one", "two", "three", "what?")


def test_the_most_retries_that_can_be_set_are_made() -> None:
    most = session_settings(Settings(llm_max_retries=6)).policy.llm_retry_delays_ms
    assert len(most) == 6
    assert session_settings(Settings(llm_max_retries=0)).policy.llm_retry_delays_ms == ()
