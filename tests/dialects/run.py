"""Asks every simulated dialect the same, through the adapter and OpenAI's SDK: what callers hear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import trio
from attrs import define, field, frozen

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai.chat import OpenAILanguageModel, Rehearsal, http_client
from adapters.simulators import Answer, Script, ScriptedCall, simulators
from adapters.simulators.openai_dialects import DIALECTS, FLAGGED, HARD
from machines.facts import ErrorClass
from machines.history import Message, Speaker
from machines.segments import Segmenter
from machines.tools import CallRecord, ToolCall

PATH = Path(__file__).parents[2] / "docs" / "dialects.md"

WEATHER = ToolSpec(
    "weather", "The weather in a city.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
TRAINS = ToolSpec("trains", "Trains that leave now.", {"type": "object", "properties": {}})
TOOLS = (WEATHER, TRAINS)
HELLO, ANSWER = "Hello?", "Hello! This is Alex. How can I help you?"
ASKED, RESULT, TOLD = "How is the weather?", "Sunny.", "It is sunny in Oslo."
BEGUN = "Hello! This is Alex."
SCRIPT = Script(
    answers=(
        Answer(
            "weather",
            "Let me look.",
            (ScriptedCall("weather", '{"city": "Oslo"}'), ScriptedCall("trains")),
            then=(Answer("sunny", TOLD),),
        ),
        Answer("weather", TOLD),
        Answer("hello", ANSWER),
        Answer("thanks", "You are welcome."),
        Answer("", "I see."),
    )
)
SYSTEM = Message(Speaker.SYSTEM, "Be short.")
REFUSED = "the sentence for refused words"
SPENT = "the sentence for a limit that was spent on thinking"


@define
class Trial:
    """One dialect, asked for one thing after the other, as in one process."""

    model: OpenAILanguageModel
    calls: tuple[ToolCall, ...] = ()
    heard: dict[str, str] = field(factory=dict)
    """By feature, what a caller hears."""

    async def ask(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = TOOLS) -> str:
        """What a caller hears of an answer; a request that may go well when repeated is repeated once."""
        for last in (False, True):
            try:
                return await self._ask_once(messages, tools)
            except ProviderError as error:
                if error.failure.error_class is ErrorClass.REFUSED_TEXT:
                    return REFUSED
                if error.failure.error_class is ErrorClass.LIMIT_SPENT:
                    return SPENT
                if last or not error.failure.error_class.retryable:
                    return f"an apology ({error.failure.error_class.value})"
        raise AssertionError("the last request returns")

    async def _ask_once(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        segmenter = Segmenter()
        segments, calls = [], []
        async with self.model.generate([SYSTEM, *messages], tools) as pieces:
            async for piece in pieces:
                if isinstance(piece, ToolCall):
                    calls.append(piece)
                else:
                    segments += segmenter.push(piece)
        segments += segmenter.finish()
        self.calls = tuple(calls)
        heard = " ".join(segment.text for segment in segments)
        made = ", ".join(f"{call.name} {call.arguments}" for call in calls)
        return f"{heard} [{made}]" if made else heard

    def called(self) -> Message:
        """The calls of the last answer with their results, as the history tells of them."""
        made = self.calls or (ToolCall("call_of_another", "weather", '{"city": "Oslo"}'),)
        records = tuple(CallRecord(number, call, RESULT) for number, call in enumerate(made, 1))
        return Message(Speaker.ASSISTANT, "Let me look.", calls=records)


def user(text: str) -> Message:
    return Message(Speaker.USER, text)


async def _check(trial: Trial) -> str:
    for last in (False, True):
        try:
            await trial.model.check()
        except ProviderError as error:
            if last or not error.failure.error_class.retryable:
                return f"unusable ({error.failure.error_class.value})"
        else:
            break
    return "usable"


async def _question(trial: Trial) -> str:
    return await trial.ask([user(HELLO)])


async def _second_question(trial: Trial) -> str:
    return await trial.ask([user(HELLO), Message(Speaker.ASSISTANT, ANSWER), user("Thanks.")])


async def _calls(trial: Trial) -> str:
    return await trial.ask([user(ASKED)])


async def _result(trial: Trial) -> str:
    await trial.ask([user(ASKED)])
    return await trial.ask([user(ASKED), trial.called()])


async def _no_more_tools(trial: Trial) -> str:
    await trial.ask([user(ASKED)])
    return await trial.ask([user(ASKED), trial.called()], ())


async def _interrupted(trial: Trial) -> str:
    await trial.ask([user(ASKED)])
    return await trial.ask([user(ASKED), trial.called(), user("Thanks.")])


async def _broken_off(trial: Trial) -> str:
    return f"{BEGUN} {await trial.ask([user(HELLO), Message(Speaker.ASSISTANT, BEGUN)])}"


async def _flagged(trial: Trial) -> str:
    return await trial.ask([user(f"Where is my {FLAGGED}?")])


async def _hard(trial: Trial) -> str:
    return await trial.ask([user(f"Here is a {HARD}.")])


@frozen
class Feature:
    """Something that every dialect is asked for. `right`: what a caller should hear."""

    title: str
    about: str
    right: tuple[str, ...]
    ask: Callable[[Trial], Awaitable[str]]


CALLS = 'Let me look. [weather {"city": "Oslo"}, trains {}]'
FEATURES = (
    Feature("Check", "the probe at the start of the server", ("usable",), _check),
    Feature("Question", f"“{HELLO}”", (ANSWER,), _question),
    Feature("Another", "the next question of a call", ("You are welcome.",), _second_question),
    Feature("Calls", f"“{ASKED}”, with two tools offered", (CALLS, TOLD), _calls),
    Feature("Result", "the results of these calls are told", (TOLD,), _result),
    Feature("No more tools", "the same where none may be called any more", (TOLD,), _no_more_tools),
    Feature(
        "Interrupted",
        "the caller says “Thanks.” after the result and before an answer",
        ("You are welcome.",),
        _interrupted,
    ),
    Feature("Broken off", f"an answer broke off after “{BEGUN}” and is continued", (ANSWER,), _broken_off),
    Feature("Refused words", f"the caller says “{FLAGGED}”", ("I see.", REFUSED), _flagged),
    Feature("Hard question", f"the caller says “{HARD}”", ("I see.", SPENT), _hard),
)


@frozen
class Row:
    """What came of one dialect."""

    name: str
    heard: Mapping[str, str]
    learnt: tuple[str, ...]

    def wrong(self) -> dict[str, str]:
        """What a caller should not hear, by feature."""
        return {
            each.title: self.heard[each.title]
            for each in FEATURES
            if self.heard[each.title] not in each.right
        }


async def row_of(name: str) -> Row:
    """Ask the dialect for everything."""
    async with simulators(script=SCRIPT, llm_dialect=name) as running, http_client() as http:
        model = OpenAILanguageModel(
            http,
            running.openai_url,
            "gpt-5-mini",
            "a-key-for-tests",
            temperature=0.7,
            top_p=0.9,
            max_tokens=500,
            rehearsal=Rehearsal((SYSTEM, user("Hello.")), TOOLS),
            name=name,
        )
        trial = Trial(model)
        heard = {feature.title: await feature.ask(trial) for feature in FEATURES}
    return Row(name, heard, model.learnt)


def all_rows() -> list[Row]:
    return [trio.run(row_of, name) for name in DIALECTS]


# --- the document -----------------------------------------------------------------------------------------

_INTRODUCTION = """\
# What a caller hears of servers that differ from their documents

