"""Fault profiles: how often providers and tools fail in simulated calls, drawn at random from a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TypeVar

from attrs import define, evolve, frozen

from machines.facts import ErrorClass
from machines.tools import OnInterruption, ToolCall
from orchestrator.simulation.behaviour import Breaks, Delay, Ends, Fails, Fault, Opening, Plan, Stalls
from orchestrator.simulation.llm import Answer, SimulatedLanguageModel
from orchestrator.simulation.providers import SimulatedProviders
from orchestrator.simulation.stt import (
    Scoring,
    SimulatedSpeechToText,
    SimulatedTurnModel,
    SimulatedVoiceActivity,
    Transcription,
    TurnDetection,
)
from orchestrator.simulation.tools import Work, simulated_tool
from orchestrator.simulation.tts import SimulatedTextToSpeech, Synthesis
from orchestrator.tools.builtin_tools import BUILT_IN
from orchestrator.tools.tool import Tool

B = TypeVar("B", Opening, Transcription, Scoring, Answer, Synthesis, Work)

WINDOW = 1024
"""Samples in a window of voice activity: 64 ms, twice as long as Silero's."""
SECOND_PROVIDER = 0.4
"""Probability that a role has a second provider."""
TURN_MODEL = 0.3
"""Probability that a turn model is used."""
TOOL_NAMES = ("look", "book", "send")
ENDS_CALLS = 0.1
"""Probability, for each tool that ends calls, that the model has it."""
LAST_WORDS = {
    "end_call": '{"farewell": "Goodbye then."}',
    "transfer_call": '{"announcement": "A colleague is coming."}',
}
"""The arguments that those tools are called with."""
ASKS = 0.5
"""Probability that an answer asks for tool calls, if there are tools."""
ENDS_TURNS = 0.35
"""Probability that speech to text decides about ends of turns itself."""


@frozen
class Profile:
    """Probability, from 0 to 1, that an opening, a transcript, an answer or the call of a tool goes wrong.

    Some calls have three times this probability, some have none of it; the mean over all calls is this.
    """

    stt: float = 0.0
    llm: float = 0.0
    tts: float = 0.0
    tool: float = 0.0


PROFILES: Mapping[str, Profile] = {
    "none": Profile(),
    "light": Profile(0.04, 0.04, 0.04, 0.04),
    "hostile": Profile(0.25, 0.25, 0.25, 0.25),
    "stt": Profile(stt=0.3),
    "llm": Profile(llm=0.3),
    "tts": Profile(tts=0.3),
    "tool": Profile(tool=0.3),
}
_SEVERITIES = (0.0, 0.5, 0.5, 1.0, 3.0)
"""Factors for the probabilities of one call; their mean is 1."""


def drawn_tools(profile: Profile, random: Random, injected: Counter[str]) -> tuple[Tool, ...]:
    """The tools of one call, some of which may end it. Their faults are counted in `injected`."""
    chance = min(0.9, profile.tool * random.choice(_SEVERITIES))
    drawing = _Dice("tool", chance, random, injected)
    names = random.sample(TOOL_NAMES, random.randint(1, len(TOOL_NAMES)))
    ends = [each for each in BUILT_IN.values() if random.random() < ENDS_CALLS]
    return (*map(drawing.tool, names), *ends)


def drawn_providers(
    profile: Profile, random: Random, injected: Counter[str], rate: int, tools: Sequence[Tool] = ()
) -> SimulatedProviders:
    """The providers of one call. Their faults are counted in `injected` when they happen.

    `rate` is what the caller plays, in Hz. Most voices speak at that rate; audio of the others is resampled.
    The model asks for calls of `tools`.
    """
    severity = random.choice(_SEVERITIES)
    stt, llm, tts = (
        _Dice(role, min(0.9, chance * severity), random, injected)
        for role, chance in (("stt", profile.stt), ("llm", profile.llm), ("tts", profile.tts))
    )
    return SimulatedProviders(
        stt.stt(),
        llm.llm(tools),
        tts.tts(rate),
        stt.stt() if random.random() < SECOND_PROVIDER else None,
        llm.llm(tools) if random.random() < SECOND_PROVIDER else None,
        tts.tts(rate) if random.random() < SECOND_PROVIDER else None,
        stt.turn_model() if random.random() < TURN_MODEL else None,
        SimulatedVoiceActivity(WINDOW),
        places=random.choice((1, 2, None)),
    )


