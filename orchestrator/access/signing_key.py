"""The key that signs client tokens: of a setting, or of a file that only this user can read."""

from __future__ import annotations

import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from attrs import field, frozen

from adapters.logs import library_logger

log = library_logger(__name__)

FILE_NAME = "client-token-key"
KEY_BYTES = 32
"""The least that HS256 may be given (RFC 7518, 3.2)."""


@frozen
class SigningKey:
    """A secret for HS256, and the name by which tokens refer to it."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Its `kid`: tells keys apart, and tells nothing of them."""
        return blake2b(self.secret, digest_size=8, person=b"vantum kid").hexdigest()


def kept_key(directory: Path) -> SigningKey:
    """The key in this directory, made at its first use. Where none can be kept, one for this process, with a
    warning."""
    path = directory / FILE_NAME
    try:
        return SigningKey(_read(path) or _made(path))
    except (OSError, ValueError) as error:
        log.warning(
            "client tokens are valid until the server stops: their key cannot be kept in DATA_DIR",
            error=str(error),
        )
        return SigningKey(secrets.token_bytes(KEY_BYTES))


def _read(path: Path) -> bytes | None:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    if len(secret) < KEY_BYTES:
        raise ValueError(f"{path} must hold {2 * KEY_BYTES} hexadecimal digits")
    return secret


def _made(path: Path) -> bytes:
    """A new key in the file. Of several processes that make one at once, all take the first one's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    new.touch(mode=0o600, exist_ok=False)
    try:
        new.write_text(secrets.token_hex(KEY_BYTES) + "\n", encoding="ascii")
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink()
    secret = _read(path)
    if secret is None:
        raise ValueError(f"{path} was taken away")
    return secret
