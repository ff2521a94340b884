"""What commands print of callers, models, servers and files: it cannot order the terminal about."""

from __future__ import annotations

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from orchestrator.cli.commands.usage import BadSetting, Complaint, UnreadableFile
from orchestrator.cli.doctor import Findings, RoleFinding, show
from orchestrator.cli.main import main
from orchestrator.cli.microphone import Loudspeaker
from orchestrator.cli.printing import print_plain, say
from protocol import ConversationResponseToken, TranscriptResult

EVIL = "\x1b]0;owned\x07\x1b[2J\rall is well\u202e\u2066\x9b1m\u2028"
ORDERS = set("\x1b\x07\r\u202e\u2066\x9b\u2028")


def test_lines_are_neutral(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL + "\n")
    print_plain(Console(), EVIL)
    loudspeaker = Loudspeaker(io)
    loudspeaker.on_payload(TranscriptResult(EVIL, 0.9, True, None, 1))
    loudspeaker.on_payload(ConversationResponseToken(EVIL, 0, 1))
    printed = capsys.readouterr().out
    assert printed.count("owned") == 4
    assert not set(printed) & ORDERS


@pytest.mark.parametrize("kind", [Complaint, BadSetting, UnreadableFile])
def test_complaints_are_neutral_and_without_passwords(
    kind: type[Complaint], capsys: pytest.CaptureFixture[str]
) -> None:
    kind(f"https://me:p@ss@host/{EVIL} cannot be asked").show()
    printed = capsys.readouterr().err
    assert "owned" in printed
    assert "ss@" not in printed
    assert not set(printed) & ORDERS


def test_what_doctor_found_is_neutral() -> None:
    finding = RoleFinding("llm", EVIL, EVIL, why=EVIL)
    console = Console(file=io.StringIO(), width=200)
    show(Findings((), (finding,), EVIL, (), ()), console)
    assert isinstance(console.file, io.StringIO)
    assert "owned" in console.file.getvalue()
    assert not set(console.file.getvalue()) & ORDERS


def test_an_address_with_a_password_is_not_printed() -> None:
    result = CliRunner().invoke(main, ["talk", "--url", "gopher://me:p@ss@host/ws", "--say", "hello"])
    assert result.exit_code
    assert "ss@host" not in result.output
