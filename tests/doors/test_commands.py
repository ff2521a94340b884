"""What commands send to a server that has keys, and what they say if that is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from machines.facts import TurnMode
from orchestrator.cli.main import main
from orchestrator.cli.talk_client import TalkError, talk_client
from tests.doors.table import a_server
from tests.page.servers import Served, served

KEY = "the key of these tests"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(api_token=KEY, data_dir=tmp_path) as running:
        yield running


async def test_talk_sends_its_key() -> None:
    async with a_server(keys=True) as running:
        url = f"ws://127.0.0.1:{running.port}/ws"
        async with talk_client(url, TurnMode.MANUAL, key="vsk_caller"):
            pass
        for wrong in (None, "vsk_nobody"):
            with pytest.raises(TalkError, match=r"refuses a WebSocket \(401\): a key or token is needed"):
                async with talk_client(url, TurnMode.MANUAL, key=wrong):
                    raise AssertionError("it must not be let in")


def test_a_token_that_is_ordered_by_a_command_lets_a_browser_in(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANTUM_API_KEY", KEY)
    url = f"http://127.0.0.1:{server.port}"
    printed = CliRunner().invoke(main, ["token", "--url", url])
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.strip().count(".") == 2
    link = CliRunner().invoke(main, ["token", "--url", f"{url}/", "--link", "--uses", "3"])
    assert link.stdout.startswith(f"{url}/#token=")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--key", "wrong"], "The server refuses: a key or token is needed"),
        (["--key", KEY, "--uses", "0"], "The server refuses: uses:"),
    ],
)
def test_a_token_that_is_refused_is_an_error_of_one_sentence(
    server: Served, more: list[str], said: str
) -> None:
    result = CliRunner().invoke(main, ["token", "--url", f"http://127.0.0.1:{server.port}", *more])
    assert result.exit_code == 1
    assert said in result.output
    assert KEY not in result.output
