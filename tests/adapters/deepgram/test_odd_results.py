"""Results of Deepgram's v1 interface that are not as documented: every word counts, and counts once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from deepgram.listen.v1.types import ListenV1Results
from trio.testing import MockClock

from adapters.deepgram.nova import NovaTranscriber
from adapters.deepgram.turns import confidence_of, position
from adapters.interfaces import LISTENING_RATE
from machines.facts import Fact, TranscriptFinal


class Socket:
    """The SDK's socket, of which nothing is asked here."""

    async def send_media(self, audio: bytes) -> None: ...

    async def send_finalize(self) -> None: ...


def result(
    text: str, start: object, duration: object, *, timed: bool = True, **changes: Any
) -> ListenV1Results:
    """A final result whose words are spread over its time; the SDK checks nothing of it."""
    begin, length = position(start) or 0.0, position(duration) or LISTENING_RATE
    count = max(1, len(text.split()))
    words = [
        SimpleNamespace(
            word=word,
            start=(begin + length * place / count) / LISTENING_RATE,
            end=(begin + length * (place + 1) / count) / LISTENING_RATE,
        )
        for place, word in enumerate(text.split())
    ]
    confidence = changes.pop("confidence", 0.98)
    alternative = SimpleNamespace(transcript=text, confidence=confidence, words=words if timed else [])
    content = {
        "type": "Results",
        "start": start,
        "duration": duration,
        "is_final": True,
        "speech_final": False,
        "from_finalize": False,
        "channel": SimpleNamespace(alternatives=[alternative]),
        **changes,
    }
    message = ListenV1Results.model_construct()
    message.__dict__.update(content)
    return message


END = result("", 2, 0, from_finalize=True)


async def understood(*messages: ListenV1Results) -> TranscriptFinal:
    """The final transcript of a turn of 2 s with these results; the last one answers `Finalize`."""
    facts: list[Fact] = []
    transcriber = NovaTranscriber(Socket(), facts.append, "key", 5000, LISTENING_RATE)
    transcriber.begin_turn(1)
    for _ in range(2 * LISTENING_RATE // 512):
        await transcriber.send(np.full(512, 8000, np.int16), 0.9)
    for message in messages[:-1]:
        transcriber._receive(message)
    transcriber.finalize(1)
    transcriber._receive(messages[-1])
    (final,) = [fact for fact in facts if isinstance(fact, TranscriptFinal)]
    return final


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([("hello there", 0, 2), ("hello there", 0.001, 2)], "hello there"),
        ([("hello there", 0, 2), ("hello there", 0, 1.99)], "hello there"),
        ([("hello", 0, 2), ("hello there", 0, 2)], "hello there"),
        ([("hello", 0, 1), ("hello there", 0, 2)], "hello there"),
        ([("there friend", 1, 1), ("hello", 0, 1)], "hello there friend"),
        ([("no", 0, 1), ("no", 1, 1)], "no no"),
    ],
)
async def test_what_was_said_at_one_time_counts_once_and_in_order(
    messages: list[tuple[str, float, float]], text: str, timed: bool, autojump_clock: MockClock
) -> None:
    sent = [result(*each, timed=timed) for each in messages]
    assert (await understood(*sent, END)).text == text


async def test_results_that_overlap_give_each_word_once(autojump_clock: MockClock) -> None:
    final = await understood(result("hello there", 0, 1.5), result("there friend", 1, 1, from_finalize=True))
    assert final.text == "hello there friend"


@pytest.mark.parametrize(
    ("start", "duration"), [("0.0", 2), (-0.01, 2), (0, "2.0"), (0, None), (None, 2), (0, float("nan"))]
)
async def test_odd_times_cost_no_words(start: object, duration: object, autojump_clock: MockClock) -> None:
    assert (await understood(result("hello there", start, duration), END)).text == "hello there"


@pytest.mark.parametrize("is_final", [False, None])
async def test_what_answers_finalize_is_final(is_final: object, autojump_clock: MockClock) -> None:
    answer = result("hello there", 0, 2, is_final=is_final, from_finalize=True)
    assert (await understood(answer)).text == "hello there"


@pytest.mark.parametrize(
    ("given", "meant"),
    [(float("nan"), 0.0), (float("inf"), 0.0), (None, 0.0), (1.5, 1.0), (-1, 0.0), (True, 0.0), ("0.5", 0.0)],
)
async def test_a_confidence_that_is_none_is_not_known(
    given: object, meant: float, autojump_clock: MockClock
) -> None:
    assert (confidence_of(given) or 0.0) == meant
    assert (await understood(result("hello there", 0, 2, confidence=given), END)).confidence == meant


async def test_what_is_not_known_does_not_lower_the_confidence_of_the_rest(autojump_clock: MockClock) -> None:
    unknown = result("hello", 0, 1, confidence=float("nan"))
    assert (await understood(unknown, result("there", 1, 1), END)).confidence == 0.98
