"""What a provider may send: the bound of each thing, in one place.

What happens beyond a bound is in `docs/adapters.md`. Whoever calls is never told of it as if it were their
doing, and a provider is blamed only for what it caused.
"""

from __future__ import annotations

LONGEST_EVENT = 1 << 20
"""Characters. A piece of an answer is far shorter."""
LONGEST_PIECE = 4096
"""Characters."""
FAIR_PART = 512
"""Characters of an answer after which other calls have their turn. A hundred segments can be in them."""
LONGEST_ANSWER = 50_000
"""Characters, almost an hour of speech."""
MOST_SEGMENTS = 1000
LONGEST_THOUGHTS = 65_536
"""Characters. Some servers want to see them again."""
LONGEST_ARGUMENTS = 1 << 16
"""Characters."""
MOST_CALLS = 64
LONGEST_WRITTEN_CALL = 16_384
"""Characters."""
LONGEST_BODY = 32 << 20
"""Bytes. Answers of models that think at length are some MB, since each token has an event of its own."""
LONGEST_ERROR_BODY = 1 << 18
"""Bytes."""
LONGEST_MESSAGE = 4 << 20
"""Bytes: half a minute of audio at 48 kHz, in base64."""
LONGEST_TRANSCRIPT = 4000
"""Characters. A turn lasts a minute at most, in which nobody says 2,000."""
INTERIMS_AT_ONCE = 100
INTERIMS_PER_S = 20.0
"""Of one call. Beyond both, interim transcripts are left out: each is a message to the client."""
MOST_RESULTS = 1000
LONGEST_SPEECH_S = 300.0
"""Seconds. A segment takes about 20."""
MOST_WORDS = 2000
