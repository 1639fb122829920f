"""`postroad admin`: who may open the console."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.cli.passwords import password_option, read_password

_UNITS = {"m": 60, "h": 3600, "d": 86400}


@click.group()
def admin() -> None:
    """Administrators of the console.

    \b
    postroad admin add alice@example.com
    postroad admin link alice@example.com        signs in once, when the password is lost
    postroad admin reset alice@example.com       takes codes and passkeys away, when the phone is lost
    """


@admin.command()
@click.argument("email")
@click.option("--name", default="", metavar="TEXT", help="What the console calls them; left out: the address.")
@click.option("--no-password", is_flag=True, help="They sign in by `postroad admin link`, then by passkey.")
@password_option
@pass_context
def add(context: Context, *, email: str, name: str, no_password: bool, password_stdin: bool) -> None:
    """Add an administrator.

    \b
    postroad admin add alice@example.com
    echo "$PASSWORD" | postroad admin add alice@example.com --password-stdin
    """
    if no_password and password_stdin:
        raise click.UsageError("--no-password and --password-stdin cannot both be meant")
    password = "" if no_password else read_password(password_stdin, confirm=True)
    made = context.change("admin.add", email=email, password=password, name=name)
    click.echo(f"Added {made['email']}.")
    if no_password:
        click.echo(f"Next: postroad admin link {made['email']}")
    elif where := _console(context):
        click.echo(f"Next: sign in at {where}")


@admin.command(name="list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """All administrators.

    \b
    postroad admin list --json
    """
    found = context.read(lambda tx: [(record, tx.admins.passkeys(record.id)) for record in tx.admins.list()])
    if as_json:
        print_json(
            [
                {
                    "id": record.id, "email": record.email, "name": record.name, "created": record.created,
                    "last_login": record.last_login, "totp": record.has_totp, "passkeys": len(passkeys),
                }
                for record, passkeys in found
            ]
        )  # fmt: skip
        return
    rows = [
        (record.email, record.name, when(record.last_login), "yes" if record.has_totp else "", len(passkeys) or "")
        for record, passkeys in found
    ]
    columns = ("ADMINISTRATOR", "NAME", "LAST SIGN-IN", "CODES", "PASSKEYS")
    print_table(columns, rows, empty="No administrators yet: postroad admin add EMAIL")


@admin.command()
@click.argument("email")
@password_option
@pass_context
def password(context: Context, email: str, password_stdin: bool) -> None:
    """Set a new password; every session of theirs ends.

    \b
    echo "$PASSWORD" | postroad admin password alice@example.com --password-stdin
    """
    made = context.change("admin.password", email=email, password=read_password(password_stdin, confirm=True))
    click.echo(f"{made['email']} has a new password; every session has ended.")


@admin.command()
@click.argument("email")
@click.option("--valid", default="15m", metavar="TIME", show_default=True, help="For how long, such as 15m, 2h or 1d.")
@json_option
@pass_context
def link(context: Context, email: str, valid: str, as_json: bool) -> None:
    """Print a link that signs in once, in the password's place.

    Where codes or passkeys are set up, one is asked for all the same; `postroad admin reset` takes them away.

    \b
    postroad admin link alice@example.com
    """
    from postroad.app.links import sign_in_url

    made = context.change("admin.link", email=email, valid=read_span(valid))
    url = sign_in_url(context.settings, made["secret"])
    if as_json:
        print_json({"email": made["email"], "url": url})
        return
    click.echo(url)
    click.echo(f"Signs in as {made['email']}, once, within {valid}.", err=True)


@admin.command()
@click.argument("email")
@pass_context
def reset(context: Context, email: str) -> None:
    """Take away somebody's codes, passkeys and recovery codes; the password stays.

    \b
    postroad admin reset alice@example.com
    """
    made = context.change("admin.reset", email=email)
    click.echo(f"{made['email']} signs in with the password alone now, or by `postroad admin link`.")


@admin.command()
@click.argument("email")
@pass_context
def remove(context: Context, email: str) -> None:
    """Remove an administrator; their sessions end. The last one stays.

    \b
    postroad admin remove bob@example.com
    """
    made = context.change("admin.remove", email=email)
    click.echo(f"Removed {made['email']}.")


def read_span(text: str) -> int:
    """`15m` as seconds."""
    digits, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (digits.isascii() and digits.isdigit()):
        raise click.UsageError(f"`{text}` is no time; write it as 15m, 2h or 1d")
    return int(digits) * _UNITS[unit]


def _console(context: Context) -> str:
    from postroad.app.links import console_url

    return console_url(context.settings)
