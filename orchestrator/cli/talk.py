"""`vantum talk`: a call from the terminal, that says WAV files and tells what came of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from attrs import frozen

from adapters.interfaces import Samples
from machines.facts import TurnMode
from orchestrator.audio.pcm import read_wav, write_wav
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.cli.talk_client import TalkError, Turn, talk_client

__all__ = ["Call", "TalkError", "hold"]


@frozen
class Call:
    """What is to be said to which server, and what is to be told of it."""

    url: str
    files: tuple[Path, ...]
    mode: TurnMode
    out: Path | None
    as_json: bool
    interrupt_after: float | None
    """Seconds after each answer's first audio, but the last one's, at which the next file is said over it."""


@frozen
class _Speech:
    name: str
    samples: Samples
    rate: int


async def hold(call: Call) -> bool:
    """Hold the call, printing a turn as soon as it is over; whether every turn was answered without an error.

    Raises `TalkError`, after printing what had happened until then.
    """
    speeches = [_read(path) for path in call.files]
    if call.interrupt_after is not None and len(speeches) == 1:
        speeches *= 2
    turns: list[Turn] = []
    told = 0
    try:
        async with talk_client(call.url, call.mode) as client:
            turns = client.turns
            for number, speech in enumerate(speeches, start=1):
                cut = call.interrupt_after if number < len(speeches) else None
                await client.say(speech.samples, speech.rate, speech.name, cut)
                # An interrupted turn is over only when the server has told how much of it was heard.
                if cut is None:
                    told = _tell(call, turns, told)
    finally:
        _tell(call, turns, told)
        if call.out:
            _keep(call.out, turns)
    return all(turn.answer and not turn.complaints for turn in turns)


def _read(path: Path) -> _Speech:
    try:
        samples, rate = read_wav(path)
    except (ValueError, OSError) as error:
        raise TalkError(f"{error}.") from None
    return _Speech(str(path), samples, rate)


def _tell(call: Call, turns: Sequence[Turn], told: int) -> int:
    """Print the turns that were not told yet; how many are told now."""
    for number, turn in enumerate(turns[told:], start=told + 1):
        click.echo(json.dumps(as_map(number, turn)) if call.as_json else "\n".join(as_lines(number, turn)))
    return len(turns)


def _keep(path: Path, turns: Sequence[Turn]) -> None:
    """Write the audio of all answers, one after the other, at the first one's rate."""
    spoken = [turn for turn in turns if turn.audio]
    rate = spoken[0].audio_rate if spoken else Turn("").audio_rate
    pieces = [np.empty(0, np.int16)]
    for turn in spoken:
        resampler = StreamingResampler(turn.audio_rate, rate)
        pieces += [resampler.push(np.concatenate(turn.audio)), resampler.flush()]
    write_wav(path, np.concatenate(pieces), rate)


# --- telling ----------------------------------------------------------------------------------------------


def as_map(number: int, turn: Turn) -> dict[str, Any]:
    """A turn for programs. Times are ms after the end of speech; what did not happen is null."""
    interruption = turn.interruption
    return {
        "turn": number,
        "said": turn.name,
        "understood": turn.understood,
        "answer": turn.answer,
        "firstAudioMs": _rounded(turn.first_audio_ms),
        "latency": {name: _rounded(ms) for name, ms in attrs.asdict(turn.latency).items()}
        if turn.latency
        else None,
        "audioMs": _rounded(_audio_ms(turn)),
        "interrupted": interruption is not None,
        "heard": interruption.partial_response if interruption else None,
        "unheard": interruption.unheard_response if interruption else None,
        "heardMs": _rounded(interruption.heard_ms) if interruption else None,
        "states": [
            {
                "state": visit.state,
                "substate": visit.substate,
                "cause": visit.cause,
                "ms": _rounded(turn.ms(visit.at)),
            }
            for visit in turn.states
        ],
        "errors": [attrs.asdict(complaint) for complaint in turn.complaints],
    }


def as_lines(number: int, turn: Turn) -> Iterator[str]:
    """A turn for people."""
    yield f"Turn {number}: {turn.name}"
    yield f"  understood   {turn.understood or '(nothing)'}"
    yield f"  answer       {turn.answer or '(none)'}"
    if turn.first_audio_ms is not None:
        yield f"  first audio  {turn.first_audio_ms:.0f} ms after the end of speech{_stages(turn)}"
    if interruption := turn.interruption:
        after = "" if interruption.heard_ms is None else f" after {interruption.heard_ms:.0f} ms"
        yield f"  interrupted{after}; heard: {interruption.partial_response or '(nothing)'}"
    path = ", ".join(
        f"{_place(visit.state, visit.substate)} {turn.ms(visit.at):+.0f}" for visit in turn.states
    )
    yield f"  states       {path or '(none)'}"
    for complaint in turn.complaints:
        yield f"  ERROR        {complaint.message} ({complaint.event or complaint.code})"


def _stages(turn: Turn) -> str:
    stages = attrs.asdict(turn.latency) if turn.latency else {}
    told = [
        f"{name.removesuffix('_ms').replace('_', ' ')} {ms:.0f}"
        for name, ms in stages.items()
        if ms is not None
    ]
    return f" (server: {', '.join(told)})" if told else ""


def _place(state: str, substate: str | None) -> str:
    return f"{state}.{substate}" if substate else state


def _audio_ms(turn: Turn) -> float:
    return 1000 * sum(len(piece) for piece in turn.audio) / turn.audio_rate


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
