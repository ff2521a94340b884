"""The script of simulated calls, what callers and language model say, and the latencies of simulated vendors.

Texts never come from a model. Callers go through a list, utterance by utterance, and answers are chosen by
the words that they answer.
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
class ScriptedCall:
    """A tool that the language model calls."""

    tool: str
    arguments: str = "{}"
    """The text that the model writes: JSON, or something malformed."""


@frozen
class Answer:
    """What the language model says and calls if its input matches `when`, a regular expression.

    Its input is the user's last message or, for an answer in `then`, the results of the calls.
    """

    when: str
    say: str = ""
    """`{heard}` stands for what the user said, `{result}` for the results of the calls before this."""
    calls: tuple[ScriptedCall, ...] = ()
    """Calls after the text. An answer with calls is used only if all these tools are offered."""
    then: tuple[Answer, ...] = ()
    """Answers to the results: the first that matches is used. If none does, the results are repeated."""


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
    """Calls that the language model asked for at once, and their results."""

    tools: frozenset[str]
    results: str


@frozen
class Script:
    """What callers and language model say."""

    caller_says: tuple[str, ...] = CALLER_SAYS
    """The transcript of each utterance. After the last, the first follows."""
    words_by_level: tuple[str, ...] = ()
    """If given, transcripts come from the audio itself instead: see `adapters.simulators.recognition`."""
    answers: tuple[Answer, ...] = ANSWERS
    """The first that matches is used."""

    def utterance(self, number: int) -> str:
        """The words of utterance `number`, from 0."""
        return self.caller_says[number % len(self.caller_says)] if self.caller_says else ""

    def answer(self, heard: str, offered: Collection[str] = (), so_far: Sequence[Called] = ()) -> Answer:
        """The answer to what the user said, with calls of tools that are `offered`.

        `so_far` are the calls that were already made for it, with their results.
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
    """The first answer that matches; an empty one if none does."""
    return next((rule for rule in rules if re.search(rule.when, told, re.IGNORECASE)), Answer(""))


def rest_of(answer: str, said: str) -> str:
    """The rest of an answer whose beginning was `said` already.

    Markers and white space make no difference. If `said` is not a beginning of `answer`, all of it is
    returned.
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
    """How long something takes: log-normal, like network and inference times."""

    median_ms: float
    spread: float = 0.25
    """The standard deviation of the logarithm; 0 always gives the median."""

    def draw(self, randomness: random.Random) -> float:
        """A random duration, in seconds."""
        if self.median_ms <= 0:
            return 0.0
        return math.exp(randomness.gauss(math.log(self.median_ms), self.spread)) / 1000


@frozen
class Latencies:
    """How long the vendors take. The defaults are from vendors and benchmarks of 2025 and 2026."""

    accept: Latency = Latency(60)
    """From the head of a request to the head of the answer."""
    transcript: Latency = Latency(150)
    """From audio to its transcript."""
    first_token: Latency = Latency(400, 0.35)
    token: Latency = Latency(12, 0.5)
    first_audio: Latency = Latency(90)
    """From a text to its first audio."""
    audio_piece: Latency = Latency(20)
    """Between pieces of 100 ms of audio."""

    @classmethod
    def none(cls) -> Latencies:
        """No latency, for tests."""
        at_once = Latency(0)
        return cls(at_once, at_once, at_once, at_once, at_once, at_once)
