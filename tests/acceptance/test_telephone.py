"""Telephone calls with a real server process: real speech over µ-law, both ways; a plain load generator."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from adapters.mulaw import from_mulaw, to_mulaw
from adapters.simulators import LocalVoice, Script, SimulatedCall, simulators
from machines import facts
from machines.system import Handled
from orchestrator.journal.format import read_journal
from orchestrator.late_pings import ignore_late_pings
from tests.acceptance import test_simulated
from tests.acceptance.conftest import SPEECH_RATE, VANTUM, RunningServer, Say
from tests.acceptance.test_talk_to_the_server import transcribe, words
from tests.orchestrator.journal.journals import replays
from tests.orchestrator.phone.phone_lines import ACCOUNT, OURS, THEIRS, TOKEN

pytestmark = [pytest.mark.models, pytest.mark.slow]

QUESTION = "What is the capital of France?"
GREETING = "Hello, this is Alex."
MACHINE = "+15005550005"
CALL_SECONDS = 600


async def vantum_call(server: RunningServer, number: str, *options: str) -> tuple[int, list[str]]:
    """`vantum call`: its exit code, and what it told."""
    command = [str(VANTUM), "call", number, "--url", server.page, *options]
    environment = test_simulated.environment({})
    done = await trio.run_process(command, capture_stdout=True, check=False, env=environment)
    return done.returncode, done.stdout.decode().splitlines()


async def test_calls_both_ways_in_real_speech_are_understood_and_answered_aloud(
    tmp_path: Path, say: Say
) -> None:
    """Twilio is simulated, with people with a real voice at its telephones; the models are embedded."""
    journals = tmp_path / "journals"
    voice = LocalVoice(lambda text: (say(text), SPEECH_RATE))
    async with simulators(script=Script(caller_says=(QUESTION,)), voice=voice) as twilio:
        account = {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM_NUMBER": OURS,
            "TWILIO_BASE_URL": f"http://127.0.0.1:{twilio.port}",
        }
        own = {"JOURNAL_DIR": str(journals), "GREETING": GREETING, **account}
        async with test_simulated.ready(tmp_path / "log", **own) as server:
            with trio.fail_after(CALL_SECONDS):
                address = f"http://127.0.0.1:{server.port}/twilio/"
                known = {"auth_token": TOKEN, "account_sid": ACCOUNT, "to": OURS, "from_": THEIRS}
                inbound = twilio.telephones.ring(f"{address}voice", status_url=f"{address}status", **known)
                exit_code, told = await vantum_call(server, THEIRS)
                await inbound.over.wait()
            outbound = next(call for call in twilio.telephones.calls.values() if call is not inbound)
        assert (exit_code, told[-1]) == (0, f"{THEIRS}: completed")
        for call in (inbound, outbound):
            assert call.complaints == []
            assert call.status == "completed"
        replays(journals)
        heard = [words(await heard_of(call)) for call in (inbound, outbound)]

    for path in journals.iterdir():
        handled = [each for each in read_journal(path).handled if isinstance(each, Handled)]
        happened = [step.fact for each in handled for step in each.steps]
        understood = " ".join(fact.text for fact in happened if isinstance(fact, facts.TranscriptFinal))
        answer = " ".join(fact.text for fact in happened if isinstance(fact, facts.SegmentReady))
        assert len(words(understood) & words(QUESTION)) >= len(words(QUESTION)) - 1, understood
        said = words(f"{GREETING} {answer}")
        assert any(len(said & each) >= len(said) / 2 for each in heard), (said, heard)
        finished = [fact for fact in happened if isinstance(fact, facts.PlaybackFinished)]
        assert len(finished) >= 2, "the marks told that the greeting and the answer were heard"


async def heard_of(call: SimulatedCall) -> str:
    """The words that somebody with this telephone has heard."""
    assert call.telephone is not None
    return await transcribe(call.telephone.heard_samples(), 8000)


async def test_a_simulated_twilio_needs_one_command_and_a_load_generator_needs_no_token(
    tmp_path: Path, say: Say
) -> None:
    async with test_simulated.serving(tmp_path / "log", "--simulated") as server:
        with trio.fail_after(CALL_SECONDS):
            exit_code, told = await vantum_call(server, MACHINE, "--machine-detection")
            assert (exit_code, told[-1]) == (1, f"{MACHINE}: machine answered")
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream, trio.open_nursery() as nursery:
                host = f"127.0.0.1:{server.port}"
                socket = await wrap_client_stream(nursery, stream, host, "/twilio/media")
                ignore_late_pings(socket)
                await generate_load(socket, to_mulaw(say(QUESTION)[::3]))
                nursery.cancel_scope.cancel()


async def generate_load(socket: WebSocketConnection, question: bytes) -> None:
    """What a program does that knows of Media Streams but the messages that others need: no marks."""

    async def send(message: dict[str, Any]) -> None:
        await socket.send_message(json.dumps(message))

    async def speak() -> None:
        for start in range(0, len(question) + 80_000, 160):
            frame = question[start : start + 160].ljust(160, b"\xff")
            media = {"payload": base64.b64encode(frame).decode()}
            await send({"event": "media", "streamSid": "MZ1", "media": media})
            await trio.sleep(0.02)

    await send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    start = {"streamSid": "MZ1", "callSid": "CA1"}
    await send({"event": "start", "streamSid": "MZ1", "start": start})
    audio, events = b"", set[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        while len(audio) < 8000:
            message = json.loads(await socket.get_message())
            assert message["streamSid"] == "MZ1"
            events.add(message["event"])
            if message["event"] == "media":
                frame = base64.b64decode(message["media"]["payload"])
                assert len(frame) <= 160
                audio += frame
        nursery.cancel_scope.cancel()
    assert events == {"media", "mark"}
    assert np.abs(from_mulaw(audio).astype(int)).max() > 1000
    await send({"event": "stop", "streamSid": "MZ1", "stop": {"callSid": "CA1"}})
    with pytest.raises(ConnectionClosed):
        while True:
            await socket.get_message()
