"""Journals that somebody made to do harm: they are refused in one sentence, or are data and nothing else."""

from __future__ import annotations

import ast
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgpack  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.facts import Role, TranscriptFinal
from machines.policy import ConversationPolicy
from machines.system import ConversationSystem
from orchestrator.cli.main import main
from orchestrator.journal.exported_test import source_of_test
from orchestrator.journal.format import (
    LONGEST_RECORD,
    MAGIC,
    About,
    Broke,
    Head,
    JournalError,
    Record,
    frame,
    journal_in,
)
from orchestrator.journal.replay_diagram import draw
from orchestrator.journal.replay_report import tell_replay

EVIL = "x\"\"\"'''\nimport os; os.system('true')\r\x1b[2J\u202e\u2028{0}\\"
PATH = Path("a.journal")


def framed(content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(len(content).to_bytes(4, "little")))
    return struct.pack("<II", len(content), checksum) + content


def short_journal() -> list[Record]:
    about = About("0198", "vantum.v2", 1.79e12, dict.fromkeys(Role, ("simulated",)))
    system = ConversationSystem(ConversationPolicy())
    beginning = system.start(0.0)
    fact = TranscriptFinal(1, "hello", 0.9, at_ms=5.0)
    return [Head(about, ConversationPolicy(), {}, 0.0), beginning, system.handle(fact), Broke(fact, "no")]


def contents() -> list[Any]:
    """The records of the short journal as plain data."""
    plain = []
    for record in short_journal():
        data = frame(record).removeprefix(MAGIC)
        plain.append(msgpack.unpackb(data[8:], unicode_errors="surrogatepass"))
    return plain


def journal_bytes(records: list[Any]) -> bytes:
    packed = (msgpack.packb(each, unicode_errors="surrogatepass") for each in records)
    return MAGIC + b"".join(map(framed, packed))


@pytest.mark.parametrize(
    "content",
    [
        b"\xc1",
        b"\x92\x01",
        b"\x92\x01\x02\x03",
        b"\x91" * 5000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\x91\x81\x91\x01\x02",
        b"\x91\xd7\xff" + b"\xff" * 8,
        b"\x91\xa2\xff\xff",
    ],
    ids=["none", "short", "long", "deep", "huge array", "huge text", "a list as key", "a date", "no text"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_record_with_the_right_checksum_and_bad_content_is_an_error(content: bytes, place: int) -> None:
    whole = [msgpack.packb(each) for each in contents()]
    whole[place] = content
    with pytest.raises(JournalError) as caught:
        journal_in(MAGIC + b"".join(map(framed, whole)), PATH)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "record",
    [
        ["fact", [[], []]],
        ["fact", [None, None]],
        ["fact", [[1], []]],
        ["fact", 3],
        ["fact", [contents()[2][1][0], [-1]]],
        ["fact", [contents()[2][1][0], [True]]],
        ["fact", [contents()[2][1][0], [10**9]]],
        ["fact", [[[None, *contents()[2][1][0][0][1:]]], []]],
        ["broke", [[], {}], "no"],
        ["broke", ["__class__", {}], EVIL],
        [EVIL],
        {},
    ],
    ids=str,
)
def test_a_record_that_vantum_never_writes_is_an_error(record: Any) -> None:
    head, beginning, *_ = contents()
    with pytest.raises(JournalError) as caught:
        journal_in(journal_bytes([head, beginning, record]), PATH)
    assert not set(str(caught.value)) & set("\n\r\x1b\u202e\u2028")


@pytest.mark.slow
def test_a_file_in_which_every_byte_seems_to_begin_a_record_is_refused_soon() -> None:
    """Each would have a checksum over half of the file."""
    unit = struct.pack("<I", 0x07A193) + bytes(4)
    with pytest.raises(JournalError, match="is damaged"):
        journal_in(MAGIC + unit * 130_000, PATH)


def test_a_length_that_no_record_has_is_not_read() -> None:
    data = journal_bytes(contents()) + struct.pack("<II", LONGEST_RECORD + 1, 0)
    assert journal_in(data, PATH).torn_bytes == 8


# --- what is made of them ---------------------------------------------------------------------------------


def with_texts_replaced(records: list[Any], by: str) -> tuple[list[Any], int]:
    """The records with every text replaced that Vantum takes as it comes, and how many these are."""
    count = 0

    def taken() -> bool:
        try:
            journal_in(journal_bytes(records), PATH)
        except JournalError as error:
            assert not set(str(error)) & set("\n\r\x1b\u202e\u2028")
            return False
        return True

    def go_through(data: Any) -> None:
        nonlocal count
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            before = data[key]
            if isinstance(before, list | dict):
                go_through(before)
            elif isinstance(before, str):
                data[key] = by
                if taken():
                    count += 1
                else:
                    data[key] = before

    go_through(records)
    return records, count


ALLOWED = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Expr)
FUNCTIONS = {"way", "test_the_call_goes_as_it_went"}
IMPORTED = {"annotations", "effects", "facts", "history", "policy", "system", "tools"}
IMPORTED |= {"Outcome", "Step", "Effect", "Fact"}


