"""`postroad suppression`: addresses that get nothing more on a stream."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when


@click.group()
def suppression() -> None:
    """Addresses that get nothing more on a stream, after a hard bounce, a complaint, or by hand.

    \b
    postroad suppression list shop outbound
    postroad suppression remove shop outbound bob@example.org
    """


@suppression.command(name="list")
@click.argument("server")
@click.argument("stream")
@json_option
@pass_context
def list_(context: Context, server: str, stream: str, as_json: bool) -> None:
    """Who gets nothing more on a stream, and why.

    \b
    postroad suppression list shop outbound
    """
    from postroad.accounts.projects import find_stream
    from postroad.ports.sending import SuppressionRecord
    from postroad.ports.store import Tx

    def read(tx: Tx) -> list[SuppressionRecord]:
        owner, found = find_stream(tx, server, stream)
        return tx.suppressions.list(owner.id, found.id)

    records = context.read(read)
    if as_json:
        print_json(records)
        return
    rows = [(r.address, r.reason.value, r.origin.value, when(r.created)) for r in records]
    print_table(("ADDRESS", "REASON", "BY", "SINCE"), rows, empty="Nobody is suppressed on this stream.")


@suppression.command()
@click.argument("server")
@click.argument("stream")
@click.argument("address")
@pass_context
def add(context: Context, *, server: str, stream: str, address: str) -> None:
    """Send nothing more to an address on a stream.

    \b
    postroad suppression add shop newsletter bob@example.org
    """
    made = context.change("suppression.add", server=server, stream=stream, address=address)
    click.echo(f"{made['address']} gets nothing more on {made['stream']}.")


@suppression.command()
@click.argument("server")
@click.argument("stream")
@click.argument("address")
@pass_context
def remove(context: Context, *, server: str, stream: str, address: str) -> None:
    """Send to an address again. Whoever complained of spam stays off.

    \b
    postroad suppression remove shop outbound bob@example.org
    """
    made = context.change("suppression.remove", server=server, stream=stream, address=address)
    click.echo(f"{made['address']} gets mail on {made['stream']} again.")
