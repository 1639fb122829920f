"""`postroad alias`: other addresses for mailboxes, forwards to elsewhere, and catch-alls."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when


@click.group()
def alias() -> None:
    """Aliases, forwards and catch-alls.

    \b
    postroad alias add info@example.com alice@example.com bob@example.com
    postroad alias add me@example.com me@elsewhere.example
    postroad alias add '*@example.com' alice@example.com
    """


@alias.command()
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
@pass_context
def add(context: Context, address: str, targets: tuple[str, ...]) -> None:
    """Add an alias, or replace its targets; `*@domain` takes what nothing else takes.

    \b
    postroad alias add info@example.com alice@example.com bob@example.com
    """
    made = context.change("alias.add", address=address, targets=list(targets))
    click.echo(f"{made['address']} leads to {', '.join(made['targets'])}.")


@alias.command(name="list")
@click.option("--domain", default="", metavar="NAME", help="Only aliases of this domain.")
@json_option
@pass_context
def list_(context: Context, domain: str, as_json: bool) -> None:
    """All aliases.

    \b
    postroad alias list --domain example.com
    """
    records = context.read(lambda tx: tx.aliases.list(domain))
    if as_json:
        print_json(records)
        return
    rows = [(record.address, ", ".join(record.targets), when(record.created)) for record in records]
    print_table(("ALIAS", "LEADS TO", "ADDED"), rows, empty="No aliases yet.")


@alias.command()
@click.argument("address")
@pass_context
def remove(context: Context, address: str) -> None:
    """Remove an alias.

    \b
    postroad alias remove info@example.com
    """
    context.change("alias.remove", address=address)
    click.echo(f"Removed {address}.")
