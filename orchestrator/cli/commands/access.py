"""`vantum keys` and `vantum db`: keys for programs, and the database in which they are."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from orchestrator.cli.commands.usage import Complaint, read_settings

SCOPES = ("call", "dial", "read", "admin")
"""As `Scope` has them."""
MOST = 2**53 - 1
"""Of every limit: what all that read JSON can tell from its neighbours."""
LONGEST_NAME = 100

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def _complaining() -> Iterator[None]:
    from adapters.storage.errors import StorageError
    from orchestrator.access.pepper import PepperError

    try:
        yield
    except (StorageError, PepperError) as error:
        raise Complaint(str(error)) from None


def _limit(name: str, explanation: str) -> Callable[[F], F]:
    return click.option(name, type=click.IntRange(0, MOST), metavar="N", help=explanation)


@click.group()
def keys() -> None:
    """The keys with which programs use a server that other machines reach."""


def _short_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if len(value) > LONGEST_NAME or not value.isprintable():
        raise click.BadParameter(f"must be of at most {LONGEST_NAME} printable characters")
    return value


@keys.command()
@click.option(
    "--name", default="", callback=_short_name, help="What people call it, such as a customer's name."
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("call",),
    show_default=True,
    help="What it allows: hold calls, make telephone calls, read what is known of calls, everything. May be "
    "given several times.",
)
@_limit("--calls-at-once", "Calls of this key at the same time.")
@_limit("--calls-per-minute", "Calls that it may begin in a minute.")
@_limit("--tokens-per-minute", "Client tokens that it may make in a minute.")
@_limit("--dials-per-minute", "Telephone calls that it may make in a minute.")
@_limit("--micros-per-day", "Money that its calls may cost in a day of UTC, in millionths of a US dollar.")
@click.option("--json", "in_json", is_flag=True, help="Print the key and its secret as one JSON object.")
def create(name: str, scopes: tuple[str, ...], in_json: bool, **limits: int | None) -> None:
    """Make a key, and print its secret, which is kept nowhere."""
    settings = read_settings()

    from orchestrator.access.grants import KeyLimits
    from orchestrator.cli import keys as body

    with _complaining():
        made = body.create_key(settings, name, scopes, KeyLimits(**limits))
    if not in_json:
        allowed = ", ".join(sorted(made.key.scopes))
        click.echo(
            f"Key {made.key.key_id} allows: {allowed}. Keep its secret, it is not shown again:", err=True
        )
    try:
        _print_secret(body.created_as_json(made) if in_json else made.secret)
    except OSError as error:
        # Nobody has it, and nobody will.
        with _complaining():
            body.revoke(settings, made.key.key_id)
        if isinstance(error, BrokenPipeError):
            raise
        raise Complaint(
            f"The secret could not be printed ({error.strerror}): key {made.key.key_id} is revoked."
        ) from None


def _print_secret(text: str) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "the standard output is closed")
    click.echo(text)


@keys.command(name="list")
@click.option("--json", "in_json", is_flag=True, help="Print a list of JSON objects.")
def list_keys(in_json: bool) -> None:
    """List all keys, also those that were revoked, without their secrets."""
    settings = read_settings()

    from orchestrator.cli import keys as body

    with _complaining():
        found = body.all_keys(settings)
    if in_json:
        click.echo(body.as_json(found))
    elif found:
        body.show(found)
    else:
        click.echo("There are no keys: `vantum keys create` makes one.")


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """Make a key useless for ever. Servers that run notice within two seconds."""
    settings = read_settings()

    from orchestrator.cli import keys as body
    from orchestrator.cli.printing import say

    with _complaining():
        revoked = body.revoke(settings, key_id)
        was_last = revoked is not None and not body.any_valid(settings)
    if revoked is None:
        raise Complaint(f"There is no key {key_id!r}: `vantum keys list` lists all.")
    called = f" ({revoked.name})" if revoked.name else ""
    say(f"Key {revoked.key_id}{called} is revoked.")
    if was_last:
        say("No key is left, and nobody is let in without one all the same: `vantum keys create` makes one.")


@click.group()
def db() -> None:
    """The database, in which keys are."""


@db.command(name="upgrade")
def upgrade() -> None:
    """Make the database's tables what this version needs. Servers do so themselves when they start."""
    settings = read_settings()

    from orchestrator.cli import keys as body

    with _complaining():
        revision = body.upgrade(settings)
    click.echo(f"The tables of {settings.database} are up to date: revision {revision}.")
