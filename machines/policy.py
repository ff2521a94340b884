"""Delays, budgets and texts: the data beside the machines that an operator may change.

All times are milliseconds.
"""

from __future__ import annotations

from attrs import frozen

from machines.phrases import BACKCHANNELS
from machines.tools import ToolPolicy


@frozen
class FallbackTexts:
    """What is said when the model fails, by how many answers in a row have failed."""

    first: str = "Sorry, I didn't quite get that. Could you say it again?"
    second: str = "I'm having some technical trouble. Please try that once more."
    third: str = "I'm sorry, our connection is not working today. Someone will get back to you. Goodbye."
    """Also said when a provider that the call cannot do without is lost for good."""
    unsayable: str = "I'm sorry, I cannot say that with this voice."
    """Said instead of an answer in a language that the voice does not speak."""
    unheard: str = "Sorry, I could not hear you. Could you say that again?"
    """Said when speech to text owed the words of a turn and never gave them."""


@frozen
class LinkPolicy:
    """How a provider link is opened and reopened."""

    attempt_timeout_ms: float = 2_500
    """How long one attempt may take."""
    retry_delays_ms: tuple[float, ...] = (0, 100, 200, 400)
    """The wait before each further round of attempts; every provider of the role is tried once a round."""
    slow_delay_ms: float = 1_000
    """When those are used up: the wait before the next round, doubled each time, times 0.5 to 1.5 by chance,
    so that the calls of a process do not come back all at once."""
    slow_delay_most_ms: float = 8_000
    budget_ms: float = 15_000
    """No round begins later than this after the first failure; then the link is down."""
    least_up_ms: float = 1_000
    """A link that is distrusted sooner than this is not replaced at once, but like one that failed."""
    stable_ms: float = 10_000
    """A link that was up for this long starts the schedule anew when it is lost; one that dies sooner has
    not recovered."""


@frozen
class ConversationPolicy:
    """Deadlines of the states, and what is said."""

    system_prompt: str = ""
    language: str = ""
    """Of the call, a tag like "de-DE"; empty: not known. What counts as a word, a backchannel or an
    unfinished phrase depends on it."""
    greeting: str = ""
    """Said first, as soon as everybody is connected; empty: the caller begins."""
    reprompt: str = ""
    """Said after a turn with voice and without words; empty: such a turn is ignored."""
    idle_after_ms: float = 0
    """Automatic turns: a quiet caller is spoken to after this, again, and then taken leave of; 0: never."""
    nudges: tuple[str, ...] = ("Are you still there?", "I am still here, if there is anything else.")
    """What is said then, one after the other."""
    idle_goodbye: str = "It seems that you are busy. Goodbye for now."
    connect_timeout_ms: float = 5_000
    """INITIALIZING: every link must be up by then. Together with the wait for a final transcript below the
    10 s after which the shipped client gives up on a stop that came early."""
    endpoint_delay_ms: float = 500
    """Automatic turns: silence for this long ends the caller's turn."""
    unfinished_delay_ms: float = 1_000
    """So much longer where the words so far sound unfinished ("I would like to")."""
    complete_delay_ms: float = 200
    """Silence that is enough where a model that listened took the turn for complete."""
    speculations: int = 0
    """How often in a turn the model may be asked before the turn's end, when speech to text expects it
    (`EagerEndOfTurn`); what was asked in vain is thrown away."""
    provider_endpoint_delay_ms: float = 2_500
    """The same where the speech-to-text provider decides about turns, and fails to."""
    barge_in: bool = True
    """The caller's voice interrupts an answer. If not, what is said meanwhile is answered afterwards."""
    barge_in_thinking: bool = True
    """It voids one that is being prepared, too."""
    barge_in_greeting: bool = True
    """And the greeting."""
    max_queue: int = 10
    """Turns that wait to be answered; beyond it the oldest two are joined."""
    max_host_utterances: int = 10
    """Texts of the host that wait to be said; beyond it further ones are not taken."""
    barge_in_min_ms: float = 200
    """Voice must go on for this long over an answer to interrupt it; the answer is held meanwhile."""
    barge_in_min_words: int = 1
    """And say so many words, backchannels and the answer's echo not counted; 0: voice alone interrupts."""
    barge_in_patience_ms: float = 2_000
    """Voice that goes on for this long without words is taken for noise: what there is of it is asked for."""
    barge_in_false_alarms: int = 2
    """After so many in a row, voice does not hold an answer any more, words do: there may be an echo."""
    backchannels: tuple[str, ...] = BACKCHANNELS
    """Words that say "go on", and never interrupt."""
    backchannel_end_ms: float = 1_500
    """Unless there is no more than this left of the answer: then they are the caller's reply to it."""
    max_turn_ms: float = 60_000
    """A turn that lasts longer is taken as it is."""
    final_transcript_timeout_ms: float = 4_000
    """The interim transcript is promoted after it. Below the shipped client's 10 s for an acknowledgement.
    After half of it speech to text is taken for mute, if there was no word at all or another provider stands
    ready: a new link gets the other half."""
    first_segment_timeout_ms: float = 10_000
    """THINKING: the model's first speakable text must be there by then, however many requests it takes."""
    first_token_timeout_ms: float = 5_000
    """One request to the model: the first sign of an answer must come within this."""
    token_gap_timeout_ms: float = 5_000
    """The longest silence of the model within an answer."""
    answer_timeout_ms: float = 30_000
    """A whole answer of the model: one that goes on and on is cut there."""
    speech_stall_timeout_ms: float = 5_000
    """RESPONDING: how long nothing may happen once everything known of has been heard."""
    close_timeout_ms: float = 2_000
    """ENDING: what is not closed by then is abandoned."""
    llm_retry_delays_ms: tuple[float, ...] = (0, 100, 200)
    """The wait before each further request of a generation that failed before it said anything."""
    voice_retries: int = 3
    """How often an answer is taken up again after the voice failed."""
    max_history: int = 50
    """Messages of history that are kept and sent, in whole exchanges, the system message not counted. From 2
    on the newest exchange is kept in any case."""
    max_history_tokens: int = 0
    """Tokens of history that are sent, by estimate, the system message not counted; 0: no such bound."""
    digits_timeout_ms: float = 3_000
    """Keys that are pressed on a telephone are one string until this long after the last one,"""
    digits_terminator: str = "#"
    """or until this key, which is no part of it,"""
    most_digits: int = 32
    """or until there are so many."""
    digits_words: str = "I pressed {} on the keypad."
    """What the caller has said thereby; {} stands for the keys, one by one."""
    tools: tuple[ToolPolicy, ...] = ()
    """Those that the model may call."""
    tools_in_parallel: bool = True
    """Calls that the model asks for at once are run at once; if not, one after the other."""
    tool_not_called: str = "It was not called: the conversation went on before its turn came."
    """What the model reads as the result of such a call."""
    max_tool_steps: int = 5
    """How often in one answer the model may ask for calls; then it must speak."""
    tool_filler_after_ms: float = 2_500
    """When the caller has waited for so long in silence while calls run,"""
    tool_fillers: tuple[str, ...] = ("One moment, please.", "Thank you for waiting. I am still on it.")
    """these are said, one after the other; 0: never."""
    hand_over: bool = False
    """After the third failure in a row the call is handed over to a person, instead of just ended."""
    fallback: FallbackTexts = FallbackTexts()
    link: LinkPolicy = LinkPolicy()
