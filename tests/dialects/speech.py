"""Holds a call with every dialect of the simulated Deepgram and Cartesia: what the caller hears."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import trio
from attrs import frozen
from trio.testing import MockClock

from adapters.simulators import SttDialect, TtsDialect
from machines import effects as do
from machines.facts import TurnMode
from machines.history import Speaker
from orchestrator.simulation import SimulatedCaller
from tests.faults.vendors import Vendors, vendors
from tests.reference_defects.vendor_calls import VendorCall, vendor_call

WORDS = "how is the weather"
"""What the caller's audio holds. The simulated Deepgram understands the next line of its script instead."""
ANSWER = "Hello! This is Alex. How can I help you today?"
UNREFUSED = "Hello! How can I help you today?"
SECOND = "You said: Can you tell me what you do? What else would you like to know?"
IN_PART = f"{SECOND} (told: unsayable)"
ELSE = "What else would you like to know?"
BEGUN = (f"You said: Can you tell me {ELSE}", f"You said: Can you tell {ELSE}")
"""The same of words of which only the interim ones came."""
IN_CHINESE = (f"You said: 您好，我要订明天六点{ELSE}", f"You said: 您好，我要订明天六点的{ELSE}")
NOTHING = "nothing"
SETTLED_S = 12
"""By then every answer is over, also after all that is waited for first."""

D = TypeVar("D", SttDialect, TtsDialect)


@frozen
class Feature:
    """Something that is tried with every dialect. `right`: what a caller may hear."""

    title: str
    about: str
    right: tuple[str, ...]
    attempt: Callable[[VendorCall], Awaitable[str]]
    language: str = "en-US"


@frozen
class Row:
    """What came of one dialect."""

    name: str
    about: str
    heard: Mapping[str, str]

    def wrong(self, features: Sequence[Feature]) -> dict[str, str]:
        """What a caller should not hear, by feature."""
        return {
            each.title: self.heard[each.title]
            for each in features
            if self.heard[each.title] not in each.right
        }


# --- what is tried ----------------------------------------------------------------------------------------


async def _heard(held: VendorCall, already: int = 0) -> str:
    """What the caller hears from now on until all is quiet, and the errors that the client is told of."""
    await trio.sleep(SETTLED_S)
    errors = [error.value for error in held.caller.client_errors()]
    said = " ".join(held.caller.answers()[already:]) or NOTHING
    return f"{said} (told: {', '.join(dict.fromkeys(errors))})" if errors else said


async def _by_hand(held: VendorCall) -> str:
    await held.call.take_turn(WORDS)
    return await _heard(held)


async def _silent_by_hand(held: VendorCall) -> str:
    await held.call.start_recording()
    await held.call.keep_quiet(2000)
    await held.call.stop_recording()
    return await _heard(held)


async def _by_voice(held: VendorCall) -> str:
    await held.call.start_recording(TurnMode.AUTOMATIC)
    await held.call.keep_quiet(500)
    await held.call.say(WORDS)
    await held.call.keep_quiet(5000)
    return await _heard(held)


async def _quiet(held: VendorCall) -> str:
    await held.call.start_recording(TurnMode.AUTOMATIC)
    await held.call.keep_quiet(30_000)
    return await _heard(held)


async def _later(held: VendorCall) -> str:
    await held.call.take_turn(WORDS)
    await trio.sleep(120)
    await held.call.take_turn(WORDS)
    return await _heard(held, already=1)


async def _remembered(held: VendorCall) -> str:
    """What the model is told was heard of the first answer."""
    await held.call.take_turn(WORDS)
    await trio.sleep(SETTLED_S)
    await held.call.take_turn(WORDS)
    await trio.sleep(SETTLED_S)
    return next(one.text for one in held.requests()[-1] if one.speaker is Speaker.ASSISTANT)


async def _interrupted(held: VendorCall) -> str:
    """What is remembered of an answer that was interrupted after a while, if it is how the answer began."""
    await held.call.start_recording()
    await held.call.say(WORDS)
    await held.call.stop_recording()
    await held.call.reaches("speaking")
    await held.call.until(lambda: any(each.chunks for each in held.caller.playbacks))
    await trio.sleep(1.6)
    await held.call.interrupt()
    await trio.sleep(1)
    (told,) = held.caller.notified_of(do.NotifyInterrupted)
    as_it_was = bool(told.heard) and ANSWER.startswith(told.heard)
    return "its beginning" if as_it_was else f"“{told.heard}”"


