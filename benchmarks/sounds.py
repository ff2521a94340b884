"""False turns and false interruptions by sounds that are not words, with the embedded models.

    python -m benchmarks.sounds

Each sound of `tests/sounds.py`, and speech of the embedded voice for comparison, is one turn: it goes through
voice activity detection and speech to text. A turn is false if the words would be answered; an interruption
is, if they would interrupt an answer. "Before" takes every transcript for words, "after" is the policy's
default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import samplerate  # type: ignore[import-not-found]
import trio
from attrs import frozen
from hibari import Hibari  # type: ignore[import-untyped]

from adapters.embedded.models import SPEECH_TO_TEXT_DIRECTORY
from adapters.embedded.moonshine import MoonshineSpeechToText
from adapters.embedded.silero import SileroVoiceActivity
from adapters.interfaces import LISTENING_RATE, Samples
from adapters.vad_hysteresis import VadHysteresis
from machines.evidence import Evidence, judge
from machines.facts import Fact, TranscriptFinal
from machines.phrases import without_backchannels, words_of
from machines.policy import ConversationPolicy
from tests.sounds import SOUNDS, sound

SEEDS = range(6)
SPEECH = (
    "I would like to book a table for two.",
    "Yes, please.",
    "No.",
    "What time do you close today?",
    "My number is five five five one two three.",
    "Stop, wait a moment.",
)
LEVELS = {"speech": 1.0, "quiet speech": 0.05, "noisy speech": 0.3}


@frozen
class Recognised:
    """What was made of one sound."""

    voice: bool
    text: str
    confidence: float

    def answered(self, least: float, sure: float) -> bool:
        """Whether the words would be answered."""
        return bool(self.text) and judge(self.text, self.confidence, least, sure) is Evidence.SURE

    def interrupts(self, least: float, sure: float) -> bool:
        """Whether the words would interrupt an answer."""
        own = without_backchannels(words_of(self.text), ConversationPolicy().backchannels)
        return self.answered(least, sure) and bool(own)


def spoken(kind: str) -> Iterator[Samples]:
    """The sentences, as clean, quiet or noisy speech."""
    voice, random = Hibari(), np.random.default_rng(1)
    for text in SPEECH:
        slower = samplerate.resample(voice(text, seed=1), LISTENING_RATE / voice.sample_rate, "sinc_fastest")
        around = np.zeros(LISTENING_RATE // 2)
        signal = np.concatenate([around, slower * LEVELS[kind], around])
        noise = 0.01 if kind == "noisy speech" else 1e-4
        whole = signal + random.normal(size=len(signal)) * noise
        yield (np.clip(whole, -1, 1) * 32767).astype(np.int16)


async def hear(samples: Samples, silero: SileroVoiceActivity, moonshine: MoonshineSpeechToText) -> Recognised:
    """Take one sound for one turn."""
    finals: list[TranscriptFinal] = []
    final = trio.Event()

    def emit(fact: Fact) -> None:
        if isinstance(fact, TranscriptFinal):
            finals.append(fact)
            final.set()

    hysteresis, voice = VadHysteresis(), False
    async with moonshine.open(emit, "en") as transcriber:
        transcriber.begin_turn(1)
        for window, probability in await silero.open().detect(samples):
            voice |= bool(hysteresis.take(probability, silero.window_ms))
            await transcriber.send(window, probability)
        transcriber.finalize(1)
        await final.wait()
    return Recognised(voice, finals[0].text if voice else "", finals[0].confidence)


def models_directory() -> Path:
    """Where `vantum models fetch` puts the models."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("LOCAL_MODELS_DIR") or cache / "vantum" / "models")


async def main(models: Path) -> None:
    """Print the table."""
    silero = SileroVoiceActivity(models / "silero_vad_v6.onnx")
    moonshine = MoonshineSpeechToText(models / SPEECH_TO_TEXT_DIRECTORY)
    policy = ConversationPolicy()
    now = (policy.least_confidence, policy.sure_confidence)
    print(
        "| sound | heard as voice | turns before | turns after | interruptions before | after | confidence |"
    )
    print("|---|---|---|---|---|---|---|")
    rows: dict[str, list[Samples]] = {name: [sound(name, seed) for seed in SEEDS] for name in SOUNDS}
    rows |= {kind: list(spoken(kind)) for kind in LEVELS}
    for name, sounds in rows.items():
        heard = [await hear(samples, silero, moonshine) for samples in sounds]
        found = sorted(each.confidence for each in heard if each.text)
        counts = (
            sum(each.voice for each in heard),
            sum(each.answered(0, 0) for each in heard),
            sum(each.answered(*now) for each in heard),
            sum(each.interrupts(0, 0) for each in heard),
            sum(each.interrupts(*now) for each in heard),
        )
        between = f"{found[0]:.2f} to {found[-1]:.2f}" if found else "–"
        print(f"| {name} | " + " | ".join(f"{each} of {len(heard)}" for each in counts) + f" | {between} |")


if __name__ == "__main__":
    trio.run(main, models_directory())
