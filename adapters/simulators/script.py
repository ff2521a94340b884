"""What is said in simulated calls, and how long everything takes.

Texts come from a script, never from a model: what callers "say" is a list that is gone through utterance by
utterance, and answers are chosen by the words they answer.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Collection, Iterable, Sequence

from attrs import evolve, frozen

CALLER_SAYS = (
    "Hello, who am I speaking to?",
    "Can you tell me what you do?",
    "How much does it cost?",
    "That sounds good. Can we meet on Tuesday at three?",
    "Thank you, goodbye.",
)


@frozen
class Call:
    """A tool that the language model calls."""

    tool: str
    arguments: str = "{}"
    """As the model writes them: JSON, or what it takes for that."""


@frozen
class Answer:
    """What the language model says and calls when the last it was told matches `when`, a regular expression.

    That is the user's last message, or, for an answer in `then`, what the calls gave.
    """

    when: str
    say: str = ""
    """`{heard}` stands for what the user said, `{result}` for what the calls before this gave."""
    calls: tuple[Call, ...] = ()
    """Asked for after that. An answer with calls counts only where all these tools are offered."""
    then: tuple[Answer, ...] = ()
    """What it says to the results: the first that matches counts. If none does, it repeats them."""


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
class Called:
    """Calls that the language model has asked for at once, and what they gave."""

    tools: frozenset[str]
    results: str


@frozen
class Script:
    """What is said."""

    caller_says: tuple[str, ...] = CALLER_SAYS
    """What speech to text understands, utterance by utterance, again from the start after the last."""
    words_by_level: tuple[str, ...] = ()
    """If given, speech to text understands the audio itself instead: see
    `adapters.simulators.recognition`."""
    answers: tuple[Answer, ...] = ANSWERS
    """The first that matches counts."""

    def utterance(self, number: int) -> str:
        """What the caller says in utterance `number`, from 0."""
        return self.caller_says[number % len(self.caller_says)] if self.caller_says else ""

    def answer(self, heard: str, offered: Collection[str] = (), so_far: Sequence[Called] = ()) -> Answer:
        """What the language model says to what it `heard`, and calls of what it is `offered`.

        `so_far` are the calls that it has answered it with already.
        """
        rules, told = self.answers, heard
        for called in so_far:
            asked = (rule for rule in rules if called.tools == {call.tool for call in rule.calls})
            rules, told = (*_first(asked, told).then, _REPEAT), called.results
        possible = (rule for rule in rules if all(call.tool in offered for call in rule.calls))
        rule = _first(possible, told)
        said = rule.say.replace("{heard}", heard)
        return evolve(rule, say=said.replace("{result}", told) if so_far else said)


_REPEAT = Answer("", "{result}")


def _first(rules: Iterable[Answer], told: str) -> Answer:
    """The first that matches; one that says nothing if none does."""
    return next((rule for rule in rules if re.search(rule.when, told, re.IGNORECASE)), Answer(""))


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
