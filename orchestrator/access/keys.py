"""Secret keys for programs: how they are made, what a typing error is, and under what hash they are kept.

A secret is `vsk_`, 27 characters that hold 160 random bits, and 6 that hold a checksum of these. The checksum
tells a typing error, or half a key, without a database; it protects nothing. What is kept of a secret is a
hash under another secret, the pepper, so that a copy of the database is not enough to try keys on.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from string import ascii_lowercase, ascii_uppercase, digits

from attrs import field, frozen

PREFIX = "vsk_"
"""Programs that look for secrets in texts know ours by it."""
_RANDOM_BITS = 160
_RANDOM_CHARACTERS = 27
"""62 ** 27 is a little more than 2 ** 160."""
_CHECKSUM_CHARACTERS = 6
"""62 ** 6 is more than 2 ** 32."""
_SHOWN_CHARACTERS = len(PREFIX) + 6
_BASE62 = digits + ascii_uppercase + ascii_lowercase
_ID_BITS = 60
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u, which people take for other characters."""


def new_secret() -> str:
    """A secret that nobody can guess."""
    random = _written(secrets.randbits(_RANDOM_BITS), _BASE62, _RANDOM_CHARACTERS)
    return PREFIX + random + _checksum(random)


def has_form(text: str) -> bool:
    """Whether a text can be a secret at all. One with a typing error cannot."""
    random, checksum = text[len(PREFIX) : -_CHECKSUM_CHARACTERS], text[-_CHECKSUM_CHARACTERS:]
    return (
        text.startswith(PREFIX)
        and len(random) == _RANDOM_CHARACTERS
        and text.isascii()
        and checksum == _checksum(random)
    )


def shown_of(secret: str) -> str:
    """Its first characters, by which people tell keys apart."""
    return secret[:_SHOWN_CHARACTERS]


def new_key_id() -> str:
    """An id for a key, short enough to be typed: `key_` and 12 characters."""
    return "key_" + _written(secrets.randbits(_ID_BITS), _BASE32, 12)


def _checksum(random: str) -> str:
    return _written(zlib.crc32(random.encode("ascii")), _BASE62, _CHECKSUM_CHARACTERS)


def _written(number: int, alphabet: str, length: int) -> str:
    """A number in the digits of an alphabet, filled up with its first one."""
    characters = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        characters.append(alphabet[digit])
    return "".join(reversed(characters))


@frozen
class Pepper:
    """The secret under which secrets are hashed. Whoever has another one cannot use the same keys."""

    _key: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Pepper:
        """The pepper that is written so, in KEY_PEPPER or in its file."""
        return cls(hashlib.blake2b(text.encode()).digest())

    def digest(self, secret: str) -> bytes | None:
        """What is kept of a secret: 32 bytes. None for what cannot be one."""
        return self._hash(secret.encode(), b"key", 32) if has_form(secret) else None

    @property
    def mark(self) -> str:
        """Tells peppers apart, and nothing about them: 16 hexadecimal digits."""
        return self._hash(b"", b"mark", 8).hex()

    def _hash(self, data: bytes, purpose: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=size, person=purpose).digest()
