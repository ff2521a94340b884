"""What the real Deepgram and Cartesia do besides what is documented, as profiles of the simulators."""

from __future__ import annotations

import enum


class SttDialect(enum.Enum):
    """How the simulated Deepgram (v1) deviates."""

    PLAIN = "plain"
    """As documented."""
    NET0001 = "net0001"
    """An idle link is closed with 1011 and a reason whose code is in an address at its end."""
    NET0000 = "net0000"
    """An idle link is closed with 1011 and net0000, although `KeepAlive` was sent."""
    METADATA_CLOSE = "metadata-close"
    """An idle link gets `Metadata` and is closed with 1000, although `KeepAlive` was sent."""
    NO_FINALIZE = "no-finalize"
    """`Finalize` is not answered if no words were recognised since the last final result."""
    NO_ALTERNATIVES = "no-alternatives"
    """A result without words has an empty list of alternatives."""
    TAKEN_BACK = "taken-back"
    """Each final result is empty, whatever the interim results were."""
    KNOWN_LANGUAGES = "known-languages"
    """A language that the model does not list is refused with 400, as for nova-3."""


class TtsDialect(enum.Enum):
    """How the simulated Cartesia deviates."""

    PLAIN = "plain"
    """As documented."""
    ODD_CHUNKS = "odd-chunks"
    """Audio is cut in the middle of samples."""
    IDLE_CLOSE = "idle-close"
    """A link without a message for 60 s is closed with 1000."""