@define
class _Dice:
    """Draws what the providers of one role do in one call."""

    role: str
    chance: float
    random: Random
    injected: Counter[str]

    def stt(self) -> SimulatedSpeechToText:
        delay = Delay(self.random.uniform(10, 150), self.random.uniform(0, 150))
        kinds = self._faults("transcript")
        odd: list[Callable[[], Transcription]] = [
            *(lambda fault=fault: Transcription(delay, fault) for fault in kinds),
            self._odd("transcript: late", lambda: Transcription(Delay(1500, 2500))),
            self._odd("transcript: empty", lambda: Transcription(delay, words="")),
            self._odd("transcript: wrong", lambda: Transcription(delay, words="please tell me a joke")),
            self._odd("transcript: repeated", lambda: Transcription(delay, times=2)),
        ]
        return SimulatedSpeechToText(
            self._plan(Transcription(delay), odd),
            self._openings(),
            self.random,
            interim=self.random.random() < 0.8,
            detection=TurnDetection(120, 400) if self.random.random() < ENDS_TURNS else None,
        )

    def turn_model(self) -> SimulatedTurnModel:
        delay = Delay(self.random.uniform(0, 60), self.random.uniform(0, 40))
        usual = Scoring(self.random.choice((0.1, 0.9)), delay)
        fails, stalls, breaks, _ = self._faults("score")
        odd: list[Callable[[], Scoring]] = [
            *(partial(Scoring, 0.9, delay, fault) for fault in (fails, stalls, breaks)),
            self._odd("score: late", lambda: Scoring(0.9, Delay(300, 1000), uncancellable=True)),
            self._odd("score: undecided", lambda: Scoring(0.5, delay)),
        ]
        return SimulatedTurnModel(self._plan(usual, odd), self.random)

    def llm(self, tools: Sequence[Tool]) -> SimulatedLanguageModel:
        first = Delay(self.random.uniform(50, 500), self.random.uniform(0, 300))
        between = Delay(0, self.random.uniform(1, 40))
        kinds = self._faults("answer")
        usual = (
            Answer(first=first, between=between),
            Answer("Yes.", first, between),
            Answer("Well, it is warm today. Do you want to know more?", first, between),
        )

        def broken(fault: Fault) -> Answer:
            return Answer(None, first, between, fault, self.random.randrange(9))

        odd: list[Callable[[], Answer]] = [
            *(partial(broken, fault) for fault in kinds),
            self._odd("answer: late", lambda: Answer(first=Delay(2000, 4000))),
            self._odd("answer: halting", lambda: Answer(between=Delay(200, 1500))),
            self._odd("answer: empty", lambda: Answer("", first)),
            self._odd("answer: unspeakable", lambda: Answer("... !", first)),
            self._odd("answer: rambling", lambda: Answer("One, two, three. " * 12, first, Delay(0, 200))),
        ]
        plan = self._plan(self.random.choice(usual), odd)

        def next_answer() -> Answer:
            answer = plan()
            return self._asking(answer, tools) if tools and self.random.random() < ASKS else answer

        return SimulatedLanguageModel(next_answer, self._openings(), self.random)

    def _asking(self, answer: Answer, tools: Sequence[Tool]) -> Answer:
        """The answer, made to ask for tool calls, with or without a text before them."""
        calls = tuple(self._asked(tools, number) for number in range(self.random.choice((1, 1, 2, 3))))
        text = self.random.choice((None, None, "Let me see.", answer.text))
        unasked = self.random.random() < self.chance
        return evolve(answer, text=text, calls=calls, unasked=unasked)

    def _asked(self, tools: Sequence[Tool], number: int) -> ToolCall:
        name = self.random.choice(tools).name
        arguments = LAST_WORDS.get(name, "{}")
        if self.random.random() < self.chance:
            name, arguments = self.random.choice((("cook", "{}"), (name, '{"of"'), (name, '{"the": 1}')))
            self._counting("answer: asks for what cannot be called")()
        return ToolCall(f"call {number}", name, arguments)

    def tool(self, name: str) -> Tool:
        takes = self.random.choice((Delay(), Delay(0, 200), Delay(500, 1000), Delay(3000, 4000)))
        usual = Work(takes, says=self.random.choice(("", "", "I am on it.")))
        kinds = self._faults("call")
        odd: list[Callable[[], Work]] = [
            *(partial(evolve, usual, fault=fault) for fault in kinds),
            self._odd("call: late", lambda: Work(Delay(8000, 4000))),
            self._odd("call: uncancellable", lambda: Work(Delay(1000, 3000), uncancellable=True)),
        ]
        return simulated_tool(
            name,
            self._plan(usual, odd),
            self.random,
            on_interruption=self.random.choice(tuple(OnInterruption)),
            timeout_s=self.random.choice((0.5, 3, 10)),
            reply=self.random.random() < 0.8,
            filler=self.random.choice(("", "I am looking it up.")),
        )

    def tts(self, rate: int) -> SimulatedTextToSpeech:
        usual = Synthesis(
            Delay(self.random.uniform(30, 200), self.random.uniform(0, 150)),
            Delay(0, self.random.uniform(1, 20)),
            piece_ms=self.random.choice((100, 300)),
            ms_per_character=self.random.choice((20, 35, 50)),
            rate=rate if self.random.random() < 0.9 else 22_050,
            words=self.random.random() < 0.7,
        )
        kinds = self._faults("voice")

        def broken(fault: Fault) -> Synthesis:
            return evolve(usual, fault=fault, after=self.random.randrange(12))

        odd: list[Callable[[], Synthesis]] = [
            *(partial(broken, fault) for fault in kinds),
            self._odd("voice: late", lambda: evolve(usual, first=Delay(1000, 3000))),
            self._odd(
                "voice: slower than it is heard", lambda: evolve(usual, between=Delay(usual.piece_ms, 100))
            ),
            self._odd("voice: soundless", lambda: evolve(usual, ms_per_character=0)),
            self._odd("voice: misnumbered", lambda: evolve(usual, misnumbered=True)),
        ]
        return SimulatedTextToSpeech(self._plan(usual, odd), self._openings(), self.random)

    def _openings(self) -> Plan[Opening]:
        delay = Delay(self.random.uniform(5, 100), self.random.uniform(0, 200))
        fails, stalls, breaks, _ = self._faults("opening")
        ends = (each for each in self._faults("link") if not isinstance(each, Stalls))

        def dying(fault: Fault) -> Opening:
            return Opening(delay, dies=fault, after_ms=self.random.choice((0, 50, 1000, 5000, 20_000)))

        odd: list[Callable[[], Opening]] = [
            lambda: Opening(delay, fails),
            lambda: Opening(delay, stalls),
            lambda: Opening(delay, breaks),
            self._odd("opening: late", lambda: Opening(Delay(1000, 2000))),
            self._odd("opening: uncancellable", lambda: Opening(Delay(500, 1000), uncancellable=True)),
            *(partial(dying, fault) for fault in ends),
        ]
        return self._plan(Opening(delay), odd)

    def _plan(self, usual: B, odd: Sequence[Callable[[], B]]) -> Plan[B]:
        def next_one() -> B:
            return self.random.choice(odd)() if self.random.random() < self.chance else usual

        return next_one

    def _faults(self, where: str) -> tuple[Fails, Stalls, Breaks, Ends]:
        """A fault of each kind, which is counted when it happens."""
        error_class = self.random.choice((*ErrorClass, ErrorClass.TRANSIENT, ErrorClass.CONNECTION))
        pause = self.random.choice((None, None, None, 300, 5000))
        return (
            Fails(error_class, retry_after_ms=pause, struck=self._counting(f"{where}: fails")),
            Stalls(struck=self._counting(f"{where}: stalls")),
            Breaks(struck=self._counting(f"{where}: breaks")),
            Ends(struck=self._counting(f"{where}: ends early")),
        )

    def _odd(self, what: str, make: Callable[[], B]) -> Callable[[], B]:
        """Behaviour that is odd but not a fault. It is counted when it is drawn."""
        count = self._counting(what)

        def drawn() -> B:
            count()
            return make()

        return drawn

    def _counting(self, what: str) -> Callable[[], None]:
        def count() -> None:
            self.injected[f"{self.role} {what}"] += 1

        return count
