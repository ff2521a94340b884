"""Keys and tokens at real sockets: once is once, what a token fixes holds, and nothing of it is ever told."""

from __future__ import annotations

import json
import logging
import string
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
from attrs import evolve
from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount, Route

from orchestrator.access.client_tokens import ClientTokens, TokenOrder
from orchestrator.access.doors import Doors
from orchestrator.access.grants import Scope
from orchestrator.access.memory_book import MemoryKeyBook
from orchestrator.access.signing_key import SigningKey
from orchestrator.journal.format import read_journal
from orchestrator.server.startup import open_listeners, serve
from orchestrator.sessions.session import Session
from orchestrator.settings.settings import Settings, SettingsError
from tests.doors.table import Shown, a_server, answer, ask, call
from tests.orchestrator.access.shown import SIGNING, book, login_token, signed
from tests.orchestrator.real_servers import Running, eventually, serving
from tests.orchestrator.wire_clients import connect

CALLER = Shown("a key", "vsk_caller")


async def minted(running: Running, shown: Shown = CALLER, **order: Any) -> str:
    """A client token."""
    status, headers, body = await answer(running, shown, "POST", "/v1/client-tokens", order)
    assert status == "201", body
    assert headers["cache-control"] == "no-store"
    return str(json.loads(body)["token"])


def by_page(running: Running, token: str) -> Shown:
    return Shown("a token", token, f"http://localhost:{running.port}")


# --- client tokens ----------------------------------------------------------------------------------------


async def test_a_token_is_used_once_unless_more_was_asked_for() -> None:
    async with a_server(keys=True) as running:
        once, thrice = await minted(running), await minted(running, uses=3)
        assert [await call(running, by_page(running, once)) for _ in range(2)] == ["let in", "4401"]
        assert [await call(running, by_page(running, thrice)) for _ in range(4)] == ["let in"] * 3 + ["4401"]


async def test_of_ten_who_use_a_token_in_the_same_moment_one_is_let_in() -> None:
    answers: list[str] = []
    async with a_server(keys=True) as running:
        shown = Shown("a token", await minted(running))

        async def use() -> None:
            answers.append(await call(running, shown))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(use)
    assert sorted(answers) == ["401"] * 9 + ["let in"]


async def test_a_token_of_another_grant_spends_no_use() -> None:
    async with a_server(keys=True) as running:
        reads = Shown("a token", await minted(running, Shown("a key", "vsk_admin"), scopes=["read"]))
        assert await call(running, reads) == "403"
        assert await ask(running, reads, "GET", "/calls") == "200"
        assert await ask(running, reads, "GET", "/calls") == "401"


async def test_a_token_is_void_once_its_key_is_revoked() -> None:
    async with a_server(keys=True) as running:
        token = await minted(running)
        running.server.doors.book = book(other=frozenset({Scope.CALL}))
        assert await call(running, by_page(running, token)) == "4401"


async def test_when_the_last_key_is_revoked_nobody_is_let_in_without_one() -> None:
    async with a_server(keys=False) as running:
        nobody = Shown("nothing, on this machine")
        assert await call(running, nobody) == "let in"
        revoked = {
            digest: evolve(key, revoked_ms=1)
            for digest, key in book(gone=frozenset({Scope.CALL})).keys.items()
        }
        running.server.doors.book = MemoryKeyBook(revoked)
        assert await call(running, nobody) == "401"
        assert await call(running, evolve(nobody, origin=f"http://localhost:{running.port}")) == "4401"
        assert await ask(running, nobody, "POST", "/v1/client-tokens", {}) == "401"
        assert await call(running, Shown("the own key", running.server.phone.own_key)) == "let in"
        with pytest.raises(SettingsError, match="nobody has a key"):
            running.server.doors.check_reach(["0.0.0.0"])


@pytest.mark.slow
async def test_a_thousand_wrong_tokens_are_all_answered_alike() -> None:
    async with a_server(keys=True) as running:
        right = await minted(running)
        told: Counter[tuple[object, ...]] = Counter()
        for number in range(1000):
            at = number % (len(right) - 2)
            letter = string.ascii_letters[number % 52]
            wrong = right[:at] + (letter if right[at] != letter else "-") + right[at + 1 :]
            status, headers, body = await answer(running, Shown("it", wrong), "POST", "/v1/client-tokens", {})
            told[status, body, *sorted((name, headers[name]) for name in headers if name != "date")] += 1
        [(first, *_)] = told
        assert (first, told.total()) == ("401", 1000)
        assert await call(running, by_page(running, right)) == "let in"


