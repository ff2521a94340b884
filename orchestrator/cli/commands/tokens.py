"""`vantum token`: a client token of a running server; and the option of a key, for commands that ask one."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.commands.usage import Complaint, read_settings
from orchestrator.settings.names import KEY_VARIABLE

key_option = click.option(
    "--key",
    envvar=KEY_VARIABLE,
    metavar="KEY",
    help=f"A key or token of the server; also taken from {KEY_VARIABLE}.  [default: that of a server of the "
    "same user on this machine]",
)


@click.command()
@click.option("--url", help="The server.  [default: this machine, at PORT]")
@click.option(
    "--expires", "expires_in_s", type=int, default=600, show_default=True, help="Seconds, 10 to 7200."
)
@click.option("--uses", type=int, default=1, show_default=True, help="How many connections it lets in.")
@click.option("--link", is_flag=True, help="Print the address of the server's page with the token behind it.")
@key_option
def token(url: str | None, expires_in_s: int, uses: int, link: bool, key: str | None) -> None:
    """Print a client token of a running server: for a browser, which must never have a key."""
    settings = read_settings()

    import trio

    from adapters.tasks import first_error
    from orchestrator.cli.call import CallError, client, own_key, post

    url = (url or f"http://localhost:{settings.port}").rstrip("/")
    order = {"expires_in_s": expires_in_s, "uses": uses}

    async def order_token() -> dict[str, Any]:
        async with client(url, key or own_key(url)) as http:
            return await post(http, "/v1/client-tokens", order)

    complaint, made = "", {}
    try:
        made = trio.run(order_token)
    except* CallError as group:
        complaint = str(first_error(group))
    if complaint:
        raise Complaint(complaint)
    click.echo(f"{url}/#token={made['token']}" if link else made["token"])
