"""The command line: what is printed, and with which exit code it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from adapters import models
from orchestrator.audio import write_wav
from orchestrator.cli import main
from orchestrator.settings import Settings


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "vantum_config"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LOCAL_MODELS_DIR", str(tmp_path / "models"))


def vantum(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_version_is_told() -> None:
    assert vantum("--version").output == "vantum 0.1.0\n"


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, orchestrator.cli as c; c.main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for command in ("diagrams", "doctor", "models", "serve", "talk"):
        assert f"\n  {command} " in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & {"trio", "numpy", "pydantic", "rich", "openai", "onnxruntime", "statemachine"} == set()


@pytest.mark.parametrize("command", [("serve",), ("doctor",), ("models", "fetch"), ("models", "list")])
def test_a_bad_setting_stops_every_command_with_one_sentence(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0x50")
    result = vantum(*command)
    assert result.exit_code == 2
    assert (
        result.output
        == "Error: PORT (from the environment) is '0x50', but must be a whole number from 0 to 65535.\n"
    )


def test_a_bad_port_on_the_command_line_is_told_the_same_way() -> None:
    result = vantum("serve", "--port", "70000")
    assert result.exit_code == 2
    assert result.output.startswith("Error: PORT (from the command line) is 70000, but must be")


def test_diagrams_are_written_and_then_found_current(tmp_path: Path) -> None:
    missing = vantum("diagrams", "--check")
    assert missing.exit_code == 1
    assert "Out of date" in missing.output
    written = vantum("diagrams", "--output", "drawn")
    assert written.exit_code == 0
    assert set(written.output.split()) == {
        str(path.relative_to(tmp_path)) for path in (tmp_path / "drawn").rglob("*") if path.is_file()
    }
    assert vantum("diagrams", "--check", "--output", "drawn").exit_code == 0


def test_doctor_fails_where_no_call_could_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "0")
    result = vantum("doctor")
    assert result.exit_code == 1
    assert "`vantum models fetch` fetches" in result.output
    assert '"ready": false' in vantum("doctor", "--json").output


@pytest.mark.models
def test_doctor_succeeds_where_a_call_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_MODELS_DIR")
    monkeypatch.setenv("PORT", "0")
    assert vantum("doctor").exit_code == 0


def test_missing_model_files_are_listed_and_fail_the_verification(tmp_path: Path) -> None:
    listed = vantum("models", "list")
    assert listed.exit_code == 0
    assert listed.output.count("  missing ") == len(models.MODEL_FILES)
    assert vantum("models", "verify").exit_code == 1


@pytest.mark.models
def test_fetching_what_is_there_says_so_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_MODELS_DIR")
    result = vantum("models", "fetch")
    assert result.exit_code == 0
    assert result.output.startswith("The model files are in ")
    assert vantum("models", "verify").exit_code == 0


def test_a_fetch_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    result = vantum("models", "fetch")
    assert result.exit_code == 1
    assert "cannot be written to" in result.output


def test_talk_needs_something_to_say() -> None:
    result = vantum("talk")
    assert result.exit_code == 2
    assert "--wav FILE, or --microphone" in result.output


def in_a_process(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    program = "from orchestrator.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def test_serving_without_model_files_says_which_and_what_brings_them() -> None:
    done = in_a_process("serve", "--port", "0")
    assert done.returncode == 1
    assert "`vantum models fetch` fetches it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.models
@pytest.mark.slow
def test_serving_where_another_program_listens_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_MODELS_DIR")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = in_a_process("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: another program listens there" in done.stderr
    assert "Traceback" not in done.stderr


def test_talking_to_nobody_says_how_to_start_a_server(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(160, np.int16), 16_000)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        result = vantum("talk", f"ws://127.0.0.1:{silent.getsockname()[1]}/ws", "--wav", "a.wav")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Nothing answers at 127.0.0.1")


def test_talking_with_a_microphone_needs_a_sound_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = vantum("talk", "--microphone")
    assert result.exit_code == 1
    assert "vantum[microphone]" in result.output


def test_a_file_that_is_not_there_is_named() -> None:
    result = vantum("talk", "--wav", "nowhere.wav")
    assert result.exit_code == 2
    assert "nowhere.wav" in result.output
