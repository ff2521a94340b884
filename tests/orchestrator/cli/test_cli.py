"""The command line: help, output, errors and exit codes of every command."""

from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import sys
import threading
import tomllib
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from adapters.embedded import models
from orchestrator.audio.pcm import write_wav
from orchestrator.cli.main import main
from orchestrator.cli.simulators import addresses
from orchestrator.settings.settings import Settings


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "vantum_config"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LOCAL_MODELS_DIR", str(tmp_path / "models"))


def vantum(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_version_is_printed() -> None:
    """The one in pyproject.toml; if this fails after a change of it, install again: `make test`."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert vantum("--version").output == f"vantum {project['version']}\n"


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys; from orchestrator.cli.main import main;"
        " main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for command in (
        "call",
        "check",
        "diagrams",
        "doctor",
        "export-test",
        "models",
        "replay",
        "serve",
        "simulators",
        "talk",
    ):
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


def test_a_bad_port_on_the_command_line_is_reported_the_same_way() -> None:
    result = vantum("serve", "--port", "70000")
    assert result.exit_code == 2
    assert result.output.startswith("Error: PORT (from the command line) is 70000, but must be")


def test_a_directory_for_journals_that_cannot_be_used_stops_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JOURNAL_DIR", str(tmp_path / "file"))
    result = vantum("serve", "--port", "0")
    assert result.exit_code == 2
    assert result.output == (
        f"Error: JOURNAL_DIR is '{tmp_path}/file', but journals cannot be written there: File exists.\n"
    )


@pytest.mark.slow
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
    assert "--say TEXT, --wav FILE, or --microphone" in result.output
    assert vantum("talk", "--say", "Hello", "--microphone").exit_code == 2


def in_a_process(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    program = "from orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.mark.slow
def test_serving_without_model_files_says_which_are_missing_and_how_to_get_them() -> None:
    done = in_a_process("serve", "--port", "0")
    assert done.returncode == 1
    assert "`vantum models fetch` fetches it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_turn_model_that_is_not_there_stops_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURN_MODEL", str(tmp_path / "none.onnx"))
    done = in_a_process("serve", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"Error: TURN_MODEL is '{tmp_path}/none.onnx', but must be the ONNX file of a Smart-Turn v3 model: "
        "there is no such file."
    )
    assert "Traceback" not in done.stderr


def test_a_chosen_vendor_without_its_key_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_PROVIDERS", "deepgram")
    result = vantum("serve")
    assert result.exit_code == 2
    assert "DEEPGRAM_API_KEY is not set" in result.output


@pytest.mark.slow
def test_serving_with_simulated_vendors_still_needs_the_voice_activity_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STT_PROVIDERS", "local")
    done = in_a_process("serve", "--simulated", "--port", "0")
    assert done.returncode == 1
    assert "silero_vad.onnx" in done.stderr
    assert "`vantum models fetch` fetches it" in done.stderr
    assert "Traceback" not in done.stderr


HEAVY = {"trio", "openai", "numpy", "statemachine", "orchestrator.server.server"}
"""What takes seconds to import."""


def imported_when(*arguments: str) -> tuple[str, set[str]]:
    """What a command that fails says, and which of the heavy modules it has imported by then."""
    program = "import sys; from orchestrator.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr, HEAVY & set(done.stdout.split())


@pytest.mark.slow
def test_a_port_that_is_taken_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told, imported = imported_when("serve", "--port", str(port))
    assert f"Cannot listen on localhost, port {port}: another program listens there; choose another" in told
    assert imported == set()


@pytest.mark.slow
def test_a_directory_for_journals_that_cannot_be_used_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JOURNAL_DIR", str(tmp_path / "file"))
    told, imported = imported_when("serve", "--port", "0")
    assert "journals cannot be written there" in told
    assert imported == set()


def test_a_port_that_another_vantum_has_is_told_so() -> None:
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"message": "Vantum is listening", "uptime": 601.5}')

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as other:
        answering = threading.Thread(target=other.handle_request)
        answering.start()
        result = vantum("serve", "--port", str(other.server_port))
        answering.join()
    assert result.exit_code == 1
    assert "another Vantum (up 10 min) listens there; choose another port" in result.output


def test_what_is_odd_is_warned_of_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETNIG", "Hello")
    listed = vantum("models", "list")
    assert listed.exit_code == 0
    assert listed.stderr == (
        "Warning: GREETNIG (from the environment) is not a setting and is left out; "
        "the nearest is GREETING.\n"
    )
    assert "Warning" not in listed.stdout


def test_talking_where_nothing_listens_says_how_to_start_a_server(tmp_path: Path) -> None:
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
    assert "[microphone]" in result.output


def test_a_file_that_is_not_there_is_named() -> None:
    result = vantum("talk", "--wav", "nowhere.wav")
    assert result.exit_code == 2
    assert "nowhere.wav" in result.output


# --- simulators -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_simulators_say_how_to_use_them_and_answer() -> None:
    program = "from orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", program, "simulators", "--port", "0", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            told = dict(process.stdout.readline().strip().split("=", 1) for _ in range(11))
            request = urllib.request.Request(
                f"{told['LLM_BASE_URL']}/models", headers={"Authorization": f"Bearer {told['LLM_API_KEY']}"}
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    settings = Settings.model_validate({name.lower(): value for name, value in told.items()})
    assert not settings.embedded


def test_simulators_refuse_a_scenario_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "rough.toml").write_text("nonsense")
    result = vantum("simulators", "--port", "0", "--faults", "rough.toml")
    assert result.exit_code == 1
    assert result.output.startswith("Error: rough.toml cannot be read")


@pytest.mark.slow
def test_simulators_on_a_taken_port_say_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = vantum("simulators", "--port", str(port))
    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: another program listens there" in result.output


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("gym.example", "http://gym.example:9"),
    ],
)
def test_the_announced_addresses_of_simulators_can_be_reached(host: str, address: str) -> None:
    assert addresses(host, 9)["cartesia_base_url"] == address
