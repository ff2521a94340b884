"""The talk page: its modules under Node, and that it needs nothing but its own files."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestrator.sessions.call_socket import CloseCode

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "orchestrator" / "server" / "page"
CHECKS = sorted(HERE.glob("*.test.mjs"))
SCRIPTS = sorted(PAGE.glob("*.js"))
IMPORTED = re.compile(r"(?:from|import|new URL\()\s*'([^']+)'")


@pytest.mark.node
@pytest.mark.parametrize("check", CHECKS, ids=lambda path: path.name.removesuffix(".test.mjs"))
def test_modules_behave(check: Path) -> None:
    command = ["node", "--test", "--test-reporter=tap", str(check)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^# pass [1-9]", run.stdout, re.MULTILINE), run.stdout


class _Elements(HTMLParser):
    """Collects every start tag of a document with its attributes, and the text inside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture
def document() -> _Elements:
    parsed = _Elements()
    parsed.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    return parsed


def test_nothing_is_inline_so_that_the_policy_may_be_strict(document: _Elements) -> None:
    assert document.inline == ""
    for tag, attributes in document.found:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_the_document_refers_only_to_files_of_the_page(document: _Elements) -> None:
    named = [attributes.get("src") or attributes.get("href") for _, attributes in document.found]
    paths = [path for path in named if path is not None]
    assert paths
    for path in paths:
        if path == "diagrams/conversation.svg":  # drawn by the server
            continue
        assert path.startswith("page/"), (
            f"{path} is not relative to the page, which a proxy may serve anywhere"
        )
        assert (PAGE / path.removeprefix("page/")).is_file(), path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_only_files_of_the_page(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    for path in IMPORTED.findall(source):
        if path != "ws":
            assert path.startswith("./"), path
            assert (PAGE / path).is_file(), path


@pytest.mark.parametrize("code", list(CloseCode))
def test_the_page_and_the_document_know_what_every_close_code_means(code: CloseCode) -> None:
    assert f"\n  {code}: {{" in (PAGE / "close-codes.js").read_text(encoding="utf-8")
    if code is not CloseCode.POLICY_VIOLATION:  # for telephones only
        assert f"\n| {code} |" in (PAGE.parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_no_address_of_another_host_is_loaded() -> None:
    for file in (*SCRIPTS, PAGE / "style.css"):
        source = file.read_text(encoding="utf-8")
        assert not re.findall(r"https?://[^\s'\"`)]+", source), file.name
        assert "url(" not in source.replace("createObjectURL(", ""), file.name


def test_every_element_the_scripts_ask_for_exists(document: _Elements) -> None:
    present = {attributes["id"] for _, attributes in document.found if "id" in attributes}
    asked = set(re.findall(r"\b(?:at|write)\('([\w-]+)'", (PAGE / "app.js").read_text(encoding="utf-8")))
    assert asked
    assert asked <= present


def test_every_control_has_a_name(document: _Elements) -> None:
    source = (PAGE / "index.html").read_text(encoding="utf-8")
    for words in re.findall(r"<button[^>]*>(.*?)</button>", source, re.DOTALL):
        assert re.sub(r"<[^>]+>", "", words).strip()
    for tag, attributes in document.found:
        if tag == "canvas":
            assert attributes.get("aria-label")
