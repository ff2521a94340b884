"""What is taken for words, of speech and of sounds that are not words, with the embedded models.

    python -m benchmarks.sounds

writes `docs/sounds.md`. Each sound of `tests/sounds.py`, and each sentence of the embedded voice, is one
turn: it goes through voice activity detection and speech to text. A turn is answered, or the caller is asked
to say it again, or nothing happens. An interruption is one whose words would stop an answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import samplerate  # type: ignore[import-not-found]
import trio
from attrs import evolve, frozen
from hibari import Hibari  # type: ignore[import-untyped]

from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.embedded.silero import SileroVoiceActivity
from adapters.interfaces import LISTENING_RATE, Samples
from adapters.mulaw import from_mulaw, to_mulaw
from adapters.vad_hysteresis import VadHysteresis
from machines.evidence import Evidence, VoiceHeard, judge
from machines.facts import Fact, TranscriptFinal
from machines.phrases import without_backchannels, words_of
from machines.policy import ConversationPolicy
from orchestrator.audio.caller_audio import CallerAudioCounts
from orchestrator.audio.stt_replay_buffer import SttReplayBuffer
from tests.sounds import SOUNDS, sound

PATH = Path(__file__).parents[1] / "docs" / "sounds.md"
SEEDS = range(30)
SPEECH = (
    "I would like to book a table for two.",
    "Yes, please.",
    "No.",
    "What time do you close today?",
    "My number is five five five one two three.",
    "Stop, wait a moment.",
    "Yes.",
    "Okay.",
    "Hello?",
    "Two.",
    "Stop.",
    "Monday.",
    "Thank you.",
    "Can you hear me?",
    "Goodbye.",
)
VOICES = (0.85, 1.0, 1.15)
"""The embedded voice, lower and slower, as it is, higher and faster."""
Rule = Callable[["Recognised"], Evidence]


@frozen
class Manner:
    """How something is said."""

    level: float
    noise: float = 1e-4
    babble: float = 0.0
    """Voices in the background, as a share of the speech's root mean square."""
    telephone: bool = False
    accent: str = ""


ACCENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "German": (
        *(("θ", "s"), ("ð", "z"), ("w", "v"), ("æ", "ɛ"), ("ʤ", "ʧ"), ("O", "ɔ"), ("A", "ɛ")),
        *((r"d(?=[ ,.?!]|$)", "t"), (r"z(?=[ ,.?!]|$)", "s"), (r"b(?=[ ,.?!]|$)", "p")),
    ),
    "French": (("θ", "s"), ("ð", "z"), ("h", ""), ("ɪ", "i"), ("ʧ", "ʃ"), ("ʤ", "ʒ"), ("æ", "ɑ"), ("ᵊ", "ɛ")),
    "Spanish": (
        *(("θ", "t"), ("ð", "d"), ("v", "b"), ("z", "s"), ("ɪ", "i"), ("æ", "ɑ"), ("ʌ", "ɑ"), ("ɐ", "ɑ")),
        *(("ʃ", "ʧ"), ("ʤ", "j"), (r"(?<![^ ])([ˈˌ]?)s(?=[ptkln])", r"ɛ\1s")),
    ),
    "Indian": (
        ("θ", "t"),
        ("ð", "d"),
        ("w", "v"),
        ("æ", "ɛ"),
        ("A", "ɛ"),
        ("O", "ɔ"),
        ("ʌ", "ɑ"),
        ("z", "ʤ"),
    ),
    "Japanese": (
        ("θ", "s"),
        ("ð", "z"),
        ("v", "b"),
        ("l", "ɹ"),
        ("æ", "ɑ"),
        ("ʌ", "ɑ"),
        ("f", "h"),
        ("ɪ", "i"),
    ),
    "Russian": (
        ("θ", "s"),
        ("ð", "z"),
        ("w", "v"),
        ("ɪ", "i"),
        ("æ", "ɛ"),
        ("ə", "ɑ"),
        ("ŋ", "n"),
        ("ʊ", "u"),
    ),
}
"""Sounds of English that people of other languages replace, and with what: patterns of the embedded voice's
letters. All of them are sounds that this voice has learnt, so no accent is as strong as real ones are."""
MANNERS = {
    "clean": Manner(1.0),
    "quiet": Manner(0.05),
    "over the telephone": Manner(0.4, noise=0.003, telephone=True),
    "noise, 14 dB below": Manner(0.3, noise=0.005),
    "noise, 8 dB below": Manner(0.3, noise=0.01),
    "noise, 2 dB below": Manner(0.3, noise=0.02),
    "voices, 14 dB below": Manner(0.5, babble=0.2),
    **{f"{name} accent": Manner(1.0, accent=name) for name in ACCENTS},
}


