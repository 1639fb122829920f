"""`postroad account app-password`: a password for each program, made here, honoured as far as its scopes go."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.ids import id_text
from postroad.ports.store import Tx


@click.group(name="app-password")
def app_password() -> None:
    """Passwords for one program each, so that a lost phone costs one password and not the account.

    \b
    postroad account app-password add alice@example.com phone
    postroad account app-password add alice@example.com printer --scope send
    postroad account app-password revoke alice@example.com phone
    """


@app_password.command()
@click.argument("address")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it opens; may be given twice; left out: everything.",
)
@json_option
@pass_context
def add(context: Context, *, address: str, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make one, and show it this once. NAME is what it is for.

    \b
    postroad account app-password add alice@example.com phone
    postroad account app-password add alice@example.com printer --scope send
    """
    made = context.change("app-password.add", address=address, name=name, scopes=list(scopes))
    if as_json:
        print_json(made)
        return
    click.echo(made["secret"])
    click.echo("Keep it now: it is not shown again. It stands in the password's place.", err=True)


@app_password.command(name="list")
@click.argument("address")
@json_option
@pass_context
def list_(context: Context, address: str, as_json: bool) -> None:
    """An account's app passwords, with when they were last used.

    \b
    postroad account app-password list alice@example.com
    """
    from postroad.accounts.accounts import get

    def read(tx: Tx) -> list[AppPasswordRecord]:
        return tx.app_passwords.list(get(tx, address).id)

    records = context.read(read)
    if as_json:
        print_json(records)
        return
    rows = [
        (one.name, ", ".join(one.scopes), when(one.created), when(one.last_used), id_text(one.id)) for one in records
    ]
    empty = "None yet: postroad account app-password add ADDRESS NAME"
    print_table(("NAME", "OPENS", "MADE", "LAST USED", "ID"), rows, empty=empty)


@app_password.command()
@click.argument("address")
@click.argument("name")
@pass_context
def revoke(context: Context, address: str, name: str) -> None:
    """End one; NAME is its name or id.

    \b
    postroad account app-password revoke alice@example.com phone
    """
    made = context.change("app-password.revoke", address=address, name=name)
    click.echo(f"Revoked {made['name']} of {address}; it opens nothing any more.")
