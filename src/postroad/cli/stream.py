"""`postroad stream`: message streams, which keep apart what one server sends for different reasons."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.ports.sending import StreamKind

_KINDS = [StreamKind.TRANSACTIONAL.value, StreamKind.BROADCASTS.value]


@click.group()
def stream() -> None:
    """Message streams: receipts here, newsletters there, so that neither hurts the other.

    \b
    postroad stream add shop newsletter --kind broadcasts
    postroad stream list shop
    """


@stream.command()
@click.argument("server")
@click.argument("id")
@click.option("--name", default="", metavar="TEXT", help="What people read; left out: the id.")
@click.option("--kind", type=click.Choice(_KINDS), default=_KINDS[0], show_default=True, help="What it is for.")
@click.option("--description", default="", metavar="TEXT", help="A sentence for the console.")
@pass_context
def add(context: Context, *, server: str, id: str, name: str, kind: str, description: str) -> None:
    """Add a stream to a server. Its ID is what messages name it by.

    \b
    postroad stream add shop newsletter --kind broadcasts --name "Weekly letter"
    """
    made = context.change("stream.add", server=server, id=id, name=name, kind=kind, description=description)
    click.echo(f"Added {made['id']} ({made['kind']}) to {server}.")


@stream.command(name="list")
@click.argument("server")
@click.option("--archived", is_flag=True, help="Archived ones too.")
@json_option
@pass_context
def list_(context: Context, server: str, archived: bool, as_json: bool) -> None:
    """The streams of a server.

    \b
    postroad stream list shop --archived
    """
    from postroad.accounts.projects import find_server

    records = context.read(lambda tx: tx.streams.list(find_server(tx, server).id, archived=archived))
    if as_json:
        print_json(records)
        return
    rows = [(r.id, r.name, r.kind.value, when(r.created), when(r.archived) if r.archived else "") for r in records]
    print_table(("STREAM", "NAME", "KIND", "ADDED", "ARCHIVED"), rows, empty="No streams.")


@stream.command()
@click.argument("server")
@click.argument("id")
@pass_context
def archive(context: Context, server: str, id: str) -> None:
    """Send nothing on a stream any more; its history stays.

    \b
    postroad stream archive shop newsletter
    """
    made = context.change("stream.archive", server=server, id=id)
    click.echo(f"Archived {made['id']}; `postroad stream unarchive {server} {id}` takes it back.")


@stream.command()
@click.argument("server")
@click.argument("id")
@pass_context
def unarchive(context: Context, server: str, id: str) -> None:
    """Use an archived stream again.

    \b
    postroad stream unarchive shop newsletter
    """
    made = context.change("stream.unarchive", server=server, id=id)
    click.echo(f"{made['id']} can be sent on again.")


@stream.command(name="return-path")
@click.argument("server")
@click.argument("id")
@click.argument("host", default="")
@click.option("--off", is_flag=True, help="Back to that of the domain it sends from.")
@click.option("--unchecked", is_flag=True, help="Do not look at DNS first.")
@pass_context
def return_path(context: Context, *, server: str, id: str, host: str, off: bool, unchecked: bool) -> None:
    """Have bounces of one stream come back to HOST, whatever domain it sends from.

    \b
    postroad stream return-path shop newsletter news-back.example.com
    postroad stream return-path shop newsletter --off
    """
    from postroad.cli.domain import look_at_return_path

    if not host and not off:
        raise click.UsageError("say HOST, or --off")
    if host and not unchecked and not off:
        look_at_return_path(context, host)
    context.change("stream.return_path", server=server, id=id, name=host, off=off)
    where = "where those of the domain come back to that it sends from" if off else f"to {host}"
    click.echo(f"Bounces of {server}/{id} come back {where}.")
