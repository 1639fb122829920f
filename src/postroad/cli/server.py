"""`postroad server`: sending projects, which Postmark calls servers."""

from __future__ import annotations

import sys

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.ports.sending import ServerRecord, StreamRecord
from postroad.ports.store import Tx


@click.group()
def server() -> None:
    """Sending projects: one for each application that sends, with streams and tokens of its own.

    \b
    postroad server add shop
    postroad token add --server shop
    postroad server list
    """


@server.command()
@click.argument("name")
@click.option("--color", default="", metavar="COLOUR", help="To tell it apart in the console, such as blue or green.")
@click.option("--sandbox", is_flag=True, help="Accept and show what it sends, deliver nothing.")
@pass_context
def add(context: Context, name: str, color: str, sandbox: bool) -> None:
    """Add a server, with the streams outbound, broadcast and inbound.

    \b
    postroad server add shop
    postroad server add shop-staging --sandbox
    """
    made = context.change("server.add", name=name, color=color, sandbox=sandbox)
    click.echo(f"Added {made['name']}, number {made['id']}{', a sandbox' if made['sandbox'] else ''}.")
    click.echo(f"Next: postroad token add --server {_quoted(made['name'])}")


@server.command(name="list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """All servers.

    \b
    postroad server list --json
    """

    def read(tx: Tx) -> list[tuple[ServerRecord, list[StreamRecord]]]:
        return [(record, tx.streams.list(record.id)) for record in tx.servers.list()]

    found = context.read(read)
    if as_json:
        print_json([record for record, _ in found])
        return
    rows = [
        (record.name, record.id, ", ".join(stream.id for stream in streams), _kind(record), when(record.created))
        for record, streams in found
    ]
    print_table(
        ("SERVER", "NUMBER", "STREAMS", "KIND", "ADDED"), rows, empty="No servers yet: postroad server add NAME"
    )


@server.command()
@click.argument("server")
@click.argument("name")
@pass_context
def rename(context: Context, server: str, name: str) -> None:
    """Give a server another name; tokens and history stay.

    \b
    postroad server rename shop webshop
    """
    made = context.change("server.rename", server=server, name=name)
    click.echo(f"Server {made['id']} is called {made['name']} now.")


@server.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
def remove(context: Context, server: str, yes: bool) -> None:
    """Remove a server with its streams, tokens and suppressions; its messages stay to be looked at.

    \b
    postroad server remove shop
    """
    if not yes:
        _confirm(context, server)
    made = context.change("server.remove", server=server)
    click.echo(f"Removed {made['name']}; its tokens open nothing any more.")


def _confirm(context: Context, server: str) -> None:
    from postroad.accounts.projects import find_server

    def read(tx: Tx) -> tuple[ServerRecord, int]:
        record = find_server(tx, server)
        return record, len(tx.tokens.list(record.id))

    record, tokens = context.read(read)
    if not sys.stdin.isatty():
        raise click.UsageError("this ends all its tokens and nobody is here to be asked; add --yes")
    click.confirm(f"Remove {record.name} with its streams and {tokens} token(s)?", abort=True)


def _kind(record: ServerRecord) -> str:
    return "sandbox" if record.sandbox else "live"


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
