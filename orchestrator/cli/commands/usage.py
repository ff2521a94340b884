"""Helpers of several commands: reading the settings, and errors for what cannot be used."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from orchestrator.settings.settings import Settings

T = TypeVar("T")


class Complaint(click.ClickException):
    """Ends a command with a sentence. A file, a server or a setting may have written in it: it is neutral."""

    def format_message(self) -> str:
        """The sentence as it is printed."""
        from adapters.neutral import neutral, without_passwords

        return neutral(without_passwords(self.message), lines=True)


def asking(ask: Callable[[], Awaitable[T]]) -> T:
    """Run what asks a server something. What the server or the way to it complains of ends the command."""
    import trio

    from adapters.tasks import first_error
    from orchestrator.cli.call import CallError

    complaint = ""
    try:
        return trio.run(ask)
    except* CallError as group:
        complaint = str(first_error(group))
    raise Complaint(complaint)


class BadSetting(Complaint):
    """The configuration cannot be used."""

    exit_code = 2
    """The same as click's own for a wrong command line."""


class UnreadableFile(Complaint):
    """A file that was named cannot be used."""

    exit_code = 2
    """Unlike 1, which means that a replay differs."""


def read_settings(**chosen: object) -> Settings:
    """The settings of this process; `chosen` ones that are not None win. Raises `BadSetting`.

    Prints warnings about the sources to standard error.
    """
    from orchestrator.settings.settings import SettingsError
    from orchestrator.settings.sources import load_settings, source_doubts

    try:
        settings = load_settings(**chosen)
        for doubt in source_doubts():
            click.echo(f"Warning: {doubt}", err=True)
    except SettingsError as error:
        raise BadSetting(str(error)) from None
    return settings


def listening_failed(host: str, port: int, error: OSError, *, or_setting: bool = False) -> str:
    """The sentence for an address that cannot be listened on. `or_setting`: a setting may choose it, too.

    Raises `error` itself if it is about something else.
    """
    import socket

    other_port = "--port or VANTUM_PORT" if or_setting else "--port"
    other_host = "--host or VANTUM_HOST" if or_setting else "--host"
    there = (error.errno == errno.EADDRINUSE and _another_vantum(port)) or "another program"
    reasons = {
        errno.EADDRINUSE: f"{there} listens there; choose another port with {other_port}",
        errno.EACCES: f"that needs more rights; choose a port above 1023 with {other_port}",
        errno.EADDRNOTAVAIL: f"this machine has no such address; choose another with {other_host}",
    }
    if error.errno not in reasons and not isinstance(error, socket.gaierror):
        raise error
    reason = reasons.get(error.errno or 0, f"there is no such host; choose another with {other_host}")
    return f"Cannot listen on {host}, port {port}: {reason}."


def _another_vantum(port: int) -> str:
    """`another Vantum (up 3 min)` if that is what answers at the port of this machine; else nothing."""
    import json
    import urllib.request

    # No proxy knows what listens here.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health", timeout=0.5) as answer:
            health = json.load(answer)
        if not str(health["message"]).startswith("Vantum"):
            return ""
        return f"another Vantum (up {float(health['uptime']) / 60:.0f} min)"
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def log_advice(settings: Settings) -> None:
    """Log what will probably not work as it is set, in the format that the logs have."""
    from adapters.logs import library_logger
    from orchestrator.settings.advice import advice

    log = library_logger(__name__)
    for sentence in advice(settings):
        log.warning("advice", advice=sentence)