PUBLIC = {
    ("GET", "/"): "200",
    ("GET", "/health"): "200",
    ("GET", "/ready"): "200",
    ("GET", "/diagrams/conversation.svg"): "200",
    ("GET", "/page"): "307",
    ("GET", "/ws"): "426",
    ("GET", "/twilio/media"): "426",
    # These ask for Twilio's signature, where there is an account.
    ("POST", "/twilio/voice"): "404",
    ("POST", "/twilio/status"): "404",
}
"""What a server does for strangers, and how it answers them."""


def endpoints(routes: Sequence[BaseRoute]) -> list[tuple[str, str]]:
    """Methods and paths of everything that a server answers over HTTP."""
    found = []
    for route in routes:
        assert isinstance(route, Route | Mount), route
        methods = (route.methods or {"GET"}) if isinstance(route, Route) else {"GET"}
        found += [(method, route.path) for method in sorted(methods - {"HEAD"})]
    return found


@pytest.mark.parametrize("keys", [True, False])
async def test_every_endpoint_asks_for_a_key_but_those_that_are_for_all(keys: bool) -> None:
    async with a_server(keys=keys) as running:
        every = endpoints(running.server._app.routes)
        assert set(PUBLIC) < set(every)
        # From elsewhere: this machine may have tokens where there are no keys.
        stranger = Shown("nothing", host="voice.example")
        answers = {
            (method, path): await ask(running, stranger, method, path.replace("{call_id}", "one"), {})
            for method, path in every
        }
    wrong = {each: told for each, told in answers.items() if told != PUBLIC.get(each, "401")}
    assert wrong == {}


async def test_who_may_only_talk_can_do_nothing_else_at_any_endpoint() -> None:
    async with a_server(keys=True) as running:
        every = [each for each in endpoints(running.server._app.routes) if each not in PUBLIC]
        answers = {
            (method, path): await ask(running, CALLER, method, path.replace("{call_id}", "one"), {})
            for method, path in every
        }
    assert {each for each, status in answers.items() if status != "403"} == {("POST", "/v1/client-tokens")}


async def test_the_same_is_told_whatever_is_wrong() -> None:
    wrong = [
        None,
        "vsk_nobody",
        signed("x" * 64),
        signed(exp=1),
        signed(iss="x"),
        login_token(aud="x"),
        "a.b.c",
    ]
    async with a_server(keys=True) as running:
        bodies = [await answer(running, Shown("wrong", each), "GET", "/calls") for each in wrong]
    assert len({(status, body, headers["www-authenticate"]) for status, headers, body in bodies}) == 1


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"expires_in_s": 5}, "expires_in_s"),
        ({"agent": "sales"}, "agent"),
        ({"tools": ["launch"]}, "launch"),
        ({"scopes": ["dial"]}, "does not allow"),
        ([], "the body"),
    ],
)
async def test_an_order_of_a_token_that_cannot_be_met_is_refused_with_the_reason(
    order: Any, said: str
) -> None:
    async with a_server(keys=True) as running:
        status, _, body = await answer(running, CALLER, "POST", "/v1/client-tokens", order)
        assert status in ("400", "403")
        assert said in json.loads(body)["error"]


async def test_a_token_in_the_address_counts_where_a_setting_says_so() -> None:
    for allowed in (False, True):
        async with a_server(keys=True, token_in_query=allowed) as running:
            token = await minted(running)
            nothing = Shown("nothing")
            path = f"/calls?token={token}"
            assert await ask(running, nothing, "GET", path) == ("403" if allowed else "401")
            path = f"/ws?token={token}"
            page = by_page(running, token)
            assert await call(running, nothing, path=path) == ("let in" if allowed else "401")
            assert await call(running, evolve(page, credential=None), path=path) == "4401", (
                "spent, or not seen"
            )
            # Beside a subprotocol it is not looked at.
            again = f"/ws?token={await minted(running)}"
            assert await call(running, evolve(page, credential="x.y.z"), path=again) == "4401"


# --- what a token fixes -----------------------------------------------------------------------------------


