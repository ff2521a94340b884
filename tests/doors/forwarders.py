"""What stands before a server on its machine and passes on what strangers ask: nginx, and a bare forward."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

OF_NGINX = """
location / {
    proxy_pass http://127.0.0.1:3001;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
"""
"""Section "WebSocket proxying" of nginx's documentation."""


def of_our_page() -> str:
    """The configuration that `docs/access.md` shows."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text("utf-8")
    [shown] = re.findall(r"```nginx\n(.*?)```", document, re.DOTALL)
    return str(shown)


# What a process for a test needs around it.
CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""

FORWARD = """
import socket, sys, threading
def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    client = listener.accept()[0]
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for ends in ((client, server), (server, client)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
"""

FORKING = """
import os, signal, socket, sys, threading
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    client = listener.accept()[0]
    if os.fork() == 0:
        listener.close()
        server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)
        os._exit(0)
    client.close()
"""
"""As socat does with `fork`, and inetd: who passes on takes no connections itself."""


@contextmanager
def nginx(server: int, directory: Path, location: str = OF_NGINX) -> Iterator[int]:
    """nginx before the server at this port, as its documentation configures it; gives its own port."""
    assert NGINX is not None
    directory.chmod(0o755)  # its workers are of another user
    with _listening() as listener:
        port = listener.getsockname()[1]
        file = directory / "nginx.conf"
        assert "127.0.0.1:3001" in location
        here = location.replace("127.0.0.1:3001", f"127.0.0.1:{server}")
        filled = CONFIGURATION.format(directory=directory, port=port, location=here)
        file.write_text(filled, encoding="ascii")
        # A socket that listens already, as nginx hands its own over when it is replaced.
        environment = {**os.environ, "NGINX": f"{listener.fileno()};"}
        command = [NGINX, "-c", str(file), "-e", str(directory / "error.log")]
        with _running(command, listener, environment):
            yield port


@contextmanager
def forward(server: int, program: str = FORWARD) -> Iterator[int]:
    """A program that passes bytes on to the server at this port, and adds nothing; gives its own port."""
    with _listening() as listener:
        command = [sys.executable, "-c", program, str(listener.fileno()), str(server)]
        with _running(command, listener, dict(os.environ)):
            yield listener.getsockname()[1]


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def _running(command: list[str], listener: socket.socket, environment: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
