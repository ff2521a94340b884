"""The interface of transports, which connect a caller to a conversation: a host program implements it.

`receive` returns what comes from the caller, `send` takes what goes to the caller, `close` ends it. The
conversation calls `receive` in one task and `send` in another, each only after its last call has returned;
`close` is called once, last. All three may wait: audio for a slow transport is queued up to a limit, and a
transport that takes nothing for 10 s, or is 1 MiB behind, loses its conversation.

Audio is `Samples` (one-dimensional `int16`, mono); `AudioIn.of_pcm` and `AudioOut.pcm` convert from and to
bytes.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Protocol

import numpy as np
from attrs import Attribute, field, frozen

from adapters.interfaces import Samples
from adapters.twilio.dtmf import as_keys
from machines.effects import StopCause
from machines.facts import EndReason
from orchestrator.audio.pcm import pcm_from_bytes, pcm_to_bytes
from orchestrator.audio.utterance import Pacing
from protocol import HIGHEST_RATE, LOWEST_RATE


class TransportClosed(Exception):  # noqa: N818 (it says what happened)
    """The caller is gone. A transport's `receive` or `send` raises it to end the conversation.

    ```python
    class Broken(MemoryTransport):
        async def receive(self) -> Incoming:
            raise TransportClosed("the line is dead")

    async with orchestrator.conversation(Broken()) as conversation:
        assert (await conversation.outcome()).reason is EndReason.CALLER_DISCONNECTED
    ```
    """


# --- from the caller --------------------------------------------------------------------------------------


def _mono(instance: AudioIn, attribute: Attribute[Samples], value: Any) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != np.int16 or value.ndim != 1:
        what = (
            f"{value.ndim}-dimensional {value.dtype}"
            if isinstance(value, np.ndarray)
            else type(value).__name__
        )
        raise TypeError(f"samples must be a one-dimensional numpy array of int16 (mono), not {what}")


def _known(instance: AudioIn, attribute: Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"rate is {value!r}, but must be a whole number")
    if not LOWEST_RATE <= value <= HIGHEST_RATE:
        raise ValueError(f"rate is {value} Hz, but must be from {LOWEST_RATE} to {HIGHEST_RATE}")


@frozen(eq=False)
class AudioIn:
    """The next piece of what the caller says, at `rate` Hz (8000 to 48000).

    Audio may come ahead of time, up to 60 s. The next piece is received when there is room for it. What is
    dropped is in `AudioDropped`.

    Raises `TypeError` or `ValueError` for anything else.

    ```python
    piece = AudioIn.of_pcm(bytes(640), rate=16_000)
    assert len(piece.samples) == 320
    ```
    """

    samples: Samples = field(validator=_mono)
    rate: int = field(validator=_known)

    @classmethod
    def of_pcm(cls, pcm: bytes, rate: int) -> AudioIn:
        """From signed 16-bit little-endian PCM, mono. Raises `ValueError` for an odd number of bytes."""
        samples, odd_bytes = pcm_from_bytes(pcm)
        if odd_bytes:
            raise ValueError(f"{len(pcm)} bytes are not a whole number of 16-bit samples")
        return cls(samples, rate)


@frozen
class TurnStarted:
    """The caller begins a turn. In `TurnMode.MANUAL`, only this begins one."""


@frozen
class TurnEnded:
    """The caller ends the turn, which is answered now."""


@frozen
class Interrupted:
    """The caller stops the answer, by other means than voice."""


@frozen
class KeyPressed:
    """The caller pressed a key of a telephone: one of `0` to `9`, `*`, `#`, `A` to `D`.

    Keys that follow each other are collected to one string, by the policy's `digits_` settings, which counts
    as what the caller said. Raises `ValueError` for anything but one key.

    ```python
    assert KeyPressed("#").key == "#"
    ```
    """

    key: str = field()

    @key.validator
    def _is_one(self, attribute: Attribute[str], value: str) -> None:
        if len(value) != 1 or as_keys(value) != value:
            raise ValueError(f"{value!r} is not one key")


@frozen
class HungUp:
    """The caller ends the conversation. Nothing is received after it."""

    reason: EndReason = EndReason.CALLER_HUNG_UP


Incoming = AudioIn | TurnStarted | TurnEnded | Interrupted | KeyPressed | HungUp
"""What a transport's `receive` returns."""


# --- to the caller ----------------------------------------------------------------------------------------


@frozen
class AudioBegins:
    """The audio of answer number `answer` follows, at `rate` Hz."""

    answer: int
    rate: int


@frozen(eq=False)
class AudioOut:
    """The next chunk of an answer's audio, sent shortly before it is to be played.

    ```python
    chunk = AudioOut(1, np.zeros(480, np.int16), 24_000)
    assert chunk.duration_ms == 20 and len(chunk.pcm) == 960
    ```
    """

    answer: int
    samples: Samples
    rate: int

    @property
    def duration_ms(self) -> float:
        """Its length in ms."""
        return len(self.samples) * 1000 / self.rate

    @property
    def pcm(self) -> bytes:
        """The samples as signed 16-bit little-endian PCM."""
        return pcm_to_bytes(self.samples)


@frozen
class AudioEnds:
    """All audio of the answer was sent, `duration_ms` in all, whether it was played or not."""

    answer: int
    duration_ms: float


@frozen
class AudioHeld:
    """The answer pauses: what was not played of it yet must be dropped.

    If the answer is resumed, what was dropped comes again, as further `AudioOut` and another `AudioEnds`.
    """

    answer: int


@frozen
class AudioStopped:
    """The answer is over: what was not played of it yet must be dropped. May come before its first audio."""

    answer: int
    cause: StopCause


Outgoing = AudioBegins | AudioOut | AudioEnds | AudioHeld | AudioStopped
"""What a transport's `send` takes."""


class Transport(Protocol):
    """A caller's connection, implemented by a host program.

    An exception other than `TransportClosed` counts as an error of the host: it ends the conversation at once
    and comes out of its block.

    ```python
    class Silent:
        '''A caller who says nothing, and hangs up.'''

        pacing = Pacing(rate=8_000, chunk_ms=20, lead_ms=100)

        async def receive(self) -> Incoming:
            await trio.sleep(1)
            return HungUp()

        async def send(self, message: Outgoing) -> None:
            pass

        async def close(self, reason: EndReason) -> None:
            assert reason is EndReason.CALLER_HUNG_UP

    async with orchestrator.conversation(Silent()) as conversation:
        await conversation.outcome()
    ```
    """

    @property
    def pacing(self) -> Pacing:
        """At which rate, in which chunks and how far ahead the caller's side wants its audio."""
        ...

    async def receive(self) -> Incoming:
        """Wait for what comes next from the caller. Raises `TransportClosed` when the caller is gone.

        Cancelled when the conversation ends.
        """
        ...

    async def send(self, message: Outgoing) -> None:
        """Send this to the caller. Raises `TransportClosed` when the caller is gone.

        Cancelled when it takes longer than 10 s, and when the conversation ends.
        """
        ...

    async def close(self, reason: EndReason) -> None:
        """The conversation is over. Neither `receive` nor `send` is running, and none will be called.

        Cancelled when it takes longer than the policy's `close_timeout_ms`. Not called if the conversation
        was cancelled.
        """
        ...
