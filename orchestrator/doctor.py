"""The examination behind `vantum doctor`: what is configured, what is missing, what a call would use.

Nothing is loaded and nothing is sent: files are hashed, packages looked for, the port tried, and the servers
of vendors and language models only connected to. Keys are never shown.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from attrs import frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters import models
from adapters.models import FETCH_COMMAND, ModelFile, Status
from orchestrator.settings import Settings, setting_origins, shown, without_password

CONNECT_SECONDS = 2.0
_NEVER_WRAPPED = 1000
"""Columns of a pipe."""
INSTALL_LOCAL = "`pip install 'vantum[local]'` brings it"


@frozen
class Finding:
    """One thing that was looked at. `problem` is empty where all is well, else says what to do."""

    subject: str
    detail: str
    problem: str = ""

    @property
    def well(self) -> bool:
        return not self.problem


@frozen
class RoleFinding(Finding):
    """What serves a role (stt, llm, tts, vad): `detail` is the provider, `why` the reason it is this one."""

    why: str = attrs.field(kw_only=True)


@frozen
class Findings:
    """Everything that `vantum doctor` found."""

    platform: tuple[Finding, ...]
    roles: tuple[RoleFinding, ...]
    models_dir: str
    model_files: tuple[Finding, ...]
    configured: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether the server could be started now and a call be made."""
        return all(finding.well for finding in (*self.platform, *self.roles))


def examine(settings: Settings) -> Findings:
    """Look at everything. Blocks, for about half a second; longer if somebody's server is slow."""
    files = models.verify(settings.local_models_dir)
    return Findings(
        platform=(_python(), _listening(settings)),
        roles=(
            _speech_to_text(settings, files),
            _language_model(settings, files),
            _text_to_speech(settings),
            _voice_activity(settings, files),
        ),
        models_dir=str(settings.local_models_dir),
        model_files=tuple(_model_file(file, status, file in _needed(settings)) for file, status in files),
        configured=tuple(_configured(settings)),
    )


# --- the machine ------------------------------------------------------------------------------------------


def _python() -> Finding:
    version = sys.version_info
    detail = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    known = (3, 11) <= version < (3, 15)
    return Finding("platform", detail, "" if known else "Python 3.11 to 3.14 is needed")


def _listening(settings: Settings) -> Finding:
    detail = f"{settings.host}, port {settings.port or 'chosen by the system'}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return Finding("listening", detail, f"cannot be listened on ({error.strerror}): set HOST or PORT")
    return Finding("listening", detail)


# --- the roles --------------------------------------------------------------------------------------------

Inventory = Sequence[tuple[ModelFile, Status]]


def _speech_to_text(settings: Settings, files: Inventory) -> RoleFinding:
    if settings.listens == "deepgram":
        why = _why_vendor("STT_PROVIDER", settings.stt_provider, "DEEPGRAM_API_KEY")
        return _server("stt", f"deepgram, {settings.stt_model}", settings.deepgram_base_url, why)
    why = _why_embedded("STT_PROVIDER", settings.stt_provider, "DEEPGRAM_API_KEY")
    problem = _missing_package("onnxruntime")
    if settings.local_stt_dir:
        names = [Path(file.path).name for file in models.SPEECH_TO_TEXT_MODEL]
        absent = [name for name in names if not (settings.local_stt_dir / name).is_file()]
        problem = problem or (
            f"{settings.local_stt_dir} holds no {' and no '.join(absent)}" if absent else ""
        )
        why += f", LOCAL_STT_DIR is {settings.local_stt_dir}"
        return RoleFinding("stt", "moonshine", problem, why=why)
    problem = problem or _missing_files(files, models.SPEECH_TO_TEXT_MODEL)
    return RoleFinding("stt", "moonshine", problem, why=why)


def _language_model(settings: Settings, files: Inventory) -> RoleFinding:
    if endpoint := settings.llm_endpoint:
        chosen_by = "LLM_BASE_URL" if settings.llm_base_url else "a key alone is set"
        return _server("llm", endpoint.model, endpoint.base_url, chosen_by)
    problem = _missing_package("xllamacpp")
    if settings.local_llm_path:
        problem = problem or _missing_path(settings.local_llm_path)
        return RoleFinding(
            "llm", settings.local_llm_path.name, problem, why=f"LOCAL_LLM_PATH is {settings.local_llm_path}"
        )
    problem = problem or _missing_files(files, (models.LANGUAGE_MODEL,))
    return RoleFinding(
        "llm",
        "SmolLM2-135M (a smoke-test brain)",
        problem,
        why="embedded: neither LLM_BASE_URL nor a key is set",
    )


