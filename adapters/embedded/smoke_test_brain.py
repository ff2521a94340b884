"""The prompt of the embedded model of 135 million parameters, so that it answers shortly, as in speech.

Without examples it rambles, makes lists and refuses. Even with them it is wrong most of the time: its purpose
is that everything else can be tried without a key, not to assist anybody.

It does not call tools, because its chat template has no place for them. Results of calls that another model
made earlier in the conversation reach it like other messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from machines.history import Message, Speaker

SYSTEM_PROMPT = (
    "You are a friendly voice assistant on a phone call. Answer in one or two short spoken sentences."
)
"""Used if a conversation has no system message. Short, since all of it is read before the first answer."""

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
"""Longest answer: about half a minute of speech."""
_MOST_CHARACTERS = 1600
"""The most of the conversation that is sent, about 400 tokens. The model cannot use more, and one core reads
130 tokens a second."""


def prompt(messages: Sequence[Message]) -> list[Message]:
    """The system message, the examples, and the end of the conversation."""
    system = [message for message in messages[:1] if message.speaker is Speaker.SYSTEM]
    spoken = messages[len(system) :]
    if spoken[:1] and spoken[0].speaker is Speaker.ASSISTANT:
        spoken = spoken[1:]  # The greeting: it would seem to go on from the last example.
    return [*(system or [Message(Speaker.SYSTEM, SYSTEM_PROMPT)]), *EXAMPLES, *spoken[_first_sent(spoken) :]]


def _first_sent(spoken: Sequence[Message]) -> int:
    """The index of the first message that is sent.

    When the conversation gets too long, it is cut to half. The server need not read again what it has read
    while the beginning stays the same, so the oldest message is not dropped each time.
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
    """The length of a message in characters, with its calls and their results."""
    calls = sum(
        len(record.call.name) + len(record.call.arguments) + len(record.result or "")
        for record in message.calls
    )
    return len(message.text) + calls
