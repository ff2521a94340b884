"""`vantum doctor`: its findings, its advice, and that it shows no secrets."""

from __future__ import annotations

import io
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from rich.console import Console

from adapters.simulators import Simulators, simulators
from orchestrator.cli.doctor import Findings, as_json, examine, show
from orchestrator.settings.settings import Settings
from orchestrator.settings.sources import load_settings


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings except a free port, and an empty models directory."""
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "vantum_config"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("LOCAL_MODELS_DIR", str(tmp_path / "models"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A TCP port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def problem(findings: Findings, subject: str) -> str:
    everything = (*findings.platform, *findings.roles, *findings.model_files)
    return next(finding.problem for finding in everything if finding.subject == subject)


def provider(findings: Findings, role: str) -> str:
    return next(finding.detail for finding in findings.roles if finding.subject == role)


def printed(findings: Findings) -> str:
    out = io.StringIO()
    show(findings, Console(file=out))
    return out.getvalue()


def test_missing_model_files_are_named_with_the_command_that_fetches_them() -> None:
    findings = examine(load_settings())
    assert not findings.ready
    assert "`vantum models fetch` fetches silero_vad.onnx" in problem(findings, "vad")
    assert "missing" in problem(findings, "silero_vad.onnx")
    assert "No call can be made until this is mended: stt, llm, vad." in printed(findings)


@pytest.mark.models
def test_with_the_embedded_models_a_call_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_MODELS_DIR")
    findings = examine(load_settings())
    assert findings.ready
    assert "A call can be made" in printed(findings)


def test_other_models_are_used_where_they_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("brain.gguf", "voice.onnx", "vad.onnx"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LOCAL_LLM_PATH", "brain.gguf")
    monkeypatch.setenv("LOCAL_TTS_MODEL", "voice.onnx")
    monkeypatch.setenv("LOCAL_VAD_PATH", "vad.onnx")
    findings = examine(load_settings())
    assert provider(findings, "llm") == "brain.gguf"
    assert [problem(findings, role) for role in ("llm", "tts", "vad")] == ["", "", ""]


def test_a_configured_model_that_is_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_LLM_PATH", "nowhere.gguf")
    monkeypatch.setenv("LOCAL_STT_DIR", "nowhere")
    findings = examine(load_settings())
    assert problem(findings, "llm") == "there is no file nowhere.gguf"
    assert "nowhere lacks encoder_model.ort" in problem(findings, "stt")


def test_a_turn_model_is_examined_only_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "turn" not in {finding.subject for finding in examine(load_settings()).roles}
    monkeypatch.setenv("TURN_MODEL", "turn.onnx")
    findings = examine(load_settings())
    assert problem(findings, "turn") == "there is no file turn.onnx"
    assert "turn" in findings.hindrances
    (tmp_path / "turn.onnx").touch()
    findings = examine(load_settings())
    assert problem(findings, "turn") == ""
    assert "smart-turn-v3 (TURN_MODEL is turn.onnx)" in printed(findings)
    assert "turn" not in findings.hindrances


def test_whether_a_language_model_server_answers_is_examined(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setenv("LLM_BASE_URL", f"http://127.0.0.1:{port}/v1")
    monkeypatch.setenv("LLM_MODEL", "some[thing]")
    findings = examine(load_settings())
    assert problem(findings, "llm") == ""
    assert f"some[thing] at http://127.0.0.1:{port}/v1" in printed(findings)
    listener.close()
    assert f"nothing answers at 127.0.0.1, port {port}" in problem(examine(load_settings()), "llm")


def test_what_a_language_model_server_refuses_is_found_out_by_asking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with simulated_in_a_thread("openai-reasoning") as running:
        monkeypatch.setenv("LLM_BASE_URL", running.openai_url)
        monkeypatch.setenv("LLM_MODEL", "gpt-5")
        monkeypatch.setenv("LLM_API_KEY", "a-key-for-tests")
        findings = examine(load_settings(), ask=True)
        assert problem(findings, "llm") == ""
        assert "wants max_tokens to be called max_completion_tokens" in printed(findings)
        assert "refuses temperature: it is not sent" in printed(findings)
        monkeypatch.setenv("LLM_MODEL", "nobodys-model")
        assert "does not exist" in problem(examine(load_settings(), ask=True), "llm")


@contextmanager
def simulated_in_a_thread(dialect: str) -> Iterator[Simulators]:
    """Simulated vendors that serve while this thread is busy."""
    address: queue.Queue[tuple[Simulators, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with simulators(llm_dialect=dialect) as running:
                address.put((running, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    running, token, scope = address.get(timeout=120)
    try:
        yield running
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()


def test_the_question_is_the_one_that_a_call_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A9: with the configured tools and the configured limit."""
    with simulated_in_a_thread("openai") as running:
        monkeypatch.setenv("LLM_BASE_URL", running.openai_url)
        monkeypatch.setenv("LLM_MODEL", "gpt-5-mini")
        monkeypatch.setenv("LLM_API_KEY", "hunter2")
        monkeypatch.setenv("LLM_MAX_TOKENS", "4000")
        monkeypatch.setenv("TOOLS", "send_digits,end_call")
        examine(load_settings(), ask=True)
        (asked,) = (each.body for each in running.records.at("openai.chat"))
    assert [each["function"]["name"] for each in asked["tools"]] == ["send_digits", "end_call"]
    assert asked["max_tokens"] == 4000