def _text_to_speech(settings: Settings) -> RoleFinding:
    if settings.speaks == "cartesia":
        why = _why_vendor("TTS_PROVIDER", settings.tts_provider, "CARTESIA_API_KEY")
        return _server("tts", f"cartesia, {settings.tts_model}", settings.cartesia_base_url, why)
    why = _why_embedded("TTS_PROVIDER", settings.tts_provider, "CARTESIA_API_KEY")
    problem = _missing_package("hibari") or _missing_package("onnxruntime")
    if settings.local_tts_model:
        problem = problem or _missing_path(settings.local_tts_model)
        why += f", LOCAL_TTS_MODEL is {settings.local_tts_model}"
    return RoleFinding("tts", "hibari", problem, why=why)


def _voice_activity(settings: Settings, files: Inventory) -> RoleFinding:
    problem = _missing_package("onnxruntime")
    if settings.local_vad_path:
        problem = problem or _missing_path(settings.local_vad_path)
        return RoleFinding("vad", "silero", problem, why=f"LOCAL_VAD_PATH is {settings.local_vad_path}")
    problem = problem or _missing_files(files, (models.VOICE_ACTIVITY_MODEL,))
    return RoleFinding("vad", "silero", problem, why="embedded always")


def _server(role: str, what: str, address: str, why: str) -> RoleFinding:
    """A role that somebody's server takes."""
    return RoleFinding(role, f"{what} at {without_password(address)}", _unreachable(address), why=why)


def _why_vendor(setting: str, chosen: str, key: str) -> str:
    return f"{key} is set" if chosen == "auto" else f"{setting} says so"


def _why_embedded(setting: str, chosen: str, key: str) -> str:
    return f"embedded: {key} is not set" if chosen == "auto" else f"embedded: {setting} says so"


def _missing_package(module: str) -> str:
    found = importlib.util.find_spec(module)
    return "" if found else f"the package {module} is not installed; {INSTALL_LOCAL}"


def _missing_path(path: Path) -> str:
    return "" if path.is_file() else f"there is no file {path}"


def _missing_files(files: Inventory, needed: Sequence[ModelFile]) -> str:
    lacking = [file.path for file, status in files if file in needed and status is not Status.PRESENT]
    return f"`{FETCH_COMMAND}` fetches {', '.join(lacking)}" if lacking else ""


def _unreachable(address: str) -> str:
    """Why nothing answers at an address; empty if something does."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return f"nothing answers at {parts.hostname}, port {port}: {error}"
    return ""


# --- files and settings -----------------------------------------------------------------------------------


def _needed(settings: Settings) -> list[ModelFile]:
    """The embedded models' files that calls would use."""
    return [
        *(models.SPEECH_TO_TEXT_MODEL if settings.listens == "local" and not settings.local_stt_dir else ()),
        *((models.LANGUAGE_MODEL,) if not (settings.llm_endpoint or settings.local_llm_path) else ()),
        *((models.VOICE_ACTIVITY_MODEL,) if not settings.local_vad_path else ()),
    ]


def _model_file(file: ModelFile, status: Status, needed: bool) -> Finding:
    if status is Status.MISSING and not needed:
        return Finding(file.path, f"{file.purpose}: missing, but not needed")
    problem = "" if status is Status.PRESENT else f"{status.value}; `{FETCH_COMMAND}` fetches it"
    return Finding(file.path, file.purpose, problem)


def _configured(settings: Settings) -> list[Finding]:
    origins = setting_origins()
    return [
        Finding(name.upper(), f"{shown(name, getattr(settings, name))}, from {origins[name]}")
        for name in Settings.model_fields
        if name in origins
    ]


# --- telling ----------------------------------------------------------------------------------------------


def as_json(findings: Findings) -> str:
    """One JSON object, with `ready` first."""
    return json.dumps({"ready": findings.ready} | attrs.asdict(findings), indent=2) + "\n"


def show(findings: Findings, console: Console | None = None) -> None:
    """Print a table for people; in a pipe it is plain text, a line each, with every word in it."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _NEVER_WRAPPED
    with console.capture() as capture:
        for title, rows in (
            ("The machine", findings.platform),
            ("Used for a call", findings.roles),
            (f"Embedded models in {findings.models_dir}", findings.model_files),
            ("Configured (all else is default)", findings.configured),
        ):
            console.print(Text(title, "bold"))
            console.print(_table(rows))
        console.print(_conclusion(findings))
    console.file.write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def _table(rows: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 0))
    for finding in rows:
        table.add_row(_verdict(finding), Text(finding.subject), Text(_explanation(finding)))
    return table


def _verdict(finding: Finding) -> Text:
    return Text("ok", "green") if finding.well else Text("PROBLEM", "bold red")


def _explanation(finding: Finding) -> str:
    text = finding.detail
    if isinstance(finding, RoleFinding):
        text += f" ({finding.why})"
    return text if finding.well else f"{text}: {finding.problem}"


def _conclusion(findings: Findings) -> Text:
    if findings.ready:
        return Text("A call can be made: start with `vantum serve`.", "green")
    wrong = [finding.subject for finding in (*findings.platform, *findings.roles) if not finding.well]
    return Text(f"No call can be made until this is mended: {', '.join(wrong)}.", "bold red")
