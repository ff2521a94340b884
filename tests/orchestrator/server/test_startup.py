"""A server that starts, or cannot."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import trio

from adapters.embedded.models import ModelsError
from orchestrator.server.startup import Bound, open_listeners, serve, serve_with
from orchestrator.settings.settings import Settings
from tests.orchestrator.real_servers import quick_providers

Watch = Callable[[], AbstractContextManager[None]]


@pytest.mark.slow
async def test_a_port_that_is_taken_is_an_error_that_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing(), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            await open_listeners(Settings(host="127.0.0.1", port=taken.getsockname()[1]))


@pytest.mark.slow
async def test_missing_models_are_an_error_that_leaves_nothing(leaves_nothing: Watch, tmp_path: Path) -> None:
    settings = Settings(host="127.0.0.1", port=0, local_models_dir=tmp_path)
    announced: list[int] = []
    with pytest.RaisesGroup(ModelsError, flatten_subgroups=True):
        await serve(settings, announced.append)  # loads libraries that keep files of their own open
    with leaves_nothing(), pytest.RaisesGroup(ModelsError, flatten_subgroups=True):
        await serve(settings, announced.append)
    assert announced == []


async def test_the_server_says_where_it_listens() -> None:
    settings = Settings(host="127.0.0.1", port=0)
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners(settings)
        bound = await nursery.start(serve_with, settings, quick_providers().for_calls(), listeners)
        assert isinstance(bound, Bound)
        assert json.dumps(bound.server.health())
        assert bound.server.capacity.most == settings.local_max_calls
        nursery.cancel_scope.cancel()
