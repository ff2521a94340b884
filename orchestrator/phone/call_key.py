"""The key by which `vantum call` makes calls over a server of the same user on this machine.

What a request says of itself does not tell that it comes from this machine: a proxy or tunnel here may pass
on anybody's. A file that only its user can read does.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.logs import library_logger
from orchestrator.secret_files import write_secret

log = library_logger(__name__)


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_urlsafe(32)


def key_file(port: int) -> Path:
    """Where the key of the server at this port is."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "vantum" / f"call-key-{port}"


def read_key(port: int) -> str | None:
    """The key of the server at this port; None if there is none that this user may read."""
    try:
        return key_file(port).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError, RuntimeError):  # RuntimeError: there is no home
        return None


@contextmanager
def kept_key(port: int, key: str) -> Iterator[None]:
    """Keep the key in its file while the block runs. Where that is impossible, it is logged."""
    try:
        path = key_file(port)
        write_secret(path, key)
    except (OSError, RuntimeError) as error:
        log.warning("`vantum call` needs API_TOKEN: its own key cannot be kept", error=str(error))
        yield
        return
    try:
        yield
    finally:
        # Another server may have taken the port meanwhile.
        if read_key(port) == key:
            with suppress(OSError):
                path.unlink()