Written by `python -m tests.dialects`; a test fails when this is not what a run gives.

Of [language models](#language-models), [Deepgram](#deepgram-vantum-simulators---stt-dialect-name) and
[Cartesia](#cartesia-vantum-simulators---tts-dialect-name).

## Language models

Each row is a simulated server (`vantum simulators --llm-dialect NAME`) that was asked through the adapter and
OpenAI's SDK, with `temperature`, `top_p` and `max_tokens` set. These are trials of the adapter, not calls: a
segment counts as heard, and a request whose failure may pass was repeated once, as calls do. Whole calls over
each dialect, with a fault besides, are in [faults.md](faults.md#dialects). “✓” is what OpenAI's own answer
comes to; where it is something else, it is said.

| feature | what is asked | right |
|---|---|---|
"""


def document(rows: Sequence[Row]) -> str:
    """The whole document."""
    lines = [_INTRODUCTION.rstrip()]
    for each in FEATURES:
        right = " or ".join(map(_quoted, each.right))
        lines += [f"| {each.title} | {each.about} | {right} |"]
    lines += ["", f"| dialect | {' | '.join(each.title for each in FEATURES)} |"]
    lines.append(f"|---|{'---|' * len(FEATURES)}")
    for row in rows:
        lines.append(f"| `{row.name}` | {' | '.join(_cell(row, each) for each in FEATURES)} |")
    lines += ["", "| dialect | what it is | what was learnt of it |", "|---|---|---|"]
    for row in rows:
        about = DIALECTS[row.name].about
        lines.append(f"| `{row.name}` | {about} | {'; '.join(row.learnt) or '–'} |")
    return "\n".join(lines) + "\n"


def _cell(row: Row, feature: Feature) -> str:
    heard = row.heard[feature.title]
    return "✓" if heard == feature.right[0] else _quoted(heard)


def _quoted(text: str) -> str:
    return text.replace("|", "\\|")
