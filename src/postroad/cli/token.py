"""`postroad token`: secrets that programs show: tokens to send with, keys of the API."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.ports.ids import ServerId, id_text
from postroad.ports.sending import TokenRecord
from postroad.ports.store import Tx


@click.group()
def token() -> None:
    """Secrets for programs. Each is shown once; only its SHA-256 is kept.

    \b
    postroad token add --server shop                              to send with, by API or SMTP
    postroad token add --key --name dashboard --scope statistics:read
    postroad token list
    """


@token.command()
@click.option("--server", default="", metavar="NAME", help="A token that sends for this server.")
@click.option("--key", is_flag=True, help="A key for the API under /api/v1/ instead; needs --name and --scope.")
@click.option("--name", default="", metavar="TEXT", help="What it is for, to know it by later.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What a key opens; may be given many times.")
@json_option
@pass_context
def add(context: Context, *, server: str, key: bool, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a token or a key, and show its secret this once.

    Scopes: messages:read, queue:read, queue:write, tenants:read, tenants:write, statistics:read, audit:read, or `*`
    for all.

    \b
    postroad token add --server shop
    postroad token add --key --name dashboard --scope messages:read --scope statistics:read
    """
    if key == bool(server):
        raise click.UsageError("say what it is for: --server NAME, or --key with --name and --scope")
    if key and not scopes:
        raise click.UsageError("--key needs at least one --scope; `--scope '*'` opens everything")
    if scopes and not key:
        raise click.UsageError("a server's token has no scopes; --scope goes with --key")
    made = context.change("token.add", server=server, name=name, scopes=list(scopes))
    if as_json:
        print_json(made)
        return
    click.echo(made["secret"])
    click.echo("Keep it now: it is not shown again.", err=True)
    click.echo(_use(key), err=True)


def _use(key: bool) -> str:
    if key:
        return "Use it as: Authorization: Bearer KEY"
    return "Use it as X-Postmark-Server-Token of the API, or as user and password of SMTP submission."


@token.command(name="list")
@click.option("--server", default="", metavar="NAME", help="Only tokens of this server.")
@click.option("--revoked", is_flag=True, help="Revoked ones too.")
@json_option
@pass_context
def list_(context: Context, server: str, revoked: bool, as_json: bool) -> None:
    """Tokens and keys, with when they were last used.

    \b
    postroad token list --server shop
    """
    from postroad.accounts.projects import find_server

    def read(tx: Tx) -> tuple[list[TokenRecord], dict[ServerId, str]]:
        number = find_server(tx, server).id if server else None
        return tx.tokens.list(number, revoked=revoked), {record.id: record.name for record in tx.servers.list()}

    records, names = context.read(read)
    if as_json:
        print_json(records)
        return
    rows = [
        (
            id_text(record.id), record.name, f"…{record.hint}", _opens(record, names), when(record.created),
            when(record.last_used), when(record.revoked) if record.revoked else "",
        )
        for record in records
    ]  # fmt: skip
    columns = ("ID", "NAME", "ENDS IN", "OPENS", "MADE", "LAST USED", "REVOKED")
    print_table(columns, rows, empty="No tokens yet: postroad token add --server NAME")


def _opens(record: TokenRecord, names: dict[ServerId, str]) -> str:
    if record.server is not None:
        return f"server {names.get(record.server, record.server)}"
    return ", ".join(record.scopes)


@token.command()
@click.argument("token")
@pass_context
def revoke(context: Context, token: str) -> None:
    """End a token; TOKEN is its id, or the last four characters of its secret.

    \b
    postroad token revoke 0b6x1c2d3e4f5
    """
    made = context.change("token.revoke", token=token)
    click.echo(f"Revoked {made['name']} (…{made['hint']}); it opens nothing any more.")
