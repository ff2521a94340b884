"""What the real Deepgram and Cartesia do besides what is documented, as profiles of the simulators."""

from __future__ import annotations

import enum


class SttDialect(enum.Enum):
    """How the simulated Deepgram (v1) deviates."""

    PLAIN = "plain"
    NET0001 = "net0001"
    NET0000 = "net0000"
    METADATA_CLOSE = "metadata-close"
    NO_FINALIZE = "no-finalize"
    NO_ALTERNATIVES = "no-alternatives"
    TAKEN_BACK = "taken-back"
    INTERIM_ONLY = "interim-only"
    OKAY_IN_SILENCE = "okay-in-silence"
    ZH_WORDS = "zh-words"
    KNOWN_LANGUAGES = "known-languages"

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        return _STT[self]


class TtsDialect(enum.Enum):
    """How the simulated Cartesia deviates."""

    PLAIN = "plain"
    ODD_CHUNKS = "odd-chunks"
    PACKED_WORDS = "packed-words"
    REFUSES_TEXT = "refuses-text"
    NO_AUDIO = "no-audio"
    IDLE_CLOSE = "idle-close"

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        return _TTS[self]


_STT = {
    SttDialect.PLAIN: "As documented.",
    SttDialect.NET0001: "An idle link is closed with 1011 and a reason that ends in `dpgr.am/net0001`.",
    SttDialect.NET0000: "An idle link is closed with 1011 and net0000, although `KeepAlive` was sent.",
    SttDialect.METADATA_CLOSE: "An idle link gets `Metadata`, then 1000, although `KeepAlive` was sent.",
    SttDialect.NO_FINALIZE: "`Finalize` is not answered if there were no words since the last final result.",
    SttDialect.NO_ALTERNATIVES: "A result without words has an empty list of alternatives.",
    SttDialect.TAKEN_BACK: "Each final result is empty, whatever the interim results were.",
    SttDialect.INTERIM_ONLY: "There is no final result with words, and no answer to `Finalize` after words.",
    SttDialect.OKAY_IN_SILENCE: "In silence “Okay.” is heard every 3 s, with 0.965.",
    SttDialect.ZH_WORDS: "Everything is heard in Chinese, whose words have no blanks between them.",
    SttDialect.KNOWN_LANGUAGES: "A language that the model does not list is refused with 400, as for nova-3.",
}
_TTS = {
    TtsDialect.PLAIN: "As documented.",
    TtsDialect.ODD_CHUNKS: "Audio is cut in the middle of samples.",
    TtsDialect.PACKED_WORDS: "Word times are about pieces of the text that are cut anywhere.",
    TtsDialect.REFUSES_TEXT: "The second text of each context is refused with 400, which ends the context.",
    TtsDialect.NO_AUDIO: "The first context of each connection is `done` without audio.",
    TtsDialect.IDLE_CLOSE: "A link without a message for 60 s is closed with 1000.",
}