def test_a_vendor_is_named_with_the_reason_and_needs_no_model_file(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setenv("DEEPGRAM_API_KEY", "hunter2")
    monkeypatch.setenv("DEEPGRAM_BASE_URL", f"ws://127.0.0.1:{port}")
    monkeypatch.setenv("CARTESIA_API_KEY", "hunter2")
    monkeypatch.setenv("CARTESIA_BASE_URL", f"http://me:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia")
    findings = examine(load_settings())
    text = printed(findings)
    assert f"deepgram, nova-2 at ws://127.0.0.1:{port} (DEEPGRAM_API_KEY is set)" in text
    assert f"cartesia, sonic-3 at http://me:(a secret)@127.0.0.1:{port} (TTS_PROVIDERS says so)" in text
    assert (problem(findings, "stt"), problem(findings, "tts")) == ("", "")
    assert problem(findings, "moonshine-tiny-en/tokenizer.bin") == ""
    assert "missing, but not needed" in text
    assert "hunter2" not in text + as_json(findings)


def test_a_vendor_that_cannot_be_reached_is_a_problem(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    monkeypatch.setenv("DEEPGRAM_BASE_URL", f"ws://127.0.0.1:{port}")
    assert f"nothing answers at 127.0.0.1, port {port}" in problem(examine(load_settings()), "stt")


def test_an_embedded_role_names_the_key_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_PROVIDERS", "local")
    text = printed(examine(load_settings()))
    assert "moonshine (embedded: DEEPGRAM_API_KEY is not set)" in text
    assert "hibari (embedded: TTS_PROVIDERS says so)" in text


def test_every_provider_of_a_role_is_listed_in_order_with_what_is_missing(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    monkeypatch.setenv("DEEPGRAM_BASE_URL", f"ws://{address}")
    monkeypatch.setenv("STT_PROVIDERS", "flux,deepgram")
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia,local")
    monkeypatch.setenv("LLM_BASE_URL", f"http://{address}/v1")
    monkeypatch.setenv("LLM_MODEL", "m")
    monkeypatch.setenv("LOCAL_VAD_PATH", str(tmp_path / "vad.onnx"))
    (tmp_path / "vad.onnx").touch()
    findings = examine(load_settings())
    assert [(role.subject, role.detail, role.problem, role.why) for role in findings.roles[:-1]] == [
        ("stt", f"deepgram, flux at ws://{address}", "", "STT_PROVIDERS says so, choice 1"),
        ("stt", f"deepgram, nova-2 at ws://{address}", "", "STT_PROVIDERS says so, choice 2"),
        ("llm", f"m at http://{address}/v1", "", "LLM_BASE_URL or a key is set"),
        (
            "tts",
            "cartesia",
            "left out, since CARTESIA_API_KEY is not set",
            "TTS_PROVIDERS says so, choice 1",
        ),
        ("tts", "hibari", "", "embedded: TTS_PROVIDERS says so, choice 2"),
    ]
    assert findings.ready
    assert "A call can be made, with fewer providers than wanted for tts" in printed(findings)


def test_a_vendor_that_cannot_be_reached_does_not_prevent_calls_if_another_provider_works(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setenv("CARTESIA_API_KEY", "key")
    monkeypatch.setenv("CARTESIA_BASE_URL", f"http://127.0.0.1:{port}")
    listener.close()
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia")
    assert "tts" in examine(load_settings()).hindrances
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia,local")
    findings = examine(load_settings())
    assert "nothing answers at" in problem(findings, "tts")
    assert "tts" not in findings.hindrances


def test_a_missing_model_file_prevents_the_start_wherever_it_is_in_the_order(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    monkeypatch.setenv("DEEPGRAM_BASE_URL", f"ws://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("STT_PROVIDERS", "deepgram,local")
    findings = examine(load_settings())
    assert "stt" in findings.hindrances
    assert "missing" in problem(findings, "moonshine-tiny-en/tokenizer.bin")


def test_a_taken_port_is_a_problem(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(listener.getsockname()[1]))
    findings = examine(load_settings())
    assert "Address already in use" in problem(findings, "listening")
    assert not findings.ready


def test_what_is_configured_is_listed_with_its_origin_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vantum.toml").write_text('turn_mode = "manual"\n')
    monkeypatch.setenv("LLM_API_KEY", "hunter2")
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("LLM_MODEL", "m")
    findings = examine(load_settings())
    for text in (printed(findings), as_json(findings)):
        assert "hunter2" not in text
        assert "(a secret), from the environment" in text
        assert "'manual', from vantum.toml" in text


def test_in_a_pipe_every_finding_is_one_line_of_plain_text() -> None:
    findings = examine(load_settings())
    lines = printed(findings).splitlines()
    titles = 4
    rows = (*findings.platform, *findings.roles, *findings.model_files, *findings.configured)
    assert len(lines) == titles + len(rows) + 1
    assert all(line == line.rstrip() for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_json_says_first_whether_a_call_can_be_made() -> None:
    told = json.loads(as_json(examine(load_settings())))
    assert next(iter(told)) == "ready"
    assert told["ready"] is False
    assert [role["subject"] for role in told["roles"]] == ["stt", "llm", "tts", "vad"]


def test_advice_is_a_note_and_not_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orchestrator.settings.advice.CONTAINER_MARKS", (tmp_path,))
    lines = printed(examine(load_settings())).splitlines()
    [line] = [each for each in lines if "inside this container" in each]
    assert line.split()[:2] == ["NOTE", "VANTUM_HOST"]


def test_how_many_calls_are_taken_at_once_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_MAX_CALLS", "7")
    assert "up to 7 (LOCAL_MAX_CALLS)" in printed(examine(load_settings()))
    monkeypatch.setenv("MAX_SESSIONS", "5")
    assert "up to 5 (MAX_SESSIONS)" in printed(examine(load_settings()))
