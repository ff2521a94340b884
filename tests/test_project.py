"""The project itself: what lies where, pinned packages, no machine's own paths or hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import partial
from glob import iglob
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
glob = partial(iglob, root_dir=ROOT, recursive=True)
TOP_LEVEL = {
    "pyproject.toml",
    "orchestrator",
    "machines",
    "adapters",
    "protocol",
    "tests",
    "diagrams",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Makefile",
    "LICENSE",
    ".ci",
    ".gitignore",
    "benchmarks",
    "examples",
    "docs",
    "deploy",
}
ASYNCIO = {
    "orchestrator/hosting/asyncio_border.py",
    "benchmarks/asyncio_host.py",
    "benchmarks/load/callers.py",
    "benchmarks/load/event_loop.py",
    "benchmarks/load/parrot.py",
    "benchmarks/load/vendors.py",
    "benchmarks/load/websocket.py",
    "benchmarks/load/peers/livekit_server.py",
    "benchmarks/pieces.py",
    "tests/benchmarks/test_load.py",
    "examples/fastapi_host.py",
    "tests/examples/test_examples.py",
    "tests/orchestrator/hosting/test_asyncio_host.py",
    "tests/orchestrator/cli/test_interface.py",
}
"""Where asyncio may be imported: the border to hosts that run under it, what measures and what shows it."""
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *sorted(glob("docs/**/*.md")))
"""Documents for people."""
PACKAGES = {
    "browser": "chromium",
    "models": "models fetch",
    "nginx": "nginx-light",
    "node": "nodejs",
    "postgres": "postgresql",
}
"""What brings what tests with these marks need."""
OF_TODAY = tuple(name for name in PAPERS if not name.startswith(("docs/decisions/", "CHANGELOG")))
"""Those that say how things are now: every path in them leads somewhere."""
REQUIREMENTS = {"run": ("local",), "test": ("local", "dev")}


def tracked_files() -> list[Path]:
    """Every file that is committed, or would be by `git add`."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(name: str) -> dict[str, int]:
    """The packages of a requirements file, each with how many hashes it has."""
    text = (ROOT / ".ci" / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"(?m)^(?=\w)", text)
    return {normal(re.split(r"==", block)[0]): block.count("--hash=sha256:") for block in blocks if block}


