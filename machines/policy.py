"""Delays, budgets and texts that an operator may change.

All times are milliseconds.
"""

from __future__ import annotations

from attrs import field, frozen

from machines.checked_fields import check_fields
from machines.phrases import BACKCHANNELS
from machines.tools import ToolPolicy


@frozen
class FallbackTexts:
    """What is said when the model fails: `first`, `second` or `third`, by the number of failures in a row."""

    first: str = "Sorry, I did not get that. Could you say it again?"
    second: str = "I am having some technical trouble. Please try that once more."
    third: str = "I am afraid our connection is not working. Someone will call you back. Goodbye."
    """Also said when a provider that the call cannot do without is lost for good."""
    unheard: str = "Sorry, I could not hear you. Could you say that again?"
    """Said when speech to text gave no words for a turn. (Elsewhere, `unheard` is what the caller did not
    hear.)"""
    unsayable: str = "I'm sorry, I cannot say that with this voice."
    """Said instead of an answer in a language that the voice does not speak."""
    refused: str = "I am sorry, I cannot talk about that. Is there anything else I can help you with?"
    """Said when a content filter refused what the caller said."""
    unanswered: str = "I thought about that for too long. Could you ask it in another way?"
    """Said when the model spent its limit of tokens on thinking."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)


@frozen
class LinkPolicy:
    """How a provider link is opened and reopened."""

    attempt_timeout_ms: float = 2_500
    """How long one attempt may take."""
    retry_delays_ms: tuple[float, ...] = (0, 100, 200, 400)
    """The wait before each further round of attempts. A round tries every provider of the role once."""
    slow_delay_ms: float = 1_000
    """The wait before the first round after `retry_delays_ms`. It doubles from round to round. Each wait is
    multiplied by a random 0.5 to 1.5, so that the calls of a process do not all reconnect at the same
    time."""
    slow_delay_most_ms: float = 8_000
    """The longest such wait, before the random factor."""
    budget_ms: float = 15_000
    """No round begins later than this after the first failure. The link is then down for good."""
    least_up_ms: float = 1_000
    """If the conversation wants a link replaced sooner than this after it came up, the link machine treats it
    like one that failed."""
    stable_ms: float = 10_000
    """A link that was up for this long starts the retry schedule anew when it is lost. One that was lost
    sooner counts as not recovered."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)


