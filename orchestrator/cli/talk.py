"""The body of `vantum talk`: a call that speaks WAV files or texts and prints what became of each turn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
import trio
from attrs import field, frozen

from adapters.interfaces import ProviderError, Samples
from machines.facts import TurnMode
from orchestrator.audio.pcm import read_wav, write_wav
from orchestrator.audio.resampling import StreamingResampler
from orchestrator.cli.installing import install_command
from orchestrator.cli.printing import say
from orchestrator.cli.talk_client import TalkError, Turn, talk_client

__all__ = ["Talk", "TalkError", "run_talk"]


@frozen
class Talk:
    """What to say to which server, and how to print what came of it."""

    url: str
    files: tuple[Path, ...]
    """WAV files to say."""
    mode: TurnMode
    out: Path | None
    as_json: bool
    interrupt_after: float | None
    """Seconds after the first audio of each answer but the last, when the next file is spoken over it."""
    sentences: tuple[str, ...] = ()
    """Texts to say after the files, with the embedded voice."""
    key: str | None = field(default=None, repr=False)
    """A key or token of the server."""


@frozen
class _Speech:
    name: str
    samples: Samples
    rate: int


async def run_talk(talk: Talk) -> bool:
    """Run the call, printing each turn when it is over; returns whether all were answered without errors.

    Raises `TalkError`, after printing what happened before it.
    """
    speeches = [*(_read(path) for path in talk.files), *await _spoken(talk.sentences)]
    if talk.interrupt_after is not None and len(speeches) == 1:
        speeches *= 2
    turns: list[Turn] = []
    printed = 0
    try:
        async with talk_client(talk.url, talk.mode, key=talk.key) as client:
            turns = client.turns
            for number, speech in enumerate(speeches, start=1):
                cut = talk.interrupt_after if number < len(speeches) else None
                await client.say(speech.samples, speech.rate, speech.name, cut)
                # An interrupted turn is over only when the server has said how much of the answer was heard.
                if cut is None:
                    printed = _print_turns(talk, turns, printed)
    finally:
        _print_turns(talk, turns, printed)
        if talk.out:
            _keep(talk.out, turns)
    return all(turn.answer and not turn.complaints for turn in turns)


def _read(path: Path) -> _Speech:
    try:
        samples, rate = read_wav(path)
    except (ValueError, OSError) as error:
        raise TalkError(f"{error}.") from None
    return _Speech(str(path), samples, rate)


async def _spoken(sentences: Sequence[str]) -> list[_Speech]:
    """The texts as speech. Nothing is imported if there is none: the voice is an optional extra."""
    if not sentences:
        return []
    try:
        from adapters.embedded.hibari import SAMPLE_RATE, HibariTextToSpeech
    except ImportError:
        raise TalkError(
            f"--say needs the embedded voice: `{install_command('local')}`, or say a file with --wav."
        ) from None
    voice = await trio.to_thread.run_sync(partial(HibariTextToSpeech, seed=1))
    try:
        return [_Speech(text, await voice.synthesize(text), SAMPLE_RATE) for text in sentences]
    except ProviderError as error:
        raise TalkError(f"--say cannot be spoken: {error}.") from None


def _print_turns(talk: Talk, turns: Sequence[Turn], printed: int) -> int:
    """Print the turns that were not printed yet; returns how many are printed now."""
    for number, turn in enumerate(turns[printed:], start=printed + 1):
        if talk.as_json:
            click.echo(json.dumps(as_map(number, turn)))
            continue
        for line in as_lines(number, turn):
            say(line)
    return len(turns)


def _keep(path: Path, turns: Sequence[Turn]) -> None:
    """Write the audio of all answers, one after the other, at the rate of the first."""
    spoken = [turn for turn in turns if turn.audio]
    rate = spoken[0].audio_rate if spoken else Turn("").audio_rate
    pieces = [np.empty(0, np.int16)]
    for turn in spoken:
        resampler = StreamingResampler(turn.audio_rate, rate)
        pieces += [resampler.push(np.concatenate(turn.audio)), resampler.flush()]
    write_wav(path, np.concatenate(pieces), rate)


# --- printing ----------------------------------------------------------------------------------------------


def as_map(number: int, turn: Turn) -> dict[str, Any]:
    """A turn for programs. Times are ms after the end of speech; null if something did not happen."""
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
    """A turn for people, as lines of text."""
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
