"""A client's audio, from its chunks to what is heard: files and formats, muting, and what comes too early.

Chunks are Int16 little-endian and may be cut anywhere. The header of a WAV file may come before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import trio
from attrs import Factory, define, field

from adapters.interfaces import Samples
from adapters.logs import library_logger
from adapters.pcm_reader import PcmReader
from orchestrator.audio.audio_health import AudioHealth
from orchestrator.audio.audio_intake import AudioIntake
from orchestrator.audio.caller_audio import CallerAudio
from orchestrator.audio.containers import NeedMoreError, UnreadableAudioError, read_header
from orchestrator.sessions.early_audio import EARLY_AGE_S, EarlyAudio
from protocol import DEFAULT_RATE, HIGHEST_RATE, LOWEST_RATE, AudioInputChunk

log = library_logger(__name__)


@define(eq=False)
class ClientAudio:
    """Takes one client's chunks, and passes what they hold on to `heard`.

    Args:
        heard: where the caller's audio goes.
        counts: where odd and dropped chunks are counted.
        tell_unintelligible: told, once for each reason, why the audio is not understood.
        tell_dropped: told how many ms were dropped.
    """

    heard: CallerAudio
    counts: Counter[str]
    tell_unintelligible: Callable[[str], object]
    tell_dropped: Callable[[float], None]
    muted: bool = field(default=False, init=False)
    """Silence is heard instead of what comes."""
    _rate: int = field(default=DEFAULT_RATE, init=False)
    _recording: bool = field(default=False, init=False)
    _early: EarlyAudio = field(
        default=Factory(lambda self: EarlyAudio(self.counts), takes_self=True), init=False
    )
    _intake: AudioIntake = field(
        default=Factory(lambda self: AudioIntake(self.heard, self.tell_dropped), takes_self=True), init=False
    )
    _pcm: PcmReader = field(factory=PcmReader, init=False)
    """Reads the chunks, which may be cut anywhere, as one stream for each recording."""
    _header: bytes = field(default=b"", init=False)
    """The beginning of a WAV file whose samples have not come yet."""
    _first_audio: bool = field(default=True, init=False)
    """No audio of the recording has come yet."""
    _unreadable: bool = field(default=False, init=False)
    """The recording is in a format that is not read."""
    _health: AudioHealth = field(factory=AudioHealth, init=False)

    def begin(self, rate: int) -> None:
        """A recording begins, at this rate in Hz."""
        self._rate, self._recording = rate, True

    def hear_early(self) -> None:
        """Have heard what came shortly before the recording began."""
        self._take_early(trio.current_time() - EARLY_AGE_S)

    def end(self) -> None:
        """The recording ends. What came without any beginning is heard now."""
        # After a reconnection the shipped client sends audio without a start.
        self._take_early(0)
        self._recording = False
        self._pcm.begin_anew()
        self._health.pause()
        self._header, self._first_audio, self._unreadable = b"", True, False

    async def take(self, chunk: AudioInputChunk) -> None:
        """Take the next chunk."""
        muted = self.muted or chunk.is_muted
        self.counts["odd chunks"] += len(chunk.audio) % 2
        if muted:
            self._health.pause()
        samples = self._pcm.push(bytes(len(chunk.audio)) if muted else self._bare_audio(chunk.audio))
        if not self._recording:
            self._early.keep(samples)
        else:
            await self._push(samples)
        # However fast chunks come, reading them must not keep other tasks from running.
        await trio.lowlevel.checkpoint()

    def _bare_audio(self, audio: bytes) -> bytes:
        """The samples of a chunk, without the header of a WAV file. Of other formats nothing is heard."""
        if self._unreadable:
            return b""
        audio, self._header = self._header + audio, b""
        first, self._first_audio = self._first_audio, self._first_audio and not audio
        try:
            header = read_header(audio, first=first)
        except NeedMoreError:
            self._header, self._first_audio = audio, first
            return b""
        except UnreadableAudioError as unreadable:
            self._unreadable = True
            self._report_unintelligible(str(unreadable))
            return b""
        if header is None:
            return audio
        self._pcm.begin_anew()
        if LOWEST_RATE <= header.rate <= HIGHEST_RATE:
            self._rate = header.rate
        return audio[header.length :]

    def _report_unintelligible(self, why: str) -> None:
        log.warning("audio cannot be understood", why=why)
        self.tell_unintelligible(why)

    async def _push(self, samples: Samples) -> None:
        for finding in self._health.take(samples, self._rate, trio.current_time()):
            self._report_unintelligible(finding.sentence)
        await self._intake.push(samples, self._rate)

    def _take_early(self, since: float) -> None:
        """Have what came since then heard, and tell what of it is missing."""
        self.heard.drop(self._early.lost_since(since) * 1000 / self._rate)
        for samples in self._early.take(since):
            self.heard.push(samples, self._rate)
        self._intake.report_dropped()
