"""Telephone calls with a real server process: real speech over µ-law, and one command against Twilio."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from adapters.simulators.telephone import Telephone
from machines import facts
from machines.system import Handled
from orchestrator.audio import StreamingResampler
from orchestrator.journal import read_journal
from protocol.twilio import PHONE_RATE, Started
from tests.acceptance import test_simulated
from tests.acceptance.conftest import SPEECH_RATE, VANTUM, Say, started
from tests.acceptance.test_talk_to_the_server import transcribe, words
from tests.orchestrator.journals import replays

pytestmark = [pytest.mark.models, pytest.mark.slow]

QUESTION = "What is the capital of France?"
CALL_SECONDS = 90


async def test_a_call_in_real_speech_is_understood_and_answered_aloud(tmp_path: Path, say: Say) -> None:
    journals = tmp_path / "journals"
    with started(TWILIO_OPEN_STREAMS="true", JOURNAL_DIR=str(journals)) as server:
        url = f"ws://127.0.0.1:{server.port}/twilio/media"
        telephone = Telephone(url, Started("MZ1", "CA1", parameters={"greeting": "Hello."}))
        question = StreamingResampler(SPEECH_RATE, PHONE_RATE)
        with trio.fail_after(CALL_SECONDS):
            async with trio.open_nursery() as nursery:
                await nursery.start(telephone.run)
                await telephone.until(lambda: telephone.heard and telephone.quiet_seconds() > 0.5)
                greeted = len(telephone.heard)
                telephone.say(question.push(say(QUESTION)))
                await telephone.until(lambda: len(telephone.heard) > greeted)
                await telephone.until(lambda: telephone.quiet_seconds() > 1.5)
                telephone.hang_up()

    replays(journals)
    (path,) = journals.iterdir()
    moments = [moment for moment in read_journal(path).moments if isinstance(moment, Handled)]
    happened = [step.fact for moment in moments for step in moment.steps]
    understood = " ".join(fact.text for fact in happened if isinstance(fact, facts.TranscriptFinal))
    answer = " ".join(fact.text for fact in happened if isinstance(fact, facts.SegmentReady))
    assert len(words(understood) & words(QUESTION)) >= len(words(QUESTION)) - 1, understood
    told = words(answer)
    heard = words(await transcribe(telephone.heard_samples(), PHONE_RATE))
    assert len(told & heard) >= len(told) / 2, (told, heard)
    finished = [fact for fact in happened if isinstance(fact, facts.PlaybackFinished)]
    assert len(finished) >= 2, "the marks told that the greeting and the answer were heard"


async def test_one_command_makes_calls_over_a_simulated_twilio(tmp_path: Path) -> None:
    async with test_simulated.serving(tmp_path / "log", "--simulated") as server:
        for number, ends in (("+15005550002", "busy"), ("+15005550005", "machine answered")):
            command = [str(VANTUM), "call", number, "--machine-detection", "--url", server.page]
            with trio.fail_after(CALL_SECONDS):
                done = await trio.run_process(
                    command, capture_stdout=True, check=False, env=test_simulated.environment({})
                )
            lines = done.stdout.decode().splitlines()
            assert lines[-1] == f"{number}: {ends}"
            assert done.returncode == 1
