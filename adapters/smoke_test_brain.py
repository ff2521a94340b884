"""What the embedded 135-million-parameter model is told, so that it answers short and as people speak.

Without example turns it rambles, makes lists and refuses. Even with them it is wrong most of the time: it is
there so that everything else can be tried without a key, and nothing here makes it an assistant.
"""

from __future__ import annotations

from collections.abc import Sequence

from machines.history import Message, Speaker

SYSTEM_PROMPT = (
    "You are a friendly voice assistant on a phone call. Answer in one or two short spoken sentences."
)
"""For a conversation that brings no system message. Short: all of it is read before the first answer."""

EXAMPLES = (
    Message(Speaker.USER, "Hi, can you hear me?"),
    Message(Speaker.ASSISTANT, "Yes, I can hear you well. What can I do for you?"),
    Message(Speaker.USER, "What is the capital of France?"),
    Message(Speaker.ASSISTANT, "The capital of France is Paris."),
    Message(Speaker.USER, "I have nothing to do this weekend."),
    Message(Speaker.ASSISTANT, "How about a long walk, and a good film in the evening?"),
)

CONTEXT_TOKENS = 2048
MAX_TOKENS = 80
"""Of an answer: about half a minute of speech."""
_CHARACTERS = (CONTEXT_TOKENS - 2 * MAX_TOKENS) * 3
"""That fit beside an answer. English has above 4 characters to a token of this model; 3 leaves room for the
marks around each message and for other text."""
_BLOCK = 8
"""Messages that are left out together. The model keeps what it has read as long as the beginning stays the
same; leaving out the oldest message each time would make it read everything again for every answer."""


def prompt(messages: Sequence[Message]) -> list[Message]:
    """The system message, the examples, and as much of the conversation's end as the model can hold."""
    system = [message for message in messages[:1] if message.speaker is Speaker.SYSTEM]
    spoken = messages[len(system) :]
    head = [*(system or [Message(Speaker.SYSTEM, SYSTEM_PROMPT)]), *EXAMPLES]
    room = _CHARACTERS - _characters(head)
    left_out = 0
    while _characters(spoken[left_out:]) > room and left_out + _BLOCK < len(spoken):
        left_out += _BLOCK
    return [*head, *spoken[left_out:]]


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(message.text) for message in messages)