@frozen
class Recognised:
    """What was made of one sound."""

    noticed: bool
    """By voice activity detection."""
    text: str
    confidence: float
    voice: VoiceHeard | None

    def interrupts(self, rule: Rule) -> bool:
        """Whether the words would interrupt an answer."""
        own = without_backchannels(words_of(self.text), ConversationPolicy().backchannels)
        return rule(self) is Evidence.SURE and bool(own)


def everything(heard: Recognised) -> Evidence:
    """Every text is words; less than 300 ms of voice are not listened to."""
    long_enough = heard.voice is not None and heard.voice.ms >= 300
    return Evidence.SURE if heard.text and long_enough else Evidence.NOISE


def evidence(heard: Recognised) -> Evidence:
    """The policy's default."""
    policy = ConversationPolicy()
    if not heard.text:
        return Evidence.NOISE
    return judge(
        heard.text,
        heard.confidence,
        heard.voice,
        least=policy.least_confidence,
        sure=policy.sure_confidence,
        clear=policy.clear_voice,
    )


def spoken(
    manner: Manner, sentences: Sequence[str] = SPEECH, pitches: Sequence[float] = VOICES
) -> Iterator[Samples]:
    """All sentences in all voices."""
    voice, random = Hibari(), np.random.default_rng(1)
    for pitch in pitches:
        for text in sentences:
            said = samplerate.resample(
                _said(voice, text, manner.accent), LISTENING_RATE / voice.sample_rate / pitch, "sinc_fastest"
            )
            around = np.zeros(LISTENING_RATE // 2)
            signal = np.concatenate([around, said * manner.level, around])
            if manner.babble:
                signal += _background(len(signal)) * manner.babble * _rms(signal)
            whole = _samples(signal + random.normal(size=len(signal)) * manner.noise)
            yield over_telephone(whole) if manner.telephone else whole


def _said(voice: Hibari, text: str, accent: str) -> npt.NDArray[np.float32]:
    """The text in this accent; in the voice's own if it is empty."""
    parts = []
    for sounds in voice.phonemize(text):
        for pattern, replacement in ACCENTS.get(accent, ()):
            sounds = re.sub(pattern, replacement, sounds)
        parts.append(voice.from_phonemes(sounds, seed=1))
    return np.concatenate(parts)


def _background(length: int) -> npt.NDArray[np.float64]:
    """Voices in the background, of a root mean square of 1."""
    voices = np.resize(sound("babble", 50).astype(np.float64), length)
    return voices / _rms(voices)


def _rms(signal: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(signal).mean()))


def _samples(signal: npt.NDArray[np.float64]) -> Samples:
    whole: Samples = (np.clip(signal, -1, 1) * 32767).astype(np.int16)
    return whole


def over_telephone(samples: Samples) -> Samples:
    """At 8 kHz in mu-law, and back."""
    narrow = samplerate.resample(samples.astype(np.float32) / 32768, 0.5, "sinc_fastest")
    decoded = from_mulaw(to_mulaw(_samples(narrow)))
    return _samples(samplerate.resample(decoded.astype(np.float32) / 32768, 2, "sinc_fastest"))


async def hear(samples: Samples, silero: SileroVoiceActivity, moonshine: MoonshineSpeechToText) -> Recognised:
    """Take one sound for one turn."""
    finals: list[TranscriptFinal] = []
    final = trio.Event()
    replay_buffer = SttReplayBuffer(CallerAudioCounts())
    replay_buffer.begin_turn(1)

    def emit(fact: Fact) -> None:
        completed = replay_buffer.complete_fact(fact)
        if isinstance(completed, TranscriptFinal):
            finals.append(completed)
            final.set()

    hysteresis, noticed = VadHysteresis(), False
    async with moonshine.open(emit, "en") as transcriber:
        transcriber.begin_turn(1)
        for window, probability in await silero.open().detect(samples):
            noticed |= bool(hysteresis.take(probability, silero.window_ms))
            replay_buffer.add(window, probability)
            await transcriber.send(window, probability)
        replay_buffer.end_turn(1)
        transcriber.finalize(1)
        await final.wait()
    heard = Recognised(noticed, finals[0].text, finals[0].confidence, finals[0].voice)
    return heard if noticed else evolve(heard, text="")