@frozen
class ConversationPolicy:
    """Deadlines of the states, and what is said.

    Raises `TypeError` or `ValueError`, as `LinkPolicy` and `FallbackTexts` do, for what a field cannot be.
    """

    system_prompt: str = (
        "You are a friendly voice assistant on a phone call. Answer in one to three short sentences. "
        "Use plain words: no lists, no markup, no emoji."
    )
    """What the model is told before the conversation; empty: nothing."""
    language: str = ""
    """Of the call when it begins, a tag like "de-DE"; empty: not known. What counts as a word, a backchannel
    or an unfinished phrase depends on it, or on the language that the caller states later."""
    greeting: str = ""
    """Said first, as soon as all links are up; empty: the caller begins."""
    reprompt: str = ""
    """Said after a turn that had voice but no words; empty: such a turn is ignored."""
    idle_after_ms: float = 0
    """Automatic turns: how long a caller may be quiet before each nudge, and before the goodbye after the
    last nudge; 0: for ever."""
    nudges: tuple[str, ...] = ("Are you still there?", "I am still here, if there is anything else.")
    """What is said to a quiet caller, one after the other."""
    idle_goodbye: str = "It seems that you are busy. Goodbye for now."
    """Said to a caller who stays quiet after the last nudge; the call ends after it."""
    connect_timeout_ms: float = 5_000
    """INITIALIZING: every link must be up by then. Together with `final_transcript_timeout_ms` it stays below
    the 10 s after which the shipped client gives up on a stop that it sent before the links were up."""
    endpoint_delay_ms: float = 500
    """Automatic turns: silence for this long ends the caller's turn."""
    unfinished_delay_ms: float = 1_000
    """Added to the endpoint delay if the words so far sound unfinished ("I would like to")."""
    complete_delay_ms: float = 200
    """The endpoint delay if the turn model took the turn for complete."""
    least_confidence: float = field(default=0.4, metadata={"most": 1})
    """Automatic turns: words of a voice that is clearly speech are answered if speech to text is so sure of
    them, from 0 to 1; if not, the caller is asked to say it again. 0: all words are answered, of any sound. A
    confidence that is not known counts as high."""
    sure_confidence: float = field(default=0.65, metadata={"most": 1})
    """Automatic turns: words of any other sound (a laugh, voices in the background) count if speech to text
    is so sure of them. A word that is repeated again and again needs more."""
    clear_voice: float = field(default=0.8, metadata={"most": 1})
    """From this mean probability of speech on, from 0 to 1, voice is clearly speech. Clean speech has 0.8 to
    0.97, a laugh and voices in the background have 0.5 to 0.78."""
    speculations: int = 0
    """How often in a turn the model may be asked for a speculative answer: when the caller pauses and the
    words are there, or when a speech-to-text provider that decides about turns expects the end
    (`EagerEndOfTurn`). Answers that turn out not to be needed are dropped."""
    speculative_speech: bool = False
    """The first segment of a speculative answer is synthesized in advance. Nothing of it is heard before the
    turn is over."""
    provider_endpoint_delay_ms: float = 2_500
    """The endpoint delay if the speech-to-text provider decides about turns: silence for this long ends a
    turn that the provider has not ended."""
    barge_in: bool = True
    """The caller's voice interrupts an answer. If not, what the caller says meanwhile is answered
    afterwards."""
    barge_in_thinking: bool = True
    """The caller's voice voids an answer of which nothing was said yet."""
    barge_in_greeting: bool = True
    """The caller's voice interrupts the greeting."""
    max_queue: int = field(default=10, metadata={"least": 1})
    """How many turns may wait to be answered. If there are more, the oldest two are joined."""
    max_host_utterances: int = 10
    """How many texts of the host may wait to be said. Further ones are not said."""
    barge_in_min_ms: float = 200
    """Voice must go on for this long to interrupt an answer. The answer is paused meanwhile."""
    barge_in_min_words: int = 1
    """How many words the caller must say to interrupt an answer. Backchannels and the answer's own echo do
    not count; 0: voice alone interrupts."""
    barge_in_patience_ms: float = 2_000
    """Voice this long without words counts as noise; the turn is finalized."""
    barge_in_false_alarms: int = 2
    """After this many false alarms in a row, there may be an echo: voice no longer pauses an answer, only
    words do."""
    backchannels: tuple[str, ...] = BACKCHANNELS
    """Words that mean "go on". They do not interrupt, except at the very end of an answer: see
    `backchannel_end_ms`."""
    backchannel_end_ms: float = 1_500
    """If no more than this is left of an answer, a backchannel is the caller's reply and interrupts it."""
    max_turn_ms: float = 60_000
    """A turn that lasts longer is ended here."""
    final_transcript_timeout_ms: float = 4_000
    """If there is no final transcript by then, the interim transcript is used instead. Must be shorter than
    the 10 s that the shipped client waits for an acknowledgement. After half of this time, a new
    speech-to-text link is tried for the other half if there was no word at all, or if another provider is
    ready."""
    first_segment_timeout_ms: float = 10_000
    """THINKING: the model's first speakable text must be there by then, however many requests that takes."""
    first_token_timeout_ms: float = 5_000
    """The model must give a first sign of an answer within this time of a request."""
    token_gap_timeout_ms: float = 5_000
    """The longest silence of the model within an answer."""
    answer_timeout_ms: float = 30_000
    """The longest time for a whole answer of the model. A longer answer is cut there."""
    speech_stall_timeout_ms: float = 5_000
    """RESPONDING: how long nothing may happen after all audio that is known of has been heard."""
    close_timeout_ms: float = 2_000
    """ENDING: whatever is not closed by then is abandoned."""
    llm_retry_delays_ms: tuple[float, ...] = (0, 100, 200)
    """The wait before each further request for an answer, if the one before failed before it gave any
    text."""
    voice_retries: int = 3
    """How often text to speech is asked to continue an answer after it failed."""
    max_history: int = 50
    """How many messages of history are kept and sent, in whole exchanges, without the system message. From 2
    on the newest exchange is always kept."""
    max_history_tokens: int = 0
    """How many tokens of history are sent, by estimate, without the system message; 0: no limit."""
    digits_timeout_ms: float = 3_000
    """Keys of the telephone are gathered to one string until no key was pressed for this long."""
    digits_terminator: str = "#"
    """This key ends the string of keys. It is not part of the string."""
    most_digits: int = field(default=32, metadata={"least": 1})
    """The string of keys ends when it has this length."""
    digits_words: str = "I pressed {} on the keypad."
    """What the caller is taken to have said by pressing keys; {} stands for the keys, one by one."""
    thinking_filler: str = "Let me think about that."
    """Said before the model's first words when a model that gives signs of life thinks for long, at most once
    for the caller's words; empty: nothing."""
    thinking_filler_after_ms: float = 3_000
    """It is said when the caller has waited this long in silence; 0: never."""
    tools: tuple[ToolPolicy, ...] = ()
    """The tools that the model may call."""
    tools_in_parallel: bool = True
    """Tool calls that the model asks for together run at the same time; if not, one after the other."""
    tool_not_called: str = "It was not called: the conversation went on before its turn came."
    """What the model reads as the result of a tool call that was never begun."""
    max_tool_steps: int = 5
    """How often in one answer the model may ask for tool calls. After that it must speak."""
    tool_filler_after_ms: float = 2_500
    """A filler is said each time the caller has waited this long in silence while tool calls run; 0:
    never."""
    tool_fillers: tuple[str, ...] = ("One moment, please.", "Thank you for waiting. I am still on it.")
    """What is said while tool calls run, one after the other."""
    hand_over: bool = False
    """After the third failed answer in a row the call is handed over to a person; if not, it just ends."""
    fallback: FallbackTexts = FallbackTexts()
    link: LinkPolicy = LinkPolicy()

    def __attrs_post_init__(self) -> None:
        check_fields(self)
        try:
            with_keys = self.digits_words.format("4 2")
        except (LookupError, ValueError):
            with_keys = ""
        if "4 2" not in with_keys:
            raise ValueError(
                f"digits_words of ConversationPolicy is {self.digits_words!r}, but must be a text with {{}} "
                "where the keys go, and no other braces"
            )
        if len(self.digits_terminator) > 1:
            raise ValueError(
                f"digits_terminator of ConversationPolicy is {self.digits_terminator!r}, "
                "but must be one key or empty"
            )


