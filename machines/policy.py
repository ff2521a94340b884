"""Delays, budgets and texts: the data beside the machines that an operator may change.

All times are milliseconds.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class FallbackTexts:
    """What is said when the model fails, by how many answers in a row have failed."""

    first: str = "Sorry, I didn't quite get that. Could you say it again?"
    second: str = "I'm having some technical trouble. Please try that once more."
    third: str = "I'm sorry, our connection is not working today. Someone will get back to you. Goodbye."


@frozen
class LinkPolicy:
    """How a provider link is opened and reopened."""

    attempt_timeout_ms: float = 2_500
    """How long one attempt may take."""
    retry_delays_ms: tuple[float, ...] = (0, 100, 200, 400)
    """The wait before each further attempt; when they are used up, the link is down."""
    stable_ms: float = 10_000
    """A link that was up for this long starts the schedule anew when it is lost; one that dies sooner has
    not recovered."""


@frozen
class ConversationPolicy:
    """Deadlines of the states, and what is said."""

    system_prompt: str = ""
    connect_timeout_ms: float = 5_000
    """INITIALIZING: every link must be up by then. Together with the wait for a final transcript below the
    10 s after which the shipped client gives up on a stop that came early."""
    endpoint_delay_ms: float = 500
    """Automatic turns: silence for this long ends the caller's turn."""
    barge_in_min_ms: float = 200
    """Voice must go on for this long over an answer to interrupt it."""
    max_turn_ms: float = 60_000
    """A turn that lasts longer is taken as it is."""
    final_transcript_timeout_ms: float = 4_000
    """The interim transcript is promoted after it. Below the shipped client's 10 s for an acknowledgement."""
    first_segment_timeout_ms: float = 10_000
    """THINKING: the model's first speakable text must be there by then, however many requests it takes."""
    answer_timeout_ms: float = 30_000
    """A whole answer of the model: one that goes on and on is cut there."""
    speech_stall_timeout_ms: float = 5_000
    """RESPONDING: how long nothing may happen once everything known of has been heard."""
    close_timeout_ms: float = 2_000
    """ENDING: what is not closed by then is abandoned."""
    llm_retry_delays_ms: tuple[float, ...] = (0, 100, 200)
    """The wait before each further request of a generation that failed before it said anything."""
    max_history: int = 50
    """Messages of history that are kept and sent, the system message not counted."""
    fallback: FallbackTexts = FallbackTexts()
    link: LinkPolicy = LinkPolicy()
