"""Renders `docs/faults.md` from the outcomes of the calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from tests.faults.calls import FIRST_WORDS, NEXT_WORDS, SCRIPT
from tests.faults.cells import Cell, Role
from tests.faults.outcomes import MARKER, CallOutcome, TurnOutcome, TurnResult

PATH = Path(__file__).parents[2] / "docs" / "faults.md"

_TITLES = {
    Role.NOVA: "Speech to text: Deepgram v1 (Nova)",
    Role.FLUX: "Speech to text: Deepgram v2 (Flux)",
    Role.MODEL: "Language model: OpenAI",
    Role.VOICE: "Text to speech: Cartesia",
}

_BEHIND = {
    Role.NOVA: ", with Flux behind it",
    Role.FLUX: ", with Nova behind it",
    Role.MODEL: ", with another behind it",
    Role.VOICE: ", with another behind it",
}

_COLUMNS = (
    *("Fault", "First turn", "Heard", "First sound", "Silence"),
    *("Second turn", "What ran", "Client told"),
)

_INTRODUCTION = """\
# What a caller hears when a provider fails

Written by `python -m tests.faults`. A test fails if this is not what a run gives.

Every row is a whole call in virtual time: the real orchestrator, the vendors' adapters with the vendors'
SDKs, and simulators with realistic latencies, which recognise the words that reach them. The caller says
“{first}”, hears the answer and says “{next}”; the model says “{answer}”

One provider has one fault, in the state that is named: INITIALIZING (the links are opened, and the caller
speaks at once), LISTENING (the caller speaks), THINKING (the caller has spoken; in the rows of speech to
text, the final transcript is awaited) or RESPONDING (the answer is heard). “Once” means that one connection
or request has the fault, “every time” that all of them have it.

* **First turn**, **second turn**: the result, with the words that were understood if they are not all
  words.
* **Heard**: the answer, if it is not the whole answer to all of the caller's words.
* **First sound**: the time from the caller's last word. Without a fault it is {usual:.2f} s.
* **Silence**: the longest silence from the caller's last word until it is the caller's turn or the call is
  over.
* **What ran**: the states of a [link](../diagrams/link.md) to a provider, or of the
  [conversation](../diagrams/conversation.md), if they differ from a call without a fault. In parentheses
  stands what caused a step: the class of a failure, or a deadline. “Opening 2” is a link to the second
  provider, “[…] × 4” happens four times.
* **Client told**: the error events, and why the call ended if the caller did not end it.

The tests check in every row: the caller hears an answer, a fallback or an apology, or the call ends and the
client is told why; no wait is longer than the deadlines allow; no words are understood twice; no task,
socket or synthesis is left behind, neither here nor at the vendor. With a second provider, every turn is
answered.
"""


_OVER_DIALECTS = """\
## Dialects

Each [dialect](dialects.md) of a vendor, with one of the faults above: one provider for each role, of which
the one that fails also differs from its documents. Each fault meets several dialects.
"""
_PARTS = {1: "One provider for each role", 2: "Two providers for each role, of which the first one fails"}


Rows = Sequence[tuple[Cell, CallOutcome]]


def render(rows: Rows, over_dialects: Rows, usual: float) -> str:
    """The whole document."""
    answer = SCRIPT.answer("…").say.replace(MARKER, "")
    parts = [_INTRODUCTION.format(first=FIRST_WORDS, next=NEXT_WORDS, answer=answer, usual=usual)]
    parts += _summary(rows)
    for providers, of_part in groupby(rows, key=lambda row: row[0].providers):
        parts.append(f"## {_PARTS[providers]}\n")
        for role, of_role in groupby(of_part, key=lambda row: row[0].role):
            parts.append(f"### {_TITLES[role]}{_BEHIND[role] if providers == 2 else ''}\n")
            for state, of_state in groupby(of_role, key=lambda row: row[0].state):
                parts += [f"#### {state.name}\n", *_table(of_state)]
    parts += [_OVER_DIALECTS, *_table(over_dialects)]
    return "\n".join(parts).rstrip() + "\n"


def _table(rows: Iterable[tuple[Cell, CallOutcome]]) -> Iterator[str]:
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    yield from (_row(cell, outcome) for cell, outcome in rows)
    yield ""


def _summary(rows: Sequence[tuple[Cell, CallOutcome]]) -> Iterator[str]:
    """The number of calls by the worse result of their turns."""
    counts = {providers: Counter[TurnResult]() for providers in _PARTS}
    for cell, outcome in rows:
        counts[cell.providers][_worst(outcome)] += 1
    yield "| What came of the call, at worst | one provider | two providers |"
    yield "|---|---|---|"
    for result in TurnResult:
        numbers = [count[result] for count in counts.values()]
        if any(numbers):
            yield f"| {result.value} | {' | '.join(map(str, numbers))} |"
    yield f"| all calls | {' | '.join(str(count.total()) for count in counts.values())} |"
    yield ""


def _worst(outcome: CallOutcome) -> TurnResult:
    """The worse result of both turns."""
    order = list(TurnResult)
    return max((turn.result for turn in outcome.turns), key=order.index, default=TurnResult.HUNG_UP)


def _row(cell: Cell, outcome: CallOutcome) -> str:
    first, second, *_ = (*outcome.turns, None, None)
    told = [
        *outcome.client_errors,
        *([outcome.ended_because] if outcome.ended_because != "caller_hung_up" else []),
    ]
    columns = (
        f"`{cell.dialect}`: {cell.fault}" if cell.dialect else cell.fault,
        _result(first, FIRST_WORDS) if first else f"over {outcome.closing:.2f} s after hanging up",
        "<br>".join(first.heard) if first and not _is_whole(first) else "",
        _seconds(first.first_sound) if first else "",
        _seconds(first.silence) if first else "",
        _result(second, NEXT_WORDS) if second else "",
        "<br>".join(outcome.paths),
        ", ".join(told),
    )
    return "| " + " | ".join(column.replace("|", "\\|") for column in columns) + " |"


def _result(turn: TurnOutcome, words: str) -> str:
    """The result, with the words that were understood if they are not all of the caller's."""
    return turn.result.value + (f" to “{turn.understood}”" if turn.understood not in ("", words) else "")


def _is_whole(turn: TurnOutcome) -> bool:
    return turn.understood == FIRST_WORDS and turn.heard == (
        f"“{SCRIPT.answer(FIRST_WORDS).say.replace(MARKER, '')}”",
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