@frozen
class AdmissionPolicy:
    """How much load is too much. Lags in ms; processor time as a part of what there is.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    most_lag_ms: float = field(default=100, metadata={"least": 1})
    """An event loop that is so late can take no further call."""
    most_cpu: float = field(default=0.9, metadata={"least": 0.01, "most": 1})
    """A process that is so busy can take no further call."""
    tight: float = field(default=0.8, metadata={"least": 0.01, "most": 1})
    """From this part of either bound on, calls are taken one at a time, each measured before the next."""
    relief: float = field(default=0.8, metadata={"least": 0.01, "most": 1})
    """The load must fall below this part of a bound before it counts as relieved."""
    rises_after: int = field(default=2, metadata={"least": 1})
    """So many measurements in a row must be beyond a bound: garbage is collected in one of them."""
    falls_after: int = field(default=5, metadata={"least": 1})
    """So many measurements in a row must be below, since calls come back as soon as they may."""
    late_lag_ms: float = field(default=250, metadata={"least": 1})
    """An event loop that is so late harms the calls that it has: their audio is sent 200 ms ahead."""
    leaves_out_after: int = field(default=5, metadata={"least": 1})
    """After so many such measurements in a row the next thing is left out."""
    ends_part: float = field(default=0.1, metadata={"least": 0.01, "most": 1})
    """The part of the calls that is ended each time, one at least."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)
