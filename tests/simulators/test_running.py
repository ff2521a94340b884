"""Running the simulators, and their voice and latencies."""

from __future__ import annotations

from pathlib import Path

import httpx2
import numpy as np
import pytest
import trio

from adapters.simulators import ScenarioError, Tone, best_voice
from adapters.simulators.script import Latency
from orchestrator.cli.simulators import serve_simulators


async def test_the_command_announces_where_everything_is_and_serves_it(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text('[[fault]]\nkind = "status"\nat = "openai"\nstatus = 429\nretry_after = 7')
    lines: list[str] = []
    announced = trio.Event()

    def announce(line: str) -> None:
        lines.append(line)
        if line.startswith("CARTESIA_BASE_URL="):
            announced.set()

    async def run() -> None:
        await serve_simulators("127.0.0.1", 0, 1, scenario, announce)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(120):
            await announced.wait()
        address = next(line for line in lines if line.startswith("LLM_BASE_URL=")).partition("=")[2]
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer any"}) as http:
            refused = await http.get(f"{address}/models")
            answered = await http.get(f"{address}/models")
        nursery.cancel_scope.cancel()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert answered.status_code == 200


async def test_a_bad_scenario_stops_the_command_before_it_listens(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("nonsense")
    with pytest.raises(ScenarioError):
        await serve_simulators("127.0.0.1", 0, 0, scenario, print)


async def test_an_unknown_dialect_of_the_telephone_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ScenarioError, match=r"phone_dialect is 'morse', but must be one of twilio, "):
        await serve_simulators("127.0.0.1", 0, 0, None, print, phone_dialect="morse")


async def test_a_tone_is_as_long_as_its_words() -> None:
    speech = await Tone().speak("Hello wonderful world", 8000)
    assert [word.text for word in speech.words] == ["Hello", "wonderful", "world"]
    assert len(speech.samples) == pytest.approx(speech.words[-1].end * 8000, abs=1)
    second = speech.words[1]
    sounding = speech.samples[int(second.start * 8000) : int((second.end - 0.05) * 8000)]
    assert np.abs(sounding).max() > 3000


async def test_an_empty_text_has_no_audio() -> None:
    speech = await Tone().speak("", 8000)
    assert (len(speech.samples), speech.words) == (0, ())


async def test_the_local_voice_speaks_at_any_rate() -> None:
    pytest.importorskip("hibari")
    voice = await trio.to_thread.run_sync(best_voice)
    speech = await voice.speak("Hello there.", 16_000)
    assert speech.samples.dtype == np.int16
    assert np.abs(speech.samples).max() > 3000
    assert speech.words[-1].end == pytest.approx(len(speech.samples) / 16_000)
    assert len((await voice.speak("...", 16_000)).samples) == 0


def test_latencies_are_spread_around_their_median() -> None:
    import random

    randomness = random.Random(1)
    drawn = sorted(Latency(100, 0.3).draw(randomness) for _ in range(2000))
    assert drawn[1000] == pytest.approx(0.1, rel=0.05)
    assert drawn[-1] > 0.2 > 0.05 > drawn[0] > 0
    assert Latency(0).draw(randomness) == 0