def check_holds_literals_only(source: str) -> None:
    """Nothing at the top but what the template has; what is called are classes of the machines."""
    compile(source, "exported", "exec")
    tree = ast.parse(source)
    assert all(isinstance(each, ALLOWED) for each in tree.body)
    assert {each.name for each in tree.body if isinstance(each, ast.FunctionDef)} == FUNCTIONS
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
    assert names <= IMPORTED
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
                assert ast.unparse(call.func).split(".")[0] in {*IMPORTED, "do", "frozenset", "float"}
    assert not set(source) & set("\r\x1b\u202e\u2028")


@pytest.mark.slow
@pytest.mark.parametrize("evil", [EVIL, "\ud800"])
def test_every_text_of_a_journal_is_data_and_nothing_else(evil: str) -> None:
    records, count = with_texts_replaced(contents(), evil)
    assert count > 20
    journal = journal_in(journal_bytes(records), PATH)
    check_holds_literals_only(source_of_test(journal))
    ElementTree.fromstring(draw(journal).encode())
    tell_replay(journal, lambda line: None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def changed_journals(draw_from: st.DrawFn) -> list[Any]:
    """A journal with something in it replaced by anything."""
    records = contents()
    place: Any = records
    while isinstance(place, list | dict) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw_from(st.sampled_from(list(keys)))
        inner = place[key]
        if not isinstance(inner, list | dict) or not inner or draw_from(st.integers(0, 3)) == 0:
            place[key] = draw_from(anything)
            break
        place = inner
    return records


@pytest.mark.repeats
@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(changed_journals())
def test_whatever_is_changed_in_a_journal_it_is_refused_or_repeated(records: list[Any]) -> None:
    try:
        journal = journal_in(journal_bytes(records), PATH)
    except JournalError:
        return
    tell_replay(journal, lambda line: None)
    check_holds_literals_only(source_of_test(journal))
    ElementTree.fromstring(draw(journal).encode())


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf"), 1e308, 2**64 - 1])
def test_numbers_that_no_clock_shows_do_no_harm(number: float) -> None:
    records = contents()
    records[0][2]["about"]["began_at"] = records[0][2]["at_ms"] = number
    records[2][1][0][0][1][1]["at_ms"] = records[2][1][0][0][1][1]["confidence"] = number
    journal = journal_in(journal_bytes(records), PATH)
    check_holds_literals_only(source_of_test(journal))
    ElementTree.fromstring(draw(journal).encode())
    tell_replay(journal, lambda line: None)


@pytest.mark.parametrize("command", ["replay", "export-test"])
def test_what_a_journal_says_does_not_order_the_terminal_about(command: str, tmp_path: Path) -> None:
    head, beginning, fact, _ = contents()
    head[2]["about"]["session_id"] = head[2]["about"]["dialect"] = EVIL
    fact[1][0][0][3] = EVIL
    path = tmp_path / "a\x1b[2J.journal"
    path.write_bytes(journal_bytes([head, beginning, fact]))
    for argument in (str(path), str(tmp_path / "no\x1b[2J.journal")):
        result = CliRunner().invoke(main, [command, argument])
        assert result.output
        assert not set(result.output) & set("\r\x1b\u202e\u2028")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
@pytest.mark.parametrize("command", ["replay", "export-test"])
@pytest.mark.parametrize("what", ["a pipe", "a device", "a link to a device"])
def test_what_is_no_file_is_not_read(what: str, command: str, tmp_path: Path) -> None:
    """Reading it would never end."""
    path = tmp_path / "a.journal"
    if what == "a pipe":
        os.mkfifo(path)
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    elif what == "a device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    told = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", command, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr == f"Error: {path} is no file, so it is no journal.\n"
