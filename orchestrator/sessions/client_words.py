"""What callers are told of what went wrong: sentences by error, in words that are not about the inside.

What a provider said about its failure is for the log and for hosts. It may hold addresses, names of models
and of internal machines, or text in another language.
"""

from __future__ import annotations

from machines.effects import ClientError

WORDS = {
    ClientError.TRANSCRIPTION_FAILED: "What you said could not be understood. Please say it again.",
    ClientError.MODEL_FAILED: "There is no answer to that at the moment. Please try again.",
    ClientError.MODEL_LATE: "The answer takes too long. Please try again.",
    ClientError.VOICE_FAILED: "The answer cannot be spoken at the moment.",
    ClientError.UNSAYABLE: "The answer is in a language or script that this voice does not speak.",
    ClientError.STT_UNAVAILABLE: "The call has to end, since listening does not work at the moment.",
    ClientError.LLM_UNAVAILABLE: "The call has to end, since answering does not work at the moment.",
    ClientError.TTS_UNAVAILABLE: "The call has to end, since speaking does not work at the moment.",
}

OVER = "The call is over."
"""Why a request is refused that nothing went wrong with."""
UNSURE = "That was not understood well enough to answer it."