STT_FEATURES = (
    Feature("By hand", "a turn that a button ends", (ANSWER, *IN_CHINESE), _by_hand),
    Feature("Silent", "a button, and not a word", (NOTHING,), _silent_by_hand),
    Feature("By voice", "a turn that silence ends", (ANSWER, *IN_CHINESE), _by_voice),
    Feature("Quiet", "half a minute without a word", (NOTHING,), _quiet),
    Feature("Later", "a second turn after two minutes", (SECOND, ANSWER, *BEGUN, *IN_CHINESE), _later),
    Feature("German", "the first, of a caller who states `de-DE`", (ANSWER, *IN_CHINESE), _by_hand, "de-DE"),
)
TTS_FEATURES = (
    Feature("Answer", "an answer of two sentences, as it is remembered", (ANSWER, UNREFUSED), _remembered),
    Feature(
        "Remembered",
        "what is remembered of it after an interruption",
        ("its beginning", "“Hello! How can I help you”"),
        _interrupted,
    ),
    Feature(
        "Later",
        "the answer to a second turn after two minutes",
        (SECOND, IN_PART),
        _later,
    ),
)


# --- how it is run ----------------------------------------------------------------------------------------


def stt_rows() -> list[Row]:
    """Every dialect of Deepgram."""
    return [_row(dialect, STT_FEATURES) for dialect in SttDialect]


def tts_rows() -> list[Row]:
    """Every dialect of Cartesia."""
    return [_row(dialect, TTS_FEATURES) for dialect in TtsDialect]


def _row(dialect: SttDialect | TtsDialect, features: Sequence[Feature]) -> Row:
    made = vendors()
    heard = {
        each.title: trio.run(_attempt, made, dialect, each, clock=MockClock(autojump_threshold=0))
        for each in features
    }
    return Row(dialect.value, dialect.about, heard)


async def _attempt(made: Vendors, dialect: SttDialect | TtsDialect, feature: Feature) -> str:
    stt = dialect if isinstance(dialect, SttDialect) else SttDialect.PLAIN
    tts = dialect if isinstance(dialect, TtsDialect) else TtsDialect.PLAIN
    caller = SimulatedCaller(language=feature.language)
    async with vendor_call(made, caller=caller, stt_dialect=stt, tts_dialect=tts) as held:
        return await feature.attempt(held)


# --- the document -----------------------------------------------------------------------------------------

_INTRODUCTION = {
    "stt": """\
## Deepgram (`vantum simulators --stt-dialect NAME`)

A whole call over simulated vendors, in virtual time. The caller's words are those of the simulators' script,
which begins anew with each connection: where a link was closed and opened again, “Later” is the first answer
once more.

| feature | what happens | right |
|---|---|---|
""",
    "tts": """\
## Cartesia (`vantum simulators --tts-dialect NAME`)

| feature | what happens | right |
|---|---|---|
""",
}


def document(stt: Sequence[Row], tts: Sequence[Row]) -> str:
    """The part of `docs/dialects.md` about speech."""
    return f"{_table('stt', STT_FEATURES, stt)}\n{_table('tts', TTS_FEATURES, tts)}"


def _table(kind: str, features: Sequence[Feature], rows: Sequence[Row]) -> str:
    lines = [_INTRODUCTION[kind].rstrip()]
    lines += [f"| {each.title} | {each.about} | {each.right[0]} |" for each in features]
    lines += ["", f"| dialect | what it is | {' | '.join(each.title for each in features)} |"]
    lines.append(f"|---|---|{'---|' * len(features)}")
    for row in rows:
        cells = [_cell(row.heard[each.title], each) for each in features]
        lines.append(f"| `{row.name}` | {row.about} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(heard: str, feature: Feature) -> str:
    return "✓" if heard == feature.right[0] else heard.replace("|", "\\|")
