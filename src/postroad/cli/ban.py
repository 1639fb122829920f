"""`postroad ban`: who has to wait after wrong passwords, and letting them try again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, span, when

_WORDS = {"name": "account", "address": "address", "pair": "account at its own address"}


@click.group()
def ban() -> None:
    """Accounts and addresses that have to wait after wrong passwords.

    \b
    postroad ban list
    postroad ban release 198.51.100.7
    postroad ban release alice@example.com
    """


@ban.command(name="list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Who has to wait now, the longest wait first.

    \b
    postroad ban list --json
    """
    from postroad.accounts.bans import waiting

    now = datetime.now(UTC)
    bans = context.read(lambda tx: waiting(tx, now))
    if as_json:
        print_json(bans)
        return
    table = [
        (
            f"{one.account} from {one.address}" if one.account and one.address else one.who, _WORDS[one.subject],
            one.failures, when(one.last), span((one.until - now).total_seconds()),
        )
        for one in bans
    ]  # fmt: skip
    print_table(("WHO", "WHAT", "WRONG", "LAST", "WAITS"), table, empty="Nobody has to wait.")


@ban.command()
@click.argument("who", default="")
@click.option("--all", "everybody", is_flag=True, help="Everybody, in place of one.")
@pass_context
def release(context: Context, who: str, everybody: bool) -> None:
    """Forget the wrong passwords of an address or an account.

    \b
    postroad ban release 198.51.100.7
    postroad ban release --all
    """
    if bool(who) == everybody:
        raise click.UsageError("say who: an address, an account, or --all")
    context.change("ban.release", who=who)
    click.echo(f"{who or 'Everybody'} may try again at once.")