async def test_what_a_token_fixes_holds_and_the_journal_begins_with_its_metadata(tmp_path: Path) -> None:
    kept = tmp_path
    async with serving(client_token_key=SIGNING, journal_dir=kept, tools="end_call,send_digits") as running:
        tokens = ClientTokens(SigningKey(SIGNING.encode()))
        order = {
            "voice": "kyle",
            "max_duration_s": 90.0,
            "tools": ["end_call"],
            "metadata": {"customer": "Ann"},
        }
        token, _ = tokens.mint(TokenOrder.model_validate(order), "shop", None, time.time())
        headers = [(b"authorization", f"Bearer {token}".encode())]
        async with connect(running.port, v2=True, headers=headers) as client:
            [session] = running.server.sessions
            assert isinstance(session, Session)
            assert session.settings.max_duration_s == 90
            assert [each.name for each in session.settings.tools] == ["end_call"]
            other = await client.send("audio.input.start", {"samplingRate": 16_000, "voiceId": "eve"})
            refused = await client.answer_to(other)
            assert refused["eventType"] == "audio.error.invalid_format"
            assert "fixed by the token" in refused["payload"]["error"]["message"]
            right = await client.send("audio.input.start", {"samplingRate": 16_000})
            assert (await client.answer_to(right))["payload"]["success"] is True
            assert session.voice_id == "kyle"
        await eventually(lambda: not running.server.sessions)
    [journal] = kept.glob("*.journal")
    assert json.loads(read_journal(journal).head.about.metadata) == {"customer": "Ann"}


async def test_a_redacted_journal_does_not_tell_the_metadata(tmp_path: Path) -> None:
    kept = tmp_path
    async with serving(client_token_key=SIGNING, journal_dir=kept, journal_transcripts="redacted") as running:
        token, _ = ClientTokens(SigningKey(SIGNING.encode())).mint(
            TokenOrder(metadata={"customer": "Annabel"}), "shop", None, time.time()
        )
        async with connect(running.port, headers=[(b"authorization", f"Bearer {token}".encode())]):
            pass
        await eventually(lambda: not running.server.sessions)
    [journal] = kept.glob("*.journal")
    told = read_journal(journal).head.about.metadata
    assert "Annabel" not in told
    assert len(told) == len('{"customer": "Annabel"}')


# --- what is never told, and where nobody may listen -------------------------------------------------------


async def test_no_credential_comes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_server(keys=True, token_in_query=True) as running:
        token = await minted(running)
        shown = ["vsk_caller", "the old token", "vsk_nobody", token, login_token(), signed("x" * 64)]
        for credential in shown:
            await call(running, Shown("it", credential))
            await call(running, by_page(running, credential))
            await call(running, Shown("it", credential, "https://other.example"))
            await ask(running, Shown("it"), "GET", f"/calls?token={credential}")
            await ask(running, Shown("it"), "GET", f"/nothing?token={credential}")
            await call(running, Shown("it"), path=f"/ws?token={quote(credential)}")
            await call(running, Shown("it", credential), subprotocols=[f"vantum.token.{credential}"])
    assert "refused" in caplog.text, "something is logged"
    assert not [credential for credential in shown if credential in caplog.text]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_without_a_key_a_server_that_others_could_reach_does_not_start(host: str) -> None:
    settings = Settings(host=host, port=0)
    with pytest.raises(SettingsError, match=r"^HOST is .*`vantum keys create`.*API_TOKEN.*ALLOW_ANYBODY"):
        await serve(settings, lambda port: None)


@pytest.mark.parametrize("chosen", [{"api_token": "s3cret"}, {"allow_anybody": True}])
async def test_with_one_it_does(chosen: dict[str, Any]) -> None:
    listeners = await open_listeners(Settings(host="127.0.0.1", port=0))
    Doors(Settings(**chosen), "own").check_reach(["0.0.0.0"])
    for each in listeners:
        await each.aclose()


def test_of_one_key_for_everything_a_better_way_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Doors(Settings(), "own").check_reach(["127.0.0.1"])
    assert "API_TOKEN" not in caplog.text
    Doors(Settings(api_token=SecretStr("the old token")), "own").check_reach(["127.0.0.1"])
    assert "API_TOKEN is one key for everything: `vantum keys create` makes keys" in caplog.text


async def test_anybody_may_talk_where_the_operator_says_so_and_nobody_may_dial() -> None:
    async with a_server(keys=False, allow_anybody=True) as running:
        stranger = Shown("nothing", host="voice.example")
        assert await call(running, stranger) == "let in"
        assert await call(running, evolve(stranger, origin="https://other.example")) == "4403"
        assert await ask(running, stranger, "GET", "/calls") == "401"
        assert await ask(running, stranger, "POST", "/calls", {"to": "+15005550006"}) == "401"


async def test_only_pages_that_may_talk_may_read_how_the_server_is() -> None:
    async with a_server(keys=True) as running:
        for origin, readable in (
            ("https://shop.example", True),
            ("https://other.example", False),
            ("null", False),
        ):
            for path in ("/health", "/ready"):
                _, headers, _ = await answer(running, Shown("a page", origin=origin), "GET", path)
                assert headers.get("access-control-allow-origin") == (origin if readable else None)
