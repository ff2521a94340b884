"""The kernel is asked who holds the other end of a connection: with real sockets, held by real programs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.access.peer_process import PROC, Ends, Holder, PeerProcesses

pytestmark = pytest.mark.skipif(not (PROC / "net" / "tcp").exists(), reason="needs Linux's /proc")

CONNECT = "import socket, sys; c = socket.create_connection((sys.argv[1], int(sys.argv[2])))"
WAIT = "; sys.stdin.read()"
LISTEN = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "


@contextmanager
def held_by(program: str, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> Iterator[Ends]:
    """A connection whose other end this program holds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, 0), family=family)) as server:
        server.settimeout(120)
        port = server.getsockname()[1]
        command = [*prefix, sys.executable, "-c", program, host, str(port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
            accepted, peer = server.accept()
            with accepted:
                yield Ends(peer[:2], accepted.getsockname()[:2])
            assert child.stdin is not None
            child.stdin.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_program_of_ours_is_one(host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with held_by(CONNECT + WAIT, host) as ends:
        assert PeerProcesses().find(ends) is Holder.PROGRAM


def test_this_very_program_is_one_though_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, peer = server.accept()
        with accepted:
            assert PeerProcesses().find(Ends(peer, accepted.getsockname())) is Holder.PROGRAM


def test_a_program_that_takes_connections_may_pass_on_anybodys() -> None:
    with held_by(LISTEN + CONNECT + WAIT) as ends:
        assert PeerProcesses().find(ends) is Holder.FORWARDER


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_a_program_of_another_user_is_none_of_ours() -> None:
    prefix = ("setpriv", "--reuid=65534", "--clear-groups")
    try:
        subprocess.run([*prefix, sys.executable, "-c", ""], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("another user cannot run this Python")
    with held_by(CONNECT + WAIT, prefix=prefix) as ends:
        assert PeerProcesses().find(ends) is Holder.STRANGER


def test_who_has_hung_up_is_nobody() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        caller = socket.create_connection(server.getsockname())
        accepted, peer = server.accept()
        with accepted:
            ends = Ends(peer, accepted.getsockname())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            caller.close()
            assert PeerProcesses().find(ends) is Holder.NOBODY


def test_where_there_are_no_tables_nothing_is_concluded(tmp_path: Path) -> None:
    ends = Ends(("127.0.0.1", 50_000), ("127.0.0.1", 3001))
    assert PeerProcesses(tmp_path).find(ends) is Holder.UNKNOWN


def table(user: int, inode: int) -> str:
    """The kernel's table with one connection, as a little-endian machine writes it."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    ours = "0100007F:C350 0100007F:0BB9" if sys.byteorder == "little" else "7F000001:C350 7F000001:0BB9"
    row = f"   0: {ours} 01 00000000:00000000 00:00000000 00000000 {user}        0 {inode} 1 0 20 4 30 10 -1"
    return f"{head}\n{row}\n"


ENDS = Ends(("127.0.0.1", 50_000), ("127.0.0.1", 3001))
"""Those of the table."""


@pytest.mark.parametrize(
    ("user", "holder"), [(os.geteuid(), Holder.PROGRAM), (os.geteuid() + 4711, Holder.STRANGER)]
)
def test_whose_files_may_not_be_seen_is_told_by_the_user(
    tmp_path: Path, user: int, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(table(user, 99), encoding="ascii")
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711" / "status").write_text(f"Name:\tsshd\nUid:\t{user}\t{user}\t{user}\t{user}\n")

    listed = os.listdir

    def hidden(path: Path) -> list[str]:
        if Path(path).name == "fd":
            raise PermissionError(path)
        return listed(path)

    monkeypatch.setattr(os, "listdir", hidden)  # root may see all
    assert PeerProcesses(tmp_path).find(ENDS) is holder


def test_a_program_of_another_container_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    """It shares our network and has our user's number, and its `/proc` is another one."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(table(os.geteuid(), 99), encoding="ascii")
    assert PeerProcesses(tmp_path).find(ENDS) is Holder.ELSEWHERE


TAKE = (
    "import os; l = socket.create_server(('127.0.0.1', 0)); o = socket.create_connection(l.getsockname());"
    "t = l.accept()[0];"
)


def test_a_program_that_was_given_a_connection_may_pass_on_what_comes_by_it() -> None:
    """As the children of socat, inetd and Node's clusters: who takes connections is another program."""
    child = f"import subprocess; subprocess.run([sys.executable, '-c', {CONNECT + WAIT!r}, *sys.argv[1:]]"
    with held_by(f"import socket, sys; {TAKE} {child}, pass_fds=[t.fileno()])") as ends:
        assert PeerProcesses().find(ends) is Holder.FORWARDER


def test_a_child_of_a_program_that_takes_connections_is_a_program() -> None:
    """As what is started in the terminal of an editor that serves its windows."""
    child = f"import subprocess; subprocess.run([sys.executable, '-c', {CONNECT + WAIT!r}, *sys.argv[1:]]"
    with held_by(f"import socket, sys; {TAKE} {child})") as ends:
        assert PeerProcesses().find(ends) is Holder.PROGRAM


def test_a_program_that_knows_only_sockets_of_ipv6_is_one() -> None:
    mapped = (
        "import socket, sys; c = socket.socket(socket.AF_INET6);"
        "c.connect(('::ffff:' + sys.argv[1], int(sys.argv[2])))"
    )
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with held_by(mapped + WAIT) as ends:
        assert PeerProcesses().find(ends) is Holder.PROGRAM


def test_who_comes_again_is_found_again_and_told_from_others() -> None:
    processes = PeerProcesses()
    for program, holder in ((CONNECT, Holder.PROGRAM), (LISTEN + CONNECT, Holder.FORWARDER)) * 2:
        with held_by(program + WAIT) as ends:
            assert [processes.find(ends), processes.find(ends)] == [holder, holder]
