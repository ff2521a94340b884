"""The command line: what is printed, and with which exit code it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapters import models
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
