"""What is said in simulated calls, and how long everything takes.

Texts come from a script, never from a model: what callers "say" is a list that is gone through utterance by
utterance, and answers are chosen by the words they answer.
"""

from __future__ import annotations

import math
import random
import re

from attrs import frozen

CALLER_SAYS = (
    "Hello, who am I speaking to?",
    "Can you tell me what you do?",
    "How much does it cost?",
    "That sounds good. Can we meet on Tuesday at three?",
    "Thank you, goodbye.",
)


@frozen
class Answer:
    """What the language model says when the last message of the user matches `when`, a regular expression."""

    when: str
    say: str
    """`{heard}` stands for what the user said."""


ANSWERS = (
    Answer(r"\b(bye|goodbye)\b", "Thank you for calling. Goodbye!"),
    Answer(
        r"\b(cost|price|expensive)\b", "It starts at forty-nine dollars a month. ||BREAK|| Shall I explain?"
    ),
    Answer(
        r"\b(meet|tuesday|demo)\b", "Tuesday at three works well. ||BREAK|| I will send you an invitation."
    ),
    Answer(r"\b(hello|hi)\b", "Hello! This is Alex. ||BREAK|| How can I help you today?"),
    Answer(r"", "You said: {heard} ||BREAK|| What else would you like to know?"),
)


@frozen
class Script:
    """What is said."""

    caller_says: tuple[str, ...] = CALLER_SAYS
    """What speech to text understands, utterance by utterance, again from the start after the last."""
    words_by_level: tuple[str, ...] = ()
    """If given, speech to text understands the audio itself instead: see `adapters.simulators.listening`."""
    answers: tuple[Answer, ...] = ANSWERS
    """The first that matches counts."""

    def utterance(self, number: int) -> str:
        """What the caller says in utterance `number`, from 0."""
        return self.caller_says[number % len(self.caller_says)] if self.caller_says else ""

    def answer(self, heard: str) -> str:
        """What the language model says to that."""
        for rule in self.answers:
            if re.search(rule.when, heard, re.IGNORECASE):
                return rule.say.replace("{heard}", heard)
        return ""


def rest_of(answer: str, said: str) -> str:
    """How a model goes on with an answer of which it has `said` the beginning: without saying it again.

    Markers and white space make no difference. What it did not say as in `answer` is not looked for in it.
    """
    unsaid = 0
    spoken = iter(_SILENT.sub("", said))
    awaited = next(spoken, None)
    for part in re.finditer(rf"(?P<silent>{_SILENT.pattern})|.", answer):
        if part["silent"] is not None:
            continue
        if awaited is None or part[0] != awaited:
            break
        unsaid, awaited = part.end(), next(spoken, None)
    return answer[unsaid:]


_SILENT = re.compile(r"\|\|[A-Z]+\|\||<[^<>]*>|\s+")


@frozen
class Latency:
    """How long something takes: log-normal, as network and inference times are."""

    median_ms: float
    spread: float = 0.25
    """The standard deviation of the logarithm; 0 gives the median always."""

    def draw(self, randomness: random.Random) -> float:
        """Seconds."""
        if self.median_ms <= 0:
            return 0.0
        return math.exp(randomness.gauss(math.log(self.median_ms), self.spread)) / 1000


@frozen
class Latencies:
    """How long each vendor takes. The defaults are what vendors and benchmarks state for 2025 and 2026."""

    accept: Latency = Latency(60)
    """From a request's head to the answer's head."""
    transcript: Latency = Latency(150)
    """From audio to the words that were spoken in it."""
    first_token: Latency = Latency(400, 0.35)
    token: Latency = Latency(12, 0.5)
    first_audio: Latency = Latency(90)
    """From a text to the first audio."""
    audio_piece: Latency = Latency(20)
    """Between pieces of 100 ms of audio."""

    @classmethod
    def none(cls) -> Latencies:
        """Everything at once, for tests."""
        at_once = Latency(0)
        return cls(at_once, at_once, at_once, at_once, at_once, at_once)
