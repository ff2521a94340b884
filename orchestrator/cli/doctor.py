"""The body of `vantum doctor`: finds what is configured, what is missing, and what a call would use.

No model is loaded: files are hashed, packages looked for, the port tried, and the servers of vendors only
connected to. The language model's server is asked one short question in the form that calls use, because
what it refuses shows in no other way. Keys are never shown.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio
from attrs import frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.embedded import models
from adapters.embedded.models import FETCH_COMMAND, ModelFile, Status
from adapters.http_clients import http_client
from adapters.interfaces import ProviderError
from adapters.neutral import neutral, without_passwords
from adapters.storage.errors import StorageError, UnusableError
from orchestrator.cli.installing import install_command
from orchestrator.providers.selection import remote_language_model
from orchestrator.server.listening import listen
from orchestrator.settings.advice import advice
from orchestrator.settings.processors import processors
from orchestrator.settings.providers import Choice, LanguageModelEndpoint
from orchestrator.settings.settings import Settings, shown
from orchestrator.settings.sources import setting_origins
from orchestrator.settings.types import FLUX, LOCAL
from orchestrator.tools.builtin_tools import built_in

CONNECT_SECONDS = 2.0
_NEVER_WRAPPED = 1000
"""Columns of output that is not a terminal."""


@frozen
class Finding:
    """One thing that was examined. `problem` says what to do; it is empty if all is well."""

    subject: str
    detail: str
    problem: str = ""
    hinders: bool = attrs.field(default=True, kw_only=True)
    """Whether no call can be made before the problem is solved."""

    @property
    def well(self) -> bool:
        return not self.problem


@frozen
class RoleFinding(Finding):
    """A provider of a role (stt, llm, tts, vad, turn): `detail` says what it is, `why` why it was chosen."""

    why: str = attrs.field(kw_only=True)
    indispensable: bool = attrs.field(default=False, kw_only=True)
    """Whether the server does not start if it has a problem, even if the role has other providers."""


@frozen
class Findings:
    """Everything that `vantum doctor` found."""

    platform: tuple[Finding, ...]
    roles: tuple[RoleFinding, ...]
    """In order of preference within each role."""
    models_dir: str
    model_files: tuple[Finding, ...]
    configured: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether the server can be started now and a call be made."""
        return not self.hindrances

    @property
    def hindrances(self) -> tuple[str, ...]:
        """The subjects whose problems must be solved before a call can be made."""
        served = {finding.subject for finding in self.roles if finding.well}
        wrong = [
            *(finding for finding in self.platform if not finding.well and finding.hinders),
            *(finding for finding in self.roles if not finding.well and finding.indispensable),
            *(finding for finding in self.roles if finding.subject not in served),
        ]
        return tuple(dict.fromkeys(finding.subject for finding in wrong))


