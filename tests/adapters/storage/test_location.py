"""Where the database is: addresses, what is told of them, network file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.storage.location import Location, LocationError, location_of, network_file_system


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("sqlite:///vantum.db", "vantum.db"),
        ("sqlite:////var/lib/vantum/calls.db", "/var/lib/vantum/calls.db"),
    ],
)
def test_an_address_of_sqlite_is_a_path(address: str, file: str) -> None:
    assert location_of(address) == Location(Path(file))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_all_ways_to_write_postgresql_mean_the_same_driver(scheme: str) -> None:
    assert location_of(f"{scheme}://db/calls").address == "postgresql+psycopg://db/calls"


@pytest.mark.parametrize(
    "address",
    ["", "sqlite://", "sqlite:///:memory:", "sqlite:///", "mysql://db/calls", "postgresql://", "calls.db"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(LocationError, match="postgresql://"):
        location_of(address)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunter2@db/calls",
        "postgresql://me@db/calls?password=hunter2&sslmode=require",
        "postgresql://me:hunter%32@db/calls",
    ],
)
def test_a_password_is_never_told(address: str) -> None:
    location = location_of(address)
    assert "db/calls" in str(location)
    for told in (str(location), repr(location), location.without_secrets("no such user: hunter2")):
        assert "hunter" not in told


def test_what_cannot_be_looked_at_is_not_taken_for_absent(tmp_path: Path) -> None:
    """An absent database means that nobody has a key, and that this machine may talk without one."""
    (tmp_path / "out of reach").symlink_to("x" * 300)
    assert Location(tmp_path / "out of reach" / "vantum.db").may_exist()
    assert not Location(tmp_path / "absent" / "vantum.db").may_exist()
    (tmp_path / "a file").touch()
    assert not Location(tmp_path / "a file" / "vantum.db").may_exist()


MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /shared rw,relatime - nfs4 server:/shared rw,vers=4.2
31 30 0:26 / /shared/ann rw - tmpfs tmpfs rw
32 22 0:27 / /mnt/two\040words rw - cifs //server/share rw
33 22 0:28 / /mnt/tunnel rw - fuse.sshfs ann@server: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/vantum.db", None),
        ("/shared/bob/vantum.db", "nfs4"),
        ("/shared/ann/vantum.db", None),
        ("/shared2/vantum.db", None),
        ("/mnt/two words/vantum.db", "cifs"),
        ("/mnt/tunnel/vantum.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_noticed(path: str, kind: str | None, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(path), mounts) == kind


def test_where_mounts_are_not_listed_nothing_is_known(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") is None