INTRODUCTION = f"""\
# What is taken for words

Written by `python -m benchmarks.sounds` (two minutes), with the embedded models. Speech to text makes words
of everything, and voice activity detection takes a laugh for voice. What decides is in
[`machines/evidence.py`](../machines/evidence.py): how sure speech to text is of the words, and the *clarity*
of the voice, which is the mean probability of speech of what voice activity detection took for voice.

| the voice in the turn | the words count | the caller is asked again | nothing happens |
|---|---|---|---|
| is clear (0.8 or more) | from a confidence of 0.4; 0.65 if one word comes again and again | below | – |
| is not clear | from a confidence of 0.65; 0.9 if one word comes again and again | – | below |
| was not noticed | two words or more, from 0.85, with 300 ms as loud as speech (-45 dB) | – | else |

`LEAST_CONFIDENCE` and `SURE_CONFIDENCE` set 0.4 and 0.65. In turns by hand everything counts.

Each sound is one turn. *Before*: every text counted, and less than 300 ms of voice were not listened to.
Sounds are made by arithmetic (`tests/sounds.py`), {len(SEEDS)} of each; speech is the embedded voice in three
pitches, {len(SPEECH)} sentences of which ten are one or two words long. Accents are that voice, in one pitch,
with sounds replaced as people of other languages replace them (`ACCENTS` in `benchmarks/sounds.py`). Real
laughs, real rooms and real people were not tried.

"""


def row(name: str, heard: Sequence[Recognised]) -> str:
    """One line of the table."""
    confidences = sorted(each.confidence for each in heard if each.text)
    clarities = sorted(each.voice.clarity for each in heard if each.text and each.voice)
    counts = (
        sum(each.noticed for each in heard),
        sum(everything(each) is Evidence.SURE for each in heard),
        sum(evidence(each) is Evidence.SURE for each in heard),
        sum(evidence(each) is Evidence.UNSURE for each in heard),
        sum(each.interrupts(everything) for each in heard),
        sum(each.interrupts(evidence) for each in heard),
    )
    between = [f"{each[0]:.2f} to {each[-1]:.2f}" if each else "–" for each in (confidences, clarities)]
    return f"| {name} | {len(heard)} | {' | '.join(str(each) for each in counts)} | {' | '.join(between)} |"


HEAD = (
    "| sound | turns | noticed | answered before | answered | asked again | interruptions before "
    "| interruptions | confidence | clarity |\n|---|---|---|---|---|---|---|---|---|---|"
)


def models_directory() -> Path:
    """Where `vantum models fetch` puts the models."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("LOCAL_MODELS_DIR") or cache / "vantum" / "models")


async def main(models: Path) -> None:
    """Write the document."""
    silero = SileroVoiceActivity(models / "silero_vad.onnx")
    moonshine = MoonshineSpeechToText(models / SPEECH_TO_TEXT_DIRECTORY)

    async def table(rows: dict[str, list[Samples]]) -> str:
        lines = [HEAD]
        for name, sounds in rows.items():
            lines.append(row(name, [await hear(samples, silero, moonshine) for samples in sounds]))
        return "\n".join(lines) + "\n"

    noises: dict[str, list[Samples]] = {name: [sound(name, seed) for seed in SEEDS] for name in SOUNDS}
    noises["laugh over the telephone"] = [over_telephone(each) for each in noises["laugh"]]
    noises["babble over the telephone"] = [over_telephone(each) for each in noises["babble"]]
    speech = {
        kind: list(spoken(manner, pitches=(1.0,) if manner.accent else VOICES))
        for kind, manner in MANNERS.items()
    }
    PATH.write_text(
        f"{INTRODUCTION}## Sounds that are not words\n\n{await table(noises)}\n"
        f"## Speech\n\n{await table(speech)}",
        "utf-8",
    )


if __name__ == "__main__":
    trio.run(main, models_directory())