def examine(settings: Settings, *, ask: bool = False) -> Findings:
    """Examine everything. Blocks for about half a second, longer if a server is slow.

    `ask`: the language model's server is not only connected to, but asked a question.
    """
    files = models.verify(settings.local_models_dir)
    return Findings(
        platform=(
            _python(),
            _listening(settings),
            _calls_at_once(settings),
            _database(settings),
            *_advice(settings),
        ),
        roles=(
            *_providers(settings.stt_choice, lambda name, why: _speech_to_text(name, settings, files, why)),
            *_providers(
                settings.llm_choice, lambda name, why: _language_model(name, settings, files, why, ask)
            ),
            *_providers(settings.tts_choice, lambda name, why: _text_to_speech(name, settings, why)),
            _voice_activity(settings, files),
            *_turn_model(settings),
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
        for trial in listen(settings.host, settings.port):
            trial.close()
    except OSError as error:
        return Finding(
            "listening", detail, f"cannot be listened on ({error.strerror}): set VANTUM_HOST or VANTUM_PORT"
        )
    return Finding("listening", detail)


def _calls_at_once(settings: Settings) -> Finding:
    setting = "LOCAL_MAX_CALLS" if settings.capacity < settings.max_sessions else "MAX_SESSIONS"
    detail = (
        f"up to {settings.capacity} ({setting}), with {processors():g} processors for the embedded models"
    )
    return Finding("calls at once", detail)


def _database(settings: Settings) -> Finding:
    location = settings.database
    if not location.may_exist():
        return Finding("database", f"{location}, made with the first key")
    from adapters.storage.database import is_up_to_date

    try:
        current = is_up_to_date(location)
    except StorageError as error:
        # The server starts without a database that does not answer.
        return Finding("database", str(location), str(error), hinders=isinstance(error, UnusableError))
    return Finding("database", f"{location}{'' if current else ', brought up to date at the next start'}")


def _advice(settings: Settings) -> Iterator[Finding]:
    """What will probably not work, though the server starts."""
    for sentence in advice(settings):
        setting, _, rest = sentence.rstrip(".").partition(" ")
        yield Finding(setting, "to be considered", f"it {rest}", hinders=False)


# --- the roles --------------------------------------------------------------------------------------------

Inventory = Sequence[tuple[ModelFile, Status]]


def _providers(choice: Choice, examine_one: Callable[[str, str], RoleFinding]) -> Iterator[RoleFinding]:
    """A finding for each provider that is wanted, also if it cannot be used."""
    for place, name in enumerate(choice.wanted, 1):
        why = _why(choice, name) + (f", choice {place}" if len(choice.wanted) > 1 else "")
        if name in choice.lacking:
            problem = f"left out, since {choice.lacking[name]} is not set"
            yield RoleFinding(choice.role.value, name, problem, why=why)
        else:
            yield examine_one(name, why)


def _why(choice: Choice, name: str) -> str:
    return f"embedded: {choice.reason}" if name == LOCAL else choice.reason


def _speech_to_text(name: str, settings: Settings, files: Inventory, why: str) -> RoleFinding:
    if name != LOCAL:
        model = FLUX if name == FLUX else settings.stt_model
        return _server("stt", f"deepgram, {model}", settings.deepgram_base_url, why)
    problem = _missing_package("onnxruntime")
    if settings.local_stt_dir:
        names = [Path(file.path).name for file in models.SPEECH_TO_TEXT_MODEL]
        absent = [name for name in names if not (settings.local_stt_dir / name).is_file()]
        problem = problem or (f"{settings.local_stt_dir} lacks {' and '.join(absent)}" if absent else "")
        why += f", LOCAL_STT_DIR is {settings.local_stt_dir}"
    else:
        problem = problem or _missing_files(files, models.SPEECH_TO_TEXT_MODEL)
    return RoleFinding("stt", "moonshine", problem, why=why, indispensable=True)


def _language_model(name: str, settings: Settings, files: Inventory, why: str, ask: bool) -> RoleFinding:
    if name != LOCAL and (endpoint := settings.llm_endpoint):
        found = _server("llm", endpoint.model, endpoint.base_url, why)
        return _asked(settings, endpoint, found) if ask and found.well else found
    problem = _missing_package("xllamacpp")
    if settings.local_llm_path:
        problem = problem or _missing_path(settings.local_llm_path)
        what, why = settings.local_llm_path.name, f"{why}, LOCAL_LLM_PATH is {settings.local_llm_path}"
    else:
        problem = problem or _missing_files(files, (models.LANGUAGE_MODEL,))
        what = "SmolLM2-135M (a smoke-test brain)"
    return RoleFinding("llm", what, problem, why=why, indispensable=True)


def _asked(settings: Settings, endpoint: LanguageModelEndpoint, found: RoleFinding) -> RoleFinding:
    """The same finding after a question: why it was not answered, or what had to be left out of it."""

    tools = [each.spec for each in built_in(settings.tools)]

    async def question() -> tuple[str, tuple[str, ...]]:
        async with http_client() as http:
            model = remote_language_model(settings, endpoint, http, tools)
            try:
                await model.check()
            except ProviderError as error:
                return without_passwords(error.failure.message), model.learnt
            return "", model.learnt

    problem, learnt = trio.run(question)
    return attrs.evolve(found, detail="; ".join((found.detail, *learnt)), problem=problem)


def _text_to_speech(name: str, settings: Settings, why: str) -> RoleFinding:
    if name != LOCAL:
        return _server("tts", f"cartesia, {settings.tts_model}", settings.cartesia_base_url, why)
    problem = _missing_package("hibari") or _missing_package("onnxruntime")
    if settings.local_tts_model:
        problem = problem or _missing_path(settings.local_tts_model)
        why += f", LOCAL_TTS_MODEL is {settings.local_tts_model}"
    return RoleFinding("tts", "hibari", problem, why=why, indispensable=True)


def _voice_activity(settings: Settings, files: Inventory) -> RoleFinding:
    problem = _missing_package("onnxruntime")
    if settings.local_vad_path:
        problem = problem or _missing_path(settings.local_vad_path)
        return RoleFinding("vad", "silero", problem, why=f"LOCAL_VAD_PATH is {settings.local_vad_path}")
    problem = problem or _missing_files(files, (models.VOICE_ACTIVITY_MODEL,))
    return RoleFinding("vad", "silero", problem, why="embedded always")


def _turn_model(settings: Settings) -> Iterator[RoleFinding]:
    if path := settings.turn_model:
        problem = _missing_package("onnxruntime") or _missing_path(path)
        yield RoleFinding("turn", "smart-turn-v3", problem, why=f"TURN_MODEL is {path}")


def _server(role: str, what: str, address: str, why: str) -> RoleFinding:
    """The finding for a provider that is a server."""
    return RoleFinding(role, f"{what} at {without_passwords(address)}", _unreachable(address), why=why)


def _missing_package(module: str) -> str:
    found = importlib.util.find_spec(module)
    return "" if found else f"the package {module} is not installed; `{install_command('local')}` brings it"


def _missing_path(path: Path) -> str:
    return "" if path.is_file() else f"there is no file {path}"


def _missing_files(files: Inventory, needed: Sequence[ModelFile]) -> str:
    lacking = [file.path for file, status in files if file in needed and status is not Status.PRESENT]
    return f"`{FETCH_COMMAND}` fetches {', '.join(lacking)}" if lacking else ""


def _unreachable(address: str) -> str:
    """Why nothing answers at an address; empty if something answers."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return f"nothing answers at {parts.hostname}, port {port}: {error}"
    return ""


# --- files and settings -----------------------------------------------------------------------------------


def _needed(settings: Settings) -> list[ModelFile]:
    """The files of embedded models that calls would use."""
    listens, thinks = LOCAL in settings.stt_choice.names, LOCAL in settings.llm_choice.names
    return [
        *(models.SPEECH_TO_TEXT_MODEL if listens and not settings.local_stt_dir else ()),
        *((models.LANGUAGE_MODEL,) if thinks and not settings.local_llm_path else ()),
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


# --- output ----------------------------------------------------------------------------------------------


def as_json(findings: Findings) -> str:
    """One JSON object, with `ready` first."""
    return json.dumps({"ready": findings.ready} | attrs.asdict(findings), indent=2) + "\n"


def show(findings: Findings, console: Console | None = None) -> None:
    """Print tables for people; not on a terminal, as plain text with a line for each finding."""
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
            console.print(Text(neutral(title), "bold"))
            console.print(_table(rows))
        console.print(_conclusion(findings))
    console.file.write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def _table(rows: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 0))
    for finding in rows:
        table.add_row(_verdict(finding), Text(neutral(finding.subject)), Text(neutral(_explanation(finding))))
    return table


def _verdict(finding: Finding) -> Text:
    if finding.well:
        return Text("ok", "green")
    return Text("PROBLEM", "bold red") if finding.hinders else Text("NOTE", "yellow")


def _explanation(finding: Finding) -> str:
    text = finding.detail
    if isinstance(finding, RoleFinding):
        text += f" ({finding.why})"
    return text if finding.well else f"{text}: {finding.problem}"


def _conclusion(findings: Findings) -> Text:
    if wrong := findings.hindrances:
        return Text(f"No call can be made until this is mended: {', '.join(wrong)}.", "bold red")
    fewer = dict.fromkeys(finding.subject for finding in findings.roles if not finding.well)
    told = f", with fewer providers than wanted for {', '.join(fewer)}" if fewer else ""
    return Text(f"A call can be made{told}: start with `vantum serve`.", "yellow" if fewer else "green")
