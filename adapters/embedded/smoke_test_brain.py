"""What the embedded 135-million-parameter model is told, so that it answers short and as people speak.

Without example turns it rambles, makes lists and refuses. Even with them it is wrong most of the time: it is
there so that everything else can be tried without a key, and nothing here makes it an assistant.

It calls no tools: its chat template has no place for them, so it never sees those it is offered. Results that
are in the conversation already, because another model called for them, it reads like other messages.
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
_MOST_CHARACTERS = 1600
"""Of the conversation that are sent, about 400 tokens. Such a model makes nothing of more, and one core reads
130 tokens a second."""


def prompt(messages: Sequence[Message]) -> list[Message]:
    """The system message, the examples, and the end of the conversation."""
    system = [message for message in messages[:1] if message.speaker is Speaker.SYSTEM]
    spoken = messages[len(system) :]
    return [*(system or [Message(Speaker.SYSTEM, SYSTEM_PROMPT)]), *EXAMPLES, *spoken[_first_sent(spoken) :]]


def _first_sent(spoken: Sequence[Message]) -> int:
    """Where the part of the conversation begins that is sent.

    Whenever it gets too long, it is cut to half. The server keeps what it has read as long as the beginning
    stays the same: leaving out the oldest message each time would make it read everything again each time.
    """
    first = characters = 0
    for at, message in enumerate(spoken):
        characters += _length(message)
        if characters > _MOST_CHARACTERS:
            while characters > _MOST_CHARACTERS / 2 and first < at:
                characters -= _length(spoken[first])
                first += 1
    return first


def _length(message: Message) -> int:
    """In characters, with calls and their results: they are sent or left out with their message."""
    calls = sum(
        len(record.call.name) + len(record.call.arguments) + len(record.result or "")
        for record in message.calls
    )
    return len(message.text) + calls
