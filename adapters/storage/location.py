"""Where the database is: read from an address, told without its password, and what kind of disk it is on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

from adapters.neutral import PASSWORD_MASK, without_passwords

_POSTGRES = re.compile(r"postgres(ql)?(\+psycopg)?://(?P<rest>\S+)")
_SQLITE = re.compile(r"sqlite:///(?P<path>[^?]+)")
_OVER_THE_NETWORK = frozenset(("9p", "afs", "ceph", "cifs", "nfs", "nfs4", "smb3", "smbfs"))
"""File systems whose locks and shared memory other machines do not see, or see late."""
_MOUNTS = Path("/proc/self/mountinfo")


class LocationError(ValueError):
    """An address names no database that can be used. The text says what it must be."""


@frozen
class Location:
    """A database: a file of SQLite's, or one of PostgreSQL's by its address."""

    file: Path | None = None
    address: str = field(default="", repr=False)
    """As SQLAlchemy takes it. It may hold a password."""

    def __str__(self) -> str:
        if self.file is not None:
            return str(self.file)
        return without_passwords(self.address.partition("?")[0].replace("+psycopg", "", 1))

    def may_exist(self) -> bool:
        """Whether there is something to be opened; a server's database is taken for granted.

        So is a file that cannot be looked at, since a directory is locked or a disk is gone: whoever opens it
        is told why. It blocks.
        """
        if self.file is None:
            return True
        try:
            self.file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            pass
        return True

    def without_secrets(self, text: str) -> str:
        """A text about this database, which a library may have written, without the password."""
        for secret in self._secrets():
            text = text.replace(secret, PASSWORD_MASK)
        return without_passwords(text)

    def _secrets(self) -> list[str]:
        parts = urlsplit(self.address)
        written = parts.netloc.rpartition("@")[0].partition(":")[2]
        asked = [value for name, value in parse_qsl(parts.query) if "password" in name]
        return [secret for secret in (written, unquote(written), *asked) if secret]


def location_of(address: str) -> Location:
    """The database with this address. Raises `LocationError`."""
    if found := _SQLITE.fullmatch(address):
        path = Path(found["path"]).expanduser()
        if path.name != ":memory:":
            return Location(path)
    elif found := _POSTGRES.fullmatch(address):
        return Location(address=f"postgresql+psycopg://{found['rest']}")
    raise LocationError("neither postgresql://HOST/NAME nor sqlite:///PATH")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of network file system that a path is on, such as `nfs4`; None for a disk of this machine."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return _kind_of_mount(path.absolute(), lines)


def _kind_of_mount(path: Path, lines: list[str]) -> str | None:
    """The kind of the innermost mount, by lines such as `36 35 98:0 / /mnt rw - ext4 /dev/sda1 rw`."""
    longest, kind = 0, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), before.split()[4])
        if len(point) >= longest and path.is_relative_to(point):
            longest, kind = len(point), after.split()[0]
    return kind if kind in _OVER_THE_NETWORK or kind.startswith("fuse.sshfs") else None