def declared(extras: tuple[str, ...]) -> set[str]:
    """The packages that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["build-system"]["requires"]
    for extra in extras:
        wanted += project["project"]["optional-dependencies"][extra]
    return {normal(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in wanted}


def test_the_top_level_holds_only_what_the_owner_allows() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert found <= TOP_LEVEL


def test_no_machines_own_paths_and_no_registrys_hosts_are_committed() -> None:
    forbidden = re.compile(
        r"(?<![\w.~])/(?:work|root|home|farm|Users)/\w"
        r"|--(?:extra-)?index-url|--trusted-host|https?://\S+/simple\b"
        r"|\"resolved\":\s*\"https?:|^\s*registry\s*=",
        re.MULTILINE,
    )
    found = []
    for path in tracked_files():
        if path == Path(__file__).resolve() or path.stat().st_size > 2_000_000:
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in forbidden.finditer(text)]
    assert found == []


def test_no_model_weights_and_no_big_files_are_committed() -> None:
    found = [
        path.name for path in tracked_files() if path.suffix in {".onnx", ".ort", ".gguf", ".whl", ".bin"}
    ]
    assert found == []
    assert [path.name for path in tracked_files() if path.stat().st_size > 3_000_000] == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_pinned_package_has_hashes(name: str) -> None:
    assert [package for package, hashes in pinned(name).items() if hashes == 0] == []


@pytest.mark.parametrize(("name", "extras"), REQUIREMENTS.items())
def test_everything_that_pyproject_asks_for_is_pinned(name: str, extras: tuple[str, ...]) -> None:
    """If this fails: `make requirements`."""
    assert declared(extras) - set(pinned(name)) == set()


def test_every_package_that_a_server_installs_is_in_the_review() -> None:
    """If this fails: add a row to docs/dependencies.md, or delete one."""
    review = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    reviewed = {normal(name) for name in re.findall(r"(?m)^\| ([\w.-]+) \|", review)} - {"package"}
    assert reviewed == set(pinned("run"))


def test_requirements_hold_names_versions_and_hashes_only() -> None:
    line = re.compile(r"[\w.-]+==[\w.!+-]+( ; [^#@:/]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?")
    for name in REQUIREMENTS:
        lines = (ROOT / ".ci" / "requirements" / f"{name}.txt").read_text().splitlines()
        assert [odd for odd in lines if not line.fullmatch(odd)] == []


def test_running_and_testing_use_the_same_versions() -> None:
    def versions(name: str) -> set[str]:
        text = (ROOT / ".ci" / "requirements" / f"{name}.txt").read_text()
        return set(re.findall(r"(?m)^\w.*?(?= \\$)", text))

    assert versions("run") <= versions("test")


def test_the_makefile_has_the_promised_targets() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test", "bench", "diagrams", "clean", "help"} <= set(re.findall(r"make (\w+)", shown))


def test_continuous_integration_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_no_test_is_skipped_on_continuous_integration_for_want_of_a_program() -> None:
    """Programs have marks: `tests/conftest.py` skips these on a developer's machine only."""
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    needed = {name for name, _, meaning in (each.partition(": ") for each in markers) if "needs" in meaning}
    sees_to_it = (ROOT / ".ci" / "tools").read_text() + "models fetch"
    assert {name for name in needed if PACKAGES[name] not in sees_to_it} == set()
    asking = re.compile(r"skipif\([^)\n]*\b(which\(|[A-Z]+ is None)")
    tests = (path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_project.py")
    # `setpriv` is on every Linux, and of use to root only.
    assert {path.name for path in tests if asking.search(path.read_text("utf-8"))} <= {"test_peer_process.py"}


def test_asyncio_is_imported_by_the_border_to_asyncio_hosts_alone() -> None:
    importing = re.compile(r"(?m)^\s*(import|from) asyncio\b")
    modules = [path for path in tracked_files() if path.suffix == ".py"]
    found = {str(path.relative_to(ROOT)) for path in modules if importing.search(path.read_text())}
    assert found <= ASYNCIO, "see orchestrator/hosting/asyncio_border.py"


# --- documents --------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", text)


def anchors(text: str) -> set[str]:
    """What links into a document may name: its headings, written as GitHub writes them in addresses."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """The targets of a document's links and pictures that are in this repository."""
    found = re.findall(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"", prose(text))
    return [target for pair in found for target in pair if target and not re.match(r"\w+:", target)]


def broken_links(name: str, text: str) -> list[str]:
    """The links of document `name` that lead nowhere, to a file or to a heading."""
    broken = []
    for target in links(text):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def missing_paths(text: str) -> list[str]:
    """The paths in backticks, from the root of the repository on, that do not exist; and names of modules
    without a folder that no module has."""
    tops = "|".join(re.escape(name) for name in sorted(TOP_LEVEL))
    named = re.findall(rf"`((?:{tops})/[\w./-]*)`", prose(text))
    modules = {path.name for path in tracked_files()}
    bare = re.findall(r"`(\w+\.(?:py|js))`", prose(text))
    return [path for path in named if not (ROOT / path).exists()] + [
        name for name in bare if name not in modules
    ]


@pytest.mark.parametrize("name", PAPERS)
def test_every_link_between_documents_leads_somewhere(name: str) -> None:
    assert broken_links(name, (ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", OF_TODAY)
def test_every_path_in_a_document_exists(name: str) -> None:
    assert missing_paths((ROOT / name).read_text(encoding="utf-8")) == []


def test_a_link_or_a_path_that_leads_nowhere_is_found() -> None:
    text = "[a](docs/gone.md) [b](README.md#none) [c](README.md#limits) `machines/gone.py` `gone.js` `docs/`"
    assert broken_links("README.md", text) == ["docs/gone.md", "README.md#none"]
    assert missing_paths(text) == ["machines/gone.py", "gone.js"]


def test_every_document_is_linked_from_the_readme_or_an_index() -> None:
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAPERS}
    linked = {
        ((ROOT / name).parent / target.partition("#")[0]).resolve()
        for name in ("README.md", "docs/README.md", "docs/decisions/README.md")
        for target in links(texts[name])
    }
    assert [name for name in PAPERS if name != "README.md" and (ROOT / name).resolve() not in linked] == []


def test_the_words_of_the_glossary_are_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [re.sub(r"[^\w ]", "", term).lower() for term in re.findall(r"(?m)^\* \*\*(.+?)\*\*", text)]
    assert len(terms) > 50
    assert terms == sorted(terms)


@pytest.mark.models
def test_the_program_in_the_readme_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [program] = re.findall(r"(?ms)^```python\n(.*?)^```", text)
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"(?m)^\d+ samples at 24000 Hz$", ran.stdout)


def test_the_readme_tells_of_the_check_what_its_report_says() -> None:
    readme, report = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/check.md"))
    models, configurations, facts = re.findall(
        r"of (\d+) bounded models of a call was visited: \*\*([\d,]+)\*\*.*\*\*([\d,]+)\*\* facts", report
    )[0]
    held = len(re.findall(r"(?m)^\| `\w+` \|.* \| held \|$", report))
    assert f"{models} bounded models of a call and holds {held} invariants in each" in readme
    assert f"{configurations} configurations, {facts} facts" in readme
