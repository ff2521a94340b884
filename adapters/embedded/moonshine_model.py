"""The Moonshine speech-to-text network: samples in, text out. Blocking; used from worker threads.

An encoder turns the audio of a whole utterance into states (about 40 a second); a decoder writes the text,
token by token, the most probable one each time. Both are plain ONNX: encoder `input_values[1, samples]` at
16 kHz -> `last_hidden_state[1, n, width]`; the decoder takes its own keys and values back with each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.embedded.decode_schedule import Decoded
from adapters.embedded.high_pass import HighPass
from adapters.embedded.models import ModelsError, require
from adapters.embedded.onnx_session import open_session
from adapters.interfaces import LISTENING_RATE, Samples

_BEGIN, _END = 1, 2
_FIRST_TEXT_TOKEN = 3
_TOKENS_PER_SECOND = 6.5
"""Moonshine's own limit: nobody speaks faster, and beyond it the network repeats itself."""
_SHORTEST = 1600
"""Samples. The convolutions refuse less than about 900; shorter audio is padded with silence."""
_FULL_SCALE = 32768.0

Floats = npt.NDArray[np.float32]
Check = Callable[[], None]
"""Called between steps; it raises to stop the work."""


class MoonshineModel:
    """The network, loaded from a directory with `encoder_model.ort`, `decoder_model_merged.ort`,
    `tokenizer.bin`.

    Raises `ModelsError` if a file is missing, or cannot be one of these.
    """

    def __init__(self, directory: Path, threads: int) -> None:
        self._vocabulary = _read_vocabulary(require(directory / "tokenizer.bin"))
        self._encoder = open_session(directory / "encoder_model.ort", threads)
        self._decoder = open_session(directory / "decoder_model_merged.ort", threads)
        self._memory_shapes = {
            node.name: (node.shape[1], node.shape[3])
            for node in self._decoder.get_inputs()
            if node.name.startswith("past_key_values.")
        }
        known = self._decoder.get_outputs()[0].shape[-1]
        if isinstance(known, int) and known != len(self._vocabulary):
            raise ModelsError(
                f"The vocabulary {directory / 'tokenizer.bin'} is damaged or of another model: it has "
                f"{len(self._vocabulary):,} tokens, and the model writes {known:,}."
            )
        self._memory_out = [node.name for node in self._decoder.get_outputs()[1:]]

    def transcribe(self, samples: Samples, check: Check) -> Decoded:
        """The words of an utterance of up to about 10 s. Takes about 30 ms for each second of it, and calls
        `check` every few ms."""
        waveform = _waveform(samples)
        mask = np.ones(waveform.shape, np.int64)
        states = self._encoder.run(None, {"input_values": waveform, "attention_mask": mask})[0]
        check()
        tokens: list[int] = []
        certainty = 0.0
        for token, probability in self._write(states, mask, _most_tokens(samples)):
            tokens.append(token)
            certainty += probability
            check()
        text = b"".join(self._vocabulary[token] for token in tokens if token >= _FIRST_TEXT_TOKEN)
        spaced = text.replace("▁".encode(), b" ").decode("utf-8", errors="replace")
        return Decoded(" ".join(spaced.split()), certainty / max(len(tokens), 1), len(tokens))

    def _write(self, states: Floats, mask: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, float]]:
        """The tokens, each with its probability, until the network ends the text.

        The mask is that of the samples, not of the states: the network shortens it itself. With a mask that
        is short already, it fails above 384 states (9.3 s; k2-fsa/sherpa-onnx#3975).
        """
        inputs: dict[str, object] = {
            "encoder_hidden_states": states,
            "encoder_attention_mask": mask,
            **self._empty_memory(states.shape[1]),
        }
        token = _BEGIN
        for step in range(most):
            inputs["input_ids"] = np.array([[token]], np.int64)
            inputs["use_cache_branch"] = np.array([step > 0])
            logits, *memory = self._decoder.run(None, inputs)
            token, probability = _most_probable(logits[0, -1])
            if token == _END:
                return
            yield token, probability
            self._remember(inputs, memory, first=step == 0)

    def _empty_memory(self, states: int) -> dict[str, Floats]:
        return {
            name: np.zeros((1, heads, 0 if ".decoder." in name else states, width), np.float32)
            for name, (heads, width) in self._memory_shapes.items()
        }

    def _remember(self, inputs: dict[str, object], memory: list[Floats], *, first: bool) -> None:
        # The keys and values of the encoder's states are computed in the first step; later steps return
        # empty ones in their place.
        for name, value in zip(self._memory_out, memory, strict=True):
            if first or ".decoder." in name:
                inputs[name.replace("present", "past_key_values", 1)] = value


def _waveform(samples: Samples) -> Floats:
    waveform = np.zeros((1, max(len(samples), _SHORTEST)), np.float32)
    waveform[0, : len(samples)] = HighPass().push(samples) / np.float32(_FULL_SCALE)
    return waveform


def _most_tokens(samples: Samples) -> int:
    return int(len(samples) / LISTENING_RATE * _TOKENS_PER_SECOND) + 2


def _most_probable(logits: Floats) -> tuple[int, float]:
    token = int(logits.argmax())
    return token, float(1.0 / np.exp(logits - logits[token]).sum())


def _read_vocabulary(path: Path) -> list[bytes]:
    """The tokens of a vocabulary in Moonshine's format: for each its length (two bytes from 128 on, low seven
    bits first) and its bytes. Raises `ModelsError`."""
    content = path.read_bytes()
    tokens: list[bytes] = []
    at = 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128 and at < len(content):
            length = content[at] * 128 + length - 128
            at += 1
        tokens.append(content[at : at + length])
        at += length
    if at != len(content) or not tokens:
        raise ModelsError(f"The vocabulary {path} is damaged: it breaks off within a token.")
    return tokens
